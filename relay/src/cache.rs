//! What has been published, kept for those who ask later.
//!
//! Unlike a [`track`](moqingbird::track), which is there for subscribers and forgets what they have read, a cache keeps
//! copies, so that a small object does not keep the packets alive in which it came. All tracks share one budget. When it
//! is used up, the oldest group of any track goes first; the newest group of a track stays, but for its oldest objects
//! where a track has more than its share.

pub(crate) mod fill;
pub(crate) mod store;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use moqingbird::track::{Item, Packed, SubgroupInfo, WriteError};
use moqingbird::wire::model::{
    DEFAULT_PRIORITY, Datagram, DatagramBody, FetchObject, FullTrackName, Location, ObjectHeader,
    ObjectStatus, TrackExtensions, TrackNamespace,
};
use tokio::sync::Notify;
use tokio::time::Instant;

pub(crate) use fill::{Fills, Join, Lead};
use store::Store;

/// What a relay keeps of the past, of all tracks together.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct CacheOptions {
    /// How many bytes of objects are kept, what describes them included. Default: 16 MiB.
    pub max_bytes: usize,
    /// How many groups of a track are kept. Default: 1,024.
    pub max_groups: usize,
    /// How long a group is kept, from its first object on; the newest of a track is kept as long as somebody publishes the
    /// track or announces its namespace. Default: 10 minutes.
    pub max_age: Duration,
}

impl Default for CacheOptions {
    fn default() -> Self {
        Self { max_bytes: 16 << 20, max_groups: 1024, max_age: Duration::from_secs(600) }
    }
}

/// The tracks of a relay, as far as they are kept.
#[derive(Debug)]
pub(crate) struct Cache {
    options: CacheOptions,
    started: Instant,
    bytes: AtomicUsize,
    tracks: Mutex<BTreeMap<FullTrackName, Arc<CachedTrack>>>,
    /// When groups were last looked through for their age.
    swept: Mutex<Duration>,
}

/// One track, as far as it is kept.
#[derive(Debug)]
pub(crate) struct CachedTrack {
    cache: Arc<Cache>,
    state: Mutex<State>,
    /// Something came, or a fill has ended.
    pub(crate) changed: Notify,
    pub(crate) fills: Fills,
}

#[derive(Debug, Default)]
struct State {
    store: Store,
    extensions: TrackExtensions,
}

impl Cache {
    pub(crate) fn new(options: CacheOptions) -> Arc<Self> {
        Arc::new(Self {
            options,
            started: Instant::now(),
            bytes: AtomicUsize::new(0),
            tracks: Mutex::default(),
            swept: Mutex::default(),
        })
    }

    /// How many bytes are kept.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// A track, which is entered if need be.
    pub(crate) fn track(self: &Arc<Self>, name: &FullTrackName) -> Arc<CachedTrack> {
        let mut tracks = lock(&self.tracks);
        if let Some(track) = tracks.get(name) {
            return Arc::clone(track);
        }
        let track = self.apart();
        tracks.insert(name.clone(), Arc::clone(&track));
        track
    }

    /// A track that is not entered: of one that nobody publishes nothing is kept for others.
    pub(crate) fn apart(self: &Arc<Self>) -> Arc<CachedTrack> {
        Arc::new(CachedTrack {
            cache: Arc::clone(self),
            state: Mutex::default(),
            changed: Notify::new(),
            fills: Fills::default(),
        })
    }

    /// Forgets the tracks below a namespace that `is_published` denies.
    pub(crate) fn forget(&self, namespace: &TrackNamespace, is_published: impl Fn(&FullTrackName) -> bool) {
        let first = FullTrackName { namespace: namespace.clone(), name: Bytes::new() };
        let mut tracks = lock(&self.tracks);
        let gone: Vec<_> = tracks
            .range(first..)
            .map(|(name, _)| name)
            .take_while(|name| name.namespace.starts_with(namespace))
            .filter(|name| !is_published(name))
            .cloned()
            .collect();
        let gone: Vec<_> = gone.iter().filter_map(|name| tracks.remove(name)).collect();
        drop(tracks);
        // Not under the lock: whoever reads them still holds them.
        drop(gone);
    }

    /// Whether nothing is kept.
    pub(crate) fn is_empty(&self) -> bool {
        lock(&self.tracks).is_empty()
    }

    fn now(&self) -> Duration {
        self.started.elapsed()
    }

    /// Forgets what is too much, or too old.
    fn make_room(&self) {
        let now = self.now();
        let is_full = self.bytes() > self.options.max_bytes;
        let is_due = {
            let mut swept = lock(&self.swept);
            let is_due = now.saturating_sub(*swept) >= Duration::from_secs(1);
            *swept = if is_due { now } else { *swept };
            is_due
        };
        if !is_full && !is_due {
            return;
        }
        let tracks: Vec<_> = lock(&self.tracks).values().cloned().collect();
        let mut old: Vec<(Duration, u64, usize)> = Vec::new();
        for (at, track) in tracks.iter().enumerate() {
            old.extend(track.state().store.old_groups().map(|(since, group)| (since, group, at)));
        }
        old.sort_unstable();
        // Somewhat more than needed, so that not every object finds it full.
        let target = self.options.max_bytes - self.options.max_bytes / 16;
        for (since, group, at) in old {
            let is_over_age = now.saturating_sub(since) > self.options.max_age;
            let is_too_much = is_full && self.bytes() > target;
            if !is_over_age && !is_too_much {
                break;
            }
            tracks[at].change(|state, _| state.store.forget_group(group));
        }
        if is_full && self.bytes() > target {
            self.shrink(&tracks, target);
        }
    }

    /// Takes from the newest groups of the largest tracks, but from none more than what it has over its share.
    fn shrink(&self, tracks: &[Arc<CachedTrack>], target: usize) {
        let mut by_size: Vec<_> = tracks.iter().map(|track| (track.state().store.bytes(), track)).collect();
        by_size.sort_unstable_by_key(|(bytes, _)| std::cmp::Reverse(*bytes));
        let share = target / tracks.len().max(1);
        for (bytes, track) in by_size {
            let excess = self.bytes().saturating_sub(target);
            if excess == 0 {
                return;
            }
            track.change(|state, _| state.store.shrink_to(bytes.saturating_sub(excess).max(share)));
        }
    }
}

impl CachedTrack {
    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// Changes what is kept, and keeps the account.
    fn change<T>(&self, change: impl FnOnce(&mut State, Duration) -> T) -> T {
        let now = self.cache.now();
        let mut state = self.state();
        let before = state.store.bytes();
        let changed = change(&mut state, now);
        let after = state.store.bytes();
        drop(state);
        match after.checked_sub(before) {
            Some(more) => self.cache.bytes.fetch_add(more, Ordering::Relaxed),
            None => self.cache.bytes.fetch_sub(before - after, Ordering::Relaxed),
        };
        changed
    }

    /// Changes what is kept, tells those who wait, and makes room.
    pub(crate) fn write<T>(&self, change: impl FnOnce(&mut Store, Duration) -> T) -> T {
        let changed = self.change(|state, now| change(&mut state.store, now));
        self.changed.notify_waiters();
        self.cache.make_room();
        changed
    }

    /// Looks at what is kept.
    pub(crate) fn read<T>(&self, read: impl FnOnce(&mut Store, Duration) -> T) -> T {
        self.change(|state, now| read(&mut state.store, now))
    }

    /// What a publisher says of the track.
    pub(crate) fn describe(&self, largest: Option<Location>, extensions: &TrackExtensions) {
        self.change(|state, _| {
            state.extensions = extensions.clone();
            state.store.limit_age(extensions.max_cache_duration);
            if let Some(largest) = largest {
                state.store.tell_largest(largest);
            }
        });
    }

    pub(crate) fn extensions(&self) -> TrackExtensions {
        self.state().extensions.clone()
    }

    /// A live stream begins.
    pub(crate) fn open(&self, group: u64) {
        self.write(|store, now| store.open(group, now));
    }

    /// Takes in a part of a live subgroup, and takes out of it what does not exist. `pack` makes the rest ready to be
    /// written, with payload that may be kept.
    pub(crate) fn publish(
        &self,
        info: &SubgroupInfo,
        at: &mut LiveAt,
        mut items: Vec<Item>,
        pack: impl FnOnce(Vec<Item>) -> Result<Packed, WriteError>,
    ) -> Result<Packed, WriteError> {
        self.write(|store, now| {
            let mut object = at.object;
            items.retain(|item| match item {
                Item::Object(header) => {
                    let location = Location::new(info.group_id, header.object_id);
                    let exists = store.publish(of_subgroup(info, header), now);
                    at.object = exists.then_some(location);
                    exists
                }
                Item::Payload(_) => at.object.is_some(),
            });
            let packed = pack(items)?;
            for item in packed.items() {
                match item {
                    Item::Object(header) => object = Some(Location::new(info.group_id, header.object_id)),
                    Item::Payload(part) => {
                        if let Some(location) = object {
                            store.add(location, part.clone());
                        }
                    }
                }
            }
            store.limit_groups(self.cache.options.max_groups);
            Ok(packed)
        })
    }

    /// A live stream ends, with all of its subgroup or without.
    pub(crate) fn close(&self, info: &SubgroupInfo, at: LiveAt, is_whole: bool) {
        self.write(|store, now| {
            store.close(info.group_id, is_whole);
            match at.object {
                Some(last) if is_whole && info.end_of_group => store.end_group(last, now),
                Some(last) if !is_whole => store.give_up(last),
                _ => {}
            }
        });
    }

    /// Takes in an object that came in a datagram.
    pub(crate) fn publish_datagram(&self, datagram: &Datagram) {
        let location = Location::new(datagram.group_id, datagram.object_id);
        let (status, payload) = match &datagram.body {
            DatagramBody::Payload(payload) => (ObjectStatus::Normal, payload.as_ref()),
            DatagramBody::Status(status) => (*status, &[][..]),
            _ => return,
        };
        let header = FetchObject {
            location,
            subgroup_id: None,
            publisher_priority: datagram.publisher_priority.unwrap_or(DEFAULT_PRIORITY),
            extensions: datagram.extensions.detached(),
            status,
            payload_length: payload.len() as u64,
        };
        self.write(|store, now| {
            if store.publish(header, now) && !payload.is_empty() {
                store.add(location, Bytes::copy_from_slice(payload));
            }
            if datagram.end_of_group {
                store.end_group(location, now);
            }
            store.limit_groups(self.cache.options.max_groups);
        });
    }

    /// Whether a part of an object's payload is not what it was when it came first.
    pub(crate) fn differs(&self, location: Location, offset: usize, part: &[u8]) -> bool {
        self.state().store.differs(location, offset, part)
    }

    /// Whether an object is the same as it was when it came first, as far as that is kept (draft-14 §8.1, draft-16 §8.1).
    pub(crate) fn is_same(&self, header: &FetchObject) -> bool {
        self.state().store.header(header.location).is_none_or(|known| {
            known.subgroup_id == header.subgroup_id
                && known.publisher_priority == header.publisher_priority
                && (known.status == header.status || header.status == ObjectStatus::DoesNotExist)
                && (known.payload_length == header.payload_length
                    || header.status == ObjectStatus::DoesNotExist)
        })
    }
}

impl Drop for CachedTrack {
    fn drop(&mut self) {
        let kept = self.state().store.bytes();
        self.cache.bytes.fetch_sub(kept, Ordering::Relaxed);
    }
}

/// Where a live stream is: the object at hand, if that exists.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct LiveAt {
    object: Option<Location>,
}

/// The parts of a payload that have come at once, to be copied into one.
#[derive(Debug, Default)]
pub(crate) struct Gathered {
    parts: Vec<Bytes>,
}

impl Gathered {
    pub(crate) fn add(&mut self, part: &Bytes) {
        if !part.is_empty() {
            self.parts.push(part.clone());
        }
    }

    pub(crate) fn store(&mut self, store: &mut Store, location: Option<Location>) {
        if let Some(location) = location.filter(|_| !self.parts.is_empty()) {
            let mut copy = BytesMut::with_capacity(self.parts.iter().map(Bytes::len).sum());
            self.parts.iter().for_each(|part| copy.extend_from_slice(part));
            store.add(location, copy.freeze());
        }
        self.parts.clear();
    }
}

/// An object of a subgroup, as it is kept.
pub(crate) fn of_subgroup(info: &SubgroupInfo, header: &ObjectHeader) -> FetchObject {
    FetchObject {
        location: Location::new(info.group_id, header.object_id),
        subgroup_id: Some(info.subgroup_id.unwrap_or(header.object_id)),
        publisher_priority: info.publisher_priority,
        extensions: header.extensions.clone(),
        status: header.status,
        payload_length: header.payload_length,
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing between lock and unlock panics, so a poisoned lock guards a whole state.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
