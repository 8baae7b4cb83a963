//! An object, however it came.

use bytes::Bytes;
use moqingbird::wire::model::{Datagram, DatagramBody, Extensions, Location, ObjectStatus};
use moqingbird::{FetchedObject, IncomingSubgroup, Object};

/// An object with all that is known of it.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    pub(crate) location: Location,
    /// `None`: it came in a datagram, or nobody said.
    pub(crate) subgroup: Option<u64>,
    /// `None`: the track's default.
    pub(crate) priority: Option<u8>,
    pub(crate) status: ObjectStatus,
    pub(crate) extensions: Extensions,
    pub(crate) payload: Bytes,
    pub(crate) via: Via,
}

/// How an object came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Via {
    Stream,
    Datagram,
    Fetch,
}

impl Via {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Stream => "stream",
            Self::Datagram => "datagram",
            Self::Fetch => "fetch",
        }
    }
}

impl Received {
    pub(crate) fn of_subgroup(subgroup: &IncomingSubgroup, object: Object) -> Self {
        let Object { location, header, payload, .. } = object;
        Self {
            location,
            subgroup: subgroup.subgroup_id(),
            priority: Some(subgroup.priority()),
            status: header.status,
            extensions: header.extensions,
            payload,
            via: Via::Stream,
        }
    }

    pub(crate) fn of_fetch(FetchedObject { header, payload, .. }: FetchedObject) -> Self {
        Self {
            location: header.location,
            subgroup: header.subgroup_id,
            priority: Some(header.publisher_priority),
            status: header.status,
            extensions: header.extensions,
            payload,
            via: Via::Fetch,
        }
    }

    pub(crate) fn of_datagram(datagram: Datagram) -> Self {
        let (status, payload) = match datagram.body {
            DatagramBody::Payload(payload) => (ObjectStatus::Normal, payload),
            DatagramBody::Status(status) => (status, Bytes::new()),
            _ => (ObjectStatus::Normal, Bytes::new()),
        };
        Self {
            location: Location::new(datagram.group_id, datagram.object_id),
            subgroup: None,
            priority: datagram.publisher_priority,
            status,
            extensions: datagram.extensions,
            payload,
            via: Via::Datagram,
        }
    }
}
