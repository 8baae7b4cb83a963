//! What this draft cannot say: the encoder names the field and writes nothing.

use std::time::Duration;

use bytes::Bytes;
use moqingbird_ledger::covers;
use moqingbird_wire::EncodeError::{self, Inexpressible, TooLong};
use moqingbird_wire::list::{KeyValue, Keys, Value};
use moqingbird_wire::model::{
    Datagram, DatagramBody, EndLocation, Extensions, Fetch, FetchItem, FetchObject, FetchOk, FetchRange,
    GroupOrder, Location, Message, ObjectHeader, ObjectStatus, Opening, Publish, PublishDone,
    PublishDoneCode, PublishOk, RangeStatus, ReasonPhrase, Request, RequestError, RequestErrorCode,
    RequestId, RequestKind, RequestOk, RequestUpdate, Response, Setup, SubgroupHeader, SubgroupId, Subscribe,
    SubscribeNamespace, SubscribeOk, SubscribeOptions, SubscriptionFilter, Target, TrackAlias,
    TrackExtensions, TrackNamespace,
};
use moqingbird_wire::stream::{FetchCursor, SubgroupCursor};

use crate::control::{meaning, request, response, subscribe};
use crate::support::{
    at_start, extensions, namespace, track, write, write_datagram, write_fetch_item, write_object,
    write_opening,
};

const SECOND: Option<Duration> = Some(Duration::from_secs(1));

fn refuses(message: &Message, error: EncodeError) {
    assert_eq!(write(message), Err(error), "{message:?}");
}

#[test]
fn setup() {
    let versions = |versions: &[u64]| Setup { versions: versions.to_vec(), ..Setup::default() };
    refuses(&Message::ServerSetup(versions(&[])), Inexpressible("Selected Version"));
    refuses(&Message::ServerSetup(versions(&[1, 2])), Inexpressible("Selected Version"));
    let pair = |key, value| {
        Message::ClientSetup(Setup { unknown: vec![KeyValue { key, value }], ..Setup::default() })
    };
    refuses(&pair(0x3d, Value::Integer(1)), Inexpressible("Setup Parameters"));
    refuses(&pair(0x3d, Value::Bytes(vec![0; 65_536].into())), TooLong("Setup Parameters"));
    for defined in [0x01, 0x02, 0x03, 0x04, 0x05, 0x07] {
        refuses(&pair(defined, Value::Integer(1)), Inexpressible("Setup Parameters"));
    }
}

#[test]
fn subscribe_without_a_filter_or_with_a_new_group_request() {
    for wrap in [Request::Subscribe, Request::TrackStatus] {
        let message = |subscribe| request(0, wrap(subscribe));
        refuses(&message(Subscribe { filter: None, ..subscribe() }), Inexpressible("Filter Type"));
        let asks = Subscribe { new_group_request: Some(0), ..subscribe() };
        refuses(&message(asks), Inexpressible("new group request"));
    }
}

#[test]
fn names() {
    let named = |namespace: TrackNamespace, name: Bytes| {
        let mut asked = subscribe();
        asked.track.namespace = namespace;
        asked.track.name = name;
        request(0, Request::Subscribe(asked))
    };
    let long = TrackNamespace::new([vec![0; 4096]]).unwrap();
    refuses(&named(TrackNamespace::empty(), "v".into()), Inexpressible("Track Namespace"));
    refuses(&named(long, "v".into()), TooLong("Track Name"));
    let none = SubscribeNamespace::new(TrackNamespace::empty());
    refuses(&request(0, Request::SubscribeNamespace(none)), Inexpressible("Track Namespace Prefix"));
}

#[test]
fn what_only_later_drafts_say_of_a_track() {
    let base = TrackExtensions::default;
    let other = Extensions::from_pairs([KeyValue { key: 0x3e, value: Value::Integer(1) }], Keys::Delta);
    for (field, extensions) in [
        ("default publisher priority", TrackExtensions { default_publisher_priority: 127, ..base() }),
        ("dynamic groups", TrackExtensions { dynamic_groups: true, ..base() }),
        ("track extensions", TrackExtensions { other: other.unwrap(), ..base() }),
    ] {
        for message in messages_with(extensions) {
            refuses(&message, Inexpressible(field));
        }
    }
}

fn messages_with(extensions: TrackExtensions) -> Vec<Message> {
    let ok = RequestOk { extensions: extensions.clone(), ..RequestOk::default() };
    let granted = |kind| Response::Ok { kind: Some(kind), ok: ok.clone() };
    vec![
        response(0, Response::Subscribe(SubscribeOk { extensions: extensions.clone(), ..subscribe_ok() })),
        response(0, Response::Fetch(FetchOk { extensions: extensions.clone(), ..fetch_ok() })),
        response(0, granted(RequestKind::TrackStatus)),
        response(0, granted(RequestKind::PublishNamespace)),
        response(0, granted(RequestKind::SubscribeNamespace)),
        request(0, Request::Publish(Publish { extensions, ..publish() })),
    ]
}

#[test]
fn an_expiry_of_no_millisecond() {
    let ok = SubscribeOk { expires: Some(Duration::from_micros(999)), ..subscribe_ok() };
    refuses(&response(0, Response::Subscribe(ok)), Inexpressible("Expires"));
    let ok = SubscribeOk { expires: Some(Duration::MAX), ..subscribe_ok() };
    refuses(&response(0, Response::Subscribe(ok)), TooLong("Expires"));
}

#[test]
fn publish_and_its_answer() {
    let ok = |ok| response(0, Response::Publish(ok));
    let base = || PublishOk { group_order: Some(GroupOrder::Ascending), ..PublishOk::default() };
    assert!(write(&ok(base())).is_ok());
    refuses(
        &request(0, Request::Publish(Publish { expires: SECOND, ..publish() })),
        Inexpressible("expires"),
    );
    refuses(&ok(PublishOk { expires: SECOND, ..base() }), Inexpressible("expires"));
    refuses(&ok(PublishOk { group_order: None, ..base() }), Inexpressible("Group Order"));
    refuses(&ok(PublishOk { filter: None, ..base() }), Inexpressible("Filter Type"));
    refuses(&ok(PublishOk { new_group_request: Some(1), ..base() }), Inexpressible("new group request"));
}

#[test]
fn publish_done_for_a_declined_update() {
    let done =
        PublishDone { code: PublishDoneCode::UpdateFailed, stream_count: 0, reason: ReasonPhrase::default() };
    refuses(&Message::PublishDone { target: RequestId(0), done }, Inexpressible("Status Code"));
}

#[test]
fn updates_that_leave_something_as_it_is() {
    let start = Location::new(1, 0);
    let all = RequestUpdate {
        filter: Some(SubscriptionFilter::AbsoluteStart(start)),
        subscriber_priority: Some(1),
        forward: Some(true),
        ..RequestUpdate::default()
    };
    let update = |update| Message::RequestUpdate { id: RequestId(2), target: RequestId(0), update };
    assert!(write(&update(all.clone())).is_ok());
    for filter in [None, Some(SubscriptionFilter::NextGroupStart), Some(SubscriptionFilter::LargestObject)] {
        refuses(&update(RequestUpdate { filter, ..all.clone() }), Inexpressible("Start Location"));
    }
    let backward = Some(SubscriptionFilter::AbsoluteRange { start, end_group: 0 });
    let refused = Inexpressible("End Group before the Start Location");
    refuses(&update(RequestUpdate { filter: backward, ..all.clone() }), refused);
    let last = Some(SubscriptionFilter::AbsoluteRange { start, end_group: u64::MAX });
    refuses(&update(RequestUpdate { filter: last, ..all.clone() }), TooLong("End Group"));
    refuses(
        &update(RequestUpdate { subscriber_priority: None, ..all.clone() }),
        Inexpressible("Subscriber Priority"),
    );
    refuses(&update(RequestUpdate { forward: None, ..all.clone() }), Inexpressible("Forward"));
    refuses(&update(RequestUpdate { new_group_request: Some(0), ..all }), Inexpressible("new group request"));
}

#[test]
fn fetch_ok_without_an_order_or_with_the_tracks() {
    let ok = |ok| response(0, Response::Fetch(ok));
    refuses(&ok(FetchOk { group_order: None, ..fetch_ok() }), Inexpressible("Group Order"));
    let base = TrackExtensions::default;
    let extensions = TrackExtensions { group_order: GroupOrder::Descending, ..base() };
    refuses(&ok(FetchOk { extensions, ..fetch_ok() }), Inexpressible("default publisher group order"));
    let extensions = TrackExtensions { delivery_timeout: SECOND, ..base() };
    refuses(&ok(FetchOk { extensions, ..fetch_ok() }), Inexpressible("DELIVERY TIMEOUT"));
    let end = EndLocation { group: 0, object: Some(u64::MAX) };
    let range = FetchRange::Standalone { track: track(), start: Location::new(0, 0), end };
    refuses(&request(0, Request::Fetch(Fetch::new(range))), TooLong("End Location"));
}

#[test]
fn answers_of_no_kind_and_of_kinds_that_have_none() {
    let ok = |kind| response(0, Response::Ok { kind, ok: RequestOk::default() });
    let error = |kind| Message::RequestError {
        target: Target::Id(RequestId(0)),
        kind,
        error: RequestError::new(RequestErrorCode::Timeout, ""),
    };
    for kind in [None, Some(RequestKind::Update)] {
        refuses(&ok(kind), Inexpressible("Message Type"));
        refuses(&error(kind), Inexpressible("Message Type"));
    }
    for kind in [RequestKind::Subscribe, RequestKind::Publish, RequestKind::Fetch] {
        refuses(&ok(Some(kind)), Inexpressible("Message Type"));
    }
}

#[test]
fn answers_about_namespaces_that_say_something_of_a_track() {
    let base = TrackExtensions::default;
    let none = RequestOk::default;
    for (field, ok) in [
        ("expires", RequestOk { expires: SECOND, ..none() }),
        ("largest location", RequestOk { largest: Some(Location::new(0, 0)), ..none() }),
        (
            "delivery timeout",
            RequestOk { extensions: TrackExtensions { delivery_timeout: SECOND, ..base() }, ..none() },
        ),
        (
            "max cache duration",
            RequestOk { extensions: TrackExtensions { max_cache_duration: SECOND, ..base() }, ..none() },
        ),
        (
            "group order",
            RequestOk {
                extensions: TrackExtensions { group_order: GroupOrder::Descending, ..base() },
                ..none()
            },
        ),
    ] {
        for kind in [RequestKind::PublishNamespace, RequestKind::SubscribeNamespace] {
            let response = response(0, Response::Ok { kind: Some(kind), ok: ok.clone() });
            refuses(&response, Inexpressible(field));
        }
    }
}

#[test]
fn errors_with_a_time_to_try_again_or_a_code_of_another_table() {
    let with =
        |kind, error| Message::RequestError { target: Target::Id(RequestId(0)), kind: Some(kind), error };
    let later = RequestError { retry_after: SECOND, ..RequestError::new(RequestErrorCode::Timeout, "") };
    refuses(&with(RequestKind::Fetch, later), Inexpressible("retry interval"));
    for (kind, code) in [
        (RequestKind::Subscribe, RequestErrorCode::DuplicateSubscription),
        (RequestKind::Subscribe, RequestErrorCode::MalformedTrack),
        (RequestKind::Publish, RequestErrorCode::ExpiredAuthToken),
        (RequestKind::Fetch, RequestErrorCode::Uninterested),
    ] {
        refuses(&with(kind, RequestError::new(code, "")), Inexpressible("Error Code"));
    }
}

#[test]
fn targets_named_the_other_way() {
    let live = || Target::Namespace(namespace(&["live"]));
    let id = || Target::Id(RequestId(0));
    let error = || RequestError::new(RequestErrorCode::Timeout, "");
    refuses(&Message::PublishNamespaceDone(id()), Inexpressible("Track Namespace"));
    let cancel = Message::PublishNamespaceCancel { target: id(), error: error() };
    refuses(&cancel, Inexpressible("Track Namespace"));
    refuses(&Message::UnsubscribeNamespace(id()), Inexpressible("Track Namespace"));
    let Message::Response { response, .. } = meaning("publish-namespace-ok") else { panic!("no answer") };
    refuses(&Message::Response { target: live(), response }, Inexpressible("Request ID"));
    let declined = Message::RequestError { target: live(), kind: Some(RequestKind::Fetch), error: error() };
    refuses(&declined, Inexpressible("Request ID"));
}

#[test]
fn namespaces_on_streams_of_their_own() {
    let live = || namespace(&["live"]);
    refuses(&Message::Namespace(live()), Inexpressible("NAMESPACE message"));
    refuses(&Message::NamespaceDone(live()), Inexpressible("NAMESPACE_DONE message"));
    let asked = |options, forward| {
        let subscribe = SubscribeNamespace { options, forward, ..SubscribeNamespace::new(live()) };
        request(0, Request::SubscribeNamespace(subscribe))
    };
    refuses(&asked(SubscribeOptions::Publish, true), Inexpressible("subscribe options"));
    refuses(&asked(SubscribeOptions::Namespace, true), Inexpressible("subscribe options"));
    refuses(&asked(SubscribeOptions::Both, false), Inexpressible("forward"));
}

#[test]
fn subgroups() {
    let header = SubgroupHeader {
        track_alias: TrackAlias(7),
        group_id: 0,
        subgroup_id: SubgroupId::Zero,
        publisher_priority: None,
        extensions: false,
        end_of_group: false,
    };
    assert_eq!(write_opening(&Opening::Subgroup(header)), Err(Inexpressible("Publisher Priority")));
}

#[test]
fn objects() {
    let object = |status, extensions, payload_length| ObjectHeader {
        object_id: 5,
        extensions,
        status,
        payload_length,
    };
    let plain = object(ObjectStatus::Normal, Extensions::NONE, 1);
    for previous in [5, 6, u64::MAX] {
        let at = SubgroupCursor { extensions: false, previous: Some(previous) };
        assert_eq!(write_object(&at, &plain), Err(Inexpressible("Object ID Delta")), "after {previous}");
    }
    let cases = [
        (false, object(ObjectStatus::Normal, extensions("3c 01"), 1), "Extension Headers"),
        (true, object(ObjectStatus::DoesNotExist, extensions("3c 01"), 0), "Extension Headers"),
        (true, object(ObjectStatus::EndOfGroup, Extensions::NONE, 1), "Object Status"),
    ];
    for (carries, object, field) in cases {
        assert_eq!(write_object(&at_start(carries), &object), Err(Inexpressible(field)), "{object:?}");
    }
}

#[test]
fn only_a_normal_object_has_a_payload() {
    covers!("D14-10.2.1.1-09");
    for status in [ObjectStatus::DoesNotExist, ObjectStatus::EndOfGroup, ObjectStatus::EndOfTrack] {
        let object = |payload_length| ObjectHeader {
            object_id: 5,
            extensions: Extensions::NONE,
            status,
            payload_length,
        };
        assert!(write_object(&at_start(false), &object(0)).is_ok(), "{status:?}");
        assert_eq!(write_object(&at_start(false), &object(1)), Err(Inexpressible("Object Status")));
    }
}

#[test]
fn fetched_ranges_and_statuses() {
    let write = |item| write_fetch_item(&FetchCursor::default(), &item);
    let end = Location::new(1, 0);
    for status in [RangeStatus::NonExistent, RangeStatus::Unknown] {
        assert_eq!(write(FetchItem::EndOfRange { end, status }), Err(Inexpressible("end of range")));
    }
    let object = |status, extensions, payload_length| {
        FetchItem::Object(FetchObject {
            location: end,
            subgroup_id: Some(0),
            publisher_priority: 1,
            extensions,
            status,
            payload_length,
        })
    };
    let missing = object(ObjectStatus::DoesNotExist, extensions("3c 01"), 0);
    assert_eq!(write(missing), Err(Inexpressible("Extension Headers")));
    let full = object(ObjectStatus::DoesNotExist, Extensions::NONE, 1);
    assert_eq!(write(full), Err(Inexpressible("Object Status")));
}

#[test]
fn datagrams() {
    let base = Datagram {
        track_alias: TrackAlias(7),
        group_id: 5,
        object_id: 0,
        publisher_priority: Some(1),
        end_of_group: false,
        extensions: Extensions::NONE,
        body: DatagramBody::Payload(Bytes::new()),
    };
    let status = |status| Datagram { body: DatagramBody::Status(status), ..base.clone() };
    for (field, datagram) in [
        ("Publisher Priority", Datagram { publisher_priority: None, ..base.clone() }),
        ("End of Group", Datagram { end_of_group: true, ..status(ObjectStatus::EndOfGroup) }),
        (
            "Extension Headers",
            Datagram { extensions: extensions("3c 01"), ..status(ObjectStatus::DoesNotExist) },
        ),
    ] {
        assert_eq!(write_datagram(&datagram), Err(Inexpressible(field)), "{datagram:?}");
    }
}

#[test]
fn extension_headers_of_another_spelling_are_respelled() {
    let pairs = [(0x3c, 1), (0x3e, 2)].map(|(key, value)| KeyValue { key, value: Value::Integer(value) });
    let object = ObjectHeader {
        object_id: 0,
        extensions: Extensions::from_pairs(pairs, Keys::Delta).unwrap(),
        status: ObjectStatus::Normal,
        payload_length: 1,
    };
    let bytes = write_object(&at_start(true), &object).unwrap();
    assert_eq!(bytes, crate::support::hex("00 04 3c 01 3e 02 01"));
}

fn subscribe_ok() -> SubscribeOk {
    SubscribeOk {
        track_alias: TrackAlias(7),
        expires: None,
        largest: None,
        extensions: TrackExtensions::default(),
    }
}

fn fetch_ok() -> FetchOk {
    FetchOk {
        group_order: Some(GroupOrder::Ascending),
        end_of_track: false,
        end: EndLocation { group: 1, object: None },
        extensions: TrackExtensions::default(),
    }
}

fn publish() -> Publish {
    Publish {
        track: track(),
        track_alias: TrackAlias(7),
        largest: None,
        forward: true,
        expires: None,
        authorization_tokens: Vec::new(),
        extensions: TrackExtensions::default(),
    }
}
