//! One peer's session: its requests, each a task that waits for the core's answer and serves what follows.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use moqingbird::track::{self, Reader, ServeOptions, Told};
use moqingbird::wire::model::{
    Location, PublishOk, RequestError, RequestErrorCode, SessionErrorCode, SubscriptionFilter,
    TrackExtensions, TrackNamespace,
};
use moqingbird::{
    IncomingPublish, IncomingPublishNamespace, IncomingRequest, IncomingSubscribe,
    IncomingSubscribeNamespace, Session, TrackInfo,
};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{JoinHandle, JoinSet};

use crate::auth::{Access, AllowAll, Allowance, Authorizer, InUse, Operation, Renewal, Until, expired};
use crate::bridge;
use crate::core::{Input, Link, PeerId, RequestKey};
use crate::fanout::Fanout;
use crate::links;
use crate::past;
use crate::relay::{Held, Offered, Shared};
use crate::upstream::{self, Poured};

/// How long a peer's objects are poured after its session has ended, at most.
const DRAIN: Duration = Duration::from_secs(5);

/// What the core says to a request.
#[derive(Debug)]
pub(crate) enum Answer {
    Granted,
    /// A SUBSCRIBE is served from this, by a reader that was made before anything could be poured, until it is to be left.
    Attached(Arc<Fanout>, Reader, oneshot::Receiver<()>),
    /// A PUBLISH is poured into this, with this Forward State.
    Taken(Arc<Fanout>, watch::Receiver<bool>),
    Rejected(RequestError),
}

/// A namespace that came or went.
#[derive(Debug)]
pub(crate) enum NamespaceChange {
    Came(TrackNamespace),
    Gone(TrackNamespace),
}

/// Answers a peer until its session ends. The core hears of requests in the order in which they came.
pub(crate) async fn serve(shared: Arc<Shared>, session: Session, link: Option<Link>) {
    // To a relay that we have chosen ourselves nothing is refused.
    let authorizer: Arc<dyn Authorizer> = match link {
        Some(_) => Arc::new(AllowAll),
        None => Arc::clone(&shared.options.authorizer),
    };
    let access = Access::new(authorizer, &session);
    let admitted = match access.setup().await {
        Ok(until) => until,
        Err(denied) => {
            tracing::info!(remote = ?session.remote_address(), %denied, "a session is refused");
            shared.denials.fetch_add(1, Ordering::Relaxed);
            return session.close(denied.session_code(), &denied.reason);
        }
    };
    let peer = shared.join(session.clone(), Arc::clone(&access));
    let max_namespaces = match link {
        Some(_) => usize::MAX,
        None => shared.admission.limits().namespaces_per_session,
    };
    let guard = Guard { shared, session, access, peer, max_namespaces };
    let Guard { shared, session, access, peer, .. } = &guard;
    let mut requests = JoinSet::new();
    if let Some(link) = link.or_else(|| links::of_peer(session.peer_setup())) {
        shared.is_relay(*peer, link);
        if let (Some(relay), Some(_)) = (link.relay, link.upstream) {
            requests.spawn(links::listen(Arc::clone(shared), *peer, session.clone(), relay));
        }
    }
    loop {
        tokio::select! {
            request = session.next_request() => match request {
                Some(request) => match access.request(&request).await {
                    Ok(allowance) => guard.begin(request, allowance, &mut requests),
                    Err(error) => {
                        shared.denials.fetch_add(1, Ordering::Relaxed);
                        request.reject(error);
                    }
                },
                None => break,
            },
            Some(_) = requests.join_next() => {}
            () = admitted.over() => {
                session.close(SessionErrorCode::ExpiredAuthToken, "what allowed the session has expired");
                break;
            }
        }
    }
    // Every task ends by itself, now that the session is over. What the peer sent before its end is still being poured,
    // perhaps with PUBLISH_DONE behind it: it must not be overtaken by the news that the peer is gone.
    let drained = async {
        while requests.join_next().await.is_some() {}
        shared.poured(*peer).await;
    };
    let _ = tokio::time::timeout(DRAIN, drained).await;
    shared.leave(*peer);
    while requests.join_next().await.is_some() {}
}

/// Withdraws a peer with everything it asked, also if its task is dropped.
struct Guard {
    shared: Arc<Shared>,
    session: Session,
    access: Arc<Access>,
    peer: PeerId,
    max_namespaces: usize,
}

impl Guard {
    /// Serves a request that is allowed up to a time.
    fn begin(&self, request: IncomingRequest, allowance: Allowance, requests: &mut JoinSet<()>) {
        let Allowance { until, renewal } = allowance;
        let (shared, peer, session) = (Arc::clone(&self.shared), self.peer, self.session.clone());
        match request {
            IncomingRequest::Subscribe(request) => {
                spawn(requests, renewal, subscribe(shared, peer, session, request, until));
            }
            IncomingRequest::Publish(request) => {
                spawn(requests, renewal, publish(shared, peer, request, until));
            }
            IncomingRequest::PublishNamespace(request) => {
                if let Some(error) = self.too_many(Operation::PublishNamespace) {
                    return request.reject(error);
                }
                let namespace = request.request().namespace.clone();
                let used = self.access.uses(Operation::PublishNamespace, namespace, until.clone());
                spawn(requests, renewal, publish_namespace(shared, peer, request, until, used));
            }
            IncomingRequest::SubscribeNamespace(request) => {
                if let Some(error) = self.too_many(Operation::SubscribeNamespace) {
                    return request.reject(error);
                }
                let prefix = request.request().prefix.clone();
                let used = self.access.uses(Operation::SubscribeNamespace, prefix, until.clone());
                spawn(requests, renewal, subscribe_namespace(shared, peer, request, until, used));
            }
            IncomingRequest::Fetch(request) => {
                let fetch = past::fetch(shared, peer, session, request);
                spawn(requests, renewal, async move { until.limit(fetch).await });
            }
            IncomingRequest::TrackStatus(request) => {
                requests.spawn(past::track_status(shared, peer, session, request));
            }
            other => other.reject(RequestError::new(RequestErrorCode::NotSupported, "not supported")),
        }
    }

    /// Why no more namespaces are taken, if none are (draft-14 §12.3.1, draft-16 §12.3.1).
    fn too_many(&self, by: Operation) -> Option<RequestError> {
        let limit = self.max_namespaces;
        let (code, what) = match by {
            Operation::PublishNamespace => (RequestErrorCode::Uninterested, "announce"),
            _ => (RequestErrorCode::InternalError, "listen to"),
        };
        let reason = || format!("a session may {what} {limit} namespaces here at a time");
        (self.access.count(by) >= limit).then(|| RequestError::new(code, reason()))
    }
}

/// Serves a request, and prolongs its time meanwhile if it has one.
fn spawn(
    requests: &mut JoinSet<()>,
    renewal: Option<Renewal>,
    serving: impl Future<Output = ()> + Send + 'static,
) {
    match renewal {
        None => requests.spawn(serving),
        Some(renewal) => requests.spawn(renewal.beside(serving)),
    };
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.shared.leave(self.peer);
        self.session.close(SessionErrorCode::NoError, "");
    }
}

/// Ends a request in the core when its task ends, however that is.
struct Entry {
    shared: Arc<Shared>,
    request: RequestKey,
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.shared.end(self.request);
    }
}

/// Hands a request to the core at once. The future serves it.
fn subscribe(
    shared: Arc<Shared>,
    peer: PeerId,
    session: Session,
    incoming: IncomingSubscribe,
    until: Until,
) -> impl Future<Output = ()> {
    let (answer, answered) = oneshot::channel();
    let asked = incoming.request().clone();
    let held = Held::Subscribe { answer, filter: asked.filter };
    let entry = enter(&shared, held, |request| Input::Subscribe {
        peer,
        request,
        track: asked.track,
        forward: asked.forward,
        new_group: asked.new_group_request,
        path: links::path(&asked.authorization_tokens),
    });
    in_stages(async move {
        let answer = tokio::select! {
            answer = answered => answer,
            () = incoming.cancelled() => return None,
            () = until.over() => {
                incoming.reject(expired());
                return None;
            }
        };
        match answer {
            Ok(Answer::Attached(fanout, reader, left)) => {
                if is_past(incoming.request().filter, reader.largest()) {
                    let reason = "the range has been published already: use FETCH";
                    incoming.reject(RequestError::new(RequestErrorCode::InvalidRange, reason));
                    return None;
                }
                let extensions =
                    bridge::track_extensions(fanout.extensions(), session.version().draft().rules());
                let info = TrackInfo { largest: reader.largest(), extensions, ..TrackInfo::default() };
                let publication = incoming.accept(info).ok()?;
                return Some(until.clone().limit(entry.copy(until.tell(publication), fanout, reader, left)));
            }
            Ok(Answer::Rejected(error)) => incoming.reject(error),
            _ => incoming.reject(RequestError::new(RequestErrorCode::InternalError, "the relay stops")),
        }
        None
    })
}

/// Waits for what follows from a request, and does that. What was needed for the first is not kept for the second, which
/// may last for days.
fn in_stages<F: Future<Output = ()>>(
    first: impl Future<Output = Option<F>> + Send,
) -> impl Future<Output = ()> {
    let first = Box::pin(first);
    async move {
        if let Some(second) = first.await {
            second.await;
        }
    }
}

/// Whether a range ends before what was published last (draft-14 §9.7, draft-16 §5.1.2).
fn is_past(filter: Option<SubscriptionFilter>, largest: Option<Location>) -> bool {
    match (filter, largest) {
        (Some(SubscriptionFilter::AbsoluteRange { end_group, .. }), Some(largest)) => {
            end_group < largest.group
        }
        _ => false,
    }
}

impl Entry {
    /// Copies a track to a subscriber, until either is at its end or the subscriber is to be left.
    fn copy(
        self,
        publication: moqingbird::Publication,
        fanout: Arc<Fanout>,
        reader: Reader,
        left: oneshot::Receiver<()>,
    ) -> impl Future<Output = ()> {
        let mut options = ServeOptions::default();
        options.max_subgroups = self.shared.options.max_subgroups;
        options.too_far_behind_after = self.shared.options.too_far_behind_after;
        let track = fanout.track();
        let tell = move |told| match told {
            Told::Forward(forward) => self.shared.input(Input::Forward { request: self.request, forward }),
            Told::NewGroup(group) => fanout.ask_for_group(group),
            _ => {}
        };
        // Dropped with the future, `tell` ends the request in the core.
        let served = Box::pin(track::serve_with(publication, &track, reader, options, tell));
        async move {
            tokio::select! {
                served = served => if let Err(error) = served {
                    tracing::debug!(%error, "the subscriber left before it had everything");
                },
                _ = left => {}
            }
        }
    }
}

fn publish(
    shared: Arc<Shared>,
    peer: PeerId,
    incoming: IncomingPublish,
    until: Until,
) -> impl Future<Output = ()> {
    let (answer, answered) = oneshot::channel();
    let asked = incoming.request();
    let (largest, extensions) = (asked.largest, asked.extensions.clone());
    let (track, path) = (asked.track.clone(), links::path(&asked.authorization_tokens));
    let offered = Box::new(Offered { track: track.clone(), largest, extensions });
    let held = Held::Publish { answer, offered };
    let entry = enter(&shared, held, |request| Input::Publish { peer, request, track, path });
    in_stages(async move {
        match answered.await {
            Ok(Answer::Taken(fanout, mut forward)) => {
                let ok = PublishOk { forward: *forward.borrow_and_update(), ..PublishOk::default() };
                let subscription = incoming.accept(ok).ok()?;
                return Some(until.limit(entry.pour(fanout, subscription, forward)));
            }
            Ok(Answer::Rejected(error)) => incoming.reject(error),
            _ => incoming.reject(RequestError::new(RequestErrorCode::InternalError, "the relay stops")),
        }
        None
    })
}

impl Entry {
    fn pour(
        self,
        fanout: Arc<Fanout>,
        subscription: moqingbird::Subscription,
        forward: watch::Receiver<bool>,
    ) -> impl Future<Output = ()> {
        let stalled_after = self.shared.options.stalled_after;
        let poured = Box::pin(upstream::pour(fanout, subscription, forward, stalled_after));
        async move {
            let request = self.request;
            match poured.await {
                Poured::Complete => self.shared.input(Input::Complete(request)),
                Poured::Malformed => self.shared.input(Input::Malformed(request)),
                // The entry's end tells.
                Poured::Lost => {}
            }
        }
    }
}

fn publish_namespace(
    shared: Arc<Shared>,
    peer: PeerId,
    incoming: IncomingPublishNamespace,
    until: Until,
    used: InUse,
) -> impl Future<Output = ()> {
    let (answer, answered) = oneshot::channel();
    let asked = incoming.request();
    let (namespace, path) = (asked.namespace.clone(), links::path(&asked.authorization_tokens));
    let held = Held::Answer(answer);
    let entry = enter(&shared, held, |request| Input::PublishNamespace { peer, request, namespace, path });
    async move {
        match answered.await {
            Ok(Answer::Granted) => {
                if let Ok(namespace) = incoming.accept() {
                    tokio::select! {
                        () = namespace.withdrawn() => {}
                        () = until.over() => namespace.revoke(expired()),
                    }
                }
            }
            Ok(Answer::Rejected(error)) => incoming.reject(error),
            _ => incoming.reject(RequestError::new(RequestErrorCode::InternalError, "the relay stops")),
        }
        drop((entry, used));
    }
}

fn subscribe_namespace(
    shared: Arc<Shared>,
    peer: PeerId,
    incoming: IncomingSubscribeNamespace,
    until: Until,
    used: InUse,
) -> impl Future<Output = ()> {
    let (answer, answered) = oneshot::channel();
    let (changes, mut changed) = mpsc::unbounded_channel();
    let asked = incoming.request().clone();
    let entry = enter(&shared, Held::Namespaces { answer: Some(answer), changes }, |request| {
        Input::SubscribeNamespace {
            peer,
            request,
            prefix: asked.prefix,
            options: asked.options,
            forward: asked.forward,
        }
    });
    async move {
        match answered.await {
            Ok(Answer::Granted) => {
                let Ok(subscriber) = incoming.accept() else { return };
                loop {
                    // They fail if the peer has just left, which `cancelled` tells.
                    let _ = tokio::select! {
                        () = subscriber.cancelled() => return,
                        () = until.over() => {
                            // Where there is no message to tell it, it only hears of nothing more.
                            let _ = subscriber.finish();
                            return;
                        }
                        change = changed.recv() => match change {
                            Some(NamespaceChange::Came(namespace)) => subscriber.namespace(namespace),
                            Some(NamespaceChange::Gone(namespace)) => subscriber.namespace_done(&namespace),
                            None => return,
                        },
                    };
                }
            }
            Ok(Answer::Rejected(error)) => incoming.reject(error),
            _ => incoming.reject(RequestError::new(RequestErrorCode::InternalError, "the relay stops")),
        }
        drop((entry, used));
    }
}

fn enter(shared: &Arc<Shared>, held: Held, input: impl FnOnce(RequestKey) -> Input) -> Entry {
    Entry { shared: Arc::clone(shared), request: shared.ask(held, input) }
}

/// Subscribes at a publisher and pours what comes, until the subscription ends or this is aborted. A publisher may not
/// see a second SUBSCRIBE of a track before the UNSUBSCRIBE of the first, so `before` ends first.
pub(crate) fn upstream(
    shared: Arc<Shared>,
    request: RequestKey,
    session: Session,
    subscribe: moqingbird::wire::model::Subscribe,
    fanout: Arc<Fanout>,
    forward: watch::Receiver<bool>,
    before: Vec<JoinHandle<()>>,
) -> impl Future<Output = ()> {
    let entry = Entry { shared, request };
    in_stages(async move {
        for ending in before {
            // It was aborted: that is the error.
            let _ = ending.await;
        }
        match session.subscribe(subscribe).await {
            Ok(subscription) => {
                fanout.describe(subscription.largest(), subscription.extensions());
                entry.shared.input(Input::Accepted(request));
                return Some(entry.pour(fanout, subscription, forward));
            }
            Err(moqingbird::RequestFailed::Rejected(rejected)) => {
                entry.shared.input(Input::Rejected(request, bridge::request_error(rejected.error)));
            }
            Err(error) => tracing::debug!(%error, "no upstream subscription"),
        }
        None
    })
}

/// Offers a track to a peer that subscribed to its namespace, and serves it if the peer takes it.
pub(crate) fn offer(
    shared: Arc<Shared>,
    request: RequestKey,
    session: Session,
    publish: moqingbird::wire::model::Publish,
    fanout: Arc<Fanout>,
    left: oneshot::Receiver<()>,
    until: Until,
) -> impl Future<Output = ()> {
    let entry = Entry { shared, request };
    in_stages(async move {
        let extensions: TrackExtensions =
            bridge::track_extensions(publish.extensions.clone(), session.version().draft().rules());
        match session.publish(moqingbird::wire::model::Publish { extensions, ..publish }).await {
            // The peer may have subscribed by itself meanwhile, or the track may be gone.
            Ok(publication) if entry.shared.serves(request) => {
                let reader = fanout.track().reader(publication.filter());
                entry.shared.input(Input::Forward { request, forward: publication.forward() });
                return Some(until.clone().limit(entry.copy(until.tell(publication), fanout, reader, left)));
            }
            Ok(_) => {}
            Err(error) => tracing::debug!(%error, "an offered track is not taken"),
        }
        None
    })
}
