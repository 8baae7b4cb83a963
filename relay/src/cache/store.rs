//! What is kept of one track, and what is known of it. No I/O, no clock: time is what the caller says.
//!
//! Every location is **present**, **absent** (no such object, for ever) or **unknown**. Objects come in live, as they are
//! published, or are fetched; what lies between two fetched objects is absent. A group that nobody writes to any more
//! ends behind its last object if all before that is known.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use moqingbird::wire::list::Value;
use moqingbird::wire::model::{EndLocation, FetchObject, GroupOrder, Location, ObjectStatus, extension};

use crate::ranges::Ranges;

/// What it costs to know of a group.
const GROUP_WEIGHT: usize = 256;
/// What it costs to keep an object besides its payload and extension headers.
const OBJECT_WEIGHT: usize = size_of::<Entry>() + 64;

#[derive(Debug, Default)]
pub(crate) struct Store {
    groups: BTreeMap<u64, Group>,
    absent_groups: Ranges,
    /// Nothing is here or behind.
    end: Option<Location>,
    /// The largest location that was published, kept or not.
    largest: Option<Location>,
    /// What a publisher has said of that, which need not have come here.
    told: Option<Location>,
    max_cache_duration: Option<Duration>,
    /// What all of this weighs.
    bytes: usize,
}

#[derive(Debug)]
struct Group {
    objects: BTreeMap<u64, Entry>,
    /// What does not exist.
    absent: Ranges,
    /// What of that the publisher has stated, and did not only leave out of a range.
    stated: Ranges,
    /// When its first object came.
    since: Duration,
    /// Whether it was written to live.
    live: bool,
    /// How many live streams write to it.
    open: usize,
    /// Something of it may have been missed: its end is not where its last object is.
    broken: bool,
}

#[derive(Debug)]
struct Entry {
    header: FetchObject,
    parts: Parts,
    /// How many bytes of payload are to come.
    left: u64,
    /// When its first byte came.
    since: Duration,
}

/// The payload of an object in the parts in which it came: mostly one.
#[derive(Debug, Default)]
struct Parts {
    first: Bytes,
    rest: Vec<Bytes>,
}

impl Parts {
    fn push(&mut self, part: Bytes) {
        match self.first.is_empty() {
            true => self.first = part,
            false => self.rest.push(part),
        }
    }

    fn iter(&self) -> impl Iterator<Item = &Bytes> {
        std::iter::once(&self.first).filter(|first| !first.is_empty()).chain(&self.rest)
    }
}

/// What comes next in a range.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// This object.
    Object(Location),
    /// Of these locations nothing is known.
    Gap { start: Location, end: EndLocation },
    /// Nothing.
    End,
}

/// A part of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// Its next bytes.
    Payload(Bytes),
    /// There is no more.
    End,
    /// The next has not come yet.
    Later,
    /// It is not kept any more, or will never be whole.
    Lost,
}

/// A range to be read, from where it is up to now.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cursor {
    start: Location,
    end: EndLocation,
    order: GroupOrder,
    /// Everything before is done, in the order of the range. `None`: all is.
    at: Option<Location>,
}

impl Cursor {
    pub(crate) fn new(start: Location, end: EndLocation, order: GroupOrder) -> Self {
        let at = match order {
            GroupOrder::Ascending => start,
            GroupOrder::Descending if end.group > start.group => Location::new(end.group, 0),
            GroupOrder::Descending => start,
        };
        Self { start, end, order, at: end.reaches(start).then_some(at) }
    }

    /// The last object that is wanted of a group.
    fn last_of(&self, group: u64) -> u64 {
        match self.end.object {
            Some(object) if group == self.end.group => object,
            _ => u64::MAX,
        }
    }

    /// Goes behind an object.
    pub(crate) fn pass(&mut self, location: Location) {
        let group = location.group;
        self.at = match location.object.checked_add(1).filter(|next| *next <= self.last_of(group)) {
            Some(next) => Some(Location::new(group, next)),
            None => self.behind_group(group),
        };
    }

    /// Goes behind a gap.
    pub(crate) fn pass_gap(&mut self, start: Location, end: EndLocation) {
        match (self.order, end.object) {
            (GroupOrder::Ascending, Some(object)) => self.pass(Location::new(end.group, object)),
            (GroupOrder::Ascending, None) => self.at = self.behind_group(end.group),
            // A gap within a group, or of whole groups down to the first.
            (GroupOrder::Descending, Some(object)) if start.group == end.group => {
                self.pass(Location::new(end.group, object));
            }
            (GroupOrder::Descending, _) => self.at = self.behind_group(start.group),
        }
    }

    fn behind_group(&self, group: u64) -> Option<Location> {
        match self.order {
            GroupOrder::Ascending => {
                let next = group.checked_add(1).filter(|next| *next <= self.end.group)?;
                Some(Location::new(next, 0))
            }
            GroupOrder::Descending => {
                let next = group.checked_sub(1).filter(|next| *next >= self.start.group)?;
                Some(if next == self.start.group { self.start } else { Location::new(next, 0) })
            }
        }
    }
}

impl Store {
    pub(crate) const fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) const fn largest(&self) -> Option<Location> {
        self.largest
    }

    /// Whether it is known where the track ends.
    pub(crate) const fn is_complete(&self) -> bool {
        self.end.is_some()
    }

    pub(crate) const fn limit_age(&mut self, max_cache_duration: Option<Duration>) {
        self.max_cache_duration = max_cache_duration;
    }

    /// A publisher says that this is the largest location so far.
    pub(crate) fn tell_largest(&mut self, location: Location) {
        self.told = self.told.max(Some(location));
        self.raise_largest(location);
    }

    fn raise_largest(&mut self, location: Location) {
        self.largest = self.largest.max(Some(location));
    }

    // --- what comes ---

    fn group(&mut self, id: u64, now: Duration) -> &mut Group {
        let bytes = &mut self.bytes;
        self.groups.entry(id).or_insert_with(|| {
            *bytes += GROUP_WEIGHT;
            Group {
                objects: BTreeMap::new(),
                absent: Ranges::default(),
                stated: Ranges::default(),
                since: now,
                live: false,
                open: 0,
                broken: false,
            }
        })
    }

    /// A live stream begins to write to a group.
    pub(crate) fn open(&mut self, group: u64, now: Duration) {
        let group = self.group(group, now);
        group.open += 1;
        group.live = true;
    }

    /// It ends, with all of its subgroup or without.
    pub(crate) fn close(&mut self, group: u64, is_whole: bool) {
        if let Some(group) = self.groups.get_mut(&group) {
            group.open = group.open.saturating_sub(1);
            group.broken |= !is_whole;
        }
    }

    /// An object is published. What was stated not to exist stays so, and is not to go anywhere: that is `false`
    /// (draft-14 §8.1, draft-16 §8.1).
    pub(crate) fn publish(&mut self, header: FetchObject, now: Duration) -> bool {
        let Location { group, object } = header.location;
        if let Some(known) = self.groups.get_mut(&group) {
            if known.stated.contains(object) {
                return false;
            }
            // What was left out of a range may have been on its way.
            known.absent.remove(object, object);
        }
        self.absent_groups.remove(group, group);
        self.raise_largest(header.location);
        if header.subgroup_id.is_none() {
            // How many datagrams were lost nobody can tell.
            self.group(header.location.group, now).broken = true;
        }
        self.learn_gaps(&header, now);
        self.insert(header, now);
        true
    }

    /// An object comes, of which nothing or less was known. What does not exist stays so.
    pub(crate) fn insert(&mut self, header: FetchObject, now: Duration) {
        let location = header.location;
        if self.is_absent(location) {
            return;
        }
        match header.status {
            ObjectStatus::DoesNotExist => {
                self.remove(location);
                return self.state_absent(location.group, location.object, location.object, now);
            }
            ObjectStatus::EndOfGroup => self.end_group(location, now),
            ObjectStatus::EndOfTrack => {
                self.end_group(location, now);
                self.end = Some(Location::new(location.group, location.object.saturating_add(1)));
            }
            _ => {}
        }
        self.bytes += OBJECT_WEIGHT + header.extensions.byte_length();
        let left = header.payload_length;
        let entry = Entry { header, parts: Parts::default(), left, since: now };
        let before = self.group(location.group, now).objects.insert(location.object, entry);
        self.bytes -= before.map_or(0, |before| before.weight());
    }

    fn state_absent(&mut self, group: u64, first: u64, last: u64, now: Duration) {
        let group = self.group(group, now);
        group.absent.insert(first, last);
        group.stated.insert(first, last);
    }

    /// Its group has no object behind this one.
    pub(crate) fn end_group(&mut self, location: Location, now: Duration) {
        if let Some(behind) = location.object.checked_add(1) {
            self.group(location.group, now).absent.insert(behind, u64::MAX);
        }
    }

    /// What an object says of the locations before it (draft-14 §11.1, §11.3; draft-16 §11.3, §11.4).
    fn learn_gaps(&mut self, header: &FetchObject, now: Duration) {
        if header.extensions.is_empty() {
            return;
        }
        let Location { group, object } = header.location;
        let gap = |key, at: u64| match header.extensions.get(key) {
            Some(Value::Integer(length)) => at.checked_sub(length).filter(|_| length > 0),
            _ => None,
        };
        if let Some(first) = gap(extension::PRIOR_OBJECT_ID_GAP, object) {
            self.state_absent(group, first, object - 1, now);
        }
        if let Some(first) = gap(extension::PRIOR_GROUP_ID_GAP, group) {
            self.absent_groups.insert(first, group - 1);
        }
    }

    /// The next part of an object's payload.
    pub(crate) fn add(&mut self, location: Location, part: Bytes) {
        let group = self.groups.get_mut(&location.group);
        if let Some(entry) = group.and_then(|group| group.objects.get_mut(&location.object)) {
            entry.left = entry.left.saturating_sub(part.len() as u64);
            self.bytes += part.len();
            entry.parts.push(part);
        }
    }

    /// An object will never be whole, if it is not by now.
    pub(crate) fn give_up(&mut self, location: Location) {
        if self.entry(location).is_some_and(|entry| entry.left > 0) {
            self.remove(location);
        }
    }

    /// No object is from `start` to `end`.
    pub(crate) fn insert_absent(&mut self, start: Location, end: EndLocation, now: Duration) {
        if !end.reaches(start) {
            return;
        }
        let mut first_group = start.group;
        if start.object > 0 {
            let last = if end.group == start.group { end.object.unwrap_or(u64::MAX) } else { u64::MAX };
            self.group(start.group, now).absent.insert(start.object, last);
            match start.group.checked_add(1).filter(|next| *next <= end.group) {
                Some(next) => first_group = next,
                None => return,
            }
        }
        match end.object {
            None => self.absent_groups.insert(first_group, end.group),
            Some(last) => {
                if let Some(before) = end.group.checked_sub(1) {
                    self.absent_groups.insert(first_group, before);
                }
                self.group(end.group, now).absent.insert(0, last);
            }
        }
    }

    fn remove(&mut self, location: Location) {
        if let Some(group) = self.groups.get_mut(&location.group)
            && let Some(entry) = group.objects.remove(&location.object)
        {
            self.bytes -= entry.weight();
        }
    }

    // --- what is known ---

    /// Whether a location is known to hold no object.
    pub(crate) fn is_absent(&self, location: Location) -> bool {
        self.end.is_some_and(|end| location >= end)
            || self.absent_groups.contains(location.group)
            || self.groups.get(&location.group).is_some_and(|group| group.absent.contains(location.object))
    }

    /// An object that is kept: what is known of it but for its payload.
    pub(crate) fn header(&self, location: Location) -> Option<&FetchObject> {
        self.entry(location).map(|entry| &entry.header)
    }

    fn entry(&self, location: Location) -> Option<&Entry> {
        self.groups.get(&location.group)?.objects.get(&location.object)
    }

    /// A part of an object.
    pub(crate) fn part(&self, location: Location, number: usize) -> Part {
        match self.entry(location) {
            Some(entry) => match entry.parts.iter().nth(number) {
                Some(part) => Part::Payload(part.clone()),
                None if entry.left == 0 => Part::End,
                None => Part::Later,
            },
            None => Part::Lost,
        }
    }

    /// Whether a part of a payload is not what is kept of it.
    pub(crate) fn differs(&self, location: Location, mut offset: usize, mut part: &[u8]) -> bool {
        let Some(entry) = self.entry(location) else { return false };
        for kept in entry.parts.iter() {
            if part.is_empty() {
                return false;
            }
            match kept.get(offset..) {
                None => offset -= kept.len(),
                Some(kept) => {
                    let (here, rest) = part.split_at(kept.len().min(part.len()));
                    if kept[..here.len()] != *here {
                        return true;
                    }
                    (offset, part) = (0, rest);
                }
            }
        }
        false
    }

    /// What comes next in a range. The cursor passes what is absent. What may be kept no longer is forgotten.
    pub(crate) fn step(&mut self, cursor: &mut Cursor, now: Duration) -> Step {
        loop {
            let Some(at) = cursor.at else { return Step::End };
            if self.is_over_age(at, now) {
                self.forget_over_age(at.group, now);
            }
            if self.entry(at).is_some() {
                return Step::Object(at);
            }
            match self.absent_around(at, cursor.order) {
                Some((start, end)) => cursor.pass_gap(start, end),
                None => {
                    self.forget_over_age(at.group, now);
                    return self.gap(cursor, at);
                }
            }
        }
    }

    fn is_over_age(&self, location: Location, now: Duration) -> bool {
        self.max_cache_duration.is_some_and(|limit| {
            self.entry(location).is_some_and(|entry| now.saturating_sub(entry.since) >= limit)
        })
    }

    /// All of a group's that is over its age, so that it is asked for at once.
    fn forget_over_age(&mut self, group: u64, now: Duration) {
        if self.max_cache_duration.is_none() {
            return;
        }
        let over: Vec<_> =
            self.groups.get(&group).into_iter().flat_map(|it| it.objects.keys()).copied().collect();
        for location in over.into_iter().map(|object| Location::new(group, object)) {
            if self.is_over_age(location, now) {
                self.remove(location);
            }
        }
    }

    /// How far nothing exists around an absent location: within its group, or in whole groups.
    fn absent_around(&self, at: Location, order: GroupOrder) -> Option<(Location, EndLocation)> {
        let whole = |first, last| (Location::new(first, 0), EndLocation { group: last, object: None });
        if let Some(end) = self.end.filter(|end| at >= *end) {
            return Some(match order {
                GroupOrder::Descending if at.group > end.group => whole(end.group + 1, at.group),
                GroupOrder::Descending => (at, EndLocation { group: at.group, object: None }),
                GroupOrder::Ascending => (at, EndLocation { group: u64::MAX, object: None }),
            });
        }
        if let Some((first, last)) = self.absent_groups.run(at.group) {
            return Some(whole(first, last));
        }
        let group = self.groups.get(&at.group)?;
        if let Some((_, last)) = group.absent.run(at.object) {
            let object = Some(last).filter(|last| *last < u64::MAX);
            return Some((at, EndLocation { group: at.group, object }));
        }
        let is_behind = at.object > group.last()? && self.is_over(at.group, group);
        is_behind.then_some((at, EndLocation { group: at.group, object: None }))
    }

    /// Whether a group has no object behind its last: it came live, nobody writes to it, a later one has begun, and nothing
    /// before is missing.
    fn is_over(&self, id: u64, group: &Group) -> bool {
        let last = group.last();
        group.live
            && group.open == 0
            && !group.broken
            && (self.is_complete() || self.largest.is_some_and(|largest| largest.group > id))
            && !self.told.is_some_and(|told| told.group == id && Some(told.object) > last)
            && group.is_contiguous()
    }

    /// The unknown locations from one on: to the next that is known, in whole groups as far as may be.
    fn gap(&self, cursor: &Cursor, at: Location) -> Step {
        let within = self.groups.get(&at.group).and_then(|group| group.next_known(at.object));
        let last = cursor.last_of(at.group);
        if let Some(next) = within.filter(|next| *next <= last) {
            let end = EndLocation { group: at.group, object: next.checked_sub(1) };
            return Step::Gap { start: at, end };
        }
        let rest = EndLocation { group: at.group, object: Some(last).filter(|last| *last < u64::MAX) };
        match cursor.order {
            GroupOrder::Ascending => {
                let known = self.next_known_group(at.group);
                let end = match known.filter(|known| *known <= cursor.end.group) {
                    Some(known) if known > at.group => EndLocation { group: known - 1, object: None },
                    _ => cursor.end,
                };
                Step::Gap { start: at, end }
            }
            // Lower groups join if this one is unknown from its beginning.
            GroupOrder::Descending if at.object > 0 || self.groups.contains_key(&at.group) => {
                Step::Gap { start: at, end: rest }
            }
            GroupOrder::Descending => {
                let known = self.previous_known_group(at.group);
                let start = match known.filter(|known| *known >= cursor.start.group) {
                    Some(known) => Location::new(known + 1, 0),
                    None => cursor.start,
                };
                Step::Gap { start, end: rest }
            }
        }
    }

    /// The next group of which anything is known.
    fn next_known_group(&self, group: u64) -> Option<u64> {
        let next = group.checked_add(1)?;
        let held = self.groups.range(next..).next().map(|(id, _)| *id);
        held.into_iter().chain(self.absent_groups.next(next)).min()
    }

    fn previous_known_group(&self, group: u64) -> Option<u64> {
        let previous = group.checked_sub(1)?;
        let held = self.groups.range(..=previous).next_back().map(|(id, _)| *id);
        held.into_iter().chain(self.absent_groups.previous(previous)).max()
    }

    // --- what is forgotten ---

    /// The groups that may go, with the time of their first object: all but the last, which is kept while the publisher
    /// lives.
    pub(crate) fn old_groups(&self) -> impl Iterator<Item = (Duration, u64)> {
        let newest = self.groups.keys().next_back().copied();
        self.groups.iter().filter(move |(id, _)| Some(**id) != newest).map(|(id, group)| (group.since, *id))
    }

    pub(crate) fn forget_group(&mut self, id: u64) {
        if let Some(group) = self.groups.remove(&id) {
            self.bytes -= GROUP_WEIGHT + group.objects.values().map(Entry::weight).sum::<usize>();
        }
    }

    /// Forgets old groups, until there are no more than so many.
    pub(crate) fn limit_groups(&mut self, max: usize) {
        while self.groups.len() > max.max(1) {
            let Some((_, oldest)) = self.old_groups().min() else { return };
            self.forget_group(oldest);
        }
    }

    /// Forgets the oldest objects of the newest group, until no more than so many bytes are kept of it. What is being
    /// written stays.
    pub(crate) fn shrink_to(&mut self, bytes: usize) {
        let Some(mut newest) = self.groups.last_entry() else { return };
        let objects = &mut newest.get_mut().objects;
        while self.bytes > bytes && objects.len() > 1 {
            let Some((_, entry)) = objects.pop_first() else { return };
            self.bytes -= entry.weight();
        }
    }
}

impl Group {
    /// The last object that is kept.
    fn last(&self) -> Option<u64> {
        self.objects.keys().next_back().copied()
    }

    fn is_contiguous(&self) -> bool {
        let mut next = 0;
        for &object in self.objects.keys() {
            while next < object {
                match self.absent.run(next) {
                    Some((_, last)) => next = last.saturating_add(1),
                    None => return false,
                }
            }
            next = object.saturating_add(1);
        }
        true
    }

    /// The next object, at or behind a number, of which is known whether it exists.
    fn next_known(&self, number: u64) -> Option<u64> {
        let present = self.objects.range(number..).next().map(|(object, _)| *object);
        present.into_iter().chain(self.absent.next(number)).min()
    }
}

impl Entry {
    fn weight(&self) -> usize {
        OBJECT_WEIGHT
            + self.header.extensions.byte_length()
            + self.parts.iter().map(Bytes::len).sum::<usize>()
    }
}

#[cfg(test)]
mod tests;
