//! FETCH, both ways (draft-14 §9.16 to §9.19, draft-16 §9.16 to §9.18).
//!
//! The answer and the one data stream are independent: either may come, and end, before the other.
//!
//! ```text
//! ours:   Asked ──── FETCH_OK and the stream's end, in any order ────▶ gone
//!           └─────── FETCH_ERROR, or FETCH_CANCEL by us ────────────────▲
//! theirs: Joining ── SUBSCRIBE_OK ──▶ Pending ── the same ─────────────▶ gone
//! ```

use moqingbird_wire::EncodeError;
use moqingbird_wire::model::{
    DEFAULT_PRIORITY, EndLocation, ErrorContext, Fetch, FetchOk, FetchRange, FullTrackName, GroupOrder,
    Location, Message, Opening, Request, RequestError, RequestErrorCode, RequestId, RequestKind,
    RequestUpdate, Response, SubgroupId, SubscriptionFilter, Target, TrackExtensions,
};

use super::requests::{Body, Open, Stage};
use super::timers::Timer;
use super::{Checked, Direction, Event, Instant, Misuse, Output, Session, StreamId, Violation, priority};

/// The stream of a FETCH to open.
#[derive(Clone, Copy, Debug)]
pub struct OpenedFetch {
    /// Its number: [`Output::Reset`] and [`Output::Priority`] may name it, until [`Input::DataSettled`] does.
    ///
    /// [`Input::DataSettled`]: super::Input::DataSettled
    pub stream: StreamId,
    /// The request, which its first bytes name.
    pub request_id: RequestId,
    /// Its place in the order of sending; higher goes first.
    pub order: i32,
}

/// The End Location of a FETCH_OK (draft-14 §9.17, draft-16 §9.17), when a FETCH asked for what is up to `requested`,
/// `largest` is the largest location that is known, and `is_complete` tells whether its group has no further object.
pub fn fetch_end(requested: EndLocation, largest: Location, is_complete: bool) -> EndLocation {
    let whole = EndLocation { group: requested.group, object: None };
    let cut = EndLocation { group: largest.group, object: Some(largest.object) };
    let within = match requested.object {
        Some(object) => Location::new(requested.group, object) <= largest,
        None => requested.group < largest.group,
    };
    match within {
        true => requested,
        false if is_complete && whole == requested && requested.group == largest.group => requested,
        false => cut,
    }
}

/// What a Joining FETCH refers to: a subscription as it was when it was accepted, whatever has been updated since.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Joint {
    pub(super) filter: Option<SubscriptionFilter>,
    pub(super) largest: Option<Location>,
}

impl Joint {
    /// draft-14 §9.16.2, draft-16 §9.16.2: only such a subscription begins where the FETCH ends.
    fn takes_joining(self) -> bool {
        self.filter == Some(SubscriptionFilter::LargestObject)
    }

    /// The locations that precede the subscription. `None`: there are none (draft-14 §9.16.2.1, draft-16 §9.16.2.1). More
    /// groups than there were, for which no draft has a rule, are all of them.
    fn range(self, asked: &FetchRange) -> Option<(Location, EndLocation)> {
        let largest = self.largest?;
        let start_group = match asked {
            FetchRange::RelativeJoining { groups_before, .. } => largest.group.saturating_sub(*groups_before),
            FetchRange::AbsoluteJoining { start_group, .. } => *start_group,
            _ => return None,
        };
        let end = EndLocation { group: largest.group, object: Some(largest.object) };
        (start_group <= largest.group).then_some((Location::new(start_group, 0), end))
    }
}

/// A FETCH of ours.
#[derive(Debug)]
pub(super) struct Fetching {
    range: FetchRange,
    pub(super) track: FullTrackName,
    pub(super) stream: Arrival,
}

/// How far the one stream of a FETCH is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arrival {
    Awaited,
    Open(StreamId),
    Ended,
}

/// A FETCH of the peer.
#[derive(Debug)]
pub(super) struct Serving {
    /// What is asked. A joining range becomes that which it stands for as soon as the subscription is accepted.
    pub(super) fetch: Fetch,
    pub(super) stream: Arrival,
    publisher_priority: u8,
}

impl Serving {
    /// Whether it waits for our answer to the SUBSCRIBE that it joins. The application does not know of it then.
    pub(super) const fn is_joining(&self) -> bool {
        !matches!(self.fetch.range, FetchRange::Standalone { .. })
    }

    pub(super) fn update(&mut self, update: &RequestUpdate) {
        let Fetch { subscriber_priority, authorization_tokens, .. } = &mut self.fetch;
        *subscriber_priority = update.subscriber_priority.unwrap_or(*subscriber_priority);
        authorization_tokens.extend(update.authorization_tokens.iter().cloned());
    }

    pub(super) fn order(&self) -> i32 {
        let subscriber = self.fetch.subscriber_priority;
        priority::order(subscriber, self.publisher_priority, GroupOrder::Ascending, 0, 0, SubgroupId::Zero)
    }
}

const fn joined(range: &FetchRange) -> Option<RequestId> {
    match range {
        FetchRange::RelativeJoining { subscription, .. }
        | FetchRange::AbsoluteJoining { subscription, .. } => Some(*subscription),
        _ => None,
    }
}

/// Ours.
impl Session {
    /// Whether a FETCH of ours makes sense.
    pub(super) fn new_fetch(&self, fetch: &Fetch) -> Result<Body, Misuse> {
        const EMPTY: Misuse = Misuse::WrongState("the range ends before it starts");
        let track = match &fetch.range {
            FetchRange::Standalone { track, start, end } => {
                if !end.reaches(*start) {
                    return Err(EMPTY);
                }
                track.clone()
            }
            range => {
                let open = joined(range).and_then(|id| self.requests.open.get(&id));
                let open = open.ok_or(Misuse::UnknownRequest)?;
                let Body::Receiving(receiving) = &open.body else { return Err(Misuse::WrongKind) };
                if open.stage == Stage::Pending || receiving.done.is_some() {
                    return Err(Misuse::WrongState("the subscription is not accepted, or has ended"));
                }
                if !receiving.joint.takes_joining() {
                    return Err(Misuse::WrongState("the subscription's filter is not Largest Object"));
                }
                if open.stage == Stage::Granted && receiving.joint.range(range).is_none() {
                    return Err(Misuse::WrongState("nothing precedes the subscription"));
                }
                receiving.track.clone()
            }
        };
        let fetching = Fetching { range: fetch.range.clone(), track, stream: Arrival::Awaited };
        Ok(Body::Fetching(Box::new(fetching)))
    }

    /// FETCH_OK may not end before what was asked for starts (draft-14 §9.17, draft-16 §9.17).
    pub(super) fn check_fetch_ok(&self, id: RequestId, ok: &FetchOk) -> Checked {
        let Some(Open { body: Body::Fetching(fetching), .. }) = self.requests.open.get(&id) else {
            return Ok(());
        };
        let start = match &fetching.range {
            FetchRange::Standalone { start, .. } => Some(*start),
            FetchRange::AbsoluteJoining { start_group, .. } => Some(Location::new(*start_group, 0)),
            // Not known any more if the subscription has ended.
            range => joined(range).and_then(|id| match &self.requests.open.get(&id)?.body {
                Body::Receiving(receiving) => receiving.joint.range(range).map(|(start, _)| start),
                _ => None,
            }),
        };
        match start {
            Some(start) if !ok.end.reaches(start) => {
                Err(Violation::protocol(format!("FETCH_OK of request {id} ends before {start}, its start")))
            }
            _ => Ok(()),
        }
    }

    /// The stream that answers a FETCH. One of a FETCH that has ended is late; a second one, or one that nobody asked
    /// for, is not wanted.
    pub(super) fn fetch_arrived(&mut self, stream: StreamId, id: RequestId) {
        let said = |stage| matches!(stage, Stage::Asked | Stage::Granted);
        match self.requests.open.get_mut(&id) {
            Some(Open { stage, body: Body::Fetching(fetching), .. })
                if said(*stage) && fetching.stream == Arrival::Awaited =>
            {
                fetching.stream = Arrival::Open(stream);
                self.timers.clear(Timer::Answer(id));
                self.tracks.delivered.insert(stream, id);
                self.outputs.push_back(Output::Deliver { stream, to: id });
            }
            _ => self.stop_stream(stream),
        }
    }

    /// The stream of our FETCH has ended. The answer may still be to come; that it comes is not left to hope.
    pub(super) fn fetch_stream_ended(&mut self, now: Instant, id: RequestId) {
        let Some(Open { stage, body: Body::Fetching(fetching), .. }) = self.requests.open.get_mut(&id) else {
            return;
        };
        fetching.stream = Arrival::Ended;
        match stage {
            Stage::Granted => {
                self.end(id);
            }
            _ => self.timers.set(Timer::Answer(id), now + self.config.response_timeout),
        }
    }

    /// Our FETCH was granted: it is over if its stream is. If that is still to come it must come in time.
    pub(super) fn fetch_granted(&mut self, now: Instant, id: RequestId) {
        let Some(Open { body: Body::Fetching(fetching), .. }) = self.requests.open.get(&id) else { return };
        match fetching.stream {
            Arrival::Awaited => self.timers.set(Timer::Answer(id), now + self.config.fetch_stream_timeout),
            Arrival::Open(_) => {}
            Arrival::Ended => {
                self.end(id);
            }
        }
    }

    /// Forgets a FETCH of ours. Its stream, if it is open, stays with whoever reads it.
    pub(super) fn forget_fetching(&mut self, id: RequestId) {
        if let Some(Open { body: Body::Fetching(fetching), .. }) = self.end(id)
            && let Arrival::Open(stream) = fetching.stream
        {
            self.tracks.delivered.remove(stream);
        }
    }
}

/// The peer's.
impl Session {
    pub(super) fn fetch_received(&mut self, id: RequestId, fetch: Fetch) -> Checked {
        let decline =
            |session: &mut Self, code, reason| session.decline(None, id, RequestKind::Fetch, code, reason);
        let Some(subscription) = joined(&fetch.range) else {
            return match &fetch.range {
                FetchRange::Standalone { start, end, .. } if !end.reaches(*start) => {
                    decline(self, RequestErrorCode::InvalidRange, "the range ends before it starts")
                }
                _ => {
                    let body = serving(fetch.clone());
                    self.pending(None, id, Request::Fetch(fetch), body);
                    Ok(())
                }
            };
        };
        match self.requests.open.get_mut(&subscription) {
            Some(Open {
                stage: stage @ (Stage::Pending | Stage::Granted),
                body: Body::Sending(sending),
                ..
            }) => {
                if !sending.joint.takes_joining() {
                    let reason = format!(
                        "request {id} joins request {subscription}, whose filter is not Largest Object"
                    );
                    return Err(Violation::protocol(reason));
                }
                let accepted = *stage == Stage::Granted;
                if !accepted {
                    sending.joiners.push(id);
                }
                let open = Open {
                    kind: RequestKind::Fetch,
                    stage: Stage::Pending,
                    lane: None,
                    body: serving(fetch),
                };
                self.requests.insert(id, open);
                if accepted {
                    self.join(id, subscription)?;
                }
                self.raise_limit()
            }
            _ => {
                let reason = "there is no such subscription";
                decline(self, RequestErrorCode::InvalidJoiningRequestId, reason)
            }
        }
    }

    /// The subscription that a FETCH joins is accepted: it is told to the application as the standalone FETCH that it
    /// amounts to.
    fn join(&mut self, id: RequestId, subscription: RequestId) -> Result<(), EncodeError> {
        let Some(sending) = self.requests.sending(subscription) else { return Ok(()) };
        let (track, joint) = (sending.state.track.clone(), sending.joint);
        let Some(serving) = self.serving(id) else { return Ok(()) };
        if let Some((start, end)) = joint.range(&serving.fetch.range) {
            serving.fetch.range = FetchRange::Standalone { track, start, end };
            let request = Request::Fetch(serving.fetch.clone());
            self.event(Event::Request { id, request });
            return Ok(());
        }
        self.refuse_joining(id, RequestErrorCode::InvalidRange, "nothing precedes the subscription")
    }

    /// The SUBSCRIBE is accepted that these FETCHes wait for.
    pub(super) fn join_all(&mut self, subscription: RequestId) -> Result<(), EncodeError> {
        let Some(sending) = self.requests.sending(subscription) else { return Ok(()) };
        for id in std::mem::take(&mut sending.joiners) {
            self.join(id, subscription)?;
        }
        Ok(())
    }

    /// It never will be.
    pub(super) fn refuse_joiners(&mut self, joiners: Vec<RequestId>) -> Result<(), EncodeError> {
        for id in joiners {
            if self.serving(id).is_some() {
                let reason = "the subscription has ended";
                self.refuse_joining(id, RequestErrorCode::InvalidJoiningRequestId, reason)?;
            }
        }
        Ok(())
    }

    fn refuse_joining(
        &mut self,
        id: RequestId,
        code: RequestErrorCode,
        reason: &'static str,
    ) -> Result<(), EncodeError> {
        self.end(id);
        self.answer_error(None, id, RequestKind::Fetch, code, reason)
    }

    pub(super) fn serving(&mut self, id: RequestId) -> Option<&mut Serving> {
        match &mut self.requests.open.get_mut(&id)?.body {
            Body::Serving(serving) => Some(serving),
            _ => None,
        }
    }

    /// FETCH_CANCEL: the stream is reset (draft-14 §5.1, draft-16 §5.2).
    pub(super) fn fetch_cancelled(&mut self, id: RequestId) -> Checked {
        let told = match self.known(id)?.map(|open| &open.body) {
            Some(Body::Serving(serving)) => !serving.is_joining(),
            Some(_) => {
                return Err(Violation::protocol(format!("FETCH_CANCEL of request {id}, which is no FETCH")));
            }
            None => return Ok(()),
        };
        self.forget_serving(id);
        if told {
            self.event(Event::Cancelled { id });
        }
        self.raise_limit()
    }

    /// Forgets a FETCH of the peer, and resets its stream.
    pub(super) fn forget_serving(&mut self, id: RequestId) {
        if let Some(Open { body: Body::Serving(serving), .. }) = self.end(id)
            && let Arrival::Open(stream) = serving.stream
        {
            self.tracks.sent.remove(stream);
            self.reset_stream(stream);
        }
    }

    /// FETCH_OK. The order of groups is stated where the draft wants it: the one asked for, or else that of `ok`.
    pub(super) fn accept_fetch(&mut self, id: RequestId, mut ok: FetchOk) -> Result<(), Misuse> {
        let states_order = self.rules.ok_states_order;
        let serving = self.serving(id).ok_or(Misuse::WrongKind)?;
        if let FetchRange::Standalone { start, .. } = &serving.fetch.range
            && !ok.end.reaches(*start)
        {
            return Err(Misuse::WrongState("the response ends before the range starts"));
        }
        let order = serving.fetch.group_order.or(ok.group_order).unwrap_or_default();
        let over = serving.stream == Arrival::Ended;
        ok.group_order = states_order.then_some(order);
        ok.extensions = self.extensions_of_fetch(&ok.extensions);
        self.send(None, &Message::Response { target: Target::Id(id), response: Response::Fetch(ok) })?;
        self.set_granted(id);
        if over {
            self.end(id);
        }
        Ok(())
    }

    /// Drafts without track extensions tell of a fetched track how long it may be cached, and no more.
    fn extensions_of_fetch(&self, extensions: &TrackExtensions) -> TrackExtensions {
        if self.rules.track_extensions {
            return extensions.clone();
        }
        TrackExtensions { max_cache_duration: extensions.max_cache_duration, ..TrackExtensions::default() }
    }

    /// Opens the stream of a FETCH of the peer, before or after it is accepted: the caller opens a unidirectional stream,
    /// writes what [`FetchWriter`](moqingbird_wire::stream::FetchWriter) gives, and reports its end by
    /// [`Input::DataSettled`](super::Input::DataSettled) whatever that end is. `publisher_priority` is that of its first
    /// object.
    ///
    /// # Errors
    /// The request is no FETCH of the peer, or it has had its stream: there is one only.
    pub fn open_fetch(&mut self, id: RequestId, publisher_priority: u8) -> Result<OpenedFetch, Misuse> {
        let open = self.requests.open.get(&id).ok_or(Misuse::UnknownRequest)?;
        match &open.body {
            Body::Serving(serving) if serving.stream == Arrival::Awaited && !serving.is_joining() => {}
            Body::Serving(_) => return Err(Misuse::WrongState("a FETCH is answered by one stream only")),
            _ => return Err(Misuse::WrongKind),
        }
        let stream = self.new_stream();
        let serving = self.serving(id).ok_or(Misuse::WrongKind)?;
        serving.stream = Arrival::Open(stream);
        serving.publisher_priority = publisher_priority;
        let order = serving.order();
        self.tracks.sent.insert(stream, id);
        self.trace_stream(Direction::Sent, stream, &Opening::Fetch(id));
        Ok(OpenedFetch { stream, request_id: id, order })
    }

    /// Answers a FETCH of the peer whose range holds no object: NO_OBJECTS where the draft has that code (draft-14
    /// §9.16.3), otherwise `ok` and a stream, which the caller opens, begins and finishes (draft-16 §9.16.3).
    ///
    /// # Errors
    /// As [`Session::accept`] and [`Session::open_fetch`].
    pub fn serve_nothing(
        &mut self,
        now: Instant,
        id: RequestId,
        ok: FetchOk,
    ) -> Result<Option<OpenedFetch>, Misuse> {
        let context = ErrorContext::Request(RequestKind::Fetch);
        let code = RequestErrorCode::NoObjects;
        if self.draft.request_code(context, code).is_some() {
            self.reject(now, id, RequestError::new(code, "the range holds no object"))?;
            return Ok(None);
        }
        self.accept(now, id, Response::Fetch(ok))?;
        self.open_fetch(id, DEFAULT_PRIORITY).map(Some)
    }

    /// The stream of a FETCH of the peer has settled.
    pub(super) fn served(&mut self, id: RequestId) -> Checked {
        let Some(Open { stage, body: Body::Serving(serving), .. }) = self.requests.open.get_mut(&id) else {
            return Ok(());
        };
        serving.stream = Arrival::Ended;
        if *stage == Stage::Granted {
            self.end(id);
        }
        self.raise_limit()
    }
}

fn serving(fetch: Fetch) -> Body {
    let publisher_priority = DEFAULT_PRIORITY;
    Body::Serving(Box::new(Serving { fetch, stream: Arrival::Awaited, publisher_priority }))
}

#[cfg(test)]
mod tests {
    use moqingbird_ledger::covers;

    use super::*;

    #[test]
    fn end_of_a_response_is_what_was_asked_for_unless_there_is_less() {
        covers!("D14-9.17-05", "D14-9.17-06", "D14-9.17-07", "D16-9.17-04");
        let end = |group, object| EndLocation { group, object };
        let largest = Location::new(5, 3);
        for (requested, is_complete, expected) in [
            (end(9, None), false, end(5, Some(3))),
            (end(5, Some(9)), false, end(5, Some(3))),
            (end(5, None), false, end(5, Some(3))),
            (end(5, None), true, end(5, None)),
            (end(9, None), true, end(5, Some(3))),
            (end(4, None), false, end(4, None)),
            (end(4, Some(7)), false, end(4, Some(7))),
            (end(5, Some(3)), true, end(5, Some(3))),
        ] {
            assert_eq!(fetch_end(requested, largest, is_complete), expected, "{requested:?}");
        }
    }

    #[test]
    fn joining_ranges_end_where_the_subscription_begins() {
        let subscription = RequestId(0);
        let at = |largest| Joint { filter: Some(SubscriptionFilter::LargestObject), largest };
        let relative = |groups_before| FetchRange::RelativeJoining { subscription, groups_before };
        let absolute = |start_group| FetchRange::AbsoluteJoining { subscription, start_group };
        let start = |asked| at(Some(Location::new(9, 4))).range(&asked).map(|(start, _)| start.group);
        assert_eq!(start(relative(2)), Some(7));
        assert_eq!(start(relative(0)), Some(9));
        assert_eq!(start(relative(50)), Some(0));
        assert_eq!(start(absolute(3)), Some(3));
        assert_eq!(start(absolute(10)), None);
        assert!(at(None).range(&relative(0)).is_none());
    }
}
