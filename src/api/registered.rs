//! Control messages and streams of types beyond the draft's, on which both ends have agreed.

use std::error::Error;
use std::fmt;
use std::future::poll_fn;
use std::sync::Arc;

use bytes::Bytes;
use moqingbird_wire::stream::Stash;

use super::{Handle, Session};
use crate::driver::{Arrived, ReadFailed, RecvCell};
use crate::session::{Closed, Misuse};
use crate::transport::{CANCELLED, SendStream, StreamError};

/// Why a stream of a registered type goes no further.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StreamFailed {
    /// The peer reset what it sent, with this code.
    Reset(u64),
    /// The peer reads no more, with this code.
    Stopped(u64),
    /// It was asked wrongly, and never opened.
    Misuse(Misuse),
    /// The session ended.
    Closed(Closed),
}

impl fmt::Display for StreamFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reset(code) => write!(f, "the peer reset the stream with {code:#x}"),
            Self::Stopped(code) => write!(f, "the peer stopped the stream with {code:#x}"),
            Self::Misuse(misuse) => misuse.fmt(f),
            Self::Closed(closed) => closed.fmt(f),
        }
    }
}

impl Error for StreamFailed {}

impl From<Misuse> for StreamFailed {
    fn from(misuse: Misuse) -> Self {
        Self::Misuse(misuse)
    }
}

/// A stream of a registered type that the peer sends. Dropped before its end, it is stopped with CANCELLED.
#[derive(Debug)]
pub struct IncomingStream {
    handle: Arc<Handle>,
    kind: u64,
    /// `None`: all of it has been read.
    recv: Option<Arc<RecvCell>>,
    leftover: Stash,
    ready: Vec<Bytes>,
}

/// A stream of a registered type that we send. Dropped unfinished, it is reset.
#[derive(Debug)]
pub struct OutgoingStream {
    handle: Arc<Handle>,
    send: SendStream,
}

impl Session {
    /// Says a control message of a type in [`Config::control_types`](crate::session::Config::control_types), with any
    /// payload of at most 65,535 bytes.
    ///
    /// # Errors
    /// The type is not registered, or one of the draft's own; the payload is too long; the session has ended.
    pub fn send_message(&self, kind: u64, payload: Bytes) -> Result<(), Misuse> {
        self.handle().shared.run(|session, _| session.send_message(kind, payload))
    }

    /// The peer's next control message of a registered type: its type and payload; `None` once the session is over. At most
    /// 1,024 wait to be taken.
    pub async fn next_message(&self) -> Option<(u64, Bytes)> {
        let shared = &self.handle().shared;
        loop {
            let notified = shared.registered.notified();
            if let Some(message) = shared.take_message() {
                return Some(message);
            }
            if shared.close_reason().is_some() {
                return None;
            }
            notified.await;
        }
    }

    /// Opens a unidirectional stream of a type in [`Config::stream_types`](crate::session::Config::stream_types). Waits
    /// while the peer takes no more streams.
    ///
    /// # Errors
    /// The type is not registered, or one of the draft's own; the session has ended.
    pub async fn open_stream(&self, kind: u64) -> Result<OutgoingStream, StreamFailed> {
        let handle = self.handle().clone();
        let opened = handle.shared.connection.open_uni().await;
        let send = opened.map_err(|lost| failed(&handle, StreamError::Lost(lost)))?;
        let (_, opening) = handle.shared.run(|session, _| session.open_stream(kind))?;
        let mut stream = OutgoingStream { handle, send };
        stream.write(opening).await?;
        Ok(stream)
    }

    /// The peer's next stream of a registered type; `None` once the session is over. At most 1,024 wait to be taken; what
    /// comes then is stopped.
    pub async fn next_stream(&self) -> Option<IncomingStream> {
        let shared = &self.handle().shared;
        loop {
            let notified = shared.registered.notified();
            if let Some((kind, arrived)) = shared.take_stream() {
                let Arrived { recv, leftover, .. } = *arrived;
                let handle = self.handle().clone();
                return Some(IncomingStream { handle, kind, recv, leftover, ready: Vec::new() });
            }
            if shared.close_reason().is_some() {
                return None;
            }
            notified.await;
        }
    }
}

impl IncomingStream {
    /// Its type.
    pub const fn kind(&self) -> u64 {
        self.kind
    }

    /// The next bytes behind its type, as they came; `None` at the end. Cancel-safe.
    ///
    /// # Errors
    /// The peer reset the stream, or the session ended.
    pub async fn read(&mut self) -> Result<Option<Bytes>, StreamFailed> {
        if let Some(chunk) = self.ready.pop().or_else(|| self.leftover.next_chunk()) {
            return Ok(Some(chunk));
        }
        let Some(recv) = self.recv.as_ref().filter(|_| !self.leftover.is_finished()) else { return Ok(None) };
        let mut chunks = [const { Bytes::new() }; 8];
        match poll_fn(|cx| recv.poll_read(cx, &mut chunks)).await {
            Ok(Some(count)) => {
                self.ready.extend(chunks[..count].iter_mut().rev().map(std::mem::take));
                Ok(self.ready.pop())
            }
            Ok(None) => {
                self.leftover.finish();
                Ok(None)
            }
            Err(ReadFailed::Stream(error)) => Err(failed(&self.handle, error)),
            // Nobody looks after what is unread of these.
            Err(ReadFailed::Overrun) => Err(StreamFailed::Stopped(CANCELLED.into())),
        }
    }

    /// Reads no more of the stream, and tells the peer this code.
    pub fn stop(self, code: u32) {
        if let Some(recv) = &self.recv {
            recv.stop(code);
        }
    }
}

impl OutgoingStream {
    /// Writes bytes. Waits while the peer does not read. If the future is dropped, a part of them may have gone out.
    ///
    /// # Errors
    /// The peer stopped the stream, or the session ended.
    pub async fn write(&mut self, bytes: Bytes) -> Result<(), StreamFailed> {
        let mut chunks = [bytes];
        while !chunks[0].is_empty() {
            self.send.write(&mut chunks).await.map_err(|error| failed(&self.handle, error))?;
        }
        Ok(())
    }

    /// Sets its place in the order of sending; higher goes first. Objects have places by
    /// [`sending_order`](crate::session::sending_order).
    pub fn set_order(&mut self, order: i32) {
        self.send.set_priority(order.min(i32::MAX - 1));
    }

    /// Ends the stream, and waits for the peer's acknowledgement.
    ///
    /// # Errors
    /// As [`OutgoingStream::write`].
    pub async fn finish(mut self) -> Result<(), StreamFailed> {
        self.send.finish();
        match self.send.stopped().await {
            Ok(None) => Ok(()),
            Ok(Some(code)) => Err(StreamFailed::Stopped(code)),
            Err(lost) => Err(failed(&self.handle, StreamError::Lost(lost))),
        }
    }

    /// Abandons the stream with a code.
    pub fn reset(mut self, code: u32) {
        self.send.reset(code);
    }
}

fn failed(handle: &Handle, error: StreamError) -> StreamFailed {
    match error {
        StreamError::Reset(code) => StreamFailed::Reset(code),
        StreamError::Stopped(code) => StreamFailed::Stopped(code),
        error => {
            let lost = Closed::Lost { reason: error.to_string() };
            StreamFailed::Closed(handle.shared.close_reason().unwrap_or(lost))
        }
    }
}
