//! What the peer says on the control stream.

use moqingbird_wire::model::{
    GoAway, Message, Publish, PublishDone, Request, RequestError, RequestErrorCode, RequestId, RequestKind,
    SessionErrorCode, Subscribe, SubscriptionFilter,
};

use super::requests::{Body, Open, Stage};
use super::tracks::{Receiving, Sending};
use super::{Checked, Event, Instant, Session, Side, StreamId, Violation, auth};

impl Session {
    pub(super) fn control_message(&mut self, now: Instant, message: Message) -> Checked {
        match message {
            Message::ClientSetup(_) | Message::ServerSetup(_) => Err(Violation::protocol("a second SETUP")),
            Message::GoAway(goaway) => self.goaway_received(goaway),
            Message::MaxRequestId(limit) => self.limit_raised(now, limit),
            // The limit grows as requests end, asked or not (draft-14 §9.6, draft-16 §9.6).
            Message::RequestsBlocked(_) => Ok(()),
            Message::Request { request, .. } if self.needs_own_stream(request.kind()) => {
                Err(Violation::protocol(format!("{} on the control stream", request.kind())))
            }
            Message::Request { id, request } => self.request_received(now, None, id, request),
            Message::RequestUpdate { id, target, update } => {
                self.update_received(now, None, id, target, update)
            }
            Message::Response { target, response } => self.answered(now, None, &target, response),
            Message::RequestError { target, kind, error } => self.declined(now, None, &target, kind, error),
            Message::Unsubscribe(id) => self.unsubscribed(id),
            Message::FetchCancel(id) => self.fetch_cancelled(id),
            Message::PublishDone { target, done } => self.publish_done_received(now, target, done),
            Message::PublishNamespaceDone(target) => self.announcement_withdrawn(&target),
            Message::PublishNamespaceCancel { target, error } => self.announcement_revoked(&target, error),
            Message::UnsubscribeNamespace(target) => self.prefix_withdrawn_by(now, &target),
            Message::Namespace(_) | Message::NamespaceDone(_) => {
                Err(Violation::protocol("NAMESPACE or NAMESPACE_DONE on the control stream"))
            }
            _ => Err(Violation::protocol("a message of no known meaning")),
        }
    }

    /// The request that a message of the peer is about. `None`: it has ended, so the message is late.
    pub(super) fn known(&self, id: RequestId) -> Checked<Option<&Open>> {
        if !self.requests.existed(id) {
            let reason = format!("there was no request {id}");
            return Err(Violation::new(SessionErrorCode::InvalidRequestId, reason));
        }
        Ok(self.requests.open.get(&id))
    }

    fn goaway_received(&mut self, goaway: GoAway) -> Checked {
        if self.peer_leaves {
            return Err(Violation::protocol("a second GOAWAY"));
        }
        if self.side == Side::Server && !goaway.new_session_uri.is_empty() {
            return Err(Violation::protocol("a client's GOAWAY with a URI"));
        }
        self.peer_leaves = true;
        self.event(Event::GoAway { new_session_uri: goaway.new_session_uri });
        for id in self.drop_waiting() {
            let error = RequestError::new(
                RequestErrorCode::InternalError,
                "the peer is leaving and takes no requests",
            );
            self.event(Event::Rejected { id, error });
        }
        Ok(())
    }

    fn limit_raised(&mut self, now: Instant, limit: u64) -> Checked {
        if limit <= self.requests.ours.limit {
            let reason = format!("MAX_REQUEST_ID {limit} after {}", self.requests.ours.limit);
            return Err(Violation::protocol(reason));
        }
        self.requests.ours.limit = limit;
        self.send_waiting(now)
    }

    /// A new request, on its own stream or on the control stream.
    pub(super) fn request_received(
        &mut self,
        now: Instant,
        lane: Option<StreamId>,
        id: RequestId,
        mut request: Request,
    ) -> Checked {
        self.admit(id)?;
        if let Some(tokens) = auth::tokens_mut(&mut request) {
            self.their_tokens.resolve(tokens)?;
        }
        let kind = request.kind();
        match request {
            Request::Fetch(fetch) => self.fetch_received(id, fetch),
            Request::TrackStatus(_) => {
                self.pending(None, id, request, Body::Status);
                Ok(())
            }
            Request::Subscribe(subscribe) => self.subscribe_received(id, subscribe),
            Request::Publish(publish) => self.publish_received(now, id, publish),
            Request::PublishNamespace(publish) => self.announced(id, publish),
            Request::SubscribeNamespace(subscribe) => self.prefix_asked(lane, id, subscribe),
            // draft-14 §4, draft-16 §4: what is not offered is declined, not met with silence.
            _ => self.decline(lane, id, kind, RequestErrorCode::NotSupported, "not supported here"),
        }
    }

    fn subscribe_received(&mut self, id: RequestId, subscribe: Subscribe) -> Checked {
        if let Some((other, open)) = self.requests.sends(&subscribe.track) {
            // A PUBLISH of ours that the peer has not answered may have crossed its SUBSCRIBE.
            let crossed = self.requests.is_ours(other) && open.stage != Stage::Granted;
            if !crossed && !self.rules.duplicate_subscription_declined {
                return Err(Violation::protocol(format!("request {id} subscribes as request {other} does")));
            }
            let code = RequestErrorCode::DuplicateSubscription;
            return self.decline(
                None,
                id,
                RequestKind::Subscribe,
                code,
                "there is a subscription to this track",
            );
        }
        if let Some(SubscriptionFilter::AbsoluteRange { start, end_group }) = subscribe.filter
            && end_group < start.group
        {
            let code = RequestErrorCode::InvalidRange;
            return self.decline(None, id, RequestKind::Subscribe, code, "the range ends before it starts");
        }
        let body = Body::Sending(Box::new(Sending::asked(&subscribe)));
        self.pending(None, id, Request::Subscribe(subscribe), body);
        Ok(())
    }

    fn publish_received(&mut self, now: Instant, id: RequestId, publish: Publish) -> Checked {
        // A SUBSCRIBE of ours that is not answered gives way when the PUBLISH is accepted (draft-16 §5.1).
        if let Some((_, open)) = self.requests.receives(&publish.track)
            && matches!(open.stage, Stage::Granted | Stage::Pending)
        {
            let code = RequestErrorCode::DuplicateSubscription;
            return self.decline(
                None,
                id,
                RequestKind::Publish,
                code,
                "there is a subscription to this track",
            );
        }
        self.bind_alias(now, publish.track_alias, id)?;
        let body = Body::Receiving(Box::new(Receiving::offered(&publish)));
        self.pending(None, id, Request::Publish(publish), body);
        Ok(())
    }

    /// Puts a request before the application.
    pub(super) fn pending(&mut self, lane: Option<StreamId>, id: RequestId, request: Request, body: Body) {
        let open = Open { kind: request.kind(), stage: Stage::Pending, lane, body };
        self.requests.insert(id, open);
        self.event(Event::Request { id, request });
    }

    /// The subscriber leaves. Its streams are reset and PUBLISH_DONE is not said: draft-14 §5.1 and §9.12 differ on that
    /// (either may be read), in draft-16 §5.1 the subscription is over; a subscriber has to be content with or without it.
    fn unsubscribed(&mut self, id: RequestId) -> Checked {
        match self.known(id)?.map(|open| &open.body) {
            Some(Body::Sending(_)) => {
                self.forget_sending(id)?;
                self.event(Event::Cancelled { id });
                self.raise_limit()
            }
            Some(_) => {
                Err(Violation::protocol(format!("UNSUBSCRIBE of request {id}, which is no subscription")))
            }
            None => Ok(()),
        }
    }

    fn publish_done_received(&mut self, now: Instant, id: RequestId, done: PublishDone) -> Checked {
        let (stage, again) = match self.known(id)? {
            Some(Open { stage, body: Body::Receiving(receiving), .. }) => (*stage, receiving.done.is_some()),
            Some(_) => {
                return Err(Violation::protocol(format!(
                    "PUBLISH_DONE of request {id}, which is not the peer's to end"
                )));
            }
            // We have left the subscription.
            None => return Ok(()),
        };
        if again || stage == Stage::Asked {
            return Err(Violation::protocol(format!(
                "PUBLISH_DONE of request {id}, which is not established"
            )));
        }
        self.publish_done(now, id, done);
        self.raise_limit()
    }
}
