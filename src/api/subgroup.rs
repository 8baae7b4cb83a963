//! One subgroup's objects as they arrive.

use std::sync::Arc;

use bytes::Bytes;
use moqingbird_wire::model::{Location, ObjectHeader, ResetCode, SubgroupHeader};
use moqingbird_wire::stream::{SubgroupItem, SubgroupReader};

use super::received::{Collected, MAX_OBJECT, ReceivedStream};
use super::{Handle, SubgroupError};
use crate::driver::{Arrived, DataStream};
use crate::session::SubgroupWitness;
use crate::transport::CANCELLED;

/// A subgroup on its stream. While it is not read, QUIC's flow control stops the publisher. Dropped before its end, it
/// is stopped with CANCELLED.
#[derive(Debug)]
pub struct IncomingSubgroup {
    stream: ReceivedStream,
    /// Apart, for it is large, and whoever takes a subgroup moves it about.
    at: Box<Position>,
    priority: u8,
    max_object: u64,
}

/// How far a subgroup has been read.
#[derive(Debug)]
struct Position {
    reader: SubgroupReader,
    witness: SubgroupWitness,
    collected: Collected<ObjectHeader>,
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
        let DataStream { stream, request, arrived } = stream;
        let Arrived { recv, leftover, .. } = *arrived;
        Self {
            at: Box::new(Position {
                reader: SubgroupReader::new(handle.shared.draft, header, leftover),
                witness: SubgroupWitness::new(&header),
                collected: Collected::nothing(),
            }),
            stream: ReceivedStream::new(handle, stream, request, recv),
            priority: header.publisher_priority.unwrap_or(default_priority),
            max_object: MAX_OBJECT,
        }
    }

    /// The stream's header.
    pub const fn header(&self) -> &SubgroupHeader {
        self.at.reader.header()
    }

    /// The group.
    pub const fn group_id(&self) -> u64 {
        self.header().group_id
    }

    /// The Subgroup ID; `None` while it is that of an object that has not come.
    pub const fn subgroup_id(&self) -> Option<u64> {
        self.at.reader.subgroup_id()
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
            if self.stream.has_ended() {
                return Ok(None);
            }
            match self.stream.read(|chunk| self.at.reader.push(chunk)).await {
                Ok(true) => {}
                Ok(false) => self.at.reader.finish(),
                Err(error) => {
                    self.at.witness.ended(None, |fact| self.stream.tell(fact));
                    return Err(error);
                }
            }
        }
    }

    /// What of the subgroup has arrived already: as [`IncomingSubgroup::next_item`] without waiting, for those who
    /// handle many items at once.
    ///
    /// # Errors
    /// As [`IncomingSubgroup::next_item`].
    pub fn try_next_item(&mut self) -> Result<Option<SubgroupItem>, SubgroupError> {
        if self.stream.has_ended() {
            return Ok(None);
        }
        let item = self.at.reader.next_item().map_err(|error| self.stream.broken(error))?;
        match &item {
            Some(SubgroupItem::Object(object)) => {
                let Position { reader, witness, .. } = &mut *self.at;
                witness.object(object, reader, |fact| self.stream.tell(fact));
            }
            Some(SubgroupItem::End { last, .. }) => {
                self.stream.finished(|tell| self.at.witness.ended(Some(*last), tell));
            }
            _ => {}
        }
        Ok(item)
    }

    /// The next object, whole; `None` at the end. Objects that have no payload but a status are given too. Cancel-safe.
    ///
    /// # Errors
    /// As [`IncomingSubgroup::next_item`]; or the object is larger than the limit, and the stream is stopped.
    pub async fn next_object(&mut self) -> Result<Option<Object>, SubgroupError> {
        loop {
            if let Some((header, payload)) = self.at.collected.take() {
                let location = Location::new(self.group_id(), header.object_id);
                return Ok(Some(Object { location, header, payload }));
            }
            match self.next_item().await? {
                Some(SubgroupItem::Object(header)) if header.payload_length > self.max_object => {
                    self.stream.abandon(CANCELLED);
                    return Err(SubgroupError::TooLarge(header.payload_length));
                }
                Some(SubgroupItem::Object(header)) => {
                    let length = header.payload_length;
                    self.at.collected.begin(header, length);
                }
                Some(SubgroupItem::Payload(part)) => self.at.collected.add(part),
                _ => return Ok(None),
            }
        }
    }

    /// Reads no more of the stream, and tells the publisher why.
    pub fn stop(mut self, code: ResetCode) {
        self.stream.stop(code);
    }
}

impl Drop for IncomingSubgroup {
    fn drop(&mut self) {
        if !self.stream.has_ended() {
            self.at.witness.ended(None, |fact| self.stream.tell(fact));
        }
    }
}
