//! What a link does to packets.

use std::time::Duration;

/// What one direction of a link does to packets, in the order in which a packet meets it: queue, rate, loss, delay,
/// jitter, reordering.
///
/// The default does nothing to them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Conditions {
    /// From the moment that a packet has been sent at the rate until it leaves the link.
    pub delay: Duration,
    /// A packet's delay is spread evenly over `delay - jitter ..= delay + jitter`. Order is kept: a packet does not leave
    /// before one that came earlier, so packets closer together than the jitter are later than this on average.
    pub jitter: Duration,
    /// The share of packets that vanish after they took their time at the rate, 0 to 1. 1 is a partition.
    pub loss: f64,
    /// The share of packets that are held back by [`HELD_BACK`](crate::HELD_BACK), so that those behind overtake them,
    /// 0 to 1.
    pub reorder: f64,
    /// Bits of UDP payload a second; `None`: no limit, and so no queue.
    pub rate_bits: Option<u64>,
    /// How many packets may wait for the rate, with the one that is being sent; what comes to a full queue is dropped.
    pub queue_packets: usize,
}

impl Default for Conditions {
    fn default() -> Self {
        Self {
            delay: Duration::ZERO,
            jitter: Duration::ZERO,
            loss: 0.0,
            reorder: 0.0,
            rate_bits: None,
            queue_packets: 1000,
        }
    }
}

impl Conditions {
    /// The same, but nothing comes through.
    #[must_use]
    pub const fn partitioned(self) -> Self {
        Self { loss: 1.0, ..self }
    }

    /// Panics on what cannot be: a test that asks for it would measure something else than it thinks.
    pub(crate) fn check(&self) {
        for (name, share) in [("loss", self.loss), ("reorder", self.reorder)] {
            assert!((0.0..=1.0).contains(&share), "{name} is a share of packets, 0 to 1, not {share}");
        }
        assert!(self.rate_bits != Some(0), "a rate of 0 sends nothing: set loss to 1 instead");
        assert!(self.queue_packets > 0, "a queue of 0 packets takes nothing: set loss to 1 instead");
    }
}
