//! What a subscriber saw: counts, latencies, throughput over time.

use std::collections::HashMap;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use crate::stamp;

/// How long one point of the throughput over time stands for, in nanoseconds.
pub(crate) const SLICE: u64 = 100_000_000;
/// More of them are not kept: an hour.
const MAX_SLICES: usize = 36_000;
/// The longest latency that is told apart: a minute.
const MAX_LATENCY: u64 = 60_000_000_000;

/// A sequence of objects that is sent side by side with others: a track's datagrams, or a track's n-th subgroups.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Lane {
    /// The subscription that it belongs to.
    pub(crate) subscription: u32,
    /// Which of the subscription's lanes it is.
    pub(crate) index: u64,
}

/// Objects of one lane that arrived together, in ascending order.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    first: u64,
    last: u64,
    objects: u64,
    bytes: u64,
    stamps: Vec<u64>,
}

impl Batch {
    pub(crate) const fn is_empty(&self) -> bool {
        self.objects == 0
    }

    /// An object begins: the `sequence`-th of its lane.
    pub(crate) fn object(&mut self, sequence: u64, length: u64) {
        if self.objects == 0 {
            self.first = sequence;
        }
        self.last = sequence;
        self.objects += 1;
        self.bytes += length;
    }

    /// When an object of the batch was sent.
    pub(crate) fn sent_at(&mut self, stamp: u64) {
        self.stamps.push(stamp);
    }
}

/// Everything that the subscriptions of one process saw.
#[derive(Debug)]
pub(crate) struct Tally {
    lanes: HashMap<Lane, Seen>,
    objects: u64,
    bytes: u64,
    reordered: u64,
    latency: Histogram<u64>,
    jitter: f64,
    previous: Option<u64>,
    first: Option<u64>,
    last: u64,
    slices: Vec<u64>,
}

#[derive(Clone, Copy, Debug)]
struct Seen {
    first: u64,
    last: u64,
    objects: u64,
}

impl Tally {
    pub(crate) fn new() -> Self {
        Self {
            lanes: HashMap::new(),
            objects: 0,
            bytes: 0,
            reordered: 0,
            latency: histogram(),
            jitter: 0.0,
            previous: None,
            first: None,
            last: 0,
            slices: Vec::new(),
        }
    }

    /// Takes in a batch that has arrived now, and leaves it empty.
    pub(crate) fn take(&mut self, lane: Lane, batch: &mut Batch) {
        if batch.is_empty() {
            return;
        }
        let now = stamp::now();
        let start = *self.first.get_or_insert(now);
        self.last = now;
        self.objects += batch.objects;
        self.bytes += batch.bytes;
        let slice = usize::try_from(now.saturating_sub(start) / SLICE).unwrap_or(MAX_SLICES);
        if slice < MAX_SLICES {
            self.slices.resize(self.slices.len().max(slice + 1), 0);
            self.slices[slice] += batch.bytes;
        }
        let seen = self.lanes.entry(lane).or_insert(Seen { first: batch.first, last: 0, objects: 0 });
        if seen.objects > 0 && batch.first < seen.last {
            self.reordered += (batch.last.min(seen.last) - batch.first + 1).min(batch.objects);
        }
        seen.first = seen.first.min(batch.first);
        seen.last = seen.last.max(batch.last);
        seen.objects += batch.objects;
        for sent in batch.stamps.drain(..) {
            self.latency(now.saturating_sub(sent));
        }
        batch.objects = 0;
        batch.bytes = 0;
    }

    /// Interarrival jitter is that of RFC 3550 §6.4.1: a sixteenth of each change.
    fn latency(&mut self, latency: u64) {
        self.latency.saturating_record(latency.max(1));
        let change = latency.abs_diff(self.previous.replace(latency).unwrap_or(latency));
        self.jitter += (change as f64 - self.jitter) / 16.0;
    }

    /// The figures, to be sent to another process or made a report.
    pub(crate) fn seen(&self) -> Seens {
        let expected = |seen: &Seen| (seen.last - seen.first + 1).saturating_sub(seen.objects);
        Seens {
            objects: self.objects,
            bytes: self.bytes,
            gaps: self.lanes.values().map(expected).sum(),
            reordered: self.reordered,
            jitter: self.jitter,
            first: self.first,
            last: self.last,
            latency: self
                .latency
                .iter_recorded()
                .map(|it| (it.value_iterated_to(), it.count_at_value()))
                .collect(),
            slices: self.slices.clone(),
        }
    }
}

/// What was seen, in plain figures. Times in nanoseconds since 1970, latencies in nanoseconds.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Seens {
    pub(crate) objects: u64,
    pub(crate) bytes: u64,
    /// Objects missing between the first and the last of their lane.
    pub(crate) gaps: u64,
    pub(crate) reordered: u64,
    pub(crate) jitter: f64,
    pub(crate) first: Option<u64>,
    pub(crate) last: u64,
    /// Pairs of latency and how many objects had it.
    pub(crate) latency: Vec<(u64, u64)>,
    /// Bytes of each [`SLICE`] from `first` on.
    pub(crate) slices: Vec<u64>,
}

impl Seens {
    /// What two processes saw together.
    pub(crate) fn merge(&mut self, other: &Self) {
        let jitters = self.jitter * self.objects as f64 + other.jitter * other.objects as f64;
        self.objects += other.objects;
        self.jitter = if self.objects == 0 { 0.0 } else { jitters / self.objects as f64 };
        self.bytes += other.bytes;
        self.gaps += other.gaps;
        self.reordered += other.reordered;
        self.latency.extend(&other.latency);
        let Some(theirs) = other.first else { return };
        let ours = self.first.unwrap_or(theirs);
        let start = ours.min(theirs);
        self.slices = added(shifted(&self.slices, ours - start), &shifted(&other.slices, theirs - start));
        self.first = Some(start);
        self.last = self.last.max(other.last);
    }

    pub(crate) fn histogram(&self) -> Histogram<u64> {
        let mut histogram = histogram();
        for (value, count) in &self.latency {
            histogram.saturating_record_n(*value, *count);
        }
        histogram
    }

    /// From the first object to the last, in seconds.
    pub(crate) fn seconds(&self) -> f64 {
        self.first.map_or(0.0, |first| self.last.saturating_sub(first) as f64 / 1e9)
    }
}

fn shifted(slices: &[u64], by: u64) -> Vec<u64> {
    let slot = usize::try_from(by / SLICE).unwrap_or(MAX_SLICES).min(MAX_SLICES);
    let mut shifted = vec![0; slot];
    shifted.extend_from_slice(slices);
    shifted
}

fn added(mut a: Vec<u64>, b: &[u64]) -> Vec<u64> {
    a.resize(a.len().max(b.len()), 0);
    a.iter_mut().zip(b).for_each(|(a, b)| *a += b);
    a
}

/// Three significant digits, up to [`MAX_LATENCY`].
fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, MAX_LATENCY, 3).unwrap_or_else(|_| unreachable!("the bounds are in order"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LANE: Lane = Lane { subscription: 0, index: 0 };

    fn batch(sequences: std::ops::Range<u64>) -> Batch {
        let mut batch = Batch::default();
        sequences.for_each(|sequence| batch.object(sequence, 10));
        batch
    }

    #[test]
    fn objects_missing_within_a_lane_are_gaps_and_late_ones_are_reordered() {
        let mut tally = Tally::new();
        tally.take(LANE, &mut batch(5..10));
        tally.take(LANE, &mut batch(12..14));
        assert_eq!((tally.seen().gaps, tally.seen().reordered), (2, 0));
        tally.take(LANE, &mut batch(10..11));
        let seen = tally.seen();
        assert_eq!((seen.objects, seen.bytes, seen.gaps, seen.reordered), (8, 80, 1, 1));
    }

    #[test]
    fn lanes_are_counted_apart() {
        let mut tally = Tally::new();
        tally.take(LANE, &mut batch(0..5));
        tally.take(Lane { index: 1, ..LANE }, &mut batch(100..105));
        assert_eq!((tally.seen().gaps, tally.seen().reordered), (0, 0));
    }

    #[test]
    fn what_two_processes_saw_adds_up_in_time() {
        let seens = |first, slices: &[u64]| Seens {
            objects: 1,
            first: Some(first),
            last: first + 1,
            latency: vec![(first, 1)],
            slices: slices.to_vec(),
            ..Seens::default()
        };
        let mut merged = seens(3 * SLICE, &[7]);
        merged.merge(&seens(SLICE, &[1, 2, 3, 4]));
        assert_eq!(merged.slices, [1, 2, 10, 4]);
        assert_eq!((merged.first, merged.last, merged.objects), (Some(SLICE), 3 * SLICE + 1, 2));
        assert_eq!(merged.histogram().len(), 2);
    }
}
