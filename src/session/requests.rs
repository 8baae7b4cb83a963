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
    FullTrackName, Message, RequestId, RequestKind, RequestUpdate, SessionErrorCode,
};
use moqingbird_wire::{EncodeError, RequestIds};

use super::fetches::{Fetching, Serving};
use super::namespaces::{Announcement, Prefix};
use super::timers::Timer;
use super::tracks::{Receiving, Sending};
use super::waiting::Waiting;
use super::{Checked, Instant, Phase, Session, Side, StreamId, Violation};

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
    by_track: BTreeSet<(FullTrackName, RequestId)>,
    /// Updates by the request that they change.
    updates: BTreeMap<RequestId, Vec<RequestId>>,
    pub(super) ours: OurIds,
    pub(super) theirs: TheirIds,
    pub(super) waiting: VecDeque<Waiting>,
    /// Requests of ours that were withdrawn before their answer came.
    withdrawn: VecDeque<RequestId>,
}

/// The IDs that we give.
#[derive(Debug)]
pub(super) struct OurIds {
    pub(super) next: u64,
    /// What the peer permits: IDs below this.
    pub(super) limit: u64,
    /// The limit of which the peer was told that it blocks us.
    pub(super) blocked_at: Option<u64>,
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
    pub(super) fn take(&mut self) -> RequestId {
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
            by_track: BTreeSet::new(),
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
            Some(Index::Track(track)) => {
                self.by_track.insert((track.clone(), id));
            }
            Some(Index::Update(target)) => self.updates.entry(target).or_default().push(id),
            None => {}
        }
        self.open.insert(id, open);
    }

    fn remove(&mut self, id: RequestId) -> Option<Open> {
        let open = self.open.remove(&id)?;
        match open.body.index() {
            Some(Index::Track(track)) => {
                self.by_track.remove(&(track.clone(), id));
            }
            Some(Index::Update(target)) => forget_in(&mut self.updates, &target, id),
            None => {}
        }
        Some(open)
    }

    /// The subscriptions of the session to a track, and its fetches.
    pub(super) fn of_track(&self, track: &FullTrackName) -> impl Iterator<Item = (RequestId, &Open)> {
        let [first, last] = [0, u64::MAX].map(|id| (track.clone(), RequestId(id)));
        let found = self.by_track.range(first..=last);
        found.filter_map(|(_, id)| Some((*id, self.open.get(id)?)))
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
        if self.phase != Phase::Established {
            return Ok(());
        }
        match self.requests.theirs.raise() {
            Some(limit) => Ok(self.send(None, &Message::MaxRequestId(limit))?),
            None => Ok(()),
        }
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
