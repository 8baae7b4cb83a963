//! When an object was sent: in the first 8 bytes of its payload, or in an extension header if it is smaller.

use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use moqingbird::wire::Version;
use moqingbird::wire::list::{KeyValue, Value};
use moqingbird::wire::model::Extensions;

/// The bytes of a timestamp in a payload.
pub(crate) const BYTES: usize = 8;
/// The extension header for payloads that have no room: of even type, so that its value is an integer.
const EXTENSION: u64 = 0x2d3e;

/// Nanoseconds since 1970, by the clock that all processes of a machine share.
pub(crate) fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

/// A timestamp for the beginning of a payload.
pub(crate) fn bytes(now: u64) -> [u8; BYTES] {
    now.to_be_bytes()
}

/// The timestamp at the beginning of a payload.
pub(crate) fn read(payload: &[u8]) -> Option<u64> {
    payload.first_chunk().map(|bytes| u64::from_be_bytes(*bytes))
}

/// A timestamp as an extension header.
pub(crate) fn extensions(version: Version, now: u64) -> Extensions {
    let pair = KeyValue { key: EXTENSION, value: Value::Integer(now) };
    // A value below 2^62 can always be said: this one is until 2116.
    Extensions::from_pairs([pair], version.draft().rules().extension_keys).unwrap_or(Extensions::NONE)
}

/// The timestamp among extension headers.
pub(crate) fn of_extensions(extensions: &Extensions) -> Option<u64> {
    match extensions.get(EXTENSION) {
        Some(Value::Integer(at)) => Some(at),
        _ => None,
    }
}

/// A payload's rest behind its timestamp: the same bytes for every object.
pub(crate) fn filler(length: usize) -> Bytes {
    Bytes::from(vec![0x6d; length])
}
