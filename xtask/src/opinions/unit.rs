//! What the two sides show each other: a control message, a stream or a datagram.

use bytes::Bytes;
use moqingbird_wire::buf::{Reader, Writer};
use moqingbird_wire::model::{
    Datagram, DatagramBody, FetchItem, FetchObject, Location, Message, ObjectHeader, ObjectStatus, Opening,
    RangeStatus, RequestId, SubgroupHeader, SubgroupId, TrackAlias,
};
use moqingbird_wire::stream::{FetchCursor, SubgroupCursor};
use moqingbird_wire::{Assembler, DecodeError, Draft, EncodeError, Version};

use super::messages::{Maker, object_extensions};
use super::sample::Sample;

pub(super) const SUBGROUP_STREAM: &str = "SUBGROUP_STREAM";
pub(super) const FETCH_STREAM: &str = "FETCH_STREAM";
pub(super) const DATAGRAM: &str = "OBJECT_DATAGRAM";

/// A unit of one draft, with the payloads of its objects.
#[derive(Debug)]
pub(super) enum Unit {
    Control(Message),
    Subgroup(SubgroupHeader, Vec<(ObjectHeader, Bytes)>),
    Fetch(RequestId, Vec<(FetchItem, Bytes)>),
    Datagram(Datagram),
}

impl Unit {
    /// A random one of a kind.
    pub(super) fn random(version: Version, kind: &str, s: &mut Sample) -> Result<Self, String> {
        Ok(match kind {
            SUBGROUP_STREAM => random_subgroup(version, s),
            FETCH_STREAM => random_fetch(version, s),
            DATAGRAM => Self::Datagram(random_datagram(version, s)),
            control => Self::Control(Maker { version, s }.message(control)?),
        })
    }

    pub(super) fn encode(&self, draft: &dyn Draft) -> Result<Bytes, EncodeError> {
        let mut w = Writer::new();
        match self {
            Self::Control(message) => draft.encode_control(message, &mut w)?,
            Self::Subgroup(header, objects) => {
                draft.encode_opening(&Opening::Subgroup(*header), &mut w)?;
                let mut cursor = SubgroupCursor::new(header);
                for (object, payload) in objects {
                    draft.encode_object(&cursor, object, &mut w)?;
                    w.bytes(payload);
                    cursor.advance(object.object_id);
                }
            }
            Self::Fetch(id, items) => {
                draft.encode_opening(&Opening::Fetch(*id), &mut w)?;
                let mut cursor = FetchCursor::default();
                for (item, payload) in items {
                    draft.encode_fetch_item(&cursor, item, &mut w)?;
                    w.bytes(payload);
                    cursor.advance(item);
                }
            }
            Self::Datagram(datagram) => draft.encode_datagram(datagram, &mut w)?,
        }
        Ok(w.take())
    }

    /// Reads a unit whole.
    pub(super) fn decode(draft: &dyn Draft, kind: &str, bytes: &Bytes) -> Result<Self, String> {
        let r = &mut Reader::new(bytes);
        match kind {
            SUBGROUP_STREAM | FETCH_STREAM => stream(draft, r),
            DATAGRAM => draft.decode_datagram(r).map(Self::Datagram),
            _ => return control(draft, bytes.clone()),
        }
        .map_err(|error| error.to_string())
    }
}

fn control(draft: &dyn Draft, bytes: Bytes) -> Result<Unit, String> {
    let mut assembler = Assembler::new();
    assembler.push(bytes);
    let frame = assembler.next_frame().ok_or("the message is cut short")?;
    if !assembler.is_empty() {
        return Err("bytes follow the message".to_owned());
    }
    draft.decode_control(&frame).map(Unit::Control).map_err(|error| error.to_string())
}

fn stream(draft: &dyn Draft, r: &mut Reader<'_>) -> Result<Unit, DecodeError> {
    match draft.decode_opening(r)? {
        Opening::Subgroup(header) => {
            let mut cursor = SubgroupCursor::new(&header);
            let mut objects = Vec::new();
            while !r.is_empty() {
                let object = draft.decode_object(&cursor, r)?;
                cursor.advance(object.object_id);
                let payload = r.bytes(object.payload_length, "payload")?;
                objects.push((object, payload));
            }
            Ok(Unit::Subgroup(header, objects))
        }
        Opening::Fetch(id) => {
            let mut cursor = FetchCursor::default();
            let mut items = Vec::new();
            while !r.is_empty() {
                let item = draft.decode_fetch_item(&cursor, r)?;
                cursor.advance(&item);
                let payload = match &item {
                    FetchItem::Object(object) => r.bytes(object.payload_length, "payload")?,
                    _ => Bytes::new(),
                };
                items.push((item, payload));
            }
            Ok(Unit::Fetch(id, items))
        }
        _ => Err(DecodeError::new("Stream Type", moqingbird_wire::Fault::Invalid("no such stream here"), 0)),
    }
}

fn random_subgroup(version: Version, s: &mut Sample) -> Unit {
    let header = SubgroupHeader {
        track_alias: TrackAlias(s.number()),
        group_id: s.number(),
        subgroup_id: match s.below(3) {
            0 => SubgroupId::Zero,
            1 => SubgroupId::FirstObject,
            _ => SubgroupId::Id(s.number()),
        },
        publisher_priority: priority(version, s),
        extensions: s.coin(),
        end_of_group: s.coin(),
    };
    let mut object_id = s.number() / 2;
    let objects = s.list(4, |s| {
        let status = status(version, s);
        let payload = payload(status, s);
        let extended = header.extensions && may_extend(version, status);
        let extensions = if extended {
            object_extensions(s, version.draft().rules().extension_keys)
        } else {
            Default::default()
        };
        let object = ObjectHeader { object_id, extensions, status, payload_length: payload.len() as u64 };
        object_id += step(s);
        (object, payload)
    });
    Unit::Subgroup(header, objects)
}

/// Objects and, in draft-16, ends of ranges in ascending order. Often the flags of draft-16 can refer to what is before.
fn random_fetch(version: Version, s: &mut Sample) -> Unit {
    let mut at = Location { group: s.number() / 4, object: s.number() / 4 };
    let (mut subgroup_id, mut publisher_priority) = (s.number() / 2, s.byte());
    let newer = version != Version::Draft14;
    let items = s.list(8, |s| {
        let item = match newer && s.one_in(5) {
            true => (
                FetchItem::EndOfRange {
                    end: at,
                    status: s.choice(&[RangeStatus::NonExistent, RangeStatus::Unknown]),
                },
                Bytes::new(),
            ),
            false => {
                let status = if newer { ObjectStatus::Normal } else { status(version, s) };
                let payload = payload(status, s);
                let extended = s.coin() && may_extend(version, status);
                let keys = version.draft().rules().extension_keys;
                let object = FetchObject {
                    location: at,
                    subgroup_id: Some(subgroup_id).filter(|_| !newer || !s.one_in(4)),
                    publisher_priority,
                    extensions: if extended { object_extensions(s, keys) } else { Default::default() },
                    status,
                    payload_length: payload.len() as u64,
                };
                (FetchItem::Object(object), payload)
            }
        };
        at.object += step(s);
        if s.one_in(4) {
            at = Location { group: at.group + step(s), object: s.number() / 4 };
        }
        match s.below(4) {
            0 => subgroup_id += 1,
            1 => subgroup_id = s.choice(&[0, subgroup_id, 7]),
            _ => {}
        }
        if s.one_in(4) {
            publisher_priority = s.byte();
        }
        item
    });
    Unit::Fetch(RequestId(s.number()), items)
}

fn random_datagram(version: Version, s: &mut Sample) -> Datagram {
    // In draft-16 a status may be Normal, of an object without payload.
    let status = status(version, s);
    let carries_status = status != ObjectStatus::Normal || version != Version::Draft14 && s.one_in(10);
    Datagram {
        track_alias: TrackAlias(s.number()),
        group_id: s.number(),
        object_id: if s.coin() { 0 } else { s.number() },
        publisher_priority: priority(version, s),
        end_of_group: !carries_status && s.coin(),
        extensions: match may_extend(version, status) {
            true => object_extensions(s, version.draft().rules().extension_keys),
            false => Default::default(),
        },
        body: match carries_status {
            true => DatagramBody::Status(status),
            false => DatagramBody::Payload(s.bytes(0, 200)),
        },
    }
}

fn priority(version: Version, s: &mut Sample) -> Option<u8> {
    match version.draft().rules().default_priority && s.one_in(3) {
        true => None,
        false => Some(s.byte()),
    }
}

fn status(version: Version, s: &mut Sample) -> ObjectStatus {
    let others: &[_] = match version {
        Version::Draft14 => &[ObjectStatus::EndOfGroup, ObjectStatus::EndOfTrack, ObjectStatus::DoesNotExist],
        _ => &[ObjectStatus::EndOfGroup, ObjectStatus::EndOfTrack],
    };
    if s.one_in(3) { s.choice(others) } else { ObjectStatus::Normal }
}

/// Draft-14 §10.2.1.2: all but what does not exist; draft-16 §10.2.1.2: Normal objects.
fn may_extend(version: Version, status: ObjectStatus) -> bool {
    match version {
        Version::Draft14 => status != ObjectStatus::DoesNotExist,
        _ => status == ObjectStatus::Normal,
    }
}

fn payload(status: ObjectStatus, s: &mut Sample) -> Bytes {
    match status {
        ObjectStatus::Normal if !s.one_in(6) => s.bytes(1, 200),
        _ => Bytes::new(),
    }
}

/// How far the next ID is away: mostly 1.
fn step(s: &mut Sample) -> u64 {
    if s.one_in(3) { 1 + (s.number() >> 30) } else { 1 }
}
