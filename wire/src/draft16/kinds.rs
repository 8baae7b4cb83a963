//! The types of control messages (§9).

pub(super) const REQUEST_UPDATE: u64 = 0x02;
pub(super) const SUBSCRIBE: u64 = 0x03;
pub(super) const SUBSCRIBE_OK: u64 = 0x04;
pub(super) const REQUEST_ERROR: u64 = 0x05;
pub(super) const PUBLISH_NAMESPACE: u64 = 0x06;
pub(super) const REQUEST_OK: u64 = 0x07;
pub(super) const NAMESPACE: u64 = 0x08;
pub(super) const PUBLISH_NAMESPACE_DONE: u64 = 0x09;
pub(super) const UNSUBSCRIBE: u64 = 0x0a;
pub(super) const PUBLISH_DONE: u64 = 0x0b;
pub(super) const PUBLISH_NAMESPACE_CANCEL: u64 = 0x0c;
pub(super) const TRACK_STATUS: u64 = 0x0d;
pub(super) const NAMESPACE_DONE: u64 = 0x0e;
pub(super) const GOAWAY: u64 = 0x10;
pub(super) const SUBSCRIBE_NAMESPACE: u64 = 0x11;
pub(super) const MAX_REQUEST_ID: u64 = 0x15;
pub(super) const FETCH: u64 = 0x16;
pub(super) const FETCH_CANCEL: u64 = 0x17;
pub(super) const FETCH_OK: u64 = 0x18;
pub(super) const REQUESTS_BLOCKED: u64 = 0x1a;
pub(super) const PUBLISH: u64 = 0x1d;
pub(super) const PUBLISH_OK: u64 = 0x1e;
pub(super) const CLIENT_SETUP: u64 = 0x20;
pub(super) const SERVER_SETUP: u64 = 0x21;
