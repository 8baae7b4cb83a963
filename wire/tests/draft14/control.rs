//! Every control message: what its bytes mean, and that its meaning is written with these bytes.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use moqingbird_ledger::covers;
use moqingbird_wire::list::{KeyValue, Value};
use moqingbird_wire::model::{
    AuthorizationToken, EndLocation, Fetch, FetchOk, FetchRange, FullTrackName, GoAway, GroupOrder, Location,
    Message, Publish, PublishDone, PublishDoneCode, PublishNamespace, PublishOk, ReasonPhrase, Request,
    RequestError, RequestErrorCode, RequestId, RequestKind, RequestOk, RequestUpdate, Response,
    STREAM_COUNT_UNKNOWN, Setup, Subscribe, SubscribeNamespace, SubscribeOk, SubscriptionFilter, Target,
    TrackAlias, TrackExtensions, TrackNamespace,
};
use moqingbird_wire::{Assembler, Fault};

use crate::support::{Vector, draft, hex, namespace, read, read_hex, track, vector, vectors, write};

const DRAFT: u64 = 0xff00_000e;

#[test]
fn every_vector_means_what_is_said_and_is_written_the_same() {
    for vector in vectors("control") {
        assert_eq!(read(&vector.bytes), Ok(meaning(vector.name)), "{vector}");
        assert_eq!(write(&meaning(vector.name)).as_ref(), Ok(&vector.bytes), "{vector}");
    }
}

#[test]
fn other_spellings_mean_the_same() {
    for vector in vectors("accepted") {
        assert_eq!(read(&vector.bytes), Ok(meaning(vector["means"])), "{vector}");
    }
}

#[test]
fn every_message_type_has_a_vector_and_no_other_number_is_one() {
    covers!("D14-9-06");
    let listed: BTreeSet<u8> = (0x02..=0x1a).chain(0x1d..=0x21).collect();
    let seen: BTreeSet<u8> = vectors("control").iter().map(|vector| vector.bytes[0]).collect();
    assert_eq!(seen, listed);
    for (name, kind) in TYPES {
        assert_eq!(write(&meaning(name)).unwrap()[0], *kind, "{name}");
    }
    assert_eq!(TYPES.len(), listed.len());
}

/// The table of draft-14 §9.
const TYPES: &[(&str, u8)] = &[
    ("client-setup", 0x20),
    ("server-setup", 0x21),
    ("goaway", 0x10),
    ("max-request-id", 0x15),
    ("requests-blocked", 0x1a),
    ("subscribe-largest-object", 0x03),
    ("subscribe-ok", 0x04),
    ("subscribe-error", 0x05),
    ("subscribe-update-range", 0x02),
    ("unsubscribe", 0x0a),
    ("publish-done-track-ended", 0x0b),
    ("publish", 0x1d),
    ("publish-ok", 0x1e),
    ("publish-error", 0x1f),
    ("fetch-standalone", 0x16),
    ("fetch-ok", 0x18),
    ("fetch-error", 0x19),
    ("fetch-cancel", 0x17),
    ("track-status", 0x0d),
    ("track-status-ok", 0x0e),
    ("track-status-error", 0x0f),
    ("publish-namespace", 0x06),
    ("publish-namespace-ok", 0x07),
    ("publish-namespace-error", 0x08),
    ("publish-namespace-done", 0x09),
    ("publish-namespace-cancel", 0x0c),
    ("subscribe-namespace", 0x11),
    ("subscribe-namespace-ok", 0x12),
    ("subscribe-namespace-error", 0x13),
    ("unsubscribe-namespace", 0x14),
];

#[test]
fn the_length_of_every_message_is_two_bytes() {
    covers!("D14-9-05");
    for vector in vectors("control") {
        let name = vector.name;
        let bytes = write(&meaning(name)).unwrap();
        assert_eq!(usize::from(u16::from_be_bytes([bytes[1], bytes[2]])), bytes.len() - 3, "{name}");
    }
    assert_eq!(write(&meaning("publish")).unwrap()[1..3], [0x00, 0x12]);
}

#[test]
fn messages_split_over_reads_or_joined_in_one_are_the_same() {
    covers!("D14-9-07");
    let all: Vec<u8> = vectors("control").into_iter().flat_map(|vector| vector.bytes).collect();
    let expected: Vec<_> = vectors("control").iter().map(|vector| meaning(vector.name)).collect();
    for size in [1, 7, all.len()] {
        let mut assembler = Assembler::new();
        let mut messages = Vec::new();
        for chunk in all.chunks(size) {
            assembler.push(Bytes::copy_from_slice(chunk));
            while let Some(frame) = assembler.next_frame() {
                messages.push(draft().decode_control(&frame).unwrap());
            }
        }
        assert!(assembler.is_empty());
        assert_eq!(messages, expected, "in chunks of {size}");
    }
}

#[test]
fn a_message_cut_anywhere_is_incomplete() {
    for Vector { name, bytes, .. } in vectors("control") {
        for end in 3..bytes.len() {
            let cut = crate::support::framed(bytes[0], &bytes[3..end]);
            let error = read(&cut).expect_err(name);
            assert!(
                error.fault == Fault::Incomplete && error.offset <= end - 3,
                "{name} cut at {end}: {error:?}"
            );
        }
    }
}

#[test]
fn setup_lists_versions_then_parameters() {
    covers!("D14-9.3-02", "D14-9.3.1-04");
    let Ok(Message::ClientSetup(setup)) = read(&vector("client-setup-three-versions-every-parameter")) else {
        panic!("no CLIENT_SETUP")
    };
    assert_eq!(setup.versions, [0xff00_000d, DRAFT, 1]);
    let Ok(Message::ServerSetup(setup)) = read(&vector("server-setup")) else { panic!("no SERVER_SETUP") };
    assert_eq!((setup.versions, setup.max_request_id), (vec![DRAFT], 100));

    assert_eq!(draft().rules().setup_version, Some(DRAFT));
    let offer = Setup { versions: vec![DRAFT], ..Setup::default() };
    assert_eq!(write(&Message::ClientSetup(offer)).unwrap(), hex("20 00 0a 01 c0 00 00 00 ff 00 00 0e 00"));
}

#[test]
fn start_and_end_stand_only_where_the_filter_needs_them() {
    covers!("D14-9.7-18");
    let start = Location::new(5, 300);
    for (filter, tail) in [
        (SubscriptionFilter::NextGroupStart, "01 00"),
        (SubscriptionFilter::LargestObject, "02 00"),
        (SubscriptionFilter::AbsoluteStart(start), "03 05 41 2c 00"),
        (SubscriptionFilter::AbsoluteRange { start, end_group: 9 }, "04 05 41 2c 09 00"),
    ] {
        let message = request(0, Request::Subscribe(Subscribe { filter: Some(filter), ..subscribe() }));
        let bytes = write(&message).unwrap();
        assert_eq!(bytes[3 + 16..], hex(tail)[..], "{filter:?}");
        assert_eq!(read(&bytes), Ok(message));
    }
    // The fields of one filter under the type of another.
    let body = "02 04 6c 69 76 65 03 63 61 6d 01 76 80 00 01";
    for misfit in ["03 00 11 00 BODY 03", "03 00 13 00 BODY 02 05 00", "03 00 14 00 BODY 03 05 00 09"] {
        assert!(read_hex(&misfit.replace("BODY", body)).is_err(), "{misfit}");
    }
}

#[test]
fn the_largest_location_stands_only_if_content_exists() {
    covers!("D14-9.8-06");
    for (largest, tail) in [(None, "00 00"), (Some(Location::new(100, 3)), "01 40 64 03 00")] {
        let ok = Response::Subscribe(SubscribeOk { largest, ..subscribe_ok() });
        let bytes = write(&response(0, ok.clone())).unwrap();
        assert_eq!(bytes[3 + 4..], hex(tail)[..]);
        assert_eq!(read(&bytes), Ok(response(0, ok)));
    }
}

#[test]
fn the_end_group_of_an_update_is_one_more_or_zero() {
    covers!("D14-9.10-07");
    let start = Location::new(6, 0);
    for (filter, field) in [
        (SubscriptionFilter::AbsoluteRange { start, end_group: 8 }, 9),
        (SubscriptionFilter::AbsoluteRange { start: Location::default(), end_group: 0 }, 1),
        (SubscriptionFilter::AbsoluteStart(start), 0),
    ] {
        let message = update(4, 2, RequestUpdate { filter: Some(filter), ..narrowed() });
        let bytes = write(&message).unwrap();
        assert_eq!(bytes[3 + 4], field, "{filter:?}");
        assert_eq!(read(&bytes), Ok(message));
    }
}

#[test]
fn publish_ok_is_forward_priority_order_filter() {
    covers!("D14-9.14-04");
    let expected = PublishOk {
        forward: false,
        subscriber_priority: 128,
        group_order: Some(GroupOrder::Ascending),
        filter: Some(SubscriptionFilter::NextGroupStart),
        delivery_timeout: None,
        expires: None,
        new_group_request: None,
    };
    assert_eq!(read_hex("1e 00 06 01 00 80 01 01 00"), Ok(response(1, Response::Publish(expected))));
}

#[test]
fn the_end_of_a_standalone_fetch_is_one_past_its_last_object_or_a_whole_group() {
    covers!("D14-9.16.1-01");
    let end = |bytes: &str| match read_hex(bytes) {
        Ok(Message::Request {
            request: Request::Fetch(Fetch { range: FetchRange::Standalone { end, .. }, .. }),
            ..
        }) => end,
        other => panic!("{other:?}"),
    };
    let fetch = "16 00 15 06 80 01 01 02 04 6c 69 76 65 03 63 61 6d 01 76 02 00";
    assert_eq!(end(&format!("{fetch} 04 01 00")), EndLocation { group: 4, object: Some(0) });
    assert_eq!(end(&format!("{fetch} 04 00 00")), EndLocation { group: 4, object: None });
}

#[test]
fn track_status_has_the_bodies_of_subscribe() {
    covers!("D14-9.20-04");
    let under = |kind: u8, name: &str| {
        let mut bytes = vector(name).to_vec();
        bytes[0] = kind;
        read(&bytes.into()).unwrap()
    };
    let asked = Subscribe { delivery_timeout: None, ..subscribe() };
    assert_eq!(under(0x0d, "subscribe-largest-object"), request(0, Request::TrackStatus(asked)));
    let ok = RequestOk { largest: Some(Location::new(100, 3)), ..RequestOk::default() };
    assert_eq!(under(0x0e, "subscribe-ok"), response(0, granted(RequestKind::TrackStatus, ok)));
    assert_eq!(
        under(0x0f, "subscribe-error"),
        declined(RequestKind::TrackStatus, 0, RequestErrorCode::DoesNotExist, "no")
    );
}

#[test]
fn publish_namespace_done_carries_only_a_namespace() {
    covers!("D14-9.26-01");
    let live = Target::Namespace(namespace(&["live"]));
    assert_eq!(read_hex("09 00 06 01 04 6c 69 76 65"), Ok(Message::PublishNamespaceDone(live)));
}

#[test]
fn publish_namespace_cancel_carries_namespace_code_and_reason() {
    covers!("D14-9.27-01");
    for (number, code) in [
        (0x00, RequestErrorCode::InternalError),
        (0x01, RequestErrorCode::Unauthorized),
        (0x02, RequestErrorCode::Timeout),
        (0x03, RequestErrorCode::NotSupported),
        (0x04, RequestErrorCode::Uninterested),
        (0x10, RequestErrorCode::MalformedAuthToken),
        (0x12, RequestErrorCode::ExpiredAuthToken),
        (0x11, RequestErrorCode::Unknown(0x11)),
    ] {
        let error = RequestError::new(code, "no");
        let target = Target::Namespace(namespace(&["live"]));
        let message = Message::PublishNamespaceCancel { target, error };
        let bytes = hex(&format!("0c 00 0a 01 04 6c 69 76 65 {number:02x} 02 6e 6f"));
        assert_eq!(read(&bytes), Ok(message.clone()));
        assert_eq!(write(&message), Ok(bytes));
    }
}

/// What the message of a name in `control.tsv` says.
pub(crate) fn meaning(name: &str) -> Message {
    setup_meaning(name)
        .or_else(|| subscribe_meaning(name))
        .or_else(|| publish_meaning(name))
        .or_else(|| fetch_meaning(name))
        .or_else(|| track_status_meaning(name))
        .or_else(|| namespace_meaning(name))
        .unwrap_or_else(|| panic!("nobody says what {name} means"))
}

fn setup_meaning(name: &str) -> Option<Message> {
    let drafted = Setup { versions: vec![DRAFT], ..Setup::default() };
    Some(match name {
        "client-setup" => Message::ClientSetup(Setup {
            path: Some("/moq".into()),
            max_request_id: 100,
            authority: Some("a.example:4443".into()),
            ..drafted
        }),
        "client-setup-three-versions-every-parameter" => Message::ClientSetup(Setup {
            versions: vec![0xff00_000d, DRAFT, 1],
            path: Some("/x".into()),
            authority: None,
            max_request_id: 10,
            max_auth_token_cache_size: 4096,
            authorization_tokens: vec![use_value(), AuthorizationToken::UseAlias { alias: 5 }],
            implementation: Some("x/1".into()),
            unknown: vec![
                KeyValue { key: 0x3e, value: Value::Integer(9) },
                KeyValue { key: 0x49, value: Value::Bytes("z".into()) },
            ],
        }),
        "client-setup-no-parameters" => Message::ClientSetup(drafted),
        "server-setup" => Message::ServerSetup(Setup { max_request_id: 100, ..drafted }),
        "server-setup-authority" => Message::ServerSetup(Setup {
            authority: Some("a".into()),
            implementation: Some("b".into()),
            ..drafted
        }),
        "goaway" => Message::GoAway(GoAway::default()),
        "goaway-uri" => Message::GoAway(GoAway { new_session_uri: "moqt://b.ex".into() }),
        "max-request-id" => Message::MaxRequestId(200),
        "requests-blocked" => Message::RequestsBlocked(200),
        _ => return None,
    })
}

fn subscribe_meaning(name: &str) -> Option<Message> {
    let asked = |id, subscribe| request(id, Request::Subscribe(subscribe));
    let start = Location::new(5, 0);
    Some(match name {
        "subscribe-largest-object" => asked(0, subscribe()),
        "subscribe-next-group-start" => asked(
            0,
            Subscribe {
                subscriber_priority: 0,
                group_order: Some(GroupOrder::Descending),
                forward: false,
                filter: Some(SubscriptionFilter::NextGroupStart),
                ..subscribe()
            },
        ),
        "subscribe-absolute-start" => asked(
            100,
            Subscribe {
                subscriber_priority: 255,
                group_order: Some(GroupOrder::Ascending),
                filter: Some(SubscriptionFilter::AbsoluteStart(Location::new(5, 300))),
                authorization_tokens: vec![AuthorizationToken::UseAlias { alias: 64 }],
                ..subscribe()
            },
        ),
        "subscribe-absolute-range" => asked(
            2,
            Subscribe {
                group_order: Some(GroupOrder::Ascending),
                filter: Some(SubscriptionFilter::AbsoluteRange { start, end_group: 9 }),
                delivery_timeout: Some(Duration::from_millis(1500)),
                ..subscribe()
            },
        ),
        "subscribe-empty-names" => {
            let fields = [Bytes::new(), Bytes::from_static(&[0xff])];
            let unnamed = FullTrackName::new(TrackNamespace::new(fields).unwrap(), "").unwrap();
            asked(0, Subscribe { track: unnamed, ..subscribe() })
        }
        "subscribe-ok" => response(0, Response::Subscribe(subscribe_ok())),
        "subscribe-ok-nothing-published" => response(
            0,
            Response::Subscribe(SubscribeOk {
                expires: Some(Duration::from_secs(2)),
                largest: None,
                extensions: TrackExtensions {
                    delivery_timeout: Some(Duration::from_millis(1500)),
                    max_cache_duration: Some(Duration::from_millis(2500)),
                    group_order: GroupOrder::Descending,
                    ..TrackExtensions::default()
                },
                ..subscribe_ok()
            }),
        ),
        "subscribe-error" => declined(RequestKind::Subscribe, 0, RequestErrorCode::DoesNotExist, "no"),
        "subscribe-error-unknown-code" => {
            declined(RequestKind::Subscribe, 2, RequestErrorCode::Unknown(0x11), "")
        }
        "subscribe-update-range" => update(4, 2, narrowed()),
        "subscribe-update-open" => update(
            6,
            3,
            RequestUpdate {
                filter: Some(SubscriptionFilter::AbsoluteStart(Location::new(6, 2))),
                forward: Some(true),
                delivery_timeout: Some(Duration::from_millis(5)),
                authorization_tokens: vec![use_value()],
                ..narrowed()
            },
        ),
        "unsubscribe" => Message::Unsubscribe(RequestId(100)),
        _ => return None,
    })
}

fn publish_meaning(name: &str) -> Option<Message> {
    let publish = Publish {
        track: track(),
        track_alias: TrackAlias(9),
        largest: None,
        forward: true,
        expires: None,
        authorization_tokens: Vec::new(),
        extensions: TrackExtensions { group_order: GroupOrder::Descending, ..TrackExtensions::default() },
    };
    let done = |code, stream_count| Message::PublishDone {
        target: RequestId(0),
        done: PublishDone { code, stream_count, reason: ReasonPhrase::default() },
    };
    Some(match name {
        "publish-done-track-ended" => done(PublishDoneCode::TrackEnded, 3),
        "publish-done-uncounted" => done(PublishDoneCode::GoingAway, STREAM_COUNT_UNKNOWN),
        "publish" => request(1, Request::Publish(publish)),
        "publish-content-exists" => request(
            3,
            Request::Publish(Publish {
                largest: Some(Location::new(100, 3)),
                forward: false,
                authorization_tokens: vec![use_value()],
                extensions: TrackExtensions {
                    delivery_timeout: Some(Duration::from_millis(5)),
                    max_cache_duration: Some(Duration::from_millis(6)),
                    ..TrackExtensions::default()
                },
                ..publish
            }),
        ),
        "publish-ok" => response(1, Response::Publish(publish_ok())),
        "publish-ok-absolute-range" => response(
            3,
            Response::Publish(PublishOk {
                forward: true,
                subscriber_priority: 5,
                group_order: Some(GroupOrder::Descending),
                filter: Some(SubscriptionFilter::AbsoluteRange { start: Location::new(5, 0), end_group: 9 }),
                delivery_timeout: Some(Duration::from_millis(5)),
                ..publish_ok()
            }),
        ),
        "publish-error" => declined(RequestKind::Publish, 1, RequestErrorCode::Uninterested, "no"),
        _ => return None,
    })
}

fn fetch_meaning(name: &str) -> Option<Message> {
    let ascending = |id, range| {
        let fetch = Fetch { group_order: Some(GroupOrder::Ascending), ..Fetch::new(range) };
        request(id, Request::Fetch(fetch))
    };
    let standalone = |end| FetchRange::Standalone { track: track(), start: Location::new(2, 0), end };
    let ok = FetchOk {
        group_order: Some(GroupOrder::Ascending),
        end_of_track: false,
        end: EndLocation { group: 100, object: Some(3) },
        extensions: TrackExtensions::default(),
    };
    Some(match name {
        "fetch-standalone" => ascending(6, standalone(EndLocation { group: 4, object: None })),
        "fetch-standalone-last-object" => request(
            6,
            Request::Fetch(Fetch {
                authorization_tokens: vec![use_value()],
                ..Fetch::new(standalone(EndLocation { group: 4, object: Some(0) }))
            }),
        ),
        "fetch-relative-joining" => {
            ascending(8, FetchRange::RelativeJoining { subscription: RequestId(0), groups_before: 3 })
        }
        "fetch-absolute-joining" => {
            let range = FetchRange::AbsoluteJoining { subscription: RequestId(0), start_group: 97 };
            request(
                8,
                Request::Fetch(Fetch { group_order: Some(GroupOrder::Descending), ..Fetch::new(range) }),
            )
        }
        "fetch-ok" => response(8, Response::Fetch(ok)),
        "fetch-ok-end-of-track" => response(
            8,
            Response::Fetch(FetchOk {
                group_order: Some(GroupOrder::Descending),
                end_of_track: true,
                end: EndLocation { group: 100, object: None },
                extensions: TrackExtensions {
                    max_cache_duration: Some(Duration::from_millis(6)),
                    ..TrackExtensions::default()
                },
            }),
        ),
        "fetch-error" => declined(RequestKind::Fetch, 8, RequestErrorCode::InvalidJoiningRequestId, ""),
        "fetch-cancel" => Message::FetchCancel(RequestId(8)),
        _ => return None,
    })
}

fn track_status_meaning(name: &str) -> Option<Message> {
    Some(match name {
        "track-status" => request(0, Request::TrackStatus(subscribe())),
        "track-status-ok" => {
            let ok = RequestOk { largest: Some(Location::new(100, 3)), ..RequestOk::default() };
            response(0, granted(RequestKind::TrackStatus, ok))
        }
        "track-status-ok-nothing-published" => {
            let extensions = TrackExtensions {
                max_cache_duration: Some(Duration::from_millis(6)),
                group_order: GroupOrder::Descending,
                ..TrackExtensions::default()
            };
            let ok = RequestOk { expires: Some(Duration::from_millis(10)), largest: None, extensions };
            response(0, granted(RequestKind::TrackStatus, ok))
        }
        "track-status-error" => declined(RequestKind::TrackStatus, 0, RequestErrorCode::DoesNotExist, "no"),
        _ => return None,
    })
}

fn namespace_meaning(name: &str) -> Option<Message> {
    let live = || namespace(&["live"]);
    let publish = |authorization_tokens| {
        let namespace = live();
        request(10, Request::PublishNamespace(PublishNamespace { namespace, authorization_tokens }))
    };
    let subscribe = |authorization_tokens| {
        let subscribe = SubscribeNamespace { authorization_tokens, ..SubscribeNamespace::new(live()) };
        request(12, Request::SubscribeNamespace(subscribe))
    };
    let register = |alias, value: &'static str| AuthorizationToken::Register {
        alias,
        token_type: 0,
        value: value.into(),
    };
    Some(match name {
        "publish-namespace" => publish(vec![]),
        "publish-namespace-register" => publish(vec![register(1, "tok")]),
        "publish-namespace-four-tokens" => publish(vec![
            AuthorizationToken::Delete { alias: 5 },
            AuthorizationToken::Register { alias: 5, token_type: 64, value: "t".into() },
            AuthorizationToken::UseAlias { alias: 5 },
            use_value(),
        ]),
        "publish-namespace-ok" => response(10, granted(RequestKind::PublishNamespace, RequestOk::default())),
        "publish-namespace-error" => {
            declined(RequestKind::PublishNamespace, 10, RequestErrorCode::Uninterested, "no")
        }
        "publish-namespace-done" => Message::PublishNamespaceDone(Target::Namespace(live())),
        "publish-namespace-cancel" => Message::PublishNamespaceCancel {
            target: Target::Namespace(live()),
            error: RequestError::new(RequestErrorCode::Uninterested, "no"),
        },
        "subscribe-namespace" => subscribe(vec![]),
        "subscribe-namespace-token" => subscribe(vec![use_value()]),
        "subscribe-namespace-ok" => {
            response(12, granted(RequestKind::SubscribeNamespace, RequestOk::default()))
        }
        "subscribe-namespace-error" => {
            declined(RequestKind::SubscribeNamespace, 12, RequestErrorCode::PrefixOverlap, "no")
        }
        "unsubscribe-namespace" => Message::UnsubscribeNamespace(Target::Namespace(live())),
        _ => return None,
    })
}

pub(crate) fn subscribe() -> Subscribe {
    Subscribe {
        track: track(),
        subscriber_priority: 128,
        group_order: None,
        forward: true,
        filter: Some(SubscriptionFilter::LargestObject),
        delivery_timeout: None,
        new_group_request: None,
        authorization_tokens: Vec::new(),
    }
}

fn subscribe_ok() -> SubscribeOk {
    SubscribeOk {
        track_alias: TrackAlias(7),
        expires: None,
        largest: Some(Location::new(100, 3)),
        extensions: TrackExtensions::default(),
    }
}

fn narrowed() -> RequestUpdate {
    RequestUpdate {
        filter: Some(SubscriptionFilter::AbsoluteRange { start: Location::new(6, 0), end_group: 8 }),
        subscriber_priority: Some(10),
        forward: Some(false),
        delivery_timeout: None,
        new_group_request: None,
        authorization_tokens: Vec::new(),
    }
}

fn publish_ok() -> PublishOk {
    PublishOk {
        forward: false,
        subscriber_priority: 128,
        group_order: Some(GroupOrder::Ascending),
        filter: Some(SubscriptionFilter::NextGroupStart),
        delivery_timeout: None,
        expires: None,
        new_group_request: None,
    }
}

fn use_value() -> AuthorizationToken {
    AuthorizationToken::UseValue { token_type: 0, value: "t".into() }
}

pub(crate) fn request(id: u64, request: Request) -> Message {
    Message::Request { id: RequestId(id), request }
}

pub(crate) fn response(id: u64, response: Response) -> Message {
    Message::Response { target: Target::Id(RequestId(id)), response }
}

fn update(id: u64, target: u64, update: RequestUpdate) -> Message {
    Message::RequestUpdate { id: RequestId(id), target: RequestId(target), update }
}

fn granted(kind: RequestKind, ok: RequestOk) -> Response {
    Response::Ok { kind: Some(kind), ok }
}

fn declined(kind: RequestKind, id: u64, code: RequestErrorCode, reason: &'static str) -> Message {
    let target = Target::Id(RequestId(id));
    Message::RequestError { target, kind: Some(kind), error: RequestError::new(code, reason) }
}

#[test]
fn a_track_status_ok_has_the_alias_0() {
    covers!("D14-9.21-01");
    for largest in [None, Some(Location::new(5, 1))] {
        let ok = RequestOk { largest, ..RequestOk::default() };
        let response = Response::Ok { kind: Some(RequestKind::TrackStatus), ok };
        let bytes = write(&Message::Response { target: Target::Id(RequestId(2)), response }).unwrap();
        // Type, length, Request ID, Track Alias.
        assert_eq!((bytes[0], bytes[3], bytes[4]), (0x0e, 2, 0));
    }
}

#[test]
fn a_publisher_that_has_not_counted_says_so() {
    covers!("D14-9.12-08");
    let done = PublishDone {
        code: PublishDoneCode::TrackEnded,
        stream_count: STREAM_COUNT_UNKNOWN,
        reason: ReasonPhrase::default(),
    };
    let bytes = write(&Message::PublishDone { target: RequestId(0), done }).unwrap();
    assert_eq!(bytes, hex("0b 00 0b 00 02 ff ff ff ff ff ff ff ff 00"));
}
