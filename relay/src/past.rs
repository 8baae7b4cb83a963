//! FETCH and TRACK_STATUS: answered from the cache, and what that does not know from upstream.

use std::sync::Arc;
use std::time::Duration;

use moqingbird::session::fetch_end;
use moqingbird::wire::Rules;
use moqingbird::wire::model::{
    EndLocation, Fetch, FetchOk, FetchRange, GroupOrder, Location, RangeStatus, RequestError,
    RequestErrorCode, ResetCode, Subscribe,
};
use moqingbird::wire::stream::FetchStreamItem;
use moqingbird::{
    FetchError, FetchSender, Fetched, IncomingFetch, IncomingTrackStatus, PublicationError, RequestFailed,
    Session, TrackInfo,
};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use crate::bridge;
use crate::cache::fill::Range;
use crate::cache::store::{Cursor, Part, Step, Store};
use crate::cache::{Join, Lead};
use crate::core::{Path, PeerId, unknown_track};
use crate::links;
use crate::relay::{Past, Shared};

/// How many items are taken before they are handed to the transport.
const BATCH: usize = 64;
/// How long the fetch of somebody else is followed without anything new.
const PATIENCE: Duration = Duration::from_secs(1);
/// How long what was sent has to arrive before its stream is reset.
const LAST_WORDS: Duration = Duration::from_millis(100);

/// Answers a FETCH.
pub(crate) async fn fetch(shared: Arc<Shared>, peer: PeerId, session: Session, incoming: IncomingFetch) {
    let way = links::path(&incoming.request().authorization_tokens);
    let Some(past) = shared.past(peer, incoming.track(), &way) else {
        return incoming.reject(unknown_track());
    };
    let range = Range { start: incoming.start(), end: incoming.end(), order: order(&incoming) };
    let reply = Reply {
        rules: session.version().draft().rules(),
        has_unknown: session.version().draft().reset_code(ResetCode::UnknownObjectStatus).is_some(),
        state: ReplyState::Unanswered(incoming),
    };
    let mut answer = Answer { past, range, reply };
    let stop = match answer.serve().await {
        Ok(()) => return,
        Err(stop) => stop,
    };
    answer.reply.stop(stop).await;
}

/// Group order where neither side has said which: that of draft-16's default.
fn order(incoming: &IncomingFetch) -> GroupOrder {
    incoming.request().group_order.unwrap_or_default()
}

/// An answer to a FETCH.
struct Answer {
    past: Past,
    range: Range,
    reply: Reply,
}

/// Why an answer ends before it is complete.
enum Stop {
    /// The fetcher has left.
    Gone(PublicationError),
    /// There is nobody who knows what is asked for.
    Refused(RequestError),
    /// What upstream sent ends too early.
    BrokenOff(ResetCode),
}

/// Why a stream from upstream is not passed on to its end, and whether all that was passed on of it is whole.
struct Broken {
    stop: Stop,
    whole: bool,
}

impl<T: Into<Stop>> From<T> for Broken {
    fn from(stop: T) -> Self {
        Self { stop: stop.into(), whole: false }
    }
}

impl From<PublicationError> for Stop {
    fn from(error: PublicationError) -> Self {
        Self::Gone(error)
    }
}

impl Answer {
    async fn serve(&mut self) -> Result<(), Stop> {
        let (track, is_live) = (Arc::clone(&self.past.cached), self.past.is_live);
        let (start, end) = (self.range.start, self.range.end);
        let known = track.read(|store, _| known_end(store, start, end, is_live));
        let ok = match known {
            Known::End { end, end_of_track } => {
                FetchOk { group_order: None, end_of_track, end, extensions: track.extensions() }
            }
            Known::Nothing => {
                let reason = "nothing has been published there yet";
                return Err(Stop::Refused(RequestError::new(RequestErrorCode::InvalidRange, reason)));
            }
            Known::No => match self.ask_for_end().await? {
                Some(ok) => ok,
                None => return self.reply.finish().await,
            },
        };
        self.range.end = ok.end;
        self.reply.granted(ok);
        let mut cursor = Cursor::new(self.range.start, self.range.end, self.range.order);
        loop {
            let changed = track.changed.notified();
            match track.read(|store, now| store.step(&mut cursor, now)) {
                Step::Object(location) => {
                    self.send(location).await?;
                    cursor.pass(location);
                }
                Step::Gap { start, end } => {
                    let gap = Range { start, end, order: self.range.order };
                    if let Some(end) = self.bridge(gap, &cursor, changed).await? {
                        cursor.pass_gap(start, end);
                    }
                }
                Step::End => return self.reply.finish().await,
            }
        }
    }

    /// Has upstream say where the range ends: by the fetch of somebody else for the same, or by one of its own, which then
    /// is the whole answer (`None`).
    async fn ask_for_end(&mut self) -> Result<Option<FetchOk>, Stop> {
        loop {
            match self.past.cached.join(self.range, true, false) {
                Join::Lead(lead) => {
                    self.lead(lead).await?;
                    return Ok(None);
                }
                Join::Follow(mut answer) => {
                    let told = tokio::select! {
                        told = answer.wait_for(Option::is_some) => told.ok().and_then(|told| told.clone()),
                        () = self.reply.cancelled() => return Err(Stop::Gone(PublicationError::Cancelled)),
                    };
                    if told.is_some() {
                        return Ok(told);
                    }
                }
            }
        }
    }

    /// Gets what is not known from upstream. How far it has gone out; if it has not, more is known than before.
    async fn bridge(
        &mut self,
        gap: Range,
        cursor: &Cursor,
        changed: tokio::sync::futures::Notified<'_>,
    ) -> Result<Option<EndLocation>, Stop> {
        // What is known goes out meanwhile.
        self.reply.flush().await?;
        match self.past.cached.join(gap, false, false) {
            Join::Follow(answer) => {
                if self.follow(answer, changed).await? {
                    return Ok(None);
                }
                // It does not get on: perhaps its fetcher does not read.
                match self.past.cached.join(gap, false, true) {
                    Join::Lead(lead) => self.lead_within(lead, cursor).await.map(Some),
                    Join::Follow(_) => Ok(None),
                }
            }
            Join::Lead(lead) => self.lead_within(lead, cursor).await.map(Some),
        }
    }

    /// Waits for the fetch of somebody else. Whether it gets on.
    async fn follow(
        &self,
        mut answer: watch::Receiver<Option<FetchOk>>,
        changed: tokio::sync::futures::Notified<'_>,
    ) -> Result<bool, Stop> {
        let over = async { while answer.changed().await.is_ok() {} };
        tokio::select! {
            waited = timeout(PATIENCE, changed) => Ok(waited.is_ok()),
            () = over => Ok(true),
            () = self.reply.cancelled() => Err(Stop::Gone(PublicationError::Cancelled)),
        }
    }

    /// Fetches what is missing within an answer. How far that went.
    async fn lead_within(&mut self, lead: Lead, cursor: &Cursor) -> Result<EndLocation, Stop> {
        let (gap, is_first) = (lead.range(), self.reply.is_unanswered());
        match self.lead(lead).await {
            Ok(end) => Ok(end),
            // What comes first is lost to us, and nobody else has it: the rest is better than nothing.
            Err(Stop::Refused(error)) if is_first => {
                let mut rest = *cursor;
                rest.pass_gap(gap.start, gap.end);
                let has_more =
                    self.past.cached.read(|store, now| matches!(store.step(&mut rest, now), Step::Object(_)));
                if !has_more || gap.order == GroupOrder::Descending {
                    return Err(Stop::Refused(error));
                }
                self.reply.unknown(gap.end).await?;
                Ok(gap.end)
            }
            Err(stop) => Err(stop),
        }
    }

    /// Fetches from the first upstream that grants it, into the cache and to the fetcher at once. What breaks off behind an
    /// object the next goes on with. How far that went: an upstream that is not so far itself grants less.
    async fn lead(&mut self, mut lead: Lead) -> Result<EndLocation, Stop> {
        let mut refused = Stop::Refused(unknown_track());
        let Range { mut start, end, order } = lead.range();
        for upstream in self.past.upstreams.clone() {
            let track = self.past.name.clone();
            let fetch = Fetch {
                group_order: Some(order),
                authorization_tokens: links::tokens_for(&upstream, &self.past.path),
                ..Fetch::new(FetchRange::Standalone { track, start, end })
            };
            let begun = tokio::select! {
                begun = begin(&upstream, fetch) => begun,
                () = self.reply.cancelled() => return Err(Stop::Gone(PublicationError::Cancelled)),
            };
            match begun {
                Ok((fetched, ok, first)) => {
                    lead.granted(&ok);
                    self.reply.granted(FetchOk { group_order: None, ..ok });
                    match self.copy(fetched, first, &mut lead).await {
                        Ok(()) => return Ok(lead.range().end),
                        Err(Broken { stop, whole: true }) if lead.rest().is_some() => {
                            (refused, start) = (stop, lead.rest().unwrap_or(start));
                        }
                        Err(Broken { stop, .. }) => return Err(stop),
                    }
                }
                Err(FetchError::Rejected(rejected)) if rejected.error.code == RequestErrorCode::NoObjects => {
                    let extensions = self.past.cached.extensions();
                    self.reply.granted(FetchOk { group_order: None, end_of_track: false, end, extensions });
                    lead.nothing();
                    return Ok(end);
                }
                Err(FetchError::Rejected(rejected)) if matches!(refused, Stop::Refused(_)) => {
                    refused = Stop::Refused(bridge::request_error(rejected.error));
                }
                Err(error) => {
                    tracing::debug!(%error, "no upstream fetch");
                    if let Stop::Refused(refused) = &mut refused {
                        let reason = "the track's publisher was lost";
                        *refused = RequestError::new(RequestErrorCode::InternalError, reason);
                    }
                }
            }
        }
        Err(refused)
    }

    /// Passes a stream on as it comes.
    async fn copy(
        &mut self,
        mut fetched: Fetched,
        first: FetchStreamItem,
        lead: &mut Lead,
    ) -> Result<(), Broken> {
        let mut items = vec![first];
        // How much of the last object is still to come.
        let mut left = 0;
        loop {
            let mut error = None;
            while items.len() < BATCH && items.last() != Some(&FetchStreamItem::End) {
                match fetched.try_next_item() {
                    Ok(Some(item)) => items.push(item),
                    Ok(None) => break,
                    Err(broken) => {
                        error = Some(broken);
                        break;
                    }
                }
            }
            lead.take(&items);
            for item in items.drain(..) {
                match item {
                    FetchStreamItem::Object(header) => {
                        left = header.payload_length;
                        self.reply.sender()?.begin_bridged(&header)?;
                    }
                    FetchStreamItem::Payload(part) => {
                        left = left.saturating_sub(part.len() as u64);
                        self.reply.sender()?.add(part)?;
                    }
                    FetchStreamItem::EndOfRange { end, status } => self.reply.end_of_range(end, status)?,
                    _ => return Ok(()),
                }
            }
            self.reply.flush().await?;
            let next = match error {
                Some(error) => Err(error),
                None => tokio::select! {
                    item = fetched.next_item() => item,
                    () = self.reply.cancelled() => return Err(Stop::Gone(PublicationError::Cancelled).into()),
                },
            };
            match next {
                Ok(Some(item)) => items.push(item),
                Ok(None) => return Ok(()),
                Err(error) => {
                    tracing::debug!(%error, "an upstream fetch was broken off");
                    let whole = left == 0 && !matches!(error, FetchError::Malformed(_));
                    let stop = Stop::BrokenOff(match error {
                        FetchError::Reset(code) => bridge::reset(code),
                        FetchError::Malformed(_) => ResetCode::MalformedTrack,
                        _ => ResetCode::InternalError,
                    });
                    return Err(Broken { stop, whole });
                }
            }
        }
    }

    /// Sends an object that is kept, or is still coming.
    async fn send(&mut self, location: Location) -> Result<(), Stop> {
        let track = Arc::clone(&self.past.cached);
        let Some(header) = track.read(|store, _| store.header(location).cloned()) else { return Ok(()) };
        self.reply.sender()?.begin_bridged(&header)?;
        for number in 0.. {
            loop {
                let changed = track.changed.notified();
                match track.read(|store, _| store.part(location, number)) {
                    Part::Payload(part) => break self.reply.sender()?.add(part)?,
                    Part::End => return self.reply.sent().await,
                    Part::Lost => return Err(Stop::BrokenOff(ResetCode::InternalError)),
                    Part::Later => {
                        self.reply.flush().await?;
                        tokio::select! {
                            () = changed => {}
                            () = self.reply.cancelled() => return Err(Stop::Gone(PublicationError::Cancelled)),
                        }
                    }
                }
            }
        }
        Ok(())
    }
}

/// What is known of the end of a range.
enum Known {
    /// It is here, and perhaps that of the track.
    End { end: EndLocation, end_of_track: bool },
    /// There is nothing at its start or behind.
    Nothing,
    /// Upstream has to be asked.
    No,
}

/// Where the track's end may be elsewhere, a range that goes beyond what is known here has no known end.
fn known_end(store: &Store, start: Location, asked: EndLocation, is_live: bool) -> Known {
    match store.largest() {
        Some(largest) if start <= largest => {
            let end = fetch_end(asked, largest, store.is_complete());
            let end_of_track = store.is_complete() && end.reaches(largest);
            if is_live || end == asked { Known::End { end, end_of_track } } else { Known::No }
        }
        Some(_) if is_live => Known::Nothing,
        _ => Known::No,
    }
}

/// What a publisher answers, and the first of its stream: until that has come the FETCH can be declined, and passed on
/// elsewhere.
async fn begin(upstream: &Session, fetch: Fetch) -> Result<(Fetched, FetchOk, FetchStreamItem), FetchError> {
    let mut fetched = match upstream.fetch(fetch).await {
        Ok(fetched) => fetched,
        Err(RequestFailed::Rejected(rejected)) => return Err(FetchError::Rejected(rejected)),
        Err(_) => return Err(FetchError::Closed(upstream.closed().await)),
    };
    let first = fetched.next_item().await?.unwrap_or(FetchStreamItem::End);
    let ok = fetched.ok().await?;
    Ok((fetched, ok, first))
}

/// The way back to the fetcher. FETCH_OK is said when there is something to send, or nothing at all: until then the FETCH
/// can be declined.
struct Reply {
    rules: &'static Rules,
    /// Whether the fetcher's draft has words for what is not known.
    has_unknown: bool,
    state: ReplyState,
}

enum ReplyState {
    /// Nothing is known of the answer.
    Unanswered(IncomingFetch),
    /// The answer is known, and not said yet.
    Granted(IncomingFetch, FetchOk),
    /// Objects are sent; so many since they were last handed over.
    Sending(FetchSender, usize),
    Over,
}

impl Reply {
    const fn is_unanswered(&self) -> bool {
        matches!(self.state, ReplyState::Unanswered(_) | ReplyState::Granted(..))
    }

    /// What the answer is; the first word counts.
    fn granted(&mut self, ok: FetchOk) {
        let extensions = bridge::track_extensions(ok.extensions, self.rules);
        let ok = FetchOk { group_order: None, extensions, ..ok };
        self.state = match std::mem::replace(&mut self.state, ReplyState::Over) {
            ReplyState::Unanswered(incoming) => ReplyState::Granted(incoming, ok),
            state => state,
        };
    }

    fn sender(&mut self) -> Result<&mut FetchSender, Stop> {
        if let ReplyState::Granted(..) = self.state
            && let ReplyState::Granted(incoming, ok) = std::mem::replace(&mut self.state, ReplyState::Over)
        {
            self.state = ReplyState::Sending(incoming.accept(ok)?, 0);
        }
        match &mut self.state {
            ReplyState::Sending(sender, _) => Ok(sender),
            _ => Err(Stop::Gone(PublicationError::Cancelled)),
        }
    }

    /// An object is complete.
    async fn sent(&mut self) -> Result<(), Stop> {
        if let ReplyState::Sending(_, waiting) = &mut self.state {
            *waiting += 1;
            if *waiting >= BATCH {
                self.flush().await?;
            }
        }
        Ok(())
    }

    async fn flush(&mut self) -> Result<(), Stop> {
        if let ReplyState::Sending(sender, waiting) = &mut self.state {
            *waiting = 0;
            sender.flush().await?;
        }
        Ok(())
    }

    /// Nothing comes up to a location, or it is not known what. What cannot be said of a range is never left out: the
    /// stream is given up.
    fn end_of_range(&mut self, end: Location, status: RangeStatus) -> Result<(), Stop> {
        match self.sender()?.end_of_range(end, status) {
            Err(PublicationError::Encode(_)) if status == RangeStatus::NonExistent => Ok(()),
            Err(PublicationError::Encode(_)) => Err(Stop::BrokenOff(ResetCode::InternalError)),
            said => Ok(said?),
        }
    }

    /// It is not known what there is from the beginning to a location.
    async fn unknown(&mut self, end: EndLocation) -> Result<(), Stop> {
        if !self.has_unknown {
            let reason = "the beginning of the range is not known any more";
            return Err(Stop::Refused(RequestError::new(RequestErrorCode::UnknownStatusInRange, reason)));
        }
        let end = Location::new(end.group, end.object.unwrap_or(MAX_OBJECT));
        self.end_of_range(end, RangeStatus::Unknown)?;
        self.flush().await
    }

    async fn finish(&mut self) -> Result<(), Stop> {
        match std::mem::replace(&mut self.state, ReplyState::Over) {
            ReplyState::Granted(incoming, ok) => Ok(incoming.accept_empty(ok).await?),
            ReplyState::Sending(sender, _) => Ok(sender.finish().await?),
            ReplyState::Unanswered(_) | ReplyState::Over => Ok(()),
        }
    }

    async fn cancelled(&self) {
        match &self.state {
            ReplyState::Unanswered(incoming) | ReplyState::Granted(incoming, _) => incoming.cancelled().await,
            ReplyState::Sending(sender, _) => sender.cancelled().await,
            ReplyState::Over => {}
        }
    }

    /// Ends an answer that is not complete: never as if it were.
    async fn stop(mut self, stop: Stop) {
        if !matches!(stop, Stop::Gone(_)) {
            // A reset overtakes what it follows closely, and a stream whose beginning was not seen ends unheard.
            let _ = timeout(PATIENCE, self.flush()).await;
            if matches!(self.state, ReplyState::Sending(..)) {
                sleep(LAST_WORDS).await;
            }
        }
        let unknown =
            if self.has_unknown { ResetCode::UnknownObjectStatus } else { ResetCode::InternalError };
        let lost = || RequestError::new(RequestErrorCode::InternalError, "the track's publisher was lost");
        match (self.state, stop) {
            (_, Stop::Gone(error)) => tracing::debug!(%error, "a fetcher left before it had everything"),
            (ReplyState::Sending(sender, _), Stop::BrokenOff(code)) => sender.reset(code),
            (ReplyState::Sending(sender, _), Stop::Refused(_)) => sender.reset(unknown),
            (ReplyState::Unanswered(incoming) | ReplyState::Granted(incoming, _), stop) => match stop {
                Stop::Refused(error) => incoming.reject(error),
                _ => incoming.reject(lost()),
            },
            (ReplyState::Over, _) => {}
        }
    }
}

/// The largest number that the drafts' integers hold.
const MAX_OBJECT: u64 = (1 << 62) - 1;

/// Answers a TRACK_STATUS.
pub(crate) async fn track_status(
    shared: Arc<Shared>,
    peer: PeerId,
    session: Session,
    incoming: IncomingTrackStatus,
) {
    let asked = incoming.request();
    let way = links::path(&asked.authorization_tokens);
    let Some(Past { fanout, upstreams, path, .. }) = shared.past(peer, &asked.track, &way) else {
        return incoming.reject(unknown_track());
    };
    let rules = session.version().draft().rules();
    let known = match fanout {
        Some(fanout) => Ok(TrackInfo {
            largest: fanout.track().largest(),
            extensions: fanout.extensions(),
            ..TrackInfo::default()
        }),
        None => ask(&incoming, &upstreams, &path).await,
    };
    match known {
        Ok(info) => {
            let info = TrackInfo { extensions: bridge::track_extensions(info.extensions, rules), ..info };
            if let Err(error) = incoming.accept(info) {
                tracing::debug!(%error, "the asker left before it was answered");
            }
        }
        Err(error) => incoming.reject(error),
    }
}

/// Asks the first publisher that answers.
async fn ask(
    incoming: &IncomingTrackStatus,
    upstreams: &[Session],
    path: &Path,
) -> Result<TrackInfo, RequestError> {
    let mut refused = unknown_track();
    for upstream in upstreams {
        let asked = Subscribe {
            authorization_tokens: links::tokens_for(upstream, path),
            ..Subscribe::new(incoming.request().track.clone())
        };
        match upstream.track_status(asked).await {
            Ok(info) => return Ok(info),
            Err(RequestFailed::Rejected(rejected)) => refused = bridge::request_error(rejected.error),
            Err(error) => tracing::debug!(%error, "no track status"),
        }
    }
    Err(refused)
}
