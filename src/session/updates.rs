//! REQUEST_UPDATE, both ways (draft-14 §9.10 SUBSCRIBE_UPDATE, draft-16 §9.11).
//!
//! Where a draft answers updates they take effect with the answer; where it does not, they take effect as they come.

use moqingbird_wire::EncodeError;
use moqingbird_wire::model::{
    Message, PublishDoneCode, RequestErrorCode, RequestId, RequestKind, RequestOk, RequestUpdate, Response,
    Target,
};

use super::fetches::Arrival;
use super::requests::{Body, Open, Stage};
use super::tracks::Range;
use super::{Checked, Event, Instant, Misuse, Output, Session, StreamId, Violation};

/// The peer's.
impl Session {
    pub(super) fn update_received(
        &mut self,
        now: Instant,
        lane: Option<StreamId>,
        id: RequestId,
        target: RequestId,
        mut update: RequestUpdate,
    ) -> Checked {
        self.admit(id)?;
        self.their_tokens.resolve(&mut update.authorization_tokens)?;
        if !self.requests.existed(target) {
            return Err(Violation::protocol(format!("an update of request {target}, which never was")));
        }
        let Some(open) = self.requests.open.get(&target) else {
            return self.late_update(lane, id);
        };
        let theirs = !self.requests.is_ours(target);
        let subscription = matches!(open.body, Body::Sending(_));
        if !self.rules.updatable.contains(&open.kind) || !(theirs || subscription) {
            return self.odd_update(lane, id, target);
        }
        let excess = excess(&open.body, &update);
        match self.rules.updates_answered {
            // draft-16 §9.11.
            true if excess.is_some() => {
                let (kind, field) = (open.kind, excess.unwrap_or_default());
                Err(Violation::protocol(format!("an update of {kind} {target} with {field}")))
            }
            true => self.update_pending(lane, id, target, update),
            false if !subscription => self.odd_update(lane, id, target),
            false => {
                self.apply(now, target, &update)?;
                self.event(Event::Update { id: target, update, answer: None });
                self.ended_at_once();
                self.raise_limit()
            }
        }
    }

    /// Puts an update before the application.
    fn update_pending(
        &mut self,
        lane: Option<StreamId>,
        id: RequestId,
        target: RequestId,
        update: RequestUpdate,
    ) -> Checked {
        if let Some(serving) = self.serving(target).filter(|serving| serving.is_joining()) {
            // The application does not know of the FETCH yet: it will be told what it has become.
            serving.update(&update);
            let response = Response::Ok { kind: Some(RequestKind::Update), ok: RequestOk::default() };
            self.send(lane, &Message::Response { target: Target::Id(id), response })?;
            self.ended_at_once();
            return self.raise_limit();
        }
        let body = Body::Update { target, update: Box::new(update.clone()) };
        let open = Open { kind: RequestKind::Update, stage: Stage::Pending, lane, body };
        self.requests.insert(id, open);
        self.event(Event::Update { id: target, update, answer: Some(id) });
        Ok(())
    }

    /// An update that crossed the end of its request.
    fn late_update(&mut self, lane: Option<StreamId>, id: RequestId) -> Checked {
        if self.rules.updates_answered {
            let code = RequestErrorCode::DoesNotExist;
            return self.decline_update(lane, id, code, "the request has ended");
        }
        self.ended_at_once();
        self.raise_limit()
    }

    /// An update of what cannot be updated.
    fn odd_update(&mut self, lane: Option<StreamId>, id: RequestId, target: RequestId) -> Checked {
        if self.rules.updates_answered {
            let code = RequestErrorCode::NotSupported;
            return self.decline_update(lane, id, code, "the request cannot be updated");
        }
        Err(Violation::protocol(format!("an update of request {target}, which is no subscription")))
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
    fn apply(&mut self, now: Instant, target: RequestId, update: &RequestUpdate) -> Checked {
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
        self.extend(now, target, None);
        Ok(())
    }

    /// We accepted an update of the peer's.
    pub(super) fn grant_update(
        &mut self,
        now: Instant,
        target: RequestId,
        update: &RequestUpdate,
        ok: &RequestOk,
    ) {
        if let Some(sending) = self.requests.sending(target) {
            sending.update(update, ok.largest);
            self.range_changed(target);
            self.extend(now, target, ok.expires);
            self.group_asked(target, update.new_group_request);
        }
        if let Some(serving) = self.serving(target) {
            serving.update(update);
            let (arrival, order) = (serving.stream, serving.order());
            if let Arrival::Open(stream) = arrival {
                self.outputs.push_back(Output::Priority { stream, order });
            }
        }
    }

    /// A subscription by which we send wants other objects now, or in another order: streams of groups that it no
    /// longer takes are reset (draft-14 §10.4.3, draft-16 §10.4.3), the others get new places.
    pub(super) fn range_changed(&mut self, id: RequestId) {
        let Some(range) = self.subscription(id).map(|state| state.range) else { return };
        self.reset_streams(id, |sent| !range.has_group(sent.group));
        self.renew_deadlines(id);
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
        self.break_off(target, PublishDoneCode::UpdateFailed, "an update was declined")
    }

    /// Ends a subscription by which we send, with streams in mid-air.
    pub(super) fn break_off(
        &mut self,
        id: RequestId,
        code: PublishDoneCode,
        reason: &'static str,
    ) -> Checked {
        let code = self.publish_done_code(code);
        let Some(sending) = self.requests.sending(id) else { return Ok(()) };
        sending.finishing.get_or_insert_with(|| (code, reason.into()));
        self.reset_streams(id, |_| true);
        self.try_finish(id)
    }

    /// The subscriber asks for a new group.
    pub(super) fn group_asked(&mut self, id: RequestId, group: Option<u64>) {
        if self.requests.sending(id).is_some_and(|sending| sending.wants_group(group)) {
            self.event(Event::NewGroupRequest { id, group_id: group.unwrap_or_default() });
        }
    }
}

/// Ours.
impl Session {
    /// Changes a request of ours, or a subscription that the peer's PUBLISH made and we accepted. Gives the number of the
    /// update if the peer will answer it, by [`Event::Accepted`] or [`Event::Rejected`]. Of a FETCH the priority can be
    /// changed, of what is no subscription else the tokens only.
    ///
    /// # Errors
    /// The request is of a kind that the draft does not let be updated, or not in a state to be; what the update says
    /// does not belong to its kind; the draft cannot say it, or does not let the range be widened; the session takes no
    /// new requests.
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
        let receives = matches!(open.body, Body::Receiving(_));
        if !(self.requests.is_ours(id) || receives) || matches!(open.body, Body::Status | Body::Update { .. })
        {
            return Err(Misuse::WrongKind);
        }
        if !self.rules.updatable.contains(&open.kind) || !(self.rules.updates_answered || receives) {
            return Err(Misuse::Inexpressible("update of a request of this kind"));
        }
        match open.stage {
            Stage::Pending => return Err(Misuse::WrongState("the PUBLISH is not accepted")),
            Stage::Waiting => return Err(Misuse::WrongState("the request has not been sent")),
            Stage::Asked if !self.rules.updates_answered => {
                return Err(Misuse::WrongState("the SUBSCRIBE is not answered"));
            }
            _ => {}
        }
        if let Some(field) = excess(&open.body, update) {
            return Err(Misuse::Inexpressible(field));
        }
        let Body::Receiving(receiving) = &open.body else { return Ok(()) };
        if receiving.done.is_some() {
            return Err(Misuse::WrongState("the subscription has ended"));
        }
        if update.new_group_request.is_some() && !receiving.dynamic_groups {
            // draft-16 §9.2.2.9.
            return Err(Misuse::WrongState("the track has no dynamic groups"));
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

/// What an update states that does not belong to the kind of request that it is for (draft-16 §9.2.2).
fn excess(body: &Body, update: &RequestUpdate) -> Option<&'static str> {
    let RequestUpdate { filter, subscriber_priority, forward, delivery_timeout, new_group_request, .. } =
        update;
    let of_fetch = matches!(body, Body::Fetching(_) | Body::Serving(_));
    if matches!(body, Body::Receiving(_) | Body::Sending(_)) {
        return None;
    }
    let stated = [
        (filter.is_some(), "SUBSCRIPTION_FILTER"),
        (subscriber_priority.is_some() && !of_fetch, "SUBSCRIBER_PRIORITY"),
        (forward.is_some(), "FORWARD"),
        (delivery_timeout.is_some(), "DELIVERY_TIMEOUT"),
        (new_group_request.is_some(), "NEW_GROUP_REQUEST"),
    ];
    stated.iter().find(|(stated, _)| *stated).map(|(_, field)| *field)
}
