//! One subgroup's objects as they arrive.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use moqingbird_wire::model::{Location, ObjectHeader, ResetCode, SubgroupHeader};
use moqingbird_wire::stream::{ReadError, SubgroupItem, SubgroupReader};

use super::{Handle, SubgroupError};
use crate::driver::DataStream;
use crate::session::{Closed, Input, StreamEnd, StreamId};
use crate::transport::{CANCELLED, RecvStream, StreamError};

/// The largest object that [`IncomingSubgroup::next_object`] collects unless told otherwise, in bytes.
const MAX_OBJECT: u64 = 16 * 1024 * 1024;

/// A subgroup on its stream. While it is not read, QUIC's flow control stops the publisher. Dropped before its end, it
/// is stopped with CANCELLED.
#[derive(Debug)]
pub struct IncomingSubgroup {
    handle: Arc<Handle>,
    stream: StreamId,
    recv: RecvStream,
    reader: SubgroupReader,
    priority: u8,
    max_object: u64,
    /// The object being collected, so that a cancelled `next_object` loses nothing.
    partial: Option<(ObjectHeader, BytesMut)>,
    ended: bool,
}

/// An object, whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    /// Group and object.
    pub location: Location,
    /// ID, status and extension headers.
    pub header: ObjectHeader,
    /// The payload; empty unless the status is Normal.
    pub payload: Bytes,
}

impl IncomingSubgroup {
    pub(super) fn new(
        handle: Arc<Handle>,
        stream: DataStream,
        header: SubgroupHeader,
        default_priority: u8,
    ) -> Self {
        let DataStream { stream, recv, leftover, .. } = stream;
        Self {
            reader: SubgroupReader::new(handle.shared.draft, header, leftover),
            handle,
            stream,
            recv,
            priority: header.publisher_priority.unwrap_or(default_priority),
            max_object: MAX_OBJECT,
            partial: None,
            ended: false,
        }
    }

    /// The stream's header.
    pub const fn header(&self) -> &SubgroupHeader {
        self.reader.header()
    }

    /// The group.
    pub const fn group_id(&self) -> u64 {
        self.reader.header().group_id
    }

    /// The Subgroup ID; `None` while it is that of an object that has not come.
    pub const fn subgroup_id(&self) -> Option<u64> {
        self.reader.subgroup_id()
    }

    /// The publisher's priority, the track's default filled in.
    pub const fn priority(&self) -> u8 {
        self.priority
    }

    /// Sets the largest object that [`IncomingSubgroup::next_object`] collects, in bytes: 16 MiB at first.
    pub const fn set_max_object(&mut self, bytes: u64) {
        self.max_object = bytes;
    }

    /// The next header, part of a payload, or end, as soon as it has arrived. Nothing is copied. Behind
    /// [`SubgroupItem::End`] there is nothing: `None`. Cancel-safe.
    ///
    /// # Errors
    /// The stream was reset, breaks the rules of tracks, or the session ended.
    pub async fn next_item(&mut self) -> Result<Option<SubgroupItem>, SubgroupError> {
        loop {
            if let Some(item) = self.try_next_item()? {
                return Ok(Some(item));
            }
            if self.ended {
                return Ok(None);
            }
            self.read().await?;
        }
    }

    /// What of the subgroup has arrived already: as [`IncomingSubgroup::next_item`] without waiting, for those who
    /// handle many items at once.
    ///
    /// # Errors
    /// As [`IncomingSubgroup::next_item`].
    pub fn try_next_item(&mut self) -> Result<Option<SubgroupItem>, SubgroupError> {
        if self.ended {
            return Ok(None);
        }
        match self.reader.next_item() {
            Ok(Some(end @ SubgroupItem::End { .. })) => {
                self.end(StreamEnd::Finished);
                Ok(Some(end))
            }
            Ok(item) => Ok(item),
            Err(ReadError::Violation(error)) => {
                let reason = error.to_string();
                self.handle.shared.handle(Input::Violation(error));
                self.ended = true;
                let closed = self.handle.shared.close_reason();
                Err(SubgroupError::Closed(closed.unwrap_or(Closed::Lost { reason })))
            }
            Err(ReadError::MalformedTrack(rule)) => {
                self.abandon(CANCELLED);
                Err(SubgroupError::Malformed(rule))
            }
        }
    }

    /// The next object, whole; `None` at the end. Objects that have no payload but a status are given too. Cancel-safe.
    ///
    /// # Errors
    /// As [`IncomingSubgroup::next_item`]; or the object is larger than the limit, and the stream is stopped.
    pub async fn next_object(&mut self) -> Result<Option<Object>, SubgroupError> {
        loop {
            if let Some((header, payload)) = &self.partial
                && payload.len() as u64 == header.payload_length
                && let Some((header, payload)) = self.partial.take()
            {
                return Ok(Some(self.object(header, payload.freeze())));
            }
            match self.next_item().await? {
                Some(SubgroupItem::Object(header)) if header.payload_length > self.max_object => {
                    self.abandon(CANCELLED);
                    return Err(SubgroupError::TooLarge(header.payload_length));
                }
                Some(SubgroupItem::Object(header)) => self.partial = Some((header, BytesMut::new())),
                Some(SubgroupItem::Payload(part)) => {
                    if let Some(object) = self.collect(part) {
                        return Ok(Some(object));
                    }
                }
                _ => return Ok(None),
            }
        }
    }

    /// Reads no more of the stream, and tells the publisher why.
    pub fn stop(mut self, code: ResetCode) {
        let code = self.handle.shared.draft.reset_code(code).and_then(|code| u32::try_from(code).ok());
        self.abandon(code.unwrap_or(CANCELLED));
    }

    /// Adds a part of a payload; an object whose payload came in one part is given without a copy.
    fn collect(&mut self, part: Bytes) -> Option<Object> {
        let (header, collected) = self.partial.as_mut()?;
        if collected.is_empty() && part.len() as u64 == header.payload_length {
            let (header, _) = self.partial.take()?;
            return Some(self.object(header, part));
        }
        collected.extend_from_slice(&part);
        None
    }

    const fn object(&self, header: ObjectHeader, payload: Bytes) -> Object {
        Object { location: Location::new(self.group_id(), header.object_id), header, payload }
    }

    async fn read(&mut self) -> Result<(), SubgroupError> {
        let mut chunks = [const { Bytes::new() }; 16];
        match self.recv.read(&mut chunks).await {
            Ok(Some(count)) => {
                chunks[..count].iter_mut().for_each(|chunk| self.reader.push(std::mem::take(chunk)));
            }
            Ok(None) => self.reader.finish(),
            Err(StreamError::Reset(code)) => {
                self.end(StreamEnd::Reset(code));
                return Err(SubgroupError::Reset(self.handle.shared.draft.reset(code)));
            }
            Err(error) => {
                self.ended = true;
                // The engine may not have heard yet that the connection is gone.
                let closed = self.handle.shared.close_reason();
                return Err(SubgroupError::Closed(
                    closed.unwrap_or(Closed::Lost { reason: error.to_string() }),
                ));
            }
        }
        Ok(())
    }

    fn abandon(&mut self, code: u32) {
        if !self.ended {
            self.recv.stop(code);
            self.end(StreamEnd::Stopped(code.into()));
        }
    }

    fn end(&mut self, how: StreamEnd) {
        self.ended = true;
        self.handle.shared.handle(Input::DataEnded { stream: self.stream, how });
    }
}

impl Drop for IncomingSubgroup {
    fn drop(&mut self) {
        self.abandon(CANCELLED);
    }
}
