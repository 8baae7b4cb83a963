//! What several publishers send of one track made one: each object once, each stream in order. No I/O.
//!
//! Upstream **streams** feed **lanes**, each of which is one stream to every subscriber. An object goes on a lane only if
//! it is provably the next one of its subgroup there (draft-14 §10.4.3, draft-16 §10.4.3): its ID is one more than the
//! last, or it follows that on its own stream. If it is not, a new lane is opened; the old one is reset, unless some
//! other stream may go on with it. Two publishers of the same objects thus feed the same lane, whichever is first with each
//! object; if one is lost, even in the middle of an object, the other goes on from there.

use std::collections::{BTreeMap, VecDeque};

use moqingbird::wire::model::{Location, ObjectHeader};

use crate::ranges::Ranges;

/// Of how many groups it is known which objects there were.
const MAX_GROUPS: usize = 256;

/// An upstream stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct StreamKey(u64);

/// A stream to every subscriber.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct LaneKey(u64);

/// What becomes of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It was there before: neither it nor its payload goes anywhere.
    Skip,
    /// Another stream is in the middle of it: ask again when that has gone on or ended.
    Wait,
    /// It goes on this lane.
    Append(LaneKey),
    /// Another stream was lost in the middle of it: its payload goes on there, without the first so many bytes.
    Resume(LaneKey, u64),
    /// It goes on a new lane; these others are reset before.
    Open(LaneKey, Vec<LaneKey>),
    /// The object is not what it was before.
    Malformed(&'static str),
}

#[derive(Debug, Default)]
pub(crate) struct Merge {
    last_key: u64,
    groups: BTreeMap<u64, Group>,
    /// The groups in the order in which they came.
    order: VecDeque<u64>,
    streams: BTreeMap<StreamKey, Stream>,
    lanes: BTreeMap<LaneKey, Lane>,
}

#[derive(Debug, Default)]
struct Group {
    /// Its objects that are complete.
    seen: Ranges,
    streams: usize,
    /// How many of its lanes are in the middle of an object.
    partial: usize,
}

#[derive(Debug)]
struct Stream {
    group: u64,
    /// Unknown until its first object, if it is named after that.
    subgroup: Option<u64>,
    previous: Option<u64>,
    lane: Option<LaneKey>,
}

#[derive(Debug)]
struct Lane {
    group: u64,
    subgroup: u64,
    /// Its last object that is complete.
    last: Option<u64>,
    partial: Option<Partial>,
}

/// An object that is not complete.
#[derive(Debug)]
struct Partial {
    header: ObjectHeader,
    done: u64,
    owner: Option<StreamKey>,
}

impl Lane {
    /// Whether an object that follows `previous` on its stream is the next one here.
    fn continues(&self, previous: Option<u64>, object: u64) -> bool {
        self.partial.is_none()
            && self.last.is_some_and(|last| last < object && (last + 1 == object || Some(last) == previous))
    }
}

impl Merge {
    /// A stream of a subgroup begins.
    pub(crate) fn begin(&mut self, group: u64, subgroup: Option<u64>) -> StreamKey {
        self.last_key += 1;
        let key = StreamKey(self.last_key);
        self.group(group).streams += 1;
        self.streams.insert(key, Stream { group, subgroup, previous: None, lane: None });
        key
    }

    /// An object that came in a datagram: whether it is new.
    pub(crate) fn datagram(&mut self, group: u64, object: u64) -> bool {
        let seen = &mut self.group(group).seen;
        let is_new = !seen.contains(object);
        seen.insert(object, object);
        is_new
    }

    /// Whether an object is complete, or of a group so old that nothing is known of it any more.
    pub(crate) fn has_seen(&self, location: Location) -> bool {
        match self.groups.get(&location.group) {
            Some(group) => group.seen.contains(location.object),
            None => self.groups.first_key_value().is_some_and(|(oldest, _)| location.group < *oldest),
        }
    }

    fn group(&mut self, id: u64) -> &mut Group {
        if !self.groups.contains_key(&id) {
            self.order.push_back(id);
            if self.order.len() > MAX_GROUPS {
                // One whose streams go on is kept.
                let idle = |id: &u64| self.groups.get(id).is_none_or(|group| group.streams == 0);
                if let Some(oldest) = self.order.iter().position(idle).and_then(|at| self.order.remove(at)) {
                    self.groups.remove(&oldest);
                }
            }
        }
        self.groups.entry(id).or_default()
    }

    /// The next object of a stream. All of its payload is told by [`Merge::payload`] before the next, unless it is
    /// skipped.
    pub(crate) fn object(&mut self, key: StreamKey, header: &ObjectHeader) -> Verdict {
        let object = header.object_id;
        if let Some(lane) = self.goes_on(key, object) {
            self.write(key, lane, header);
            return Verdict::Append(lane);
        }
        let Some(stream) = self.streams.get_mut(&key) else { return Verdict::Skip };
        let subgroup = *stream.subgroup.get_or_insert(object);
        let (group, previous, bound) = (stream.group, stream.previous, stream.lane);
        if let Some(verdict) = self.resume(key, group, subgroup, header) {
            return verdict;
        }
        if self.groups.get(&group).is_some_and(|group| group.seen.contains(object)) {
            self.pass(key, object);
            return Verdict::Skip;
        }
        if let Some(lane) = self.lane_for(group, subgroup, bound, previous, object) {
            self.write(key, lane, header);
            return Verdict::Append(lane);
        }
        let given_up = self.give_up(key, group, Some(subgroup));
        self.last_key += 1;
        let lane = LaneKey(self.last_key);
        self.lanes.insert(lane, Lane { group, subgroup, last: None, partial: None });
        self.write(key, lane, header);
        Verdict::Open(lane, given_up)
    }

    /// The lane of a stream whose next object is the next one there, as no other stream of its group has it: the usual case.
    fn goes_on(&self, key: StreamKey, object: u64) -> Option<LaneKey> {
        let stream = self.streams.get(&key)?;
        let lane = stream.lane?;
        let group = self.groups.get(&stream.group)?;
        let is_new = group.partial == 0 && group.seen.last() < Some(object);
        (is_new && self.lanes.get(&lane)?.continues(stream.previous, object)).then_some(lane)
    }

    /// The lanes of a subgroup with which no other stream can go on.
    fn give_up(&mut self, key: StreamKey, group: u64, subgroup: Option<u64>) -> Vec<LaneKey> {
        let others = self
            .streams
            .iter()
            .any(|(it, stream)| *it != key && stream.group == group && stream.subgroup == subgroup);
        if others {
            return Vec::new();
        }
        let of_subgroup = |lane: &Lane| lane.group == group && Some(lane.subgroup) == subgroup;
        let lanes: Vec<_> =
            self.lanes.iter().filter(|(_, lane)| of_subgroup(lane)).map(|(key, _)| *key).collect();
        for lane in &lanes {
            if self.lanes.remove(lane).is_some_and(|lane| lane.partial.is_some()) {
                self.group(group).partial -= 1;
            }
        }
        lanes
    }

    /// What becomes of an object that some lane is in the middle of.
    fn resume(
        &mut self,
        key: StreamKey,
        group: u64,
        subgroup: u64,
        header: &ObjectHeader,
    ) -> Option<Verdict> {
        let is_in_it = |lane: &Lane| {
            lane.group == group
                && lane.partial.as_ref().is_some_and(|it| it.header.object_id == header.object_id)
        };
        let (&at, lane) = self.lanes.iter_mut().find(|(_, lane)| is_in_it(lane))?;
        let partial = lane.partial.as_mut()?;
        if partial.header != *header || lane.subgroup != subgroup {
            return Some(Verdict::Malformed("an object differs from what another publisher sent"));
        }
        if partial.owner.is_some_and(|owner| owner != key) {
            return Some(Verdict::Wait);
        }
        partial.owner = Some(key);
        let done = partial.done;
        self.bind(key, at);
        Some(Verdict::Resume(at, done))
    }

    /// The lane on which an object is provably the next one.
    fn lane_for(
        &self,
        group: u64,
        subgroup: u64,
        bound: Option<LaneKey>,
        previous: Option<u64>,
        object: u64,
    ) -> Option<LaneKey> {
        let continues = |key: &LaneKey| self.lanes.get(key).is_some_and(|it| it.continues(previous, object));
        bound.filter(continues).or_else(|| {
            let of_subgroup = |lane: &Lane| lane.group == group && lane.subgroup == subgroup;
            self.lanes.iter().filter(|(_, lane)| of_subgroup(lane)).map(|(key, _)| *key).find(continues)
        })
    }

    fn write(&mut self, key: StreamKey, at: LaneKey, header: &ObjectHeader) {
        self.bind(key, at);
        if header.payload_length == 0 {
            return self.complete(key, at, header.object_id);
        }
        if let Some(lane) = self.lanes.get_mut(&at) {
            lane.partial = Some(Partial { header: header.clone(), done: 0, owner: Some(key) });
            let group = lane.group;
            self.group(group).partial += 1;
        }
    }

    /// So much of the payload of the object at hand has been written. Whether the object is complete.
    pub(crate) fn payload(&mut self, key: StreamKey, bytes: u64) -> bool {
        let Some(at) = self.streams.get(&key).and_then(|stream| stream.lane) else { return false };
        let Some(partial) = self.lanes.get_mut(&at).and_then(|lane| lane.partial.as_mut()) else {
            return false;
        };
        partial.done += bytes;
        let object = partial.header.object_id;
        let is_complete = partial.done >= partial.header.payload_length;
        if is_complete {
            self.complete(key, at, object);
        }
        is_complete
    }

    fn complete(&mut self, key: StreamKey, at: LaneKey, object: u64) {
        if let Some(lane) = self.lanes.get_mut(&at) {
            let was_partial = lane.partial.take().is_some();
            lane.last = Some(object);
            let group = lane.group;
            let group = self.group(group);
            group.partial -= usize::from(was_partial);
            group.seen.insert(object, object);
        }
        self.pass(key, object);
    }

    fn pass(&mut self, key: StreamKey, object: u64) {
        if let Some(stream) = self.streams.get_mut(&key) {
            stream.previous = Some(object);
        }
    }

    fn bind(&mut self, key: StreamKey, at: LaneKey) {
        if let Some(stream) = self.streams.get_mut(&key) {
            stream.lane = Some(at);
        }
    }

    /// A stream has ended with all of its subgroup: the lane that has all of it too, if any, is at its end; and of those
    /// with which nobody can go on any more.
    pub(crate) fn finished(&mut self, key: StreamKey) -> (Option<LaneKey>, Vec<LaneKey>) {
        let Some(stream) = self.leave(key) else { return (None, Vec::new()) };
        let has_all = |lane: &Lane| {
            lane.group == stream.group
                && Some(lane.subgroup) == stream.subgroup
                && lane.partial.is_none()
                && lane.last == stream.previous
        };
        let whole = self.lanes.iter().find(|(_, lane)| has_all(lane)).map(|(key, _)| *key);
        if let Some(lane) = whole {
            self.lanes.remove(&lane);
        }
        (whole, self.give_up(key, stream.group, stream.subgroup))
    }

    /// A stream has ended before its subgroup did. The lanes with which nobody can go on any more are given up.
    pub(crate) fn broken_off(&mut self, key: StreamKey) -> Vec<LaneKey> {
        let Some(stream) = self.leave(key) else { return Vec::new() };
        self.give_up(key, stream.group, stream.subgroup)
    }

    fn leave(&mut self, key: StreamKey) -> Option<Stream> {
        let stream = self.streams.remove(&key)?;
        if let Some(group) = self.groups.get_mut(&stream.group) {
            group.streams -= 1;
        }
        for lane in self.lanes.values_mut() {
            if let Some(partial) = &mut lane.partial {
                partial.owner.take_if(|owner| *owner == key);
            }
        }
        Some(stream)
    }

    /// Whether anything is being sent.
    #[cfg(test)]
    fn is_idle(&self) -> bool {
        self.streams.is_empty() && self.lanes.is_empty()
    }
}

#[cfg(test)]
mod tests;
