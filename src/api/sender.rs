//! One subgroup's objects as we send them.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use moqingbird_wire::model::{Extensions, ObjectHeader, ObjectStatus, ResetCode, SubgroupId};
use moqingbird_wire::stream::SubgroupWriter;
use tokio::sync::watch;

use super::{Handle, Publication, PublicationError};
use crate::driver::{Broken, SendCell, Shared};
use crate::session::{Misuse, StreamEnd, StreamId};
use crate::transport::{CANCELLED, SendStream};

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
    pending: VecDeque<Bytes>,
    payload_left: u64,
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
        let (opened, cell) = shared
            .open_subgroup(stream, |session| {
                let id = owned.id;
                session.open_subgroup(id, group_id, subgroup_id, publisher_priority, extensions, end_of_group)
            })
            .map_err(|misuse| publication.misused(misuse))?;
        let stream = SentStream::new(shared.clone(), opened.stream, cell, unsettled.clone());
        let mut writer = SubgroupWriter::new(shared.draft, opened.header);
        let pending = VecDeque::from([writer.opening()?]);
        Ok(Self { stream, handle: owned.handle.clone(), writer, pending, payload_left: 0 })
    }

    /// Writes the next object, whole: its Object ID is one above the last, it has a payload and nothing else. Waits
    /// while the subscriber does not read.
    ///
    /// # Errors
    /// As [`SubgroupSender::write_object`].
    pub async fn write(&mut self, payload: Bytes) -> Result<(), PublicationError> {
        let header = ObjectHeader {
            object_id: self.writer.position().map_or(0, |last| last.saturating_add(1)),
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
    /// subscriber wants no more, or the session ended.
    pub async fn write_object(
        &mut self,
        header: &ObjectHeader,
        payload: Bytes,
    ) -> Result<(), PublicationError> {
        if header.payload_length != payload.len() as u64 {
            let problem = "the payload is not as long as the header says";
            return Err(PublicationError::Misuse(Misuse::WrongState(problem)));
        }
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
        if self.payload_left > 0 {
            let problem = "the object before is not complete";
            return Err(PublicationError::Misuse(Misuse::WrongState(problem)));
        }
        let bytes = self.writer.object(header)?;
        self.pending.push_back(bytes);
        self.payload_left = header.payload_length;
        Ok(())
    }

    /// Takes the next part of an object's payload without sending it yet.
    ///
    /// # Errors
    /// It is more than the object's header said.
    pub fn add(&mut self, part: Bytes) -> Result<(), PublicationError> {
        let left = self.payload_left.checked_sub(part.len() as u64).ok_or(PublicationError::Misuse(
            Misuse::WrongState("the payload is longer than the header says"),
        ))?;
        self.payload_left = left;
        if !part.is_empty() {
            self.pending.push_back(part);
        }
        Ok(())
    }

    /// Hands everything taken so far to the transport. Waits while the subscriber does not read.
    ///
    /// # Errors
    /// The subscriber wants no more, or the session ended.
    pub async fn flush(&mut self) -> Result<(), PublicationError> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let written = self.stream.cell.write_all(&mut self.pending).await;
        written.map_err(|broken| self.stream.broken(broken))
    }

    /// Ends the subgroup: no object follows. What was not handed over yet is sent in the background.
    ///
    /// # Errors
    /// An object is unfinished; the stream is then reset.
    pub fn finish(self) -> Result<(), PublicationError> {
        if self.payload_left > 0 {
            let problem = "the last object is not complete";
            return Err(PublicationError::Misuse(Misuse::WrongState(problem)));
        }
        self.stream.finish(self.pending);
        drop(self.handle);
        Ok(())
    }

    /// Abandons the subgroup with a code.
    pub fn reset(mut self, code: ResetCode) {
        let code = self.handle.shared.draft.reset_code(code).and_then(|code| u32::try_from(code).ok());
        self.stream.abandon(code.unwrap_or(CANCELLED));
    }
}

/// A stream that is counted until it is settled.
#[derive(Debug)]
struct SentStream {
    shared: Arc<Shared>,
    id: StreamId,
    cell: Arc<SendCell>,
    unsettled: watch::Sender<usize>,
    settled: bool,
}

impl SentStream {
    fn new(shared: Arc<Shared>, id: StreamId, cell: Arc<SendCell>, unsettled: watch::Sender<usize>) -> Self {
        unsettled.send_modify(|count| *count += 1);
        Self { shared, id, cell, unsettled, settled: false }
    }

    /// Leaves the stream to a task that sends the rest, ends it and awaits the acknowledgement.
    fn finish(mut self, rest: VecDeque<Bytes>) {
        let shared = self.shared.clone();
        shared.spawn(async move {
            match self.cell.see_off(rest).await {
                Ok(()) => self.settle(StreamEnd::Finished),
                Err(broken) => drop(self.broken(broken)),
            }
        });
    }

    fn abandon(&mut self, code: u32) {
        if !self.settled {
            if let Some(mut stream) = self.cell.take() {
                stream.reset(code);
            }
            self.settle(StreamEnd::Reset(code.into()));
        }
    }

    /// Nothing more goes out.
    fn broken(&mut self, broken: Broken) -> PublicationError {
        // Dropped and not reset: the transport answers a stop with its own code.
        drop(self.cell.take());
        self.settle(broken.into());
        match self.shared.close_reason() {
            Some(closed) => PublicationError::Closed(closed),
            None => PublicationError::Cancelled,
        }
    }

    fn settle(&mut self, how: StreamEnd) {
        if !std::mem::replace(&mut self.settled, true) {
            self.shared.settled(self.id, how);
            self.unsettled.send_modify(|count| *count -= 1);
        }
    }
}

impl Drop for SentStream {
    fn drop(&mut self) {
        self.abandon(CANCELLED);
    }
}
