//! A number's text as the decimal that it writes.

/// No double's shortest text has more than 17 digits.
const SIGNIFICAND_END: u64 = TENS[17];
/// Far beyond every double's; where it ends matters to none.
const EXPONENT_END: i64 = 1 << 20;
pub const TENS: [u64; 20] = {
    let mut tens = [1; 20];
    let mut at = 1;
    while at < tens.len() {
        tens[at] = tens[at - 1] * 10;
        at += 1;
    }
    tens
};

/// Where the parts of a JSON number stand: `[start, point)` a sign and digits, `(point, power)` the digits behind a
/// point where there is one, `(power, end)` an exponent where there is one.
#[derive(Clone, Copy)]
pub struct Numeral {
    pub start: usize,
    pub point: usize,
    pub power: usize,
    pub end: usize,
}

impl Numeral {
    /// The parts of a text that is a number and nothing else.
    pub fn of(text: &[u8]) -> Self {
        let end = text.len();
        let power = text.iter().position(|byte| matches!(byte, b'e' | b'E')).unwrap_or(end);
        let point = text.iter().position(|&byte| byte == b'.').unwrap_or(power);
        Self { start: 0, point, power, end }
    }
}

/// A decimal as its digits without zeros at the end, and the power of ten of the last one.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Decimal {
    pub negative: bool,
    pub significand: u64,
    pub exponent: i64,
}

impl Decimal {
    /// The decimal of a number in a text; None for more digits than any double's shortest text has.
    #[inline]
    pub fn of(text: &[u8], numeral: Numeral) -> Option<Self> {
        let Numeral { start, point, power, end } = numeral;
        let (negative, whole) = match text.get(start..point)? {
            [b'-', whole @ ..] => (true, whole),
            whole => (false, whole),
        };
        let fraction = text.get(point + 1..power).unwrap_or_default();
        let mut digits = Digits::default();
        digits.take(whole)?;
        digits.take(fraction)?;
        let Digits { significand, zeros } = digits;
        let power = text.get(power + 1..end).map_or(0, exponent_of);
        let exponent = power.saturating_add(zeros as i64 - fraction.len() as i64);
        let exponent = exponent.clamp(-EXPONENT_END, EXPONENT_END);
        (significand < SIGNIFICAND_END).then_some(Self { negative, significand, exponent })
    }
}

/// Digits read so far, and how many zeros stand behind the last that is none.
#[derive(Default)]
struct Digits {
    significand: u64,
    zeros: usize,
}

impl Digits {
    /// Read more digits; None when the significand grows over 64 bits.
    #[inline]
    fn take(&mut self, digits: &[u8]) -> Option<()> {
        let (eights, rest) = digits.as_chunks::<8>();
        for eight in eights {
            self.append(eight_digits(*eight), 8)?;
        }
        let value = rest.iter().fold(0, |value, digit| value * 10 + u64::from(digit - b'0'));
        self.append(value, rest.len())
    }

    /// Append the digits of `value`, which is written with `count` of them, at most eight.
    #[inline]
    fn append(&mut self, mut value: u64, mut count: usize) -> Option<()> {
        if value == 0 {
            self.zeros += count;
            return Some(());
        }
        let zeros = self.zeros;
        self.zeros = 0;
        while value.is_multiple_of(10) {
            value /= 10;
            count -= 1;
            self.zeros += 1;
        }
        if self.significand == 0 {
            self.significand = value;
            return Some(());
        }
        let scale = *TENS.get(zeros + count)?;
        self.significand = self.significand.checked_mul(scale)?.checked_add(value)?;
        Some(())
    }
}

/// The number that eight digits write: pairs, then fours, then all are added up within one word.
#[inline]
fn eight_digits(digits: [u8; 8]) -> u64 {
    let ones = u64::from_le_bytes(digits) & 0x0F0F_0F0F_0F0F_0F0F;
    let pairs = (ones.wrapping_mul(10 << 8 | 1) >> 8) & 0x00FF_00FF_00FF_00FF;
    let fours = (pairs.wrapping_mul(100 << 16 | 1) >> 16) & 0x0000_FFFF_0000_FFFF;
    fours.wrapping_mul(10_000 << 32 | 1) >> 32
}

/// The digits behind an E. One that no i64 holds belongs to a number that is zero or infinite anyway.
fn exponent_of(text: &[u8]) -> i64 {
    let (negative, digits) = match text.split_first() {
        Some((b'-', digits)) => (true, digits),
        Some((b'+', digits)) => (false, digits),
        _ => (false, text),
    };
    let number = digits
        .iter()
        .fold(0i64, |number, digit| number.saturating_mul(10).saturating_add(i64::from(digit.wrapping_sub(b'0'))));
    if negative { -number } else { number }
}
