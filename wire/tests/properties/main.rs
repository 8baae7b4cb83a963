//! What holds for every value and for all bytes, in every draft.

mod cuts;
mod strategies;
mod streams;
#[path = "../vectors/mod.rs"]
mod vectors;

use bytes::Bytes;
use cuts::{Item, Said, read_control, read_stream};
use moqingbird_ledger::covers;
use moqingbird_wire::buf::{Reader, Writer};
use moqingbird_wire::explain::{self, FieldValue};
use moqingbird_wire::list::KeyValue;
use moqingbird_wire::model::*;
use moqingbird_wire::stream::{FetchCursor, FetchWriter, SubgroupCursor, SubgroupWriter};
use moqingbird_wire::{Draft, EncodeError, Frame, Version};
use proptest::prelude::*;
use proptest::strategy::ValueTree;

/// Every draft.
fn drafts() -> impl Iterator<Item = &'static dyn Draft> {
    Version::ALL.iter().map(|version| version.draft())
}

/// The widths in which every short stream is cut: each one that makes a difference, then the whole.
fn widths(length: usize) -> impl Iterator<Item = usize> {
    (1..40).chain([length.max(1)])
}

/// What a value means once a draft has written it, `None` if it refuses. Any other answer of the encoder is a failure.
fn expressed<T>(encoded: Result<T, EncodeError>) -> Option<T> {
    match encoded {
        Ok(value) => Some(value),
        Err(EncodeError::Inexpressible(_)) => None,
        Err(error) => panic!("the value is within the wire's limits: {error}"),
    }
}

fn control_bytes(draft: &dyn Draft, message: &Message) -> Option<Bytes> {
    let mut w = Writer::new();
    let written = expressed(draft.encode_control(message, &mut w));
    assert!(written.is_some() || w.is_empty(), "a refused message leaves nothing behind");
    written.map(|()| w.take())
}

fn decode_control(draft: &dyn Draft, bytes: &Bytes) -> Message {
    let (frames, whole) = read_control(bytes, &[bytes.len()]);
    assert!(whole && frames.len() == 1, "{draft:?} writes one whole frame");
    draft.decode_control(&frames[0]).unwrap_or_else(|error| panic!("{draft:?} reads what it writes: {error}"))
}

/// The message as a draft says it, whose answers do not tell the kind of the request, or do.
fn as_said(version: Version, mut message: Message) -> Message {
    match (&mut message, version) {
        (
            Message::RequestError { kind, .. }
            | Message::Response { response: Response::Ok { kind, .. }, .. },
            v,
        ) if v != Version::Draft14 => {
            *kind = None;
        }
        _ => {}
    }
    message
}

fn datagram_bytes(draft: &dyn Draft, datagram: &Datagram) -> Option<Bytes> {
    let mut w = Writer::new();
    expressed(draft.encode_datagram(datagram, &mut w)).map(|()| w.take())
}

fn decode_datagram(draft: &dyn Draft, bytes: &Bytes) -> Datagram {
    draft
        .decode_datagram(&mut Reader::new(bytes))
        .unwrap_or_else(|error| panic!("{draft:?}: {error}: {bytes:x?}"))
}

/// A subgroup stream of those of the objects that the draft can express, and what a reader should make of it.
fn subgroup_bytes(
    draft: &'static dyn Draft,
    header: SubgroupHeader,
    objects: &[(ObjectHeader, Bytes)],
) -> Option<(Bytes, Said)> {
    let mut writer = SubgroupWriter::new(draft, header);
    let mut stream = expressed(writer.opening())?.to_vec();
    let mut said = Said { opening: Some(Opening::Subgroup(header)), ..Said::default() };
    for (object, payload) in objects {
        if let Some(bytes) = expressed(writer.object(object)) {
            stream.extend_from_slice(&bytes);
            stream.extend_from_slice(payload);
            said.items.push(Item::Object(object.clone(), payload[..].into()));
        }
    }
    said.items.push(Item::EndOfSubgroup(writer.position(), header.end_of_group));
    Some((stream.into(), said))
}

/// A fetch stream of those of the items that the draft can express, and what a reader should make of it.
fn fetch_bytes(draft: &'static dyn Draft, id: RequestId, items: &[(FetchItem, Bytes)]) -> (Bytes, Said) {
    let mut writer = FetchWriter::new(draft, id);
    let mut stream = writer.opening().unwrap().to_vec();
    let mut said = Said { opening: Some(Opening::Fetch(id)), ..Said::default() };
    for (item, payload) in items {
        let Some(bytes) = expressed(writer.item(item)) else { continue };
        stream.extend_from_slice(&bytes);
        stream.extend_from_slice(payload);
        said.items.push(match item {
            FetchItem::Object(object) => Item::Fetched(fetched_as_said(draft, object), payload[..].into()),
            FetchItem::EndOfRange { end, status } => Item::EndOfRange(*end, *status),
            other => panic!("{other:?} is new"),
        });
        if ends_track(item) {
            break;
        }
    }
    said.items.push(Item::EndOfFetch);
    (stream.into(), said)
}

/// Draft-14 writes the Object ID for the Subgroup ID of an object that has none (draft-14 §10.4.4).
fn fetched_as_said(draft: &dyn Draft, object: &FetchObject) -> FetchObject {
    let mut said = object.clone();
    if draft.version() == Version::Draft14 {
        said.subgroup_id = said.subgroup_id.or(Some(object.location.object));
    }
    said
}

/// After these a reader expects no further object of the group, or of the track.
fn ends_track(item: &FetchItem) -> bool {
    matches!(
        item,
        FetchItem::Object(FetchObject { status: ObjectStatus::EndOfGroup | ObjectStatus::EndOfTrack, .. })
    )
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(600) })]

    #[test]
    fn a_control_message_is_read_as_it_was_written(message in strategies::message()) {
        for draft in drafts() {
            if let Some(bytes) = control_bytes(draft, &message) {
                prop_assert_eq!(decode_control(draft, &bytes), as_said(draft.version(), message.clone()));
            }
        }
    }

    #[test]
    fn a_control_message_is_the_same_in_every_draft_that_can_express_it(message in strategies::message()) {
        for from in drafts() {
            let Some(bytes) = control_bytes(from, &message) else { continue };
            let read = decode_control(from, &bytes);
            for to in drafts() {
                if let Some(bytes) = control_bytes(to, &read) {
                    prop_assert_eq!(decode_control(to, &bytes), as_said(to.version(), read.clone()));
                }
            }
        }
    }

    #[test]
    fn a_datagram_is_the_same_in_every_draft_that_can_express_it(datagram in strategies::datagram()) {
        for from in drafts() {
            let Some(bytes) = datagram_bytes(from, &datagram) else { continue };
            let read = decode_datagram(from, &bytes);
            prop_assert_eq!(&read, &datagram);
            for to in drafts() {
                if let Some(bytes) = datagram_bytes(to, &read) {
                    prop_assert_eq!(decode_datagram(to, &bytes), read.clone());
                }
            }
        }
    }

    #[test]
    fn a_subgroup_stream_says_the_same_in_any_cuts(
        header in strategies::subgroup_header(),
        objects in strategies::objects(),
    ) {
        for draft in drafts() {
            let Some((stream, said)) = subgroup_bytes(draft, header, &objects) else { continue };
            for width in widths(stream.len()) {
                prop_assert_eq!(&read_stream(draft, &stream, &[width]), &said, "in chunks of {}", width);
            }
        }
    }

    #[test]
    fn a_fetch_stream_says_the_same_in_any_cuts(items in strategies::fetch_items(), id in strategies::number()) {
        for draft in drafts() {
            let (stream, said) = fetch_bytes(draft, RequestId(id), &items);
            for width in widths(stream.len()) {
                prop_assert_eq!(&read_stream(draft, &stream, &[width]), &said, "in chunks of {}", width);
            }
        }
    }

    #[test]
    fn an_object_is_the_same_in_every_draft_that_can_express_it((object, _) in strategies::object()) {
        let at = SubgroupCursor { extensions: true, previous: None };
        for from in drafts() {
            let Some(read) = rewritten(from, &at, &object) else { continue };
            prop_assert_eq!(&read, &object);
            for to in drafts() {
                if let Some(again) = rewritten(to, &at, &read) {
                    prop_assert_eq!(&again, &read);
                }
            }
        }
    }

    #[test]
    fn a_fetch_item_is_the_same_in_every_draft_that_can_express_it((item, _) in strategies::fetch_item()) {
        for from in drafts() {
            let Some(read) = refetched(from, &item) else { continue };
            for to in drafts() {
                let Some(again) = refetched(to, &read) else { continue };
                match (&again, &read) {
                    (FetchItem::Object(again), FetchItem::Object(read)) => {
                        prop_assert_eq!(again, &fetched_as_said(to, read));
                    }
                    _ => prop_assert_eq!(&again, &read),
                }
            }
        }
    }

    #[test]
    fn control_messages_are_the_same_in_any_cuts(messages in prop::collection::vec(strategies::message(), 1..4)) {
        for draft in drafts() {
            let stream: Bytes = messages.iter().filter_map(|message| control_bytes(draft, message)).flatten().collect();
            let whole = read_control(&stream, &[stream.len().max(1)]);
            for width in widths(stream.len()) {
                prop_assert_eq!(&read_control(&stream, &[width]), &whole);
            }
        }
    }

    #[test]
    fn a_message_of_draft_16_has_known_parameters_and_each_once(message in strategies::message()) {
        covers!("D16-9.2-02", "D16-9.2-04");
        let draft = Version::Draft16.draft();
        let Some(bytes) = control_bytes(draft, &message) else { return Ok(()) };
        let explanation = explain::control(draft, bytes);
        let mut seen = std::collections::BTreeSet::new();
        for field in &explanation.units[0].fields {
            let FieldValue::Key { key, name } = field.value else { continue };
            match field.name {
                "Parameters" => prop_assert!(name.is_some(), "type {:#x} is unknown", key),
                // Of other types that a setup may state the draft says nothing.
                "Setup Parameters" if name.is_none() => continue,
                "Setup Parameters" => {}
                _ => continue,
            }
            let once = seen.insert(key) || name == Some("AUTHORIZATION_TOKEN");
            prop_assert!(once, "type {:#x} is stated twice in {:?}", key, message);
        }
    }

    #[test]
    fn any_bytes_end_a_decoder_without_harm(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let bytes = Bytes::from(bytes);
        drafts().for_each(|draft| decode_everything(draft, &bytes));
    }

    #[test]
    fn damaged_messages_end_a_decoder_without_harm(
        message in strategies::message(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        for draft in drafts() {
            let Some(bytes) = control_bytes(draft, &message) else { continue };
            let mut bytes = bytes.to_vec();
            for (at, byte) in &damage {
                let at = at.index(bytes.len());
                bytes[at] = *byte;
            }
            decode_everything(draft, &bytes.into());
        }
    }
}

fn rewritten(draft: &dyn Draft, at: &SubgroupCursor, object: &ObjectHeader) -> Option<ObjectHeader> {
    let mut w = Writer::new();
    expressed(draft.encode_object(at, object, &mut w))?;
    Some(draft.decode_object(at, &mut Reader::new(&w.take())).unwrap())
}

fn refetched(draft: &dyn Draft, item: &FetchItem) -> Option<FetchItem> {
    let mut w = Writer::new();
    expressed(draft.encode_fetch_item(&FetchCursor::default(), item, &mut w))?;
    Some(draft.decode_fetch_item(&FetchCursor::default(), &mut Reader::new(&w.take())).unwrap())
}

/// How much a decoded message may take for each byte that said it: byte strings are slices of the input, but an unknown
/// Setup Parameter, which two bytes can say, is kept as a structure. What else is listed takes less: a token 56 bytes for 4, a
/// version 8 for 1. Nothing but a message has lists.
const ROOM_A_BYTE: u64 = size_of::<KeyValue>() as u64 / 2;
/// What is taken whatever the input: the 32 fields of a namespace, each a slice, and what lets slices share the input.
const ROOM: u64 = 32 * size_of::<Bytes>() as u64 + 256;

/// What a stream's reader may take for each byte, in these tests: they give it copies of the bytes in chunks, and keep a
/// structure for what it makes of each.
const KEPT: u64 = 24;

/// Gives bytes to every decoder, whole and cut. It ends, and takes no more room than the bytes justify.
fn decode_everything(draft: &'static dyn Draft, bytes: &Bytes) {
    let within = |what: &str, a_byte: u64, run: &mut dyn FnMut()| {
        let most = ROOM + a_byte * bytes.len() as u64;
        let taken = allocation_counter::measure(run).bytes_max;
        assert!(taken <= most, "{draft:?} {what}: {taken} bytes for {} of input: {bytes:x?}", bytes.len());
    };
    for kind in 0..0x50 {
        let frame = Frame { kind, payload: bytes.clone() };
        within("message", ROOM_A_BYTE, &mut || drop(draft.decode_control(&frame)));
    }
    within("control stream", ROOM_A_BYTE + KEPT, &mut || {
        for frame in read_control(bytes, &[7]).0 {
            drop(draft.decode_control(&frame));
        }
    });
    within("datagram", 0, &mut || drop(draft.decode_datagram(&mut Reader::new(bytes))));
    within("stream", KEPT, &mut || drop(read_stream(draft, bytes, &[7])));
    for extensions in [false, true] {
        let at = SubgroupCursor { extensions, previous: Some(1) };
        within("object", 0, &mut || drop(draft.decode_object(&at, &mut Reader::new(bytes))));
    }
    let at = FetchCursor {
        location: Some(Location::new(1, 1)),
        subgroup_id: Some((1 << 62) - 1),
        publisher_priority: Some(1),
        after_datagram: false,
    };
    within("fetch item", 0, &mut || drop(draft.decode_fetch_item(&at, &mut Reader::new(bytes))));
}

#[test]
fn a_declared_length_allocates_nothing() {
    // Each a declaration of as much as its field can hold, with nothing behind it.
    for bytes in
        [&[0xff; 8][..], &[0x10, 0, 0, 0, 0, 0xff, 0xff, 0xff], &[0x11, 1, 1, 1, 1, 0xbf, 0xff, 0xff, 0xff]]
    {
        drafts().for_each(|draft| decode_everything(draft, &Bytes::from_static(bytes)));
    }
}

/// Payloads that are long lists of the shortest elements, and nothing but.
#[test]
fn long_lists_take_no_more_than_their_elements() {
    let count = |count: u16| (count | 0x4000).to_be_bytes().to_vec();
    let parameters = |shortest: &[u8]| [count(4000), shortest.repeat(4000)].concat();
    // Request ID 0, namespace and name of one byte, as SUBSCRIBE and PUBLISH begin; more fields of draft-14's SUBSCRIBE.
    let track = [0, 1, 1, b'a', 1, b'b'].to_vec();
    let versions = [count(4000), [1].repeat(4000), vec![0]].concat();
    let tokens = [&[1, 3, 2, 0, 0][..], &[0, 2, 0, 0].repeat(3999)].concat();
    for payload in [
        parameters(&[0x3e, 0]),
        parameters(&[0, 0]),
        [vec![0], parameters(&[0x3e, 0])].concat(),
        versions,
        [vec![0], parameters(&[3, 2, 0, 0])].concat(),
        [track.clone(), vec![128, 0, 1, 2], parameters(&[3, 2, 0, 0])].concat(),
        [track.clone(), count(4000), tokens[1..].to_vec()].concat(),
        [track, vec![7, 0, 2, 5], [0x3e, 0].repeat(4000)].concat(),
    ] {
        drafts().for_each(|draft| decode_everything(draft, &payload.clone().into()));
    }
}

#[test]
fn every_vector_says_the_same_in_any_cuts() {
    for draft in drafts() {
        for vector in vectors::vectors(draft.version(), |_| true) {
            let place = vector.to_string();
            let control = read_control(&vector.bytes, &[vector.bytes.len().max(1)]);
            let stream = read_stream(draft, &vector.bytes, &[vector.bytes.len().max(1)]);
            for width in 1..vector.bytes.len() {
                assert_eq!(read_control(&vector.bytes, &[width]), control, "{place} in chunks of {width}");
                assert_eq!(
                    read_stream(draft, &vector.bytes, &[width]),
                    stream,
                    "{place} in chunks of {width}"
                );
            }
        }
    }
}

/// What a draft's message says, another draft says the same or has no way to: which, `other-draft.tsv` lists by the field
/// that stands in the way.
#[test]
fn every_message_of_the_vectors_is_said_in_the_other_draft_where_it_can_be() {
    let listed = include_str!("../vectors/other-draft.tsv");
    let mut found = String::from("draft\tname\tfield\n");
    for from in drafts() {
        for to in drafts().filter(|to| to.version() != from.version()) {
            for vector in vectors::vectors(from.version(), |table| table == "control") {
                let read = decode_control(from, &vector.bytes);
                let mut w = Writer::new();
                match to.encode_control(&read, &mut w) {
                    Ok(()) => {
                        let said = decode_control(to, &w.take());
                        assert_eq!(said, as_said(to.version(), read), "{vector}");
                    }
                    Err(EncodeError::Inexpressible(field)) => {
                        found += &format!("{}\t{}\t{field}\n", from.version().number(), vector.name);
                    }
                    Err(error) => panic!("{vector}: {error}"),
                }
            }
        }
    }
    assert_eq!(found, listed);
}

/// Rewrites the two-bit lengths of a datagram's and a stream's integers, which stand in known places.
#[test]
fn integers_longer_than_needed_are_accepted_on_data_streams() {
    covers!("D14-1.4-02", "D16-1.4-02");
    let header = SubgroupHeader {
        track_alias: TrackAlias(7),
        group_id: 3,
        subgroup_id: SubgroupId::Id(1),
        publisher_priority: Some(128),
        extensions: false,
        end_of_group: false,
    };
    for draft in drafts() {
        let object = ObjectHeader {
            object_id: 5,
            extensions: Extensions::NONE,
            status: ObjectStatus::Normal,
            payload_length: 2,
        };
        let (stream, said) = subgroup_bytes(draft, header, &[(object, Bytes::from_static(b"ab"))]).unwrap();
        // Type, Track Alias, Group ID, Subgroup ID, then the one byte of the priority, Object ID Delta, length, payload.
        for form in [2, 4, 8] {
            let mut long = Vec::new();
            for (at, byte) in stream[..7].iter().enumerate() {
                long.extend_from_slice(&if at == 4 { vec![*byte] } else { padded(*byte, form) });
            }
            long.extend_from_slice(&stream[7..]);
            let long = Bytes::from(long);
            for width in [1, long.len()] {
                assert_eq!(read_stream(draft, &long, &[width]), said, "{draft:?}, integers of {form} bytes");
            }
        }
    }
}

/// A number under 64 in a longer form.
fn padded(number: u8, form: usize) -> Vec<u8> {
    let mut bytes = vec![0; form];
    bytes[0] = (form.trailing_zeros() as u8) << 6;
    bytes[form - 1] |= number;
    bytes
}

/// That the properties above are of something: their values reach every type number of every draft.
#[test]
fn the_values_reach_every_message_stream_and_datagram_type() {
    let types = |draft: &'static dyn Draft| {
        let message = first_bytes(strategies::message(), |message| control_bytes(draft, message));
        let stream = first_bytes(strategies::subgroup_header(), |header| {
            subgroup_bytes(draft, *header, &[]).map(|(stream, _)| stream)
        });
        let datagram = first_bytes(strategies::datagram(), |datagram| datagram_bytes(draft, datagram));
        (message.len(), stream.len(), datagram.len())
    };
    assert_eq!(types(Version::Draft14.draft()), (30, 12, 10));
    assert_eq!(types(Version::Draft16.draft()), (24, 24, 24));
}

/// The first bytes of what many values of a strategy are written as.
fn first_bytes<S: Strategy>(
    strategy: S,
    write: impl Fn(&S::Value) -> Option<Bytes>,
) -> std::collections::BTreeSet<u8> {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let values = (0..4_000).map(|_| strategy.new_tree(&mut runner).unwrap().current());
    values.filter_map(|value| write(&value)?.first().copied()).collect()
}
