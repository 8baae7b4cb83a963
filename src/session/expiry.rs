//! What ends by the clock: subscriptions that expire (draft-14 §9.8, draft-16 §9.2.2.6), and a peer that does not leave
//! (draft-14 §3.5, draft-16 §3.5).
//!
//! Who states a time carries it out: the publisher by PUBLISH_DONE, the subscriber by UNSUBSCRIBE. What the peer states is
//! advice, and starts no clock here.

use std::time::Duration;

use moqingbird_wire::model::{PublishDoneCode, RequestId, SessionErrorCode};

use super::requests::{Body, Open};
use super::timers::Timer;
use super::{Checked, Event, Instant, Session, Violation};

impl Session {
    /// A subscription that we publish, or took from a PUBLISH, ends after this. Every update of it starts the time anew.
    pub(super) fn set_expiry(&mut self, now: Instant, id: RequestId, after: Option<Duration>) {
        if let Some(after) = after {
            self.timers.set(Timer::Expiry(id), now + after);
        }
    }

    pub(super) fn extend(&mut self, now: Instant, id: RequestId, after: Option<Duration>) {
        let Some(sending) = self.requests.sending(id) else { return };
        sending.expires = after.or(sending.expires);
        let after = sending.expires;
        self.set_expiry(now, id, after);
    }

    pub(super) fn expired(&mut self, now: Instant, id: RequestId) -> Checked {
        match self.requests.open.get(&id).map(|open| &open.body) {
            Some(Body::Sending(sending)) if sending.finishing.is_none() => {
                self.event(Event::Expired { id });
                self.break_off(id, PublishDoneCode::Expired, "the subscription has expired")
            }
            Some(Body::Receiving(receiving)) if receiving.done.is_none() => {
                self.leave(now, id)?;
                self.event(Event::Expired { id });
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Subscriptions and fetches that are left hold up our leaving.
    pub(super) fn goaway_overdue(&self) -> Checked {
        let lingers = |open: &Open| {
            matches!(open.body, Body::Receiving(_) | Body::Sending(_) | Body::Fetching(_) | Body::Serving(_))
        };
        match self.requests.open.values().filter(|open| lingers(open)).count() {
            0 => Ok(()),
            count => {
                let reason =
                    format!("{count} requests are left {:?} after GOAWAY", self.config.goaway_timeout);
                Err(Violation::new(SessionErrorCode::GoAwayTimeout, reason))
            }
        }
    }
}
