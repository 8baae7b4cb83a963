//! A data stream that we send on, shared between the handle that writes and the driver that may have to move or end it.

use std::collections::VecDeque;
use std::pin::pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use tokio::sync::Notify;

use crate::session::StreamEnd;
use crate::transport::{CANCELLED, SendStream, StreamError};

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
    pub(super) fn new(mut stream: SendStream, priority: i32) -> Self {
        stream.set_priority(priority);
        let slot = Slot { stream: Some(stream), priority: None, reset: None };
        Self { slot: Mutex::new(slot), ordered: Notify::new() }
    }

    /// Writes until nothing is pending. If the future is dropped, what was not taken is still pending.
    pub(crate) async fn write_all(&self, pending: &mut VecDeque<Bytes>) -> Result<(), Broken> {
        self.lend()?.write_all(pending).await
    }

    /// Writes what is pending, ends the stream and waits for the peer's acknowledgement.
    pub(crate) async fn see_off(&self, mut pending: VecDeque<Bytes>) -> Result<(), Broken> {
        let mut lent = self.lend()?;
        lent.write_all(&mut pending).await?;
        lent.finish().await
    }

    /// Writes what is pending and ends the stream, as far as the transport takes it at once: so that the end of a short
    /// stream leaves in one packet with what is before it. [`SendCell::see_off`] does the rest.
    pub(crate) fn end_at_once(&self, pending: &mut VecDeque<Bytes>) {
        let Ok(mut lent) = self.lend() else { return };
        let mut context = Context::from_waker(Waker::noop());
        let written = pin!(lent.write_all(pending)).poll(&mut context);
        if let (Poll::Ready(Ok(())), Ok(stream)) = (written, lent.obey()) {
            stream.finish();
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
        match &mut slot.stream {
            Some(stream) => stream.set_priority(order),
            None => {
                slot.priority = Some(order);
                self.ordered.notify_one();
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

    async fn finish(&mut self) -> Result<(), Broken> {
        self.obey()?.finish();
        loop {
            let cell = self.cell;
            let stream = self.obey()?;
            tokio::select! {
                biased;
                stopped = stream.stopped() => return match stopped {
                    Ok(None) => Ok(()),
                    Ok(Some(code)) => Err(Broken::Stopped(code)),
                    Err(_) => Err(Broken::Lost),
                },
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

impl Slot {
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
