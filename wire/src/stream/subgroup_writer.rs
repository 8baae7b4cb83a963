//! The bytes of a subgroup stream that are not payload.

use bytes::Bytes;

use super::{SubgroupCursor, check_sent};
use crate::buf::Writer;
use crate::draft::Draft;
use crate::error::EncodeError;
use crate::model::{Location, ObjectHeader, ObjectStatus, Opening, SubgroupHeader};

/// Writes the headers of a subgroup stream. Between two objects the caller sends the first one's payload, all of it: the
/// writer never sees it.
#[derive(Debug)]
pub struct SubgroupWriter {
    draft: &'static dyn Draft,
    header: SubgroupHeader,
    cursor: SubgroupCursor,
    closed: bool,
    w: Writer,
}

impl SubgroupWriter {
    /// A writer at the start of a stream.
    pub fn new(draft: &'static dyn Draft, header: SubgroupHeader) -> Self {
        Self { draft, header, cursor: SubgroupCursor::new(&header), closed: false, w: Writer::new() }
    }

    /// The stream's header.
    pub const fn header(&self) -> &SubgroupHeader {
        &self.header
    }

    /// The Object ID of the last object, if there is one. The next must be larger.
    pub const fn position(&self) -> Option<u64> {
        self.cursor.previous
    }

    /// Whether End of Group or End of Track has been written: no object follows.
    pub const fn is_closed(&self) -> bool {
        self.closed
    }

    /// Moves behind objects whose bytes another writer of the same draft has written at this [position](Self::position):
    /// to where that one is now. Both are on streams that begin alike.
    pub const fn follow(&mut self, position: Option<u64>, is_closed: bool) {
        self.cursor.previous = position;
        self.closed = is_closed;
    }

    /// The first bytes of the stream.
    ///
    /// # Errors
    /// The draft cannot express the header.
    pub fn opening(&mut self) -> Result<Bytes, EncodeError> {
        let mut w = std::mem::take(&mut self.w);
        let bytes = self.opening_into(&mut w).map(|()| w.take());
        self.w = w;
        bytes
    }

    /// As [`SubgroupWriter::opening`], behind what stands in `w`: for those who pack it with the first objects. On an error
    /// `w` is as it was.
    ///
    /// # Errors
    /// As [`SubgroupWriter::opening`].
    pub fn opening_into(&self, w: &mut Writer) -> Result<(), EncodeError> {
        appended(w, |w| self.draft.encode_opening(&Opening::Subgroup(self.header), w))
    }

    /// The bytes that go before an object's payload.
    ///
    /// # Errors
    /// The draft cannot express the object; its ID is not larger than the one before; its extension headers make the track
    /// malformed; or End of Group or End of Track has been written. The stream then stands where it stood.
    pub fn object(&mut self, object: &ObjectHeader) -> Result<Bytes, EncodeError> {
        let mut w = std::mem::take(&mut self.w);
        let bytes = self.object_into(object, &mut w).map(|()| w.take());
        self.w = w;
        bytes
    }

    /// As [`SubgroupWriter::object`], behind what stands in `w`: for those who pack many small objects. On an error `w` is
    /// as it was.
    ///
    /// # Errors
    /// As [`SubgroupWriter::object`].
    #[inline]
    pub fn object_into(&mut self, object: &ObjectHeader, w: &mut Writer) -> Result<(), EncodeError> {
        if self.closed {
            return Err(EncodeError::Inexpressible("object behind the end of its group"));
        }
        if self.cursor.previous >= Some(object.object_id) {
            return Err(EncodeError::Inexpressible("Object ID that does not ascend"));
        }
        check_sent(self.draft, Location::new(self.header.group_id, object.object_id), &object.extensions)?;
        appended(w, |w| self.draft.encode_object(&self.cursor, object, w))?;
        self.cursor.advance(object.object_id);
        self.closed = matches!(object.status, ObjectStatus::EndOfGroup | ObjectStatus::EndOfTrack);
        Ok(())
    }
}

/// Has `encode` write behind what stands in `w`; on an error nothing of it remains.
#[inline]
pub(super) fn appended(
    w: &mut Writer,
    encode: impl FnOnce(&mut Writer) -> Result<(), EncodeError>,
) -> Result<(), EncodeError> {
    let start = w.len();
    encode(w).inspect_err(|_| w.truncate(start))
}
