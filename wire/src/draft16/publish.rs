//! PUBLISH (§9.13), PUBLISH_OK (§9.14) and PUBLISH_DONE (§9.15).

use super::params::{Carrier, Params, expires};
use super::subscribe::unless_default;
use super::{NAMESPACE, codes, track_extensions};
use crate::buf::{Reader, Writer};
use crate::error::{DecodeError, EncodeError};
use crate::field::{full_track_name, reason, write_full_track_name, write_reason};
use crate::model::{DEFAULT_PRIORITY, Publish, PublishDone, PublishOk, TrackAlias};

pub(super) fn decode(r: &mut Reader<'_>) -> Result<Publish, DecodeError> {
    let track = full_track_name(r, NAMESPACE)?;
    let track_alias = TrackAlias(r.varint("Track Alias")?);
    let params = Params::decode(r, Carrier::Publish)?;
    Ok(Publish {
        track,
        track_alias,
        largest: params.largest,
        forward: params.forward.unwrap_or(true),
        expires: params.expiry(),
        authorization_tokens: params.tokens,
        extensions: track_extensions::decode(r)?,
    })
}

/// The forward state is always stated, as in SUBSCRIBE.
pub(super) fn encode(publish: &Publish, w: &mut Writer) -> Result<(), EncodeError> {
    write_full_track_name(w, &publish.track, NAMESPACE)?;
    w.varint(publish.track_alias.0, "Track Alias")?;
    let params = Params {
        tokens: publish.authorization_tokens.clone(),
        expires: expires(publish.expires)?,
        largest: publish.largest,
        forward: Some(publish.forward),
        ..Params::default()
    };
    params.encode(w)?;
    track_extensions::encode(&publish.extensions, w)
}

pub(super) fn decode_ok(r: &mut Reader<'_>) -> Result<PublishOk, DecodeError> {
    let params = Params::decode(r, Carrier::PublishOk)?;
    Ok(PublishOk {
        forward: params.forward.unwrap_or(true),
        subscriber_priority: params.subscriber_priority.unwrap_or(DEFAULT_PRIORITY),
        group_order: params.group_order,
        filter: params.filter,
        delivery_timeout: params.delivery_timeout,
        expires: params.expiry(),
        new_group_request: params.new_group_request,
    })
}

/// The forward state is always stated, as in SUBSCRIBE: omission would turn on what PUBLISH left off (§9.2.2.8).
pub(super) fn encode_ok(ok: &PublishOk, w: &mut Writer) -> Result<(), EncodeError> {
    let params = Params {
        delivery_timeout: ok.delivery_timeout,
        expires: expires(ok.expires)?,
        forward: Some(ok.forward),
        subscriber_priority: unless_default(ok.subscriber_priority),
        filter: ok.filter,
        group_order: ok.group_order,
        new_group_request: ok.new_group_request,
        ..Params::default()
    };
    params.encode(w)
}

pub(super) fn decode_done(r: &mut Reader<'_>) -> Result<PublishDone, DecodeError> {
    Ok(PublishDone {
        code: codes::publish_done(r.varint("Status Code")?),
        stream_count: r.varint("Stream Count")?,
        reason: reason(r)?,
    })
}

pub(super) fn encode_done(done: &PublishDone, w: &mut Writer) -> Result<(), EncodeError> {
    let number = codes::publish_done_number(done.code).ok_or(EncodeError::Inexpressible("Status Code"))?;
    w.varint(number, "Status Code")?;
    w.varint(done.stream_count, "Stream Count")?;
    write_reason(w, &done.reason)
}
