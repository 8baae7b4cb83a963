//! Asking for objects of the past, and the items of the stream that answers.

use super::{
    AuthorizationToken, DEFAULT_PRIORITY, Extensions, FullTrackName, GroupOrder, Location, ObjectStatus,
    RequestId, TrackExtensions,
};

/// FETCH (draft-14 §9.16, draft-16 §9.16).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetch {
    /// What is asked for.
    pub range: FetchRange,
    /// 0 is served first, 255 last.
    pub subscriber_priority: u8,
    /// `None`: draft-14's publisher decides; in draft-16 ascending.
    pub group_order: Option<GroupOrder>,
    /// What permits this.
    pub authorization_tokens: Vec<AuthorizationToken>,
}

impl Fetch {
    /// Asks for a range with default priority.
    pub const fn new(range: FetchRange) -> Self {
        Self {
            range,
            subscriber_priority: DEFAULT_PRIORITY,
            group_order: None,
            authorization_tokens: Vec::new(),
        }
    }
}

/// What a FETCH asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FetchRange {
    /// Objects of a named track between two locations.
    Standalone {
        /// The track.
        track: FullTrackName,
        /// The first location.
        start: Location,
        /// The last.
        end: EndLocation,
    },
    /// Relative Joining Fetch: what precedes a subscription, from some groups before its largest group.
    RelativeJoining {
        /// The subscription's Request ID.
        subscription: RequestId,
        /// How many groups before.
        groups_before: u64,
    },
    /// Absolute Joining Fetch: what precedes a subscription, from a group.
    AbsoluteJoining {
        /// The subscription's Request ID.
        subscription: RequestId,
        /// The first group.
        start_group: u64,
    },
}

/// Where a fetched range ends, included. On the wire the object is one more, and 0 for a whole group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct EndLocation {
    /// The last group.
    pub group: u64,
    /// The last object of that group. `None`: all of the group.
    pub object: Option<u64>,
}

impl EndLocation {
    /// Whether the range from `start` to here holds any location.
    pub fn reaches(self, start: Location) -> bool {
        match self.object {
            Some(object) => Location::new(self.group, object) >= start,
            None => self.group >= start.group,
        }
    }
}

/// FETCH_OK (draft-14 §9.17, draft-16 §9.17).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchOk {
    /// The order of the groups on the fetch's stream. Draft-14 states it; draft-16 does not, it is what was asked for.
    pub group_order: Option<GroupOrder>,
    /// Whether the track is complete and `end` its last object.
    pub end_of_track: bool,
    /// Where the response ends.
    pub end: EndLocation,
    /// What holds for the whole track.
    pub extensions: TrackExtensions,
}

/// One item of a fetch's stream, up to its payload (draft-14 §10.4.4, draft-16 §10.4.4).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FetchItem {
    /// An object; its payload follows.
    Object(FetchObject),
    /// Nothing more up to and including `end`. Not in draft-14.
    EndOfRange {
        /// The last location of the range.
        end: Location,
        /// What is known of it.
        status: RangeStatus,
    },
}

/// What is known of the locations that a fetch skips (draft-16 §10.4.4.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RangeStatus {
    /// They hold no objects.
    NonExistent,
    /// They may hold objects.
    Unknown,
}

/// An object of a fetch's stream without its payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchObject {
    /// Group and object.
    pub location: Location,
    /// The Subgroup ID. `None`: the object's forwarding preference is Datagram (draft-16; draft-14 writes the Object
    /// ID and cannot tell).
    pub subgroup_id: Option<u64>,
    /// The publisher's priority.
    pub publisher_priority: u8,
    /// Object extension headers.
    pub extensions: Extensions,
    /// Always Normal in draft-16.
    pub status: ObjectStatus,
    /// How many bytes of payload follow.
    pub payload_length: u64,
}
