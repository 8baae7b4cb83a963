//! What a reader of a track asks for, and what it is given.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use moqingbird_wire::model::{
    AuthorizationToken, DEFAULT_PRIORITY, EndLocation, Extensions, Location, PublishDone,
};

use crate::api::{Rejected, RequestFailed};
use crate::session::{Closed, Misuse};

/// Where a reader begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Start {
    /// With the first object of the current group, or of one that many groups before it (Relative Joining FETCH). The
    /// default, with 0: what SUBSCRIBE alone never delivers is fetched.
    GroupsBefore(u64),
    /// With this location: what of it is past is fetched (Absolute Joining FETCH).
    At(Location),
    /// With what is published next. Nothing is fetched.
    NextObject,
    /// With the group that begins next. Nothing is fetched.
    NextGroup,
}

impl Default for Start {
    fn default() -> Self {
        Self::GroupsBefore(0)
    }
}

/// In which order a reader is given the live part of a track. What is fetched comes first, and in sequence.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Order {
    /// By group and object: what comes early waits, unread, for its turn.
    #[default]
    Sequence,
    /// As it arrives.
    Arrival,
}

/// How a track is read.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ReadOptions {
    /// Where to begin.
    pub start: Start,
    /// In which order.
    pub order: Order,
    /// How long after the beginning of a later group a group may still be incomplete. One that is skipped is told as a
    /// [`Gap`]. `None`, the default: as long as it takes.
    pub max_latency: Option<Duration>,
    /// The subscriber's priority: 0 is served first, 255 last.
    pub priority: u8,
    /// What permits this.
    pub authorization_tokens: Vec<AuthorizationToken>,
    /// The largest object that is taken, in bytes; a larger one is a gap. Default: 16 MiB.
    pub max_object: u64,
}

impl Default for ReadOptions {
    fn default() -> Self {
        Self {
            start: Start::default(),
            order: Order::default(),
            max_latency: None,
            priority: DEFAULT_PRIORITY,
            authorization_tokens: Vec::new(),
            max_object: 16 << 20,
        }
    }
}

impl ReadOptions {
    /// Begins here.
    #[must_use]
    pub const fn start(mut self, start: Start) -> Self {
        self.start = start;
        self
    }

    /// Takes the live part in this order.
    #[must_use]
    pub const fn order(mut self, order: Order) -> Self {
        self.order = order;
        self
    }

    /// Skips groups that are later than this.
    #[must_use]
    pub const fn max_latency(mut self, latency: Duration) -> Self {
        self.max_latency = Some(latency);
        self
    }

    /// Reads with this priority: 0 is served first, 255 last.
    #[must_use]
    pub const fn priority(mut self, priority: u8) -> Self {
        self.priority = priority;
        self
    }
}

/// What a reader of a track is given.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TrackEvent {
    /// The next object.
    Object(TrackObject),
    /// What lies here is not to be had.
    Gap(Gap),
}

/// An object, whole. Those that carry a status and no payload are not given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrackObject {
    /// Group and object.
    pub location: Location,
    /// The Subgroup ID. `None`: it came in a datagram.
    pub subgroup_id: Option<u64>,
    /// The publisher's priority: 0 is sent first, 255 last.
    pub publisher_priority: u8,
    /// Object extension headers.
    pub extensions: Extensions,
    /// The payload.
    pub payload: Bytes,
}

/// A part of a track that the reader does not get. There may be no object in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// The first location.
    pub start: Location,
    /// The last.
    pub end: EndLocation,
    /// Why.
    pub cause: GapCause,
}

/// Why a reader does not get a part of a track.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum GapCause {
    /// It is past, and the publisher declined to send it.
    Declined,
    /// The stream that brought it broke off.
    Incomplete,
    /// The publisher does not know what was there.
    Unknown,
    /// It was later than [`ReadOptions::max_latency`], or came when its turn was over.
    TooLate,
    /// What follows it came, and it did not.
    NotReceived,
    /// An object was over [`ReadOptions::max_object`].
    TooLarge,
    /// It was not read for so long that its stream was stopped.
    Overrun,
}

impl fmt::Display for Gap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { start, end, cause } = self;
        write!(f, "nothing from {start} to ")?;
        match end.object {
            Some(object) => write!(f, "{}/{object}", end.group)?,
            None => write!(f, "the end of group {}", end.group)?,
        }
        write!(f, ": {cause}")
    }
}

impl fmt::Display for GapCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Declined => "the publisher declined to send the past",
            Self::Incomplete => "its stream broke off",
            Self::Unknown => "the publisher does not know it any more",
            Self::TooLate => "it came too late",
            Self::NotReceived => "it did not come",
            Self::TooLarge => "it is too large",
            Self::Overrun => "it was not read in time",
        })
    }
}

/// Why a track cannot be read (further).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReadError {
    /// The peer declined the subscription, or gave no answer in time.
    Rejected(Rejected),
    /// It was asked wrongly.
    Misuse(Misuse),
    /// The session ended, and there is none to go on with.
    Closed(Closed),
    /// The publisher ended the track otherwise than as complete.
    Ended(PublishDone),
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rejected(rejected) => rejected.fmt(f),
            Self::Misuse(misuse) => misuse.fmt(f),
            Self::Closed(closed) => closed.fmt(f),
            Self::Ended(done) => {
                write!(f, "the publisher broke the track off with {}", done.code)?;
                if done.reason.as_bytes().is_empty() { Ok(()) } else { write!(f, ": {}", done.reason) }
            }
        }
    }
}

impl Error for ReadError {}

impl From<RequestFailed> for ReadError {
    fn from(failed: RequestFailed) -> Self {
        match failed {
            RequestFailed::Rejected(rejected) => Self::Rejected(rejected),
            RequestFailed::Misuse(misuse) => Self::Misuse(misuse),
            RequestFailed::Closed(closed) => Self::Closed(closed),
        }
    }
}
