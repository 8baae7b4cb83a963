//! What an origin knows, behind its one lock.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use moqingbird_wire::model::{FullTrackName, TrackNamespace};
use tokio::sync::watch;

use super::broadcast::Tracks;
use crate::api::Session;
use crate::driver::Changes;
use crate::track::{Place, Track};

/// A session that shares the origin.
pub(super) type SessionKey = u64;

/// Who has a namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Holder {
    Us,
    Peer(SessionKey),
}

#[derive(Debug)]
pub(super) struct Shared {
    state: Mutex<State>,
    /// Moves with every change of sessions, broadcasts, tracks and wishes.
    version: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct State {
    next: u64,
    broadcasts: BTreeMap<TrackNamespace, Arc<Tracks>>,
    /// Every namespace that is announced, and how often by whom.
    present: BTreeMap<TrackNamespace, BTreeMap<Holder, usize>>,
    sessions: BTreeMap<SessionKey, Known>,
    listeners: HashMap<u64, Listener>,
}

#[derive(Debug)]
struct Known {
    session: Session,
    /// Its peer has asked us to leave.
    leaving: bool,
}

#[derive(Debug)]
struct Listener {
    prefix: TrackNamespace,
    /// Of our own broadcasts only, as peers are told of them.
    ours_only: bool,
    changes: Weak<Changes>,
}

impl Default for Shared {
    fn default() -> Self {
        Self { state: Mutex::default(), version: watch::channel(0).0 }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells of changes.
    pub(super) fn watch(&self) -> watch::Receiver<u64> {
        self.version.subscribe()
    }

    /// Something has changed.
    pub(super) fn moved(&self) {
        self.version.send_modify(|version| *version += 1);
    }

    // --- broadcasts ---

    /// Whether there was none of this namespace.
    pub(super) fn add_broadcast(&self, namespace: &TrackNamespace, tracks: Arc<Tracks>) -> bool {
        let mut state = self.lock();
        if state.broadcasts.contains_key(namespace) {
            return false;
        }
        state.broadcasts.insert(namespace.clone(), tracks);
        state.came(namespace, Holder::Us);
        drop(state);
        self.moved();
        true
    }

    pub(super) fn remove_broadcast(&self, namespace: &TrackNamespace) {
        let mut state = self.lock();
        state.broadcasts.remove(namespace);
        state.went(namespace, Holder::Us);
        drop(state);
        self.moved();
    }

    /// A track of ours.
    pub(super) fn track(&self, name: &FullTrackName) -> Option<Track> {
        self.lock().broadcasts.get(&name.namespace)?.get(&name.name)
    }

    /// Every track of ours below a prefix.
    pub(super) fn tracks(&self, prefix: &TrackNamespace) -> Vec<(FullTrackName, Track)> {
        let state = self.lock();
        let below = state.broadcasts.iter().filter(|(namespace, _)| namespace.starts_with(prefix));
        below.flat_map(|(namespace, tracks)| tracks.all(namespace)).collect()
    }

    // --- announcements ---

    pub(super) fn is_present(&self, namespace: &TrackNamespace) -> bool {
        self.lock().present.contains_key(namespace)
    }

    /// A peer has announced a namespace, until what is returned is dropped.
    pub(super) fn hear(self: &Arc<Self>, namespace: TrackNamespace, from: SessionKey) -> Heard {
        self.lock().came(&namespace, Holder::Peer(from));
        self.moved();
        Heard { shared: Arc::clone(self), namespace, from }
    }

    /// Listens to what comes and goes below a prefix, beginning with what is there.
    pub(super) fn listen(self: &Arc<Self>, prefix: TrackNamespace, ours_only: bool) -> Listening {
        let changes = Arc::<Changes>::default();
        let mut state = self.lock();
        for (namespace, holders) in state.present.range(prefix.clone()..) {
            if !namespace.starts_with(&prefix) {
                break;
            }
            if !ours_only || holders.contains_key(&Holder::Us) {
                changes.add(namespace.clone(), true);
            }
        }
        state.next += 1;
        let key = state.next;
        state.listeners.insert(key, Listener { prefix, ours_only, changes: Arc::downgrade(&changes) });
        drop(state);
        self.moved();
        Listening { shared: Arc::clone(self), key, changes }
    }

    /// The prefixes that peers are to be asked for: none of them begins with another, for the drafts forbid that
    /// (draft-14 §6.1, draft-16 §6.1).
    pub(super) fn wanted(&self) -> BTreeSet<TrackNamespace> {
        let state = self.lock();
        let wanted = state.listeners.values().filter(|listener| !listener.ours_only);
        let mut prefixes = BTreeSet::<TrackNamespace>::new();
        for prefix in wanted.map(|listener| listener.prefix.clone()).collect::<BTreeSet<_>>() {
            // A prefix comes before what begins with it.
            if !prefixes.iter().any(|shorter| prefix.starts_with(shorter)) {
                prefixes.insert(prefix);
            }
        }
        prefixes
    }

    // --- sessions ---

    pub(super) fn add_session(self: &Arc<Self>, session: Session) -> Member {
        let mut state = self.lock();
        state.next += 1;
        let key = state.next;
        state.sessions.insert(key, Known { session, leaving: false });
        drop(state);
        self.moved();
        Member { shared: Arc::clone(self), key }
    }

    /// Where a track may be read: at home; else with the peers that announce its namespace, then with the others, the
    /// newest session first.
    pub(super) fn places(&self, track: &FullTrackName) -> Vec<Place> {
        let state = self.lock();
        if let Some(track) = state.broadcasts.get(&track.namespace).and_then(|tracks| tracks.get(&track.name))
        {
            return vec![Place::Local(track)];
        }
        let announces = |key: &SessionKey| {
            (0..=track.namespace.fields().len()).rev().any(|length| {
                let prefix = TrackNamespace::new(track.namespace.fields()[..length].iter().cloned());
                prefix.is_ok_and(|prefix| {
                    state
                        .present
                        .get(&prefix)
                        .is_some_and(|holders| holders.contains_key(&Holder::Peer(*key)))
                })
            })
        };
        let staying = state.sessions.iter().rev().filter(|(_, known)| !known.leaving);
        let (mut first, second): (Vec<_>, Vec<_>) = staying.partition(|(key, _)| announces(key));
        first.extend(second);
        first.into_iter().map(|(_, known)| Place::Session(known.session.clone())).collect()
    }
}

impl State {
    fn came(&mut self, namespace: &TrackNamespace, holder: Holder) {
        let holders = self.present.entry(namespace.clone()).or_default();
        let is_new = holders.is_empty();
        let count = holders.entry(holder).or_default();
        *count += 1;
        let ours = holder == Holder::Us && *count == 1;
        self.tell(namespace, true, is_new, ours);
    }

    fn went(&mut self, namespace: &TrackNamespace, holder: Holder) {
        let Some(holders) = self.present.get_mut(namespace) else { return };
        let Some(count) = holders.get_mut(&holder) else { return };
        *count -= 1;
        let gone = *count == 0;
        if gone {
            holders.remove(&holder);
        }
        let all_gone = holders.is_empty();
        if all_gone {
            self.present.remove(namespace);
        }
        self.tell(namespace, false, all_gone, gone && holder == Holder::Us);
    }

    fn tell(&self, namespace: &TrackNamespace, came: bool, any: bool, ours: bool) {
        for listener in self.listeners.values() {
            let concerned = if listener.ours_only { ours } else { any };
            if concerned
                && namespace.starts_with(&listener.prefix)
                && let Some(changes) = listener.changes.upgrade()
            {
                changes.add(namespace.clone(), came);
            }
        }
    }
}

/// A namespace that a peer has announced.
#[derive(Debug)]
pub(super) struct Heard {
    shared: Arc<Shared>,
    namespace: TrackNamespace,
    from: SessionKey,
}

impl Drop for Heard {
    fn drop(&mut self) {
        self.shared.lock().went(&self.namespace, Holder::Peer(self.from));
        self.shared.moved();
    }
}

/// A session's membership.
#[derive(Debug)]
pub(super) struct Member {
    shared: Arc<Shared>,
    pub(super) key: SessionKey,
}

impl Member {
    /// The peer has asked us to leave: nothing more is asked of it.
    pub(super) fn leaves(&self) {
        if let Some(known) = self.shared.lock().sessions.get_mut(&self.key) {
            known.leaving = true;
        }
        self.shared.moved();
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        // Dropped outside of the lock: it may be the session's last handle.
        let known = self.shared.lock().sessions.remove(&self.key);
        drop(known);
        self.shared.moved();
    }
}

/// Hears of what comes and goes.
#[derive(Debug)]
pub(super) struct Listening {
    shared: Arc<Shared>,
    key: u64,
    pub(super) changes: Arc<Changes>,
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.shared.lock().listeners.remove(&self.key);
        self.shared.moved();
    }
}
