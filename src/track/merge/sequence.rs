//! The live part in the order of groups and objects.

use moqingbird_wire::model::{EndLocation, Location};

use super::past::Hole;
use super::{Held, MAX_LOOSE, Merge, Output, REORDER, SPARSE, behind};
use crate::session::Instant;
use crate::track::GapCause;

/// Of how many groups it is remembered where they were left.
const LEFT: usize = 64;

/// A group that was left.
#[derive(Clone, Copy, Debug)]
pub(super) struct Left {
    /// What precedes this has come, or was told as a gap.
    at: Location,
    /// It was fetched: a stream of it that comes behind its time need bring nothing new.
    fetched: bool,
}

impl<T> Merge<T> {
    pub(super) fn sequence(&mut self, now: Instant) -> bool {
        let current = self.next.group;
        for id in self.groups.range(..current).map(|(id, _)| *id).collect::<Vec<_>>() {
            self.behind_its_time(id);
        }
        if !self.out.is_empty() {
            return true;
        }
        let later = self.begun_after(current);
        if !self.groups.contains_key(&current) {
            return self.next_group(now, later);
        }
        if self.is_late(now, later) && !self.is_settled(current) {
            self.leave_group(current);
            self.gap(self.next, EndLocation { group: current, object: None }, GapCause::TooLate);
            self.go_to(current.saturating_add(1));
            return true;
        }
        self.feed(current);
        self.within(now, current, later)
    }

    /// What came behind its time is of no use, but for the streams that bring it. If the group was fetched, they may bring
    /// nothing that has not come.
    pub(super) fn behind_its_time(&mut self, id: u64) {
        let (fetched, left) = (self.left_at(id, true), self.left_at(id, false));
        let Some(group) = self.groups.get_mut(&id) else { return };
        let known = |at: Location| group.held.last_key_value().is_none_or(|(object, _)| *object < at.object);
        match (group.open > 0 || !group.held.is_empty(), fetched) {
            (true, Some(at)) if known(at) => {
                let held = std::mem::take(&mut group.held);
                self.loose -= held.into_values().filter(|held| held.stream.is_none()).count();
                self.feed(id);
            }
            (true, _) if id >= self.start.group => self.too_late(left.unwrap_or(Location::new(id, 0))),
            _ => self.leave_group(id),
        }
    }

    /// The rest of a group comes behind its time.
    pub(super) fn too_late(&mut self, from: Location) {
        self.leave_group(from.group);
        self.gap(from, EndLocation { group: from.group, object: None }, GapCause::TooLate);
    }

    /// Where a group was left that was fetched, or any.
    pub(super) fn left_at(&self, group: u64, fetched: bool) -> Option<Location> {
        let left = self.left.iter().find(|left| left.at.group == group);
        left.filter(|left| left.fetched || !fetched).map(|left| left.at)
    }

    /// The group that the sequence is in is left.
    pub(super) fn leave_at(&mut self, fetched: bool) {
        self.left.push_front(Left { at: self.next, fetched });
        self.left.truncate(LEFT);
    }

    /// Gives the next object of the current group, if its turn has come, or leaves the group when it is done.
    pub(super) fn within(&mut self, now: Instant, current: u64, later: Option<Instant>) -> bool {
        let (next, sparse, over) = (self.next, self.empty_holes >= SPARSE, self.over);
        let settled = self.settled;
        let crowded = self.loose > MAX_LOOSE;
        let Some(group) = self.groups.get_mut(&current) else { return false };
        let Some((&object, held)) = group.held.first_key_value() else {
            return match group.open {
                0 => self.leave_if_done(now, current, later),
                _ => false,
            };
        };
        if object > next.object {
            let explained = object.saturating_sub(held.prior_objects) <= next.object
                || Location::new(current, object) <= settled;
            let on_stream = held.stream.is_some();
            let heads = group.held.values().filter(|held| held.stream.is_some()).count();
            let since = *group.waiting.get_or_insert(now);
            if !explained {
                // A stream that is open may bring what is missing.
                if heads < group.open {
                    return false;
                }
                let hopeless = sparse || over || crowded || group.broken.is_some();
                if !hopeless && now < since + REORDER {
                    self.wait_until(since + REORDER);
                    return false;
                }
                let cause = group.broken.unwrap_or(GapCause::NotReceived);
                let end = EndLocation { group: current, object: Some(object - 1) };
                let then = Location::new(current, object);
                if on_stream
                    && is_recoverable(cause)
                    && self.ask(now, Hole { start: next, end, then, cause, found: false })
                {
                    return true;
                }
                self.empty_holes = self.empty_holes.saturating_add(1);
                self.gap(next, end, cause);
            }
        }
        self.deliver(current, object);
        true
    }

    pub(super) fn deliver(&mut self, current: u64, object: u64) {
        let Some(group) = self.groups.get_mut(&current) else { return };
        group.waiting = None;
        let Some(Held { stream, content, .. }) = group.held.remove(&object) else { return };
        self.loose -= usize::from(stream.is_none());
        let location = Location::new(current, object);
        if location >= self.next {
            self.next = behind(location);
            if let Some(content) = content {
                self.out.push_back(Output::Object(location, content));
            }
        }
        stream.into_iter().for_each(|number| self.want(number));
    }

    /// The current group has no open stream and nothing held.
    pub(super) fn leave_if_done(&mut self, now: Instant, current: u64, later: Option<Instant>) -> bool {
        let Some(group) = self.groups.get(&current) else { return false };
        let then = Location::new(current.saturating_add(1), 0);
        let ended = group.end.is_some_and(|end| end < self.next.object) || self.settled >= then;
        if let Some(cause) = group.broken.filter(|_| !ended) {
            let (start, end) = (self.next, EndLocation { group: current, object: None });
            if is_recoverable(cause) && self.ask(now, Hole { start, end, then, cause, found: false }) {
                return true;
            }
            self.gap(start, end, cause);
        } else if !ended && later.is_none() {
            return false;
        }
        self.groups.remove(&current);
        self.go_to(current.saturating_add(1));
        true
    }

    /// Nothing of the current group is there: on to the next that has begun, if that is certain or has waited long enough.
    pub(super) fn next_group(&mut self, now: Instant, later: Option<Instant>) -> bool {
        let current = self.next.group;
        let Some((&id, group)) = self.groups.range(current..).next() else { return false };
        // What its first object says of the groups before.
        let prior = group.prior_groups;
        let known = group.open == 0 || !group.held.is_empty();
        let explained = id.saturating_sub(prior) <= current || Location::new(id, 0) <= self.settled;
        self.feed(id);
        let hopeless = self.over || self.empty_holes >= SPARSE || self.loose > MAX_LOOSE;
        let limit = later.map(|later| later + REORDER);
        if !(known && (explained || hopeless)) && limit.is_none_or(|limit| now < limit) {
            limit.into_iter().for_each(|limit| self.wait_until(limit));
            return false;
        }
        if explained {
            self.go_to(id);
            return true;
        }
        // Within a group it is only unknown whether there is more of it.
        let from = if self.next.object == 0 { current } else { current.saturating_add(1) };
        let (start, end) = (Location::new(from, 0), EndLocation { group: id - 1, object: None });
        let (cause, then) = (GapCause::NotReceived, Location::new(id, 0));
        if self.ask(now, Hole { start, end, then, cause, found: false }) {
            return true;
        }
        if self.next.object > 0 {
            self.passed = Some(self.next);
        }
        if from < id && id.saturating_sub(prior) > from {
            self.empty_holes = self.empty_holes.saturating_add(1);
            self.gap(start, end, cause);
        }
        self.go_to(id);
        true
    }

    pub(super) fn go_to(&mut self, group: u64) {
        let fetched = self.settled >= Location::new(self.next.group.saturating_add(1), 0);
        self.leave_at(fetched);
        self.next = Location::new(group, 0);
    }
}

/// Whether what is missing for this reason may be had by asking.
const fn is_recoverable(cause: GapCause) -> bool {
    matches!(cause, GapCause::Incomplete | GapCause::NotReceived)
}
