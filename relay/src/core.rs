//! Routing as a pure state machine: who subscribes where, and who hears of what. No I/O, no clock, no draft.
//!
//! ```text
//! what peers ask and what becomes of it ── Input ──> Core ── Action ──> what to answer, ask and tell
//! ```
//!
//! A **route** exists for each track that somebody PUBLISHes or subscribes to. Its **sources** are the PUBLISHes of the
//! track and our own subscriptions to it: while anybody subscribes, one at every publisher that announces the namespace
//! or a prefix of it (draft-14 §8.4, draft-16 §8.5). What several sources send is made one further on, by location, so
//! that the loss of one is not noticed as long as another is left. Where no publisher is known a **relay** is asked, one
//! at a time: those that announce the namespace, the fewest relays away first, then those that were configured as
//! upstream.
//!
//! A PUBLISH is answered with Forward State 0 until somebody listens, and set back to 0 when the last listener has left
//! (draft-14 §8.5, draft-16 §8.5). Our own subscriptions are kept for a while after that (*linger*); a SUBSCRIBE of a
//! track that nobody has may be kept waiting for its publisher (*hold*). How long is not known here.
//!
//! Between relays announcements carry the **path** of relays that they came by, and none is taken, or given, that would
//! come back to where it was. Subscriptions follow announcements. There are thus no loops, and nothing that keeps itself
//! alive.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use moqingbird::wire::model::{
    FullTrackName, RequestError, RequestErrorCode, SubscribeOptions, TrackNamespace,
};

use crate::tree::NamespaceTree;

mod namespaces;
mod past;
mod relays;
mod routes;
mod tables;

#[cfg(test)]
pub(crate) mod tests;

pub(crate) use past::Past;
use relays::Announced;
pub(crate) use relays::{Link, Path, RelayId};

/// A session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct PeerId(pub(crate) u64);

/// A request in either direction: the relay's own number for it, later requests larger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct RequestKey(u64);

/// A track's fan-out: one per route.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct TrackKey(u64);

/// What has happened.
#[derive(Clone, Debug)]
pub(crate) enum Input {
    /// The peer is a relay. Said before anything else of it.
    Relay {
        peer: PeerId,
        link: Link,
    },
    PublishNamespace {
        peer: PeerId,
        request: RequestKey,
        namespace: TrackNamespace,
        path: Path,
    },
    SubscribeNamespace {
        peer: PeerId,
        request: RequestKey,
        prefix: TrackNamespace,
        options: SubscribeOptions,
        forward: bool,
    },
    Publish {
        peer: PeerId,
        request: RequestKey,
        track: FullTrackName,
        path: Path,
    },
    Subscribe {
        peer: PeerId,
        request: RequestKey,
        track: FullTrackName,
        forward: bool,
        /// NEW_GROUP_REQUEST.
        new_group: Option<u64>,
        path: Path,
    },
    /// A subscriber's Forward State is this now. For an offer: the peer took it.
    Forward {
        request: RequestKey,
        forward: bool,
    },
    /// A subscription of ours is granted.
    Accepted(RequestKey),
    /// A subscription of ours is declined.
    Rejected(RequestKey, RequestError),
    /// A source ended because it has no more to send.
    Complete(RequestKey),
    /// What a source sent breaks the rules of tracks.
    Malformed(RequestKey),
    /// Anything else that a request began is over, whoever ended it.
    Ended(RequestKey),
    /// The time of an [`Action::Linger`] is over.
    LingerOver {
        name: FullTrackName,
        turn: u64,
    },
    /// The time of an [`Action::Hold`] is over.
    HoldOver(RequestKey),
    /// A session is over.
    PeerLeft(PeerId),
}

/// What is to be done, in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Grant a PUBLISH_NAMESPACE or SUBSCRIBE_NAMESPACE.
    Accept(RequestKey),
    /// Grant a PUBLISH and pour it into the track.
    AcceptPublish { request: RequestKey, track: TrackKey, forward: bool },
    /// Grant a SUBSCRIBE and copy the track into it.
    Attach { request: RequestKey, track: TrackKey },
    /// Decline any request.
    Reject { request: RequestKey, error: RequestError },
    /// End a subscription that was granted: there is nothing more for this subscriber.
    Leave(RequestKey),
    /// Tell the peer of a SUBSCRIBE_NAMESPACE that a namespace has come.
    Namespace { request: RequestKey, namespace: TrackNamespace },
    /// Tell it that the namespace has gone.
    NamespaceDone { request: RequestKey, namespace: TrackNamespace },
    /// Announce a namespace to a relay, under a new key.
    Announce { request: RequestKey, peer: PeerId, namespace: TrackNamespace, path: Path },
    /// Withdraw such an announcement.
    Withdraw(RequestKey),
    /// Subscribe at a peer, under a new key, and pour it into the track. The path is for relays.
    Subscribe {
        request: RequestKey,
        peer: PeerId,
        track: TrackKey,
        name: FullTrackName,
        new_group: Option<u64>,
        path: Path,
    },
    /// End a subscription of ours, or one that a PUBLISH made.
    Unsubscribe(RequestKey),
    /// Change the Forward State of a PUBLISH that we granted.
    SetForward { request: RequestKey, forward: bool },
    /// PUBLISH the track to a peer, under a new key, and copy the track into it. The path is for relays.
    Offer {
        request: RequestKey,
        peer: PeerId,
        track: TrackKey,
        name: FullTrackName,
        forward: bool,
        path: Path,
    },
    /// Nobody listens any more: tell in a while, with the same turn.
    Linger { name: FullTrackName, turn: u64 },
    /// A SUBSCRIBE waits for a publisher, or that of a relay for the answer of another: tell in a while.
    Hold(RequestKey),
    /// Fewer publishers are left: forget the past of the tracks below this namespace of which [`Core::is_published`] says so.
    Forget(TrackNamespace),
    /// No publisher is left: end the track, and with it everything attached to it.
    EndTrack(TrackKey),
}

/// What a core does where there is a choice.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Policy {
    /// Whether sources are kept for a while when the last subscriber has left.
    pub(crate) linger: bool,
    /// Whether a SUBSCRIBE of a track that nobody has is kept for a while.
    pub(crate) hold: bool,
}

/// The relay's tables.
#[derive(Debug)]
pub(crate) struct Core {
    id: RelayId,
    policy: Policy,
    last_key: u64,
    peers: HashMap<PeerId, BTreeSet<RequestKey>>,
    links: BTreeMap<PeerId, Link>,
    namespaces: HashMap<RequestKey, Announcement>,
    namespace_tree: NamespaceTree<RequestKey>,
    /// What we have announced to relays.
    announced: BTreeMap<(TrackNamespace, PeerId), Announced>,
    prefixes: HashMap<RequestKey, Prefix>,
    prefix_tree: NamespaceTree<RequestKey>,
    subscribers: HashMap<RequestKey, Subscriber>,
    /// Every PUBLISH that we granted, and our own subscriptions.
    sources: HashMap<RequestKey, Source>,
    routes: BTreeMap<FullTrackName, Route>,
    actions: Vec<Action>,
}

/// A PUBLISH_NAMESPACE.
#[derive(Debug)]
struct Announcement {
    peer: PeerId,
    namespace: TrackNamespace,
    path: Path,
}

/// A SUBSCRIBE_NAMESPACE.
#[derive(Debug)]
struct Prefix {
    peer: PeerId,
    prefix: TrackNamespace,
    options: SubscribeOptions,
    forward: bool,
}

#[derive(Debug)]
struct Subscriber {
    peer: PeerId,
    track: FullTrackName,
    state: SubscriberState,
    forward: bool,
    /// The new group that it has asked for with its SUBSCRIBE.
    new_group: Option<u64>,
    /// The way that it was told of, if it is a relay to which the track was offered.
    told: Option<Path>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SubscriberState {
    /// Its SUBSCRIBE waits for a source.
    Waiting,
    /// The same, and may do so for a while although none has been asked.
    Held,
    /// It waits for nothing.
    Attached,
    /// The peer has not answered our PUBLISH.
    Offered,
}

#[derive(Debug)]
struct Source {
    peer: PeerId,
    track: FullTrackName,
    path: Path,
    kind: SourceKind,
}

#[derive(Clone, Copy, Debug)]
enum SourceKind {
    /// A PUBLISH, with the Forward State that we asked for.
    Published { forward: bool },
    /// Our own subscription.
    Subscribed { established: bool },
}

impl Source {
    const fn is_published(&self) -> bool {
        matches!(self.kind, SourceKind::Published { .. })
    }

    const fn is_established(&self) -> bool {
        !matches!(self.kind, SourceKind::Subscribed { established: false })
    }
}

#[derive(Debug)]
struct Route {
    track: TrackKey,
    sources: BTreeSet<RequestKey>,
    subscribers: BTreeSet<RequestKey>,
    /// Who has declined the track, or lost it.
    declined: BTreeSet<PeerId>,
    /// Some subscription of ours was granted.
    was_established: bool,
    /// The last subscriber has left, and the sources are kept; the turn tells this time from others.
    lingering: Option<u64>,
}

impl Core {
    /// Empty tables.
    pub(crate) fn new(id: RelayId, policy: Policy) -> Self {
        Self {
            id,
            policy,
            last_key: 0,
            peers: HashMap::new(),
            links: BTreeMap::new(),
            namespaces: HashMap::new(),
            namespace_tree: NamespaceTree::default(),
            announced: BTreeMap::new(),
            prefixes: HashMap::new(),
            prefix_tree: NamespaceTree::default(),
            subscribers: HashMap::new(),
            sources: HashMap::new(),
            routes: BTreeMap::new(),
            actions: Vec::new(),
        }
    }

    /// A key for a request that a peer has sent.
    pub(crate) const fn new_request(&mut self) -> RequestKey {
        self.last_key += 1;
        RequestKey(self.last_key)
    }

    /// Takes in what has happened. Inputs about requests that are over mean nothing.
    pub(crate) fn handle(&mut self, input: Input) -> Vec<Action> {
        match input {
            Input::Relay { peer, link } => self.relay_joined(peer, link),
            Input::PublishNamespace { peer, request, namespace, path } => {
                self.publish_namespace(request, Announcement { peer, namespace, path });
            }
            Input::SubscribeNamespace { peer, request, prefix, options, forward } => {
                self.subscribe_namespace(request, Prefix { peer, prefix, options, forward });
            }
            Input::Publish { peer, request, track, path } => self.publish(peer, request, track, path),
            Input::Subscribe { peer, request, track, forward, new_group, path } => {
                let state = SubscriberState::Waiting;
                self.subscribe(
                    request,
                    Subscriber { peer, track, state, forward, new_group, told: None },
                    &path,
                );
            }
            Input::Forward { request, forward } => self.forward(request, forward),
            Input::Accepted(request) => self.accepted(request),
            Input::Rejected(request, error) => self.source_ended(request, false, error),
            Input::Complete(request) => self.source_ended(request, true, gone()),
            Input::Malformed(request) => self.malformed(request),
            Input::Ended(request) => self.ended(request),
            Input::LingerOver { name, turn } => self.linger_over(&name, turn),
            Input::HoldOver(request) => self.hold_over(request),
            Input::PeerLeft(peer) => self.peer_left(peer),
        }
        std::mem::take(&mut self.actions)
    }

    fn ended(&mut self, request: RequestKey) {
        if self.namespaces.contains_key(&request) {
            self.namespace_done(request);
        } else if let Some(Prefix { peer, prefix, .. }) = self.prefixes.remove(&request) {
            self.disown(peer, request);
            self.prefix_tree.remove(&prefix, request);
            self.told_no_more(peer);
        } else if self.subscribers.contains_key(&request) {
            self.subscriber_left(request);
        } else {
            self.source_ended(request, false, gone());
        }
    }

    /// What the peer wants goes first and what it offers last, so that nothing is asked of it any more.
    fn peer_left(&mut self, peer: PeerId) {
        let was_relay = self.links.remove(&peer).is_some();
        self.announced.retain(|(_, to), _| *to != peer);
        let requests = self.peers.get(&peer).cloned().unwrap_or_default();
        let (sources, others): (Vec<_>, Vec<_>) =
            requests.into_iter().partition(|request| self.sources.contains_key(request));
        let (namespaces, wishes): (Vec<_>, Vec<_>) =
            others.into_iter().partition(|request| self.namespaces.contains_key(request));
        for request in wishes.into_iter().chain(namespaces).chain(sources) {
            self.ended(request);
        }
        for route in self.routes.values_mut() {
            route.declined.remove(&peer);
        }
        if was_relay {
            self.actions.push(Action::Forget(TrackNamespace::empty()));
        }
    }
}

pub(crate) fn unknown_track() -> RequestError {
    RequestError::new(RequestErrorCode::DoesNotExist, "nobody publishes the track or announces its namespace")
}

fn gone() -> RequestError {
    RequestError::new(RequestErrorCode::DoesNotExist, "the track's publisher has left")
}

fn in_a_circle() -> RequestError {
    RequestError::new(RequestErrorCode::DoesNotExist, "the request has come in a circle of relays")
}
