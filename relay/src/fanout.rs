//! A route's track: what its publishers say and send, made one, for its subscribers to read.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use moqingbird::track::{Item, SubgroupInfo, SubgroupWriter, Track, Writer};
use moqingbird::wire::model::{
    Datagram, Location, ObjectHeader, PublishDoneCode, ReasonPhrase, ResetCode, TrackExtensions,
};
use tokio::sync::Notify;

use crate::config::RelayOptions;
use crate::merge::{LaneKey, Merge, StreamKey, Verdict};

/// A route's track, and what its publishers say of it.
#[derive(Debug)]
pub(crate) struct Fanout {
    writer: Writer,
    state: Mutex<State>,
    /// A stream was in the middle of an object, and has gone on or ended.
    went_on: Notify,
}

#[derive(Debug, Default)]
struct State {
    extensions: TrackExtensions,
    done: Option<(PublishDoneCode, ReasonPhrase)>,
    merge: Merge,
    lanes: HashMap<LaneKey, SubgroupWriter>,
}

/// The track breaks this rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed(pub(crate) &'static str);

impl Fanout {
    pub(crate) fn new(options: &RelayOptions) -> Self {
        Self { writer: Writer::new(options.track), state: Mutex::default(), went_on: Notify::new() }
    }

    /// Takes in what a publisher says of the track when a subscription begins. The newest word counts as a whole
    /// (draft-16 §2.5).
    pub(crate) fn describe(&self, largest: Option<Location>, extensions: &TrackExtensions) {
        self.state().extensions = extensions.clone();
        if let Some(largest) = largest {
            self.writer.raise_largest(largest);
        }
    }

    pub(crate) fn track(&self) -> Track {
        self.writer.track()
    }

    pub(crate) fn extensions(&self) -> TrackExtensions {
        self.state().extensions.clone()
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
        state.give_up(&open, reset);
        self.writer.finish(code, reason);
    }

    /// Ends the track because the relay goes away. What has begun is still taken in.
    pub(crate) fn going_away(&self) {
        self.writer.finish(PublishDoneCode::GoingAway, ReasonPhrase::from("the relay ends"));
    }

    /// Takes in an object that came in a datagram.
    pub(crate) fn datagram(&self, datagram: Datagram) {
        if self.state().merge.datagram(datagram.group_id, datagram.object_id) {
            self.writer.datagram(datagram);
        }
    }

    /// Begins to take in a stream.
    pub(crate) fn begin(&self, info: SubgroupInfo) -> Feed<'_> {
        let key = self.state().merge.begin(info.group_id, info.subgroup_id);
        Feed { fanout: self, info, key, at: At::Known }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
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
    /// They belong to an object that was there before.
    Known,
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
        let mut batch = Batch { lane: None, items: Vec::new() };
        while let Some(item) = items.peek() {
            if let Item::Object(header) = item {
                match self.place(&mut state, &mut batch, header)? {
                    Some(at) => self.at = at,
                    None => {
                        batch.write(&mut state);
                        return Ok(false);
                    }
                }
            }
            let (Some(item), At::Lane { lane, is_begun, known }) = (items.next(), &mut self.at) else {
                continue;
            };
            match item {
                Item::Object(_) if *is_begun => {}
                Item::Payload(mut part) => {
                    let length = part.len().min(usize::try_from(*known).unwrap_or(usize::MAX));
                    *known -= part.split_to(length).len() as u64;
                    if part.is_empty() {
                        continue;
                    }
                    if state.merge.payload(self.key, part.len() as u64) {
                        self.fanout.went_on.notify_waiters();
                    }
                    batch.push(&mut state, *lane, Item::Payload(part));
                }
                item => batch.push(&mut state, *lane, item),
            }
        }
        batch.write(&mut state);
        Ok(true)
    }

    /// Where an object goes; `None` if it has to wait.
    fn place(
        &self,
        state: &mut State,
        batch: &mut Batch,
        header: &ObjectHeader,
    ) -> Result<Option<At>, Malformed> {
        Ok(Some(match state.merge.object(self.key, header) {
            Verdict::Skip => At::Known,
            Verdict::Wait => return Ok(None),
            Verdict::Append(lane) => At::Lane { lane, is_begun: false, known: 0 },
            Verdict::Resume(lane, known) => At::Lane { lane, is_begun: true, known },
            Verdict::Open(lane, given_up) => {
                batch.write(state);
                state.give_up(&given_up, ResetCode::InternalError);
                let subgroup_id = self.info.subgroup_id.or(Some(header.object_id));
                let writer = self.fanout.writer.open_subgroup(SubgroupInfo { subgroup_id, ..self.info });
                state.lanes.insert(lane, writer);
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
            // Its last object is complete, or it would not be whole.
            let _ = lane.finish();
        }
        state.give_up(&given_up, ResetCode::InternalError);
    }

    /// The stream has ended before its subgroup did.
    pub(crate) fn reset(self, code: ResetCode) {
        self.broken_off(code);
    }

    fn broken_off(&self, code: ResetCode) {
        let mut state = self.fanout.state();
        let given_up = state.merge.broken_off(self.key);
        state.give_up(&given_up, code);
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
    fn give_up(&mut self, lanes: &[LaneKey], code: ResetCode) {
        for lane in lanes.iter().filter_map(|lane| self.lanes.remove(lane)) {
            lane.reset(code);
        }
    }
}

/// Items for one lane, written with one call.
struct Batch {
    lane: Option<LaneKey>,
    items: Vec<Item>,
}

impl Batch {
    fn push(&mut self, state: &mut State, lane: LaneKey, item: Item) {
        if self.lane != Some(lane) {
            self.write(state);
            self.lane = Some(lane);
        }
        self.items.push(item);
    }

    fn write(&mut self, state: &mut State) {
        if let Some(lane) = self.lane.take_if(|_| !self.items.is_empty())
            && let Some(writer) = state.lanes.get_mut(&lane)
            && let Err(error) = writer.write(&mut self.items)
        {
            // The reader of the stream checks the same, so this is our own mistake.
            tracing::error!(%error, "a subgroup cannot be forwarded");
        }
        self.items.clear();
    }
}
