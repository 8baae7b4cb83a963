//! When an object was sent, told by an object extension header.
//!
//! The header is the TIMESTAMP property of draft-ietf-moq-loc: microseconds since 1970, UTC.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use moqingbird::wire::list::{KeyValue, Keys, Value};
use moqingbird::wire::model::Extensions;

/// TIMESTAMP since revision 04.
const TIMESTAMP: u64 = 0x10;
/// TIMESTAMP in revisions 02 and 03.
const OLD_TIMESTAMP: u64 = 0x06;

/// Extension headers that say that it is now.
pub(crate) fn now() -> Extensions {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let pair = KeyValue { key: TIMESTAMP, value: Value::Integer(since.as_micros() as u64) };
    // It fails for numbers over 2^62-1 only.
    Extensions::from_pairs([pair], Keys::Delta).unwrap_or_default()
}

/// When an object with these headers was sent, if they tell.
pub(crate) fn sent(extensions: &Extensions) -> Option<SystemTime> {
    match extensions.get(TIMESTAMP).or_else(|| extensions.get(OLD_TIMESTAMP))? {
        Value::Integer(micros) => UNIX_EPOCH.checked_add(Duration::from_micros(micros)),
        Value::Bytes(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_sent_now_was_sent_now() {
        let before = SystemTime::now() - Duration::from_micros(1);
        let sent = sent(&now()).unwrap();
        assert!(before <= sent && sent <= SystemTime::now());
        assert_eq!(super::sent(&Extensions::NONE), None);
    }
}
