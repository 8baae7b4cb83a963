//! Where a reader's objects come from: a subscription and a FETCH of a session, or a track in memory.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};
use moqingbird_wire::list::Value;
use moqingbird_wire::model::{
    AuthorizationToken, DEFAULT_PRIORITY, Datagram, DatagramBody, EndLocation, Extensions, Fetch,
    FetchObject, FetchRange, FullTrackName, GroupOrder, Location, ObjectHeader, ObjectStatus, PublishDone,
    PublishDoneCode, RangeStatus, RequestErrorCode, ResetCode, extension,
};

use super::merge::Arrived;
use super::{
    Delivery, GapCause, Held, HeldItem, Item, ReadOptions, Reader, SubgroupEnd, SubgroupReader, TrackEnd,
    TrackObject,
};
use crate::api::{
    self, FetchDelivery, FetchError, Fetched, IncomingSubgroup, Session, SubgroupError, Subscription,
};
use crate::session::Closed;

/// The live part of a track.
#[derive(Debug)]
pub(super) enum Live {
    Remote(Subscription),
    Local(Reader),
}

/// What has begun to arrive.
pub(super) enum Begun {
    Stream(LiveStream),
    Datagram(Arrived<TrackObject>),
}

impl Live {
    /// What arrives next; `None`: nothing more will, see [`Live::done`]. Cancel-safe.
    pub(super) async fn next(&mut self, max_object: u64) -> Result<Option<Begun>, Closed> {
        match self {
            Self::Remote(subscription) => {
                let default = subscription.extensions().default_publisher_priority;
                Ok(subscription.next().await?.map(|delivery| match delivery {
                    api::Delivery::Subgroup(mut subgroup) => {
                        subgroup.set_max_object(max_object);
                        Begun::Stream(LiveStream::Remote(Box::new(subgroup)))
                    }
                    api::Delivery::Datagram(datagram) => Begun::Datagram(of_datagram(datagram, default)),
                }))
            }
            Self::Local(reader) => Ok(reader.next().await.map(|delivery| match delivery {
                Delivery::Subgroup(reader) => {
                    Begun::Stream(LiveStream::Local(Box::new(LocalStream::new(reader))))
                }
                Delivery::Datagram(datagram) => Begun::Datagram(of_datagram(datagram, DEFAULT_PRIORITY)),
            })),
        }
    }

    /// How the publisher has ended the track.
    pub(super) fn done(&self) -> Option<PublishDone> {
        match self {
            Self::Remote(subscription) => subscription.done().cloned(),
            Self::Local(reader) => reader.end().map(|end| {
                let (code, reason) = match end {
                    TrackEnd::Finished { code, reason } => (*code, reason.clone()),
                    TrackEnd::EndOfRange => (PublishDoneCode::SubscriptionEnded, Default::default()),
                    TrackEnd::Aborted => {
                        (PublishDoneCode::InternalError, "the track's writer was dropped".into())
                    }
                };
                PublishDone { code, stream_count: 0, reason }
            }),
        }
    }
}

/// A subgroup as it arrives.
#[derive(Debug)]
pub(super) enum LiveStream {
    Remote(Box<IncomingSubgroup>),
    Local(Box<LocalStream>),
}

impl LiveStream {
    pub(super) fn group_id(&self) -> u64 {
        match self {
            Self::Remote(subgroup) => subgroup.group_id(),
            Self::Local(local) => local.reader.info().group_id,
        }
    }

    /// Whether its last object is the last of the group.
    pub(super) fn is_end_of_group(&self) -> bool {
        match self {
            Self::Remote(subgroup) => subgroup.header().end_of_group,
            Self::Local(local) => local.reader.info().end_of_group,
        }
    }

    /// Reads no more: it is too late.
    pub(super) fn stop(self) {
        if let Self::Remote(subgroup) = self {
            subgroup.stop(ResetCode::DeliveryTimeout);
        }
    }

    /// The next object, `None` at the end.
    pub(super) async fn next(&mut self) -> Result<Option<Arrived<TrackObject>>, GapCause> {
        match self {
            Self::Remote(subgroup) => match subgroup.next_object().await {
                Ok(Some(api::Object { header, payload, .. })) => {
                    let (group, priority) = (subgroup.group_id(), subgroup.priority());
                    Ok(Some(of_subgroup(group, subgroup.subgroup_id(), priority, header, payload)))
                }
                Ok(None) => Ok(None),
                Err(SubgroupError::TooLarge(_)) => Err(GapCause::TooLarge),
                Err(SubgroupError::Overrun) => Err(GapCause::Overrun),
                Err(SubgroupError::Reset(ResetCode::DeliveryTimeout)) => Err(GapCause::TooLate),
                Err(_) => Err(GapCause::Incomplete),
            },
            Self::Local(local) => local.next().await,
        }
    }
}

/// A subgroup of a track in memory, object by object.
#[derive(Debug)]
pub(super) struct LocalStream {
    reader: SubgroupReader,
    items: VecDeque<Item>,
    batch: Vec<Item>,
    end: Option<SubgroupEnd>,
    object: Option<(ObjectHeader, Whole)>,
}

impl LocalStream {
    fn new(reader: SubgroupReader) -> Self {
        Self { reader, items: VecDeque::new(), batch: Vec::new(), end: None, object: None }
    }

    async fn next(&mut self) -> Result<Option<Arrived<TrackObject>>, GapCause> {
        loop {
            if let Some((header, whole)) = self.object.take_if(|(_, whole)| whole.is_complete()) {
                let info = self.reader.info();
                let subgroup = info.subgroup_id;
                let payload = whole.payload();
                return Ok(Some(of_subgroup(
                    info.group_id,
                    subgroup,
                    info.publisher_priority,
                    header,
                    payload,
                )));
            }
            match self.items.pop_front() {
                Some(Item::Object(header)) => {
                    let whole = Whole::new(header.payload_length);
                    self.object = Some((header, whole));
                }
                Some(Item::Payload(part)) => {
                    if let Some((_, whole)) = &mut self.object {
                        whole.add(part);
                    }
                }
                None => match self.end {
                    None => {
                        self.end = self.reader.next(&mut self.batch).await;
                        self.items.extend(self.batch.drain(..));
                    }
                    Some(SubgroupEnd::Finished) => return Ok(None),
                    Some(SubgroupEnd::TooFarBehind) => return Err(GapCause::TooLate),
                    Some(SubgroupEnd::Reset(_)) => return Err(GapCause::Incomplete),
                },
            }
        }
    }
}

/// A payload that comes in parts.
#[derive(Debug)]
pub(super) struct Whole {
    first: Bytes,
    rest: BytesMut,
    left: u64,
}

impl Whole {
    fn new(length: u64) -> Self {
        Self { first: Bytes::new(), rest: BytesMut::new(), left: length }
    }

    fn add(&mut self, part: Bytes) {
        self.left = self.left.saturating_sub(part.len() as u64);
        if self.first.is_empty() && self.rest.is_empty() {
            self.first = part;
            return;
        }
        if self.rest.is_empty() {
            self.rest.extend_from_slice(&std::mem::take(&mut self.first));
        }
        self.rest.extend_from_slice(&part);
    }

    const fn is_complete(&self) -> bool {
        self.left == 0
    }

    fn payload(self) -> Bytes {
        if self.rest.is_empty() { self.first } else { self.rest.freeze() }
    }
}

/// The past of a track.
#[derive(Debug)]
pub(super) enum Past {
    /// It is to be asked for.
    Unasked {
        session: Session,
        ask: Ask,
    },
    Remote {
        fetched: Box<Fetched>,
        end: Option<Location>,
    },
    Local(Held, Option<(FetchObject, Whole)>),
}

/// What of the past is to be asked for.
#[derive(Debug)]
pub(super) struct Ask {
    /// Ways to say it: the next where one is declined.
    ranges: Vec<FetchRange>,
    /// What the answer has to reach: what it does not reach the publisher does not have.
    end: Option<Location>,
    priority: u8,
    authorization_tokens: Vec<AuthorizationToken>,
}

/// The next of the past.
pub(super) enum PastItem {
    Object(Arrived<TrackObject>),
    /// Nothing is known of what comes up to here.
    Unknown(Location),
    /// That was all, or all that is to be had.
    Over(Option<GapCause>),
    /// The session has ended.
    Lost,
}

impl Past {
    /// The past from one location to another, by a Joining FETCH, and where the publisher has none, by its range.
    /// `groups_before`: how many groups before the largest to begin, where that is how the reader said it.
    pub(super) fn joining(
        session: Session,
        subscription: &Subscription,
        (groups_before, from, end): (Option<u64>, Location, Location),
        options: &ReadOptions,
    ) -> Self {
        let (track, id) = (subscription.track().clone(), subscription.id());
        let joining = match groups_before {
            Some(groups_before) => FetchRange::RelativeJoining { subscription: id, groups_before },
            None => FetchRange::AbsoluteJoining { subscription: id, start_group: from.group },
        };
        let last = EndLocation { group: end.group, object: Some(end.object) };
        let standalone = FetchRange::Standalone { track, start: from, end: last };
        Self::unasked(session, vec![joining, standalone], Some(end), options)
    }

    /// A hole of the live part. One that ends with a group may end wherever that does.
    pub(super) fn hole(
        session: Session,
        track: FullTrackName,
        (start, end): (Location, EndLocation),
        options: &ReadOptions,
    ) -> Self {
        let last = end.object.map(|object| Location::new(end.group, object));
        Self::unasked(session, vec![FetchRange::Standalone { track, start, end }], last, options)
    }

    fn unasked(
        session: Session,
        ranges: Vec<FetchRange>,
        end: Option<Location>,
        options: &ReadOptions,
    ) -> Self {
        let (priority, authorization_tokens) = (options.priority, options.authorization_tokens.clone());
        Self::Unasked { session, ask: Ask { ranges, end, priority, authorization_tokens } }
    }

    pub(super) const fn local(held: Held) -> Self {
        Self::Local(held, None)
    }

    /// The next of it, and what is left.
    pub(super) async fn next(self, max_object: u64) -> (Option<Self>, PastItem) {
        match self {
            Self::Unasked { session, ask } => {
                let end = ask.end;
                match asked(&session, ask).await {
                    Ok(mut fetched) => {
                        fetched.set_max_object(max_object);
                        remote(Box::new(fetched), end).await
                    }
                    Err(over) => (None, over),
                }
            }
            Self::Remote { fetched, end } => remote(fetched, end).await,
            Self::Local(held, object) => local(held, object).await,
        }
    }
}

/// Asks for the past, in one way or another.
async fn asked(session: &Session, ask: Ask) -> Result<Fetched, PastItem> {
    for range in ask.ranges {
        let fetch = Fetch {
            subscriber_priority: ask.priority,
            group_order: Some(GroupOrder::Ascending),
            authorization_tokens: ask.authorization_tokens.clone(),
            ..Fetch::new(range)
        };
        match session.fetch(fetch).await {
            Ok(fetched) => return Ok(fetched),
            Err(api::RequestFailed::Rejected(rejected))
                if rejected.error.code == RequestErrorCode::NoObjects =>
            {
                return Err(PastItem::Over(None));
            }
            Err(api::RequestFailed::Closed(_)) => return Err(PastItem::Lost),
            Err(error) => tracing::debug!(%error, "the past of a track was declined"),
        }
    }
    Err(PastItem::Over(Some(GapCause::Declined)))
}

async fn remote(mut fetched: Box<Fetched>, end: Option<Location>) -> (Option<Past>, PastItem) {
    loop {
        let item = match fetched.next().await {
            Ok(Some(FetchDelivery::Object(object))) => {
                PastItem::Object(of_fetch(object.header, object.payload))
            }
            Ok(Some(FetchDelivery::EndOfRange { end, status: RangeStatus::Unknown })) => {
                PastItem::Unknown(end)
            }
            Ok(Some(_)) => continue,
            Ok(None) => {
                let short = end.zip(fetched.try_ok()).is_some_and(|(end, ok)| !ok.end.reaches(end));
                return (None, PastItem::Over(short.then_some(GapCause::Unknown)));
            }
            Err(FetchError::Closed(_)) => return (None, PastItem::Lost),
            Err(FetchError::Rejected(rejected)) if rejected.error.code == RequestErrorCode::NoObjects => {
                return (None, PastItem::Over(None));
            }
            Err(error) => {
                tracing::debug!(%error, "the past of a track breaks off");
                let cause = match error {
                    FetchError::TooLarge(_) => GapCause::TooLarge,
                    FetchError::Overrun => GapCause::Overrun,
                    FetchError::Rejected(_) => GapCause::Declined,
                    _ => GapCause::Incomplete,
                };
                return (None, PastItem::Over(Some(cause)));
            }
        };
        return (Some(Past::Remote { fetched, end }), item);
    }
}

async fn local(mut held: Held, mut object: Option<(FetchObject, Whole)>) -> (Option<Past>, PastItem) {
    loop {
        if let Some((header, whole)) = object.take_if(|(_, whole)| whole.is_complete()) {
            let item = PastItem::Object(of_fetch(header, whole.payload()));
            return (Some(Past::Local(held, None)), item);
        }
        match held.next().await {
            Ok(Some(HeldItem::Object(header))) => {
                let whole = Whole::new(header.payload_length);
                object = Some((header, whole));
            }
            Ok(Some(HeldItem::Payload(part))) => {
                if let Some((_, whole)) = &mut object {
                    whole.add(part);
                }
            }
            Ok(None) => return (None, PastItem::Over(None)),
            Err(_) => return (None, PastItem::Over(Some(GapCause::Unknown))),
        }
    }
}

fn of_subgroup(
    group: u64,
    subgroup_id: Option<u64>,
    publisher_priority: u8,
    header: ObjectHeader,
    payload: Bytes,
) -> Arrived<TrackObject> {
    let location = Location::new(group, header.object_id);
    arrived(
        location,
        header.status,
        TrackObject {
            location,
            subgroup_id: Some(subgroup_id.unwrap_or(header.object_id)),
            publisher_priority,
            extensions: header.extensions,
            payload,
        },
    )
}

fn of_fetch(header: FetchObject, payload: Bytes) -> Arrived<TrackObject> {
    arrived(
        header.location,
        header.status,
        TrackObject {
            location: header.location,
            subgroup_id: header.subgroup_id,
            publisher_priority: header.publisher_priority,
            extensions: header.extensions,
            payload,
        },
    )
}

fn of_datagram(datagram: Datagram, default_priority: u8) -> Arrived<TrackObject> {
    let location = Location::new(datagram.group_id, datagram.object_id);
    let (status, payload) = match datagram.body {
        DatagramBody::Payload(payload) => (ObjectStatus::Normal, payload),
        DatagramBody::Status(status) => (status, Bytes::new()),
        _ => (ObjectStatus::DoesNotExist, Bytes::new()),
    };
    arrived(
        location,
        status,
        TrackObject {
            location,
            subgroup_id: None,
            publisher_priority: datagram.publisher_priority.unwrap_or(default_priority),
            extensions: datagram.extensions,
            payload,
        },
    )
}

fn arrived(location: Location, status: ObjectStatus, object: TrackObject) -> Arrived<TrackObject> {
    let prior_groups = gap(&object.extensions, extension::PRIOR_GROUP_ID_GAP);
    let prior_objects = gap(&object.extensions, extension::PRIOR_OBJECT_ID_GAP);
    let content = (status == ObjectStatus::Normal).then_some(object);
    Arrived { location, prior_groups, prior_objects, content }
}

fn gap(extensions: &Extensions, key: u64) -> u64 {
    if extensions.is_empty() {
        return 0;
    }
    match extensions.get(key) {
        Some(Value::Integer(gap)) => gap,
        _ => 0,
    }
}
