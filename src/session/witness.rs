//! What the reader of a data stream notices on the way that other streams of the track may contradict: the [`Fact`]s to tell
//! by [`Input::Fact`](super::Input::Fact). They are rare: an object without status and extension headers tells none.

use moqingbird_wire::model::{
    FetchObject, Location, ObjectHeader, ObjectStatus, RangeStatus, SubgroupHeader, SubgroupId,
};
use moqingbird_wire::stream::{Gaps, SubgroupReader};

use super::Fact;

/// How many subgroups of a fetched group are kept apart.
const MAX_SUBGROUPS: usize = 16;
/// How many gaps of a fetch are remembered until it has ended.
const MAX_PASSED: usize = 16;

/// Looks over the shoulder of a [`SubgroupReader`].
#[derive(Debug)]
pub struct SubgroupWitness {
    group_id: u64,
    /// `None`: that of the first object.
    subgroup_id: Option<u64>,
    priority: Option<u8>,
    end_of_group: bool,
    /// The first and the last object that exist.
    objects: Option<(u64, u64)>,
}

impl SubgroupWitness {
    /// At the start of a stream.
    pub const fn new(header: &SubgroupHeader) -> Self {
        let subgroup_id = match header.subgroup_id {
            SubgroupId::Zero => Some(0),
            SubgroupId::Id(id) => Some(id),
            _ => None,
        };
        let &SubgroupHeader { group_id, publisher_priority: priority, end_of_group, .. } = header;
        Self { group_id, subgroup_id, priority, end_of_group, objects: None }
    }

    /// The reader has given an object.
    #[inline]
    pub fn object(&mut self, object: &ObjectHeader, reader: &SubgroupReader, tell: impl FnMut(Fact)) {
        let id = object.object_id;
        self.subgroup_id.get_or_insert(id);
        if object.status == ObjectStatus::Normal {
            self.objects = Some((self.objects.map_or(id, |(first, _)| first), id));
            if object.extensions.is_empty() {
                return;
            }
        }
        let gaps = if object.extensions.is_empty() { Gaps::default() } else { reader.gaps() };
        rare(Location::new(self.group_id, id), object.status, gaps, tell);
    }

    /// The stream has ended: `last` of [`SubgroupItem::End`](moqingbird_wire::stream::SubgroupItem::End) if with FIN, or it is
    /// read no further (`None`).
    pub fn ended(&self, finished: Option<Option<u64>>, mut tell: impl FnMut(Fact)) {
        let &Self { group_id, priority, .. } = self;
        if let Some((first, last)) = self.objects {
            let (subgroup_id, finished) = (self.subgroup_id.unwrap_or(first), finished.is_some());
            tell(Fact::Subgroup { group_id, subgroup_id, priority, first, last, finished });
        }
        if let Some(Some(last)) = finished.filter(|_| self.end_of_group) {
            tell(Fact::EndOfGroup(Location::new(group_id, last.saturating_add(1))));
        }
    }
}

/// Looks over the shoulder of a [`FetchReader`](moqingbird_wire::stream::FetchReader).
#[derive(Debug, Default)]
pub struct FetchWitness {
    /// Where the item before ends.
    item: Option<Location>,
    /// Of the group that is read: subgroup, priority, first and last object.
    subgroups: Vec<(u64, u8, u64, u64)>,
    /// What has been passed over without a word: it does not exist, if the stream ends with FIN.
    passed: Vec<(Location, Location)>,
}

impl FetchWitness {
    /// At the start of a stream.
    pub const fn new() -> Self {
        Self { item: None, subgroups: Vec::new(), passed: Vec::new() }
    }

    /// The reader has given an object; `gaps` are what it says of those just before it.
    pub fn object(&mut self, object: &FetchObject, gaps: Gaps, mut tell: impl FnMut(Fact)) {
        let at = object.location;
        if let Some(before) = self.item
            && before.group == at.group
            && before.object.saturating_add(1) < at.object
            && self.passed.len() < MAX_PASSED
        {
            let [first, last] = [before.object + 1, at.object - 1].map(|id| Location::new(at.group, id));
            self.passed.push((first, last));
        }
        self.move_to(at, &mut tell);
        if let (ObjectStatus::Normal, Some(subgroup)) = (object.status, object.subgroup_id) {
            if let Some((.., last)) = self.subgroups.iter_mut().find(|(known, ..)| *known == subgroup) {
                *last = at.object;
            } else if self.subgroups.len() < MAX_SUBGROUPS {
                self.subgroups.push((subgroup, object.publisher_priority, at.object, at.object));
            }
        }
        let gaps = if object.extensions.is_empty() { Gaps::default() } else { gaps };
        rare(at, object.status, gaps, tell);
    }

    /// The reader has given a range that holds nothing more.
    pub fn end_of_range(&mut self, end: Location, status: RangeStatus, mut tell: impl FnMut(Fact)) {
        let before = self.item;
        self.move_to(end, &mut tell);
        if let Some(Location { group, object }) = before.filter(|before| *before < end)
            && status == RangeStatus::NonExistent
        {
            let first = Location::new(group, object.saturating_add(1));
            tell(Fact::NoObjects { first, last: end });
        }
    }

    /// The stream has ended with FIN (`finished`), or is read no further.
    pub fn ended(&mut self, finished: bool, mut tell: impl FnMut(Fact)) {
        let Some(at) = self.item else { return };
        self.tell_group(at.group, &mut tell);
        // draft-14 §9.16.3, draft-16 §9.16.3: what a whole response leaves out does not exist.
        for (first, last) in self.passed.drain(..).filter(|_| finished) {
            tell(Fact::NoObjects { first, last });
        }
    }

    fn move_to(&mut self, at: Location, tell: &mut impl FnMut(Fact)) {
        if let Some(before) = self.item.replace(at).filter(|before| before.group != at.group) {
            self.tell_group(before.group, tell);
        }
    }

    fn tell_group(&mut self, group_id: u64, tell: &mut impl FnMut(Fact)) {
        for (subgroup_id, priority, first, last) in self.subgroups.drain(..) {
            let priority = Some(priority);
            tell(Fact::Subgroup { group_id, subgroup_id, priority, first, last, finished: false });
        }
    }
}

/// What an object says besides being there.
pub(super) fn rare(at: Location, status: ObjectStatus, gaps: Gaps, mut tell: impl FnMut(Fact)) {
    match status {
        ObjectStatus::EndOfGroup => tell(Fact::EndOfGroup(at)),
        ObjectStatus::EndOfTrack => tell(Fact::EndOfTrack(at)),
        ObjectStatus::DoesNotExist => tell(Fact::NoObjects { first: at, last: at }),
        _ => {}
    }
    if let Some(length) = gaps.groups {
        tell(Fact::GroupGap { group_id: at.group, length });
    }
    if let Some(length) = gaps.objects {
        tell(Fact::ObjectGap { at, length });
    }
}

#[cfg(test)]
mod tests {
    use moqingbird_wire::model::Extensions;

    use super::*;

    #[test]
    fn a_fetched_group_is_told_by_its_subgroups_when_it_is_left() {
        let mut witness = FetchWitness::new();
        let mut facts = Vec::new();
        let mut read = |group, object, subgroup_id| {
            let object = FetchObject {
                location: Location::new(group, object),
                subgroup_id,
                publisher_priority: 0,
                extensions: Extensions::NONE,
                status: ObjectStatus::Normal,
                payload_length: 0,
            };
            witness.object(&object, Gaps::default(), |fact| facts.push(fact));
        };
        read(3, 0, Some(0));
        read(3, 1, Some(1));
        read(3, 2, None);
        read(3, 4, Some(0));
        read(4, 0, Some(7));
        witness.end_of_range(Location::new(5, 1), RangeStatus::NonExistent, |fact| facts.push(fact));
        witness.ended(true, |fact| facts.push(fact));
        let subgroup = |group_id, subgroup_id, first, last| Fact::Subgroup {
            group_id,
            subgroup_id,
            priority: Some(0),
            first,
            last,
            finished: false,
        };
        let nothing = |first, last| Fact::NoObjects { first, last };
        let marked = nothing(Location::new(4, 1), Location::new(5, 1));
        let passed = nothing(Location::new(3, 3), Location::new(3, 3));
        let expected = [subgroup(3, 0, 0, 4), subgroup(3, 1, 1, 1), subgroup(4, 7, 0, 0), marked, passed];
        assert_eq!(facts, expected);
    }
}
