//! One session with one peer.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use moqingbird_wire::Version;
use moqingbird_wire::model::{
    ErrorContext, Fetch, Publish, PublishDoneCode, PublishNamespace, Request, RequestError, RequestId,
    RequestKind, RequestOk, Response, SessionErrorCode, Setup, Subscribe, SubscribeNamespace,
};

use super::publication::Begun;
use super::{
    Fetched, IncomingRequest, NamespaceSubscription, Publication, PublishedNamespace, Rejected,
    RequestFailed, Subscription, TrackInfo,
};
use crate::driver::{self, End, Listening, Note, Shared, Status};
use crate::log::EventLog;
use crate::session::{Closed, Config, Misuse, Side};
use crate::transport::{Connection, TransportKind};

/// A session with one peer, either of whose ends may publish and subscribe.
///
/// Clones are the same session. It works by itself: there is nothing to run. When the last clone and the last handle
/// of a request are dropped, the session is closed without error; subgroups that were finished have ten seconds to
/// arrive before. (To wait for them as long as it takes: [`Publication::finish`].)
#[derive(Clone, Debug)]
pub struct Session {
    handle: Arc<Handle>,
    setup: Arc<Setup>,
    place: Arc<Place>,
}

/// What every handle of a session holds: when the last one goes, so does the session.
#[derive(Debug)]
pub(crate) struct Handle {
    pub(crate) shared: Arc<Shared>,
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.shared.release();
    }
}

/// Where a client of WebTransport asked to go. One of raw QUIC says it in SETUP.
#[derive(Debug, Default)]
pub(crate) struct Place {
    pub(crate) path: Option<String>,
    pub(crate) authority: Option<String>,
}

impl Session {
    /// Starts a session on a connection and waits for the peer's SETUP.
    pub(crate) async fn start(
        connection: Connection,
        version: Version,
        side: Side,
        config: Config,
        place: Place,
    ) -> Result<Self, Closed> {
        Self::start_logged(connection, version, side, config, place, None).await
    }

    /// As [`Session::start`], with an event log.
    pub(crate) async fn start_logged(
        connection: Connection,
        version: Version,
        side: Side,
        config: Config,
        place: Place,
        event_log: Option<&EventLog>,
    ) -> Result<Self, Closed> {
        // The handle closes the session if this future is dropped while it waits.
        let handle = Arc::new(Handle { shared: driver::start(connection, version, side, config, event_log) });
        let setup = handle.shared.established().await?;
        Ok(Self { handle, setup, place: Arc::new(place) })
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

    /// The certificate that the peer has shown, in DER: a client's, where the server has asked for one; the server's.
    pub fn peer_certificate(&self) -> Option<Bytes> {
        self.handle.shared.connection.peer_certificate()
    }

    /// The path, with the query, that the client asked for; on the server's side.
    pub fn path(&self) -> Option<String> {
        self.place.path.clone().or_else(|| self.setup.path.as_deref().map(lossy))
    }

    /// The authority (host and port) that the client asked for; on the server's side.
    pub fn authority(&self) -> Option<String> {
        self.place.authority.clone().or_else(|| self.setup.authority.as_deref().map(lossy))
    }

    /// The largest datagram that the path takes now, in bytes, the object's header included; 0 if the peer takes none.
    pub fn max_datagram_size(&self) -> usize {
        self.handle.shared.connection.max_datagram_size()
    }

    /// How many data streams of the peer were stopped because nobody read them: when what lies unread on such streams is
    /// more than half of the connection's window, 8 MiB, the one of lowest priority and oldest group gives way.
    pub fn dropped_streams(&self) -> u64 {
        self.handle.shared.dropped_streams()
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

    /// Asks for a track's objects of the past (FETCH). It is there as soon as either the publisher's answer or the first
    /// of its stream has come. What precedes a subscription is asked for by [`Subscription::join`].
    ///
    /// # Errors
    /// The peer declines, the draft cannot express the request, the range ends before it starts, or the session ends.
    pub async fn fetch(&self, fetch: Fetch) -> Result<Fetched, RequestFailed> {
        Fetched::ask(&self.handle, fetch).await
    }

    /// Asks how far a track is (TRACK_STATUS), as a SUBSCRIBE would be told; it subscribes to nothing. Extensions of the
    /// track are told only by draft-14, and of those only what it has.
    ///
    /// # Errors
    /// The peer declines, the draft cannot express the request, or the session ends.
    pub async fn track_status(&self, subscribe: Subscribe) -> Result<TrackInfo, RequestFailed> {
        match self.ask(Request::TrackStatus(subscribe))?.answer().await? {
            (Response::Ok { ok, .. }, Granted { mut owned, .. }) => {
                owned.leave_by(Leave::Silently);
                let RequestOk { largest, expires, extensions } = ok;
                Ok(TrackInfo { largest, expires, extensions })
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
        Ok(Publication::new(accepted, Begun::Publish(track)))
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

    /// Waits until the peer asks us to leave (GOAWAY), and says where to: to the same place if the URI is empty. `None`
    /// if the session ends before.
    pub async fn goaway(&self) -> Option<String> {
        let mut goaway = self.handle.shared.goaway.subscribe();
        tokio::select! {
            biased;
            told = goaway.wait_for(Option::is_some) => told.ok()?.as_deref().map(lossy),
            _ = self.closed() => None,
        }
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

    /// Waits until the connection has told the peer of its end, so that the process may exit. One that shares
    /// [`Sockets`](crate::Sockets) is awaited with these: [`Sockets::drained`](crate::Sockets::drained).
    pub async fn drained(&self) {
        self.handle.shared.connection.closed().await;
        self.handle.shared.connection.drained().await;
    }

    pub(super) const fn handle(&self) -> &Arc<Handle> {
        &self.handle
    }

    #[cfg(test)]
    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.handle.shared
    }

    fn ask(&self, request: Request) -> Result<Asked, RequestFailed> {
        Asked::new(&self.handle, request)
    }
}

/// Why a request was not sent: because of the session's end, if that has come.
pub(super) fn failed(shared: &Shared, misuse: Misuse) -> RequestFailed {
    match shared.close_reason().filter(|_| misuse == Misuse::Closed) {
        Some(closed) => RequestFailed::Closed(closed),
        None => RequestFailed::Misuse(misuse),
    }
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A request in its owner's hands, who leaves it by dropping it.
#[derive(Debug)]
pub(super) struct OwnedRequest {
    pub(super) handle: Arc<Handle>,
    pub(super) id: RequestId,
    leave: Leave,
}

/// How this end leaves a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Leave {
    /// By withdrawing it.
    Cancel,
    /// By PUBLISH_DONE.
    Finish(PublishDoneCode, &'static str),
    /// There is nothing to say.
    Silently,
}

impl Leave {
    pub(super) const FINISH: Self =
        Self::Finish(PublishDoneCode::SubscriptionEnded, "the publisher let go of the subscription");
}

impl OwnedRequest {
    pub(super) const fn new(handle: Arc<Handle>, id: RequestId, leave: Leave) -> Self {
        Self { handle, id, leave }
    }

    /// From now on the request is left in this way.
    pub(super) const fn leave_by(&mut self, leave: Leave) {
        self.leave = leave;
    }

    pub(super) fn shared(&self) -> &Arc<Shared> {
        &self.handle.shared
    }
}

impl Drop for OwnedRequest {
    fn drop(&mut self) {
        let (shared, id) = (self.shared(), self.id);
        // It fails if the request has ended meanwhile, which is as good.
        let _ = match self.leave {
            Leave::Cancel => shared.run(|session, now| session.cancel(now, id)),
            Leave::Finish(code, reason) => {
                shared.run(|session, now| session.finish(now, id, code, reason.into()))
            }
            Leave::Silently => Ok(()),
        };
        shared.forget(id);
    }
}

/// A request that awaits its answer; withdrawn if nobody waits for it any more.
#[derive(Debug)]
pub(super) struct Asked {
    owned: OwnedRequest,
    kind: RequestKind,
    listening: Listening,
}

/// A request, and where its fate is told: one that was granted, where nothing else is said.
#[derive(Debug)]
pub(super) struct Granted {
    pub(super) owned: OwnedRequest,
    pub(super) listening: Listening,
}

impl Asked {
    pub(super) fn new(handle: &Arc<Handle>, request: Request) -> Result<Self, RequestFailed> {
        let kind = request.kind();
        let status = Status::of(&request);
        let shared = &handle.shared;
        let asked = shared
            .request(status, |session, now| session.request(now, request).map(Some))
            .map_err(|misuse| failed(shared, misuse))?;
        let (id, listening) = asked.ok_or(RequestFailed::Misuse(Misuse::WrongKind))?;
        let leave = if kind == RequestKind::Publish { Leave::FINISH } else { Leave::Cancel };
        Ok(Self { owned: OwnedRequest::new(handle.clone(), id, leave), kind, listening })
    }

    /// The request, whose answer need not be the first that comes.
    pub(super) fn unanswered(self) -> Granted {
        Granted { owned: self.owned, listening: self.listening }
    }

    async fn answer(mut self) -> Result<(Response, Granted), RequestFailed> {
        loop {
            match self.listening.note().await {
                Some(Note::Accepted(response)) => {
                    return Ok((*response, Granted { owned: self.owned, listening: self.listening }));
                }
                Some(Note::Rejected(error)) => {
                    self.owned.leave_by(Leave::Silently);
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
    match listening.standing.end() {
        Some(End::Closed(closed)) => closed,
        _ => Closed::Lost { reason: "the request was forgotten".into() },
    }
}
