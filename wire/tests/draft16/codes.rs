//! The registries of codes (§13.4), as the draft prints them.

use moqingbird_ledger::covers;
use moqingbird_wire::model::*;

use crate::support::draft;

/// Every named code has its number, every number its code, and all other numbers are kept.
fn assert_registry<C: Copy + PartialEq + std::fmt::Debug + std::fmt::Display>(
    registered: &[(u64, &str)],
    unknown: impl Fn(u64) -> C,
    number: impl Fn(C) -> Option<u64>,
    code: impl Fn(u64) -> C,
) {
    for candidate in (0..0x200).chain([(1 << 62) - 1]) {
        let found = code(candidate);
        match registered.iter().find(|(number, _)| *number == candidate) {
            Some((_, name)) => assert_eq!(found.to_string(), *name),
            None => assert_eq!(found, unknown(candidate)),
        }
        assert_eq!(number(found), Some(candidate));
    }
}

#[test]
fn session_errors() {
    covers!("D16-3.4-05");
    let registered = [
        (0x0, "NO_ERROR"),
        (0x1, "INTERNAL_ERROR"),
        (0x2, "UNAUTHORIZED"),
        (0x3, "PROTOCOL_VIOLATION"),
        (0x4, "INVALID_REQUEST_ID"),
        (0x5, "DUPLICATE_TRACK_ALIAS"),
        (0x6, "KEY_VALUE_FORMATTING_ERROR"),
        (0x7, "TOO_MANY_REQUESTS"),
        (0x8, "INVALID_PATH"),
        (0x9, "MALFORMED_PATH"),
        (0x10, "GOAWAY_TIMEOUT"),
        (0x11, "CONTROL_MESSAGE_TIMEOUT"),
        (0x12, "DATA_STREAM_TIMEOUT"),
        (0x13, "AUTH_TOKEN_CACHE_OVERFLOW"),
        (0x14, "DUPLICATE_AUTH_TOKEN_ALIAS"),
        (0x15, "VERSION_NEGOTIATION_FAILED"),
        (0x16, "MALFORMED_AUTH_TOKEN"),
        (0x17, "UNKNOWN_AUTH_TOKEN_ALIAS"),
        (0x18, "EXPIRED_AUTH_TOKEN"),
        (0x19, "INVALID_AUTHORITY"),
        (0x1a, "MALFORMED_AUTHORITY"),
    ];
    assert_registry(
        &registered,
        SessionErrorCode::Unknown,
        |code| Some(draft().session_code(code)),
        |number| draft().session_error(number),
    );
}

#[test]
fn request_errors_are_the_same_in_every_context() {
    covers!("D16-9.8-06");
    let registered = [
        (0x0, "INTERNAL_ERROR"),
        (0x1, "UNAUTHORIZED"),
        (0x2, "TIMEOUT"),
        (0x3, "NOT_SUPPORTED"),
        (0x4, "MALFORMED_AUTH_TOKEN"),
        (0x5, "EXPIRED_AUTH_TOKEN"),
        (0x10, "DOES_NOT_EXIST"),
        (0x11, "INVALID_RANGE"),
        (0x12, "MALFORMED_TRACK"),
        (0x19, "DUPLICATE_SUBSCRIPTION"),
        (0x20, "UNINTERESTED"),
        (0x30, "PREFIX_OVERLAP"),
        (0x32, "INVALID_JOINING_REQUEST_ID"),
    ];
    for context in [
        ErrorContext::Request(RequestKind::Subscribe),
        ErrorContext::Request(RequestKind::Publish),
        ErrorContext::Request(RequestKind::Fetch),
        ErrorContext::Request(RequestKind::TrackStatus),
        ErrorContext::Request(RequestKind::PublishNamespace),
        ErrorContext::Request(RequestKind::SubscribeNamespace),
        ErrorContext::Request(RequestKind::Update),
        ErrorContext::PublishNamespaceCancel,
    ] {
        assert_registry(
            &registered,
            RequestErrorCode::Unknown,
            |code| draft().request_code(context, code),
            |number| draft().request_error(context, number),
        );
        for gone in [RequestErrorCode::NoObjects, RequestErrorCode::UnknownStatusInRange] {
            assert_eq!(draft().request_code(context, gone), None);
        }
    }
}

#[test]
fn publish_done_codes() {
    covers!("D16-9.15-12");
    let registered = [
        (0x0, "INTERNAL_ERROR"),
        (0x1, "UNAUTHORIZED"),
        (0x2, "TRACK_ENDED"),
        (0x3, "SUBSCRIPTION_ENDED"),
        (0x4, "GOING_AWAY"),
        (0x5, "EXPIRED"),
        (0x6, "TOO_FAR_BEHIND"),
        (0x8, "UPDATE_FAILED"),
        (0x12, "MALFORMED_TRACK"),
    ];
    assert_registry(
        &registered,
        PublishDoneCode::Unknown,
        |code| draft().publish_done_code(code),
        |number| draft().publish_done(number),
    );
}

#[test]
fn reset_codes() {
    covers!("D16-10.4.3-16");
    let registered = [
        (0x0, "INTERNAL_ERROR"),
        (0x1, "CANCELLED"),
        (0x2, "DELIVERY_TIMEOUT"),
        (0x3, "SESSION_CLOSED"),
        (0x4, "UNKNOWN_OBJECT_STATUS"),
        (0x12, "MALFORMED_TRACK"),
    ];
    assert_registry(
        &registered,
        ResetCode::Unknown,
        |code| draft().reset_code(code),
        |number| draft().reset(number),
    );
}
