//! The peer's answers to our requests.

use moqingbird_wire::model::{
    Location, RequestError, RequestErrorCode, RequestId, RequestKind, Response, Target, TrackAlias,
};

use super::requests::{Body, Stage};
use super::timers::Timer;
use super::{Checked, Event, Fact, Instant, Session, StreamId, Violation};

impl Session {
    pub(super) fn answered(
        &mut self,
        now: Instant,
        on: Option<StreamId>,
        target: &Target,
        response: Response,
    ) -> Checked {
        let Some(id) = self.awaiting(on, target)? else {
            // We have withdrawn: the data that comes with this answer is late before it begins.
            if let (Response::Subscribe(ok), &Target::Id(id)) = (&response, target) {
                self.retire_alias(now, ok.track_alias, id);
            }
            return Ok(());
        };
        let Some(open) = self.requests.open.get_mut(&id) else { return Ok(()) };
        let alias = match (&mut open.body, &response) {
            (Body::Receiving(_), Response::Subscribe(ok)) => Some(ok.track_alias),
            (Body::Sending(sending), Response::Publish(ok)) => {
                sending.granted(ok);
                None
            }
            (Body::Fetching(_), Response::Fetch(_)) => None,
            (
                Body::Announcement(_) | Body::Prefix(_) | Body::Status | Body::Update { .. },
                Response::Ok { kind, .. },
            ) if kind.is_none_or(|kind| kind == open.kind) => None,
            _ => {
                return Err(Violation::protocol(format!(
                    "the answer to request {id} is of another kind than it"
                )));
            }
        };
        if let Response::Fetch(ok) = &response {
            self.check_fetch_ok(id, ok)?;
        }
        if let Some(alias) = alias {
            self.bind_alias(now, alias, id)?;
        }
        let end_of_track = match &response {
            Response::Fetch(ok) if ok.end_of_track => Some(Fact::EndOfTrack(match ok.end.object {
                Some(object) => Location::new(ok.end.group, object.saturating_add(1)),
                None => Location::new(ok.end.group.saturating_add(1), 0),
            })),
            _ => None,
        };
        if let Some(end) = end_of_track {
            self.fact_told(now, id, end);
        }
        self.granted(now, id, response);
        if let Some(alias) = alias {
            self.deliver_held(now, alias, id);
        }
        Ok(())
    }

    fn granted(&mut self, now: Instant, id: RequestId, response: Response) {
        let group = match &response {
            Response::Publish(ok) => ok.new_group_request,
            _ => None,
        };
        self.timers.clear(Timer::Answer(id));
        let Some(open) = self.requests.open.get_mut(&id) else { return };
        open.stage = Stage::Granted;
        let told = match &mut open.body {
            Body::Receiving(receiving) => {
                if let Response::Subscribe(ok) = &response {
                    receiving.granted(ok);
                }
                true
            }
            Body::Announcement(announcement) => announcement.prefix.is_none(),
            Body::Update { .. } => {
                self.update_granted(id);
                true
            }
            Body::Status => {
                self.end(id);
                true
            }
            _ => true,
        };
        if told {
            self.event(Event::Accepted { id, response });
        }
        self.fetch_granted(now, id);
        if let Some(sending) = self.requests.sending(id) {
            let expires = sending.expires;
            self.range_changed(id);
            self.set_expiry(now, id, expires);
            self.group_asked(id, group);
        }
    }

    pub(super) fn declined(
        &mut self,
        now: Instant,
        on: Option<StreamId>,
        target: &Target,
        kind: Option<RequestKind>,
        error: RequestError,
    ) -> Checked {
        let Some(id) = self.awaiting(on, target)? else { return Ok(()) };
        if let Some(open) = self.requests.open.get(&id)
            && kind.is_some_and(|kind| kind != open.kind)
        {
            return Err(Violation::protocol(format!(
                "the answer to request {id} is of another kind than it"
            )));
        }
        if let Some(stream) = on {
            self.finish_lane(stream);
        }
        self.unanswered(now, id, error)
    }

    /// A request of ours has failed: forgets it, and tells the application if it knows of it.
    pub(super) fn unanswered(&mut self, now: Instant, id: RequestId, error: RequestError) -> Checked {
        let silent = self.is_silent(id);
        self.forget(now, id)?;
        if !silent {
            self.event(Event::Rejected { id, error });
        }
        Ok(())
    }

    /// No answer in time: the request is withdrawn, so that an answer that comes after all does no harm.
    pub(super) fn answer_overdue(&mut self, now: Instant, id: RequestId) -> Checked {
        let reason = match self.requests.open.get(&id).map(|open| open.stage) {
            Some(Stage::Granted) => {
                format!("granted, but no stream within {:?}", self.config.fetch_stream_timeout)
            }
            _ => format!("no answer within {:?}", self.config.response_timeout),
        };
        let error = RequestError::new(RequestErrorCode::Timeout, reason);
        let silent = self.is_silent(id);
        self.withdraw(now, id)?;
        if !silent {
            self.event(Event::Rejected { id, error });
        }
        Ok(())
    }

    /// Whether the application does not know of a request of ours.
    pub(super) fn is_silent(&self, id: RequestId) -> bool {
        let open = self.requests.open.get(&id);
        open.is_some_and(|open| matches!(&open.body, Body::Announcement(it) if it.prefix.is_some()))
    }

    /// The request that an answer is for. `None`: one that we have withdrawn.
    fn awaiting(&mut self, on: Option<StreamId>, target: &Target) -> Checked<Option<RequestId>> {
        let &Target::Id(id) = target else { return Err(Violation::protocol("an answer to a namespace")) };
        let state = self.requests.open.get(&id).filter(|_| self.requests.is_ours(id));
        match state.map(|open| (open.stage, open.lane)) {
            Some((Stage::Asked, lane)) if lane == on => Ok(Some(id)),
            Some((Stage::Asked, _)) => {
                Err(Violation::protocol(format!("request {id} is answered on another stream than its own")))
            }
            Some((Stage::Granted, _)) => Err(Violation::protocol(format!("a second answer to request {id}"))),
            None if self.requests.take_withdrawn(id) => Ok(None),
            _ => Err(Violation::protocol(format!("an answer to request {id}, which awaits none"))),
        }
    }

    /// The peer names a track. A name whose subscription has been ended by PUBLISH_DONE is free again, even while its
    /// last streams are on their way (draft-16 §9.10).
    pub(super) fn bind_alias(&mut self, now: Instant, alias: TrackAlias, id: RequestId) -> Checked {
        if let Some(old) = self.tracks.request_of(alias)
            && self.requests.receiving(old).is_some_and(|receiving| receiving.done.is_some())
            && self.requests.open.get(&old).is_some_and(|open| open.stage == Stage::Granted)
        {
            self.subscription_ended(now, old);
        }
        self.tracks.bind(alias, id)?;
        if let Some(receiving) = self.requests.receiving(id) {
            receiving.alias = Some(alias);
        }
        Ok(())
    }
}
