//! The relay: the core's tables, the handles behind them, and the core's actions carried out.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use moqingbird::track::{Budget, Track, TrackStats};
use moqingbird::wire::model::{
    AuthorizationToken, FullTrackName, Location, Publish, PublishNamespace, SessionErrorCode, Subscribe,
    SubscriptionFilter, TrackAlias, TrackExtensions, TrackNamespace,
};
use moqingbird::{Server, Session};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;

use crate::admission::{Admission, Verdict};
use crate::auth::{Access, Operation};
use crate::cache::{Cache, CachedTrack};
use crate::config::RelayOptions;
use crate::core::{self, Action, Core, Input, Path, PeerId, Policy, RelayId, RequestKey, TrackKey};
use crate::fanout::Fanout;
use crate::links;
use crate::session::{self, Answer, NamespaceChange};
use crate::stats::{Stats, TrackState, add};

/// How long a relay that asks waits for the answer of another that is asked already, if nothing else is set.
const PATIENCE: Duration = Duration::from_secs(1);

/// A relay. Clones are the same relay.
#[derive(Clone, Debug)]
pub struct Relay {
    pub(crate) shared: Arc<Shared>,
}

impl Relay {
    /// A relay without sessions.
    pub fn new(options: RelayOptions) -> Self {
        let id = links::random_id();
        let cache = Cache::new(options.cache);
        let policy = Policy { linger: !options.linger.is_zero(), hold: !options.hold.is_zero() };
        let state = Mutex::new(State::new(Core::new(id, policy), options.backlog));
        let admission = Admission::new(options.limits, options.retry);
        let denials = AtomicU64::new(0);
        Self { shared: Arc::new(Shared { id, options, admission, denials, cache, state }) }
    }

    /// Serves every session that comes to `server`, until the server is closed and all sessions have ended. Dropping
    /// the future closes the sessions.
    pub async fn run(&self, server: &Server) {
        let mut sessions = JoinSet::new();
        loop {
            tokio::select! {
                incoming = server.accept() => {
                    let Some(incoming) = incoming else { break };
                    let incoming = incoming.with_implementation(links::implementation(self.shared.id));
                    let mut ticket = match self.shared.admission.judge(&incoming) {
                        Verdict::Enter(ticket) => ticket,
                        Verdict::Retry => {
                            incoming.retry();
                            continue;
                        }
                        Verdict::Refuse => {
                            incoming.refuse();
                            continue;
                        }
                    };
                    let relay = self.clone();
                    // What a handshake needs is not kept for the session.
                    let accepted = Box::pin(incoming.accept());
                    sessions.spawn(async move {
                        let accepted = accepted.await;
                        ticket.established();
                        match accepted {
                            Ok(session) => relay.serve(session).await,
                            Err(error) => tracing::info!(%error, "no session"),
                        }
                    });
                }
                Some(_) = sessions.join_next() => {}
            }
        }
        while sessions.join_next().await.is_some() {}
    }

    /// Serves one session until it ends. Dropping the future closes the session.
    pub async fn serve(&self, session: Session) {
        tracing::info!(
            draft = %session.version(),
            transport = ?session.transport(),
            remote = ?session.remote_address(),
            "a session begins"
        );
        session::serve(Arc::clone(&self.shared), session.clone(), None).await;
        tracing::info!(remote = ?session.remote_address(), end = ?session.close_reason(), "a session has ended");
    }

    /// Lets nobody in any more, and asks every peer to leave (GOAWAY): to `new_session_uri`, or to the same place if that
    /// is empty. Sessions last until the peers have left, or [`Relay::close`].
    pub fn shutdown(&self, new_session_uri: &str) {
        self.shared.admission.close();
        for session in self.sessions() {
            if let Err(error) = session.go_away(new_session_uri) {
                tracing::debug!(%error, "no GOAWAY");
            }
        }
    }

    /// Ends every track with GOING_AWAY, behind the groups in progress: for those who have not left.
    pub fn end_tracks(&self) {
        let fanouts: Vec<_> = self.shared.lock().tracks.values().cloned().collect();
        for fanout in fanouts {
            fanout.going_away();
        }
    }

    /// Takes leave of everybody: asks them to leave ([`Relay::shutdown`]), ends the tracks of those who are still there
    /// after half of `time` ([`Relay::end_tracks`]), and closes what is left after all of it.
    pub async fn drain(&self, new_session_uri: &str, time: Duration) {
        self.shutdown(new_session_uri);
        if timeout(time / 2, self.empty()).await.is_err() {
            self.end_tracks();
            let _ = timeout(time / 2, self.empty()).await;
        }
        self.close(SessionErrorCode::NoError, "the relay ends");
    }

    /// Waits until no session is left of those that came by [`Relay::run`].
    pub async fn empty(&self) {
        self.shared.admission.empty().await;
    }

    /// What there is, and what there was so far.
    pub fn stats(&self) -> Stats {
        let mut state = self.shared.lock();
        state.settle();
        let mut stats = Stats::of_tracks(state.settled, state.all_tracks().map(|track| track.stats()));
        for peer in state.peers.values() {
            stats.count_session(peer.session.version(), peer.session.transport());
        }
        for (_, _, _, subscriptions) in state.core.tracks() {
            stats.tracks += 1;
            stats.subscriptions += subscriptions;
        }
        stats.namespaces = state.core.announcements().count();
        drop(state);
        stats.cache_bytes += self.shared.cache.bytes();
        stats.handshakes = self.shared.admission.handshakes();
        stats.refusals = self.shared.admission.refusals();
        stats.denials = self.shared.denials.load(Ordering::Relaxed);
        stats
    }

    /// Every track that is published or asked for, by name.
    pub fn tracks(&self) -> Vec<TrackState> {
        let state = self.shared.lock();
        let tracks = state.core.tracks().map(|(name, key, publishers, subscribers)| {
            let track = state.tracks.get(&key).map(|fanout| fanout.track());
            TrackState {
                name: name.clone(),
                publishers,
                subscribers,
                largest: track.as_ref().and_then(Track::largest),
                stats: track.map(|track| track.stats()).unwrap_or_default(),
            }
        });
        tracks.collect()
    }

    /// Every namespace that is announced, by name, and by how many.
    pub fn namespaces(&self) -> BTreeMap<TrackNamespace, usize> {
        let mut namespaces = BTreeMap::new();
        for namespace in self.shared.lock().core.announcements() {
            *namespaces.entry(namespace.clone()).or_default() += 1;
        }
        namespaces
    }

    /// Whether the relay is about to end: [`Relay::shutdown`] was called.
    pub fn is_draining(&self) -> bool {
        self.shared.admission.is_closed()
    }

    /// Closes every session.
    pub fn close(&self, code: SessionErrorCode, reason: &str) {
        for session in self.sessions() {
            session.close(code, reason);
        }
    }

    /// Whether the relay knows of no request, namespace or track.
    pub fn is_idle(&self) -> bool {
        let state = self.shared.lock();
        let nothing_is_held = state.tracks.is_empty() && state.held.is_empty();
        state.core.is_empty() && nothing_is_held && self.shared.cache.is_empty()
    }

    fn sessions(&self) -> Vec<Session> {
        self.shared.lock().peers.values().map(|peer| peer.session.clone()).collect()
    }
}

/// What every task of a relay shares.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) id: RelayId,
    pub(crate) options: RelayOptions,
    pub(crate) admission: Admission,
    /// Sessions and requests that the authorizer has refused.
    pub(crate) denials: AtomicU64,
    cache: Arc<Cache>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    core: Core,
    last_peer: u64,
    peers: HashMap<PeerId, Peer>,
    /// The task's end of each request that is known to the core.
    held: HashMap<RequestKey, Held>,
    tracks: HashMap<TrackKey, Arc<Fanout>>,
    /// What all tracks keep together.
    backlog: Budget,
    /// Tracks that have ended and are still being read.
    ended: Vec<Track>,
    /// What became of the objects of tracks that are gone.
    settled: TrackStats,
    /// Our own requests that are being ended. The next for the same thing at the same peer waits for them.
    ending: Vec<(Ours, JoinHandle<()>)>,
}

/// What we ask of a peer, or tell it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ours {
    /// A SUBSCRIBE.
    Track(PeerId, FullTrackName),
    /// A PUBLISH_NAMESPACE.
    Namespace(PeerId, TrackNamespace),
}

/// A peer, and how many of our subscriptions at it are still being poured.
#[derive(Debug)]
struct Peer {
    session: Session,
    access: Arc<Access>,
    pouring: watch::Sender<usize>,
}

/// A subscription that is being poured, for as long as it is.
struct Pouring(watch::Sender<usize>);

impl Pouring {
    fn new(peer: &Peer) -> Self {
        peer.pouring.send_modify(|count| *count += 1);
        Self(peer.pouring.clone())
    }
}

impl Drop for Pouring {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}

/// Where the past of a track is found.
#[derive(Debug)]
pub(crate) struct Past {
    pub(crate) name: FullTrackName,
    /// The track, if it has a source.
    pub(crate) fanout: Option<Arc<Fanout>>,
    /// What is kept of it.
    pub(crate) cached: Arc<CachedTrack>,
    /// Whether the track has all that is published now.
    pub(crate) is_live: bool,
    /// Who may know more, the likeliest first.
    pub(crate) upstreams: Vec<Session>,
    /// What another relay is to be told of the way of the request.
    pub(crate) path: Path,
}

/// How a request's task is reached. There is one for each subscription: what few of them need is boxed.
#[derive(Debug)]
pub(crate) enum Held {
    /// It waits for its answer.
    Answer(oneshot::Sender<Answer>),
    /// It waits for its answer, and is a SUBSCRIBE with this filter.
    Subscribe { answer: oneshot::Sender<Answer>, filter: Option<SubscriptionFilter> },
    /// It waits for its answer, and is a PUBLISH that says this of its track.
    Publish { answer: oneshot::Sender<Answer>, offered: Box<Offered> },
    /// It tells a peer of namespaces.
    Namespaces { answer: Option<oneshot::Sender<Answer>>, changes: mpsc::UnboundedSender<NamespaceChange> },
    /// It copies a track to a subscriber, until this is dropped.
    Serving(#[expect(dead_code, reason = "it is there to be dropped")] oneshot::Sender<()>),
    /// It pours objects into a track. A PUBLISH is left when this is dropped, our own subscriptions are ended.
    Source { forward: watch::Sender<bool>, subscription: Option<Box<OurTask>> },
    /// It announces a namespace to a relay.
    Announced(Box<OurTask>),
}

/// What we ask of a peer, and the task that does.
type OurTask = (Ours, JoinHandle<()>);

/// What a PUBLISH says of its track.
#[derive(Debug)]
pub(crate) struct Offered {
    pub(crate) track: FullTrackName,
    pub(crate) largest: Option<Location>,
    pub(crate) extensions: TrackExtensions,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn join(&self, session: Session, access: Arc<Access>) -> PeerId {
        let mut state = self.lock();
        state.last_peer += 1;
        let peer = PeerId(state.last_peer);
        state.peers.insert(peer, Peer { session, access, pouring: watch::channel(0).0 });
        peer
    }

    pub(crate) fn leave(self: &Arc<Self>, peer: PeerId) {
        self.input(Input::PeerLeft(peer));
        let mut state = self.lock();
        let left = state.peers.remove(&peer);
        drop(state);
        // Dropping a session may lock it, and so is not done under our own lock.
        drop(left);
    }

    /// The peer is a relay.
    pub(crate) fn is_relay(self: &Arc<Self>, peer: PeerId, link: core::Link) {
        self.input(Input::Relay { peer, link });
    }

    /// Waits until all that a peer sends on our subscriptions has been poured, which is when its session has ended.
    pub(crate) async fn poured(&self, peer: PeerId) {
        let pouring = self.lock().peers.get(&peer).map(|peer| peer.pouring.subscribe());
        if let Some(mut pouring) = pouring {
            // It fails only when the peer is forgotten.
            let _ = pouring.wait_for(|count| *count == 0).await;
        }
    }

    /// Hands a new request to the core, and gives its key.
    pub(crate) fn ask(self: &Arc<Self>, held: Held, input: impl FnOnce(RequestKey) -> Input) -> RequestKey {
        let mut state = self.lock();
        let request = state.core.new_request();
        state.held.insert(request, held);
        let actions = state.core.handle(input(request));
        self.carry_out(&mut state, actions);
        request
    }

    pub(crate) fn input(self: &Arc<Self>, input: Input) {
        let mut state = self.lock();
        let actions = state.core.handle(input);
        self.carry_out(&mut state, actions);
    }

    /// Whether a subscriber is still to be served.
    pub(crate) fn serves(&self, request: RequestKey) -> bool {
        self.lock().core.has_subscriber(request)
    }

    /// Where a peer finds the past of a track, asking by way of `path`; `None` if it asks in a circle.
    pub(crate) fn past(&self, peer: PeerId, name: &FullTrackName, path: &Path) -> Option<Past> {
        let state = self.lock();
        let core::Past { track, is_published, peers, path } = state.core.past(peer, name, path)?;
        Some(Past {
            name: name.clone(),
            cached: if is_published { self.cache.track(name) } else { self.cache.apart() },
            is_live: track.is_some_and(|(_, is_live)| is_live),
            fanout: track.and_then(|(track, _)| state.tracks.get(&track).cloned()),
            upstreams: peers.iter().filter_map(|peer| Some(state.peers.get(peer)?.session.clone())).collect(),
            path,
        })
    }

    /// Forgets a request whose task has ended.
    pub(crate) fn end(self: &Arc<Self>, request: RequestKey) {
        let mut state = self.lock();
        state.held.remove(&request);
        state.settle();
        let actions = state.core.handle(Input::Ended(request));
        self.carry_out(&mut state, actions);
    }

    /// Carries actions out, without waiting for anything. Tasks touch this state only once they run, so a runtime that
    /// stops and drops them here does no harm.
    fn carry_out(self: &Arc<Self>, state: &mut State, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Accept(request) => state.answer(request, Answer::Granted),
                Action::Reject { request, error } => state.answer(request, Answer::Rejected(error)),
                Action::Attach { request, track } => {
                    if let Some(fanout) = state.tracks.get(&track).cloned() {
                        state.attach(request, fanout);
                    }
                }
                Action::AcceptPublish { request, track, forward } => {
                    if let Some(Held::Publish { offered, .. }) = state.held.get(&request) {
                        let cached = self.cache.track(&offered.track);
                        let fanout = state.fanout(track, &self.options, cached);
                        state.take_publish(request, fanout, forward);
                    }
                }
                Action::SetForward { request, forward } => state.set_forward(request, forward),
                Action::Namespace { request, namespace } => {
                    state.tell(request, NamespaceChange::Came(namespace));
                }
                Action::NamespaceDone { request, namespace } => {
                    state.tell(request, NamespaceChange::Gone(namespace));
                }
                Action::Subscribe { request, peer, track, name, new_group, path } => {
                    let authorization_tokens = state.tokens_for(peer, &path);
                    // A publisher that knows no new groups takes no such request.
                    let new_group_request = new_group.filter(|_| state.has_track_extensions(peer));
                    let subscribe =
                        Subscribe { new_group_request, authorization_tokens, ..Subscribe::new(name) };
                    self.subscribe(state, request, peer, track, subscribe);
                }
                Action::Unsubscribe(request) => {
                    if let Some(Held::Source { subscription: Some(ours), .. }) = state.held.remove(&request) {
                        state.end(*ours);
                    }
                }
                Action::Announce { request, peer, namespace, path } => {
                    let authorization_tokens = state.tokens_for(peer, &path);
                    let announce = PublishNamespace { namespace, authorization_tokens };
                    self.announce(state, request, peer, announce);
                }
                Action::Withdraw(request) => {
                    if let Some(Held::Announced(ours)) = state.held.remove(&request) {
                        state.end(*ours);
                    }
                }
                Action::Offer { request, peer, track, name, forward, path } => {
                    if let (Some(Peer { session, access, .. }), Some(fanout), Ok(runtime)) =
                        (state.peers.get(&peer), state.tracks.get(&track), Handle::try_current())
                    {
                        let until = access.below(Operation::SubscribeNamespace, &name.namespace);
                        let authorization_tokens = links::tokens_for(session, &path);
                        let publish = Publish { authorization_tokens, ..publish(name, fanout, forward) };
                        let (leave, left) = oneshot::channel();
                        let (shared, session) = (Arc::clone(self), session.clone());
                        let fanout = Arc::clone(fanout);
                        runtime.spawn(session::offer(shared, request, session, publish, fanout, left, until));
                        state.held.insert(request, Held::Serving(leave));
                    }
                }
                Action::Leave(request) => {
                    state.held.remove(&request);
                }
                Action::Linger { name, turn } => {
                    self.later(self.options.linger, Input::LingerOver { name, turn });
                }
                Action::Hold(request) => {
                    let hold = self.options.hold;
                    let delay = if hold.is_zero() { PATIENCE } else { hold };
                    self.later(delay, Input::HoldOver(request));
                }
                Action::Forget(namespace) => {
                    self.cache.forget(&namespace, |name| state.core.is_published(name));
                }
                Action::EndTrack(track) => {
                    if let Some(fanout) = state.tracks.remove(&track) {
                        fanout.end();
                        state.ended.push(fanout.track());
                    }
                }
            }
        }
    }
}

impl Shared {
    /// Subscribes at a peer and pours what comes.
    fn subscribe(
        self: &Arc<Self>,
        state: &mut State,
        request: RequestKey,
        peer: PeerId,
        track: TrackKey,
        subscribe: Subscribe,
    ) {
        let fanout = state.fanout(track, &self.options, self.cache.track(&subscribe.track));
        let ours = Ours::Track(peer, subscribe.track.clone());
        let before = state.before(&ours);
        let (Some(peer), Ok(runtime)) = (state.peers.get(&peer), Handle::try_current()) else { return };
        let until = peer.access.below(Operation::PublishNamespace, &subscribe.track.namespace);
        let (forward, forwarding) = watch::channel(true);
        let pouring = Pouring::new(peer);
        let (shared, session) = (Arc::clone(self), peer.session.clone());
        let upstream = session::upstream(shared, request, session, subscribe, fanout, forwarding, before);
        let upstream = async move {
            until.limit(upstream).await;
            drop(pouring);
        };
        let subscription = Some(Box::new((ours, runtime.spawn(upstream))));
        state.held.insert(request, Held::Source { forward, subscription });
    }

    /// Announces a namespace to a relay.
    fn announce(
        self: &Arc<Self>,
        state: &mut State,
        request: RequestKey,
        peer: PeerId,
        announce: PublishNamespace,
    ) {
        let ours = Ours::Namespace(peer, announce.namespace.clone());
        let before = state.before(&ours);
        let (Some(peer), Ok(runtime)) = (state.peers.get(&peer), Handle::try_current()) else { return };
        let task = runtime.spawn(links::announce(peer.session.clone(), announce, before));
        state.held.insert(request, Held::Announced(Box::new((ours, task))));
    }

    /// Tells the core in a while, if there still is a relay then.
    fn later(self: &Arc<Self>, delay: Duration, input: Input) {
        let shared = Arc::downgrade(self);
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(async move {
                tokio::time::sleep(delay).await;
                if let Some(shared) = shared.upgrade() {
                    shared.input(input);
                }
            });
        }
    }
}

fn publish(track: FullTrackName, fanout: &Fanout, forward: bool) -> Publish {
    Publish {
        track,
        // The session chooses it.
        track_alias: TrackAlias(0),
        largest: fanout.track().largest(),
        forward,
        expires: None,
        authorization_tokens: Vec::new(),
        extensions: fanout.extensions(),
    }
}

impl State {
    fn all_tracks(&self) -> impl Iterator<Item = Track> {
        self.tracks.values().map(|fanout| fanout.track()).chain(self.ended.iter().cloned())
    }

    /// Forgets the tracks that have ended and that nobody reads any more, but for what became of their objects.
    fn settle(&mut self) {
        let settled = &mut self.settled;
        self.ended.retain(|track| {
            let stats = track.stats();
            if stats.readers == 0 {
                add(settled, stats);
            }
            stats.readers > 0
        });
    }

    fn new(core: Core, backlog: usize) -> Self {
        Self {
            core,
            backlog: Budget::new(backlog),
            last_peer: 0,
            peers: HashMap::new(),
            held: HashMap::new(),
            tracks: HashMap::new(),
            ended: Vec::new(),
            settled: TrackStats::default(),
            ending: Vec::new(),
        }
    }

    fn has_track_extensions(&self, peer: PeerId) -> bool {
        self.peers.get(&peer).is_some_and(|peer| peer.session.version().draft().rules().track_extensions)
    }

    fn tokens_for(&self, peer: PeerId, path: &Path) -> Vec<AuthorizationToken> {
        self.peers.get(&peer).map(|peer| links::tokens_for(&peer.session, path)).unwrap_or_default()
    }

    /// Ends a request of ours.
    fn end(&mut self, (ours, task): OurTask) {
        self.ending.retain(|(_, task)| !task.is_finished());
        task.abort();
        self.ending.push((ours, task));
    }

    /// The requests that are being ended and that the next one is to wait for.
    fn before(&mut self, ours: &Ours) -> Vec<JoinHandle<()>> {
        let (before, others) = self.ending.drain(..).partition::<Vec<_>, _>(|(it, _)| it == ours);
        self.ending = others;
        before.into_iter().map(|(_, task)| task).collect()
    }

    /// A task that is gone wants no answer.
    fn answer(&mut self, request: RequestKey, answer: Answer) {
        match self.held.get_mut(&request) {
            Some(Held::Namespaces { answer: waiting, .. }) => {
                if let Some(waiting) = waiting.take() {
                    let _ = waiting.send(answer);
                }
            }
            Some(Held::Answer(_) | Held::Subscribe { .. } | Held::Publish { .. }) => {
                if let Some(
                    Held::Answer(waiting)
                    | Held::Subscribe { answer: waiting, .. }
                    | Held::Publish { answer: waiting, .. },
                ) = self.held.remove(&request)
                {
                    let _ = waiting.send(answer);
                }
            }
            _ => {}
        }
    }

    fn attach(&mut self, request: RequestKey, fanout: Arc<Fanout>) {
        if let Some(Held::Subscribe { answer, filter }) = self.held.remove(&request) {
            let reader = fanout.track().reader(filter);
            let (leave, left) = oneshot::channel();
            self.held.insert(request, Held::Serving(leave));
            let _ = answer.send(Answer::Attached(fanout, reader, left));
        }
    }

    fn take_publish(&mut self, request: RequestKey, fanout: Arc<Fanout>, forward: bool) {
        if let Some(Held::Publish { answer, offered }) = self.held.remove(&request) {
            fanout.describe(offered.largest, &offered.extensions);
            let (sender, forwarding) = watch::channel(forward);
            self.held.insert(request, Held::Source { forward: sender, subscription: None });
            let _ = answer.send(Answer::Taken(fanout, forwarding));
        }
    }

    fn set_forward(&self, request: RequestKey, forward: bool) {
        if let Some(Held::Source { forward: state, .. }) = self.held.get(&request) {
            state.send_replace(forward);
        }
    }

    fn tell(&self, request: RequestKey, change: NamespaceChange) {
        if let Some(Held::Namespaces { changes, .. }) = self.held.get(&request) {
            let _ = changes.send(change);
        }
    }

    fn fanout(&mut self, track: TrackKey, options: &RelayOptions, cached: Arc<CachedTrack>) -> Arc<Fanout> {
        let new = || Arc::new(Fanout::new(options, &self.backlog, cached));
        Arc::clone(self.tracks.entry(track).or_insert_with(new))
    }
}
