//! Routing as a pure state machine: who subscribes where, and who hears of what. No I/O, no clock, no draft.
//!
//! ```text
//! what peers ask and what becomes of it ── Input ──> Core ── Action ──> what to answer, ask and tell
//! ```
//!
//! A **route** exists for each track that somebody PUBLISHes or subscribes to. It has one **source** at a time: the
//! newest PUBLISH, otherwise one subscription of ours to a peer that announces the namespace, however many subscribers
//! there are. Of several announcers the one with the longest prefix is asked first, then the newest; when it declines
//! or is lost, the next. A publisher that comes back in a new session thus takes over from its old one.
//!
//! A PUBLISH is answered with Forward State 0 until somebody listens, and set back to 0 when the last listener has
//! left (draft-14 §8.5, draft-16 §8.5).

use std::collections::{BTreeMap, BTreeSet, HashMap};

use moqingbird::wire::model::{
    FullTrackName, RequestError, RequestErrorCode, SubscribeOptions, TrackNamespace,
};

use crate::tree::NamespaceTree;

#[cfg(test)]
mod tests;

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
    PublishNamespace {
        peer: PeerId,
        request: RequestKey,
        namespace: TrackNamespace,
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
    },
    Subscribe {
        peer: PeerId,
        request: RequestKey,
        track: FullTrackName,
        forward: bool,
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
    /// A source ended because the track is complete.
    Complete(RequestKey),
    /// Anything else that a request began is over, whoever ended it.
    Ended(RequestKey),
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
    /// Tell the peer of a SUBSCRIBE_NAMESPACE that a namespace has come.
    Namespace { request: RequestKey, namespace: TrackNamespace },
    /// Tell it that the namespace has gone.
    NamespaceDone { request: RequestKey, namespace: TrackNamespace },
    /// Subscribe at a peer, under a new key, and pour it into the track.
    Subscribe { request: RequestKey, peer: PeerId, track: TrackKey, name: FullTrackName },
    /// End a subscription of ours.
    Unsubscribe(RequestKey),
    /// Change the Forward State of a PUBLISH that we granted.
    SetForward { request: RequestKey, forward: bool },
    /// PUBLISH the track to a peer, under a new key, and copy the track into it.
    Offer { request: RequestKey, peer: PeerId, track: TrackKey, name: FullTrackName, forward: bool },
    /// No publisher is left: end the track, and with it everything attached to it.
    EndTrack(TrackKey),
}

/// The relay's tables.
#[derive(Debug, Default)]
pub(crate) struct Core {
    last_key: u64,
    peers: HashMap<PeerId, BTreeSet<RequestKey>>,
    namespaces: HashMap<RequestKey, (PeerId, TrackNamespace)>,
    namespace_tree: NamespaceTree<RequestKey>,
    prefixes: HashMap<RequestKey, Prefix>,
    prefix_tree: NamespaceTree<RequestKey>,
    subscribers: HashMap<RequestKey, Subscriber>,
    /// Every PUBLISH that we granted, and our own subscriptions.
    sources: HashMap<RequestKey, (PeerId, FullTrackName)>,
    routes: BTreeMap<FullTrackName, Route>,
    actions: Vec<Action>,
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
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SubscriberState {
    /// Its SUBSCRIBE waits for the source.
    Waiting,
    /// It waits for nothing.
    Attached,
    /// The peer has not answered our PUBLISH.
    Offered,
}

#[derive(Debug)]
struct Route {
    track: TrackKey,
    source: Source,
    /// Every PUBLISH of this track that we granted. The last is the source.
    publications: BTreeSet<RequestKey>,
    subscribers: BTreeSet<RequestKey>,
    /// The announcements at which the track was asked for.
    tried: BTreeSet<RequestKey>,
}

#[derive(Clone, Copy, Debug)]
enum Source {
    /// A PUBLISH, with the Forward State that we asked for.
    Published { request: RequestKey, forward: bool },
    /// Our own subscription.
    Subscribed { request: RequestKey, established: bool },
}

impl Source {
    const fn request(self) -> RequestKey {
        match self {
            Self::Published { request, .. } | Self::Subscribed { request, .. } => request,
        }
    }

    const fn is_established(self) -> bool {
        match self {
            Self::Published { .. } => true,
            Self::Subscribed { established, .. } => established,
        }
    }
}

impl Core {
    /// A key for a request that a peer has sent.
    pub(crate) const fn new_request(&mut self) -> RequestKey {
        self.last_key += 1;
        RequestKey(self.last_key)
    }

    /// Takes in what has happened. Inputs about requests that are over mean nothing.
    pub(crate) fn handle(&mut self, input: Input) -> Vec<Action> {
        match input {
            Input::PublishNamespace { peer, request, namespace } => {
                self.publish_namespace(peer, request, namespace);
            }
            Input::SubscribeNamespace { peer, request, prefix, options, forward } => {
                self.subscribe_namespace(request, Prefix { peer, prefix, options, forward });
            }
            Input::Publish { peer, request, track } => self.publish(peer, request, track),
            Input::Subscribe { peer, request, track, forward } => {
                self.subscribe(peer, request, track, forward);
            }
            Input::Forward { request, forward } => self.forward(request, forward),
            Input::Accepted(request) => self.accepted(request),
            Input::Rejected(request, error) => self.source_ended(request, false, &error),
            Input::Complete(request) => self.source_ended(request, true, &gone()),
            Input::Ended(request) => self.ended(request),
            Input::PeerLeft(peer) => self.peer_left(peer),
        }
        std::mem::take(&mut self.actions)
    }

    // --- namespaces ---

    fn publish_namespace(&mut self, peer: PeerId, request: RequestKey, namespace: TrackNamespace) {
        self.own(peer, request);
        self.namespaces.insert(request, (peer, namespace.clone()));
        self.actions.push(Action::Accept(request));
        if self.namespace_tree.insert(namespace.clone(), request) {
            self.tell(&namespace, |request, namespace| Action::Namespace { request, namespace });
        }
    }

    /// Tells those who subscribed to a prefix of `namespace`, its own publisher among them (draft-16 §6.1).
    fn tell(&mut self, namespace: &TrackNamespace, action: fn(RequestKey, TrackNamespace) -> Action) {
        for request in self.prefix_tree.prefixes_of(namespace) {
            if self.prefixes.get(&request).is_some_and(|prefix| prefix.options != SubscribeOptions::Publish) {
                self.actions.push(action(request, namespace.clone()));
            }
        }
    }

    fn subscribe_namespace(&mut self, request: RequestKey, new: Prefix) {
        // The session declines overlapping prefixes, so an older one is over, and its end on its way here.
        let overlaps = |key: &RequestKey| {
            self.prefixes
                .get(key)
                .is_some_and(|old| old.prefix.starts_with(&new.prefix) || new.prefix.starts_with(&old.prefix))
        };
        for old in self.owned(new.peer).filter(overlaps).collect::<Vec<_>>() {
            self.ended(old);
        }
        self.actions.push(Action::Accept(request));
        if new.options != SubscribeOptions::Publish {
            let known = self.namespace_tree.under(&new.prefix);
            self.actions.extend(known.map(|it| Action::Namespace { request, namespace: it.clone() }));
        }
        self.own(new.peer, request);
        self.prefix_tree.insert(new.prefix.clone(), request);
        let first = FullTrackName { namespace: new.prefix.clone(), name: Default::default() };
        let published: Vec<_> = self
            .routes
            .range(first..)
            .take_while(|(name, _)| name.namespace.starts_with(&new.prefix))
            .filter(|(_, route)| !route.publications.is_empty())
            .map(|(name, _)| name.clone())
            .collect();
        self.prefixes.insert(request, new);
        for name in published {
            self.offer(request, &name);
        }
    }

    /// Offers a PUBLISHed track to the peer of a SUBSCRIBE_NAMESPACE that wants tracks and does not have this one.
    fn offer(&mut self, prefix: RequestKey, name: &FullTrackName) {
        let (Some(prefix), Some(route)) = (self.prefixes.get(&prefix), self.routes.get(name)) else { return };
        let (peer, track, forward) = (prefix.peer, route.track, prefix.forward);
        if prefix.options == SubscribeOptions::Namespace || self.subscription_of(peer, route).is_some() {
            return;
        }
        let request = self.new_request();
        self.add_subscriber(request, peer, name, SubscriberState::Offered, forward);
        self.actions.push(Action::Offer { request, peer, track, name: name.clone(), forward });
    }

    /// The subscription that a peer has to a route, of whatever origin.
    fn subscription_of(&self, peer: PeerId, route: &Route) -> Option<RequestKey> {
        let of_peer = |key: &&RequestKey| self.subscribers.get(key).is_some_and(|it| it.peer == peer);
        route.subscribers.iter().find(of_peer).copied()
    }

    // --- tracks ---

    fn publish(&mut self, peer: PeerId, request: RequestKey, name: FullTrackName) {
        self.own(peer, request);
        self.sources.insert(request, (peer, name.clone()));
        let source = Source::Published { request, forward: false };
        let (previous, track) = match self.routes.get_mut(&name) {
            Some(route) => (Some(std::mem::replace(&mut route.source, source)), route.track),
            None => (None, self.add_route(&name, source)),
        };
        match previous {
            // Its subscribers are served by the newcomer: a PUBLISH takes the place of our pending SUBSCRIBE
            // (draft-16 §5.1).
            Some(Source::Subscribed { request, .. }) => {
                self.forget_source(request);
                self.actions.push(Action::Unsubscribe(request));
            }
            Some(Source::Published { request, forward: true }) => {
                self.actions.push(Action::SetForward { request, forward: false });
            }
            _ => {}
        }
        let forward = self.is_heard(&name);
        if let Some(route) = self.routes.get_mut(&name) {
            route.publications.insert(request);
            route.source = Source::Published { request, forward };
        }
        self.actions.push(Action::AcceptPublish { request, track, forward });
        self.attach_waiting(&name);
        for prefix in self.prefix_tree.prefixes_of(&name.namespace).collect::<Vec<_>>() {
            self.offer(prefix, &name);
        }
    }

    fn subscribe(&mut self, peer: PeerId, request: RequestKey, name: FullTrackName, forward: bool) {
        match self.routes.get(&name) {
            Some(route) => {
                // The session declines a second subscription, so an older one is over, and its end on its way here.
                let over = self.subscription_of(peer, route);
                self.add_subscriber(request, peer, &name, SubscriberState::Waiting, forward);
                if let Some(old) = over {
                    self.subscriber_left(old);
                }
                self.attach_waiting(&name);
            }
            None => match self.next_announcer(&name, &BTreeSet::new()) {
                Some(announcement) => {
                    let source = self.new_request();
                    self.add_route(&name, Source::Subscribed { request: source, established: false });
                    self.add_subscriber(request, peer, &name, SubscriberState::Waiting, forward);
                    self.ask(&name, source, announcement);
                }
                None => self.actions.push(Action::Reject { request, error: unknown_track() }),
            },
        }
    }

    /// The announcement that is to be asked next for a track.
    fn next_announcer(&self, name: &FullTrackName, tried: &BTreeSet<RequestKey>) -> Option<RequestKey> {
        self.namespace_tree.prefixes_of(&name.namespace).find(|announcement| !tried.contains(announcement))
    }

    /// Subscribes, under the key of the route's source, at the peer of an announcement.
    fn ask(&mut self, name: &FullTrackName, request: RequestKey, announcement: RequestKey) {
        let peer = self.namespaces.get(&announcement).map(|(peer, _)| *peer);
        let (Some(peer), Some(route)) = (peer, self.routes.get_mut(name)) else { return };
        route.tried.insert(announcement);
        let track = route.track;
        self.own(peer, request);
        self.sources.insert(request, (peer, name.clone()));
        self.actions.push(Action::Subscribe { request, peer, track, name: name.clone() });
    }

    fn accepted(&mut self, request: RequestKey) {
        let Some((_, name)) = self.sources.get(&request).cloned() else { return };
        if let Some(route) = self.routes.get_mut(&name)
            && let Source::Subscribed { request: ours, established } = &mut route.source
            && *ours == request
        {
            *established = true;
            self.attach_waiting(&name);
        }
    }

    /// Grants every SUBSCRIBE that waits, if the source is there, and keeps the source's Forward State right.
    fn attach_waiting(&mut self, name: &FullTrackName) {
        let Some(route) = self.routes.get(name) else { return };
        if route.source.is_established() {
            for &request in &route.subscribers {
                if let Some(subscriber) = self.subscribers.get_mut(&request)
                    && subscriber.state == SubscriberState::Waiting
                {
                    subscriber.state = SubscriberState::Attached;
                    self.actions.push(Action::Attach { request, track: route.track });
                }
            }
        }
        self.update_forward(name);
    }

    fn forward(&mut self, request: RequestKey, forward: bool) {
        let Some(subscriber) = self.subscribers.get_mut(&request) else { return };
        subscriber.forward = forward;
        if subscriber.state == SubscriberState::Offered {
            subscriber.state = SubscriberState::Attached;
        }
        let name = subscriber.track.clone();
        self.update_forward(&name);
    }

    /// Asks a PUBLISH for objects as long as somebody wants them. Our own subscriptions always do (draft-16 §8.2).
    fn update_forward(&mut self, name: &FullTrackName) {
        let heard = self.is_heard(name);
        if let Some(route) = self.routes.get_mut(name)
            && let Source::Published { request, forward } = &mut route.source
            && *forward != heard
        {
            *forward = heard;
            self.actions.push(Action::SetForward { request: *request, forward: heard });
        }
    }

    /// Whether any subscriber wants objects.
    fn is_heard(&self, name: &FullTrackName) -> bool {
        self.routes.get(name).is_some_and(|route| {
            route
                .subscribers
                .iter()
                .filter_map(|key| self.subscribers.get(key))
                .any(|subscriber| subscriber.forward && subscriber.state != SubscriberState::Offered)
        })
    }

    // --- the past ---

    /// Where the past of a track is found: in the track itself, if it has a source (and whether that sends us objects
    /// now); and at these peers, the source first and then those who announce the namespace.
    pub(crate) fn past(&self, name: &FullTrackName) -> (Option<(TrackKey, bool)>, Vec<PeerId>) {
        let route = self.routes.get(name).filter(|route| route.source.is_established());
        let source = route.and_then(|route| self.sources.get(&route.source.request())).map(|(peer, _)| *peer);
        let mut peers: Vec<PeerId> = source.into_iter().collect();
        for announcement in self.namespace_tree.prefixes_of(&name.namespace) {
            if let Some((peer, _)) = self.namespaces.get(&announcement)
                && !peers.contains(peer)
            {
                peers.push(*peer);
            }
        }
        let is_live = |source| !matches!(source, Source::Published { forward: false, .. });
        (route.map(|route| (route.track, is_live(route.source))), peers)
    }

    // --- ends ---

    fn ended(&mut self, request: RequestKey) {
        if let Some((peer, namespace)) = self.namespaces.remove(&request) {
            self.disown(peer, request);
            if self.namespace_tree.remove(&namespace, request) {
                self.tell(&namespace, |request, namespace| Action::NamespaceDone { request, namespace });
            }
        } else if let Some(Prefix { peer, prefix, .. }) = self.prefixes.remove(&request) {
            self.disown(peer, request);
            self.prefix_tree.remove(&prefix, request);
        } else if self.subscribers.contains_key(&request) {
            self.subscriber_left(request);
        } else {
            self.source_ended(request, false, &gone());
        }
    }

    fn subscriber_left(&mut self, request: RequestKey) {
        let Some(name) = self.forget_subscriber(request) else { return };
        let Some(route) = self.routes.get_mut(&name) else { return };
        route.subscribers.remove(&request);
        if let (true, Source::Subscribed { request, .. }) = (route.subscribers.is_empty(), route.source) {
            self.forget_source(request);
            self.actions.push(Action::Unsubscribe(request));
            return self.end_route(&name, &gone());
        }
        self.update_forward(&name);
    }

    fn source_ended(&mut self, request: RequestKey, complete: bool, error: &RequestError) {
        let Some(name) = self.forget_source(request) else { return };
        let Some(route) = self.routes.get_mut(&name) else { return };
        route.publications.remove(&request);
        if route.source.request() != request {
            return;
        }
        if let Some(&request) = route.publications.last() {
            route.source = Source::Published { request, forward: false };
            return self.attach_waiting(&name);
        }
        let tried = route.tried.clone();
        let asked_for = !route.subscribers.is_empty() && !complete;
        match self.next_announcer(&name, &tried).filter(|_| asked_for) {
            Some(announcement) => {
                let request = self.new_request();
                if let Some(route) = self.routes.get_mut(&name) {
                    route.source = Source::Subscribed { request, established: false };
                }
                self.ask(&name, request, announcement);
            }
            None => self.end_route(&name, error),
        }
    }

    fn end_route(&mut self, name: &FullTrackName, error: &RequestError) {
        let Some(route) = self.routes.remove(name) else { return };
        for request in route.subscribers {
            let waiting =
                self.subscribers.get(&request).is_some_and(|it| it.state == SubscriberState::Waiting);
            self.forget_subscriber(request);
            if waiting {
                self.actions.push(Action::Reject { request, error: error.clone() });
            }
        }
        self.actions.push(Action::EndTrack(route.track));
    }

    /// What the peer wants goes first and what it offers last, so that nothing is asked of it any more.
    fn peer_left(&mut self, peer: PeerId) {
        let requests = self.peers.get(&peer).cloned().unwrap_or_default();
        let (sources, others): (Vec<_>, Vec<_>) =
            requests.into_iter().partition(|request| self.sources.contains_key(request));
        let (namespaces, wishes): (Vec<_>, Vec<_>) =
            others.into_iter().partition(|request| self.namespaces.contains_key(request));
        for request in wishes.into_iter().chain(namespaces).chain(sources) {
            self.ended(request);
        }
    }

    // --- tables ---

    fn add_route(&mut self, name: &FullTrackName, source: Source) -> TrackKey {
        self.last_key += 1;
        let track = TrackKey(self.last_key);
        let route = Route {
            track,
            source,
            publications: BTreeSet::new(),
            subscribers: BTreeSet::new(),
            tried: BTreeSet::new(),
        };
        self.routes.insert(name.clone(), route);
        track
    }

    fn add_subscriber(
        &mut self,
        request: RequestKey,
        peer: PeerId,
        name: &FullTrackName,
        state: SubscriberState,
        forward: bool,
    ) {
        self.own(peer, request);
        self.subscribers.insert(request, Subscriber { peer, track: name.clone(), state, forward });
        if let Some(route) = self.routes.get_mut(name) {
            route.subscribers.insert(request);
        }
    }

    fn forget_subscriber(&mut self, request: RequestKey) -> Option<FullTrackName> {
        let subscriber = self.subscribers.remove(&request)?;
        self.disown(subscriber.peer, request);
        Some(subscriber.track)
    }

    fn forget_source(&mut self, request: RequestKey) -> Option<FullTrackName> {
        let (peer, name) = self.sources.remove(&request)?;
        self.disown(peer, request);
        Some(name)
    }

    fn own(&mut self, peer: PeerId, request: RequestKey) {
        self.peers.entry(peer).or_default().insert(request);
    }

    fn disown(&mut self, peer: PeerId, request: RequestKey) {
        if let Some(requests) = self.peers.get_mut(&peer) {
            requests.remove(&request);
            if requests.is_empty() {
                self.peers.remove(&peer);
            }
        }
    }

    fn owned(&self, peer: PeerId) -> impl Iterator<Item = RequestKey> {
        self.peers.get(&peer).into_iter().flatten().copied()
    }

    /// Whether a subscriber is still to be served.
    pub(crate) fn has_subscriber(&self, request: RequestKey) -> bool {
        self.subscribers.contains_key(&request)
    }

    /// Whether nothing is known of anybody.
    pub(crate) fn is_empty(&self) -> bool {
        self.peers.is_empty()
            && self.namespaces.is_empty()
            && self.namespace_tree.is_empty()
            && self.prefixes.is_empty()
            && self.prefix_tree.is_empty()
            && self.subscribers.is_empty()
            && self.sources.is_empty()
            && self.routes.is_empty()
    }
}

pub(crate) fn unknown_track() -> RequestError {
    RequestError::new(RequestErrorCode::DoesNotExist, "nobody publishes the track or announces its namespace")
}

fn gone() -> RequestError {
    RequestError::new(RequestErrorCode::DoesNotExist, "the track's publisher has left")
}
