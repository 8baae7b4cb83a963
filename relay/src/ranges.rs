//! Sets of numbers that come in runs.

use std::collections::BTreeMap;

/// A set of numbers, kept as runs: the first of each, and its last.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ranges {
    runs: BTreeMap<u64, u64>,
}

impl Ranges {
    /// Adds every number from `first` to `last`, both included.
    pub(crate) fn insert(&mut self, mut first: u64, mut last: u64) {
        if first > last {
            return;
        }
        // The usual case: behind the last run.
        if let Some(mut run) = self.runs.last_entry()
            && first <= run.get().saturating_add(1)
            && first >= *run.key()
        {
            let end = (*run.get()).max(last);
            run.insert(end);
            return;
        }
        let touching = self.runs.range(..=last.saturating_add(1)).rev();
        let touching: Vec<_> = touching
            .take_while(|(_, end)| end.saturating_add(1) >= first)
            .map(|(start, end)| (*start, *end))
            .collect();
        for (start, end) in touching {
            self.runs.remove(&start);
            (first, last) = (first.min(start), last.max(end));
        }
        self.runs.insert(first, last);
    }

    /// Takes out every number from `first` to `last`, both included.
    pub(crate) fn remove(&mut self, first: u64, last: u64) {
        let touched: Vec<_> = self
            .runs
            .range(..=last)
            .rev()
            .take_while(|(_, end)| **end >= first)
            .map(|(start, end)| (*start, *end))
            .collect();
        for (start, end) in touched {
            self.runs.remove(&start);
            if start < first {
                self.runs.insert(start, first - 1);
            }
            if end > last {
                self.runs.insert(last + 1, end);
            }
        }
    }

    /// The run that holds a number.
    pub(crate) fn run(&self, number: u64) -> Option<(u64, u64)> {
        let (&start, &end) = self.runs.range(..=number).next_back()?;
        (end >= number).then_some((start, end))
    }

    pub(crate) fn contains(&self, number: u64) -> bool {
        self.run(number).is_some()
    }

    /// The smallest number of the set that is at least `number`.
    pub(crate) fn next(&self, number: u64) -> Option<u64> {
        match self.contains(number) {
            true => Some(number),
            false => self.runs.range(number..).next().map(|(start, _)| *start),
        }
    }

    /// The largest number of the set that is at most `number`.
    pub(crate) fn previous(&self, number: u64) -> Option<u64> {
        self.runs.range(..=number).next_back().map(|(_, end)| (*end).min(number))
    }

    /// The largest number of the set.
    pub(crate) fn last(&self) -> Option<u64> {
        self.runs.last_key_value().map(|(_, last)| *last)
    }

    /// How many runs there are.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.runs.len()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn runs_that_touch_are_one() {
        let mut ranges = Ranges::default();
        ranges.insert(5, 5);
        ranges.insert(1, 2);
        ranges.insert(8, u64::MAX);
        assert_eq!(ranges.len(), 3);
        ranges.insert(3, 4);
        ranges.insert(6, 7);
        assert_eq!(ranges.run(3), Some((1, u64::MAX)));
        ranges.remove(0, 0);
        ranges.remove(4, u64::MAX);
        assert_eq!((ranges.run(1), ranges.run(4)), (Some((1, 3)), None));
    }

    #[test]
    fn random_runs_are_the_set_of_their_numbers() {
        let mut seed = 7_u64;
        let mut random = move |limit: u64| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (seed >> 33) % limit
        };
        let (mut ranges, mut model) = (Ranges::default(), BTreeSet::new());
        for _ in 0..2_000 {
            let first = random(60);
            let last = first + random(6);
            if random(3) > 0 {
                ranges.insert(first, last);
                model.extend(first..=last);
            } else {
                ranges.remove(first, last);
                model.retain(|it| !(first..=last).contains(it));
            }
            let at = random(70);
            assert_eq!(ranges.contains(at), model.contains(&at));
            assert_eq!(ranges.next(at), model.range(at..).next().copied());
            assert_eq!(ranges.previous(at), model.range(..=at).next_back().copied());
        }
    }
}
