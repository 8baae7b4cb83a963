//! Faults that are planted on purpose, so that a test of the tests can show that the simulation finds them (`tests/sim`).
//!
//! Only the feature `planted`, which only tests enable, can switch one on; without it [`is`] is `false` and nothing of this
//! is compiled.

#[cfg(feature = "planted")]
use std::cell::Cell;

/// A fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The first stream that was held for a Track Alias is forgotten when the alias becomes known.
    Hold,
    /// A stream goes to the session's first subscription instead of its own.
    HandOver,
    /// PUBLISH_DONE does not count the last stream.
    Count,
    /// Nothing ends a subscription whose counted streams never come.
    Deadline,
    /// Extension headers are passed from draft to draft as they are spelled.
    Transcoding,
}

impl Fault {
    /// Every fault.
    pub const ALL: [Self; 5] = [Self::Hold, Self::HandOver, Self::Count, Self::Deadline, Self::Transcoding];
}

#[cfg(feature = "planted")]
thread_local! {
    static PLANTED: Cell<Option<Fault>> = const { Cell::new(None) };
}

/// Plants a fault for this thread, instead of the one before.
#[cfg(feature = "planted")]
pub fn plant(fault: Option<Fault>) {
    PLANTED.set(fault);
}

/// Whether this fault is planted.
#[cfg(feature = "planted")]
#[must_use]
pub fn is(fault: Fault) -> bool {
    PLANTED.get() == Some(fault)
}

/// Whether this fault is planted: never.
#[cfg(not(feature = "planted"))]
#[must_use]
#[inline(always)]
pub const fn is(_: Fault) -> bool {
    false
}
