//! Places in a track, the numbers by which a session names things, and the part of a track that is asked for.

use std::fmt;

/// Where an object stands in its track (draft-16 §1.4.1). Ordered by group, then object.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Location {
    /// The Group ID.
    pub group: u64,
    /// The Object ID.
    pub object: u64,
}

impl Location {
    /// The location of an object.
    pub const fn new(group: u64, object: u64) -> Self {
        Self { group, object }
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.group, self.object)
    }
}

/// The number of a request: even from clients, odd from servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RequestId(pub u64);

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The publisher's short name of a track on data streams and datagrams, valid in one session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TrackAlias(pub u64);

impl fmt::Display for TrackAlias {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// In which order groups are sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum GroupOrder {
    /// Lower Group IDs first.
    #[default]
    Ascending,
    /// Higher Group IDs first.
    Descending,
}

/// Which newly published objects a subscription passes (draft-14 §5.1, draft-16 §5.1.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SubscriptionFilter {
    /// From the first object of the group after the largest.
    NextGroupStart,
    /// From the object after the largest.
    LargestObject,
    /// From this location on.
    AbsoluteStart(Location),
    /// From a location to the end of a group.
    AbsoluteRange {
        /// The first location.
        start: Location,
        /// The last group, included whole.
        end_group: u64,
    },
}
