//! Numbers as AWS compares them.
//!
//! A number is *comparable* when its text says exactly what the shortest text of its nearest double says. Comparable
//! numbers equal by value (1 = 1.0 = 1e0); others (9007199254740993, 1e400) equal only their own text and lie in no
//! range.

use std::cell::Cell;
use std::fmt::{self, Write};

/// Significands of this many digits always survive the way to a double and back, far from its limits.
const DIGITS_SAFE: usize = 15;
/// No double's shortest text has more.
const DIGITS_MAX: usize = 17;
/// Powers of ten that are doubles, so that one multiplication or division of a safe significand is rounded right.
const POWERS: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19,
    1e20, 1e21, 1e22,
];

/// A number of an event.
#[derive(Clone, Copy)]
pub struct Number<'a> {
    pub nearest: &'a Nearest,
    pub text: &'a [u8],
}

/// The nearest double of a number. Whether it says all that the text says is dear to find out, so that is left until
/// it matters, and then kept.
pub struct Nearest {
    double: f64,
    comparable: Cell<Option<bool>>,
}

impl Nearest {
    /// The double, infinite for a text that can't be comparable. `text` is a JSON number.
    #[inline]
    pub fn of(text: &[u8]) -> Self {
        let with = |double, comparable| Self { double, comparable: Cell::new(comparable) };
        let never = || with(f64::INFINITY, Some(false));
        let Some(decimal) = Decimal::of(text) else { return never() };
        if decimal.count == 0 {
            return with(0.0, Some(true));
        }
        if decimal.count <= DIGITS_SAFE
            && let Some(&power) = POWERS.get(decimal.exponent.unsigned_abs() as usize)
        {
            let significand = decimal.significand as f64;
            let double = if decimal.exponent < 0 { significand / power } else { significand * power };
            return with(if decimal.negative { -double } else { double }, Some(true));
        }
        let Some(double) = std::str::from_utf8(text).ok().and_then(|text| text.parse::<f64>().ok()) else {
            return never();
        };
        if double == 0.0 {
            return never();
        }
        let safe = decimal.count <= DIGITS_SAFE && (1e-290..1e290).contains(&double.abs());
        with(double, safe.then_some(true))
    }
}

impl Number<'_> {
    /// The double to look for, before asking whether it is `comparable`; None when it can't be.
    #[inline]
    pub fn candidate(self) -> Option<f64> {
        self.nearest.double.is_finite().then_some(self.nearest.double)
    }

    /// Whether the double says what the text says.
    pub fn is_comparable(self) -> bool {
        self.nearest.comparable.get().unwrap_or_else(|| {
            let mut shortest = Buffer { bytes: [0; 32], length: 0 };
            let written = write!(shortest, "{:e}", self.nearest.double).is_ok();
            let shortest = shortest.bytes.get(..shortest.length).unwrap_or_default();
            let comparable = written && Decimal::of(self.text) == Decimal::of(shortest);
            self.nearest.comparable.set(Some(comparable));
            comparable
        })
    }
}

/// Room for the longest text of a double: a sign, 17 digits, a point and an exponent.
struct Buffer {
    bytes: [u8; 32],
    length: usize,
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
    let nearest = Nearest::of(text);
    let number = Number { nearest: &nearest, text };
    number.candidate().filter(|_| number.is_comparable())
}

/// A decimal as digits without zeros at either end, and the power of ten of the last one.
#[derive(PartialEq, Eq)]
struct Decimal {
    negative: bool,
    significand: u64,
    count: usize,
    exponent: i64,
}

impl Decimal {
    /// None for more digits than any double's shortest text has.
    fn of(text: &[u8]) -> Option<Self> {
        let mut decimal = Self { negative: false, significand: 0, count: 0, exponent: 0 };
        // Zeros that count only if another digit follows.
        let (mut zeros, mut fraction) = (0usize, false);
        let mut exponent = 0;
        for (at, &byte) in text.iter().enumerate() {
            match byte {
                b'-' => decimal.negative = true,
                b'.' => fraction = true,
                b'0' => {
                    zeros += usize::from(decimal.count > 0);
                    decimal.exponent -= i64::from(fraction);
                }
                b'1'..=b'9' => {
                    decimal.count += zeros + 1;
                    if decimal.count > DIGITS_MAX {
                        return None;
                    }
                    for _ in 0..zeros {
                        decimal.significand *= 10;
                    }
                    decimal.significand = decimal.significand * 10 + u64::from(byte - b'0');
                    zeros = 0;
                    decimal.exponent -= i64::from(fraction);
                }
                _ => {
                    exponent = exponent_of(text.get(at + 1..).unwrap_or_default());
                    break;
                }
            }
        }
        decimal.exponent = decimal.exponent.saturating_add(exponent).saturating_add(zeros as i64);
        Some(decimal)
    }
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

/// Doubles in their order as integers, so that ranges with and without their ends are all closed ranges.
pub fn order(number: f64) -> u64 {
    let bits = number.to_bits();
    if bits >> 63 == 1 { !bits } else { bits | 1 << 63 }
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn the_order_of_integers_is_that_of_doubles() {
        let numbers = [-1.7976931348623157e308, -1.0, -5e-324, 0.0, 5e-324, 1.0, 1.5, 1e300];
        assert!(numbers.windows(2).all(|pair| order(pair[0]) < order(pair[1])));
    }
}
