//! What a program holds: a session, and a handle for each of its requests.

mod error;
mod incoming;
mod namespace;
mod publication;
mod sender;
mod session;
mod subgroup;
mod subscription;

pub use error::{PublicationError, Rejected, RequestFailed, SubgroupError};
pub use incoming::{
    IncomingPublish, IncomingPublishNamespace, IncomingRequest, IncomingSubscribe,
    IncomingSubscribeNamespace, TrackInfo,
};
pub use namespace::{
    NamespaceEvent, NamespaceSubscriber, NamespaceSubscription, PeerNamespace, PublishedNamespace,
};
pub use publication::Publication;
pub use sender::{SubgroupOptions, SubgroupSender};
pub use session::Session;
pub use subgroup::{IncomingSubgroup, Object};
pub use subscription::{Delivery, Subscription};

pub(crate) use session::{Handle, Place};
