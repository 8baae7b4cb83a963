//! What the readers of all data streams have in common: the bytes' way in, and the stream's end.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Poll, ready};

use bytes::{Bytes, BytesMut};
use moqingbird_wire::DecodeError;
use moqingbird_wire::model::{RequestId, ResetCode};
use moqingbird_wire::stream::ReadError;

use super::{Handle, SubgroupError};
use crate::driver::{ReadFailed, RecvCell};
use crate::session::{Closed, Fact, Input, StreamEnd, StreamId};
use crate::transport::{CANCELLED, StreamError};

/// The largest object that is collected whole unless told otherwise, in bytes.
pub(super) const MAX_OBJECT: u64 = 16 * 1024 * 1024;

/// A data stream of the peer in its reader's hands. Dropped before its end, it is stopped with CANCELLED.
#[derive(Debug)]
pub(super) struct ReceivedStream {
    pub(super) handle: Arc<Handle>,
    stream: StreamId,
    request: RequestId,
    /// `None`: all of it has been read.
    recv: Option<Arc<RecvCell>>,
    ended: bool,
}

impl ReceivedStream {
    pub(super) const fn new(
        handle: Arc<Handle>,
        stream: StreamId,
        request: RequestId,
        recv: Option<Arc<RecvCell>>,
    ) -> Self {
        Self { handle, stream, request, recv, ended: false }
    }

    /// Tells the engine what other streams of the track may contradict.
    pub(super) fn tell(&self, fact: Fact) {
        self.handle.shared.handle(Input::Fact { of: self.request, fact });
    }

    /// Whether nothing more will be read.
    pub(super) const fn has_ended(&self) -> bool {
        self.ended
    }

    /// Waits for bytes and hands them to `push`; whether the stream goes on. Cancel-safe.
    pub(super) async fn read(&mut self, mut push: impl FnMut(Bytes)) -> Result<bool, SubgroupError> {
        let Some(recv) = &self.recv else { return Ok(false) };
        // The room for chunks is no part of the future, which is made for every stream.
        let read = poll_fn(|cx| {
            let mut chunks = [const { Bytes::new() }; 16];
            let filled = ready!(recv.poll_read(cx, &mut chunks))?;
            chunks[..filled.unwrap_or(0)].iter_mut().for_each(|chunk| push(std::mem::take(chunk)));
            Poll::Ready(Ok(filled.is_some()))
        });
        match read.await {
            Ok(goes_on) => Ok(goes_on),
            Err(ReadFailed::Overrun) => {
                self.ended = true;
                Err(SubgroupError::Overrun)
            }
            Err(ReadFailed::Stream(StreamError::Reset(code))) => {
                self.end(StreamEnd::Reset(code));
                Err(SubgroupError::Reset(self.handle.shared.draft.reset(code)))
            }
            Err(ReadFailed::Stream(error)) => {
                self.ended = true;
                Err(self.closed(error.to_string()))
            }
        }
    }

    /// What the reader of the stream has found wrong with it.
    pub(super) fn broken(&mut self, error: ReadError) -> SubgroupError {
        match error {
            ReadError::Violation(error) => self.violated(error),
            ReadError::MalformedTrack(rule) => {
                self.abandon(CANCELLED);
                self.tell(Fact::Malformed(rule));
                SubgroupError::Malformed(rule)
            }
        }
    }

    fn violated(&mut self, error: DecodeError) -> SubgroupError {
        let reason = error.to_string();
        self.handle.shared.handle(Input::Violation(error));
        self.ended = true;
        self.closed(reason)
    }

    /// The engine may not have heard yet that the connection is gone; `reason` is then all that is known.
    fn closed(&self, reason: String) -> SubgroupError {
        SubgroupError::Closed(self.handle.shared.close_reason().unwrap_or(Closed::Lost { reason }))
    }

    /// All of the stream has been read. Tells the engine that, and before it the facts that `tell` tells.
    pub(super) fn finished(&mut self, tell: impl FnOnce(&mut dyn FnMut(Fact))) {
        self.ended = true;
        let (of, stream) = (self.request, self.stream);
        self.handle.shared.run(|session, now| {
            tell(&mut |fact| session.handle(now, Input::Fact { of, fact }));
            session.handle(now, Input::DataEnded { stream, how: StreamEnd::Finished });
        });
    }

    /// Reads no more of the stream, and tells the publisher why.
    pub(super) fn stop(&mut self, code: ResetCode) {
        let code = self.handle.shared.draft.reset_code(code).and_then(|code| u32::try_from(code).ok());
        self.abandon(code.unwrap_or(CANCELLED));
    }

    pub(super) fn abandon(&mut self, code: u32) {
        if !self.ended {
            if let Some(recv) = &self.recv {
                recv.stop(code);
            }
            self.end(StreamEnd::Stopped(code.into()));
        }
    }

    fn end(&mut self, how: StreamEnd) {
        self.ended = true;
        self.handle.shared.handle(Input::DataEnded { stream: self.stream, how });
    }
}

impl Drop for ReceivedStream {
    fn drop(&mut self) {
        self.abandon(CANCELLED);
    }
}

/// The object that is being collected, so that a cancelled reader loses nothing.
#[derive(Debug)]
pub(super) struct Collected<H> {
    object: Option<(H, u64)>,
    first: Bytes,
    rest: BytesMut,
}

impl<H> Collected<H> {
    pub(super) fn nothing() -> Self {
        Self { object: None, first: Bytes::new(), rest: BytesMut::new() }
    }

    /// An object of `length` bytes of payload begins.
    pub(super) fn begin(&mut self, header: H, length: u64) {
        self.object = Some((header, length));
    }

    /// A part of its payload. One that came in one part is given without a copy.
    pub(super) fn add(&mut self, part: Bytes) {
        if self.first.is_empty() && self.rest.is_empty() {
            self.first = part;
            return;
        }
        if self.rest.is_empty() {
            self.rest.extend_from_slice(&std::mem::take(&mut self.first));
        }
        self.rest.extend_from_slice(&part);
    }

    /// The object, if it is complete.
    pub(super) fn take(&mut self) -> Option<(H, Bytes)> {
        let collected = if self.rest.is_empty() { self.first.len() } else { self.rest.len() };
        let (header, _) = self.object.take_if(|(_, length)| *length == collected as u64)?;
        let payload = match self.rest.is_empty() {
            true => std::mem::take(&mut self.first),
            false => std::mem::take(&mut self.rest).freeze(),
        };
        Some((header, payload))
    }
}
