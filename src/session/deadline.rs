//! Objects that are late (DELIVERY TIMEOUT; draft-14 §9.2.1.2, draft-16 §9.2.2.2).
//!
//! ```text
//! Flowing ── DataWaits ──▶ Waiting ── DELIVERY TIMEOUT later ──▶ reset with DELIVERY_TIMEOUT
//!    ▲─────── DataTaken ─────┘
//! ```
//!
//! Whoever writes says when objects begin to wait for the transport, and when none do any more: nothing is said of a stream
//! whose peer keeps up, so that an object costs nothing here. A stream that was finished waits for its acknowledgement.

use std::time::Duration;

use moqingbird_wire::model::{RequestId, ResetCode};

use super::timers::Timer;
use super::{Instant, Output, Session, StreamId};

impl Session {
    /// Objects of a stream of ours wait for the transport. They have since the first time that this is told.
    pub(super) fn data_waits(&mut self, now: Instant, stream: StreamId) {
        let Some(&id) = self.tracks.sent.get(stream) else { return };
        let Some(sending) = self.requests.sending(id) else { return };
        let timeout = sending.state.delivery_timeout;
        let Some(sent) = sending.streams.get_mut(stream) else { return };
        let since = *sent.waits_since.get_or_insert(now);
        self.set_deadline(stream, since, timeout);
    }

    /// None do any more.
    pub(super) fn data_taken(&mut self, stream: StreamId) {
        self.timers.clear(Timer::Delivery(stream));
        if let Some(&id) = self.tracks.sent.get(stream)
            && let Some(sent) = self.requests.sending(id).and_then(|it| it.streams.get_mut(stream))
        {
            sent.waits_since = None;
        }
    }

    /// A subscription has another delivery timeout: what waits already has another deadline.
    pub(super) fn renew_deadlines(&mut self, id: RequestId) {
        let Some(sending) = self.requests.sending(id) else { return };
        let timeout = sending.state.delivery_timeout;
        let waiting: Vec<_> =
            sending.streams.iter().filter_map(|(stream, sent)| Some((stream, sent.waits_since?))).collect();
        for (stream, since) in waiting {
            self.set_deadline(stream, since, timeout);
        }
    }

    fn set_deadline(&mut self, stream: StreamId, since: Instant, timeout: Option<Duration>) {
        match timeout {
            Some(timeout) => self.timers.set(Timer::Delivery(stream), since + timeout),
            None => self.timers.clear(Timer::Delivery(stream)),
        }
    }

    /// An object has waited too long: its stream is reset (draft-14 §10.4.3, draft-16 §10.4.3).
    pub(super) fn delivery_overdue(&mut self, stream: StreamId) {
        let code = self.reset_number(ResetCode::DeliveryTimeout);
        self.outputs.push_back(Output::Reset { stream, code });
    }
}
