//! What the peer asks of us.

use std::sync::Arc;
use std::time::Duration;

use moqingbird_wire::Draft;
use moqingbird_wire::model::{
    EndLocation, ErrorContext, Fetch, FetchOk, FetchRange, FullTrackName, Location, Publish,
    PublishNamespace, PublishOk, Request, RequestError, RequestErrorCode, RequestId, RequestKind, RequestOk,
    Response, Subscribe, SubscribeNamespace, SubscribeOk, TrackAlias, TrackExtensions,
};

use super::publication::Begun;
use super::session::{Granted, Leave, OwnedRequest};
use super::{
    FetchSender, Handle, NamespaceSubscriber, PeerNamespace, Publication, PublicationError, Renewals,
    Subscription,
};
use crate::driver::{Incoming, Listening};
use crate::session::Misuse;

/// A request of the peer. Each is to be accepted or rejected; one that is dropped is rejected with INTERNAL_ERROR.
#[derive(Debug)]
#[non_exhaustive]
pub enum IncomingRequest {
    /// It wants a track's new objects.
    Subscribe(IncomingSubscribe),
    /// It offers a track.
    Publish(IncomingPublish),
    /// It announces a namespace.
    PublishNamespace(IncomingPublishNamespace),
    /// It wants to hear of namespaces and tracks.
    SubscribeNamespace(IncomingSubscribeNamespace),
    /// It wants a track's objects of the past.
    Fetch(IncomingFetch),
    /// It wants to know how far a track is.
    TrackStatus(IncomingTrackStatus),
}

impl IncomingRequest {
    /// Wraps a request; one of a kind that is not offered is rejected with NOT_SUPPORTED.
    pub(super) fn new(handle: Arc<Handle>, Incoming { id, request, listening }: Incoming) -> Option<Self> {
        let mut unanswered = Unanswered::new(handle, id, listening);
        match request {
            Request::Subscribe(request) => Some(Self::Subscribe(IncomingSubscribe { unanswered, request })),
            Request::Publish(request) => Some(Self::Publish(IncomingPublish { unanswered, request })),
            Request::PublishNamespace(request) => {
                Some(Self::PublishNamespace(IncomingPublishNamespace { unanswered, request }))
            }
            Request::SubscribeNamespace(request) => {
                Some(Self::SubscribeNamespace(IncomingSubscribeNamespace { unanswered, request }))
            }
            Request::Fetch(Fetch { range: FetchRange::Standalone { ref track, start, end }, .. }) => {
                let track = track.clone();
                let Request::Fetch(request) = request else { return None };
                Some(Self::Fetch(IncomingFetch { unanswered, request, track, start, end }))
            }
            Request::TrackStatus(request) => {
                Some(Self::TrackStatus(IncomingTrackStatus { unanswered, request }))
            }
            other => {
                let reason = format!("{} is not supported here", other.kind());
                unanswered.reject(RequestError::new(RequestErrorCode::NotSupported, reason));
                None
            }
        }
    }

    /// Hears of the tokens with which the peer prolongs what the request was allowed.
    pub fn renewals(&self) -> Renewals {
        let unanswered = match self {
            Self::Subscribe(request) => &request.unanswered,
            Self::Publish(request) => &request.unanswered,
            Self::PublishNamespace(request) => &request.unanswered,
            Self::SubscribeNamespace(request) => &request.unanswered,
            Self::Fetch(request) => &request.unanswered,
            Self::TrackStatus(request) => &request.unanswered,
        };
        Renewals::new(unanswered.granted.as_ref().map(|granted| granted.listening.standing()))
    }

    /// Declines the request.
    pub fn reject(self, error: RequestError) {
        match self {
            Self::Subscribe(request) => request.reject(error),
            Self::Publish(request) => request.reject(error),
            Self::PublishNamespace(request) => request.reject(error),
            Self::SubscribeNamespace(request) => request.reject(error),
            Self::Fetch(request) => request.reject(error),
            Self::TrackStatus(request) => request.reject(error),
        }
    }
}

/// What a publisher says of a track when it accepts a subscription.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrackInfo {
    /// The largest location published so far.
    pub largest: Option<Location>,
    /// When the subscription is meant to end, in whole milliseconds.
    pub expires: Option<Duration>,
    /// What holds for the whole track.
    pub extensions: TrackExtensions,
}

/// A request that awaits our answer.
#[derive(Debug)]
struct Unanswered {
    granted: Option<Granted>,
}

impl Unanswered {
    fn new(handle: Arc<Handle>, id: RequestId, listening: Listening) -> Self {
        // It is the peer's to withdraw.
        let owned = OwnedRequest::new(handle, id, Leave::Silently);
        Self { granted: Some(Granted { owned, listening }) }
    }

    /// Grants the request. If that fails, it is rejected as it is dropped: the peer is never left without an answer.
    fn accept(&mut self, response: Response) -> Result<Granted, Misuse> {
        let Granted { owned, .. } = self.granted.as_ref().ok_or(Misuse::UnknownRequest)?;
        owned.shared().run(|session, now| session.accept(now, owned.id, response))?;
        self.granted.take().ok_or(Misuse::UnknownRequest)
    }

    fn reject(&mut self, error: RequestError) {
        if let Some(Granted { owned, .. }) = self.granted.take() {
            // It fails if the peer has withdrawn the request meanwhile, which is as good.
            let _ = owned.shared().run(|session, now| session.reject(now, owned.id, error));
        }
    }

    fn draft(&self) -> Option<&'static dyn Draft> {
        self.granted.as_ref().map(|granted| granted.owned.shared().draft)
    }

    async fn cancelled(&self) {
        if let Some(granted) = &self.granted {
            granted.listening.standing.ended().await;
        }
    }
}

impl Drop for Unanswered {
    fn drop(&mut self) {
        self.reject(RequestError::new(RequestErrorCode::InternalError, "the application gave no answer"));
    }
}

/// The peer's SUBSCRIBE.
#[derive(Debug)]
pub struct IncomingSubscribe {
    unanswered: Unanswered,
    request: Subscribe,
}

impl IncomingSubscribe {
    /// What is asked.
    pub const fn request(&self) -> &Subscribe {
        &self.request
    }

    /// Grants the subscription.
    ///
    /// # Errors
    /// The peer has withdrawn the request, the session is over, or the draft cannot express `info`.
    pub fn accept(mut self, info: TrackInfo) -> Result<Publication, Misuse> {
        let TrackInfo { largest, expires, extensions } = info;
        // The session chooses the alias.
        let ok = SubscribeOk { track_alias: TrackAlias(0), expires, largest, extensions };
        let granted = self.unanswered.accept(Response::Subscribe(ok))?;
        Ok(Publication::new(granted, Begun::Subscribe(self.request)))
    }

    /// Declines the subscription.
    pub fn reject(mut self, error: RequestError) {
        self.unanswered.reject(error);
    }

    /// Waits until the peer has withdrawn the request, or the session is over.
    pub async fn cancelled(&self) {
        self.unanswered.cancelled().await;
    }
}

/// The peer's PUBLISH.
#[derive(Debug)]
pub struct IncomingPublish {
    unanswered: Unanswered,
    request: Publish,
}

impl IncomingPublish {
    /// What is offered.
    pub const fn request(&self) -> &Publish {
        &self.request
    }

    /// Takes the track.
    ///
    /// # Errors
    /// The peer has withdrawn the request, the session is over, or the draft cannot express `ok`.
    pub fn accept(mut self, ok: PublishOk) -> Result<Subscription, Misuse> {
        let mut granted = self.unanswered.accept(Response::Publish(ok))?;
        // The subscription is ours to leave.
        granted.owned.leave_by(Leave::Cancel);
        let Publish { track, largest, expires, extensions, .. } = self.request;
        Ok(Subscription::new(granted, track, largest, expires, extensions))
    }

    /// Declines the track.
    pub fn reject(mut self, error: RequestError) {
        self.unanswered.reject(error);
    }
}

/// The peer's PUBLISH_NAMESPACE.
#[derive(Debug)]
pub struct IncomingPublishNamespace {
    unanswered: Unanswered,
    request: PublishNamespace,
}

impl IncomingPublishNamespace {
    /// What is announced.
    pub const fn request(&self) -> &PublishNamespace {
        &self.request
    }

    /// Takes the namespace.
    ///
    /// # Errors
    /// The peer has withdrawn the request, or the session is over.
    pub fn accept(mut self) -> Result<PeerNamespace, Misuse> {
        let granted = self.unanswered.accept(plain(RequestKind::PublishNamespace))?;
        Ok(PeerNamespace::new(granted, self.request.namespace))
    }

    /// Declines the namespace.
    pub fn reject(mut self, error: RequestError) {
        self.unanswered.reject(error);
    }
}

/// The peer's SUBSCRIBE_NAMESPACE.
#[derive(Debug)]
pub struct IncomingSubscribeNamespace {
    unanswered: Unanswered,
    request: SubscribeNamespace,
}

impl IncomingSubscribeNamespace {
    /// What is asked.
    pub const fn request(&self) -> &SubscribeNamespace {
        &self.request
    }

    /// Grants the request.
    ///
    /// # Errors
    /// The peer has withdrawn the request, or the session is over.
    pub fn accept(mut self) -> Result<NamespaceSubscriber, Misuse> {
        let granted = self.unanswered.accept(plain(RequestKind::SubscribeNamespace))?;
        Ok(NamespaceSubscriber::new(granted, self.request.prefix))
    }

    /// Declines the request.
    pub fn reject(mut self, error: RequestError) {
        self.unanswered.reject(error);
    }
}

/// The peer's FETCH. One that joins a subscription comes, once that is accepted, as what it amounts to: the range that
/// ends where the subscription begins.
#[derive(Debug)]
pub struct IncomingFetch {
    unanswered: Unanswered,
    request: Fetch,
    track: FullTrackName,
    start: Location,
    end: EndLocation,
}

impl IncomingFetch {
    /// What is asked, with priority and order of groups.
    pub const fn request(&self) -> &Fetch {
        &self.request
    }

    /// The track.
    pub const fn track(&self) -> &FullTrackName {
        &self.track
    }

    /// The first location that is asked for.
    pub const fn start(&self) -> Location {
        self.start
    }

    /// The last location that is asked for; it may be beyond the largest of the track: [`fetch_end`] tells the end that
    /// is to be answered.
    ///
    /// [`fetch_end`]: crate::session::fetch_end
    pub const fn end(&self) -> EndLocation {
        self.end
    }

    /// Grants the request (FETCH_OK). The objects follow by what is returned.
    ///
    /// # Errors
    /// The peer has cancelled the request, the session is over, the draft cannot express `ok`, or `ok` ends before the
    /// range starts.
    pub fn accept(mut self, ok: FetchOk) -> Result<FetchSender, PublicationError> {
        let granted = self.unanswered.accept(Response::Fetch(ok)).map_err(PublicationError::Misuse)?;
        FetchSender::new(granted)
    }

    /// Says that the range holds no object: by an error where the draft has one for this (draft-14 §9.16.3), else by `ok`
    /// and a stream that is empty (draft-16 §9.16.3).
    ///
    /// # Errors
    /// As [`IncomingFetch::accept`].
    pub async fn accept_empty(self, ok: FetchOk) -> Result<(), PublicationError> {
        let context = ErrorContext::Request(RequestKind::Fetch);
        let code = RequestErrorCode::NoObjects;
        if self.unanswered.draft().is_some_and(|draft| draft.request_code(context, code).is_some()) {
            self.reject(RequestError::new(code, "the range holds no object"));
            return Ok(());
        }
        self.accept(ok)?.finish().await
    }

    /// Says that it is not known any more what there was in the range, where the draft has an error for this (draft-14
    /// §9.16.3). Gives the request back where it has none: [`FetchSender::end_of_range`] says it there (draft-16 §10.4.4.2).
    pub fn reject_unknown(self) -> Option<Self> {
        let context = ErrorContext::Request(RequestKind::Fetch);
        let code = RequestErrorCode::UnknownStatusInRange;
        if self.unanswered.draft().is_some_and(|draft| draft.request_code(context, code).is_some()) {
            self.reject(RequestError::new(code, "what there was in the range is no longer known"));
            return None;
        }
        Some(self)
    }

    /// Declines the request.
    pub fn reject(mut self, error: RequestError) {
        self.unanswered.reject(error);
    }

    /// Waits until the peer has cancelled the request, or the session is over.
    pub async fn cancelled(&self) {
        self.unanswered.cancelled().await;
    }
}

/// The peer's TRACK_STATUS.
#[derive(Debug)]
pub struct IncomingTrackStatus {
    unanswered: Unanswered,
    request: Subscribe,
}

impl IncomingTrackStatus {
    /// What is asked: the same as in a SUBSCRIBE, as far as the draft has room for it.
    pub const fn request(&self) -> &Subscribe {
        &self.request
    }

    /// Tells the peer of the track. What of it the draft has no room for is left out.
    ///
    /// # Errors
    /// The session is over, or the draft cannot express `info`.
    pub fn accept(mut self, info: TrackInfo) -> Result<(), Misuse> {
        let TrackInfo { largest, expires, extensions } = info;
        let ok = RequestOk { expires, largest, extensions };
        let response = Response::Ok { kind: Some(RequestKind::TrackStatus), ok };
        // Nothing is left of it.
        self.unanswered.accept(response).map(drop)
    }

    /// Declines the request.
    pub fn reject(mut self, error: RequestError) {
        self.unanswered.reject(error);
    }
}

fn plain(kind: RequestKind) -> Response {
    Response::Ok { kind: Some(kind), ok: RequestOk::default() }
}
