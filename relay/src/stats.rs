//! What the relay counts.

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
