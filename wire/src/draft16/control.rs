//! Control messages by their types (§9).

use super::{fetch, kinds, namespace, publish, request, setup, subscribe};
use crate::buf::{Reader, Writer};
use crate::error::{DecodeError, EncodeError, Fault};
use crate::model::{GoAway, Message, Request, RequestId, Response, Target};

/// A message, which fills its frame's payload exactly.
pub(super) fn decode(kind: u64, r: &mut Reader<'_>) -> Result<Message, DecodeError> {
    let message = match kind {
        kinds::CLIENT_SETUP => Message::ClientSetup(setup::decode(r)?),
        kinds::SERVER_SETUP => Message::ServerSetup(setup::decode(r)?),
        kinds::GOAWAY => Message::GoAway(decode_goaway(r)?),
        kinds::MAX_REQUEST_ID => Message::MaxRequestId(r.varint("Max Request ID")?),
        kinds::REQUESTS_BLOCKED => Message::RequestsBlocked(r.varint("Maximum Request ID")?),
        kinds::NAMESPACE => Message::Namespace(namespace::decode_suffix(r)?),
        kinds::NAMESPACE_DONE => Message::NamespaceDone(namespace::decode_suffix(r)?),
        kind => about_request(kind, r)?,
    };
    r.finish("Message Payload")?;
    Ok(message)
}

/// The messages that begin with a Request ID.
fn about_request(kind: u64, r: &mut Reader<'_>) -> Result<Message, DecodeError> {
    Ok(match kind {
        kinds::REQUEST_UPDATE => Message::RequestUpdate {
            id: id(r)?,
            target: RequestId(r.varint("Existing Request ID")?),
            update: subscribe::decode_update(r)?,
        },
        kinds::REQUEST_OK | kinds::SUBSCRIBE_OK | kinds::PUBLISH_OK | kinds::FETCH_OK => {
            Message::Response { target: target(r)?, response: decode_response(kind, r)? }
        }
        kinds::REQUEST_ERROR => {
            Message::RequestError { target: target(r)?, kind: None, error: request::decode_error(r)? }
        }
        kinds::UNSUBSCRIBE => Message::Unsubscribe(id(r)?),
        kinds::FETCH_CANCEL => Message::FetchCancel(id(r)?),
        kinds::PUBLISH_DONE => Message::PublishDone { target: id(r)?, done: publish::decode_done(r)? },
        kinds::PUBLISH_NAMESPACE_DONE => Message::PublishNamespaceDone(target(r)?),
        kinds::PUBLISH_NAMESPACE_CANCEL => {
            Message::PublishNamespaceCancel { target: target(r)?, error: namespace::decode_cancel(r)? }
        }
        kinds::SUBSCRIBE
        | kinds::PUBLISH
        | kinds::FETCH
        | kinds::TRACK_STATUS
        | kinds::PUBLISH_NAMESPACE
        | kinds::SUBSCRIBE_NAMESPACE => Message::Request { id: id(r)?, request: decode_request(kind, r)? },
        unknown => return Err(r.error("Message Type", Fault::Unknown(unknown))),
    })
}

fn id(r: &mut Reader<'_>) -> Result<RequestId, DecodeError> {
    r.varint("Request ID").map(RequestId)
}

fn target(r: &mut Reader<'_>) -> Result<Target, DecodeError> {
    id(r).map(Target::Id)
}

fn decode_request(kind: u64, r: &mut Reader<'_>) -> Result<Request, DecodeError> {
    match kind {
        kinds::SUBSCRIBE => subscribe::decode(r).map(Request::Subscribe),
        kinds::PUBLISH => publish::decode(r).map(Request::Publish),
        kinds::FETCH => fetch::decode(r).map(Request::Fetch),
        kinds::TRACK_STATUS => subscribe::decode_track_status(r).map(Request::TrackStatus),
        kinds::PUBLISH_NAMESPACE => namespace::decode_publish(r).map(Request::PublishNamespace),
        _ => namespace::decode_subscribe(r).map(Request::SubscribeNamespace),
    }
}

fn decode_response(kind: u64, r: &mut Reader<'_>) -> Result<Response, DecodeError> {
    match kind {
        kinds::SUBSCRIBE_OK => subscribe::decode_ok(r).map(Response::Subscribe),
        kinds::PUBLISH_OK => publish::decode_ok(r).map(Response::Publish),
        kinds::FETCH_OK => fetch::decode_ok(r).map(Response::Fetch),
        _ => request::decode_ok(r).map(|ok| Response::Ok { kind: None, ok }),
    }
}

/// New Session URI (§9.4).
fn decode_goaway(r: &mut Reader<'_>) -> Result<GoAway, DecodeError> {
    Ok(GoAway { new_session_uri: r.prefixed(GoAway::MAX_URI, "New Session URI")? })
}

/// A message with its type and length.
pub(super) fn encode(message: &Message, w: &mut Writer) -> Result<(), EncodeError> {
    w.varint(kind(message)?, "Message Type")?;
    w.framed("Message Length", |w| payload(message, w))
}

fn kind(message: &Message) -> Result<u64, EncodeError> {
    Ok(match message {
        Message::ClientSetup(_) => kinds::CLIENT_SETUP,
        Message::ServerSetup(_) => kinds::SERVER_SETUP,
        Message::GoAway(_) => kinds::GOAWAY,
        Message::MaxRequestId(_) => kinds::MAX_REQUEST_ID,
        Message::RequestsBlocked(_) => kinds::REQUESTS_BLOCKED,
        Message::Request { request, .. } => match request {
            Request::Subscribe(_) => kinds::SUBSCRIBE,
            Request::Publish(_) => kinds::PUBLISH,
            Request::Fetch(_) => kinds::FETCH,
            Request::TrackStatus(_) => kinds::TRACK_STATUS,
            Request::PublishNamespace(_) => kinds::PUBLISH_NAMESPACE,
            Request::SubscribeNamespace(_) => kinds::SUBSCRIBE_NAMESPACE,
        },
        Message::RequestUpdate { .. } => kinds::REQUEST_UPDATE,
        Message::Response { response, .. } => match response {
            Response::Subscribe(_) => kinds::SUBSCRIBE_OK,
            Response::Publish(_) => kinds::PUBLISH_OK,
            Response::Fetch(_) => kinds::FETCH_OK,
            Response::Ok { .. } => kinds::REQUEST_OK,
        },
        Message::RequestError { .. } => kinds::REQUEST_ERROR,
        Message::Unsubscribe(_) => kinds::UNSUBSCRIBE,
        Message::FetchCancel(_) => kinds::FETCH_CANCEL,
        Message::PublishDone { .. } => kinds::PUBLISH_DONE,
        Message::PublishNamespaceDone(_) => kinds::PUBLISH_NAMESPACE_DONE,
        Message::PublishNamespaceCancel { .. } => kinds::PUBLISH_NAMESPACE_CANCEL,
        Message::Namespace(_) => kinds::NAMESPACE,
        Message::NamespaceDone(_) => kinds::NAMESPACE_DONE,
        // The stream of the SUBSCRIBE_NAMESPACE ends instead (§9.25).
        Message::UnsubscribeNamespace(_) => return Err(EncodeError::Inexpressible("UNSUBSCRIBE_NAMESPACE")),
    })
}

fn payload(message: &Message, w: &mut Writer) -> Result<(), EncodeError> {
    match message {
        Message::ClientSetup(setup) | Message::ServerSetup(setup) => setup::encode(setup, w),
        Message::GoAway(goaway) => w.prefixed(&goaway.new_session_uri, GoAway::MAX_URI, "New Session URI"),
        Message::MaxRequestId(limit) => w.varint(*limit, "Max Request ID"),
        Message::RequestsBlocked(limit) => w.varint(*limit, "Maximum Request ID"),
        Message::Request { id, request } => {
            write_id(*id, w)?;
            encode_request(request, w)
        }
        Message::RequestUpdate { id, target, update } => {
            write_id(*id, w)?;
            w.varint(target.0, "Existing Request ID")?;
            subscribe::encode_update(update, w)
        }
        Message::Response { target, response } => {
            write_target(target, w)?;
            encode_response(response, w)
        }
        Message::RequestError { target, error, .. } => {
            write_target(target, w)?;
            request::encode_error(error, w)
        }
        Message::Unsubscribe(id) | Message::FetchCancel(id) => write_id(*id, w),
        Message::PublishDone { target, done } => {
            write_id(*target, w)?;
            publish::encode_done(done, w)
        }
        Message::PublishNamespaceDone(target) | Message::UnsubscribeNamespace(target) => {
            write_target(target, w)
        }
        Message::PublishNamespaceCancel { target, error } => {
            write_target(target, w)?;
            namespace::encode_cancel(error, w)
        }
        Message::Namespace(suffix) | Message::NamespaceDone(suffix) => namespace::encode_suffix(suffix, w),
    }
}

fn encode_request(request: &Request, w: &mut Writer) -> Result<(), EncodeError> {
    match request {
        Request::Subscribe(subscribe) => subscribe::encode(subscribe, w),
        Request::Publish(publish) => publish::encode(publish, w),
        Request::Fetch(fetch) => fetch::encode(fetch, w),
        Request::TrackStatus(subscribe) => subscribe::encode_track_status(subscribe, w),
        Request::PublishNamespace(publish) => namespace::encode_publish(publish, w),
        Request::SubscribeNamespace(subscribe) => namespace::encode_subscribe(subscribe, w),
    }
}

fn encode_response(response: &Response, w: &mut Writer) -> Result<(), EncodeError> {
    match response {
        Response::Subscribe(ok) => subscribe::encode_ok(ok, w),
        Response::Publish(ok) => publish::encode_ok(ok, w),
        Response::Fetch(ok) => fetch::encode_ok(ok, w),
        Response::Ok { ok, .. } => request::encode_ok(ok, w),
    }
}

fn write_id(id: RequestId, w: &mut Writer) -> Result<(), EncodeError> {
    w.varint(id.0, "Request ID")
}

/// Every message names its request by number (§9.22, §9.24).
fn write_target(target: &Target, w: &mut Writer) -> Result<(), EncodeError> {
    match target {
        Target::Id(id) => write_id(*id, w),
        Target::Namespace(_) => Err(EncodeError::Inexpressible("request named by its namespace")),
    }
}
