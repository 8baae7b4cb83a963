//! Random values, reproducible by their seed.

use bytes::Bytes;

/// The largest number of the wire.
pub(super) const MAX: u64 = (1 << 62) - 1;
const EDGES: &[u64] = &[0, 1, 63, 64, 16_383, 16_384, (1 << 30) - 1, 1 << 30, MAX - 1];

/// A source of values (SplitMix64).
#[derive(Debug)]
pub(super) struct Sample(u64);

impl Sample {
    pub(super) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(super) const fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `end`, which is not 0.
    pub(super) const fn below(&mut self, end: u64) -> u64 {
        self.bits() % end
    }

    /// Any number of the wire but the largest, as several fields have one added there. Every length is as likely.
    pub(super) fn number(&mut self) -> u64 {
        match self.below(5) {
            0 => self.choice(EDGES),
            _ => (self.bits() >> (2 + self.below(62))).min(MAX - 1),
        }
    }

    /// Two numbers of which the second is not less.
    pub(super) fn ascending(&mut self) -> (u64, u64) {
        let (a, b) = (self.number(), self.number());
        (a.min(b), a.max(b))
    }

    pub(super) const fn byte(&mut self) -> u8 {
        self.bits() as u8
    }

    /// Heads or tails.
    pub(super) const fn coin(&mut self) -> bool {
        self.below(2) == 0
    }

    pub(super) const fn one_in(&mut self, count: u64) -> bool {
        self.below(count) == 0
    }

    pub(super) fn choice<T: Copy>(&mut self, values: &[T]) -> T {
        values[self.below(values.len() as u64) as usize]
    }

    pub(super) fn maybe<T>(&mut self, make: impl FnOnce(&mut Self) -> T) -> Option<T> {
        self.coin().then(|| make(self))
    }

    pub(super) fn list<T>(&mut self, most: u64, mut make: impl FnMut(&mut Self) -> T) -> Vec<T> {
        (0..self.below(most + 1)).map(|_| make(self)).collect()
    }

    /// From `least` to `most` bytes.
    pub(super) fn bytes(&mut self, least: u64, most: u64) -> Bytes {
        let length = least + self.below(most - least + 1);
        (0..length).map(|_| self.byte()).collect()
    }

    /// UTF-8 of a few bytes.
    pub(super) fn text(&mut self) -> String {
        self.list(40, |s| s.choice(&['a', 'b', 'c', ' ', '/', ':', '.', 'é', '漢'])).into_iter().collect()
    }
}
