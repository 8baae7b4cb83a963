//! Control messages, in the words of the event schema.

use moqingbird_wire::Draft;
use moqingbird_wire::model::{
    EndLocation, ErrorContext, Fetch, FetchOk, FetchRange, FullTrackName, Message, Publish, PublishDone,
    PublishOk, ReasonPhrase, Request, RequestError, RequestId, RequestKind, RequestOk, RequestUpdate,
    Response, Setup, Subscribe, SubscribeNamespace, SubscribeOk, SubscribeOptions, Target,
};
use serde_json::{Map, Value, json};

use super::parameter::{
    Parameters, byte_string, hex, location, millis, namespace, setup_options, track_properties,
};
use super::record::object;

/// A message; `None` if it is of a kind for which the schema has no words.
pub(super) fn control_message(draft: &dyn Draft, message: &Message) -> Option<Value> {
    let fields = match message {
        Message::ClientSetup(setup) => client_setup(setup),
        Message::ServerSetup(setup) => server_setup(setup),
        Message::GoAway(goaway) => json!({
            "type": "goaway",
            "new_session_uri": { "length": goaway.new_session_uri.len() },
            "timeout": 0,
        }),
        Message::MaxRequestId(limit) => json!({ "type": "max_request_id", "request_id": limit }),
        Message::RequestsBlocked(limit) => json!({ "type": "requests_blocked", "maximum_request_id": limit }),
        Message::Request { id, request } => self::request(*id, request)?,
        Message::RequestUpdate { id, target, update } => request_update(*id, *target, update),
        Message::Response { target, response } => self::response(target, response)?,
        Message::RequestError { target, kind, error } => {
            let context = ErrorContext::Request(kind.unwrap_or(RequestKind::Subscribe));
            let retry = error.retry_after.map_or(0, |after| millis(after).saturating_add(1));
            let fields = json!({ "type": "request_error", "retry_interval": retry });
            request_error(draft, target, context, error, fields)
        }
        Message::Unsubscribe(id) => json!({ "type": "unsubscribe", "request_id": id.0 }),
        Message::FetchCancel(id) => json!({ "type": "fetch_cancel", "request_id": id.0 }),
        Message::PublishDone { target, done } => publish_done(draft, *target, done),
        Message::PublishNamespaceDone(target) => {
            targeted(json!({ "type": "publish_namespace_done" }), target, "track_namespace")
        }
        Message::PublishNamespaceCancel { target, error } => {
            let fields = json!({ "type": "publish_namespace_cancel" });
            request_error(draft, target, ErrorContext::PublishNamespaceCancel, error, fields)
        }
        Message::UnsubscribeNamespace(target) => {
            targeted(json!({ "type": "unsubscribe_namespace" }), target, "track_namespace_prefix")
        }
        Message::Namespace(suffix) => {
            json!({ "type": "namespace", "track_namespace_suffix": namespace(suffix) })
        }
        Message::NamespaceDone(suffix) => {
            json!({ "type": "namespace_done", "track_namespace_suffix": namespace(suffix) })
        }
        _ => return None,
    };
    Some(fields)
}

/// With a list of versions it is the message of revision 04, which has one; without, that of revision 07.
fn client_setup(setup: &Setup) -> Value {
    let options = setup_options(setup);
    if setup.versions.is_empty() {
        return json!({ "type": "setup", "setup_options": options });
    }
    json!({
        "type": "client_setup",
        "number_of_supported_versions": setup.versions.len(),
        "supported_versions": setup.versions,
        "number_of_parameters": options.len(),
        "setup_parameters": options,
    })
}

fn server_setup(setup: &Setup) -> Value {
    let options = setup_options(setup);
    match setup.versions.first() {
        None => json!({ "type": "setup", "setup_options": options }),
        Some(version) => json!({
            "type": "server_setup",
            "selected_version": version,
            "number_of_parameters": options.len(),
            "setup_parameters": options,
        }),
    }
}

fn request(id: RequestId, request: &Request) -> Option<Value> {
    Some(match request {
        Request::Subscribe(subscribe) => asked("subscribe", id, subscribe),
        Request::TrackStatus(subscribe) => asked("track_status", id, subscribe),
        Request::Publish(publish) => offered(id, publish),
        Request::Fetch(fetch) => fetched(id, fetch),
        Request::PublishNamespace(publish) => {
            let mut fields = new_request("publish_namespace", id);
            fields.insert("track_namespace".into(), namespace(&publish.namespace));
            with(fields, Parameters::default().tokens(&publish.authorization_tokens))
        }
        Request::SubscribeNamespace(subscribe) => subscribe_namespace(id, subscribe),
        _ => return None,
    })
}

fn asked(kind: &str, id: RequestId, subscribe: &Subscribe) -> Value {
    let mut fields = new_request(kind, id);
    name(&mut fields, &subscribe.track);
    let parameters = Parameters::default()
        .tokens(&subscribe.authorization_tokens)
        .millis("delivery_timeout", subscribe.delivery_timeout)
        .forward(Some(subscribe.forward))
        .add("subscriber_priority", Some(subscribe.subscriber_priority))
        .filter(subscribe.filter)
        .group_order(subscribe.group_order)
        .add("new_group_request", subscribe.new_group_request);
    with(fields, parameters)
}

fn offered(id: RequestId, publish: &Publish) -> Value {
    let mut fields = new_request("publish", id);
    name(&mut fields, &publish.track);
    fields.insert("track_alias".into(), publish.track_alias.0.into());
    fields.insert("track_properties".into(), track_properties(&publish.extensions).into());
    let parameters = Parameters::default()
        .tokens(&publish.authorization_tokens)
        .millis("expires", publish.expires)
        .largest(publish.largest)
        .forward(Some(publish.forward));
    with(fields, parameters)
}

fn fetched(id: RequestId, fetch: &Fetch) -> Value {
    let mut fields = new_request("fetch", id);
    let (kind, field, range) = match &fetch.range {
        FetchRange::Standalone { track, start, end } => {
            let mut range = Map::new();
            name(&mut range, track);
            range.insert("start_location".into(), location(*start));
            range.insert("end_location".into(), end_location(*end));
            ("standalone", "standalone_fetch", Value::Object(range))
        }
        FetchRange::RelativeJoining { subscription, groups_before } => (
            "relative_joining",
            "joining_fetch",
            json!({ "joining_request_id": subscription.0, "joining_start": groups_before }),
        ),
        FetchRange::AbsoluteJoining { subscription, start_group } => (
            "absolute_joining",
            "joining_fetch",
            json!({ "joining_request_id": subscription.0, "joining_start": start_group }),
        ),
        _ => return Value::Object(fields),
    };
    fields.insert("fetch_type".into(), kind.into());
    fields.insert(field.into(), range);
    let parameters = Parameters::default()
        .tokens(&fetch.authorization_tokens)
        .add("subscriber_priority", Some(fetch.subscriber_priority))
        .group_order(fetch.group_order);
    with(fields, parameters)
}

fn subscribe_namespace(id: RequestId, subscribe: &SubscribeNamespace) -> Value {
    let mut fields = new_request("subscribe_namespace", id);
    let options = match subscribe.options {
        SubscribeOptions::Publish => "publish",
        SubscribeOptions::Namespace => "namespace",
        _ => "both",
    };
    fields.insert("track_namespace_prefix".into(), namespace(&subscribe.prefix));
    fields.insert("subscribe_options".into(), options.into());
    with(
        fields,
        Parameters::default().tokens(&subscribe.authorization_tokens).forward(Some(subscribe.forward)),
    )
}

fn request_update(id: RequestId, target: RequestId, update: &RequestUpdate) -> Value {
    let mut fields = new_request("request_update", id);
    fields.insert("existing_request_id".into(), target.0.into());
    let parameters = Parameters::default()
        .tokens(&update.authorization_tokens)
        .millis("delivery_timeout", update.delivery_timeout)
        .forward(update.forward)
        .add("subscriber_priority", update.subscriber_priority)
        .filter(update.filter)
        .add("new_group_request", update.new_group_request);
    with(fields, parameters)
}

fn response(target: &Target, response: &Response) -> Option<Value> {
    let (kind, more, parameters) = match response {
        Response::Subscribe(ok) => subscribe_ok(ok),
        Response::Publish(ok) => ("publish_ok", Map::new(), publish_ok(ok)),
        Response::Fetch(ok) => fetch_ok(ok),
        Response::Ok { ok: RequestOk { expires, largest, .. }, .. } => {
            ("request_ok", Map::new(), Parameters::default().millis("expires", *expires).largest(*largest))
        }
        _ => return None,
    };
    let mut fields = object(targeted(json!({ "type": kind }), target, "track_namespace"));
    fields.extend(more);
    Some(with(fields, parameters))
}

fn subscribe_ok(ok: &SubscribeOk) -> (&'static str, Map<String, Value>, Parameters) {
    let fields = object(json!({
        "track_alias": ok.track_alias.0,
        "track_properties": track_properties(&ok.extensions),
    }));
    ("subscribe_ok", fields, Parameters::default().millis("expires", ok.expires).largest(ok.largest))
}

fn publish_ok(ok: &PublishOk) -> Parameters {
    Parameters::default()
        .millis("delivery_timeout", ok.delivery_timeout)
        .millis("expires", ok.expires)
        .forward(Some(ok.forward))
        .add("subscriber_priority", Some(ok.subscriber_priority))
        .filter(ok.filter)
        .group_order(ok.group_order)
        .add("new_group_request", ok.new_group_request)
}

fn fetch_ok(ok: &FetchOk) -> (&'static str, Map<String, Value>, Parameters) {
    let fields = object(json!({
        "end_of_track": u8::from(ok.end_of_track),
        "end_location": end_location(ok.end),
        "track_properties": track_properties(&ok.extensions),
    }));
    ("fetch_ok", fields, Parameters::default().group_order(ok.group_order))
}

fn publish_done(draft: &dyn Draft, target: RequestId, done: &PublishDone) -> Value {
    let mut fields = object(json!({
        "type": "publish_done",
        "request_id": target.0,
        "status_code": draft.publish_done_code(done.code),
        "stream_count": done.stream_count,
    }));
    reason(&mut fields, &done.reason);
    Value::Object(fields)
}

fn request_error(
    draft: &dyn Draft,
    target: &Target,
    context: ErrorContext,
    error: &RequestError,
    fields: Value,
) -> Value {
    let mut fields = object(targeted(fields, target, "track_namespace"));
    fields.insert("error_code".into(), draft.request_code(context, error.code).into());
    reason(&mut fields, &error.reason);
    Value::Object(fields)
}

/// A request's type and number.
fn new_request(kind: &str, id: RequestId) -> Map<String, Value> {
    object(json!({ "type": kind, "request_id": id.0, "required_request_id_delta": 0 }))
}

fn name(fields: &mut Map<String, Value>, track: &FullTrackName) {
    fields.insert("track_namespace".into(), namespace(&track.namespace));
    fields.insert("track_name".into(), byte_string(&track.name));
}

/// Names the request that a message is about, by its number or under `by_namespace`.
fn targeted(fields: Value, target: &Target, by_namespace: &str) -> Value {
    let mut fields = object(fields);
    match target {
        Target::Id(id) => fields.insert("request_id".into(), id.0.into()),
        Target::Namespace(name) => fields.insert(by_namespace.into(), namespace(name)),
        _ => None,
    };
    Value::Object(fields)
}

/// As the drafts write it: the object is one more, 0 for all of the group.
fn end_location(end: EndLocation) -> Value {
    json!({ "group": end.group, "object": end.object.map_or(0, |object| object.saturating_add(1)) })
}

fn reason(fields: &mut Map<String, Value>, reason: &ReasonPhrase) {
    let (field, text) = match std::str::from_utf8(reason.as_bytes()) {
        Ok(text) => ("reason", text.to_owned()),
        Err(_) => ("reason_bytes", hex(reason.as_bytes())),
    };
    fields.insert(field.into(), text.into());
}

fn with(mut fields: Map<String, Value>, parameters: Parameters) -> Value {
    parameters.into_fields(&mut fields);
    Value::Object(fields)
}
