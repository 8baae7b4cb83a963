//! The streams of a subscription that we send on, and the groups that they are of.

use moqingbird_wire::model::SubgroupId;

use super::{Ascending, Instant, StreamId};

/// A stream that has not settled.
#[derive(Clone, Copy, Debug)]
pub(super) struct SentStream {
    pub(super) group: u64,
    pub(super) subgroup: SubgroupId,
    pub(super) publisher_priority: u8,
    /// Since when objects on it wait for the transport.
    pub(super) waits_since: Option<Instant>,
}

/// Those of one subscription.
#[derive(Debug, Default)]
pub(super) struct SentStreams {
    streams: Ascending<StreamId, SentStream>,
    /// How many streams each group has, so that the oldest is known without a look at each.
    groups: Ascending<u64, usize>,
}

impl SentStreams {
    pub(super) fn insert(&mut self, id: StreamId, stream: SentStream) {
        match self.groups.get_mut(stream.group) {
            Some(count) => *count += 1,
            None => self.groups.insert(stream.group, 1),
        }
        self.streams.insert(id, stream);
    }

    pub(super) fn remove(&mut self, id: StreamId) {
        let Some(stream) = self.streams.remove(id) else { return };
        if let Some(count) = self.groups.get_mut(stream.group) {
            *count -= 1;
            if *count == 0 {
                self.groups.remove(stream.group);
            }
        }
    }

    pub(super) fn get_mut(&mut self, id: StreamId) -> Option<&mut SentStream> {
        self.streams.get_mut(id)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (StreamId, &SentStream)> {
        self.streams.iter()
    }

    pub(super) fn into_ids(self) -> impl Iterator<Item = StreamId> {
        self.streams.into_keys()
    }

    pub(super) fn len(&self) -> usize {
        self.streams.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.streams.is_empty()
    }

    pub(super) fn oldest_group(&self) -> Option<u64> {
        self.groups.first_key()
    }
}
