//! Control message framing: type, 16-bit length, payload (draft-14 §9, draft-16 §9).

use bytes::{Bytes, BytesMut};

use crate::buf::{Writer, integer};
use crate::error::EncodeError;

/// One control message as it stands on the stream, its payload not yet read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// The message type.
    pub kind: u64,
    /// The message payload, at most 65,535 bytes.
    pub payload: Bytes,
}

impl Frame {
    /// Writes the message as it stands on the stream.
    ///
    /// # Errors
    /// The type is over 2^62-1, or the payload over 65,535 bytes. Nothing is written then.
    pub fn encode(&self, w: &mut Writer) -> Result<(), EncodeError> {
        let start = w.len();
        let written = w.varint(self.kind, "Message Type").and_then(|()| {
            w.framed("Message Payload", |w| {
                w.bytes(&self.payload);
                Ok(())
            })
        });
        written.inspect_err(|_| w.truncate(start))
    }
}

/// Cuts a stream of bytes into frames. Holds at most one unfinished frame: 65,545 bytes.
#[derive(Debug, Default)]
pub struct Assembler {
    held: BytesMut,
    fresh: Bytes,
}

impl Assembler {
    /// An assembler at the start of a stream.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds what the stream delivered. Call [`Assembler::next_frame`] until it gives nothing before adding more.
    pub fn push(&mut self, data: Bytes) {
        if self.held.is_empty() && self.fresh.is_empty() {
            self.fresh = data;
        } else {
            self.held.extend_from_slice(&std::mem::take(&mut self.fresh));
            self.held.extend_from_slice(&data);
        }
    }

    /// The next whole frame. What is left of an unfinished one is kept in an allocation of its own, so that a few
    /// bytes never pin a transport's receive buffer.
    pub fn next_frame(&mut self) -> Option<Frame> {
        if !self.held.is_empty() {
            Self::header(&self.held).filter(|(_, header, length)| self.held.len() >= header + length)?;
            self.fresh = std::mem::take(&mut self.held).freeze();
        }
        match Self::header(&self.fresh) {
            Some((kind, header, length)) if self.fresh.len() >= header + length => {
                let mut frame = self.fresh.split_to(header + length);
                Some(Frame { kind, payload: frame.split_off(header) })
            }
            _ => {
                self.held.extend_from_slice(&std::mem::take(&mut self.fresh));
                None
            }
        }
    }

    /// Whether the stream may end here: no frame has been begun.
    pub fn is_empty(&self) -> bool {
        self.held.is_empty() && self.fresh.is_empty()
    }

    /// The type, the header's length and the payload's length of the frame at the front.
    fn header(bytes: &[u8]) -> Option<(u64, usize, usize)> {
        let (kind, at) = integer::decode(bytes)?;
        let length = u16::from_be_bytes([*bytes.get(at)?, *bytes.get(at + 1)?]);
        Some((kind, at + 2, usize::from(length)))
    }
}

/// The message types of a draft: a constant for each, and their names.
macro_rules! message_types {
    ($($name:ident = $number:literal,)*) => {
        $(pub(super) const $name: u64 = $number;)*

        /// By what name the draft calls a type.
        pub(super) const fn name(kind: u64) -> Option<&'static str> {
            match kind {
                $($name => Some(stringify!($name)),)*
                _ => None,
            }
        }
    };
}
pub(crate) use message_types;
