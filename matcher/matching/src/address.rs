//! IP addresses: `cidr`, and strings that are addresses. Never resolves a name; families are kept apart.

use std::net::Ipv6Addr;

/// Ours: more leading zeros than anybody writes. A longer text is no address, whatever it is.
const CHARS_MAX: usize = 64;

/// An address as a number; `bits` is 32 or 128, so two families never compare equal.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Address {
    pub bits: u8,
    pub number: u128,
}

impl Address {
    /// The address without the bits behind a mask, to be compared with a network.
    pub fn network(self, mask: u8) -> u128 {
        self.number.checked_shr(u32::from(self.bits.saturating_sub(mask))).unwrap_or_default()
    }
}

fn looks_like_v4(text: &[u8]) -> bool {
    let mut parts = 0;
    text.split(|&byte| byte == b'.').all(|part| {
        parts += 1;
        !part.is_empty() && part.iter().all(u8::is_ascii_digit)
    }) && parts == 4
}

fn looks_like_v6(text: &[u8]) -> bool {
    text.contains(&b':') && text.iter().all(|&byte| byte == b':' || byte.is_ascii_hexdigit())
}

/// The address that `text` is. Leading zeros are decimal; IPv4-mapped IPv6 is folded to IPv4.
pub fn parse(text: &[u8]) -> Option<Address> {
    if text.len() > CHARS_MAX {
        return None;
    }
    if looks_like_v4(text) {
        let mut number = 0u128;
        for part in text.split(|&byte| byte == b'.') {
            let octet = part.iter().fold(0u128, |octet, digit| (octet * 10 + u128::from(digit - b'0')).min(1_000));
            if octet > 255 {
                return None;
            }
            number = number << 8 | octet;
        }
        return Some(Address { bits: 32, number });
    }
    if !looks_like_v6(text) {
        return None;
    }
    let address: Ipv6Addr = std::str::from_utf8(text).ok()?.parse().ok()?;
    Some(match address.to_ipv4_mapped() {
        Some(mapped) => Address { bits: 32, number: u128::from(mapped.to_bits()) },
        None => Address { bits: 128, number: address.to_bits() },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_many_spellings() {
        let ten = parse(b"10.0.0.1");
        assert!(ten.is_some());
        for text in ["010.0.00.1", "::ffff:a00:1", "0:0:0:0:0:ffff:0a00:0001"] {
            assert_eq!(parse(text.as_bytes()), ten, "{text}");
        }
        assert_ne!(parse(b"::a00:1"), ten);
        assert_eq!(parse(b"::1"), parse(b"0:0:0:0:0:0:0:1"));
    }

    #[test]
    fn what_is_no_address_is_none() {
        for text in
            ["999.1.1.1", "10.0.0", "10.0.0.1.", ":", ":::", "1:2:3:4:5:6:7", "1::2::3", "12345::", "10.0.0.1/8", ""]
        {
            assert_eq!(parse(text.as_bytes()), None, "{text}");
        }
        assert_eq!(parse(format!("{}.0.0.1", "0".repeat(5_000)).as_bytes()), None);
    }
}
