//! What the control messages of `control.tsv` mean, and that they are written back as they were.

use std::collections::HashSet;
use std::time::Duration;

use moqingbird_ledger::covers;
use moqingbird_wire::buf::Writer;
use moqingbird_wire::list::{KeyValue, Value};
use moqingbird_wire::model::*;
use moqingbird_wire::{Assembler, Frame};

use crate::support::{
    decode, draft, encode, extensions, hex, namespace, plain, token, track, vectors, video,
};

/// The table of the vectors.
const VECTORS: &str = "control";

fn request(id: u64, request: Request) -> Message {
    Message::Request { id: RequestId(id), request }
}

fn subscribe(id: u64, subscribe: Subscribe) -> Message {
    request(id, Request::Subscribe(subscribe))
}

fn response(target: u64, response: Response) -> Message {
    Message::Response { target: Target::Id(RequestId(target)), response }
}

fn request_error(target: u64, error: RequestError) -> Message {
    Message::RequestError { target: Target::Id(RequestId(target)), kind: None, error }
}

fn ms(count: u64) -> Option<Duration> {
    Some(Duration::from_millis(count))
}

fn register() -> AuthorizationToken {
    AuthorizationToken::Register { alias: 1, token_type: 0, value: "k".into() }
}

fn subscribe_ok() -> SubscribeOk {
    SubscribeOk {
        track_alias: TrackAlias(7),
        expires: None,
        largest: None,
        extensions: TrackExtensions::default(),
    }
}

fn publish(track: FullTrackName, track_alias: u64) -> Publish {
    Publish {
        track,
        track_alias: TrackAlias(track_alias),
        largest: None,
        forward: true,
        expires: None,
        authorization_tokens: vec![],
        extensions: TrackExtensions::default(),
    }
}

fn fetch_ok(end_of_track: bool, group: u64, object: Option<u64>) -> FetchOk {
    FetchOk {
        group_order: None,
        end_of_track,
        end: EndLocation { group, object },
        extensions: TrackExtensions::default(),
    }
}

fn publish_done(code: PublishDoneCode, stream_count: u64, reason: &'static str) -> Message {
    let done = PublishDone { code, stream_count, reason: reason.into() };
    Message::PublishDone { target: RequestId(0), done }
}

fn meaning(name: &str) -> Message {
    setup(name)
        .or_else(|| session(name))
        .or_else(|| subscription(name))
        .or_else(|| publication(name))
        .or_else(|| fetching(name))
        .or_else(|| namespaces(name))
        .unwrap_or_else(|| panic!("a meaning for the vector {name}"))
}

fn setup(name: &str) -> Option<Message> {
    Some(match name {
        "CLIENT_SETUP" => Message::ClientSetup(Setup {
            path: Some("/m".into()),
            max_request_id: 100,
            authority: Some("a:1".into()),
            ..Setup::default()
        }),
        "CLIENT_SETUP empty" => Message::ClientSetup(Setup::default()),
        "CLIENT_SETUP everything" => Message::ClientSetup(Setup {
            versions: vec![],
            path: Some("/m?x".into()),
            authority: Some("a:1".into()),
            max_request_id: 100,
            max_auth_token_cache_size: 1024,
            authorization_tokens: vec![
                token(),
                AuthorizationToken::Register { alias: 5, token_type: 0, value: "k".into() },
            ],
            implementation: Some("moqingbird".into()),
            unknown: vec![
                KeyValue { key: 0x6a, value: Value::Integer(9) },
                KeyValue { key: 0x6b, value: Value::Bytes("u".into()) },
                KeyValue { key: 0x6b, value: Value::Bytes("".into()) },
            ],
        }),
        "SERVER_SETUP" => Message::ServerSetup(Setup { max_request_id: 100, ..Setup::default() }),
        _ => return None,
    })
}

fn session(name: &str) -> Option<Message> {
    Some(match name {
        "GOAWAY" => Message::GoAway(GoAway { new_session_uri: "moqt://b:1/x".into() }),
        "GOAWAY same place" => Message::GoAway(GoAway::default()),
        "MAX_REQUEST_ID" => Message::MaxRequestId(200),
        "REQUESTS_BLOCKED" => Message::RequestsBlocked(100),
        "REQUEST_OK" => response(6, Response::Ok { kind: None, ok: RequestOk::default() }),
        "REQUEST_OK of a track" => {
            let ok =
                RequestOk { expires: ms(5000), largest: Some(Location::new(3, 9)), ..RequestOk::default() };
            response(8, Response::Ok { kind: None, ok })
        }
        "REQUEST_ERROR" => request_error(2, RequestError::new(RequestErrorCode::DoesNotExist, "no")),
        "REQUEST_ERROR retry at once" => request_error(
            2,
            RequestError { retry_after: ms(0), ..RequestError::new(RequestErrorCode::Timeout, "") },
        ),
        "REQUEST_ERROR retry later" => request_error(
            2,
            RequestError {
                retry_after: ms(1000),
                ..RequestError::new(RequestErrorCode::DuplicateSubscription, "busy")
            },
        ),
        "REQUEST_ERROR unknown code" => {
            request_error(2, RequestError::new(RequestErrorCode::Unknown(0x1234), ""))
        }
        _ => return None,
    })
}

fn subscription(name: &str) -> Option<Message> {
    Some(match name {
        "SUBSCRIBE" => subscribe(
            0,
            Subscribe {
                subscriber_priority: 64,
                filter: Some(SubscriptionFilter::LargestObject),
                ..plain(video())
            },
        ),
        "SUBSCRIBE least" => subscribe(0, plain(track("a", ""))),
        "SUBSCRIBE everything" => subscribe(
            2,
            Subscribe {
                track: video(),
                subscriber_priority: 255,
                group_order: Some(GroupOrder::Descending),
                forward: false,
                filter: Some(SubscriptionFilter::AbsoluteRange {
                    start: Location::new(10, 0),
                    end_group: 12,
                }),
                delivery_timeout: ms(250),
                new_group_request: Some(5),
                authorization_tokens: vec![register(), token()],
            },
        ),
        "SUBSCRIBE next group" => {
            subscribe(2, Subscribe { filter: Some(SubscriptionFilter::NextGroupStart), ..plain(video()) })
        }
        "SUBSCRIBE absolute start" => subscribe(
            2,
            Subscribe {
                filter: Some(SubscriptionFilter::AbsoluteStart(Location::new(10, 0))),
                ..plain(video())
            },
        ),
        "SUBSCRIBE token aliases" => subscribe(
            2,
            Subscribe {
                authorization_tokens: vec![
                    AuthorizationToken::Delete { alias: 1 },
                    AuthorizationToken::UseAlias { alias: 2 },
                ],
                ..plain(video())
            },
        ),
        "SUBSCRIBE_OK" => response(
            0,
            Response::Subscribe(SubscribeOk {
                expires: ms(5000),
                largest: Some(Location::new(3, 9)),
                extensions: TrackExtensions {
                    max_cache_duration: ms(1000),
                    default_publisher_priority: 100,
                    dynamic_groups: true,
                    ..TrackExtensions::default()
                },
                ..subscribe_ok()
            }),
        ),
        "SUBSCRIBE_OK least" => response(0, Response::Subscribe(subscribe_ok())),
        "SUBSCRIBE_OK everything" => response(
            0,
            Response::Subscribe(SubscribeOk {
                expires: ms(1),
                largest: Some(Location::new(0, 0)),
                extensions: TrackExtensions {
                    delivery_timeout: ms(300),
                    max_cache_duration: ms(0),
                    default_publisher_priority: 0,
                    group_order: GroupOrder::Descending,
                    dynamic_groups: true,
                    // Immutable extensions with a type 4 of 5, PRIOR_GROUP_ID_GAP 2, type 0x41 "any".
                    other: extensions("0b 02 04 05  31 02  05 03 616e79"),
                },
                ..subscribe_ok()
            }),
        ),
        "REQUEST_UPDATE" => Message::RequestUpdate {
            id: RequestId(8),
            target: RequestId(0),
            update: RequestUpdate { forward: Some(false), ..RequestUpdate::default() },
        },
        "REQUEST_UPDATE everything" => Message::RequestUpdate {
            id: RequestId(8),
            target: RequestId(1),
            update: RequestUpdate {
                filter: Some(SubscriptionFilter::LargestObject),
                subscriber_priority: Some(128),
                forward: Some(true),
                delivery_timeout: ms(1),
                new_group_request: Some(0),
                authorization_tokens: vec![token()],
            },
        },
        "UNSUBSCRIBE" => Message::Unsubscribe(RequestId(0)),
        "TRACK_STATUS" => request(2, Request::TrackStatus(plain(video()))),
        "TRACK_STATUS token" => request(
            2,
            Request::TrackStatus(Subscribe { authorization_tokens: vec![token()], ..plain(video()) }),
        ),
        _ => return None,
    })
}

fn publication(name: &str) -> Option<Message> {
    Some(match name {
        "PUBLISH" => request(
            1,
            Request::Publish(Publish {
                largest: Some(Location::new(3, 9)),
                forward: false,
                expires: ms(60_000),
                authorization_tokens: vec![token()],
                extensions: TrackExtensions { default_publisher_priority: 100, ..TrackExtensions::default() },
                ..publish(video(), 7)
            }),
        ),
        "PUBLISH least" => request(1, Request::Publish(publish(track("a", ""), 0))),
        "PUBLISH_OK" => response(1, Response::Publish(PublishOk { filter: None, ..PublishOk::default() })),
        "PUBLISH_OK everything" => response(
            1,
            Response::Publish(PublishOk {
                forward: false,
                subscriber_priority: 1,
                group_order: Some(GroupOrder::Ascending),
                filter: Some(SubscriptionFilter::LargestObject),
                delivery_timeout: ms(250),
                expires: ms(9),
                new_group_request: Some(7),
            }),
        ),
        "PUBLISH_DONE" => publish_done(PublishDoneCode::TrackEnded, STREAM_COUNT_UNKNOWN, ""),
        "PUBLISH_DONE counted" => publish_done(PublishDoneCode::UpdateFailed, 3, "gone"),
        _ => return None,
    })
}

fn fetching(name: &str) -> Option<Message> {
    Some(match name {
        "FETCH" => request(
            4,
            Request::Fetch(Fetch {
                group_order: Some(GroupOrder::Descending),
                ..Fetch::new(FetchRange::Standalone {
                    track: video(),
                    start: Location::new(1, 0),
                    end: EndLocation { group: 2, object: None },
                })
            }),
        ),
        "FETCH to an object" => request(
            4,
            Request::Fetch(Fetch {
                range: FetchRange::Standalone {
                    track: video(),
                    start: Location::new(7, 0),
                    end: EndLocation { group: 7, object: Some(4) },
                },
                subscriber_priority: 0,
                group_order: Some(GroupOrder::Ascending),
                authorization_tokens: vec![token()],
            }),
        ),
        "FETCH relative joining" => request(
            4,
            Request::Fetch(Fetch::new(FetchRange::RelativeJoining {
                subscription: RequestId(0),
                groups_before: 2,
            })),
        ),
        "FETCH absolute joining" => request(
            4,
            Request::Fetch(Fetch::new(FetchRange::AbsoluteJoining {
                subscription: RequestId(0),
                start_group: 2,
            })),
        ),
        "FETCH_OK" => response(4, Response::Fetch(fetch_ok(false, 3, Some(9)))),
        "FETCH_OK end of track" => response(
            4,
            Response::Fetch(FetchOk {
                extensions: TrackExtensions { max_cache_duration: ms(1000), ..TrackExtensions::default() },
                ..fetch_ok(true, 3, None)
            }),
        ),
        "FETCH_CANCEL" => Message::FetchCancel(RequestId(4)),
        _ => return None,
    })
}

fn namespaces(name: &str) -> Option<Message> {
    Some(match name {
        "PUBLISH_NAMESPACE" => {
            request(2, Request::PublishNamespace(PublishNamespace::new(namespace("live"))))
        }
        "PUBLISH_NAMESPACE token" => request(
            2,
            Request::PublishNamespace(PublishNamespace {
                namespace: namespace("live/cam1"),
                authorization_tokens: vec![token()],
            }),
        ),
        "NAMESPACE" => Message::Namespace(namespace("cam1")),
        "NAMESPACE empty" => Message::Namespace(TrackNamespace::empty()),
        "NAMESPACE_DONE" => Message::NamespaceDone(namespace("cam1")),
        "NAMESPACE_DONE empty" => Message::NamespaceDone(TrackNamespace::empty()),
        "PUBLISH_NAMESPACE_DONE" => Message::PublishNamespaceDone(Target::Id(RequestId(4))),
        "PUBLISH_NAMESPACE_CANCEL" => Message::PublishNamespaceCancel {
            target: Target::Id(RequestId(2)),
            error: RequestError::new(RequestErrorCode::Uninterested, "no"),
        },
        "SUBSCRIBE_NAMESPACE" => {
            request(6, Request::SubscribeNamespace(SubscribeNamespace::new(namespace("live"))))
        }
        "SUBSCRIBE_NAMESPACE all tracks" => request(
            6,
            Request::SubscribeNamespace(SubscribeNamespace {
                options: SubscribeOptions::Publish,
                forward: false,
                ..SubscribeNamespace::new(TrackNamespace::empty())
            }),
        ),
        "SUBSCRIBE_NAMESPACE namespaces" => request(
            6,
            Request::SubscribeNamespace(SubscribeNamespace {
                options: SubscribeOptions::Namespace,
                authorization_tokens: vec![token()],
                ..SubscribeNamespace::new(namespace("live"))
            }),
        ),
        _ => return None,
    })
}

/// Decodes the vectors whose names begin with `kind`, compares them with their meaning and writes them back.
fn round_trips(kind: &str) {
    let chosen: Vec<_> =
        vectors(VECTORS).into_iter().filter(|v| v.name.split(' ').next() == Some(kind)).collect();
    assert!(!chosen.is_empty(), "there is a vector of {kind}");
    for vector in chosen {
        let message = decode(&vector.bytes).unwrap_or_else(|error| panic!("{vector}: {error}"));
        assert_eq!(message, meaning(vector.name), "{vector}");
        assert_eq!(encode(&message), Ok(vector.bytes.clone()), "{vector}");
    }
}

#[test]
fn every_vector_has_its_meaning_and_is_written_back_as_it_was() {
    let kinds: HashSet<_> =
        vectors(VECTORS).iter().map(|v| v.name.split(' ').next().unwrap_or_default()).collect();
    assert_eq!(kinds.len(), 24, "a vector of every kind of message");
    kinds.into_iter().for_each(round_trips);
}

#[test]
fn each_kind_of_message_has_its_layout() {
    for (kind, _row) in [
        ("CLIENT_SETUP", covers!("D16-9.3-02")),
        ("REQUEST_OK", covers!("D16-9.7-01")),
        ("REQUEST_ERROR", covers!("D16-9.8-01")),
        ("SUBSCRIBE", covers!("D16-9.9-05")),
        ("SUBSCRIBE_OK", covers!("D16-9.10-03")),
        ("UNSUBSCRIBE", covers!("D16-9.12-01")),
        ("PUBLISH", covers!("D16-9.13-05")),
        ("PUBLISH_OK", covers!("D16-9.14-01")),
        ("FETCH_OK", covers!("D16-9.17-06")),
        ("PUBLISH_NAMESPACE", covers!("D16-9.20-01")),
        ("NAMESPACE", covers!("D16-9.21-02")),
        ("PUBLISH_NAMESPACE_DONE", covers!("D16-9.22-01")),
        ("PUBLISH_NAMESPACE_CANCEL", covers!("D16-9.24-01")),
    ] {
        round_trips(kind);
    }
}

#[test]
fn a_message_is_type_length_and_payload_however_it_is_cut() {
    covers!("D16-9-01", "D16-9-07");
    for vector in vectors(VECTORS) {
        let mut assembler = Assembler::new();
        let mut frames = Vec::new();
        for byte in &vector.bytes {
            assert!(frames.is_empty(), "{}: whole before its end", vector.name);
            assembler.push(vec![*byte].into());
            frames.extend(assembler.next_frame());
        }
        let [frame] = frames.as_slice() else { panic!("{}: one frame", vector.name) };
        let message = draft().decode_control(frame);
        assert_eq!(message, Ok(meaning(vector.name)), "{}", vector.name);
    }
}

#[test]
fn a_payload_cut_anywhere_or_followed_by_a_byte_is_refused() {
    for vector in vectors(VECTORS) {
        let payload = vector.bytes.slice(3..);
        let kind = u64::from(vector.bytes[0]);
        for end in 0..payload.len() {
            let frame = Frame { kind, payload: payload.slice(..end) };
            let Ok(message) = draft().decode_control(&frame) else { continue };
            // Track Extensions run to the end, so a cut between two of them is another message.
            assert_ne!(message, meaning(vector.name), "{} cut at {end}", vector.name);
            let cut = encode(&message).expect("what was read can be written");
            assert_eq!(cut.slice(3..), frame.payload, "{} cut at {end}", vector.name);
        }
        let longer = [payload.as_ref(), &[0]].concat();
        let frame = Frame { kind, payload: longer.into() };
        assert!(draft().decode_control(&frame).is_err(), "{} and a byte", vector.name);
    }
}

#[test]
fn length_is_two_bytes_in_network_order_and_priority_one() {
    covers!("D16-1.4-03");
    let goaway = Message::GoAway(GoAway { new_session_uri: vec![b'a'; 0x100].into() });
    let bytes = encode(&goaway).unwrap();
    assert_eq!(bytes[..5], hex("10 01 02 41 00"));
    let header = SubgroupHeader {
        track_alias: TrackAlias(7),
        group_id: 3,
        subgroup_id: SubgroupId::Zero,
        publisher_priority: Some(200),
        extensions: false,
        end_of_group: false,
    };
    let mut w = Writer::new();
    draft().encode_opening(&Opening::Subgroup(header), &mut w).unwrap();
    assert_eq!(w.take(), hex("10 07 03 c8"));
}

#[test]
fn an_end_location_is_one_more_than_the_last_object_or_a_whole_group() {
    covers!("D16-9.16.1-01");
    let end = |name| match meaning(name) {
        Message::Request {
            request: Request::Fetch(Fetch { range: FetchRange::Standalone { end, .. }, .. }),
            ..
        } => end,
        other => panic!("a standalone FETCH, not {other:?}"),
    };
    // {7,0}-{7,5}: objects 0 to 4.
    assert_eq!(end("FETCH to an object"), EndLocation { group: 7, object: Some(4) });
    assert!(end("FETCH to an object").reaches(Location::new(7, 4)));
    assert!(!end("FETCH to an object").reaches(Location::new(7, 5)));
    // {1,0}-{2,0}: all of group 2.
    assert!(end("FETCH").reaches(Location::new(2, u64::MAX)));
    assert!(!end("FETCH").reaches(Location::new(3, 0)));
    round_trips("FETCH");
}

#[test]
fn a_publisher_that_has_not_counted_says_so() {
    covers!("D16-9.15-07");
    let done = PublishDone {
        code: PublishDoneCode::TrackEnded,
        stream_count: STREAM_COUNT_UNKNOWN,
        reason: ReasonPhrase::default(),
    };
    let bytes = encode(&Message::PublishDone { target: RequestId(0), done }).unwrap();
    assert_eq!(bytes, hex("0b 00 0b 00 02 ff ff ff ff ff ff ff ff 00"));
}
