//! Data streams of ours that have ended and are not acknowledged: one task awaits that of all of a session's.
//!
//! Acknowledgements come much in the order in which streams end. So it waits for the oldest, then looks at those behind it;
//! at all of them, which may have been stopped, it looks now and then. A session that sends nothing has no such task.

use std::collections::VecDeque;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep};

use super::{SendCell, Shared};
use crate::session::{Input, StreamEnd, StreamId};

/// How often all streams are looked at.
const LOOK: Duration = Duration::from_millis(100);

/// A stream that has ended.
#[derive(Debug)]
pub(crate) struct Ending {
    pub(crate) stream: StreamId,
    pub(crate) cell: Arc<SendCell>,
    /// Where it is counted.
    pub(crate) unsettled: Arc<Unsettled>,
    /// Whether the engine knows that it waits.
    pub(crate) waits: bool,
}

/// How many streams of a publication have not settled.
#[derive(Debug, Default)]
pub(crate) struct Unsettled {
    count: AtomicUsize,
    none_left: Notify,
}

impl Unsettled {
    pub(crate) fn add(&self) {
        self.count.fetch_add(1, Ordering::AcqRel);
    }

    pub(crate) fn remove(&self) {
        if self.count.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.none_left.notify_waiters();
        }
    }

    /// Waits until none is left.
    pub(crate) async fn none_left(&self) {
        loop {
            let notified = self.none_left.notified();
            if self.count.load(Ordering::Acquire) == 0 {
                return;
            }
            notified.await;
        }
    }
}

/// Streams on their way to the task.
#[derive(Debug, Default)]
pub(super) struct Endings {
    queue: Mutex<Queue>,
}

#[derive(Debug, Default)]
struct Queue {
    ended: Vec<Ending>,
    /// Whether there is a task.
    watched: bool,
}

impl Endings {
    /// Adds a stream; whether a task is to be started for it.
    pub(super) fn add(&self, ending: Ending) -> bool {
        let mut queue = self.queue();
        queue.ended.push(ending);
        !std::mem::replace(&mut queue.watched, true)
    }

    /// Moves all to the task; whether it goes on, since there is something for it to do.
    fn take(&self, endings: &mut VecDeque<Ending>) -> bool {
        let mut queue = self.queue();
        endings.extend(queue.ended.drain(..));
        queue.watched = !endings.is_empty();
        queue.watched
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Sees streams off until none is left.
pub(super) async fn see_off(shared: Arc<Shared>) {
    let mut look = pin!(sleep(LOOK));
    let mut endings = VecDeque::new();
    let mut gone = Vec::new();
    while shared.endings.take(&mut endings) {
        while let Some(how) = endings.front().and_then(|ending| ending.cell.gone()) {
            gone.extend(endings.pop_front().map(|ending| (ending, how)));
        }
        settle(&shared, &mut gone);
        let Some(oldest) = endings.front() else { continue };
        tokio::select! {
            biased;
            how = oldest.cell.acknowledged() => gone.extend(endings.pop_front().map(|ending| (ending, how))),
            () = &mut look => {
                look.as_mut().reset(Instant::now() + LOOK);
                endings = examine(endings, &mut gone);
                tell_waiting(&shared, &mut endings);
            }
        }
    }
    settle(&shared, &mut gone);
}

/// Looks at all streams; those that are left.
fn examine(endings: VecDeque<Ending>, gone: &mut Vec<(Ending, StreamEnd)>) -> VecDeque<Ending> {
    let mut left = VecDeque::with_capacity(endings.len());
    for ending in endings {
        match ending.cell.gone() {
            Some(how) => gone.push((ending, how)),
            None => left.push_back(ending),
        }
    }
    left
}

/// A stream that is gone soon is not worth a word to the engine.
fn tell_waiting(shared: &Arc<Shared>, endings: &mut VecDeque<Ending>) {
    shared.run(|session, now| {
        for ending in endings.iter_mut().filter(|ending| !ending.waits) {
            session.handle(now, Input::DataWaits { stream: ending.stream });
            ending.waits = true;
        }
    });
}

fn settle(shared: &Arc<Shared>, gone: &mut Vec<(Ending, StreamEnd)>) {
    if !gone.is_empty() {
        shared.settled(gone.iter().map(|(ending, how)| (ending.stream, *how)));
        gone.drain(..).for_each(|(ending, _)| ending.unsettled.remove());
    }
}
