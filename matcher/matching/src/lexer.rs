//! JSON read from bytes, piece by piece, without a tree: what nobody looks at is only checked.
//!
//! Works on UTF-8 that was checked before. Iterative: depth is the sender's choice, and costs no stack.

use crate::blocks::Blocks;
use crate::decimal::Numeral;
use crate::texts::hex4;

/// Jackson's own limit, which AWS's service has too: brackets that may be open at once.
pub const DEPTH_MAX: usize = 1_000;

pub type Read<T> = Result<T, Fault>;

/// Why a text is not JSON, and at which byte that was seen.
#[derive(Debug, Clone, Copy)]
pub struct Fault {
    pub reason: &'static str,
    pub at: usize,
}

#[cold]
pub fn fault<T>(reason: &'static str, at: usize) -> Read<T> {
    Err(Fault { reason, at })
}

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
    blocks: &'a Blocks,
}

impl<'a> Lexer<'a> {
    /// `blocks` are those of the text.
    pub fn new(text: &'a [u8], blocks: &'a Blocks) -> Self {
        Self { text, at: 0, blocks }
    }

    /// Where from `at` on the next byte stands that is not white space, and which it is.
    #[inline(always)]
    fn next(&self, mut at: usize) -> Read<(usize, u8)> {
        loop {
            match self.text.get(at) {
                Some(&byte) if byte > b' ' => return Ok((at, byte)),
                Some(b' ' | b'\n' | b'\r' | b'\t') => at += 1,
                Some(&byte) => return Ok((at, byte)),
                None => return fault("unexpected end", at),
            }
        }
    }

    /// The next byte that is not white space, which stays next.
    #[inline]
    pub fn peek(&mut self) -> Read<u8> {
        let (at, byte) = self.next(self.at)?;
        self.at = at;
        Ok(byte)
    }

    /// Read the string whose opening quote is next.
    #[inline]
    pub fn string(&mut self) -> Read<Span> {
        let start = self.at + 1;
        let (end, escaped) = self.string_end(self.at)?;
        self.at = end + 1;
        Ok(Span { start, end, escaped })
    }

    /// Where the closing quote of the string stands whose opening one is at `at`, and whether it has escapes.
    #[inline(always)]
    fn string_end(&self, at: usize) -> Read<(usize, bool)> {
        let end = self.blocks.plain_end(at + 1);
        match self.text.get(end) {
            Some(b'"') => Ok((end, false)),
            _ => self.string_with_escapes(end).map(|end| (end, true)),
        }
    }

    #[cold]
    fn string_with_escapes(&self, mut at: usize) -> Read<usize> {
        loop {
            match self.text.get(at) {
                Some(b'"') => return Ok(at),
                Some(b'\\') => at += self.escape_length(at)?,
                Some(_) => return fault("control character in a string", at),
                None => return fault("unexpected end of a string", at),
            }
            at = self.blocks.plain_end(at);
        }
    }

    fn escape_length(&self, at: usize) -> Read<usize> {
        match self.text.get(at + 1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => Ok(2),
            Some(b'u') => match hex4(self.text, at + 2) {
                Some(_) => Ok(6),
                None => fault("escape without four hexadecimal digits", at),
            },
            _ => fault("unknown escape in a string", at),
        }
    }

    /// Read a member's name and the colon behind it.
    #[inline]
    pub fn name(&mut self) -> Read<Span> {
        match self.next(self.at)? {
            (at, b'"') => self.at = at,
            (at, _) => return fault("expected a member's name", at),
        }
        let name = self.string()?;
        self.at = self.colon(self.at)?;
        Ok(name)
    }

    /// The place behind the colon that must be next.
    #[inline(always)]
    fn colon(&self, at: usize) -> Read<usize> {
        match self.next(at)? {
            (at, b':') => Ok(at + 1),
            (at, _) => fault("expected a colon", at),
        }
    }

    /// Pass a member's name and the colon behind it.
    #[inline(always)]
    fn name_end(&self, at: usize) -> Read<usize> {
        match self.next(at)? {
            (at, b'"') => self.colon(self.string_end(at)?.0 + 1),
            (at, _) => fault("expected a member's name", at),
        }
    }

    /// Read the number that is next.
    #[inline]
    pub fn number(&mut self) -> Read<Numeral> {
        let numeral = self.numeral(self.at)?;
        self.at = numeral.end;
        Ok(numeral)
    }

    /// The number at `start`, by JSON's grammar.
    #[inline(always)]
    fn numeral(&self, start: usize) -> Read<Numeral> {
        let whole = start + usize::from(self.text.get(start) == Some(&b'-'));
        let point = self.digits(whole)?;
        if point - whole > 1 && self.text.get(whole) == Some(&b'0') {
            return fault("number with a leading zero", whole);
        }
        let power = if self.text.get(point) == Some(&b'.') { self.digits(point + 1)? } else { point };
        let end = if let Some(b'e' | b'E') = self.text.get(power) { self.exponent(power + 1)? } else { power };
        Ok(Numeral { start, point, power, end })
    }

    #[cold]
    fn exponent(&self, at: usize) -> Read<usize> {
        let signed = matches!(self.text.get(at), Some(b'+' | b'-'));
        self.digits(at + usize::from(signed))
    }

    #[inline(always)]
    fn digits(&self, from: usize) -> Read<usize> {
        let end = self.blocks.digits_end(from);
        if end == from { fault("expected a digit", from) } else { Ok(end) }
    }

    #[inline]
    pub fn word(&mut self) -> Read<Word> {
        let (word, end) = self.word_end(self.at)?;
        self.at = end;
        Ok(word)
    }

    fn word_end(&self, at: usize) -> Read<(Word, usize)> {
        let rest = self.text.get(at..).unwrap_or_default();
        for (word, text) in [(Word::Null, &b"null"[..]), (Word::True, b"true"), (Word::False, b"false")] {
            if rest.starts_with(text) {
                return Ok((word, at + text.len()));
            }
        }
        fault("expected a value", at)
    }

    /// Check the next value and pass it. `depth` is how many brackets are open around it.
    #[inline]
    pub fn skip(&mut self, depth: usize) -> Read<()> {
        let (at, byte) = self.next(self.at)?;
        self.at = match byte {
            b'"' => self.string_end(at)?.0 + 1,
            b'-' | b'0'..=b'9' => self.numeral(at)?.end,
            b'{' | b'[' => self.nested_end(at, depth)?,
            _ => self.word_end(at)?.1,
        };
        Ok(())
    }

    /// Where the object or array ends that begins at `at`. All in one function, so that the place stays in a register.
    fn nested_end(&self, mut at: usize, depth: usize) -> Read<usize> {
        // A bit for each open bracket: whether it is an object's.
        let mut objects = [0u64; DEPTH_MAX / 64 + 1];
        let (mut open, mut object) = (0usize, false);
        loop {
            let mut closed = false;
            let byte;
            (at, byte) = self.next(at)?;
            match byte {
                b'"' => at = self.string_end(at)?.0 + 1,
                b'-' | b'0'..=b'9' => at = self.numeral(at)?.end,
                b'{' | b'[' => {
                    open += 1;
                    if depth + open > DEPTH_MAX {
                        return fault("nested too deep", at);
                    }
                    object = byte == b'{';
                    let bit = 1u64 << (open % 64);
                    objects[open / 64] = objects[open / 64] & !bit | if object { bit } else { 0 };
                    let next;
                    (at, next) = self.next(at + 1)?;
                    closed = next == if object { b'}' } else { b']' };
                    if !closed {
                        if object {
                            at = self.name_end(at)?;
                        }
                        continue;
                    }
                }
                _ => at = self.word_end(at)?.1,
            }
            loop {
                let byte;
                (at, byte) = self.next(at)?;
                at += 1;
                match (byte, object) {
                    (b',', _) if !closed => {
                        if object {
                            at = self.name_end(at)?;
                        }
                        break;
                    }
                    (b'}', true) | (b']', false) => {
                        open -= 1;
                        if open == 0 {
                            return Ok(at);
                        }
                        object = objects[open / 64] >> (open % 64) & 1 == 1;
                        closed = false;
                    }
                    _ => return fault("expected a comma or a closing bracket", at - 1),
                }
            }
        }
    }
}
