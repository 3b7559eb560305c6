//! Texts of JSON as bytes: escapes, and characters of which only a half is there (WTF-8).

pub fn hex4(text: &[u8], at: usize) -> Option<u32> {
    let mut number = 0;
    for &digit in text.get(at..at + 4)? {
        number = number * 16 + (digit as char).to_digit(16)?;
    }
    Some(number)
}

/// Decode what stands between a string's quotes, escapes and all; they were checked before.
///
/// Two escapes that are the halves of one character become it. A lone half is written as if it were a character of
/// its own (WTF-8), so it equals only itself.
pub fn decode(raw: &[u8], out: &mut Vec<u8>) {
    let mut at = 0;
    while let Some(&byte) = raw.get(at) {
        if byte != b'\\' {
            out.push(byte);
            at += 1;
            continue;
        }
        let escape = raw.get(at + 1).copied().unwrap_or_default();
        at += 2;
        match escape {
            b'b' => out.push(8),
            b'f' => out.push(12),
            b'n' => out.push(b'\n'),
            b'r' => out.push(b'\r'),
            b't' => out.push(b'\t'),
            b'u' => {
                let mut code = hex4(raw, at).unwrap_or_default();
                at += 4;
                if let (0xD800..=0xDBFF, Some(b"\\u")) = (code, raw.get(at..at + 2))
                    && let Some(low @ 0xDC00..=0xDFFF) = hex4(raw, at + 2)
                {
                    code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
                    at += 6;
                }
                push(code, out);
            }
            other => out.push(other),
        }
    }
}

/// Append a code point, as `decode` does.
pub fn push(code: u32, out: &mut Vec<u8>) {
    match char::from_u32(code) {
        Some(char) => out.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes()),
        None => out.extend([0xE0 | (code >> 12) as u8, 0x80 | (code >> 6 & 63) as u8, 0x80 | (code & 63) as u8]),
    }
}

/// The code points of decoded text, lone halves of characters included.
pub fn code_points(text: &[u8]) -> impl Iterator<Item = u32> + '_ {
    let mut at = 0;
    std::iter::from_fn(move || {
        let first = u32::from(*text.get(at)?);
        let (mut code, more) = match first {
            0..=0x7F => (first, 0),
            0x80..=0xDF => (first & 0x1F, 1),
            0xE0..=0xEF => (first & 0x0F, 2),
            _ => (first & 0x07, 3),
        };
        for next in 1..=more {
            code = code << 6 | u32::from(text.get(at + next).copied().unwrap_or_default() & 63);
        }
        at += 1 + more;
        Some(code)
    })
}
