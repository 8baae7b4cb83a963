//! What both ends speak beyond the draft: control messages and unidirectional streams of types that are registered
//! ([`Config::control_types`](super::Config::control_types), [`Config::stream_types`](super::Config::stream_types)). Whoever
//! has not registered a type closes the session when it comes (draft-14 §9, §10; draft-16 §9, §10). Setup parameters
//! and extension headers of unknown types need no registration: they pass.

use bytes::Bytes;
use moqingbird_wire::buf::{Reader, Writer};
use moqingbird_wire::model::Opening;
use moqingbird_wire::{DecodeError, EncodeError, Fault, Frame};

use super::{Checked, Direction, Event, Misuse, Output, Phase, Session, StreamId, Trace, Violation};

impl Session {
    /// Says a control message of a registered type, with any payload of at most 65,535 bytes.
    ///
    /// # Errors
    /// The type is not registered, or one of the draft's own; the payload is too long; the session is not established.
    pub fn send_message(&mut self, kind: u64, payload: Bytes) -> Result<(), Misuse> {
        if !self.is_registered_message(kind) {
            return Err(Misuse::Inexpressible("control message of a type that is not registered"));
        }
        let (Phase::Established, Some(stream)) = (self.phase, self.lanes.control()) else {
            return Err(Misuse::WrongState("the session is not established"));
        };
        let mut w = Writer::new();
        Frame { kind, payload: payload.clone() }.encode(&mut w)?;
        self.trace(|| Trace::Other { direction: Direction::Sent, stream, kind, payload });
        self.write(stream, w.take(), false);
        Ok(())
    }

    /// Opens a unidirectional stream of a registered type: the caller opens one, and writes these bytes first. The engine
    /// takes no further interest in it.
    ///
    /// # Errors
    /// The type is not registered, or one of the draft's own; the session is not established.
    pub fn open_stream(&mut self, kind: u64) -> Result<(StreamId, Bytes), Misuse> {
        if !self.config.stream_types.contains(&kind) || !self.is_free_stream_type(kind)? {
            return Err(Misuse::Inexpressible("stream of a type that is not registered"));
        }
        if self.phase != Phase::Established {
            return Err(Misuse::WrongState("the session is not established"));
        }
        let opening = Opening::Other(kind);
        let mut w = Writer::new();
        self.draft.encode_opening(&opening, &mut w)?;
        let stream = self.new_stream();
        self.trace_stream(Direction::Sent, stream, &opening);
        Ok((stream, w.take()))
    }

    /// The types of streams beyond the draft's: what [`OpeningReader::next_registered`] is to be told.
    ///
    /// [`OpeningReader::next_registered`]: moqingbird_wire::stream::OpeningReader::next_registered
    pub fn stream_types(&self) -> &[u64] {
        &self.config.stream_types
    }

    pub(super) fn is_registered_message(&self, kind: u64) -> bool {
        self.config.control_types.contains(&kind) && self.draft.message_name(kind).is_none()
    }

    /// A control message of a registered type.
    pub(super) fn other_message(&mut self, stream: StreamId, Frame { kind, payload }: Frame) -> Checked {
        self.trace(|| Trace::Other {
            direction: Direction::Received,
            stream,
            kind,
            payload: payload.clone(),
        });
        if self.phase != Phase::Established || self.lanes.control() != Some(stream) {
            return Err(Violation::protocol(format!("a message of type {kind:#x} has no place here")));
        }
        self.event(Event::Message { kind, payload });
        Ok(())
    }

    /// A stream of a registered type.
    pub(super) fn other_stream(&mut self, stream: StreamId, kind: u64) {
        match self.config.stream_types.contains(&kind) {
            true => self.outputs.push_back(Output::Accept { stream, kind }),
            false => self.stop_stream(stream),
        }
    }

    fn is_free_stream_type(&self, kind: u64) -> Result<bool, EncodeError> {
        let mut w = Writer::new();
        w.varint(kind, "Stream Type")?;
        let opening = self.draft.decode_opening(&mut Reader::new(&w.take()));
        Ok(matches!(opening, Err(DecodeError { fault: Fault::Unknown(_), .. })))
    }
}
