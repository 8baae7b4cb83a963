//! Which draft two endpoints speak, and the names by which transports agree on it.

use std::fmt;

/// A draft of draft-ietf-moq-transport.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Version {
    /// draft-ietf-moq-transport-14.
    Draft14,
    /// draft-ietf-moq-transport-16.
    Draft16,
}

impl Version {
    /// Every draft that this crate speaks, newest first: the order in which an endpoint offers them.
    pub const ALL: &'static [Self] = &[Self::Draft16, Self::Draft14];

    /// The draft's number, as people write it: 14, 16.
    pub const fn number(self) -> u16 {
        match self {
            Self::Draft14 => 14,
            Self::Draft16 => 16,
        }
    }

    /// The draft of that number, if this crate speaks it.
    pub fn from_number(number: u16) -> Option<Self> {
        Self::ALL.iter().copied().find(|version| version.number() == number)
    }

    /// The name agreed by ALPN or by WebTransport's `wt-protocol`: `moq-00` (every draft before 15), `moqt-16`.
    pub const fn protocol(self) -> &'static str {
        match self {
            Self::Draft14 => "moq-00",
            Self::Draft16 => "moqt-16",
        }
    }

    /// The draft that an ALPN or `wt-protocol` name stands for.
    pub fn from_protocol(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|version| version.protocol() == name)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "draft-{}", self.number())
    }
}
