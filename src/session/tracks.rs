//! Subscriptions, from both ends, and the Track Aliases that name their tracks on data streams and datagrams.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use moqingbird_wire::model::{
    FullTrackName, GroupOrder, Location, Publish, PublishDone, PublishDoneCode, PublishOk, ReasonPhrase,
    RequestId, RequestUpdate, SessionErrorCode, Subscribe, SubscribeOk, SubscriptionFilter, TrackAlias,
};

use moqingbird_wire::planted::{self, Fault};

use super::facts::TrackFacts;
use super::fetches::Joint;
use super::sent::{SentStream, SentStreams};
use super::{Ascending, Checked, Config, Instant, StreamId, Violation, priority};

/// How many aliases of ended subscriptions are remembered, so that late data is dropped at once.
const MAX_RETIRED: usize = 256;

/// What a subscription asks for, as its publisher sees it. What the subscriber updates is in it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SubscriptionState {
    /// The track.
    pub track: FullTrackName,
    /// The name of the track on data streams and datagrams.
    pub track_alias: TrackAlias,
    /// Whether objects are wanted now.
    pub forward: bool,
    /// 0 is served first, 255 last.
    pub subscriber_priority: u8,
    /// The order of groups.
    pub group_order: GroupOrder,
    /// What was asked for. `None`: every new object.
    pub filter: Option<SubscriptionFilter>,
    /// The locations that `filter` stands for.
    pub range: Range,
    /// Objects later than this are not to be delivered: the shorter of what subscriber and publisher say. `None`: neither
    /// says any (draft-14 §9.2.1.2, draft-16 §9.2.2.2).
    pub delivery_timeout: Option<Duration>,
}

/// The locations that a subscription passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// The first location.
    pub start: Location,
    /// The last group, included whole. `None`: without end.
    pub end_group: Option<u64>,
}

impl Range {
    /// What `filter` stands for when `largest` is the largest location of the track (draft-14 §5.1, draft-16 §5.1.2).
    pub fn new(filter: Option<SubscriptionFilter>, largest: Option<Location>) -> Self {
        let start = match (filter, largest) {
            (Some(SubscriptionFilter::AbsoluteStart(start)), _)
            | (Some(SubscriptionFilter::AbsoluteRange { start, .. }), _) => start,
            (None, _) | (_, None) => Location::default(),
            (Some(SubscriptionFilter::NextGroupStart), Some(largest)) => {
                Location::new(largest.group.saturating_add(1), 0)
            }
            (Some(_), Some(largest)) => Location::new(largest.group, largest.object.saturating_add(1)),
        };
        let end_group = match filter {
            Some(SubscriptionFilter::AbsoluteRange { end_group, .. }) => Some(end_group),
            _ => None,
        };
        Self { start, end_group }
    }

    /// Whether any location of a group is in the range.
    pub fn has_group(self, group: u64) -> bool {
        self.start.group <= group && self.end_group.is_none_or(|end| group <= end)
    }

    /// Whether a location is in the range.
    pub fn contains(self, at: Location) -> bool {
        self.start <= at && self.has_group(at.group)
    }

    /// Whether all of `other` is in this range.
    pub fn covers(self, other: Self) -> bool {
        self.start <= other.start
            && self.end_group.is_none_or(|end| other.end_group.is_some_and(|it| it <= end))
    }

    /// The range as a filter that depends on nothing.
    pub const fn as_filter(self) -> SubscriptionFilter {
        match self.end_group {
            Some(end_group) => SubscriptionFilter::AbsoluteRange { start: self.start, end_group },
            None => SubscriptionFilter::AbsoluteStart(self.start),
        }
    }
}

/// How many open streams let the base of their places lag one more group behind the oldest.
const STREAMS_A_LAG: u64 = 8;

/// A subscription by which we send.
#[derive(Debug)]
pub(super) struct Sending {
    pub(super) state: SubscriptionState,
    /// The largest location that the peer was told of.
    pub(super) largest: Option<Location>,
    /// When we mean to end it, counted from its beginning and from each update.
    pub(super) expires: Option<Duration>,
    delivery_timeout: DeliveryTimeout,
    new_groups: NewGroups,
    /// The new group that SUBSCRIBE asks for, until it is accepted.
    pub(super) asked_group: Option<u64>,
    /// As it was accepted.
    pub(super) joint: Joint,
    /// FETCHes of the peer that join it and wait for our answer.
    pub(super) joiners: Vec<RequestId>,
    /// The group order that the subscriber asked for.
    pub(super) asked_order: Option<GroupOrder>,
    /// The priority of what states none.
    pub(super) default_priority: u8,
    /// Our streams that have not settled.
    pub(super) streams: SentStreams,
    /// How many were ever opened.
    pub(super) opened: u64,
    /// Whether objects have been sent in datagrams.
    pub(super) datagrams: bool,
    /// From which the places of groups are measured.
    base_group: u64,
    /// PUBLISH_DONE, to be said when all streams have settled.
    pub(super) finishing: Option<(PublishDoneCode, ReasonPhrase)>,
}

/// What either side says of late objects.
#[derive(Clone, Copy, Debug, Default)]
struct DeliveryTimeout {
    subscriber: Option<Duration>,
    publisher: Option<Duration>,
}

impl DeliveryTimeout {
    fn effective(self) -> Option<Duration> {
        [self.subscriber, self.publisher].into_iter().flatten().min()
    }
}

/// Requests of a new group (draft-16 §9.2.2.9).
#[derive(Clone, Copy, Debug, Default)]
struct NewGroups {
    /// Whether the track lets them be asked for.
    dynamic: bool,
    /// The largest group that has begun.
    current: Option<u64>,
    /// What is asked for and has not begun.
    outstanding: Option<u64>,
}

impl NewGroups {
    /// Whether a new group is wanted that nobody has asked for yet.
    fn wants(&mut self, group: u64) -> bool {
        let has_begun = group != 0 && self.current.is_some_and(|current| group <= current);
        let is_known = self.outstanding.is_some_and(|outstanding| outstanding >= group);
        if !self.dynamic || has_begun || is_known {
            return false;
        }
        self.outstanding = Some(group);
        true
    }

    fn begin(&mut self, group: u64) {
        if self.current.is_none_or(|current| group > current) {
            self.current = Some(group);
            self.outstanding = None;
        }
    }
}

impl Sending {
    /// The peer's SUBSCRIBE. Its alias, and what it is relative to, come with our answer.
    pub(super) fn asked(subscribe: &Subscribe) -> Self {
        let range = Range::new(subscribe.filter, None);
        Self::new(SubscriptionState {
            track: subscribe.track.clone(),
            track_alias: TrackAlias(0),
            forward: subscribe.forward,
            subscriber_priority: subscribe.subscriber_priority,
            group_order: subscribe.group_order.unwrap_or_default(),
            filter: subscribe.filter,
            range,
            delivery_timeout: subscribe.delivery_timeout,
        })
        .with_timeout(DeliveryTimeout { subscriber: subscribe.delivery_timeout, publisher: None })
        .with_order(subscribe.group_order)
        .with_joint(Joint { filter: subscribe.filter, largest: None })
        .with_asked_group(subscribe.new_group_request)
    }

    /// Our PUBLISH, before its answer: every new object is sent (draft-14 §9.13, draft-16 §9.13).
    pub(super) fn offered(publish: &Publish) -> Self {
        let mut sending = Self::new(SubscriptionState {
            track: publish.track.clone(),
            track_alias: publish.track_alias,
            forward: publish.forward,
            subscriber_priority: moqingbird_wire::model::DEFAULT_PRIORITY,
            group_order: publish.extensions.group_order,
            filter: None,
            range: Range::new(None, None),
            delivery_timeout: None,
        })
        .with_timeout(DeliveryTimeout { subscriber: None, publisher: publish.extensions.delivery_timeout });
        sending.expires = publish.expires;
        sending.new_groups.dynamic = publish.extensions.dynamic_groups;
        sending.new_groups.current = publish.largest.map(|largest| largest.group);
        sending.largest = publish.largest;
        sending.joint.largest = publish.largest;
        sending.default_priority = publish.extensions.default_publisher_priority;
        sending
    }

    fn new(state: SubscriptionState) -> Self {
        Self {
            state,
            largest: None,
            expires: None,
            delivery_timeout: DeliveryTimeout::default(),
            new_groups: NewGroups::default(),
            asked_group: None,
            joint: Joint::default(),
            joiners: Vec::new(),
            asked_order: None,
            default_priority: moqingbird_wire::model::DEFAULT_PRIORITY,
            streams: SentStreams::default(),
            opened: 0,
            datagrams: false,
            base_group: 0,
            finishing: None,
        }
    }

    const fn with_order(mut self, order: Option<GroupOrder>) -> Self {
        self.asked_order = order;
        self
    }

    fn with_timeout(mut self, timeout: DeliveryTimeout) -> Self {
        self.delivery_timeout = timeout;
        self.state.delivery_timeout = timeout.effective();
        self
    }

    fn subscriber_timeout(&mut self, timeout: Option<Duration>) {
        self.delivery_timeout.subscriber = timeout.or(self.delivery_timeout.subscriber);
        self.state.delivery_timeout = self.delivery_timeout.effective();
    }

    /// Whether the application has to hear of a request for a new group.
    pub(super) fn wants_group(&mut self, group: Option<u64>) -> bool {
        group.is_some_and(|group| self.new_groups.wants(group))
    }

    /// An object of a group is sent.
    pub(super) fn begin_group(&mut self, group: u64) {
        self.new_groups.begin(group);
    }

    const fn with_asked_group(mut self, group: Option<u64>) -> Self {
        self.asked_group = group;
        self
    }

    const fn with_joint(mut self, joint: Joint) -> Self {
        self.joint = joint;
        self
    }

    /// We granted the peer's SUBSCRIBE.
    pub(super) fn grant(&mut self, ok: &SubscribeOk) {
        self.state.track_alias = ok.track_alias;
        self.state.range = Range::new(self.state.filter, ok.largest);
        self.state.group_order = self.asked_order.unwrap_or(ok.extensions.group_order);
        self.largest = ok.largest;
        self.joint.largest = ok.largest;
        self.default_priority = ok.extensions.default_publisher_priority;
        self.expires = ok.expires;
        self.delivery_timeout.publisher = ok.extensions.delivery_timeout;
        self.subscriber_timeout(None);
        self.new_groups.dynamic = ok.extensions.dynamic_groups;
        self.new_groups.current = ok.largest.map(|largest| largest.group);
    }

    /// The peer took our PUBLISH.
    pub(super) fn granted(&mut self, ok: &PublishOk) {
        self.state.forward = ok.forward;
        self.state.subscriber_priority = ok.subscriber_priority;
        self.state.group_order = ok.group_order.unwrap_or(self.state.group_order);
        self.state.filter = ok.filter;
        self.joint.filter = ok.filter;
        self.state.range = Range::new(ok.filter, self.largest);
        self.subscriber_timeout(ok.delivery_timeout);
    }

    /// The subscriber changed what it wants.
    pub(super) fn update(&mut self, update: &RequestUpdate, largest: Option<Location>) {
        self.largest = largest.or(self.largest);
        if let Some(filter) = update.filter {
            self.state.filter = Some(filter);
            self.state.range = Range::new(Some(filter), self.largest);
        }
        self.state.subscriber_priority = update.subscriber_priority.unwrap_or(self.state.subscriber_priority);
        self.state.forward = update.forward.unwrap_or(self.state.forward);
        self.subscriber_timeout(update.delivery_timeout);
    }

    /// Measures the places of groups from the oldest open one, with this one. Says whether those of all streams have
    /// changed.
    ///
    /// Where many streams are open, the base may lag behind the oldest by a fraction of their number: to move it for
    /// each would be work for each of them each time.
    pub(super) fn place(&mut self, group: u64) -> bool {
        let oldest = self.streams.oldest_group().map_or(group, |oldest| oldest.min(group));
        let lag = oldest.checked_sub(self.base_group);
        let open = self.streams.len() as u64;
        if lag.is_some_and(|lag| lag <= open / STREAMS_A_LAG) && priority::in_reach(self.base_group, group) {
            return false;
        }
        let before = std::mem::replace(&mut self.base_group, oldest);
        oldest != before && !self.streams.is_empty()
    }

    pub(super) fn order(&self, stream: SentStream) -> i32 {
        let SentStream { group, subgroup, publisher_priority, .. } = stream;
        let SubscriptionState { subscriber_priority, group_order, .. } = self.state;
        let base = self.base_group;
        priority::order(subscriber_priority, publisher_priority, group_order, base, group, subgroup)
    }
}

/// A subscription by which we receive.
#[derive(Debug)]
pub(super) struct Receiving {
    pub(super) track: FullTrackName,
    /// Known once the publisher has told it.
    pub(super) alias: Option<TrackAlias>,
    pub(super) filter: Option<SubscriptionFilter>,
    pub(super) largest: Option<Location>,
    /// As it was accepted.
    pub(super) joint: Joint,
    pub(super) forward: bool,
    pub(super) subscriber_priority: u8,
    /// The order of the track, where the subscriber asks for none.
    pub(super) group_order: GroupOrder,
    /// The priority of what states none.
    pub(super) default_priority: u8,
    /// Whether the track lets new groups be asked for.
    pub(super) dynamic_groups: bool,
    delivery_timeout: DeliveryTimeout,
    /// Streams that were delivered and have not ended.
    pub(super) streams: Ascending<StreamId, ()>,
    /// How many were ever delivered.
    pub(super) arrived: u64,
    /// Whether datagrams were.
    pub(super) datagrams: bool,
    pub(super) done: Option<PublishDone>,
}

impl Receiving {
    /// Our SUBSCRIBE.
    pub(super) fn asked(subscribe: &Subscribe) -> Self {
        Self {
            track: subscribe.track.clone(),
            alias: None,
            filter: subscribe.filter,
            largest: None,
            joint: Joint { filter: subscribe.filter, largest: None },
            forward: subscribe.forward,
            subscriber_priority: subscribe.subscriber_priority,
            group_order: subscribe.group_order.unwrap_or_default(),
            default_priority: moqingbird_wire::model::DEFAULT_PRIORITY,
            dynamic_groups: false,
            delivery_timeout: DeliveryTimeout { subscriber: subscribe.delivery_timeout, publisher: None },
            streams: Ascending::default(),
            arrived: 0,
            datagrams: false,
            done: None,
        }
    }

    /// The peer's PUBLISH.
    pub(super) fn offered(publish: &Publish) -> Self {
        Self {
            track: publish.track.clone(),
            alias: Some(publish.track_alias),
            filter: None,
            largest: publish.largest,
            joint: Joint { filter: None, largest: publish.largest },
            forward: publish.forward,
            subscriber_priority: moqingbird_wire::model::DEFAULT_PRIORITY,
            group_order: publish.extensions.group_order,
            default_priority: publish.extensions.default_publisher_priority,
            dynamic_groups: publish.extensions.dynamic_groups,
            delivery_timeout: DeliveryTimeout {
                subscriber: None,
                publisher: publish.extensions.delivery_timeout,
            },
            streams: Ascending::default(),
            arrived: 0,
            datagrams: false,
            done: None,
        }
    }

    pub(super) fn granted(&mut self, ok: &SubscribeOk) {
        self.alias = Some(ok.track_alias);
        self.largest = ok.largest;
        self.joint.largest = ok.largest;
        self.default_priority = ok.extensions.default_publisher_priority;
        self.dynamic_groups = ok.extensions.dynamic_groups;
        self.delivery_timeout.publisher = ok.extensions.delivery_timeout;
    }

    /// How long its objects may take, in any case.
    pub(super) fn delivery_timeout(&self) -> Duration {
        self.delivery_timeout.effective().unwrap_or_default()
    }

    pub(super) fn grant(&mut self, ok: &PublishOk) {
        self.filter = ok.filter;
        self.joint.filter = ok.filter;
        self.delivery_timeout.subscriber = ok.delivery_timeout;
        self.forward = ok.forward;
        self.subscriber_priority = ok.subscriber_priority;
    }

    pub(super) fn update(&mut self, update: &RequestUpdate) {
        self.filter = update.filter.or(self.filter);
        self.delivery_timeout.subscriber = update.delivery_timeout.or(self.delivery_timeout.subscriber);
        self.forward = update.forward.unwrap_or(self.forward);
        self.subscriber_priority = update.subscriber_priority.unwrap_or(self.subscriber_priority);
    }

    /// Whether every stream that the publisher counted has come and ended. A count below what has come is no count.
    pub(super) fn is_complete(&self) -> bool {
        self.streams.is_empty() && self.done.as_ref().is_some_and(|done| self.arrived == done.stream_count)
    }
}

/// The aliases of the session, and whose data streams are whose.
#[derive(Debug, Default)]
pub(super) struct Tracks {
    /// The peer's aliases.
    aliases: BTreeMap<TrackAlias, RequestId>,
    /// Aliases of the peer that ended a while ago, and until when data for them is dropped at once.
    retired: VecDeque<(TrackAlias, Instant)>,
    /// How many aliases we have given.
    given: u64,
    /// The peer's streams that were delivered.
    pub(super) delivered: Ascending<StreamId, RequestId>,
    /// Our streams that have not settled.
    pub(super) sent: Ascending<StreamId, RequestId>,
    /// What is known of the tracks that we receive.
    pub(super) facts: BTreeMap<FullTrackName, TrackFacts>,
}

impl Tracks {
    pub(super) fn is_empty(&self) -> bool {
        self.aliases.is_empty() && self.delivered.is_empty() && self.sent.is_empty() && self.facts.is_empty()
    }

    /// An alias of ours. None is given twice, so that late data of an old subscription never looks like a new one's.
    pub(super) fn new_alias(&mut self) -> TrackAlias {
        let alias = TrackAlias(self.given);
        self.given += 1;
        alias
    }

    pub(super) fn request_of(&self, alias: TrackAlias) -> Option<RequestId> {
        match planted::is(Fault::HandOver) {
            true => self.aliases.first_key_value().map(|(_, id)| *id),
            false => self.aliases.get(&alias).copied(),
        }
    }

    /// The peer names a track (draft-14 §9.8, draft-16 §9.10).
    pub(super) fn bind(&mut self, alias: TrackAlias, id: RequestId) -> Checked {
        if self.aliases.contains_key(&alias) {
            return Err(Violation::new(
                SessionErrorCode::DuplicateTrackAlias,
                format!("Track Alias {alias} names two tracks"),
            ));
        }
        self.retired.retain(|(retired, _)| *retired != alias);
        self.aliases.insert(alias, id);
        Ok(())
    }

    /// A subscription has ended: what comes for its alias is late.
    pub(super) fn retire(&mut self, now: Instant, alias: TrackAlias, id: RequestId, config: &Config) {
        if self.aliases.get(&alias) == Some(&id) {
            self.aliases.remove(&alias);
        }
        if self.retired.len() == MAX_RETIRED {
            self.retired.pop_front();
        }
        self.retired.push_back((alias, now + config.late_stream_timeout));
    }

    pub(super) fn is_retired(&self, now: Instant, alias: TrackAlias) -> bool {
        self.retired.iter().any(|(retired, until)| *retired == alias && *until > now)
    }
}
