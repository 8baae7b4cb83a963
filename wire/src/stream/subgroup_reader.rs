//! The objects of a subgroup stream, from bytes in any cuts.

use bytes::Bytes;

use super::{Gaps, ReadError, Stash, SubgroupCursor};
use crate::draft::Draft;
use crate::model::{Location, ObjectHeader, ObjectStatus, SubgroupHeader, SubgroupId};

/// Reads the objects that follow a subgroup header.
#[derive(Debug)]
pub struct SubgroupReader {
    draft: &'static dyn Draft,
    header: SubgroupHeader,
    stash: Stash,
    cursor: SubgroupCursor,
    track: Seen,
    subgroup_id: Option<u64>,
    payload_left: u64,
    broken: Option<ReadError>,
}

/// What a subgroup stream holds.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SubgroupItem {
    /// An object begins.
    Object(ObjectHeader),
    /// The next part of that object's payload, never empty. The parts add up to its payload length.
    Payload(Bytes),
    /// FIN: the subgroup has no further object.
    End {
        /// The Object ID of the subgroup's last object, whatever its status, if there was any.
        last: Option<u64>,
        /// Whether that object is the last of its group as well (draft-14 §10.4.2, draft-16 §10.4.2).
        end_of_group: bool,
    },
}

/// What the objects read so far say of those that follow.
#[derive(Debug, Default)]
struct Seen {
    /// The last object that exists.
    object: Option<u64>,
    /// What the last object with extension headers says of those just before it.
    gaps: Gaps,
    /// Prior Group ID Gap, which is the same in all objects of a group that state it.
    group_gap: Option<u64>,
    /// Whether End of Group or End of Track has come.
    closed: bool,
}

impl SubgroupReader {
    /// A reader behind `header`; `leftover` is what has been delivered since.
    pub fn new(draft: &'static dyn Draft, header: SubgroupHeader, leftover: Stash) -> Self {
        Self {
            draft,
            header,
            stash: leftover,
            cursor: SubgroupCursor::new(&header),
            track: Seen::default(),
            subgroup_id: match header.subgroup_id {
                SubgroupId::Zero => Some(0),
                SubgroupId::Id(id) => Some(id),
                SubgroupId::FirstObject => None,
            },
            payload_left: 0,
            broken: None,
        }
    }

    /// The stream's header.
    pub const fn header(&self) -> &SubgroupHeader {
        &self.header
    }

    /// The Subgroup ID. `None` while it is that of the first object and there has been no object.
    pub const fn subgroup_id(&self) -> Option<u64> {
        self.subgroup_id
    }

    /// How many bytes the payload of the object that has begun still lacks.
    pub const fn payload_left(&self) -> u64 {
        self.payload_left
    }

    /// What the last object that has extension headers says of the groups and objects just before it.
    pub const fn gaps(&self) -> Gaps {
        self.track.gaps
    }

    /// Adds what the stream delivered.
    #[inline]
    pub fn push(&mut self, chunk: Bytes) {
        self.stash.push(chunk);
    }

    /// The stream delivers nothing more: FIN has arrived. A reset is not told: what has begun then never ends.
    pub const fn finish(&mut self) {
        self.stash.finish();
    }

    /// The next header, part of a payload, or end; `None`: more must be pushed first. The end is given every time.
    ///
    /// # Errors
    /// The stream is to be read no further; see [`ReadError`] for what follows.
    #[inline]
    pub fn next_item(&mut self) -> Result<Option<SubgroupItem>, ReadError> {
        if let item @ Some(_) = self.stash.payload(&mut self.payload_left, SubgroupItem::Payload) {
            return Ok(item);
        }
        if self.payload_left == 0
            && self.broken.is_none()
            && let Some(mut r) = self.stash.front()
        {
            let read = self.draft.decode_object(&self.cursor, &mut r);
            if let Ok(object) = &read {
                let used = r.offset();
                self.stash.consume(used);
                // Before it moves: the processor has it sooner here, and all that follows on the stream waits for it.
                self.begin(object)?;
                return Ok(read.ok().map(SubgroupItem::Object));
            }
        }
        self.other_item()
    }

    /// Whatever is not a payload, and not the header of an object that lies in one chunk.
    #[cold]
    fn other_item(&mut self) -> Result<Option<SubgroupItem>, ReadError> {
        if let Some(error) = &self.broken {
            return Err(error.clone());
        }
        if self.payload_left > 0 {
            return self.stash.payload_due().map(|()| None).map_err(|error| self.fail(error.into()));
        }
        if self.stash.is_empty() {
            return Ok(self.stash.is_finished().then_some(SubgroupItem::End {
                last: self.cursor.previous,
                end_of_group: self.header.end_of_group,
            }));
        }
        match self.stash.header(|r| self.draft.decode_object(&self.cursor, r)) {
            Ok(Some(object)) => self.begin(&object).map(|()| Some(SubgroupItem::Object(object))),
            Ok(None) => Ok(None),
            Err(error) => Err(self.fail(error.into())),
        }
    }

    #[inline]
    fn begin(&mut self, object: &ObjectHeader) -> Result<(), ReadError> {
        if let Err(rule) = self.track.check(self.header.group_id, object) {
            return Err(self.fail(ReadError::MalformedTrack(rule)));
        }
        self.cursor.advance(object.object_id);
        self.subgroup_id = self.subgroup_id.or(Some(object.object_id));
        self.payload_left = object.payload_length;
        Ok(())
    }

    /// The error that is answered from now on.
    #[cold]
    fn fail(&mut self, error: ReadError) -> ReadError {
        self.broken.insert(error).clone()
    }
}

impl Seen {
    /// Object IDs ascend by the way they are written, so only these remain to be checked.
    #[inline]
    fn check(&mut self, group: u64, object: &ObjectHeader) -> Result<(), &'static str> {
        if self.closed {
            return Err("an object follows the end of its group or track");
        }
        if !object.extensions.is_empty() {
            self.check_gaps(Location::new(group, object.object_id), object)?;
        }
        match object.status {
            ObjectStatus::Normal => self.object = Some(object.object_id),
            ObjectStatus::DoesNotExist => {}
            ObjectStatus::EndOfGroup | ObjectStatus::EndOfTrack => self.closed = true,
        }
        Ok(())
    }

    #[inline(never)]
    fn check_gaps(&mut self, location: Location, object: &ObjectHeader) -> Result<(), &'static str> {
        let gaps = Gaps::read(location, &object.extensions)?;
        self.gaps = gaps;
        if self.object.is_some_and(|seen| gaps.covers_object(location, seen)) {
            return Err("Prior Object ID Gap covers an object that exists");
        }
        if let Some(gap) = gaps.groups
            && self.group_gap.replace(gap).is_some_and(|before| before != gap)
        {
            return Err("Prior Group ID Gap differs within one group");
        }
        Ok(())
    }
}
