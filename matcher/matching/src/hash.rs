//! A fast hash, seeded anew for every matcher, so that texts that collide can't be prepared without knowing the seed.
//! It is none of cryptography's: who could time many matches might learn something of it.

use std::hash::{BuildHasher, Hash, Hasher, RandomState};

#[derive(Clone, Copy)]
pub struct Seed(u64);

impl Default for Seed {
    fn default() -> Self {
        Self(RandomState::new().hash_one(0u8) | 1)
    }
}

/// Multiplies and folds eight bytes at a step, as wyhash does.
pub struct Folding(u64);

#[inline]
fn fold(one: u64, other: u64) -> u64 {
    let product = u128::from(one) * u128::from(other);
    (product as u64) ^ (product >> 64) as u64
}

const ODD: u64 = 0x9E37_79B9_7F4A_7C15;

impl Hasher for Folding {
    #[inline]
    fn write(&mut self, bytes: &[u8]) {
        let (chunks, rest) = bytes.as_chunks::<8>();
        for chunk in chunks {
            self.write_u64(u64::from_le_bytes(*chunk));
        }
        let mut last = bytes.len() as u64;
        for &byte in rest {
            last = last << 8 | u64::from(byte);
        }
        self.write_u64(last);
    }

    #[inline]
    fn write_u64(&mut self, number: u64) {
        self.0 = fold(self.0 ^ number, ODD);
    }

    #[inline]
    fn write_u32(&mut self, number: u32) {
        self.write_u64(number.into());
    }

    #[inline]
    fn write_u8(&mut self, number: u8) {
        self.write_u64(number.into());
    }

    #[inline]
    fn write_usize(&mut self, number: usize) {
        self.write_u64(number as u64);
    }

    #[inline]
    fn finish(&self) -> u64 {
        fold(self.0, ODD)
    }
}

impl Seed {
    /// The hash of a text under a number, for tables that many fields share.
    #[inline]
    pub fn of(self, number: u64, text: &[u8]) -> u64 {
        let mut hasher = Folding(self.0 ^ number.wrapping_mul(ODD));
        hasher.write(text);
        hasher.finish()
    }

    pub fn of_value(self, value: &impl Hash) -> u64 {
        let mut hasher = Folding(self.0);
        value.hash(&mut hasher);
        hasher.finish()
    }
}
