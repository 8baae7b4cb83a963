//! What a data stream has delivered and its reader has not yet consumed.

use std::collections::VecDeque;

use bytes::{Buf, Bytes, BytesMut};

use crate::buf::Reader;
use crate::error::{DecodeError, Fault};

/// Up to how many bytes a gathered header is cheaper to copy once more than to allocate for.
const SHORT: usize = 128;

/// Chunks as they came. Payload leaves as slices of them; only a header that straddles chunks is gathered.
#[derive(Debug, Default)]
pub struct Stash {
    /// The first bytes of a header whose chunks have been used up. They precede `front`.
    gathered: BytesMut,
    /// How many bytes it takes at least to read further than the gathered ones allow.
    needed: usize,
    /// Where short gathered headers are read.
    room: BytesMut,
    front: Bytes,
    later: VecDeque<Bytes>,
    finished: bool,
}

impl Stash {
    /// Adds what the stream delivered.
    #[inline]
    pub fn push(&mut self, chunk: Bytes) {
        if self.front.is_empty() && self.later.is_empty() {
            self.front = chunk;
        } else if !chunk.is_empty() {
            self.later.push_back(chunk);
        }
    }

    /// The stream delivers nothing more: FIN has arrived.
    pub const fn finish(&mut self) {
        self.finished = true;
    }

    /// What comes next, for those who read a stream of a type of their own.
    pub fn next_chunk(&mut self) -> Option<Bytes> {
        self.refill().then(|| std::mem::take(&mut self.front))
    }

    /// Whether FIN has arrived.
    pub const fn is_finished(&self) -> bool {
        self.finished
    }

    /// Whether everything has been consumed.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.front.is_empty() && self.later.is_empty() && self.gathered.is_empty()
    }

    /// In how many chunks what has not been consumed lies.
    pub fn chunks(&self) -> usize {
        usize::from(!self.front.is_empty()) + self.later.len()
    }

    /// What `decode` reads from the front; `None` until it is all there.
    ///
    /// # Errors
    /// What `decode` answers, `Incomplete` only if FIN has arrived.
    #[inline]
    pub(super) fn header<T>(
        &mut self,
        mut decode: impl FnMut(&mut Reader<'_>) -> Result<T, DecodeError>,
    ) -> Result<Option<T>, DecodeError> {
        if let Some(mut r) = self.front() {
            let read = decode(&mut r);
            let (used, needed) = (r.offset(), r.needed());
            match read {
                Ok(value) => {
                    self.consume(used);
                    return Ok(Some(value));
                }
                Err(error) if !error.is_incomplete() => return Err(error),
                Err(_) => self.set_aside(needed),
            }
        }
        self.straddling(decode)
    }

    /// A cursor at the front, if a header begins in a chunk. What has been read there is then [consumed](Self::consume).
    #[inline]
    pub(super) fn front(&mut self) -> Option<Reader<'_>> {
        (self.gathered.is_empty() && self.refill()).then(|| Reader::new(&self.front))
    }

    /// Takes bytes away that have been read at the front.
    #[inline]
    pub(super) fn consume(&mut self, length: usize) {
        self.front.advance(length);
    }

    /// Of the `left` bytes of a payload those that are in the first chunk, as `item`. `None` if there are none.
    ///
    /// The item is made here, where its bytes are: moving them is most of what a payload costs.
    #[inline(always)]
    pub(super) fn payload<T>(&mut self, left: &mut u64, item: impl Fn(Bytes) -> T) -> Option<T> {
        if *left == 0 || !self.refill() {
            return None;
        }
        let length = self.front.len() as u64;
        if *left < length {
            let part = self.front.split_to(std::mem::take(left) as usize);
            return Some(item(part));
        }
        *left -= length;
        Some(item(std::mem::take(&mut self.front)))
    }

    /// What it means that there is no payload where some is due.
    ///
    /// # Errors
    /// FIN has arrived before it.
    pub(super) fn payload_due(&self) -> Result<(), DecodeError> {
        match self.finished {
            true => Err(DecodeError::new("Object Payload", Fault::Incomplete, 0)),
            false => Ok(()),
        }
    }

    /// Makes the first chunk one that holds bytes; `false` if there is none.
    #[inline]
    fn refill(&mut self) -> bool {
        while self.front.is_empty() {
            match self.later.pop_front() {
                Some(chunk) => self.front = chunk,
                None => return false,
            }
        }
        true
    }

    /// Gathers the first chunk, all of which belongs to a header that takes at least `needed` bytes.
    #[cold]
    fn set_aside(&mut self, needed: usize) {
        self.gathered.extend_from_slice(&self.front);
        self.front.clear();
        self.needed = needed;
    }

    /// Reads a header whose first bytes are gathered. It is decoded anew only when the bytes are there that the last
    /// attempt lacked, so that attempts are as many as fields, however the bytes come; and no byte is gathered before it
    /// is known to belong to the header.
    #[cold]
    fn straddling<T>(
        &mut self,
        mut decode: impl FnMut(&mut Reader<'_>) -> Result<T, DecodeError>,
    ) -> Result<Option<T>, DecodeError> {
        while self.refill() {
            let lacking = self.needed.saturating_sub(self.gathered.len()).max(1);
            let taken = lacking.min(self.front.len());
            self.gathered.extend_from_slice(&self.front[..taken]);
            self.front.advance(taken);
            if taken < lacking {
                continue;
            }
            match self.read_gathered(&mut decode) {
                Ok(value) => {
                    self.gathered.clear();
                    return Ok(Some(value));
                }
                Err(error) if !error.is_incomplete() => return Err(error),
                Err(_) => {}
            }
        }
        match self.finished {
            // What FIN leaves unfinished is read once more to name the missing field.
            true => self.read_gathered(&mut decode).map(Some),
            false => Ok(None),
        }
    }

    /// A short header is read from a copy in a room that is used again and again, so that it allocates nothing; a long one
    /// where it has been gathered, which is then given away with it.
    fn read_gathered<T>(
        &mut self,
        decode: &mut impl FnMut(&mut Reader<'_>) -> Result<T, DecodeError>,
    ) -> Result<T, DecodeError> {
        let short = self.gathered.len() <= SHORT;
        let header = if short {
            self.room.extend_from_slice(&self.gathered);
            self.room.split().freeze()
        } else {
            std::mem::take(&mut self.gathered).freeze()
        };
        let mut r = Reader::new(&header);
        let read = decode(&mut r);
        self.needed = r.needed();
        if read.is_err() && !short {
            self.gathered = header.try_into_mut().unwrap_or_else(|shared| BytesMut::from(&shared[..]));
        }
        read
    }
}

impl From<Bytes> for Stash {
    fn from(chunk: Bytes) -> Self {
        Self { front: chunk, ..Self::default() }
    }
}

#[cfg(test)]
mod tests {
    use bytes::{BufMut, Bytes, BytesMut};

    use super::Stash;
    use crate::buf::Reader;
    use crate::error::{DecodeError, Fault};
    use crate::model::Extensions;
    use crate::stream::SubgroupCursor;
    use crate::version::Version;

    /// A length in two bytes, then as many: what stands here for a header with extension headers.
    fn block(r: &mut Reader<'_>) -> Result<Bytes, DecodeError> {
        let length = r.u16("length")?;
        r.bytes(length.into(), "block")
    }

    fn header(length: u16) -> BytesMut {
        let mut bytes = BytesMut::new();
        bytes.put_u16(length);
        bytes.extend((0..length).map(|at| at as u8));
        bytes
    }

    fn lies_within(part: &Bytes, chunk: &Bytes) -> bool {
        let (part, chunk) = (part.as_ptr_range(), chunk.as_ptr_range());
        chunk.start <= part.start && part.end <= chunk.end
    }

    #[test]
    fn a_header_that_straddles_chunks_leaves_the_payload_behind_it_in_its_chunk() {
        let mut bytes = header(40);
        bytes.extend_from_slice(b"payload");
        let whole = bytes.freeze();
        for cut in 1..42 {
            let second = Bytes::copy_from_slice(&whole[cut..]);
            let mut stash = Stash::from(Bytes::copy_from_slice(&whole[..cut]));
            assert_eq!(stash.header(block), Ok(None), "cut at {cut}");
            stash.push(second.clone());
            assert_eq!(stash.header(block), Ok(Some(whole.slice(2..42))), "cut at {cut}");
            let payload = stash.payload(&mut 7, |part| part).unwrap();
            assert_eq!(payload, "payload", "cut at {cut}");
            assert!(lies_within(&payload, &second), "cut at {cut}");
        }
    }

    #[test]
    fn chunks_may_all_be_pushed_before_anything_is_read() {
        let mut stash = Stash::default();
        for byte in header(3).iter().chain(header(300).iter()).chain(b"xyz") {
            stash.push(Bytes::copy_from_slice(&[*byte]));
        }
        assert_eq!(stash.header(block).unwrap().unwrap().len(), 3);
        assert_eq!(stash.header(block).unwrap().unwrap().len(), 300);
        assert_eq!(stash.payload(&mut 9, |part| part), Some(Bytes::from_static(b"x")));
        assert!(!stash.is_empty());
    }

    #[test]
    fn fin_inside_a_header_names_the_field_that_is_missing() {
        for (length, field) in [(1, "length"), (4, "block")] {
            let mut stash = Stash::from(header(9).freeze().slice(..length));
            assert_eq!(stash.header(block), Ok(None));
            stash.finish();
            let error = stash.header(block).unwrap_err();
            assert_eq!((error.field, error.fault), (field, Fault::Incomplete));
        }
    }

    #[test]
    fn a_long_header_takes_no_more_room_than_twice_the_bytes_that_came() {
        let whole = header(60_000).freeze();
        let mut stash = Stash::default();
        let info = allocation_counter::measure(|| {
            for at in (0..30_000).step_by(1_200) {
                stash.push(whole.slice(at..at + 1_200));
                assert_eq!(stash.header(block), Ok(None));
            }
        });
        assert!(info.bytes_max < 2 * 30_000 + 1_000, "{} bytes", info.bytes_max);
    }

    /// An object of 65 KB of extension headers in two pairs, each a byte string.
    fn long_object() -> Bytes {
        let mut bytes = BytesMut::from(&[0x00][..]);
        bytes.put_u32(0x8000_0000 | (2 * 32_505));
        for key in [0x21, 0x02] {
            bytes.put_u8(key);
            bytes.put_u32(0x8000_0000 | 32_500);
            bytes.put_bytes(1, 32_500);
        }
        bytes.put_u8(0x05);
        bytes.freeze()
    }

    #[test]
    fn a_long_header_is_decoded_as_often_as_it_has_fields_however_it_is_cut() {
        let (version, whole) = (Version::Draft16, long_object());
        let place = SubgroupCursor { extensions: true, previous: None };
        for cut in [1, 7, 1_200] {
            let mut stash = Stash::default();
            let (mut attempts, mut read) = (0, None);
            for at in (0..whole.len()).step_by(cut) {
                assert_eq!(read, None);
                stash.push(whole.slice(at..whole.len().min(at + cut)));
                let decode = |r: &mut Reader<'_>| {
                    attempts += 1;
                    version.draft().decode_object(&place, r)
                };
                read = stash.header(decode).unwrap();
            }
            assert_eq!(read.unwrap().payload_length, 5, "cuts of {cut}");
            assert!(attempts <= 5, "cuts of {cut}: {attempts} attempts");
        }
    }

    #[test]
    fn extension_headers_over_the_limit_are_refused_before_they_come() {
        let place = SubgroupCursor { extensions: true, previous: None };
        let (limit, length) = (Extensions::MAX_BYTES, Extensions::MAX_BYTES + 1);
        for version in Version::ALL {
            let mut bytes = BytesMut::from(&[0x00][..]);
            bytes.put_u32(0x8000_0000 | length as u32);
            let mut stash = Stash::from(bytes.freeze());
            let error = stash.header(|r| version.draft().decode_object(&place, r)).unwrap_err();
            assert_eq!(error.fault, Fault::TooLong { length, limit }, "{version}");
        }
    }

    #[test]
    fn a_decoder_that_does_not_say_what_it_lacks_is_asked_again_at_every_byte() {
        let four = |r: &mut Reader<'_>| match r.remaining() {
            4 => r.bytes(4, "all"),
            _ => Err(r.error("all", Fault::Incomplete)),
        };
        let mut stash = Stash::default();
        for _ in 0..3 {
            stash.push(Bytes::from_static(b"x"));
            assert_eq!(stash.header(four), Ok(None));
        }
        stash.push(Bytes::from_static(b"x"));
        assert_eq!(stash.header(four), Ok(Some(Bytes::from_static(b"xxxx"))));
    }

    #[test]
    fn headers_that_straddle_chunks_share_one_buffer() {
        let mut stash = Stash::default();
        let chunk = header(10).freeze();
        let mut read = || {
            stash.push(chunk.slice(..5));
            assert!(stash.header(|r| block(r).map(drop)).unwrap().is_none());
            stash.push(chunk.slice(5..));
            assert!(stash.header(|r| block(r).map(drop)).unwrap().is_some());
        };
        read();
        let info = allocation_counter::measure(|| (0..100).for_each(|_| read()));
        assert_eq!(info.count_total, 0);
    }
}
