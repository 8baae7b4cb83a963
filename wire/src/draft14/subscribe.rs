//! SUBSCRIBE, SUBSCRIBE_OK and SUBSCRIBE_UPDATE (draft-14 §9.7, §9.8, §9.10), and TRACK_STATUS, whose bodies are the
//! same (§9.20, §9.21).

use std::time::Duration;

use super::fields::{
    NAMESPACE, absent, expressible_track, filter, flag, largest, requested_order, stated_order, write_filter,
    write_largest, write_order, write_requested_order,
};
use super::params::{AUTHORIZATION_TOKEN, DELIVERY_TIMEOUT, MAX_CACHE_DURATION, Parameters};
use crate::buf::{Reader, Writer};
use crate::error::{DecodeError, EncodeError};
use crate::field::{self, milliseconds, to_milliseconds};
use crate::model::{
    Location, RequestOk, RequestUpdate, Subscribe, SubscribeOk, SubscriptionFilter, TrackAlias,
    TrackExtensions,
};

/// SUBSCRIBE or TRACK_STATUS, behind the Request ID.
pub(super) fn subscribe(r: &mut Reader<'_>) -> Result<Subscribe, DecodeError> {
    let track = field::full_track_name(r, NAMESPACE)?;
    let subscriber_priority = r.u8("Subscriber Priority")?;
    let group_order = requested_order(r)?;
    let forward = flag(r, "Forward")?;
    let filter = Some(filter(r)?);
    let parameters = Parameters::decode(r, &[DELIVERY_TIMEOUT, AUTHORIZATION_TOKEN])?;
    Ok(Subscribe {
        track,
        subscriber_priority,
        group_order,
        forward,
        filter,
        delivery_timeout: parameters.delivery_timeout,
        new_group_request: None,
        authorization_tokens: parameters.authorization_tokens,
    })
}

pub(super) fn write_subscribe(w: &mut Writer, subscribe: &Subscribe) -> Result<(), EncodeError> {
    absent(subscribe.new_group_request.as_ref(), "new group request")?;
    field::write_full_track_name(w, &subscribe.track, NAMESPACE)?;
    w.u8(subscribe.subscriber_priority);
    write_requested_order(w, subscribe.group_order);
    w.u8(u8::from(subscribe.forward));
    write_filter(w, subscribe.filter)?;
    Parameters {
        delivery_timeout: subscribe.delivery_timeout,
        ..Parameters::of_tokens(&subscribe.authorization_tokens)
    }
    .encode(w)
}

/// SUBSCRIBE_OK, behind the Request ID.
pub(super) fn subscribe_ok(r: &mut Reader<'_>) -> Result<SubscribeOk, DecodeError> {
    let track_alias = TrackAlias(r.varint("Track Alias")?);
    // 0 is "does not expire, or unknown" (draft-14 §9.8).
    let expires = match r.varint("Expires")? {
        0 => None,
        count => Some(milliseconds(count)),
    };
    let group_order = stated_order(r)?;
    let largest = largest(r)?;
    let parameters = Parameters::decode(r, &[DELIVERY_TIMEOUT, MAX_CACHE_DURATION])?;
    Ok(SubscribeOk { track_alias, expires, largest, extensions: parameters.track(group_order) })
}

pub(super) fn write_subscribe_ok(w: &mut Writer, ok: &SubscribeOk) -> Result<(), EncodeError> {
    write_track(w, ok.track_alias, ok.expires, ok.largest, &ok.extensions)
}

/// TRACK_STATUS_OK, behind the Request ID: a SUBSCRIBE_OK whose alias means nothing (draft-14 §9.21).
pub(super) fn track_status_ok(r: &mut Reader<'_>) -> Result<RequestOk, DecodeError> {
    let SubscribeOk { expires, largest, extensions, .. } = subscribe_ok(r)?;
    Ok(RequestOk { expires, largest, extensions })
}

pub(super) fn write_track_status_ok(w: &mut Writer, ok: &RequestOk) -> Result<(), EncodeError> {
    write_track(w, TrackAlias(0), ok.expires, ok.largest, &ok.extensions)
}

fn write_track(
    w: &mut Writer,
    alias: TrackAlias,
    expires: Option<Duration>,
    largest: Option<Location>,
    extensions: &TrackExtensions,
) -> Result<(), EncodeError> {
    expressible_track(extensions)?;
    let expires = match expires.map(to_milliseconds) {
        None => 0,
        Some(0) => return Err(EncodeError::Inexpressible("Expires")),
        Some(count) => count,
    };
    w.varint(alias.0, "Track Alias")?;
    w.varint(expires, "Expires")?;
    write_order(w, extensions.group_order);
    write_largest(w, largest)?;
    Parameters::of_track(extensions).encode(w)
}

/// SUBSCRIBE_UPDATE, behind its Request ID and that of the subscription. Its End Group is one more than the last group,
/// or 0 for an open end (draft-14 §9.10), unlike SUBSCRIBE's. Whether the range is one is left to the session.
pub(super) fn update(r: &mut Reader<'_>) -> Result<RequestUpdate, DecodeError> {
    let start = field::location(r, "Start Location")?;
    let filter = match r.varint("End Group")?.checked_sub(1) {
        None => SubscriptionFilter::AbsoluteStart(start),
        Some(end_group) => SubscriptionFilter::AbsoluteRange { start, end_group },
    };
    let subscriber_priority = r.u8("Subscriber Priority")?;
    let forward = flag(r, "Forward")?;
    let parameters = Parameters::decode(r, &[DELIVERY_TIMEOUT, AUTHORIZATION_TOKEN])?;
    Ok(RequestUpdate {
        filter: Some(filter),
        subscriber_priority: Some(subscriber_priority),
        forward: Some(forward),
        delivery_timeout: parameters.delivery_timeout,
        new_group_request: None,
        authorization_tokens: parameters.authorization_tokens,
    })
}

pub(super) fn write_update(w: &mut Writer, update: &RequestUpdate) -> Result<(), EncodeError> {
    absent(update.new_group_request.as_ref(), "new group request")?;
    let (start, end) = match update.filter {
        Some(SubscriptionFilter::AbsoluteStart(start)) => (start, 0),
        Some(SubscriptionFilter::AbsoluteRange { start, end_group }) => {
            field::check_range(start, end_group)?;
            (start, end_group.checked_add(1).ok_or(EncodeError::TooLong("End Group"))?)
        }
        _ => return Err(EncodeError::Inexpressible("Start Location")),
    };
    let priority = update.subscriber_priority.ok_or(EncodeError::Inexpressible("Subscriber Priority"))?;
    let forward = update.forward.ok_or(EncodeError::Inexpressible("Forward"))?;
    field::write_location(w, start, "Start Location")?;
    w.varint(end, "End Group")?;
    w.u8(priority);
    w.u8(u8::from(forward));
    Parameters {
        delivery_timeout: update.delivery_timeout,
        ..Parameters::of_tokens(&update.authorization_tokens)
    }
    .encode(w)
}
