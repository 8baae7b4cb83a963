//! The message types of control messages (draft-14 §9, table 1) and the three that belong to each request.

use crate::frame::message_types;
use crate::model::RequestKind;

message_types! {
    SUBSCRIBE_UPDATE = 0x02,
    SUBSCRIBE = 0x03,
    SUBSCRIBE_OK = 0x04,
    SUBSCRIBE_ERROR = 0x05,
    PUBLISH_NAMESPACE = 0x06,
    PUBLISH_NAMESPACE_OK = 0x07,
    PUBLISH_NAMESPACE_ERROR = 0x08,
    PUBLISH_NAMESPACE_DONE = 0x09,
    UNSUBSCRIBE = 0x0a,
    PUBLISH_DONE = 0x0b,
    PUBLISH_NAMESPACE_CANCEL = 0x0c,
    TRACK_STATUS = 0x0d,
    TRACK_STATUS_OK = 0x0e,
    TRACK_STATUS_ERROR = 0x0f,
    GOAWAY = 0x10,
    SUBSCRIBE_NAMESPACE = 0x11,
    SUBSCRIBE_NAMESPACE_OK = 0x12,
    SUBSCRIBE_NAMESPACE_ERROR = 0x13,
    UNSUBSCRIBE_NAMESPACE = 0x14,
    MAX_REQUEST_ID = 0x15,
    FETCH = 0x16,
    FETCH_CANCEL = 0x17,
    FETCH_OK = 0x18,
    FETCH_ERROR = 0x19,
    REQUESTS_BLOCKED = 0x1a,
    PUBLISH = 0x1d,
    PUBLISH_OK = 0x1e,
    PUBLISH_ERROR = 0x1f,
    CLIENT_SETUP = 0x20,
    SERVER_SETUP = 0x21,
}

/// The messages of one kind of request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Exchange {
    pub(super) request: u64,
    pub(super) ok: u64,
    pub(super) error: u64,
}

/// The messages that ask, grant and decline. `None`: SUBSCRIBE_UPDATE has no answer (draft-14 §9.10).
pub(super) const fn exchange(kind: RequestKind) -> Option<Exchange> {
    let (request, ok, error) = match kind {
        RequestKind::Subscribe => (SUBSCRIBE, SUBSCRIBE_OK, SUBSCRIBE_ERROR),
        RequestKind::Publish => (PUBLISH, PUBLISH_OK, PUBLISH_ERROR),
        RequestKind::Fetch => (FETCH, FETCH_OK, FETCH_ERROR),
        RequestKind::TrackStatus => (TRACK_STATUS, TRACK_STATUS_OK, TRACK_STATUS_ERROR),
        RequestKind::PublishNamespace => (PUBLISH_NAMESPACE, PUBLISH_NAMESPACE_OK, PUBLISH_NAMESPACE_ERROR),
        RequestKind::SubscribeNamespace => {
            (SUBSCRIBE_NAMESPACE, SUBSCRIBE_NAMESPACE_OK, SUBSCRIBE_NAMESPACE_ERROR)
        }
        RequestKind::Update => return None,
    };
    Some(Exchange { request, ok, error })
}
