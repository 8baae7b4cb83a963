//! The relay: the core's tables, the handles behind them, and the core's actions carried out.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use moqingbird::wire::model::{
    FullTrackName, Location, Publish, SessionErrorCode, Subscribe, SubscriptionFilter, TrackAlias,
    TrackExtensions,
};
use moqingbird::{Server, Session};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{JoinHandle, JoinSet};

use crate::auth::{Access, Operation};
use crate::config::RelayOptions;
use crate::core::{Action, Core, Input, PeerId, RequestKey, TrackKey};
use crate::session::{self, Answer, NamespaceChange};
use crate::upstream::Fanout;

/// A relay. Clones are the same relay.
#[derive(Clone, Debug)]
pub struct Relay {
    shared: Arc<Shared>,
}

impl Relay {
    /// A relay without sessions.
    pub fn new(options: RelayOptions) -> Self {
        Self { shared: Arc::new(Shared { options, state: Mutex::default() }) }
    }

    /// Serves every session that comes to `server`, until the server is closed and all sessions have ended. Dropping
    /// the future closes the sessions.
    pub async fn run(&self, server: &Server) {
        let mut sessions = JoinSet::new();
        loop {
            tokio::select! {
                incoming = server.accept() => {
                    let Some(incoming) = incoming else { break };
                    let relay = self.clone();
                    sessions.spawn(async move {
                        match incoming.accept().await {
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
        session::serve(Arc::clone(&self.shared), session.clone()).await;
        tracing::info!(remote = ?session.remote_address(), end = ?session.close_reason(), "a session has ended");
    }

    /// Asks every peer to leave (GOAWAY): to `new_session_uri`, or to the same place if that is empty. Sessions last
    /// until the peers have left, or [`Relay::close`].
    pub fn shutdown(&self, new_session_uri: &str) {
        for session in self.sessions() {
            if let Err(error) = session.go_away(new_session_uri) {
                tracing::debug!(%error, "no GOAWAY");
            }
        }
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
        state.core.is_empty() && state.tracks.is_empty() && state.held.is_empty()
    }

    fn sessions(&self) -> Vec<Session> {
        self.shared.lock().peers.values().map(|peer| peer.session.clone()).collect()
    }
}

/// What every task of a relay shares.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) options: RelayOptions,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    core: Core,
    last_peer: u64,
    peers: HashMap<PeerId, Peer>,
    /// The task's end of each request that is known to the core.
    held: HashMap<RequestKey, Held>,
    tracks: HashMap<TrackKey, Arc<Fanout>>,
    /// Our own subscriptions that are being ended.
    ending: Vec<(FullTrackName, JoinHandle<()>)>,
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
    /// The track, if it has a source.
    pub(crate) fanout: Option<Arc<Fanout>>,
    /// Whether the track has all that is published now.
    pub(crate) is_live: bool,
    /// Who may know more, the likeliest first.
    pub(crate) upstreams: Vec<Session>,
}

/// How a request's task is reached.
#[derive(Debug)]
pub(crate) enum Held {
    /// It waits for its answer.
    Answer(oneshot::Sender<Answer>),
    /// It waits for its answer, and is a SUBSCRIBE with this filter.
    Subscribe { answer: oneshot::Sender<Answer>, filter: Option<SubscriptionFilter> },
    /// It waits for its answer, and is a PUBLISH that says this of its track.
    Publish { answer: oneshot::Sender<Answer>, largest: Option<Location>, extensions: TrackExtensions },
    /// It tells a peer of namespaces.
    Namespaces { answer: Option<oneshot::Sender<Answer>>, changes: mpsc::UnboundedSender<NamespaceChange> },
    /// It pours objects into a track. Our own subscriptions can be ended.
    Source { forward: watch::Sender<bool>, subscription: Option<(FullTrackName, JoinHandle<()>)> },
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
        let left = self.lock().peers.remove(&peer);
        // Dropping a session may lock it, and so is not done under our own lock.
        drop(left);
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

    /// Where the past of a track is found.
    pub(crate) fn past(&self, name: &FullTrackName) -> Past {
        let state = self.lock();
        let (track, peers) = state.core.past(name);
        Past {
            is_live: track.is_some_and(|(_, is_live)| is_live),
            fanout: track.and_then(|(track, _)| state.tracks.get(&track).cloned()),
            upstreams: peers.iter().filter_map(|peer| Some(state.peers.get(peer)?.session.clone())).collect(),
        }
    }

    /// Forgets a request whose task has ended.
    pub(crate) fn end(self: &Arc<Self>, request: RequestKey) {
        let mut state = self.lock();
        state.held.remove(&request);
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
                    let fanout = state.fanout(track, &self.options);
                    state.take_publish(request, fanout, forward);
                }
                Action::SetForward { request, forward } => state.set_forward(request, forward),
                Action::Namespace { request, namespace } => {
                    state.tell(request, NamespaceChange::Came(namespace));
                }
                Action::NamespaceDone { request, namespace } => {
                    state.tell(request, NamespaceChange::Gone(namespace));
                }
                Action::Subscribe { request, peer, track, name } => {
                    let fanout = state.fanout(track, &self.options);
                    if let (Some(peer), Ok(runtime)) = (state.peers.get(&peer), Handle::try_current()) {
                        let (forward, forwarding) = watch::channel(true);
                        let (before, others) =
                            state.ending.drain(..).partition::<Vec<_>, _>(|(it, _)| *it == name);
                        state.ending = others;
                        let pouring = Pouring::new(peer);
                        let upstream = session::upstream(
                            Arc::clone(self),
                            request,
                            peer.session.clone(),
                            Subscribe::new(name.clone()),
                            fanout,
                            forwarding,
                            before.into_iter().map(|(_, task)| task).collect(),
                        );
                        let until = peer.access.below(Operation::PublishNamespace, &name.namespace);
                        let upstream = async move {
                            until.limit(upstream).await;
                            drop(pouring);
                        };
                        let subscription = Some((name, runtime.spawn(upstream)));
                        state.held.insert(request, Held::Source { forward, subscription });
                    }
                }
                Action::Unsubscribe(request) => {
                    state.ending.retain(|(_, task)| !task.is_finished());
                    if let Some(Held::Source { subscription: Some((name, task)), .. }) =
                        state.held.remove(&request)
                    {
                        task.abort();
                        state.ending.push((name, task));
                    }
                }
                Action::Offer { request, peer, track, name, forward } => {
                    if let (Some(Peer { session, access, .. }), Some(fanout), Ok(runtime)) =
                        (state.peers.get(&peer), state.tracks.get(&track), Handle::try_current())
                    {
                        let until = access.below(Operation::SubscribeNamespace, &name.namespace);
                        let publish = publish(name, fanout, forward);
                        let (shared, session) = (Arc::clone(self), session.clone());
                        runtime.spawn(session::offer(
                            shared,
                            request,
                            session,
                            publish,
                            fanout.track(),
                            until,
                        ));
                    }
                }
                Action::EndTrack(track) => {
                    if let Some(fanout) = state.tracks.remove(&track) {
                        fanout.end();
                    }
                }
            }
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
            let _ = answer.send(Answer::Attached(fanout, reader));
        }
    }

    fn take_publish(&mut self, request: RequestKey, fanout: Arc<Fanout>, forward: bool) {
        if let Some(Held::Publish { answer, largest, extensions }) = self.held.remove(&request) {
            fanout.describe(largest, &extensions);
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

    fn fanout(&mut self, track: TrackKey, options: &RelayOptions) -> Arc<Fanout> {
        Arc::clone(self.tracks.entry(track).or_insert_with(|| Arc::new(Fanout::new(options))))
    }
}
