//! A control message, in no draft's spelling.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use bytes::Bytes;

use super::{
    Fetch, FetchOk, Location, Publish, PublishDone, PublishNamespace, PublishOk, RequestErrorCode, RequestId,
    RequestUpdate, Setup, Subscribe, SubscribeNamespace, SubscribeOk, TrackExtensions, TrackNamespace,
};

/// Everything that a control message can mean.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Message {
    /// CLIENT_SETUP.
    ClientSetup(Setup),
    /// SERVER_SETUP.
    ServerSetup(Setup),
    /// GOAWAY.
    GoAway(GoAway),
    /// MAX_REQUEST_ID: the receiver's Request IDs stay below this.
    MaxRequestId(u64),
    /// REQUESTS_BLOCKED: the sender has reached this limit.
    RequestsBlocked(u64),
    /// A request that awaits a response.
    Request {
        /// Its number, new.
        id: RequestId,
        /// What is asked.
        request: Request,
    },
    /// REQUEST_UPDATE; in draft-14 SUBSCRIBE_UPDATE.
    RequestUpdate {
        /// Its number, new.
        id: RequestId,
        /// The request that it changes.
        target: RequestId,
        /// What changes.
        update: RequestUpdate,
    },
    /// A request is granted.
    Response {
        /// Which.
        target: Target,
        /// With what.
        response: Response,
    },
    /// A request is declined: REQUEST_ERROR; in draft-14 a message for each kind.
    RequestError {
        /// Which.
        target: Target,
        /// The kind of the request. Draft-14's message tells it and needs it; draft-16's does not tell (`None`).
        kind: Option<RequestKind>,
        /// Why.
        error: RequestError,
    },
    /// UNSUBSCRIBE.
    Unsubscribe(RequestId),
    /// FETCH_CANCEL.
    FetchCancel(RequestId),
    /// PUBLISH_DONE.
    PublishDone {
        /// The subscription, by the request that made it.
        target: RequestId,
        /// How it ended.
        done: PublishDone,
    },
    /// PUBLISH_NAMESPACE_DONE: the publisher withdraws a namespace.
    PublishNamespaceDone(Target),
    /// PUBLISH_NAMESPACE_CANCEL: the subscriber no longer takes a namespace.
    PublishNamespaceCancel {
        /// Which.
        target: Target,
        /// Why.
        error: RequestError,
    },
    /// UNSUBSCRIBE_NAMESPACE. In draft-16 the request's stream ends instead.
    UnsubscribeNamespace(Target),
    /// NAMESPACE: a namespace has come; what follows the prefix. Not in draft-14.
    Namespace(TrackNamespace),
    /// NAMESPACE_DONE: a namespace has gone; what follows the prefix. Not in draft-14.
    NamespaceDone(TrackNamespace),
}

/// How a message names the request that it is about.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Target {
    /// By its number.
    Id(RequestId),
    /// By its namespace or prefix (draft-14's PUBLISH_NAMESPACE_DONE, PUBLISH_NAMESPACE_CANCEL,
    /// UNSUBSCRIBE_NAMESPACE).
    Namespace(TrackNamespace),
}

/// What can be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Request {
    /// SUBSCRIBE.
    Subscribe(Subscribe),
    /// PUBLISH.
    Publish(Publish),
    /// FETCH.
    Fetch(Fetch),
    /// TRACK_STATUS.
    TrackStatus(Subscribe),
    /// PUBLISH_NAMESPACE.
    PublishNamespace(PublishNamespace),
    /// SUBSCRIBE_NAMESPACE.
    SubscribeNamespace(SubscribeNamespace),
}

impl Request {
    /// Which kind this is.
    pub const fn kind(&self) -> RequestKind {
        match self {
            Self::Subscribe(_) => RequestKind::Subscribe,
            Self::Publish(_) => RequestKind::Publish,
            Self::Fetch(_) => RequestKind::Fetch,
            Self::TrackStatus(_) => RequestKind::TrackStatus,
            Self::PublishNamespace(_) => RequestKind::PublishNamespace,
            Self::SubscribeNamespace(_) => RequestKind::SubscribeNamespace,
        }
    }
}

/// The kinds of request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RequestKind {
    /// SUBSCRIBE.
    Subscribe,
    /// PUBLISH.
    Publish,
    /// FETCH.
    Fetch,
    /// TRACK_STATUS.
    TrackStatus,
    /// PUBLISH_NAMESPACE.
    PublishNamespace,
    /// SUBSCRIBE_NAMESPACE.
    SubscribeNamespace,
    /// REQUEST_UPDATE, which draft-14 does not answer.
    Update,
}

impl fmt::Display for RequestKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Subscribe => "SUBSCRIBE",
            Self::Publish => "PUBLISH",
            Self::Fetch => "FETCH",
            Self::TrackStatus => "TRACK_STATUS",
            Self::PublishNamespace => "PUBLISH_NAMESPACE",
            Self::SubscribeNamespace => "SUBSCRIBE_NAMESPACE",
            Self::Update => "REQUEST_UPDATE",
        })
    }
}

/// How a request is granted.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Response {
    /// SUBSCRIBE_OK.
    Subscribe(SubscribeOk),
    /// PUBLISH_OK.
    Publish(PublishOk),
    /// FETCH_OK.
    Fetch(FetchOk),
    /// REQUEST_OK; in draft-14 TRACK_STATUS_OK, PUBLISH_NAMESPACE_OK and SUBSCRIBE_NAMESPACE_OK.
    Ok {
        /// The kind of the request. Draft-14's message tells it and needs it; draft-16's does not tell (`None`).
        kind: Option<RequestKind>,
        /// What is said besides.
        ok: RequestOk,
    },
}

/// What REQUEST_OK says: of a track, in answer to TRACK_STATUS and REQUEST_UPDATE; otherwise nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequestOk {
    /// When the publisher would end a subscription, in whole milliseconds.
    pub expires: Option<Duration>,
    /// The largest location published so far.
    pub largest: Option<Location>,
    /// What holds for the whole track. Only in draft-14's TRACK_STATUS_OK.
    pub extensions: TrackExtensions,
}

/// Why a request was declined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestError {
    /// The code.
    pub code: RequestErrorCode,
    /// When to try again, in whole milliseconds. `None`: not; and all that draft-14 can say.
    pub retry_after: Option<Duration>,
    /// Why, for people.
    pub reason: ReasonPhrase,
}

impl RequestError {
    /// An error without a time to try again.
    pub fn new(code: RequestErrorCode, reason: impl Into<ReasonPhrase>) -> Self {
        Self { code, retry_after: None, reason: reason.into() }
    }
}

/// GOAWAY (draft-14 §9.4, draft-16 §9.4).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GoAway {
    /// Where to go, at most 8,192 bytes; empty: the same place. Empty from clients.
    pub new_session_uri: Bytes,
}

impl GoAway {
    /// The longest New Session URI, in bytes.
    pub const MAX_URI: u64 = 8192;
}

/// A reason for people: UTF-8 of at most 1,024 bytes (draft-14 §1.4.3, draft-16 §1.4.3). Kept as it came.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct ReasonPhrase(Bytes);

impl ReasonPhrase {
    /// The most bytes.
    pub const MAX: usize = 1024;

    /// The first [`Self::MAX`] bytes of `bytes`, cut between characters.
    pub fn new(bytes: impl Into<Bytes>) -> Self {
        let mut bytes = bytes.into();
        let mut end = bytes.len().min(Self::MAX);
        while end < bytes.len() && end > 0 && bytes[end] & 0xc0 == 0x80 {
            end -= 1;
        }
        bytes.truncate(end);
        Self(bytes)
    }

    /// The bytes as they stand on the wire.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The text, with what is not UTF-8 replaced.
    pub fn to_str(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.0)
    }
}

impl fmt::Display for ReasonPhrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_str())
    }
}

impl From<&'static str> for ReasonPhrase {
    fn from(text: &'static str) -> Self {
        Self::new(Bytes::from_static(text.as_bytes()))
    }
}

impl From<String> for ReasonPhrase {
    fn from(text: String) -> Self {
        Self::new(text)
    }
}
