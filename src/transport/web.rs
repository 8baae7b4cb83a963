//! WebTransport over HTTP/3. Only this file names the crate that speaks it.
//!
//! The crate runs one session a connection and maps stream codes and the session's close code into HTTP/3's space and back.

use std::fmt;
use std::net::SocketAddr;
use std::ops::Deref;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker, ready};

use bytes::Bytes;
use web_transport_quinn::http::StatusCode;
use web_transport_quinn::proto::{
    ConnectError as ConnectStreamError, ConnectRequest, ConnectResponse, error_from_http3, error_to_http3,
};
use web_transport_quinn::{
    ClientError, ConnectError, ReadError, ServerError, Session, SessionError, WebTransportError, WriteError,
};

use super::config::Limits;
use super::contract::{
    CANCELLED, DatagramError, Ended, Lost, RecvHalf, SendHalf, StreamError, Transport, TransportKind, Written,
};
use super::credit::Credits;

/// HTTP/3's ALPN.
pub(super) const ALPN: &str = web_transport_quinn::ALPN;

/// All that is known of a session that ended without its peer closing it.
const NO_CAPSULE: &str = "the peer fell silent or went away without closing the WebTransport session";

/// A WebTransport session.
#[derive(Clone, Debug)]
pub(crate) struct Web {
    inner: Arc<Inner>,
}

/// Streams hold this too: the session ends with the last of them, as a QUIC connection does.
#[derive(Debug)]
struct Inner {
    session: Session,
    connection_id: String,
    /// A client's own endpoint, if it carries this connection alone.
    endpoint: Option<quinn::Endpoint>,
    limits: Limits,
    credits: Credits,
    closed_here: AtomicBool,
}

/// Opens a session on a fresh HTTP/3 connection, offering protocol names, newest first.
pub(super) async fn connect(
    connection: quinn::Connection,
    url: &url::Url,
    offer: &[&str],
    connection_id: String,
    endpoint: Option<quinn::Endpoint>,
) -> Result<Web, UpgradeError> {
    let request =
        ConnectRequest::new(url.clone()).with_protocols(offer.iter().map(|name| (*name).to_owned()));
    let session = Session::connect(connection.clone(), request).await.map_err(|error| {
        match connection.close_reason() {
            Some(reason) => UpgradeError::Lost(closed_by(reason)),
            None => error.into(),
        }
    })?;
    Ok(Web::new(session, connection_id, endpoint, Limits::default()))
}

/// Waits for the CONNECT request of a fresh HTTP/3 connection.
pub(super) async fn receive(connection: quinn::Connection) -> Result<Request, UpgradeError> {
    let request = web_transport_quinn::Request::accept(connection.clone()).await.map_err(|error| {
        match connection.close_reason() {
            Some(reason) => UpgradeError::Lost(closed_by(reason)),
            None => error.into(),
        }
    })?;
    Ok(Request { request })
}

/// A client's CONNECT request that awaits its answer.
pub(super) struct Request {
    request: web_transport_quinn::Request,
}

impl Request {
    /// The names of `wt-available-protocols`, in the client's order.
    pub(super) fn offered(&self) -> &[String] {
        &self.request.protocols
    }

    /// The path and the query.
    pub(super) fn path(&self) -> String {
        let url = &self.request.url;
        url.query().map_or_else(|| url.path().to_owned(), |query| format!("{}?{query}", url.path()))
    }

    pub(super) fn authority(&self) -> String {
        self.request.url.authority().to_owned()
    }

    /// Answers 200, with `wt-protocol` if a name was chosen.
    pub(super) async fn accept(
        self,
        protocol: Option<&str>,
        connection_id: String,
        limits: Limits,
    ) -> Result<Web, UpgradeError> {
        let mut response = ConnectResponse::OK;
        response.protocol = protocol.map(ToOwned::to_owned);
        let session = self.request.respond(response).await?;
        Ok(Web::new(session, connection_id, None, limits))
    }

    /// Answers 400 and waits until the client has gone, since closing at once would overtake the answer. The caller bounds
    /// the wait; when this future is dropped the connection closes.
    pub(super) async fn refuse(self) -> Result<(), UpgradeError> {
        let response = ConnectResponse::new(StatusCode::BAD_REQUEST);
        // Through `Web`, whose drop closes the connection: the crate's own background task would hold it open.
        let refused = Web::new(self.request.respond(response).await?, String::new(), None, Limits::default());
        refused.closed().await;
        Ok(())
    }
}

impl Web {
    fn new(
        session: Session,
        connection_id: String,
        endpoint: Option<quinn::Endpoint>,
        limits: Limits,
    ) -> Self {
        let closed_here = AtomicBool::new(false);
        let credits = Credits::new(limits);
        Self { inner: Arc::new(Inner { session, connection_id, endpoint, limits, credits, closed_here }) }
    }

    fn session(&self) -> &Session {
        &self.inner.session
    }

    fn send(&self, stream: web_transport_quinn::SendStream) -> Send {
        Send { stream: Half::Bi(stream), inner: self.inner.clone(), abandon: Some(CANCELLED) }
    }

    fn recv(&self, stream: web_transport_quinn::RecvStream) -> Recv {
        Recv { stream, inner: self.inner.clone(), ended: Ended::default() }
    }
}

impl Inner {
    /// Why the session ended.
    fn why(&self, error: &SessionError) -> Lost {
        if let SessionError::WebTransportError(WebTransportError::Closed(code, reason)) = error {
            return Lost::Peer { code: (*code).into(), reason: reason.clone() };
        }
        if self.closed_here.load(Ordering::Acquire) {
            return Lost::Local;
        }
        match quinn_connection(&self.session).close_reason() {
            // The crate closes the connection whenever its reader of the CONNECT stream ends. That overwrites quinn's
            // reason, so that a timeout looks like a CONNECT stream that was ended without a capsule. It must not pass for
            // an orderly end.
            Some(quinn::ConnectionError::LocallyClosed) => Lost::Transport(NO_CAPSULE.to_owned()),
            Some(reason) => closed_by(reason),
            None => Lost::Transport(chain(error)),
        }
    }

    /// Why the session ended, of which QUIC has said this.
    fn lost(&self, error: quinn::ConnectionError) -> Lost {
        match self.session.close_reason() {
            Some(reason) => self.why(&reason),
            None => self.why(&error.into()),
        }
    }

    fn close(&self, code: u32, reason: &str) {
        if self.session.close_reason().is_none() {
            self.closed_here.store(true, Ordering::Release);
            self.session.close(code, reason.as_bytes());
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // The crate's background task holds the connection: without this it would stay open until the peer closed it.
        self.close(0, "");
    }
}

/// `Session` hides some of quinn's methods behind its own of the same name.
fn quinn_connection(session: &Session) -> &quinn::Connection {
    session.deref()
}

/// What a QUIC-level end means for the session.
fn closed_by(reason: quinn::ConnectionError) -> Lost {
    match SessionError::from(reason) {
        SessionError::WebTransportError(WebTransportError::Closed(code, reason)) => {
            Lost::Peer { code: code.into(), reason }
        }
        SessionError::ConnectionError(quinn::ConnectionError::ApplicationClosed(close)) => {
            Lost::Transport(format!("the peer closed the HTTP/3 connection: {close}"))
        }
        SessionError::ConnectionError(error) => error.into(),
        other => Lost::Transport(other.to_string()),
    }
}

impl Transport for Web {
    type Send = Send;
    type Recv = Recv;

    async fn open_uni(&self) -> Result<Send, Lost> {
        let stream = quinn_connection(self.session()).open_uni().await;
        let stream = stream.map_err(|error| self.inner.lost(error))?;
        Ok(Send {
            stream: Half::Uni { stream, header: Bytes::from_static(UNI_HEADER) },
            inner: self.inner.clone(),
            abandon: Some(CANCELLED),
        })
    }

    async fn open_bi(&self) -> Result<(Send, Recv), Lost> {
        loop {
            match self.session().open_bi().await {
                Ok((send, recv)) => return Ok((self.send(send), self.recv(recv))),
                Err(error) if stopped_at_birth(&error) => {}
                Err(error) => return Err(self.inner.why(&error)),
            }
        }
    }

    async fn accept_uni(&self) -> Result<Recv, Lost> {
        let stream = self.session().accept_uni().await.map_err(|error| self.inner.why(&error))?;
        self.inner.credits.used_uni(quinn_connection(self.session()), stream.quic_id());
        Ok(self.recv(stream))
    }

    async fn accept_bi(&self) -> Result<(Send, Recv), Lost> {
        let (send, recv) = self.session().accept_bi().await.map_err(|error| self.inner.why(&error))?;
        self.inner.credits.used_bidi(quinn_connection(self.session()), recv.quic_id());
        Ok((self.send(send), self.recv(recv)))
    }

    async fn read_datagram(&self) -> Result<Bytes, Lost> {
        loop {
            match self.session().read_datagram().await {
                Ok(payload) => return Ok(payload),
                // A stray datagram of another session is no reason to end this one.
                Err(SessionError::WebTransportError(WebTransportError::UnknownSession)) => {}
                Err(error) => return Err(self.inner.why(&error)),
            }
        }
    }

    async fn send_datagram(&self, payload: Bytes) -> Result<(), DatagramError> {
        let lost = match self.session().send_datagram_wait(payload).await {
            Ok(()) => return Ok(()),
            Err(SessionError::SendDatagramError(quinn::SendDatagramError::ConnectionLost(lost))) => {
                lost.into()
            }
            Err(SessionError::SendDatagramError(error)) => return Err(error.into()),
            Err(other) => other,
        };
        Err(DatagramError::Lost(self.inner.why(&lost)))
    }

    fn max_datagram_size(&self) -> usize {
        self.session().max_datagram_size()
    }

    fn close(&self, code: u32, reason: &str) {
        self.inner.close(code, reason);
    }

    async fn closed(&self) -> Lost {
        let error = self.session().closed().await;
        self.inner.why(&error)
    }

    async fn drained(&self) {
        if let Some(endpoint) = &self.inner.endpoint {
            endpoint.wait_idle().await;
        }
    }

    fn protocol(&self) -> Option<String> {
        self.session().protocol().map(ToOwned::to_owned)
    }

    fn kind(&self) -> TransportKind {
        TransportKind::WebTransport
    }

    fn connection_id(&self) -> Option<String> {
        Some(self.inner.connection_id.clone())
    }

    fn remote_address(&self) -> Option<SocketAddr> {
        Some(self.session().remote_address())
    }

    fn receive_window(&self) -> usize {
        self.inner.limits.max_unread_bytes as usize
    }

    fn peer_certificate(&self) -> Option<Bytes> {
        super::quic::peer_certificate(quinn_connection(self.session()))
    }
}

/// Whether the peer stopped a stream before the crate had written the header in front of it: that stream is gone, not the
/// session.
fn stopped_at_birth(error: &SessionError) -> bool {
    matches!(
        error,
        SessionError::WebTransportError(WebTransportError::WriteError(quinn::WriteError::Stopped(_)))
    )
}

/// What stands before everything on a unidirectional stream: its type, and the session, which is the stream of the CONNECT
/// request, a connection's first (draft-ietf-webtrans-http3 §4.2).
const UNI_HEADER: &[u8] = &[0x40, 0x54, 0x00];

/// The half of a stream that is written.
#[derive(Debug)]
pub(crate) struct Send {
    stream: Half,
    inner: Arc<Inner>,
    /// The code to reset with on drop; none once the stream has been ended on purpose.
    abandon: Option<u32>,
}

/// The crate queues the header of a stream with the highest priority, and quinn sends what is written before the header has
/// left along with it. So on data streams the header is ours: it waits for the first write, in its place.
#[derive(Debug)]
enum Half {
    Uni {
        stream: quinn::SendStream,
        /// What of the header is not written.
        header: Bytes,
    },
    Bi(web_transport_quinn::SendStream),
}

impl SendHalf for Send {
    async fn write(&mut self, chunks: &mut [Bytes]) -> Result<Written, StreamError> {
        let written = match &mut self.stream {
            Half::Uni { stream, header } => write_behind(stream, header, chunks).await.map_err(Into::into),
            Half::Bi(stream) => stream.write_chunks(chunks).await,
        };
        match written {
            Ok(written) => Ok(Written { bytes: written.bytes, chunks: written.chunks }),
            Err(WriteError::Stopped(code)) => {
                // RFC 9000 §3.5: the reset that answers STOP_SENDING should carry its code.
                self.abandon = self.abandon.map(|_| code);
                Err(StreamError::Stopped(code.into()))
            }
            // A code outside WebTransport's range says nothing about the application: 0 stands for it.
            Err(WriteError::InvalidStopped(_)) => Err(StreamError::Stopped(0)),
            Err(WriteError::ClosedStream) => Err(StreamError::Closed),
            Err(WriteError::SessionError(error)) => Err(self.inner.why(&error).into()),
        }
    }

    fn finish(&mut self) {
        // It fails only on a stream that has already ended, where there is nothing left to say.
        match &mut self.stream {
            Half::Uni { stream, header } => {
                // Nothing was written: the header takes three bytes of a window that is whole.
                if !header.is_empty() {
                    let mut header = [std::mem::take(header)];
                    let _ =
                        pin!(stream.write_chunks(&mut header)).poll(&mut Context::from_waker(Waker::noop()));
                }
                drop(stream.finish());
            }
            Half::Bi(stream) => drop(stream.finish()),
        }
        self.abandon = None;
    }

    fn reset(&mut self, code: u32) {
        match &mut self.stream {
            Half::Uni { stream, .. } => drop(stream.reset(http3_code(code))),
            Half::Bi(stream) => drop(stream.reset(code)),
        }
        self.abandon = None;
    }

    fn set_priority(&mut self, order: i32) {
        match &self.stream {
            Half::Uni { stream, .. } => drop(stream.set_priority(order)),
            Half::Bi(stream) => drop(stream.set_priority(order)),
        }
    }

    async fn stopped(&self) -> Result<Option<u64>, Lost> {
        match &self.stream {
            Half::Uni { stream, .. } => match stream.stopped().await {
                Ok(code) => Ok(code.map(|code| error_from_http3(code.into_inner()).unwrap_or(0).into())),
                Err(quinn::StoppedError::ConnectionLost(error)) => Err(self.inner.lost(error)),
                Err(error) => Err(Lost::Transport(error.to_string())),
            },
            Half::Bi(stream) => {
                let code = stream.stopped().await.map_err(|error| self.inner.why(&error))?;
                Ok(code.map(u64::from))
            }
        }
    }
}

/// Writes chunks, and what is left of a header before them.
async fn write_behind(
    stream: &mut quinn::SendStream,
    header: &mut Bytes,
    chunks: &mut [Bytes],
) -> Result<quinn::Written, quinn::WriteError> {
    if header.is_empty() {
        return stream.write_chunks(chunks).await;
    }
    // All in one, so that they may share a packet.
    let mut all = Vec::with_capacity(chunks.len() + 1);
    all.push(std::mem::take(header));
    all.extend(chunks.iter_mut().map(std::mem::take));
    let mut all = Restore { all, header, chunks };
    let before = all.all[0].len();
    let written = stream.write_chunks(&mut all.all).await?;
    Ok(quinn::Written {
        bytes: written.bytes.saturating_sub(before),
        chunks: written.chunks.saturating_sub(1),
    })
}

/// Puts back what was not written, however the write ends.
struct Restore<'a> {
    all: Vec<Bytes>,
    header: &'a mut Bytes,
    chunks: &'a mut [Bytes],
}

impl Drop for Restore<'_> {
    fn drop(&mut self) {
        let mut left = self.all.drain(..);
        *self.header = left.next().unwrap_or_default();
        for (chunk, left) in self.chunks.iter_mut().zip(left) {
            *chunk = left;
        }
    }
}

fn http3_code(code: u32) -> quinn::VarInt {
    quinn::VarInt::from_u64(error_to_http3(code)).unwrap_or_default()
}

impl Drop for Send {
    fn drop(&mut self) {
        // Otherwise the stream would end cleanly here, and truncated data would look whole.
        if let Some(code) = self.abandon {
            self.reset(code);
        }
    }
}

/// The half of a stream that is read.
#[derive(Debug)]
pub(crate) struct Recv {
    stream: web_transport_quinn::RecvStream,
    inner: Arc<Inner>,
    ended: Ended,
}

impl RecvHalf for Recv {
    fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        chunks: &mut [Bytes],
    ) -> Poll<Result<Option<usize>, StreamError>> {
        self.ended.check()?;
        // The future holds nothing: quinn remembers the waker in the connection.
        let read = pin!(self.stream.read_chunks(chunks)).poll(cx);
        let error = match ready!(read) {
            Ok(filled) => {
                if filled.is_none() {
                    self.ended.finish();
                }
                return Poll::Ready(Ok(filled));
            }
            Err(ReadError::Reset(code)) => StreamError::Reset(code.into()),
            // A code outside WebTransport's range says nothing about the application: 0 stands for it.
            Err(ReadError::InvalidReset(_)) => StreamError::Reset(0),
            Err(ReadError::ClosedStream | ReadError::IllegalOrderedRead) => StreamError::Closed,
            Err(ReadError::SessionError(error)) => self.inner.why(&error).into(),
        };
        Poll::Ready(Err(self.ended.fail(error)))
    }

    fn stop(&mut self, code: u32) {
        self.ended.stop();
        let _ = self.stream.stop(code);
    }
}

impl Drop for Recv {
    fn drop(&mut self) {
        // Otherwise HTTP/3's bare 0 would be sent.
        if !self.ended.is_over() {
            self.stop(CANCELLED);
        }
    }
}

/// Why a connection did not become a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum UpgradeError {
    /// The server answered the CONNECT with this HTTP status.
    Status(u16),
    /// The server named a protocol that was not offered.
    Protocol(String),
    /// The server's `wt-protocol` is not a structured-field string.
    MalformedProtocol,
    /// The connection ended meanwhile.
    Lost(Lost),
    /// Something else in HTTP/3 went wrong.
    Http(String),
}

impl fmt::Display for UpgradeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status) => write!(f, "HTTP status {status}"),
            Self::Protocol(name) => write!(f, "the protocol `{name}` was not offered"),
            Self::MalformedProtocol => f.write_str("wt-protocol is not a quoted string"),
            Self::Lost(lost) => lost.fmt(f),
            Self::Http(reason) => f.write_str(reason),
        }
    }
}

impl From<ClientError> for UpgradeError {
    fn from(error: ClientError) -> Self {
        match &error {
            ClientError::HttpError(http) => http.clone().into(),
            _ => Self::Http(chain(&error)),
        }
    }
}

impl From<ServerError> for UpgradeError {
    fn from(error: ServerError) -> Self {
        Self::Http(chain(&error))
    }
}

impl From<ConnectError> for UpgradeError {
    fn from(error: ConnectError) -> Self {
        match &error {
            ConnectError::ErrorStatus(status)
            | ConnectError::ProtoError(
                ConnectStreamError::WrongStatus(Some(status)) | ConnectStreamError::ErrorStatus(status),
            ) => Self::Status(status.as_u16()),
            ConnectError::ProtoError(ConnectStreamError::InvalidProtocol) => Self::MalformedProtocol,
            ConnectError::ProtocolMismatch(name) => Self::Protocol(name.clone()),
            _ => Self::Http(chain(&error)),
        }
    }
}

/// An error and its causes in one line: the crate's own words often name only the layer.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        if !text.ends_with(&next) {
            text = format!("{text}: {next}");
        }
        cause = error.source();
    }
    text
}
