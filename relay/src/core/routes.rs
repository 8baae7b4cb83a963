//! Tracks: their sources, and who subscribes.

use super::*;

impl Core {
    // --- subscribers ---

    pub(super) fn subscribe(&mut self, request: RequestKey, new: Subscriber, path: &Path) {
        if path.contains(&self.id) {
            return self.actions.push(Action::Reject { request, error: in_a_circle() });
        }
        let name = new.track.clone();
        // The session declines a second subscription, so an older one is over, and its end on its way here.
        let over = self.routes.get(&name).and_then(|route| self.subscription_of(new.peer, route));
        // Relays that wait for one another in a circle would do so for ever.
        let joins = self.links.contains_key(&new.peer) && self.waits_for_relays(&name);
        self.add_route(&name);
        self.add_subscriber(request, new);
        if joins {
            self.actions.push(Action::Hold(request));
        }
        if let Some(old) = over {
            self.subscriber_left(old);
        }
        self.wanted(&name, path);
        if self.routes.get(&name).is_some_and(|route| route.sources.is_empty()) && self.policy.hold {
            self.set_state(request, SubscriberState::Held);
            self.actions.push(Action::Hold(request));
        }
        self.settle(&name, unknown_track());
    }

    /// Whether a track has been asked for, and nobody but relays has the word.
    fn waits_for_relays(&self, name: &FullTrackName) -> bool {
        let Some(route) = self.routes.get(name) else { return false };
        !route.sources.is_empty()
            && self.sources_of(route).all(|it| !it.is_established() && self.links.contains_key(&it.peer))
    }

    /// Somebody wants a track: its publishers are asked for it, and it goes on.
    fn wanted(&mut self, name: &FullTrackName, path: &Path) {
        if let Some(route) = self.routes.get_mut(name) {
            route.lingering = None;
        }
        self.ask_for(name, path);
        self.attach_waiting(name);
    }

    /// The subscription that a peer has to a route, of whatever origin.
    pub(super) fn subscription_of(&self, peer: PeerId, route: &Route) -> Option<RequestKey> {
        let of_peer = |key: &&RequestKey| self.subscribers.get(key).is_some_and(|it| it.peer == peer);
        route.subscribers.iter().find(of_peer).copied()
    }

    pub(super) fn forward(&mut self, request: RequestKey, forward: bool) {
        let Some(subscriber) = self.subscribers.get_mut(&request) else { return };
        subscriber.forward = forward;
        let name = subscriber.track.clone();
        if subscriber.state == SubscriberState::Offered {
            subscriber.state = SubscriberState::Attached;
            self.wanted(&name, &Path::new());
        }
        self.update_forward(&name);
    }

    pub(super) fn subscriber_left(&mut self, request: RequestKey) {
        let Some(name) = self.forget_subscriber(request) else { return };
        self.rest(&name);
    }

    /// What follows from there being fewer subscribers.
    fn rest(&mut self, name: &FullTrackName) {
        if self.is_wanted(name) {
            return self.update_forward(name);
        }
        let Some(route) = self.routes.get(name) else { return };
        let has_more = self.sources_of(route).any(|source| {
            matches!(source.kind, SourceKind::Subscribed { .. } | SourceKind::Published { forward: true })
        });
        if self.policy.linger && has_more {
            if route.lingering.is_none() {
                let RequestKey(turn) = self.new_request();
                if let Some(route) = self.routes.get_mut(name) {
                    route.lingering = Some(turn);
                }
                self.actions.push(Action::Linger { name: name.clone(), turn });
            }
            return;
        }
        self.stop(name);
    }

    pub(super) fn linger_over(&mut self, name: &FullTrackName, turn: u64) {
        if let Some(route) = self.routes.get_mut(name)
            && route.lingering.take_if(|it| *it == turn).is_some()
        {
            self.stop(name);
        }
    }

    /// Nobody wants the track any more.
    fn stop(&mut self, name: &FullTrackName) {
        self.unsubscribe(name, |_| true);
        if self.routes.get(name).is_some_and(|route| route.sources.is_empty()) {
            return self.end_route(name, &gone());
        }
        self.update_forward(name);
    }

    pub(super) fn hold_over(&mut self, request: RequestKey) {
        let is_over = self.subscribers.get(&request).is_some_and(|it| match it.state {
            SubscriberState::Held => true,
            SubscriberState::Waiting => self.links.contains_key(&it.peer) && self.waits_for_relays(&it.track),
            SubscriberState::Attached | SubscriberState::Offered => false,
        });
        if is_over {
            self.actions.push(Action::Reject { request, error: unknown_track() });
            self.subscriber_left(request);
        }
    }

    // --- sources ---

    pub(super) fn publish(&mut self, peer: PeerId, request: RequestKey, name: FullTrackName, path: Path) {
        if path.contains(&self.id) {
            return self.actions.push(Action::Reject { request, error: in_a_circle() });
        }
        let track = self.add_route(&name);
        // A PUBLISH takes the place of our own subscription at the same peer (draft-16 §5.1).
        self.unsubscribe(&name, |source| source.peer == peer);
        let forward = self.is_heard(&name);
        let kind = SourceKind::Published { forward };
        self.add_source(request, Source { peer, track: name.clone(), path, kind });
        self.actions.push(Action::AcceptPublish { request, track, forward });
        self.leave_guesses(&name);
        self.attach_waiting(&name);
        for prefix in self.prefix_tree.prefixes_of(&name.namespace).collect::<Vec<_>>() {
            self.offer(prefix, &name);
        }
        for (peer, link) in self.links.clone() {
            if link.announce {
                self.offer_to(peer, &name, false);
            }
        }
    }

    /// A publisher that has announced a namespace is asked for every track of it that is wanted (draft-14 §8.4,
    /// draft-16 §8.5).
    pub(super) fn ask_newcomer(&mut self, peer: PeerId, namespace: &TrackNamespace) {
        let first = FullTrackName { namespace: namespace.clone(), name: Default::default() };
        let below: Vec<_> = self
            .routes
            .range(first..)
            .map(|(name, _)| name)
            .take_while(|name| name.namespace.starts_with(namespace))
            .cloned()
            .collect();
        for name in below {
            if let Some(route) = self.routes.get_mut(&name) {
                route.declined.remove(&peer);
            }
            self.ask_more(&name);
        }
    }

    /// Asks whoever may be asked for a track, if it is wanted.
    pub(super) fn ask_more(&mut self, name: &FullTrackName) {
        self.ask_for(name, &Path::new());
    }

    /// Asks every publisher that announces a track's namespace; or, if the track has no source then, one relay.
    fn ask_for(&mut self, name: &FullTrackName, asked_by: &Path) {
        if !self.is_wanted(name) {
            return;
        }
        for peer in self.publishers(name) {
            self.ask(name, peer, Path::new(), asked_by);
        }
        if self.routes.get(name).is_some_and(|route| route.sources.is_empty())
            && let Some((peer, path)) = self.next_relay(name)
        {
            self.ask(name, peer, path, asked_by);
        }
    }

    /// Whether a peer may be asked for a track: it has not declined it, and is none of its sources.
    fn may_be_asked(&self, route: &Route, peer: PeerId) -> bool {
        !route.declined.contains(&peer) && !self.sources_of(route).any(|source| source.peer == peer)
    }

    /// The publishers that are to be asked for a track, the longest announced prefix first.
    fn publishers(&self, name: &FullTrackName) -> BTreeSet<PeerId> {
        let Some(route) = self.routes.get(name) else { return BTreeSet::new() };
        let announcers = self.announcers(&name.namespace).map(|it| it.peer);
        announcers.filter(|peer| !self.links.contains_key(peer) && self.may_be_asked(route, *peer)).collect()
    }

    /// The relay that is to be asked next for a track, and by which relays it then comes.
    fn next_relay(&self, name: &FullTrackName) -> Option<(PeerId, Path)> {
        let route = self.routes.get(name)?;
        let is_of_use = |peer: &PeerId, path: &Path| {
            self.may_be_asked(route, *peer)
                && route.subscribers.iter().filter_map(|key| self.subscribers.get(key)).any(|subscriber| {
                    subscriber.state != SubscriberState::Offered && self.may_go(*peer, path, subscriber.peer)
                })
        };
        let announcing = self
            .announcers(&name.namespace)
            .filter(|it| self.links.contains_key(&it.peer) && is_of_use(&it.peer, &it.path))
            .map(|it| (it.peer, it.path.clone()))
            .min_by_key(|(peer, path)| (path.len(), self.rank(*peer)));
        announcing.or_else(|| {
            // What was here and is lost is not looked for where it would be announced: relays that have all lost it would
            // wait for each other.
            let may_have = |peer: &PeerId| !route.was_established || !self.tells(*peer);
            self.upstreams().find(|(peer, path)| may_have(peer) && is_of_use(peer, path))
        })
    }

    fn tells(&self, peer: PeerId) -> bool {
        self.links.get(&peer).is_some_and(|link| link.tells)
    }

    /// Which of two relays that are equally near is asked first.
    fn rank(&self, peer: PeerId) -> u32 {
        self.links.get(&peer).and_then(|link| link.upstream).unwrap_or(u32::MAX)
    }

    /// The relays that are asked for what nobody else has, in order.
    pub(super) fn upstreams(&self) -> impl Iterator<Item = (PeerId, Path)> {
        let mut all: Vec<_> = self
            .links
            .iter()
            .filter_map(|(peer, link)| Some((link.upstream?, *peer, link.relay.into_iter().collect())))
            .collect();
        all.sort();
        all.into_iter().map(|(_, peer, path)| (peer, path))
    }

    /// What is announced of a namespace or a prefix of it, the longest first.
    pub(super) fn announcers(&self, namespace: &TrackNamespace) -> impl Iterator<Item = &Announcement> {
        self.namespace_tree.prefixes_of(namespace).filter_map(|request| self.namespaces.get(&request))
    }

    pub(super) fn announces(&self, peer: PeerId, namespace: &TrackNamespace) -> bool {
        self.announcers(namespace).any(|it| it.peer == peer)
    }

    fn ask(&mut self, name: &FullTrackName, peer: PeerId, path: Path, asked_by: &Path) {
        let Some(route) = self.routes.get(name) else { return };
        let track = route.track;
        // With no granted subscription upstream what is asked for goes with the SUBSCRIBE (draft-16 §9.2.2.9).
        let subscribers = route.subscribers.iter().filter_map(|request| self.subscribers.get(request));
        let new_group = subscribers.filter_map(|subscriber| subscriber.new_group).max();
        for request in route.subscribers.clone() {
            if self.subscribers.get(&request).is_some_and(|it| it.state == SubscriberState::Held) {
                self.set_state(request, SubscriberState::Waiting);
            }
        }
        let request = self.new_request();
        let kind = SourceKind::Subscribed { established: false };
        self.add_source(request, Source { peer, track: name.clone(), path, kind });
        let path = asked_by.iter().copied().chain([self.id]).collect();
        self.actions.push(Action::Subscribe { request, peer, track, name: name.clone(), new_group, path });
    }

    pub(super) fn accepted(&mut self, request: RequestKey) {
        if let Some(source) = self.sources.get_mut(&request)
            && let SourceKind::Subscribed { established } = &mut source.kind
        {
            *established = true;
            let name = source.track.clone();
            if let Some(route) = self.routes.get_mut(&name) {
                route.was_established = true;
            }
            self.leave_guesses(&name);
            self.attach_waiting(&name);
        }
    }

    /// Once a track comes from where it is published or announced, relays that were asked without announcing it are left:
    /// with time it may have come to come from here there.
    fn leave_guesses(&mut self, name: &FullTrackName) {
        let Some(route) = self.routes.get(name) else { return };
        let is_guess = |source: &Source| {
            !source.is_published()
                && self.links.contains_key(&source.peer)
                && !self.announces(source.peer, &name.namespace)
        };
        if self.sources_of(route).any(|source| source.is_established() && !is_guess(source)) {
            let guesses: BTreeSet<_> =
                self.sources_of(route).filter(|it| is_guess(it)).map(|it| it.peer).collect();
            self.unsubscribe(name, |source| guesses.contains(&source.peer));
        }
    }

    /// Grants every SUBSCRIBE that waits, if a source is there, and keeps the sources' Forward State right.
    fn attach_waiting(&mut self, name: &FullTrackName) {
        let Some(route) = self.routes.get(name) else { return };
        let (track, mut granted) = (route.track, Vec::new());
        for &request in &route.subscribers {
            if let Some(subscriber) = self.subscribers.get(&request)
                && matches!(subscriber.state, SubscriberState::Waiting | SubscriberState::Held)
                && self.best_source(route, subscriber.peer).is_some()
            {
                granted.push(request);
            }
        }
        for request in granted {
            self.set_state(request, SubscriberState::Attached);
            self.actions.push(Action::Attach { request, track });
        }
        self.update_forward(name);
    }

    /// Asks PUBLISHes for objects as long as somebody wants them, all of them (draft-16 §8.5). Our own subscriptions
    /// always do (draft-16 §8.2).
    fn update_forward(&mut self, name: &FullTrackName) {
        let heard = self.is_heard(name);
        let Some(route) = self.routes.get(name) else { return };
        if route.lingering.is_some() {
            return;
        }
        for &request in &route.sources {
            if let Some(Source { kind: SourceKind::Published { forward }, .. }) =
                self.sources.get_mut(&request)
                && *forward != heard
            {
                *forward = heard;
                self.actions.push(Action::SetForward { request, forward: heard });
            }
        }
    }

    // --- ends ---

    pub(super) fn source_ended(&mut self, request: RequestKey, complete: bool, error: RequestError) {
        let Some(Source { peer, track: name, kind, .. }) = self.forget_source(request) else { return };
        let Some(route) = self.routes.get_mut(&name) else { return };
        if complete || matches!(kind, SourceKind::Subscribed { .. }) {
            route.declined.insert(peer);
        }
        let is_left = |core: &Self| {
            core.routes.get(&name).is_some_and(|route| core.sources_of(route).any(Source::is_established))
        };
        match complete {
            // Whoever has not answered yet has no more to send either.
            true if !is_left(self) => self.unsubscribe(&name, |_| true),
            true => {}
            false => self.ask_more(&name),
        }
        self.settle(&name, error);
        self.renew_offers(&name);
        self.update_forward(&name);
    }

    /// A track that is malformed at one source ends at once, for everybody (draft-14 §2.5, draft-16 §2.4.2).
    pub(super) fn malformed(&mut self, request: RequestKey) {
        let Some(Source { track: name, .. }) = self.forget_source(request) else { return };
        let Some(route) = self.routes.get(&name) else { return };
        for source in route.sources.clone() {
            self.forget_source(source);
            self.actions.push(Action::Unsubscribe(source));
        }
        let reason = "what a publisher sent breaks the rules of tracks";
        self.end_route(&name, &RequestError::new(RequestErrorCode::MalformedTrack, reason));
    }

    /// Ends a route without a source, and every subscription that the sources cannot serve: of relays by which the track
    /// would come back to where it has been.
    pub(super) fn settle(&mut self, name: &FullTrackName, error: RequestError) {
        let Some(route) = self.routes.get(name) else { return };
        if route.sources.is_empty() {
            let is_held = |key: &RequestKey| {
                self.subscribers.get(key).is_some_and(|it| it.state == SubscriberState::Held)
            };
            if route.subscribers.is_empty() || !route.subscribers.iter().all(is_held) {
                self.end_route(name, &error);
            }
            return;
        }
        let is_useless = |subscriber: &Subscriber| {
            !self.sources_of(route).any(|source| self.may_go(source.peer, &source.path, subscriber.peer))
        };
        let useless: Vec<_> = route
            .subscribers
            .iter()
            .filter_map(|key| Some((*key, self.subscribers.get(key)?)))
            .filter(|(_, subscriber)| self.links.contains_key(&subscriber.peer) && is_useless(subscriber))
            .map(|(key, subscriber)| (key, subscriber.state))
            .collect();
        for (request, state) in useless {
            self.actions.push(match state {
                SubscriberState::Waiting | SubscriberState::Held => {
                    Action::Reject { request, error: in_a_circle() }
                }
                SubscriberState::Attached | SubscriberState::Offered => Action::Leave(request),
            });
            self.subscriber_left(request);
        }
    }

    /// Ends those of our own subscriptions to a track that `which` picks.
    fn unsubscribe(&mut self, name: &FullTrackName, which: impl Fn(&Source) -> bool) {
        let Some(route) = self.routes.get(name) else { return };
        let ours: Vec<_> = route
            .sources
            .iter()
            .filter(|key| self.sources.get(key).is_some_and(|source| !source.is_published() && which(source)))
            .copied()
            .collect();
        for request in ours {
            self.forget_source(request);
            self.actions.push(Action::Unsubscribe(request));
        }
    }

    fn end_route(&mut self, name: &FullTrackName, error: &RequestError) {
        let Some(route) = self.routes.remove(name) else { return };
        for request in route.subscribers {
            let Some(subscriber) = self.subscribers.remove(&request) else { continue };
            self.disown(subscriber.peer, request);
            if matches!(subscriber.state, SubscriberState::Waiting | SubscriberState::Held) {
                self.actions.push(Action::Reject { request, error: error.clone() });
            }
        }
        self.actions.push(Action::EndTrack(route.track));
        self.actions.push(Action::Forget(name.namespace.clone()));
    }
}
