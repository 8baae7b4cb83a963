//! Broadcasts, and where they are to be had, oblivious to connections.
//!
//! ```text
//! Broadcast ── its tracks ──┐                        ┌── announced, wait_for
//!                           ├─> Origin <── sessions ─┤
//! subscribe ── blind ───────┘     serve, attach      └── what their peers announce and ask
//! ```
//!
//! An [`Origin`] holds what this program publishes and knows what its peers announce. Any number of sessions may share it.
//! To each of them every broadcast is announced at once (PUBLISH_NAMESPACE), whether or not it has asked; it also answers
//! SUBSCRIBE_NAMESPACE, SUBSCRIBE, FETCH and TRACK_STATUS. What one peer publishes is not offered to the others: that is a
//! relay's work.

mod announced;
mod broadcast;
mod requests;
mod serve;
mod state;

use std::sync::Arc;

use futures_util::future::{BoxFuture, FutureExt};
use moqingbird_wire::model::{FullTrackName, TrackNamespace};
use tokio::task::JoinSet;

pub use announced::Announced;
pub use broadcast::{Broadcast, BroadcastError};
pub use serve::{Attached, ServeOptions};
use state::Shared;

use crate::api::Session;
use crate::endpoint::Server;
use crate::session::Closed;
use crate::track::{Place, Provider, ReadOptions, TrackSubscription};

/// What a program publishes, and what its peers announce. Clones are the same origin.
///
/// ```
/// use moqingbird::track::{ReadOptions, TrackOptions};
/// use moqingbird::wire::model::{FullTrackName, TrackNamespace};
/// use moqingbird::{Origin, Version, memory_pair};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// // Before any connection:
/// let publisher = Origin::new();
/// let namespace = TrackNamespace::from_path("live/cam")?;
/// let broadcast = publisher.create_broadcast(namespace.clone())?;
/// let video = broadcast.create_track("video", TrackOptions::default())?;
/// video.write_frame("hello");
///
/// let (ours, theirs) = memory_pair(Version::Draft16).await?;
/// let _attached = publisher.attach(&ours);
///
/// let subscriber = Origin::new();
/// let _attached = subscriber.attach(&theirs);
/// let track = FullTrackName::new(namespace, "video")?;
/// let mut reader = subscriber.subscribe(track, ReadOptions::default());
/// let object = reader.next_object().await?.ok_or("the track has ended")?;
/// assert_eq!(&object.payload[..], b"hello");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default)]
pub struct Origin {
    shared: Arc<Shared>,
}

impl Origin {
    /// An origin without broadcasts or sessions.
    pub fn new() -> Self {
        Self::default()
    }

    /// A broadcast of this namespace, announced to every session until it is dropped.
    ///
    /// # Errors
    /// The namespace has no field, or there is such a broadcast already.
    pub fn create_broadcast(&self, namespace: TrackNamespace) -> Result<Broadcast, BroadcastError> {
        Broadcast::new(&self.shared, namespace)
    }

    /// What comes and goes below a prefix: broadcasts of this origin, and what the peers of its sessions announce. The
    /// peers are asked (SUBSCRIBE_NAMESPACE) as long as this is held; what they announce unasked counts too.
    pub fn announced(&self, prefix: TrackNamespace) -> Announced {
        Announced::new(&self.shared, prefix)
    }

    /// Waits until a namespace is announced. Not needed before [`Origin::subscribe`].
    pub async fn wait_for(&self, namespace: &TrackNamespace) {
        let mut announced = self.announced(namespace.clone());
        while !self.shared.is_present(namespace) {
            announced.next().await;
        }
    }

    /// Reads a track, whoever has it: this origin, a peer that announces the namespace, or else any peer. Nothing need be
    /// announced. The subscription goes on over whatever session is there, and waits while there is none.
    ///
    /// A session has one subscription to a track at a time (draft-14 §5.1, draft-16 §5.1): a second one to the same track of
    /// the same peer fails with [`ReadError::Misuse`](crate::track::ReadError::Misuse). Where several parts of a program read
    /// a remote track, one subscribes and writes into a [`Writer`](crate::track::Writer), whose
    /// [`Track`](crate::track::Track) has any number of readers.
    pub fn subscribe(&self, track: FullTrackName, options: ReadOptions) -> TrackSubscription {
        let provider = Finder { shared: Arc::clone(&self.shared), track: track.clone() };
        TrackSubscription::following(track, options, Arc::new(provider))
    }

    /// Serves a session until it ends, and tells how.
    pub async fn serve(&self, session: &Session) -> Closed {
        self.serve_with(session, ServeOptions::default()).await
    }

    /// As [`Origin::serve`], otherwise than by default.
    pub async fn serve_with(&self, session: &Session, options: ServeOptions) -> Closed {
        serve::serve(Arc::clone(&self.shared), session.clone(), options).await
    }

    /// Serves every client of a server until that is closed. One that does not come to a session is passed over.
    pub async fn serve_clients(&self, server: &Server) {
        let mut clients = JoinSet::new();
        loop {
            tokio::select! {
                incoming = server.accept() => match incoming {
                    Some(incoming) => {
                        let origin = self.clone();
                        clients.spawn(async move {
                            match incoming.accept().await {
                                Ok(session) => drop(origin.serve(&session).await),
                                Err(error) => tracing::info!(%error, "a client has no session"),
                            }
                        });
                    }
                    None => return,
                },
                Some(_) = clients.join_next() => {}
            }
        }
    }

    /// Serves a session in the background, until it ends or what is returned is dropped. Must be called within a Tokio
    /// runtime.
    pub fn attach(&self, session: &Session) -> Attached {
        self.attach_with(session, ServeOptions::default())
    }

    /// As [`Origin::attach`], otherwise than by default.
    pub fn attach_with(&self, session: &Session, options: ServeOptions) -> Attached {
        Attached::new(Arc::clone(&self.shared), session.clone(), options)
    }
}

/// Where a track of an origin may be.
#[derive(Debug)]
struct Finder {
    shared: Arc<Shared>,
    track: FullTrackName,
}

impl Provider for Finder {
    fn places(&self) -> BoxFuture<'static, Vec<Place>> {
        let (shared, track) = (Arc::clone(&self.shared), self.track.clone());
        async move {
            let mut version = shared.watch();
            loop {
                version.mark_unchanged();
                let places = shared.places(&track);
                if !places.is_empty() {
                    return places;
                }
                // It fails only when the origin is gone, which `shared` holds.
                let _ = version.changed().await;
            }
        }
        .boxed()
    }
}
