//! Request IDs, the permission to use them, and the table of open requests (draft-14 §9.1, §9.5, §9.6; draft-16 the
//! same).
//!
//! ```text
//! ours:   Waiting ── credit ──▶ Asked ── answer ──▶ Granted ──▶ gone
//! theirs:                     Pending ── answer ──▶ Granted ──▶ gone
//! ```
//!
//! An ID is given when a request is made and is always said, in order: drafts require that sequences have no holes. A
//! request that is withdrawn while it waits is said and withdrawn in one breath; a SUBSCRIBE becomes a TRACK_STATUS, since
//! by then there may be another subscription to the track, beside which a second one is a violation, and so does an update
//! whose request has ended.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use moqingbird_wire::model::{
    AuthorizationToken, FullTrackName, Message, Request, RequestError, RequestErrorCode, RequestId,
    RequestKind, RequestUpdate, SessionErrorCode, Subscribe, SubscriptionFilter,
};
use moqingbird_wire::{EncodeError, RequestIds};

use super::fetches::{Fetching, Serving};
use super::namespaces::{Announcement, Prefix};
use super::timers::Timer;
use super::tracks::{Receiving, Sending};
use super::{Checked, Encoded, Event, Instant, Misuse, Phase, Session, Side, StreamId, Violation, auth};

/// How many IDs may be missing below the highest that was seen.
const MAX_HOLES: usize = 64;
/// How many withdrawn requests, whose answers may still come, are remembered.
const MAX_WITHDRAWN: usize = 256;

/// A request that has not ended.
#[derive(Debug)]
pub(super) struct Open {
    pub(super) kind: RequestKind,
    pub(super) stage: Stage,
    /// Its own stream. `None`: it is spoken of on the control stream.
    pub(super) lane: Option<StreamId>,
    pub(super) body: Body,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Ours, and not said yet: the peer has not permitted its ID.
    Waiting,
    /// Ours, said and not answered.
    Asked,
    /// Theirs, and not answered.
    Pending,
    Granted,
}

/// What a request is about.
#[derive(Debug)]
pub(super) enum Body {
    /// A subscription by which we receive: our SUBSCRIBE, or the peer's PUBLISH.
    Receiving(Box<Receiving>),
    /// A subscription by which we send: the peer's SUBSCRIBE, or our PUBLISH.
    Sending(Box<Sending>),
    /// PUBLISH_NAMESPACE.
    Announcement(Announcement),
    /// SUBSCRIBE_NAMESPACE.
    Prefix(Prefix),
    /// Our FETCH.
    Fetching(Box<Fetching>),
    /// The peer's FETCH.
    Serving(Box<Serving>),
    /// TRACK_STATUS, which leaves nothing behind.
    Status,
    /// An update that is answered.
    Update { target: RequestId, update: Box<RequestUpdate> },
}

#[derive(Debug)]
pub(super) struct Requests {
    /// To be changed by [`Requests::insert`] and [`Requests::remove`].
    pub(super) open: BTreeMap<RequestId, Open>,
    /// Subscriptions, and fetches of ours, by their track.
    by_track: BTreeMap<FullTrackName, Vec<RequestId>>,
    /// Updates by the request that they change.
    updates: BTreeMap<RequestId, Vec<RequestId>>,
    pub(super) ours: OurIds,
    pub(super) theirs: TheirIds,
    waiting: VecDeque<Waiting>,
    /// Requests of ours that were withdrawn before their answer came.
    withdrawn: VecDeque<RequestId>,
}

/// A message with a new ID that waits for permission.
#[derive(Debug)]
struct Waiting {
    id: RequestId,
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
}

/// The IDs that we give.
#[derive(Debug)]
pub(super) struct OurIds {
    next: u64,
    /// What the peer permits: IDs below this.
    pub(super) limit: u64,
    /// The limit of which the peer was told that it blocks us.
    blocked_at: Option<u64>,
}

/// The IDs that the peer gives.
#[derive(Debug)]
pub(super) struct TheirIds {
    rule: RequestIds,
    /// Behind the highest that was seen.
    next: u64,
    holes: BTreeSet<u64>,
    /// What we permit: IDs below this.
    limit: u64,
    /// Requests that have ended since the limit was raised.
    ended: u64,
}

impl OurIds {
    fn take(&mut self) -> RequestId {
        let id = RequestId(self.next);
        self.next += 2;
        id
    }
}

impl TheirIds {
    /// Whether a new request may have this ID. Sequence is judged before the limit: no draft says which
    /// comes first, and draft-16 §9.1 and §9.5 differ in the code.
    fn admit(&mut self, RequestId(id): RequestId) -> Checked {
        let invalid = |why: &str| {
            Err(Violation::new(SessionErrorCode::InvalidRequestId, format!("request {id} {why}")))
        };
        if id % 2 != self.next % 2 {
            return invalid("has the parity of our own");
        }
        if id < self.next && !self.holes.remove(&id) {
            return invalid("was used before");
        }
        if id > self.next && self.rule == RequestIds::Contiguous {
            return invalid(&format!("skips {}", self.next));
        }
        if id >= self.limit {
            let reason = format!("request {id} where the limit is {}", self.limit);
            return Err(Violation::new(SessionErrorCode::TooManyRequests, reason));
        }
        if id >= self.next {
            if (id - self.next) / 2 > MAX_HOLES as u64 {
                return invalid(&format!("leaves too many before it unused, from {}", self.next));
            }
            self.holes.extend((self.next..id).step_by(2));
            self.next = id + 2;
            // A request whose stream was reset before it was read never comes: it counts as ended.
            while self.holes.len() > MAX_HOLES {
                self.holes.pop_first();
                self.ended += 1;
            }
        }
        Ok(())
    }

    /// A new limit, if it is time: when more requests have ended than half of those that the peer may still make. So
    /// there is not a message for each request, and a peer with a single request left is not left waiting.
    fn raise(&mut self) -> Option<u64> {
        let left = self.limit.saturating_sub(self.next).div_ceil(2);
        if self.ended == 0 || self.ended <= left / 2 {
            return None;
        }
        self.limit = self.limit.saturating_add(2 * self.ended).min((1 << 62) - 1);
        self.ended = 0;
        Some(self.limit)
    }
}

/// By what a request is found besides its number.
enum Index<'a> {
    Track(&'a FullTrackName),
    Update(RequestId),
}

impl Body {
    fn index(&self) -> Option<Index<'_>> {
        match self {
            Self::Receiving(receiving) => Some(Index::Track(&receiving.track)),
            Self::Sending(sending) => Some(Index::Track(&sending.state.track)),
            Self::Fetching(fetching) => Some(Index::Track(&fetching.track)),
            Self::Update { target, .. } => Some(Index::Update(*target)),
            _ => None,
        }
    }

    /// The track whose objects come by this request.
    pub(super) fn received_track(&self) -> Option<&FullTrackName> {
        match self {
            Self::Receiving(receiving) => Some(&receiving.track),
            Self::Fetching(fetching) => Some(&fetching.track),
            _ => None,
        }
    }
}

fn forget_in<K: Ord>(index: &mut BTreeMap<K, Vec<RequestId>>, key: &K, id: RequestId) {
    if let Some(ids) = index.get_mut(key) {
        ids.retain(|it| *it != id);
        if ids.is_empty() {
            index.remove(key);
        }
    }
}

impl Requests {
    pub(super) fn new(side: Side, rule: RequestIds, limit: u64) -> Self {
        let (ours, theirs) = match side {
            Side::Client => (0, 1),
            Side::Server => (1, 0),
        };
        Self {
            open: BTreeMap::new(),
            by_track: BTreeMap::new(),
            updates: BTreeMap::new(),
            ours: OurIds { next: ours, limit: 0, blocked_at: None },
            theirs: TheirIds { rule, next: theirs, holes: BTreeSet::new(), limit, ended: 0 },
            waiting: VecDeque::new(),
            withdrawn: VecDeque::new(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.open.is_empty() && self.waiting.is_empty()
    }

    pub(super) fn clear(&mut self) {
        self.open.clear();
        self.by_track.clear();
        self.updates.clear();
        self.waiting.clear();
        self.withdrawn.clear();
    }

    /// Whether we gave this ID.
    pub(super) const fn is_ours(&self, id: RequestId) -> bool {
        id.0 % 2 == self.ours.next % 2
    }

    /// Whether there has ever been such a request.
    pub(super) fn existed(&self, id: RequestId) -> bool {
        if self.is_ours(id) {
            id.0 < self.waiting.front().map_or(self.ours.next, |waiting| waiting.id.0)
        } else {
            id.0 < self.theirs.next && !self.theirs.holes.contains(&id.0)
        }
    }

    fn waiting_mut(&mut self, id: RequestId) -> Option<&mut Waiting> {
        let place = self.waiting.binary_search_by_key(&id, |waiting| waiting.id).ok()?;
        self.waiting.get_mut(place)
    }

    pub(super) fn receiving(&mut self, id: RequestId) -> Option<&mut Receiving> {
        match &mut self.open.get_mut(&id)?.body {
            Body::Receiving(receiving) => Some(receiving),
            _ => None,
        }
    }

    /// The subscriptions by which we receive of which PUBLISH_DONE was told.
    pub(super) fn done(&self) -> Vec<RequestId> {
        let done = |open: &Open| match &open.body {
            Body::Receiving(receiving) => open.stage == Stage::Granted && receiving.done.is_some(),
            _ => false,
        };
        self.open.iter().filter(|(_, open)| done(open)).map(|(id, _)| *id).collect()
    }

    pub(super) fn sending(&mut self, id: RequestId) -> Option<&mut Sending> {
        match &mut self.open.get_mut(&id)?.body {
            Body::Sending(sending) => Some(sending),
            _ => None,
        }
    }

    pub(super) fn insert(&mut self, id: RequestId, open: Open) {
        match open.body.index() {
            Some(Index::Track(track)) => self.by_track.entry(track.clone()).or_default().push(id),
            Some(Index::Update(target)) => self.updates.entry(target).or_default().push(id),
            None => {}
        }
        self.open.insert(id, open);
    }

    fn remove(&mut self, id: RequestId) -> Option<Open> {
        let open = self.open.remove(&id)?;
        match open.body.index() {
            Some(Index::Track(track)) => forget_in(&mut self.by_track, track, id),
            Some(Index::Update(target)) => forget_in(&mut self.updates, &target, id),
            None => {}
        }
        Some(open)
    }

    /// The subscriptions of the session to a track, and its fetches.
    pub(super) fn of_track(&self, track: &FullTrackName) -> impl Iterator<Item = (RequestId, &Open)> {
        let ids = self.by_track.get(track).into_iter().flatten();
        ids.filter_map(|id| Some((*id, self.open.get(id)?)))
    }

    /// The subscription of the session to a track: by which we receive it, and by which we send it.
    pub(super) fn receives(&self, track: &FullTrackName) -> Option<(RequestId, &Open)> {
        let receives = |open: &Open| matches!(&open.body, Body::Receiving(it) if it.done.is_none());
        self.of_track(track).find(|(_, open)| receives(open))
    }

    pub(super) fn sends(&self, track: &FullTrackName) -> Option<(RequestId, &Open)> {
        self.of_track(track).find(|(_, open)| matches!(open.body, Body::Sending(_)))
    }

    /// The updates of a request that are open.
    pub(super) fn updates_of(&self, target: RequestId) -> Vec<RequestId> {
        self.updates.get(&target).cloned().unwrap_or_default()
    }

    pub(super) fn remember_withdrawn(&mut self, id: RequestId) {
        if self.withdrawn.contains(&id) {
            return;
        }
        if self.withdrawn.len() == MAX_WITHDRAWN {
            self.withdrawn.pop_front();
        }
        self.withdrawn.push_back(id);
    }

    /// Whether this answers a request that we have withdrawn. It may be answered once.
    pub(super) fn take_withdrawn(&mut self, id: RequestId) -> bool {
        let place = self.withdrawn.iter().position(|withdrawn| *withdrawn == id);
        place.and_then(|place| self.withdrawn.remove(place)).is_some()
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
        let waiting = Waiting { id, said, own_stream, tokens, changes, withdrawn: false, withdrawal: None };
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
        let Waiting { id, said, own_stream, withdrawn, withdrawal, .. } = waiting;
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
        self.forget(now, id)?;
        match (stage, lane, track) {
            (Stage::Waiting, _, Some(track)) => self.ask_status_instead(id, &track)?,
            (Stage::Waiting, ..) => {
                let Some(waiting) = self.requests.waiting_mut(id) else { return Ok(()) };
                waiting.withdrawn = true;
                waiting.withdrawal = withdrawal;
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
    fn drop_updates(&mut self, open: &Open, target: RequestId) -> Result<(), EncodeError> {
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

    /// Forgets a request with all that hangs on it: streams, aliases, announcements, updates.
    pub(super) fn forget(&mut self, now: Instant, id: RequestId) -> Result<(), EncodeError> {
        match self.requests.open.get(&id).map(|open| &open.body) {
            Some(Body::Receiving(_)) => {
                self.forget_receiving(now, id);
            }
            Some(Body::Sending(_)) => self.forget_sending(id)?,
            Some(Body::Announcement(_)) => {
                self.announcement_ended(id);
            }
            Some(Body::Prefix(_)) => {
                self.forget_announcements(id);
                self.end(id);
            }
            Some(Body::Fetching(_)) => self.forget_fetching(id),
            Some(Body::Serving(_)) => self.forget_serving(id),
            Some(Body::Status | Body::Update { .. }) | None => {
                self.end(id);
            }
        }
        Ok(())
    }

    /// A request of the peer with a new ID.
    pub(super) fn admit(&mut self, id: RequestId) -> Checked {
        self.requests.theirs.admit(id)
    }

    /// Forgets a request: the one place where requests leave the table.
    pub(super) fn end(&mut self, id: RequestId) -> Option<Open> {
        let open = self.requests.remove(id)?;
        // What remains of it is said as late as it can be; that fails only for want of words, which is our own fault.
        if let Err(error) = self.drop_updates(&open, id).and_then(|()| self.decline_updates(id)) {
            self.shut(error.into());
        }
        if let Some(track) = open.body.received_track()
            && !self.requests.of_track(track).any(|(_, open)| open.body.received_track().is_some())
        {
            self.tracks.facts.remove(track);
        }
        self.timers.clear(Timer::Answer(id));
        self.timers.clear(Timer::LateStreams(id));
        self.timers.clear(Timer::Expiry(id));
        if !self.requests.is_ours(id) {
            self.requests.theirs.ended += 1;
        }
        Some(open)
    }

    /// A request of the peer that never entered the table has ended.
    pub(super) fn ended_at_once(&mut self) {
        self.requests.theirs.ended += 1;
    }

    /// Permits more requests, if enough have ended.
    pub(super) fn raise_limit(&mut self) -> Checked {
        match self.requests.theirs.raise() {
            Some(limit) => Ok(self.send(None, &Message::MaxRequestId(limit))?),
            None => Ok(()),
        }
    }

    /// Requests that were never said never will be: the peer is leaving. Gives those of which the application knows.
    pub(super) fn drop_waiting(&mut self) -> Vec<RequestId> {
        let ids: Vec<_> = self.requests.waiting.drain(..).map(|waiting| waiting.id).collect();
        ids.into_iter().filter(|id| !self.is_silent(*id) & self.end(*id).is_some()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(rule: RequestIds, limit: u64) -> TheirIds {
        Requests::new(Side::Server, rule, limit).theirs
    }

    fn code(result: Checked) -> Option<SessionErrorCode> {
        result.err().map(|violation| violation.code)
    }

    #[test]
    fn a_hole_is_filled_once() {
        let mut ids = ids(RequestIds::Unordered, 100);
        assert!(ids.admit(RequestId(4)).is_ok());
        assert!(ids.admit(RequestId(0)).is_ok());
        assert_eq!(code(ids.admit(RequestId(0))), Some(SessionErrorCode::InvalidRequestId));
        assert!(ids.admit(RequestId(2)).is_ok());
        assert!(ids.holes.is_empty());
    }

    #[test]
    fn holes_are_bounded() {
        let mut ids = ids(RequestIds::Unordered, 1 << 40);
        for round in 0..1000 {
            assert!(ids.admit(RequestId(round * 4)).is_ok());
        }
        assert_eq!(ids.holes.len(), MAX_HOLES);
        assert_eq!(code(ids.admit(RequestId(1 << 20))), Some(SessionErrorCode::InvalidRequestId));
    }

    #[test]
    fn the_limit_is_raised_in_batches_and_before_the_peer_runs_dry() {
        let mut ids = ids(RequestIds::Contiguous, 100);
        let mut raised = 0;
        for id in 0..1000 {
            assert!(ids.admit(RequestId(id * 2)).is_ok());
            ids.ended += 1;
            raised += usize::from(ids.raise().is_some());
        }
        assert!((10..=100).contains(&raised), "{raised}");
    }

    #[test]
    fn a_limit_of_one_request_is_raised_each_time() {
        let mut ids = ids(RequestIds::Contiguous, 1);
        assert!(ids.admit(RequestId(0)).is_ok());
        assert_eq!(code(ids.admit(RequestId(2))), Some(SessionErrorCode::TooManyRequests));
        ids.ended += 1;
        assert_eq!(ids.raise(), Some(3));
    }
}
