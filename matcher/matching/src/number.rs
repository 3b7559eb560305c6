//! Numbers as AWS compares them.
//!
//! A number is *comparable* when its text says exactly what the shortest text of its nearest double says. Comparable
//! numbers equal by value (1 = 1.0 = 1e0); others (9007199254740993, 1e400) equal only their own text and lie in no
//! range.

/// Significands of this many digits always survive the way to a double and back.
const DIGITS_SAFE: usize = 15;

/// The double of a comparable number, never -0; None otherwise. `text` is a JSON number.
pub fn comparable(text: &[u8]) -> Option<f64> {
    if let Some(number) = small_integer(text) {
        return Some(number);
    }
    let text = std::str::from_utf8(text).ok()?;
    let number: f64 = text.parse().ok()?;
    if !number.is_finite() {
        return None;
    }
    if number == 0.0 {
        let significand = text.split(['e', 'E']).next().unwrap_or_default();
        return if significand.bytes().any(|byte| matches!(byte, b'1'..=b'9')) { None } else { Some(0.0) };
    }
    let short = text.len() <= DIGITS_SAFE && !text.contains(['e', 'E']);
    (short || Decimal::of(text) == Decimal::of(&format!("{number:e}"))).then_some(number)
}

fn small_integer(text: &[u8]) -> Option<f64> {
    if text.len() > DIGITS_SAFE {
        return None;
    }
    let (negative, digits) = match text.split_first() {
        Some((b'-', digits)) => (true, digits),
        _ => (false, text),
    };
    let mut number = 0i64;
    for &digit in digits {
        if !digit.is_ascii_digit() {
            return None;
        }
        number = number * 10 + i64::from(digit - b'0');
    }
    Some(if negative { -number } else { number } as f64)
}

/// A decimal as digits without zeros at either end, and the power of ten of the last one.
#[derive(PartialEq, Eq)]
struct Decimal {
    negative: bool,
    digits: Vec<u8>,
    exponent: i64,
}

impl Decimal {
    fn of(text: &str) -> Self {
        let (negative, text) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (significand, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
        // An exponent that no i64 holds belongs to a number that is zero or infinite, which were told apart before.
        let exponent: i64 = exponent.trim_start_matches('+').parse().unwrap_or_default();
        let (whole, fraction) = significand.split_once('.').unwrap_or((significand, ""));
        let mut digits: Vec<u8> = whole.bytes().chain(fraction.bytes()).skip_while(|&digit| digit == b'0').collect();
        let mut exponent = exponent.saturating_sub(fraction.len() as i64);
        while digits.last() == Some(&b'0') {
            digits.pop();
            exponent = exponent.saturating_add(1);
        }
        Self { negative, digits, exponent }
    }
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
