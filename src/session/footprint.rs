//! How much a session holds: what tests compare with the limits of [`Config`](super::Config).

use super::Session;

/// How much a session holds.
#[doc(hidden)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Footprint {
    /// Requests of the peer that have not ended.
    pub their_requests: usize,
    /// Requests of ours that have not ended.
    pub our_requests: usize,
    /// Requests of ours that wait for permission.
    pub waiting: usize,
    /// Bidirectional streams.
    pub lanes: usize,
    /// Data streams that are held, and the memory that they keep.
    pub held_streams: usize,
    pub held_bytes: usize,
    /// Datagrams that are held, and their bytes.
    pub held_datagrams: usize,
    pub held_datagram_bytes: usize,
    /// Namespaces of which the peer has told.
    pub namespaces: usize,
    /// The peer's data streams that were delivered and have not ended.
    pub delivered: usize,
    /// Our data streams that have not settled.
    pub sent: usize,
    /// Tracks of which something is remembered.
    pub tracks: usize,
    /// Deadlines.
    pub timers: usize,
    /// Bytes of the peer's tokens, with what each costs besides.
    pub token_bytes: u64,
}

impl Session {
    /// How much the session holds now.
    #[doc(hidden)]
    pub fn footprint(&self) -> Footprint {
        let ours = self.requests.open.keys().filter(|id| self.requests.is_ours(**id)).count();
        Footprint {
            their_requests: self.requests.open.len() - ours,
            our_requests: ours,
            waiting: self.requests.waiting.len(),
            lanes: self.lanes.len(),
            held_streams: self.held.streams(),
            held_bytes: self.held.pinned(),
            held_datagrams: self.held.datagrams(),
            held_datagram_bytes: self.held.datagram_bytes(),
            namespaces: self.namespaces_known(),
            delivered: self.tracks.delivered.len(),
            sent: self.tracks.sent.len(),
            tracks: self.tracks.facts.len(),
            timers: self.timers.len(),
            token_bytes: self.their_tokens.bytes(),
        }
    }
}
