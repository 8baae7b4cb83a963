//! Data streams and datagrams: what their bytes mean, and that their meaning is written with these bytes.

use bytes::Bytes;
use moqingbird_ledger::covers;
use moqingbird_wire::buf::Reader;
use moqingbird_wire::model::{
    Datagram, DatagramBody, Extensions, FetchItem, FetchObject, Location, ObjectHeader, ObjectStatus,
    Opening, RequestId, SubgroupHeader, SubgroupId, TrackAlias,
};
use moqingbird_wire::stream::{FetchCursor, OpeningReader, SubgroupCursor, SubgroupItem, SubgroupReader};

use crate::support::{
    at_start, draft, extensions, hex, vector_of, vectors, whole, write_datagram, write_fetch_item,
    write_object, write_opening,
};

const STATUSES: &[(&str, ObjectStatus)] = &[
    ("normal", ObjectStatus::Normal),
    ("does-not-exist", ObjectStatus::DoesNotExist),
    ("end-of-group", ObjectStatus::EndOfGroup),
    ("end-of-track", ObjectStatus::EndOfTrack),
];

#[test]
fn every_opening_means_what_is_said_and_is_written_the_same() {
    covers!("D14-10.4.2-04", "D14-10.4.2-05", "D14-10.4.2-07");
    for (name, bytes) in unit("stream") {
        let opening = opening(name);
        assert_eq!(whole(&bytes, |r| draft().decode_opening(r)), Ok(opening.clone()), "{name}");
        assert_eq!(write_opening(&opening), Ok(bytes), "{name}");
    }
    let types: Vec<u8> = unit("stream").map(|(_, bytes)| bytes[0]).collect();
    let defined: Vec<u8> = (0x10..=0x15).chain(0x18..=0x1d).chain([0x05]).collect();
    assert_eq!(types, defined);
}

#[test]
fn every_object_means_what_is_said_and_is_written_the_same() {
    covers!("D14-10.4.2-08", "D14-10.4.2-09", "D14-10.2.1.1-10");
    for carries in [false, true] {
        let at = at_start(carries);
        for (name, bytes) in unit(if carries { "object-with-extensions" } else { "object" }) {
            let object = object(name);
            assert_eq!(whole(&bytes, |r| draft().decode_object(&at, r)), Ok(object.clone()), "{name}");
            assert_eq!(write_object(&at, &object), Ok(bytes), "{name}");
        }
    }
}

#[test]
fn every_fetch_object_means_what_is_said_and_is_written_the_same() {
    covers!("D14-10.4.4-04");
    let at = FetchCursor::default();
    for (name, bytes) in unit("fetch") {
        let item = fetch_item(name);
        assert_eq!(whole(&bytes, |r| draft().decode_fetch_item(&at, r)), Ok(item.clone()), "{name}");
        assert_eq!(write_fetch_item(&at, &item), Ok(bytes), "{name}");
    }
}

#[test]
fn every_datagram_means_what_is_said_and_is_written_the_same() {
    covers!("D14-10.3.1-02", "D14-10.3.1-04");
    for (name, bytes) in unit("datagram") {
        let datagram = datagram(name);
        assert_eq!(whole(&bytes, |r| draft().decode_datagram(r)), Ok(datagram.clone()), "{name}");
        assert_eq!(write_datagram(&datagram), Ok(bytes), "{name}");
    }
    let mut types: Vec<u8> = unit("datagram").map(|(_, bytes)| bytes[0]).collect();
    types.sort_unstable();
    types.dedup();
    assert_eq!(types, [0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x20, 0x21]);
}

#[test]
fn datagram_types_04_to_07_are_of_object_0() {
    covers!("D14-10.3.1-03");
    let datagram = whole(&hex("04 07 05 80 68 69"), |r| draft().decode_datagram(r)).unwrap();
    assert_eq!((datagram.object_id, datagram.body), (0, DatagramBody::Payload("hi".into())));
    for kind in ["05", "06", "07"] {
        let extensions = if kind == "06" { "" } else { "02 3c 01" };
        let bytes = hex(&format!("{kind} 07 05 80 {extensions} 68 69"));
        let datagram = whole(&bytes, |r| draft().decode_datagram(r)).unwrap();
        assert_eq!((datagram.object_id, datagram.body), (0, DatagramBody::Payload("hi".into())), "{kind}");
    }
}

#[test]
fn a_datagrams_payload_is_the_rest_and_may_be_empty() {
    covers!("D14-10.3.1-06");
    let body = |text: &str| whole(&hex(text), |r| draft().decode_datagram(r)).unwrap().body;
    assert_eq!(body("00 07 05 02 80"), DatagramBody::Payload(Bytes::new()));
    assert_eq!(body("00 07 05 02 80 00 03"), DatagramBody::Payload(hex("00 03")));
}

#[test]
fn a_datagram_cut_before_its_payload_is_refused() {
    covers!("D14-10.3.1-07");
    for (name, bytes) in unit("datagram") {
        let payload = if name.starts_with("payload") && name != "payload-empty" { 2 } else { 0 };
        for end in 0..bytes.len() - payload {
            let cut = bytes.slice(..end);
            let error = whole(&cut, |r| draft().decode_datagram(r)).expect_err(name);
            assert!(error.is_incomplete() && error.offset <= end, "{name} cut at {end}: {error:?}");
        }
    }
}

#[test]
fn a_header_cut_anywhere_waits_for_more() {
    for (name, bytes) in unit("stream") {
        every_cut(name, &bytes, |r| draft().decode_opening(r).map(drop));
    }
    for (name, bytes) in unit("object-with-extensions") {
        every_cut(name, &bytes, |r| draft().decode_object(&at_start(true), r).map(drop));
    }
    for (name, bytes) in unit("fetch") {
        every_cut(name, &bytes, |r| draft().decode_fetch_item(&FetchCursor::default(), r).map(drop));
    }
}

fn every_cut(
    name: &str,
    bytes: &Bytes,
    decode: impl Fn(&mut Reader<'_>) -> Result<(), moqingbird_wire::DecodeError>,
) {
    for end in 0..bytes.len() {
        let error = decode(&mut Reader::new(&bytes.slice(..end))).expect_err(name);
        assert!(error.is_incomplete(), "{name} cut at {end}: {error:?}");
    }
}

#[test]
fn every_stream_is_read_and_written_the_same() {
    for vector in vectors("streams") {
        let (name, bytes) = (vector.name, vector.bytes.clone());
        let stream = read_stream(&bytes);
        assert_eq!(stream, stream_meaning(name), "{vector}");
        assert_eq!(write_stream(&stream), bytes, "{vector}");
    }
}

#[test]
fn object_ids_on_a_subgroup_stream_are_deltas_less_one() {
    covers!("D14-10.4.2-11");
    assert_eq!(object_ids(&hex("10 07 40 65 80 03 01 61 01 01 62 00 01 63")), [3, 5, 6]);
    assert_eq!(object_ids(&hex("10 07 40 65 80 00 01 61 00 01 62 00 01 63")), [0, 1, 2]);
}

#[test]
fn a_subgroup_may_be_named_by_its_first_object() {
    covers!("D14-10.4.2-06");
    for kind in ["12", "13", "1a", "1b"] {
        let none = if kind.ends_with(['3', 'b']) { "00" } else { "" };
        let mut opening = OpeningReader::new();
        opening.push(hex(&format!("{kind} 07 40 65 80 05 {none} 00 00 01 {none} 00 00")));
        let Ok(Some(Opening::Subgroup(header))) = opening.next_opening(draft()) else {
            panic!("no subgroup")
        };
        let mut reader = SubgroupReader::new(draft(), header, opening.into_leftover());
        assert_eq!(reader.subgroup_id(), None, "{kind}");
        for id in [5, 7] {
            let item = reader.next_item().unwrap();
            assert_eq!(
                item,
                Some(SubgroupItem::Object(ObjectHeader { object_id: id, ..bare_object() })),
                "{kind}"
            );
            assert_eq!(reader.subgroup_id(), Some(5), "{kind}");
        }
    }
}

#[test]
fn a_fetch_stream_is_request_id_then_absolute_objects() {
    covers!("D14-10.4.4-01");
    let stream = read_stream(&hex("05 08 40 61 00 00 80 00 01 61"));
    let object = fetch_object(Location::new(97, 0), 0, 1);
    assert_eq!(stream.0, Opening::Fetch(RequestId(8)));
    assert_eq!(stream.1, [(Item::Fetched(FetchItem::Object(object)), "a".into())]);
}

#[test]
fn objects_of_a_fetched_group_stand_in_the_order_of_their_ids() {
    covers!("D14-2.1-03");
    let (_, items) = stream_meaning("fetch-ids-ascending");
    assert_eq!(read_stream(&hex(stream("fetch-ids-ascending"))).1, items);
    let locations: Vec<Location> = items
        .iter()
        .map(|(item, _)| match item {
            Item::Fetched(FetchItem::Object(object)) => object.location,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(locations.iter().map(|location| location.object).collect::<Vec<_>>(), [0, 3, 300]);
    assert!(locations.is_sorted());
}

#[test]
fn a_fetched_datagram_has_its_object_id_for_a_subgroup_id() {
    covers!("D14-10.4.4-02");
    let object = FetchObject { subgroup_id: None, ..fetch_object(Location::new(1, 4), 0, 1) };
    let bytes = write_fetch_item(&FetchCursor::default(), &FetchItem::Object(object)).unwrap();
    assert_eq!(bytes, hex("01 04 04 80 00 01"));
}

#[test]
fn gaps_are_one_integer_and_immutable_extensions_a_string() {
    covers!("D14-11.3-07");
    use moqingbird_wire::list::Value;
    use moqingbird_wire::model::extension;
    let object = object("gaps");
    assert_eq!(object.extensions.get(extension::PRIOR_OBJECT_ID_GAP), Some(Value::Integer(2)));
    let inner = object.extensions.get(extension::IMMUTABLE_EXTENSIONS);
    assert_eq!(inner, Some(Value::Bytes(hex("3c 01"))));
    assert_eq!(extensions("3c 01").get(extension::PRIOR_GROUP_ID_GAP), Some(Value::Integer(1)));
}

#[test]
fn extension_headers_point_into_what_was_received() {
    let bytes = hex("00 02 3c 01 01");
    let header = draft().decode_object(&at_start(true), &mut Reader::new(&bytes)).unwrap();
    let block = header.extensions.respelled(draft().rules().extension_keys).unwrap();
    assert_eq!(block.as_ptr(), bytes[2..].as_ptr());
}

#[test]
fn an_object_header_is_read_without_allocating() {
    let bytes = hex("08 0a 3e 02 0b 06 3c 01 49 02 7a 7a 01");
    let plain = hex("08 01");
    let read = || {
        let object = draft().decode_object(&at_start(true), &mut Reader::new(&bytes)).unwrap();
        assert_eq!((object.object_id, object.payload_length), (8, 1));
        draft().decode_object(&at_start(false), &mut Reader::new(&plain)).unwrap();
    };
    // The first slice of a vector's bytes makes them shared.
    read();
    assert_eq!(allocation_counter::measure(read).count_total, 0);
}

/// An item of a stream of either kind.
#[derive(Clone, Debug, PartialEq)]
enum Item {
    Object(ObjectHeader),
    Fetched(FetchItem),
}

type Stream = (Opening, Vec<(Item, Bytes)>);

fn read_stream(bytes: &Bytes) -> Stream {
    let r = &mut Reader::new(bytes);
    let opening = draft().decode_opening(r).unwrap();
    let mut items = Vec::new();
    let mut subgroup = match &opening {
        Opening::Subgroup(header) => Some(SubgroupCursor::new(header)),
        _ => None,
    };
    let mut fetch = FetchCursor::default();
    while !r.is_empty() {
        let (item, length) = match &mut subgroup {
            Some(at) => {
                let object = draft().decode_object(at, r).unwrap();
                at.advance(object.object_id);
                let length = object.payload_length;
                (Item::Object(object), length)
            }
            None => {
                let item = draft().decode_fetch_item(&fetch, r).unwrap();
                fetch.advance(&item);
                let FetchItem::Object(object) = &item else { panic!("{item:?}") };
                let length = object.payload_length;
                (Item::Fetched(item), length)
            }
        };
        items.push((item, r.bytes(length, "Object Payload").unwrap()));
    }
    (opening, items)
}

fn write_stream((opening, items): &Stream) -> Vec<u8> {
    let mut bytes = write_opening(opening).unwrap().to_vec();
    let mut subgroup = match opening {
        Opening::Subgroup(header) => Some(SubgroupCursor::new(header)),
        _ => None,
    };
    for (item, payload) in items {
        match (item, &mut subgroup) {
            (Item::Object(object), Some(at)) => {
                bytes.extend_from_slice(&write_object(at, object).unwrap());
                at.advance(object.object_id);
            }
            (Item::Fetched(item), None) => {
                bytes.extend_from_slice(&write_fetch_item(&FetchCursor::default(), item).unwrap());
            }
            mixed => panic!("{mixed:?}"),
        }
        bytes.extend_from_slice(payload);
    }
    bytes
}

fn object_ids(bytes: &Bytes) -> Vec<u64> {
    let id = |item| match item {
        Item::Object(object) => object.object_id,
        Item::Fetched(item) => panic!("{item:?}"),
    };
    read_stream(bytes).1.into_iter().map(|(item, _)| id(item)).collect()
}

fn stream(name: &str) -> &'static str {
    vector_of("streams", name)["hex"]
}

fn stream_meaning(name: &str) -> Stream {
    let normal = |id, payload: &'static str| {
        let payload_length = payload.len() as u64;
        (Item::Object(ObjectHeader { object_id: id, payload_length, ..bare_object() }), payload.into())
    };
    let fetched = |object| Item::Fetched(FetchItem::Object(object));
    let header = subgroup_header();
    match name {
        "subgroup-three-objects" => {
            (Opening::Subgroup(header), vec![normal(0, "ab"), normal(1, ""), normal(3, "c")])
        }
        "subgroup-extensions-and-end" => {
            let header = SubgroupHeader {
                group_id: 103,
                subgroup_id: SubgroupId::Id(4),
                publisher_priority: Some(1),
                extensions: true,
                ..header
            };
            let end = ObjectHeader { object_id: 9, status: ObjectStatus::EndOfGroup, ..bare_object() };
            let items = vec![(Item::Object(object("gaps")), "x".into()), (Item::Object(end), Bytes::new())];
            (Opening::Subgroup(header), items)
        }
        "subgroup-ids-3-5-6" => {
            let header = SubgroupHeader { subgroup_id: SubgroupId::FirstObject, ..header };
            (Opening::Subgroup(header), vec![normal(3, "a"), normal(5, "b"), normal(6, "c")])
        }
        "fetch-two-objects" => {
            let missing = FetchObject {
                status: ObjectStatus::DoesNotExist,
                ..fetch_object(Location::new(97, 1), 1, 0)
            };
            let first = fetch_object(Location::new(97, 0), 0, 1);
            (
                Opening::Fetch(RequestId(8)),
                vec![(fetched(first), "a".into()), (fetched(missing), Bytes::new())],
            )
        }
        "fetch-ids-ascending" => {
            let item = |id, payload: &'static str| {
                (fetched(fetch_object(Location::new(5, id), 0, 1)), payload.into())
            };
            (Opening::Fetch(RequestId(8)), vec![item(0, "a"), item(3, "b"), item(300, "c")])
        }
        _ => panic!("nobody says what {name} means"),
    }
}

/// The vectors of a unit: name and bytes.
fn unit(unit: &'static str) -> impl Iterator<Item = (&'static str, Bytes)> {
    vectors("data")
        .into_iter()
        .filter(move |vector| vector["unit"] == unit)
        .map(|vector| (vector.name, vector.bytes))
}

fn opening(name: &str) -> Opening {
    if name == "fetch" {
        return Opening::Fetch(RequestId(8));
    }
    let (mode, flags) = ["subgroup-zero", "subgroup-first-object", "subgroup-stated"]
        .iter()
        .find_map(|mode| name.strip_prefix(mode).map(|flags| (*mode, flags)))
        .unwrap_or_else(|| panic!("nobody says what {name} means"));
    Opening::Subgroup(SubgroupHeader {
        subgroup_id: match mode {
            "subgroup-zero" => SubgroupId::Zero,
            "subgroup-first-object" => SubgroupId::FirstObject,
            _ => SubgroupId::Id(4),
        },
        extensions: flags.contains("extensions"),
        end_of_group: flags.contains("end-of-group"),
        ..subgroup_header()
    })
}

fn subgroup_header() -> SubgroupHeader {
    SubgroupHeader {
        track_alias: TrackAlias(7),
        group_id: 101,
        subgroup_id: SubgroupId::Zero,
        publisher_priority: Some(128),
        extensions: false,
        end_of_group: false,
    }
}

fn object(name: &str) -> ObjectHeader {
    let with = |status| ObjectHeader { status, ..bare_object() };
    match name {
        "first" | "none" => ObjectHeader { payload_length: 2, ..bare_object() },
        "first-at-five" => ObjectHeader { object_id: 5, payload_length: 2, ..bare_object() },
        "gaps" => ObjectHeader {
            object_id: 8,
            extensions: extensions("3e 02 0b 02 3c 01"),
            payload_length: 1,
            ..bare_object()
        },
        "empty" => with(ObjectStatus::Normal),
        "does-not-exist" => with(ObjectStatus::DoesNotExist),
        "end-of-track" => with(ObjectStatus::EndOfTrack),
        "end-of-group" => with(ObjectStatus::EndOfGroup),
        "end-of-group-extensions" => {
            ObjectHeader { extensions: extensions("3c 01"), ..with(ObjectStatus::EndOfGroup) }
        }
        _ => panic!("nobody says what {name} means"),
    }
}

fn bare_object() -> ObjectHeader {
    ObjectHeader {
        object_id: 0,
        extensions: Extensions::NONE,
        status: ObjectStatus::Normal,
        payload_length: 0,
    }
}

fn fetch_item(name: &str) -> FetchItem {
    let at = |object, subgroup| fetch_object(Location::new(97, object), subgroup, 0);
    FetchItem::Object(match name {
        "object" => fetch_object(Location::new(97, 0), 0, 1),
        "does-not-exist" => FetchObject { status: ObjectStatus::DoesNotExist, ..at(1, 1) },
        "empty-with-extensions" => {
            FetchObject { publisher_priority: 0, extensions: extensions("3c 01"), ..at(3, 2) }
        }
        "end-of-track" => {
            FetchObject { publisher_priority: 255, status: ObjectStatus::EndOfTrack, ..at(4, 2) }
        }
        "datagram-preference" => fetch_object(Location::new(1, 4), 4, 1),
        _ => panic!("nobody says what {name} means"),
    })
}

fn fetch_object(location: Location, subgroup: u64, payload_length: u64) -> FetchObject {
    FetchObject {
        location,
        subgroup_id: Some(subgroup),
        publisher_priority: 128,
        extensions: Extensions::NONE,
        status: ObjectStatus::Normal,
        payload_length,
    }
}

fn datagram(name: &str) -> Datagram {
    let bare = Datagram {
        track_alias: TrackAlias(7),
        group_id: 5,
        object_id: 2,
        publisher_priority: Some(128),
        end_of_group: false,
        extensions: Extensions::NONE,
        body: DatagramBody::Payload("hi".into()),
    };
    match name.split_once('-') {
        Some(("payload", "empty")) => Datagram { body: DatagramBody::Payload(Bytes::new()), ..bare },
        Some(("status", "extensions")) => Datagram {
            object_id: 3,
            extensions: extensions("3c 01"),
            body: DatagramBody::Status(ObjectStatus::EndOfGroup),
            ..bare
        },
        Some(("status", status)) => {
            let (_, status) = *STATUSES.iter().find(|(word, _)| *word == status).expect(name);
            let object_id = match status {
                ObjectStatus::EndOfGroup => 3,
                ObjectStatus::EndOfTrack => 0,
                _ => 2,
            };
            Datagram { object_id, body: DatagramBody::Status(status), ..bare }
        }
        _ => Datagram {
            object_id: if name.ends_with("object-zero") { 0 } else { 2 },
            end_of_group: name.contains("end-of-group"),
            extensions: if name.contains("extensions") { extensions("3c 01") } else { Extensions::NONE },
            ..bare
        },
    }
}
