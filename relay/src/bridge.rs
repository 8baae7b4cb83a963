//! What has to change on the way from one session to another, whose draft may say less.

use moqingbird::wire::Rules;
use moqingbird::wire::model::{PublishDoneCode, RequestError, RequestErrorCode, ResetCode, TrackExtensions};

/// Track extensions as a session can say them: without Track Extensions there is no default priority, no dynamic groups
/// and nothing unknown (draft-14 §9.8, draft-16 §2.5).
pub(crate) fn track_extensions(mut extensions: TrackExtensions, rules: &Rules) -> TrackExtensions {
    // No timeout in draft-14, and not to be said in draft-16 (§9.2.2.2).
    extensions.delivery_timeout.take_if(|timeout| timeout.is_zero());
    if !rules.track_extensions {
        let defaults = TrackExtensions::default();
        extensions.default_publisher_priority = defaults.default_publisher_priority;
        extensions.dynamic_groups = defaults.dynamic_groups;
        extensions.other = defaults.other;
    }
    extensions
}

/// An upstream's refusal, passed on: a number without a name may mean anything in the other draft.
pub(crate) fn request_error(mut error: RequestError) -> RequestError {
    if matches!(error.code, RequestErrorCode::Unknown(_) | RequestErrorCode::DuplicateSubscription) {
        error.code = RequestErrorCode::InternalError;
    }
    error
}

/// The code of an upstream's PUBLISH_DONE, passed on.
pub(crate) const fn publish_done(code: PublishDoneCode) -> PublishDoneCode {
    match code {
        // Both are about the relay's own subscription.
        PublishDoneCode::Unknown(_) | PublishDoneCode::UpdateFailed => PublishDoneCode::InternalError,
        code => code,
    }
}

/// The code with which an upstream reset a stream, passed on.
pub(crate) const fn reset(code: ResetCode) -> ResetCode {
    match code {
        ResetCode::Unknown(_) | ResetCode::SessionClosed => ResetCode::InternalError,
        code => code,
    }
}
