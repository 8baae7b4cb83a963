//! What can go wrong, by whose doing.

use std::error::Error;
use std::fmt;

use moqingbird_wire::model::{RequestError, RequestKind, ResetCode};
use moqingbird_wire::{EncodeError, Version};

use crate::session::{Closed, Misuse};

/// A request that the peer has lawfully declined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejected {
    /// What was asked.
    pub kind: RequestKind,
    /// Code, reason, and when to try again.
    pub error: RequestError,
    /// The code's number on the wire, if the draft has one for it there.
    pub wire_code: Option<u64>,
    /// The draft whose number it is.
    pub version: Version,
}

impl fmt::Display for Rejected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} was declined with {}", self.kind, self.error.code)?;
        if let Some(code) = self.wire_code {
            write!(f, " ({code:#x} in {})", self.version)?;
        }
        match self.error.reason.as_bytes() {
            [] => Ok(()),
            _ => write!(f, ": {}", self.error.reason),
        }
    }
}

impl Error for Rejected {}

/// Why a request of ours has no result.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RequestFailed {
    /// The peer declined it, or gave no answer in time.
    Rejected(Rejected),
    /// It was asked wrongly, and never sent.
    Misuse(Misuse),
    /// The session ended first.
    Closed(Closed),
}

impl fmt::Display for RequestFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rejected(rejected) => rejected.fmt(f),
            Self::Misuse(misuse) => misuse.fmt(f),
            Self::Closed(closed) => closed.fmt(f),
        }
    }
}

impl Error for RequestFailed {}

impl From<Misuse> for RequestFailed {
    fn from(misuse: Misuse) -> Self {
        Self::Misuse(misuse)
    }
}

/// Why a subgroup cannot be read further. The subscription goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SubgroupError {
    /// The publisher reset the stream.
    Reset(ResetCode),
    /// The stream breaks the rules of tracks; which is said.
    Malformed(&'static str),
    /// An object of this many bytes is over the limit for whole objects.
    TooLarge(u64),
    /// It was not read for so long that it was stopped, to make room for what is.
    Overrun,
    /// The session ended.
    Closed(Closed),
}

impl fmt::Display for SubgroupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reset(code) => write!(f, "the publisher reset the subgroup with {code}"),
            Self::Malformed(rule) => write!(f, "the track is malformed: {rule}"),
            Self::TooLarge(length) => write!(f, "an object of {length} bytes is too large to be read whole"),
            Self::Overrun => f.write_str("it was stopped, for it had not been read for too long"),
            Self::Closed(closed) => closed.fmt(f),
        }
    }
}

impl Error for SubgroupError {}

/// Why a FETCH brings nothing more.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FetchError {
    /// The publisher declined it, perhaps after the first objects.
    Rejected(Rejected),
    /// The publisher reset the stream: what was asked for is incomplete.
    Reset(ResetCode),
    /// The stream breaks the rules of tracks; which is said.
    Malformed(&'static str),
    /// An object of this many bytes is over the limit for whole objects.
    TooLarge(u64),
    /// It was not read for so long that it was stopped, to make room for what is.
    Overrun,
    /// The session ended.
    Closed(Closed),
}

impl fmt::Display for FetchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rejected(rejected) => rejected.fmt(f),
            Self::Reset(code) => write!(f, "the publisher broke the FETCH off with {code}"),
            Self::Malformed(rule) => write!(f, "the track is malformed: {rule}"),
            Self::TooLarge(length) => write!(f, "an object of {length} bytes is too large to be read whole"),
            Self::Overrun => f.write_str("it was stopped, for it had not been read for too long"),
            Self::Closed(closed) => closed.fmt(f),
        }
    }
}

impl Error for FetchError {}

impl From<SubgroupError> for FetchError {
    fn from(error: SubgroupError) -> Self {
        match error {
            SubgroupError::Reset(code) => Self::Reset(code),
            SubgroupError::Malformed(rule) => Self::Malformed(rule),
            SubgroupError::TooLarge(length) => Self::TooLarge(length),
            SubgroupError::Overrun => Self::Overrun,
            SubgroupError::Closed(closed) => Self::Closed(closed),
        }
    }
}

/// Why nothing more can be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PublicationError {
    /// The subscriber has left, or wants no more of this subgroup.
    Cancelled,
    /// An object was later than the delivery timeout: its subgroup was reset, and takes no more (draft-14 §9.2.1.2, draft-16
    /// §9.2.2.2). The subscription goes on.
    Late,
    /// It was asked wrongly.
    Misuse(Misuse),
    /// The object cannot be written in the session's draft, or not here; the stream stands where it stood.
    Encode(EncodeError),
    /// The session ended.
    Closed(Closed),
}

impl fmt::Display for PublicationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cancelled => f.write_str("the subscriber wants no more"),
            Self::Late => f.write_str("an object was later than the delivery timeout"),
            Self::Misuse(misuse) => misuse.fmt(f),
            Self::Encode(error) => error.fmt(f),
            Self::Closed(closed) => closed.fmt(f),
        }
    }
}

impl Error for PublicationError {}

impl From<EncodeError> for PublicationError {
    fn from(error: EncodeError) -> Self {
        Self::Encode(error)
    }
}
