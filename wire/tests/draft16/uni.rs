//! What the streams of `uni.tsv` mean, and that they are written back as they were.

use bytes::Bytes;
use moqingbird_ledger::covers;
use moqingbird_wire::buf::{Reader, Writer};
use moqingbird_wire::list::Value;
use moqingbird_wire::model::*;
use moqingbird_wire::stream::{FetchCursor, SubgroupCursor};
use moqingbird_wire::{DecodeError, Fault};

use crate::support::{draft, extensions, hex, varint, vectors};

/// The table of the vectors.
const VECTORS: &str = "uni";

/// All that a stream says.
#[derive(Debug, PartialEq)]
pub(crate) enum Stream {
    Subgroup(SubgroupHeader, Vec<(ObjectHeader, Bytes)>),
    Fetch(RequestId, Vec<(FetchItem, Bytes)>),
}

pub(crate) fn read(bytes: &Bytes) -> Result<Stream, DecodeError> {
    let mut r = Reader::new(bytes);
    match draft().decode_opening(&mut r)? {
        Opening::Subgroup(header) => Ok(Stream::Subgroup(header, read_objects(&header, &mut r)?)),
        Opening::Fetch(id) => Ok(Stream::Fetch(id, read_items(&mut r)?)),
        other => panic!("a stream that this draft has, not {other:?}"),
    }
}

fn read_objects(
    header: &SubgroupHeader,
    r: &mut Reader<'_>,
) -> Result<Vec<(ObjectHeader, Bytes)>, DecodeError> {
    let mut at = SubgroupCursor::new(header);
    let mut objects = Vec::new();
    while !r.is_empty() {
        let object = draft().decode_object(&at, r)?;
        let payload = r.bytes(object.payload_length, "payload")?;
        at.advance(object.object_id);
        objects.push((object, payload));
    }
    Ok(objects)
}

fn read_items(r: &mut Reader<'_>) -> Result<Vec<(FetchItem, Bytes)>, DecodeError> {
    let mut at = FetchCursor::default();
    let mut items = Vec::new();
    while !r.is_empty() {
        let item = draft().decode_fetch_item(&at, r)?;
        let payload = match &item {
            FetchItem::Object(object) => r.bytes(object.payload_length, "payload")?,
            _ => Bytes::new(),
        };
        at.advance(&item);
        items.push((item, payload));
    }
    Ok(items)
}

fn write(stream: &Stream) -> Bytes {
    let mut w = Writer::new();
    match stream {
        Stream::Subgroup(header, objects) => {
            draft().encode_opening(&Opening::Subgroup(*header), &mut w).unwrap();
            let mut at = SubgroupCursor::new(header);
            for (object, payload) in objects {
                draft().encode_object(&at, object, &mut w).unwrap();
                w.bytes(payload);
                at.advance(object.object_id);
            }
        }
        Stream::Fetch(id, items) => {
            draft().encode_opening(&Opening::Fetch(*id), &mut w).unwrap();
            let mut at = FetchCursor::default();
            for (item, payload) in items {
                draft().encode_fetch_item(&at, item, &mut w).unwrap();
                w.bytes(payload);
                at.advance(item);
            }
        }
    }
    w.take()
}

fn object(object_id: u64, payload: &'static str) -> (ObjectHeader, Bytes) {
    (
        ObjectHeader {
            object_id,
            extensions: Extensions::NONE,
            status: ObjectStatus::Normal,
            payload_length: payload.len() as u64,
        },
        payload.into(),
    )
}

fn status(object_id: u64, status: ObjectStatus) -> (ObjectHeader, Bytes) {
    (ObjectHeader { status, ..object(object_id, "").0 }, Bytes::new())
}

fn extended(object_id: u64, block: &str, payload: &'static str) -> (ObjectHeader, Bytes) {
    let (header, payload) = object(object_id, payload);
    (ObjectHeader { extensions: extensions(block), ..header }, payload)
}

fn fetched(
    location: (u64, u64),
    subgroup_id: Option<u64>,
    publisher_priority: u8,
    payload: &'static str,
) -> (FetchItem, Bytes) {
    let object = FetchObject {
        location: Location::new(location.0, location.1),
        subgroup_id,
        publisher_priority,
        extensions: Extensions::NONE,
        status: ObjectStatus::Normal,
        payload_length: payload.len() as u64,
    };
    (FetchItem::Object(object), payload.into())
}

fn end_of_range(location: (u64, u64), status: RangeStatus) -> (FetchItem, Bytes) {
    (FetchItem::EndOfRange { end: Location::new(location.0, location.1), status }, Bytes::new())
}

fn header(subgroup_id: SubgroupId, publisher_priority: Option<u8>) -> SubgroupHeader {
    SubgroupHeader {
        track_alias: TrackAlias(7),
        group_id: 3,
        subgroup_id,
        publisher_priority,
        extensions: false,
        end_of_group: false,
    }
}

/// The vectors of all stream types have the same three objects.
fn of_type(kind: u8) -> Stream {
    let subgroup_id = match kind & 0x06 {
        0x00 => SubgroupId::Zero,
        0x02 => SubgroupId::FirstObject,
        _ => SubgroupId::Id(1),
    };
    let has_extensions = kind & 0x01 != 0;
    let header = SubgroupHeader {
        extensions: has_extensions,
        end_of_group: kind & 0x08 != 0,
        ..header(subgroup_id, (kind & 0x20 == 0).then_some(200))
    };
    let first = if has_extensions { extended(5, "3e 05", "a") } else { object(5, "a") };
    Stream::Subgroup(header, vec![first, object(6, ""), status(9, ObjectStatus::EndOfGroup)])
}

fn meaning(name: &str) -> Stream {
    if let Some(kind) = name.strip_prefix("subgroup 0x") {
        return of_type(u8::from_str_radix(kind, 16).unwrap());
    }
    match name {
        "subgroup of the reference" => Stream::Subgroup(
            header(SubgroupId::Id(1), None),
            vec![object(5, "abc"), object(6, "d"), status(9, ObjectStatus::EndOfGroup)],
        ),
        "subgroup with extensions" => Stream::Subgroup(
            SubgroupHeader { extensions: true, ..header(SubgroupId::Id(1), Some(128)) },
            vec![extended(5, "3e 05", "a"), object(6, "b")],
        ),
        "subgroup without objects" => Stream::Subgroup(header(SubgroupId::FirstObject, Some(128)), vec![]),
        "subgroup to the end of the track" => {
            Stream::Subgroup(header(SubgroupId::Zero, None), vec![status(0, ObjectStatus::EndOfTrack)])
        }
        "fetch of the reference" => Stream::Fetch(
            RequestId(4),
            vec![
                fetched((1, 0), Some(0), 128, "ab"),
                fetched((1, 1), Some(0), 128, "c"),
                fetched((1, 5), None, 128, ""),
                end_of_range((1, 7), RangeStatus::Unknown),
                end_of_range((1, 9), RangeStatus::NonExistent),
                fetched((2, 0), Some(3), 128, "z"),
            ],
        ),
        "fetch of nothing" => Stream::Fetch(RequestId(4), vec![]),
        "fetch by subgroups" => {
            let (mut last, payload) = fetched((0, 0), Some(0), 255, "");
            if let FetchItem::Object(object) = &mut last {
                object.extensions = extensions("3c 01");
            }
            Stream::Fetch(
                RequestId(4),
                vec![
                    fetched((1, 0), Some(5), 128, ""),
                    fetched((1, 1), Some(5), 128, ""),
                    fetched((1, 2), Some(6), 128, ""),
                    fetched((1, 3), Some(9), 128, ""),
                    fetched((1, 8), Some(0), 1, "a"),
                    (last, payload),
                ],
            )
        }
        other => panic!("a meaning for the vector {other}"),
    }
}

fn round_trips(chosen: impl Fn(&str) -> bool) {
    let mut count = 0;
    for vector in vectors(VECTORS).into_iter().filter(|vector| chosen(vector.name)) {
        let stream = read(&vector.bytes).unwrap_or_else(|error| panic!("{vector}: {error}"));
        assert_eq!(stream, meaning(vector.name), "{vector}");
        assert_eq!(write(&stream), vector.bytes, "{vector}");
        count += 1;
    }
    assert!(count > 0, "a vector was chosen");
}

#[test]
fn every_vector_has_its_meaning_and_is_written_back_as_it_was() {
    round_trips(|_| true);
}

#[test]
fn exactly_the_subgroup_types_and_the_fetch_type_open_a_stream() {
    covers!("D16-10-04");
    let valid: Vec<u8> = [0x10..=0x15, 0x18..=0x1d, 0x30..=0x35, 0x38..=0x3d].into_iter().flatten().collect();
    for kind in 0..=0x3fff_u64 {
        let bytes: Bytes = [&varint(kind, 2)[..], &[1; 8]].concat().into();
        let opening = draft().decode_opening(&mut Reader::new(&bytes));
        match u8::try_from(kind) {
            Ok(5) => assert!(matches!(opening, Ok(Opening::Fetch(_)))),
            Ok(kind) if valid.contains(&kind) => assert!(matches!(opening, Ok(Opening::Subgroup(_)))),
            _ => assert_eq!(opening, Err(DecodeError::new("Stream Type", Fault::Unknown(kind), 0))),
        }
    }
    for kind in valid {
        round_trips(|name| name == format!("subgroup {kind:#x}"));
    }
}

#[test]
fn the_bits_of_the_type_decide_the_fields() {
    for (types, _row) in [
        // The Subgroup ID is 0, the first object's, or a field.
        (["0x10", "0x12", "0x14"].as_slice(), covers!("D16-10.4.2-04")),
        // Extension Headers Length before every object, or before none.
        (&["0x10", "0x11"], covers!("D16-10.4.2-05")),
        // Publisher Priority, or the track's default.
        (&["0x10", "0x30"], covers!("D16-10.4.2-06")),
    ] {
        round_trips(|name| types.iter().any(|kind| name == format!("subgroup {kind}")));
    }
}

#[test]
fn object_ids_are_deltas_and_a_status_stands_for_a_payload() {
    covers!("D16-10.4.2-09", "D16-10.4.2-12", "D16-10.2.1.1-02");
    // Deltas 5, 0, 2 with a payload, an empty payload, and a status.
    round_trips(|name| name == "subgroup of the reference" || name == "subgroup 0x30");
}

#[test]
fn an_object_id_over_the_largest_integer_is_refused() {
    covers!("D16-10.4.2-10");
    let max = (1 << 62) - 1;
    let at = |previous| SubgroupCursor { extensions: false, previous: Some(previous) };
    let largest = hex("00 01");
    let object = draft().decode_object(&at(max - 1), &mut Reader::new(&largest)).unwrap();
    assert_eq!(object.object_id, max);
    let error = draft().decode_object(&at(max), &mut Reader::new(&largest)).unwrap_err();
    assert_eq!((error.field, error.code()), ("Object ID Delta", SessionErrorCode::ProtocolViolation));
    let farthest = hex("ffffffffffffffff 01");
    assert!(draft().decode_object(&at(max), &mut Reader::new(&farthest)).is_err());
}

#[test]
fn extension_headers_fill_their_length_exactly() {
    covers!("D16-10.2.1.2-03");
    let at = SubgroupCursor { extensions: true, previous: None };
    let read = |bytes: &str| draft().decode_object(&at, &mut Reader::new(&hex(bytes)));
    let object = read("05 02 3e 05 01").unwrap();
    assert_eq!(object.extensions, extensions("3e 05"));
    let error = read("05 01 3e 05 01").unwrap_err();
    assert_eq!(error.field, "Extension Headers");
    assert!(!error.is_incomplete(), "more bytes do not mend it");
}

#[test]
fn an_object_header_that_is_not_all_there_is_incomplete() {
    for vector in vectors(VECTORS) {
        for end in 0..vector.bytes.len() {
            if let Err(error) = read(&vector.bytes.slice(..end)) {
                assert!(error.is_incomplete(), "{} cut at {end}: {error}", vector.name);
            }
        }
    }
}

#[test]
fn a_byte_string_of_65535_bytes_is_an_extension() {
    covers!("D16-1.4.2-09");
    let at = SubgroupCursor { extensions: true, previous: None };
    let mut bytes = hex("00 80010004 4041 8000ffff").to_vec();
    bytes.resize(bytes.len() + 65_535, b'x');
    // The length of the block: two for the type, four for the length, and the bytes.
    bytes[1..5].copy_from_slice(&(0x8000_0000_u32 | (65_535 + 6)).to_be_bytes());
    bytes.push(1);
    let object = draft().decode_object(&at, &mut Reader::new(&bytes.into())).unwrap();
    let Some(Value::Bytes(value)) = object.extensions.get(0x41) else { panic!("a byte string") };
    assert_eq!(value.len(), 65_535);
}

#[test]
fn a_byte_string_over_the_limit_is_refused_before_it_is_there() {
    let at = SubgroupCursor { extensions: true, previous: None };
    let bytes = hex("00 80020000 4041 80010000");
    let error = draft().decode_object(&at, &mut Reader::new(&bytes)).unwrap_err();
    assert_eq!(error.fault, Fault::TooLong { length: 65_536, limit: 65_535 });
}

#[test]
fn fetched_objects_have_no_status() {
    covers!("D16-10.2.1.1-01", "D16-10.4.4-01", "D16-10.4.4.2-01");
    round_trips(|name| name == "fetch of the reference");
}

#[test]
fn serialization_flags_from_0x40_take_two_bytes() {
    covers!("D16-10.4.4-03", "D16-10.4.4.1-05");
    let at = FetchCursor {
        location: Some(Location::new(1, 1)),
        subgroup_id: Some(0),
        publisher_priority: Some(128),
        after_datagram: false,
    };
    for (item, bytes) in [
        (fetched((1, 5), None, 128, ""), "40 44 05 00"),
        (end_of_range((1, 9), RangeStatus::NonExistent), "40 8c 01 09"),
        (end_of_range((1, 7), RangeStatus::Unknown), "41 0c 01 07"),
    ] {
        let mut w = Writer::new();
        draft().encode_fetch_item(&at, &item.0, &mut w).unwrap();
        assert_eq!(w.take(), hex(bytes));
        assert_eq!(draft().decode_fetch_item(&at, &mut Reader::new(&hex(bytes))), Ok(item.0));
    }
}

#[test]
fn the_subgroup_of_a_fetched_object_is_zero_the_prior_the_next_or_stated() {
    covers!("D16-10.4.4.1-02");
    round_trips(|name| name == "fetch by subgroups");
}

#[test]
fn behind_a_datagram_the_subgroup_is_stated() {
    covers!("D16-10.4.4.1-02");
    let mut at = FetchCursor::default();
    let mut w = Writer::new();
    for (subgroup, bytes) in [
        (Some(5), "1f 01 05 02 80 00"),
        (None, "40 40 00"),
        (Some(5), "03 05 00"),
        (Some(5), "01 00"),
        (None, "40 40 00"),
        (Some(6), "03 06 00"),
        (Some(7), "02 00"),
    ] {
        let object = at.location.map_or(2, |before| before.object + 1);
        let (item, _) = fetched((1, object), subgroup, 128, "");
        draft().encode_fetch_item(&at, &item, &mut w).unwrap();
        assert_eq!(w.take(), hex(bytes));
        at.advance(&item);
    }
}

#[test]
fn every_flag_decides_one_field() {
    covers!("D16-10.4.4.1-03", "D16-10.4.4.1-06");
    let at = FetchCursor {
        location: Some(Location::new(20, 30)),
        subgroup_id: Some(40),
        publisher_priority: Some(50),
        after_datagram: false,
    };
    for flags in 0..0x80_u64 {
        let mut bytes = varint(flags, 2);
        let mut field =
            |present: bool, field: &[u8]| present.then(|| bytes.extend_from_slice(field)).is_some();
        let datagram = flags & 0x40 != 0;
        let group = field(flags & 0x08 != 0, &[21]);
        let subgroup = field(flags & 0x03 == 3 && !datagram, &[43]);
        let object = field(flags & 0x04 != 0, &[33]);
        let priority = field(flags & 0x10 != 0, &[53]);
        let extended = field(flags & 0x20 != 0, &[2, 0x3c, 1]);
        field(true, &[6]);
        let bytes = Bytes::from(bytes);
        let mut r = Reader::new(&bytes);
        let item = draft().decode_fetch_item(&at, &mut r);
        assert!(r.is_empty(), "{flags:#x}");
        let expected = FetchObject {
            location: Location::new(if group { 21 } else { 20 }, if object { 33 } else { 31 }),
            subgroup_id: match flags & 0x03 {
                _ if datagram => None,
                _ if subgroup => Some(43),
                mode => Some([0, 40, 41][mode as usize]),
            },
            publisher_priority: if priority { 53 } else { 50 },
            extensions: if extended { extensions("3c 01") } else { Extensions::NONE },
            status: ObjectStatus::Normal,
            payload_length: 6,
        };
        assert_eq!(item, Ok(FetchItem::Object(expected)), "{flags:#x}");
    }
}

#[test]
fn of_the_flags_from_0x80_only_the_two_markers_are_defined() {
    let at = FetchCursor::default();
    for flags in 0x80..0x4000_u64 {
        let bytes = Bytes::from([&varint(flags, 2)[..], &[1; 8]].concat());
        let item = draft().decode_fetch_item(&at, &mut Reader::new(&bytes));
        match flags {
            0x8c => assert_eq!(item, Ok(end_of_range((1, 1), RangeStatus::NonExistent).0)),
            0x10c => assert_eq!(item, Ok(end_of_range((1, 1), RangeStatus::Unknown).0)),
            _ => {
                let error = item.unwrap_err();
                assert_eq!((error.field, error.offset), ("Serialization Flags", 0), "{flags:#x}: {error}");
            }
        }
    }
}

#[test]
fn a_fetched_object_in_any_place_reads_back_as_it_was_written() {
    let ids = [0, 1, 2, 7, (1 << 62) - 2];
    let mut cursors = vec![FetchCursor::default()];
    for group in ids {
        for object in ids {
            for subgroup_id in [None, Some(0), Some(1), Some((1 << 62) - 1)] {
                for publisher_priority in [None, Some(0), Some(128)] {
                    let location = Some(Location::new(group, object));
                    for after_datagram in [false, true] {
                        cursors.push(FetchCursor {
                            location,
                            subgroup_id,
                            publisher_priority,
                            after_datagram,
                        });
                    }
                }
            }
        }
    }
    for at in cursors {
        for (group, object) in [(0, 0), (1, 2), (1, 1), (7, 8), (2, (1 << 62) - 1)] {
            for subgroup in [None, Some(0), Some(1), Some(2)] {
                let (item, _) = fetched((group, object), subgroup, 128, "");
                let mut w = Writer::new();
                draft().encode_fetch_item(&at, &item, &mut w).unwrap();
                let bytes = w.take();
                assert_eq!(draft().decode_fetch_item(&at, &mut Reader::new(&bytes)), Ok(item), "at {at:?}");
            }
        }
    }
}

#[test]
fn behind_a_marker_the_location_is_the_markers_and_the_rest_the_last_objects() {
    // {1,0} of subgroup 5, priority 9; non-existent to {3,4}; prior subgroup, object and priority.
    let bytes = hex("05 04  1f 01 05 00 09 00  40 8c 03 04  01 00");
    let Ok(Stream::Fetch(_, items)) = read(&bytes) else { panic!("a fetch stream") };
    assert_eq!(items[2], fetched((3, 5), Some(5), 9, ""));
}

#[test]
fn extension_types_without_a_meaning_for_objects_are_carried() {
    covers!("D16-13.3-01");
    let known = [
        (extension::DELIVERY_TIMEOUT, 0x02),
        (extension::MAX_CACHE_DURATION, 0x04),
        (extension::IMMUTABLE_EXTENSIONS, 0x0b),
        (extension::DEFAULT_PUBLISHER_PRIORITY, 0x0e),
        (extension::DEFAULT_PUBLISHER_GROUP_ORDER, 0x22),
        (extension::DYNAMIC_GROUPS, 0x30),
        (extension::PRIOR_GROUP_ID_GAP, 0x3c),
        (extension::PRIOR_OBJECT_ID_GAP, 0x3e),
    ];
    for (key, number) in known {
        assert_eq!(key, number);
    }
    // A delivery timeout of 0 and a group order of 9 would be refused on a track.
    let at = SubgroupCursor { extensions: true, previous: None };
    let object = draft().decode_object(&at, &mut Reader::new(&hex("00 04 02 00 20 09 01"))).unwrap();
    assert_eq!(object.extensions, extensions("02 00 20 09"));
}
