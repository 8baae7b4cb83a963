//! Every kind of event and of control message, by hand.

use std::time::Duration;

use bytes::Bytes;
use moqingbird_wire::Version;
use moqingbird_wire::list::{KeyValue, Keys, Value as PairValue};
use moqingbird_wire::model::*;
use serde_json::{Value, json};

use super::schema::Schema;
use crate::log::record::Recorder;
use crate::session::{Direction, Instant, Side, StreamId, Trace};

const SECRET: &[u8] = b"s3cr3t";

fn tokens() -> Vec<AuthorizationToken> {
    let value = Bytes::from_static(SECRET);
    vec![
        AuthorizationToken::Delete { alias: 1 },
        AuthorizationToken::Register { alias: 2, token_type: 3, value: value.clone() },
        AuthorizationToken::UseAlias { alias: 2 },
        AuthorizationToken::UseValue { token_type: 0, value },
    ]
}

fn namespace() -> TrackNamespace {
    TrackNamespace::new([Bytes::from_static(b"live"), Bytes::from_static(&[0xff, 0x00])]).unwrap()
}

fn track() -> FullTrackName {
    FullTrackName::new(namespace(), "video").unwrap()
}

fn extensions() -> Extensions {
    let number = KeyValue { key: 0x3c, value: PairValue::Integer(7) };
    let bytes = KeyValue { key: 0x0b01, value: PairValue::Bytes(Bytes::from_static(SECRET)) };
    Extensions::from_pairs([number, bytes], Keys::Absolute).unwrap()
}

fn track_extensions() -> TrackExtensions {
    TrackExtensions {
        delivery_timeout: Some(Duration::from_millis(10)),
        max_cache_duration: Some(Duration::from_millis(20)),
        default_publisher_priority: 3,
        group_order: GroupOrder::Descending,
        dynamic_groups: true,
        other: extensions(),
    }
}

fn setup(versions: Vec<u64>) -> Setup {
    Setup {
        versions,
        path: Some(Bytes::from_static(b"/live?jwt=s3cr3t")),
        authority: Some(Bytes::from_static(b"me:s3cr3t@host:443")),
        max_request_id: 10,
        max_auth_token_cache_size: 20,
        authorization_tokens: tokens(),
        implementation: Some(Bytes::from_static(b"tests")),
        unknown: vec![
            KeyValue { key: 0x20, value: PairValue::Integer(1) },
            KeyValue { key: 0x21, value: PairValue::Bytes(Bytes::from_static(SECRET)) },
        ],
    }
}

fn subscribe(filter: SubscriptionFilter) -> Subscribe {
    Subscribe {
        subscriber_priority: 1,
        group_order: Some(GroupOrder::Ascending),
        forward: false,
        filter: Some(filter),
        delivery_timeout: Some(Duration::from_secs(1)),
        new_group_request: Some(5),
        authorization_tokens: tokens(),
        ..Subscribe::new(track())
    }
}

fn requests() -> Vec<Request> {
    let start = Location::new(1, 2);
    let fetch = |range| Fetch {
        group_order: Some(GroupOrder::Descending),
        authorization_tokens: tokens(),
        ..Fetch::new(range)
    };
    let end = EndLocation { group: 3, object: Some(4) };
    let subscription = RequestId(2);
    let prefix = |options| SubscribeNamespace {
        options,
        authorization_tokens: tokens(),
        ..SubscribeNamespace::new(namespace())
    };
    vec![
        Request::Subscribe(subscribe(SubscriptionFilter::NextGroupStart)),
        Request::Subscribe(subscribe(SubscriptionFilter::LargestObject)),
        Request::Subscribe(subscribe(SubscriptionFilter::AbsoluteStart(start))),
        Request::TrackStatus(subscribe(SubscriptionFilter::AbsoluteRange { start, end_group: 9 })),
        Request::Publish(Publish {
            track: track(),
            track_alias: TrackAlias(4),
            largest: Some(start),
            forward: true,
            expires: Some(Duration::from_secs(2)),
            authorization_tokens: tokens(),
            extensions: track_extensions(),
        }),
        Request::Fetch(fetch(FetchRange::Standalone { track: track(), start, end })),
        Request::Fetch(fetch(FetchRange::RelativeJoining { subscription, groups_before: 3 })),
        Request::Fetch(fetch(FetchRange::AbsoluteJoining { subscription, start_group: 3 })),
        Request::PublishNamespace(PublishNamespace {
            namespace: namespace(),
            authorization_tokens: tokens(),
        }),
        Request::SubscribeNamespace(prefix(SubscribeOptions::Publish)),
        Request::SubscribeNamespace(prefix(SubscribeOptions::Namespace)),
        Request::SubscribeNamespace(prefix(SubscribeOptions::Both)),
    ]
}

fn responses() -> Vec<Response> {
    let largest = Some(Location::new(1, 2));
    let expires = Some(Duration::from_millis(300));
    vec![
        Response::Subscribe(SubscribeOk {
            track_alias: TrackAlias(4),
            expires,
            largest,
            extensions: track_extensions(),
        }),
        Response::Publish(PublishOk {
            group_order: Some(GroupOrder::Ascending),
            delivery_timeout: expires,
            expires,
            new_group_request: Some(0),
            ..PublishOk::default()
        }),
        Response::Fetch(FetchOk {
            group_order: Some(GroupOrder::Ascending),
            end_of_track: true,
            end: EndLocation { group: 1, object: None },
            extensions: track_extensions(),
        }),
        Response::Ok {
            kind: Some(RequestKind::TrackStatus),
            ok: RequestOk { expires, largest, ..RequestOk::default() },
        },
    ]
}

/// Every kind of message, in every way that it can be filled.
fn messages() -> Vec<Message> {
    let id = RequestId(6);
    let target = Target::Id(id);
    let error = |reason: &'static [u8]| RequestError {
        code: RequestErrorCode::Unauthorized,
        retry_after: Some(Duration::from_millis(5)),
        reason: ReasonPhrase::new(reason),
    };
    let refused = |reason| Message::RequestError {
        target: Target::Id(id),
        kind: Some(RequestKind::Subscribe),
        error: error(reason),
    };
    let mut all = vec![
        Message::ClientSetup(setup(vec![])),
        Message::ClientSetup(setup(vec![0xff00_000e])),
        Message::ServerSetup(setup(vec![])),
        Message::ServerSetup(setup(vec![0xff00_000e])),
        Message::GoAway(GoAway { new_session_uri: Bytes::from_static(b"moqt://s3cr3t@host") }),
        Message::MaxRequestId(7),
        Message::RequestsBlocked(7),
        Message::RequestUpdate {
            id,
            target: RequestId(4),
            update: RequestUpdate {
                filter: Some(SubscriptionFilter::AbsoluteStart(Location::new(0, 0))),
                subscriber_priority: Some(2),
                forward: Some(true),
                delivery_timeout: Some(Duration::from_millis(1)),
                new_group_request: Some(2),
                authorization_tokens: tokens(),
            },
        },
        refused(b"no"),
        refused(&[0xff]),
        Message::Unsubscribe(id),
        Message::FetchCancel(id),
        Message::PublishDone {
            target: id,
            done: PublishDone { code: PublishDoneCode::TrackEnded, stream_count: 3, reason: "over".into() },
        },
        Message::PublishNamespaceDone(target.clone()),
        Message::PublishNamespaceDone(Target::Namespace(namespace())),
        Message::PublishNamespaceCancel { target: target.clone(), error: error(b"no") },
        Message::PublishNamespaceCancel { target: Target::Namespace(namespace()), error: error(b"no") },
        Message::UnsubscribeNamespace(target.clone()),
        Message::UnsubscribeNamespace(Target::Namespace(namespace())),
        Message::Namespace(namespace()),
        Message::NamespaceDone(namespace()),
    ];
    all.extend(requests().into_iter().map(|request| Message::Request { id, request }));
    all.extend(
        responses().into_iter().map(|response| Message::Response { target: target.clone(), response }),
    );
    all
}

fn header(subgroup_id: SubgroupId, publisher_priority: Option<u8>) -> SubgroupHeader {
    SubgroupHeader {
        track_alias: TrackAlias(1),
        group_id: 2,
        subgroup_id,
        publisher_priority,
        extensions: true,
        end_of_group: false,
    }
}

fn datagram(body: DatagramBody, publisher_priority: Option<u8>, extensions: Extensions) -> Datagram {
    Datagram {
        track_alias: TrackAlias(1),
        group_id: 2,
        object_id: 3,
        publisher_priority,
        end_of_group: true,
        extensions,
        body,
    }
}

fn traces(stream: StreamId) -> Vec<Trace> {
    let openings = [
        Opening::Subgroup(header(SubgroupId::Zero, None)),
        Opening::Subgroup(header(SubgroupId::FirstObject, Some(1))),
        Opening::Subgroup(header(SubgroupId::Id(9), Some(1))),
        Opening::Fetch(RequestId(8)),
    ];
    let datagrams = [
        datagram(DatagramBody::Payload(Bytes::from_static(SECRET)), Some(0), extensions()),
        datagram(DatagramBody::Status(ObjectStatus::EndOfGroup), None, Extensions::NONE),
    ];
    let mut all = Vec::new();
    for direction in [Direction::Sent, Direction::Received] {
        let message = |message| Trace::Message { direction, stream, message: Box::new(message) };
        all.extend(messages().into_iter().map(message));
        all.extend(openings.iter().map(|opening| Trace::Stream {
            direction,
            stream,
            opening: opening.clone(),
        }));
        all.extend(
            datagrams.iter().map(|datagram| Trace::Datagram { direction, datagram: datagram.clone() }),
        );
    }
    all
}

/// The records of every kind, without the header.
fn records(version: Version) -> Vec<Value> {
    let stream = StreamId::from_number(5);
    let mut recorder = Recorder::new("abc".into(), Side::Client, version.draft());
    let now = Instant::from_micros(1500);
    let mut records: Vec<_> = traces(stream).iter().flat_map(|trace| recorder.records(now, trace)).collect();
    let own_stream = Trace::Message {
        direction: Direction::Sent,
        stream: StreamId::from_number(6),
        message: Box::new(Message::Request {
            id: RequestId(0),
            request: Request::SubscribeNamespace(SubscribeNamespace::new(namespace())),
        }),
    };
    records.extend(recorder.records(now, &own_stream));
    records.push(recorder.missing(now, 3));
    records
}

#[test]
fn every_event_and_field_is_one_of_the_schema() {
    let schema = Schema::load();
    for version in Version::ALL {
        let header = Recorder::new("abc".into(), Side::Server, version.draft()).header();
        assert_eq!(schema.check_header(&header), Ok(()));
        for record in records(*version) {
            assert_eq!(schema.check_event(&record), Ok(()), "{record}");
        }
    }
}

#[test]
fn every_event_and_message_of_the_table_is_written() {
    let schema = Schema::load();
    let records = records(Version::ALL[0]);
    for name in schema.events() {
        assert!(records.iter().any(|record| record["name"] == name), "{name}");
    }
    for kind in schema.messages() {
        assert!(records.iter().any(|record| record["data"]["message"]["type"] == kind), "{kind}");
    }
}

#[test]
fn every_message_makes_one_record() {
    let records = records(Version::ALL[0]);
    let created = records.iter().filter(|record| record["name"] == "moqt:control_message_created").count();
    assert_eq!(created, messages().len() + 1);
    let parsed = records.iter().filter(|record| record["name"] == "moqt:control_message_parsed").count();
    assert_eq!(parsed, messages().len());
}

#[test]
fn no_secret_is_written() {
    for version in Version::ALL {
        for record in records(*version) {
            let text = record.to_string();
            assert!(!text.contains("s3cr3t"), "{text}");
            // Nor in hexadecimal.
            assert!(!text.contains("733363723374"), "{text}");
        }
    }
}

#[test]
fn a_token_tells_its_kind_and_length() {
    let records = records(Version::ALL[0]);
    let subscribe = records.iter().find(|record| record["data"]["message"]["type"] == "subscribe").unwrap();
    let parameters = &subscribe["data"]["message"]["parameters"];
    let registers = json!({
        "name": "authorization_token", "alias_type": 1, "token_alias": 2, "token_type": 3, "token_value": { "length": 6 },
    });
    assert_eq!(parameters[1], registers);
}

#[test]
fn a_subscribe_is_written_with_its_name_and_its_parameters() {
    let mut recorder = Recorder::new("abc".into(), Side::Client, Version::ALL[0].draft());
    let request = Request::Subscribe(Subscribe::new(track()));
    let message = Box::new(Message::Request { id: RequestId(2), request });
    let trace = Trace::Message { direction: Direction::Sent, stream: StreamId::from_number(1), message };
    let expected = json!({
        "time": 1.5,
        "name": "moqt:control_message_created",
        "data": { "stream_id": 1, "message": {
            "type": "subscribe",
            "request_id": 2,
            "required_request_id_delta": 0,
            "track_namespace": [{ "value": "live" }, { "value_bytes": "ff00" }],
            "track_name": { "value": "video" },
            "number_of_parameters": 3,
            "parameters": [
                { "name": "forward", "value": 1 },
                { "name": "subscriber_priority", "value": 128 },
                { "name": "subscription_filter", "value": { "filter_type": 2 } },
            ],
        } },
    });
    assert_eq!(recorder.records(Instant::from_micros(1500), &trace), [expected]);
}
