//! Integers, locations, pairs and names, as messages of the draft carry them.

use bytes::Bytes;
use moqingbird_ledger::covers;
use moqingbird_wire::Assembler;
use moqingbird_wire::buf::{Reader, Writer, integer};
use moqingbird_wire::list::{KeyValue, Keys, Pairs, Value, write_pairs};
use moqingbird_wire::model::*;

use crate::support::{decode, decode_payload, draft, encode, hex, plain, track, varint};

#[test]
fn integers_are_written_in_their_shortest_form() {
    covers!("D16-1.4-01");
    for (value, length) in
        [(63, 1), (64, 2), (16_383, 2), (16_384, 4), ((1 << 30) - 1, 4), (1 << 30, 8), ((1 << 62) - 1, 8)]
    {
        let mut w = Writer::new();
        w.varint(value, "value").unwrap();
        assert_eq!(w.take(), varint(value, length), "{value}");
    }
}

#[test]
fn integers_are_read_in_any_form() {
    covers!("D16-1.4-02");
    assert_eq!(integer::decode(&hex("40 25")), Some((37, 2)));
    let expected = decode(&hex("03 00 09 02 01 01 61 01 62 01 20 05")).unwrap();
    for length in [2, 4, 8] {
        let padded = |value| varint(value, length);
        let mut payload = [padded(2), padded(1), padded(1), vec![b'a'], padded(1), vec![b'b']].concat();
        payload.extend([padded(1), padded(0x20), padded(5)].concat());
        let framed = [padded(3), (payload.len() as u16).to_be_bytes().to_vec(), payload].concat();
        assert_eq!(decode(&framed.into()), Ok(expected.clone()));
    }
}

#[test]
fn locations() {
    covers!("D16-1.4.1-01", "D16-1.4.1-02");
    let read = |value: &str| decode_payload(0x07, &format!("00 01 09 {value}"));
    let Ok(Message::Response { response: Response::Ok { ok, .. }, .. }) = read("02 03 09") else {
        panic!("REQUEST_OK")
    };
    assert_eq!(ok.largest, Some(Location::new(3, 9)));
    assert!(read("01 03").is_err(), "a Location has two numbers");
    assert!(Location::new(1, 100) < Location::new(2, 0));
    assert!(Location::new(2, 0) < Location::new(2, 1));
    assert_eq!(Location::new(2, 1), Location::new(2, 1));
}

#[test]
fn types_are_deltas_and_their_parity_decides_the_form() {
    covers!("D16-1.4.2-01", "D16-1.4.2-02");
    let bytes = |text: &'static str| Value::Bytes(text.into());
    let pair = |key, value| KeyValue { key, value };
    for (mut pairs, wire) in [
        (vec![pair(1, bytes("a")), pair(2, Value::Integer(9)), pair(5, bytes(""))], "01 01 61 01 09 03 00"),
        // The delta of the second is odd, its type even; and the reverse.
        (vec![pair(1, bytes("")), pair(2, Value::Integer(1))], "01 00 01 01"),
        (vec![pair(3, bytes("")), pair(5, bytes("b"))], "03 00 02 01 62"),
    ] {
        let mut w = Writer::new();
        write_pairs(&mut w, Keys::Delta, &mut pairs, "pairs").unwrap();
        let written = w.take();
        assert_eq!(written, hex(wire));
        let mut r = Reader::new(&written);
        let mut list = Pairs::new(Keys::Delta);
        for expected in pairs {
            assert_eq!(list.read(&mut r, "pairs"), Ok(expected));
        }
        assert!(r.is_empty());
    }
}

#[test]
fn reasons_may_be_empty_and_need_not_be_utf_8() {
    covers!("D16-1.4.3-02", "D16-1.4.3-03");
    let Ok(Message::PublishDone { done, .. }) = decode_payload(0x0b, "00 02 00 00") else {
        panic!("PUBLISH_DONE")
    };
    assert_eq!(done.reason, ReasonPhrase::default());
    let message = decode_payload(0x05, "02 10 00 03 61 ff 62").unwrap();
    let Message::RequestError { error, .. } = &message else { panic!("REQUEST_ERROR") };
    assert_eq!(error.reason.to_str(), "a\u{fffd}b");
    assert_eq!(encode(&message), Ok(hex("05 00 07 02 10 00 03 61 ff 62")));
    let longest = [&hex("02 10 00 4400")[..], &[b'a'; 1024]].concat();
    let longest = longest.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    assert!(decode_payload(0x05, &longest).is_ok());
}

#[test]
fn names_are_rendered_as_the_draft_recommends() {
    covers!("D16-1.5-01");
    let track = track("example.net/team2/project_x", "report");
    assert_eq!(track.to_string(), "example.2enet-team2-project_x--report");
}

fn subscribe(namespace: TrackNamespace, name: Bytes) -> Message {
    let track = FullTrackName::new(namespace, name).unwrap();
    Message::Request { id: RequestId(0), request: Request::Subscribe(plain(track)) }
}

#[test]
fn limits_count_the_bytes_of_fields_and_name() {
    covers!("D16-2.4.1-06");
    let fields = TrackNamespace::new((0..32).map(|_| vec![b'a'; 128])).unwrap();
    for message in [
        subscribe(fields, Bytes::new()),
        subscribe(TrackNamespace::new([vec![b'a'; 4090]]).unwrap(), vec![b'b'; 6].into()),
    ] {
        assert_eq!(decode(&encode(&message).unwrap()), Ok(message));
    }
}

#[test]
fn names_are_any_bytes_compared_exactly() {
    covers!("D16-2.4.1-07", "D16-2.4.1-08");
    let mut seen = Vec::new();
    for name in [&b""[..], b"A", b"a", b"\0", b"\xff\xfe", "\u{e9}".as_bytes(), "e\u{301}".as_bytes()] {
        let fields = TrackNamespace::new([Bytes::from_static(b"\0\xff"), Bytes::from_static(b"x")]).unwrap();
        let message = subscribe(fields, Bytes::copy_from_slice(name));
        assert_eq!(decode(&encode(&message).unwrap()).as_ref(), Ok(&message));
        assert!(!seen.contains(&message), "{name:?} is another track");
        seen.push(message);
    }
}

#[test]
fn a_message_at_the_limit_is_read_whole() {
    let uri = GoAway { new_session_uri: vec![b'a'; GoAway::MAX_URI as usize].into() };
    let bytes = encode(&Message::GoAway(uri.clone())).unwrap();
    let mut assembler = Assembler::new();
    for chunk in bytes.chunks(1200) {
        assembler.push(Bytes::copy_from_slice(chunk));
    }
    let frame = assembler.next_frame().expect("a whole frame");
    assert_eq!(draft().decode_control(&frame), Ok(Message::GoAway(uri)));
}
