//! Key-Value-Pairs (draft-14 §1.4.2, draft-16 §1.4.2): an even type has an integer, an odd one a byte string.

use bytes::Bytes;

use crate::buf::{Reader, Writer};
use crate::error::{DecodeError, EncodeError, Fault};

/// The longest byte string that a pair may carry.
pub(super) const MAX_VALUE: u64 = 65_535;

/// How a list spells its types.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Keys {
    /// Each type as it is, in any order.
    Absolute,
    /// Each type as the distance from the one before it, so in ascending order.
    Delta,
}

/// One pair.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct KeyValue {
    /// The type.
    pub key: u64,
    /// The value, whose form the type's parity decides.
    pub value: Value,
}

/// The value of a pair.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Value {
    /// Of an even type.
    Integer(u64),
    /// Of an odd type, at most 65,535 bytes.
    Bytes(Bytes),
}

/// Reads the pairs of one list, each list with its types counted from zero.
#[derive(Debug)]
pub struct Pairs {
    keys: Keys,
    /// What the next type is counted from.
    previous: u64,
}

impl Pairs {
    /// The start of a list.
    pub const fn new(keys: Keys) -> Self {
        Self { keys, previous: 0 }
    }

    /// The next pair.
    #[inline]
    pub fn read(&mut self, r: &mut Reader<'_>, field: &'static str) -> Result<KeyValue, DecodeError> {
        let key = self.key(r, field)?;
        let value = if key % 2 == 0 {
            Value::Integer(r.varint(field)?)
        } else {
            Value::Bytes(r.prefixed(MAX_VALUE, field)?)
        };
        Ok(KeyValue { key, value })
    }

    /// Moves behind the next pair, which is checked but not kept.
    #[inline]
    pub fn skip(&mut self, r: &mut Reader<'_>, field: &'static str) -> Result<(), DecodeError> {
        if self.key(r, field)? % 2 == 0 {
            r.varint(field).map(|_| ())
        } else {
            let length = r.length(MAX_VALUE, field)?;
            r.skip(length, field)
        }
    }

    #[inline]
    fn key(&mut self, r: &mut Reader<'_>, field: &'static str) -> Result<u64, DecodeError> {
        let start = r.offset();
        let number = r.key(self.previous, field)?;
        // draft-16 §1.4.2: a type over 2^64-1 closes the session.
        let key = self.previous.checked_add(number).ok_or_else(|| {
            DecodeError::new(field, Fault::Invalid("the sum of the delta types is over 2^64-1"), start)
        })?;
        if self.keys == Keys::Delta {
            self.previous = key;
        }
        Ok(key)
    }
}

/// Writes a list of pairs, sorted by type where deltas need it; pairs of one type keep their order.
pub fn write_pairs(
    w: &mut Writer,
    keys: Keys,
    pairs: &mut [KeyValue],
    field: &'static str,
) -> Result<(), EncodeError> {
    if keys == Keys::Delta {
        pairs.sort_by_key(|pair| pair.key);
    }
    let mut previous = 0;
    for KeyValue { key, value } in pairs.iter() {
        match keys {
            Keys::Absolute => w.varint(*key, field)?,
            Keys::Delta => w.varint(*key - previous, field)?,
        }
        previous = *key;
        match (key % 2, value) {
            (0, Value::Integer(number)) => w.varint(*number, field)?,
            (1, Value::Bytes(bytes)) => w.prefixed(bytes, MAX_VALUE, field)?,
            _ => return Err(EncodeError::Inexpressible(field)),
        }
    }
    Ok(())
}
