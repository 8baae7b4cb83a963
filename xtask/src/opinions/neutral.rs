//! What a unit says, in the form that `interop/peers/opinions/neutral.py` describes.

use std::fmt::Write;
use std::time::Duration;

use bytes::Bytes;
use moqingbird_wire::Draft;
use moqingbird_wire::list::{KeyValue, Value as PairValue};
use moqingbird_wire::model::{
    AuthorizationToken, Datagram, DatagramBody, EndLocation, ErrorContext, Extensions, Fetch, FetchItem,
    FetchOk, FetchRange, FullTrackName, GroupOrder, Location, Message, ObjectHeader, ObjectStatus, Publish,
    PublishDone, PublishOk, RangeStatus, Request, RequestError, RequestId, RequestKind, RequestOk,
    RequestUpdate, Response, Setup, SubgroupHeader, SubgroupId, Subscribe, SubscribeOk, SubscribeOptions,
    SubscriptionFilter, Target, TrackExtensions, TrackNamespace,
};
use serde_json::{Map, Value, json};

use super::unit::Unit;

/// What a unit of a draft says, and of a control message which it is.
pub(super) fn fields(draft: &dyn Draft, unit: &Unit) -> Value {
    match unit {
        Unit::Control(message) => {
            let said = control(draft, message);
            merged(json!({ "message": name(draft, message), "unread": [] }), said)
        }
        Unit::Subgroup(header, objects) => subgroup(header, objects),
        Unit::Fetch(id, items) => {
            let items: Vec<_> = items.iter().map(|(item, payload)| fetch_item(item, payload)).collect();
            json!({ "request_id": id.0, "items": items })
        }
        Unit::Datagram(datagram) => self::datagram(datagram),
    }
}

/// The draft's name of a message.
fn name(draft: &dyn Draft, message: &Message) -> String {
    let name = match message {
        Message::ClientSetup(_) => "CLIENT_SETUP",
        Message::ServerSetup(_) => "SERVER_SETUP",
        Message::GoAway(_) => "GOAWAY",
        Message::MaxRequestId(_) => "MAX_REQUEST_ID",
        Message::RequestsBlocked(_) => "REQUESTS_BLOCKED",
        Message::Request { request, .. } => return request.kind().to_string(),
        Message::RequestUpdate { .. } if draft.rules().updates_answered => "REQUEST_UPDATE",
        Message::RequestUpdate { .. } => "SUBSCRIBE_UPDATE",
        Message::Response { response: Response::Subscribe(_), .. } => "SUBSCRIBE_OK",
        Message::Response { response: Response::Publish(_), .. } => "PUBLISH_OK",
        Message::Response { response: Response::Fetch(_), .. } => "FETCH_OK",
        Message::Response { response: Response::Ok { kind, .. }, .. } => return suffixed(*kind, "OK"),
        Message::RequestError { kind, .. } => return suffixed(*kind, "ERROR"),
        Message::Unsubscribe(_) => "UNSUBSCRIBE",
        Message::FetchCancel(_) => "FETCH_CANCEL",
        Message::PublishDone { .. } => "PUBLISH_DONE",
        Message::PublishNamespaceDone(_) => "PUBLISH_NAMESPACE_DONE",
        Message::PublishNamespaceCancel { .. } => "PUBLISH_NAMESPACE_CANCEL",
        Message::UnsubscribeNamespace(_) => "UNSUBSCRIBE_NAMESPACE",
        Message::Namespace(_) => "NAMESPACE",
        Message::NamespaceDone(_) => "NAMESPACE_DONE",
        other => return format!("{other:?}"),
    };
    name.to_owned()
}

fn suffixed(kind: Option<RequestKind>, suffix: &str) -> String {
    match kind {
        Some(kind) => format!("{kind}_{suffix}"),
        None => format!("REQUEST_{suffix}"),
    }
}

fn control(draft: &dyn Draft, message: &Message) -> Value {
    match message {
        Message::ClientSetup(body) | Message::ServerSetup(body) => setup(body),
        Message::GoAway(body) => json!({ "new_session_uri": hex(&body.new_session_uri) }),
        Message::MaxRequestId(limit) | Message::RequestsBlocked(limit) => json!({ "max_request_id": limit }),
        Message::Request { id, request: body } => identified(*id, request(draft, body)),
        Message::RequestUpdate { id, target, update: body } => {
            merged(json!({ "request_id": id.0, "existing_request_id": target.0 }), update(body))
        }
        Message::Response { target, response: body } => merged(self::target(target), response(body)),
        Message::RequestError { target, kind, error } => {
            let context = ErrorContext::Request(kind.unwrap_or(RequestKind::Update));
            let retry = error.retry_after.map_or(0, |after| after.as_millis() as u64 + 1);
            let said = merged(json!({ "retry_interval": retry }), declined(draft, context, error));
            merged(self::target(target), said)
        }
        Message::Unsubscribe(id) | Message::FetchCancel(id) => json!({ "request_id": id.0 }),
        Message::PublishDone { target, done: body } => identified(*target, done(draft, body)),
        Message::PublishNamespaceDone(target) => self::target(target),
        Message::PublishNamespaceCancel { target, error } => {
            merged(self::target(target), declined(draft, ErrorContext::PublishNamespaceCancel, error))
        }
        Message::UnsubscribeNamespace(Target::Namespace(prefix)) => json!({ "prefix": namespace(prefix) }),
        Message::Namespace(suffix) | Message::NamespaceDone(suffix) => json!({ "suffix": namespace(suffix) }),
        other => json!({ "unforeseen": format!("{other:?}") }),
    }
}

// --- control messages -------------------------------------------------------------------------------------------------

fn setup(setup: &Setup) -> Value {
    json!({
        "versions": setup.versions,
        "path": setup.path.as_ref().map(hex),
        "authority": setup.authority.as_ref().map(hex),
        "max_request_id": setup.max_request_id,
        "max_auth_token_cache_size": setup.max_auth_token_cache_size,
        "authorization_tokens": tokens(&setup.authorization_tokens),
        "implementation": setup.implementation.as_ref().map(hex),
        "unknown": pairs(setup.unknown.iter().cloned()),
    })
}

fn request(draft: &dyn Draft, request: &Request) -> Value {
    match request {
        Request::Subscribe(body) | Request::TrackStatus(body) => subscribe(body),
        Request::Publish(body) => publish(body),
        Request::Fetch(body) => fetch(draft, body),
        Request::PublishNamespace(body) => json!({
            "namespace": namespace(&body.namespace),
            "authorization_tokens": tokens(&body.authorization_tokens),
        }),
        Request::SubscribeNamespace(body) => json!({
            "prefix": namespace(&body.prefix),
            "options": match body.options {
                SubscribeOptions::Publish => 0,
                SubscribeOptions::Namespace => 1,
                _ => 2,
            },
            "forward": body.forward,
            "authorization_tokens": tokens(&body.authorization_tokens),
        }),
        other => json!({ "unforeseen": format!("{other:?}") }),
    }
}

fn subscribe(subscribe: &Subscribe) -> Value {
    let said = json!({
        "subscriber_priority": subscribe.subscriber_priority,
        "group_order": requested_order(subscribe.group_order),
        "forward": subscribe.forward,
        "filter": subscribe.filter.map(filter),
        "delivery_timeout": subscribe.delivery_timeout.map(milliseconds),
        "new_group_request": subscribe.new_group_request,
        "authorization_tokens": tokens(&subscribe.authorization_tokens),
    });
    merged(named(&subscribe.track), said)
}

fn publish(publish: &Publish) -> Value {
    let said = json!({
        "track_alias": publish.track_alias.0,
        "largest": publish.largest.map(location),
        "forward": publish.forward,
        "expires": publish.expires.map(milliseconds),
        "authorization_tokens": tokens(&publish.authorization_tokens),
        "track": track(&publish.extensions),
    });
    merged(named(&publish.track), said)
}

/// Draft-16 leaves the group order out where it is ascending (§9.2.2.4).
fn fetch(draft: &dyn Draft, fetch: &Fetch) -> Value {
    let range = match &fetch.range {
        FetchRange::Standalone { track, start, end } => {
            merged(named(track), json!({ "type": 1, "start": location(*start), "end": self::end(*end) }))
        }
        FetchRange::RelativeJoining { subscription, groups_before } => {
            json!({ "type": 2, "joining_request_id": subscription.0, "joining_start": groups_before })
        }
        FetchRange::AbsoluteJoining { subscription, start_group } => {
            json!({ "type": 3, "joining_request_id": subscription.0, "joining_start": start_group })
        }
        other => json!({ "unforeseen": format!("{other:?}") }),
    };
    let omitted = match draft.rules().ok_states_order {
        true => 0,
        false => order(GroupOrder::Ascending),
    };
    json!({
        "range": range,
        "subscriber_priority": fetch.subscriber_priority,
        "group_order": fetch.group_order.map_or(omitted, order),
        "authorization_tokens": tokens(&fetch.authorization_tokens),
    })
}

fn update(update: &RequestUpdate) -> Value {
    json!({
        "filter": update.filter.map(filter),
        "subscriber_priority": update.subscriber_priority,
        "forward": update.forward,
        "delivery_timeout": update.delivery_timeout.map(milliseconds),
        "new_group_request": update.new_group_request,
        "authorization_tokens": tokens(&update.authorization_tokens),
    })
}

fn response(response: &Response) -> Value {
    match response {
        Response::Subscribe(SubscribeOk { track_alias, expires, largest, extensions }) => json!({
            "track_alias": track_alias.0,
            "expires": expires.map(milliseconds),
            "largest": largest.map(location),
            "track": track(extensions),
        }),
        Response::Publish(ok) => publish_ok(ok),
        Response::Fetch(FetchOk { group_order, end_of_track, end, extensions }) => json!({
            "group_order": group_order.map(order),
            "end_of_track": end_of_track,
            "end": self::end(*end),
            "track": track(extensions),
        }),
        Response::Ok { kind, ok: RequestOk { expires, largest, extensions } } => json!({
            "expires": expires.map(milliseconds),
            "largest": largest.map(location),
            "track": (*kind == Some(RequestKind::TrackStatus)).then(|| track(extensions)),
        }),
        other => json!({ "unforeseen": format!("{other:?}") }),
    }
}

fn publish_ok(ok: &PublishOk) -> Value {
    json!({
        "forward": ok.forward,
        "subscriber_priority": ok.subscriber_priority,
        "group_order": requested_order(ok.group_order),
        "filter": ok.filter.map(filter),
        "delivery_timeout": ok.delivery_timeout.map(milliseconds),
        "expires": ok.expires.map(milliseconds),
        "new_group_request": ok.new_group_request,
    })
}

fn declined(draft: &dyn Draft, context: ErrorContext, error: &RequestError) -> Value {
    json!({
        "error_code": draft.request_code(context, error.code),
        "reason": hex(error.reason.as_bytes()),
    })
}

fn done(draft: &dyn Draft, done: &PublishDone) -> Value {
    json!({
        "status_code": draft.publish_done_code(done.code),
        "stream_count": done.stream_count,
        "reason": hex(done.reason.as_bytes()),
    })
}

// --- streams and datagrams --------------------------------------------------------------------------------------------

fn subgroup(header: &SubgroupHeader, objects: &[(ObjectHeader, Bytes)]) -> Value {
    let objects: Vec<_> = objects
        .iter()
        .map(|(object, payload)| {
            json!({
                "object_id": object.object_id,
                "extensions": extensions(&object.extensions),
                "status": status(object.status),
                "payload": hex(payload),
            })
        })
        .collect();
    json!({
        "track_alias": header.track_alias.0,
        "group_id": header.group_id,
        "subgroup_id": match header.subgroup_id {
            SubgroupId::Zero => json!("zero"),
            SubgroupId::Id(id) => json!(id),
            _ => json!("first object"),
        },
        "publisher_priority": header.publisher_priority,
        "extensions": header.extensions,
        "end_of_group": header.end_of_group,
        "objects": objects,
    })
}

fn fetch_item(item: &FetchItem, payload: &Bytes) -> Value {
    match item {
        FetchItem::Object(object) => json!({
            "group_id": object.location.group,
            "subgroup_id": object.subgroup_id,
            "object_id": object.location.object,
            "publisher_priority": object.publisher_priority,
            "extensions": extensions(&object.extensions),
            "status": status(object.status),
            "payload": hex(payload),
        }),
        FetchItem::EndOfRange { end, status } => json!({
            "end_of_range": match status {
                RangeStatus::NonExistent => "non-existent",
                RangeStatus::Unknown => "unknown",
            },
            "group_id": end.group,
            "object_id": end.object,
        }),
        other => json!({ "unforeseen": format!("{other:?}") }),
    }
}

fn datagram(datagram: &Datagram) -> Value {
    let body = match &datagram.body {
        DatagramBody::Status(status) => json!({ "status": self::status(*status) }),
        DatagramBody::Payload(payload) => json!({ "payload": hex(payload) }),
        other => json!({ "unforeseen": format!("{other:?}") }),
    };
    let said = json!({
        "track_alias": datagram.track_alias.0,
        "group_id": datagram.group_id,
        "object_id": datagram.object_id,
        "publisher_priority": datagram.publisher_priority,
        "end_of_group": datagram.end_of_group,
        "extensions": extensions(&datagram.extensions),
    });
    merged(said, body)
}

// --- fields -----------------------------------------------------------------------------------------------------------

fn identified(id: RequestId, said: Value) -> Value {
    merged(json!({ "request_id": id.0 }), said)
}

fn target(target: &Target) -> Value {
    match target {
        Target::Id(id) => json!({ "request_id": id.0 }),
        Target::Namespace(namespace) => json!({ "namespace": self::namespace(namespace) }),
        other => json!({ "unforeseen": format!("{other:?}") }),
    }
}

fn named(track: &FullTrackName) -> Value {
    json!({ "namespace": namespace(&track.namespace), "name": hex(&track.name) })
}

fn namespace(namespace: &TrackNamespace) -> Vec<String> {
    namespace.fields().iter().map(hex).collect()
}

fn location(location: Location) -> [u64; 2] {
    [location.group, location.object]
}

fn end(end: EndLocation) -> Value {
    json!([end.group, end.object])
}

fn filter(filter: SubscriptionFilter) -> Value {
    match filter {
        SubscriptionFilter::NextGroupStart => json!({ "type": 1 }),
        SubscriptionFilter::LargestObject => json!({ "type": 2 }),
        SubscriptionFilter::AbsoluteStart(start) => json!({ "type": 3, "start": location(start) }),
        SubscriptionFilter::AbsoluteRange { start, end_group } => {
            json!({ "type": 4, "start": location(start), "end_group": end_group })
        }
        other => json!({ "unforeseen": format!("{other:?}") }),
    }
}

const fn order(order: GroupOrder) -> u8 {
    match order {
        GroupOrder::Ascending => 1,
        GroupOrder::Descending => 2,
    }
}

/// 0 is the publisher's.
fn requested_order(asked: Option<GroupOrder>) -> u8 {
    asked.map_or(0, order)
}

const fn status(status: ObjectStatus) -> u8 {
    match status {
        ObjectStatus::Normal => 0,
        ObjectStatus::DoesNotExist => 1,
        ObjectStatus::EndOfGroup => 3,
        _ => 4,
    }
}

fn milliseconds(duration: Duration) -> u64 {
    duration.as_millis() as u64
}

fn track(track: &TrackExtensions) -> Value {
    json!({
        "delivery_timeout": track.delivery_timeout.map(milliseconds),
        "max_cache_duration": track.max_cache_duration.map(milliseconds),
        "default_publisher_priority": track.default_publisher_priority,
        "group_order": order(track.group_order),
        "dynamic_groups": track.dynamic_groups,
        "other": extensions(&track.other),
    })
}

fn extensions(extensions: &Extensions) -> Value {
    pairs(extensions.iter())
}

/// In ascending order of types.
fn pairs(pairs: impl Iterator<Item = KeyValue>) -> Value {
    let mut pairs: Vec<_> = pairs.collect();
    pairs.sort_by_key(|pair| pair.key);
    pairs
        .into_iter()
        .map(|pair| match pair.value {
            PairValue::Integer(number) => json!([pair.key, number]),
            PairValue::Bytes(bytes) => json!([pair.key, hex(&bytes)]),
        })
        .collect()
}

fn tokens(tokens: &[AuthorizationToken]) -> Value {
    tokens
        .iter()
        .map(|token| match token {
            AuthorizationToken::Delete { alias } => json!({ "alias_type": 0, "alias": alias }),
            AuthorizationToken::Register { alias, token_type, value } => {
                json!({ "alias_type": 1, "alias": alias, "token_type": token_type, "value": hex(value) })
            }
            AuthorizationToken::UseAlias { alias } => json!({ "alias_type": 2, "alias": alias }),
            AuthorizationToken::UseValue { token_type, value } => {
                json!({ "alias_type": 3, "token_type": token_type, "value": hex(value) })
            }
        })
        .collect()
}

/// All fields of two objects.
fn merged(one: Value, other: Value) -> Value {
    let mut all = Map::new();
    for value in [one, other] {
        if let Value::Object(fields) = value {
            all.extend(fields);
        }
    }
    Value::Object(all)
}

/// Two lower-case digits a byte.
pub(super) fn hex(bytes: impl AsRef<[u8]>) -> String {
    bytes.as_ref().iter().fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
