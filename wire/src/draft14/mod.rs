//! draft-ietf-moq-transport-14.
//!
//! How it differs from later drafts: options are fixed fields rather than parameters; parameters and extension headers
//! spell their types absolutely, and unknown ones are skipped; each kind of request has answers, and a table of error
//! codes, of its own; namespaces are announced and withdrawn on the control stream, by name; objects may be stated not
//! to exist; a track has no extension headers. The version is agreed inside SETUP (§9.3.1).
//!
//! Where the text contradicts itself the reading is told where it is implemented.

mod codes;
mod control;
mod data;
mod fetch;
mod fields;
mod kinds;
mod namespace;
mod params;
mod publish;
mod setup;
mod subscribe;

use crate::buf::{Reader, Writer};
use crate::draft::Draft;
use crate::error::{DecodeError, EncodeError};
use crate::list::Keys;
use crate::model::{
    Datagram, ErrorContext, FetchItem, Message, ObjectHeader, Opening, PublishDoneCode, RequestErrorCode,
    RequestKind, ResetCode, SessionErrorCode,
};
use crate::rules::{Carriage, RequestIds, Rules};
use crate::stream::{FetchCursor, SubgroupCursor};
use crate::version::Version;

/// The draft.
#[derive(Debug)]
pub(crate) struct Draft14;

static RULES: Rules = Rules {
    setup_version: Some(0xff00_000e),
    extension_keys: Keys::Absolute,
    namespace_carriage: Carriage::Control,
    withdraws_by_namespace: true,
    request_ids: RequestIds::Contiguous,
    updatable: &[RequestKind::Subscribe, RequestKind::Publish],
    updates_answered: false,
    update_may_widen: false,
    duplicate_subscription_declined: false,
    ok_states_order: true,
    publish_ok_is_explicit: true,
    retry_interval: false,
    default_priority: false,
    track_extensions: false,
    setup_token_aliases: true,
    empty_prefix: false,
    immutable_extensions_once: false,
    one_fetched_priority: false,
    mixed_forwarding: false,
};

impl Draft for Draft14 {
    fn version(&self) -> Version {
        Version::Draft14
    }

    fn rules(&self) -> &'static Rules {
        &RULES
    }

    fn decode_payload(&self, kind: u64, r: &mut Reader<'_>) -> Result<Message, DecodeError> {
        control::decode(kind, r)
    }

    fn message_name(&self, kind: u64) -> Option<&'static str> {
        kinds::name(kind)
    }

    fn encode_control(&self, message: &Message, w: &mut Writer) -> Result<(), EncodeError> {
        whole(w, |w| control::encode(message, w))
    }

    fn decode_opening(&self, r: &mut Reader<'_>) -> Result<Opening, DecodeError> {
        data::opening(r)
    }

    fn encode_opening(&self, opening: &Opening, w: &mut Writer) -> Result<(), EncodeError> {
        whole(w, |w| data::write_opening(w, opening))
    }

    fn decode_object(&self, at: &SubgroupCursor, r: &mut Reader<'_>) -> Result<ObjectHeader, DecodeError> {
        data::object(at, r)
    }

    fn encode_object(
        &self,
        at: &SubgroupCursor,
        object: &ObjectHeader,
        w: &mut Writer,
    ) -> Result<(), EncodeError> {
        whole(w, |w| data::write_object(w, at, object))
    }

    fn decode_fetch_item(&self, _: &FetchCursor, r: &mut Reader<'_>) -> Result<FetchItem, DecodeError> {
        data::fetch_object(r).map(FetchItem::Object)
    }

    fn encode_fetch_item(
        &self,
        _: &FetchCursor,
        item: &FetchItem,
        w: &mut Writer,
    ) -> Result<(), EncodeError> {
        match item {
            FetchItem::Object(object) => whole(w, |w| data::write_fetch_object(w, object)),
            FetchItem::EndOfRange { .. } => Err(EncodeError::Inexpressible("end of range")),
        }
    }

    fn decode_datagram(&self, r: &mut Reader<'_>) -> Result<Datagram, DecodeError> {
        data::datagram(r)
    }

    fn encode_datagram(&self, datagram: &Datagram, w: &mut Writer) -> Result<(), EncodeError> {
        whole(w, |w| data::write_datagram(w, datagram))
    }

    fn session_code(&self, code: SessionErrorCode) -> u64 {
        codes::session_code(code)
    }

    fn session_error(&self, number: u64) -> SessionErrorCode {
        codes::session_error(number)
    }

    fn request_code(&self, context: ErrorContext, code: RequestErrorCode) -> Option<u64> {
        codes::request_code(context, code)
    }

    fn request_error(&self, context: ErrorContext, number: u64) -> RequestErrorCode {
        codes::request_error(context, number)
    }

    fn publish_done_code(&self, code: PublishDoneCode) -> Option<u64> {
        codes::publish_done_code(code)
    }

    fn publish_done(&self, number: u64) -> PublishDoneCode {
        codes::publish_done(number)
    }

    fn reset_code(&self, code: ResetCode) -> Option<u64> {
        codes::reset_code(code)
    }

    fn reset(&self, number: u64) -> ResetCode {
        codes::reset(number)
    }
}

/// Writes all of a unit or nothing.
#[inline]
fn whole(
    w: &mut Writer,
    body: impl FnOnce(&mut Writer) -> Result<(), EncodeError>,
) -> Result<(), EncodeError> {
    let start = w.len();
    let written = body(w);
    if written.is_err() {
        w.truncate(start);
    }
    written
}
