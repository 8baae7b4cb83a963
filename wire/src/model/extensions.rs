//! Extension headers of objects and of tracks (draft-14 §11, draft-16 §11).

use std::time::Duration;

use bytes::Bytes;

use super::{DEFAULT_PRIORITY, GroupOrder};
use crate::buf::{Reader, Writer};
use crate::error::{DecodeError, EncodeError, Fault};
use crate::list::{KeyValue, Keys, Pairs, Value, write_pairs};
use crate::planted;

/// The types of the extension headers that the drafts define.
pub mod extension {
    /// Track: objects later than this are not wanted, in milliseconds.
    pub const DELIVERY_TIMEOUT: u64 = 0x02;
    /// Track: how long a relay may serve an object, in milliseconds.
    pub const MAX_CACHE_DURATION: u64 = 0x04;
    /// Object or track: a list that relays never change.
    pub const IMMUTABLE_EXTENSIONS: u64 = 0x0b;
    /// Track: the priority of what states none.
    pub const DEFAULT_PUBLISHER_PRIORITY: u64 = 0x0e;
    /// Track: the order of groups, unless the subscriber asks for one.
    pub const DEFAULT_PUBLISHER_GROUP_ORDER: u64 = 0x22;
    /// Track: whether subscribers may ask for a new group.
    pub const DYNAMIC_GROUPS: u64 = 0x30;
    /// Object: how many groups just before this one do not exist.
    pub const PRIOR_GROUP_ID_GAP: u64 = 0x3c;
    /// Object: how many objects just before this one, in its group, do not exist.
    pub const PRIOR_OBJECT_ID_GAP: u64 = 0x3e;
}

/// A block of extension headers, whole and unread, as one draft spells it. Two blocks are equal if they say the same.
#[derive(Clone, Debug)]
pub struct Extensions {
    /// `None` if there are none: cheaper to make and to drop than an empty block.
    block: Option<Bytes>,
    keys: Keys,
}

impl Extensions {
    /// No extension headers.
    pub const NONE: Self = Self { block: None, keys: Keys::Absolute };

    /// The most bytes that a block may have: 256 KiB. The drafts name no limit, but a receiver holds a block until it is
    /// whole, and a peer may not have it hold any amount.
    pub const MAX_BYTES: u64 = 256 << 10;

    /// Reads a block that fills `r`. Every pair is checked, none is copied.
    ///
    /// # Errors
    /// A pair that is not whole, too long, or whose type overflows. Never `Incomplete`: bytes behind the block do not
    /// mend it.
    #[inline]
    pub fn decode(r: &mut Reader<'_>, keys: Keys, field: &'static str) -> Result<Self, DecodeError> {
        if r.is_empty() {
            return Ok(Self::NONE);
        }
        let start = r.offset();
        let mut pairs = Pairs::new(keys);
        while !r.is_empty() {
            pairs.skip(r, field).map_err(cut_short)?;
        }
        Ok(Self { block: Some(r.since(start)), keys })
    }

    /// A block of these pairs, in either spelling.
    ///
    /// # Errors
    /// A number over 2^62-1, a byte string over 65,535 bytes, or a value whose form is not that of its type's parity.
    pub fn from_pairs(pairs: impl IntoIterator<Item = KeyValue>, keys: Keys) -> Result<Self, EncodeError> {
        let mut pairs: Vec<_> = pairs.into_iter().collect();
        let mut w = Writer::new();
        write_pairs(&mut w, keys, &mut pairs, "extension headers")?;
        Ok(Self { block: Some(w.take()), keys })
    }

    /// A block that has been read pair by pair already.
    pub(crate) const fn of_checked(block: Bytes, keys: Keys) -> Self {
        Self { block: Some(block), keys }
    }

    /// The same in memory of its own: to be kept for longer than the packets in which it came.
    #[must_use]
    pub fn detached(&self) -> Self {
        Self { block: self.block.as_deref().map(Bytes::copy_from_slice), keys: self.keys }
    }

    /// Whether there are none.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.block.as_ref().is_none_or(Bytes::is_empty)
    }

    /// How many bytes the block has as it is spelled.
    #[inline]
    pub fn byte_length(&self) -> usize {
        self.block().len()
    }

    /// The pairs, in the order in which they stand.
    pub fn iter(&self) -> ExtensionsIter<'_> {
        ExtensionsIter { block: self.block(), at: 0, pairs: Pairs::new(self.keys) }
    }

    /// The value of the first pair of a type.
    pub fn get(&self, key: u64) -> Option<Value> {
        self.iter().find(|pair| pair.key == key).map(|pair| pair.value)
    }

    /// The block in the spelling `keys`; the same bytes if it has that already.
    ///
    /// Deltas need ascending types: pairs are sorted, those of one type keep their order. The lists within immutable
    /// extensions are respelled too.
    ///
    /// # Errors
    /// The content of immutable extensions is not a list, or has become longer than a pair may be.
    pub fn respelled(&self, keys: Keys) -> Result<Bytes, EncodeError> {
        if self.keys == keys || self.is_empty() || planted::is(planted::Fault::Transcoding) {
            return Ok(self.block().clone());
        }
        let mut pairs =
            self.iter().map(|pair| self.respelled_pair(pair, keys)).collect::<Result<Vec<_>, _>>()?;
        let mut w = Writer::new();
        write_pairs(&mut w, keys, &mut pairs, "extension headers")?;
        Ok(w.take())
    }

    /// The list that the value of an immutable extensions pair of this block holds, in the same spelling.
    ///
    /// # Errors
    /// As [`Extensions::decode`]: the value is not a list, and the track is malformed (draft-14 §11.2, draft-16 §11.2).
    pub fn nested(&self, value: &Bytes) -> Result<Self, DecodeError> {
        Self::decode(&mut Reader::new(value), self.keys, "immutable extensions")
    }

    #[inline]
    fn block(&self) -> &Bytes {
        static EMPTY: Bytes = Bytes::new();
        self.block.as_ref().unwrap_or(&EMPTY)
    }

    fn respelled_pair(&self, pair: KeyValue, keys: Keys) -> Result<KeyValue, EncodeError> {
        match pair {
            KeyValue { key: extension::IMMUTABLE_EXTENSIONS, value: Value::Bytes(list) } => {
                let inner =
                    self.nested(&list).map_err(|_| EncodeError::Inexpressible("immutable extensions"))?;
                let mut pairs: Vec<_> = inner.iter().collect();
                let mut w = Writer::new();
                write_pairs(&mut w, keys, &mut pairs, "immutable extensions")?;
                Ok(KeyValue { key: extension::IMMUTABLE_EXTENSIONS, value: Value::Bytes(w.take()) })
            }
            pair => Ok(pair),
        }
    }
}

fn cut_short(error: DecodeError) -> DecodeError {
    match error.fault {
        Fault::Incomplete => {
            DecodeError { fault: Fault::Invalid("the pair is longer than its block"), ..error }
        }
        _ => error,
    }
}

impl Default for Extensions {
    fn default() -> Self {
        Self::NONE
    }
}

impl PartialEq for Extensions {
    fn eq(&self, other: &Self) -> bool {
        match self.keys == other.keys {
            true if self.block() == other.block() => true,
            _ => match (self.respelled(Keys::Delta), other.respelled(Keys::Delta)) {
                (Ok(ours), Ok(theirs)) => ours == theirs,
                _ => false,
            },
        }
    }
}

impl Eq for Extensions {}

impl<'a> IntoIterator for &'a Extensions {
    type Item = KeyValue;
    type IntoIter = ExtensionsIter<'a>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// The pairs of a block.
#[derive(Debug)]
pub struct ExtensionsIter<'a> {
    block: &'a Bytes,
    at: usize,
    pairs: Pairs,
}

impl Iterator for ExtensionsIter<'_> {
    type Item = KeyValue;

    fn next(&mut self) -> Option<KeyValue> {
        if self.at == self.block.len() {
            return None;
        }
        let mut r = Reader::starting_at(self.block, self.at);
        // A block is checked when it is made, so the error arm is never taken.
        let pair = self.pairs.read(&mut r, "extension header").ok();
        self.at = r.offset();
        pair
    }
}

/// What holds for a whole track: draft-16's Track Extensions (§11); in draft-14 parameters and fixed fields, or nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrackExtensions {
    /// Objects later than this are not delivered. Whole milliseconds; not zero in draft-16.
    pub delivery_timeout: Option<Duration>,
    /// How long after its arrival a relay may begin to serve an object. Whole milliseconds.
    pub max_cache_duration: Option<Duration>,
    /// The priority of subgroups and datagrams that state none. Draft-14 has no such thing, and can only say 128.
    pub default_publisher_priority: u8,
    /// The order of groups, unless the subscriber asks for one. In draft-14's SUBSCRIBE_OK, the order that is used.
    pub group_order: GroupOrder,
    /// Whether subscribers may ask for a new group. Draft-14 can only say no.
    pub dynamic_groups: bool,
    /// Immutable extensions, and types that the draft does not define. Draft-14 has none.
    pub other: Extensions,
}

impl Default for TrackExtensions {
    fn default() -> Self {
        Self {
            delivery_timeout: None,
            max_cache_duration: None,
            default_publisher_priority: DEFAULT_PRIORITY,
            group_order: GroupOrder::Ascending,
            dynamic_groups: false,
            other: Extensions::NONE,
        }
    }
}
