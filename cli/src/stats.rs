//! What a subscriber measures: rate, latency, jitter, loss, reordering.
//!
//! Takes values and gives values; what is shown, and when, is decided elsewhere.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use moqingbird::wire::model::Location;
use serde_json::{Value, json};

/// How many groups are remembered one by one. What is missing of older ones stays counted.
const MAX_GROUPS: usize = 256;
/// How many latencies of an interval are kept for its percentiles.
const MAX_SAMPLES: usize = 10_000;

/// Counts of objects as they arrive.
#[derive(Debug, Default)]
pub(crate) struct Stats {
    total: Counts,
    interval: Counts,
    latencies: Vec<f64>,
    /// Interarrival jitter in milliseconds (RFC 3550 §6.4.1), smoothed over 16 objects.
    jitter: f64,
    last: Option<Arrival>,
    largest: Option<Location>,
    groups: BTreeMap<u64, Group>,
    /// Objects missing in groups that are no longer remembered.
    lost_before: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    objects: u64,
    bytes: u64,
    reordered: u64,
}

/// When an object arrived, its latency, and how long after the one before: in milliseconds.
#[derive(Clone, Copy, Debug)]
struct Arrival {
    at: f64,
    latency: Option<f64>,
    distance: Option<f64>,
}

/// One group: object IDs from `first` to `largest`, of which `count` have come.
#[derive(Clone, Copy, Debug)]
struct Group {
    first: u64,
    largest: u64,
    count: u64,
}

impl Group {
    const fn lost(self) -> u64 {
        (self.largest - self.first + 1).saturating_sub(self.count)
    }
}

/// What is known at the end of an interval.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Report {
    /// Since the first.
    elapsed: Duration,
    objects: u64,
    bytes: u64,
    /// Of the interval.
    objects_per_second: f64,
    bits_per_second: f64,
    /// Of the interval: mean, 95th percentile, largest, in milliseconds. `None`: no object told when it was sent.
    latency: Option<[f64; 3]>,
    jitter: f64,
    lost: u64,
    reordered: u64,
}

impl Stats {
    /// Takes in an object. `at` is when it arrived, from any fixed moment; `latency` how long it took, in milliseconds,
    /// if that is known: below zero where the clocks of the two ends differ.
    pub(crate) fn object(&mut self, at: Duration, location: Location, bytes: usize, latency: Option<f64>) {
        let reordered = self.largest.is_some_and(|largest| location < largest);
        self.largest = self.largest.max(Some(location));
        for counts in [&mut self.total, &mut self.interval] {
            counts.objects += 1;
            counts.bytes += bytes as u64;
            counts.reordered += u64::from(reordered);
        }
        self.arrived(at.as_secs_f64() * 1e3, latency);
        self.count(location);
    }

    /// The jitter is that of the latencies; where they are unknown, of the distances between arrivals.
    fn arrived(&mut self, at: f64, latency: Option<f64>) {
        if let Some(latency) = latency
            && self.latencies.len() < MAX_SAMPLES
        {
            self.latencies.push(latency);
        }
        let distance = self.last.as_ref().map(|last| at - last.at);
        let difference = self.last.as_ref().and_then(|last| match (latency, last.latency) {
            (Some(latency), Some(before)) => Some(latency - before),
            _ => Some(distance? - last.distance?),
        });
        if let Some(difference) = difference {
            self.jitter += (difference.abs() - self.jitter) / 16.0;
        }
        self.last = Some(Arrival { at, latency, distance });
    }

    fn count(&mut self, location: Location) {
        let Location { group, object } = location;
        // A subscription may begin anywhere in its first group.
        let first = if self.groups.is_empty() && self.lost_before == 0 { object } else { 0 };
        let known = self.groups.entry(group).or_insert(Group { first, largest: object, count: 0 });
        known.first = known.first.min(object);
        known.largest = known.largest.max(object);
        known.count += 1;
        while self.groups.len() > MAX_GROUPS {
            if let Some((_, oldest)) = self.groups.pop_first() {
                self.lost_before += oldest.lost();
            }
        }
    }

    /// What is known `elapsed` after the first moment; `interval` long ago began the interval, which ends here.
    pub(crate) fn report(&mut self, elapsed: Duration, interval: Duration) -> Report {
        let seconds = interval.as_secs_f64().max(1e-9);
        let Counts { objects, bytes, .. } = std::mem::take(&mut self.interval);
        let mut latencies = std::mem::take(&mut self.latencies);
        self.summary(elapsed, objects as f64 / seconds, bytes as f64 * 8.0 / seconds, &mut latencies)
    }

    fn summary(&self, elapsed: Duration, rate: f64, bits: f64, latencies: &mut [f64]) -> Report {
        latencies.sort_by(f64::total_cmp);
        let latency = latencies.last().map(|&largest| {
            let mean = latencies.iter().sum::<f64>() / latencies.len() as f64;
            [mean, latencies[(latencies.len() - 1) * 95 / 100], largest]
        });
        Report {
            elapsed,
            objects: self.total.objects,
            bytes: self.total.bytes,
            objects_per_second: rate,
            bits_per_second: bits,
            latency,
            jitter: self.jitter,
            lost: self.lost_before + self.groups.values().copied().map(Group::lost).sum::<u64>(),
            reordered: self.total.reordered,
        }
    }
}

/// One line for people.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:.1} s: {} objects ({:.1}/s), ",
            self.elapsed.as_secs_f64(),
            self.objects,
            self.objects_per_second
        )?;
        write!(f, "{:.3} MB ({:.3} Mbit/s), ", self.bytes as f64 / 1e6, self.bits_per_second / 1e6)?;
        match self.latency {
            Some([mean, p95, largest]) => {
                write!(f, "latency {mean:.1} ms (p95 {p95:.1}, max {largest:.1}), ")?;
            }
            None => write!(f, "latency unknown, ")?,
        }
        write!(f, "jitter {:.1} ms, lost {}, reordered {}", self.jitter, self.lost, self.reordered)
    }
}

impl Report {
    /// The same for programs.
    pub(crate) fn json(&self) -> Value {
        let [mean, p95, largest] = self.latency.map_or([None; 3], |latency| latency.map(Some));
        json!({
            "type": "stats",
            "elapsed_s": self.elapsed.as_secs_f64(),
            "objects": self.objects,
            "bytes": self.bytes,
            "objects_per_s": self.objects_per_second,
            "bits_per_s": self.bits_per_second,
            "latency_mean_ms": mean,
            "latency_p95_ms": p95,
            "latency_max_ms": largest,
            "jitter_ms": self.jitter,
            "lost": self.lost,
            "reordered": self.reordered,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn millis(at: u64) -> Duration {
        Duration::from_millis(at)
    }

    fn report(objects: &[(u64, u64)]) -> Report {
        let mut stats = Stats::default();
        for (at, &(group, object)) in (0..).zip(objects) {
            stats.object(millis(at * 10), Location::new(group, object), 100, None);
        }
        stats.report(millis(1_000), millis(500))
    }

    #[test]
    fn rates_are_those_of_the_interval_and_counts_those_of_all() {
        let mut stats = Stats::default();
        for object in 0..10 {
            stats.object(millis(object), Location::new(0, object), 125, None);
        }
        assert_eq!(stats.report(millis(1_000), millis(1_000)).bits_per_second, 10_000.0);
        stats.object(millis(1_500), Location::new(0, 10), 125, None);
        let report = stats.report(millis(2_000), millis(1_000));
        assert_eq!((report.objects, report.bytes, report.objects_per_second), (11, 1_375, 1.0));
    }

    #[test]
    fn what_is_missing_within_a_group_is_lost() {
        assert_eq!(report(&[(0, 0), (0, 1), (0, 2)]).lost, 0);
        assert_eq!(report(&[(0, 0), (0, 3)]).lost, 2);
        assert_eq!(report(&[(4, 7), (4, 8)]).lost, 0, "a subscription may begin anywhere in its first group");
        assert_eq!(report(&[(4, 7), (5, 1)]).lost, 1, "later groups begin with object 0");
    }

    #[test]
    fn what_comes_late_is_reordered_and_not_lost() {
        let report = report(&[(0, 0), (0, 2), (0, 1), (1, 0), (0, 3)]);
        assert_eq!((report.lost, report.reordered), (0, 2));
    }

    #[test]
    fn what_was_lost_of_forgotten_groups_stays_counted() {
        let objects: Vec<_> = (0..1_000).flat_map(|group| [(group, 0), (group, 2)]).collect();
        let mut stats = Stats::default();
        for &(group, object) in &objects {
            stats.object(millis(0), Location::new(group, object), 1, None);
        }
        assert_eq!(stats.report(millis(1), millis(1)).lost, 1_000);
        assert_eq!(stats.groups.len(), MAX_GROUPS);
    }

    #[test]
    fn latency_has_mean_percentile_and_largest() {
        let mut stats = Stats::default();
        for object in 0..100 {
            stats.object(millis(object), Location::new(0, object), 1, Some(object as f64));
        }
        assert_eq!(stats.report(millis(1), millis(1)).latency, Some([49.5, 94.0, 99.0]));
        assert_eq!(stats.report(millis(2), millis(1)).latency, None, "each interval has its own");
    }

    #[test]
    fn an_even_pace_has_no_jitter_and_an_uneven_one_has() {
        let jitter = |latencies: &[f64]| {
            let mut stats = Stats::default();
            for (object, latency) in (0..).zip(latencies) {
                stats.object(millis(object * 10), Location::new(0, object), 1, Some(*latency));
            }
            stats.jitter
        };
        assert_eq!(jitter(&[5.0; 100]), 0.0);
        let uneven: Vec<_> = (0..200).map(|number| f64::from(number % 2) * 8.0).collect();
        assert!((7.9..=8.0).contains(&jitter(&uneven)), "{}", jitter(&uneven));
    }
}
