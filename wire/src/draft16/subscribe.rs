//! SUBSCRIBE (§9.9), SUBSCRIBE_OK (§9.10), REQUEST_UPDATE (§9.11) and TRACK_STATUS (§9.19).

use super::params::{Carrier, Params, expires};
use super::{NAMESPACE, track_extensions};
use crate::buf::{Reader, Writer};
use crate::error::{DecodeError, EncodeError};
use crate::field::{full_track_name, write_full_track_name};
use crate::model::{DEFAULT_PRIORITY, RequestUpdate, Subscribe, SubscribeOk, TrackAlias};

pub(super) fn decode(r: &mut Reader<'_>) -> Result<Subscribe, DecodeError> {
    let track = full_track_name(r, NAMESPACE)?;
    let params = Params::decode(r, Carrier::Subscribe)?;
    Ok(Subscribe {
        track,
        subscriber_priority: params.subscriber_priority.unwrap_or(DEFAULT_PRIORITY),
        group_order: params.group_order,
        forward: params.forward.unwrap_or(true),
        filter: params.filter,
        delivery_timeout: params.delivery_timeout,
        new_group_request: params.new_group_request,
        authorization_tokens: params.tokens,
    })
}

/// A message that begins a subscription states its forward state even if it is the default; all else is left out where
/// it is the default.
pub(super) fn encode(subscribe: &Subscribe, w: &mut Writer) -> Result<(), EncodeError> {
    write_full_track_name(w, &subscribe.track, NAMESPACE)?;
    let params = Params {
        delivery_timeout: subscribe.delivery_timeout,
        tokens: subscribe.authorization_tokens.clone(),
        forward: Some(subscribe.forward),
        subscriber_priority: unless_default(subscribe.subscriber_priority),
        filter: subscribe.filter,
        group_order: subscribe.group_order,
        new_group_request: subscribe.new_group_request,
        ..Params::default()
    };
    params.encode(w)
}

/// SUBSCRIBER_PRIORITY, left out if it is the default (§9.2.2.3).
pub(super) fn unless_default(priority: u8) -> Option<u8> {
    Some(priority).filter(|priority| *priority != DEFAULT_PRIORITY)
}

/// Laid out as SUBSCRIBE, but of its parameters only tokens are defined.
pub(super) fn decode_track_status(r: &mut Reader<'_>) -> Result<Subscribe, DecodeError> {
    let track = full_track_name(r, NAMESPACE)?;
    let params = Params::decode(r, Carrier::TrackStatus)?;
    Ok(Subscribe { filter: None, authorization_tokens: params.tokens, ..Subscribe::new(track) })
}

pub(super) fn encode_track_status(subscribe: &Subscribe, w: &mut Writer) -> Result<(), EncodeError> {
    let unsayable = [
        (subscribe.delivery_timeout.is_some(), "DELIVERY_TIMEOUT"),
        (!subscribe.forward, "FORWARD"),
        (subscribe.subscriber_priority != DEFAULT_PRIORITY, "SUBSCRIBER_PRIORITY"),
        (subscribe.filter.is_some(), "SUBSCRIPTION_FILTER"),
        (subscribe.group_order.is_some(), "GROUP_ORDER"),
        (subscribe.new_group_request.is_some(), "NEW_GROUP_REQUEST"),
    ];
    if let Some((_, field)) = unsayable.iter().find(|(stated, _)| *stated) {
        return Err(EncodeError::Inexpressible(field));
    }
    write_full_track_name(w, &subscribe.track, NAMESPACE)?;
    Params { tokens: subscribe.authorization_tokens.clone(), ..Params::default() }.encode(w)
}

pub(super) fn decode_ok(r: &mut Reader<'_>) -> Result<SubscribeOk, DecodeError> {
    let track_alias = TrackAlias(r.varint("Track Alias")?);
    let params = Params::decode(r, Carrier::SubscribeOk)?;
    Ok(SubscribeOk {
        track_alias,
        expires: params.expiry(),
        largest: params.largest,
        extensions: track_extensions::decode(r)?,
    })
}

pub(super) fn encode_ok(ok: &SubscribeOk, w: &mut Writer) -> Result<(), EncodeError> {
    w.varint(ok.track_alias.0, "Track Alias")?;
    Params { expires: expires(ok.expires)?, largest: ok.largest, ..Params::default() }.encode(w)?;
    track_extensions::encode(&ok.extensions, w)
}

/// Omission leaves a value as it is. Whether the kind of the updated request has it, the session knows.
pub(super) fn decode_update(r: &mut Reader<'_>) -> Result<RequestUpdate, DecodeError> {
    let params = Params::decode(r, Carrier::RequestUpdate)?;
    Ok(RequestUpdate {
        filter: params.filter,
        subscriber_priority: params.subscriber_priority,
        forward: params.forward,
        delivery_timeout: params.delivery_timeout,
        new_group_request: params.new_group_request,
        authorization_tokens: params.tokens,
    })
}

pub(super) fn encode_update(update: &RequestUpdate, w: &mut Writer) -> Result<(), EncodeError> {
    let params = Params {
        delivery_timeout: update.delivery_timeout,
        tokens: update.authorization_tokens.clone(),
        forward: update.forward,
        subscriber_priority: update.subscriber_priority,
        filter: update.filter,
        new_group_request: update.new_group_request,
        ..Params::default()
    };
    params.encode(w)
}
