//! A queue of notes from the driver to the owner of a request: empty ones cost next to nothing, since most are.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::DataStream;
use super::listener::Note;

/// The most datagrams that wait for one subscription's reader; a reader that is slower loses what comes then.
const MAX_QUEUED_DATAGRAMS: u16 = 1024;

/// The most streams that wait for one subscription's reader; what begins then is stopped.
const MAX_QUEUED_STREAMS: u16 = 4096;

/// Room for so many notes is kept when the queue is empty; what a burst has taken besides is given back.
const KEPT: usize = 16;

/// A queue between the driver and one owner.
#[derive(Debug, Default)]
pub(super) struct Notes {
    queue: Mutex<Queue>,
    arrived: Notify,
}

#[derive(Debug, Default)]
struct Queue {
    notes: VecDeque<Note>,
    datagrams: u16,
    streams: u16,
    /// One of the ends is gone.
    closed: bool,
}

impl Notes {
    /// Adds a note. A receiver that is gone wants none.
    pub(super) fn send(&self, note: Note) {
        let mut queue = self.queue();
        if let Note::Datagram(_) = note {
            if queue.datagrams == MAX_QUEUED_DATAGRAMS {
                return;
            }
            queue.datagrams += 1;
        }
        if !queue.closed {
            if queue.notes.is_empty() && queue.notes.capacity() == 0 {
                // Of most requests there is one: their answer.
                queue.notes.reserve_exact(1);
            }
            queue.notes.push_back(note);
            self.arrived.notify_one();
        }
    }

    /// Adds a stream; `false`: too many wait, and it is dropped.
    pub(super) fn send_stream(&self, stream: DataStream) -> bool {
        let mut queue = self.queue();
        let takes = queue.streams < MAX_QUEUED_STREAMS;
        if takes && !queue.closed {
            queue.streams += 1;
            queue.notes.push_back(Note::Stream(stream));
            self.arrived.notify_one();
        }
        takes
    }

    /// The next note; `None` behind the last. To be awaited by one task at a time. Cancel-safe.
    pub(super) async fn recv(&self) -> Option<Note> {
        loop {
            match self.try_recv() {
                Some(note) => return Some(note),
                None if self.queue().closed => return self.try_recv(),
                None => self.arrived.notified().await,
            }
        }
    }

    /// The next note, if there is one now.
    pub(super) fn try_recv(&self) -> Option<Note> {
        let mut queue = self.queue();
        let note = queue.notes.pop_front()?;
        match note {
            Note::Datagram(_) => queue.datagrams -= 1,
            Note::Stream(_) => queue.streams -= 1,
            // An answer, or an end: there may be nothing else for long.
            _ if queue.notes.is_empty() => queue.notes = VecDeque::new(),
            _ => {}
        }
        if queue.notes.is_empty() && queue.notes.capacity() > KEPT {
            queue.notes = VecDeque::new();
        }
        Some(note)
    }

    /// Nothing comes behind what is there: the driver's end is gone.
    pub(super) fn end(&self) {
        self.queue().closed = true;
        self.arrived.notify_one();
    }

    /// Drops what is there, and what would come: the owner's end is gone.
    pub(super) fn abandon(&self) {
        let mut queue = self.queue();
        queue.closed = true;
        let unread = std::mem::take(&mut queue.notes);
        // Streams among them are stopped, which is not done under the lock.
        drop(queue);
        drop(unread);
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
