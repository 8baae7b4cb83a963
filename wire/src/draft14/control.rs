//! Control messages by their type (draft-14 §9).

use super::fields::{absent, expressible_track, request_id};
use super::kinds::{self, Exchange, exchange};
use super::{codes, fetch, namespace, publish, setup, subscribe};
use crate::buf::{Reader, Writer};
use crate::error::{DecodeError, EncodeError, Fault};
use crate::field;
use crate::model::{
    ErrorContext, GoAway, GroupOrder, Message, Request, RequestError, RequestId, RequestKind, RequestOk,
    Response, Target, TrackNamespace,
};

/// Reads a message, which must fill its frame.
pub(super) fn decode(kind: u64, r: &mut Reader<'_>) -> Result<Message, DecodeError> {
    let message = body(kind, r)?;
    r.finish("Message Payload")?;
    Ok(message)
}

fn body(kind: u64, r: &mut Reader<'_>) -> Result<Message, DecodeError> {
    use RequestKind as Kind;
    match kind {
        kinds::CLIENT_SETUP => setup::client(r).map(Message::ClientSetup),
        kinds::SERVER_SETUP => setup::server(r).map(Message::ServerSetup),
        kinds::GOAWAY => go_away(r).map(Message::GoAway),
        kinds::MAX_REQUEST_ID => r.varint("Request ID").map(Message::MaxRequestId),
        kinds::REQUESTS_BLOCKED => r.varint("Maximum Request ID").map(Message::RequestsBlocked),

        kinds::SUBSCRIBE => request(r, subscribe::subscribe, Request::Subscribe),
        kinds::SUBSCRIBE_OK => response(r, subscribe::subscribe_ok, Response::Subscribe),
        kinds::SUBSCRIBE_ERROR => error(r, Kind::Subscribe),
        kinds::SUBSCRIBE_UPDATE => update(r),
        kinds::UNSUBSCRIBE => request_id(r, "Request ID").map(Message::Unsubscribe),

        kinds::PUBLISH => request(r, publish::publish, Request::Publish),
        kinds::PUBLISH_OK => response(r, publish::publish_ok, Response::Publish),
        kinds::PUBLISH_ERROR => error(r, Kind::Publish),
        kinds::PUBLISH_DONE => publish_done(r),

        kinds::FETCH => request(r, fetch::fetch, Request::Fetch),
        kinds::FETCH_OK => response(r, fetch::fetch_ok, Response::Fetch),
        kinds::FETCH_ERROR => error(r, Kind::Fetch),
        kinds::FETCH_CANCEL => request_id(r, "Request ID").map(Message::FetchCancel),

        kinds::TRACK_STATUS => request(r, subscribe::subscribe, Request::TrackStatus),
        kinds::TRACK_STATUS_OK => response(r, subscribe::track_status_ok, granted(Kind::TrackStatus)),
        kinds::TRACK_STATUS_ERROR => error(r, Kind::TrackStatus),

        kinds::PUBLISH_NAMESPACE => request(r, namespace::publish_namespace, Request::PublishNamespace),
        kinds::PUBLISH_NAMESPACE_OK => response(r, nothing, granted(Kind::PublishNamespace)),
        kinds::PUBLISH_NAMESPACE_ERROR => error(r, Kind::PublishNamespace),
        kinds::PUBLISH_NAMESPACE_DONE => {
            namespace::namespace(r).map(Target::Namespace).map(Message::PublishNamespaceDone)
        }
        kinds::PUBLISH_NAMESPACE_CANCEL => publish_namespace_cancel(r),

        kinds::SUBSCRIBE_NAMESPACE => request(r, namespace::subscribe_namespace, Request::SubscribeNamespace),
        kinds::SUBSCRIBE_NAMESPACE_OK => response(r, nothing, granted(Kind::SubscribeNamespace)),
        kinds::SUBSCRIBE_NAMESPACE_ERROR => error(r, Kind::SubscribeNamespace),
        kinds::UNSUBSCRIBE_NAMESPACE => {
            namespace::prefix(r).map(Target::Namespace).map(Message::UnsubscribeNamespace)
        }

        // §9: the session is closed; the draft names no code for it.
        other => Err(DecodeError::new("Message Type", Fault::Unknown(other), 0)),
    }
}

fn request<T>(
    r: &mut Reader<'_>,
    body: impl FnOnce(&mut Reader<'_>) -> Result<T, DecodeError>,
    wrap: impl FnOnce(T) -> Request,
) -> Result<Message, DecodeError> {
    let id = request_id(r, "Request ID")?;
    Ok(Message::Request { id, request: wrap(body(r)?) })
}

fn response<T>(
    r: &mut Reader<'_>,
    body: impl FnOnce(&mut Reader<'_>) -> Result<T, DecodeError>,
    wrap: impl FnOnce(T) -> Response,
) -> Result<Message, DecodeError> {
    let target = Target::Id(request_id(r, "Request ID")?);
    Ok(Message::Response { target, response: wrap(body(r)?) })
}

fn granted(kind: RequestKind) -> impl FnOnce(RequestOk) -> Response {
    move |ok| Response::Ok { kind: Some(kind), ok }
}

/// The body of an answer that has none.
fn nothing(_: &mut Reader<'_>) -> Result<RequestOk, DecodeError> {
    Ok(RequestOk::default())
}

fn error(r: &mut Reader<'_>, kind: RequestKind) -> Result<Message, DecodeError> {
    let target = Target::Id(request_id(r, "Request ID")?);
    let error = code_and_reason(r, ErrorContext::Request(kind))?;
    Ok(Message::RequestError { target, kind: Some(kind), error })
}

fn code_and_reason(r: &mut Reader<'_>, context: ErrorContext) -> Result<RequestError, DecodeError> {
    let code = codes::request_error(context, r.varint("Error Code")?);
    Ok(RequestError::new(code, field::reason(r)?))
}

fn go_away(r: &mut Reader<'_>) -> Result<GoAway, DecodeError> {
    Ok(GoAway { new_session_uri: r.prefixed(GoAway::MAX_URI, "New Session URI")? })
}

fn update(r: &mut Reader<'_>) -> Result<Message, DecodeError> {
    let id = request_id(r, "Request ID")?;
    let target = request_id(r, "Subscription Request ID")?;
    Ok(Message::RequestUpdate { id, target, update: subscribe::update(r)? })
}

fn publish_done(r: &mut Reader<'_>) -> Result<Message, DecodeError> {
    let target = request_id(r, "Request ID")?;
    Ok(Message::PublishDone { target, done: publish::publish_done(r)? })
}

fn publish_namespace_cancel(r: &mut Reader<'_>) -> Result<Message, DecodeError> {
    let target = Target::Namespace(namespace::namespace(r)?);
    let error = code_and_reason(r, ErrorContext::PublishNamespaceCancel)?;
    Ok(Message::PublishNamespaceCancel { target, error })
}

/// Writes a message with its frame.
pub(super) fn encode(message: &Message, w: &mut Writer) -> Result<(), EncodeError> {
    w.varint(message_type(message)?, "Message Type")?;
    w.framed("Message Payload", |w| write_body(message, w))
}

fn message_type(message: &Message) -> Result<u64, EncodeError> {
    Ok(match message {
        Message::ClientSetup(_) => kinds::CLIENT_SETUP,
        Message::ServerSetup(_) => kinds::SERVER_SETUP,
        Message::GoAway(_) => kinds::GOAWAY,
        Message::MaxRequestId(_) => kinds::MAX_REQUEST_ID,
        Message::RequestsBlocked(_) => kinds::REQUESTS_BLOCKED,
        Message::Request { request, .. } => types(Some(request.kind()))?.request,
        Message::RequestUpdate { .. } => kinds::SUBSCRIBE_UPDATE,
        Message::Response { response, .. } => types(answered(response)?)?.ok,
        Message::RequestError { kind, .. } => types(*kind)?.error,
        Message::Unsubscribe(_) => kinds::UNSUBSCRIBE,
        Message::FetchCancel(_) => kinds::FETCH_CANCEL,
        Message::PublishDone { .. } => kinds::PUBLISH_DONE,
        Message::PublishNamespaceDone(_) => kinds::PUBLISH_NAMESPACE_DONE,
        Message::PublishNamespaceCancel { .. } => kinds::PUBLISH_NAMESPACE_CANCEL,
        Message::UnsubscribeNamespace(_) => kinds::UNSUBSCRIBE_NAMESPACE,
        Message::Namespace(_) => return Err(EncodeError::Inexpressible("NAMESPACE message")),
        Message::NamespaceDone(_) => return Err(EncodeError::Inexpressible("NAMESPACE_DONE message")),
    })
}

/// An answer's Message Type tells the kind of its request, which must therefore be known.
fn types(kind: Option<RequestKind>) -> Result<Exchange, EncodeError> {
    kind.and_then(exchange).ok_or(EncodeError::Inexpressible("Message Type"))
}

fn answered(response: &Response) -> Result<Option<RequestKind>, EncodeError> {
    match response {
        Response::Subscribe(_) => Ok(Some(RequestKind::Subscribe)),
        Response::Publish(_) => Ok(Some(RequestKind::Publish)),
        Response::Fetch(_) => Ok(Some(RequestKind::Fetch)),
        // These have answers of their own, with fields that a plain one does not tell.
        Response::Ok {
            kind: Some(RequestKind::Subscribe | RequestKind::Publish | RequestKind::Fetch),
            ..
        } => Err(EncodeError::Inexpressible("Message Type")),
        Response::Ok { kind, .. } => Ok(*kind),
    }
}

fn write_body(message: &Message, w: &mut Writer) -> Result<(), EncodeError> {
    match message {
        Message::ClientSetup(setup) => setup::write_client(w, setup),
        Message::ServerSetup(setup) => setup::write_server(w, setup),
        Message::GoAway(go_away) => w.prefixed(&go_away.new_session_uri, GoAway::MAX_URI, "New Session URI"),
        Message::MaxRequestId(limit) => w.varint(*limit, "Request ID"),
        Message::RequestsBlocked(limit) => w.varint(*limit, "Maximum Request ID"),
        Message::Request { id, request } => {
            w.varint(id.0, "Request ID")?;
            write_request(w, request)
        }
        Message::RequestUpdate { id, target, update } => {
            w.varint(id.0, "Request ID")?;
            w.varint(target.0, "Subscription Request ID")?;
            subscribe::write_update(w, update)
        }
        Message::Response { target, response } => {
            w.varint(by_id(target)?.0, "Request ID")?;
            write_response(w, response)
        }
        Message::RequestError { target, kind, error } => {
            w.varint(by_id(target)?.0, "Request ID")?;
            let kind = kind.ok_or(EncodeError::Inexpressible("Message Type"))?;
            write_code_and_reason(w, ErrorContext::Request(kind), error)
        }
        Message::Unsubscribe(id) | Message::FetchCancel(id) => w.varint(id.0, "Request ID"),
        Message::PublishDone { target, done } => {
            w.varint(target.0, "Request ID")?;
            publish::write_publish_done(w, done)
        }
        Message::PublishNamespaceDone(target) => namespace::write_namespace(w, by_namespace(target)?),
        Message::PublishNamespaceCancel { target, error } => {
            namespace::write_namespace(w, by_namespace(target)?)?;
            write_code_and_reason(w, ErrorContext::PublishNamespaceCancel, error)
        }
        Message::UnsubscribeNamespace(target) => namespace::write_prefix(w, by_namespace(target)?),
        // Without a type they have not come as far as here.
        Message::Namespace(_) | Message::NamespaceDone(_) => Err(EncodeError::Inexpressible("Message Type")),
    }
}

fn write_request(w: &mut Writer, request: &Request) -> Result<(), EncodeError> {
    match request {
        Request::Subscribe(subscribe) | Request::TrackStatus(subscribe) => {
            subscribe::write_subscribe(w, subscribe)
        }
        Request::Publish(publish) => publish::write_publish(w, publish),
        Request::Fetch(fetch) => fetch::write_fetch(w, fetch),
        Request::PublishNamespace(publish) => namespace::write_publish_namespace(w, publish),
        Request::SubscribeNamespace(subscribe) => namespace::write_subscribe_namespace(w, subscribe),
    }
}

fn write_response(w: &mut Writer, response: &Response) -> Result<(), EncodeError> {
    match response {
        Response::Subscribe(ok) => subscribe::write_subscribe_ok(w, ok),
        Response::Publish(ok) => publish::write_publish_ok(w, ok),
        Response::Fetch(ok) => fetch::write_fetch_ok(w, ok),
        Response::Ok { kind: Some(RequestKind::TrackStatus), ok } => subscribe::write_track_status_ok(w, ok),
        Response::Ok { ok, .. } => says_nothing(ok),
    }
}

/// PUBLISH_NAMESPACE_OK and SUBSCRIBE_NAMESPACE_OK have no field but the Request ID (draft-14 §9.24, §9.29).
fn says_nothing(ok: &RequestOk) -> Result<(), EncodeError> {
    absent(ok.expires.as_ref(), "expires")?;
    absent(ok.largest.as_ref(), "largest location")?;
    expressible_track(&ok.extensions)?;
    absent(ok.extensions.delivery_timeout.as_ref(), "delivery timeout")?;
    absent(ok.extensions.max_cache_duration.as_ref(), "max cache duration")?;
    match ok.extensions.group_order {
        GroupOrder::Ascending => Ok(()),
        GroupOrder::Descending => Err(EncodeError::Inexpressible("group order")),
    }
}

fn write_code_and_reason(
    w: &mut Writer,
    context: ErrorContext,
    error: &RequestError,
) -> Result<(), EncodeError> {
    absent(error.retry_after.as_ref(), "retry interval")?;
    let code = codes::request_code(context, error.code).ok_or(EncodeError::Inexpressible("Error Code"))?;
    w.varint(code, "Error Code")?;
    field::write_reason(w, &error.reason)
}

fn by_id(target: &Target) -> Result<RequestId, EncodeError> {
    match target {
        Target::Id(id) => Ok(*id),
        Target::Namespace(_) => Err(EncodeError::Inexpressible("Request ID")),
    }
}

fn by_namespace(target: &Target) -> Result<&TrackNamespace, EncodeError> {
    match target {
        Target::Namespace(namespace) => Ok(namespace),
        Target::Id(_) => Err(EncodeError::Inexpressible("Track Namespace")),
    }
}
