//! A range of a track's past as it is held: what a FETCH is answered from.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use moqingbird_wire::model::{
    DEFAULT_PRIORITY, DatagramBody, EndLocation, FetchObject, GroupOrder, Location, ObjectHeader,
    ObjectStatus,
};
use tokio::sync::Notify;

use super::state::{Content, Shared, State};
use super::{Item, SubgroupEnd, SubgroupInfo};

/// Objects of a track from one location to another, in the order of groups that was asked for and ascending within each
/// group. They are read from the track as they are wanted, and are not kept for this: what is evicted meanwhile is lost.
#[derive(Debug)]
pub struct Held {
    shared: Arc<Shared>,
    end: EndLocation,
    end_of_track: bool,
    is_whole: bool,
    lost: Option<Location>,
    places: VecDeque<Place>,
    reading: Option<Reading>,
}

/// Where an object is.
#[derive(Clone, Copy, Debug)]
struct Place {
    arrival: u64,
    /// The number of its header among the subgroup's items; not of a datagram.
    item: u64,
}

/// An object whose payload is being read.
#[derive(Debug)]
struct Reading {
    arrival: u64,
    item: u64,
    left: u64,
}

/// A part of what is held.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HeldItem {
    /// An object begins.
    Object(FetchObject),
    /// The next part of that object's payload. The parts add up to its payload length.
    Payload(Bytes),
}

/// What comes next is no longer held, or its publisher gave it up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoLongerHeld;

impl std::fmt::Display for NoLongerHeld {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("what comes next is no longer held")
    }
}

impl std::error::Error for NoLongerHeld {}

/// What is found at a place.
enum Found {
    Item(HeldItem),
    Later(Arc<Notify>),
    Lost,
}

impl Held {
    pub(super) fn new(
        shared: &Arc<Shared>,
        start: Location,
        end: EndLocation,
        order: GroupOrder,
    ) -> Option<Self> {
        let mut state = shared.lock();
        state.expire();
        let largest = state.largest.filter(|largest| end.reaches(start) && start <= *largest)?;
        let complete = state.is_complete();
        let end = crate::session::fetch_end(end, largest, complete);
        let groups = state.places(start, end);
        let is_whole = state.is_whole(start, end, &groups);
        let objects = groups.values().flat_map(BTreeMap::values);
        let first = groups.iter().find_map(|(&group, of)| Some(Location::new(group, *of.keys().next()?)));
        let lost = state.lost.filter(|lost| start <= *lost && first.is_none_or(|first| *lost < first));
        let places = match order {
            GroupOrder::Ascending => objects.copied().collect(),
            GroupOrder::Descending => groups.values().rev().flat_map(BTreeMap::values).copied().collect(),
        };
        let end_of_track = complete && reaches(end, largest);
        drop(state);
        Some(Self { shared: Arc::clone(shared), end, end_of_track, is_whole, lost, places, reading: None })
    }

    /// Where the range ends: where it was asked to, or at the track's largest object.
    pub const fn end(&self) -> EndLocation {
        self.end
    }

    /// Whether the track is complete and the range ends with it.
    pub const fn is_end_of_track(&self) -> bool {
        self.end_of_track
    }

    /// Whether every location of the range is accounted for: each group is there, and its objects without a gap. What is
    /// held in part may be all that there is, but only the track's publisher knows.
    pub const fn is_whole(&self) -> bool {
        self.is_whole
    }

    /// The last location before the first object here up to which objects have been lost: it is not known what was
    /// there.
    pub const fn lost(&self) -> Option<Location> {
        self.lost
    }

    /// Whether there is no object.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty() && self.reading.is_none()
    }

    /// Whether [`Held::next`] need not wait.
    pub(super) fn is_ready(&self) -> bool {
        self.front().is_none_or(|(place, at_payload)| {
            !matches!(self.shared.lock().find(place, at_payload), Found::Later(_))
        })
    }

    fn front(&self) -> Option<(Place, bool)> {
        match (&self.reading, self.places.front()) {
            (Some(Reading { arrival, item, .. }), _) => {
                Some((Place { arrival: *arrival, item: *item }, true))
            }
            (None, Some(place)) => Some((*place, false)),
            (None, None) => None,
        }
    }

    /// The next object, or part of one; waits for payload that has not been written yet. `None`: that was all.
    ///
    /// Cancelled, it has taken nothing.
    ///
    /// # Errors
    /// What comes next is no longer held.
    pub async fn next(&mut self) -> Result<Option<HeldItem>, NoLongerHeld> {
        loop {
            let Some((place, at_payload)) = self.front() else { return Ok(None) };
            let shared = Arc::clone(&self.shared);
            let changed = match shared.lock().find(place, at_payload) {
                Found::Item(item) => return Ok(Some(self.taken(place, item))),
                Found::Lost => return Err(NoLongerHeld),
                Found::Later(changed) => changed,
            };
            let notified = changed.notified();
            if !self.is_ready() {
                notified.await;
            }
        }
    }

    fn taken(&mut self, place: Place, item: HeldItem) -> HeldItem {
        match &item {
            HeldItem::Object(header) => {
                self.places.pop_front();
                let Place { arrival, item } = place;
                let left = header.payload_length;
                self.reading = (left > 0).then_some(Reading { arrival, item: item + 1, left });
            }
            HeldItem::Payload(part) => {
                if let Some(reading) = &mut self.reading {
                    reading.item += 1;
                    reading.left = reading.left.saturating_sub(part.len() as u64);
                }
                self.reading.take_if(|reading| reading.left == 0);
            }
        }
        item
    }
}

/// Whether a range to `end` includes a location.
fn reaches(end: EndLocation, location: Location) -> bool {
    location.group < end.group
        || (location.group == end.group && end.object.is_none_or(|object| location.object <= object))
}

/// The objects of a group by their IDs.
type Objects = BTreeMap<u64, Place>;

impl State {
    /// Where the objects of a range are, by group.
    fn places(&self, start: Location, end: EndLocation) -> BTreeMap<u64, Objects> {
        let mut groups = BTreeMap::<u64, Objects>::new();
        for (&group, known) in self.groups.range(start.group..=end.group) {
            let wanted = |object| {
                let location = Location::new(group, object);
                start <= location && reaches(end, location)
            };
            for &arrival in &known.arrivals {
                let Some(it) = self.arrivals.get(&arrival) else { continue };
                match &it.content {
                    Content::Datagram { datagram, .. } if wanted(datagram.object_id) => {
                        let place = Place { arrival, item: 0 };
                        groups.entry(group).or_default().insert(datagram.object_id, place);
                    }
                    Content::Subgroup(subgroup) => {
                        for (number, item) in (subgroup.first..).zip(&subgroup.items) {
                            if let Item::Object(header) = item
                                && wanted(header.object_id)
                            {
                                let place = Place { arrival, item: number };
                                groups.entry(group).or_default().insert(header.object_id, place);
                            }
                        }
                    }
                    Content::Datagram { .. } => {}
                }
            }
        }
        groups
    }

    /// Whether nothing of a range can be missing.
    fn is_whole(&self, start: Location, end: EndLocation, groups: &BTreeMap<u64, Objects>) -> bool {
        // As many groups as there can be, so that a wide range costs nothing.
        let wanted = (end.group - start.group).checked_add(1);
        wanted == Some(groups.len() as u64)
            && groups.iter().all(|(&group, objects)| {
                let first = if group == start.group { start.object } else { 0 };
                let last = end.object.filter(|_| group == end.group);
                let contiguous = (first..).zip(objects.keys()).all(|(expected, object)| expected == *object);
                let ends = match last {
                    Some(last) => objects.keys().next_back() == Some(&last),
                    None => self.has_ended(group),
                };
                contiguous && ends
            })
    }

    /// Whether a group has no object beyond those that are held.
    fn has_ended(&self, group: u64) -> bool {
        let Some(known) = self.groups.get(&group) else { return false };
        let over = self.end.is_some() || self.largest.is_some_and(|largest| largest.group > group);
        over && known.arrivals.iter().all(|number| match self.arrivals.get(number).map(|it| &it.content) {
            Some(Content::Subgroup(subgroup)) => subgroup.end == Some(SubgroupEnd::Finished),
            // How many datagrams were lost nobody can tell, but for the one that says that it is the last.
            Some(Content::Datagram { .. }) => self.has_last_datagram(group),
            None => false,
        })
    }

    fn has_last_datagram(&self, group: u64) -> bool {
        let Some(known) = self.groups.get(&group) else { return false };
        known.arrivals.iter().any(|number| {
            matches!(
                self.arrivals.get(number).map(|it| &it.content),
                Some(Content::Datagram { datagram, .. }) if datagram.end_of_group
                    || datagram.body == DatagramBody::Status(ObjectStatus::EndOfGroup)
            )
        })
    }

    fn find(&self, Place { arrival, item }: Place, at_payload: bool) -> Found {
        match self.arrivals.get(&arrival).map(|it| &it.content) {
            Some(Content::Subgroup(subgroup)) if subgroup.first <= item => {
                let index = usize::try_from(item - subgroup.first).unwrap_or(usize::MAX);
                match (subgroup.items.get(index), subgroup.end) {
                    (Some(Item::Object(header)), _) if !at_payload => {
                        Found::Item(HeldItem::Object(of_subgroup(&subgroup.info, header)))
                    }
                    (Some(Item::Payload(part)), _) if at_payload => {
                        Found::Item(HeldItem::Payload(part.clone()))
                    }
                    (None, None) => Found::Later(Arc::clone(&subgroup.changed)),
                    // The publisher gave up in the middle of the object.
                    _ => Found::Lost,
                }
            }
            Some(Content::Datagram { datagram, .. }) => {
                let (status, payload) = match &datagram.body {
                    DatagramBody::Payload(payload) => (ObjectStatus::Normal, payload.clone()),
                    DatagramBody::Status(status) => (*status, Bytes::new()),
                    _ => return Found::Lost,
                };
                if at_payload {
                    return Found::Item(HeldItem::Payload(payload));
                }
                Found::Item(HeldItem::Object(FetchObject {
                    location: Location::new(datagram.group_id, datagram.object_id),
                    subgroup_id: None,
                    publisher_priority: datagram.publisher_priority.unwrap_or(DEFAULT_PRIORITY),
                    extensions: datagram.extensions.clone(),
                    status,
                    payload_length: payload.len() as u64,
                }))
            }
            _ => Found::Lost,
        }
    }
}

fn of_subgroup(info: &SubgroupInfo, header: &ObjectHeader) -> FetchObject {
    FetchObject {
        location: Location::new(info.group_id, header.object_id),
        subgroup_id: Some(info.subgroup_id.unwrap_or(header.object_id)),
        publisher_priority: info.publisher_priority,
        extensions: header.extensions.clone(),
        status: header.status,
        payload_length: header.payload_length,
    }
}
