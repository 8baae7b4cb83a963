//! What is entered in the tables, and taken out.

use super::*;

impl Core {
    /// The track of a route, which is made if need be.
    pub(super) fn add_route(&mut self, name: &FullTrackName) -> TrackKey {
        if let Some(route) = self.routes.get(name) {
            return route.track;
        }
        self.last_key += 1;
        let track = TrackKey(self.last_key);
        let route = Route {
            track,
            sources: BTreeSet::new(),
            subscribers: BTreeSet::new(),
            declined: BTreeSet::new(),
            was_established: false,
            lingering: None,
        };
        self.routes.insert(name.clone(), route);
        track
    }

    pub(super) fn add_subscriber(&mut self, request: RequestKey, subscriber: Subscriber) {
        self.own(subscriber.peer, request);
        if let Some(route) = self.routes.get_mut(&subscriber.track) {
            route.subscribers.insert(request);
        }
        self.subscribers.insert(request, subscriber);
    }

    pub(super) fn forget_subscriber(&mut self, request: RequestKey) -> Option<FullTrackName> {
        let subscriber = self.subscribers.remove(&request)?;
        self.disown(subscriber.peer, request);
        if let Some(route) = self.routes.get_mut(&subscriber.track) {
            route.subscribers.remove(&request);
        }
        Some(subscriber.track)
    }

    pub(super) fn set_state(&mut self, request: RequestKey, state: SubscriberState) {
        if let Some(subscriber) = self.subscribers.get_mut(&request) {
            subscriber.state = state;
        }
    }

    pub(super) fn add_source(&mut self, request: RequestKey, source: Source) {
        self.own(source.peer, request);
        if let Some(route) = self.routes.get_mut(&source.track) {
            route.sources.insert(request);
        }
        self.sources.insert(request, source);
    }

    pub(super) fn forget_source(&mut self, request: RequestKey) -> Option<Source> {
        let source = self.sources.remove(&request)?;
        self.disown(source.peer, request);
        if let Some(route) = self.routes.get_mut(&source.track) {
            route.sources.remove(&request);
        }
        Some(source)
    }

    pub(super) fn sources_of(&self, route: &Route) -> impl Iterator<Item = &Source> {
        route.sources.iter().filter_map(|request| self.sources.get(request))
    }

    pub(super) fn has_publication(&self, route: &Route) -> bool {
        self.sources_of(route).any(Source::is_published)
    }

    /// Whether anybody has asked for a track, by itself or by taking what was offered.
    pub(super) fn is_wanted(&self, name: &FullTrackName) -> bool {
        self.takers(name).next().is_some()
    }

    /// Whether anybody wants objects of it now.
    pub(super) fn is_heard(&self, name: &FullTrackName) -> bool {
        self.takers(name).any(|subscriber| subscriber.forward)
    }

    fn takers(&self, name: &FullTrackName) -> impl Iterator<Item = &Subscriber> {
        let requests = self.routes.get(name).into_iter().flat_map(|route| &route.subscribers);
        requests
            .filter_map(|request| self.subscribers.get(request))
            .filter(|subscriber| subscriber.state != SubscriberState::Offered)
    }

    pub(super) fn own(&mut self, peer: PeerId, request: RequestKey) {
        self.peers.entry(peer).or_default().insert(request);
    }

    pub(super) fn disown(&mut self, peer: PeerId, request: RequestKey) {
        if let Some(requests) = self.peers.get_mut(&peer) {
            requests.remove(&request);
            if requests.is_empty() {
                self.peers.remove(&peer);
            }
        }
    }

    pub(super) fn owned(&self, peer: PeerId) -> impl Iterator<Item = RequestKey> {
        self.peers.get(&peer).into_iter().flatten().copied()
    }

    /// Whether a subscriber is still to be served.
    pub(crate) fn has_subscriber(&self, request: RequestKey) -> bool {
        self.subscribers.contains_key(&request)
    }

    /// Each track that is known, with how many publish and how many take it.
    pub(crate) fn tracks(&self) -> impl Iterator<Item = (&FullTrackName, TrackKey, usize, usize)> {
        self.routes
            .iter()
            .map(|(name, route)| (name, route.track, route.sources.len(), self.takers(name).count()))
    }

    /// The namespace of each announcement.
    pub(crate) fn announcements(&self) -> impl Iterator<Item = &TrackNamespace> {
        self.namespaces.values().map(|announcement| &announcement.namespace)
    }

    /// Whether nothing is known of anybody.
    pub(crate) fn is_empty(&self) -> bool {
        self.peers.is_empty()
            && self.links.is_empty()
            && self.namespaces.is_empty()
            && self.namespace_tree.is_empty()
            && self.announced.is_empty()
            && self.prefixes.is_empty()
            && self.prefix_tree.is_empty()
            && self.subscribers.is_empty()
            && self.sources.is_empty()
            && self.routes.is_empty()
    }
}
