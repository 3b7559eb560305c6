//! A pattern's text as a tree that keeps the order and repetition of members and the text of numbers.

use crate::blocks::Blocks;
use crate::decimal::Numeral;
use crate::lexer::{Lexer, Read, Span, Word, fault};
use crate::texts::decode;

/// Brackets that a pattern may open at once: its own nesting, and what its operators add.
const OPEN_MAX: usize = 110;

pub enum Tree {
    Object(Vec<(Vec<u8>, Tree)>),
    Array(Vec<Tree>),
    Text(Vec<u8>),
    Number(Vec<u8>),
    Word(Word),
}

/// Read one JSON value; what stands behind it is ignored.
pub fn read(text: &[u8]) -> Read<Tree> {
    if let Err(wrong) = std::str::from_utf8(text) {
        return fault("not UTF-8", wrong.valid_up_to());
    }
    let mut blocks = Blocks::default();
    blocks.read(text);
    value(&mut Lexer::new(text, &blocks), 1)
}

/// Recursion is bounded by `OPEN_MAX`.
fn value(lexer: &mut Lexer<'_>, open: usize) -> Read<Tree> {
    if open > OPEN_MAX {
        return fault("nested too deep", lexer.at);
    }
    match lexer.peek()? {
        b'{' => {
            let mut members = Vec::new();
            list(lexer, b'}', |lexer| {
                let name = lexer.name()?;
                members.push((decoded(lexer, name), value(lexer, open + 1)?));
                Ok(())
            })?;
            Ok(Tree::Object(members))
        }
        b'[' => {
            let mut elements = Vec::new();
            list(lexer, b']', |lexer| {
                elements.push(value(lexer, open + 1)?);
                Ok(())
            })?;
            Ok(Tree::Array(elements))
        }
        b'"' => {
            let span = lexer.string()?;
            Ok(Tree::Text(decoded(lexer, span)))
        }
        b'-' | b'0'..=b'9' => {
            let Numeral { start, end, .. } = lexer.number()?;
            Ok(Tree::Number(lexer.text.get(start..end).unwrap_or_default().into()))
        }
        _ => lexer.word().map(Tree::Word),
    }
}

fn list<'a>(lexer: &mut Lexer<'a>, close: u8, mut item: impl FnMut(&mut Lexer<'a>) -> Read<()>) -> Read<()> {
    lexer.at += 1;
    if lexer.peek()? == close {
        lexer.at += 1;
        return Ok(());
    }
    loop {
        item(lexer)?;
        let next = lexer.peek()?;
        if next != b',' && next != close {
            return fault("expected a comma or a closing bracket", lexer.at);
        }
        lexer.at += 1;
        if next == close {
            return Ok(());
        }
    }
}

fn decoded(lexer: &Lexer<'_>, span: Span) -> Vec<u8> {
    let raw = lexer.text.get(span.start..span.end).unwrap_or_default();
    if !span.escaped {
        return raw.into();
    }
    let mut text = Vec::with_capacity(raw.len());
    decode(raw, &mut text);
    text
}
