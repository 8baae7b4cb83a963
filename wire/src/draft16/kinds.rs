//! The types of control messages (§9).

use crate::frame::message_types;

message_types! {
    REQUEST_UPDATE = 0x02,
    SUBSCRIBE = 0x03,
    SUBSCRIBE_OK = 0x04,
    REQUEST_ERROR = 0x05,
    PUBLISH_NAMESPACE = 0x06,
    REQUEST_OK = 0x07,
    NAMESPACE = 0x08,
    PUBLISH_NAMESPACE_DONE = 0x09,
    UNSUBSCRIBE = 0x0a,
    PUBLISH_DONE = 0x0b,
    PUBLISH_NAMESPACE_CANCEL = 0x0c,
    TRACK_STATUS = 0x0d,
    NAMESPACE_DONE = 0x0e,
    GOAWAY = 0x10,
    SUBSCRIBE_NAMESPACE = 0x11,
    MAX_REQUEST_ID = 0x15,
    FETCH = 0x16,
    FETCH_CANCEL = 0x17,
    FETCH_OK = 0x18,
    REQUESTS_BLOCKED = 0x1a,
    PUBLISH = 0x1d,
    PUBLISH_OK = 0x1e,
    CLIENT_SETUP = 0x20,
    SERVER_SETUP = 0x21,
}
