//! What is written to a subgroup at once, made ready for many readers: small payload copied once, headers encoded once a
//! draft.

use std::sync::Arc;

use bytes::Bytes;
use moqingbird_wire::Version;
use moqingbird_wire::buf::Writer;
use moqingbird_wire::model::{ObjectHeader, ObjectStatus, SubgroupHeader, SubgroupId, TrackAlias};

use super::{Item, SubgroupInfo};
use crate::api::{Encoded, Encoder};

/// Room for the header of most objects, in bytes.
const HEADER: usize = 16;

/// Which drafts objects are encoded in.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Drafts(u8);

impl Drafts {
    pub(super) fn add(&mut self, version: Version) {
        self.0 |= 1 << place(version);
    }

    fn has(self, version: Version) -> bool {
        self.0 & (1 << place(version)) != 0
    }
}

/// The number of a draft among all.
pub(super) fn place(version: Version) -> usize {
    Version::ALL.iter().position(|it| *it == version).unwrap_or(0)
}

/// Parts of a subgroup, ready to be written ([`SubgroupWriter::pack`](super::SubgroupWriter::pack)).
#[derive(Debug)]
pub struct Packed {
    pub(super) items: Vec<Item>,
    pub(super) encoded: Vec<Arc<Encoded>>,
}

impl Packed {
    /// The parts. Payload that was copied is a slice of a piece that holds nothing else than what these are.
    pub fn items(&self) -> &[Item] {
        &self.items
    }
}

/// Makes what is written to one subgroup ready, in order.
#[derive(Debug)]
pub(super) struct Packer {
    header: SubgroupHeader,
    encoders: Vec<Encoder>,
}

impl Packer {
    pub(super) fn new(info: SubgroupInfo) -> Self {
        let header = SubgroupHeader {
            // The same objects are the same bytes in every stream, whatever the alias.
            track_alias: TrackAlias(0),
            group_id: info.group_id,
            subgroup_id: SubgroupId::Id(info.subgroup_id.unwrap_or(0)),
            publisher_priority: Some(info.publisher_priority),
            extensions: info.extensions,
            end_of_group: info.end_of_group,
        };
        Self { header, encoders: Vec::new() }
    }

    /// Encodes in each of `drafts` what follows an object of whose payload so much is to come. Payload in parts of up to
    /// `limit` bytes is copied, and the items are then slices of the copy; if `compact`, even where nothing is encoded.
    pub(super) fn pack(
        &mut self,
        drafts: Drafts,
        (last, payload_left): (Option<u64>, u64),
        mut items: Vec<Item>,
        limit: usize,
        compact: bool,
    ) -> Packed {
        self.encoders.retain(|encoder| drafts.has(encoder.version()));
        for &version in Version::ALL.iter().filter(|version| drafts.has(**version)) {
            if !self.encoders.iter().any(|encoder| encoder.version() == version) {
                self.encoders.push(Encoder::new(version, self.header, last, payload_left));
            }
        }
        let mut encoded: Vec<Arc<Encoded>> = Vec::with_capacity(self.encoders.len());
        let mut is_packed = false;
        self.encoders.retain_mut(|encoder| {
            let begun = encoder.place();
            let Some((pieces, last)) = encode(encoder, &items, limit) else {
                // Whoever reads it in that draft is told why.
                return false;
            };
            let last = last.filter(|header| header.status == ObjectStatus::EndOfTrack);
            let end_of_track = last.map(|header| header.object_id);
            encoded.push(Arc::new(encoder.finish(begun, pieces.sealed.clone(), end_of_track)));
            if !std::mem::replace(&mut is_packed, true) {
                items = pieces.slices(std::mem::take(&mut items));
            }
            true
        });
        if compact && !is_packed {
            let mut pieces = Pieces::with_room(&items, limit);
            for item in &items {
                if let Item::Payload(part) = item {
                    pieces.payload(part);
                }
            }
            pieces.seal();
            items = pieces.slices(items);
        }
        Packed { items, encoded }
    }
}

/// What comes next in a draft, and its last header. `None`: it cannot say it.
fn encode<'a>(
    encoder: &mut Encoder,
    items: &'a [Item],
    limit: usize,
) -> Option<(Pieces, Option<&'a ObjectHeader>)> {
    let mut pieces = Pieces::with_room(items, limit);
    let mut last = None;
    for item in items {
        match item {
            Item::Object(header) => {
                last = Some(header);
                encoder.header(header, &mut pieces.w).ok()?;
            }
            Item::Payload(part) => {
                encoder.payload(part.len() as u64);
                pieces.payload(part);
            }
        }
    }
    pieces.seal();
    Some((pieces, last))
}

/// Bytes on their way into few pieces.
#[derive(Debug)]
struct Pieces {
    limit: usize,
    w: Writer,
    sealed: Vec<Bytes>,
    /// Where the parts of payload are: in which piece, and from where on.
    places: Vec<(usize, usize)>,
}

impl Pieces {
    fn with_room(items: &[Item], limit: usize) -> Self {
        let room = |item: &Item| match item {
            Item::Object(header) => HEADER + header.extensions.byte_length(),
            Item::Payload(part) if part.len() <= limit => part.len(),
            Item::Payload(_) => 0,
        };
        let w = Writer::with_capacity(items.iter().map(room).sum());
        Self { limit, w, sealed: Vec::new(), places: Vec::new() }
    }

    fn payload(&mut self, part: &Bytes) {
        if part.len() <= self.limit {
            self.places.push((self.sealed.len(), self.w.len()));
            self.w.bytes(part);
        } else {
            self.seal();
            self.places.push((self.sealed.len(), 0));
            self.sealed.push(part.clone());
        }
    }

    fn seal(&mut self) {
        if !self.w.is_empty() {
            self.sealed.push(self.w.take());
        }
    }

    /// The items with their payload where it is now. Parts that follow each other there are one.
    fn slices(&self, items: Vec<Item>) -> Vec<Item> {
        let mut sliced: Vec<Item> = Vec::with_capacity(items.len());
        let mut places = self.places.iter();
        // The part before: in which piece it is, and from where to where.
        let mut before = None;
        for item in items {
            let Item::Payload(part) = item else {
                before = None;
                sliced.push(item);
                continue;
            };
            let Some(&(piece, start)) = places.next() else { break };
            let end = start + part.len();
            let slice = |from| Item::Payload(self.sealed[piece].slice(from..end));
            match (before, sliced.last_mut()) {
                (Some((in_piece, from, to)), Some(last)) if (in_piece, to) == (piece, start) => {
                    *last = slice(from);
                    before = Some((piece, from, end));
                }
                _ => {
                    sliced.push(slice(start));
                    before = Some((piece, start, end));
                }
            }
        }
        sliced
    }
}
