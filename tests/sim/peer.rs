//! A random application that keeps the rules: it publishes, subscribes, fetches and announces, and knows what must come.

pub(crate) mod publishing;
mod subscribing;

use std::collections::{BTreeMap, BTreeSet};

use moqingbird::session::{Closed, Event, Misuse};
use moqingbird::wire::model::{
    AuthorizationToken, Location, PublishNamespace, PublishOk, Request, RequestError, RequestErrorCode,
    RequestId, RequestKind, RequestOk, Response, SessionErrorCode, SubscribeNamespace, SubscribeOptions,
    SubscriptionFilter, TrackNamespace,
};

use crate::content::Content;
use crate::host::{Host, Item, Scene};
use crate::rng::Rng;
pub(crate) use publishing::write_object;
use publishing::{Publication, Serving};
use subscribing::{Fetching, Reading, Subscription};

/// What a request of ours is, until it has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mine {
    Subscription,
    Publication,
    Fetch,
    Status,
    Announcement,
    Prefix,
    Update,
}

#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) host: usize,
    rng: Rng,
    /// The first of its track numbers, and the first of those that it asks for.
    own: u64,
    wanted: u64,
    established: bool,
    pub(crate) closing: bool,
    pub(crate) closed: bool,
    mine: BTreeMap<RequestId, Mine>,
    /// Publications that were finished: they may still be answered.
    finished: BTreeSet<RequestId>,
    pending: Vec<(RequestId, Request)>,
    /// Updates that await our answer, with what they update.
    updates: Vec<(RequestId, RequestId)>,
    /// How far its tracks are.
    edges: BTreeMap<Content, Location>,
    publications: BTreeMap<RequestId, Publication>,
    servings: BTreeMap<RequestId, Serving>,
    subscriptions: BTreeMap<RequestId, Subscription>,
    fetches: BTreeMap<RequestId, Fetching>,
    readings: BTreeMap<moqingbird::session::StreamId, Reading>,
    /// Namespaces that the peer announces, and prefixes to which it subscribes with what it was told.
    announced: BTreeSet<RequestId>,
    prefixes: BTreeMap<RequestId, (SubscribeNamespace, BTreeSet<TrackNamespace>)>,
    /// What came for our prefixes.
    heard: BTreeMap<RequestId, BTreeSet<TrackNamespace>>,
}

fn namespace(rng: &mut Rng) -> TrackNamespace {
    let (a, b) = (rng.below(3), rng.below(4));
    let path = if rng.once_in(3) { format!("ns/{a}") } else { format!("ns/{a}/{b}") };
    TrackNamespace::from_path(&path).unwrap()
}

impl Peer {
    pub(crate) fn new(host: usize, rng: Rng, own: u64, wanted: u64) -> Self {
        Self {
            host,
            rng,
            own,
            wanted,
            established: false,
            closing: false,
            closed: false,
            mine: BTreeMap::new(),
            finished: BTreeSet::new(),
            pending: Vec::new(),
            updates: Vec::new(),
            edges: BTreeMap::new(),
            publications: BTreeMap::new(),
            servings: BTreeMap::new(),
            subscriptions: BTreeMap::new(),
            fetches: BTreeMap::new(),
            readings: BTreeMap::new(),
            announced: BTreeSet::new(),
            prefixes: BTreeMap::new(),
            heard: BTreeMap::new(),
        }
    }

    /// What should have ended and has not.
    pub(crate) fn leftovers(&self) -> Option<String> {
        let mine: Vec<_> = self.mine.iter().collect();
        let nothing = mine.is_empty() && self.pending.is_empty() && self.readings.is_empty();
        (!nothing)
            .then(|| format!("requests {mine:?}, unanswered {:?}, unread {:?}", self.pending, self.readings))
    }

    pub(crate) fn item(&mut self, host: &mut Host, scene: &mut Scene, item: Item) {
        match item {
            Item::Event(event) => self.event(host, scene, event),
            Item::Stream { stream, to, opening } => self.stream_came(host, scene, stream, to, &opening),
            Item::Subgroup { stream, item } => self.subgroup_item(host, scene, stream, item),
            Item::Fetch { stream, item } => self.fetch_item(host, scene, stream, item),
            Item::Refused { opening } => self.refused(host, scene, &opening),
            Item::Broken { stream, .. } => self.broken(stream),
            Item::Datagram { to, datagram } => self.datagram_came(host, scene, to, &datagram),
            Item::Unwritable { stream } => self.unwritable(stream),
        }
    }

    fn event(&mut self, host: &mut Host, scene: &mut Scene, event: Event) {
        let lawful = !scene.oracle.lawless.contains(&host.conn);
        match event {
            Event::Established(_) => self.established = true,
            Event::Request { id, request } => {
                self.check_tokens(scene, lawful, &request);
                self.pending.push((id, request));
                if self.rng.once_in(2) {
                    self.answer(host, scene);
                }
            }
            Event::Update { id, answer, .. } => {
                scene.oracle.note(id.0);
                self.updates.extend(answer.map(|answer| (id, answer)));
                if self.rng.once_in(2) {
                    self.answer_updates(host, scene);
                }
            }
            Event::Accepted { id, response } => self.accepted(scene, id, response),
            Event::Rejected { id, .. } => {
                let known = self.forget(id) || self.finished.contains(&id);
                scene.oracle.require(known, || format!("request {id} is rejected and was none"));
            }
            Event::Cancelled { id } => self.withdrawn(id),
            Event::Malformed { id, reason } => {
                self.forget(id);
                scene.oracle.require(!lawful, || {
                    format!("the track of request {id} is no more malformed than: {reason}")
                });
            }
            Event::Expired { id } => {
                self.forget(id);
                self.withdrawn(id);
            }
            Event::NewGroupRequest { .. } | Event::GoAway { .. } => {}
            Event::Ended { id, done } => {
                let opened = scene.oracle.opened.get(&(host.conn, id)).copied().unwrap_or_default();
                scene.oracle.require(!lawful || done.stream_count == opened, || {
                    format!("PUBLISH_DONE of request {id} counts {} streams of {opened}", done.stream_count)
                });
                let known = self.subscriptions.contains_key(&id);
                scene.oracle.require(known, || format!("subscription {id} ends and was none"));
                self.forget(id);
            }
            Event::Revoked { id, .. } => {
                self.forget(id);
            }
            Event::Namespace { id, namespace } => {
                let new = self.heard.entry(id).or_default().insert(namespace);
                scene.oracle.require(new, || format!("a namespace comes twice for request {id}"));
            }
            Event::NamespaceDone { id, namespace } => {
                let known = self.heard.entry(id).or_default().remove(&namespace);
                scene.oracle.require(known, || format!("a namespace goes twice for request {id}"));
            }
            Event::Closed(closed) => self.over(scene, lawful, &closed),
            other => scene.oracle.fail(format!("what is {other:?}?")),
        }
    }

    fn over(&mut self, scene: &mut Scene, lawful: bool, closed: &Closed) {
        self.closed = true;
        self.mine.clear();
        self.pending.clear();
        self.readings.clear();
        let code = match closed {
            Closed::Local { code, .. } | Closed::Peer { code, .. } => Some(*code),
            _ => None,
        };
        use SessionErrorCode::{GoAwayTimeout, InternalError, NoError};
        let fine = match code {
            None | Some(NoError | GoAwayTimeout) => true,
            Some(InternalError) => false,
            Some(_) => !lawful,
        };
        scene.oracle.require(fine, || format!("the session should not have ended: {closed}"));
    }

    /// A request of ours is over. Says whether there was such a one.
    fn forget(&mut self, id: RequestId) -> bool {
        self.subscriptions.remove(&id);
        self.fetches.remove(&id);
        self.publications.remove(&id);
        self.heard.remove(&id);
        self.mine.remove(&id).is_some()
    }

    /// A request of the peer's is over, or a publication of ours that it has left.
    fn withdrawn(&mut self, id: RequestId) {
        self.pending.retain(|(pending, _)| *pending != id);
        self.announced.remove(&id);
        self.prefixes.remove(&id);
        self.servings.remove(&id);
        self.publications.remove(&id);
        if self.mine.get(&id) == Some(&Mine::Publication) {
            self.mine.remove(&id);
        }
    }

    fn accepted(&mut self, scene: &mut Scene, id: RequestId, response: Response) {
        let Some(mine) = self.mine.get(&id).copied() else {
            let known = self.finished.contains(&id);
            return scene
                .oracle
                .require(known, || format!("request {id} is granted with {response:?} and was none"));
        };
        match (mine, response) {
            (Mine::Subscription, Response::Subscribe(ok)) => self.subscribed(id, &ok),
            (Mine::Fetch, Response::Fetch(ok)) => self.fetch_granted(scene, id, ok),
            (Mine::Status | Mine::Update, _) => {
                self.mine.remove(&id);
            }
            (Mine::Announcement | Mine::Prefix, Response::Ok { .. })
            | (Mine::Publication, Response::Publish(_)) => {}
            (mine, response) => scene.oracle.fail(format!("{mine:?} {id} is granted with {response:?}")),
        }
    }

    /// Does something, or not.
    pub(crate) fn tick(&mut self, host: &mut Host, scene: &mut Scene) {
        if self.closed || !self.established {
            return;
        }
        host.resume_all(scene);
        self.catch_up(host, scene);
        self.produce(host, scene);
        self.catch_up(host, scene);
        if self.closing || self.rng.once_in(2) {
            self.answer_updates(host, scene);
            self.answer(host, scene);
            self.catch_up(host, scene);
        }
        if self.closing {
            self.answer_all(host, scene);
            return self.leave(host, scene);
        }
        for _ in 0..self.rng.within(1, 4) {
            self.act(host, scene);
            self.catch_up(host, scene);
        }
    }

    /// Takes notice of what has come meanwhile: after a request is cancelled nothing more may be told of it.
    fn catch_up(&mut self, host: &mut Host, scene: &mut Scene) {
        while let Some(item) = host.inbox.pop_front() {
            self.item(host, scene, item);
        }
    }

    fn act(&mut self, host: &mut Host, scene: &mut Scene) {
        match self.rng.below(40) {
            0..=5 => self.subscribe(host, scene),
            6..=8 => self.publish(host, scene),
            9..=11 => self.fetch(host, scene),
            12..=13 => self.join(host, scene),
            14 => self.ask_status(host, scene),
            15..=16 => {
                let request = Request::PublishNamespace(PublishNamespace::new(namespace(&mut self.rng)));
                self.ask(host, scene, request, Mine::Announcement);
            }
            17 => {
                let mut subscribe = SubscribeNamespace::new(namespace(&mut self.rng));
                // Draft-14 has no options.
                if host.draft.rules().track_extensions && self.rng.once_in(3) {
                    subscribe.options = SubscribeOptions::Namespace;
                }
                self.ask(host, scene, Request::SubscribeNamespace(subscribe), Mine::Prefix);
            }
            18..=20 => self.update(host, scene),
            21..=22 => self.cancel(host, scene),
            23 => self.revoke(host, scene),
            24..=27 => self.tell_namespaces(host, scene),
            28 => self.finish_one(host, scene),
            29 => self.reset_one(host, scene),
            30 => self.stop_one(host, scene),
            31 => self.pause_one(host),
            32 if self.rng.once_in(30) => {
                host.run(scene, |session, now| session.go_away(now, bytes::Bytes::new())).ok();
            }
            _ => {}
        }
    }

    /// Asks the peer something. That it may not be asked now is no fault.
    fn ask(&mut self, host: &mut Host, scene: &mut Scene, request: Request, mine: Mine) -> Option<RequestId> {
        let id = host.run(scene, |session, now| session.request(now, request)).ok()?;
        self.mine.insert(id, mine);
        Some(id)
    }

    fn cancel(&mut self, host: &mut Host, scene: &mut Scene) {
        let ids: Vec<_> = self.mine.keys().copied().collect();
        let Some(id) = self.rng.of(&ids) else { return };
        if host.run(scene, |session, now| session.cancel(now, id)).is_ok() {
            self.forget(id);
        }
    }

    fn revoke(&mut self, host: &mut Host, scene: &mut Scene) {
        let ids: Vec<_> = self.announced.iter().copied().collect();
        let Some(id) = self.rng.of(&ids) else { return };
        let error = RequestError::new(RequestErrorCode::Uninterested, "no more");
        if host.run(scene, |session, now| session.revoke(now, id, error)).is_ok() {
            self.announced.remove(&id);
        }
    }

    fn tell_namespaces(&mut self, host: &mut Host, scene: &mut Scene) {
        let ids: Vec<_> = self.prefixes.keys().copied().collect();
        let Some(id) = self.rng.of(&ids) else { return };
        let Some((subscribe, told)) = self.prefixes.get_mut(&id) else { return };
        let field = format!("below{}", self.rng.below(3));
        let Ok(below) = subscribe.prefix.join(&TrackNamespace::from_path(&field).unwrap()) else { return };
        if told.contains(&below) {
            if host.run(scene, |session, now| session.namespace_done(now, id, &below)).is_ok() {
                told.remove(&below);
            }
        } else if host.run(scene, |session, now| session.namespace(now, id, below.clone())).is_ok() {
            told.insert(below);
        }
    }

    fn answer_updates(&mut self, host: &mut Host, scene: &mut Scene) {
        for (updated, id) in std::mem::take(&mut self.updates) {
            let response = Response::Ok { kind: None, ok: RequestOk::default() };
            let rejects = self.rng.once_in(12);
            // It fails if what it updates has ended meanwhile.
            let outcome = host.run(scene, |session, now| match rejects {
                true => session.reject(now, id, RequestError::new(RequestErrorCode::InternalError, "no")),
                false => session.accept(now, id, response),
            });
            if rejects && outcome.is_ok() && self.publications.remove(&updated).is_some() {
                self.mine.remove(&updated);
                self.finished.insert(updated);
            }
        }
    }

    fn answer_all(&mut self, host: &mut Host, scene: &mut Scene) {
        while !self.pending.is_empty() {
            self.answer(host, scene);
        }
    }

    /// Answers the oldest request.
    fn answer(&mut self, host: &mut Host, scene: &mut Scene) {
        if self.pending.is_empty() {
            return;
        }
        let (id, request) = self.pending.remove(0);
        let declines = self.closing || self.rng.once_in(8);
        if declines {
            let error = RequestError::new(RequestErrorCode::Unauthorized, "not today");
            let outcome = host.run(scene, |session, now| session.reject(now, id, error));
            return self.answered(host, scene, id, outcome);
        }
        let kind = request.kind();
        let outcome = match request {
            Request::Subscribe(subscribe) => self.accept_subscribe(host, scene, id, &subscribe),
            Request::Publish(publish) => self.accept_publish(host, scene, id, &publish),
            Request::Fetch(fetch) => self.accept_fetch(host, scene, id, fetch),
            Request::TrackStatus(subscribe) => {
                let largest = self.edges.get(&Content::of(&subscribe.track)).copied();
                let response =
                    Response::Ok { kind: Some(kind), ok: RequestOk { largest, ..RequestOk::default() } };
                host.run(scene, |session, now| session.accept(now, id, response))
            }
            Request::PublishNamespace(_) => {
                self.announced.insert(id);
                host.run(scene, |session, now| session.accept(now, id, granted(kind)))
            }
            Request::SubscribeNamespace(subscribe) => {
                self.prefixes.insert(id, (subscribe, BTreeSet::new()));
                host.run(scene, |session, now| session.accept(now, id, granted(kind)))
            }
            other => return scene.oracle.fail(format!("what is {other:?}?")),
        };
        self.answered(host, scene, id, outcome);
    }

    /// An answer fails only if the request has gone meanwhile.
    fn answered(&self, host: &Host, scene: &mut Scene, id: RequestId, outcome: Result<(), Misuse>) {
        if let Err(misuse) = outcome {
            let known = self.closed || host.is_withdrawn(id);
            scene.oracle.require(known, || format!("request {id} cannot be answered: {misuse}"));
        }
    }

    /// Ends what does not end by itself.
    fn leave(&mut self, host: &mut Host, scene: &mut Scene) {
        let ids: Vec<_> = self.mine.iter().map(|(id, mine)| (*id, *mine)).collect();
        for (id, mine) in ids {
            if matches!(mine, Mine::Announcement | Mine::Prefix)
                && host.run(scene, |session, now| session.cancel(now, id)).is_ok()
            {
                self.forget(id);
            }
        }
        self.finish_all(host, scene);
    }

    fn check_tokens(&self, scene: &mut Scene, lawful: bool, request: &Request) {
        let Request::Subscribe(subscribe) = request else { return };
        for token in &subscribe.authorization_tokens {
            let AuthorizationToken::UseValue { token_type, value } = token else {
                scene.oracle.fail(format!("an application is given {token:?}"));
                continue;
            };
            let holds = !lawful || *value == token_value(*token_type);
            scene.oracle.require(holds, || format!("a token of type {token_type} has another value"));
        }
    }
}

fn granted(kind: RequestKind) -> Response {
    Response::Ok { kind: Some(kind), ok: RequestOk::default() }
}

fn token_value(token_type: u64) -> bytes::Bytes {
    format!("token {token_type}").into()
}

/// An answer to PUBLISH.
fn publish_ok(rng: &mut Rng) -> PublishOk {
    let filter = match rng.below(3) {
        0 => SubscriptionFilter::LargestObject,
        1 => SubscriptionFilter::NextGroupStart,
        _ => SubscriptionFilter::AbsoluteStart(Location::new(rng.below(3), 0)),
    };
    PublishOk {
        forward: !rng.once_in(6),
        subscriber_priority: rng.below(256) as u8,
        filter: Some(filter),
        ..PublishOk::default()
    }
}
