//! Error codes, each table against the draft's.

use moqingbird_ledger::covers;
use moqingbird_wire::model::{
    ErrorContext, PublishDoneCode, RequestErrorCode, RequestKind, ResetCode, SessionErrorCode,
};

use crate::support::draft;

#[test]
fn session_codes_have_the_numbers_of_the_table() {
    covers!("D14-3.4-02");
    use SessionErrorCode::*;
    let table = [
        (0x0, NoError),
        (0x1, InternalError),
        (0x2, Unauthorized),
        (0x3, ProtocolViolation),
        (0x4, InvalidRequestId),
        (0x5, DuplicateTrackAlias),
        (0x6, KeyValueFormattingError),
        (0x7, TooManyRequests),
        (0x8, InvalidPath),
        (0x9, MalformedPath),
        (0x10, GoAwayTimeout),
        (0x11, ControlMessageTimeout),
        (0x12, DataStreamTimeout),
        (0x13, AuthTokenCacheOverflow),
        (0x14, DuplicateAuthTokenAlias),
        (0x15, VersionNegotiationFailed),
        (0x16, MalformedAuthToken),
        (0x17, UnknownAuthTokenAlias),
        (0x18, ExpiredAuthToken),
        (0x19, InvalidAuthority),
        (0x1a, MalformedAuthority),
    ];
    for number in 0..0x40 {
        let code = table.iter().find(|row| row.0 == number).map_or(Unknown(number), |row| row.1);
        assert_eq!(draft().session_error(number), code);
        assert_eq!(draft().session_code(code), number);
    }
    assert_eq!(table.len(), SessionErrorCode::NAMED.len(), "every code has a number");
}

#[test]
fn request_codes_have_the_numbers_of_their_answers_table() {
    use RequestErrorCode::*;
    let common = [(0x0, InternalError), (0x1, Unauthorized), (0x2, Timeout), (0x3, NotSupported)];
    let tokens = [(0x10, MalformedAuthToken), (0x12, ExpiredAuthToken)];
    let track = [(0x4, DoesNotExist), (0x5, InvalidRange)];
    let fetch = [
        (0x6, NoObjects),
        (0x7, InvalidJoiningRequestId),
        (0x8, UnknownStatusInRange),
        (0x9, MalformedTrack),
    ];
    let prefix = [(0x4, DoesNotExist), (0x5, PrefixOverlap)];
    let uninterested = [(0x4, Uninterested)];
    let request = ErrorContext::Request;
    for (context, tables) in [
        (request(RequestKind::Subscribe), vec![&common[..], &track, &tokens]),
        (request(RequestKind::TrackStatus), vec![&common, &track, &tokens]),
        (request(RequestKind::Fetch), vec![&common, &track, &fetch, &tokens]),
        (request(RequestKind::Publish), vec![&common, &uninterested]),
        (request(RequestKind::PublishNamespace), vec![&common, &uninterested, &tokens]),
        (ErrorContext::PublishNamespaceCancel, vec![&common, &uninterested, &tokens]),
        (request(RequestKind::SubscribeNamespace), vec![&common, &prefix, &tokens]),
        (request(RequestKind::Update), vec![]),
    ] {
        check_requests(context, &tables.concat());
    }
}

fn check_requests(context: ErrorContext, table: &[(u64, RequestErrorCode)]) {
    for number in 0..0x40 {
        let listed = table.iter().find(|row| row.0 == number);
        let code = listed.map_or(RequestErrorCode::Unknown(number), |row| row.1);
        assert_eq!(draft().request_error(context, number), code, "{context:?}");
        assert_eq!(draft().request_code(context, code), Some(number), "{context:?}");
    }
    for code in RequestErrorCode::NAMED {
        let number = table.iter().find(|row| row.1 == *code).map(|row| row.0);
        assert_eq!(draft().request_code(context, *code), number, "{context:?}: {code}");
    }
}

#[test]
fn publish_done_codes_have_the_numbers_of_the_table() {
    use PublishDoneCode::*;
    let table = [
        InternalError,
        Unauthorized,
        TrackEnded,
        SubscriptionEnded,
        GoingAway,
        Expired,
        TooFarBehind,
        MalformedTrack,
    ];
    for number in 0..0x40 {
        let code = table.get(number as usize).copied().unwrap_or(Unknown(number));
        assert_eq!(draft().publish_done(number), code);
        assert_eq!(draft().publish_done_code(code), Some(number));
    }
    assert_eq!(draft().publish_done_code(UpdateFailed), None);
}

#[test]
fn reset_codes_have_the_numbers_of_the_table() {
    use ResetCode::*;
    let table = [InternalError, Cancelled, DeliveryTimeout, SessionClosed];
    for number in 0..0x40 {
        let code = table.get(number as usize).copied().unwrap_or(Unknown(number));
        assert_eq!(draft().reset(number), code);
        assert_eq!(draft().reset_code(code), Some(number));
    }
    assert_eq!(draft().reset_code(UnknownObjectStatus), None);
    assert_eq!(draft().reset_code(MalformedTrack), None);
}
