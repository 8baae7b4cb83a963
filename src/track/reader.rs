//! The reading side.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

use moqingbird_wire::Version;
use moqingbird_wire::model::Location;
use tokio::sync::Notify;

use super::range::Range;
use super::state::{Attached, ItemCursor, Met, Part, Shared, State};
use super::{Delivery, Item, SubgroupEnd, SubgroupInfo, TrackEnd};
use crate::api::StreamPlace;

/// A cursor over what arrives on a track after the reader was made.
pub struct Reader {
    shared: Arc<Shared>,
    largest: Option<Location>,
    range: Range,
    /// The subgroups that were open when the reader was made.
    open: VecDeque<SubgroupReader>,
    cursor: u64,
    missed: u64,
    end: Option<TrackEnd>,
    /// The draft of the streams that are written from what it gives.
    draft: Option<Version>,
}

impl Reader {
    pub(super) fn new(
        shared: Arc<Shared>,
        largest: Option<Location>,
        range: Range,
        cursor: u64,
        open: Vec<Attached>,
    ) -> Self {
        let open = open.into_iter().map(|at| SubgroupReader::new(&shared, at, range, true)).collect();
        Self { shared, largest, range, open, cursor, missed: 0, end: None, draft: None }
    }

    /// What it gives goes on streams of a draft: it is encoded for all such readers at once.
    pub(crate) fn encode_in(&mut self, version: Version) {
        let mut state = self.shared.lock();
        if let Some(before) = self.draft.replace(version) {
            state.encodes(before, false);
        }
        state.encodes(version, true);
    }

    /// The next subgroup or datagram that the reader's filter passes, in the order in which they began. `None`: there
    /// is nothing more, see [`Reader::end`].
    ///
    /// Cancelled, it has taken nothing.
    pub async fn next(&mut self) -> Option<Delivery> {
        let shared = Arc::clone(&self.shared);
        loop {
            let arrived = shared.arrived.notified();
            if let Some(delivery) = self.try_next() {
                return Some(delivery);
            }
            if self.end.is_some() {
                return None;
            }
            arrived.await;
        }
    }

    /// As [`Reader::next`], without waiting. `None`: there is nothing now, or nothing more.
    pub fn try_next(&mut self) -> Option<Delivery> {
        if let Some(subgroup) = self.open.pop_front() {
            return Some(Delivery::Subgroup(subgroup));
        }
        if self.end.is_some() {
            return None;
        }
        let mut state = self.shared.lock();
        let met = state.advance(&mut self.cursor, &self.range, &mut self.missed);
        self.shared.release(state);
        match met {
            Met::Subgroup(at) => {
                Some(Delivery::Subgroup(SubgroupReader::new(&self.shared, at, self.range, false)))
            }
            Met::Datagram(datagram) => Some(Delivery::Datagram(datagram)),
            Met::Nothing => None,
            Met::End(end) => {
                self.end = Some(end);
                None
            }
        }
    }

    /// The track's largest location when the reader was made.
    pub const fn largest(&self) -> Option<Location> {
        self.largest
    }

    /// How the track ended for this reader, once [`Reader::next`] has given `None`.
    pub const fn end(&self) -> Option<&TrackEnd> {
        self.end.as_ref()
    }

    /// How many subgroups and datagrams were evicted before this reader came to them.
    pub const fn missed(&self) -> u64 {
        self.missed
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.leave(self.cursor);
        if let Some(version) = self.draft {
            state.encodes(version, false);
        }
        self.shared.release(state);
        self.shared.readers_changed.notify_waiters();
    }
}

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader")
            .field("range", &self.range)
            .field("cursor", &self.cursor)
            .finish_non_exhaustive()
    }
}

/// A cursor over the items of one subgroup.
pub struct SubgroupReader {
    shared: Arc<Shared>,
    changed: Arc<Notify>,
    at: ItemCursor,
}

impl SubgroupReader {
    fn new(shared: &Arc<Shared>, at: Attached, range: Range, skipping: bool) -> Self {
        let Attached { arrival, position, info, changed } = at;
        Self {
            shared: Arc::clone(shared),
            changed,
            at: ItemCursor { arrival, info, position, range, skipping },
        }
    }

    /// What is known of the subgroup. Its Subgroup ID is known once an object has been read.
    pub const fn info(&self) -> SubgroupInfo {
        self.at.info
    }

    /// Whether what comes next is no longer kept.
    pub fn is_too_far_behind(&self) -> bool {
        self.shared.lock().is_evicted(&self.at)
    }

    /// Appends to `items` all that is ready, waiting until that is something. Gives how the subgroup ended, once
    /// nothing follows these items.
    ///
    /// Cancelled, it has taken nothing.
    pub async fn next(&mut self, items: &mut Vec<Item>) -> Option<SubgroupEnd> {
        let before = items.len();
        self.when_ready(|state, at| (state.read(at, items), items.len() > before)).await
    }

    /// As [`SubgroupReader::next`], for a stream of a draft that is at a place.
    pub(super) async fn next_parts(
        &mut self,
        version: Version,
        place: StreamPlace,
        parts: &mut Vec<Part>,
    ) -> Option<SubgroupEnd> {
        let before = parts.len();
        let read = |state: &mut State, at: &mut _| {
            let end = state.read_parts(at, version, place, parts);
            (end, parts.len() > before)
        };
        self.when_ready(read).await
    }

    /// Reads until there is an end, or something else.
    async fn when_ready(
        &mut self,
        mut read: impl FnMut(&mut State, &mut ItemCursor) -> (Option<SubgroupEnd>, bool),
    ) -> Option<SubgroupEnd> {
        let changed = Arc::clone(&self.changed);
        loop {
            let changed = changed.notified();
            let mut has_more = false;
            let mut read = |state: &mut State, at: &mut _| {
                let read = read(state, at);
                has_more = state.has_more(at);
                read
            };
            match self.locked(&mut read) {
                (None, false) if has_more => {}
                (None, false) => changed.await,
                (end, _) => return end,
            }
        }
    }

    fn locked<T>(&mut self, read: impl FnOnce(&mut State, &mut ItemCursor) -> T) -> T {
        let mut state = self.shared.lock();
        let read = read(&mut state, &mut self.at);
        self.shared.release(state);
        read
    }

    /// As [`SubgroupReader::next`], without waiting.
    pub fn try_next(&mut self, items: &mut Vec<Item>) -> Option<SubgroupEnd> {
        self.locked(|state, at| state.read(at, items))
    }
}

impl Drop for SubgroupReader {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.detach(self.at.arrival, self.at.position);
        self.shared.release(state);
    }
}

impl fmt::Debug for SubgroupReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SubgroupReader").field("at", &self.at).finish_non_exhaustive()
    }
}
