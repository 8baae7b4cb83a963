//! A track as its reader wants it: one sequence, whatever session brings it.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use futures_util::future::{AbortHandle, Abortable, BoxFuture, FutureExt};
use futures_util::stream::{FuturesUnordered, StreamExt};
use moqingbird_wire::model::{
    EndLocation, FullTrackName, GroupOrder, Location, PublishDone, PublishDoneCode, Subscribe,
    SubscriptionFilter,
};
use tokio::time::Instant;

use super::merge::{Arrived, Closed as StreamClosed, Merge, Output};
use super::source::{Begun, Live, LiveStream, Past, PastItem};
use super::{GapCause, ReadError, ReadOptions, Start, Track, TrackEvent, TrackObject};
use crate::api::Session;
use crate::backoff::Backoff;
use crate::session;

/// A track as one sequence of objects: each once, the fetched past and the live part without a seam. What cannot be had is
/// told as a [`Gap`](super::Gap), never left out in silence.
///
/// While nobody calls [`TrackSubscription::next`], nothing is read: QUIC's flow control stops the publisher. Dropping it
/// unsubscribes.
///
/// Made by [`TrackSubscription::open`] it ends with its session. Made by [`Origin::subscribe`] it goes on with the next
/// session, fetching what was published meanwhile.
///
/// [`Origin::subscribe`]: crate::Origin::subscribe
pub struct TrackSubscription {
    name: FullTrackName,
    options: ReadOptions,
    provider: Option<Arc<dyn Provider>>,
    merge: Merge<TrackObject>,
    clock: Instant,
    phase: Phase,
    /// It has been granted once.
    begun: bool,
    largest: Option<Location>,
    done: Option<PublishDone>,
    streams: u64,
    gaps: u64,
}

/// Where a track may be read, for a reader that goes on when one place is lost.
pub(crate) trait Provider: fmt::Debug + Send + Sync {
    /// The places to try, in this order; waits until there is one.
    fn places(&self) -> BoxFuture<'static, Vec<Place>>;
}

/// Where a track may be read.
#[derive(Clone, Debug)]
pub(crate) enum Place {
    /// From the peer of a session.
    Session(Session),
    /// From memory.
    Local(Track),
}

enum Phase {
    Opening(BoxFuture<'static, Result<Opened, ReadError>>),
    Reading(Box<Reading>),
    Over,
}

/// A subscription that was granted.
struct Opened {
    place: Place,
    live: Live,
    largest: Option<Location>,
}

struct Reading {
    place: Place,
    live: Option<Live>,
    reads: FuturesUnordered<StreamRead>,
    /// Streams that are not read now.
    parked: HashMap<u64, LiveStream>,
    /// How to stop those that are.
    reading: HashMap<u64, AbortHandle>,
    past: Option<BoxFuture<'static, (Option<Past>, PastItem)>>,
    /// The peer asks us to leave.
    leave: BoxFuture<'static, ()>,
    /// The session has ended, and what has arrived is still read.
    lost: Option<session::Closed>,
}

/// The next of a stream, and the stream; none of one that was stopped.
type StreamItem = (LiveStream, Result<Option<Arrived<TrackObject>>, GapCause>);

type StreamRead = BoxFuture<'static, (u64, Option<StreamItem>)>;

/// What a reader waited for.
enum Happened {
    Opened(Result<Opened, ReadError>),
    Begun(Result<Option<Begun>, session::Closed>),
    Read(u64, Option<StreamItem>),
    Past(Option<Past>, PastItem),
    /// The place is to be left for the next.
    Leave,
    Time,
}

impl TrackSubscription {
    /// Subscribes to a track of the session's peer, with a Joining FETCH unless `options` begin later. It needs no
    /// announcement.
    ///
    /// # Errors
    /// The peer declines, or the session ends.
    pub async fn open(
        session: &Session,
        track: FullTrackName,
        options: ReadOptions,
    ) -> Result<Self, ReadError> {
        let opened = opened(Place::Session(session.clone()), &track, &options, false).await?;
        let mut subscription = Self::new(track, options, None);
        subscription.begin(opened);
        Ok(subscription)
    }

    /// Reads a track in memory.
    pub(super) fn local(track: &Track, options: ReadOptions) -> Self {
        let name = FullTrackName { namespace: Default::default(), name: Default::default() };
        let mut subscription = Self::new(name, options, None);
        let opened = opened_locally(track.clone(), &subscription.options, false);
        subscription.begin(opened);
        subscription
    }

    /// Reads a track wherever `provider` has it.
    pub(crate) fn following(track: FullTrackName, options: ReadOptions, provider: Arc<dyn Provider>) -> Self {
        let mut subscription = Self::new(track, options, Some(provider.clone()));
        subscription.reopen(provider);
        subscription
    }

    fn new(name: FullTrackName, options: ReadOptions, provider: Option<Arc<dyn Provider>>) -> Self {
        Self {
            merge: Merge::new(options.order, options.max_latency),
            name,
            options,
            provider,
            clock: Instant::now(),
            phase: Phase::Over,
            begun: false,
            largest: None,
            done: None,
            streams: 0,
            gaps: 0,
        }
    }

    /// The track.
    pub const fn track(&self) -> &FullTrackName {
        &self.name
    }

    /// The largest location that was published when the subscription was (last) granted.
    pub const fn largest(&self) -> Option<Location> {
        self.largest
    }

    /// How the publisher ended the track, once [`TrackSubscription::next`] has given `None`.
    pub const fn done(&self) -> Option<&PublishDone> {
        self.done.as_ref()
    }

    /// How many gaps there have been.
    pub const fn gaps(&self) -> u64 {
        self.gaps
    }

    /// Waits until the subscription is granted, as [`TrackSubscription::next`] does by itself. Cancel-safe.
    ///
    /// # Errors
    /// It was declined.
    pub async fn granted(&mut self) -> Result<(), ReadError> {
        while let Phase::Opening(opening) = &mut self.phase {
            let opened = opening.await;
            self.take(Happened::Opened(opened))?;
        }
        Ok(())
    }

    /// The next object or gap; `None` once the track is complete. Cancel-safe.
    ///
    /// # Errors
    /// The subscription was declined, the publisher broke the track off, or the session ended and there is no other.
    pub async fn next(&mut self) -> Result<Option<TrackEvent>, ReadError> {
        loop {
            if let Some(event) = self.ready() {
                return Ok(Some(event));
            }
            if let Some(ended) = self.ended()? {
                return ended;
            }
            let happened = self.wait().await;
            self.take(happened)?;
        }
    }

    /// As [`TrackSubscription::next`], without the gaps: [`TrackSubscription::gaps`] counts them. Cancel-safe.
    ///
    /// # Errors
    /// As [`TrackSubscription::next`].
    pub async fn next_object(&mut self) -> Result<Option<TrackObject>, ReadError> {
        loop {
            match self.next().await? {
                Some(TrackEvent::Object(object)) => return Ok(Some(object)),
                Some(_) => {}
                None => return Ok(None),
            }
        }
    }

    /// What the sequence gives now, and the streams that it wants read.
    fn ready(&mut self) -> Option<TrackEvent> {
        let now = self.now();
        let event = loop {
            match self.merge.next(now) {
                Some(Output::Object(_, object)) => break Some(TrackEvent::Object(object)),
                Some(Output::Gap(gap)) => {
                    self.gaps += 1;
                    break Some(TrackEvent::Gap(gap));
                }
                Some(Output::Stop(number)) => {
                    if let Phase::Reading(reading) = &mut self.phase {
                        reading.stop(number);
                    }
                }
                Some(Output::StopPast) => {
                    if let Phase::Reading(reading) = &mut self.phase {
                        reading.past = None;
                    }
                }
                Some(Output::Ask(start, end)) => {
                    // Without a session, the next one is asked for this and for what follows.
                    let max_object = self.options.max_object;
                    if let Phase::Reading(reading) = &mut self.phase
                        && let Place::Session(session) = &reading.place
                    {
                        let (session, track) = (session.clone(), self.name.clone());
                        let hole = Past::hole(session, track, (start, end), &self.options);
                        reading.past = Some(hole.next(max_object).boxed());
                    }
                }
                None => break None,
            }
        };
        let hungry = self.merge.take_hungry();
        if let Phase::Reading(reading) = &mut self.phase {
            hungry.into_iter().for_each(|number| reading.read(number));
        }
        event
    }

    /// Whether nothing more will come.
    fn ended(&mut self) -> Result<Option<Result<Option<TrackEvent>, ReadError>>, ReadError> {
        let over = match &self.phase {
            Phase::Over => true,
            Phase::Reading(reading) => reading.live.is_none() && self.merge.is_over(),
            Phase::Opening(_) => false,
        };
        if !over {
            return Ok(None);
        }
        if let Phase::Reading(reading) = std::mem::replace(&mut self.phase, Phase::Over)
            && let Some(lost) = reading.lost
        {
            return Err(ReadError::Closed(lost));
        }
        match &self.done {
            Some(done) if !is_complete(done) => Err(ReadError::Ended(done.clone())),
            _ => Ok(Some(Ok(None))),
        }
    }

    async fn wait(&mut self) -> Happened {
        let deadline = self.merge.deadline().map(|at| self.clock + at.since(session::Instant::default()));
        let max_object = self.options.max_object;
        let reading = match &mut self.phase {
            Phase::Opening(opening) => return Happened::Opened(opening.await),
            Phase::Reading(reading) => reading,
            Phase::Over => return std::future::pending().await,
        };
        let Reading { live, reads, past, leave, .. } = &mut **reading;
        tokio::select! {
            begun = begins(live, max_object) => Happened::Begun(begun),
            Some((number, read)) = reads.next() => Happened::Read(number, read),
            (rest, item) = comes(past) => Happened::Past(rest, item),
            () = leave, if self.provider.is_some() => Happened::Leave,
            () = passes(deadline) => Happened::Time,
        }
    }

    fn take(&mut self, happened: Happened) -> Result<(), ReadError> {
        let now = self.now();
        match happened {
            Happened::Opened(Ok(opened)) => self.begin(opened),
            Happened::Opened(Err(error)) => {
                self.phase = Phase::Over;
                return Err(error);
            }
            Happened::Begun(Ok(Some(Begun::Datagram(arrived)))) => self.merge.datagram(now, arrived),
            Happened::Begun(Ok(Some(Begun::Stream(stream)))) => {
                let number = self.streams;
                self.streams += 1;
                self.merge.opened(now, number, stream.group_id());
                if let Phase::Reading(reading) = &mut self.phase {
                    reading.parked.insert(number, stream);
                }
            }
            Happened::Begun(Ok(None)) => self.publisher_ended(),
            Happened::Begun(Err(closed)) => self.lost(closed),
            Happened::Read(number, read) => {
                if let Phase::Reading(reading) = &mut self.phase {
                    reading.reading.remove(&number);
                    if let Some((stream, read)) = read {
                        match read {
                            Ok(Some(arrived)) => {
                                reading.parked.insert(number, stream);
                                self.merge.object(now, number, arrived);
                            }
                            Ok(None) => {
                                let end_of_group = stream.is_end_of_group();
                                self.merge.closed(number, StreamClosed::Finished { end_of_group });
                            }
                            Err(cause) => self.merge.closed(number, StreamClosed::Broken(cause)),
                        }
                    }
                }
            }
            Happened::Past(rest, item) => {
                let max_object = self.options.max_object;
                if let Phase::Reading(reading) = &mut self.phase {
                    reading.past = rest.map(|rest| rest.next(max_object).boxed());
                }
                match item {
                    PastItem::Object(arrived) => self.merge.past_object(now, arrived),
                    PastItem::Unknown(end) => self.merge.past_unknown(now, end),
                    PastItem::Over(cause) => self.merge.past_over(now, cause),
                    // The subscription hears of it too; without another session the past stays a hole.
                    PastItem::Lost if self.provider.is_some() => {}
                    PastItem::Lost => self.merge.past_over(now, Some(GapCause::Incomplete)),
                }
            }
            Happened::Leave => self.moved(),
            Happened::Time => {}
        }
        Ok(())
    }

    /// A subscription is granted: the first, or one that goes on where the last was lost.
    fn begin(&mut self, Opened { place, live, largest }: Opened) {
        let now = self.now();
        self.largest = largest;
        self.merge.set_may_ask(matches!(place, Place::Session(_)));
        let first = !std::mem::replace(&mut self.begun, true);
        if first {
            self.merge.begin_at(first_location(self.options.start, largest));
        }
        let groups_before = match self.options.start {
            Start::GroupsBefore(groups) if first => Some(groups),
            _ => None,
        };
        let past =
            self.merge.resume(now, largest).zip(largest).and_then(|(from, end)| match (&place, &live) {
                (Place::Session(session), Live::Remote(subscription)) => Some(Past::joining(
                    session.clone(),
                    subscription,
                    (groups_before, from, end),
                    &self.options,
                )),
                (Place::Local(track), _) => {
                    let last = EndLocation { group: end.group, object: Some(end.object) };
                    let Some(held) = track.held(from, last, GroupOrder::Ascending) else {
                        self.merge.past_over(now, Some(GapCause::Unknown));
                        return None;
                    };
                    if let Some(lost) = held.lost() {
                        self.merge.past_unknown(now, lost);
                    }
                    Some(Past::local(held))
                }
                _ => None,
            });
        let max_object = self.options.max_object;
        let leave = match &place {
            Place::Session(session) => left(session.clone()).boxed(),
            Place::Local(_) => std::future::pending().boxed(),
        };
        self.phase = Phase::Reading(Box::new(Reading {
            place,
            live: Some(live),
            reads: FuturesUnordered::new(),
            parked: HashMap::new(),
            reading: HashMap::new(),
            past: past.map(|past| past.next(max_object).boxed()),
            leave,
            lost: None,
        }));
    }

    /// The publisher has ended the subscription, and all its streams are here.
    fn publisher_ended(&mut self) {
        let Phase::Reading(reading) = &mut self.phase else { return };
        let done = reading.live.take().and_then(|live| live.done());
        match (&done, &self.provider) {
            // The track goes on, and somebody else may have it.
            (Some(done), Some(provider)) if !is_complete(done) => {
                tracing::info!(track = %self.name, code = %done.code, "the subscription has ended: it is asked for anew");
                let provider = provider.clone();
                self.reopen(provider);
            }
            _ => {
                self.done = done;
                self.merge.end();
            }
        }
    }

    fn lost(&mut self, closed: session::Closed) {
        let Phase::Reading(reading) = &mut self.phase else { return };
        match self.provider.clone() {
            Some(provider) => {
                tracing::info!(track = %self.name, %closed, "the track's session has ended: the next is awaited");
                self.reopen(provider);
            }
            None => {
                reading.live = None;
                reading.lost = Some(closed);
                self.merge.end();
            }
        }
    }

    /// The peer asks us to leave.
    fn moved(&mut self) {
        if let Some(provider) = self.provider.clone() {
            self.reopen(provider);
        }
    }

    /// Subscribes anew, wherever the track is. The first time, what is declined everywhere is declined.
    fn reopen(&mut self, provider: Arc<dyn Provider>) {
        let (track, options, again) = (self.name.clone(), self.options.clone(), self.begun);
        let before = match std::mem::replace(&mut self.phase, Phase::Over) {
            Phase::Reading(reading) => Some(reading),
            _ => None,
        };
        self.phase = Phase::Opening(
            async move {
                // Left only now: what the new session brings takes the place of the old one's.
                drop(before);
                let mut backoff = Backoff::default();
                loop {
                    let mut refused = None;
                    for place in provider.places().await {
                        match opened(place, &track, &options, again).await {
                            Ok(opened) => return Ok(opened),
                            Err(ReadError::Closed(_) | ReadError::Misuse(session::Misuse::Closed)) => {}
                            Err(error) => refused = Some(error),
                        }
                    }
                    match refused {
                        Some(error) if !again => return Err(error),
                        Some(error) => tracing::debug!(%track, %error, "the track is not to be had yet"),
                        None => {}
                    }
                    tokio::time::sleep(backoff.next_delay()).await;
                }
            }
            .boxed(),
        );
    }

    fn now(&self) -> session::Instant {
        session::Instant::default() + self.clock.elapsed()
    }
}

impl Reading {
    /// Reads the next object of a stream.
    fn read(&mut self, number: u64) {
        let Some(mut stream) = self.parked.remove(&number) else { return };
        let (abort, registration) = AbortHandle::new_pair();
        self.reading.insert(number, abort);
        let read = async move {
            let read = stream.next().await;
            (stream, read)
        };
        let read = Abortable::new(read, registration);
        self.reads.push(async move { (number, read.await.ok()) }.boxed());
    }

    fn stop(&mut self, number: u64) {
        if let Some(stream) = self.parked.remove(&number) {
            stream.stop();
        }
        if let Some(abort) = self.reading.remove(&number) {
            abort.abort();
        }
    }
}

impl fmt::Debug for TrackSubscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = match &self.phase {
            Phase::Reading(reading) => Some(&reading.place),
            _ => None,
        };
        f.debug_struct("TrackSubscription")
            .field("track", &self.name)
            .field("options", &self.options)
            .field("place", &place)
            .field("gaps", &self.gaps)
            .finish_non_exhaustive()
    }
}

async fn begins(live: &mut Option<Live>, max_object: u64) -> Result<Option<Begun>, session::Closed> {
    match live {
        Some(live) => live.next(max_object).await,
        None => std::future::pending().await,
    }
}

async fn comes(past: &mut Option<BoxFuture<'static, (Option<Past>, PastItem)>>) -> (Option<Past>, PastItem) {
    match past {
        Some(past) => past.await,
        None => std::future::pending().await,
    }
}

async fn passes(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

/// Waits until the session's peer asks us to leave. Of the session's end the subscription hears by itself.
async fn left(session: Session) {
    if session.goaway().await.is_none() {
        std::future::pending::<()>().await;
    }
}

async fn opened(
    place: Place,
    track: &FullTrackName,
    options: &ReadOptions,
    again: bool,
) -> Result<Opened, ReadError> {
    let session = match place {
        Place::Session(session) => session,
        Place::Local(track) => return Ok(opened_locally(track, options, again)),
    };
    let subscribe = Subscribe {
        subscriber_priority: options.priority,
        group_order: Some(GroupOrder::Ascending),
        filter: Some(filter(options.start, again)),
        authorization_tokens: options.authorization_tokens.clone(),
        ..Subscribe::new(track.clone())
    };
    let subscription = session.subscribe(subscribe).await?;
    let largest = subscription.largest();
    Ok(Opened { place: Place::Session(session), live: Live::Remote(subscription), largest })
}

fn opened_locally(track: Track, options: &ReadOptions, again: bool) -> Opened {
    let reader = track.reader(Some(filter(options.start, again)));
    let largest = reader.largest();
    Opened { place: Place::Local(track), live: Live::Local(reader), largest }
}

/// What SUBSCRIBE asks for. What is fetched ends where Largest Object begins (draft-14 §9.16.2, draft-16 §9.16.2).
const fn filter(start: Start, again: bool) -> SubscriptionFilter {
    match start {
        Start::NextGroup if !again => SubscriptionFilter::NextGroupStart,
        _ => SubscriptionFilter::LargestObject,
    }
}

/// Where a reader begins in a track that is this far.
fn first_location(start: Start, largest: Option<Location>) -> Location {
    let Some(largest) = largest else {
        return match start {
            Start::At(location) => location,
            _ => Location::default(),
        };
    };
    match start {
        Start::GroupsBefore(groups) => Location::new(largest.group.saturating_sub(groups), 0),
        Start::At(location) => location,
        Start::NextObject => Location::new(largest.group, largest.object.saturating_add(1)),
        Start::NextGroup => Location::new(largest.group.saturating_add(1), 0),
    }
}

fn is_complete(done: &PublishDone) -> bool {
    matches!(done.code, PublishDoneCode::TrackEnded | PublishDoneCode::SubscriptionEnded)
}
