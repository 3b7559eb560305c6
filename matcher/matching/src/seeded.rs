//! Random numbers and texts from a seed, for tests.

pub struct Numbers(u64);

impl Numbers {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(2).wrapping_add(0x9E37_79B9_7F4A_7C15))
    }

    pub fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) as usize % limit.max(1)
    }

    pub fn text(&mut self, letters: &[u8], length_max: usize) -> Vec<u8> {
        (0..self.below(length_max + 1)).map(|_| letters[self.below(letters.len())]).collect()
    }
}
