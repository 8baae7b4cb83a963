//! What can be set.

use std::sync::Arc;
use std::time::Duration;

use moqingbird::track::TrackOptions;

use crate::admission::{Limits, Retry};
use crate::auth::{AllowAll, Authorizer};
use crate::cache::CacheOptions;

/// How a relay behaves.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RelayOptions {
    /// What is kept of each track for subscribers of different pace. Default: 8 MiB at most, and nothing that all of them
    /// have read.
    pub track: TrackOptions,
    /// How many bytes all tracks together keep for subscribers of different pace, what describes objects included. When it is
    /// used up, the tracks that hold more than an equal share lose what is oldest, and the slow subscribers that had not come to
    /// it lose that. Default: 64 MiB.
    pub backlog: usize,
    /// How long a publisher is held back by subscribers none of whom reads. After that it is read on, and they lose
    /// what is no longer kept. Default: 2 s.
    pub stalled_after: Duration,
    /// How many subgroups of one track are sent to one subscriber side by side; further ones wait, and are lost to it
    /// if they are evicted meanwhile. Default: 256.
    pub max_subgroups: usize,
    /// A subscriber that has taken nothing for so long, while the track went on, is too far behind: its subscription is ended.
    /// Default: 10 s.
    pub too_far_behind_after: Duration,
    /// What is kept for those who ask for the past, of all tracks together.
    pub cache: CacheOptions,
    /// How long subscriptions at publishers are kept when the last subscriber of the track has left. Default: 1 s.
    pub linger: Duration,
    /// How long a SUBSCRIBE of a track that nobody publishes waits for its publisher. Default: not at all, it is declined
    /// at once.
    pub hold: Duration,
    /// Who may do what. Default: everybody everything ([`AllowAll`]).
    pub authorizer: Arc<dyn Authorizer>,
    /// How many sessions and namespaces there may be.
    pub limits: Limits,
    /// Whether newcomers have to show that they are at their address.
    pub retry: Retry,
}

impl Default for RelayOptions {
    fn default() -> Self {
        let mut track = TrackOptions::default();
        // The past is in the cache.
        track.keep_read = false;
        Self {
            track,
            backlog: 64 << 20,
            stalled_after: Duration::from_secs(2),
            max_subgroups: 256,
            too_far_behind_after: Duration::from_secs(10),
            cache: CacheOptions::default(),
            linger: Duration::from_secs(1),
            hold: Duration::ZERO,
            authorizer: Arc::new(AllowAll),
            limits: Limits::default(),
            retry: Retry::default(),
        }
    }
}
