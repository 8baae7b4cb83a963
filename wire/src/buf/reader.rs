//! A cursor over received bytes. Every read names its field, so that an error can.

use bytes::Bytes;

use super::integer;
use super::observer::{Field, FieldValue, Observer};
use crate::error::{DecodeError, Fault};

/// Reads fields from the front of a unit. Byte strings come out as slices of the same allocation.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    data: &'a Bytes,
    /// What may be read without further ado: everything before `end`; nothing if each read is to be watched. So the
    /// common path has one check, and the watching is all on the other.
    open: &'a [u8],
    at: usize,
    end: usize,
    needed: usize,
    watch: Option<&'a Observer>,
}

impl<'a> Reader<'a> {
    /// A cursor at the first byte of `data`.
    #[inline]
    pub fn new(data: &'a Bytes) -> Self {
        Self { data, open: data, at: 0, end: data.len(), needed: 0, watch: None }
    }

    /// A cursor at byte `at` of `data`.
    #[inline]
    pub(crate) fn starting_at(data: &'a Bytes, at: usize) -> Self {
        Self { at, ..Self::new(data) }
    }

    /// A cursor whose reads are told to an observer.
    pub(crate) fn watched(data: &'a Bytes, observer: &'a Observer) -> Self {
        Self { open: &[], watch: Some(observer), ..Self::new(data) }
    }

    /// The same cursor, of which nobody is told.
    pub(crate) fn unwatched(&self) -> Self {
        Self { open: &self.data[..self.end], watch: None, ..self.clone() }
    }

    /// The fields that have been told to the observer since this was last asked.
    pub(crate) fn seen(&self) -> Vec<Field> {
        self.watch.map(Observer::take).unwrap_or_default()
    }

    /// Bytes from the start of the unit to the cursor.
    #[inline]
    pub const fn offset(&self) -> usize {
        self.at
    }

    /// Bytes from the cursor to the end.
    #[inline]
    pub const fn remaining(&self) -> usize {
        self.end - self.at
    }

    /// Whether everything has been read.
    #[inline]
    pub const fn is_empty(&self) -> bool {
        self.at == self.end
    }

    /// After an [`Incomplete`](Fault::Incomplete) read: how many bytes, from the start of the unit, it takes at least to
    /// get any further.
    pub const fn needed(&self) -> usize {
        self.needed
    }

    /// An error that places `fault` at the cursor.
    #[cold]
    pub const fn error(&self, field: &'static str, fault: Fault) -> DecodeError {
        DecodeError::new(field, fault, self.at)
    }

    /// A variable-length integer.
    #[inline]
    pub fn varint(&mut self, field: &'static str) -> Result<u64, DecodeError> {
        self.number(field, FieldValue::Number)
    }

    /// The number that tells a pair's type: its distance from `previous`.
    #[inline]
    pub(crate) fn key(&mut self, previous: u64, field: &'static str) -> Result<u64, DecodeError> {
        self.number(field, |number| FieldValue::Key { key: previous.saturating_add(number), name: None })
    }

    /// Says by what name the draft calls the pair that was read last, whose type is `key`.
    #[inline]
    pub(crate) fn called(&self, name: fn(u64) -> Option<&'static str>, key: u64) {
        if let Some(watch) = self.watch {
            watch.called(name(key));
        }
    }

    /// One byte.
    #[inline]
    pub fn u8(&mut self, field: &'static str) -> Result<u8, DecodeError> {
        match self.open.get(self.at) {
            Some(&byte) => {
                self.at += 1;
                Ok(byte)
            }
            None => self.watched_u8(field),
        }
    }

    /// Two bytes, big-endian.
    #[inline]
    pub fn u16(&mut self, field: &'static str) -> Result<u16, DecodeError> {
        match self.open.get(self.at..).and_then(<[u8]>::first_chunk) {
            Some(two) => {
                self.at += 2;
                Ok(u16::from_be_bytes(*two))
            }
            None => self.watched_u16(field),
        }
    }

    /// The next `length` bytes, not copied.
    #[inline]
    pub fn bytes(&mut self, length: u64, field: &'static str) -> Result<Bytes, DecodeError> {
        let start = self.at;
        self.skip(length, field)?;
        Ok(self.since(start))
    }

    /// A byte string behind its length, of at most `limit` bytes.
    #[inline]
    pub fn prefixed(&mut self, limit: u64, field: &'static str) -> Result<Bytes, DecodeError> {
        let length = self.length(limit, field)?;
        self.bytes(length, field)
    }

    /// A length or count of at most `limit`.
    #[inline]
    pub fn length(&mut self, limit: u64, field: &'static str) -> Result<u64, DecodeError> {
        let start = self.at;
        let length = self.number(field, FieldValue::Length)?;
        if length > limit {
            return Err(DecodeError::new(field, Fault::TooLong { length, limit }, start));
        }
        Ok(length)
    }

    /// A cursor over the next `length` bytes alone; this one moves behind them.
    #[inline]
    pub fn take(&mut self, length: u64, field: &'static str) -> Result<Self, DecodeError> {
        if length > self.remaining() as u64 {
            return Err(self.incomplete(field, length));
        }
        let start = self.at;
        self.at += length as usize;
        let open = self.open.get(..self.at).unwrap_or_default();
        Ok(Self { data: self.data, open, at: start, end: self.at, needed: 0, watch: self.watch })
    }

    /// A cursor over a byte string behind its length, of at most `limit` bytes; this one moves behind it.
    #[inline]
    pub(crate) fn value(&mut self, limit: u64, field: &'static str) -> Result<Self, DecodeError> {
        let length = self.length(limit, field)?;
        let value = self.take(length, field)?;
        if let Some(watch) = self.watch {
            watch.see(field, value.at..value.end, FieldValue::Bytes);
        }
        Ok(value)
    }

    /// What is left, not copied, and still to be read.
    #[inline]
    pub(crate) fn left(&self) -> Bytes {
        self.data.slice(self.at..self.end)
    }

    /// Everything that is left, not copied.
    #[inline]
    pub fn rest(&mut self, field: &'static str) -> Bytes {
        let start = self.at;
        if self.watch.is_some() {
            self.tell(field, self.remaining(), FieldValue::Bytes);
        }
        self.at = self.end;
        self.since(start)
    }

    /// What has been read since the cursor was at `start`, not copied.
    #[inline]
    pub(crate) fn since(&self, start: usize) -> Bytes {
        self.data.slice(start..self.at)
    }

    /// Requires that nothing is left.
    #[inline]
    pub fn finish(&self, field: &'static str) -> Result<(), DecodeError> {
        if self.is_empty() { Ok(()) } else { Err(self.error(field, Fault::Trailing(self.remaining()))) }
    }

    /// Moves behind the next `length` bytes.
    #[inline]
    pub fn skip(&mut self, length: u64, field: &'static str) -> Result<(), DecodeError> {
        match self.open.get(self.at..) {
            Some(left) if length <= left.len() as u64 => {
                self.at += length as usize;
                Ok(())
            }
            _ => self.watched_skip(length, field),
        }
    }

    #[inline]
    fn number(
        &mut self,
        field: &'static str,
        told: impl FnOnce(u64) -> FieldValue,
    ) -> Result<u64, DecodeError> {
        match self.open.get(self.at..).and_then(integer::decode) {
            Some((value, length)) => {
                self.at += length;
                Ok(value)
            }
            None => self.watched_number(field, told),
        }
    }

    #[cold]
    fn watched_number(
        &mut self,
        field: &'static str,
        told: impl FnOnce(u64) -> FieldValue,
    ) -> Result<u64, DecodeError> {
        let left = &self.data[self.at..self.end];
        let Some((value, length)) = integer::decode(left) else {
            let length = left.first().map_or(1, |first| 1 << (first >> 6));
            return Err(self.incomplete(field, length));
        };
        self.tell(field, length, told(value));
        Ok(value)
    }

    #[cold]
    fn watched_u8(&mut self, field: &'static str) -> Result<u8, DecodeError> {
        let Some(&byte) = self.data[self.at..self.end].first() else {
            return Err(self.incomplete(field, 1));
        };
        self.tell(field, 1, FieldValue::Number(byte.into()));
        Ok(byte)
    }

    #[cold]
    fn watched_u16(&mut self, field: &'static str) -> Result<u16, DecodeError> {
        let Some(two) = self.data[self.at..self.end].first_chunk() else {
            return Err(self.incomplete(field, 2));
        };
        let value = u16::from_be_bytes(*two);
        self.tell(field, 2, FieldValue::Number(value.into()));
        Ok(value)
    }

    #[cold]
    fn watched_skip(&mut self, length: u64, field: &'static str) -> Result<(), DecodeError> {
        if length > self.remaining() as u64 {
            return Err(self.incomplete(field, length));
        }
        self.tell(field, length as usize, FieldValue::Bytes);
        Ok(())
    }

    /// Moves behind a field of `length` bytes and says what it holds.
    #[cold]
    fn tell(&mut self, field: &'static str, length: usize, told: FieldValue) {
        let start = self.at;
        self.at += length;
        if let Some(watch) = self.watch {
            watch.see(field, start..self.at, told);
        }
    }

    #[cold]
    fn incomplete(&mut self, field: &'static str, length: u64) -> DecodeError {
        self.needed = self.at.saturating_add(usize::try_from(length).unwrap_or(usize::MAX));
        self.error(field, Fault::Incomplete)
    }
}
