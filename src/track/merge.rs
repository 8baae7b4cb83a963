//! The past and the live part of a track, brought into one sequence. No I/O, no clock: what arrives goes in, what the
//! reader is to have comes out.
//!
//! ```text
//! FETCH ───── past ──────────┐
//! SUBSCRIBE ─ streams, ──────┴─> Merge ── next ──> objects, each once, and gaps
//!             datagrams
//! ```
//!
//! The past comes first, in order. Behind it the live part comes by sequence or by arrival ([`Order`]). A stream is read
//! when [`Merge::take_hungry`] names it, one object ahead: what waits for its turn waits in QUIC's windows, not here.
//!
//! What is missing in the live part by sequence was perhaps only not sent live, or on a stream that broke off: it is asked
//! for ([`Output::Ask`]) where that can be, and comes as the past does. What is not to be had is told as a [`Gap`] as soon as
//! it is certain, or waited for long enough. IDs need not be contiguous, so a hole may be none: Prior Group ID Gap and Prior
//! Object ID Gap tell (draft-14 §11.3, §11.4, draft-16 §11.4, §11.5), and a track whose holes have turned out empty thrice is
//! not waited for any more.

mod past;
mod seen;
mod sequence;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use moqingbird_wire::model::{EndLocation, Location};

use self::past::Past;
use self::seen::Seen;
use self::sequence::Left;
use super::{Gap, GapCause, Order};
use crate::session::Instant;

/// How long something that may come is waited for before what follows it is given.
const REORDER: Duration = Duration::from_millis(250);
/// How many holes must have turned out empty for such holes not to be waited for.
const SPARSE: u32 = 3;
/// How many objects without a stream wait for their turn.
const MAX_LOOSE: usize = 1024;

/// What comes out.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Output<T> {
    /// The reader's next object.
    Object(Location, T),
    /// The reader is told of this.
    Gap(Gap),
    /// The stream is not wanted any more.
    Stop(u64),
    /// The past is not waited for any more.
    StopPast,
    /// What is there is to be fetched: it comes as the past does.
    Ask(Location, EndLocation),
}

/// An object that came, and what it says of the IDs before it.
#[derive(Debug)]
pub(super) struct Arrived<T> {
    pub(super) location: Location,
    /// How many groups just before this one do not exist.
    pub(super) prior_groups: u64,
    /// How many objects just before this one do not exist.
    pub(super) prior_objects: u64,
    /// `None`: there is none at this location.
    pub(super) content: Option<T>,
}

/// How a stream ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Closed {
    /// Its publisher finished it. `end_of_group`: its last object is the group's.
    Finished { end_of_group: bool },
    /// It broke off.
    Broken(GapCause),
}

#[derive(Debug)]
pub(super) struct Merge<T> {
    order: Order,
    max_latency: Option<Duration>,
    /// What precedes this is not the reader's.
    start: Location,
    /// By sequence, all before this is settled.
    next: Location,
    /// By arrival, what the reader has had.
    seen: Seen,
    past: Past,
    /// Whether what is missing can be asked for.
    may_ask: bool,
    /// By sequence, what has not come of what precedes this does not exist, or was told as a gap.
    settled: Location,
    streams: BTreeMap<u64, Stream>,
    /// Groups that have begun and are not settled.
    groups: BTreeMap<u64, Group<T>>,
    hungry: BTreeSet<u64>,
    out: VecDeque<Output<T>>,
    /// How many objects without a stream are held.
    loose: usize,
    empty_holes: u32,
    /// By sequence, groups that were left lately.
    left: VecDeque<Left>,
    /// By sequence, where the subscription began within a group of which nothing more has come.
    passed: Option<Location>,
    /// Nothing more begins.
    over: bool,
    deadline: Option<Instant>,
}

#[derive(Debug)]
struct Stream {
    group: u64,
    /// Its last object.
    last: Option<u64>,
    reading: bool,
}

#[derive(Debug)]
struct Group<T> {
    begun: Instant,
    /// How many streams are open.
    open: usize,
    held: BTreeMap<u64, Held<T>>,
    /// What its first object said: this many groups before it do not exist.
    prior_groups: u64,
    /// The last object.
    end: Option<u64>,
    /// A stream broke off.
    broken: Option<GapCause>,
    /// When the object that is held first began to wait for those before it.
    waiting: Option<Instant>,
}

#[derive(Debug)]
struct Held<T> {
    stream: Option<u64>,
    prior_objects: u64,
    content: Option<T>,
}

impl<T> Merge<T> {
    /// A sequence that begins with the track, unless [`Merge::begin_at`] says otherwise.
    pub(super) fn new(order: Order, max_latency: Option<Duration>) -> Self {
        let start = Location::default();
        Self {
            order,
            max_latency,
            start,
            next: start,
            seen: Seen::new(start),
            past: Past::Over,
            may_ask: false,
            settled: start,
            streams: BTreeMap::new(),
            groups: BTreeMap::new(),
            hungry: BTreeSet::new(),
            out: VecDeque::new(),
            loose: 0,
            empty_holes: 0,
            left: VecDeque::new(),
            passed: None,
            over: false,
            deadline: None,
        }
    }

    /// The sequence goes on with a fresh subscription, that begins behind `largest`: what the reader has not had of the
    /// time up to then is to be fetched, from what is returned; `None` if there is nothing to fetch.
    pub(super) fn resume(&mut self, now: Instant, largest: Option<Location>) -> Option<Location> {
        self.streams.clear();
        self.groups.clear();
        self.hungry.clear();
        self.loose = 0;
        self.over = false;
        let from = match self.order {
            Order::Sequence => self.passed.unwrap_or(self.next),
            // What was to be fetched and has not come is still to be.
            Order::Arrival if self.past != Past::Over => self.next.min(self.seen.resume_at()),
            Order::Arrival => self.seen.resume_at(),
        };
        if self.order == Order::Arrival {
            self.next = from;
        }
        let end = largest.filter(|largest| *largest >= from);
        self.past = end.map_or(Past::Over, |end| Past::Coming { end, moved: now, hole: None });
        end.map(|_| from)
    }

    /// Whether what is missing in the live part can be asked for.
    pub(super) const fn set_may_ask(&mut self, may_ask: bool) {
        self.may_ask = may_ask;
    }

    /// What precedes this is not the reader's.
    pub(super) fn begin_at(&mut self, start: Location) {
        self.start = start;
        self.next = start;
        self.seen = Seen::new(start);
    }

    // --- the live part ---

    /// A stream of a group has begun.
    pub(super) fn opened(&mut self, now: Instant, number: u64, group: u64) {
        self.streams.insert(number, Stream { group, last: None, reading: false });
        self.group(now, group).open += 1;
        if self.order == Order::Arrival && self.past == Past::Over {
            self.want(number);
        }
    }

    /// The next object of a stream, which was hungry.
    pub(super) fn object(&mut self, now: Instant, number: u64, arrived: Arrived<T>) {
        let Some(stream) = self.streams.get_mut(&number) else { return };
        stream.reading = false;
        stream.last = Some(arrived.location.object);
        self.arrived(now, Some(number), arrived);
    }

    /// An object without a stream.
    pub(super) fn datagram(&mut self, now: Instant, arrived: Arrived<T>) {
        self.arrived(now, None, arrived);
    }

    fn arrived(&mut self, now: Instant, stream: Option<u64>, arrived: Arrived<T>) {
        let Arrived { location, prior_groups, prior_objects, content } = arrived;
        // Behind the end of a fetch that is still coming, or else what was never asked for.
        let early = matches!(self.past, Past::Coming { end, hole: None, .. } if location <= end);
        match self.order {
            Order::Arrival if self.past == Past::Over => {
                if self.seen.add(location)
                    && let Some(content) = content
                {
                    self.out.push_back(Output::Object(location, content));
                }
                self.group(now, location.group);
                stream.into_iter().for_each(|number| self.want(number));
            }
            _ if early || location < self.next => {
                if location.group < self.next.group
                    && self.left_at(location.group, true).is_some_and(|at| at <= location)
                {
                    self.too_late(location);
                }
                stream.into_iter().for_each(|number| self.want(number));
            }
            _ => {
                let group = self.group(now, location.group);
                group.prior_groups = group.prior_groups.max(prior_groups);
                let held = Held { stream, prior_objects, content };
                let replaced = group.held.insert(location.object, held);
                self.loose += usize::from(stream.is_none());
                // The same object on another stream, or again.
                if let Some(Held { stream: other, .. }) = replaced {
                    self.loose -= usize::from(other.is_none());
                    other.into_iter().for_each(|number| self.want(number));
                }
            }
        }
    }

    /// A stream has ended.
    pub(super) fn closed(&mut self, number: u64, how: Closed) {
        let Some(Stream { group: id, last, .. }) = self.streams.remove(&number) else { return };
        self.hungry.remove(&number);
        let behind_last = Location::new(id, last.map_or(0, |last| last.saturating_add(1)));
        let Some(group) = self.groups.get_mut(&id) else { return };
        group.open -= 1;
        match how {
            Closed::Finished { end_of_group: true } => group.end = group.end.max(last),
            Closed::Finished { .. } => {}
            Closed::Broken(cause) if self.order == Order::Sequence => {
                group.broken = Some(cause);
                self.settled = self.settled.min(behind_last);
            }
            Closed::Broken(cause) => self.gap(behind_last, EndLocation { group: id, object: None }, cause),
        }
        if self.order == Order::Arrival && self.past == Past::Over && group_is_done(&self.groups, id) {
            self.seen.end_group(id);
        }
    }

    /// The subscription has ended: no stream begins any more.
    pub(super) fn end(&mut self) {
        self.over = true;
    }

    /// Whether nothing more will come out.
    pub(super) fn is_over(&self) -> bool {
        self.over
            && self.past == Past::Over
            && self.streams.is_empty()
            && self.out.is_empty()
            && self.loose == 0
    }

    /// What comes out next. If nothing does, [`Merge::deadline`] tells when to ask again.
    pub(super) fn next(&mut self, now: Instant) -> Option<Output<T>> {
        self.deadline = None;
        while self.out.is_empty() && self.turn(now) {}
        self.out.pop_front()
    }

    pub(super) const fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// The streams whose next object is to be read.
    pub(super) fn take_hungry(&mut self) -> BTreeSet<u64> {
        std::mem::take(&mut self.hungry)
    }

    /// One step. Whether anything has changed.
    fn turn(&mut self, now: Instant) -> bool {
        if let Past::Coming { moved, .. } = self.past {
            let stalled = self.groups.values().map(|group| group.begun.max(moved)).min();
            if !self.is_late(now, stalled) {
                return false;
            }
            self.out.push_back(Output::StopPast);
            self.past_over(now, Some(GapCause::TooLate));
            return true;
        }
        match self.order {
            Order::Sequence => self.sequence(now),
            Order::Arrival => self.arrival(now),
        }
    }

    // --- by arrival ---

    /// Leaves groups that are too late, and forgets those that are done.
    fn arrival(&mut self, now: Instant) -> bool {
        let Some((&id, _)) = self.groups.first_key_value() else { return false };
        let later = self.begun_after(id);
        if later.is_some() && group_is_done(&self.groups, id) {
            self.groups.remove(&id);
            return true;
        }
        if !self.is_late(now, later) {
            return false;
        }
        let from = self.seen.first_missing(id);
        self.leave_group(id);
        self.gap(from, EndLocation { group: id, object: None }, GapCause::TooLate);
        self.seen.end_group(id);
        true
    }

    // --- of both ---

    fn group(&mut self, now: Instant, id: u64) -> &mut Group<T> {
        self.groups.entry(id).or_insert_with(|| Group {
            begun: now,
            open: 0,
            held: BTreeMap::new(),
            prior_groups: 0,
            end: None,
            broken: None,
            waiting: None,
        })
    }

    /// When the first group behind this one began.
    fn begun_after(&self, id: u64) -> Option<Instant> {
        self.groups.range(id.saturating_add(1)..).next().map(|(_, group)| group.begun)
    }

    /// Whether what should have come before `later` has had its time.
    fn is_late(&mut self, now: Instant, later: Option<Instant>) -> bool {
        let (Some(latency), Some(later)) = (self.max_latency, later) else { return false };
        if now < later + latency {
            self.wait_until(later + latency);
            return false;
        }
        true
    }

    /// Whether all of a group is here and has only to be taken out of `held`.
    fn is_settled(&self, id: u64) -> bool {
        self.groups
            .get(&id)
            .is_some_and(|group| group.open == 0 && group.held.is_empty() && group.broken.is_none())
    }

    fn leave_group(&mut self, id: u64) {
        if let Some(group) = self.groups.remove(&id) {
            self.loose -= group.held.values().filter(|held| held.stream.is_none()).count();
        }
        let left: Vec<u64> =
            self.streams.iter().filter(|(_, stream)| stream.group == id).map(|(&number, _)| number).collect();
        for number in left {
            self.streams.remove(&number);
            self.hungry.remove(&number);
            self.out.push_back(Output::Stop(number));
        }
    }

    /// Every stream of a group that has no object waiting is to be read.
    fn feed(&mut self, id: u64) {
        let Some(group) = self.groups.get(&id) else { return };
        let full: BTreeSet<u64> = group.held.values().filter_map(|held| held.stream).collect();
        for (&number, stream) in &mut self.streams {
            if stream.group == id && !stream.reading && !full.contains(&number) {
                stream.reading = true;
                self.hungry.insert(number);
            }
        }
    }

    fn want(&mut self, number: u64) {
        if let Some(stream) = self.streams.get_mut(&number) {
            stream.reading = true;
            self.hungry.insert(number);
        }
    }

    fn gap(&mut self, start: Location, end: EndLocation, cause: GapCause) {
        self.out.push_back(Output::Gap(Gap { start, end, cause }));
    }

    fn wait_until(&mut self, deadline: Instant) {
        self.deadline = Some(self.deadline.map_or(deadline, |other| other.min(deadline)));
    }
}

fn group_is_done<T>(groups: &BTreeMap<u64, Group<T>>, id: u64) -> bool {
    groups.get(&id).is_none_or(|group| group.open == 0)
}

/// The location that follows within the group.
const fn behind(location: Location) -> Location {
    Location::new(location.group, location.object.saturating_add(1))
}
