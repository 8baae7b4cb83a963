//! FETCH and FETCH_OK (draft-14 §9.16, §9.17).

use super::fields::{
    NAMESPACE, absent, expressible_track, flag, request_id, requested_order, stated_order, write_order,
    write_requested_order,
};
use super::params::{AUTHORIZATION_TOKEN, MAX_CACHE_DURATION, Parameters};
use crate::buf::{Reader, Writer};
use crate::error::{DecodeError, EncodeError, Fault};
use crate::field;
use crate::model::{Fetch, FetchOk, FetchRange, GroupOrder, TrackExtensions};

const STANDALONE: u64 = 0x1;
const RELATIVE_JOINING: u64 = 0x2;
const ABSOLUTE_JOINING: u64 = 0x3;

/// FETCH, behind the Request ID.
pub(super) fn fetch(r: &mut Reader<'_>) -> Result<Fetch, DecodeError> {
    let subscriber_priority = r.u8("Subscriber Priority")?;
    let group_order = requested_order(r)?;
    let range = range(r)?;
    let Parameters { authorization_tokens, .. } = Parameters::decode(r, &[AUTHORIZATION_TOKEN])?;
    Ok(Fetch { range, subscriber_priority, group_order, authorization_tokens })
}

pub(super) fn write_fetch(w: &mut Writer, fetch: &Fetch) -> Result<(), EncodeError> {
    w.u8(fetch.subscriber_priority);
    write_requested_order(w, fetch.group_order);
    write_range(w, &fetch.range)?;
    Parameters::of_tokens(&fetch.authorization_tokens).encode(w)
}

/// Fetch Type and what it brings (draft-14 §9.16.1, §9.16.2).
fn range(r: &mut Reader<'_>) -> Result<FetchRange, DecodeError> {
    let at = r.offset();
    Ok(match r.varint("Fetch Type")? {
        STANDALONE => FetchRange::Standalone {
            track: field::full_track_name(r, NAMESPACE)?,
            start: field::location(r, "Start Location")?,
            end: field::end_location(r)?,
        },
        RELATIVE_JOINING => FetchRange::RelativeJoining {
            subscription: request_id(r, "Joining Request ID")?,
            groups_before: r.varint("Joining Start")?,
        },
        ABSOLUTE_JOINING => FetchRange::AbsoluteJoining {
            subscription: request_id(r, "Joining Request ID")?,
            start_group: r.varint("Joining Start")?,
        },
        other => return Err(DecodeError::new("Fetch Type", Fault::Unknown(other), at)),
    })
}

fn write_range(w: &mut Writer, range: &FetchRange) -> Result<(), EncodeError> {
    let (kind, subscription, joining_start) = match range {
        FetchRange::Standalone { track, start, end } => {
            w.varint(STANDALONE, "Fetch Type")?;
            field::write_full_track_name(w, track, NAMESPACE)?;
            field::write_location(w, *start, "Start Location")?;
            return field::write_end_location(w, *end);
        }
        FetchRange::RelativeJoining { subscription, groups_before } => {
            (RELATIVE_JOINING, subscription, groups_before)
        }
        FetchRange::AbsoluteJoining { subscription, start_group } => {
            (ABSOLUTE_JOINING, subscription, start_group)
        }
    };
    w.varint(kind, "Fetch Type")?;
    w.varint(subscription.0, "Joining Request ID")?;
    w.varint(*joining_start, "Joining Start")
}

/// FETCH_OK, behind the Request ID. Of the track it tells the MAX CACHE DURATION only (draft-14 §9.2.1).
pub(super) fn fetch_ok(r: &mut Reader<'_>) -> Result<FetchOk, DecodeError> {
    let group_order = Some(stated_order(r)?);
    let end_of_track = flag(r, "End Of Track")?;
    let end = field::end_location(r)?;
    let Parameters { max_cache_duration, .. } = Parameters::decode(r, &[MAX_CACHE_DURATION])?;
    let extensions = TrackExtensions { max_cache_duration, ..TrackExtensions::default() };
    Ok(FetchOk { group_order, end_of_track, end, extensions })
}

pub(super) fn write_fetch_ok(w: &mut Writer, ok: &FetchOk) -> Result<(), EncodeError> {
    expressible_track(&ok.extensions)?;
    absent(ok.extensions.delivery_timeout.as_ref(), "DELIVERY TIMEOUT")?;
    if ok.extensions.group_order != GroupOrder::Ascending {
        return Err(EncodeError::Inexpressible("default publisher group order"));
    }
    write_order(w, ok.group_order.ok_or(EncodeError::Inexpressible("Group Order"))?);
    w.u8(u8::from(ok.end_of_track));
    field::write_end_location(w, ok.end)?;
    Parameters::of_track(&ok.extensions).encode(w)
}
