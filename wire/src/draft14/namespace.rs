//! PUBLISH_NAMESPACE and SUBSCRIBE_NAMESPACE (draft-14 §9.23, §9.28).

use super::fields::NAMESPACE;
use super::params::{AUTHORIZATION_TOKEN, Parameters};
use crate::buf::{Reader, Writer};
use crate::error::{DecodeError, EncodeError};
use crate::field;
use crate::model::{PublishNamespace, SubscribeNamespace, SubscribeOptions, TrackNamespace};

pub(super) fn namespace(r: &mut Reader<'_>) -> Result<TrackNamespace, DecodeError> {
    field::namespace(r, NAMESPACE, "Track Namespace")
}

pub(super) fn write_namespace(w: &mut Writer, namespace: &TrackNamespace) -> Result<(), EncodeError> {
    field::write_namespace(w, namespace, NAMESPACE, "Track Namespace")
}

pub(super) fn prefix(r: &mut Reader<'_>) -> Result<TrackNamespace, DecodeError> {
    field::namespace(r, NAMESPACE, "Track Namespace Prefix")
}

pub(super) fn write_prefix(w: &mut Writer, prefix: &TrackNamespace) -> Result<(), EncodeError> {
    field::write_namespace(w, prefix, NAMESPACE, "Track Namespace Prefix")
}

/// PUBLISH_NAMESPACE, behind the Request ID.
pub(super) fn publish_namespace(r: &mut Reader<'_>) -> Result<PublishNamespace, DecodeError> {
    let namespace = namespace(r)?;
    let Parameters { authorization_tokens, .. } = Parameters::decode(r, &[AUTHORIZATION_TOKEN])?;
    Ok(PublishNamespace { namespace, authorization_tokens })
}

pub(super) fn write_publish_namespace(w: &mut Writer, publish: &PublishNamespace) -> Result<(), EncodeError> {
    write_namespace(w, &publish.namespace)?;
    Parameters::of_tokens(&publish.authorization_tokens).encode(w)
}

/// SUBSCRIBE_NAMESPACE, behind the Request ID: always of namespaces and tracks, and PUBLISH decides whether objects
/// flow.
pub(super) fn subscribe_namespace(r: &mut Reader<'_>) -> Result<SubscribeNamespace, DecodeError> {
    let prefix = prefix(r)?;
    let Parameters { authorization_tokens, .. } = Parameters::decode(r, &[AUTHORIZATION_TOKEN])?;
    Ok(SubscribeNamespace { authorization_tokens, ..SubscribeNamespace::new(prefix) })
}

pub(super) fn write_subscribe_namespace(
    w: &mut Writer,
    subscribe: &SubscribeNamespace,
) -> Result<(), EncodeError> {
    if subscribe.options != SubscribeOptions::Both {
        return Err(EncodeError::Inexpressible("subscribe options"));
    }
    if !subscribe.forward {
        return Err(EncodeError::Inexpressible("forward"));
    }
    write_prefix(w, &subscribe.prefix)?;
    Parameters::of_tokens(&subscribe.authorization_tokens).encode(w)
}
