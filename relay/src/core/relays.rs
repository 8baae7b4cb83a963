//! Other relays: the paths of announcements, and what of them is passed on to whom.

use super::*;

/// A relay, by the number that it has drawn for itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct RelayId(pub(crate) u64);

/// The relays by which something has come, the first first. Empty for what a peer says of itself.
pub(crate) type Path = Vec<RelayId>;

/// A session with another relay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Link {
    /// Its number, if it is one of ours.
    pub(crate) relay: Option<RelayId>,
    /// Whether it is asked for what nobody else has. Smaller ones first.
    pub(crate) upstream: Option<u32>,
    /// Whether it announces all that it knows, so that what it does not announce it very likely does not have.
    pub(crate) tells: bool,
    /// Whether it is told of all namespaces and tracks, without asking.
    pub(crate) announce: bool,
}

/// What a relay was told of a namespace.
#[derive(Debug)]
pub(super) struct Announced {
    request: RequestKey,
    path: Path,
}

impl Core {
    pub(super) fn relay_joined(&mut self, peer: PeerId, link: Link) {
        self.links.insert(peer, link);
        self.announce_all(peer);
        if link.announce {
            for name in self.published_under(&TrackNamespace::default()) {
                self.offer_to(peer, &name, false);
            }
        }
        if link.upstream.is_some() {
            let wanting: Vec<_> = self.routes.keys().cloned().collect();
            for name in wanting {
                self.ask_more(&name);
            }
        }
    }

    pub(super) fn relay_of(&self, peer: PeerId) -> Option<RelayId> {
        self.links.get(&peer)?.relay
    }

    /// Whether what came from `from` by `path` may go to `to`: not where it has been.
    pub(super) fn may_go(&self, from: PeerId, path: &Path, to: PeerId) -> bool {
        match self.links.contains_key(&to) {
            true => from != to && self.relay_of(to).is_none_or(|relay| !path.contains(&relay)),
            false => true,
        }
    }

    /// What a relay is told of a path that ends here.
    fn extended(&self, path: &Path) -> Path {
        path.iter().copied().chain([self.id]).collect()
    }

    /// Whether a relay is to hear of a namespace.
    fn is_told(&self, peer: PeerId, namespace: &TrackNamespace) -> bool {
        let Some(link) = self.links.get(&peer) else { return false };
        link.announce
            || self.owned(peer).filter_map(|request| self.prefixes.get(&request)).any(|prefix| {
                prefix.options != SubscribeOptions::Publish && namespace.starts_with(&prefix.prefix)
            })
    }

    /// By which path a namespace is announced to a relay: the shortest of those that may go there.
    fn best_path(&self, namespace: &TrackNamespace, to: PeerId) -> Option<Path> {
        self.namespace_tree
            .at(namespace)
            .filter_map(|request| self.namespaces.get(&request))
            .filter(|it| self.may_go(it.peer, &it.path, to))
            .map(|it| self.extended(&it.path))
            .min_by_key(Vec::len)
    }

    /// Brings what relays know of a namespace up to date.
    pub(super) fn announce(&mut self, namespace: &TrackNamespace) {
        for peer in self.links.keys().copied().collect::<Vec<_>>() {
            self.announce_to(peer, namespace);
        }
    }

    /// Brings what a relay knows of all namespaces up to date.
    pub(super) fn announce_all(&mut self, peer: PeerId) {
        if self.links.contains_key(&peer) {
            let known: Vec<_> = self.namespace_tree.under(&TrackNamespace::default()).cloned().collect();
            for namespace in known {
                self.announce_to(peer, &namespace);
            }
        }
    }

    /// A path that has changed is told anew: what else would keep two relays from pointing at each other?
    fn announce_to(&mut self, peer: PeerId, namespace: &TrackNamespace) {
        let path = self.best_path(namespace, peer).filter(|_| self.is_told(peer, namespace));
        let key = (namespace.clone(), peer);
        if self.announced.get(&key).map(|told| &told.path) == path.as_ref() {
            return;
        }
        if let Some(told) = self.announced.remove(&key) {
            self.actions.push(Action::Withdraw(told.request));
        }
        if let Some(path) = path {
            let request = self.new_request();
            self.announced.insert(key, Announced { request, path: path.clone() });
            self.actions.push(Action::Announce { request, peer, namespace: namespace.clone(), path });
        }
    }

    /// A relay's SUBSCRIBE_NAMESPACE is over.
    pub(super) fn told_no_more(&mut self, peer: PeerId) {
        let known: Vec<_> =
            self.announced.keys().filter(|(_, to)| *to == peer).map(|(it, _)| it.clone()).collect();
        for namespace in known {
            self.announce_to(peer, &namespace);
        }
    }

    /// A relay announces a namespace no more: what we have from there on its account is at an end, for subscriptions
    /// between relays follow announcements.
    pub(super) fn unfollow(&mut self, peer: PeerId, namespace: &TrackNamespace) {
        if !self.links.contains_key(&peer) {
            return;
        }
        let follows = |source: &Source| {
            source.peer == peer
                && !source.is_published()
                && source.track.namespace.starts_with(namespace)
                && !source.path.is_empty()
                && !self.announces(peer, &source.track.namespace)
        };
        let lost: Vec<_> =
            self.sources.iter().filter(|(_, source)| follows(source)).map(|(request, _)| *request).collect();
        for request in lost {
            self.actions.push(Action::Unsubscribe(request));
            self.source_ended(request, false, gone());
        }
    }

    /// A relay that was asked for tracks without announcing them tells by which relays they come: it is not to serve those.
    pub(super) fn learn_way(&mut self, peer: PeerId, namespace: &TrackNamespace) {
        if !self.links.contains_key(&peer) {
            return;
        }
        let shortest = |name: &FullTrackName| {
            let told = self.announcers(&name.namespace).filter(|it| it.peer == peer);
            told.map(|it| it.path.clone()).min_by_key(Vec::len)
        };
        let is_of = |source: &&Source| {
            source.peer == peer && !source.is_published() && source.track.namespace.starts_with(namespace)
        };
        let ways: Vec<_> = self
            .sources
            .iter()
            .filter(|(_, source)| is_of(source))
            .filter_map(|(request, source)| Some((*request, shortest(&source.track)?)))
            .collect();
        for (request, path) in ways {
            if let Some(source) = self.sources.get_mut(&request).filter(|source| source.path != path) {
                source.path = path;
                let name = source.track.clone();
                self.settle(&name, gone());
                self.renew_offers(&name);
            }
        }
    }

    /// Relays that were offered a track hear of it anew when it does not come by the way any more that they were told of.
    pub(super) fn renew_offers(&mut self, name: &FullTrackName) {
        let Some(route) = self.routes.get(name) else { return };
        let is_so = |told: &Path| {
            self.sources_of(route).any(|it| it.is_established() && self.extended(&it.path) == *told)
        };
        let stale: Vec<_> = route
            .subscribers
            .iter()
            .filter_map(|key| Some((*key, self.subscribers.get(key)?)))
            .filter(|(_, it)| it.told.as_ref().is_some_and(|told| !is_so(told)))
            .map(|(request, it)| (request, it.peer))
            .collect();
        for (request, peer) in stale {
            self.actions.push(Action::Leave(request));
            self.subscriber_left(request);
            if self.routes.get(name).is_some_and(|route| self.has_publication(route)) {
                self.offer_to(peer, name, false);
            }
        }
    }

    /// By which path a relay is offered the track: the shortest of its sources' that may go there. Other peers need none.
    pub(super) fn best_source(&self, route: &Route, to: PeerId) -> Option<Path> {
        self.sources_of(route)
            .filter(|source| source.is_established() && self.may_go(source.peer, &source.path, to))
            .map(|source| self.extended(&source.path))
            .min_by_key(Vec::len)
    }
}
