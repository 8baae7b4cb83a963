//! What a program holds: a session, and a handle for each of its requests.

mod encoded;
mod error;
mod fetch_sender;
mod fetched;
mod incoming;
mod namespace;
mod publication;
mod received;
mod registered;
mod renewals;
mod sender;
mod sent;
mod session;
mod subgroup;
mod subscription;

pub(crate) use encoded::{Encoded, Encoder, StreamPlace, as_expressible};
pub use error::{FetchError, PublicationError, Rejected, RequestFailed, SubgroupError};
pub use fetch_sender::FetchSender;
pub use fetched::{FetchDelivery, Fetched, FetchedObject};
pub use incoming::{
    IncomingFetch, IncomingPublish, IncomingPublishNamespace, IncomingRequest, IncomingSubscribe,
    IncomingSubscribeNamespace, IncomingTrackStatus, TrackInfo,
};
pub use namespace::{
    NamespaceEvent, NamespaceSubscriber, NamespaceSubscription, PeerNamespace, PublishedNamespace,
};
pub(crate) use publication::Heard;
pub use publication::Publication;
pub use registered::{IncomingStream, OutgoingStream, StreamFailed};
pub use renewals::Renewals;
pub use sender::{SubgroupOptions, SubgroupSender};
pub use session::Session;
pub use subgroup::{IncomingSubgroup, Object};
pub use subscription::{Delivery, Subscription};

pub(crate) use session::{Handle, Place};
