//! How many streams a peer may have open: few at first, and more as it opens some.
//!
//! QUIC's implementation keeps a place for every stream that is permitted, 40 bytes and more, whether it is opened or not.
//! Most peers of a relay never open one: 10,000 places would be 400 KiB for each of them.

use std::sync::atomic::{AtomicU32, Ordering};

use super::config::{BIDI_STREAMS, Limits};

/// How many unidirectional streams a peer may open before any of them has come.
pub(super) const FIRST_UNI_STREAMS: u32 = 128;
/// How many bidirectional ones.
pub(super) const FIRST_BIDI_STREAMS: u32 = 32;

/// By how much the limit grows.
const GROWTH: u32 = 4;

/// The limit of one kind of streams.
#[derive(Debug)]
pub(super) struct Credit {
    most: u32,
    limit: AtomicU32,
    /// How many streams are yet to come before the limit grows.
    left: AtomicU32,
}

impl Credit {
    /// A limit that begins at `first` and grows to `most`.
    pub(super) fn new(first: u32, most: u32) -> Self {
        let first = first.min(most);
        Self { most, limit: AtomicU32::new(first), left: AtomicU32::new(first.div_ceil(2)) }
    }

    /// The peer has opened a stream. Gives the new limit if that is to be raised: it is where half of the old one has
    /// been used, however long that took, so that a peer seldom waits for it. To be called by one task.
    pub(super) fn used(&self) -> Option<u32> {
        let limit = self.limit.load(Ordering::Relaxed);
        if limit == self.most || self.left.fetch_sub(1, Ordering::Relaxed) > 1 {
            return None;
        }
        let raised = limit.saturating_mul(GROWTH).min(self.most);
        self.limit.store(raised, Ordering::Relaxed);
        self.left.store(raised / 2, Ordering::Relaxed);
        Some(raised)
    }
}

/// The limits of both kinds.
#[derive(Debug)]
pub(super) struct Credits {
    uni: Credit,
    bidi: Credit,
}

impl Credits {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            uni: Credit::new(FIRST_UNI_STREAMS, limits.max_streams),
            bidi: Credit::new(FIRST_BIDI_STREAMS, BIDI_STREAMS),
        }
    }

    /// The peer has opened a unidirectional stream.
    pub(super) fn used_uni(&self, connection: &quinn::Connection) {
        if let Some(limit) = self.uni.used() {
            connection.set_max_concurrent_uni_streams(limit.into());
        }
    }

    /// The peer has opened a bidirectional stream.
    pub(super) fn used_bidi(&self, connection: &quinn::Connection) {
        if let Some(limit) = self.bidi.used() {
            connection.set_max_concurrent_bi_streams(limit.into());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_grows_to_the_most_before_it_is_used_up() {
        let credit = Credit::new(128, 10_000);
        let (mut limit, mut since) = (128, 0);
        let mut limits = Vec::new();
        for _ in 0..20_000 {
            since += 1;
            if let Some(raised) = credit.used() {
                assert!(since <= limit / 2, "{since} of {limit}");
                (limit, since) = (raised, 0);
                limits.push(raised);
            }
        }
        assert_eq!(limits, [512, 2_048, 8_192, 10_000]);
    }

    #[test]
    fn a_limit_below_the_first_stays() {
        for most in [0, 1, 3, 128] {
            let credit = Credit::new(128, most);
            assert_eq!((0..1_000).find_map(|_| credit.used()), None, "{most}");
        }
    }
}
