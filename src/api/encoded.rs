//! Objects as bytes of a subgroup's stream, made once for all who are sent them in one draft.

use bytes::Bytes;
use moqingbird_wire::buf::Writer;
use moqingbird_wire::model::{Extensions, ObjectHeader, ObjectStatus, SubgroupHeader};
use moqingbird_wire::stream::SubgroupWriter;
use moqingbird_wire::{EncodeError, Version};

/// Follows a subgroup in one draft. What it encodes is for streams that have had every object before, as far as the draft
/// can say it.
#[derive(Debug)]
pub(crate) struct Encoder {
    version: Version,
    writer: SubgroupWriter,
    payload_left: u64,
}

/// A place on a stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct StreamPlace {
    /// The last object, if there is one.
    pub(crate) object: Option<u64>,
    /// How much of its payload is to come.
    pub(crate) payload_left: u64,
    /// Whether no object may follow.
    pub(crate) is_closed: bool,
}

/// What came of a subgroup at once: headers, and payload behind each.
#[derive(Debug)]
pub(crate) struct Encoded {
    pub(crate) version: Version,
    /// Where on a stream it goes.
    pub(crate) begun: StreamPlace,
    pub(crate) pieces: Vec<Bytes>,
    /// Where the stream is behind it.
    pub(crate) behind: StreamPlace,
    /// Its last object, if that ends the track.
    pub(crate) end_of_track: Option<u64>,
}

impl Encoder {
    /// Goes on behind an object, of whose payload so much is to come.
    pub(crate) fn new(
        version: Version,
        header: SubgroupHeader,
        last: Option<u64>,
        payload_left: u64,
    ) -> Self {
        let mut writer = SubgroupWriter::new(version.draft(), header);
        writer.follow(last, false);
        Self { version, writer, payload_left }
    }

    pub(crate) const fn version(&self) -> Version {
        self.version
    }

    /// Where it is.
    pub(crate) const fn place(&self) -> StreamPlace {
        StreamPlace {
            object: self.writer.position(),
            payload_left: self.payload_left,
            is_closed: self.writer.is_closed(),
        }
    }

    /// An object's header.
    ///
    /// # Errors
    /// No subscriber of the draft can be sent it.
    pub(crate) fn header(&mut self, header: &ObjectHeader, w: &mut Writer) -> Result<(), EncodeError> {
        self.payload_left = header.payload_length;
        as_expressible(header, |header| self.writer.object_into(header, w), |_| true)
    }

    pub(crate) const fn payload(&mut self, bytes: u64) {
        self.payload_left = self.payload_left.saturating_sub(bytes);
    }

    /// What has been encoded since `begun`, in these pieces; and the object that ends the track, if that is the last of it.
    pub(crate) fn finish(
        &self,
        begun: StreamPlace,
        pieces: Vec<Bytes>,
        end_of_track: Option<u64>,
    ) -> Encoded {
        Encoded { version: self.version, begun, pieces, behind: self.place(), end_of_track }
    }
}

/// Begins an object as far as the draft can say it: where that cannot say one without payload, its extension headers are left
/// out, or all of it.
pub(crate) fn as_expressible<E>(
    header: &ObjectHeader,
    mut begin: impl FnMut(&ObjectHeader) -> Result<(), E>,
    is_inexpressible: impl Fn(&E) -> bool,
) -> Result<(), E> {
    match begin(header) {
        Err(error) if is_inexpressible(&error) && header.status != ObjectStatus::Normal => {
            match begin(&ObjectHeader { extensions: Extensions::NONE, ..header.clone() }) {
                Err(error) if is_inexpressible(&error) => Ok(()),
                begun => begun,
            }
        }
        begun => begun,
    }
}
