//! What explanations tell: every field at its place, and what is wrong at the byte that is.

use bytes::{BufMut, Bytes, BytesMut};
use moqingbird_wire::explain::{self, Consequence, Explanation, Field, FieldValue};
use moqingbird_wire::model::SessionErrorCode;
use moqingbird_wire::{Draft, Version};

fn draft14() -> &'static dyn Draft {
    Version::Draft14.draft()
}

fn draft16() -> &'static dyn Draft {
    Version::Draft16.draft()
}

fn hex(text: &str) -> Bytes {
    let digits: Vec<_> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    digits
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect::<Vec<_>>()
        .into()
}

fn field(name: &'static str, range: std::ops::Range<usize>, value: FieldValue) -> Field {
    Field { name, range, value }
}

fn names(explanation: &Explanation) -> Vec<&str> {
    explanation.units.iter().map(|unit| unit.name.as_str()).collect()
}

/// The code with which the session is closed, and whether more bytes could avert it.
fn closes(explanation: &Explanation) -> (SessionErrorCode, bool) {
    match explanation.trouble.as_ref().expect("trouble").consequence {
        Consequence::Close { code, unless_more, .. } => (code, unless_more),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_subscribe_is_told_field_by_field_down_into_its_filter() {
    let explanation = explain::control(draft16(), hex("03 000a 02 01 0161 0162 01 21 01 02"));
    assert_eq!(explanation.trouble, None);
    assert_eq!(names(&explanation), ["SUBSCRIBE"]);
    use FieldValue::{Bytes, Key, Length, Number};
    let expected = [
        field("Message Type", 0..1, Number(3)),
        field("Message Length", 1..3, Number(10)),
        field("Request ID", 3..4, Number(2)),
        field("Track Namespace", 4..5, Length(1)),
        field("Track Namespace", 5..6, Length(1)),
        field("Track Namespace", 6..7, Bytes),
        field("Track Name", 7..8, Length(1)),
        field("Track Name", 8..9, Bytes),
        field("Number of Parameters", 9..10, Number(1)),
        field("Parameters", 10..11, Key { key: 0x21, name: Some("SUBSCRIPTION_FILTER") }),
        field("Parameters", 11..12, Length(1)),
        field("Parameters", 12..13, Bytes),
        field("Filter Type", 12..13, Number(2)),
    ];
    assert_eq!(explanation.units[0].fields, expected);
}

#[test]
fn types_that_are_spelled_as_distances_are_told_as_types() {
    let explanation = explain::control(draft16(), hex("03 000b 02 01 0161 0162 02 10 01 10 05"));
    let keys: Vec<_> = explanation.units[0]
        .fields
        .iter()
        .filter_map(|field| match field.value {
            FieldValue::Key { key, name } => Some((key, name)),
            _ => None,
        })
        .collect();
    assert_eq!(keys, [(0x10, Some("FORWARD")), (0x20, Some("SUBSCRIBER_PRIORITY"))]);
}

#[test]
fn a_bad_parameter_is_pointed_at_with_its_rule_and_the_code_that_follows() {
    let explanation = explain::control(draft16(), hex("03 000a 02 01 0161 0162 01 21 01 09"));
    let trouble = explanation.trouble.as_ref().unwrap();
    assert_eq!((trouble.field, trouble.offset), ("SUBSCRIPTION_FILTER", 12));
    assert_eq!(closes(&explanation), (SessionErrorCode::ProtocolViolation, false));
    assert_eq!(names(&explanation), ["SUBSCRIBE, unfinished"]);
    let shown = explanation.to_string();
    let expected = "\
error: SUBSCRIPTION_FILTER at byte 12: 0x9 has no meaning in this draft
     0  03 00 0a 02 01 01 61 01 62 01 21 01 09
                                            ^^
the session is closed with PROTOCOL_VIOLATION (0x3)
";
    assert!(shown.ends_with(expected), "{shown}");
}

#[test]
fn a_malformed_token_is_told_with_its_own_code() {
    let explanation = explain::control(draft14(), hex("03 000f 02 01 0161 0162 80 00 01 02 01 03 02 07 00"));
    let trouble = explanation.trouble.as_ref().unwrap();
    assert_eq!((trouble.field, trouble.offset), ("AUTHORIZATION TOKEN", 16));
    assert_eq!(closes(&explanation), (SessionErrorCode::KeyValueFormattingError, false));
}

#[test]
fn an_unknown_message_is_pointed_at_by_its_type() {
    for draft in Version::ALL {
        // REQUESTS_BLOCKED, then a type that neither draft has.
        let explanation = explain::control(draft.draft(), hex("1a 0001 05  3f 0001 00"));
        let trouble = explanation.trouble.as_ref().unwrap();
        assert_eq!((trouble.field, trouble.offset), ("Message Type", 4), "{draft}");
        assert_eq!(names(&explanation)[0], "REQUESTS_BLOCKED", "{draft}");
    }
}

#[test]
fn a_fetch_stream_is_told_with_its_ends_of_ranges() {
    // §10.4.4.2: nothing exists up to 7:12, nothing is known up to 7:15.
    let stream = hex("05 04 | 1c 01 00 80 02 6162 | 408c 07 0c | 410c 07 0f | 1c 08 00 80 01 7a");
    let explanation = explain::uni(draft16(), stream);
    assert_eq!(explanation.trouble, None);
    assert_eq!(
        names(&explanation),
        [
            "FETCH_HEADER, request 4",
            "object 0 of group 1, 2 bytes",
            "end of range: no object exists up to object 12 of group 7",
            "end of range: it is unknown whether objects exist up to object 15 of group 7",
            "object 0 of group 8, 1 bytes",
        ]
    );
    let marker = &explanation.units[2];
    let expected = [
        field("Serialization Flags", 7 + 2..11, FieldValue::Number(0x8c)),
        field("Group ID", 11..12, FieldValue::Number(7)),
        field("Object ID", 12..13, FieldValue::Number(12)),
    ];
    assert_eq!(marker.fields, expected);
}

#[test]
fn a_subgroup_stream_is_told_with_extension_headers_and_payloads() {
    for (draft, stream) in [
        (draft14(), "11 07 03 80 | 00 06 20 01 22 05 23 00 03 616263"),
        (draft16(), "11 07 03 80 | 00 06 20 01 02 05 01 00 03 616263"),
    ] {
        let explanation = explain::uni(draft, hex(stream));
        assert_eq!(explanation.trouble, None, "{}", draft.version());
        let object = &explanation.units[1];
        let key = |key| FieldValue::Key { key, name: None };
        let told: Vec<_> = object.fields.iter().map(|field| (field.name, field.value)).collect();
        assert_eq!(told[2], ("Extension Headers", key(0x20)), "{}", draft.version());
        assert_eq!(told[4], ("Extension Headers", key(0x22)), "{}", draft.version());
        assert_eq!(told.last(), Some(&("Object Payload", FieldValue::Bytes)), "{}", draft.version());
    }
}

#[test]
fn extension_headers_that_the_drafts_define_are_told_by_name() {
    for draft in Version::ALL {
        let explanation = explain::uni(draft.draft(), hex("11 07 03 80 | 01 02 3e 01 01 61"));
        let gap = FieldValue::Key { key: 0x3e, name: Some("Prior Object ID Gap") };
        assert!(explanation.units[1].fields.iter().any(|field| field.value == gap), "{explanation}");
    }
}

#[test]
fn a_stream_that_ends_inside_a_field_is_closed_unless_more_comes() {
    let explanation = explain::uni(draft16(), hex("10 07 03 80 | 00 05 6162"));
    let trouble = explanation.trouble.as_ref().unwrap();
    assert_eq!((trouble.field, trouble.offset), ("Object Payload", 6));
    assert_eq!(closes(&explanation), (SessionErrorCode::ProtocolViolation, true));
}

#[test]
fn an_object_that_shows_a_malformed_track_cancels_the_track_only() {
    // Status End of Group, and an object behind it.
    let explanation = explain::uni(draft16(), hex("10 07 03 80 | 00 00 03 | 00 01 61"));
    let trouble = explanation.trouble.as_ref().unwrap();
    assert_eq!((trouble.offset, trouble.consequence), (7, Consequence::CancelTrack));
}

#[test]
fn a_datagram_is_told_with_its_payload() {
    for draft in Version::ALL {
        let explanation = explain::datagram(draft.draft(), hex("00 07 03 05 80 6869"));
        assert_eq!(explanation.trouble, None, "{draft}");
        let payload = field("Object Payload", 5..7, FieldValue::Bytes);
        assert_eq!(explanation.units[0].fields.last(), Some(&payload), "{draft}");
        assert!(explanation.to_string().contains("\"hi\""), "{draft}");
    }
}

#[test]
fn the_fields_of_a_unit_cover_its_bytes() {
    for draft in Version::ALL {
        let explanation = explain::datagram(draft.draft(), hex("00 07 4003 05 80 6869"));
        let unit = &explanation.units[0];
        let mut covered = BytesMut::new();
        for field in &unit.fields {
            covered.put(&explanation.bytes[field.range.clone()]);
        }
        assert_eq!(covered, explanation.bytes, "{draft}");
    }
}

#[test]
fn any_bytes_are_explained_as_they_would_be_decoded() {
    // Every cut of a stream in order: what is wrong is what is missing.
    let stream = hex("11 07 03 80 00 06 20 01 02 05 01 00 03 616263 00 00 00 00");
    for end in 0..stream.len() {
        let explanation = explain::uni(draft16(), stream.slice(..end));
        if let Some(trouble) = &explanation.trouble {
            assert!(closes(&explanation).1, "cut at {end}: {trouble:?}");
            assert!(explanation.to_string().contains("^^"), "cut at {end}");
        }
    }
}
