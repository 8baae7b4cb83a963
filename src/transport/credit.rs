//! How many streams a peer may have open: few at first, and more as it opens some.
//!
//! QUIC's implementation keeps a place for every stream that is permitted, 40 bytes and more, whether it is opened or not.
//! Most peers of a relay never open one: 10,000 places would be 400 KiB for each of them.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use quinn::StreamId;

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
    /// The stream with which the limit grows, by its place among all that were ever opened.
    grows_at: AtomicU64,
}

impl Credit {
    /// A limit that begins at `first` and grows to `most`.
    pub(super) fn new(first: u32, most: u32) -> Self {
        let first = first.min(most);
        Self { most, limit: AtomicU32::new(first), grows_at: AtomicU64::new((first / 2).into()) }
    }

    /// The peer has opened this stream, and with it all before it: one of low priority may have said nothing yet. Gives
    /// the new limit if that is to be raised: it is where half of the old one has been used, however long that took, so
    /// that a peer seldom waits for it. To be called by one task.
    pub(super) fn used(&self, stream: StreamId) -> Option<u32> {
        let limit = self.limit.load(Ordering::Relaxed);
        if limit == self.most || stream.index() < self.grows_at.load(Ordering::Relaxed) {
            return None;
        }
        let raised = limit.saturating_mul(GROWTH).min(self.most);
        self.limit.store(raised, Ordering::Relaxed);
        self.grows_at.store(stream.index() + u64::from(raised / 2), Ordering::Relaxed);
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

    /// The peer has opened this unidirectional stream.
    pub(super) fn used_uni(&self, connection: &quinn::Connection, stream: StreamId) {
        if let Some(limit) = self.uni.used(stream) {
            connection.set_max_concurrent_uni_streams(limit.into());
        }
    }

    /// The peer has opened this bidirectional stream.
    pub(super) fn used_bidi(&self, connection: &quinn::Connection, stream: StreamId) {
        if let Some(limit) = self.bidi.used(stream) {
            connection.set_max_concurrent_bi_streams(limit.into());
        }
    }
}

#[cfg(test)]
mod tests {
    use quinn::{Dir, Side};

    use super::*;

    fn stream(index: u64) -> StreamId {
        StreamId::new(Side::Client, Dir::Uni, index)
    }

    #[test]
    fn a_limit_grows_to_the_most_before_it_is_used_up() {
        let credit = Credit::new(128, 10_000);
        let (mut limit, mut since) = (128, 0);
        let mut limits = Vec::new();
        for index in 0..20_000 {
            since += 1;
            if let Some(raised) = credit.used(stream(index)) {
                assert!(since <= limit / 2 + 1, "{since} of {limit}");
                (limit, since) = (raised, 0);
                limits.push(raised);
            }
        }
        assert_eq!(limits, [512, 2_048, 8_192, 10_000]);
    }

    #[test]
    fn streams_that_have_said_nothing_count() {
        assert_eq!(Credit::new(128, 10_000).used(stream(100)), Some(512));
    }

    #[test]
    fn a_limit_below_the_first_stays() {
        for most in [0, 1, 3, 128] {
            let credit = Credit::new(128, most);
            assert_eq!((0..1_000).find_map(|index| credit.used(stream(index))), None, "{most}");
        }
    }
}
