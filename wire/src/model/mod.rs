//! What is meant, in no draft's spelling.
//!
//! Words and shapes follow the newest draft; where an older one says less, the doc of the field tells what it means
//! there. A field that a draft cannot carry makes its encoder answer
//! [`EncodeError::Inexpressible`](crate::EncodeError::Inexpressible).

mod code;
mod extensions;
mod fetch;
mod location;
mod message;
mod name;
mod namespace;
mod object;
mod publish;
mod setup;
mod subscribe;
mod token;

pub use code::{ErrorContext, PublishDoneCode, RequestErrorCode, ResetCode, SessionErrorCode};
pub use extensions::{Extensions, ExtensionsIter, TrackExtensions, extension};
pub use fetch::{EndLocation, Fetch, FetchItem, FetchObject, FetchOk, FetchRange, RangeStatus};
pub use location::{GroupOrder, Location, RequestId, SubscriptionFilter, TrackAlias};
pub use message::{
    GoAway, Message, ReasonPhrase, Request, RequestError, RequestKind, RequestOk, Response, Target,
};
pub use name::{FullTrackName, NameError, TrackNamespace};
pub use namespace::{PublishNamespace, SubscribeNamespace, SubscribeOptions};
pub use object::{Datagram, DatagramBody, ObjectHeader, ObjectStatus, Opening, SubgroupHeader, SubgroupId};
pub use publish::{Publish, PublishDone, PublishOk, STREAM_COUNT_UNKNOWN};
pub use setup::Setup;
pub use subscribe::{RequestUpdate, Subscribe, SubscribeOk};
pub use token::AuthorizationToken;

/// The priority of what states none: the middle of 0 (first) to 255 (last).
pub const DEFAULT_PRIORITY: u8 = 128;
