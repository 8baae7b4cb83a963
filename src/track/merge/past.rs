//! What is fetched: the past before the live part, and holes of the live part.

use moqingbird_wire::model::{EndLocation, Location};

use super::{Arrived, Merge, Output, SPARSE, behind};
use crate::session::Instant;
use crate::track::{GapCause, Order};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Past {
    /// It is on its way, up to this location; it has last moved then. Perhaps it is only a hole of the live part.
    Coming { end: Location, moved: Instant, hole: Option<Hole> },
    /// There is no more of it.
    Over,
}

/// Something that is missing in the live part, and was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Hole {
    /// If it is not to be had, the gap begins here: before, nobody knows that there is anything.
    pub(super) start: Location,
    pub(super) end: EndLocation,
    /// Where the sequence goes on.
    pub(super) then: Location,
    pub(super) cause: GapCause,
    /// Something of it has come.
    pub(super) found: bool,
}

impl<T> Merge<T> {
    /// The next object of the past.
    pub(in crate::track) fn past_object(&mut self, now: Instant, arrived: Arrived<T>) {
        let Past::Coming { end, hole, .. } = self.past else { return };
        self.past = Past::Coming { end, moved: now, hole: hole.map(|hole| Hole { found: true, ..hole }) };
        let Arrived { location, content, .. } = arrived;
        if hole.is_none()
            && self.passed.is_some_and(|passed| passed <= location && passed.group == location.group)
            && location < self.next
        {
            // There was more of the group, and its turn is over.
            let end = EndLocation { group: location.group, object: Some(location.object) };
            self.gap(location, end, GapCause::TooLate);
        }
        let fresh = location <= end
            && match self.order {
                Order::Sequence => location >= self.next,
                Order::Arrival => self.seen.add(location),
            };
        if fresh {
            if self.next.object > 0 && location.group > self.next.group {
                self.leave_at(true);
            }
            self.next = behind(location).max(self.next);
            if let Some(content) = content {
                self.out.push_back(Output::Object(location, content));
            }
        }
    }

    /// Of the past up to `end` nothing more is known.
    pub(in crate::track) fn past_unknown(&mut self, now: Instant, end: Location) {
        if let Past::Coming { end: last, hole, .. } = self.past {
            self.past = Past::Coming { end: last, moved: now, hole };
            self.gap_to(end.min(last), GapCause::Unknown);
        }
    }

    /// The past is complete, or breaks off here.
    pub(in crate::track) fn past_over(&mut self, now: Instant, broken: Option<GapCause>) {
        let Past::Coming { end, hole, .. } = self.past else { return };
        self.past = Past::Over;
        // What waited for it is not late on that account.
        for group in self.groups.values_mut() {
            group.begun = now;
        }
        if let Some(hole) = hole {
            return self.hole_over(now, hole, broken);
        }
        if broken == Some(GapCause::Incomplete) && self.order == Order::Sequence && self.passed.is_none() {
            let (start, cause) = (self.next, GapCause::Incomplete);
            let last = EndLocation { group: end.group, object: Some(end.object) };
            let hole = Hole { start, end: last, then: start.max(behind(end)), cause, found: false };
            if last.reaches(start) && self.ask(now, hole) {
                return;
            }
        }
        let passed = self.passed.take();
        if let Some(cause) = broken {
            if let Some(passed) = passed {
                self.gap(passed, EndLocation { group: passed.group, object: None }, cause);
            }
            self.gap_to(end, cause);
        }
        self.next = self.next.max(behind(end));
        if self.order == Order::Arrival {
            self.seen.settle(end);
        }
        if self.order == Order::Arrival {
            self.release();
        }
    }

    /// All that is to be had of a hole has come. What broke off on the way is asked for again.
    pub(super) fn hole_over(&mut self, now: Instant, hole: Hole, broken: Option<GapCause>) {
        let left = hole.end.reaches(self.next);
        if broken == Some(GapCause::Incomplete)
            && hole.found
            && left
            && self.ask(now, Hole { found: false, ..hole })
        {
            return;
        }
        // Of a group whose stream broke off, and whose rest its publisher does not have either, something is missing.
        let is_rest = hole.cause == GapCause::Incomplete && hole.end.object.is_none();
        let cause = match broken {
            Some(GapCause::Declined) => Some(hole.cause),
            None if is_rest && !hole.found => Some(hole.cause),
            broken => broken,
        };
        let from = self.next.max(hole.start);
        if let Some(cause) = cause.filter(|_| hole.end.reaches(from)) {
            self.gap(from, hole.end, cause);
        }
        if broken.is_some() && self.next.object > 0 && self.next < hole.start {
            // Whether there is more of the group is as unknown as before.
            self.passed = Some(self.next);
        }
        let is_empty = !hole.found && !is_rest && hole.end.reaches(hole.start);
        self.empty_holes = self.empty_holes.saturating_add(u32::from(is_empty));
        self.settled = hole.then;
    }

    /// Asks for a hole that begins where the sequence is. Whether that can be.
    pub(super) fn ask(&mut self, now: Instant, hole: Hole) -> bool {
        if !self.may_ask || self.empty_holes >= SPARSE {
            return false;
        }
        let end = Location::new(hole.end.group, hole.end.object.unwrap_or(u64::MAX));
        self.past = Past::Coming { end, moved: now, hole: Some(hole) };
        self.out.push_back(Output::Ask(self.next, hole.end));
        true
    }

    /// By arrival, what waited for the past waits no longer.
    pub(super) fn release(&mut self) {
        let numbers: Vec<u64> = self.streams.keys().copied().collect();
        numbers.into_iter().for_each(|number| self.want(number));
        for (&id, group) in &mut self.groups {
            for (object, held) in std::mem::take(&mut group.held) {
                let location = Location::new(id, object);
                self.loose -= usize::from(held.stream.is_none());
                if let Some(content) = held.content.filter(|_| self.seen.add(location)) {
                    self.out.push_back(Output::Object(location, content));
                }
            }
        }
    }

    pub(super) fn gap_to(&mut self, end: Location, cause: GapCause) {
        if self.next <= end {
            self.gap(self.next, EndLocation { group: end.group, object: Some(end.object) }, cause);
            self.next = behind(end);
        }
    }
}
