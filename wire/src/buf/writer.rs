//! A buffer that fields are written to.

use bytes::{BufMut, Bytes, BytesMut};

use super::integer;
use crate::error::EncodeError;

/// Collects encoded bytes.
#[derive(Debug, Default)]
pub struct Writer {
    data: BytesMut,
}

impl Writer {
    /// An empty buffer.
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty buffer with room for `bytes` bytes.
    pub fn with_capacity(bytes: usize) -> Self {
        Self { data: BytesMut::with_capacity(bytes) }
    }

    /// How many bytes have been written.
    pub fn len(&self) -> usize {
        self.data.len()
    }

    /// Whether nothing has been written.
    pub fn is_empty(&self) -> bool {
        self.data.is_empty()
    }

    /// Makes sure of room for `least` more bytes; where there is less, takes room for `ahead`, so that what is written in
    /// small pieces between calls of [`Writer::take`] costs no allocation each.
    #[inline]
    pub fn reserve(&mut self, least: usize, ahead: usize) {
        if self.data.capacity() - self.data.len() < least {
            self.data.reserve(ahead.max(least));
        }
    }

    /// A variable-length integer in its shortest form.
    #[inline]
    pub fn varint(&mut self, value: u64, field: &'static str) -> Result<(), EncodeError> {
        match integer::length(value) {
            1 => self.data.put_u8(value as u8),
            2 => self.data.put_u16(0x4000 | value as u16),
            4 => self.data.put_u32(0x8000_0000 | value as u32),
            _ if value > integer::MAX => return Err(EncodeError::TooLong(field)),
            _ => self.data.put_u64(0xc000_0000_0000_0000 | value),
        }
        Ok(())
    }

    /// One byte.
    #[inline]
    pub fn u8(&mut self, value: u8) {
        self.data.put_u8(value);
    }

    /// Bytes as they are.
    #[inline]
    pub fn bytes(&mut self, bytes: &[u8]) {
        self.data.put_slice(bytes);
    }

    /// Bytes behind their length, which may be at most `limit`.
    pub fn prefixed(&mut self, bytes: &[u8], limit: u64, field: &'static str) -> Result<(), EncodeError> {
        if bytes.len() as u64 > limit {
            return Err(EncodeError::TooLong(field));
        }
        self.varint(bytes.len() as u64, field)?;
        self.bytes(bytes);
        Ok(())
    }

    /// What `body` writes, behind its length in two big-endian bytes; nothing remains of it if `body` fails.
    pub fn framed(
        &mut self,
        field: &'static str,
        body: impl FnOnce(&mut Self) -> Result<(), EncodeError>,
    ) -> Result<(), EncodeError> {
        let start = self.data.len();
        self.data.put_u16(0);
        let written = body(self).and_then(|()| {
            u16::try_from(self.data.len() - start - 2).map_err(|_| EncodeError::TooLong(field))
        });
        match written {
            Ok(length) => self.data[start..start + 2].copy_from_slice(&length.to_be_bytes()),
            Err(error) => {
                self.data.truncate(start);
                return Err(error);
            }
        }
        Ok(())
    }

    /// Forgets everything from `length` on.
    pub fn truncate(&mut self, length: usize) {
        self.data.truncate(length);
    }

    /// What has been written so far; the buffer is empty again and keeps its room.
    pub fn take(&mut self) -> Bytes {
        self.data.split().freeze()
    }
}
