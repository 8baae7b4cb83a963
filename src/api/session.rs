//! One session with one peer.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use moqingbird_wire::Version;
use moqingbird_wire::model::{
    ErrorContext, Publish, PublishNamespace, Request, RequestError, RequestId, RequestKind, Response,
    SessionErrorCode, Setup, Subscribe, SubscribeNamespace,
};

use super::{
    IncomingRequest, NamespaceSubscription, Publication, PublishedNamespace, Rejected, RequestFailed,
    Subscription,
};
use crate::driver::{self, End, Listening, Note, Shared, Status};
use crate::session::{Closed, Config, Misuse, Side};
use crate::transport::{Connection, TransportKind};

/// A session with one peer, either of whose ends may publish and subscribe.
///
/// Clones are the same session. It works by itself: there is nothing to run. When the last clone and the last handle
/// of a request are dropped, the session is closed without error.
///
/// ```no_run
/// use moqingbird::wire::model::{FullTrackName, Subscribe, TrackNamespace};
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let session = moqingbird::connect(&"moqt://relay.example".parse()?, &Default::default()).await?;
/// let track = FullTrackName::new(TrackNamespace::from_path("live/cam")?, "video")?;
/// let mut subscription = session.subscribe(Subscribe::new(track)).await?;
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct Session {
    handle: Arc<Handle>,
    setup: Arc<Setup>,
    /// The path by which WebTransport was asked for.
    web_path: Option<Arc<str>>,
}

/// What every handle of a session holds: when the last one goes, so does the session.
#[derive(Debug)]
pub(crate) struct Handle {
    pub(crate) shared: Arc<Shared>,
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.shared.run(|session, _| session.close(SessionErrorCode::NoError, ""));
    }
}

impl Session {
    /// Starts a session on a connection and waits for the peer's SETUP.
    pub(crate) async fn start(
        connection: Connection,
        version: Version,
        side: Side,
        config: Config,
        web_path: Option<String>,
    ) -> Result<Self, Closed> {
        // The handle closes the session if this future is dropped while it waits.
        let handle = Arc::new(Handle { shared: driver::start(connection, version, side, config) });
        let setup = handle.shared.established().await?;
        Ok(Self { handle, setup, web_path: web_path.map(Into::into) })
    }

    /// The draft that is spoken.
    pub fn version(&self) -> Version {
        self.handle.shared.draft.version()
    }

    /// The transport underneath.
    pub fn transport(&self) -> TransportKind {
        self.handle.shared.connection.kind()
    }

    /// The name on which both ends agreed: the ALPN, or WebTransport's `wt-protocol`, if the peer stated one.
    pub fn protocol(&self) -> Option<String> {
        self.handle.shared.connection.protocol()
    }

    /// The QUIC connection's original destination connection ID, in hexadecimal: the same at both ends.
    pub fn connection_id(&self) -> Option<String> {
        self.handle.shared.connection.connection_id()
    }

    /// The peer's address.
    pub fn remote_address(&self) -> Option<SocketAddr> {
        self.handle.shared.connection.remote_address()
    }

    /// The path, with the query, that the client asked for; on the server's side.
    pub fn path(&self) -> Option<String> {
        match (&self.web_path, &self.setup.path) {
            (Some(path), _) => Some(path.to_string()),
            (None, Some(path)) => Some(String::from_utf8_lossy(path).into_owned()),
            (None, None) => None,
        }
    }

    /// What the peer said in its SETUP.
    pub fn peer_setup(&self) -> &Setup {
        &self.setup
    }

    /// Asks for a track's new objects (SUBSCRIBE).
    ///
    /// # Errors
    /// The peer declines, the draft cannot express the request, or the session ends.
    pub async fn subscribe(&self, subscribe: Subscribe) -> Result<Subscription, RequestFailed> {
        let track = subscribe.track.clone();
        let asked = self.ask(Request::Subscribe(subscribe))?;
        match asked.answer().await? {
            (Response::Subscribe(ok), accepted) => {
                Ok(Subscription::new(accepted, track, ok.largest, ok.expires, ok.extensions))
            }
            _ => Err(RequestFailed::Misuse(Misuse::WrongKind)),
        }
    }

    /// Offers a track (PUBLISH). The track alias in `publish` is not used: the session chooses one.
    ///
    /// # Errors
    /// The peer declines, the draft cannot express the request, or the session ends.
    pub async fn publish(&self, publish: Publish) -> Result<Publication, RequestFailed> {
        let track = publish.track.clone();
        let asked = self.ask(Request::Publish(publish))?;
        let (_, accepted) = asked.answer().await?;
        Ok(Publication::new(accepted, track, None))
    }

    /// Announces a namespace (PUBLISH_NAMESPACE). The peer may then subscribe to its tracks: see
    /// [`Session::next_request`].
    ///
    /// # Errors
    /// The peer declines, the draft cannot express the request, or the session ends.
    pub async fn publish_namespace(
        &self,
        publish: PublishNamespace,
    ) -> Result<PublishedNamespace, RequestFailed> {
        let namespace = publish.namespace.clone();
        let asked = self.ask(Request::PublishNamespace(publish))?;
        let (_, accepted) = asked.answer().await?;
        Ok(PublishedNamespace::new(accepted, namespace))
    }

    /// Asks to hear of namespaces and tracks below a prefix (SUBSCRIBE_NAMESPACE). Tracks come as PUBLISH, through
    /// [`Session::next_request`].
    ///
    /// # Errors
    /// The peer declines, the draft cannot express the request, or the session ends.
    pub async fn subscribe_namespace(
        &self,
        subscribe: SubscribeNamespace,
    ) -> Result<NamespaceSubscription, RequestFailed> {
        let prefix = subscribe.prefix.clone();
        let asked = self.ask(Request::SubscribeNamespace(subscribe))?;
        let (_, accepted) = asked.answer().await?;
        Ok(NamespaceSubscription::new(accepted, prefix))
    }

    /// The peer's next request; `None` once the session is over. Each must be accepted or rejected; one that is dropped
    /// is rejected with INTERNAL_ERROR. If several tasks call this, each request goes to one of them.
    pub async fn next_request(&self) -> Option<IncomingRequest> {
        let shared = &self.handle.shared;
        loop {
            let notified = shared.incoming.notified();
            if let Some(incoming) = shared.take_incoming() {
                // Another task may wait for the requests behind this one.
                shared.incoming.notify_one();
                match IncomingRequest::new(self.handle.clone(), incoming) {
                    Some(request) => return Some(request),
                    None => continue,
                }
            }
            if shared.close_reason().is_some() {
                shared.incoming.notify_one();
                return None;
            }
            notified.await;
        }
    }

    /// Asks the peer to leave (GOAWAY): to `new_session_uri`, or to the same place if it is empty. Only servers may name
    /// a URI.
    ///
    /// # Errors
    /// The session is over, a GOAWAY was sent before, or a client names a URI.
    pub fn go_away(&self, new_session_uri: &str) -> Result<(), Misuse> {
        let uri = Bytes::copy_from_slice(new_session_uri.as_bytes());
        self.handle.shared.run(|session, now| session.go_away(now, uri))
    }

    /// Closes the session. What control messages were sent before is delivered first, if the peer takes it within
    /// 200 ms; data that is not acknowledged is lost.
    pub fn close(&self, code: SessionErrorCode, reason: &str) {
        self.handle.shared.run(|session, _| session.close(code, reason));
    }

    /// Waits for the session's end.
    pub async fn closed(&self) -> Closed {
        self.handle.shared.closed().await
    }

    /// How the session ended, if it has.
    pub fn close_reason(&self) -> Option<Closed> {
        self.handle.shared.close_reason()
    }

    /// Waits until the connection has told the peer of its end, so that the process may exit.
    pub async fn drained(&self) {
        self.handle.shared.connection.closed().await;
        self.handle.shared.connection.drained().await;
    }

    fn ask(&self, request: Request) -> Result<Asked, RequestFailed> {
        let kind = request.kind();
        let status = Status::of(&request);
        let asked =
            self.handle.shared.request(status, |session, now| session.request(now, request).map(Some))?;
        let (id, listening) = asked.ok_or(RequestFailed::Misuse(Misuse::WrongKind))?;
        Ok(Asked { owned: OwnedRequest::new(self.handle.clone(), id), kind, listening })
    }
}

/// A request that this end may withdraw: it does so when it is dropped.
#[derive(Debug)]
pub(super) struct OwnedRequest {
    pub(super) handle: Arc<Handle>,
    pub(super) id: RequestId,
    open: bool,
}

impl OwnedRequest {
    pub(super) const fn new(handle: Arc<Handle>, id: RequestId) -> Self {
        Self { handle, id, open: true }
    }

    /// The request is now one that this end may withdraw.
    pub(super) const fn begun(&mut self) {
        self.open = true;
    }

    /// Nothing is left to withdraw.
    pub(super) const fn ended(&mut self) {
        self.open = false;
    }

    pub(super) fn shared(&self) -> &Arc<Shared> {
        &self.handle.shared
    }
}

impl Drop for OwnedRequest {
    fn drop(&mut self) {
        if self.open {
            // It fails if the request has ended meanwhile, which is as good.
            let _ = self.shared().run(|session, now| session.cancel(now, self.id));
        }
        self.shared().forget(self.id);
    }
}

/// A request that awaits its answer; withdrawn if nobody waits for it any more.
#[derive(Debug)]
struct Asked {
    owned: OwnedRequest,
    kind: RequestKind,
    listening: Listening,
}

/// A request that was granted.
#[derive(Debug)]
pub(super) struct Granted {
    pub(super) owned: OwnedRequest,
    pub(super) listening: Listening,
}

impl Asked {
    async fn answer(mut self) -> Result<(Response, Granted), RequestFailed> {
        loop {
            match self.listening.notes.recv().await {
                Some(Note::Accepted(response)) => {
                    return Ok((*response, Granted { owned: self.owned, listening: self.listening }));
                }
                Some(Note::Rejected(error)) => {
                    self.owned.ended();
                    return Err(RequestFailed::Rejected(self.owned.rejected(self.kind, error)));
                }
                // Nothing else comes before the answer.
                Some(_) => {}
                None => return Err(RequestFailed::Closed(closed(&self.listening))),
            }
        }
    }
}

impl OwnedRequest {
    pub(super) fn rejected(&self, kind: RequestKind, error: RequestError) -> Rejected {
        let draft = self.shared().draft;
        let wire_code = draft.request_code(ErrorContext::Request(kind), error.code);
        Rejected { kind, error, wire_code, version: draft.version() }
    }
}

/// How the session ended, of a request whose notes have ended.
pub(super) fn closed(listening: &Listening) -> Closed {
    match &listening.status.borrow().end {
        Some(End::Closed(closed)) => closed.clone(),
        _ => Closed::Lost { reason: "the request was forgotten".into() },
    }
}

/// Waits until a request has ended without its owner's doing.
pub(super) async fn ended(status: &tokio::sync::watch::Receiver<Status>) -> End {
    let mut status = status.clone();
    match status.wait_for(|status| status.end.is_some()).await {
        Ok(status) => status.end.clone().unwrap_or(End::Cancelled),
        Err(_) => End::Cancelled,
    }
}
