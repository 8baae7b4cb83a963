//! Two of the three kinds of error: what ended a session, and what the caller asked wrongly. The third, what the peer
//! lawfully declined, is an [`Event::Rejected`](super::Event::Rejected).

use std::error::Error;
use std::fmt;

use moqingbird_wire::model::SessionErrorCode;

/// Why a session is over.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Closed {
    /// We closed it: because we were asked to, or because the peer broke a rule.
    Local {
        /// The code that the peer was told.
        code: SessionErrorCode,
        /// Why.
        reason: String,
    },
    /// The peer closed it.
    Peer {
        /// The code it gave.
        code: SessionErrorCode,
        /// What it said.
        reason: String,
    },
    /// The connection was lost.
    Lost {
        /// What the transport says.
        reason: String,
    },
}

impl fmt::Display for Closed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Local { code, reason } => write!(f, "we closed the session with {code}: {reason}"),
            Self::Peer { code, reason } if reason.is_empty() => {
                write!(f, "the peer closed the session with {code}")
            }
            Self::Peer { code, reason } => write!(f, "the peer closed the session with {code}: {reason}"),
            Self::Lost { reason } => write!(f, "the connection was lost: {reason}"),
        }
    }
}

impl Error for Closed {}

/// What the caller asked wrongly. The session is unharmed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Misuse {
    /// No such request, or it has ended.
    UnknownRequest,
    /// The request is of another kind than the call needs.
    WrongKind,
    /// The request is in a state in which the call makes no sense; which is said.
    WrongState(&'static str),
    /// The draft in use cannot express this field's value.
    Inexpressible(&'static str),
    /// This field is longer than the wire has room for.
    TooLong(&'static str),
    /// As many requests as [`Config::max_waiting_requests`](super::Config::max_waiting_requests) wait for credit.
    TooManyRequests,
    /// The session is over, or the peer has sent GOAWAY and takes no new requests.
    Closed,
}

impl fmt::Display for Misuse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownRequest => f.write_str("there is no such request"),
            Self::WrongKind => f.write_str("the request is of another kind"),
            Self::WrongState(state) => f.write_str(state),
            Self::Inexpressible(field) => write!(f, "the draft in use cannot express the {field}"),
            Self::TooLong(field) => write!(f, "the {field} is too long for the wire"),
            Self::TooManyRequests => f.write_str("too many requests wait for the peer's permission"),
            Self::Closed => f.write_str("the session takes no new requests"),
        }
    }
}

impl Error for Misuse {}
