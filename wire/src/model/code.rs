//! Error codes by meaning. The numbers are each draft's: [`Draft`](crate::Draft) maps them, unknown ones kept.

use std::fmt;

use super::RequestKind;

/// Where an error code stands: drafts before 15 give the same number another meaning in each answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorContext {
    /// In the answer to a request of this kind.
    Request(RequestKind),
    /// In PUBLISH_NAMESPACE_CANCEL.
    PublishNamespaceCancel,
}

macro_rules! codes {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum $name {
            $($(#[$vdoc])* $variant,)*
            /// A number to which the draft in use gives no name.
            Unknown(u64),
        }

        impl $name {
            /// Every code that has a name.
            pub const NAMED: &'static [Self] = &[$(Self::$variant,)*];
        }

        /// The draft's name in capitals, or the number.
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self {
                    $(Self::$variant => f.write_str($text),)*
                    Self::Unknown(number) => write!(f, "{number:#x}"),
                }
            }
        }
    };
}

codes! {
    /// Why a session is closed (draft-14 §3.4, draft-16 §13.4.1).
    SessionErrorCode {
        /// Nothing is wrong.
        NoError = "NO_ERROR",
        /// The endpoint failed.
        InternalError = "INTERNAL_ERROR",
        /// The client may not be here.
        Unauthorized = "UNAUTHORIZED",
        /// The peer broke a rule that has no code of its own.
        ProtocolViolation = "PROTOCOL_VIOLATION",
        /// A Request ID of the wrong parity, out of sequence or not in use.
        InvalidRequestId = "INVALID_REQUEST_ID",
        /// One Track Alias for two tracks.
        DuplicateTrackAlias = "DUPLICATE_TRACK_ALIAS",
        /// A key-value pair whose value is not of its type's form.
        KeyValueFormattingError = "KEY_VALUE_FORMATTING_ERROR",
        /// A Request ID at or over the limit.
        TooManyRequests = "TOO_MANY_REQUESTS",
        /// PATH where it may not be, or of a path that is not served.
        InvalidPath = "INVALID_PATH",
        /// PATH that is not a path.
        MalformedPath = "MALFORMED_PATH",
        /// The peer did not leave in time after GOAWAY.
        GoAwayTimeout = "GOAWAY_TIMEOUT",
        /// A control message was not answered, or not finished, in time.
        ControlMessageTimeout = "CONTROL_MESSAGE_TIMEOUT",
        /// A data stream stalled.
        DataStreamTimeout = "DATA_STREAM_TIMEOUT",
        /// Registered tokens exceed the cache.
        AuthTokenCacheOverflow = "AUTH_TOKEN_CACHE_OVERFLOW",
        /// A token alias registered twice.
        DuplicateAuthTokenAlias = "DUPLICATE_AUTH_TOKEN_ALIAS",
        /// No version in common.
        VersionNegotiationFailed = "VERSION_NEGOTIATION_FAILED",
        /// A token that cannot be read.
        MalformedAuthToken = "MALFORMED_AUTH_TOKEN",
        /// A token alias that is not registered.
        UnknownAuthTokenAlias = "UNKNOWN_AUTH_TOKEN_ALIAS",
        /// A token past its time.
        ExpiredAuthToken = "EXPIRED_AUTH_TOKEN",
        /// AUTHORITY where it may not be, or of a host that is not served.
        InvalidAuthority = "INVALID_AUTHORITY",
        /// AUTHORITY that is not one.
        MalformedAuthority = "MALFORMED_AUTHORITY",
    }
}

codes! {
    /// Why a request is declined (draft-14 §14.2's tables, one for each kind; draft-16 §13.4.2, one for all).
    RequestErrorCode {
        /// The responder failed.
        InternalError = "INTERNAL_ERROR",
        /// The requester may not ask this.
        Unauthorized = "UNAUTHORIZED",
        /// No answer from further on.
        Timeout = "TIMEOUT",
        /// The responder does not do this.
        NotSupported = "NOT_SUPPORTED",
        /// A token that cannot be read.
        MalformedAuthToken = "MALFORMED_AUTH_TOKEN",
        /// A token past its time.
        ExpiredAuthToken = "EXPIRED_AUTH_TOKEN",
        /// No such track, or no such namespace prefix.
        DoesNotExist = "DOES_NOT_EXIST",
        /// A range that cannot be satisfied.
        InvalidRange = "INVALID_RANGE",
        /// The track breaks the rules of tracks.
        MalformedTrack = "MALFORMED_TRACK",
        /// The session subscribes to the track already.
        DuplicateSubscription = "DUPLICATE_SUBSCRIPTION",
        /// The subscriber does not want the track or namespace.
        Uninterested = "UNINTERESTED",
        /// The prefix overlaps that of another subscription.
        PrefixOverlap = "PREFIX_OVERLAP",
        /// A Joining FETCH that names no subscription.
        InvalidJoiningRequestId = "INVALID_JOINING_REQUEST_ID",
        /// The range holds nothing. Not in draft-16, where the fetch is empty instead.
        NoObjects = "NO_OBJECTS",
        /// The range holds objects of which nobody knows whether they exist. Not in draft-16.
        UnknownStatusInRange = "UNKNOWN_STATUS_IN_RANGE",
    }
}

codes! {
    /// Why a publisher has ended a subscription (draft-14 §14.3, draft-16 §13.4.3).
    PublishDoneCode {
        /// The publisher failed.
        InternalError = "INTERNAL_ERROR",
        /// The subscriber may no longer have this.
        Unauthorized = "UNAUTHORIZED",
        /// The track is complete.
        TrackEnded = "TRACK_ENDED",
        /// The end of the range is reached.
        SubscriptionEnded = "SUBSCRIPTION_ENDED",
        /// The publisher leaves.
        GoingAway = "GOING_AWAY",
        /// The time of the subscription is over.
        Expired = "EXPIRED",
        /// The subscriber is too slow.
        TooFarBehind = "TOO_FAR_BEHIND",
        /// The track breaks the rules of tracks.
        MalformedTrack = "MALFORMED_TRACK",
        /// An update was declined. Not in draft-14, where updates have no answer.
        UpdateFailed = "UPDATE_FAILED",
    }
}

codes! {
    /// Why a data stream is reset (draft-14 §14.4, draft-16 §13.4.4).
    ResetCode {
        /// The publisher failed.
        InternalError = "INTERNAL_ERROR",
        /// The subscriber does not want it any more.
        Cancelled = "CANCELLED",
        /// Its objects are too late.
        DeliveryTimeout = "DELIVERY_TIMEOUT",
        /// The session is closed.
        SessionClosed = "SESSION_CLOSED",
        /// An object in the range may or may not exist. Not in draft-14.
        UnknownObjectStatus = "UNKNOWN_OBJECT_STATUS",
        /// The track breaks the rules of tracks. Not in draft-14.
        MalformedTrack = "MALFORMED_TRACK",
    }
}
