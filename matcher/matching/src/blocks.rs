//! A text's bytes by their class, 64 at a time, so that the end of a string or of a run of digits is found by counting
//! the zeros of a word instead of asking byte after byte.

use wide::u8x16;

const LANES: usize = 16;

/// Of 64 bytes a bit each; behind the text's end both are set.
#[derive(Clone, Copy)]
pub struct Block {
    /// Whether the byte is no digit.
    others: u64,
    /// Whether it ends or interrupts a string: a quote, a backslash or a control character.
    ends: u64,
}

/// The blocks of a text; used again for the next one.
#[derive(Default)]
pub struct Blocks {
    blocks: Vec<Block>,
}

impl Blocks {
    /// Look at a text; true when all of it is ASCII.
    pub fn read(&mut self, text: &[u8]) -> bool {
        self.blocks.clear();
        let mut high = 0;
        let (whole, rest) = text.as_chunks::<64>();
        for chunk in whole {
            high |= self.push(chunk);
        }
        if !rest.is_empty() {
            let mut last = [0; 64];
            last[..rest.len()].copy_from_slice(rest);
            high |= self.push(&last);
        }
        high == 0
    }

    #[inline]
    fn push(&mut self, chunk: &[u8; 64]) -> u64 {
        let mut block = Block { others: 0, ends: 0 };
        let mut high = 0;
        for (at, part) in chunk.as_chunks::<LANES>().0.iter().enumerate() {
            let [others, ends, not_ascii] = classes(*part);
            block.others |= others << (at * LANES);
            block.ends |= ends << (at * LANES);
            high |= not_ascii;
        }
        self.blocks.push(block);
        high
    }

    pub fn bytes(&self) -> usize {
        self.blocks.capacity() * size_of::<Block>()
    }

    /// Where from `at` on the first byte stands that is no digit.
    #[inline]
    pub fn digits_end(&self, at: usize) -> usize {
        self.first(at, |block| block.others)
    }

    /// Where from `at` on the first quote, backslash or control character stands.
    #[inline]
    pub fn plain_end(&self, at: usize) -> usize {
        self.first(at, |block| block.ends)
    }

    #[inline]
    fn first(&self, mut at: usize, class: impl Fn(&Block) -> u64) -> usize {
        while let Some(block) = self.blocks.get(at / 64) {
            let from = class(block) >> (at % 64);
            if from != 0 {
                return at + from.trailing_zeros() as usize;
            }
            at = (at / 64 + 1) * 64;
        }
        at
    }
}

/// A bit for each byte: no digit; the end of a string; not ASCII.
#[inline]
fn classes(part: [u8; LANES]) -> [u64; 3] {
    let bytes = u8x16::new(part);
    let is = |byte| bytes.simd_eq(u8x16::splat(byte));
    let digits = (bytes - u8x16::splat(b'0')).simd_le(u8x16::splat(9));
    let ends = is(b'"') | is(b'\\') | bytes.simd_le(u8x16::splat(0x1F));
    [u64::from(!digits.to_bitmask() as u16), ends.to_bitmask().into(), bytes.to_bitmask().into()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_has_its_class_wherever_it_stands() {
        for byte in 0..=u8::MAX {
            let wanted = [
                u64::from(!byte.is_ascii_digit()),
                u64::from(byte == b'"' || byte == b'\\' || byte < 0x20),
                u64::from(byte >= 0x80),
            ];
            for at in 0..LANES {
                let mut part = [b'a'; LANES];
                part[at] = byte;
                let others = 0xFFFF & !(1 << at) | wanted[0] << at;
                let expected = [others, wanted[1] << at, wanted[2] << at];
                assert_eq!(classes(part), expected, "{byte} at {at}");
            }
        }
    }

    #[test]
    fn runs_end_where_the_text_does_if_not_before() {
        let mut blocks = Blocks::default();
        for length in 0..200 {
            let text = vec![b'7'; length];
            assert!(blocks.read(&text));
            for at in 0..=length {
                let end = blocks.digits_end(at);
                assert!(end == length || at == length && end >= length, "{length} {at} {end}");
            }
            let mut ended = text.clone();
            ended.extend(b"\"\xC3\xA9");
            assert!(!blocks.read(&ended));
            assert_eq!((blocks.digits_end(0), blocks.plain_end(0)), (length, length));
        }
    }
}
