//! What a reader has had, when objects come in any order.

use std::collections::BTreeMap;

use moqingbird_wire::model::Location;

/// How many groups are remembered one by one. Of those before nothing more is taken.
const MAX_GROUPS: usize = 1024;
/// Among how many of the newest groups one of which nothing has come is taken for missing.
const UNSEEN: u64 = 16;

/// A set of locations, small as long as the objects of a group are nearly contiguous.
#[derive(Debug)]
pub(super) struct Seen {
    /// What precedes this is settled.
    floor: Location,
    groups: BTreeMap<u64, Group>,
}

#[derive(Debug, Default)]
struct Group {
    /// Ranges of Object IDs by their first: the last of each.
    ranges: BTreeMap<u64, u64>,
    /// All of it has come, or was given up.
    ended: bool,
}

impl Seen {
    pub(super) const fn new(floor: Location) -> Self {
        Self { floor, groups: BTreeMap::new() }
    }

    /// Adds a location; whether it was not there.
    pub(super) fn add(&mut self, location: Location) -> bool {
        if location < self.floor || !self.groups.entry(location.group).or_default().add(location.object) {
            return false;
        }
        while self.groups.len() > MAX_GROUPS {
            self.drop_oldest();
        }
        true
    }

    /// All up to here has come, or was given up.
    pub(super) fn settle(&mut self, end: Location) {
        self.floor = self.floor.max(Location::new(end.group, end.object.saturating_add(1)));
        while self.groups.first_key_value().is_some_and(|(group, _)| *group < self.floor.group) {
            self.drop_oldest();
        }
    }

    /// Nothing more of a group is expected.
    pub(super) fn end_group(&mut self, group: u64) {
        if group < self.floor.group {
            return;
        }
        self.groups.entry(group).or_default().ended = true;
        // The newest stays, so that it is known how far the reader is; and a group of which nothing has come may still come.
        while self.groups.len() > 1
            && self.groups.first_key_value().is_some_and(|(&id, group)| group.ended && id == self.floor.group)
        {
            self.drop_oldest();
        }
    }

    /// From where on the reader may have missed something if no more of what it reads comes.
    pub(super) fn resume_at(&self) -> Location {
        let Some(&newest) = self.groups.keys().next_back() else { return self.floor };
        let oldest = self.floor.group.max(newest.saturating_sub(UNSEEN));
        let whole = |group: &u64| self.groups.get(group).is_some_and(|group| group.ended);
        let unended = self.groups.iter().find(|(_, group)| !group.ended).map(|(&id, _)| id);
        let unseen = (oldest..newest).find(|group| !whole(group));
        let group = unended.into_iter().chain(unseen).min().unwrap_or(newest);
        self.first_missing(group)
    }

    /// The first location of a group that has not come.
    pub(super) fn first_missing(&self, group: u64) -> Location {
        let floor = if group == self.floor.group { self.floor.object } else { 0 };
        let behind = self.groups.get(&group).and_then(|group| {
            let (&first, &last) = group.ranges.first_key_value()?;
            (first <= floor).then(|| last.saturating_add(1))
        });
        Location::new(group, behind.unwrap_or(floor).max(floor))
    }

    fn drop_oldest(&mut self) {
        if let Some((group, _)) = self.groups.pop_first() {
            self.floor = self.floor.max(Location::new(group.saturating_add(1), 0));
        }
    }
}

impl Group {
    fn add(&mut self, object: u64) -> bool {
        let before = self.ranges.range(..=object).next_back().map(|(&first, &last)| (first, last));
        if before.is_some_and(|(_, last)| object <= last) {
            return false;
        }
        let first =
            before.filter(|(_, last)| last.saturating_add(1) == object).map_or(object, |(first, _)| first);
        let last = object.checked_add(1).and_then(|after| self.ranges.remove(&after)).unwrap_or(object);
        self.ranges.insert(first, last);
        true
    }
}
