//! What gives way when a track is full: what somebody has read before what nobody has, oldest group first, oldest item
//! first. As long as [`ready`](super::super::Writer::ready) is heeded, the fastest reader thus misses nothing.

use moqingbird_wire::model::Location;
use tokio::time::Instant;

use super::{ARRIVAL_WEIGHT, Arrival, Content, Item, State, datagram_weight, item_weight};

/// What may be evicted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::track) enum Victims {
    /// What the fastest reader has read, or nobody wanted.
    Read,
    /// Anything.
    All,
}

impl State {
    /// Evicts until the groups are not too many, what nobody has read set aside, and `weight` more bytes fit.
    pub(super) fn make_room(&mut self, weight: usize) {
        self.expire();
        while self.current_groups > self.options.max_groups {
            let Some((&id, group)) = self.groups.iter_mut().find(|(_, group)| !group.expired) else { break };
            group.expired = true;
            self.current_groups -= 1;
            self.evict_group(id, Victims::Read, |_| true);
        }
        for victims in [Victims::Read, Victims::All] {
            self.shrink_to(self.options.max_bytes.saturating_sub(weight), victims);
        }
    }

    /// Evicts until no more than so many bytes are kept, or nothing is left that may be evicted.
    pub(in crate::track) fn shrink_to(&mut self, bytes: usize, victims: Victims) {
        while self.bytes > bytes && self.evict_oldest(victims, bytes) {}
    }

    /// Evicts the groups that are too old, all but the newest.
    pub(in crate::track) fn expire(&mut self) {
        let Some(limit) = self.options.max_age.and_then(|age| Instant::now().checked_sub(age)) else {
            return;
        };
        let Some(newest) = self.groups.keys().next_back().copied() else { return };
        let old = |(id, group): (&u64, &super::Group)| (group.written < limit).then_some(*id);
        for id in self.groups.range(..newest).filter_map(old).collect::<Vec<_>>() {
            self.evict_group(id, Victims::All, |_| true);
        }
    }

    /// Evicts, of the oldest group that has any, until no more than so many bytes are kept. Whether there was any.
    fn evict_oldest(&mut self, victims: Victims, bytes: usize) -> bool {
        let oldest = self.groups.iter().find(|(_, group)| {
            group.arrivals.iter().any(|number| self.arrivals.get(number).is_some_and(|it| it.has(victims)))
        });
        let Some((&id, _)) = oldest else { return false };
        self.evict_group(id, victims, |state| state.bytes > bytes);
        true
    }

    /// Evicts from a group, oldest items first, as long as `go_on` says so.
    fn evict_group(&mut self, id: u64, victims: Victims, go_on: impl Fn(&Self) -> bool) {
        let mut from = 0;
        while let Some(&number) = self.groups.get(&id).and_then(|group| group.arrivals.range(from..).next()) {
            while go_on(self) && self.arrivals.get(&number).is_some_and(|it| it.has(victims)) {
                self.evict_one(number);
            }
            if !go_on(self) {
                return;
            }
            from = number + 1;
        }
    }

    /// Evicts the oldest item of an arrival, and forgets the arrival if nothing is left of it.
    fn evict_one(&mut self, number: u64) {
        let Some(arrival) = self.arrivals.get_mut(&number) else { return };
        match &mut arrival.content {
            Content::Datagram { datagram, unread } => {
                let weight = datagram_weight(datagram);
                self.bytes -= weight;
                self.unread -= if *unread { weight } else { 0 };
                let location = Location::new(datagram.group_id, datagram.object_id);
                self.lose(location);
                self.forget(number, location.group);
            }
            Content::Subgroup(subgroup) => {
                let mut lost = None;
                if let Some(item) = subgroup.items.pop_front() {
                    if let Item::Object(header) = &item {
                        lost = Some(Location::new(subgroup.info.group_id, header.object_id));
                    }
                    let weight = item_weight(&item);
                    self.bytes -= weight;
                    if subgroup.first >= subgroup.read {
                        subgroup.unread -= weight;
                        self.unread -= weight;
                    }
                    subgroup.first += 1;
                    self.bytes -= subgroup.trim_runs();
                }
                let spent = subgroup.items.is_empty() && subgroup.end.is_some();
                if spent && !std::mem::replace(&mut subgroup.evicted, true) {
                    self.bytes -= ARRIVAL_WEIGHT;
                }
                self.lost = self.lost.max(lost);
                self.settle(number);
            }
        }
    }
}

impl Arrival {
    /// Whether it holds anything that may be evicted.
    fn has(&self, victims: Victims) -> bool {
        match &self.content {
            Content::Subgroup(subgroup) => {
                let holds = !subgroup.items.is_empty() || (subgroup.end.is_some() && !subgroup.evicted);
                let read = subgroup.first < subgroup.read || (subgroup.items.is_empty() && subgroup.read > 0);
                holds && (read || victims == Victims::All)
            }
            Content::Datagram { unread, .. } => !unread || victims == Victims::All,
        }
    }
}
