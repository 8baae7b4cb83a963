//! The registries of error codes (§13.4).

use crate::model::{PublishDoneCode, RequestErrorCode, ResetCode, SessionErrorCode};

/// From `$code` to `$number` and back. `Unknown` keeps its number.
macro_rules! registry {
    ($(#[$doc:meta])* $to:ident, $from:ident: $code:ident { $($number:literal $variant:ident,)* }) => {
        $(#[$doc])*
        pub(super) const fn $to(code: $code) -> u64 {
            match code {
                $($code::$variant => $number,)*
                $code::Unknown(number) => number,
            }
        }

        pub(super) const fn $from(number: u64) -> $code {
            match number {
                $($number => $code::$variant,)*
                _ => $code::Unknown(number),
            }
        }
    };
}

registry! {
    /// Session termination (§13.4.1).
    session_code, session_error: SessionErrorCode {
        0x0 NoError,
        0x1 InternalError,
        0x2 Unauthorized,
        0x3 ProtocolViolation,
        0x4 InvalidRequestId,
        0x5 DuplicateTrackAlias,
        0x6 KeyValueFormattingError,
        0x7 TooManyRequests,
        0x8 InvalidPath,
        0x9 MalformedPath,
        0x10 GoAwayTimeout,
        0x11 ControlMessageTimeout,
        0x12 DataStreamTimeout,
        0x13 AuthTokenCacheOverflow,
        0x14 DuplicateAuthTokenAlias,
        0x15 VersionNegotiationFailed,
        0x16 MalformedAuthToken,
        0x17 UnknownAuthTokenAlias,
        0x18 ExpiredAuthToken,
        0x19 InvalidAuthority,
        0x1a MalformedAuthority,
    }
}

registry! {
    /// PUBLISH_DONE (§13.4.3).
    publish_done_code, publish_done: PublishDoneCode {
        0x0 InternalError,
        0x1 Unauthorized,
        0x2 TrackEnded,
        0x3 SubscriptionEnded,
        0x4 GoingAway,
        0x5 Expired,
        0x6 TooFarBehind,
        0x8 UpdateFailed,
        0x12 MalformedTrack,
    }
}

registry! {
    /// Reset of data streams (§13.4.4).
    reset_code, reset: ResetCode {
        0x0 InternalError,
        0x1 Cancelled,
        0x2 DeliveryTimeout,
        0x3 SessionClosed,
        0x4 UnknownObjectStatus,
        0x12 MalformedTrack,
    }
}

/// REQUEST_ERROR and PUBLISH_NAMESPACE_CANCEL (§13.4.2). An empty range is answered by an empty FETCH and an unknown
/// one by a marker on its stream, so the two codes that said so have no number.
pub(super) fn request_code(code: RequestErrorCode) -> Option<u64> {
    use RequestErrorCode as Code;
    Some(match code {
        Code::InternalError => 0x0,
        Code::Unauthorized => 0x1,
        Code::Timeout => 0x2,
        Code::NotSupported => 0x3,
        Code::MalformedAuthToken => 0x4,
        Code::ExpiredAuthToken => 0x5,
        Code::DoesNotExist => 0x10,
        Code::InvalidRange => 0x11,
        Code::MalformedTrack => 0x12,
        Code::DuplicateSubscription => 0x19,
        Code::Uninterested => 0x20,
        Code::PrefixOverlap => 0x30,
        Code::InvalidJoiningRequestId => 0x32,
        // Another draft's number would say something else here.
        Code::Unknown(number) => return (request_error(number) == code).then_some(number),
        Code::NoObjects | Code::UnknownStatusInRange => return None,
    })
}

/// The meaning of a number in REQUEST_ERROR and PUBLISH_NAMESPACE_CANCEL.
pub(super) fn request_error(number: u64) -> RequestErrorCode {
    RequestErrorCode::NAMED
        .iter()
        .copied()
        .find(|code| request_code(*code) == Some(number))
        .unwrap_or(RequestErrorCode::Unknown(number))
}

/// The number of a PUBLISH_DONE code. A number without a name keeps its number, unless it has a name here.
pub(super) fn publish_done_number(code: PublishDoneCode) -> Option<u64> {
    Some(publish_done_code(code)).filter(|number| publish_done(*number) == code)
}

/// The number of a reset code, as [`publish_done_number`].
pub(super) fn reset_number(code: ResetCode) -> Option<u64> {
    Some(reset_code(code)).filter(|number| reset(*number) == code)
}
