//! Bytes that the draft forbids: which field is blamed, for what, and with which code the session is closed.

use bytes::Bytes;
use moqingbird_ledger::covers;
use moqingbird_wire::buf::{Reader, integer};
use moqingbird_wire::model::SessionErrorCode;
use moqingbird_wire::stream::{FetchCursor, SubgroupCursor};
use moqingbird_wire::{DecodeError, Fault};

use crate::support::{at_start, draft, hex, read, vectors};

#[test]
fn every_refused_vector_is_refused_for_its_reason() {
    for vector in vectors("refused") {
        let error = refusal(vector["unit"], &vector.bytes).unwrap_or_else(|| panic!("{vector} is accepted"));
        assert_eq!((error.field, word(&error.fault)), (vector["field"], vector["fault"]), "{vector}");
        let code = match vector["fault"] {
            "formatting" => SessionErrorCode::KeyValueFormattingError,
            _ => SessionErrorCode::ProtocolViolation,
        };
        assert_eq!(error.code(), code, "{vector}");
    }
}

#[test]
fn a_count_of_parameters_that_is_not_theirs_is_a_violation() {
    covers!("D14-9.2-06");
    for name in ["parameter-count-over-the-pairs", "parameter-count-under-the-pairs"] {
        assert_eq!(named("control", name).code(), SessionErrorCode::ProtocolViolation, "{name}");
    }
}

#[test]
fn pairs_that_do_not_fill_their_block_are_a_violation() {
    covers!("D14-10.2.1.2-06");
    for (unit, name) in [
        ("object-with-extensions", "pair-past-the-block"),
        ("object-with-extensions", "value-past-the-block"),
        ("fetch", "pair-past-the-block"),
        ("datagram", "pair-past-the-block"),
    ] {
        let error = named(unit, name);
        assert!(!error.is_incomplete(), "{unit} {name}: more bytes would not help");
        assert_eq!(error.code(), SessionErrorCode::ProtocolViolation, "{unit} {name}");
    }
}

#[test]
fn bytes_after_a_datagrams_status_are_refused() {
    covers!("D14-10.3.1-05");
    assert_eq!(named("datagram", "bytes-after-status").fault, Fault::Trailing(1));
    for bytes in ["20 07 05 03 80 03", "21 07 05 03 80 02 3c 01 03"] {
        assert_eq!(refusal("datagram", &hex(bytes)), None, "{bytes}");
        let longer = hex(&format!("{bytes} 00"));
        assert_eq!(refusal("datagram", &longer).map(|error| error.fault), Some(Fault::Trailing(1)));
    }
}

#[test]
fn an_object_id_over_the_largest_is_refused() {
    covers!("D14-10.4.2-12");
    let at = SubgroupCursor { extensions: false, previous: Some(integer::MAX - 1) };
    let id =
        |bytes: &Bytes| draft().decode_object(&at, &mut Reader::new(bytes)).map(|object| object.object_id);
    assert_eq!(id(&hex("00 01")), Ok(integer::MAX));
    assert_eq!(id(&hex("01 01")).map_err(|error| error.field), Err("Object ID Delta"));
    assert_eq!(id(&hex("ff ff ff ff ff ff ff ff 01")).map_err(|error| error.field), Err("Object ID Delta"));
}

#[test]
fn an_error_is_placed_at_its_field() {
    for (bytes, offset) in [
        // Group Order, Forward, the token's Alias Type, the second DELIVERY TIMEOUT.
        ("03 00 12 00 02 04 6c 69 76 65 03 63 61 6d 01 76 80 03 01 02 00", 14),
        ("03 00 12 00 02 04 6c 69 76 65 03 63 61 6d 01 76 80 00 02 02 00", 15),
        ("06 00 0b 0a 01 04 6c 69 76 65 01 03 01 09", 10),
        ("03 00 16 00 02 04 6c 69 76 65 03 63 61 6d 01 76 80 00 01 02 02 02 05 02 05", 20),
    ] {
        assert_eq!(read(&hex(bytes)).expect_err(bytes).offset, offset, "{bytes}");
    }
}

fn named(unit: &str, name: &str) -> DecodeError {
    let vector = vectors("refused").into_iter().find(|vector| vector["unit"] == unit && vector.name == name);
    refusal(unit, &vector.unwrap_or_else(|| panic!("no vector {unit} {name}")).bytes).expect(name)
}

fn refusal(unit: &str, bytes: &Bytes) -> Option<DecodeError> {
    let r = &mut Reader::new(bytes);
    let after_largest = SubgroupCursor { extensions: false, previous: Some(integer::MAX) };
    match unit {
        "control" => read(bytes).err(),
        "stream" => draft().decode_opening(r).err(),
        "object" => draft().decode_object(&at_start(false), r).err(),
        "object-with-extensions" => draft().decode_object(&at_start(true), r).err(),
        "object-after-largest" => draft().decode_object(&after_largest, r).err(),
        "fetch" => draft().decode_fetch_item(&FetchCursor::default(), r).err(),
        "datagram" => draft().decode_datagram(r).err(),
        _ => panic!("no unit {unit}"),
    }
}

fn word(fault: &Fault) -> &'static str {
    match fault {
        Fault::Incomplete => "incomplete",
        Fault::Trailing(_) => "trailing",
        Fault::Invalid(_) => "invalid",
        Fault::Unknown(_) => "unknown",
        Fault::Formatting(_) => "formatting",
        Fault::TooLong { .. } => "too-long",
        _ => "another",
    }
}
