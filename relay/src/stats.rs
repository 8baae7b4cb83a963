//! What the relay counts. Objects are counted by their tracks, batch by batch, under the lock that is held anyway.

use std::collections::BTreeMap;

use moqingbird::track::TrackStats;
use moqingbird::wire::model::{FullTrackName, Location};
use moqingbird::{TransportKind, Version};

/// What there is in a relay now, and what there was since it began.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Sessions, by draft and transport.
    pub sessions: BTreeMap<(Version, &'static str), usize>,
    /// Handshakes under way, SETUP included, of those that come by [`Relay::run`](crate::Relay::run).
    pub handshakes: usize,
    /// Announcements (PUBLISH_NAMESPACE).
    pub namespaces: usize,
    /// Tracks that are published or asked for.
    pub tracks: usize,
    /// Subscriptions of peers, whether asked for or taken when offered.
    pub subscriptions: usize,
    /// Bytes of objects that are kept, what describes them included: in the cache, and for subscribers that have not read them.
    pub cache_bytes: usize,
    /// Objects that have come from publishers, since the relay began.
    pub objects_in: u64,
    /// Their payload.
    pub bytes_in: u64,
    /// Objects that went to subscribers, each counted for each.
    pub objects_out: u64,
    /// Their payload.
    pub bytes_out: u64,
    /// How often a subscriber lost the rest of a subgroup because it was too far behind.
    pub too_far_behind: u64,
    /// Newcomers that were not let in.
    pub refusals: Refusals,
    /// Sessions and requests that were refused by the [`Authorizer`](crate::auth::Authorizer).
    pub denials: u64,
}

impl Stats {
    pub(crate) fn of_tracks(mut settled: TrackStats, tracks: impl Iterator<Item = TrackStats>) -> Self {
        let mut cache_bytes = 0;
        for track in tracks {
            cache_bytes += track.kept_bytes;
            add(&mut settled, track);
        }
        Self {
            cache_bytes,
            objects_in: settled.written_objects,
            bytes_in: settled.written_bytes,
            objects_out: settled.read_objects,
            bytes_out: settled.read_bytes,
            too_far_behind: settled.too_far_behind,
            ..Self::default()
        }
    }

    pub(crate) fn count_session(&mut self, version: Version, transport: TransportKind) {
        *self.sessions.entry((version, transport_name(transport))).or_default() += 1;
    }
}

/// What became of objects; not what is kept.
pub(crate) const fn add(sum: &mut TrackStats, track: TrackStats) {
    sum.written_objects += track.written_objects;
    sum.written_bytes += track.written_bytes;
    sum.read_objects += track.read_objects;
    sum.read_bytes += track.read_bytes;
    sum.too_far_behind += track.too_far_behind;
}

const fn transport_name(transport: TransportKind) -> &'static str {
    match transport {
        TransportKind::Quic => "quic",
        TransportKind::WebTransport => "webtransport",
        _ => "memory",
    }
}

/// A track as the relay knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TrackState {
    /// Its name.
    pub name: FullTrackName,
    /// How many publish it: by PUBLISH, or because the relay has subscribed.
    pub publishers: usize,
    /// How many subscribe to it.
    pub subscribers: usize,
    /// Its largest location.
    pub largest: Option<Location>,
    /// What became of its objects.
    pub stats: TrackStats,
}

/// Newcomers that were not let in, by reason, since the relay began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Refusals {
    /// There were as many sessions as there may be.
    pub sessions: u64,
    /// There were as many from this address.
    pub sessions_per_address: u64,
    /// There were as many handshakes under way.
    pub handshakes: u64,
    /// The relay was about to end.
    pub draining: u64,
    /// It had to show where it is (QUIC's Retry). Whoever comes again is let in and counted by nothing else.
    pub retries: u64,
}
