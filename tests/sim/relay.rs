//! The middle of a chain: it asks upstream for what is asked of it downstream, and passes on what comes, in the draft of
//! either side.

use std::collections::{BTreeMap, BTreeSet};

use moqingbird::session::{Event, StreamId};
use moqingbird::wire::model::{
    Fetch, FetchItem, FetchOk, Opening, PublishDone, Request, RequestError, RequestErrorCode, RequestId,
    RequestOk, ResetCode, Response, Subscribe, SubscribeOk, SubscriptionFilter, TrackAlias,
};
use moqingbird::wire::stream::{FetchStreamItem, FetchWriter, SubgroupItem, SubgroupWriter};

use crate::host::{Host, Item, Scene};
use crate::peer::write_object;

#[derive(Debug)]
pub(crate) struct Relay {
    /// The hosts towards the publisher and towards the subscriber.
    pub(crate) up: usize,
    pub(crate) down: usize,
    established: [bool; 2],
    closed: [bool; 2],
    /// What is asked upstream, by what was asked downstream, and the reverse.
    asked: BTreeMap<RequestId, RequestId>,
    askers: BTreeMap<RequestId, RequestId>,
    streams: BTreeMap<StreamId, Passed>,
    /// Subscriptions that are over upstream, and wait for their streams.
    done: BTreeMap<RequestId, PublishDone>,
    /// Fetches upstream that are answered, or whose stream has ended.
    halves: BTreeSet<RequestId>,
}

/// A stream that is passed on.
#[derive(Debug)]
struct Passed {
    request: RequestId,
    to: StreamId,
    group: u64,
    writer: Writer,
}

#[derive(Debug)]
enum Writer {
    Subgroup(SubgroupWriter),
    Fetch(FetchWriter),
}

impl Relay {
    pub(crate) fn new(up: usize, down: usize) -> Self {
        Self {
            up,
            down,
            established: [false; 2],
            closed: [false; 2],
            asked: BTreeMap::new(),
            askers: BTreeMap::new(),
            streams: BTreeMap::new(),
            done: BTreeMap::new(),
            halves: BTreeSet::new(),
        }
    }

    pub(crate) fn leftovers(&self) -> Option<String> {
        (!self.asked.is_empty() || !self.streams.is_empty() || !self.done.is_empty())
            .then(|| format!("the relay keeps {:?}, {:?}, {:?}", self.asked, self.streams, self.done))
    }

    pub(crate) fn tick(&mut self, up: &mut Host, down: &mut Host, scene: &mut Scene) {
        let all: Vec<_> = self.streams.iter().map(|(from, passed)| (*from, passed.to)).collect();
        for (from, to) in all {
            if down.is_drained(to) {
                up.resume(scene, from);
            }
        }
        self.finish_done(down, scene);
    }

    /// What comes from the subscriber.
    pub(crate) fn item_below(&mut self, up: &mut Host, down: &mut Host, scene: &mut Scene, item: Item) {
        match item {
            Item::Event(Event::Established(_)) => self.established[1] = true,
            Item::Event(Event::Request { id, request }) => self.asked_below(up, down, scene, id, request),
            Item::Event(Event::Update { answer: Some(answer), .. }) => {
                let response = Response::Ok { kind: None, ok: RequestOk::default() };
                // It fails if what it updates has ended meanwhile.
                let _ = down.run(scene, |session, now| session.accept(now, answer, response));
            }
            Item::Event(Event::Cancelled { id } | Event::Expired { id }) => self.left_below(up, scene, id),
            Item::Event(Event::Closed(_)) => {
                self.closed[1] = true;
                let all: Vec<_> = self.asked.keys().copied().collect();
                for id in all {
                    self.left_below(up, scene, id);
                }
            }
            Item::Event(Event::Malformed { reason, .. }) => {
                scene.oracle.fail(format!("malformed at the relay: {reason}"));
            }
            Item::Unwritable { stream } => {
                let from = self.streams.iter().find(|(_, passed)| passed.to == stream).map(|(from, _)| *from);
                if let Some((from, passed)) = from.and_then(|from| self.streams.remove_entry(&from)) {
                    up.stop(scene, from, ResetCode::Cancelled);
                    self.not_passed(&passed);
                }
            }
            _ => {}
        }
        self.finish_done(down, scene);
    }

    fn asked_below(
        &mut self,
        up: &mut Host,
        down: &mut Host,
        scene: &mut Scene,
        id: RequestId,
        request: Request,
    ) {
        let request = match request {
            Request::Subscribe(subscribe) => Request::Subscribe(Subscribe {
                filter: subscribe.filter.or(Some(SubscriptionFilter::LargestObject)),
                authorization_tokens: Vec::new(),
                forward: true,
                ..Subscribe { new_group_request: None, ..subscribe }
            }),
            Request::Fetch(fetch) => Request::Fetch(Fetch { authorization_tokens: Vec::new(), ..fetch }),
            other => {
                let error = RequestError::new(RequestErrorCode::NotSupported, "only SUBSCRIBE and FETCH");
                let outcome = down.run(scene, |session, now| session.reject(now, id, error));
                let known = outcome.is_ok() || down.is_withdrawn(id);
                return scene.oracle.require(known, || format!("{other:?} cannot be declined"));
            }
        };
        let asked = match self.established[0] {
            true => up.run(scene, |session, now| session.request(now, request)).ok(),
            false => None,
        };
        match asked {
            Some(asked) => {
                self.asked.insert(id, asked);
                self.askers.insert(asked, id);
            }
            None => {
                self.decline(down, scene, id, RequestError::new(RequestErrorCode::InternalError, "not now"));
            }
        }
    }

    fn decline(&mut self, down: &mut Host, scene: &mut Scene, id: RequestId, error: RequestError) {
        // It fails if the request was withdrawn meanwhile.
        let _ = down.run(scene, |session, now| session.reject(now, id, error));
    }

    fn left_below(&mut self, up: &mut Host, scene: &mut Scene, id: RequestId) {
        self.done.remove(&id);
        let Some(asked) = self.asked.remove(&id) else { return };
        self.askers.remove(&asked);
        self.halves.remove(&asked);
        // It fails if it has ended meanwhile.
        let _ = up.run(scene, |session, now| session.cancel(now, asked));
        let all: Vec<_> =
            self.streams.iter().filter(|(_, it)| it.request == id).map(|(from, _)| *from).collect();
        for from in all {
            self.streams.remove(&from);
            up.stop(scene, from, ResetCode::Cancelled);
        }
    }

    /// What comes from the publisher.
    pub(crate) fn item_above(&mut self, up: &mut Host, down: &mut Host, scene: &mut Scene, item: Item) {
        match item {
            Item::Event(event) => self.event_above(up, down, scene, event),
            Item::Stream { stream, to, opening } => self.stream_above(up, down, scene, stream, to, &opening),
            Item::Subgroup { stream, item } => self.subgroup_item(up, down, scene, stream, item),
            Item::Fetch { stream, item } => self.fetch_item(up, down, scene, stream, item),
            Item::Broken { stream, reset } => {
                if let Some(passed) = self.streams.remove(&stream) {
                    let code = reset.map_or(ResetCode::Cancelled, |code| up.draft.reset(code));
                    down.reset(scene, passed.to, code);
                    self.not_passed(&passed);
                }
            }
            Item::Datagram { to, datagram } => {
                if let Some(id) = self.askers.get(&to).copied()
                    && let Ok(data) = down.session.datagram(id, datagram)
                {
                    scene.net.datagram(down.conn, down.end, data);
                }
                down.drain(scene);
            }
            Item::Unwritable { .. } | Item::Refused { .. } => {}
        }
        self.finish_done(down, scene);
    }

    fn event_above(&mut self, up: &mut Host, down: &mut Host, scene: &mut Scene, event: Event) {
        match event {
            Event::Established(_) => self.established[0] = true,
            Event::Request { id, .. } => {
                let error = RequestError::new(RequestErrorCode::NotSupported, "only SUBSCRIBE and FETCH");
                let outcome = up.run(scene, |session, now| session.reject(now, id, error));
                let known = outcome.is_ok() || up.is_withdrawn(id);
                scene.oracle.require(known, || format!("request {id} cannot be declined"));
            }
            Event::Accepted { id, response } => {
                let Some(asker) = self.askers.get(&id).copied() else { return };
                let response = match response {
                    Response::Subscribe(ok) => {
                        Response::Subscribe(SubscribeOk { track_alias: TrackAlias(0), expires: None, ..ok })
                    }
                    Response::Fetch(ok) => Response::Fetch(FetchOk { ..ok }),
                    other => return scene.oracle.fail(format!("an answer of another kind: {other:?}")),
                };
                // It fails if the request was withdrawn meanwhile.
                let is_fetch = matches!(response, Response::Fetch(_));
                let _ = down.run(scene, |session, now| session.accept(now, asker, response));
                if is_fetch {
                    self.half_of_fetch(id);
                }
            }
            Event::Rejected { id, error } => {
                if let Some(asker) = self.askers.remove(&id) {
                    self.asked.remove(&asker);
                    self.decline(down, scene, asker, error);
                }
            }
            Event::Ended { id, done } => {
                let opened = scene.oracle.opened.get(&(up.conn, id)).copied().unwrap_or_default();
                scene.oracle.require(done.stream_count == opened, || {
                    format!("PUBLISH_DONE of request {id} counts {} streams of {opened}", done.stream_count)
                });
                if let Some(asker) = self.askers.remove(&id) {
                    self.asked.remove(&asker);
                    self.done.insert(asker, done);
                }
            }
            Event::Malformed { reason, .. } => scene.oracle.fail(format!("malformed at the relay: {reason}")),
            Event::Closed(_) => {
                self.closed[0] = true;
                for (_, passed) in std::mem::take(&mut self.streams) {
                    down.reset(scene, passed.to, ResetCode::InternalError);
                }
                for (_, asker) in std::mem::take(&mut self.askers) {
                    self.asked.remove(&asker);
                    let error = RequestError::new(RequestErrorCode::InternalError, "the publisher is gone");
                    if down.run(scene, |session, now| session.reject(now, asker, error)).is_err() {
                        let code = moqingbird::wire::model::PublishDoneCode::InternalError;
                        let done =
                            PublishDone { code, stream_count: 0, reason: "the publisher is gone".into() };
                        self.done.insert(asker, done);
                    }
                }
            }
            _ => {}
        }
    }

    /// Ends what is over upstream, once all its streams are passed on.
    fn finish_done(&mut self, down: &mut Host, scene: &mut Scene) {
        let ready: Vec<_> = self
            .done
            .keys()
            .filter(|id| !self.streams.values().any(|it| it.request == **id))
            .copied()
            .collect();
        for id in ready {
            let Some(done) = self.done.remove(&id) else { continue };
            let finish = |session: &mut moqingbird::session::Session, now| {
                session.finish(now, id, done.code, done.reason)
            };
            if down.run(scene, finish).is_err() {
                // A FETCH, whose stream is all that there is, or what has gone meanwhile.
                let _ = down.run(scene, |session, now| session.cancel(now, id));
            }
        }
    }

    fn stream_above(
        &mut self,
        up: &mut Host,
        down: &mut Host,
        scene: &mut Scene,
        from: StreamId,
        asked: RequestId,
        opening: &Opening,
    ) {
        let Some(&request) = self.askers.get(&asked) else {
            return up.stop(scene, from, ResetCode::Cancelled);
        };
        let opened = match opening {
            Opening::Subgroup(header) => {
                let flags = (header.extensions, header.end_of_group);
                let priority = header.publisher_priority.unwrap_or(128);
                let subgroup = header.subgroup_id;
                let opened = down.open_subgroup(scene, request, header.group_id, subgroup, priority, flags);
                opened.map(|(to, writer)| (to, header.group_id, Writer::Subgroup(writer)))
            }
            _ => down.open_fetch(scene, request, 128).map(|(to, writer)| (to, 0, Writer::Fetch(writer))),
        };
        match opened {
            Ok((to, group, writer)) => {
                self.streams.insert(from, Passed { request, to, group, writer });
            }
            // The subscriber does not want it.
            Err(_) => {
                up.stop(scene, from, ResetCode::Cancelled);
                if let Opening::Fetch(_) = opening {
                    self.half_of_fetch(asked);
                }
            }
        }
    }

    fn subgroup_item(
        &mut self,
        up: &mut Host,
        down: &mut Host,
        scene: &mut Scene,
        from: StreamId,
        item: SubgroupItem,
    ) {
        let Some(Passed { to, group, writer: Writer::Subgroup(writer), .. }) = self.streams.get_mut(&from)
        else {
            return;
        };
        let to = *to;
        match item {
            SubgroupItem::Object(object) => {
                write_object(down, scene, to, writer, *group, &object, bytes::Bytes::new());
            }
            SubgroupItem::Payload(part) => down.send(scene, to, part),
            SubgroupItem::End { .. } => {
                self.streams.remove(&from);
                down.finish(scene, to);
            }
            other => scene.oracle.fail(format!("what is {other:?}?")),
        }
        if !down.is_drained(to) {
            up.pause(from);
        }
    }

    fn fetch_item(
        &mut self,
        up: &mut Host,
        down: &mut Host,
        scene: &mut Scene,
        from: StreamId,
        item: FetchStreamItem,
    ) {
        let Some(Passed { to, request, writer: Writer::Fetch(writer), .. }) = self.streams.get_mut(&from)
        else {
            return;
        };
        let (to, request) = (*to, *request);
        match item {
            FetchStreamItem::Object(object) => match writer.item(&FetchItem::Object(object)) {
                Ok(bytes) => down.send(scene, to, bytes),
                Err(error) => scene.oracle.fail(format!("a fetched object cannot be passed on: {error}")),
            },
            FetchStreamItem::EndOfRange { end, status } => {
                // Draft-14 cannot say it.
                if let Ok(bytes) = writer.item(&FetchItem::EndOfRange { end, status }) {
                    down.send(scene, to, bytes);
                }
            }
            FetchStreamItem::Payload(part) => down.send(scene, to, part),
            FetchStreamItem::End => {
                self.streams.remove(&from);
                down.finish(scene, to);
                if let Some(asked) = self.asked.get(&request).copied() {
                    self.half_of_fetch(asked);
                }
            }
            other => scene.oracle.fail(format!("what is {other:?}?")),
        }
        if !down.is_drained(to) {
            up.pause(from);
        }
    }

    /// A stream is not passed on to its end.
    fn not_passed(&mut self, passed: &Passed) {
        let asked = self.asked.get(&passed.request).copied();
        if let (Writer::Fetch(_), Some(asked)) = (&passed.writer, asked) {
            self.half_of_fetch(asked);
        }
    }

    /// A FETCH has been answered, or its stream has ended: when both have come about it is over.
    fn half_of_fetch(&mut self, asked: RequestId) {
        if !self.halves.insert(asked) {
            self.halves.remove(&asked);
            if let Some(asker) = self.askers.remove(&asked) {
                self.asked.remove(&asker);
            }
        }
    }
}
