//! What was written to a subgroup at once stays together: readers of one draft share its bytes, and are counted as having
//! read all of it.

use std::sync::Arc;

use bytes::Bytes;
use moqingbird_wire::Version;
use moqingbird_wire::model::Location;

use super::{Item, ItemCursor, State, Subgroup, SubgroupEnd, item_weight};
use crate::api::{Encoded, StreamPlace};

/// How many bytes of runs a reader takes under one lock, at least one run.
const BATCH_BYTES: usize = 256 << 10;

/// What was written at once.
#[derive(Debug)]
pub(super) struct Run {
    /// The numbers of its first item, and behind its last.
    from: u64,
    to: u64,
    /// Its first object that begins in it.
    first_object: Option<u64>,
    /// Whether it begins with that, and not in the middle of the object before.
    begins_object: bool,
    objects: u64,
    payload: u64,
    /// What its items weigh.
    weight: usize,
    /// What its bytes weigh beside its items.
    encoded_weight: usize,
    encoded: Vec<Arc<Encoded>>,
}

/// What a reader of one draft gets.
#[derive(Debug)]
pub(in crate::track) enum Part {
    /// Of which nothing is shared.
    Item(Item),
    /// Which goes on a stream as it is.
    Encoded(Arc<Encoded>),
}

impl Run {
    /// Items that are about to be appended, the first of which gets the number `from`.
    pub(super) fn new(from: u64, items: &[Item], encoded: Vec<Arc<Encoded>>) -> Self {
        let mut run = Self {
            from,
            to: from + items.len() as u64,
            first_object: None,
            begins_object: matches!(items.first(), Some(Item::Object(_))),
            objects: 0,
            payload: 0,
            weight: 0,
            encoded_weight: 0,
            encoded,
        };
        for item in items {
            run.weight += item_weight(item);
            match item {
                Item::Object(header) => {
                    run.objects += 1;
                    run.first_object.get_or_insert(header.object_id);
                }
                Item::Payload(part) => run.payload += part.len() as u64,
            }
        }
        // The items are slices of what was encoded first.
        let beside = |(at, encoded): (usize, &Arc<Encoded>)| {
            let bytes = encoded.pieces.iter().map(Bytes::len).sum::<usize>() as u64;
            size_of::<Encoded>() as u64 + if at == 0 { bytes.saturating_sub(run.payload) } else { bytes }
        };
        let encoded_weight = run.encoded.iter().enumerate().map(beside).sum::<u64>();
        run.encoded_weight = size_of::<Self>() + encoded_weight as usize;
        run
    }

    /// What all of it weighs.
    pub(super) const fn weight(&self) -> usize {
        self.weight + self.encoded_weight
    }

    /// Its bytes in a draft, for a reader that begins with it and is at a place on its stream.
    fn bytes(&self, at: &ItemCursor, version: Version, place: StreamPlace) -> Option<&Arc<Encoded>> {
        let is_begun = !at.skipping || self.begins_object;
        let passes = |object| at.range.passes(Location::new(at.info.group_id, object));
        // What follows an object that passes in its group passes too.
        let is_wanted = is_begun && self.first_object.is_none_or(passes);
        let fits = |it: &&Arc<Encoded>| it.version == version && it.begun == place;
        self.encoded.iter().find(fits).filter(|_| is_wanted && self.from == at.position)
    }
}

impl State {
    /// As [`State::read`], for a reader that writes a stream in a draft and is at `place` there.
    pub(in crate::track) fn read_parts(
        &mut self,
        at: &mut ItemCursor,
        version: Version,
        mut place: StreamPlace,
        parts: &mut Vec<Part>,
    ) -> Option<SubgroupEnd> {
        let from = at.position;
        let Some(subgroup) = self.begin_reading(at) else { return Some(SubgroupEnd::TooFarBehind) };
        let mut first = subgroup.runs.partition_point(|run| run.from < from);
        let next = subgroup.runs.get(first).map(|run| run.from);
        let (mut bytes, mut read, mut objects, mut payload) = (0, 0, 0, 0);
        while bytes < BATCH_BYTES
            && let Some(run) = subgroup.runs.get(first)
            && let Some(encoded) = run.bytes(at, version, place)
        {
            parts.push(Part::Encoded(Arc::clone(encoded)));
            place = encoded.behind;
            (bytes, objects, payload) = (bytes + run.weight, objects + run.objects, payload + run.payload);
            at.position = run.to;
            at.skipping = false;
            let (is_first, weight) = (subgroup.read == run.from, run.weight);
            read += match is_first {
                true => subgroup.is_read_to(at.position, weight),
                false => subgroup.pass_over(at.position),
            };
            first += 1;
        }
        self.unread -= read;
        self.stalled &= read == 0;
        self.counts.read_objects += objects;
        self.counts.read_bytes += payload;
        if at.position == from {
            let mut items = Vec::new();
            let limit = next.filter(|next| *next > from).map_or(usize::MAX, |next| (next - from) as usize);
            self.read_items(at, limit.min(super::BATCH), &mut items);
            parts.extend(items.into_iter().map(Part::Item));
        }
        self.end_reading(at, from)
    }
}

impl Subgroup {
    /// Takes note that the fastest reader has come to `position`, before which all that it had not read weighs so much.
    fn is_read_to(&mut self, position: u64, weight: usize) -> usize {
        self.unread -= weight;
        self.read = position;
        weight
    }

    /// Forgets the bytes of runs that are not kept whole any more. How much that was.
    pub(super) fn trim_runs(&mut self) -> usize {
        let mut freed = 0;
        while let Some(run) = self.runs.front_mut().filter(|run| run.from < self.first) {
            freed += std::mem::take(&mut run.encoded_weight);
            run.encoded.clear();
            if run.to > self.first {
                break;
            }
            self.runs.pop_front();
        }
        freed
    }
}
