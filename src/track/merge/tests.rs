//! The sequence by hand, and against a publisher that does what it likes.

use proptest::prelude::*;

use super::*;

fn at(group: u64, object: u64) -> Location {
    Location::new(group, object)
}

fn arrived(group: u64, object: u64) -> Arrived<()> {
    Arrived { location: at(group, object), prior_groups: 0, prior_objects: 0, content: Some(()) }
}

fn ms(millis: u64) -> Instant {
    Instant::from_micros(millis * 1000)
}

fn to(group: u64, object: Option<u64>) -> EndLocation {
    EndLocation { group, object }
}

/// Everything that comes out now, objects as `Ok`, gaps as `Err`.
fn drain(merge: &mut Merge<()>, now: Instant) -> Vec<Result<(u64, u64), Gap>> {
    std::iter::from_fn(|| merge.next(now))
        .filter_map(|output| match output {
            Output::Object(location, ()) => Some(Ok((location.group, location.object))),
            Output::Gap(gap) => Some(Err(gap)),
            Output::Stop(_) | Output::StopPast | Output::Ask(..) => None,
        })
        .collect()
}

const FINISHED: Closed = Closed::Finished { end_of_group: false };
const LAST: Closed = Closed::Finished { end_of_group: true };

/// A joiner of a track whose largest location is 2/1, from group 1 on.
fn joiner(order: Order) -> Merge<()> {
    let mut merge = Merge::new(order, None);
    merge.begin_at(at(1, 0));
    assert_eq!(merge.resume(ms(0), Some(at(2, 1))), Some(at(1, 0)));
    merge
}

#[test]
fn the_past_comes_first_and_the_live_part_follows_without_a_seam() {
    for order in [Order::Sequence, Order::Arrival] {
        let mut merge = joiner(order);
        merge.opened(ms(1), 0, 2);
        assert_eq!(drain(&mut merge, ms(1)), []);
        for (group, object) in [(1, 0), (1, 1), (2, 0), (2, 1)] {
            merge.past_object(ms(1), arrived(group, object));
        }
        assert_eq!(drain(&mut merge, ms(1)), [Ok((1, 0)), Ok((1, 1)), Ok((2, 0)), Ok((2, 1))]);
        assert!(merge.take_hungry().is_empty());
        merge.past_over(ms(2), None);
        assert_eq!(drain(&mut merge, ms(2)), []);
        assert!(merge.take_hungry().contains(&0));
        merge.object(ms(2), 0, arrived(2, 2));
        assert_eq!(drain(&mut merge, ms(2)), [Ok((2, 2))]);
    }
}

#[test]
fn a_past_that_breaks_off_is_a_gap_up_to_the_live_part() {
    let mut merge = joiner(Order::Sequence);
    merge.past_object(ms(1), arrived(1, 0));
    merge.past_over(ms(1), Some(GapCause::Declined));
    let gap = Gap { start: at(1, 1), end: to(2, Some(1)), cause: GapCause::Declined };
    assert_eq!(drain(&mut merge, ms(1)), [Ok((1, 0)), Err(gap)]);
}

#[test]
fn what_the_publisher_does_not_know_is_a_gap_and_what_it_sends_besides_is_not() {
    let mut merge = joiner(Order::Sequence);
    merge.past_unknown(ms(1), at(1, 4));
    merge.past_object(ms(1), arrived(2, 1));
    merge.past_over(ms(1), None);
    let gap = Gap { start: at(1, 0), end: to(1, Some(4)), cause: GapCause::Unknown };
    assert_eq!(drain(&mut merge, ms(1)), [Err(gap), Ok((2, 1))]);
}

#[test]
fn a_group_waits_for_the_streams_of_the_one_before() {
    let mut merge = Merge::new(Order::Sequence, None);
    merge.opened(ms(0), 0, 0);
    merge.opened(ms(0), 1, 1);
    assert_eq!(drain(&mut merge, ms(0)), []);
    assert_eq!(merge.take_hungry(), BTreeSet::from([0]), "the next group is not read yet");
    merge.object(ms(0), 0, arrived(0, 0));
    assert_eq!(drain(&mut merge, ms(0)), [Ok((0, 0))]);
    merge.closed(0, FINISHED);
    assert_eq!(drain(&mut merge, ms(0)), []);
    assert_eq!(merge.take_hungry(), BTreeSet::from([1]));
    merge.object(ms(0), 1, arrived(1, 0));
    assert_eq!(drain(&mut merge, ms(0)), [Ok((1, 0))]);
}

#[test]
fn subgroups_of_a_group_are_merged() {
    let mut merge = Merge::new(Order::Sequence, None);
    merge.opened(ms(0), 0, 0);
    merge.object(ms(0), 0, arrived(0, 0));
    assert_eq!(drain(&mut merge, ms(0)), [Ok((0, 0))]);
    merge.object(ms(0), 0, arrived(0, 2));
    assert_eq!(drain(&mut merge, ms(0)), []);
    merge.opened(ms(1), 1, 0);
    merge.object(ms(1), 1, arrived(0, 1));
    assert_eq!(drain(&mut merge, ms(1)), [Ok((0, 1)), Ok((0, 2))]);
}

#[test]
fn what_does_not_come_is_a_gap_once_it_was_waited_for() {
    let mut merge = Merge::new(Order::Sequence, None);
    merge.opened(ms(0), 0, 0);
    merge.object(ms(0), 0, arrived(0, 3));
    assert_eq!(drain(&mut merge, ms(0)), []);
    assert_eq!(merge.deadline(), Some(ms(0) + REORDER));
    let gap = Gap { start: at(0, 0), end: to(0, Some(2)), cause: GapCause::NotReceived };
    assert_eq!(drain(&mut merge, ms(250)), [Err(gap), Ok((0, 3))]);
}

/// What is to be fetched now.
fn asked(merge: &mut Merge<()>, now: Instant) -> Option<(Location, EndLocation)> {
    match merge.next(now) {
        Some(Output::Ask(start, end)) => Some((start, end)),
        Some(other) => panic!("{other:?}"),
        None => None,
    }
}

fn asker() -> Merge<()> {
    let mut merge = Merge::new(Order::Sequence, None);
    merge.set_may_ask(true);
    merge
}

#[test]
fn what_does_not_come_is_asked_for_and_what_came_meanwhile_is_not_lost() {
    let mut merge = asker();
    merge.opened(ms(0), 0, 0);
    assert_eq!(asked(&mut merge, ms(0)), None);
    merge.object(ms(0), 0, arrived(0, 4));
    assert_eq!(asked(&mut merge, ms(0)), None);
    assert_eq!(asked(&mut merge, ms(250)), Some((at(0, 0), to(0, Some(3)))));
    // Something of it comes on a stream meanwhile.
    merge.datagram(ms(251), arrived(0, 2));
    merge.past_object(ms(252), arrived(0, 1));
    assert_eq!(drain(&mut merge, ms(252)), [Ok((0, 1))]);
    merge.past_over(ms(253), None);
    assert_eq!(drain(&mut merge, ms(253)), [Ok((0, 2)), Ok((0, 4))]);
}

#[test]
fn the_rest_of_a_broken_stream_is_asked_for() {
    let mut merge = asker();
    merge.opened(ms(0), 0, 0);
    drain(&mut merge, ms(0));
    merge.object(ms(0), 0, arrived(0, 0));
    merge.closed(0, Closed::Broken(GapCause::Incomplete));
    assert_eq!(merge.next(ms(0)), Some(Output::Object(at(0, 0), ())));
    assert_eq!(asked(&mut merge, ms(0)), Some((at(0, 1), to(0, None))));
    merge.past_object(ms(1), arrived(0, 1));
    merge.past_over(ms(1), None);
    assert_eq!(drain(&mut merge, ms(1)), [Ok((0, 1))]);
    merge.datagram(ms(1), arrived(1, 0));
    assert_eq!(drain(&mut merge, ms(1)), [Ok((1, 0))]);
}

#[test]
fn groups_that_do_not_come_are_asked_for() {
    let mut merge = asker();
    merge.begin_at(at(2, 0));
    assert_eq!(merge.resume(ms(0), Some(at(2, 5))), Some(at(2, 0)));
    merge.past_over(ms(0), None);
    merge.opened(ms(0), 0, 4);
    merge.object(ms(0), 0, arrived(4, 0));
    assert_eq!(asked(&mut merge, ms(0)), None);
    assert_eq!(asked(&mut merge, ms(250)), Some((at(2, 6), to(3, None))));
    merge.past_object(ms(251), arrived(3, 0));
    merge.past_over(ms(251), None);
    assert_eq!(drain(&mut merge, ms(251)), [Ok((3, 0)), Ok((4, 0))]);
}

#[test]
fn a_stream_of_a_group_that_was_fetched_is_late_only_if_it_brings_something_new() {
    for (brings, late) in [(1, false), (2, true)] {
        let mut merge = asker();
        merge.opened(ms(0), 0, 1);
        merge.object(ms(0), 0, arrived(1, 0));
        assert_eq!(asked(&mut merge, ms(0)), None);
        assert_eq!(asked(&mut merge, ms(250)), Some((at(0, 0), to(0, None))));
        merge.past_object(ms(251), arrived(0, 0));
        merge.past_object(ms(251), arrived(0, 1));
        merge.past_over(ms(251), None);
        assert_eq!(drain(&mut merge, ms(251)), [Ok((0, 0)), Ok((0, 1)), Ok((1, 0))]);
        merge.opened(ms(300), 1, 0);
        assert_eq!(drain(&mut merge, ms(300)), []);
        assert!(merge.take_hungry().contains(&1));
        merge.object(ms(301), 1, arrived(0, brings));
        let gap = Gap { start: at(0, 2), end: to(0, None), cause: GapCause::TooLate };
        assert_eq!(drain(&mut merge, ms(301)), if late { vec![Err(gap)] } else { vec![] });
        merge.closed(1, LAST);
        assert_eq!(drain(&mut merge, ms(302)), []);
        assert_eq!(merge.groups.len(), 1);
    }
}

#[test]
fn what_was_asked_for_in_vain_is_a_gap_of_the_first_cause() {
    let mut merge = asker();
    merge.opened(ms(0), 0, 0);
    drain(&mut merge, ms(0));
    merge.object(ms(0), 0, arrived(0, 3));
    assert_eq!(asked(&mut merge, ms(0)), None);
    assert!(asked(&mut merge, ms(250)).is_some());
    merge.past_over(ms(260), Some(GapCause::Declined));
    let gap = Gap { start: at(0, 0), end: to(0, Some(2)), cause: GapCause::NotReceived };
    assert_eq!(drain(&mut merge, ms(260)), [Err(gap), Ok((0, 3))]);
}

#[test]
fn ids_that_are_said_not_to_exist_are_not_waited_for() {
    let mut merge = Merge::new(Order::Sequence, None);
    merge.opened(ms(0), 0, 4);
    drain(&mut merge, ms(0));
    merge.object(ms(0), 0, Arrived { prior_groups: 4, prior_objects: 2, ..arrived(4, 2) });
    assert_eq!(drain(&mut merge, ms(0)), [Ok((4, 2))]);
}

#[test]
fn a_track_with_holes_by_nature_is_soon_not_waited_for() {
    let mut merge = Merge::new(Order::Sequence, None);
    let mut now = ms(0);
    for number in 0..10 {
        let group = number * 10;
        merge.opened(now, number, group);
        drain(&mut merge, now);
        merge.object(now, number, arrived(group, 0));
        merge.closed(number, LAST);
        if number > u64::from(SPARSE) {
            assert_eq!(drain(&mut merge, now).last(), Some(&Ok((group, 0))));
        }
        now = now + REORDER;
        drain(&mut merge, now);
    }
    assert_eq!(merge.next, at(91, 0));
}

#[test]
fn a_broken_stream_is_a_gap_to_the_end_of_its_group() {
    for order in [Order::Sequence, Order::Arrival] {
        let mut merge = Merge::new(order, None);
        merge.opened(ms(0), 0, 0);
        drain(&mut merge, ms(0));
        merge.object(ms(0), 0, arrived(0, 0));
        merge.closed(0, Closed::Broken(GapCause::Incomplete));
        let gap = Gap { start: at(0, 1), end: to(0, None), cause: GapCause::Incomplete };
        assert_eq!(drain(&mut merge, ms(0)), [Ok((0, 0)), Err(gap)]);
    }
}

#[test]
fn a_stale_group_is_left_and_its_streams_are_stopped() {
    for order in [Order::Sequence, Order::Arrival] {
        let mut merge = Merge::new(order, Some(Duration::from_millis(100)));
        merge.opened(ms(0), 0, 0);
        drain(&mut merge, ms(0));
        merge.object(ms(0), 0, arrived(0, 0));
        assert_eq!(drain(&mut merge, ms(0)), [Ok((0, 0))]);
        merge.opened(ms(50), 1, 1);
        assert_eq!(drain(&mut merge, ms(149)), []);
        assert_eq!(merge.deadline(), Some(ms(150)));
        let gap = Gap { start: at(0, 1), end: to(0, None), cause: GapCause::TooLate };
        let (mut stopped, mut gaps) = (Vec::new(), Vec::new());
        while let Some(output) = merge.next(ms(150)) {
            match output {
                Output::Stop(number) => stopped.push(number),
                Output::Gap(gap) => gaps.push(gap),
                other => panic!("{other:?}"),
            }
        }
        assert_eq!((stopped, gaps), (vec![0], vec![gap]));
        merge.object(ms(150), 1, arrived(1, 0));
        assert_eq!(drain(&mut merge, ms(150)), [Ok((1, 0))]);
    }
}

#[test]
fn a_past_that_stalls_while_the_live_part_waits_is_given_up() {
    let mut merge = Merge::new(Order::Sequence, Some(Duration::from_millis(100)));
    merge.begin_at(at(0, 0));
    merge.resume(ms(0), Some(at(1, 0)));
    merge.opened(ms(10), 0, 2);
    assert_eq!(drain(&mut merge, ms(109)), []);
    let gap = Gap { start: at(0, 0), end: to(1, Some(0)), cause: GapCause::TooLate };
    assert_eq!(drain(&mut merge, ms(110)), [Err(gap)]);
}

#[test]
fn a_stream_that_comes_when_its_group_was_left_is_told_and_stopped() {
    let mut merge = Merge::new(Order::Sequence, None);
    merge.datagram(ms(0), arrived(0, 0));
    merge.datagram(ms(0), arrived(1, 0));
    assert_eq!(drain(&mut merge, ms(0)), [Ok((0, 0)), Ok((1, 0))]);
    merge.opened(ms(1), 7, 0);
    assert_eq!(merge.next(ms(1)), Some(Output::Stop(7)));
    let gap = Gap { start: at(0, 1), end: to(0, None), cause: GapCause::TooLate };
    assert_eq!(merge.next(ms(1)), Some(Output::Gap(gap)));
}

/// A publisher, its subscriber, and what each has done.
struct World {
    merge: Merge<()>,
    order: Order,
    now: u64,
    /// The track, in the order of publication: group, object; each group's objects on one stream.
    published: Vec<Location>,
    open: Vec<Sent>,
    closed: Vec<Sent>,
    /// What of the past is still to come.
    past: Option<VecDeque<Location>>,
    next_stream: u64,
    start: Location,
    objects: Vec<Location>,
    gaps: Vec<Gap>,
}

/// A stream on its way: objects that have not been read, in order.
#[derive(Clone, Debug)]
struct Sent {
    number: u64,
    group: u64,
    told: bool,
    left: VecDeque<u64>,
    finished: bool,
    hungry: bool,
}

#[derive(Clone, Debug)]
enum Step {
    Publish { stream: usize },
    NewGroup,
    Finish { stream: usize },
    Arrive { stream: usize },
    Read { stream: usize },
    Reset { stream: usize },
    Past { count: usize },
    PastBreaks,
    Reconnect,
    Pass { millis: u64 },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => any::<usize>().prop_map(|stream| Step::Publish { stream }),
        3 => Just(Step::NewGroup),
        2 => any::<usize>().prop_map(|stream| Step::Finish { stream }),
        4 => any::<usize>().prop_map(|stream| Step::Arrive { stream }),
        12 => any::<usize>().prop_map(|stream| Step::Read { stream }),
        1 => any::<usize>().prop_map(|stream| Step::Reset { stream }),
        4 => (1..4usize).prop_map(|count| Step::Past { count }),
        1 => Just(Step::PastBreaks),
        1 => Just(Step::Reconnect),
        3 => (0..400u64).prop_map(|millis| Step::Pass { millis }),
    ]
}

impl World {
    fn new(order: Order, max_latency: Option<Duration>, may_ask: bool, (history, back): (u64, u64)) -> Self {
        let published: Vec<_> = (0..history).map(|number| at(number / 2, number % 2)).collect();
        let largest = published.last().copied();
        let start = at(largest.map_or(0, |largest| largest.group.saturating_sub(back)), 0);
        let mut merge = Merge::new(order, max_latency);
        merge.set_may_ask(may_ask);
        merge.begin_at(start);
        let mut world = Self {
            merge,
            order,
            now: 0,
            published,
            open: Vec::new(),
            closed: Vec::new(),
            past: None,
            next_stream: 0,
            start,
            objects: Vec::new(),
            gaps: Vec::new(),
        };
        world.connect();
        world
    }

    fn largest(&self) -> Option<Location> {
        self.published.iter().max().copied()
    }

    fn connect(&mut self) {
        let largest = self.largest();
        let from = self.merge.resume(ms(self.now), largest);
        self.past = from.zip(largest).map(|(from, end)| {
            let mut past: Vec<_> =
                self.published.iter().copied().filter(|it| at(from.group, 0) <= *it && *it <= end).collect();
            past.sort_unstable();
            past.into()
        });
        // The rest of what is being written comes on streams of the new session.
        let open: Vec<_> = self.open.drain(..).filter(|sent| !sent.finished).collect();
        self.closed.clear();
        for sent in open {
            self.new_stream(sent.group);
        }
    }

    fn new_stream(&mut self, group: u64) {
        let number = self.next_stream;
        self.next_stream += 1;
        let left = VecDeque::new();
        self.open.push(Sent { number, group, told: false, left, finished: false, hungry: false });
    }

    fn step(&mut self, step: Step) {
        let pick = |stream: usize, len: usize| stream.checked_rem(len);
        match step {
            Step::NewGroup => {
                let group = self.largest().map_or(0, |largest| largest.group + 1);
                self.new_stream(group);
                self.publish(self.open.len() - 1);
            }
            Step::Publish { stream } => {
                if let Some(index) = pick(stream, self.open.len()) {
                    self.publish(index);
                }
            }
            Step::Finish { stream } => {
                if let Some(index) = pick(stream, self.open.len()) {
                    let mut sent = self.open.swap_remove(index);
                    sent.finished = true;
                    self.closed.push(sent);
                }
            }
            Step::Arrive { stream } => self.with(stream, |world, sent| {
                if !std::mem::replace(&mut sent.told, true) {
                    world.merge.opened(ms(world.now), sent.number, sent.group);
                }
                true
            }),
            Step::Read { stream } => self.with(stream, Self::read),
            Step::Reset { stream } => self.with(stream, |world, sent| {
                if sent.told {
                    world.merge.closed(sent.number, Closed::Broken(GapCause::Incomplete));
                }
                !sent.told
            }),
            Step::Past { count } => {
                for _ in 0..count {
                    let Some(past) = &mut self.past else { return };
                    match past.pop_front() {
                        Some(location) => {
                            self.merge.past_object(ms(self.now), arrived(location.group, location.object));
                        }
                        None => {
                            self.past = None;
                            self.merge.past_over(ms(self.now), None);
                        }
                    }
                }
            }
            Step::PastBreaks => {
                if self.past.take().is_some() {
                    self.merge.past_over(ms(self.now), Some(GapCause::Declined));
                }
            }
            Step::Reconnect => self.connect(),
            Step::Pass { millis } => self.now += millis,
        }
        self.drain();
    }

    fn publish(&mut self, index: usize) {
        let sent = &mut self.open[index];
        // As a publisher would: what comes behind the largest object of all.
        let largest = self.published.iter().max().copied();
        let last = self.published.iter().filter(|it| it.group == sent.group).max();
        let location = at(sent.group, last.map_or(0, |last| last.object + 1));
        if largest.is_none_or(|largest| location > largest) {
            self.published.push(location);
            sent.left.push_back(location.object);
        }
    }

    /// Does something with a stream, which stays if that says so.
    fn with(&mut self, stream: usize, act: impl FnOnce(&mut Self, &mut Sent) -> bool) {
        let total = self.open.len() + self.closed.len();
        let Some(index) = stream.checked_rem(total) else { return };
        let list = if index < self.open.len() { &mut self.open } else { &mut self.closed };
        let index = if index < list.len() { index } else { index - (total - list.len()) };
        let is_open = !list[index].finished;
        let mut sent = list.swap_remove(index);
        if act(self, &mut sent) {
            if is_open { self.open.push(sent) } else { self.closed.push(sent) }
        }
    }

    fn read(&mut self, sent: &mut Sent) -> bool {
        if !sent.hungry {
            return true;
        }
        match sent.left.pop_front() {
            Some(object) => {
                sent.hungry = false;
                self.merge.object(ms(self.now), sent.number, arrived(sent.group, object));
                true
            }
            None if sent.finished => {
                self.merge.closed(sent.number, LAST);
                false
            }
            None => true,
        }
    }

    fn drain(&mut self) {
        while let Some(output) = self.merge.next(ms(self.now)) {
            match output {
                Output::Object(location, ()) => self.objects.push(location),
                Output::Gap(gap) => self.gaps.push(gap),
                Output::Stop(number) => {
                    self.open.retain(|sent| sent.number != number);
                    self.closed.retain(|sent| sent.number != number);
                }
                Output::StopPast => self.past = None,
                Output::Ask(start, end) => {
                    let mut asked: Vec<_> = self.published.clone();
                    asked.retain(|it| start <= *it && end.reaches(*it));
                    asked.sort_unstable();
                    self.past = Some(asked.into());
                }
            }
        }
        let hungry = self.merge.take_hungry();
        for sent in self.open.iter_mut().chain(&mut self.closed) {
            sent.hungry |= hungry.contains(&sent.number);
        }
    }

    /// Everything arrives, and the publisher ends the track.
    fn finish(mut self) {
        for mut sent in std::mem::take(&mut self.open) {
            sent.finished = true;
            self.closed.push(sent);
        }
        for sent in self.closed.iter_mut().filter(|sent| !sent.told) {
            sent.told = true;
            self.merge.opened(ms(self.now), sent.number, sent.group);
        }
        self.drain();
        self.merge.end();
        for _ in 0..2000 {
            self.step(Step::Past { count: 100 });
            for stream in 0..self.closed.len() {
                self.step(Step::Read { stream });
            }
            self.step(Step::Pass { millis: 300 });
            if self.merge.is_over() {
                break;
            }
        }
        assert!(self.merge.is_over(), "{:?}", self.merge);
        let mut objects = self.objects.clone();
        if self.order == Order::Sequence {
            assert!(objects.is_sorted(), "{objects:?}");
        }
        objects.sort_unstable();
        let count = objects.len();
        objects.dedup();
        assert_eq!(objects.len(), count, "nothing comes twice");
        for location in self.published.iter().filter(|location| **location >= self.start) {
            let told = self.gaps.iter().any(|gap| {
                gap.start <= *location && {
                    gap.end.group > location.group
                        || gap.end.group == location.group
                            && gap.end.object.is_none_or(|end| location.object <= end)
                }
            });
            assert!(
                objects.binary_search(location).is_ok() || told,
                "{location} is missing in silence: {:?}, gaps {:?}",
                self.objects,
                self.gaps
            );
        }
    }
}

proptest! {
    #[test]
    fn every_object_comes_once_or_is_told_as_a_gap(
        sequence in any::<bool>(),
        latency in prop::option::of(0..500u64),
        may_ask in any::<bool>(),
        history in 0..8u64,
        back in 0..3u64,
        steps in prop::collection::vec(step(), 0..150),
    ) {
        let order = if sequence { Order::Sequence } else { Order::Arrival };
        let mut world = World::new(order, latency.map(Duration::from_millis), may_ask, (history, back));
        for step in steps {
            world.step(step);
        }
        world.finish();
    }
}
