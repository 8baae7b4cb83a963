//! Asking for a track's objects as they are published.

use std::time::Duration;

use super::{
    AuthorizationToken, DEFAULT_PRIORITY, FullTrackName, GroupOrder, Location, SubscriptionFilter,
    TrackAlias, TrackExtensions,
};

/// SUBSCRIBE, and TRACK_STATUS, which asks the same without wanting objects (draft-14 §9.7, §9.20; draft-16 §9.9,
/// §9.19). A draft-16 TRACK_STATUS carries track and tokens only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscribe {
    /// The track.
    pub track: FullTrackName,
    /// 0 is served first, 255 last.
    pub subscriber_priority: u8,
    /// `None`: the publisher's order.
    pub group_order: Option<GroupOrder>,
    /// Whether objects are wanted now.
    pub forward: bool,
    /// `None`: every new object, which draft-14 cannot say.
    pub filter: Option<SubscriptionFilter>,
    /// Objects later than this are not wanted. Whole milliseconds; not zero in draft-16.
    pub delivery_timeout: Option<Duration>,
    /// NEW_GROUP_REQUEST: the largest group known plus one, or 0. Not in draft-14.
    pub new_group_request: Option<u64>,
    /// What permits this.
    pub authorization_tokens: Vec<AuthorizationToken>,
}

impl Subscribe {
    /// Asks for what is published from now on, with default priority, in the publisher's order.
    pub const fn new(track: FullTrackName) -> Self {
        Self {
            track,
            subscriber_priority: DEFAULT_PRIORITY,
            group_order: None,
            forward: true,
            filter: Some(SubscriptionFilter::LargestObject),
            delivery_timeout: None,
            new_group_request: None,
            authorization_tokens: Vec::new(),
        }
    }
}

/// SUBSCRIBE_OK (draft-14 §9.8, draft-16 §9.10).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubscribeOk {
    /// The name of the track on data streams and datagrams.
    pub track_alias: TrackAlias,
    /// When the publisher means to end the subscription, in whole milliseconds. `None`: never, or unknown.
    pub expires: Option<Duration>,
    /// The largest location published so far. `None`: nothing yet.
    pub largest: Option<Location>,
    /// What holds for the whole track.
    pub extensions: TrackExtensions,
}

/// REQUEST_UPDATE (draft-16 §9.11); in draft-14 SUBSCRIBE_UPDATE, which has no answer and states filter, priority and
/// forward state every time (§9.10). `None` leaves a value as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequestUpdate {
    /// The new range. Draft-14: an absolute start or range.
    pub filter: Option<SubscriptionFilter>,
    /// The new subscriber priority.
    pub subscriber_priority: Option<u8>,
    /// The new forward state.
    pub forward: Option<bool>,
    /// The new delivery timeout, in whole milliseconds.
    pub delivery_timeout: Option<Duration>,
    /// NEW_GROUP_REQUEST. Not in draft-14.
    pub new_group_request: Option<u64>,
    /// What permits this.
    pub authorization_tokens: Vec<AuthorizationToken>,
}
