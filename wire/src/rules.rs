//! What a draft lets a session do, as data: the session asks the rule and never the draft's number.

use crate::list::Keys;
use crate::model::RequestKind;

/// The rules of one draft.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// The version that is listed and selected inside SETUP. `None`: the transport agrees on the draft.
    pub setup_version: Option<u64>,
    /// How extension headers spell their types.
    pub extension_keys: Keys,
    /// On which stream a SUBSCRIBE_NAMESPACE travels, with its answer, and how it is withdrawn.
    pub namespace_carriage: Carriage,
    /// Whether PUBLISH_NAMESPACE_DONE, PUBLISH_NAMESPACE_CANCEL and UNSUBSCRIBE_NAMESPACE name their request by its
    /// namespace instead of its number.
    pub withdraws_by_namespace: bool,
    /// What is required of the numbers of new requests.
    pub request_ids: RequestIds,
    /// The requests that REQUEST_UPDATE may change.
    pub updatable: &'static [RequestKind],
    /// Whether REQUEST_UPDATE is answered. If not, every update states filter, priority and forward state.
    pub updates_answered: bool,
    /// Whether an update may widen the range of a subscription.
    pub update_may_widen: bool,
    /// Whether a second subscription to a track is declined (DUPLICATE_SUBSCRIPTION) rather than a violation.
    pub duplicate_subscription_declined: bool,
    /// Whether SUBSCRIBE_OK and FETCH_OK state the order of groups that is used.
    pub ok_states_order: bool,
    /// Whether a PUBLISH_OK must state a group order and a filter.
    pub publish_ok_is_explicit: bool,
    /// Whether a declined request may say when to try again.
    pub retry_interval: bool,
    /// Whether a subgroup or datagram may leave its priority to the track's default.
    pub default_priority: bool,
    /// Whether tracks have extensions: a default priority, dynamic groups, and ones that the draft does not define.
    pub track_extensions: bool,
    /// Whether tokens may be deleted or used by alias in CLIENT_SETUP.
    pub setup_token_aliases: bool,
    /// Whether a prefix of no field is legal in SUBSCRIBE_NAMESPACE.
    pub empty_prefix: bool,
    /// Whether an object may have Immutable Extensions but once.
    pub immutable_extensions_once: bool,
    /// Whether a track is malformed that is fetched with different priorities within a subgroup.
    pub one_fetched_priority: bool,
    /// Whether a track may mix subgroups and datagrams.
    pub mixed_forwarding: bool,
}

/// How a kind of request travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Carriage {
    /// On the control stream, withdrawn by a message.
    Control,
    /// On a bidirectional stream of its own, withdrawn by that stream's end.
    OwnStream,
}

/// What a receiver requires of the numbers of new requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RequestIds {
    /// Each is its predecessor plus two.
    Contiguous,
    /// Of the sender's parity and never repeated; requests on other streams may overtake.
    Unordered,
}
