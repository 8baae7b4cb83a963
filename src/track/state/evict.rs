//! What gives way when a track is full: oldest group first, oldest item first.

use super::{ARRIVAL_WEIGHT, Arrival, Content, State, datagram_weight, item_weight};

impl State {
    /// Evicts, oldest group first, until the groups are not too many and `weight` more bytes fit.
    pub(super) fn make_room(&mut self, weight: usize) {
        while self.current_groups > self.options.max_groups {
            let Some((&id, group)) = self.groups.iter_mut().find(|(_, group)| !group.expired) else { break };
            group.expired = true;
            self.current_groups -= 1;
            self.evict_group(id, |_| true);
        }
        while self.bytes + weight > self.options.max_bytes && self.evict_oldest(weight) {}
    }

    /// Evicts the oldest group that holds anything; of a group that is alone, what makes room for `weight` more bytes.
    /// Whether there was any.
    fn evict_oldest(&mut self, weight: usize) -> bool {
        let mut holding = self.groups.iter().filter(|(_, group)| {
            group.arrivals.iter().any(|number| self.arrivals.get(number).is_some_and(Arrival::holds_anything))
        });
        let Some((&id, _)) = holding.next() else { return false };
        let alone = holding.next().is_none();
        self.evict_group(id, |state| !alone || state.bytes + weight > state.options.max_bytes);
        true
    }

    /// Evicts a group, oldest items first, as long as `go_on` says so.
    fn evict_group(&mut self, id: u64, go_on: impl Fn(&Self) -> bool) {
        let mut from = 0;
        while let Some(&number) = self.groups.get(&id).and_then(|group| group.arrivals.range(from..).next()) {
            while go_on(self) && self.evict_one(number) {}
            if !go_on(self) {
                return;
            }
            from = number + 1;
        }
    }

    /// Evicts the oldest item of an arrival. Whether more is left of it.
    fn evict_one(&mut self, number: u64) -> bool {
        let Some(arrival) = self.arrivals.get_mut(&number) else { return false };
        match &mut arrival.content {
            Content::Datagram { datagram, unread } => {
                let weight = datagram_weight(datagram);
                self.bytes -= weight;
                self.unread -= if *unread { weight } else { 0 };
                let group = datagram.group_id;
                self.forget(number, group);
                false
            }
            Content::Subgroup(subgroup) => {
                if let Some(item) = subgroup.items.pop_front() {
                    let weight = item_weight(&item);
                    self.bytes -= weight;
                    if subgroup.first >= subgroup.read {
                        subgroup.unread -= weight;
                        self.unread -= weight;
                    }
                    subgroup.first += 1;
                }
                let left = !subgroup.items.is_empty();
                if !left && subgroup.end.is_some() && !std::mem::replace(&mut subgroup.evicted, true) {
                    self.bytes -= ARRIVAL_WEIGHT;
                }
                self.settle(number);
                left
            }
        }
    }
}

impl Arrival {
    /// Whether evicting it frees anything.
    fn holds_anything(&self) -> bool {
        match &self.content {
            Content::Subgroup(subgroup) => {
                !subgroup.items.is_empty() || (subgroup.end.is_some() && !subgroup.evicted)
            }
            Content::Datagram { .. } => true,
        }
    }
}
