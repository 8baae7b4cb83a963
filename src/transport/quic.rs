//! Raw QUIC: a thin adapter over quinn that closes its traps.

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use quinn::{ConnectionError, ReadError, SendDatagramError, StoppedError, VarInt, WriteError};

use super::config::Limits;
use super::contract::{
    CANCELLED, DatagramError, Ended, Lost, RecvHalf, SendHalf, StreamError, Transport, TransportKind, Written,
};
use super::credit::Credits;

/// The session code for a peer without datagrams: PROTOCOL_VIOLATION (draft-14 §3.4, draft-16 §3.4).
const PROTOCOL_VIOLATION: u32 = 0x3;
const NO_DATAGRAMS: &str = "the peer takes no QUIC datagrams, which MoQT needs";

/// A QUIC connection whose ALPN named a draft.
#[derive(Clone, Debug)]
pub(crate) struct Quic {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    connection: quinn::Connection,
    connection_id: String,
    /// A client's own endpoint, if it carries this connection alone.
    endpoint: Option<quinn::Endpoint>,
    limits: Limits,
    credits: Credits,
}

impl Quic {
    /// Adopts a connection. `connection_id` is the original destination connection id in hex.
    pub(super) fn new(
        connection: quinn::Connection,
        connection_id: String,
        endpoint: Option<quinn::Endpoint>,
        limits: Limits,
    ) -> Self {
        let credits = Credits::new(limits);
        Self { inner: Arc::new(Inner { connection, connection_id, endpoint, limits, credits }) }
    }

    fn connection(&self) -> &quinn::Connection {
        &self.inner.connection
    }
}

impl Transport for Quic {
    type Send = Send;
    type Recv = Recv;

    async fn open_uni(&self) -> Result<Send, Lost> {
        Ok(Send::new(self.connection().open_uni().await?))
    }

    async fn open_bi(&self) -> Result<(Send, Recv), Lost> {
        let (send, recv) = self.connection().open_bi().await?;
        Ok((Send::new(send), Recv::new(recv)))
    }

    async fn accept_uni(&self) -> Result<Recv, Lost> {
        let recv = self.connection().accept_uni().await?;
        self.inner.credits.used_uni(self.connection(), recv.id());
        Ok(Recv::new(recv))
    }

    async fn accept_bi(&self) -> Result<(Send, Recv), Lost> {
        let (send, recv) = self.connection().accept_bi().await?;
        self.inner.credits.used_bidi(self.connection(), recv.id());
        Ok((Send::new(send), Recv::new(recv)))
    }

    async fn read_datagram(&self) -> Result<Bytes, Lost> {
        Ok(self.connection().read_datagram().await?)
    }

    async fn send_datagram(&self, payload: Bytes) -> Result<(), DatagramError> {
        Ok(self.connection().send_datagram_wait(payload).await?)
    }

    fn max_datagram_size(&self) -> usize {
        self.connection().max_datagram_size().unwrap_or(0)
    }

    fn close(&self, code: u32, reason: &str) {
        // quinn would overwrite the reason of a connection that is already gone.
        if self.connection().close_reason().is_none() {
            self.connection().close(code.into(), reason.as_bytes());
        }
    }

    async fn closed(&self) -> Lost {
        self.connection().closed().await.into()
    }

    async fn drained(&self) {
        if let Some(endpoint) = &self.inner.endpoint {
            endpoint.wait_idle().await;
        }
    }

    fn protocol(&self) -> Option<String> {
        alpn(self.connection())
    }

    fn kind(&self) -> TransportKind {
        TransportKind::Quic
    }

    fn connection_id(&self) -> Option<String> {
        Some(self.inner.connection_id.clone())
    }

    fn remote_address(&self) -> Option<SocketAddr> {
        Some(self.connection().remote_address())
    }

    fn receive_window(&self) -> usize {
        self.inner.limits.max_unread_bytes as usize
    }

    fn peer_certificate(&self) -> Option<Bytes> {
        peer_certificate(self.connection())
    }
}

/// The first of the certificates that the peer has shown.
pub(super) fn peer_certificate(connection: &quinn::Connection) -> Option<Bytes> {
    let shown =
        connection.peer_identity()?.downcast::<Vec<rustls::pki_types::CertificateDer<'static>>>().ok()?;
    shown.first().map(|certificate| Bytes::copy_from_slice(certificate))
}

/// Closes a connection whose peer has not negotiated QUIC's datagrams (draft-14 §3.1, draft-16 §3.1).
pub(super) fn require_datagrams(connection: &quinn::Connection) -> Result<(), Lost> {
    if connection.max_datagram_size().is_some() {
        return Ok(());
    }
    connection.close(PROTOCOL_VIOLATION.into(), NO_DATAGRAMS.as_bytes());
    Err(Lost::Transport(NO_DATAGRAMS.to_owned()))
}

/// The ALPN protocol of an established connection.
pub(super) fn alpn(connection: &quinn::Connection) -> Option<String> {
    let data = connection.handshake_data()?.downcast::<quinn::crypto::rustls::HandshakeData>().ok()?;
    String::from_utf8(data.protocol?).ok()
}

/// The half of a QUIC stream that is written.
#[derive(Debug)]
pub(crate) struct Send {
    stream: quinn::SendStream,
    /// The code to reset with on drop; none once the stream has been ended on purpose.
    abandon: Option<VarInt>,
}

impl Send {
    fn new(stream: quinn::SendStream) -> Self {
        Self { stream, abandon: Some(CANCELLED.into()) }
    }
}

impl SendHalf for Send {
    async fn write(&mut self, chunks: &mut [Bytes]) -> Result<Written, StreamError> {
        match self.stream.write_chunks(chunks).await {
            Ok(written) => Ok(Written { bytes: written.bytes, chunks: written.chunks }),
            Err(error) => {
                if let WriteError::Stopped(code) = error {
                    // RFC 9000 §3.5: the reset that answers STOP_SENDING should carry its code.
                    self.abandon = self.abandon.map(|_| code);
                }
                Err(error.into())
            }
        }
    }

    fn finish(&mut self) {
        // It fails only on a stream that has already ended, where there is nothing left to say.
        let _ = self.stream.finish();
        self.abandon = None;
    }

    fn reset(&mut self, code: u32) {
        let _ = self.stream.reset(code.into());
        self.abandon = None;
    }

    fn set_priority(&mut self, order: i32) {
        let _ = self.stream.set_priority(order);
    }

    async fn stopped(&self) -> Result<Option<u64>, Lost> {
        match self.stream.stopped().await {
            Ok(code) => Ok(code.map(VarInt::into_inner)),
            Err(StoppedError::ConnectionLost(error)) => Err(error.into()),
            Err(StoppedError::ZeroRttRejected) => Err(zero_rtt()),
        }
    }
}

impl Drop for Send {
    fn drop(&mut self) {
        // quinn would end the stream cleanly here, and truncated data would look whole.
        if let Some(code) = self.abandon {
            let _ = self.stream.reset(code);
        }
    }
}

/// The half of a QUIC stream that is read.
#[derive(Debug)]
pub(crate) struct Recv {
    stream: quinn::RecvStream,
    ended: Ended,
}

impl Recv {
    fn new(stream: quinn::RecvStream) -> Self {
        Self { stream, ended: Ended::default() }
    }
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
        if let Poll::Ready(Ok(None)) = read {
            self.ended.finish();
        }
        read.map_err(|error| self.ended.fail(error.into()))
    }

    fn stop(&mut self, code: u32) {
        self.ended.stop();
        let _ = self.stream.stop(code.into());
    }
}

impl Drop for Recv {
    fn drop(&mut self) {
        // quinn would send code 0, which the drafts call INTERNAL_ERROR.
        if !self.ended.is_over() {
            self.stop(CANCELLED);
        }
    }
}

impl From<ConnectionError> for Lost {
    fn from(error: ConnectionError) -> Self {
        match error {
            ConnectionError::ApplicationClosed(close) => Self::Peer {
                code: close.error_code.into_inner(),
                reason: String::from_utf8_lossy(&close.reason).into_owned(),
            },
            ConnectionError::LocallyClosed => Self::Local,
            ConnectionError::TimedOut => Self::TimedOut,
            other => Self::Transport(other.to_string()),
        }
    }
}

impl From<WriteError> for StreamError {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::Stopped(code) => Self::Stopped(code.into_inner()),
            WriteError::ConnectionLost(error) => Self::Lost(error.into()),
            WriteError::ClosedStream => Self::Closed,
            WriteError::ZeroRttRejected => Self::Lost(zero_rtt()),
        }
    }
}

impl From<ReadError> for StreamError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Reset(code) => Self::Reset(code.into_inner()),
            ReadError::ConnectionLost(error) => Self::Lost(error.into()),
            ReadError::ClosedStream | ReadError::IllegalOrderedRead => Self::Closed,
            ReadError::ZeroRttRejected => Self::Lost(zero_rtt()),
        }
    }
}

impl From<SendDatagramError> for DatagramError {
    fn from(error: SendDatagramError) -> Self {
        match error {
            SendDatagramError::TooLarge => Self::TooLarge,
            SendDatagramError::UnsupportedByPeer | SendDatagramError::Disabled => Self::Unsupported,
            SendDatagramError::ConnectionLost(error) => Self::Lost(error.into()),
        }
    }
}

/// Early data is never sent here; quinn's errors name it all the same.
fn zero_rtt() -> Lost {
    Lost::Transport("the peer rejected early data".to_owned())
}
