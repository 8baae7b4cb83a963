//! What the application asks of the peer, and takes back.

use bytes::Bytes;
use moqingbird_wire::EncodeError;
use moqingbird_wire::model::{
    ErrorContext, GoAway, Message, PublishDoneCode, ReasonPhrase, Request, RequestError, RequestId,
    SessionErrorCode, Target,
};

use super::fetches::Arrival;
use super::namespaces::{Announcement, Prefix};
use super::requests::{Body, Stage};
use super::timers::Timer;
use super::tracks::{Receiving, Sending};
use super::{Instant, Misuse, Phase, Session, Side, StreamId, Violation};

impl Session {
    /// Asks the peer something: now, or as soon as it permits another request. The answer is [`Event::Accepted`] or
    /// [`Event::Rejected`]; the latter, with [`RequestErrorCode::Timeout`] and our own reason, also if none comes in
    /// time. The Track Alias of a PUBLISH is chosen here, and extensions of its track for which the draft has no room
    /// are left out. A TRACK_STATUS says of its `Subscribe` as much as the draft has room for.
    ///
    /// [`Event::Accepted`]: super::Event::Accepted
    /// [`Event::Rejected`]: super::Event::Rejected
    /// [`RequestErrorCode::Timeout`]: moqingbird_wire::model::RequestErrorCode::Timeout
    ///
    /// # Errors
    /// The draft cannot say it; the session has a subscription to the track already, or to a prefix that overlaps; too
    /// many requests wait; or the session takes none any more.
    pub fn request(&mut self, now: Instant, mut request: Request) -> Result<RequestId, Misuse> {
        const TWICE: Misuse = Misuse::WrongState("the session has a subscription to this track");
        let body = match &mut request {
            Request::Subscribe(subscribe) => {
                if self.requests.receives(&subscribe.track).is_some() {
                    return Err(TWICE);
                }
                Body::Receiving(Box::new(Receiving::asked(subscribe)))
            }
            Request::Publish(publish) => {
                if self.requests.sends(&publish.track).is_some() {
                    return Err(TWICE);
                }
                publish.track_alias = self.tracks.new_alias();
                let body = Body::Sending(Box::new(Sending::offered(publish)));
                publish.extensions = self.expressible_extensions(&publish.extensions);
                body
            }
            Request::PublishNamespace(publish) => {
                Body::Announcement(Announcement { namespace: publish.namespace.clone(), prefix: None })
            }
            Request::SubscribeNamespace(subscribe) => {
                if self.overlapping(true, &subscribe.prefix) {
                    return Err(Misuse::WrongState("the prefix overlaps that of another subscription"));
                }
                Body::Prefix(Prefix::new(subscribe))
            }
            Request::Fetch(fetch) => self.new_fetch(fetch)?,
            Request::TrackStatus(subscribe) => {
                *subscribe = self.status_question(subscribe);
                Body::Status
            }
            _ => return Err(Misuse::WrongKind),
        };
        self.ask(now, request, body)
    }

    /// Takes back a request of ours, answered or not, or leaves the subscription that a PUBLISH of the peer made. Nothing
    /// more is told of it. (A PUBLISH of ours is ended by [`Session::finish`].) Of a FETCH of the peer, which was
    /// accepted: serves it no further, and resets its stream.
    ///
    /// # Errors
    /// No such request, or one of another kind.
    pub fn cancel(&mut self, now: Instant, id: RequestId) -> Result<(), Misuse> {
        let open = self.requests.open.get(&id).ok_or(Misuse::UnknownRequest)?;
        match &open.body {
            Body::Receiving(_) if open.stage == Stage::Pending => {
                return Err(Misuse::WrongState("the PUBLISH is not answered: accept or reject it"));
            }
            Body::Receiving(receiving) => {
                if receiving.done.is_none() {
                    self.leave(now, id)?;
                } else {
                    let streams = receiving.streams.clone().into_keys();
                    self.forget(now, id)?;
                    self.stop_streams(streams);
                }
            }
            Body::Fetching(fetching) => {
                let arrival = fetching.stream;
                self.withdraw(now, id)?;
                if let Arrival::Open(stream) = arrival {
                    self.stop_stream(stream);
                }
            }
            Body::Serving(_) if open.stage == Stage::Pending => {
                return Err(Misuse::WrongState("the FETCH is not answered: accept or reject it"));
            }
            Body::Serving(_) => self.forget_serving(id),
            Body::Announcement(_) | Body::Prefix(_) | Body::Status if self.requests.is_ours(id) => {
                self.withdraw(now, id)?;
            }
            _ => return Err(Misuse::WrongKind),
        }
        self.send_or_shut(now);
        Ok(())
    }

    /// Leaves a subscription by which we receive, and refuses its streams.
    pub(super) fn leave(&mut self, now: Instant, id: RequestId) -> Result<(), EncodeError> {
        let Some(receiving) = self.requests.receiving(id) else { return Ok(()) };
        let streams = receiving.streams.clone().into_keys();
        self.withdraw(now, id)?;
        self.stop_streams(streams);
        Ok(())
    }

    fn stop_streams(&mut self, streams: impl IntoIterator<Item = StreamId>) {
        for stream in streams {
            self.stop_stream(stream);
        }
    }

    /// No longer takes a namespace that the peer publishes, which was accepted: PUBLISH_NAMESPACE_CANCEL.
    ///
    /// # Errors
    /// No such request, one of another kind, or one that is not accepted.
    pub fn revoke(&mut self, now: Instant, id: RequestId, error: RequestError) -> Result<(), Misuse> {
        let open = self.requests.open.get(&id).ok_or(Misuse::UnknownRequest)?;
        let (Body::Announcement(announcement), false) = (&open.body, self.requests.is_ours(id)) else {
            return Err(Misuse::WrongKind);
        };
        if open.stage != Stage::Granted {
            return Err(Misuse::WrongState("the PUBLISH_NAMESPACE is not accepted"));
        }
        let target = self.target(id, &announcement.namespace);
        let error = self.expressible(ErrorContext::PublishNamespaceCancel, error);
        let alike = match &target {
            Target::Namespace(namespace) => self.announced_as(false, namespace),
            _ => Vec::new(),
        };
        self.send(None, &Message::PublishNamespaceCancel { target, error })?;
        self.end(id);
        for id in alike {
            if self.requests.open.get(&id).is_some_and(|open| open.stage == Stage::Granted) {
                self.announcement_gone(id);
            }
        }
        self.send_or_shut(now);
        Ok(())
    }

    /// Tells no more of namespaces to a SUBSCRIBE_NAMESPACE of the peer that was accepted: its stream ends (draft-16 §6.1).
    ///
    /// # Errors
    /// No such request, one of another kind, one that is not accepted, or one without a stream of its own.
    pub fn end_prefix(&mut self, now: Instant, id: RequestId) -> Result<(), Misuse> {
        let open = self.requests.open.get(&id).ok_or(Misuse::UnknownRequest)?;
        let (Body::Prefix(_), false) = (&open.body, self.requests.is_ours(id)) else {
            return Err(Misuse::WrongKind);
        };
        if open.stage != Stage::Granted {
            return Err(Misuse::WrongState("the SUBSCRIBE_NAMESPACE is not accepted"));
        }
        let stream = open.lane.ok_or(Misuse::Inexpressible("the end of a SUBSCRIBE_NAMESPACE"))?;
        self.end(id);
        self.finish_lane(stream);
        self.stop_stream(stream);
        self.send_or_shut(now);
        Ok(())
    }

    /// Ends a subscription by which we send: PUBLISH_DONE, as soon as our streams have settled, with their number. No
    /// more streams can be opened. A code that the draft does not have is told as INTERNAL_ERROR.
    ///
    /// # Errors
    /// No such request, one of another kind, one that is not accepted, or one that is finished already.
    pub fn finish(
        &mut self,
        now: Instant,
        id: RequestId,
        code: PublishDoneCode,
        reason: ReasonPhrase,
    ) -> Result<(), Misuse> {
        let code = self.publish_done_code(code);
        let open = self.requests.open.get_mut(&id).ok_or(Misuse::UnknownRequest)?;
        let Body::Sending(sending) = &mut open.body else { return Err(Misuse::WrongKind) };
        match open.stage {
            Stage::Pending => {
                return Err(Misuse::WrongState("the SUBSCRIBE is not answered: accept or reject it"));
            }
            Stage::Waiting => {
                sending.finishing = Some((code, reason));
                self.withdraw(now, id)?;
            }
            _ if sending.finishing.is_some() => {
                return Err(Misuse::WrongState("the subscription is finished"));
            }
            _ => {
                sending.finishing = Some((code, reason));
                if let Err(violation) = self.try_finish(id) {
                    self.shut(violation);
                }
            }
        }
        self.send_or_shut(now);
        Ok(())
    }

    /// Asks the peer to leave: to this URI, or with an empty one to the same place. Only servers may name one. If
    /// subscriptions or fetches are left after [`Config::goaway_timeout`](super::Config::goaway_timeout), the session is
    /// closed.
    ///
    /// # Errors
    /// A URI from a client or over 8,192 bytes, a second GOAWAY, or a session that is not established.
    pub fn go_away(&mut self, now: Instant, new_session_uri: Bytes) -> Result<(), Misuse> {
        match self.phase {
            Phase::Closed => return Err(Misuse::Closed),
            Phase::Opening => return Err(Misuse::WrongState("the session is not established")),
            Phase::Established if self.leaving => return Err(Misuse::WrongState("GOAWAY was sent before")),
            Phase::Established => {}
        }
        if self.side == Side::Client && !new_session_uri.is_empty() {
            return Err(Misuse::Inexpressible("New Session URI of a client"));
        }
        self.send(None, &Message::GoAway(GoAway { new_session_uri }))?;
        self.leaving = true;
        self.timers.set(Timer::GoAway, now + self.config.goaway_timeout);
        self.send_or_shut(now);
        Ok(())
    }

    /// Closes the session.
    pub fn close(&mut self, code: SessionErrorCode, reason: impl Into<String>) {
        self.shut(Violation::new(code, reason));
    }
}
