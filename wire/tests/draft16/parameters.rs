//! Message Parameters and Track Extensions: where each may stand, what omission means.

use std::time::Duration;

use moqingbird_ledger::covers;
use moqingbird_wire::Fault;
use moqingbird_wire::list::Value;
use moqingbird_wire::model::*;

use crate::support::{decode, decode_payload, draft, encode, extensions, plain, video};

/// Type, name, a pair with delta from 0, and the messages that define it (§13.2).
const REGISTRY: &[(u64, &str, &str, &[&str])] = &[
    (0x02, "DELIVERY_TIMEOUT", "02 05", &["SUBSCRIBE", "PUBLISH_OK", "REQUEST_UPDATE"]),
    (
        0x03,
        "AUTHORIZATION_TOKEN",
        "03 03 03 00 7a",
        &[
            "SUBSCRIBE",
            "PUBLISH",
            "REQUEST_UPDATE",
            "FETCH",
            "TRACK_STATUS",
            "PUBLISH_NAMESPACE",
            "SUBSCRIBE_NAMESPACE",
        ],
    ),
    (0x08, "EXPIRES", "08 05", &["SUBSCRIBE_OK", "PUBLISH", "PUBLISH_OK", "REQUEST_OK"]),
    (0x09, "LARGEST_OBJECT", "09 02 03 09", &["SUBSCRIBE_OK", "PUBLISH", "REQUEST_OK"]),
    (
        0x10,
        "FORWARD",
        "10 00",
        &["SUBSCRIBE", "PUBLISH", "PUBLISH_OK", "REQUEST_UPDATE", "SUBSCRIBE_NAMESPACE"],
    ),
    (0x20, "SUBSCRIBER_PRIORITY", "20 05", &["SUBSCRIBE", "PUBLISH_OK", "REQUEST_UPDATE", "FETCH"]),
    (0x21, "SUBSCRIPTION_FILTER", "21 01 01", &["SUBSCRIBE", "PUBLISH_OK", "REQUEST_UPDATE"]),
    (0x22, "GROUP_ORDER", "22 02", &["SUBSCRIBE", "PUBLISH_OK", "FETCH"]),
    (0x32, "NEW_GROUP_REQUEST", "32 05", &["SUBSCRIBE", "PUBLISH_OK", "REQUEST_UPDATE"]),
];

/// The messages with parameters: type, and what stands before the parameters, which end the payload.
const CARRIERS: &[(&str, u8, &str)] = &[
    ("SUBSCRIBE", 0x03, "02 01 01 61 01 62"),
    ("SUBSCRIBE_OK", 0x04, "02 07"),
    ("PUBLISH", 0x1d, "02 01 01 61 01 62 07"),
    ("PUBLISH_OK", 0x1e, "02"),
    ("REQUEST_UPDATE", 0x02, "02 00"),
    ("FETCH", 0x16, "02 02 00 02"),
    ("FETCH_OK", 0x18, "02 00 03 00"),
    ("REQUEST_OK", 0x07, "02"),
    ("TRACK_STATUS", 0x0d, "02 01 01 61 01 62"),
    ("PUBLISH_NAMESPACE", 0x06, "02 01 01 61"),
    ("SUBSCRIBE_NAMESPACE", 0x11, "02 01 01 61 02"),
];

#[test]
fn a_parameter_counts_where_it_is_defined_and_is_ignored_elsewhere() {
    covers!("D16-13.2-01", "D16-9.2.2.4-01", "D16-9.2.2.5-01", "D16-9.2.2.8-01");
    for (_, name, pair, defined) in REGISTRY {
        for (carrier, kind, before) in CARRIERS {
            let without = decode_payload(*kind, &format!("{before} 00")).unwrap();
            let with = decode_payload(*kind, &format!("{before} 01 {pair}"));
            match (defined.contains(carrier), *carrier) {
                (true, _) => assert_ne!(with.unwrap(), without, "{name} in {carrier}"),
                // §9.11: no kind of request can have it updated.
                (false, "REQUEST_UPDATE") => assert_eq!(with.unwrap_err().field, *name),
                (false, _) => assert_eq!(with, Ok(without), "{name} in {carrier}"),
            }
        }
    }
}

#[test]
fn every_other_type_is_refused_in_every_message() {
    for key in (0..0x80_u64).filter(|key| REGISTRY.iter().all(|known| known.0 != *key)) {
        let value = if key % 2 == 0 { "01" } else { "01 00" };
        for (carrier, kind, before) in CARRIERS {
            let error =
                decode_payload(*kind, &format!("{before} 01 {:04x} {value}", 0x4000 | key)).unwrap_err();
            assert_eq!(error.fault, Fault::Unknown(key), "{key:#x} in {carrier}");
            assert_eq!(error.code(), SessionErrorCode::ProtocolViolation);
        }
    }
}

#[test]
fn only_tokens_may_repeat() {
    for (_, name, pair, defined) in REGISTRY {
        for (carrier, kind, before) in CARRIERS.iter().filter(|(carrier, ..)| defined.contains(carrier)) {
            let again = format!("00 {}", &pair[3..]);
            let twice = decode_payload(*kind, &format!("{before} 02 {pair} {again}"));
            match *name {
                "AUTHORIZATION_TOKEN" => assert!(twice.is_ok(), "{name} in {carrier}"),
                _ => assert_eq!(twice.unwrap_err().field, *name, "{name} in {carrier}"),
            }
        }
    }
}

#[test]
fn a_misplaced_parameter_is_ignored_whatever_it_says() {
    // In FETCH: FORWARD of 7, twice.
    let plain = decode_payload(0x16, "02 02 00 02 00");
    assert_eq!(decode_payload(0x16, "02 02 00 02 02 10 07 00 07"), plain);
    // In SUBSCRIBE: LARGEST_OBJECT that is no Location.
    assert!(decode_payload(0x03, "02 01 01 61 01 62 01 09 01 03").is_ok());
}

#[test]
fn omission_means_the_default() {
    let Ok(Message::Request { request: Request::Subscribe(subscribe), .. }) =
        decode_payload(0x03, "00 02 04 6c697665 04 63616d31 05 766964656f 00")
    else {
        panic!("SUBSCRIBE")
    };
    assert_eq!(subscribe, plain(video()));
    assert_eq!((subscribe.subscriber_priority, subscribe.forward, subscribe.filter), (128, true, None));
    let Ok(Message::Response { response: Response::Publish(ok), .. }) = decode_payload(0x1e, "01 00") else {
        panic!("PUBLISH_OK")
    };
    assert!(ok.forward, "PUBLISH_OK without FORWARD turns the track on (§9.2.2.8)");
    let Ok(Message::RequestUpdate { update, .. }) = decode_payload(0x02, "08 00 00") else {
        panic!("REQUEST_UPDATE")
    };
    assert_eq!(update, RequestUpdate::default());
}

#[test]
fn an_expiry_of_zero_is_none() {
    covers!("D16-9.2.2.6-04");
    assert_eq!(decode_payload(0x04, "00 07 01 08 00"), decode_payload(0x04, "00 07 00"));
}

#[test]
fn a_filter_has_the_fields_of_its_type() {
    covers!("D16-5.1.2-09");
    let start = Location::new(10, 0);
    for (value, expected) in [
        ("01 01", SubscriptionFilter::NextGroupStart),
        ("01 02", SubscriptionFilter::LargestObject),
        ("03 03 0a 00", SubscriptionFilter::AbsoluteStart(start)),
        ("04 04 0a 00 0c", SubscriptionFilter::AbsoluteRange { start, end_group: 12 }),
    ] {
        let message = decode_payload(0x02, &format!("08 00 01 21 {value}"));
        let update = RequestUpdate { filter: Some(expected), ..RequestUpdate::default() };
        let (id, target) = (RequestId(8), RequestId(0));
        assert_eq!(message, Ok(Message::RequestUpdate { id, target, update }));
    }
}

#[test]
fn a_largest_object_is_one_location() {
    covers!("D16-9.2.2.7-03");
    let Ok(Message::Response { response: Response::Subscribe(ok), .. }) =
        decode_payload(0x04, "00 07 01 09 02 03 09")
    else {
        panic!("SUBSCRIBE_OK")
    };
    assert_eq!(ok.largest, Some(Location::new(3, 9)));
}

#[test]
fn a_token_has_the_fields_of_its_alias_type() {
    covers!("D16-9.2.2.1-02", "D16-13.1-01");
    let value = || "k".into();
    for (structure, expected) in [
        ("00 09", AuthorizationToken::Delete { alias: 9 }),
        ("01 09 00 6b", AuthorizationToken::Register { alias: 9, token_type: 0, value: value() }),
        ("02 09", AuthorizationToken::UseAlias { alias: 9 }),
        ("03 00 6b", AuthorizationToken::UseValue { token_type: 0, value: value() }),
    ] {
        let length = structure.split(' ').count();
        let message = decode_payload(0x02, &format!("08 00 01 03 {length:02x} {structure}")).unwrap();
        let update = RequestUpdate { authorization_tokens: vec![expected], ..RequestUpdate::default() };
        let (id, target) = (RequestId(8), RequestId(0));
        assert_eq!(message, Message::RequestUpdate { id, target, update });
        let bytes = encode(&message).unwrap();
        assert_eq!(decode(&bytes), Ok(message));
    }
    for trailing in ["03 00 09 00", "03 02 09 00"] {
        let error = decode_payload(0x02, &format!("08 00 01 03 {trailing}")).unwrap_err();
        assert_eq!(error.code(), SessionErrorCode::KeyValueFormattingError);
    }
}

#[test]
fn more_parameters_announced_than_present_is_a_violation() {
    covers!("D16-9.2-07");
    for count in ["02", "c000000000000002", "ffffffffffffffff"] {
        let error = decode_payload(0x1e, &format!("02 {count} 10 01")).unwrap_err();
        assert_eq!(error.code(), SessionErrorCode::ProtocolViolation);
    }
    assert!(decode_payload(0x1e, "02 01 10 01").is_ok());
}

fn track_extensions(block: &str) -> TrackExtensions {
    match decode_payload(0x04, &format!("00 07 00 {block}")) {
        Ok(Message::Response { response: Response::Subscribe(ok), .. }) => ok.extensions,
        other => panic!("SUBSCRIBE_OK, not {other:?}"),
    }
}

#[test]
fn track_extensions_left_out_are_the_default() {
    covers!("D16-11.1.1.1-01");
    assert_eq!(track_extensions(""), TrackExtensions::default());
    assert_eq!(track_extensions("").default_publisher_priority, 128);
    assert_eq!(track_extensions("0e 40ff").default_publisher_priority, 255);
    assert!(decode_payload(0x04, "00 07 00 0e 4100").is_err(), "256 is no priority");
}

#[test]
fn of_a_repeated_track_extension_the_first_counts() {
    assert_eq!(track_extensions("04 05 00 06").max_cache_duration, Some(Duration::from_millis(5)));
}

#[test]
fn delta_types_start_anew_in_every_list() {
    covers!("D16-1.4.2-11", "D16-11.2-08");
    // Parameters to LARGEST_OBJECT (9), then MAX_CACHE_DURATION (4), then immutable extensions of a type 4.
    let Ok(Message::Response { response: Response::Subscribe(ok), .. }) =
        decode_payload(0x04, "00 07 01 09 02 03 09  04 05  07 02 04 06")
    else {
        panic!("SUBSCRIBE_OK")
    };
    assert_eq!(ok.extensions.max_cache_duration, Some(Duration::from_millis(5)));
    assert_eq!(ok.extensions.other, extensions("0b 02 04 06"));
    let Some(Value::Bytes(nested)) = ok.extensions.other.get(0x0b) else { panic!("immutable extensions") };
    let nested = extensions(&nested.iter().map(|byte| format!("{byte:02x}")).collect::<String>());
    assert_eq!(nested.get(4), Some(Value::Integer(6)));
}

#[test]
fn types_between_2_62_and_2_64_are_read() {
    covers!("D16-1.4.2-07");
    // Two deltas of 2^62-1: an odd type, then the even 2^63-2.
    let other = track_extensions("ffffffffffffffff 00  ffffffffffffffff 09").other;
    let keys: Vec<_> = other.iter().map(|pair| pair.key).collect();
    assert_eq!(keys, [(1 << 62) - 1, (1 << 63) - 2]);
}

#[test]
fn the_rules_are_those_of_the_draft() {
    let rules = draft().rules();
    assert_eq!(rules.setup_version, None);
    assert!(!rules.updatable.contains(&RequestKind::TrackStatus), "§9.19 forbids it");
    assert!(rules.updatable.contains(&RequestKind::Fetch));
    assert_eq!(draft().version().number(), 16);
}

#[test]
fn setup_and_messages_have_parameters_of_their_own() {
    covers!("D16-9.2.2-02");
    let setup = |pairs: &str| match decode_payload(0x20, pairs).unwrap() {
        Message::ClientSetup(setup) => setup,
        other => panic!("{other:?}"),
    };
    let subscribe = |pairs: &str| decode_payload(0x03, &format!("00 01 01 61 01 62 {pairs}"));
    // Type 2.
    assert_eq!(setup("01 02 05").max_request_id, 5);
    let Ok(Message::Request { request: Request::Subscribe(asked), .. }) = subscribe("01 02 05") else {
        panic!()
    };
    assert_eq!(asked.delivery_timeout, Some(Duration::from_millis(5)));
    // Type 3, which alone means the same.
    assert_eq!(setup("01 03 03 03 00 7a").authorization_tokens.len(), 1);
    // Type 4.
    assert_eq!(setup("01 04 05").max_auth_token_cache_size, 5);
    assert_eq!(subscribe("01 04 05").unwrap_err().field, "Parameter Type");
}
