//! Objects on subgroup streams and in datagrams.

use bytes::Bytes;

use super::{Extensions, RequestId, TrackAlias};

/// What the first bytes of a unidirectional stream say.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Opening {
    /// The objects of one subgroup follow.
    Subgroup(SubgroupHeader),
    /// The answer to this FETCH follows.
    Fetch(RequestId),
    /// A stream of this type, which the draft does not have and whoever reads has registered
    /// ([`OpeningReader::next_registered`](crate::stream::OpeningReader::next_registered)). What follows is its own.
    Other(u64),
}

/// SUBGROUP_HEADER (draft-14 §10.4.2, draft-16 §10.4.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SubgroupHeader {
    /// The track.
    pub track_alias: TrackAlias,
    /// The group.
    pub group_id: u64,
    /// The subgroup.
    pub subgroup_id: SubgroupId,
    /// The publisher's priority. `None`: the track's default, which draft-14 cannot say.
    pub publisher_priority: Option<u8>,
    /// Whether objects on the stream may carry extension headers.
    pub extensions: bool,
    /// Whether the last object before FIN is the last of the group.
    pub end_of_group: bool,
}

/// How a subgroup stream tells its Subgroup ID.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SubgroupId {
    /// It is 0.
    Zero,
    /// It is the ID of the first object on the stream.
    FirstObject,
    /// It is stated.
    Id(u64),
}

/// An object of a subgroup stream without its payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectHeader {
    /// The Object ID.
    pub object_id: u64,
    /// Object extension headers.
    pub extensions: Extensions,
    /// What the object stands for.
    pub status: ObjectStatus,
    /// How many bytes of payload follow: 0 unless the status is Normal.
    pub payload_length: u64,
}

/// What an object stands for (draft-14 §10.2.1.1, draft-16 §10.2.1.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ObjectStatus {
    /// An object with a payload, which may be empty.
    #[default]
    Normal,
    /// No such object. Not in draft-16.
    DoesNotExist,
    /// No object of the group has this ID or a larger one.
    EndOfGroup,
    /// No object of the track is here or later.
    EndOfTrack,
}

/// An object in a datagram (draft-14 §10.3, draft-16 §10.3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Datagram {
    /// The track.
    pub track_alias: TrackAlias,
    /// The group.
    pub group_id: u64,
    /// The Object ID.
    pub object_id: u64,
    /// The publisher's priority. `None`: the track's default, which draft-14 cannot say.
    pub publisher_priority: Option<u8>,
    /// Whether the group has no object of a larger ID.
    pub end_of_group: bool,
    /// Object extension headers.
    pub extensions: Extensions,
    /// Payload, or a status in its place.
    pub body: DatagramBody,
}

/// What a datagram carries.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DatagramBody {
    /// A Normal object's payload, which may be empty.
    Payload(Bytes),
    /// A status and no payload.
    Status(ObjectStatus),
}
