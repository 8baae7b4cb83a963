//! What may be wrong with a data stream: its bytes, or the track that they show.

use std::error::Error;
use std::fmt;

use crate::error::DecodeError;

/// Why a data stream is read no further. The reader gives the same answer from then on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReadError {
    /// The bytes break the draft; the session is closed with [`DecodeError::code`]. An object that FIN cuts short is an
    /// [`Incomplete`](crate::Fault::Incomplete) one (draft-14 §10.4, draft-16 §10.4).
    Violation(DecodeError),
    /// The bytes are in order and the track is not: its subscriptions and fetches are cancelled, the session goes on
    /// (draft-14 §2.5, draft-16 §2.4.2). The text is the rule that is broken.
    MalformedTrack(&'static str),
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Violation(error) => error.fmt(f),
            Self::MalformedTrack(rule) => write!(f, "malformed track: {rule}"),
        }
    }
}

impl Error for ReadError {}

impl From<DecodeError> for ReadError {
    fn from(error: DecodeError) -> Self {
        Self::Violation(error)
    }
}
