//! Error codes: number and meaning, table by table. A number that its table does not have is kept as it is.

use crate::model::{
    ErrorContext, PublishDoneCode, RequestErrorCode, RequestKind, ResetCode, SessionErrorCode,
};

type Table<C> = &'static [(u64, C)];

/// draft-14 §3.4.
const SESSION: Table<SessionErrorCode> = {
    use SessionErrorCode::*;
    &[
        (0x0, NoError),
        (0x1, InternalError),
        (0x2, Unauthorized),
        (0x3, ProtocolViolation),
        (0x4, InvalidRequestId),
        (0x5, DuplicateTrackAlias),
        (0x6, KeyValueFormattingError),
        (0x7, TooManyRequests),
        (0x8, InvalidPath),
        (0x9, MalformedPath),
        (0x10, GoAwayTimeout),
        (0x11, ControlMessageTimeout),
        (0x12, DataStreamTimeout),
        (0x13, AuthTokenCacheOverflow),
        (0x14, DuplicateAuthTokenAlias),
        (0x15, VersionNegotiationFailed),
        (0x16, MalformedAuthToken),
        (0x17, UnknownAuthTokenAlias),
        (0x18, ExpiredAuthToken),
        (0x19, InvalidAuthority),
        (0x1a, MalformedAuthority),
    ]
};

/// SUBSCRIBE_ERROR (draft-14 §9.9); TRACK_STATUS_ERROR has the same (§9.22).
const SUBSCRIBE: Table<RequestErrorCode> = {
    use RequestErrorCode::*;
    &[
        (0x0, InternalError),
        (0x1, Unauthorized),
        (0x2, Timeout),
        (0x3, NotSupported),
        (0x4, DoesNotExist),
        (0x5, InvalidRange),
        (0x10, MalformedAuthToken),
        (0x12, ExpiredAuthToken),
    ]
};

/// FETCH_ERROR (draft-14 §9.18).
const FETCH: Table<RequestErrorCode> = {
    use RequestErrorCode::*;
    &[
        (0x0, InternalError),
        (0x1, Unauthorized),
        (0x2, Timeout),
        (0x3, NotSupported),
        (0x4, DoesNotExist),
        (0x5, InvalidRange),
        (0x6, NoObjects),
        (0x7, InvalidJoiningRequestId),
        (0x8, UnknownStatusInRange),
        (0x9, MalformedTrack),
        (0x10, MalformedAuthToken),
        (0x12, ExpiredAuthToken),
    ]
};

/// PUBLISH_ERROR (draft-14 §9.15), which alone has no token codes.
const PUBLISH: Table<RequestErrorCode> = {
    use RequestErrorCode::*;
    &[(0x0, InternalError), (0x1, Unauthorized), (0x2, Timeout), (0x3, NotSupported), (0x4, Uninterested)]
};

/// PUBLISH_NAMESPACE_ERROR (draft-14 §9.25); PUBLISH_NAMESPACE_CANCEL has the same (§9.27).
const PUBLISH_NAMESPACE: Table<RequestErrorCode> = {
    use RequestErrorCode::*;
    &[
        (0x0, InternalError),
        (0x1, Unauthorized),
        (0x2, Timeout),
        (0x3, NotSupported),
        (0x4, Uninterested),
        (0x10, MalformedAuthToken),
        (0x12, ExpiredAuthToken),
    ]
};

/// SUBSCRIBE_NAMESPACE_ERROR (draft-14 §9.30), where 0x4 is NAMESPACE_PREFIX_UNKNOWN.
const SUBSCRIBE_NAMESPACE: Table<RequestErrorCode> = {
    use RequestErrorCode::*;
    &[
        (0x0, InternalError),
        (0x1, Unauthorized),
        (0x2, Timeout),
        (0x3, NotSupported),
        (0x4, DoesNotExist),
        (0x5, PrefixOverlap),
        (0x10, MalformedAuthToken),
        (0x12, ExpiredAuthToken),
    ]
};

/// PUBLISH_DONE's Status Code (draft-14 §9.12).
const PUBLISH_DONE: Table<PublishDoneCode> = {
    use PublishDoneCode::*;
    &[
        (0x0, InternalError),
        (0x1, Unauthorized),
        (0x2, TrackEnded),
        (0x3, SubscriptionEnded),
        (0x4, GoingAway),
        (0x5, Expired),
        (0x6, TooFarBehind),
        (0x7, MalformedTrack),
    ]
};

/// Resets of data streams (draft-14 §10.4.3). A malformed track has no number here, though §2.5 asks for one.
const RESET: Table<ResetCode> = {
    use ResetCode::*;
    &[(0x0, InternalError), (0x1, Cancelled), (0x2, DeliveryTimeout), (0x3, SessionClosed)]
};

pub(super) fn session_code(code: SessionErrorCode) -> u64 {
    match code {
        SessionErrorCode::Unknown(number) => number,
        // The table has every code of the model, which the tests check; 0x3 is what codes without a number mean.
        code => number_of(SESSION, code).unwrap_or(0x3),
    }
}

pub(super) fn session_error(number: u64) -> SessionErrorCode {
    meaning_of(SESSION, number).unwrap_or(SessionErrorCode::Unknown(number))
}

pub(super) fn request_code(context: ErrorContext, code: RequestErrorCode) -> Option<u64> {
    match code {
        RequestErrorCode::Unknown(number) => unnamed(requests(context), number),
        code => number_of(requests(context), code),
    }
}

pub(super) fn request_error(context: ErrorContext, number: u64) -> RequestErrorCode {
    meaning_of(requests(context), number).unwrap_or(RequestErrorCode::Unknown(number))
}

pub(super) fn publish_done_code(code: PublishDoneCode) -> Option<u64> {
    match code {
        PublishDoneCode::Unknown(number) => unnamed(PUBLISH_DONE, number),
        code => number_of(PUBLISH_DONE, code),
    }
}

pub(super) fn publish_done(number: u64) -> PublishDoneCode {
    meaning_of(PUBLISH_DONE, number).unwrap_or(PublishDoneCode::Unknown(number))
}

pub(super) fn reset_code(code: ResetCode) -> Option<u64> {
    match code {
        ResetCode::Unknown(number) => unnamed(RESET, number),
        code => number_of(RESET, code),
    }
}

pub(super) fn reset(number: u64) -> ResetCode {
    meaning_of(RESET, number).unwrap_or(ResetCode::Unknown(number))
}

/// The table of an answer. SUBSCRIBE_UPDATE has no answer and so no codes (draft-14 §9.10).
const fn requests(context: ErrorContext) -> Table<RequestErrorCode> {
    match context {
        ErrorContext::Request(RequestKind::Subscribe | RequestKind::TrackStatus) => SUBSCRIBE,
        ErrorContext::Request(RequestKind::Fetch) => FETCH,
        ErrorContext::Request(RequestKind::Publish) => PUBLISH,
        ErrorContext::Request(RequestKind::PublishNamespace) | ErrorContext::PublishNamespaceCancel => {
            PUBLISH_NAMESPACE
        }
        ErrorContext::Request(RequestKind::SubscribeNamespace) => SUBSCRIBE_NAMESPACE,
        ErrorContext::Request(RequestKind::Update) => &[],
    }
}

fn number_of<C: Copy + PartialEq>(table: Table<C>, code: C) -> Option<u64> {
    table.iter().find(|(_, named)| *named == code).map(|(number, _)| *number)
}

/// A number without a name keeps its number, unless it has a name here: another draft's number would say something else.
fn unnamed<C: Copy>(table: Table<C>, number: u64) -> Option<u64> {
    meaning_of(table, number).is_none().then_some(number)
}

fn meaning_of<C: Copy>(table: Table<C>, number: u64) -> Option<C> {
    table.iter().find(|(listed, _)| *listed == number).map(|(_, code)| *code)
}
