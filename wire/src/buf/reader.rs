//! A cursor over received bytes. Every read names its field, so that an error can.

use bytes::Bytes;

use super::integer;
use crate::error::{DecodeError, Fault};

/// Reads fields from the front of a unit. Byte strings come out as slices of the same allocation.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    data: &'a Bytes,
    at: usize,
    end: usize,
}

impl<'a> Reader<'a> {
    /// A cursor at the first byte of `data`.
    #[inline]
    pub fn new(data: &'a Bytes) -> Self {
        Self { data, at: 0, end: data.len() }
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

    /// An error that places `fault` at the cursor.
    #[cold]
    pub const fn error(&self, field: &'static str, fault: Fault) -> DecodeError {
        DecodeError::new(field, fault, self.at)
    }

    /// A variable-length integer.
    #[inline]
    pub fn varint(&mut self, field: &'static str) -> Result<u64, DecodeError> {
        match integer::decode(self.left()) {
            Some((value, length)) => {
                self.at += length;
                Ok(value)
            }
            None => Err(self.error(field, Fault::Incomplete)),
        }
    }

    /// One byte.
    #[inline]
    pub fn u8(&mut self, field: &'static str) -> Result<u8, DecodeError> {
        match self.left().first() {
            Some(&byte) => {
                self.at += 1;
                Ok(byte)
            }
            None => Err(self.error(field, Fault::Incomplete)),
        }
    }

    /// Two bytes, big-endian.
    #[inline]
    pub fn u16(&mut self, field: &'static str) -> Result<u16, DecodeError> {
        Ok(u16::from_be_bytes([self.u8(field)?, self.u8(field)?]))
    }

    /// The next `length` bytes, not copied.
    #[inline]
    pub fn bytes(&mut self, length: u64, field: &'static str) -> Result<Bytes, DecodeError> {
        let taken = self.span(length, field)?;
        Ok(self.data.slice(taken))
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
        let length = self.varint(field)?;
        if length > limit {
            return Err(DecodeError::new(field, Fault::TooLong { length, limit }, start));
        }
        Ok(length)
    }

    /// A cursor over the next `length` bytes alone; this one moves behind them.
    #[inline]
    pub fn take(&mut self, length: u64, field: &'static str) -> Result<Self, DecodeError> {
        let taken = self.span(length, field)?;
        Ok(Self { data: self.data, at: taken.start, end: taken.end })
    }

    /// Everything that is left, not copied.
    #[inline]
    pub fn rest(&mut self) -> Bytes {
        let rest = self.data.slice(self.at..self.end);
        self.at = self.end;
        rest
    }

    /// Requires that nothing is left.
    #[inline]
    pub fn finish(&self, field: &'static str) -> Result<(), DecodeError> {
        if self.is_empty() { Ok(()) } else { Err(self.error(field, Fault::Trailing(self.remaining()))) }
    }

    /// Moves behind the next `length` bytes.
    #[inline]
    pub fn skip(&mut self, length: u64, field: &'static str) -> Result<(), DecodeError> {
        self.span(length, field).map(|_| ())
    }

    fn left(&self) -> &[u8] {
        &self.data[self.at..self.end]
    }

    fn span(&mut self, length: u64, field: &'static str) -> Result<std::ops::Range<usize>, DecodeError> {
        if length > self.remaining() as u64 {
            return Err(self.error(field, Fault::Incomplete));
        }
        let start = self.at;
        self.at += length as usize;
        Ok(start..self.at)
    }
}
