//! A group as its writer sees it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use moqingbird_wire::model::{Extensions, Location, ObjectHeader, ObjectStatus, ResetCode};

use super::{SubgroupWriter, Track, WriteError};

/// A group of a track, begun by [`Writer::append_group`](super::Writer::append_group). Its objects go to one subgroup, thus
/// one stream; or to several, each written by itself ([`GroupWriter::append_subgroup`]). Object IDs ascend over all of
/// them. Dropped without an end, what is open of it is reset with CANCELLED.
#[derive(Debug)]
pub struct GroupWriter {
    track: Track,
    group_id: u64,
    ids: Arc<AtomicU64>,
    /// The subgroup of [`GroupWriter::write_frame`].
    own: Option<SubgroupWriter>,
    /// How many subgroups were begun by [`GroupWriter::append_subgroup`].
    appended: u64,
}

impl GroupWriter {
    pub(super) fn new(track: Track, group_id: u64) -> Self {
        Self { track, group_id, ids: Arc::default(), own: None, appended: 0 }
    }

    /// The group.
    pub const fn group_id(&self) -> u64 {
        self.group_id
    }

    /// Writes the group's next object, whole.
    ///
    /// # Errors
    /// None as long as objects are written by this method alone.
    pub fn write_frame(&mut self, payload: impl Into<Bytes>) -> Result<Location, WriteError> {
        let Self { track, group_id, ids, appended, .. } = self;
        let own = self.own.get_or_insert_with(|| {
            // The only subgroup ends the group.
            let end_of_group = *appended == 0;
            let subgroup_id = *appended;
            *appended += 1;
            track.open_subgroup(track.info(*group_id, subgroup_id, end_of_group), Arc::clone(ids))
        });
        own.write_frame(payload)
    }

    /// Begins a further subgroup of the group, on a stream of its own.
    ///
    /// # Errors
    /// [`GroupWriter::write_frame`] has begun the group's only subgroup: append before it is written.
    pub fn append_subgroup(&mut self) -> Result<SubgroupWriter, WriteError> {
        if self.own.is_some() && self.appended == 1 {
            return Err(WriteError::OnlySubgroup);
        }
        let info = self.track.info(self.group_id, self.appended, false);
        self.appended += 1;
        Ok(self.track.open_subgroup(info, Arc::clone(&self.ids)))
    }

    /// Waits as [`Track::ready`] does.
    pub async fn ready(&self) {
        self.track.ready().await;
    }

    /// Ends the group: no object follows. Where it has several subgroups, which end by themselves, an object of status
    /// END_OF_GROUP says so.
    ///
    /// # Errors
    /// An object is unfinished.
    pub fn finish(mut self) -> Result<(), WriteError> {
        match self.own.take() {
            Some(own) if self.appended == 1 => own.finish(),
            own => {
                let info = self.track.info(self.group_id, self.appended, true);
                let mut last = own.unwrap_or_else(|| self.track.open_subgroup(info, Arc::clone(&self.ids)));
                last.object(ObjectHeader {
                    object_id: self.ids.fetch_add(1, Ordering::Relaxed),
                    extensions: Extensions::NONE,
                    status: ObjectStatus::EndOfGroup,
                    payload_length: 0,
                })?;
                last.finish()
            }
        }
    }

    /// Gives the group up with a code.
    pub fn reset(mut self, code: ResetCode) {
        if let Some(own) = self.own.take() {
            own.reset(code);
        }
    }
}
