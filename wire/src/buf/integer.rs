//! The variable-length integer of RFC 9000 §16: 1, 2, 4 or 8 bytes, the two high bits of the first tell which.

/// The largest value that the wire can carry: 2^62 - 1.
pub const MAX: u64 = (1 << 62) - 1;

/// Reads an integer from the front of `bytes`: its value and its length. `None` if it is not all there.
///
/// Longer forms than needed are accepted everywhere (draft-14 §1.4, draft-16 §1.4: the shortest is a SHOULD).
#[inline]
pub fn decode(bytes: &[u8]) -> Option<(u64, usize)> {
    match *bytes.first()? {
        short @ ..0x40 => Some((u64::from(short), 1)),
        _ => decode_long(bytes),
    }
}

fn decode_long(bytes: &[u8]) -> Option<(u64, usize)> {
    match bytes.first()? >> 6 {
        0 | 1 => Some((u64::from(u16::from_be_bytes(*bytes.first_chunk()?)) & 0x3fff, 2)),
        2 => Some((u64::from(u32::from_be_bytes(*bytes.first_chunk()?)) & 0x3fff_ffff, 4)),
        _ => Some((u64::from_be_bytes(*bytes.first_chunk()?) & MAX, 8)),
    }
}

/// How many bytes the shortest form of `value` takes. Values over [`MAX`] have none and count as 8.
#[inline]
pub const fn length(value: u64) -> usize {
    match value {
        0..=0x3f => 1,
        0x40..=0x3fff => 2,
        0x4000..=0x3fff_ffff => 4,
        _ => 8,
    }
}
