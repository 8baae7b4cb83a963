//! REQUEST_OK (§9.7) and REQUEST_ERROR (§9.8), which answer requests of several kinds.

use super::codes;
use super::params::{Carrier, Params, expires};
use crate::buf::{Reader, Writer};
use crate::error::{DecodeError, EncodeError};
use crate::field::{milliseconds, reason, to_milliseconds, write_reason};
use crate::model::{RequestError, RequestErrorCode, RequestOk, TrackExtensions};

pub(super) fn decode_ok(r: &mut Reader<'_>) -> Result<RequestOk, DecodeError> {
    let params = Params::decode(r, Carrier::RequestOk)?;
    Ok(RequestOk {
        expires: params.expiry(),
        largest: params.largest,
        extensions: TrackExtensions::default(),
    })
}

pub(super) fn encode_ok(ok: &RequestOk, w: &mut Writer) -> Result<(), EncodeError> {
    if ok.extensions != TrackExtensions::default() {
        return Err(EncodeError::Inexpressible("Track Extensions"));
    }
    Params { expires: expires(ok.expires)?, largest: ok.largest, ..Params::default() }.encode(w)
}

/// A Retry Interval of 0 forbids to try again, n permits it after n-1 milliseconds.
pub(super) fn decode_error(r: &mut Reader<'_>) -> Result<RequestError, DecodeError> {
    Ok(RequestError {
        code: code(r)?,
        retry_after: r.varint("Retry Interval")?.checked_sub(1).map(milliseconds),
        reason: reason(r)?,
    })
}

pub(super) fn encode_error(error: &RequestError, w: &mut Writer) -> Result<(), EncodeError> {
    write_code(error.code, w)?;
    let interval = error.retry_after.map_or(0, |after| to_milliseconds(after).saturating_add(1));
    w.varint(interval, "Retry Interval")?;
    write_reason(w, &error.reason)
}

pub(super) fn code(r: &mut Reader<'_>) -> Result<RequestErrorCode, DecodeError> {
    r.varint("Error Code").map(codes::request_error)
}

pub(super) fn write_code(code: RequestErrorCode, w: &mut Writer) -> Result<(), EncodeError> {
    let number = codes::request_code(code).ok_or(EncodeError::Inexpressible("Error Code"))?;
    w.varint(number, "Error Code")
}
