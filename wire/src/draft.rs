//! Everything that one draft of the protocol decides, behind one object-safe trait.

use std::fmt::Debug;

use crate::buf::{Reader, Writer};
use crate::draft14::Draft14;
use crate::draft16::Draft16;
use crate::error::{DecodeError, EncodeError};
use crate::frame::Frame;
use crate::model::{
    Datagram, ErrorContext, FetchItem, Message, ObjectHeader, Opening, PublishDoneCode, RequestErrorCode,
    ResetCode, SessionErrorCode,
};
use crate::rules::Rules;
use crate::stream::{FetchCursor, SubgroupCursor};
use crate::version::Version;

/// A draft: maps bytes to meanings and back, and says what is permitted. It takes values and returns values.
pub trait Draft: Debug + Send + Sync {
    /// Which draft this is.
    fn version(&self) -> Version;
    /// What it lets a session do.
    fn rules(&self) -> &'static Rules;

    /// Reads a control message.
    fn decode_control(&self, frame: &Frame) -> Result<Message, DecodeError> {
        self.decode_payload(frame.kind, &mut Reader::new(&frame.payload))
    }
    /// Reads the payload of a control message of the type `kind`, which `r` holds whole.
    fn decode_payload(&self, kind: u64, r: &mut Reader<'_>) -> Result<Message, DecodeError>;
    /// By what name the draft calls a message type.
    fn message_name(&self, kind: u64) -> Option<&'static str>;
    /// Writes a control message with its frame. On an error nothing is written.
    fn encode_control(&self, message: &Message, w: &mut Writer) -> Result<(), EncodeError>;

    /// Reads the first bytes of a unidirectional stream.
    fn decode_opening(&self, r: &mut Reader<'_>) -> Result<Opening, DecodeError>;
    /// Writes the first bytes of a unidirectional stream.
    fn encode_opening(&self, opening: &Opening, w: &mut Writer) -> Result<(), EncodeError>;
    /// Reads an object of a subgroup stream up to its payload.
    fn decode_object(&self, at: &SubgroupCursor, r: &mut Reader<'_>) -> Result<ObjectHeader, DecodeError>;
    /// Writes an object of a subgroup stream up to its payload.
    fn encode_object(
        &self,
        at: &SubgroupCursor,
        object: &ObjectHeader,
        w: &mut Writer,
    ) -> Result<(), EncodeError>;
    /// Reads an item of a fetch stream up to its payload.
    fn decode_fetch_item(&self, at: &FetchCursor, r: &mut Reader<'_>) -> Result<FetchItem, DecodeError>;
    /// Writes an item of a fetch stream up to its payload.
    fn encode_fetch_item(
        &self,
        at: &FetchCursor,
        item: &FetchItem,
        w: &mut Writer,
    ) -> Result<(), EncodeError>;
    /// Reads a datagram, which `r` holds whole.
    fn decode_datagram(&self, r: &mut Reader<'_>) -> Result<Datagram, DecodeError>;
    /// Writes a datagram.
    fn encode_datagram(&self, datagram: &Datagram, w: &mut Writer) -> Result<(), EncodeError>;

    /// The number of a session error code. `Unknown` keeps its number.
    fn session_code(&self, code: SessionErrorCode) -> u64;
    /// The meaning of a session error code.
    fn session_error(&self, number: u64) -> SessionErrorCode;
    /// The number of a request error code, `None` if the draft has none for it there. `Unknown` keeps its number.
    fn request_code(&self, context: ErrorContext, code: RequestErrorCode) -> Option<u64>;
    /// The meaning of a request error code.
    fn request_error(&self, context: ErrorContext, number: u64) -> RequestErrorCode;
    /// The number of a PUBLISH_DONE code, `None` if the draft has none for it. `Unknown` keeps its number.
    fn publish_done_code(&self, code: PublishDoneCode) -> Option<u64>;
    /// The meaning of a PUBLISH_DONE code.
    fn publish_done(&self, number: u64) -> PublishDoneCode;
    /// The number of a data stream's reset code, `None` if the draft has none for it. `Unknown` keeps its number.
    fn reset_code(&self, code: ResetCode) -> Option<u64>;
    /// The meaning of a data stream's reset code.
    fn reset(&self, number: u64) -> ResetCode;
}

impl Version {
    /// The draft itself: the one place in the workspace that chooses by version.
    pub fn draft(self) -> &'static dyn Draft {
        match self {
            Self::Draft14 => &Draft14,
            Self::Draft16 => &Draft16,
        }
    }
}
