//! Media over QUIC Transport (MoQT), draft-ietf-moq-transport-14 and -16: publish and subscribe over raw QUIC and
//! WebTransport.
//!
#![cfg_attr(feature = "net", doc = "```")]
#![cfg_attr(not(feature = "net"), doc = "```ignore")]
//! use moqingbird::wire::model::{FullTrackName, Subscribe, TrackNamespace};
//! use moqingbird::{ClientOptions, Delivery, connect};
//! # use moqingbird::{IncomingRequest, Server, ServerOptions, SubgroupOptions, TrackInfo, Trust};
//!
//! # type Result = std::result::Result<(), Box<dyn std::error::Error>>;
//! # async fn serve(server: Server) -> Result {
//! #     let session = server.accept().await.ok_or("closed")?.accept().await?;
//! #     while let Some(IncomingRequest::Subscribe(request)) = session.next_request().await {
//! #         let publication = request.accept(TrackInfo::default())?;
//! #         let mut subgroup = publication.open_subgroup(SubgroupOptions::new(0)).await?;
//! #         subgroup.write("hello".into()).await?;
//! #         subgroup.finish()?;
//! #     }
//! #     Ok(())
//! # }
//! # #[tokio::main]
//! # async fn main() -> Result {
//! # let server = Server::bind(&ServerOptions::default())?;
//! # let url = format!("moqt://{}", server.local_addrs()[0]);
//! # let mut options = ClientOptions::default();
//! # options.connect.trust = Trust::Pinned(vec![server.certificate_sha256()]);
//! # tokio::try_join!(serve(server), watch(&url, options)).map(drop)
//! # }
//! async fn watch(url: &str, options: ClientOptions) -> Result {
//!     let session = connect(&url.parse()?, &options).await?;
//!     let track = FullTrackName::new(TrackNamespace::from_path("live/cam")?, "video")?;
//!     let mut subscription = session.subscribe(Subscribe::new(track)).await?;
//!     while let Some(Delivery::Subgroup(mut subgroup)) = subscription.next().await? {
//!         while let Some(object) = subgroup.next_object().await? {
//!             println!("{}: {} bytes", object.location, object.payload.len());
//!         }
//!     }
//!     Ok(())
//! }
//! ```
//!
#![cfg_attr(
    feature = "net",
    doc = "The [guide] teaches the rest in order (connect, publish, subscribe, fetch, errors, back-pressure, the engine without"
)]
#![cfg_attr(feature = "net", doc = "I/O) and lists the drafts' terms with their names here.")]
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

#[cfg(all(feature = "net", any(doc, doctest)))]
pub mod guide;

#[cfg(feature = "net")]
mod api;
#[cfg(feature = "net")]
mod backoff;
#[cfg(feature = "net")]
mod client;
#[cfg(feature = "net")]
mod driver;
#[cfg(feature = "net")]
mod endpoint;
#[cfg(feature = "net")]
mod log;
#[cfg(feature = "net")]
mod origin;
#[cfg(feature = "net")]
mod transport;

#[cfg(feature = "net")]
pub use self::{
    api::{
        Delivery, FetchDelivery, FetchError, FetchSender, Fetched, FetchedObject, IncomingFetch,
        IncomingPublish, IncomingPublishNamespace, IncomingRequest, IncomingStream, IncomingSubgroup,
        IncomingSubscribe, IncomingSubscribeNamespace, IncomingTrackStatus, NamespaceEvent,
        NamespaceSubscriber, NamespaceSubscription, Object, OutgoingStream, PeerNamespace, Publication,
        PublicationError, PublishedNamespace, Rejected, Renewals, RequestFailed, Session, StreamFailed,
        SubgroupError, SubgroupOptions, SubgroupSender, Subscription, TrackInfo,
    },
    backoff::Backoff,
    client::{Client, ClientState, Lost},
    endpoint::{
        AcceptError, ClientOptions, Examination, Incoming, Server, SessionError, connect, examine,
        memory_pair, memory_pair_with,
    },
    log::{EventLog, EventLogError},
    origin::{Announced, Attached, Broadcast, BroadcastError, Origin, ServeOptions},
    transport::{
        BindError, CertificateError, CertificateHash, CertificateHashError, ClientCertificate,
        ClientCertificates, CongestionControl, CongestionControlError, ConnectError, ConnectFailure,
        ConnectOptions, Distrust, DistrustKind, Pem, Seen, SeenCertificate, ServerCertificate, ServerOptions,
        ServerUrl, ServerUrlError, Sockets, TransportKind, Trust, WebTransportAnswer, ask_web_transport,
    },
};

/// The README's example runs with the tests.
#[cfg(all(doctest, feature = "net"))]
#[doc = include_str!("../README.md")]
struct Readme;
