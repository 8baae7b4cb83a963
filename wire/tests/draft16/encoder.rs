//! What the draft cannot say, the encoder refuses, and it writes nothing.

use std::time::Duration;

use bytes::Bytes;
use moqingbird_ledger::covers;
use moqingbird_wire::EncodeError;
use moqingbird_wire::buf::Writer;
use moqingbird_wire::list::{KeyValue, Keys, Value};
use moqingbird_wire::model::*;
use moqingbird_wire::stream::{FetchCursor, SubgroupCursor};

use crate::support::{decode, draft, encode, extensions, hex, namespace, plain, token, video};

fn request(request: Request) -> Message {
    Message::Request { id: RequestId(2), request }
}

fn assert_inexpressible(message: Message, field: &'static str) {
    assert_eq!(encode(&message), Err(EncodeError::Inexpressible(field)), "{message:?}");
}

#[test]
fn setup_has_no_versions() {
    assert_inexpressible(
        Message::ClientSetup(Setup { versions: vec![0xff00_000e], ..Setup::default() }),
        "versions",
    );
}

#[test]
fn a_known_setup_parameter_is_not_written_as_an_unknown_one() {
    let path = KeyValue { key: 1, value: Value::Bytes("/".into()) };
    assert_inexpressible(
        Message::ClientSetup(Setup { unknown: vec![path], ..Setup::default() }),
        "unknown Setup Parameter of a known type",
    );
}

#[test]
fn namespaces_are_withdrawn_by_request_id_or_stream() {
    let by_namespace = || Target::Namespace(namespace("live"));
    let unsayable = "request named by its namespace";
    assert_inexpressible(Message::UnsubscribeNamespace(by_namespace()), "UNSUBSCRIBE_NAMESPACE");
    assert_inexpressible(Message::UnsubscribeNamespace(Target::Id(RequestId(2))), "UNSUBSCRIBE_NAMESPACE");
    assert_inexpressible(Message::PublishNamespaceDone(by_namespace()), unsayable);
    let error = RequestError::new(RequestErrorCode::Uninterested, "");
    assert_inexpressible(
        Message::PublishNamespaceCancel { target: by_namespace(), error: error.clone() },
        unsayable,
    );
    assert_inexpressible(
        Message::RequestError { target: by_namespace(), kind: None, error: error.clone() },
        unsayable,
    );
    let error = RequestError { retry_after: Some(Duration::ZERO), ..error };
    assert_inexpressible(
        Message::PublishNamespaceCancel { target: Target::Id(RequestId(2)), error },
        "Retry Interval",
    );
}

#[test]
fn codes_of_other_drafts_have_no_number() {
    for code in [RequestErrorCode::NoObjects, RequestErrorCode::UnknownStatusInRange] {
        let error = RequestError::new(code, "");
        let target = Target::Id(RequestId(2));
        assert_inexpressible(Message::RequestError { target, kind: None, error }, "Error Code");
    }
}

#[test]
fn track_status_says_track_and_tokens_only() {
    let status = |subscribe| request(Request::TrackStatus(subscribe));
    let filter = Some(SubscriptionFilter::LargestObject);
    let timeout = Some(Duration::from_millis(1));
    let order = Some(GroupOrder::Ascending);
    for (subscribe, field) in [
        (Subscribe { subscriber_priority: 127, ..plain(video()) }, "SUBSCRIBER_PRIORITY"),
        (Subscribe { group_order: order, ..plain(video()) }, "GROUP_ORDER"),
        (Subscribe { forward: false, ..plain(video()) }, "FORWARD"),
        (Subscribe { filter, ..plain(video()) }, "SUBSCRIPTION_FILTER"),
        (Subscribe { delivery_timeout: timeout, ..plain(video()) }, "DELIVERY_TIMEOUT"),
        (Subscribe { new_group_request: Some(0), ..plain(video()) }, "NEW_GROUP_REQUEST"),
    ] {
        assert_inexpressible(status(subscribe), field);
    }
    assert!(encode(&status(Subscribe { authorization_tokens: vec![token()], ..plain(video()) })).is_ok());
}

#[test]
fn a_delivery_timeout_is_not_zero() {
    covers!("D16-11.1-01", "D16-9.2.2.2-03");
    for nothing in [Duration::ZERO, Duration::from_micros(999)] {
        let subscribe = Subscribe { delivery_timeout: Some(nothing), ..plain(video()) };
        assert_inexpressible(request(Request::Subscribe(subscribe)), "DELIVERY_TIMEOUT");
        let extensions = TrackExtensions { delivery_timeout: Some(nothing), ..TrackExtensions::default() };
        assert_inexpressible(subscribe_ok(None, extensions), "DELIVERY_TIMEOUT");
    }
}

fn subscribe_ok(expires: Option<Duration>, extensions: TrackExtensions) -> Message {
    let ok = SubscribeOk { track_alias: TrackAlias(7), expires, largest: None, extensions };
    Message::Response { target: Target::Id(RequestId(2)), response: Response::Subscribe(ok) }
}

#[test]
fn an_expiry_is_not_at_once() {
    assert_inexpressible(subscribe_ok(Some(Duration::ZERO), TrackExtensions::default()), "EXPIRES");
}

#[test]
fn a_known_track_extension_is_not_written_as_another_one() {
    let extensions = TrackExtensions { other: extensions("02 05"), ..TrackExtensions::default() };
    assert_inexpressible(subscribe_ok(None, extensions), "other Track Extension of a known type");
}

#[test]
fn request_ok_has_no_track_extensions() {
    let extensions = TrackExtensions { dynamic_groups: true, ..TrackExtensions::default() };
    let ok = RequestOk { extensions, ..RequestOk::default() };
    let target = Target::Id(RequestId(2));
    assert_inexpressible(
        Message::Response { target, response: Response::Ok { kind: None, ok } },
        "Track Extensions",
    );
}

#[test]
fn the_kind_of_an_answered_request_is_not_on_the_wire() {
    let ok = |kind| {
        let target = Target::Id(RequestId(2));
        encode(&Message::Response { target, response: Response::Ok { kind, ok: RequestOk::default() } })
    };
    assert_eq!(ok(Some(RequestKind::TrackStatus)), ok(None));
    let error = |kind| {
        let error = RequestError::new(RequestErrorCode::Timeout, "");
        encode(&Message::RequestError { target: Target::Id(RequestId(2)), kind, error })
    };
    assert_eq!(error(Some(RequestKind::Fetch)), error(None));
}

#[test]
fn fetch_ok_does_not_state_the_order() {
    let ok = FetchOk {
        group_order: Some(GroupOrder::Ascending),
        end_of_track: false,
        end: EndLocation { group: 1, object: None },
        extensions: TrackExtensions::default(),
    };
    let target = Target::Id(RequestId(2));
    assert_inexpressible(Message::Response { target, response: Response::Fetch(ok) }, "group order");
}

#[test]
fn a_namespace_has_fields_and_a_field_has_bytes() {
    covers!("D16-2.4.1-01");
    let publish = |namespace| request(Request::PublishNamespace(PublishNamespace::new(namespace)));
    assert_inexpressible(publish(TrackNamespace::empty()), "Track Namespace");
    let hollow = || TrackNamespace::new(["a", ""]).unwrap();
    assert_inexpressible(publish(hollow()), "Track Namespace");
    assert_inexpressible(Message::Namespace(hollow()), "Track Namespace Suffix");
    let subscribe = SubscribeNamespace::new(hollow());
    assert_inexpressible(request(Request::SubscribeNamespace(subscribe)), "Track Namespace Prefix");
}

#[test]
fn a_range_does_not_end_before_it_starts() {
    covers!("D16-5.1.2-07");
    let subscribe = |end_group| {
        let filter = SubscriptionFilter::AbsoluteRange { start: Location::new(2, 3), end_group };
        request(Request::Subscribe(Subscribe { filter: Some(filter), ..plain(video()) }))
    };
    assert_inexpressible(subscribe(1), "End Group before the Start Location");
    assert!(encode(&subscribe(2)).is_ok());
}

#[test]
fn a_payload_has_at_most_65535_bytes() {
    covers!("D16-9-06");
    let setup = |length: usize| {
        Message::ServerSetup(Setup { implementation: Some(vec![b'x'; length].into()), ..Setup::default() })
    };
    // A count, a type, a length of four bytes.
    let bytes = encode(&setup(65_529)).unwrap();
    assert_eq!(bytes.len(), 3 + 65_535);
    assert_eq!(decode(&bytes), Ok(setup(65_529)));
    assert_eq!(encode(&setup(65_530)), Err(EncodeError::TooLong("Message Length")));
}

#[test]
fn a_number_over_the_largest_integer_is_too_long() {
    assert_eq!(encode(&Message::MaxRequestId(1 << 62)), Err(EncodeError::TooLong("Max Request ID")));
}

#[test]
fn types_are_written_in_ascending_order_however_given() {
    covers!("D16-1.4.2-03", "D16-1.4.2-04");
    let pair = |key, value| KeyValue { key, value };
    let unknown = vec![
        pair(0x6b, Value::Bytes("b".into())),
        pair(0x6a, Value::Integer(1)),
        pair(0x6b, Value::Bytes("a".into())),
    ];
    let bytes = encode(&Message::ClientSetup(Setup { unknown, ..Setup::default() })).unwrap();
    assert_eq!(bytes, hex("20 00 0a 03 406a 01 01 01 62 00 01 61"));
    let register = AuthorizationToken::Register { alias: 1, token_type: 0, value: "k".into() };
    let authorization_tokens = vec![register, token()];
    let publish = PublishNamespace { namespace: namespace("a"), authorization_tokens };
    let bytes = encode(&request(Request::PublishNamespace(publish))).unwrap();
    let tokens = hex("02  03 04 01 01 00 6b  00 03 03 00 7a");
    assert_eq!(bytes[bytes.len() - tokens.len()..], tokens);
}

#[test]
fn a_type_too_far_from_the_one_before_is_refused() {
    covers!("D16-1.4.2-05");
    let far = |key| Extensions::from_pairs([KeyValue { key, value: Value::Integer(0) }], Keys::Delta);
    assert!(far((1 << 62) - 2).is_ok());
    assert!(matches!(far(1 << 62), Err(EncodeError::TooLong(_))));
    assert!(matches!(far(u64::MAX - 1), Err(EncodeError::TooLong(_))));
}

#[test]
fn track_extensions_of_another_spelling_are_respelled() {
    let pairs = |keys| {
        let nested = match keys {
            Keys::Absolute => "04 05 06 07",
            _ => "04 05 02 07",
        };
        let immutable = Value::Bytes(hex(nested));
        let list =
            [KeyValue { key: 0x0b, value: immutable }, KeyValue { key: 0x40, value: Value::Integer(1) }];
        Extensions::from_pairs(list, keys).unwrap()
    };
    let with = |other| encode(&subscribe_ok(None, TrackExtensions { other, ..TrackExtensions::default() }));
    assert_eq!(with(pairs(Keys::Absolute)), with(pairs(Keys::Delta)));
}

fn object(object_id: u64, status: ObjectStatus, payload_length: u64) -> ObjectHeader {
    ObjectHeader { object_id, extensions: Extensions::NONE, status, payload_length }
}

#[test]
fn objects_of_a_subgroup() {
    let at = |extensions| SubgroupCursor { extensions, previous: Some(5) };
    let gap = |status| ObjectHeader { extensions: extensions("3e 01"), ..object(6, status, 0) };
    for (at, object, field) in [
        (at(false), object(5, ObjectStatus::Normal, 1), "Object ID that does not ascend"),
        (at(false), object(4, ObjectStatus::Normal, 1), "Object ID that does not ascend"),
        (at(false), object(6, ObjectStatus::DoesNotExist, 0), "Object Status"),
        (at(false), object(6, ObjectStatus::EndOfGroup, 1), "payload of an object that is not Normal"),
        (at(false), gap(ObjectStatus::Normal), "extension headers on a stream without them"),
        (at(true), gap(ObjectStatus::EndOfGroup), "extension headers of an object that is not Normal"),
    ] {
        let mut w = Writer::new();
        let result = draft().encode_object(&at, &object, &mut w);
        assert_eq!(result, Err(EncodeError::Inexpressible(field)), "{object:?}");
        assert!(w.is_empty(), "nothing is written on an error");
    }
}

#[test]
fn only_a_normal_object_has_a_payload() {
    covers!("D16-10.2.1.1-07");
    let at = SubgroupCursor { extensions: false, previous: Some(5) };
    for status in [ObjectStatus::EndOfGroup, ObjectStatus::EndOfTrack] {
        let mut w = Writer::new();
        assert_eq!(draft().encode_object(&at, &object(6, status, 0), &mut w), Ok(()), "{status:?}");
        let result = draft().encode_object(&at, &object(6, status, 1), &mut Writer::new());
        assert!(matches!(result, Err(EncodeError::Inexpressible(_))), "{status:?}: {result:?}");
    }
}

#[test]
fn fetched_objects_are_normal() {
    let object = FetchObject {
        location: Location::new(1, 0),
        subgroup_id: Some(0),
        publisher_priority: 128,
        extensions: Extensions::NONE,
        status: ObjectStatus::EndOfGroup,
        payload_length: 0,
    };
    let mut w = Writer::new();
    let result = draft().encode_fetch_item(&FetchCursor::default(), &FetchItem::Object(object), &mut w);
    assert_eq!(result, Err(EncodeError::Inexpressible("Object Status")));
    assert!(w.is_empty());
}

#[test]
fn datagrams() {
    let datagram = |body| Datagram {
        track_alias: TrackAlias(7),
        group_id: 3,
        object_id: 4,
        publisher_priority: None,
        end_of_group: false,
        extensions: Extensions::NONE,
        body,
    };
    let status = |status| datagram(DatagramBody::Status(status));
    for (datagram, field) in [
        (
            Datagram { end_of_group: true, ..status(ObjectStatus::Normal) },
            "END_OF_GROUP of a datagram with a status",
        ),
        (status(ObjectStatus::DoesNotExist), "Object Status"),
        (
            Datagram { extensions: extensions("3e 01"), ..status(ObjectStatus::EndOfTrack) },
            "extension headers of an object that is not Normal",
        ),
    ] {
        let mut w = Writer::new();
        assert_eq!(
            draft().encode_datagram(&datagram, &mut w),
            Err(EncodeError::Inexpressible(field)),
            "{datagram:?}"
        );
        assert!(w.is_empty(), "nothing is written on an error");
    }
    let largest = Datagram { group_id: 1 << 62, ..datagram(DatagramBody::Payload(Bytes::new())) };
    let result = draft().encode_datagram(&largest, &mut Writer::new());
    assert_eq!(result, Err(EncodeError::TooLong("Group ID")));
}
