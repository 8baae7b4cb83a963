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

/// A pair of which the value has not been taken from where it stands.
#[derive(Clone, Debug)]
pub(crate) struct Found<'a> {
    pub(crate) key: u64,
    pub(crate) value: FoundValue<'a>,
}

/// The value of a pair, a byte string still to be read.
#[derive(Clone, Debug)]
pub(crate) enum FoundValue<'a> {
    Integer(u64),
    Bytes(Reader<'a>),
}

impl Found<'_> {
    #[inline]
    pub(crate) fn taken(&self) -> KeyValue {
        let value = match &self.value {
            FoundValue::Integer(number) => Value::Integer(*number),
            FoundValue::Bytes(r) => Value::Bytes(r.left()),
        };
        KeyValue { key: self.key, value }
    }
}

/// Adds an element to a list, of which the first takes room for the `more` that follow: a list that doubles its room
/// holds three times as much while it moves.
pub(crate) fn push<T>(list: &mut Vec<T>, element: T, more: impl FnOnce() -> usize) {
    if list.is_empty() {
        list.reserve_exact(1 + more());
    }
    list.push(element);
}

/// What follows a pair in its list.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rest<'r, 'a> {
    pub(crate) pairs: &'r Pairs,
    pub(crate) r: &'r Reader<'a>,
    /// How many pairs.
    pub(crate) left: u64,
}

impl Rest<'_, '_> {
    /// How many pairs are of types that are `counted`, as far as they can be read.
    pub(crate) fn count(self, counted: impl Fn(u64) -> bool) -> usize {
        let (mut pairs, mut r) = (self.pairs.clone(), self.r.unwatched());
        let keys = (0..self.left).map_while(|_| pairs.find(&mut r, "").ok().map(|pair| pair.key));
        keys.filter(|key| counted(*key)).count()
    }
}

/// Reads the pairs of one list, each list with its types counted from zero.
#[derive(Clone, Debug)]
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
        self.find(r, field).map(|pair| pair.taken())
    }

    /// The next pair, a byte string as a cursor over it.
    #[inline]
    pub(crate) fn find<'a>(
        &mut self,
        r: &mut Reader<'a>,
        field: &'static str,
    ) -> Result<Found<'a>, DecodeError> {
        let key = self.key(r, field)?;
        let value = if key % 2 == 0 {
            FoundValue::Integer(r.varint(field)?)
        } else {
            FoundValue::Bytes(r.value(MAX_VALUE, field)?)
        };
        Ok(Found { key, value })
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
    let mut list = PairsWriter::new(keys);
    pairs.iter().try_for_each(|pair| list.write(w, pair, field))
}

/// Writes the pairs of one list, one by one; deltas need them in ascending order.
#[derive(Debug)]
pub(crate) struct PairsWriter {
    keys: Keys,
    previous: u64,
}

impl PairsWriter {
    pub(crate) const fn new(keys: Keys) -> Self {
        Self { keys, previous: 0 }
    }

    pub(crate) fn write(
        &mut self,
        w: &mut Writer,
        KeyValue { key, value }: &KeyValue,
        field: &'static str,
    ) -> Result<(), EncodeError> {
        let number = match self.keys {
            Keys::Absolute => Some(*key),
            Keys::Delta => key.checked_sub(self.previous),
        };
        w.varint(number.ok_or(EncodeError::Inexpressible(field))?, field)?;
        self.previous = *key;
        match (key % 2, value) {
            (0, Value::Integer(number)) => w.varint(*number, field),
            (1, Value::Bytes(bytes)) => w.prefixed(bytes, MAX_VALUE, field),
            _ => Err(EncodeError::Inexpressible(field)),
        }
    }
}
