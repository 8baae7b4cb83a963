//! A queue of notes from the driver to the owner of a request: empty ones cost next to nothing, since most are.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::listener::Note;

/// The most datagrams that wait for one subscription's reader; a reader that is slower loses what comes then.
const MAX_QUEUED_DATAGRAMS: usize = 1024;

/// The most streams that wait for one subscription's reader; what begins then is stopped.
const MAX_QUEUED_STREAMS: usize = 4096;

/// Room for so many notes is kept when the queue is empty; what a burst has taken besides is given back.
const KEPT: usize = 16;

/// Both ends of a fresh queue.
pub(super) fn queue() -> (NoteSender, NoteReceiver) {
    let notes = Arc::<Notes>::default();
    (NoteSender(notes.clone()), NoteReceiver(notes))
}

/// The driver's end. Dropped, it ends the queue behind what is in it.
#[derive(Debug)]
pub(super) struct NoteSender(Arc<Notes>);

/// The owner's end, of one task at a time. Dropped, it drops what is in the queue and what would come.
#[derive(Debug)]
pub(super) struct NoteReceiver(Arc<Notes>);

#[derive(Debug, Default)]
struct Notes {
    queue: Mutex<Queue>,
    arrived: Notify,
}

#[derive(Debug, Default)]
struct Queue {
    notes: VecDeque<Note>,
    datagrams: usize,
    streams: usize,
    /// One of the ends is gone.
    closed: bool,
}

impl Notes {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl NoteSender {
    /// Adds a note. A receiver that is gone wants none.
    pub(super) fn send(&self, note: Note) {
        let mut queue = self.0.queue();
        if let Note::Datagram(_) = note {
            if queue.datagrams == MAX_QUEUED_DATAGRAMS {
                return;
            }
            queue.datagrams += 1;
        }
        if !queue.closed {
            queue.streams += usize::from(matches!(note, Note::Stream(_)));
            queue.notes.push_back(note);
            self.0.arrived.notify_one();
        }
    }
}

impl NoteSender {
    /// Whether another stream may wait for the reader.
    pub(super) fn takes_streams(&self) -> bool {
        self.0.queue().streams < MAX_QUEUED_STREAMS
    }
}

impl Drop for NoteSender {
    fn drop(&mut self) {
        self.0.queue().closed = true;
        self.0.arrived.notify_one();
    }
}

impl NoteReceiver {
    /// The next note; `None` behind the last. Cancel-safe.
    pub(super) async fn recv(&mut self) -> Option<Note> {
        loop {
            match self.try_recv() {
                Some(note) => return Some(note),
                None if self.0.queue().closed => return self.try_recv(),
                None => self.0.arrived.notified().await,
            }
        }
    }

    /// The next note, if there is one now.
    pub(super) fn try_recv(&mut self) -> Option<Note> {
        let mut queue = self.0.queue();
        let note = queue.notes.pop_front()?;
        match note {
            Note::Datagram(_) => queue.datagrams -= 1,
            Note::Stream(_) => queue.streams -= 1,
            _ => {}
        }
        if queue.notes.is_empty() && queue.notes.capacity() > KEPT {
            queue.notes = VecDeque::new();
        }
        Some(note)
    }
}

impl Drop for NoteReceiver {
    fn drop(&mut self) {
        let mut queue = self.0.queue();
        queue.closed = true;
        let unread = std::mem::take(&mut queue.notes);
        // Streams among them are stopped, which is not done under the lock.
        drop(queue);
        drop(unread);
    }
}
