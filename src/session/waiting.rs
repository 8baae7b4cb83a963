//! Requests of ours on their way: from the moment they get a number until they are said, or taken back.

use moqingbird_wire::EncodeError;
use moqingbird_wire::model::{
    AuthorizationToken, FullTrackName, Message, Request, RequestError, RequestErrorCode, RequestId,
    Subscribe, SubscriptionFilter, TrackNamespace,
};

use super::requests::{Body, Open, Requests, Stage};
use super::timers::Timer;
use super::{Checked, Encoded, Event, Instant, Misuse, Phase, Session, auth};

/// A message with a new ID that waits for permission.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) id: RequestId,
    said: Encoded,
    own_stream: bool,
    /// Its tokens: what they register counts as registered, so they are said in any case.
    tokens: Vec<AuthorizationToken>,
    /// The request that it changes, if it is an update.
    changes: Option<RequestId>,
    /// Whether it has been withdrawn meanwhile.
    withdrawn: bool,
    /// What follows at once in that case.
    withdrawal: Option<Encoded>,
    /// The announcements that end by that, if it names a namespace.
    namespace: Option<TrackNamespace>,
}

impl Requests {
    fn waiting_mut(&mut self, id: RequestId) -> Option<&mut Waiting> {
        let place = self.waiting.binary_search_by_key(&id, |waiting| waiting.id).ok()?;
        self.waiting.get_mut(place)
    }
}

impl Session {
    /// Asks the peer something: says it at once, or when the peer permits.
    pub(super) fn ask(&mut self, now: Instant, request: Request, body: Body) -> Result<RequestId, Misuse> {
        let kind = request.kind();
        let own_stream = self.needs_own_stream(kind);
        let id = self.enqueue(own_stream, None, |id| Message::Request { id, request })?;
        self.requests.insert(id, Open { kind, stage: Stage::Waiting, lane: None, body });
        self.send_or_shut(now);
        Ok(id)
    }

    /// Gives a message a new ID. It is said by [`Session::send_waiting`].
    pub(super) fn enqueue(
        &mut self,
        own_stream: bool,
        changes: Option<RequestId>,
        message: impl FnOnce(RequestId) -> Message,
    ) -> Result<RequestId, Misuse> {
        if self.phase == Phase::Closed || self.peer_leaves {
            return Err(Misuse::Closed);
        }
        if self.requests.waiting.len() >= self.config.max_waiting_requests {
            return Err(Misuse::TooManyRequests);
        }
        let message = message(RequestId(self.requests.ours.next));
        let tokens = auth::tokens(&message).to_vec();
        let registered = self.our_tokens.after(&tokens)?;
        let said = self.encode(&message)?;
        self.our_tokens = registered;
        let id = self.requests.ours.take();
        let waiting = Waiting {
            id,
            said,
            own_stream,
            tokens,
            changes,
            withdrawn: false,
            withdrawal: None,
            namespace: None,
        };
        self.requests.waiting.push_back(waiting);
        Ok(id)
    }

    /// After a command: says what waits, and permits what has become free.
    pub(super) fn send_or_shut(&mut self, now: Instant) {
        if let Err(violation) = self.send_waiting(now).and_then(|()| self.raise_limit()) {
            self.shut(violation);
        }
    }

    /// Says what waits, as far as the peer permits.
    pub(super) fn send_waiting(&mut self, now: Instant) -> Checked {
        if self.phase != Phase::Established {
            return Ok(());
        }
        let limit = self.requests.ours.limit;
        while let Some(waiting) = self.requests.waiting.pop_front() {
            if waiting.id.0 >= limit {
                self.requests.waiting.push_front(waiting);
                if self.requests.ours.blocked_at != Some(limit) {
                    self.requests.ours.blocked_at = Some(limit);
                    self.send(None, &Message::RequestsBlocked(limit))?;
                }
                break;
            }
            self.say(now, waiting);
        }
        Ok(())
    }

    fn say(&mut self, now: Instant, waiting: Waiting) {
        let Waiting { id, said, own_stream, withdrawn, withdrawal, namespace, .. } = waiting;
        let lane = own_stream.then(|| self.open_lane(id));
        let Some(stream) = lane.or(self.lanes.control()) else { return };
        self.write_message(stream, said);
        match (withdrawn, lane) {
            (false, lane) => {
                if let Some(open) = self.requests.open.get_mut(&id) {
                    open.stage = Stage::Asked;
                    open.lane = lane;
                    self.timers.set(Timer::Answer(id), now + self.config.response_timeout);
                }
            }
            (true, Some(stream)) => self.finish_lane(stream),
            (true, None) => {
                if let Some(withdrawal) = withdrawal {
                    self.write_message(stream, withdrawal);
                }
                if let Some(namespace) = namespace {
                    let alike = self.announced_as(true, &namespace);
                    self.withdrawn_alike(alike);
                }
                self.requests.remember_withdrawn(id);
            }
        }
    }

    /// Tells the peer that we no longer want a request, and forgets it.
    pub(super) fn withdraw(&mut self, now: Instant, id: RequestId) -> Result<(), EncodeError> {
        let Some(open) = self.requests.open.get(&id) else { return Ok(()) };
        let (stage, lane) = (open.stage, open.lane);
        let withdrawal = self.withdrawal(id, open).map(|message| self.encode(&message)).transpose()?;
        let track = match &open.body {
            Body::Receiving(receiving) => Some(receiving.track.clone()),
            _ => None,
        };
        let namespace = match &open.body {
            Body::Announcement(announcement) if self.rules.withdraws_by_namespace => {
                Some(announcement.namespace.clone())
            }
            _ => None,
        };
        self.forget(now, id)?;
        match (stage, lane, track) {
            (Stage::Waiting, _, Some(track)) => self.ask_status_instead(id, &track)?,
            (Stage::Waiting, ..) => {
                let Some(waiting) = self.requests.waiting_mut(id) else { return Ok(()) };
                waiting.withdrawn = true;
                (waiting.withdrawal, waiting.namespace) = (withdrawal, namespace);
            }
            // What the peer still says on the stream is not heard, so no answer needs to be remembered.
            (_, Some(stream), _) => self.finish_lane(stream),
            (stage, None, _) => {
                if stage == Stage::Asked {
                    self.requests.remember_withdrawn(id);
                }
                if let (Some(control), Some(withdrawal)) = (self.lanes.control(), withdrawal) {
                    self.write_message(control, withdrawal);
                }
                if let Some(namespace) = namespace {
                    let alike = self.announced_as(true, &namespace);
                    self.withdrawn_alike(alike);
                }
            }
        }
        Ok(())
    }

    /// A TRACK_STATUS under the number of what waits and is no longer asked: it leaves nothing behind at the peer.
    fn ask_status_instead(&mut self, id: RequestId, track: &FullTrackName) -> Result<(), EncodeError> {
        let Some(waiting) = self.requests.waiting_mut(id) else { return Ok(()) };
        let authorization_tokens = waiting.tokens.clone();
        let asked = Subscribe { authorization_tokens, ..Subscribe::new(track.clone()) };
        let request = Request::TrackStatus(self.status_question(&asked));
        let said = self.encode(&Message::Request { id, request })?;
        if let Some(waiting) = self.requests.waiting_mut(id) {
            waiting.said = said;
            waiting.withdrawn = true;
        }
        Ok(())
    }

    /// A TRACK_STATUS as the draft can say it: with all that a SUBSCRIBE states, or with tokens alone.
    pub(super) fn status_question(&self, asked: &Subscribe) -> Subscribe {
        if self.rules.publish_ok_is_explicit {
            let filter = asked.filter.or(Some(SubscriptionFilter::LargestObject));
            return Subscribe { filter, ..asked.clone() };
        }
        let authorization_tokens = asked.authorization_tokens.clone();
        Subscribe { filter: None, authorization_tokens, ..Subscribe::new(asked.track.clone()) }
    }

    /// A request of ours is over. Updates of it that were not said never are: the request may have been withdrawn before
    /// the peer knew of it.
    pub(super) fn drop_updates(&mut self, open: &Open, target: RequestId) -> Result<(), EncodeError> {
        let track = match &open.body {
            Body::Receiving(receiving) => &receiving.track,
            Body::Fetching(fetching) => &fetching.track,
            _ => return Ok(()),
        };
        let of_target = |waiting: &&Waiting| waiting.changes == Some(target);
        let ids: Vec<_> = self.requests.waiting.iter().filter(of_target).map(|waiting| waiting.id).collect();
        for id in ids {
            if self.end(id).is_some() {
                let error = RequestError::new(RequestErrorCode::InternalError, "the request has ended");
                self.event(Event::Rejected { id, error });
            }
            self.ask_status_instead(id, track)?;
        }
        Ok(())
    }

    /// Requests that were never said never will be: the peer is leaving. Gives those of which the application knows.
    pub(super) fn drop_waiting(&mut self) -> Vec<RequestId> {
        let ids: Vec<_> = self.requests.waiting.drain(..).map(|waiting| waiting.id).collect();
        ids.into_iter().filter(|id| !self.is_silent(*id) & self.end(*id).is_some()).collect()
    }
}
