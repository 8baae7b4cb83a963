//! A data stream that we send on, shared between the handle that writes and the driver that may have to move or end it.

use std::collections::VecDeque;
use std::pin::pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use tokio::sync::Notify;

use crate::session::StreamEnd;
use crate::transport::{CANCELLED, Lost, SendStream, StreamError};

/// Holds the stream while nobody writes, and orders for it while somebody does.
#[derive(Debug)]
pub(crate) struct SendCell {
    slot: Mutex<Slot>,
    /// Wakes the writer that has the stream. There is never more than one.
    ordered: Notify,
}

#[derive(Debug)]
struct Slot {
    stream: Option<SendStream>,
    /// Its place in the order of sending, until it is put there.
    priority: Option<i32>,
    /// The code with which the driver has ended the stream.
    reset: Option<u32>,
}

/// Why a stream takes nothing more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Broken {
    /// It was reset on this side, with this code.
    Reset(u32),
    /// The peer stopped it, with this code.
    Stopped(u64),
    /// The connection is gone.
    Lost,
}

impl From<StreamError> for Broken {
    fn from(error: StreamError) -> Self {
        match error {
            StreamError::Stopped(code) | StreamError::Reset(code) => Self::Stopped(code),
            StreamError::Closed => Self::Reset(CANCELLED),
            StreamError::Lost(_) => Self::Lost,
        }
    }
}

impl From<Broken> for StreamEnd {
    fn from(broken: Broken) -> Self {
        match broken {
            Broken::Reset(code) => Self::Reset(code.into()),
            Broken::Stopped(code) => Self::Stopped(code),
            Broken::Lost => Self::Reset(CANCELLED.into()),
        }
    }
}

impl SendCell {
    /// Holds a fresh stream. It gets its place as something is written, and not here, where the engine's lock is held.
    pub(super) fn new(stream: SendStream, priority: i32) -> Self {
        let slot = Slot { stream: Some(stream), priority: Some(priority), reset: None };
        Self { slot: Mutex::new(slot), ordered: Notify::new() }
    }

    /// Writes until nothing is pending. If the future is dropped, what was not taken is still pending.
    pub(crate) async fn write_all(&self, pending: &mut VecDeque<Bytes>) -> Result<(), Broken> {
        self.lend()?.write_all(pending).await
    }

    /// Writes what is pending and ends the stream.
    pub(crate) async fn end(&self, mut pending: VecDeque<Bytes>) -> Result<(), Broken> {
        let mut lent = self.lend()?;
        lent.write_all(&mut pending).await?;
        lent.obey()?.finish();
        Ok(())
    }

    /// Writes what is pending and ends the stream, as far as the transport takes it at once: so that the end of a short
    /// stream leaves in one packet with what is before it. Says whether that was all; [`SendCell::end`] does the rest.
    pub(crate) fn end_at_once(&self, mut pending: &mut [Bytes]) -> bool {
        let mut slot = self.slot();
        let Some(stream) = slot.obeying() else { return false };
        let mut context = Context::from_waker(Waker::noop());
        while !pending.is_empty() {
            let written = pin!(stream.write(&mut *pending)).poll(&mut context);
            let Poll::Ready(Ok(written)) = written else { return false };
            pending = &mut pending[written.chunks..];
        }
        stream.finish();
        true
    }

    /// Waits until a stream that was ended is acknowledged, or gone otherwise.
    pub(super) async fn acknowledged(&self) -> StreamEnd {
        match self.lend() {
            Ok(mut lent) => lent.acknowledged().await.map_or_else(Into::into, |()| StreamEnd::Finished),
            Err(broken) => broken.into(),
        }
    }

    /// How a stream that was ended is gone, if it is.
    pub(super) fn gone(&self) -> Option<StreamEnd> {
        let mut slot = self.slot();
        let Some(stream) = slot.obeying() else {
            return Some(Broken::Reset(slot.reset.unwrap_or(CANCELLED)).into());
        };
        let mut context = Context::from_waker(Waker::noop());
        match pin!(stream.stopped()).poll(&mut context) {
            Poll::Ready(stopped) => {
                Some(acknowledged(stopped).map_or_else(Into::into, |()| StreamEnd::Finished))
            }
            Poll::Pending => None,
        }
    }

    /// Takes the stream for good: its handle is done with it.
    pub(crate) fn take(&self) -> Option<SendStream> {
        self.slot().stream.take()
    }

    /// Resets the stream, now or as soon as the writer lets go of it.
    pub(super) fn reset(&self, code: u32) {
        let mut slot = self.slot();
        if slot.reset.is_none() {
            slot.reset = Some(code);
            if let Some(mut stream) = slot.stream.take() {
                stream.reset(code);
            }
            self.ordered.notify_one();
        }
    }

    /// Moves the stream in the order of sending.
    pub(super) fn prioritise(&self, order: i32) {
        let mut slot = self.slot();
        match &mut *slot {
            Slot { stream: Some(stream), priority: None, .. } => stream.set_priority(order),
            Slot { stream, priority, .. } => {
                *priority = Some(order);
                if stream.is_none() {
                    self.ordered.notify_one();
                }
            }
        }
    }

    /// Takes the stream for writing. The guard gives it back, however the writer ends.
    fn lend(&self) -> Result<Lent<'_>, Broken> {
        let mut slot = self.slot();
        match (slot.reset, slot.stream.take()) {
            (None, Some(stream)) => Ok(Lent { cell: self, stream: Some(stream) }),
            (code, _) => Err(Broken::Reset(code.unwrap_or(CANCELLED))),
        }
    }

    fn slot(&self) -> MutexGuard<'_, Slot> {
        self.slot.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The stream in a writer's hands.
#[derive(Debug)]
struct Lent<'a> {
    cell: &'a SendCell,
    stream: Option<SendStream>,
}

impl Lent<'_> {
    async fn write_all(&mut self, pending: &mut VecDeque<Bytes>) -> Result<(), Broken> {
        while !pending.is_empty() {
            let cell = self.cell;
            let stream = self.obey()?;
            tokio::select! {
                biased;
                written = stream.write(pending.make_contiguous()) => drop(pending.drain(..written?.chunks)),
                () = cell.ordered.notified() => {}
            }
        }
        Ok(())
    }

    async fn acknowledged(&mut self) -> Result<(), Broken> {
        loop {
            let cell = self.cell;
            let stream = self.obey()?;
            tokio::select! {
                biased;
                stopped = stream.stopped() => return acknowledged(stopped),
                () = cell.ordered.notified() => {}
            }
        }
    }

    /// Does what the driver has ordered, and gives the stream unless that ended it.
    fn obey(&mut self) -> Result<&mut SendStream, Broken> {
        let mut slot = self.cell.slot();
        self.stream = self.stream.take().and_then(|stream| slot.obeyed(stream));
        self.stream.as_mut().ok_or(Broken::Reset(slot.reset.unwrap_or(CANCELLED)))
    }
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        let mut slot = self.cell.slot();
        slot.stream = self.stream.take().and_then(|stream| slot.obeyed(stream));
    }
}

fn acknowledged(stopped: Result<Option<u64>, Lost>) -> Result<(), Broken> {
    match stopped {
        Ok(None) => Ok(()),
        Ok(Some(code)) => Err(Broken::Stopped(code)),
        Err(_) => Err(Broken::Lost),
    }
}

impl Slot {
    /// The stream, unless it was reset or somebody writes, after what was ordered for it.
    fn obeying(&mut self) -> Option<&mut SendStream> {
        let stream = self.stream.take()?;
        self.stream = self.obeyed(stream);
        self.stream.as_mut()
    }

    /// The stream after what was ordered for it; none if it was reset.
    fn obeyed(&mut self, mut stream: SendStream) -> Option<SendStream> {
        if let Some(code) = self.reset {
            stream.reset(code);
            return None;
        }
        if let Some(order) = self.priority.take() {
            stream.set_priority(order);
        }
        Some(stream)
    }
}
