//! Everything that waits for a moment.

use std::collections::{BTreeMap, BTreeSet};

use moqingbird_wire::model::RequestId;

use super::{Instant, StreamId};

/// What becomes due.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Timer {
    /// Both SETUPs.
    Setup,
    /// The peer's answer to our request.
    Answer(RequestId),
    /// A bidirectional stream whose first message is not understood yet, or is held.
    Lane(StreamId),
    /// A data stream of an unknown alias.
    HeldStream(StreamId),
    /// The oldest datagram of an unknown alias.
    HeldDatagrams,
    /// A subscription of which we said when it ends.
    Expiry(RequestId),
    /// Requests that are left after our GOAWAY.
    GoAway,
    /// The streams that PUBLISH_DONE counted.
    LateStreams(RequestId),
    /// The oldest object of a stream of ours that waits for the transport.
    Delivery(StreamId),
}

/// At most one moment for each timer.
#[derive(Debug, Default)]
pub(super) struct Timers {
    queue: BTreeSet<(Instant, Timer)>,
    due: BTreeMap<Timer, Instant>,
}

impl Timers {
    pub(super) fn set(&mut self, timer: Timer, at: Instant) {
        self.clear(timer);
        self.due.insert(timer, at);
        self.queue.insert((at, timer));
    }

    pub(super) fn clear(&mut self, timer: Timer) {
        if let Some(at) = self.due.remove(&timer) {
            self.queue.remove(&(at, timer));
        }
    }

    pub(super) fn len(&self) -> usize {
        self.due.len()
    }

    pub(super) fn next(&self) -> Option<Instant> {
        self.queue.first().map(|(at, _)| *at)
    }

    /// Takes out a timer that is due.
    pub(super) fn expired(&mut self, now: Instant) -> Option<Timer> {
        let (_, timer) = *self.queue.first().filter(|(at, _)| *at <= now)?;
        self.clear(timer);
        Some(timer)
    }
}
