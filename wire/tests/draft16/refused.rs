//! What is refused, for which field, and with which code the session is closed.

use moqingbird_wire::DecodeError;
use moqingbird_wire::buf::Reader;

use crate::support::{Vector, decode, decode_payload, draft, vectors};
use crate::uni;

fn assert_refused(vector: &Vector, outcome: Result<(), DecodeError>) {
    match outcome {
        Ok(()) => panic!("{vector}: read without an error"),
        Err(error) => {
            let found = (error.code().to_string(), error.field);
            assert_eq!(found, (vector["code"].to_owned(), vector["field"]), "{vector}: {error}");
            assert!(error.offset <= vector.bytes.len(), "{vector}: points into the unit");
        }
    }
}

#[test]
fn control_messages_are_refused_for_the_field_that_is_wrong() {
    for vector in vectors("control-refused") {
        assert_refused(&vector, decode(&vector.bytes).map(|_| ()));
    }
}

#[test]
fn streams_are_refused_for_the_field_that_is_wrong() {
    for vector in vectors("uni-refused") {
        let outcome = uni::read(&vector.bytes).map(|_| ());
        assert!(
            !outcome.as_ref().is_err_and(DecodeError::is_incomplete),
            "{}: no bytes mend it",
            vector.name
        );
        assert_refused(&vector, outcome);
    }
}

#[test]
fn datagrams_are_refused_for_the_field_that_is_wrong() {
    for vector in vectors("datagram-refused") {
        let outcome = draft().decode_datagram(&mut Reader::new(&vector.bytes)).map(|_| ());
        assert_refused(&vector, outcome);
    }
}

#[test]
fn the_offset_points_at_the_wrong_value() {
    // SUBSCRIBE of a/b with FORWARD 1 and a filter of type 5, which stands 11 bytes into the payload.
    let error = decode_payload(0x03, "00 01 01 61 01 62 02 10 01 11 01 05").unwrap_err();
    assert_eq!((error.field, error.offset), ("SUBSCRIPTION_FILTER", 11));
    // A token of which the alias is cut off: the end of the value.
    let error = decode_payload(0x03, "00 01 01 61 01 62 01 03 01 02").unwrap_err();
    assert_eq!((error.field, error.offset), ("AUTHORIZATION_TOKEN", 10));
}
