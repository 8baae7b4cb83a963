//! The decisions, in simulated time.

use std::time::Duration;

use moqingbird_link::{Conditions, Counters, Fate, HELD_BACK, Pipe};

const SEED: u64 = 4;

/// Offers packets of 1250 bytes, one each `every`, and gives their fates. Each packet is its own number.
fn offered(pipe: &mut Pipe<u64>, packets: u64, every: Duration) -> Vec<Fate> {
    (0..packets).map(|number| pipe.offer(every * u32::try_from(number).unwrap(), 1250, number)).collect()
}

/// Everything that leaves, with its time.
fn leaving(pipe: &mut Pipe<u64>) -> Vec<(Duration, u64)> {
    std::iter::from_fn(|| {
        let at = pipe.next_departure()?;
        if let Some(before) = at.checked_sub(Duration::from_nanos(1)) {
            assert_eq!(pipe.take(before), None, "a packet leaves before its time");
        }
        Some((at, pipe.take(at).expect("a packet whose time has come")))
    })
    .collect()
}

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn assert_near(measured: f64, asked: f64) {
    assert!((measured / asked - 1.0).abs() < 0.05, "{measured} is more than 5 % from {asked}");
}

#[test]
fn without_conditions_packets_leave_as_they_come() {
    let mut pipe = Pipe::new(Conditions::default(), SEED);
    let fates = offered(&mut pipe, 3, millis(2));
    assert_eq!(fates, [0, 2, 4].map(|at| Fate::Leaves(millis(at))));
}

#[test]
fn every_packet_is_delayed_by_exactly_the_delay() {
    let mut pipe = Pipe::new(Conditions { delay: millis(25), ..Conditions::default() }, SEED);
    offered(&mut pipe, 1000, millis(1));
    for (at, number) in leaving(&mut pipe) {
        assert_eq!(at, millis(number + 25));
    }
}

#[test]
fn jitter_spreads_evenly_around_the_delay() {
    let conditions = Conditions { delay: millis(20), jitter: millis(10), ..Conditions::default() };
    let mut pipe = Pipe::new(conditions, SEED);
    // So far apart that none has to wait for the one before.
    offered(&mut pipe, 10_000, millis(20));
    let delays: Vec<_> =
        leaving(&mut pipe).into_iter().map(|(at, number)| at - millis(20 * number)).collect();
    let mean = delays.iter().sum::<Duration>() / 10_000;
    assert_near(mean.as_secs_f64(), 0.020);
    let (least, most) = (delays.iter().min().unwrap(), delays.iter().max().unwrap());
    assert!((millis(10)..millis(11)).contains(least), "{least:?}");
    assert!((millis(29)..=millis(30)).contains(most), "{most:?}");
}

#[test]
fn jitter_keeps_the_order() {
    let conditions = Conditions { delay: millis(20), jitter: millis(30), ..Conditions::default() };
    let mut pipe = Pipe::new(conditions, SEED);
    offered(&mut pipe, 1000, millis(1));
    let left = leaving(&mut pipe);
    assert!(left.iter().all(|(at, number)| *at >= millis(*number)), "a packet leaves before it has come");
    assert!(left.iter().map(|(_, number)| *number).eq(0..1000));
    assert_eq!(pipe.counters().reordered, 0);
}

#[test]
fn the_share_lost_is_the_loss() {
    for loss in [0.02, 0.25, 0.9] {
        let mut pipe = Pipe::new(Conditions { loss, ..Conditions::default() }, SEED);
        let fates = offered(&mut pipe, 150_000, millis(1));
        let lost = fates.iter().filter(|fate| **fate == Fate::Lost).count();
        assert_near(lost as f64 / 150_000.0, loss);
        assert_eq!(pipe.counters().lost, lost as u64);
    }
}

#[test]
fn a_loss_of_none_or_all_has_no_exception() {
    for (conditions, lost) in [(Conditions::default(), 0), (Conditions::default().partitioned(), 100_000)] {
        let mut pipe = Pipe::new(conditions, SEED);
        offered(&mut pipe, 100_000, Duration::ZERO);
        assert_eq!(pipe.counters().lost, lost);
    }
}

#[test]
fn a_backlog_leaves_at_exactly_the_rate() {
    let conditions = Conditions { rate_bits: Some(20_000_000), ..Conditions::default() };
    let mut pipe = Pipe::new(conditions, SEED);
    offered(&mut pipe, 1000, Duration::ZERO);
    // 1250 bytes take half a millisecond.
    for (at, number) in leaving(&mut pipe) {
        assert_eq!(at, Duration::from_micros(500) * u32::try_from(number + 1).unwrap());
    }
}

#[test]
fn an_idle_sender_saves_nothing_up() {
    let conditions = Conditions { rate_bits: Some(10_000_000), ..Conditions::default() };
    let mut pipe = Pipe::new(conditions, SEED);
    assert_eq!(pipe.offer(millis(0), 1250, 0), Fate::Leaves(millis(1)));
    assert_eq!(pipe.offer(millis(9), 1250, 1), Fate::Leaves(millis(10)));
    assert_eq!(pipe.offer(millis(9), 1250, 2), Fate::Leaves(millis(11)));
}

#[test]
fn a_full_queue_drops_what_comes_last() {
    let conditions = Conditions { rate_bits: Some(10_000_000), queue_packets: 3, ..Conditions::default() };
    let mut pipe = Pipe::new(conditions, SEED);
    let fates = offered(&mut pipe, 5, Duration::ZERO);
    let leaves = [1, 2, 3].map(|at| Fate::Leaves(millis(at)));
    assert_eq!(fates, [leaves[0], leaves[1], leaves[2], Fate::Dropped, Fate::Dropped]);
    // The first has been sent: there is room for one.
    assert_eq!(pipe.offer(millis(1), 1250, 5), Fate::Leaves(millis(4)));
    assert_eq!(pipe.offer(millis(1), 1250, 6), Fate::Dropped);
    assert_eq!(pipe.counters().dropped, 3);
}

#[test]
fn a_packet_on_the_way_is_not_in_the_queue() {
    let conditions = Conditions {
        delay: millis(1000),
        rate_bits: Some(10_000_000),
        queue_packets: 1,
        ..Conditions::default()
    };
    let mut pipe = Pipe::new(conditions, SEED);
    offered(&mut pipe, 100, millis(1));
    assert_eq!(pipe.counters().dropped, 0);
}

#[test]
fn the_share_reordered_is_as_asked_and_the_rest_keep_their_order() {
    let mut pipe = Pipe::new(Conditions { reorder: 0.1, ..Conditions::default() }, SEED);
    offered(&mut pipe, 50_000, Duration::from_micros(100));
    let left = leaving(&mut pipe);
    let mut held_back = 0;
    let mut expected = 0;
    for (at, number) in left {
        let came = Duration::from_micros(100 * number);
        if at == came {
            assert!(number >= expected, "packet {number} was overtaken and not held back");
            expected = number;
        } else {
            assert_eq!(at - came, HELD_BACK);
            held_back += 1;
        }
    }
    assert_near(f64::from(held_back) / 50_000.0, 0.1);
    assert_near(pipe.counters().reordered as f64 / 50_000.0, 0.1);
}

#[test]
fn the_same_seed_gives_the_same_fates() {
    let conditions = Conditions {
        delay: millis(25),
        jitter: millis(5),
        loss: 0.1,
        reorder: 0.1,
        rate_bits: Some(20_000_000),
        queue_packets: 10,
    };
    let fates = |seed| offered(&mut Pipe::new(conditions, seed), 10_000, Duration::from_micros(300));
    assert_eq!(fates(1), fates(1));
    assert_ne!(fates(1), fates(2));
}

#[test]
fn a_change_of_conditions_does_not_change_what_later_packets_draw() {
    let lossy = Conditions { loss: 0.3, ..Conditions::default() };
    let mut steady = Pipe::new(lossy, SEED);
    let mut cut = Pipe::new(lossy, SEED);
    let steady = offered(&mut steady, 300, millis(1));
    let lost = (0..300).map(|number| {
        match number {
            100 => cut.set(lossy.partitioned()),
            200 => cut.set(lossy),
            _ => {}
        }
        cut.offer(millis(number), 1250, number)
    });
    let cut: Vec<_> = lost.collect();
    assert_eq!(cut[..100], steady[..100]);
    assert!(cut[100..200].iter().all(|fate| *fate == Fate::Lost));
    assert_eq!(cut[200..], steady[200..]);
}

#[test]
fn packets_on_the_way_survive_a_partition() {
    let conditions = Conditions { delay: millis(25), ..Conditions::default() };
    let mut pipe = Pipe::new(conditions, SEED);
    pipe.offer(millis(0), 1250, 0);
    pipe.set(conditions.partitioned());
    pipe.offer(millis(1), 1250, 1);
    assert_eq!(leaving(&mut pipe), [(millis(25), 0)]);
    let counted = Counters { arrived: 2, forwarded: 1, lost: 1, ..Counters::default() };
    assert_eq!(pipe.counters(), counted);
}

#[test]
#[should_panic(expected = "loss is a share of packets, 0 to 1, not 2")]
fn a_loss_in_per_cent_is_refused() {
    Pipe::<()>::new(Conditions { loss: 2.0, ..Conditions::default() }, SEED);
}
