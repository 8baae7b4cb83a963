//! The subscriber in a peer: what it asks for, and that what comes is what must.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use moqingbird::session::{Misuse, Range, StreamId};
use moqingbird::wire::model::{
    AuthorizationToken, Datagram, DatagramBody, EndLocation, Fetch, FetchObject, FetchOk, FetchRange,
    GroupOrder, Location, ObjectHeader, ObjectStatus, Opening, Publish, Request, RequestId, RequestUpdate,
    ResetCode, Response, SubgroupHeader, SubgroupId, Subscribe, SubscribeOk, SubscriptionFilter, TrackAlias,
};
use moqingbird::wire::stream::{FetchStreamItem, SubgroupItem};

use super::publishing::{end_after, fetched};
use super::{Mine, Peer, publish_ok, token_value};
use crate::content::{self, Content};
use crate::host::{Host, Scene};

/// A subscription by which it receives.
#[derive(Debug)]
pub(crate) struct Subscription {
    content: Content,
    alias: Option<TrackAlias>,
    filter: Option<SubscriptionFilter>,
    largest: Option<Location>,
    accepted: bool,
    joinable: bool,
    /// The ranges that it has had; none if any object may come.
    ranges: Vec<Range>,
    seen: BTreeSet<Location>,
}

#[derive(Debug)]
pub(crate) struct Fetching {
    content: Content,
    start: Location,
    /// Where it must end, if it joins a subscription: just before that begins.
    joins: Option<Location>,
    ok: Option<FetchOk>,
    seen: Vec<Location>,
    /// Whether the stream has ended: with all that there is, or before.
    ended: Option<bool>,
}

/// A stream that is read.
#[derive(Debug)]
pub(crate) struct Reading {
    request: RequestId,
    content: Content,
    header: Option<SubgroupHeader>,
    /// Whether the subscription has gone and the stream is read on.
    objects: Vec<(u64, u64)>,
    /// What the payload of the last object still lacks.
    left: Bytes,
}

impl Peer {
    pub(super) fn subscribe(&mut self, host: &mut Host, scene: &mut Scene) {
        let track = content::track(self.wanted + self.rng.below(4));
        let content = Content::of(&track);
        let start = Location::new(self.rng.below(6), self.rng.below(3));
        let filter = match self.rng.below(6) {
            0 => SubscriptionFilter::NextGroupStart,
            1 => SubscriptionFilter::AbsoluteStart(start),
            2 => SubscriptionFilter::AbsoluteRange { start, end_group: start.group + self.rng.below(4) },
            _ => SubscriptionFilter::LargestObject,
        };
        let subscribe = Subscribe {
            subscriber_priority: self.rng.below(256) as u8,
            group_order: self
                .rng
                .of(&[None, Some(GroupOrder::Ascending), Some(GroupOrder::Descending)])
                .flatten(),
            forward: !self.rng.once_in(6),
            filter: Some(filter),
            delivery_timeout: self.rng.once_in(4).then(|| Duration::from_millis(self.rng.within(20, 500))),
            // What a draft cannot say is not asked.
            new_group_request: self.rng.once_in(8).then_some(0),
            authorization_tokens: self.tokens(),
            ..Subscribe::new(track)
        };
        if let Some(id) = self.ask(host, scene, Request::Subscribe(subscribe), Mine::Subscription) {
            let subscription = Subscription {
                content,
                alias: None,
                filter: Some(filter),
                largest: None,
                accepted: false,
                joinable: filter == SubscriptionFilter::LargestObject,
                ranges: Vec::new(),
                seen: BTreeSet::new(),
            };
            self.subscriptions.insert(id, subscription);
        }
    }

    fn tokens(&mut self) -> Vec<AuthorizationToken> {
        let token_type = self.rng.below(5);
        let value = token_value(token_type);
        match self.rng.below(8) {
            0 => vec![AuthorizationToken::UseValue { token_type, value }],
            1 => vec![AuthorizationToken::Register { alias: token_type, token_type, value }],
            2 => vec![AuthorizationToken::UseAlias { alias: token_type }],
            3 => vec![AuthorizationToken::Delete { alias: token_type }],
            _ => Vec::new(),
        }
    }

    pub(super) fn subscribed(&mut self, id: RequestId, ok: &SubscribeOk) {
        if let Some(subscription) = self.subscriptions.get_mut(&id) {
            subscription.accepted = true;
            subscription.alias = Some(ok.track_alias);
            subscription.largest = ok.largest;
            subscription.ranges.push(Range::new(subscription.filter, ok.largest));
        }
    }

    pub(super) fn accept_publish(
        &mut self,
        host: &mut Host,
        scene: &mut Scene,
        id: RequestId,
        publish: &Publish,
    ) -> Result<(), Misuse> {
        let ok = publish_ok(&mut self.rng);
        let subscription = Subscription {
            content: Content::of(&publish.track),
            alias: Some(publish.track_alias),
            filter: ok.filter,
            largest: publish.largest,
            accepted: true,
            joinable: ok.filter == Some(SubscriptionFilter::LargestObject),
            ranges: Vec::new(),
            seen: BTreeSet::new(),
        };
        self.subscriptions.insert(id, subscription);
        self.mine.insert(id, Mine::Subscription);
        host.run(scene, |session, now| session.accept(now, id, Response::Publish(ok)))
    }

    pub(super) fn update(&mut self, host: &mut Host, scene: &mut Scene) {
        let ids: Vec<_> = self.subscriptions.keys().copied().collect();
        let Some(id) = self.rng.of(&ids) else { return };
        let Some(subscription) = self.subscriptions.get_mut(&id).filter(|it| it.accepted) else { return };
        let filter = subscription.ranges.last().filter(|_| self.rng.once_in(3)).map(|range| {
            let start = Location::new(range.start.group + self.rng.below(2), 0).max(range.start);
            match range.end_group {
                Some(end_group) => {
                    SubscriptionFilter::AbsoluteRange { start, end_group: end_group.max(start.group) }
                }
                None => SubscriptionFilter::AbsoluteStart(start),
            }
        });
        let update = RequestUpdate {
            filter,
            subscriber_priority: self.rng.once_in(2).then(|| self.rng.below(256) as u8),
            forward: self.rng.once_in(2).then(|| !self.rng.once_in(3)),
            delivery_timeout: self.rng.once_in(4).then(|| Duration::from_millis(self.rng.within(20, 500))),
            ..RequestUpdate::default()
        };
        if let Ok(answered) = host.run(scene, |session, now| session.update(now, id, update)) {
            if let Some(filter) = filter {
                subscription.ranges.push(Range::new(Some(filter), subscription.largest));
            }
            if let Some(number) = answered {
                self.mine.insert(number, Mine::Update);
            }
        }
    }

    pub(super) fn ask_status(&mut self, host: &mut Host, scene: &mut Scene) {
        let request = Request::TrackStatus(Subscribe::new(content::track(self.wanted + self.rng.below(4))));
        self.ask(host, scene, request, Mine::Status);
    }

    pub(super) fn fetch(&mut self, host: &mut Host, scene: &mut Scene) {
        let track = content::track(self.wanted + self.rng.below(4));
        let content = Content::of(&track);
        let start = Location::new(self.rng.below(5), self.rng.below(3));
        let end = end_after(&mut self.rng, start);
        self.ask_fetch(host, scene, (content, start, None), FetchRange::Standalone { track, start, end });
    }

    pub(super) fn join(&mut self, host: &mut Host, scene: &mut Scene) {
        let joinable: Vec<_> = self
            .subscriptions
            .iter()
            .filter(|(_, it)| it.joinable && it.accepted)
            .map(|(id, _)| *id)
            .collect();
        let Some(id) = self.rng.of(&joinable) else { return };
        let Subscription { content, largest: Some(largest), .. } = self.subscriptions[&id] else { return };
        let groups_before = self.rng.below(4);
        let start_group = largest.group.saturating_sub(groups_before);
        let range = match self.rng.once_in(2) {
            true => FetchRange::RelativeJoining { subscription: id, groups_before },
            false => FetchRange::AbsoluteJoining { subscription: id, start_group },
        };
        self.ask_fetch(host, scene, (content, Location::new(start_group, 0), Some(largest)), range);
    }

    fn ask_fetch(
        &mut self,
        host: &mut Host,
        scene: &mut Scene,
        (content, start, joins): (Content, Location, Option<Location>),
        range: FetchRange,
    ) {
        let group_order =
            self.rng.of(&[None, Some(GroupOrder::Ascending), Some(GroupOrder::Descending)]).flatten();
        let fetch = Fetch { group_order, ..Fetch::new(range) };
        if let Some(id) = self.ask(host, scene, Request::Fetch(fetch), Mine::Fetch) {
            self.fetches
                .insert(id, Fetching { content, start, joins, ok: None, seen: Vec::new(), ended: None });
        }
    }

    pub(super) fn stop_one(&mut self, host: &mut Host, scene: &mut Scene) {
        let streams: Vec<_> = self.readings.keys().copied().collect();
        if let Some(stream) = self.rng.of(&streams) {
            host.stop(scene, stream, ResetCode::Cancelled);
        }
    }

    pub(super) fn pause_one(&mut self, host: &mut Host) {
        let streams: Vec<_> = self.readings.keys().copied().collect();
        if let Some(stream) = self.rng.of(&streams) {
            host.pause(stream);
        }
    }
}

/// What comes.
impl Peer {
    pub(super) fn stream_came(
        &mut self,
        host: &Host,
        scene: &mut Scene,
        stream: StreamId,
        request: RequestId,
        opening: &Opening,
    ) {
        let (content, header) = match opening {
            Opening::Subgroup(header) => {
                (self.subscriptions.get(&request).map(|it| it.content), Some(*header))
            }
            _ => (self.fetches.get(&request).map(|it| it.content), None),
        };
        let lawless = scene.oracle.lawless.contains(&host.conn);
        let Some(content) = content else {
            return scene.oracle.fail(format!("{stream:?} is given to request {request}, which wants none"));
        };
        if let Some(SubgroupHeader {
            group_id,
            subgroup_id: SubgroupId::Id(subgroup),
            publisher_priority,
            ..
        }) = header
        {
            let priority = publisher_priority.unwrap_or(128);
            let holds = lawless || priority == content.priority(group_id, subgroup);
            scene.oracle.require(holds, || format!("{stream:?} of group {group_id} has priority {priority}"));
        }
        scene.oracle.note(stream.number());
        self.readings
            .insert(stream, Reading { request, content, header, objects: Vec::new(), left: Bytes::new() });
    }

    /// A stream of a subscription that is granted is never refused, however early it came.
    pub(super) fn refused(&self, host: &Host, scene: &mut Scene, opening: &Opening) {
        let Opening::Subgroup(header) = opening else { return };
        let wanted =
            self.subscriptions.values().any(|it| it.accepted && it.alias == Some(header.track_alias));
        let holds = !wanted || scene.oracle.lawless.contains(&host.conn);
        scene
            .oracle
            .require(holds, || format!("a stream is refused whose subscription wants it: {header:?}"));
    }

    pub(super) fn broken(&mut self, stream: StreamId) {
        if let Some(reading) = self.readings.remove(&stream) {
            self.fetch_ended(reading.request, false);
        }
    }

    pub(super) fn subgroup_item(
        &mut self,
        host: &Host,
        scene: &mut Scene,
        stream: StreamId,
        item: SubgroupItem,
    ) {
        let lawless = scene.oracle.lawless.contains(&host.conn);
        let Some(reading) = self.readings.get_mut(&stream) else {
            return scene.oracle.fail(format!("{stream:?} brings {item:?} and was not delivered"));
        };
        match item {
            SubgroupItem::Object(object) => {
                let Some(header) = reading.header else { return };
                let at = Location::new(header.group_id, object.object_id);
                let problem = reading.begin(at, &object, &header, host);
                let subscription = self.subscriptions.get_mut(&reading.request);
                let problem = problem.or_else(|| {
                    let subscription = subscription?;
                    let inside = subscription.ranges.is_empty()
                        || subscription.ranges.iter().any(|it| it.contains(at));
                    match (inside || object.status != ObjectStatus::Normal, subscription.seen.insert(at)) {
                        (true, true) => None,
                        (false, _) => Some("it is outside of the subscription"),
                        (_, false) => Some("it came before"),
                    }
                });
                scene.oracle.objects += 1;
                scene.oracle.note(at.group << 20 | at.object);
                if let Some(problem) = problem.filter(|_| !lawless) {
                    scene.oracle.fail(format!(
                        "object {at} of {stream:?} of request {}: {problem}: {object:?}",
                        reading.request
                    ));
                }
            }
            SubgroupItem::Payload(part) => reading.payload(scene, stream, &part, lawless),
            SubgroupItem::End { .. } => {
                let complete = reading.left.is_empty();
                let (objects, request) = (std::mem::take(&mut reading.objects), reading.request);
                self.readings.remove(&stream);
                let sent = host.sent(scene, stream).map(|sent| sent.objects.clone());
                scene.oracle.require(lawless || (complete && sent.as_ref() == Some(&objects)), || {
                    format!("{stream:?} of request {request} ends with {objects:?}, sent were {sent:?}")
                });
            }
            other => scene.oracle.fail(format!("what is {other:?}?")),
        }
    }

    pub(super) fn datagram_came(
        &mut self,
        host: &Host,
        scene: &mut Scene,
        to: RequestId,
        datagram: &Datagram,
    ) {
        if scene.oracle.lawless.contains(&host.conn) {
            return;
        }
        let Some(subscription) = self.subscriptions.get_mut(&to) else {
            return scene.oracle.fail(format!("a datagram is given to request {to}, which wants none"));
        };
        let content = subscription.content;
        let at = Location::new(datagram.group_id, datagram.object_id);
        let same = content.exists(at)
            && datagram.extensions == content.extensions(at, host.draft.rules().extension_keys)
            && datagram.body == DatagramBody::Payload(content.payload(at))
            && datagram.publisher_priority == Some(content.priority(at.group, 0));
        scene.oracle.objects += 1;
        scene.oracle.require(same, || format!("datagram {at} of request {to} is changed: {datagram:?}"));
        let new = subscription.seen.insert(at);
        scene.oracle.require(new, || format!("datagram {at} of request {to} comes twice"));
    }

    pub(super) fn fetch_item(
        &mut self,
        host: &Host,
        scene: &mut Scene,
        stream: StreamId,
        item: FetchStreamItem,
    ) {
        let lawless = scene.oracle.lawless.contains(&host.conn);
        let Some(reading) = self.readings.get_mut(&stream) else {
            return scene.oracle.fail(format!("{stream:?} brings {item:?} and was not delivered"));
        };
        match item {
            FetchStreamItem::Object(object) => {
                let at = object.location;
                let problem = reading.begin_fetched(at, &object, host);
                scene.oracle.objects += 1;
                if let Some(fetching) = self.fetches.get_mut(&reading.request) {
                    fetching.seen.push(at);
                }
                if let Some(problem) = problem.filter(|_| !lawless) {
                    scene
                        .oracle
                        .fail(format!("object {at} of FETCH {}: {problem}: {object:?}", reading.request));
                }
            }
            FetchStreamItem::Payload(part) => reading.payload(scene, stream, &part, lawless),
            FetchStreamItem::EndOfRange { .. } => {}
            FetchStreamItem::End => {
                let (complete, request) = (reading.left.is_empty(), reading.request);
                self.readings.remove(&stream);
                scene.oracle.require(lawless || complete, || format!("{stream:?} ends within an object"));
                self.fetch_ended(request, true);
                self.check_fetch(scene, request, lawless);
            }
            other => scene.oracle.fail(format!("what is {other:?}?")),
        }
    }

    fn fetch_ended(&mut self, id: RequestId, complete: bool) {
        if let Some(fetching) = self.fetches.get_mut(&id) {
            fetching.ended = Some(complete);
            if fetching.ok.is_some() {
                self.mine.remove(&id);
            }
        }
    }

    pub(super) fn fetch_granted(&mut self, scene: &mut Scene, id: RequestId, ok: FetchOk) {
        if let Some(fetching) = self.fetches.get_mut(&id) {
            fetching.ok = Some(ok);
            if fetching.ended.is_some() {
                self.mine.remove(&id);
            }
        }
        self.check_fetch(scene, id, false);
    }

    /// A FETCH that is complete has brought everything up to where its answer says that it ends.
    fn check_fetch(&mut self, scene: &mut Scene, id: RequestId, lawless: bool) {
        let Some(Fetching { content, start, joins, ok: Some(ok), seen, ended: Some(true) }) =
            self.fetches.get_mut(&id)
        else {
            return;
        };
        if let Some(largest) = joins {
            let before = EndLocation { group: largest.group, object: Some(largest.object) };
            scene.oracle.require(lawless || ok.end == before, || {
                format!("FETCH {id} joins a subscription behind {largest} and ends at {:?}", ok.end)
            });
        }
        let mut seen = std::mem::take(seen);
        seen.sort();
        let expected = content.range(*start, ok.end);
        scene.oracle.require(lawless || seen == expected, || {
            format!("FETCH {id} from {start} brings {seen:?}, it should {expected:?}")
        });
        self.fetches.remove(&id);
    }
}

impl Reading {
    /// An object begins. Gives what is wrong with it.
    fn begin(
        &mut self,
        at: Location,
        object: &ObjectHeader,
        header: &SubgroupHeader,
        host: &Host,
    ) -> Option<&'static str> {
        let content = self.content;
        let cut_short = !self.left.is_empty();
        self.left = Bytes::new();
        let subgroup = match header.subgroup_id {
            SubgroupId::Zero => 0,
            SubgroupId::Id(id) => id,
            _ => self.objects.first().map_or(at.object, |(_, first)| *first),
        };
        self.objects.push((at.group, at.object));
        if cut_short {
            return Some("the object before was cut short");
        }
        if object.status != ObjectStatus::Normal {
            let lawful = content.end_status(at.group, subgroup) == Some(at.object);
            return (!lawful).then_some("the group does not end here");
        }
        self.left = content.payload(at);
        if !content.exists(at) {
            return Some("it does not exist");
        }
        if content.subgroup_of(at.object) != subgroup {
            return Some("it is of another subgroup");
        }
        (*object != content.header(at, host.draft.rules().extension_keys)).then_some("its header is changed")
    }

    fn begin_fetched(&mut self, at: Location, object: &FetchObject, host: &Host) -> Option<&'static str> {
        let cut_short = !self.left.is_empty();
        self.left = self.content.payload(at);
        if cut_short {
            return Some("the object before was cut short");
        }
        if !self.content.exists(at) {
            return Some("it does not exist");
        }
        let mut expected = fetched(self.content, at, host.draft.rules().extension_keys);
        // Draft-14 says its Object ID of one that was sent in a datagram.
        if expected.subgroup_id.is_none() && object.subgroup_id == Some(at.object) {
            expected.subgroup_id = object.subgroup_id;
        }
        (*object != expected).then_some("its header is changed")
    }

    fn payload(&mut self, scene: &mut Scene, stream: StreamId, part: &Bytes, lawless: bool) {
        let same = self.left.starts_with(part);
        if same {
            bytes::Buf::advance(&mut self.left, part.len());
        }
        scene.oracle.require(same || lawless, || format!("payload of {stream:?} is changed"));
    }
}
