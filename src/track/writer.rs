//! The writing side.

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use moqingbird_wire::model::{
    Datagram, DatagramBody, EndLocation, Extensions, GroupOrder, Location, ObjectHeader, ObjectStatus,
    PublishDoneCode, ReasonPhrase, ResetCode, SubscriptionFilter, TrackAlias,
};
use tokio::sync::Notify;

use super::pack::{Drafts, Packer};
use super::range::Range;
use super::state::Shared;
use super::{
    Budget, GroupWriter, Held, Item, Packed, ReadOptions, Reader, SubgroupEnd, SubgroupInfo, TrackEnd,
    TrackOptions, TrackStats, TrackSubscription,
};

/// Payload in parts of up to so many bytes is copied once, to be in one piece with its header, where it is encoded for many
/// readers.
const SMALL: usize = 512;

/// The one writer of a track. Dropped without [`Writer::finish`], the track is aborted.
#[derive(Debug)]
pub struct Writer {
    track: Track,
}

/// A track as those see it who make readers of it.
#[derive(Clone, Debug)]
pub struct Track {
    shared: Arc<Shared>,
}

impl Writer {
    /// A track that holds nothing.
    pub fn new(options: TrackOptions) -> Self {
        Self { track: Track { shared: Shared::new(options, None) } }
    }

    /// As [`Writer::new`], for one of many tracks that have a budget together.
    pub fn new_within(options: TrackOptions, budget: &Budget) -> Self {
        Self { track: Track { shared: Shared::new(options, Some(budget)) } }
    }

    /// The track, to make readers of it elsewhere.
    pub fn track(&self) -> Track {
        self.track.clone()
    }

    /// Writes a group of one object: the next group, on one stream that ends with it.
    pub fn write_frame(&self, payload: impl Into<Bytes>) -> Location {
        let group_id = self.next_group();
        let mut subgroup = self.open_subgroup(self.info(group_id, 0, true));
        // Nothing can be wrong with the first object of a subgroup.
        let _ = subgroup.write_frame(payload).and_then(|_| subgroup.finish());
        Location::new(group_id, 0)
    }

    /// Begins the next group, of as many objects as one likes.
    pub fn append_group(&self) -> GroupWriter {
        GroupWriter::new(self.track(), self.next_group())
    }

    /// Writes a group of one object that travels in a datagram: it may be lost on the way, and must fit a packet.
    pub fn write_datagram(&self, payload: impl Into<Bytes>) -> Location {
        let (group_id, priority) = (self.next_group(), self.track.shared.lock().options().priority);
        self.datagram(Datagram {
            track_alias: TrackAlias(0),
            group_id,
            object_id: 0,
            publisher_priority: Some(priority),
            extensions: Extensions::NONE,
            end_of_group: true,
            body: DatagramBody::Payload(payload.into()),
        });
        Location::new(group_id, 0)
    }

    fn next_group(&self) -> u64 {
        self.track.shared.lock().next_group()
    }

    fn info(&self, group_id: u64, subgroup_id: u64, end_of_group: bool) -> SubgroupInfo {
        self.track.info(group_id, subgroup_id, end_of_group)
    }

    /// Begins a subgroup. Subgroups may be written side by side.
    pub fn open_subgroup(&self, info: SubgroupInfo) -> SubgroupWriter {
        self.track.open_subgroup(info, Arc::default())
    }

    /// Waits until the track has a reader, of whatever session.
    pub async fn used(&self) {
        self.track.used(true).await;
    }

    /// Waits until the track has no reader.
    pub async fn unused(&self) {
        self.track.used(false).await;
    }

    /// Whether the track has a reader.
    pub fn is_used(&self) -> bool {
        self.track.shared.lock().has_readers()
    }

    /// Writes an object that travels in a datagram. Its Track Alias means nothing here.
    pub fn datagram(&self, datagram: Datagram) {
        let mut state = self.track.shared.lock();
        state.datagram(datagram);
        let budget = state.budget();
        drop(state);
        self.track.shared.arrived.notify_waiters();
        if let Some(budget) = budget {
            budget.make_room();
        }
    }

    /// The largest location whose object has begun.
    pub fn largest(&self) -> Option<Location> {
        self.track.largest()
    }

    /// Notes that objects up to `largest` have been published elsewhere: readers start behind it.
    pub fn raise_largest(&self, largest: Location) {
        self.track.shared.lock().raise_largest(largest);
    }

    /// A reader of what is published from now on and passes the filter.
    pub fn reader(&self, filter: Option<SubscriptionFilter>) -> Reader {
        self.track.reader(filter)
    }

    /// Waits until the fastest reader is less than [`TrackOptions::window`] behind. At once if there is no reader.
    pub async fn ready(&self) {
        self.track.ready().await;
    }

    /// Ends the track as complete: readers that have read all of it are told so. The same as [`Writer::finish`] with
    /// TRACK_ENDED.
    pub fn complete(self) {
        self.finish(PublishDoneCode::TrackEnded, ReasonPhrase::default());
    }

    /// Gives the track up: readers are told that it broke off, as when the writer is dropped.
    pub fn abort(self) {}

    /// Ends the track, unless it has ended. Subgroups that are open may still be written.
    pub fn finish(&self, code: PublishDoneCode, reason: ReasonPhrase) {
        self.track.end(TrackEnd::Finished { code, reason });
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.track.end(TrackEnd::Aborted);
    }
}

impl Track {
    /// The largest location whose object has begun.
    pub fn largest(&self) -> Option<Location> {
        self.shared.lock().largest
    }

    /// What was written, read and missed so far, and what is kept.
    pub fn stats(&self) -> TrackStats {
        self.shared.lock().stats()
    }

    /// Whether its writer has finished it, or was dropped.
    pub fn has_ended(&self) -> bool {
        self.shared.lock().end.is_some()
    }

    /// A reader of what is published from now on and passes the filter; `None` passes all. It gets the rest of
    /// subgroups that are open, from their next object.
    ///
    /// `LargestObject` and `NextGroupStart` exclude every location that is not behind the largest, even if its object
    /// arrives later; the absolute filters and none do not (draft-16 §5.1.2).
    pub fn reader(&self, filter: Option<SubscriptionFilter>) -> Reader {
        let mut state = self.shared.lock();
        let largest = state.largest;
        let range = Range::new(filter, largest);
        let (cursor, open) = state.join(range);
        drop(state);
        self.shared.readers_changed.notify_waiters();
        Reader::new(Arc::clone(&self.shared), largest, range, cursor, open)
    }

    /// Reads the track: what is held of its past, as `options` say, and what comes.
    pub fn read(&self, options: ReadOptions) -> TrackSubscription {
        TrackSubscription::local(self, options)
    }

    pub(super) fn info(&self, group_id: u64, subgroup_id: u64, end_of_group: bool) -> SubgroupInfo {
        let publisher_priority = self.shared.lock().options().priority;
        SubgroupInfo {
            group_id,
            subgroup_id: Some(subgroup_id),
            publisher_priority,
            extensions: false,
            end_of_group,
        }
    }

    /// Begins a subgroup whose frames take their IDs from `ids`.
    pub(super) fn open_subgroup(&self, info: SubgroupInfo, ids: Arc<AtomicU64>) -> SubgroupWriter {
        let (arrival, drafts, changed) = self.shared.lock().open(info);
        self.shared.arrived.notify_waiters();
        SubgroupWriter {
            shared: Arc::clone(&self.shared),
            arrival,
            changed,
            packer: Packer::new(info),
            drafts,
            last_object: None,
            payload_left: 0,
            group_id: info.group_id,
            ids,
        }
    }

    async fn used(&self, wanted: bool) {
        loop {
            let changed = self.shared.readers_changed.notified();
            if self.shared.lock().has_readers() == wanted {
                return;
            }
            changed.await;
        }
    }

    /// What is held of the objects from `start` to `end`, or to the largest if that is before. `None`: the track has no
    /// object at `start` or behind it.
    pub fn held(&self, start: Location, end: EndLocation, order: GroupOrder) -> Option<Held> {
        Held::new(&self.shared, start, end, order)
    }

    /// Waits until the fastest reader is less than [`TrackOptions::window`] behind. At once if there is no reader, or
    /// after [`Track::give_up`].
    pub async fn ready(&self) {
        loop {
            let caught_up = self.shared.caught_up.notified();
            if !self.shared.lock().holds_back() {
                return;
            }
            caught_up.await;
        }
    }

    /// Waits no longer for readers, until one of them moves: what they do not read in time is evicted.
    pub fn give_up(&self) {
        let mut state = self.shared.lock();
        state.give_up();
        self.shared.release(state);
    }

    fn end(&self, end: TrackEnd) {
        self.shared.lock().end.get_or_insert(end);
        self.shared.arrived.notify_waiters();
    }

    #[cfg(test)]
    pub(super) fn figures(&self) -> (usize, usize, usize) {
        self.shared.lock().figures()
    }
}

/// Writes one subgroup. Dropped without an end, the subgroup is reset with [`ResetCode::Cancelled`].
#[derive(Debug)]
pub struct SubgroupWriter {
    shared: Arc<Shared>,
    arrival: u64,
    changed: Arc<Notify>,
    packer: Packer,
    /// In which its readers are served, as of the last writing.
    drafts: Drafts,
    last_object: Option<u64>,
    payload_left: u64,
    group_id: u64,
    /// The next Object ID of the group's frames.
    ids: Arc<AtomicU64>,
}

impl SubgroupWriter {
    /// Writes an object, whole: its Object ID is the next of the group.
    ///
    /// # Errors
    /// The payload of the object before is not complete.
    pub fn write_frame(&mut self, payload: impl Into<Bytes>) -> Result<Location, WriteError> {
        let payload = payload.into();
        if self.payload_left > 0 {
            return Err(WriteError::PayloadTooShort(self.payload_left));
        }
        // What was written by `object` has taken its ID too.
        self.ids.fetch_max(self.last_object.map_or(0, |last| last.saturating_add(1)), Ordering::Relaxed);
        let object_id = self.ids.fetch_add(1, Ordering::Relaxed);
        let header = ObjectHeader {
            object_id,
            extensions: Extensions::NONE,
            status: ObjectStatus::Normal,
            payload_length: payload.len() as u64,
        };
        let mut items = vec![Item::Object(header)];
        if !payload.is_empty() {
            items.push(Item::Payload(payload));
        }
        self.write(&mut items)?;
        Ok(Location::new(self.group_id, object_id))
    }

    /// Begins an object: readers see it at once, and its payload as it comes.
    ///
    /// # Errors
    /// The payload of the object before is not complete, or the Object ID is not larger than its own.
    pub fn object(&mut self, header: ObjectHeader) -> Result<(), WriteError> {
        self.write(&mut vec![Item::Object(header)])
    }

    /// Writes a part of the object's payload.
    ///
    /// # Errors
    /// The payload would be longer than the object's header says.
    pub fn chunk(&mut self, payload: Bytes) -> Result<(), WriteError> {
        self.write(&mut vec![Item::Payload(payload)])
    }

    /// Takes all of `items` under one lock; on an error, none.
    ///
    /// # Errors
    /// As [`SubgroupWriter::object`] and [`SubgroupWriter::chunk`].
    pub fn write(&mut self, items: &mut Vec<Item>) -> Result<(), WriteError> {
        let before = self.check(items)?;
        let packed = self.packer.pack(self.drafts, before, std::mem::take(items), SMALL, false);
        self.write_packed(packed);
        Ok(())
    }

    /// Makes items ready to be written, whose payload is copied into a piece of its own, once for all readers: for those
    /// who forward what came in pieces that hold much else. What is packed is to be written, in this order.
    ///
    /// # Errors
    /// As [`SubgroupWriter::write`].
    pub fn pack(&mut self, items: Vec<Item>) -> Result<Packed, WriteError> {
        let before = self.check(&items)?;
        Ok(self.packer.pack(self.drafts, before, items, usize::MAX, true))
    }

    /// Writes what has been made ready, under one lock.
    pub fn write_packed(&mut self, packed: Packed) {
        let mut state = self.shared.lock();
        let (new_group, drafts) = state.push(self.arrival, packed);
        let budget = state.budget();
        self.shared.release(state);
        self.drafts = drafts;
        self.changed.notify_waiters();
        if new_group {
            self.shared.arrived.notify_waiters();
        }
        if let Some(budget) = budget {
            budget.make_room();
        }
    }

    /// Whether items may follow what was written, and where that ended: its last object, and how much of its payload is to
    /// come.
    fn check(&mut self, items: &[Item]) -> Result<(Option<u64>, u64), WriteError> {
        let before = (self.last_object, self.payload_left);
        let (mut last_object, mut payload_left) = before;
        for item in items {
            match item {
                Item::Object(_) if payload_left > 0 => return Err(WriteError::PayloadTooShort(payload_left)),
                Item::Object(header) => {
                    if last_object.is_some_and(|last| last >= header.object_id) {
                        return Err(WriteError::ObjectIdNotAscending(header.object_id));
                    }
                    (last_object, payload_left) = (Some(header.object_id), header.payload_length);
                }
                Item::Payload(bytes) => {
                    let length = bytes.len() as u64;
                    payload_left = payload_left
                        .checked_sub(length)
                        .ok_or(WriteError::PayloadTooLong(length.saturating_sub(payload_left)))?;
                }
            }
        }
        (self.last_object, self.payload_left) = (last_object, payload_left);
        Ok(before)
    }

    /// Waits as [`Track::ready`] does.
    pub async fn ready(&self) {
        Track { shared: Arc::clone(&self.shared) }.ready().await;
    }

    /// Ends the subgroup: it has no further object.
    ///
    /// # Errors
    /// The payload of the last object is not complete; the subgroup is reset with [`ResetCode::InternalError`].
    pub fn finish(self) -> Result<(), WriteError> {
        match self.payload_left {
            0 => {
                self.end(SubgroupEnd::Finished);
                Ok(())
            }
            left => {
                self.end(SubgroupEnd::Reset(ResetCode::InternalError));
                Err(WriteError::PayloadTooShort(left))
            }
        }
    }

    /// Gives the subgroup up.
    pub fn reset(self, code: ResetCode) {
        self.end(SubgroupEnd::Reset(code));
    }

    fn end(&self, end: SubgroupEnd) {
        self.shared.lock().end_subgroup(self.arrival, end);
        self.changed.notify_waiters();
        self.shared.arrived.notify_waiters();
    }
}

impl Drop for SubgroupWriter {
    fn drop(&mut self) {
        self.end(SubgroupEnd::Reset(ResetCode::Cancelled));
    }
}

/// Why something cannot be written to a subgroup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WriteError {
    /// This many bytes more than the object's header says.
    PayloadTooLong(u64),
    /// This many bytes of the object's payload are missing.
    PayloadTooShort(u64),
    /// This Object ID is not larger than the one before it.
    ObjectIdNotAscending(u64),
    /// The group has one subgroup, which was said to end it.
    OnlySubgroup,
}

impl fmt::Display for WriteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PayloadTooLong(excess) => {
                write!(f, "the payload is {excess} bytes longer than the object's header says")
            }
            Self::PayloadTooShort(missing) => {
                write!(f, "{missing} bytes of the object's payload are missing")
            }
            Self::ObjectIdNotAscending(id) => {
                write!(f, "object {id} is not larger than the one before it in its subgroup")
            }
            Self::OnlySubgroup => f.write_str(
                "the group's only subgroup has been begun: append the others before the first frame is written",
            ),
        }
    }
}

impl Error for WriteError {}
