//! A namespace with tracks.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use moqingbird_wire::model::{FullTrackName, NameError, TrackNamespace};

use super::state::Shared;
use crate::track::{Track, TrackOptions, Writer};

/// A namespace with tracks that this program publishes. Dropped, it is announced no more, and its tracks are found no
/// more; subscribers that have them get the rest.
#[derive(Debug)]
pub struct Broadcast {
    shared: Arc<Shared>,
    namespace: TrackNamespace,
    tracks: Arc<Tracks>,
}

/// The tracks of a broadcast.
#[derive(Debug, Default)]
pub(super) struct Tracks {
    tracks: Mutex<BTreeMap<Bytes, Track>>,
}

impl Broadcast {
    pub(super) fn new(shared: &Arc<Shared>, namespace: TrackNamespace) -> Result<Self, BroadcastError> {
        // draft-14 §2.4.1, draft-16 §2.4.1.
        if namespace.fields().is_empty() {
            return Err(BroadcastError::NoField);
        }
        let tracks = Arc::<Tracks>::default();
        if !shared.add_broadcast(&namespace, Arc::clone(&tracks)) {
            return Err(BroadcastError::Exists(namespace));
        }
        Ok(Self { shared: Arc::clone(shared), namespace, tracks })
    }

    /// The namespace.
    pub const fn namespace(&self) -> &TrackNamespace {
        &self.namespace
    }

    /// Adds a track. It can be found as long as the broadcast lives, also after its writer has finished it.
    ///
    /// # Errors
    /// The name is too long, or the broadcast has a track of this name whose writer has not finished it.
    pub fn create_track(
        &self,
        name: impl Into<Bytes>,
        options: TrackOptions,
    ) -> Result<Writer, BroadcastError> {
        let writer = Writer::new(options);
        self.insert_track(name, writer.track())?;
        Ok(writer)
    }

    /// Adds a track that is written already.
    ///
    /// # Errors
    /// As [`Broadcast::create_track`].
    pub fn insert_track(&self, name: impl Into<Bytes>, track: Track) -> Result<(), BroadcastError> {
        let name = FullTrackName::new(self.namespace.clone(), name).map_err(BroadcastError::Name)?;
        let mut tracks = self.tracks.lock();
        if tracks.get(&name.name).is_some_and(|track| !track.has_ended()) {
            return Err(BroadcastError::TrackExists(name));
        }
        tracks.insert(name.name, track);
        drop(tracks);
        self.shared.moved();
        Ok(())
    }

    /// A track, to make readers of it here.
    pub fn track(&self, name: &[u8]) -> Option<Track> {
        self.tracks.lock().get(name).cloned()
    }

    /// Removes a track: it is found no more.
    pub fn remove_track(&self, name: &[u8]) {
        self.tracks.lock().remove(name);
        self.shared.moved();
    }
}

impl Drop for Broadcast {
    fn drop(&mut self) {
        self.shared.remove_broadcast(&self.namespace);
    }
}

impl Tracks {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<Bytes, Track>> {
        self.tracks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn get(&self, name: &[u8]) -> Option<Track> {
        self.lock().get(name).cloned()
    }

    pub(super) fn all(&self, namespace: &TrackNamespace) -> Vec<(FullTrackName, Track)> {
        let named = |(name, track): (&Bytes, &Track)| {
            (FullTrackName { namespace: namespace.clone(), name: name.clone() }, track.clone())
        };
        self.lock().iter().map(named).collect()
    }
}

/// Why there is no such broadcast, or track of it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BroadcastError {
    /// A namespace has at least one field.
    NoField,
    /// The origin has a broadcast of this namespace.
    Exists(TrackNamespace),
    /// The broadcast has this track, and it has not ended.
    TrackExists(FullTrackName),
    /// The name cannot be one.
    Name(NameError),
}

impl fmt::Display for BroadcastError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoField => f.write_str("a namespace has at least one field, such as `live` or `live/cam`"),
            Self::Exists(namespace) => write!(f, "there is a broadcast {namespace} already"),
            Self::TrackExists(track) => write!(f, "there is a track {track} already, and it has not ended"),
            Self::Name(error) => error.fmt(f),
        }
    }
}

impl Error for BroadcastError {}
