//! A data stream that we send on, shared between the handle that writes and the driver that may have to end it.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::transport::SendStream;

/// Holds the stream while nobody writes, and orders for it while somebody does.
#[derive(Debug)]
pub(crate) struct SendCell {
    slot: Mutex<Slot>,
    /// Wakes the writer that has the stream when it must end.
    ordered: Notify,
}

#[derive(Debug)]
struct Slot {
    stream: Option<SendStream>,
    priority: Option<i32>,
    ended: Option<Ended>,
}

/// That, and how, the stream is no longer to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ended {
    /// The code with which it was reset.
    pub(crate) code: u32,
}

impl SendCell {
    pub(crate) fn new(mut stream: SendStream, priority: i32) -> Self {
        stream.set_priority(priority);
        let slot = Slot { stream: Some(stream), priority: None, ended: None };
        Self { slot: Mutex::new(slot), ordered: Notify::new() }
    }

    /// Takes the stream for writing. The guard gives it back, however the writer ends.
    pub(crate) fn lend(&self) -> Result<Lent<'_>, Ended> {
        let mut slot = self.slot();
        match (slot.ended, slot.stream.take()) {
            (None, Some(stream)) => Ok(Lent { cell: self, stream: Some(stream) }),
            (ended, _) => Err(ended.unwrap_or(Ended { code: crate::transport::CANCELLED })),
        }
    }

    /// Takes the stream for good: its handle is done with it.
    pub(crate) fn take(&self) -> Option<SendStream> {
        self.slot().stream.take()
    }

    /// Resets the stream, now or as soon as the writer lets go of it.
    pub(super) fn reset(&self, code: u32) {
        let mut slot = self.slot();
        if slot.ended.is_none() {
            slot.ended = Some(Ended { code });
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
            None => slot.priority = Some(order),
        }
    }

    fn slot(&self) -> MutexGuard<'_, Slot> {
        self.slot.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The stream in a writer's hands.
#[derive(Debug)]
pub(crate) struct Lent<'a> {
    cell: &'a SendCell,
    stream: Option<SendStream>,
}

impl Lent<'_> {
    /// The stream.
    pub(crate) fn stream(&mut self) -> Option<&mut SendStream> {
        self.stream.as_mut()
    }

    /// Waits until the stream must end.
    pub(crate) async fn ordered_to_end(cell: &SendCell) -> Ended {
        loop {
            let ordered = cell.ordered.notified();
            let ended = cell.slot().ended;
            if let Some(ended) = ended {
                return ended;
            }
            ordered.await;
        }
    }
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        let Some(mut stream) = self.stream.take() else { return };
        let mut slot = self.cell.slot();
        if let Some(order) = slot.priority.take() {
            stream.set_priority(order);
        }
        match slot.ended {
            Some(Ended { code }) => stream.reset(code),
            None => slot.stream = Some(stream),
        }
    }
}
