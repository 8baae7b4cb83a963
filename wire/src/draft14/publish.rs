//! PUBLISH_DONE, PUBLISH and PUBLISH_OK (draft-14 §9.12 to §9.14). The figures of the last two show a variable-length
//! Length; the framing is that of every message (§9), 16 bits.

use super::codes;
use super::fields::{
    NAMESPACE, absent, expressible_track, filter, flag, largest, stated_order, write_filter, write_largest,
    write_order,
};
use super::params::{AUTHORIZATION_TOKEN, DELIVERY_TIMEOUT, MAX_CACHE_DURATION, Parameters};
use crate::buf::{Reader, Writer};
use crate::error::{DecodeError, EncodeError};
use crate::field;
use crate::model::{Publish, PublishDone, PublishOk, TrackAlias};

/// PUBLISH, behind the Request ID.
pub(super) fn publish(r: &mut Reader<'_>) -> Result<Publish, DecodeError> {
    let track = field::full_track_name(r, NAMESPACE)?;
    let track_alias = TrackAlias(r.varint("Track Alias")?);
    let group_order = stated_order(r)?;
    let largest = largest(r)?;
    let forward = flag(r, "Forward")?;
    let parameters = Parameters::decode(r, &[DELIVERY_TIMEOUT, AUTHORIZATION_TOKEN, MAX_CACHE_DURATION])?;
    Ok(Publish {
        track,
        track_alias,
        largest,
        forward,
        expires: None,
        extensions: parameters.track(group_order),
        authorization_tokens: parameters.authorization_tokens,
    })
}

pub(super) fn write_publish(w: &mut Writer, publish: &Publish) -> Result<(), EncodeError> {
    absent(publish.expires.as_ref(), "expires")?;
    expressible_track(&publish.extensions)?;
    field::write_full_track_name(w, &publish.track, NAMESPACE)?;
    w.varint(publish.track_alias.0, "Track Alias")?;
    write_order(w, publish.extensions.group_order);
    write_largest(w, publish.largest)?;
    w.u8(u8::from(publish.forward));
    Parameters {
        authorization_tokens: publish.authorization_tokens.clone(),
        ..Parameters::of_track(&publish.extensions)
    }
    .encode(w)
}

/// PUBLISH_OK, behind the Request ID. Its fields stand in another order than SUBSCRIBE's, and its Group Order is never
/// 0 (draft-14 §9.14).
pub(super) fn publish_ok(r: &mut Reader<'_>) -> Result<PublishOk, DecodeError> {
    let forward = flag(r, "Forward")?;
    let subscriber_priority = r.u8("Subscriber Priority")?;
    let group_order = Some(stated_order(r)?);
    let filter = Some(filter(r)?);
    let parameters = Parameters::decode(r, &[DELIVERY_TIMEOUT])?;
    Ok(PublishOk {
        forward,
        subscriber_priority,
        group_order,
        filter,
        delivery_timeout: parameters.delivery_timeout,
        expires: None,
        new_group_request: None,
    })
}

pub(super) fn write_publish_ok(w: &mut Writer, ok: &PublishOk) -> Result<(), EncodeError> {
    absent(ok.expires.as_ref(), "expires")?;
    absent(ok.new_group_request.as_ref(), "new group request")?;
    w.u8(u8::from(ok.forward));
    w.u8(ok.subscriber_priority);
    write_order(w, ok.group_order.ok_or(EncodeError::Inexpressible("Group Order"))?);
    write_filter(w, ok.filter)?;
    Parameters { delivery_timeout: ok.delivery_timeout, ..Parameters::default() }.encode(w)
}

/// PUBLISH_DONE, behind the Request ID.
pub(super) fn publish_done(r: &mut Reader<'_>) -> Result<PublishDone, DecodeError> {
    Ok(PublishDone {
        code: codes::publish_done(r.varint("Status Code")?),
        stream_count: r.varint("Stream Count")?,
        reason: field::reason(r)?,
    })
}

pub(super) fn write_publish_done(w: &mut Writer, done: &PublishDone) -> Result<(), EncodeError> {
    let code = codes::publish_done_code(done.code).ok_or(EncodeError::Inexpressible("Status Code"))?;
    w.varint(code, "Status Code")?;
    w.varint(done.stream_count, "Stream Count")?;
    field::write_reason(w, &done.reason)
}
