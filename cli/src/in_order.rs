//! Objects in the order of their locations, although each subgroup's stream comes at its own pace.

use std::collections::BTreeMap;

use moqingbird::wire::model::Location;

/// Holds back what came before its turn.
///
/// An object's turn has come if it follows the last one in its group, or begins the next group once every stream of the
/// groups before has ended. Object IDs and Group IDs may have gaps, so something that is held may wait for what will
/// never be: the caller gives up on that by [`InOrder::skip`] when it has waited long enough.
#[derive(Debug)]
pub(crate) struct InOrder<T> {
    /// Where the next object should be.
    next: Location,
    held: BTreeMap<Location, T>,
    /// How many streams of each group are open. A group stays until a later one has begun.
    streams: BTreeMap<u64, usize>,
}

impl<T> InOrder<T> {
    /// The first object is expected here.
    pub(crate) const fn new(first: Location) -> Self {
        Self { next: first, held: BTreeMap::new(), streams: BTreeMap::new() }
    }

    /// A stream of this group has begun.
    pub(crate) fn opened(&mut self, group: u64) {
        *self.streams.entry(group).or_default() += 1;
    }

    /// A stream of this group has ended; all its objects have been given to [`InOrder::object`].
    pub(crate) fn closed(&mut self, group: u64) {
        if let Some(open) = self.streams.get_mut(&group) {
            *open = open.saturating_sub(1);
        }
    }

    pub(crate) fn object(&mut self, location: Location, object: T) {
        self.held.insert(location, object);
    }

    /// The next object, if its turn has come. One that comes later than others after it is next at once.
    pub(crate) fn pop(&mut self) -> Option<(Location, T)> {
        let (&location, _) = self.held.first_key_value()?;
        if location > self.next && !self.begins_next_group(location) {
            return None;
        }
        self.take(location)
    }

    /// The next object, whether or not something is missing before it.
    pub(crate) fn skip(&mut self) -> Option<(Location, T)> {
        let (&location, _) = self.held.first_key_value()?;
        self.take(location)
    }

    /// The next object, if it lies at this location or before it, whether or not something is missing before it.
    pub(crate) fn pop_up_to(&mut self, end: Location) -> Option<(Location, T)> {
        let (&location, _) = self.held.first_key_value()?;
        if location > end {
            return None;
        }
        self.take(location)
    }

    /// The streams there were are over; the next object is expected here, or where it was expected before if that is
    /// later.
    pub(crate) fn begin_again(&mut self, next: Location) {
        self.streams.clear();
        self.next = self.next.max(next);
    }

    /// Whether something is held.
    pub(crate) fn is_waiting(&self) -> bool {
        !self.held.is_empty()
    }

    fn begins_next_group(&self, location: Location) -> bool {
        location.object == 0
            && location.group == self.next.group + 1
            && self.streams.get(&self.next.group) == Some(&0)
    }

    fn take(&mut self, location: Location) -> Option<(Location, T)> {
        let object = self.held.remove(&location)?;
        self.next = self.next.max(Location::new(location.group, location.object + 1));
        let current = self.next.group;
        self.streams.retain(|group, open| *group >= current || *open > 0);
        Some((location, object))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn give(order: &mut InOrder<()>, locations: &[(u64, u64)]) {
        for &(group, object) in locations {
            order.object(Location::new(group, object), ());
        }
    }

    fn ready(order: &mut InOrder<()>) -> Vec<(u64, u64)> {
        std::iter::from_fn(|| order.pop()).map(|(location, _)| (location.group, location.object)).collect()
    }

    fn new() -> InOrder<()> {
        InOrder::new(Location::default())
    }

    #[test]
    fn objects_of_a_group_come_as_they_are_complete() {
        let mut order = new();
        order.opened(0);
        give(&mut order, &[(0, 0), (0, 1)]);
        assert_eq!(ready(&mut order), [(0, 0), (0, 1)]);
        give(&mut order, &[(0, 2)]);
        assert_eq!(ready(&mut order), [(0, 2)]);
    }

    #[test]
    fn a_group_waits_for_the_end_of_the_one_before() {
        let mut order = new();
        order.opened(0);
        order.opened(1);
        give(&mut order, &[(0, 0), (1, 0), (1, 1)]);
        assert_eq!(ready(&mut order), [(0, 0)]);
        give(&mut order, &[(0, 1)]);
        order.closed(0);
        assert_eq!(ready(&mut order), [(0, 1), (1, 0), (1, 1)]);
    }

    #[test]
    fn a_group_waits_for_one_that_has_not_begun() {
        let mut order = new();
        order.opened(1);
        give(&mut order, &[(1, 0)]);
        order.closed(1);
        assert_eq!(ready(&mut order), []);
        assert!(order.is_waiting());
        order.opened(0);
        give(&mut order, &[(0, 0)]);
        order.closed(0);
        assert_eq!(ready(&mut order), [(0, 0), (1, 0)]);
    }

    #[test]
    fn subgroups_of_a_group_are_merged() {
        let mut order = new();
        order.opened(0);
        order.opened(0);
        give(&mut order, &[(0, 0), (0, 2)]);
        assert_eq!(ready(&mut order), [(0, 0)]);
        give(&mut order, &[(0, 1), (0, 3)]);
        assert_eq!(ready(&mut order), [(0, 1), (0, 2), (0, 3)]);
    }

    #[test]
    fn a_gap_is_passed_when_the_caller_gives_up_on_it() {
        let mut order = new();
        order.opened(7);
        give(&mut order, &[(7, 37), (7, 38)]);
        assert_eq!(ready(&mut order), []);
        assert_eq!(order.skip().map(|(location, _)| location), Some(Location::new(7, 37)));
        assert_eq!(ready(&mut order), [(7, 38)]);
        assert!(!order.is_waiting());
    }

    #[test]
    fn what_comes_too_late_comes_at_once() {
        let mut order = InOrder::new(Location::new(4, 0));
        order.opened(4);
        give(&mut order, &[(4, 0)]);
        assert_eq!(ready(&mut order), [(4, 0)]);
        give(&mut order, &[(3, 9)]);
        assert_eq!(ready(&mut order), [(3, 9)]);
        give(&mut order, &[(4, 1)]);
        assert_eq!(ready(&mut order), [(4, 1)]);
    }

    #[test]
    fn what_is_held_when_the_streams_are_lost_comes_in_its_place_among_what_is_fetched() {
        let mut order = new();
        order.opened(1);
        give(&mut order, &[(1, 0), (1, 1)]);
        assert_eq!(ready(&mut order), []);
        let mut all = Vec::new();
        for fetched in [(0, 0), (0, 1), (1, 0), (1, 2)] {
            give(&mut order, &[fetched]);
            let end = Location::new(fetched.0, fetched.1);
            let next = std::iter::from_fn(|| order.pop_up_to(end));
            all.extend(next.map(|(location, _)| (location.group, location.object)));
        }
        assert_eq!(all, [(0, 0), (0, 1), (1, 0), (1, 1), (1, 2)]);
        order.begin_again(Location::new(1, 3));
        order.opened(1);
        give(&mut order, &[(1, 3)]);
        assert_eq!(ready(&mut order), [(1, 3)]);
    }

    #[test]
    fn groups_that_are_past_are_forgotten() {
        let mut order = new();
        for group in 0..100 {
            order.opened(group);
            give(&mut order, &[(group, 0)]);
            order.closed(group);
            ready(&mut order);
        }
        assert_eq!(order.streams.len(), 1);
    }
}
