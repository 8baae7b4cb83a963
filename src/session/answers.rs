//! Our answers to the peer's requests.

use moqingbird_wire::EncodeError;
use moqingbird_wire::model::{
    ErrorContext, Message, PublishDoneCode, PublishOk, RequestError, RequestErrorCode, RequestId,
    RequestKind, RequestOk, Response, SubscribeOk, SubscriptionFilter, Target, TrackExtensions,
};

use super::requests::{Body, Open, Stage};
use super::{Checked, Event, Instant, Misuse, Session, StreamId};

impl Session {
    /// Grants a request of the peer: one that came as [`Event::Request`], or the number in
    /// [`Event::Update`]`::answer`. The Track Alias of a SUBSCRIBE_OK is chosen here; what the draft must state and
    /// `response` leaves open is filled in, and extensions of the track for which it has no room are left out.
    ///
    /// # Errors
    /// No such request, one that is answered, a response of another kind, or one that the draft cannot say.
    pub fn accept(&mut self, now: Instant, id: RequestId, response: Response) -> Result<(), Misuse> {
        let open = self.unanswered_request(id)?;
        match (&open.body, response) {
            (Body::Sending(_), Response::Subscribe(ok)) => self.accept_subscribe(now, id, ok)?,
            (Body::Receiving(_), Response::Publish(ok)) => self.accept_publish(now, id, ok)?,
            (Body::Serving(_), Response::Fetch(ok)) => self.accept_fetch(id, ok)?,
            (Body::Status, Response::Ok { ok, .. }) => self.accept_status(id, ok)?,
            (Body::Announcement(_) | Body::Prefix(_) | Body::Update { .. }, Response::Ok { mut ok, .. }) => {
                if let Body::Update { target, .. } = &open.body
                    && let Some(Open { body: Body::Sending(sending), .. }) = self.requests.open.get(target)
                {
                    // What may be missing between the old range and the new is found by it (draft-16 §9.11.1).
                    ok.largest = ok.largest.max(sending.largest);
                }
                let response = Response::Ok { kind: Some(open.kind), ok: ok.clone() };
                self.send(open.lane, &Message::Response { target: Target::Id(id), response })?;
                self.set_granted(id);
                if let Some(Open { body: Body::Update { target, update }, .. }) = self.requests.open.get(&id)
                {
                    let (target, update) = (*target, update.clone());
                    self.end(id);
                    self.grant_update(now, target, &update, &ok);
                }
            }
            _ => return Err(Misuse::WrongKind),
        }
        self.send_or_shut(now);
        Ok(())
    }

    /// A TRACK_STATUS leaves nothing behind (draft-14 §9.20, draft-16 §9.19).
    fn accept_status(&mut self, id: RequestId, mut ok: RequestOk) -> Result<(), Misuse> {
        ok.extensions = match self.rules.track_extensions {
            // Where tracks have extensions of their own, REQUEST_OK has no room for them.
            true => TrackExtensions::default(),
            false => self.expressible_extensions(&ok.extensions),
        };
        let response = Response::Ok { kind: Some(RequestKind::TrackStatus), ok };
        self.send(None, &Message::Response { target: Target::Id(id), response })?;
        self.end(id);
        Ok(())
    }

    fn accept_subscribe(&mut self, now: Instant, id: RequestId, mut ok: SubscribeOk) -> Result<(), Misuse> {
        ok.track_alias = self.tracks.new_alias();
        let states_order = self.rules.ok_states_order;
        let Some(sending) = self.requests.sending(id) else { return Err(Misuse::WrongKind) };
        if states_order {
            ok.extensions.group_order = sending.asked_order.unwrap_or(ok.extensions.group_order);
        }
        let said = SubscribeOk { extensions: self.expressible_extensions(&ok.extensions), ..ok.clone() };
        let response = Response::Subscribe(said);
        self.send(None, &Message::Response { target: Target::Id(id), response })?;
        if let Some(sending) = self.requests.sending(id) {
            sending.grant(&ok);
        }
        self.set_granted(id);
        self.set_expiry(now, id, ok.expires);
        if let Some(sending) = self.requests.sending(id) {
            let group = sending.asked_group.take();
            self.group_asked(id, group);
        }
        Ok(self.join_all(id)?)
    }

    fn accept_publish(&mut self, now: Instant, id: RequestId, mut ok: PublishOk) -> Result<(), Misuse> {
        let Some(receiving) = self.requests.receiving(id) else { return Err(Misuse::WrongKind) };
        if self.rules.publish_ok_is_explicit {
            ok.group_order = ok.group_order.or(Some(receiving.group_order));
            ok.filter = ok.filter.or(Some(SubscriptionFilter::LargestObject));
        }
        if ok.new_group_request.is_some() && !receiving.dynamic_groups {
            // draft-16 §9.2.2.9.
            return Err(Misuse::WrongState("the track has no dynamic groups"));
        }
        let (track, alias, over) = (receiving.track.clone(), receiving.alias, receiving.done.is_some());
        let message = Message::Response { target: Target::Id(id), response: Response::Publish(ok.clone()) };
        let encoded = self.encode(&message)?;
        // Our own SUBSCRIBE of the track, which is not answered, gives way (draft-16 §5.1).
        let own = self.requests.of_track(&track).find(|(other, open)| {
            *other != id && matches!(&open.body, Body::Receiving(it) if it.alias.is_none())
        });
        if let Some(own) = own.map(|(own, _)| own) {
            self.withdraw(now, own)?;
            let code = RequestErrorCode::DuplicateSubscription;
            let error = RequestError::new(code, "the publisher's own PUBLISH of the track was accepted");
            self.event(Event::Rejected { id: own, error });
        }
        if let Some(control) = self.lanes.control().filter(|_| !over) {
            self.write_message(control, encoded);
        }
        if let Some(receiving) = self.requests.receiving(id) {
            receiving.grant(&ok);
        }
        self.set_granted(id);
        self.set_expiry(now, id, ok.expires);
        if let Some(alias) = alias {
            self.deliver_held(now, alias, id);
        }
        self.await_late_streams(now, id);
        Ok(())
    }

    /// Declines a request of the peer. A code that the draft does not have there is told as the nearest that it has,
    /// and a time to try again only where there is room for it. To decline an update ends its subscription too.
    ///
    /// # Errors
    /// No such request, or one that is answered.
    pub fn reject(&mut self, now: Instant, id: RequestId, error: RequestError) -> Result<(), Misuse> {
        let open = self.unanswered_request(id)?;
        let (lane, kind) = (open.lane, open.kind);
        let over = matches!(&open.body, Body::Receiving(receiving) if receiving.done.is_some());
        let target = match &open.body {
            Body::Update { target, .. } => Some(*target),
            _ => None,
        };
        if !over {
            self.send_error(lane, id, kind, error)?;
        }
        if let Some(stream) = lane.filter(|_| target.is_none()) {
            self.finish_lane(stream);
        }
        self.forget(now, id)?;
        if let Some(target) = target
            && let Err(violation) = self.end_updated(target)
        {
            self.shut(violation);
        }
        self.send_or_shut(now);
        Ok(())
    }

    fn unanswered_request(&self, id: RequestId) -> Result<&Open, Misuse> {
        let open = self.requests.open.get(&id).ok_or(Misuse::UnknownRequest)?;
        match open.stage {
            Stage::Pending => Ok(open),
            _ if self.requests.is_ours(id) => Err(Misuse::WrongState("the request is our own")),
            _ => Err(Misuse::WrongState("the request is answered")),
        }
    }

    pub(super) fn set_granted(&mut self, id: RequestId) {
        if let Some(open) = self.requests.open.get_mut(&id) {
            open.stage = Stage::Granted;
        }
    }

    /// Declines a request that never enters the table.
    pub(super) fn decline(
        &mut self,
        lane: Option<StreamId>,
        id: RequestId,
        kind: RequestKind,
        code: RequestErrorCode,
        reason: &'static str,
    ) -> Checked {
        self.answer_error(lane, id, kind, code, reason)?;
        if let Some(stream) = lane {
            self.finish_lane(stream);
        }
        self.ended_at_once();
        self.raise_limit()
    }

    pub(super) fn answer_error(
        &mut self,
        lane: Option<StreamId>,
        id: RequestId,
        kind: RequestKind,
        code: RequestErrorCode,
        reason: &'static str,
    ) -> Result<(), EncodeError> {
        self.send_error(lane, id, kind, RequestError::new(code, reason))
    }

    fn send_error(
        &mut self,
        lane: Option<StreamId>,
        id: RequestId,
        kind: RequestKind,
        error: RequestError,
    ) -> Result<(), EncodeError> {
        let error = self.expressible(ErrorContext::Request(kind), error);
        self.send(lane, &Message::RequestError { target: Target::Id(id), kind: Some(kind), error })
    }

    /// An error as the draft can say it there.
    pub(super) fn expressible(&self, context: ErrorContext, error: RequestError) -> RequestError {
        let known = |code: &RequestErrorCode| self.draft.request_code(context, *code).is_some();
        let code = std::iter::once(&error.code).chain(nearest(error.code)).copied().find(known);
        RequestError {
            code: code.unwrap_or(RequestErrorCode::InternalError),
            retry_after: error.retry_after.filter(|_| self.rules.retry_interval),
            reason: error.reason,
        }
    }

    /// Extensions of a track as the draft can say them. Nothing is lost where it has none: priorities are then always
    /// stated, and no subscriber can ask for a new group.
    pub(super) fn expressible_extensions(&self, extensions: &TrackExtensions) -> TrackExtensions {
        if self.rules.track_extensions {
            return extensions.clone();
        }
        let TrackExtensions { delivery_timeout, max_cache_duration, group_order, .. } = *extensions;
        TrackExtensions { delivery_timeout, max_cache_duration, group_order, ..TrackExtensions::default() }
    }

    /// A code of PUBLISH_DONE as the draft can say it.
    pub(super) fn publish_done_code(&self, code: PublishDoneCode) -> PublishDoneCode {
        self.draft.publish_done_code(code).map_or(PublishDoneCode::InternalError, |_| code)
    }
}

/// What comes nearest to a code that a draft does not have where it is needed, the nearest first.
const fn nearest(code: RequestErrorCode) -> &'static [RequestErrorCode] {
    use RequestErrorCode as Code;
    match code {
        Code::DoesNotExist | Code::DuplicateSubscription => &[Code::Uninterested],
        Code::Uninterested => &[Code::DoesNotExist],
        Code::MalformedAuthToken | Code::ExpiredAuthToken => &[Code::Unauthorized],
        Code::NoObjects | Code::InvalidJoiningRequestId => &[Code::InvalidRange],
        Code::InvalidRange => &[Code::NotSupported],
        _ => &[],
    }
}
