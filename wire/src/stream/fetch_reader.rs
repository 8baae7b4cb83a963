//! The items of a fetch stream, from bytes in any cuts.

use bytes::Bytes;

use super::{FetchCursor, Gaps, ReadError, Stash};
use crate::draft::Draft;
use crate::model::{FetchItem, FetchObject, GroupOrder, Location, ObjectStatus, RangeStatus, RequestId};

/// Reads the items that follow a fetch header.
#[derive(Debug)]
pub struct FetchReader {
    draft: &'static dyn Draft,
    request_id: RequestId,
    stash: Stash,
    cursor: FetchCursor,
    track: Seen,
    payload_left: u64,
    broken: Option<ReadError>,
}

/// What a fetch stream holds.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FetchStreamItem {
    /// An object begins.
    Object(FetchObject),
    /// The next part of that object's payload, never empty. The parts add up to its payload length.
    Payload(Bytes),
    /// Nothing more up to and including `end`.
    EndOfRange {
        /// The last location of the range.
        end: Location,
        /// What is known of it.
        status: RangeStatus,
    },
    /// FIN: the response has no further object.
    End,
}

/// What the items read so far say of those that follow.
#[derive(Debug)]
struct Seen {
    /// In which order groups come; until it is known, the first change of group tells.
    order: Option<GroupOrder>,
    /// Where the item before ends.
    item: Option<Location>,
    /// The last object that exists.
    object: Option<Location>,
    /// What the last object with extension headers says of those just before it.
    gaps: Gaps,
    /// Prior Group ID Gap as an object of this group states it.
    group_gap: Option<(u64, u64)>,
    /// Subgroups of the group that is read and their priorities; the oldest give way.
    priorities: [Option<(u64, u8)>; 4],
    /// The group whose end has come.
    closed_group: Option<u64>,
    /// Where the track ends.
    end_of_track: Option<Location>,
}

impl FetchReader {
    /// A reader behind the header of the stream that answers `request_id`; `leftover` is what has been delivered since.
    /// `order` is that of the groups, `None` if it has been left to the publisher.
    pub const fn new(
        draft: &'static dyn Draft,
        request_id: RequestId,
        order: Option<GroupOrder>,
        leftover: Stash,
    ) -> Self {
        let track = Seen {
            order,
            item: None,
            object: None,
            gaps: Gaps { groups: None, objects: None },
            group_gap: None,
            priorities: [None; 4],
            closed_group: None,
            end_of_track: None,
        };
        let cursor = FetchCursor {
            location: None,
            subgroup_id: None,
            publisher_priority: None,
            after_datagram: false,
        };
        Self { draft, request_id, stash: leftover, cursor, track, payload_left: 0, broken: None }
    }

    /// The request that the stream answers.
    pub const fn request_id(&self) -> RequestId {
        self.request_id
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

    /// The next item, part of a payload, or end; `None`: more must be pushed first. The end is given every time.
    ///
    /// # Errors
    /// The stream is to be read no further; see [`ReadError`] for what follows.
    #[inline]
    pub fn next_item(&mut self) -> Result<Option<FetchStreamItem>, ReadError> {
        if let item @ Some(_) = self.stash.payload(&mut self.payload_left, FetchStreamItem::Payload) {
            return Ok(item);
        }
        if let Some(error) = &self.broken {
            return Err(error.clone());
        }
        self.item().inspect_err(|error| self.broken = Some(error.clone()))
    }

    #[inline]
    fn item(&mut self) -> Result<Option<FetchStreamItem>, ReadError> {
        if self.payload_left > 0 {
            self.stash.payload_due()?;
            return Ok(None);
        }
        if self.stash.is_empty() {
            return Ok(self.stash.is_finished().then_some(FetchStreamItem::End));
        }
        let Some(item) = self.stash.header(|r| self.draft.decode_fetch_item(&self.cursor, r))? else {
            return Ok(None);
        };
        self.cursor.advance(&item);
        Ok(Some(match item {
            FetchItem::Object(object) => {
                self.track.check(&object).map_err(ReadError::MalformedTrack)?;
                if self.draft.rules().one_fetched_priority {
                    self.track.check_priority(&object).map_err(ReadError::MalformedTrack)?;
                }
                self.payload_left = object.payload_length;
                FetchStreamItem::Object(object)
            }
            FetchItem::EndOfRange { end, status } => {
                self.track.check_group(end.group).map_err(ReadError::MalformedTrack)?;
                self.track.item = Some(end);
                FetchStreamItem::EndOfRange { end, status }
            }
        }))
    }
}

/// draft-14 §2.5, draft-16 §2.4.2, as far as one stream shows it.
impl Seen {
    #[inline]
    fn check(&mut self, object: &FetchObject) -> Result<(), &'static str> {
        let location = object.location;
        self.check_group(location.group)?;
        if self.item.is_some_and(|before| before.group == location.group && before.object >= location.object)
        {
            return Err("Object IDs of a fetched group do not ascend");
        }
        if self.closed_group == Some(location.group) || self.end_of_track.is_some_and(|end| location > end) {
            return Err("an object follows the end of its group or track");
        }
        if !object.extensions.is_empty() {
            self.check_gaps(object)?;
        }
        self.item = Some(location);
        match object.status {
            ObjectStatus::Normal => self.object = Some(location),
            ObjectStatus::DoesNotExist => {}
            ObjectStatus::EndOfGroup => self.closed_group = Some(location.group),
            ObjectStatus::EndOfTrack => self.end_of_track = Some(location),
        }
        Ok(())
    }

    #[inline]
    fn check_group(&mut self, group: u64) -> Result<(), &'static str> {
        let Some(before) = self.item.map(|item| item.group).filter(|before| *before != group) else {
            return Ok(());
        };
        let step = if group > before { GroupOrder::Ascending } else { GroupOrder::Descending };
        self.priorities = [None; 4];
        match *self.order.get_or_insert(step) == step {
            true => Ok(()),
            false => Err("fetched groups come against their order"),
        }
    }

    /// draft-16 §2.4.2.
    #[inline]
    fn check_priority(&mut self, object: &FetchObject) -> Result<(), &'static str> {
        let Some(subgroup) = object.subgroup_id else { return Ok(()) };
        let stated = (subgroup, object.publisher_priority);
        match self.priorities.iter().flatten().find(|(known, _)| *known == subgroup) {
            Some(known) if *known != stated => Err("a subgroup is fetched with two priorities"),
            Some(_) => Ok(()),
            None => {
                self.priorities.rotate_right(1);
                self.priorities[0] = Some(stated);
                Ok(())
            }
        }
    }

    fn check_gaps(&mut self, object: &FetchObject) -> Result<(), &'static str> {
        let location = object.location;
        let gaps = Gaps::read(location, &object.extensions)?;
        self.gaps = gaps;
        if let Some(seen) = self.object {
            if seen.group == location.group && gaps.covers_object(location, seen.object) {
                return Err("Prior Object ID Gap covers an object that exists");
            }
            if gaps.covers_group(location, seen.group) {
                return Err("Prior Group ID Gap covers a group that has objects");
            }
        }
        if let Some(gap) = gaps.groups
            && let Some((group, before)) = self.group_gap.replace((location.group, gap))
            && group == location.group
            && before != gap
        {
            return Err("Prior Group ID Gap differs within one group");
        }
        Ok(())
    }
}
