//! Why a request is declined reaches its asker as the code that the draft has for it in that place.

use moqingbird::Version;
use moqingbird::session::{Event, Side};
use moqingbird::wire::model::{
    ErrorContext, Message, Request, RequestError, RequestErrorCode as Code, RequestId, Subscribe,
};
use moqingbird_ledger::covers;

use crate::support::pair::{CLIENT, Pair, SERVER};
use crate::support::raw::Raw;
use crate::support::{fetch, publish, publish_namespace, subscribe, subscribe_namespace, track};

fn track_status() -> Request {
    Request::TrackStatus(Subscribe::new(track("live/cam/video")))
}

/// Declined for each of these causes, a request is answered with the number that stands by it.
fn declined(version: Version, request: &Request, causes: &[(Code, u64)]) {
    let draft = version.draft();
    let context = ErrorContext::Request(request.kind());
    for (cause, number) in causes {
        let mut pair = Pair::new(draft);
        let id = pair.ask(CLIENT, request.clone());
        let now = pair.now;
        pair.session(SERVER).reject(now, id, RequestError::new(*cause, "so it is")).unwrap();
        let Event::Rejected { id: it, error } = pair.event(CLIENT) else { panic!("{request:?}") };
        assert_eq!((it, error.code), (id, *cause), "{request:?}");
        assert_eq!(draft.request_code(context, error.code), Some(*number), "{request:?}");
        pair.assert_idle();
    }
}

const COMMON: [(Code, u64); 4] =
    [(Code::InternalError, 0x0), (Code::Unauthorized, 0x1), (Code::Timeout, 0x2), (Code::NotSupported, 0x3)];
const TOKENS_14: [(Code, u64); 2] = [(Code::MalformedAuthToken, 0x10), (Code::ExpiredAuthToken, 0x12)];

#[test]
fn every_cause_has_its_code_in_draft_14() {
    let of_track = [(Code::DoesNotExist, 0x4), (Code::InvalidRange, 0x5)];
    let of_fetch = [
        (Code::NoObjects, 0x6),
        (Code::InvalidJoiningRequestId, 0x7),
        (Code::UnknownStatusInRange, 0x8),
        (Code::MalformedTrack, 0x9),
    ];
    let of_prefix = [(Code::DoesNotExist, 0x4), (Code::PrefixOverlap, 0x5)];
    for (request, causes, _row) in [
        (subscribe("live/cam/video"), [&of_track[..], &TOKENS_14].concat(), covers!("D14-9.9-01")),
        (publish("live/cam/video"), vec![(Code::Uninterested, 0x4)], covers!("D14-9.15-01")),
        (fetch(0, 1), [&of_track[..], &of_fetch, &TOKENS_14].concat(), covers!("D14-9.18-01")),
        (subscribe_namespace("live"), [&of_prefix[..], &TOKENS_14].concat(), covers!("D14-9.30-01")),
    ] {
        declined(Version::Draft14, &request, &COMMON);
        declined(Version::Draft14, &request, &causes);
    }
}

#[test]
fn every_cause_has_its_code_in_draft_16() {
    covers!("D16-9.8-05");
    let others = [
        (Code::MalformedAuthToken, 0x4),
        (Code::ExpiredAuthToken, 0x5),
        (Code::DoesNotExist, 0x10),
        (Code::InvalidRange, 0x11),
        (Code::MalformedTrack, 0x12),
        (Code::DuplicateSubscription, 0x19),
        (Code::Uninterested, 0x20),
        (Code::PrefixOverlap, 0x30),
        (Code::InvalidJoiningRequestId, 0x32),
    ];
    for request in every_kind() {
        declined(Version::Draft16, &request, &COMMON);
        declined(Version::Draft16, &request, &others);
    }
}

fn every_kind() -> [Request; 6] {
    [
        subscribe("live/cam/video"),
        publish("live/cam/video"),
        fetch(0, 1),
        track_status(),
        publish_namespace("live"),
        subscribe_namespace("live"),
    ]
}

#[test]
fn what_is_not_supported_is_declined_with_0x3_whatever_it_is() {
    covers!("D14-4-01", "D14-4-02", "D16-4-01");
    for version in [Version::Draft14, Version::Draft16] {
        for request in every_kind() {
            declined(version, &request, &[(Code::NotSupported, 0x3)]);
        }
        // A peer that is declined may ask on: the session has come to no harm.
        let mut raw = Raw::new(version.draft(), Side::Server);
        for (number, request) in [fetch(0, 1), subscribe("live/cam/video")].into_iter().enumerate() {
            let id = RequestId(2 * number as u64);
            raw.say(&Message::Request { id, request });
            raw.session.reject(raw.now, id, RequestError::new(Code::NotSupported, "")).unwrap();
            assert!(matches!(raw.heard_one(), Message::RequestError { .. }));
        }
        raw.assert_open();
    }
}
