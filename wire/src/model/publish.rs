//! Offering a track, taking it, and its end.

use std::time::Duration;

use super::{
    AuthorizationToken, DEFAULT_PRIORITY, FullTrackName, GroupOrder, Location, PublishDoneCode, ReasonPhrase,
    SubscriptionFilter, TrackAlias, TrackExtensions,
};

/// PUBLISH (draft-14 §9.13, draft-16 §9.13).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publish {
    /// The track.
    pub track: FullTrackName,
    /// The name of the track on data streams and datagrams.
    pub track_alias: TrackAlias,
    /// The largest location published so far. `None`: nothing yet.
    pub largest: Option<Location>,
    /// Whether objects flow before the answer.
    pub forward: bool,
    /// When the publisher means to end the subscription, in whole milliseconds. Not in draft-14.
    pub expires: Option<Duration>,
    /// What permits this.
    pub authorization_tokens: Vec<AuthorizationToken>,
    /// What holds for the whole track.
    pub extensions: TrackExtensions,
}

/// PUBLISH_OK (draft-14 §9.14, draft-16 §9.14).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublishOk {
    /// Whether objects are wanted now.
    pub forward: bool,
    /// 0 is served first, 255 last.
    pub subscriber_priority: u8,
    /// `None`: the track's order, which draft-14 cannot say.
    pub group_order: Option<GroupOrder>,
    /// `None`: every new object, which draft-14 cannot say.
    pub filter: Option<SubscriptionFilter>,
    /// Objects later than this are not wanted. Whole milliseconds; not zero in draft-16.
    pub delivery_timeout: Option<Duration>,
    /// When the subscriber means to end the subscription, in whole milliseconds. Not in draft-14.
    pub expires: Option<Duration>,
    /// NEW_GROUP_REQUEST: the largest group known plus one, or 0. Not in draft-14.
    pub new_group_request: Option<u64>,
}

impl Default for PublishOk {
    fn default() -> Self {
        Self {
            forward: true,
            subscriber_priority: DEFAULT_PRIORITY,
            group_order: None,
            filter: Some(SubscriptionFilter::LargestObject),
            delivery_timeout: None,
            expires: None,
            new_group_request: None,
        }
    }
}

/// The stream count of a publisher that has not counted (draft-14 §9.12, draft-16 §9.15).
pub const STREAM_COUNT_UNKNOWN: u64 = (1 << 62) - 1;

/// PUBLISH_DONE (draft-14 §9.12, draft-16 §9.15).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublishDone {
    /// Why.
    pub code: PublishDoneCode,
    /// How many data streams were opened for the subscription; [`STREAM_COUNT_UNKNOWN`] if nobody counted.
    pub stream_count: u64,
    /// Why, for people.
    pub reason: ReasonPhrase,
}
