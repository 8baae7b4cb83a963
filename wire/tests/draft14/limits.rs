//! Integers, lengths and names at their limits.

use std::collections::HashSet;

use bytes::Bytes;
use moqingbird_ledger::covers;
use moqingbird_wire::buf::Reader;
use moqingbird_wire::buf::integer;
use moqingbird_wire::model::{
    AuthorizationToken, FullTrackName, GoAway, Location, Message, PublishNamespace, ReasonPhrase, Request,
    RequestId, TrackNamespace,
};
use moqingbird_wire::{EncodeError, Fault};

use crate::control::{meaning, request, subscribe};
use crate::support::{at_start, draft, framed, hex, namespace, read, read_hex, vector_of, write};

#[test]
fn integers_are_written_in_the_fewest_bytes() {
    covers!("D14-1.4-01");
    for (value, length) in [(63, 1), (64, 2), (16383, 2), (16384, 4), ((1 << 30) - 1, 4), (1 << 30, 8)] {
        assert_eq!(write(&Message::MaxRequestId(value)).unwrap().len() - 3, length, "{value}");
    }
}

#[test]
fn integers_longer_than_needed_are_accepted_in_types_lengths_ids_and_counts() {
    covers!("D14-1.4-02");
    for name in [
        "type-in-two-bytes",
        "type-in-eight-bytes",
        "every-integer-in-two-bytes",
        "every-integer-in-four-bytes",
    ] {
        assert_eq!(
            read(&vector_of("accepted", name).bytes),
            Ok(meaning("subscribe-largest-object")),
            "{name}"
        );
    }
    for four in ["40 04", "80 00 00 04", "c0 00 00 00 00 00 00 04"] {
        let bytes = hex(four);
        assert_eq!(read(&framed(0x0a, &bytes)), Ok(Message::Unsubscribe(RequestId(4))), "{four}");
        let object = hex(&format!("{four} {four}"));
        let header = draft().decode_object(&at_start(false), &mut Reader::new(&object)).unwrap();
        assert_eq!((header.object_id, header.payload_length), (4, 4), "{four}");
    }
}

#[test]
fn integers_reach_two_to_the_62_less_one() {
    covers!("D14-1.4-03");
    for value in [0, 63, 64, 16383, 16384, (1 << 30) - 1, 1 << 30, integer::MAX] {
        let message = Message::MaxRequestId(value);
        assert_eq!(read(&write(&message).unwrap()), Ok(message), "{value}");
    }
    assert_eq!(write(&Message::MaxRequestId(1 << 62)), Err(EncodeError::TooLong("Request ID")));
}

#[test]
fn a_namespace_is_a_count_and_as_many_strings() {
    covers!("D14-1.4-04");
    let message = |fields| {
        let target = moqingbird_wire::model::Target::Namespace(namespace(fields));
        Message::PublishNamespaceDone(target)
    };
    let bytes = hex("09 00 06 02 01 61 02 62 63");
    assert_eq!(write(&message(&["a", "bc"])), Ok(bytes.clone()));
    assert_eq!(read(&bytes), Ok(message(&["a", "bc"])));
    let error = read_hex("09 00 06 03 01 61 02 62 63").unwrap_err();
    assert_eq!((error.field, error.fault), ("Track Namespace", Fault::Incomplete));
}

#[test]
fn a_location_is_group_then_object_and_is_ordered_so() {
    covers!("D14-1.4.1-01");
    let at = Location::new;
    assert!(at(1, 9) < at(2, 0));
    assert!(at(2, 0) < at(2, 1));
    assert!(at(2, 1) >= at(2, 1));
    let bytes = write(&meaning("subscribe-absolute-start")).unwrap();
    assert_eq!(bytes[3 + 18..][..3], hex("05 41 2c")[..]);
}

#[test]
fn a_value_of_65535_bytes_is_accepted() {
    covers!("D14-1.4.2-03");
    // Object ID Delta, Extension Headers Length 65540, type 0x0b, Length 65535.
    let mut bytes = hex("00 80 01 00 04 0b 80 00 ff ff").to_vec();
    bytes.extend(std::iter::repeat_n(0, 65535));
    bytes.push(1);
    let bytes = Bytes::from(bytes);
    let r = &mut Reader::new(&bytes);
    let header = draft().decode_object(&at_start(true), r).unwrap();
    assert_eq!(header.extensions.iter().count(), 1);
    assert_eq!((header.payload_length, r.remaining()), (1, 0));
}

#[test]
fn a_reason_of_no_byte_and_of_1024_bytes_is_accepted() {
    covers!("D14-1.4.3-02");
    for (length, prefix) in [(0, "00 04 00"), (1024, "00 04 44 00")] {
        let payload = [&hex(prefix)[..], &vec![b'a'; length]].concat();
        let Ok(Message::RequestError { error, .. }) = read(&framed(0x05, &payload)) else {
            panic!("a reason of {length} bytes is refused")
        };
        assert_eq!(error.reason.as_bytes().len(), length);
    }
}

#[test]
fn a_longer_reason_is_cut_between_characters() {
    covers!("D14-1.4.3-03");
    let reason = ReasonPhrase::from("ä".repeat(1000) + "a");
    assert_eq!(reason.to_str(), "ä".repeat(512));
    let reason = ReasonPhrase::from("a".to_owned() + &"ä".repeat(1000));
    assert_eq!(reason.to_str(), "a".to_owned() + &"ä".repeat(511));
    let mut message = meaning("subscribe-error");
    let Message::RequestError { error, .. } = &mut message else { panic!("{message:?}") };
    error.reason = reason;
    let bytes = write(&message).unwrap();
    assert_eq!((bytes.len(), &bytes[3..7]), (3 + 2 + 2 + 1023, &hex("00 04 43 ff")[..]));
}

#[test]
fn namespaces_of_1_and_of_32_fields_are_accepted() {
    covers!("D14-2.4.1-03");
    for count in [1, 32] {
        let payload = [vec![count], [1, b'a'].repeat(usize::from(count))].concat();
        let Ok(Message::PublishNamespaceDone(target)) = read(&framed(0x09, &payload)) else {
            panic!("{count} fields are refused")
        };
        let expected = namespace(&vec!["a"; usize::from(count)]);
        assert_eq!(target, moqingbird_wire::model::Target::Namespace(expected));
    }
}

#[test]
fn a_full_track_name_of_4096_bytes_is_accepted() {
    covers!("D14-2.4.1-05");
    let namespace = TrackNamespace::new([vec![b'a'; 4000]]).unwrap();
    let mut asked = subscribe();
    asked.track = FullTrackName::new(namespace, vec![b'b'; 96]).unwrap();
    let message = request(0, Request::Subscribe(asked));
    assert_eq!(read(&write(&message).unwrap()), Ok(message));
}

#[test]
fn names_are_bytes_compared_exactly() {
    covers!("D14-2.4.1-06");
    let named = |name: &[u8]| {
        let mut asked = subscribe();
        asked.track.name = Bytes::copy_from_slice(name);
        let Ok(Message::Request { request: Request::Subscribe(read), .. }) =
            read(&write(&request(0, Request::Subscribe(asked))).unwrap())
        else {
            panic!("{name:?} is refused")
        };
        assert_eq!(read.track.name, name);
        read.track
    };
    let names: [&[u8]; 4] = [&[0xff, 0x00], b"A", b"a", b""];
    assert_eq!(names.map(named).into_iter().collect::<HashSet<_>>().len(), 4);
}

#[test]
fn fields_are_compared_one_by_one() {
    covers!("D14-2.4.1-07");
    let of = |text: &str| match read_hex(text) {
        Ok(Message::PublishNamespaceDone(target)) => target,
        other => panic!("{other:?}"),
    };
    assert_ne!(of("09 00 06 02 02 61 62 01 63"), of("09 00 06 02 01 61 02 62 63"));
    assert_ne!(namespace(&["ab", "c"]), namespace(&["a", "bc"]));
}

#[test]
fn a_payload_over_65535_bytes_is_not_written() {
    covers!("D14-9-08");
    let with = |length: usize| {
        let token = AuthorizationToken::UseValue { token_type: 0, value: vec![0; length].into() };
        let publish = PublishNamespace {
            namespace: namespace(&["alive"]),
            authorization_tokens: vec![token.clone(), token],
        };
        write(&request(0, Request::PublishNamespace(publish)))
    };
    assert_eq!(with(35_000), Err(EncodeError::TooLong("Message Payload")));
    // Besides the two values there are 9 bytes and 7 for each token.
    assert_eq!(with((65_535 - 9 - 14) / 2).map(|bytes| bytes.len()), Ok(3 + 65_535));
    assert_eq!(with((65_535 - 9 - 14) / 2 + 1), Err(EncodeError::TooLong("Message Payload")));
}

#[test]
fn a_uri_of_8192_bytes_is_accepted() {
    covers!("D14-9.4-08");
    let uri = vec![b'a'; 8192];
    let payload = [&hex("60 00")[..], &uri].concat();
    let message = Message::GoAway(GoAway { new_session_uri: uri.into() });
    assert_eq!(read(&framed(0x10, &payload)), Ok(message.clone()));
    assert_eq!(write(&message), Ok(framed(0x10, &payload)));
    let longer = Message::GoAway(GoAway { new_session_uri: vec![b'a'; 8193].into() });
    assert_eq!(write(&longer), Err(EncodeError::TooLong("New Session URI")));
}
