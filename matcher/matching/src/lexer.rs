//! JSON read from bytes, piece by piece, without a tree: what nobody looks at is only checked.
//!
//! Works on UTF-8 that was checked before. Iterative: depth is the sender's choice, and costs no stack.

use crate::texts::hex4;

/// Jackson's own limit, which AWS's service has too: brackets that may be open at once.
pub const DEPTH_MAX: usize = 1_000;

pub type Read<T> = Result<T, &'static str>;

/// A string or name as it stands in the text, without its quotes.
#[derive(Clone, Copy)]
pub struct Span {
    pub start: usize,
    pub end: usize,
    pub escaped: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Word {
    Null,
    True,
    False,
}

/// A cursor over one JSON value.
pub struct Lexer<'a> {
    pub text: &'a [u8],
    pub at: usize,
}

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGHS: u64 = ONES << 7;

/// Where from `at` on the first quote, backslash or control character stands: eight bytes at a step.
#[inline]
fn end_of_plain(text: &[u8], mut at: usize) -> usize {
    while let Some(chunk) = text.get(at..).and_then(<[u8]>::first_chunk::<8>) {
        let bytes = u64::from_le_bytes(*chunk);
        let quotes = bytes ^ (ONES * b'"' as u64);
        let slashes = bytes ^ (ONES * b'\\' as u64);
        // A borrow can only spoil bytes above the lowest hit, and the lowest is what counts.
        let hits = (quotes.wrapping_sub(ONES) & !quotes)
            | (slashes.wrapping_sub(ONES) & !slashes)
            | (bytes.wrapping_sub(ONES * 0x20) & !bytes);
        let hits = hits & HIGHS;
        if hits != 0 {
            return at + (hits.trailing_zeros() / 8) as usize;
        }
        at += 8;
    }
    while let Some(&byte) = text.get(at) {
        if byte == b'"' || byte == b'\\' || byte < 0x20 {
            break;
        }
        at += 1;
    }
    at
}

impl<'a> Lexer<'a> {
    pub fn new(text: &'a [u8]) -> Self {
        Self { text, at: 0 }
    }

    /// The next byte that is not white space, which stays next.
    #[inline]
    pub fn peek(&mut self) -> Read<u8> {
        loop {
            match self.text.get(self.at) {
                Some(b' ' | b'\n' | b'\r' | b'\t') => self.at += 1,
                Some(&byte) => return Ok(byte),
                None => return Err("unexpected end"),
            }
        }
    }

    /// Read the string whose opening quote is next.
    #[inline]
    pub fn string(&mut self) -> Read<Span> {
        let start = self.at + 1;
        let end = end_of_plain(self.text, start);
        if self.text.get(end) == Some(&b'"') {
            self.at = end + 1;
            return Ok(Span { start, end, escaped: false });
        }
        self.string_with_escapes(start, end)
    }

    #[cold]
    fn string_with_escapes(&mut self, start: usize, mut at: usize) -> Read<Span> {
        loop {
            match self.text.get(at) {
                Some(b'"') => break,
                Some(b'\\') => at += self.escape_length(at)?,
                Some(_) => return Err("control character in a string"),
                None => return Err("unexpected end of a string"),
            }
            at = end_of_plain(self.text, at);
        }
        self.at = at + 1;
        Ok(Span { start, end: at, escaped: true })
    }

    fn escape_length(&self, at: usize) -> Read<usize> {
        match self.text.get(at + 1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => Ok(2),
            Some(b'u') => hex4(self.text, at + 2).map(|_| 6).ok_or("escape without four hexadecimal digits"),
            _ => Err("unknown escape in a string"),
        }
    }

    /// Read a member's name and the colon behind it.
    #[inline]
    pub fn name(&mut self) -> Read<Span> {
        if self.peek()? != b'"' {
            return Err("expected a member's name");
        }
        let name = self.string()?;
        if self.peek()? != b':' {
            return Err("expected a colon");
        }
        self.at += 1;
        Ok(name)
    }

    /// Read the number that is next, by JSON's grammar; its text is between the two places.
    #[inline]
    pub fn number(&mut self) -> Read<(usize, usize)> {
        let start = self.at;
        let mut at = start + usize::from(self.text.get(start) == Some(&b'-'));
        let whole = at;
        at = self.digits(at)?;
        if at - whole > 1 && self.text.get(whole) == Some(&b'0') {
            return Err("number with a leading zero");
        }
        if self.text.get(at) == Some(&b'.') {
            at = self.digits(at + 1)?;
        }
        if let Some(b'e' | b'E') = self.text.get(at) {
            at += 1;
            if let Some(b'+' | b'-') = self.text.get(at) {
                at += 1;
            }
            at = self.digits(at)?;
        }
        self.at = at;
        Ok((start, at))
    }

    #[inline]
    fn digits(&self, from: usize) -> Read<usize> {
        let mut at = from;
        while let Some(chunk) = self.text.get(at..).and_then(<[u8]>::first_chunk::<8>) {
            let values = u64::from_le_bytes(*chunk) ^ (ONES * u64::from(b'0'));
            // A carry can only spoil bytes above the lowest that is no digit.
            let others = (values.wrapping_add(ONES * 0x76) | values) & HIGHS;
            if others != 0 {
                at += (others.trailing_zeros() / 8) as usize;
                return if at == from { Err("expected a digit") } else { Ok(at) };
            }
            at += 8;
        }
        while matches!(self.text.get(at), Some(b'0'..=b'9')) {
            at += 1;
        }
        if at == from { Err("expected a digit") } else { Ok(at) }
    }

    pub fn word(&mut self) -> Read<Word> {
        let rest = self.text.get(self.at..).unwrap_or_default();
        for (word, text) in [(Word::Null, &b"null"[..]), (Word::True, b"true"), (Word::False, b"false")] {
            if rest.starts_with(text) {
                self.at += text.len();
                return Ok(word);
            }
        }
        Err("expected a value")
    }

    /// Check the next value and pass it. `depth` is how many brackets are open around it.
    #[inline]
    pub fn skip(&mut self, depth: usize) -> Read<()> {
        match self.peek()? {
            b'"' => self.string().map(drop),
            b'-' | b'0'..=b'9' => self.number().map(drop),
            b'{' | b'[' => self.skip_nested(depth),
            _ => self.word().map(drop),
        }
    }

    fn skip_nested(&mut self, depth: usize) -> Read<()> {
        // A bit for each open bracket: whether it is an object's.
        let mut objects = [0u64; DEPTH_MAX / 64 + 1];
        let mut open = 0usize;
        let mut object = false;
        loop {
            let mut closed = false;
            match self.peek()? {
                b'"' => drop(self.string()?),
                b'-' | b'0'..=b'9' => drop(self.number()?),
                byte @ (b'{' | b'[') => {
                    open += 1;
                    if depth + open > DEPTH_MAX {
                        return Err("nested too deep");
                    }
                    self.at += 1;
                    object = byte == b'{';
                    let bit = 1u64 << (open % 64);
                    objects[open / 64] = objects[open / 64] & !bit | if object { bit } else { 0 };
                    closed = self.peek()? == if object { b'}' } else { b']' };
                    if !closed {
                        if object {
                            self.name()?;
                        }
                        continue;
                    }
                }
                _ => drop(self.word()?),
            }
            loop {
                match (self.peek()?, object) {
                    (b',', _) if !closed => {
                        self.at += 1;
                        if object {
                            self.name()?;
                        }
                        break;
                    }
                    (b'}', true) | (b']', false) => {
                        self.at += 1;
                        open -= 1;
                        if open == 0 {
                            return Ok(());
                        }
                        object = objects[open / 64] >> (open % 64) & 1 == 1;
                        closed = false;
                    }
                    _ => return Err("expected a comma or a closing bracket"),
                }
            }
        }
    }
}
