//! What an endpoint did in the last 24 hours, in memory that does not grow.

use std::collections::VecDeque;

/// A slot of the strip is a quarter of an hour.
const SLOT_SECONDS: i64 = 15 * 60;
/// 24 hours of them.
pub(crate) const SLOTS: usize = 96;
/// How many latencies the sparkline shows.
pub(crate) const LATENCIES: usize = 120;

/// An endpoint's past.
#[derive(Clone, Debug, Default)]
pub(crate) struct History {
    slots: VecDeque<Slot>,
    latencies: VecDeque<f64>,
}

/// A quarter of an hour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Slot {
    number: i64,
    /// How many probes found the endpoint live.
    pub(crate) live: u32,
    /// How many did not.
    pub(crate) dead: u32,
}

impl History {
    /// Adds a probe at a time in seconds since 1970. `latency`: of the handshake and SETUP, in milliseconds.
    pub(crate) fn record(&mut self, now: i64, live: bool, latency: Option<f64>) {
        let number = now.div_euclid(SLOT_SECONDS);
        if self.slots.back().is_none_or(|last| last.number != number) {
            self.slots.push_back(Slot { number, ..Slot::default() });
            if self.slots.len() > SLOTS {
                self.slots.pop_front();
            }
        }
        if let Some(slot) = self.slots.back_mut() {
            let count = if live { &mut slot.live } else { &mut slot.dead };
            *count = count.saturating_add(1);
        }
        if let Some(latency) = latency {
            self.latencies.push_back(latency);
            if self.latencies.len() > LATENCIES {
                self.latencies.pop_front();
            }
        }
    }

    /// The 96 slots up to now, the oldest first. None where nothing was probed.
    pub(crate) fn strip(&self, now: i64) -> impl Iterator<Item = Option<Slot>> {
        let last = now.div_euclid(SLOT_SECONDS);
        let first = last - SLOTS as i64 + 1;
        (first..=last).map(|number| self.slots.iter().find(|slot| slot.number == number).copied())
    }

    /// The last latencies in milliseconds, the oldest first.
    pub(crate) fn latencies(&self) -> impl Iterator<Item = f64> {
        self.latencies.iter().copied()
    }

    /// How many of the probes of the last 24 hours found the endpoint live, and how many there were.
    pub(crate) fn uptime(&self, now: i64) -> (u64, u64) {
        self.strip(now).flatten().fold((0, 0), |(live, all), slot| {
            (live + u64::from(slot.live), all + u64::from(slot.live) + u64::from(slot.dead))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_strip_covers_the_last_24_hours() {
        let mut history = History::default();
        let day = 24 * 3600;
        history.record(10, true, None);
        history.record(day, true, None);
        history.record(day + SLOT_SECONDS, false, None);
        history.record(day + SLOT_SECONDS + 1, true, None);
        let strip: Vec<_> = history.strip(day + SLOT_SECONDS).collect();
        assert_eq!(strip.len(), SLOTS);
        assert_eq!(strip[SLOTS - 1].map(|slot| (slot.live, slot.dead)), Some((1, 1)));
        assert_eq!(strip[SLOTS - 2].map(|slot| (slot.live, slot.dead)), Some((1, 0)));
        assert!(strip[..SLOTS - 2].iter().all(Option::is_none), "more than a day ago");
        assert_eq!(history.uptime(day + SLOT_SECONDS), (2, 3));
    }

    #[test]
    fn it_does_not_grow() {
        let mut history = History::default();
        for probe in 0..100_000 {
            history.record(probe * 60, true, Some(1.0));
        }
        assert_eq!((history.slots.len(), history.latencies.len()), (SLOTS, LATENCIES));
    }
}
