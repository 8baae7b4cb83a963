//! Readers and writers of data streams, in every draft.

use bytes::Bytes;
use moqingbird_ledger::covers;
use moqingbird_wire::buf::{Reader, Writer};
use moqingbird_wire::list::{KeyValue, Keys, Value};
use moqingbird_wire::model::*;
use moqingbird_wire::stream::{
    FetchReader, FetchWriter, OpeningReader, ReadError, Stash, SubgroupCursor, SubgroupItem, SubgroupReader,
    SubgroupWriter,
};
use moqingbird_wire::{Draft, EncodeError, Fault, Version};

use super::cuts::{Item, read_stream};
use super::drafts;

const HEADER: SubgroupHeader = SubgroupHeader {
    track_alias: TrackAlias(7),
    group_id: 3,
    subgroup_id: SubgroupId::Zero,
    publisher_priority: Some(128),
    extensions: true,
    end_of_group: false,
};

fn object(object_id: u64, payload_length: u64) -> ObjectHeader {
    ObjectHeader { object_id, extensions: Extensions::NONE, status: ObjectStatus::Normal, payload_length }
}

fn status(object_id: u64, status: ObjectStatus) -> ObjectHeader {
    ObjectHeader { status, ..object(object_id, 0) }
}

fn with(object_id: u64, pairs: &[(u64, Value)]) -> ObjectHeader {
    ObjectHeader { extensions: extensions(pairs), ..object(object_id, 0) }
}

fn extensions(pairs: &[(u64, Value)]) -> Extensions {
    let pairs = pairs.iter().map(|(key, value)| KeyValue { key: *key, value: value.clone() });
    Extensions::from_pairs(pairs, Keys::Absolute).unwrap()
}

/// What stands behind the header of a subgroup stream of these objects, each with as many `x` as it has payload. Each is
/// written by itself, so that what a writer refuses to put behind it can follow.
fn body(draft: &'static dyn Draft, objects: &[ObjectHeader]) -> Bytes {
    let mut bytes = Vec::new();
    let mut cursor = SubgroupCursor::new(&HEADER);
    for object in objects {
        let mut w = Writer::new();
        draft.encode_object(&cursor, object, &mut w).unwrap();
        cursor.advance(object.object_id);
        bytes.extend_from_slice(&w.take());
        bytes.resize(bytes.len() + object.payload_length as usize, b'x');
    }
    bytes.into()
}

/// The error at the end of a subgroup stream of these objects, how many of which came before it.
fn malformed(draft: &'static dyn Draft, objects: &[ObjectHeader]) -> (usize, Option<ReadError>) {
    let mut reader = SubgroupReader::new(draft, HEADER, Stash::from(body(draft, objects)));
    reader.finish();
    let mut count = 0;
    loop {
        match reader.next_item() {
            Ok(Some(SubgroupItem::Object(_))) => count += 1,
            Ok(Some(SubgroupItem::Payload(_))) => {}
            Ok(_) => return (count, None),
            Err(error) => return (count, Some(error)),
        }
    }
}

fn fetched(group: u64, object: u64) -> FetchObject {
    FetchObject {
        location: Location { group, object },
        subgroup_id: Some(0),
        publisher_priority: 128,
        extensions: Extensions::NONE,
        status: ObjectStatus::Normal,
        payload_length: 0,
    }
}

/// The error at the end of a fetch stream of these objects. Each is written by itself, as if it were the first.
fn fetch_error(
    draft: &'static dyn Draft,
    order: Option<GroupOrder>,
    objects: &[FetchObject],
) -> Option<ReadError> {
    let mut bytes = Vec::new();
    for object in objects {
        let item = FetchItem::Object(object.clone());
        let mut w = Writer::new();
        draft.encode_fetch_item(&Default::default(), &item, &mut w).unwrap();
        bytes.extend_from_slice(&w.take());
    }
    let mut reader = FetchReader::new(draft, RequestId(4), order, Stash::from(Bytes::from(bytes)));
    (0..=objects.len()).find_map(|_| reader.next_item().err())
}

fn is_malformed(error: Option<ReadError>) -> bool {
    matches!(error, Some(ReadError::MalformedTrack(_)))
}

#[test]
fn what_follows_the_opening_is_left_to_the_next_reader() {
    for draft in drafts() {
        let mut stream = SubgroupWriter::new(draft, HEADER).opening().unwrap().to_vec();
        stream.extend_from_slice(&body(draft, &[object(5, 3)]));
        let mut reader = OpeningReader::new();
        reader.push(stream.into());
        assert_eq!(reader.next_opening(draft), Ok(Some(Opening::Subgroup(HEADER))));
        let mut reader = SubgroupReader::new(draft, HEADER, reader.into_leftover());
        assert_eq!(reader.next_item(), Ok(Some(SubgroupItem::Object(object(5, 3)))));
        assert_eq!(reader.next_item(), Ok(Some(SubgroupItem::Payload("xxx".into()))));
        assert_eq!(reader.next_item(), Ok(None));
    }
}

#[test]
fn fin_inside_an_opening_is_a_violation() {
    for draft in drafts() {
        let opening = SubgroupWriter::new(draft, HEADER).opening().unwrap();
        for length in 0..opening.len() {
            let mut reader = OpeningReader::new();
            reader.push(opening.slice(..length));
            assert_eq!(reader.next_opening(draft), Ok(None));
            reader.finish();
            let error = reader.next_opening(draft).unwrap_err();
            assert_eq!(
                (error.fault.clone(), error.code()),
                (Fault::Incomplete, SessionErrorCode::ProtocolViolation)
            );
        }
    }
}

#[test]
fn fin_inside_an_object_is_a_violation_and_fin_behind_it_is_not() {
    for draft in drafts() {
        let body = body(draft, &[object(70, 20)]);
        for length in 0..=body.len() {
            let mut reader = SubgroupReader::new(draft, HEADER, Stash::from(body.slice(..length)));
            reader.finish();
            let end = (0..3)
                .map(|_| reader.next_item())
                .find(|item| !matches!(item, Ok(Some(SubgroupItem::Object(_) | SubgroupItem::Payload(_)))));
            match (end.unwrap(), length) {
                (Ok(Some(SubgroupItem::End { last: None, .. })), 0) => {}
                (Ok(Some(SubgroupItem::End { last: Some(70), .. })), all) if all == body.len() => {}
                (Err(ReadError::Violation(error)), _) => {
                    assert_eq!(error.code(), SessionErrorCode::ProtocolViolation);
                }
                (other, _) => panic!("{draft:?}, {length} bytes: {other:?}"),
            }
        }
    }
}

#[test]
fn fin_inside_a_fetched_object_is_a_violation_and_fin_behind_it_is_not() {
    for draft in drafts() {
        let mut writer = FetchWriter::new(draft, RequestId(4));
        let mut stream = writer.opening().unwrap().to_vec();
        let opening = stream.len();
        let item = FetchItem::Object(FetchObject { payload_length: 9, ..fetched(1, 2) });
        stream.extend_from_slice(&writer.item(&item).unwrap());
        stream.extend_from_slice(b"123456789");
        let stream = Bytes::from(stream);
        for length in opening..=stream.len() {
            let said = read_stream(draft, &stream.slice(..length), &[5]);
            let between = length == opening || length == stream.len();
            assert_eq!(said.error.is_none(), between, "{draft:?}, {length} bytes");
            assert_eq!(said.items.last() == Some(&Item::EndOfFetch), between, "{draft:?}, {length} bytes");
        }
    }
}

#[test]
fn a_subgroup_id_is_zero_stated_or_that_of_the_first_object() {
    for draft in drafts() {
        for (mode, before, after) in [
            (SubgroupId::Zero, Some(0), Some(0)),
            (SubgroupId::Id(9), Some(9), Some(9)),
            (SubgroupId::FirstObject, None, Some(5)),
        ] {
            let header = SubgroupHeader { subgroup_id: mode, ..HEADER };
            let objects = body(draft, &[object(5, 0), object(6, 0)]);
            let mut reader = SubgroupReader::new(draft, header, Stash::from(objects));
            assert_eq!(reader.subgroup_id(), before);
            for _ in 0..2 {
                reader.next_item().unwrap().unwrap();
                assert_eq!(reader.subgroup_id(), after);
            }
        }
    }
}

#[test]
fn the_end_tells_the_last_object_and_whether_it_ends_the_group() {
    for draft in drafts() {
        for end_of_group in [false, true] {
            let header = SubgroupHeader { end_of_group, ..HEADER };
            let mut stash = Stash::from(body(draft, &[object(0, 0), object(4, 0)]));
            stash.finish();
            let mut reader = SubgroupReader::new(draft, header, stash);
            reader.next_item().unwrap();
            reader.next_item().unwrap();
            for _ in 0..2 {
                assert_eq!(reader.next_item(), Ok(Some(SubgroupItem::End { last: Some(4), end_of_group })));
            }
        }
    }
}

#[test]
fn an_object_behind_the_end_of_its_group_or_track_makes_the_track_malformed() {
    for draft in drafts() {
        for end in [ObjectStatus::EndOfGroup, ObjectStatus::EndOfTrack] {
            let (before, error) = malformed(draft, &[object(1, 2), status(4, end), object(6, 2)]);
            assert!(before == 2 && is_malformed(error), "{draft:?} {end:?}");
            assert_eq!(malformed(draft, &[object(1, 2), status(4, end)]), (2, None));
        }
    }
}

#[test]
fn gaps_that_contradict_make_the_track_malformed() {
    use extension::{IMMUTABLE_EXTENSIONS, PRIOR_GROUP_ID_GAP, PRIOR_OBJECT_ID_GAP};
    let number = Value::Integer;
    let block = |bytes: &'static [u8]| Value::Bytes(Bytes::from_static(bytes));
    let cases = [
        (
            "object gap twice",
            vec![with(9, &[(PRIOR_OBJECT_ID_GAP, number(1)), (PRIOR_OBJECT_ID_GAP, number(1))])],
        ),
        (
            "group gap twice",
            vec![with(9, &[(PRIOR_GROUP_ID_GAP, number(1)), (PRIOR_GROUP_ID_GAP, number(1))])],
        ),
        ("object gap over the ID", vec![with(9, &[(PRIOR_OBJECT_ID_GAP, number(10))])]),
        ("group gap over the ID", vec![with(9, &[(PRIOR_GROUP_ID_GAP, number(4))])]),
        ("gap over an object", vec![object(7, 0), with(9, &[(PRIOR_OBJECT_ID_GAP, number(2))])]),
        (
            "two group gaps",
            vec![with(8, &[(PRIOR_GROUP_ID_GAP, number(1))]), with(9, &[(PRIOR_GROUP_ID_GAP, number(2))])],
        ),
        (
            "twice, once immutable",
            vec![with(9, &[(IMMUTABLE_EXTENSIONS, block(&[0x3e, 1])), (PRIOR_OBJECT_ID_GAP, number(1))])],
        ),
        ("nested immutable", vec![with(9, &[(IMMUTABLE_EXTENSIONS, block(&[0x0b, 2, 0x3e, 1]))])]),
    ];
    for draft in drafts() {
        for (name, objects) in &cases {
            let (before, error) = malformed(draft, objects);
            assert!(before == objects.len() - 1 && is_malformed(error), "{draft:?}: {name}");
        }
    }
}

#[test]
fn immutable_extensions_that_cannot_be_read_make_the_track_malformed() {
    for draft in drafts() {
        let pair = KeyValue {
            key: extension::IMMUTABLE_EXTENSIONS,
            value: Value::Bytes(Bytes::from_static(&[0x3e])),
        };
        let keys = draft.rules().extension_keys;
        let extensions = Extensions::from_pairs([pair], keys).unwrap();
        let (before, error) = malformed(draft, &[ObjectHeader { extensions, ..object(9, 0) }]);
        assert!(before == 0 && is_malformed(error), "{draft:?}");
    }
}

#[test]
fn extension_headers_of_more_than_256_kib_are_refused_before_they_come() {
    let at = SubgroupCursor { extensions: true, previous: None };
    for draft in drafts() {
        for (length, refused) in [(262_144, false), (262_145, true)] {
            let mut w = Writer::new();
            w.u8(0);
            w.varint(length, "Extension Headers Length").unwrap();
            let error = draft.decode_object(&at, &mut Reader::new(&w.take())).unwrap_err();
            assert_eq!(matches!(error.fault, Fault::TooLong { .. }), refused, "{draft:?}: {error}");
            assert_eq!(error.is_incomplete(), !refused, "{draft:?}: {error}");
        }
    }
}

#[test]
fn what_is_read_can_be_sent_to_another_thread() {
    fn is_send<T: Send + Sync>(_: &T) {}
    is_send(&Extensions::NONE.iter());
    is_send(&OpeningReader::new());
    is_send(&SubgroupReader::new(Version::Draft14.draft(), HEADER, Stash::default()));
    is_send(&FetchReader::new(Version::Draft14.draft(), RequestId(0), None, Stash::default()));
}

#[test]
fn gaps_that_agree_are_no_fault() {
    use extension::{PRIOR_GROUP_ID_GAP, PRIOR_OBJECT_ID_GAP};
    let gaps = |groups, objects| {
        [(PRIOR_GROUP_ID_GAP, Value::Integer(groups)), (PRIOR_OBJECT_ID_GAP, Value::Integer(objects))]
    };
    for draft in drafts() {
        let objects = [with(3, &gaps(3, 3)), with(7, &gaps(3, 3)), object(8, 1), with(9, &gaps(3, 0))];
        assert_eq!(malformed(draft, &objects), (4, None));
    }
}

#[test]
fn fetched_object_ids_that_do_not_ascend_make_the_track_malformed() {
    for draft in drafts() {
        for second in [4, 5] {
            assert!(
                is_malformed(fetch_error(draft, None, &[fetched(1, 5), fetched(1, second)])),
                "{draft:?}"
            );
        }
        assert_eq!(fetch_error(draft, None, &[fetched(1, 5), fetched(1, 6), fetched(2, 0)]), None);
    }
}

#[test]
fn fetched_groups_against_their_order_make_the_track_malformed() {
    use GroupOrder::{Ascending, Descending};
    for draft in drafts() {
        let goes = |order, groups: &[u64]| {
            let objects: Vec<_> = groups.iter().map(|group| fetched(*group, 0)).collect();
            !is_malformed(fetch_error(draft, order, &objects))
        };
        assert!(goes(Some(Ascending), &[4, 5]) && !goes(Some(Ascending), &[5, 4]), "{draft:?}");
        assert!(goes(Some(Descending), &[5, 4]) && !goes(Some(Descending), &[4, 5]), "{draft:?}");
        assert!(goes(None, &[5, 4, 3]) && goes(None, &[3, 4, 5]), "{draft:?}: the stream itself tells");
        assert!(!goes(None, &[5, 4, 6]) && !goes(None, &[3, 4, 2]), "{draft:?}: and keeps to it");
    }
}

#[test]
fn a_fetched_group_gap_over_a_group_that_came_makes_the_track_malformed() {
    let gap = |groups| extensions(&[(extension::PRIOR_GROUP_ID_GAP, Value::Integer(groups))]);
    for draft in drafts() {
        let with = |groups| FetchObject { extensions: gap(groups), ..fetched(10, 0) };
        assert!(is_malformed(fetch_error(draft, None, &[fetched(9, 0), with(1)])), "{draft:?}");
        assert_eq!(fetch_error(draft, None, &[fetched(8, 0), with(1)]), None, "{draft:?}");
    }
}

#[test]
fn an_error_stays() {
    for draft in drafts() {
        let objects = [status(4, ObjectStatus::EndOfGroup), object(6, 0), object(7, 0)];
        let mut reader = SubgroupReader::new(draft, HEADER, Stash::from(body(draft, &objects)));
        reader.next_item().unwrap();
        let error = reader.next_item().unwrap_err();
        assert_eq!(reader.next_item(), Err(error));
    }
}

#[test]
fn a_writer_refuses_what_cannot_follow_and_goes_on() {
    covers!("D14-2.2-04");
    for draft in drafts() {
        // Whatever distance is written, the next ID is larger.
        for delta in [0, 1, 63] {
            let at = SubgroupCursor { extensions: false, previous: Some(5) };
            let bytes = Bytes::copy_from_slice(&[delta, 1]);
            let object = draft.decode_object(&at, &mut Reader::new(&bytes)).unwrap();
            assert_eq!(object.object_id, 6 + u64::from(delta), "{draft:?}");
        }
        let mut writer = SubgroupWriter::new(draft, HEADER);
        writer.opening().unwrap();
        let mut written = writer.object(&object(5, 0)).unwrap().to_vec();
        for id in [4, 5] {
            assert!(matches!(writer.object(&object(id, 0)), Err(EncodeError::Inexpressible(_))), "{draft:?}");
        }
        assert_eq!(writer.position(), Some(5));
        written.extend_from_slice(&writer.object(&status(6, ObjectStatus::EndOfGroup)).unwrap());
        assert!(matches!(writer.object(&object(7, 0)), Err(EncodeError::Inexpressible(_))), "{draft:?}");
        assert_eq!(written, body(draft, &[object(5, 0), status(6, ObjectStatus::EndOfGroup)]));
    }
}

#[test]
fn a_writer_refuses_extension_headers_that_make_the_track_malformed() {
    covers!("D16-11.2-07");
    use extension::{IMMUTABLE_EXTENSIONS, PRIOR_GROUP_ID_GAP, PRIOR_OBJECT_ID_GAP};
    let number = Value::Integer(1);
    let block = Value::Bytes(Bytes::from_static(&[0x20, 1]));
    for draft in drafts() {
        let refuses = |pairs: &[(u64, Value)]| {
            let object = with(9, pairs);
            let item = FetchObject { extensions: object.extensions.clone(), ..fetched(3, 9) };
            let on_subgroup = SubgroupWriter::new(draft, HEADER).object(&object).is_err();
            let on_fetch = FetchWriter::new(draft, RequestId(4)).item(&FetchItem::Object(item)).is_err();
            assert_eq!(on_subgroup, on_fetch, "{draft:?}: {pairs:?}");
            on_subgroup
        };
        for key in [PRIOR_GROUP_ID_GAP, PRIOR_OBJECT_ID_GAP] {
            assert!(refuses(&[(key, number.clone()), (key, number.clone())]), "{draft:?}");
            assert!(refuses(&[(key, Value::Integer(10))]), "{draft:?}: over the ID");
            assert!(!refuses(&[(key, number.clone())]), "{draft:?}");
        }
        let once = (IMMUTABLE_EXTENSIONS, block.clone());
        assert!(!refuses(std::slice::from_ref(&once)), "{draft:?}");
        // draft-16 §11.2; draft-14 does not forbid it.
        assert_eq!(refuses(&[once.clone(), once]), draft.version() == Version::Draft16);
    }
}

#[test]
fn a_fetch_writer_refuses_object_ids_that_do_not_ascend() {
    for draft in drafts() {
        let mut writer = FetchWriter::new(draft, RequestId(4));
        writer.item(&FetchItem::Object(fetched(1, 5))).unwrap();
        assert!(matches!(writer.item(&FetchItem::Object(fetched(1, 5))), Err(EncodeError::Inexpressible(_))));
        assert_eq!(writer.position().location, Some(Location::new(1, 5)));
        writer.item(&FetchItem::Object(fetched(1, 6))).unwrap();
    }
}

#[test]
fn payload_is_read_without_copies_and_without_allocations() {
    const OBJECTS: u64 = 1_000;
    for draft in drafts() {
        let objects: Vec<_> = (0..OBJECTS).map(|id| object(id, 1_024)).collect();
        let stream = body(draft, &objects);
        let mut reader = SubgroupReader::new(draft, HEADER, Stash::default());
        let mut read = |stream: &Bytes| {
            let mut bytes = 0;
            for at in (0..stream.len()).step_by(1_200) {
                reader.push(stream.slice(at..stream.len().min(at + 1_200)));
                while let Some(item) = reader.next_item().unwrap() {
                    if let SubgroupItem::Payload(part) = item {
                        assert!(stream.as_ptr_range().contains(&part.as_ptr()), "a slice of what was pushed");
                        bytes += part.len();
                    }
                }
            }
            bytes
        };
        // The first header that straddles two chunks takes the room that later ones use too.
        let (first, rest) = (stream.slice(..stream.len() / 2), stream.slice(stream.len() / 2..));
        let before = read(&first);
        let mut after = 0;
        let taken = allocation_counter::measure(|| after = read(&rest));
        assert_eq!((before + after) as u64, OBJECTS * 1_024);
        assert_eq!(taken.count_total, 0, "{draft:?}");
    }
}
