//! PUBLISH_NAMESPACE (§9.20), its withdrawal (§9.24), and SUBSCRIBE_NAMESPACE (§9.25).

use super::params::{Carrier, Params};
use super::{NAMESPACE, PART, request};
use crate::buf::{Reader, Writer};
use crate::error::{DecodeError, EncodeError, Fault};
use crate::field::{namespace, reason, write_namespace, write_reason};
use crate::model::{PublishNamespace, RequestError, SubscribeNamespace, SubscribeOptions, TrackNamespace};

const PREFIX: &str = "Track Namespace Prefix";
const SUFFIX: &str = "Track Namespace Suffix";

pub(super) fn decode_publish(r: &mut Reader<'_>) -> Result<PublishNamespace, DecodeError> {
    let namespace = namespace(r, NAMESPACE, "Track Namespace")?;
    let params = Params::decode(r, Carrier::PublishNamespace)?;
    Ok(PublishNamespace { namespace, authorization_tokens: params.tokens })
}

pub(super) fn encode_publish(publish: &PublishNamespace, w: &mut Writer) -> Result<(), EncodeError> {
    write_namespace(w, &publish.namespace, NAMESPACE, "Track Namespace")?;
    Params { tokens: publish.authorization_tokens.clone(), ..Params::default() }.encode(w)
}

/// The code is REQUEST_ERROR's; there is no Retry Interval.
pub(super) fn decode_cancel(r: &mut Reader<'_>) -> Result<RequestError, DecodeError> {
    Ok(RequestError { code: request::code(r)?, retry_after: None, reason: reason(r)? })
}

pub(super) fn encode_cancel(error: &RequestError, w: &mut Writer) -> Result<(), EncodeError> {
    if error.retry_after.is_some() {
        return Err(EncodeError::Inexpressible("Retry Interval"));
    }
    request::write_code(error.code, w)?;
    write_reason(w, &error.reason)
}

pub(super) fn decode_subscribe(r: &mut Reader<'_>) -> Result<SubscribeNamespace, DecodeError> {
    let prefix = namespace(r, PART, PREFIX)?;
    let start = r.offset();
    let options = match r.varint("Subscribe Options")? {
        0 => SubscribeOptions::Publish,
        1 => SubscribeOptions::Namespace,
        2 => SubscribeOptions::Both,
        other => return Err(DecodeError::new("Subscribe Options", Fault::Unknown(other), start)),
    };
    let params = Params::decode(r, Carrier::SubscribeNamespace)?;
    let forward = params.forward.unwrap_or(true);
    Ok(SubscribeNamespace { prefix, options, forward, authorization_tokens: params.tokens })
}

/// No subscription begins here, so a forward state that is the default is left out.
pub(super) fn encode_subscribe(subscribe: &SubscribeNamespace, w: &mut Writer) -> Result<(), EncodeError> {
    write_namespace(w, &subscribe.prefix, PART, PREFIX)?;
    let options = match subscribe.options {
        SubscribeOptions::Publish => 0,
        SubscribeOptions::Namespace => 1,
        SubscribeOptions::Both => 2,
    };
    w.varint(options, "Subscribe Options")?;
    let params = Params {
        tokens: subscribe.authorization_tokens.clone(),
        forward: (!subscribe.forward).then_some(false),
        ..Params::default()
    };
    params.encode(w)
}

/// The payload of NAMESPACE (§9.21) and NAMESPACE_DONE (§9.23).
pub(super) fn decode_suffix(r: &mut Reader<'_>) -> Result<TrackNamespace, DecodeError> {
    namespace(r, PART, SUFFIX)
}

pub(super) fn encode_suffix(suffix: &TrackNamespace, w: &mut Writer) -> Result<(), EncodeError> {
    write_namespace(w, suffix, PART, SUFFIX)
}
