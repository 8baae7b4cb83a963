//! REQUEST_UPDATE, both ways (draft-14 §9.10 SUBSCRIBE_UPDATE, draft-16 §9.11).
//!
//! Offered for subscriptions. Where a draft answers updates they take effect with the answer; where it does not, they
//! take effect as they come.

use moqingbird_wire::EncodeError;
use moqingbird_wire::model::{
    Location, Message, PublishDoneCode, RequestErrorCode, RequestId, RequestKind, RequestUpdate,
};

use super::requests::{Body, Open, Stage};
use super::tracks::Range;
use super::{Checked, Event, Instant, Misuse, Session, StreamId, Violation, auth};

/// The peer's.
impl Session {
    pub(super) fn update_received(
        &mut self,
        lane: Option<StreamId>,
        id: RequestId,
        target: RequestId,
        update: RequestUpdate,
    ) -> Checked {
        self.admit(id)?;
        auth::check(&update.authorization_tokens)?;
        if !self.requests.existed(target) {
            return Err(Violation::protocol(format!("an update of request {target}, which never was")));
        }
        match self.requests.open.get(&target).map(|open| &open.body) {
            Some(Body::Sending(_)) if self.rules.updates_answered => {
                let body = Body::Update { target, update: Box::new(update.clone()) };
                let open = Open { kind: RequestKind::Update, stage: Stage::Pending, lane, body };
                self.requests.insert(id, open);
                self.event(Event::Update { id: target, update, answer: Some(id) });
                Ok(())
            }
            Some(Body::Sending(_)) => {
                self.apply(target, &update)?;
                self.event(Event::Update { id: target, update, answer: None });
                self.ended_at_once();
                self.raise_limit()
            }
            Some(_) if self.rules.updates_answered => self.decline_update(
                lane,
                id,
                RequestErrorCode::NotSupported,
                "only subscriptions can be updated here",
            ),
            Some(_) => {
                Err(Violation::protocol(format!("an update of request {target}, which is no subscription")))
            }
            // It crossed the end of its subscription.
            None if self.rules.updates_answered => {
                self.decline_update(lane, id, RequestErrorCode::DoesNotExist, "the request has ended")
            }
            None => {
                self.ended_at_once();
                self.raise_limit()
            }
        }
    }

    fn decline_update(
        &mut self,
        lane: Option<StreamId>,
        id: RequestId,
        code: RequestErrorCode,
        reason: &'static str,
    ) -> Checked {
        self.answer_error(lane, id, RequestKind::Update, code, reason)?;
        self.ended_at_once();
        self.raise_limit()
    }

    /// Applies an update that is not answered. It may only narrow the range (draft-14 §9.10).
    fn apply(&mut self, target: RequestId, update: &RequestUpdate) -> Checked {
        let may_widen = self.rules.update_may_widen;
        let Some(sending) = self.requests.sending(target) else { return Ok(()) };
        if let Some(filter) = update.filter {
            let new = Range::new(Some(filter), sending.largest);
            if new.end_group.is_some_and(|end| end < new.start.group) {
                return Err(Violation::protocol("an update whose range ends before it starts"));
            }
            if !may_widen && !sending.state.range.covers(new) {
                return Err(Violation::protocol(format!(
                    "an update of request {target} that widens its range"
                )));
            }
        }
        sending.update(update, None);
        self.range_changed(target);
        Ok(())
    }

    /// We accepted an update of the peer's.
    pub(super) fn grant_update(
        &mut self,
        target: RequestId,
        update: &RequestUpdate,
        largest: Option<Location>,
    ) {
        if let Some(sending) = self.requests.sending(target) {
            sending.update(update, largest);
            self.range_changed(target);
        }
    }

    /// A subscription by which we send wants other objects now, or in another order: streams of groups that it no
    /// longer takes are reset (draft-14 §10.4.3, draft-16 §10.4.3), the others get new places.
    pub(super) fn range_changed(&mut self, id: RequestId) {
        let Some(range) = self.subscription(id).map(|state| state.range) else { return };
        self.reset_streams(id, |sent| !range.has_group(sent.group));
        self.prioritise(id);
    }

    /// A subscription has ended: updates of it that were not answered are declined, since each must be answered.
    pub(super) fn decline_updates(&mut self, target: RequestId) -> Result<(), EncodeError> {
        for id in self.requests.updates_of(target) {
            let Some(&Open { stage: Stage::Pending, lane, .. }) = self.requests.open.get(&id) else {
                continue;
            };
            self.end(id);
            let code = RequestErrorCode::InternalError;
            self.answer_error(lane, id, RequestKind::Update, code, "the subscription has ended")?;
        }
        Ok(())
    }

    /// We declined an update of the peer's: its subscription ends too (draft-16 §9.11).
    pub(super) fn end_updated(&mut self, target: RequestId) -> Checked {
        let code = self.publish_done_code(PublishDoneCode::UpdateFailed);
        let Some(sending) = self.requests.sending(target) else { return Ok(()) };
        sending.finishing.get_or_insert_with(|| (code, "an update was declined".into()));
        self.reset_streams(target, |_| true);
        self.try_finish(target)
    }
}

/// Ours.
impl Session {
    /// Changes a subscription by which we receive: our SUBSCRIBE, or the peer's PUBLISH that we accepted. Gives the number
    /// of the update if the peer will answer it, by [`Event::Accepted`] or [`Event::Rejected`].
    ///
    /// # Errors
    /// The request is no such subscription, or not in a state to be updated; the draft cannot say the update, or does
    /// not let the range be widened; the session takes no new requests.
    pub fn update(
        &mut self,
        now: Instant,
        id: RequestId,
        mut update: RequestUpdate,
    ) -> Result<Option<RequestId>, Misuse> {
        self.check_update(id, &mut update)?;
        let said = update.clone();
        let number = self.enqueue(false, Some(id), |number| Message::RequestUpdate {
            id: number,
            target: id,
            update: said,
        })?;
        if self.rules.updates_answered {
            let body = Body::Update { target: id, update: Box::new(update) };
            let open = Open { kind: RequestKind::Update, stage: Stage::Waiting, lane: None, body };
            self.requests.insert(number, open);
        } else if let Some(receiving) = self.requests.receiving(id) {
            receiving.update(&update);
        }
        self.send_or_shut(now);
        Ok(self.rules.updates_answered.then_some(number))
    }

    /// Whether the draft lets the update be, and what it must say besides.
    fn check_update(&self, id: RequestId, update: &mut RequestUpdate) -> Result<(), Misuse> {
        let open = self.requests.open.get(&id).ok_or(Misuse::UnknownRequest)?;
        let Body::Receiving(receiving) = &open.body else { return Err(Misuse::WrongKind) };
        if !self.rules.updatable.contains(&open.kind) {
            return Err(Misuse::Inexpressible("update of a request of this kind"));
        }
        match open.stage {
            Stage::Pending => return Err(Misuse::WrongState("the PUBLISH is not accepted")),
            Stage::Waiting => return Err(Misuse::WrongState("the SUBSCRIBE has not been sent")),
            Stage::Asked if !self.rules.updates_answered => {
                return Err(Misuse::WrongState("the SUBSCRIBE is not answered"));
            }
            _ if receiving.done.is_some() => return Err(Misuse::WrongState("the subscription has ended")),
            _ => {}
        }
        let current = Range::new(receiving.filter, receiving.largest);
        if let Some(filter) = update.filter
            && !self.rules.update_may_widen
            && !current.covers(Range::new(Some(filter), receiving.largest))
        {
            return Err(Misuse::WrongState("the draft in use does not let an update widen the range"));
        }
        if !self.rules.updates_answered {
            update.filter = Some(update.filter.unwrap_or_else(|| current.as_filter()));
            update.forward = update.forward.or(Some(receiving.forward));
            update.subscriber_priority = update.subscriber_priority.or(Some(receiving.subscriber_priority));
        }
        Ok(())
    }

    /// The peer accepted an update of ours.
    pub(super) fn update_granted(&mut self, id: RequestId) {
        let Some(Open { body: Body::Update { target, update }, .. }) = self.end(id) else { return };
        if let Some(receiving) = self.requests.receiving(target) {
            receiving.update(&update);
        }
    }
}
