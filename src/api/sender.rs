//! One subgroup's objects as we send them.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use moqingbird_wire::model::{Extensions, Location, ObjectHeader, ObjectStatus, ResetCode, SubgroupId};
use moqingbird_wire::stream::SubgroupWriter;

use super::encoded::{Encoded, StreamPlace};
use super::publication::{check_end, note_end};
use super::sent::{Pending, SentStream, check_length};
use super::{Handle, Publication, PublicationError};
use crate::session::OpenedStream;
use crate::transport::SendStream;

/// How a subgroup begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SubgroupOptions {
    /// The group.
    pub group_id: u64,
    /// The subgroup.
    pub subgroup_id: SubgroupId,
    /// 0 is sent first, 255 last.
    pub publisher_priority: u8,
    /// Whether objects may carry extension headers.
    pub extensions: bool,
    /// Whether the last object written before the end is the last of the group.
    pub end_of_group: bool,
}

impl SubgroupOptions {
    /// Subgroup 0 of a group, of default priority, whose objects carry no extension headers.
    pub const fn new(group_id: u64) -> Self {
        Self {
            group_id,
            subgroup_id: SubgroupId::Zero,
            publisher_priority: moqingbird_wire::model::DEFAULT_PRIORITY,
            extensions: false,
            end_of_group: false,
        }
    }
}

/// A subgroup that we send. Dropped unfinished, its stream is reset with CANCELLED.
///
/// Cancelling a write loses nothing: what was not handed over goes out first with the next write, or with
/// [`SubgroupSender::finish`].
#[derive(Debug)]
pub struct SubgroupSender {
    stream: SentStream,
    /// Behind the stream, which is settled before the session may be closed.
    handle: Arc<Handle>,
    writer: SubgroupWriter,
    pending: Pending,
    /// That of the publication.
    end: Arc<OnceLock<Location>>,
}

impl SubgroupSender {
    /// Begins a subgroup on a fresh stream.
    pub(super) fn open(
        publication: &Publication,
        stream: SendStream,
        options: SubgroupOptions,
    ) -> Result<Self, PublicationError> {
        let SubgroupOptions { group_id, subgroup_id, publisher_priority, extensions, end_of_group } = options;
        let Publication { owned, unsettled, .. } = publication;
        let shared = owned.shared();
        let (id, cell, OpenedStream { header, delivery_timeout, .. }) = shared
            .open_stream(stream, |session| {
                let id = owned.id;
                let opened = session.open_subgroup(
                    id,
                    group_id,
                    subgroup_id,
                    publisher_priority,
                    extensions,
                    end_of_group,
                )?;
                Ok((opened.stream, opened.order, opened))
            })
            .map_err(|misuse| publication.misused(misuse))?;
        let timed = delivery_timeout.is_some();
        let stream = SentStream::new(&owned.handle, id, cell, unsettled.clone(), timed);
        let writer = SubgroupWriter::new(shared.draft, header);
        let pending = Pending::opening(|w| writer.opening_into(w))?;
        let end = publication.end.clone();
        Ok(Self { stream, handle: owned.handle.clone(), writer, pending, end })
    }

    /// Writes the next object, whole: its Object ID is one above the last, it has a payload and nothing else. Waits
    /// while the subscriber does not read.
    ///
    /// # Errors
    /// As [`SubgroupSender::write_object`].
    pub async fn write(&mut self, payload: Bytes) -> Result<(), PublicationError> {
        let header = ObjectHeader {
            object_id: self.next_id(),
            extensions: Extensions::NONE,
            status: ObjectStatus::Normal,
            payload_length: payload.len() as u64,
        };
        self.write_object(&header, payload).await
    }

    /// Writes an object. Waits while the subscriber does not read.
    ///
    /// # Errors
    /// The payload is not as long as the header says, the draft cannot express the header, an object is unfinished, the
    /// track has ended before it, the subscriber wants no more, or the session ended.
    pub async fn write_object(
        &mut self,
        header: &ObjectHeader,
        payload: Bytes,
    ) -> Result<(), PublicationError> {
        check_length(header.payload_length, &payload)?;
        self.begin(header)?;
        self.add(payload)?;
        self.flush().await
    }

    /// Begins an object, whose payload follows by [`SubgroupSender::write_payload`].
    ///
    /// # Errors
    /// As [`SubgroupSender::write_object`].
    pub async fn write_header(&mut self, header: &ObjectHeader) -> Result<(), PublicationError> {
        self.begin(header)?;
        self.flush().await
    }

    /// Writes the next part of an object's payload.
    ///
    /// # Errors
    /// As [`SubgroupSender::write_object`].
    pub async fn write_payload(&mut self, part: Bytes) -> Result<(), PublicationError> {
        self.add(part)?;
        self.flush().await
    }

    /// Takes an object's header without sending it yet: for those who write many items with one
    /// [`SubgroupSender::flush`].
    ///
    /// # Errors
    /// As [`SubgroupSender::write_object`].
    pub fn begin(&mut self, header: &ObjectHeader) -> Result<(), PublicationError> {
        self.pending.check_complete()?;
        let at = Location::new(self.writer.header().group_id, header.object_id);
        check_end(&self.end, at)?;
        let Self { writer, pending, .. } = self;
        pending.header(|w| writer.object_into(header, w), header.payload_length)?;
        note_end(&self.end, at, header.status);
        Ok(())
    }

    /// Takes the next part of an object's payload without sending it yet.
    ///
    /// # Errors
    /// It is more than the object's header said.
    pub fn add(&mut self, part: Bytes) -> Result<(), PublicationError> {
        self.pending.payload(part)
    }

    /// Takes what has been encoded for all who are sent it in this draft and are at its [place](Self::place).
    pub(crate) fn add_encoded(&mut self, encoded: &Encoded) -> Result<(), PublicationError> {
        let Encoded { begun, pieces, behind, end_of_track, .. } = encoded;
        let at = |object| Location::new(self.writer.header().group_id, object);
        if let Some(last) = behind.object.filter(|_| behind.object != begun.object) {
            check_end(&self.end, at(last))?;
        }
        if let Some(end) = *end_of_track {
            note_end(&self.end, at(end), ObjectStatus::EndOfTrack);
        }
        self.writer.follow(behind.object, behind.is_closed);
        self.pending.encoded(pieces, behind.payload_left);
        Ok(())
    }

    /// Where it is on its stream.
    pub(crate) const fn place(&self) -> StreamPlace {
        StreamPlace {
            object: self.writer.position(),
            payload_left: self.pending.payload_left(),
            is_closed: self.writer.is_closed(),
        }
    }

    /// Hands everything taken so far to the transport. Waits while the subscriber does not read.
    ///
    /// # Errors
    /// The subscriber wants no more, or the session ended.
    pub async fn flush(&mut self) -> Result<(), PublicationError> {
        self.stream.flush(&mut self.pending).await
    }

    /// Ends the subgroup: no object follows. What was not handed over yet is sent in the background.
    ///
    /// # Errors
    /// An object is unfinished; the stream is then reset.
    pub fn finish(self) -> Result<(), PublicationError> {
        self.pending.check_complete()?;
        self.stream.finish(self.pending);
        drop(self.handle);
        Ok(())
    }

    /// Ends the subgroup and says that its last object is the last of its group: End of Group, one above it, or at 0 if the
    /// group has none (draft-14 §10.2.1.1, draft-16 §10.2.1.1).
    ///
    /// # Errors
    /// As [`SubgroupSender::finish`]; or the end has been said.
    pub fn finish_group(self) -> Result<(), PublicationError> {
        self.finish_with(ObjectStatus::EndOfGroup)
    }

    /// Ends the subgroup and says that its last object is the last of the track: End of Track, one above it in this group,
    /// or at 0 of a group of its own (draft-14 §10.2.1.1, draft-16 §10.2.1.1).
    ///
    /// # Errors
    /// As [`SubgroupSender::finish`]; or the end has been said.
    pub fn finish_track(self) -> Result<(), PublicationError> {
        self.finish_with(ObjectStatus::EndOfTrack)
    }

    fn finish_with(mut self, status: ObjectStatus) -> Result<(), PublicationError> {
        let object_id = self.next_id();
        let end = ObjectHeader { object_id, extensions: Extensions::NONE, status, payload_length: 0 };
        self.begin(&end)?;
        self.finish()
    }

    /// One above the last object's.
    fn next_id(&self) -> u64 {
        self.writer.position().map_or(0, |last| last.saturating_add(1))
    }

    /// Abandons the subgroup with a code.
    pub fn reset(mut self, code: ResetCode) {
        self.stream.reset(code);
    }
}
