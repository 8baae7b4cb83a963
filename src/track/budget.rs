//! One limit for what many tracks hold together.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use super::state::{Shared, Victims};

/// How many bytes several tracks hold together at most, beside what is written at once. Clones are the same budget.
///
/// When it is used up, the tracks that hold more than an equal share lose what is oldest: what somebody has read before what
/// nobody has. [`Writer::ready`](super::Writer::ready) keeps what nobody has read within half of a share.
#[derive(Clone, Debug)]
pub struct Budget {
    account: Arc<Account>,
}

#[derive(Debug)]
struct Account {
    max_bytes: usize,
    held: AtomicUsize,
    count: AtomicUsize,
    tracks: Mutex<Vec<Weak<Shared>>>,
}

impl Budget {
    /// A budget of so many bytes, what describes objects included.
    pub fn new(max_bytes: usize) -> Self {
        let (held, count, tracks) = (AtomicUsize::new(0), AtomicUsize::new(0), Mutex::default());
        Self { account: Arc::new(Account { max_bytes, held, count, tracks }) }
    }

    /// How many bytes its tracks hold.
    pub fn held(&self) -> usize {
        self.account.held.load(Ordering::Relaxed)
    }

    /// What each track may hold if all of them hold as much.
    pub(super) fn share(&self) -> usize {
        self.account.max_bytes / self.account.count.load(Ordering::Relaxed).max(1)
    }

    pub(super) fn add(&self, track: &Arc<Shared>) {
        let mut tracks = self.tracks();
        tracks.retain(|it| it.strong_count() > 0);
        tracks.push(Arc::downgrade(track));
        self.account.count.fetch_add(1, Ordering::Relaxed);
    }

    /// A track that held so much is gone.
    pub(super) fn remove(&self, held: usize) {
        self.moved(held, 0);
        self.account.count.fetch_sub(1, Ordering::Relaxed);
    }

    /// A track that held so much holds so much now.
    pub(super) fn moved(&self, before: usize, now: usize) {
        match now.checked_sub(before) {
            Some(more) => self.account.held.fetch_add(more, Ordering::Relaxed),
            None => self.account.held.fetch_sub(before - now, Ordering::Relaxed),
        };
    }

    /// Evicts what is too much. No track is locked by the caller.
    pub(super) fn make_room(&self) {
        let max_bytes = self.account.max_bytes;
        if self.held() <= max_bytes {
            return;
        }
        // Somewhat more than needed, so that not every object finds it used up.
        let target = max_bytes - max_bytes / 16;
        let tracks: Vec<_> = self.tracks().iter().filter_map(Weak::upgrade).collect();
        let share = target / tracks.len().max(1);
        for victims in [Victims::Read, Victims::All] {
            let mut by_size: Vec<_> = tracks.iter().map(|track| (track.lock().bytes(), track)).collect();
            by_size.sort_unstable_by_key(|(bytes, _)| std::cmp::Reverse(*bytes));
            for (bytes, track) in by_size {
                let excess = self.held().saturating_sub(target);
                if excess == 0 {
                    return;
                }
                let mut state = track.lock();
                state.shrink_to(bytes.saturating_sub(excess).max(share), victims);
                track.release(state);
            }
        }
    }

    fn tracks(&self) -> MutexGuard<'_, Vec<Weak<Shared>>> {
        self.account.tracks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
