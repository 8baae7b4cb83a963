//! Namespaces that have come and gone, on their way to a reader that may be slow.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use moqingbird_wire::model::TrackNamespace;
use tokio::sync::Notify;

/// What has changed since the reader last looked, in order. A namespace that has come and gone, or gone and come again,
/// unseen has not changed: so there are never more changes than namespaces, whatever the peer does.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    unseen: Mutex<Unseen>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct Unseen {
    next: u64,
    order: BTreeMap<u64, Change>,
    places: HashMap<TrackNamespace, u64>,
}

/// A namespace has come, or gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) namespace: TrackNamespace,
    pub(crate) came: bool,
}

impl Changes {
    pub(crate) fn add(&self, namespace: TrackNamespace, came: bool) {
        let mut unseen = self.unseen();
        if let Some(place) = unseen.places.remove(&namespace) {
            let undone = unseen.order.remove(&place).is_some_and(|change| change.came != came);
            if undone {
                return;
            }
        }
        let place = unseen.next;
        unseen.next += 1;
        unseen.places.insert(namespace.clone(), place);
        unseen.order.insert(place, Change { namespace, came });
        self.changed.notify_one();
    }

    /// The oldest change.
    pub(crate) fn take(&self) -> Option<Change> {
        let mut unseen = self.unseen();
        let (_, change) = unseen.order.pop_first()?;
        unseen.places.remove(&change.namespace);
        Some(change)
    }

    /// Waits for a change. To be called by one task at a time.
    pub(crate) async fn next(&self) -> Change {
        loop {
            if let Some(change) = self.take() {
                return change;
            }
            self.changed.notified().await;
        }
    }

    fn unseen(&self) -> MutexGuard<'_, Unseen> {
        self.unseen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn namespace(number: usize) -> TrackNamespace {
        TrackNamespace::from_path(&format!("live/{number}")).unwrap()
    }

    #[test]
    fn changes_are_told_in_order() {
        let changes = Changes::default();
        changes.add(namespace(2), true);
        changes.add(namespace(1), true);
        assert_eq!(changes.take(), Some(Change { namespace: namespace(2), came: true }));
        changes.add(namespace(2), false);
        assert_eq!(changes.take(), Some(Change { namespace: namespace(1), came: true }));
        assert_eq!(changes.take(), Some(Change { namespace: namespace(2), came: false }));
        assert_eq!(changes.take(), None);
    }

    #[test]
    fn a_peer_that_announces_and_withdraws_for_ever_fills_no_memory() {
        let changes = Changes::default();
        for round in 0..100_000 {
            changes.add(namespace(round % 7), true);
            changes.add(namespace(round % 7), false);
        }
        let unseen = changes.unseen();
        assert_eq!((unseen.order.len(), unseen.places.len()), (0, 0));
    }
}
