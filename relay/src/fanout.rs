//! A route's track: what its publishers say and send, made one, for its subscribers to read.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use moqingbird::track::{Budget, Item, SubgroupInfo, SubgroupWriter, Track, Writer};
use moqingbird::wire::model::{
    Datagram, Location, ObjectHeader, PublishDoneCode, ReasonPhrase, ResetCode, TrackExtensions,
};
use tokio::sync::{Notify, watch};

use crate::cache::{CachedTrack, LiveAt, of_subgroup};
use crate::config::RelayOptions;
use crate::merge::{LaneKey, Merge, StreamKey, Verdict};

/// A route's track, and what its publishers say of it.
#[derive(Debug)]
pub(crate) struct Fanout {
    writer: Writer,
    cached: Arc<CachedTrack>,
    state: Mutex<State>,
    /// A stream was in the middle of an object, and has gone on or ended.
    went_on: Notify,
    /// The new group that is asked for upstream.
    asked_group: watch::Sender<Option<u64>>,
}

#[derive(Debug, Default)]
struct State {
    done: Option<(PublishDoneCode, ReasonPhrase)>,
    merge: Merge,
    lanes: HashMap<LaneKey, Lane>,
    sources: Sources,
    /// The new group that is asked for, and the largest group then.
    outstanding: Option<(u64, Option<u64>)>,
}

/// The publishers that are poured.
#[derive(Debug, Default)]
struct Sources {
    count: usize,
    /// Nothing up to here is awaited of any: it was published before the first of them was asked.
    past: Option<Location>,
}

/// A stream to every subscriber, and to the cache.
#[derive(Debug)]
struct Lane {
    info: SubgroupInfo,
    writer: SubgroupWriter,
    cached: LiveAt,
}

/// The track breaks this rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed(pub(crate) &'static str);

const DIFFERS: Malformed = Malformed("an object differs from what it was before");

impl Fanout {
    pub(crate) fn new(options: &RelayOptions, backlog: &Budget, cached: Arc<CachedTrack>) -> Self {
        Self {
            writer: Writer::new_within(options.track, backlog),
            cached,
            state: Mutex::default(),
            went_on: Notify::new(),
            asked_group: watch::channel(None).0,
        }
    }

    /// Takes in what a publisher says of the track when a subscription begins. The newest word counts as a whole
    /// (draft-16 §2.5).
    pub(crate) fn describe(&self, largest: Option<Location>, extensions: &TrackExtensions) {
        self.cached.describe(largest, extensions);
        if let Some(largest) = largest {
            self.writer.raise_largest(largest);
        }
    }

    pub(crate) fn track(&self) -> Track {
        self.writer.track()
    }

    pub(crate) fn extensions(&self) -> TrackExtensions {
        self.cached.extensions()
    }

    /// A subscriber would like a new group. It is asked for upstream if the track has such a thing, the group has not begun,
    /// and it, or a later one, is not asked for already: until a new group begins (draft-16 §9.2.2.9).
    pub(crate) fn ask_for_group(&self, group: u64) {
        let largest = self.track().largest().map(|largest| largest.group);
        let has_begun = group != 0 && Some(group) <= largest;
        if !self.extensions().dynamic_groups || has_begun {
            return;
        }
        let mut state = self.state();
        let is_outstanding =
            state.outstanding.is_some_and(|(asked, before)| asked >= group && before == largest);
        if !is_outstanding {
            state.outstanding = Some((group, largest));
            self.asked_group.send_replace(Some(group));
        }
    }

    /// Hears of the new groups that are asked for upstream from now on.
    pub(crate) fn asked_groups(&self) -> watch::Receiver<Option<u64>> {
        self.asked_group.subscribe()
    }

    /// Notes how a publisher has ended its subscription. That the track is at its end, or malformed, is the last word.
    pub(crate) fn ended_by_publisher(&self, done: Option<(PublishDoneCode, ReasonPhrase)>) {
        let mut state = self.state();
        let is_last_word =
            |code| matches!(code, PublishDoneCode::TrackEnded | PublishDoneCode::MalformedTrack);
        if !state.done.as_ref().is_some_and(|(code, _)| is_last_word(*code)) {
            state.done = done;
        }
    }

    /// Ends the track as its last publisher did.
    pub(crate) fn end(&self) {
        let mut state = self.state();
        let lost = || (PublishDoneCode::InternalError, ReasonPhrase::from("the track's publisher was lost"));
        let (code, reason) = state.done.take().unwrap_or_else(lost);
        let reset = match code {
            PublishDoneCode::MalformedTrack => ResetCode::MalformedTrack,
            _ => ResetCode::InternalError,
        };
        let open: Vec<_> = state.lanes.keys().copied().collect();
        state.give_up(&self.cached, &open, reset);
        self.writer.finish(code, reason);
    }

    /// Ends the track because the relay goes away. What has begun is still taken in.
    pub(crate) fn going_away(&self) {
        self.writer.finish(PublishDoneCode::GoingAway, ReasonPhrase::from("the relay ends"));
    }

    /// Takes in an object that came in a datagram.
    pub(crate) fn datagram(&self, datagram: Datagram) {
        let mut state = self.state();
        if state.merge.datagram(datagram.group_id, datagram.object_id) {
            self.cached.publish_datagram(&datagram);
            self.writer.datagram(datagram);
        }
        self.tell(state, true);
    }

    /// A publisher that was this far when it was asked is to be poured: waits until the others are so far too, for they bring
    /// what it does not any more, or until there are no others.
    pub(crate) async fn join(&self, largest: Option<Location>) -> Source<'_> {
        loop {
            let went_on = self.went_on.notified();
            if self.state().has_reached(largest) {
                return self.join_now(largest);
            }
            went_on.await;
        }
    }

    /// As [`Fanout::join`], without waiting.
    pub(crate) fn join_now(&self, largest: Option<Location>) -> Source<'_> {
        let sources = &mut self.state().sources;
        if sources.count == 0 {
            sources.past = sources.past.max(largest);
        }
        sources.count += 1;
        Source(self)
    }

    /// Begins to take in a stream.
    pub(crate) fn begin(&self, info: SubgroupInfo) -> Feed<'_> {
        let key = self.state().merge.begin(info.group_id, info.subgroup_id);
        let at = At::Known { object: Location::default(), offset: 0 };
        Feed { fanout: self, info, key, at }
    }

    /// An object that comes again is the same as before, as far as that is kept (draft-14 §8.1, draft-16 §8.1).
    fn compare(&self, object: Location, offset: &mut usize, item: &Item) -> Result<(), Malformed> {
        let Item::Payload(part) = item else { return Ok(()) };
        if self.cached.differs(object, *offset, part) {
            return Err(DIFFERS);
        }
        *offset += part.len();
        Ok(())
    }

    /// Tells those who wait, if the track has gone on.
    fn tell(&self, state: MutexGuard<'_, State>, is_on: bool) {
        drop(state);
        if is_on {
            self.went_on.notify_waiters();
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A publisher that is poured, for as long as this lives.
#[derive(Debug)]
pub(crate) struct Source<'a>(&'a Fanout);

impl Drop for Source<'_> {
    fn drop(&mut self) {
        self.0.state().sources.count -= 1;
        self.0.went_on.notify_waiters();
    }
}

/// An upstream stream on its way into the track. Dropped before its end, it counts as broken off.
#[derive(Debug)]
pub(crate) struct Feed<'a> {
    fanout: &'a Fanout,
    info: SubgroupInfo,
    key: StreamKey,
    at: At,
}

/// What becomes of the items at hand.
#[derive(Clone, Copy, Debug)]
enum At {
    /// They belong to an object that was there before: to its payload from this byte on.
    Known { object: Location, offset: usize },
    /// They go on a lane. Of an object that another stream was in the middle of, all but what that has brought.
    Lane { lane: LaneKey, is_begun: bool, known: u64 },
}

impl Feed<'_> {
    /// Takes in what has arrived, under one lock unless another stream is in the middle of the same object.
    pub(crate) async fn take(&mut self, items: &mut Vec<Item>) -> Result<(), Malformed> {
        let mut items = items.drain(..).peekable();
        loop {
            let went_on = self.fanout.went_on.notified();
            if self.take_ready(&mut items)? {
                return Ok(());
            }
            went_on.await;
        }
    }

    /// Whether all is taken in. If not, the next object has to wait.
    fn take_ready(
        &mut self,
        items: &mut std::iter::Peekable<std::vec::Drain<'_, Item>>,
    ) -> Result<bool, Malformed> {
        let mut state = self.fanout.state();
        let mut batch = Batch { cached: &self.fanout.cached, lane: None, items: Vec::new() };
        // Whether an object is complete.
        let mut is_on = false;
        while let Some(item) = items.peek() {
            if let Item::Object(header) = item {
                match self.place(&mut state, &mut batch, header)? {
                    Some(at) => self.at = at,
                    None => {
                        batch.write(&mut state);
                        self.fanout.tell(state, is_on);
                        return Ok(false);
                    }
                }
            }
            let Some(item) = items.next() else { break };
            let (lane, is_begun, known) = match &mut self.at {
                At::Known { object, offset } => {
                    self.fanout.compare(*object, offset, &item)?;
                    continue;
                }
                At::Lane { lane, is_begun, known } => (lane, is_begun, known),
            };
            match item {
                Item::Object(_) if *is_begun => {}
                Item::Payload(mut part) => {
                    let length = part.len().min(usize::try_from(*known).unwrap_or(usize::MAX));
                    *known -= part.split_to(length).len() as u64;
                    if part.is_empty() {
                        continue;
                    }
                    is_on |= state.merge.payload(self.key, part.len() as u64);
                    batch.push(&mut state, *lane, Item::Payload(part));
                }
                item => {
                    // Without payload it is complete.
                    is_on |= matches!(&item, Item::Object(header) if header.payload_length == 0);
                    batch.push(&mut state, *lane, item);
                }
            }
        }
        batch.write(&mut state);
        self.fanout.tell(state, is_on);
        Ok(true)
    }

    /// Where an object goes; `None` if it has to wait.
    fn place(
        &self,
        state: &mut State,
        batch: &mut Batch<'_>,
        header: &ObjectHeader,
    ) -> Result<Option<At>, Malformed> {
        Ok(Some(match state.merge.object(self.key, header) {
            Verdict::Skip => {
                let known = of_subgroup(&self.info, header);
                if !self.fanout.cached.is_same(&known) {
                    return Err(DIFFERS);
                }
                At::Known { object: known.location, offset: 0 }
            }
            Verdict::Wait => return Ok(None),
            Verdict::Append(lane) => At::Lane { lane, is_begun: false, known: 0 },
            Verdict::Resume(lane, known) => At::Lane { lane, is_begun: true, known },
            Verdict::Open(lane, given_up) => {
                batch.write(state);
                state.give_up(&self.fanout.cached, &given_up, ResetCode::InternalError);
                let subgroup_id = self.info.subgroup_id.or(Some(header.object_id));
                let info = SubgroupInfo { subgroup_id, ..self.info };
                let writer = self.fanout.writer.open_subgroup(info);
                self.fanout.cached.open(info.group_id);
                state.lanes.insert(lane, Lane { info, writer, cached: LiveAt::default() });
                At::Lane { lane, is_begun: false, known: 0 }
            }
            Verdict::Malformed(rule) => return Err(Malformed(rule)),
        }))
    }

    /// The stream has ended, with all of its subgroup.
    pub(crate) fn finish(self) {
        let mut state = self.fanout.state();
        let (whole, given_up) = state.merge.finished(self.key);
        if let Some(lane) = whole.and_then(|lane| state.lanes.remove(&lane)) {
            self.fanout.cached.close(&lane.info, lane.cached, true);
            // Its last object is complete, or it would not be whole.
            let _ = lane.writer.finish();
        }
        state.give_up(&self.fanout.cached, &given_up, ResetCode::InternalError);
    }

    /// The stream has ended before its subgroup did.
    pub(crate) fn reset(self, code: ResetCode) {
        self.broken_off(code);
    }

    fn broken_off(&self, code: ResetCode) {
        let mut state = self.fanout.state();
        let given_up = state.merge.broken_off(self.key);
        state.give_up(&self.fanout.cached, &given_up, code);
        drop(state);
        self.fanout.went_on.notify_waiters();
    }
}

impl Drop for Feed<'_> {
    fn drop(&mut self) {
        // It means nothing for a stream that has ended already.
        self.broken_off(ResetCode::InternalError);
    }
}

impl State {
    /// Whether the publishers at hand bring nothing more that is not behind a location.
    fn has_reached(&self, largest: Option<Location>) -> bool {
        self.sources.count == 0
            || largest <= self.sources.past
            || largest.is_none_or(|largest| self.merge.has_seen(largest))
    }

    fn give_up(&mut self, cached: &CachedTrack, lanes: &[LaneKey], code: ResetCode) {
        for lane in lanes.iter().filter_map(|lane| self.lanes.remove(lane)) {
            cached.close(&lane.info, lane.cached, false);
            lane.writer.reset(code);
        }
    }
}

/// Items for one lane, written with one call.
struct Batch<'a> {
    cached: &'a CachedTrack,
    lane: Option<LaneKey>,
    items: Vec<Item>,
}

impl Batch<'_> {
    fn push(&mut self, state: &mut State, lane: LaneKey, item: Item) {
        if self.lane != Some(lane) {
            self.write(state);
            self.lane = Some(lane);
        }
        self.items.push(item);
    }

    fn write(&mut self, state: &mut State) {
        let items = std::mem::take(&mut self.items);
        if let Some(lane) = self.lane.take_if(|_| !items.is_empty())
            && let Some(Lane { info, writer, cached }) = state.lanes.get_mut(&lane)
        {
            match self.cached.publish(info, cached, items, |items| writer.pack(items)) {
                Ok(packed) => writer.write_packed(packed),
                // The reader of the stream checks the same, so this is our own mistake.
                Err(error) => tracing::error!(%error, "a subgroup cannot be forwarded"),
            }
        }
    }
}
