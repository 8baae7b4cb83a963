//! How long to wait before trying again.

use std::time::Duration;

/// Waits that double from attempt to attempt. A part of each is random, so that many who lost the same server do not come
/// back at the same moment.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Backoff {
    /// The first wait. Default: 250 ms.
    pub initial: Duration,
    /// The longest wait. Default: 15 s.
    pub max: Duration,
    /// After how many failures in a row to give up. `None`, the default: never.
    pub max_attempts: Option<u32>,
    attempts: u32,
}

impl Default for Backoff {
    fn default() -> Self {
        Self {
            initial: Duration::from_millis(250),
            max: Duration::from_secs(15),
            max_attempts: None,
            attempts: 0,
        }
    }
}

impl Backoff {
    /// These waits, giving up after so many failures in a row.
    #[must_use]
    pub const fn max_attempts(mut self, attempts: u32) -> Self {
        self.max_attempts = Some(attempts);
        self
    }

    /// How often it has failed in a row.
    pub const fn attempts(&self) -> u32 {
        self.attempts
    }

    /// Counts a failure and gives the wait before the next attempt.
    pub fn next_delay(&mut self) -> Duration {
        let doubled = self.initial.saturating_mul(1 << self.attempts.min(16)).min(self.max);
        self.attempts = self.attempts.saturating_add(1);
        // Between half of it and all.
        doubled.mul_f64(0.5 + 0.5 * random_fraction())
    }

    /// Whether it has failed too often.
    pub(crate) fn is_exhausted(&self) -> bool {
        self.max_attempts.is_some_and(|max| self.attempts >= max)
    }

    /// It has worked: the next wait is the shortest again.
    pub const fn reset(&mut self) {
        self.attempts = 0;
    }
}

/// From 0 to 1, by the randomness of the standard library's hash maps.
fn random_fraction() -> f64 {
    use std::hash::{BuildHasher, Hasher, RandomState};
    let random = RandomState::new().build_hasher().finish();
    f64::from(u32::try_from(random >> 32).unwrap_or(0)) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest_and_begin_anew_after_success() {
        let mut backoff = Backoff::default();
        for attempt in 0..40 {
            let whole = Duration::from_millis(250).saturating_mul(1 << attempt.min(16)).min(backoff.max);
            let delay = backoff.next_delay();
            assert!(delay >= whole / 2 && delay <= whole, "{delay:?} of {whole:?}");
        }
        backoff.reset();
        assert!(backoff.next_delay() <= Duration::from_millis(250));
    }

    #[test]
    fn attempts_may_be_limited() {
        let mut backoff = Backoff::default().max_attempts(2);
        assert!(!backoff.is_exhausted());
        backoff.next_delay();
        backoff.next_delay();
        assert!(backoff.is_exhausted());
    }
}
