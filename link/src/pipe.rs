//! What becomes of each packet in one direction, without clock or socket.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use crate::Conditions;
use crate::random::Random;

/// How long a packet that is to be overtaken waits beyond its delay.
pub const HELD_BACK: Duration = Duration::from_millis(5);

/// One direction of a link. Time is an argument, from any beginning, and never goes back.
///
/// The same seed, arrivals and conditions give the same fates. The draws for the n-th packet depend on the seed and n
/// alone: a change of conditions does not change what later packets draw, and whether a packet is lost (of those that the
/// queue takes) does not depend on the times of arrival.
#[derive(Clone, Debug)]
pub struct Pipe<T> {
    conditions: Conditions,
    random: Random,
    /// When each packet in the queue will have been sent at the rate; the last is when the sender falls idle.
    queue: VecDeque<Duration>,
    /// When the last packet leaves of those that keep their order.
    latest: Duration,
    /// By departure, then by arrival.
    on_the_way: BTreeMap<(Duration, u64), T>,
    /// One more than the highest number of arrival that has left.
    expected: u64,
    counters: Counters,
}

/// What becomes of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It leaves at this time.
    Leaves(Duration),
    /// It is lost on the way.
    Lost,
    /// It came to a full queue.
    Dropped,
}

/// What became of packets so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// All that came: those still on the way, and the three below.
    pub arrived: u64,
    /// Those that left.
    pub forwarded: u64,
    /// Those lost on the way.
    pub lost: u64,
    /// Those that came to a full queue.
    pub dropped: u64,
    /// Those of the forwarded that left after one which had come later (RFC 4737's reordered packets).
    pub reordered: u64,
}

impl<T> Pipe<T> {
    /// A direction with nothing in it.
    ///
    /// # Panics
    /// A share of `conditions` is not within 0 to 1, or the rate or the queue is 0.
    pub fn new(conditions: Conditions, seed: u64) -> Self {
        conditions.check();
        Self {
            conditions,
            random: Random::new(seed),
            queue: VecDeque::new(),
            latest: Duration::ZERO,
            on_the_way: BTreeMap::new(),
            expected: 0,
            counters: Counters::default(),
        }
    }

    /// Decides over a packet of so many bytes that arrives now, and keeps it until it leaves.
    pub fn offer(&mut self, now: Duration, bytes: usize, packet: T) -> Fate {
        let Conditions { delay, jitter, loss, reorder, .. } = self.conditions;
        let number = self.counters.arrived;
        self.counters.arrived += 1;
        // All are drawn for every packet, whatever becomes of it, so that one packet's fate does not shift the next's.
        let (lost, spread, held_back) =
            (self.random.share() < loss, self.random.share(), self.random.share() < reorder);

        let Some(sent) = self.send(now, bytes) else {
            self.counters.dropped += 1;
            return Fate::Dropped;
        };
        if lost {
            self.counters.lost += 1;
            return Fate::Lost;
        }
        let late = (delay + jitter.mul_f64(2.0 * spread)).saturating_sub(jitter);
        let mut at = (sent + late).max(self.latest);
        if held_back {
            at += HELD_BACK;
        } else {
            self.latest = at;
        }
        self.on_the_way.insert((at, number), packet);
        Fate::Leaves(at)
    }

    /// When the next packet leaves.
    pub fn next_departure(&self) -> Option<Duration> {
        self.on_the_way.first_key_value().map(|((at, _), _)| *at)
    }

    /// The packet that leaves next, if its time has come.
    pub fn take(&mut self, now: Duration) -> Option<T> {
        let next = self.on_the_way.first_entry().filter(|next| next.key().0 <= now)?;
        let ((_, number), packet) = next.remove_entry();
        self.counters.forwarded += 1;
        if number < self.expected {
            self.counters.reordered += 1;
        } else {
            self.expected = number + 1;
        }
        Some(packet)
    }

    /// Changes the conditions for packets that arrive from now on.
    ///
    /// # Panics
    /// As [`Pipe::new`].
    pub fn set(&mut self, conditions: Conditions) {
        conditions.check();
        self.conditions = conditions;
    }

    /// What became of packets so far.
    pub const fn counters(&self) -> Counters {
        self.counters
    }

    /// When a packet that arrives now has been sent at the rate; `None` if the queue is full.
    ///
    /// Departures are computed from departures, never from when somebody looked, so the rate has no drift.
    fn send(&mut self, now: Duration, bytes: usize) -> Option<Duration> {
        while self.queue.front().is_some_and(|sent| *sent <= now) {
            self.queue.pop_front();
        }
        let Some(rate) = self.conditions.rate_bits else { return Some(now) };
        if self.queue.len() >= self.conditions.queue_packets {
            return None;
        }
        let begins = self.queue.back().map_or(now, |idle| *idle);
        let sent = begins + transmission(bytes, rate);
        self.queue.push_back(sent);
        Some(sent)
    }
}

/// How long so many bytes take at a rate in bits a second.
fn transmission(bytes: usize, rate: u64) -> Duration {
    let nanos = bytes as u128 * 8 * 1_000_000_000 / u128::from(rate);
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}
