//! Media over QUIC Transport (MoQT), draft-ietf-moq-transport-14 and -16: publish and subscribe over raw QUIC and
//! WebTransport.
//!
#![cfg_attr(feature = "net", doc = "```no_run")]
#![cfg_attr(not(feature = "net"), doc = "```ignore")]
//! use moqingbird::wire::model::{FullTrackName, Subscribe, TrackNamespace};
//! use moqingbird::{Delivery, connect};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let session = connect(&"moqt://relay.example".parse()?, &Default::default()).await?;
//! let track = FullTrackName::new(TrackNamespace::from_path("live/cam")?, "video")?;
//! let mut subscription = session.subscribe(Subscribe::new(track)).await?;
//! while let Some(Delivery::Subgroup(mut subgroup)) = subscription.next().await? {
//!     while let Some(object) = subgroup.next_object().await? {
//!         println!("{}: {} bytes", object.location, object.payload.len());
//!     }
//! }
//! # Ok(()) }
//! ```
//!
//! # Layers
//!
//! Data flows one way, and each layer knows only what is to its left:
//!
//! [`wire`] (bytes and meanings) → [`session`] (the engine: no I/O, no clock) → driver (engine and transport on Tokio)
//! → [`Session`] and the handles of its requests → [`track`] (one writer, many readers, in memory).
//!
//! # Features
//!
//! `net`, on by default: transports, driver and everything above. Without it only the engine is built, and `bytes` is
//! the only dependency.

pub use moqingbird_wire as wire;
pub use moqingbird_wire::Version;

pub mod session;
#[cfg(feature = "net")]
pub mod track;

#[cfg(feature = "net")]
mod api;
#[cfg(feature = "net")]
mod driver;
#[cfg(feature = "net")]
mod endpoint;
#[cfg(feature = "net")]
mod transport;

#[cfg(feature = "net")]
pub use self::{
    api::{
        Delivery, IncomingPublish, IncomingPublishNamespace, IncomingRequest, IncomingSubgroup,
        IncomingSubscribe, IncomingSubscribeNamespace, NamespaceEvent, NamespaceSubscriber,
        NamespaceSubscription, Object, PeerNamespace, Publication, PublicationError, PublishedNamespace,
        Rejected, RequestFailed, Session, SubgroupError, SubgroupOptions, SubgroupSender, Subscription,
        TrackInfo,
    },
    endpoint::{AcceptError, ClientOptions, Incoming, Server, SessionError, connect, memory_pair},
    transport::{
        BindError, CertificateError, CertificateHash, CertificateHashError, ConnectError, ConnectFailure,
        ConnectOptions, Pem, ServerCertificate, ServerOptions, ServerUrl, ServerUrlError, TransportKind,
        Trust,
    },
};
