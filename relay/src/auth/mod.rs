//! Who may do what: one trait that is asked for every session and every request.
//!
//! The relay asks before anything else happens to a request: before the routing core hears of it, and before anything is
//! asked of another peer (draft-14 §8.3, §8.4; draft-16 §8.4, §8.5). Questions of one session are put one after another,
//! in the order of its requests; sessions do not wait for each other.

mod access;
#[cfg(feature = "jwt")]
pub mod jwt;
mod token;

use std::error::Error;
use std::fmt;
use std::future::ready;
use std::pin::Pin;
use std::time::SystemTime;

use moqingbird::wire::model::{FullTrackName, RequestErrorCode, SessionErrorCode, TrackNamespace};

pub(crate) use access::{Access, Allowance, InUse, Renewal, Until, expired};
pub use token::Token;

/// The answer to an [`AuthRequest`], or the future of one.
pub type Authorizing<'a> = Pin<Box<dyn Future<Output = Result<Permit, Denied>> + Send + 'a>>;

/// Decides what peers may do.
///
/// ```
/// use moqingbird_relay::auth::{AuthRequest, Authorizer, Authorizing, Denied, Operation, Permit};
///
/// /// Everybody may watch; whoever knows the word may publish.
/// #[derive(Debug)]
/// struct Word(&'static str);
///
/// impl Authorizer for Word {
///     fn authorize<'a>(&'a self, request: AuthRequest<'a>) -> Authorizing<'a> {
///         let publishes = matches!(request.operation, Operation::Publish | Operation::PublishNamespace);
///         let known = request.tokens().any(|token| token.value == self.0);
///         Box::pin(async move {
///             if publishes && !known { Err(Denied::unauthorized("say the word")) } else { Ok(Permit::forever()) }
///         })
///     }
/// }
/// ```
pub trait Authorizer: fmt::Debug + Send + Sync + 'static {
    /// Answers a question. One that takes longer than five seconds is answered with TIMEOUT in its place.
    fn authorize<'a>(&'a self, request: AuthRequest<'a>) -> Authorizing<'a>;
}

/// Lets everybody do everything.
#[derive(Clone, Copy, Debug, Default)]
pub struct AllowAll;

impl Authorizer for AllowAll {
    fn authorize<'a>(&'a self, _: AuthRequest<'a>) -> Authorizing<'a> {
        Box::pin(ready(Ok(Permit::forever())))
    }
}

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Operation {
    /// A session begins. Refused, it is closed.
    Setup,
    /// PUBLISH of a track.
    Publish,
    /// PUBLISH_NAMESPACE.
    PublishNamespace,
    /// SUBSCRIBE to a track.
    Subscribe,
    /// FETCH of a track, joining ones included.
    Fetch,
    /// SUBSCRIBE_NAMESPACE to a prefix: to hear of everything below it.
    SubscribeNamespace,
    /// TRACK_STATUS of a track.
    TrackStatus,
}

/// A question to an [`Authorizer`].
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct AuthRequest<'a> {
    /// What is asked.
    pub operation: Operation,
    /// The tokens that came with the session: in the query of its path (`token` or `jwt`), then in SETUP.
    pub session_tokens: &'a [Token],
    /// The tokens of the request itself; aliases are resolved. Empty for SETUP.
    pub request_tokens: &'a [Token],
    /// The session's path, with its query; `/` if the client named none.
    pub path: &'a str,
    /// The namespace, or the prefix, or the track's namespace. `None`: SETUP.
    pub namespace: Option<&'a TrackNamespace>,
    /// The track, if the question is of one.
    pub track: Option<&'a FullTrackName>,
}

impl<'a> AuthRequest<'a> {
    /// Every token that may be used: the request's own first.
    pub fn tokens(&self) -> impl Iterator<Item = &'a Token> + use<'a> {
        self.request_tokens.iter().chain(self.session_tokens)
    }
}

/// That something is allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Permit {
    /// How long; `None`: as long as the session. What was allowed is ended at that time.
    pub until: Option<SystemTime>,
}

impl Permit {
    /// Allowed as long as the session lasts.
    pub const fn forever() -> Self {
        Self { until: None }
    }

    /// Allowed up to a time.
    pub const fn until(time: SystemTime) -> Self {
        Self { until: Some(time) }
    }
}

/// Why something is not allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Denied {
    /// The peer is told the draft's code of this name.
    pub code: DeniedCode,
    /// For people at the peer's end. Must not have anything secret in it.
    pub reason: String,
}

/// The codes of a refusal, of sessions and requests alike (draft-14 §3.4, §9.9 and others; draft-16 §13.4.1, §13.4.2).
/// Where the draft in use lacks a code, as draft-14's PUBLISH_ERROR lacks those of tokens, UNAUTHORIZED is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DeniedCode {
    /// UNAUTHORIZED: the peer may not do this.
    Unauthorized,
    /// MALFORMED_AUTH_TOKEN: a token cannot be read, or is not what it says (draft-14 §9.2.1.1, draft-16 §9.2.2.1).
    MalformedAuthToken,
    /// EXPIRED_AUTH_TOKEN: a token's time is over.
    ExpiredAuthToken,
    /// The question could not be answered in time: TIMEOUT, or CONTROL_MESSAGE_TIMEOUT for a session.
    Timeout,
    /// The question could not be answered at all: INTERNAL_ERROR.
    InternalError,
}

impl Denied {
    /// With this code and reason.
    pub fn new(code: DeniedCode, reason: impl Into<String>) -> Self {
        Self { code, reason: reason.into() }
    }

    /// With UNAUTHORIZED.
    pub fn unauthorized(reason: impl Into<String>) -> Self {
        Self::new(DeniedCode::Unauthorized, reason)
    }

    pub(crate) const fn session_code(&self) -> SessionErrorCode {
        match self.code {
            DeniedCode::Unauthorized => SessionErrorCode::Unauthorized,
            DeniedCode::MalformedAuthToken => SessionErrorCode::MalformedAuthToken,
            DeniedCode::ExpiredAuthToken => SessionErrorCode::ExpiredAuthToken,
            DeniedCode::Timeout => SessionErrorCode::ControlMessageTimeout,
            DeniedCode::InternalError => SessionErrorCode::InternalError,
        }
    }

    pub(crate) const fn request_code(&self) -> RequestErrorCode {
        match self.code {
            DeniedCode::Unauthorized => RequestErrorCode::Unauthorized,
            DeniedCode::MalformedAuthToken => RequestErrorCode::MalformedAuthToken,
            DeniedCode::ExpiredAuthToken => RequestErrorCode::ExpiredAuthToken,
            DeniedCode::Timeout => RequestErrorCode::Timeout,
            DeniedCode::InternalError => RequestErrorCode::InternalError,
        }
    }
}

impl fmt::Display for Denied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.request_code(), self.reason)
    }
}

impl Error for Denied {}
