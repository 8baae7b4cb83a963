//! draft-ietf-moq-transport-16.
//!
//! How this draft differs: what a message may leave out travels as parameters with delta types (§1.4.2), absent means
//! default; REQUEST_OK and REQUEST_ERROR answer every kind of request by its number (§9.7, §9.8); tracks have
//! extensions (§11); SUBSCRIBE_NAMESPACE has a stream of its own (§9.25); subgroups, datagrams and fetched objects may
//! leave out what is known (§10.3, §10.4).
//!
//! Where the draft is silent or contradicts itself: a known parameter in a message that does not define it is ignored,
//! except in REQUEST_UPDATE, where none of the updatable requests takes it and it is a violation (§9.2.2, §9.11).
//! EXPIRES is read and written in REQUEST_OK, which says what SUBSCRIBE_OK would (§9.19). Subscribe Options over 2, End
//! Of Track over 1, a default priority over 255, bytes behind a datagram's status, and IDs over 2^62-1 are violations.
//! An end-of-range marker has absolute IDs and no length (§10.4.4.2). A namespace suffix may have no field (§9.21).

mod codes;
mod control;
mod data;
mod fetch;
mod form;
mod kinds;
mod namespace;
mod params;
mod publish;
mod request;
mod setup;
mod subscribe;
mod track_extensions;

use crate::buf::{Reader, Writer};
use crate::draft::Draft;
use crate::error::{DecodeError, EncodeError};
use crate::field::NamespaceLimits;
use crate::list::Keys;
use crate::model::{
    Datagram, ErrorContext, FetchItem, Message, ObjectHeader, Opening, PublishDoneCode, RequestErrorCode,
    RequestKind, ResetCode, SessionErrorCode,
};
use crate::rules::{Carriage, RequestIds, Rules};
use crate::stream::{FetchCursor, SubgroupCursor};
use crate::version::Version;

/// A Track Namespace (§2.4.1).
const NAMESPACE: NamespaceLimits = NamespaceLimits { min_fields: 1, empty_fields: false };
/// A prefix (§9.25) or a suffix (§9.21), which may have no field.
const PART: NamespaceLimits = NamespaceLimits { min_fields: 0, empty_fields: false };

static RULES: Rules = Rules {
    setup_version: None,
    extension_keys: Keys::Delta,
    namespace_carriage: Carriage::OwnStream,
    withdraws_by_namespace: false,
    request_ids: RequestIds::Unordered,
    // §9.11 lists TRACK_STATUS too, §9.19 forbids it.
    updatable: &[
        RequestKind::Subscribe,
        RequestKind::Publish,
        RequestKind::Fetch,
        RequestKind::PublishNamespace,
        RequestKind::SubscribeNamespace,
    ],
    updates_answered: true,
    update_may_widen: true,
    duplicate_subscription_declined: true,
    ok_states_order: false,
    publish_ok_is_explicit: false,
    retry_interval: true,
    default_priority: true,
    track_extensions: true,
    setup_token_aliases: false,
    empty_prefix: true,
    immutable_extensions_once: true,
    one_fetched_priority: true,
    mixed_forwarding: true,
};

/// The draft.
#[derive(Debug)]
pub(crate) struct Draft16;

impl Draft for Draft16 {
    fn version(&self) -> Version {
        Version::Draft16
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
        whole(w, |w| data::write_opening(opening, w))
    }

    #[inline]
    fn decode_object(&self, at: &SubgroupCursor, r: &mut Reader<'_>) -> Result<ObjectHeader, DecodeError> {
        data::object(at, r)
    }

    fn encode_object(
        &self,
        at: &SubgroupCursor,
        object: &ObjectHeader,
        w: &mut Writer,
    ) -> Result<(), EncodeError> {
        whole(w, |w| data::write_object(at, object, w))
    }

    fn decode_fetch_item(&self, at: &FetchCursor, r: &mut Reader<'_>) -> Result<FetchItem, DecodeError> {
        fetch::item(at, r)
    }

    fn encode_fetch_item(
        &self,
        at: &FetchCursor,
        item: &FetchItem,
        w: &mut Writer,
    ) -> Result<(), EncodeError> {
        whole(w, |w| fetch::write_item(at, item, w))
    }

    fn decode_datagram(&self, r: &mut Reader<'_>) -> Result<Datagram, DecodeError> {
        data::datagram(r)
    }

    fn encode_datagram(&self, datagram: &Datagram, w: &mut Writer) -> Result<(), EncodeError> {
        whole(w, |w| data::write_datagram(datagram, w))
    }

    fn session_code(&self, code: SessionErrorCode) -> u64 {
        codes::session_code(code)
    }

    fn session_error(&self, number: u64) -> SessionErrorCode {
        codes::session_error(number)
    }

    // One table for every context (§13.4.2).
    fn request_code(&self, _: ErrorContext, code: RequestErrorCode) -> Option<u64> {
        codes::request_code(code)
    }

    fn request_error(&self, _: ErrorContext, number: u64) -> RequestErrorCode {
        codes::request_error(number)
    }

    fn publish_done_code(&self, code: PublishDoneCode) -> Option<u64> {
        codes::publish_done_number(code)
    }

    fn publish_done(&self, number: u64) -> PublishDoneCode {
        codes::publish_done(number)
    }

    fn reset_code(&self, code: ResetCode) -> Option<u64> {
        codes::reset_number(code)
    }

    fn reset(&self, number: u64) -> ResetCode {
        codes::reset(number)
    }
}

/// What `body` writes, or nothing if it fails.
fn whole(
    w: &mut Writer,
    body: impl FnOnce(&mut Writer) -> Result<(), EncodeError>,
) -> Result<(), EncodeError> {
    let start = w.len();
    body(w).inspect_err(|_| w.truncate(start))
}
