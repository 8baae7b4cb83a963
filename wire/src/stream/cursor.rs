//! What the next object's header is relative to.

use crate::model::{FetchItem, Location, SubgroupHeader};

/// A place on a subgroup stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SubgroupCursor {
    /// Whether objects carry extension headers.
    pub extensions: bool,
    /// The Object ID of the object before, if there is one.
    pub previous: Option<u64>,
}

impl SubgroupCursor {
    /// The place behind a subgroup header.
    pub const fn new(header: &SubgroupHeader) -> Self {
        Self { extensions: header.extensions, previous: None }
    }

    /// Moves behind an object.
    pub const fn advance(&mut self, object_id: u64) {
        self.previous = Some(object_id);
    }
}

/// A place on a fetch stream: the values to which draft-16's serialization flags refer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FetchCursor {
    /// Of the item before, whether object or end of range.
    pub location: Option<Location>,
    /// Of the last object that has one.
    pub subgroup_id: Option<u64>,
    /// Of the last object.
    pub publisher_priority: Option<u8>,
    /// Whether the last object's forwarding preference is Datagram. It has no Subgroup ID, and what a reference to it
    /// means draft-16 §10.4.4.1 leaves open: readers disagree.
    pub after_datagram: bool,
}

impl FetchCursor {
    /// Moves behind an item.
    pub const fn advance(&mut self, item: &FetchItem) {
        match item {
            FetchItem::Object(object) => {
                self.location = Some(object.location);
                if object.subgroup_id.is_some() {
                    self.subgroup_id = object.subgroup_id;
                }
                self.publisher_priority = Some(object.publisher_priority);
                self.after_datagram = object.subgroup_id.is_none();
            }
            FetchItem::EndOfRange { end, .. } => self.location = Some(*end),
        }
    }
}
