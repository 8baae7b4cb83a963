//! What the writers of all data streams have in common: the bytes' way out, and the stream's end.

use std::collections::VecDeque;
use std::pin::pin;
use std::sync::Arc;

use bytes::Bytes;
use moqingbird_wire::EncodeError;
use moqingbird_wire::buf::Writer;
use moqingbird_wire::model::ResetCode;

use super::{Handle, PublicationError};
use crate::driver::{Broken, Ending, SendCell, Shared, Unsettled, now_or_never};
use crate::session::{Input, Misuse, StreamEnd, StreamId};
use crate::transport::CANCELLED;

/// Payload up to this length is copied behind its header: QUIC looks for each packet's bytes from piece to piece, so that
/// a piece costs more than the copy of so few bytes. In bytes.
const PACKED: usize = 512;
/// No more is packed into one piece, in bytes.
const PACK: usize = 16 << 10;
/// Room for most headers, and how much is taken where there is less, in bytes.
const HEADER: usize = 32;
const AHEAD: usize = 1 << 10;

/// What was taken and not handed over to the transport yet.
#[derive(Debug, Default)]
pub(super) struct Pending {
    bytes: VecDeque<Bytes>,
    /// Headers and small payloads behind `bytes`, one piece of many.
    packed: Writer,
    payload_left: u64,
    /// Whether there was an object before.
    begun: bool,
}

impl Pending {
    /// The first bytes of a stream, which `encode` writes.
    pub(super) fn opening(
        encode: impl FnOnce(&mut Writer) -> Result<(), EncodeError>,
    ) -> Result<Self, EncodeError> {
        let mut pending = Self::default();
        encode(&mut pending.packed)?;
        Ok(pending)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty() && self.packed.is_empty()
    }

    /// Between two objects.
    pub(super) fn check_complete(&self) -> Result<(), PublicationError> {
        match self.payload_left {
            0 => Ok(()),
            _ => Err(misused("the object before is not complete")),
        }
    }

    /// A header that `encode` writes, or something else that is no payload; `payload_length` bytes of that follow.
    pub(super) fn header(
        &mut self,
        encode: impl FnOnce(&mut Writer) -> Result<(), EncodeError>,
        payload_length: u64,
    ) -> Result<(), EncodeError> {
        // A stream of one object wants no room for more.
        if self.begun {
            self.packed.reserve(HEADER, AHEAD);
        }
        encode(&mut self.packed)?;
        self.begun = true;
        self.payload_left = payload_length;
        self.seal_if(PACK);
        Ok(())
    }

    pub(super) fn payload(&mut self, part: Bytes) -> Result<(), PublicationError> {
        let left = self.payload_left.checked_sub(part.len() as u64);
        self.payload_left = left.ok_or(misused("the payload is longer than the header says"))?;
        if part.len() <= PACKED {
            self.packed.bytes(&part);
            self.seal_if(PACK);
        } else {
            self.seal_if(1);
            self.bytes.push_back(part);
        }
        Ok(())
    }

    /// What has been encoded for all who are sent it; `payload_left` bytes of payload follow.
    pub(super) fn encoded(&mut self, pieces: &[Bytes], payload_left: u64) {
        self.seal_if(1);
        self.bytes.extend(pieces.iter().cloned());
        self.begun = true;
        self.payload_left = payload_left;
    }

    /// How many bytes of the object's payload are to come.
    pub(super) const fn payload_left(&self) -> u64 {
        self.payload_left
    }

    /// Everything, in pieces.
    fn pieces(&mut self) -> &mut VecDeque<Bytes> {
        self.seal_if(1);
        &mut self.bytes
    }

    /// The only piece, if there is one only: a short stream needs no queue.
    fn only_piece(&mut self) -> Option<[Bytes; 1]> {
        (self.bytes.is_empty() && !self.packed.is_empty()).then(|| [self.packed.take()])
    }

    /// Makes a piece of what is packed if that is so many bytes.
    fn seal_if(&mut self, bytes: usize) {
        if self.packed.len() >= bytes {
            self.bytes.push_back(self.packed.take());
        }
    }
}

/// The payload of a whole object is as long as its header says.
pub(super) fn check_length(stated: u64, payload: &Bytes) -> Result<(), PublicationError> {
    match stated == payload.len() as u64 {
        true => Ok(()),
        false => Err(misused("the payload is not as long as the header says")),
    }
}

const fn misused(problem: &'static str) -> PublicationError {
    PublicationError::Misuse(Misuse::WrongState(problem))
}

/// A stream that is counted until it is settled. Dropped unfinished, it is reset with CANCELLED.
#[derive(Debug)]
pub(super) struct SentStream {
    shared: Arc<Shared>,
    /// Until it is settled, or left to the driver.
    open: Option<Ending>,
    /// Whether objects may be too late.
    timed: bool,
}

impl SentStream {
    /// `timed`: objects that wait for long reset the stream.
    pub(super) fn new(
        handle: &Handle,
        stream: StreamId,
        cell: Arc<SendCell>,
        unsettled: Arc<Unsettled>,
        timed: bool,
    ) -> Self {
        unsettled.add();
        let open = Some(Ending { stream, cell, unsettled, waits: false });
        Self { shared: handle.shared.clone(), open, timed }
    }

    /// Hands everything taken so far to the transport. Waits while the peer does not read.
    pub(super) async fn flush(&mut self, pending: &mut Pending) -> Result<(), PublicationError> {
        if pending.is_empty() {
            return Ok(());
        }
        let Some(open) = &mut self.open else { return Err(broken(&self.shared, Broken::Reset(CANCELLED))) };
        let written = {
            let mut write = pin!(open.cell.write_all(pending.pieces()));
            match now_or_never(write.as_mut()).await {
                Some(written) => written,
                None => {
                    open.waits = true;
                    self.shared.handle(Input::DataWaits { stream: open.stream });
                    write.await
                }
            }
        };
        if written.is_ok() && std::mem::take(&mut open.waits) {
            self.shared.handle(Input::DataTaken { stream: open.stream });
        }
        written.map_err(|how| self.broken(how))
    }

    /// Ends the stream. What the transport does not take at once is left to a task, and the acknowledgement to the driver.
    pub(super) fn finish(mut self, mut rest: Pending) {
        let Some(open) = &mut self.open else { return };
        if self.timed {
            open.waits = true;
            self.shared.handle(Input::DataWaits { stream: open.stream });
        }
        let mut only = rest.only_piece();
        let pieces = only.as_mut().map_or_else(|| rest.pieces().make_contiguous(), |only| &mut only[..]);
        if open.cell.end_at_once(pieces) {
            return self.see_off();
        }
        rest.bytes.extend(only.into_iter().flatten());
        self.shared.clone().spawn(async move {
            let Some(open) = &mut self.open else { return };
            if !std::mem::replace(&mut open.waits, true) {
                self.shared.handle(Input::DataWaits { stream: open.stream });
            }
            match open.cell.end(std::mem::take(rest.pieces())).await {
                Ok(()) => self.see_off(),
                Err(how) => drop(self.broken(how)),
            }
        });
    }

    fn see_off(&mut self) {
        if let Some(open) = self.open.take() {
            self.shared.see_off(open);
        }
    }

    /// Abandons the stream with a code.
    pub(super) fn reset(&mut self, code: ResetCode) {
        // A code that the draft does not have is an internal error.
        let draft = self.shared.draft;
        let code = draft.reset_code(code).or_else(|| draft.reset_code(ResetCode::InternalError));
        self.abandon(code.and_then(|code| u32::try_from(code).ok()).unwrap_or(CANCELLED));
    }

    fn abandon(&mut self, code: u32) {
        if let Some(mut stream) = self.open.as_ref().and_then(|open| open.cell.take()) {
            stream.reset(code);
        }
        self.settle(StreamEnd::Reset(code.into()));
    }

    /// Nothing more goes out.
    fn broken(&mut self, how: Broken) -> PublicationError {
        // Dropped and not reset: the transport answers a stop with its own code.
        drop(self.open.as_ref().and_then(|open| open.cell.take()));
        self.settle(how.into());
        broken(&self.shared, how)
    }

    fn settle(&mut self, how: StreamEnd) {
        if let Some(Ending { stream, unsettled, .. }) = self.open.take() {
            self.shared.settled([(stream, how)]);
            unsettled.remove();
        }
    }
}

/// What it means for the publication that a stream takes nothing more.
fn broken(shared: &Shared, how: Broken) -> PublicationError {
    let is_late = match how {
        Broken::Reset(code) => shared.draft.reset(code.into()) == ResetCode::DeliveryTimeout,
        _ => false,
    };
    match shared.close_reason() {
        Some(closed) => PublicationError::Closed(closed),
        None if is_late => PublicationError::Late,
        None => PublicationError::Cancelled,
    }
}

impl Drop for SentStream {
    fn drop(&mut self) {
        self.abandon(CANCELLED);
    }
}
