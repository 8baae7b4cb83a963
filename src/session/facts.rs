//! What is known of a track across its streams, and when that cannot be true: a malformed track (draft-14 §2.5, §11;
//! draft-16 §2.4.2, §11).
//!
//! What one stream shows its reader judges. What only several show together is judged here, by rare facts that readers
//! tell as their streams end, not by every object. A peer decides how many facts there are, so only the newest groups are
//! remembered, and of each only so much: detection is best effort in both drafts.

use std::collections::VecDeque;

use moqingbird_wire::model::{Location, RequestId};

use super::requests::{Body, Open};
use super::{Event, Instant, Session};

/// How many groups of a track are remembered.
const MAX_GROUPS: usize = 32;
/// How many subgroups, and how many gaps, of a group are remembered; and how many gaps of groups.
const MAX_DETAILS: usize = 16;

/// Something that a reader has seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fact {
    /// A stream brought objects of a subgroup. Told when it has ended, or is read no further.
    Subgroup {
        /// The group.
        group_id: u64,
        /// The subgroup.
        subgroup_id: u64,
        /// Its priority. `None`: the track's default.
        priority: Option<u8>,
        /// The ID of its first object.
        first: u64,
        /// The ID of its last object.
        last: u64,
        /// Whether it ended with FIN, so that `last` is the last of the subgroup.
        finished: bool,
    },
    /// A datagram brought an object.
    Datagram(Location),
    /// A group has no object from here on.
    EndOfGroup(Location),
    /// The track has no object from here on.
    EndOfTrack(Location),
    /// So many groups just before this one do not exist: Prior Group ID Gap.
    GroupGap {
        /// The group that states it.
        group_id: u64,
        /// How many.
        length: u64,
    },
    /// So many objects just before this one, in its group, do not exist: Prior Object ID Gap.
    ObjectGap {
        /// The object that states it.
        at: Location,
        /// How many.
        length: u64,
    },
    /// There is nothing from `first` up to and including `last`.
    NoObjects {
        /// The first location.
        first: Location,
        /// The last.
        last: Location,
    },
    /// A reader found the track malformed, for this reason.
    Malformed(&'static str),
}

/// The facts of one track.
#[derive(Debug, Default)]
pub(super) struct TrackFacts {
    /// By their IDs, in ascending order.
    groups: VecDeque<(u64, GroupFacts)>,
    largest: Option<Location>,
    end: Option<Location>,
    /// First and last of groups that do not exist.
    absent: VecDeque<(u64, u64)>,
}

#[derive(Debug, Default)]
struct GroupFacts {
    largest: Option<u64>,
    /// There is no object from this on.
    end: Option<u64>,
    gap: Option<u64>,
    /// By their IDs, in ascending order.
    subgroups: Vec<(u64, SubgroupFacts)>,
    /// The last objects that came in datagrams.
    datagrams: VecDeque<u64>,
    /// First and last of objects that do not exist.
    absent: VecDeque<(u64, u64)>,
}

#[derive(Debug)]
struct SubgroupFacts {
    priority: Option<u8>,
    first: u64,
    last: u64,
    is_final: bool,
}

type Judged = Result<(), &'static str>;

impl TrackFacts {
    pub(super) fn tell(&mut self, fact: Fact) -> Judged {
        match fact {
            Fact::Subgroup { group_id, subgroup_id, priority, first, last, finished } => {
                self.object(Location::new(group_id, last))?;
                let seen = SubgroupFacts { priority, first, last, is_final: finished };
                self.group(group_id).map_or(Ok(()), |group| group.subgroup(subgroup_id, seen))
            }
            Fact::Datagram(at) => {
                self.object(at)?;
                self.group(at.group).map_or(Ok(()), |group| group.datagram(at.object))
            }
            Fact::EndOfGroup(at) => self.group(at.group).map_or(Ok(()), |group| group.end(at.object)),
            Fact::EndOfTrack(at) => self.end(at),
            Fact::GroupGap { group_id, length } => self.gap(group_id, length),
            Fact::ObjectGap { at, length } => {
                self.group(at.group).map_or(Ok(()), |group| group.gap(at.object, length))
            }
            Fact::NoObjects { first, last } => self.nothing(first, last),
            Fact::Malformed(reason) => Err(reason),
        }
    }

    fn object(&mut self, at: Location) -> Judged {
        if self.end.is_some_and(|end| at >= end) {
            return Err("an object behind the end of the track");
        }
        if self.absent.iter().any(|(first, last)| (*first..=*last).contains(&at.group)) {
            return Err("an object of a group that does not exist");
        }
        self.largest = self.largest.max(Some(at));
        Ok(())
    }

    fn end(&mut self, at: Location) -> Judged {
        if self.largest.is_some_and(|largest| largest >= at) {
            return Err("the track ends before an object that was seen");
        }
        self.end = Some(self.end.map_or(at, |end| end.min(at)));
        Ok(())
    }

    fn nothing(&mut self, first: Location, last: Location) -> Judged {
        if first.group == last.group {
            return self.group(first.group).map_or(Ok(()), |group| group.nothing(first.object, last.object));
        }
        self.group(first.group).map_or(Ok(()), |group| group.end(first.object))?;
        self.group(last.group).map_or(Ok(()), |group| group.nothing(0, last.object))?;
        self.no_groups(first.group.saturating_add(1), last.group.saturating_sub(1))
    }

    /// Groups, the first and the last of which are told, do not exist.
    fn no_groups(&mut self, first: u64, last: u64) -> Judged {
        if first > last {
            return Ok(());
        }
        if self.groups.iter().any(|(id, it)| (first..=last).contains(id) && it.largest.is_some()) {
            return Err("a gap covers a group that has objects");
        }
        remember(&mut self.absent, (first, last));
        Ok(())
    }

    fn gap(&mut self, group_id: u64, length: u64) -> Judged {
        let Some(first) = group_id.checked_sub(length) else {
            return Err("a gap of more groups than precede");
        };
        let Some(last) = group_id.checked_sub(1).filter(|_| length > 0) else { return Ok(()) };
        if let Some(group) = self.group(group_id)
            && group.gap.replace(length).is_some_and(|before| before != length)
        {
            return Err("two gaps are stated before one group");
        }
        self.no_groups(first, last)
    }

    /// A group that is remembered: the newest are.
    fn group(&mut self, group_id: u64) -> Option<&mut GroupFacts> {
        let mut at = match self.groups.binary_search_by_key(&group_id, |(id, _)| *id) {
            Ok(at) => return self.groups.get_mut(at).map(|(_, facts)| facts),
            Err(at) => at,
        };
        let mut facts = GroupFacts::default();
        if self.groups.len() == MAX_GROUPS {
            // One that is older than all of them is not remembered.
            at = at.checked_sub(1)?;
            // Its room is used again: a track may have a group an object.
            facts = self.groups.pop_front().map_or(facts, |(_, oldest)| oldest.forgotten());
        }
        self.groups.insert(at, (group_id, facts));
        self.groups.get_mut(at).map(|(_, facts)| facts)
    }
}

impl GroupFacts {
    /// Nothing, with the room of what was known.
    fn forgotten(mut self) -> Self {
        self.subgroups.clear();
        self.datagrams.clear();
        self.absent.clear();
        let Self { subgroups, datagrams, absent, .. } = self;
        Self { subgroups, datagrams, absent, ..Self::default() }
    }

    fn subgroup(&mut self, subgroup_id: u64, seen: SubgroupFacts) -> Judged {
        self.exist([seen.first, seen.last])?;
        // A fetched datagram is told as a subgroup of its own ID where the draft has no other way (draft-14 §10.4.4).
        if self.datagrams.iter().any(|id| seen.shows(*id) && *id != subgroup_id) {
            return Err("an object comes in a datagram and in a stream");
        }
        if self.subgroups.iter().any(|(id, known)| *id != subgroup_id && known.shares_an_object(&seen)) {
            return Err("an object comes in two subgroups");
        }
        match self.subgroups.binary_search_by_key(&subgroup_id, |(id, _)| *id) {
            Ok(at) => self.subgroups[at].1.add(seen),
            Err(at) => {
                let is_full = self.subgroups.len() == MAX_DETAILS;
                if is_full {
                    self.subgroups.remove(0);
                }
                self.subgroups.insert(at.saturating_sub(usize::from(is_full)), (subgroup_id, seen));
                Ok(())
            }
        }
    }

    fn datagram(&mut self, id: u64) -> Judged {
        self.exist([id])?;
        if self.subgroups.iter().any(|(subgroup_id, known)| known.shows(id) && *subgroup_id != id) {
            return Err("an object comes in a datagram and in a stream");
        }
        if !self.datagrams.contains(&id) {
            if self.datagrams.len() == MAX_DETAILS {
                self.datagrams.pop_front();
            }
            self.datagrams.push_back(id);
        }
        Ok(())
    }

    /// These objects, in ascending order, exist.
    fn exist<const N: usize>(&mut self, ids: [u64; N]) -> Judged {
        if self.end.is_some_and(|end| ids.iter().any(|id| *id >= end)) {
            return Err("an object behind the end of its group");
        }
        if self.absent.iter().any(|(from, to)| ids.iter().any(|id| (*from..=*to).contains(id))) {
            return Err("an object in a gap");
        }
        self.largest = self.largest.max(ids.last().copied());
        Ok(())
    }

    fn end(&mut self, at: u64) -> Judged {
        if self.largest.is_some_and(|largest| largest >= at) {
            return Err("a group ends before an object that was seen");
        }
        self.end = Some(self.end.map_or(at, |end| end.min(at)));
        Ok(())
    }

    fn gap(&mut self, object_id: u64, length: u64) -> Judged {
        let Some(first) = object_id.checked_sub(length) else {
            return Err("a gap of more objects than precede");
        };
        match object_id.checked_sub(1).filter(|_| length > 0) {
            Some(last) => self.nothing(first, last),
            None => Ok(()),
        }
    }

    /// Objects, the first and the last of which are told, do not exist.
    fn nothing(&mut self, first: u64, last: u64) -> Judged {
        let seen = self.subgroups.iter().flat_map(|(_, known)| [known.first, known.last]);
        if seen.chain(self.datagrams.iter().copied()).any(|id| (first..=last).contains(&id)) {
            return Err("a gap covers an object that was seen");
        }
        remember(&mut self.absent, (first, last));
        Ok(())
    }
}

impl SubgroupFacts {
    /// Whether an object is known to be one of the subgroup's.
    const fn shows(&self, id: u64) -> bool {
        self.first == id || self.last == id
    }

    const fn shares_an_object(&self, other: &Self) -> bool {
        self.shows(other.first) || self.shows(other.last)
    }

    /// What another stream has brought of the subgroup.
    fn add(&mut self, seen: Self) -> Judged {
        let differs = self.priority.zip(seen.priority).is_some_and(|(one, other)| one != other);
        if self.shares_an_object(&seen) && differs {
            return Err("an object comes with two priorities");
        }
        if self.is_final && seen.last > self.last {
            return Err("an object behind the end of its subgroup");
        }
        if seen.is_final && seen.last < self.last {
            return Err("a subgroup ends before an object that was seen");
        }
        self.first = self.first.min(seen.first);
        self.last = self.last.max(seen.last);
        self.is_final |= seen.is_final;
        Ok(())
    }
}

fn remember(absent: &mut VecDeque<(u64, u64)>, range: (u64, u64)) {
    if absent.contains(&range) {
        return;
    }
    if absent.len() == MAX_DETAILS {
        absent.pop_front();
    }
    absent.push_back(range);
}

impl Session {
    /// A reader has seen something of the track of this request. A track that cannot be so is left: that is no fault of the
    /// session's.
    pub(super) fn fact_told(&mut self, now: Instant, id: RequestId, fact: Fact) {
        if let Err(reason) = self.tell_fact(id, fact) {
            self.malformed(now, id, reason);
        }
    }

    pub(super) fn tell_fact(&mut self, id: RequestId, fact: Fact) -> Result<(), &'static str> {
        let track = match self.requests.open.get(&id).map(|open| &open.body) {
            Some(Body::Receiving(receiving)) => &receiving.track,
            Some(Body::Fetching(fetching)) => &fetching.track,
            _ => return Ok(()),
        };
        match self.tracks.facts.get_mut(track) {
            Some(facts) => facts.tell(fact),
            None => self.tracks.facts.entry(track.clone()).or_default().tell(fact),
        }
    }

    /// Leaves every subscription and fetch of the track of this request (draft-14 §2.5, draft-16 §2.4.2).
    pub(super) fn malformed(&mut self, now: Instant, id: RequestId, reason: &'static str) {
        let Some(track) = self.requests.open.get(&id).and_then(|open| open.body.received_track()) else {
            return;
        };
        let received = |(_, open): &(RequestId, &Open)| open.body.received_track().is_some();
        let ids: Vec<_> = self.requests.of_track(track).filter(received).map(|(id, _)| id).collect();
        for id in ids {
            // A PUBLISH that nobody has answered has delivered nothing: the application will hear of it by what it brings.
            if self.cancel(now, id).is_ok() {
                self.event(Event::Malformed { id, reason });
            }
        }
    }

    /// In a draft in which a track is sent in one way, one that comes both in streams and in datagrams is malformed
    /// (draft-14 §2.5).
    pub(super) fn judge_forwarding(&mut self, now: Instant, id: RequestId) {
        let is_mixed = self.requests.receiving(id).is_some_and(|it| it.arrived > 0 && it.datagrams);
        if is_mixed && !self.rules.mixed_forwarding {
            self.malformed(now, id, "the track comes in streams and in datagrams");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn subgroup(group_id: u64, subgroup_id: u64, last: u64, finished: bool) -> Fact {
        Fact::Subgroup { group_id, subgroup_id, priority: None, first: last, last, finished }
    }

    #[test]
    fn memory_is_bounded_whatever_is_told() {
        let mut facts = TrackFacts::default();
        for n in 0..10_000 {
            let _ = facts.tell(subgroup(n * 10, n, n, n % 2 == 0));
            let _ = facts.tell(Fact::GroupGap { group_id: n * 10, length: 3 });
            for at in 0..40 {
                let _ = facts.tell(subgroup(99_990, at, at * 4, true));
                let _ = facts.tell(Fact::ObjectGap { at: Location::new(99_990, at * 4), length: 2 });
            }
        }
        assert!(facts.groups.len() <= MAX_GROUPS && facts.absent.len() <= MAX_DETAILS);
        assert!(
            facts
                .groups
                .iter()
                .all(|(_, it)| it.subgroups.len() <= MAX_DETAILS && it.absent.len() <= MAX_DETAILS)
        );
    }

    #[test]
    fn what_can_be_so_is_not_malformed() {
        let mut facts = TrackFacts::default();
        for fact in [
            subgroup(4, 1, 9, true),
            subgroup(4, 1, 9, true),
            subgroup(5, 1, 3, true),
            subgroup(4, 0, 11, false),
            subgroup(4, 0, 12, true),
            Fact::EndOfGroup(Location::new(4, 13)),
            Fact::EndOfGroup(Location::new(4, 13)),
            Fact::GroupGap { group_id: 9, length: 3 },
            Fact::GroupGap { group_id: 9, length: 3 },
            Fact::GroupGap { group_id: 3, length: 3 },
            Fact::ObjectGap { at: Location::new(5, 6), length: 2 },
            subgroup(5, 2, 6, true),
            Fact::EndOfTrack(Location::new(9, 1)),
            subgroup(9, 0, 0, true),
        ] {
            assert_eq!(facts.tell(fact), Ok(()), "{fact:?}");
        }
    }

    #[test]
    fn groups_that_are_forgotten_are_not_judged() {
        let mut facts = TrackFacts::default();
        assert_eq!(facts.tell(subgroup(0, 0, 3, true)), Ok(()));
        for group in 1..=MAX_GROUPS as u64 {
            assert_eq!(facts.tell(subgroup(group, 0, 3, true)), Ok(()));
        }
        assert_eq!(facts.tell(subgroup(0, 0, 9, true)), Ok(()));
        assert!(facts.tell(subgroup(1, 0, 9, true)).is_err());
    }
}
