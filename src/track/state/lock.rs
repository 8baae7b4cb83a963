//! A track's one lock, and whom it wakes.

use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::State;
use crate::track::TrackOptions;
use crate::track::budget::Budget;

/// A track: its content, and who waits for it.
#[derive(Debug)]
pub(in crate::track) struct Shared {
    state: Mutex<State>,
    /// Something arrived, a subgroup or the track ended, or the largest group moved.
    pub(in crate::track) arrived: Notify,
    /// The fastest reader came within the window.
    pub(in crate::track) caught_up: Notify,
    /// A reader came or went.
    pub(in crate::track) readers_changed: Notify,
}

/// A track's lock, taken. When it is let go of, the budget hears of what has changed.
#[derive(Debug)]
pub(in crate::track) struct Locked<'a>(MutexGuard<'a, State>);

impl Deref for Locked<'_> {
    type Target = State;

    fn deref(&self) -> &State {
        &self.0
    }
}

impl DerefMut for Locked<'_> {
    fn deref_mut(&mut self) -> &mut State {
        &mut self.0
    }
}

impl Drop for Locked<'_> {
    fn drop(&mut self) {
        let State { budget, bytes, accounted, .. } = &mut *self.0;
        if let Some(budget) = budget.as_ref().filter(|_| accounted != bytes) {
            budget.moved(std::mem::replace(accounted, *bytes), *bytes);
        }
    }
}

impl Shared {
    pub(in crate::track) fn new(options: TrackOptions, budget: Option<&Budget>) -> Arc<Self> {
        let shared = Arc::new(Self {
            state: Mutex::new(State::new(options, budget.cloned())),
            arrived: Notify::new(),
            caught_up: Notify::new(),
            readers_changed: Notify::new(),
        });
        if let Some(budget) = budget {
            budget.add(&shared);
        }
        shared
    }

    pub(in crate::track) fn lock(&self) -> Locked<'_> {
        #[cfg(test)]
        crate::track::tests::interleave();
        // Nothing between lock and unlock panics, so a poisoned lock guards a whole state.
        Locked(self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Wakes the feeders if they wait and may go on.
    pub(in crate::track) fn release(&self, mut state: Locked<'_>) {
        let ready = state.held_back && state.is_ready();
        state.held_back &= !ready;
        drop(state);
        if ready {
            self.caught_up.notify_waiters();
        }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some(budget) = &state.budget {
            budget.remove(state.accounted);
        }
    }
}
