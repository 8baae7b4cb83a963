//! Namespaces: announced, and told to those who asked.

use super::*;

impl Core {
    pub(super) fn publish_namespace(&mut self, request: RequestKey, new: Announcement) {
        if new.path.contains(&self.id) {
            return self.actions.push(Action::Reject { request, error: in_a_circle() });
        }
        let (peer, namespace) = (new.peer, new.namespace.clone());
        self.own(peer, request);
        self.namespaces.insert(request, new);
        self.actions.push(Action::Accept(request));
        if self.namespace_tree.insert(namespace.clone(), request) {
            self.tell(&namespace, |request, namespace| Action::Namespace { request, namespace });
        }
        self.announce(&namespace);
        self.learn_way(peer, &namespace);
        self.ask_newcomer(peer, &namespace);
    }

    pub(super) fn namespace_done(&mut self, request: RequestKey) {
        let Some(Announcement { peer, namespace, .. }) = self.namespaces.remove(&request) else { return };
        self.disown(peer, request);
        if self.namespace_tree.remove(&namespace, request) {
            self.tell(&namespace, |request, namespace| Action::NamespaceDone { request, namespace });
        }
        self.announce(&namespace);
        self.unfollow(peer, &namespace);
        self.actions.push(Action::Forget(namespace));
    }

    /// Tells those who subscribed to a prefix of `namespace`, its own publisher among them (draft-16 §6.1). Relays are
    /// told by announcements.
    fn tell(&mut self, namespace: &TrackNamespace, action: fn(RequestKey, TrackNamespace) -> Action) {
        for request in self.prefix_tree.prefixes_of(namespace) {
            if self.prefixes.get(&request).is_some_and(|prefix| {
                prefix.options != SubscribeOptions::Publish && !self.links.contains_key(&prefix.peer)
            }) {
                self.actions.push(action(request, namespace.clone()));
            }
        }
    }

    pub(super) fn subscribe_namespace(&mut self, request: RequestKey, new: Prefix) {
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
        let peer = new.peer;
        if new.options != SubscribeOptions::Publish && !self.links.contains_key(&peer) {
            let known = self.namespace_tree.under(&new.prefix);
            self.actions.extend(known.map(|it| Action::Namespace { request, namespace: it.clone() }));
        }
        self.own(peer, request);
        self.prefix_tree.insert(new.prefix.clone(), request);
        let published = self.published_under(&new.prefix);
        self.prefixes.insert(request, new);
        self.announce_all(peer);
        for name in published {
            self.offer(request, &name);
        }
    }

    /// The tracks below a prefix that somebody PUBLISHes.
    pub(super) fn published_under(&self, prefix: &TrackNamespace) -> Vec<FullTrackName> {
        let first = FullTrackName { namespace: prefix.clone(), name: Default::default() };
        self.routes
            .range(first..)
            .take_while(|(name, _)| name.namespace.starts_with(prefix))
            .filter(|(_, route)| self.has_publication(route))
            .map(|(name, _)| name.clone())
            .collect()
    }

    /// Offers a PUBLISHed track to the peer of a SUBSCRIBE_NAMESPACE that wants tracks and does not have this one.
    pub(super) fn offer(&mut self, prefix: RequestKey, name: &FullTrackName) {
        if let Some(prefix) = self.prefixes.get(&prefix)
            && prefix.options != SubscribeOptions::Namespace
        {
            self.offer_to(prefix.peer, name, prefix.forward);
        }
    }

    /// Offers a track to a peer that does not have it. A relay is given the path by which it comes, and not offered what
    /// comes from itself.
    pub(super) fn offer_to(&mut self, peer: PeerId, name: &FullTrackName, forward: bool) {
        let Some(route) = self.routes.get(name) else { return };
        let (track, best) = (route.track, self.best_source(route, peer));
        let Some(path) = best.filter(|_| self.subscription_of(peer, route).is_none()) else { return };
        let request = self.new_request();
        let state = SubscriberState::Offered;
        let told = self.links.contains_key(&peer).then(|| path.clone());
        self.add_subscriber(
            request,
            Subscriber { peer, track: name.clone(), state, forward, new_group: None, told },
        );
        self.actions.push(Action::Offer { request, peer, track, name: name.clone(), forward, path });
    }
}
