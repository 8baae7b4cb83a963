//! The bytes of a fetch stream that are not payload.

use bytes::Bytes;

use super::subgroup_writer::appended;
use super::{FetchCursor, check_sent};
use crate::buf::Writer;
use crate::draft::Draft;
use crate::error::EncodeError;
use crate::model::{FetchItem, Location, Opening, RequestId};

/// Writes the headers and markers of a fetch stream. Behind an object the caller sends its payload, all of it: the writer
/// never sees it.
#[derive(Debug)]
pub struct FetchWriter {
    draft: &'static dyn Draft,
    request_id: RequestId,
    cursor: FetchCursor,
    w: Writer,
}

impl FetchWriter {
    /// A writer at the start of the stream that answers a FETCH.
    pub fn new(draft: &'static dyn Draft, request_id: RequestId) -> Self {
        Self { draft, request_id, cursor: FetchCursor::default(), w: Writer::new() }
    }

    /// Where the stream stands.
    pub const fn position(&self) -> &FetchCursor {
        &self.cursor
    }

    /// The first bytes of the stream.
    ///
    /// # Errors
    /// The Request ID is over 2^62-1.
    pub fn opening(&mut self) -> Result<Bytes, EncodeError> {
        let mut w = std::mem::take(&mut self.w);
        let bytes = self.opening_into(&mut w).map(|()| w.take());
        self.w = w;
        bytes
    }

    /// As [`FetchWriter::opening`], behind what stands in `w`: for those who pack it with the first objects. On an error `w`
    /// is as it was.
    ///
    /// # Errors
    /// As [`FetchWriter::opening`].
    pub fn opening_into(&self, w: &mut Writer) -> Result<(), EncodeError> {
        appended(w, |w| self.draft.encode_opening(&Opening::Fetch(self.request_id), w))
    }

    /// The bytes of an item, without payload.
    ///
    /// # Errors
    /// The draft cannot express the item; or it is an object that does not ascend in its group or whose extension headers
    /// make the track malformed (draft-14 §2.5, draft-16 §2.4.2). The stream then stands where it stood.
    pub fn item(&mut self, item: &FetchItem) -> Result<Bytes, EncodeError> {
        let mut w = std::mem::take(&mut self.w);
        let bytes = self.item_into(item, &mut w).map(|()| w.take());
        self.w = w;
        bytes
    }

    /// As [`FetchWriter::item`], behind what stands in `w`: for those who pack many small objects. On an error `w` is as
    /// it was.
    ///
    /// # Errors
    /// As [`FetchWriter::item`].
    pub fn item_into(&mut self, item: &FetchItem, w: &mut Writer) -> Result<(), EncodeError> {
        if let FetchItem::Object(object) = item {
            let falls = |before: Location| {
                object.location.group == before.group && object.location.object <= before.object
            };
            if self.cursor.location.is_some_and(falls) {
                return Err(EncodeError::Inexpressible("Object ID that does not ascend"));
            }
            check_sent(self.draft, object.location, &object.extensions)?;
        }
        appended(w, |w| self.draft.encode_fetch_item(&self.cursor, item, w))?;
        self.cursor.advance(item);
        Ok(())
    }
}
