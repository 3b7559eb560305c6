//! Numbers as AWS compares them.
//!
//! A number is *comparable* when its text says exactly what the shortest text of its nearest double says. Comparable
//! numbers equal by value (1 = 1.0 = 1e0); others (9007199254740993, 1e400) equal only their own text and lie in no
//! range.

use std::cell::Cell;
use std::fmt::{self, Write};
use std::ops::Deref;

use crate::decimal::{Decimal, Numeral, TENS};

/// Significands of 15 digits always survive the way to a double and back, far from its limits.
const SAFE_END: u64 = TENS[15];
/// From here on a double does not hold every integer.
const EXACT_END: u64 = 1 << 53;
/// Powers of ten that are doubles, so that one multiplication or division of an exact significand is rounded right.
const POWERS: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19,
    1e20, 1e21, 1e22,
];

const TENS_WIDE: [u128; POWERS.len()] = {
    let mut tens = [1; POWERS.len()];
    let mut at = 1;
    while at < tens.len() {
        tens[at] = tens[at - 1] * 10;
        at += 1;
    }
    tens
};

/// A number of an event: its nearest double, and whether that says all that the text says. The latter is dear to find
/// out, so it is left until it matters, and then kept.
#[derive(Clone)]
pub struct Number {
    double: f64,
    /// What the text says; None when no double can.
    decimal: Option<Decimal>,
    comparable: Cell<Option<bool>>,
}

impl Number {
    /// The number in a text.
    #[inline]
    pub fn of(text: &[u8], numeral: Numeral) -> Self {
        let decimal = Decimal::of(text, numeral);
        let (double, comparable) = match decimal {
            Some(decimal) => nearest(decimal, text, numeral),
            None => (f64::INFINITY, Some(false)),
        };
        Self { double, decimal, comparable: Cell::new(comparable) }
    }

    /// The double to look for, before asking whether it is `comparable`; None when it can't be.
    #[inline]
    pub fn candidate(&self) -> Option<f64> {
        self.double.is_finite().then_some(self.double)
    }

    /// Whether the double says what the text says.
    #[inline]
    pub fn is_comparable(&self) -> bool {
        self.comparable.get().unwrap_or_else(|| {
            let double = self.double;
            let comparable = self.decimal.is_some_and(|decimal| {
                is_shortest(decimal, double).unwrap_or_else(|| shortest(double) == Some(decimal))
            });
            self.comparable.set(Some(comparable));
            comparable
        })
    }
}

/// The nearest double, infinite for a decimal that can't be comparable, and whether it is, where that is known.
#[inline]
fn nearest(decimal: Decimal, text: &[u8], numeral: Numeral) -> (f64, Option<bool>) {
    let Decimal { negative, significand, exponent } = decimal;
    if significand == 0 {
        return (0.0, Some(true));
    }
    let signed = |double: f64| if negative { -double } else { double };
    if significand < EXACT_END
        && let Some(&power) = POWERS.get(exponent.unsigned_abs() as usize)
    {
        let exact = significand as f64;
        let double = if exponent < 0 { exact / power } else { exact * power };
        return (signed(double), (significand < SAFE_END).then_some(true));
    }
    if let Some(double) = nearest_to_long(decimal) {
        return (signed(double), None);
    }
    let text = text.get(numeral.start..numeral.end).unwrap_or_default();
    let parsed = std::str::from_utf8(text).ok().and_then(|text| text.parse::<f64>().ok());
    let Some(double) = parsed.filter(|&double| double != 0.0) else { return (f64::INFINITY, Some(false)) };
    let safe = significand < SAFE_END && (1e-290..1e290).contains(&double.abs());
    (double, safe.then_some(true))
}

/// A decimal and a double on one scale of integers. With s times ten to the -k for the one and m times two to the -j for
/// the other, both are multiplied by those powers of two and ten: s * 2^j and m * 10^k.
struct Scaled {
    decimal: u128,
    double: u128,
    /// From a double to its neighbours.
    ten_to_k: u128,
    j: u32,
}

impl Scaled {
    /// None where 128 bits don't hold it, and at powers of two, whose neighbours are not equally far.
    #[inline]
    fn of(decimal: Decimal, double: f64) -> Option<Self> {
        const FRACTION: u64 = (1 << 52) - 1;
        let bits = double.to_bits();
        let j = 1_075 - (bits >> 52 & 0x7FF) as i64;
        let k = -decimal.exponent;
        if bits & FRACTION == 0 || !(1..=70).contains(&j) || !(0..POWERS.len() as i64).contains(&k) {
            return None;
        }
        let ten_to_k = TENS_WIDE[k as usize];
        let double = u128::from(bits & FRACTION | 1 << 52) * ten_to_k;
        Some(Self { decimal: u128::from(decimal.significand) << j, double, ten_to_k, j: j as u32 })
    }
}

/// The double nearest to a decimal of 16 or 17 digits without its sign, in the ranges of `Scaled`.
#[inline]
fn nearest_to_long(decimal: Decimal) -> Option<f64> {
    let power = POWERS.get(usize::try_from(-decimal.exponent).ok()?)?;
    let mut guess = decimal.significand as f64 / power;
    for _ in 0..2 {
        let Scaled { decimal, double, ten_to_k, .. } = Scaled::of(decimal, guess)?;
        if decimal.abs_diff(double) * 2 < ten_to_k {
            return Some(guess);
        }
        guess = if decimal > double { guess.next_up() } else { guess.next_down() };
    }
    None
}

/// Whether the decimal is the shortest text of its nearest double, and of the shortest the closest; None where
/// integers don't tell.
fn is_shortest(decimal: Decimal, double: f64) -> Option<bool> {
    let significand = decimal.significand;
    let Scaled { decimal, double, ten_to_k, j } = Scaled::of(decimal, double)?;
    // Of decimals with as many digits this is the closest when the double is less than half a digit away.
    let closest = (decimal.abs_diff(double) * 2).cmp(&(1 << j));
    // One with fewer digits would do if it were less than half way to the neighbours.
    let below = significand - significand % 10;
    let shorter = |significand: u64| (u128::from(significand) << j).abs_diff(double) * 2;
    let shorter = shorter(below).min(shorter(below + 10)).cmp(&ten_to_k);
    // Of two that are equally close it is the even one.
    let closest = closest.is_lt() || closest.is_eq() && significand.is_multiple_of(2);
    shorter.is_ne().then(|| closest && shorter.is_gt())
}

/// The decimal of a double's shortest text. Of two that are equally close Rust writes the larger one, others the even
/// one, as it does itself when told how many digits are wanted.
fn shortest(double: f64) -> Option<Decimal> {
    let text = Buffer::with(format_args!("{double:e}"))?;
    let digits = text.iter().take_while(|&&byte| byte != b'e').filter(|byte| byte.is_ascii_digit()).count();
    let even = Buffer::with(format_args!("{double:.*e}", digits - 1))?;
    let same = std::str::from_utf8(&even).ok().and_then(|text| text.parse().ok()) == Some(double);
    let text = if same { &even } else { &text };
    Decimal::of(text, Numeral::of(text))
}

/// Room for the longest text of a double: a sign, 17 digits, a point and an exponent.
struct Buffer {
    bytes: [u8; 32],
    length: usize,
}

impl Buffer {
    fn with(text: fmt::Arguments<'_>) -> Option<Self> {
        let mut buffer = Self { bytes: [0; 32], length: 0 };
        buffer.write_fmt(text).ok().map(|()| buffer)
    }
}

impl Deref for Buffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }
}

impl fmt::Write for Buffer {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let end = self.length + text.len();
        self.bytes.get_mut(self.length..end).ok_or(fmt::Error)?.copy_from_slice(text.as_bytes());
        self.length = end;
        Ok(())
    }
}

/// The double of a comparable number, never -0; None otherwise. `text` is a JSON number.
pub fn comparable(text: &[u8]) -> Option<f64> {
    let number = Number::of(text, Numeral::of(text));
    number.candidate().filter(|_| number.is_comparable())
}

/// Doubles in their order as integers, so that ranges with and without their ends are all closed ranges.
pub fn order(number: f64) -> u64 {
    let bits = number.to_bits();
    if bits >> 63 == 1 { !bits } else { bits | 1 << 63 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seeded::Numbers;

    #[test]
    fn spellings_of_a_number_are_one_number() {
        for text in ["5", "5.0", "50e-1", "0.5E+1", "5.000000000000000000000000"] {
            assert_eq!(comparable(text.as_bytes()), Some(5.0), "{text}");
        }
        for text in ["0", "-0", "-0.0", "0e99999999999999999999"] {
            assert_eq!(comparable(text.as_bytes()).map(f64::to_bits), Some(0), "{text}");
        }
        assert_eq!(comparable(b"2e23"), Some(2e23));
        assert_eq!(comparable(b"5e-324"), Some(5e-324));
    }

    #[test]
    fn more_than_a_double_holds_is_not_comparable() {
        for text in
            ["9007199254740993", "1e400", "1E-400", "0.1000000000000000055511151231257827", "12345678901234567168"]
        {
            assert_eq!(comparable(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn of_two_shortest_texts_that_are_equally_close_the_even_one_is_it() {
        // As Python and Java write these doubles, and beside each the other one.
        for (even, odd) in [
            ("1700000000000000.2", "1700000000000000.3"),
            ("606144080108056.2", "606144080108056.3"),
            ("182387073789338.12", "182387073789338.13"),
            ("2.9802322387695312e-08", "2.9802322387695313e-08"),
        ] {
            assert!(comparable(even.as_bytes()).is_some(), "{even}");
            assert_eq!(comparable(odd.as_bytes()), None, "{odd}");
        }
        // The closest of 16 digits is another double here.
        assert!(comparable(b"5.684341886080802e-14").is_some());
    }

    #[test]
    fn the_order_of_integers_is_that_of_doubles() {
        let numbers = [-1.7976931348623157e308, -1.0, -5e-324, 0.0, 5e-324, 1.0, 1.5, 1e300];
        assert!(numbers.windows(2).all(|pair| order(pair[0]) < order(pair[1])));
    }

    #[test]
    fn integers_tell_the_nearest_double_and_whether_its_shortest_text_is_this() {
        let mut chance = Numbers::new(7);
        let mut told = 0;
        for _ in 0..200_000 {
            // Sixteen or seventeen digits about where doubles of many sizes stand.
            let double = f64::from_bits((983 + chance.below(90) as u64) << 52 | (chance.below(1 << 40) << 12) as u64);
            let digits = 15 + chance.below(2);
            let text = format!("{double:.digits$e}");
            let Some(decimal) = Decimal::of(text.as_bytes(), Numeral::of(text.as_bytes())) else { continue };
            let Ok(nearest) = text.parse::<f64>() else { continue };
            if let Some(long) = nearest_to_long(decimal) {
                assert_eq!(long, nearest, "{text}");
            }
            if let Some(is) = is_shortest(decimal, nearest) {
                assert_eq!(is, shortest(nearest) == Some(decimal), "{text}");
                told += 1;
            }
        }
        assert!(told > 100_000, "{told}");
    }
}
