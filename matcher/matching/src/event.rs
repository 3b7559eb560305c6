//! One pass over an event's bytes: everything is checked, and only what some rule looks at is kept.

use std::fmt;

use crate::blocks::Blocks;
use crate::condition::Literal;
use crate::found::{Found, Kind, Place};
use crate::lexer::{DEPTH_MAX, Fault, Lexer, Read, Span, Word, fault};
use crate::names::{NOWHERE, Names, ROOT};
use crate::number::Number;
use crate::texts::decode;

/// A text that should be an event but is not a JSON object.
#[derive(Debug, PartialEq, Eq)]
pub struct InvalidEvent {
    pub reason: &'static str,
    /// At which byte it was seen.
    pub at: usize,
}

impl fmt::Display for InvalidEvent {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "event is not a JSON object: {} at byte {}", self.reason, self.at)
    }
}

impl std::error::Error for InvalidEvent {}

/// An open bracket.
pub struct Frame {
    pub object: bool,
    pub node: u32,
    pub field: u32,
    pub place: u32,
    pub array: u32,
    pub element: u32,
}

/// Where the next value belongs.
#[derive(Clone, Copy)]
struct Target {
    node: u32,
    field: u32,
    place: u32,
}

/// Read the event. What stands behind its closing brace is ignored, but must be UTF-8 too.
pub fn read(event: &[u8], names: &Names, blocks: &mut Blocks, found: &mut Found) -> Result<(), InvalidEvent> {
    found.begin(names.nodes.len());
    if !blocks.read(event)
        && let Err(wrong) = std::str::from_utf8(event)
    {
        return Err(InvalidEvent { reason: "not UTF-8", at: wrong.valid_up_to() });
    }
    if event.len() >= u32::MAX as usize {
        return Err(InvalidEvent { reason: "too long", at: 0 });
    }
    let mut reader = Reader { lexer: Lexer::new(event, blocks), names, found };
    reader.run().map_err(|Fault { reason, at }| InvalidEvent { reason, at })
}

struct Reader<'a> {
    lexer: Lexer<'a>,
    names: &'a Names,
    found: &'a mut Found,
}

impl Reader<'_> {
    fn run(&mut self) -> Read<()> {
        if self.lexer.peek()? != b'{' {
            return fault("expected an opening brace", self.lexer.at);
        }
        self.lexer.at += 1;
        self.push(Frame { object: true, node: ROOT, field: NOWHERE, place: NOWHERE, array: 0, element: 0 })?;
        let mut fresh = true;
        while let Some(frame) = self.found.frames.last_mut() {
            let close = if frame.object { b'}' } else { b']' };
            let next = self.lexer.peek()?;
            if next == close {
                self.lexer.at += 1;
                self.found.frames.pop();
                fresh = false;
                continue;
            }
            if !fresh {
                if next != b',' {
                    return fault("expected a comma or a closing bracket", self.lexer.at);
                }
                self.lexer.at += 1;
                if !frame.object {
                    frame.element += 1;
                }
            }
            fresh = if frame.object { self.member()? } else { self.element()? };
        }
        Ok(())
    }

    fn push(&mut self, frame: Frame) -> Read<()> {
        if self.found.frames.len() >= DEPTH_MAX {
            return fault("nested too deep", self.lexer.at);
        }
        self.found.frames.push(frame);
        Ok(())
    }

    fn member(&mut self) -> Read<bool> {
        let name = self.lexer.name()?;
        let Some(&Frame { node, place, .. }) = self.found.frames.last() else { return Ok(false) };
        let (node, direct) = self.led_to(node, name);
        if node == NOWHERE {
            self.lexer.skip(self.found.frames.len())?;
            return Ok(false);
        }
        let led = &self.names.nodes[node as usize];
        let field = if led.uses > 0 && (led.direct || !direct) { node } else { NOWHERE };
        self.value(Target { node, field, place })
    }

    /// The node behind a member's name, and whether the name is undivided.
    #[inline]
    fn led_to(&mut self, node: u32, span: Span) -> (u32, bool) {
        let raw = self.lexer.text.get(span.start..span.end).unwrap_or_default();
        let mut decoded = std::mem::take(&mut self.found.name);
        let name = if span.escaped {
            decoded.clear();
            decode(raw, &mut decoded);
            &decoded
        } else {
            raw
        };
        let led = if name.contains(&b'.') {
            (self.names.below_dotted(node, name), false)
        } else {
            (self.names.below(node, name), true)
        };
        self.found.name = decoded;
        led
    }

    fn element(&mut self) -> Read<bool> {
        let Some(&Frame { node, field, place, array, element, .. }) = self.found.frames.last() else {
            return Ok(false);
        };
        let inside = match self.lexer.peek()? {
            b'[' => true,
            b'{' => self.names.nodes[node as usize].children > 0,
            _ => false,
        };
        if !inside {
            return self.value(Target { node, field, place });
        }
        self.found.places.push(Place { array, element, around: place });
        let place = self.found.places.len() as u32 - 1;
        self.value(Target { node, field, place })
    }

    /// Read a value; true when it is a bracket that was opened and is still to be read.
    fn value(&mut self, target: Target) -> Read<bool> {
        let Target { node, field, place } = target;
        let inside = self.names.nodes[node as usize].children > 0;
        let byte = self.lexer.peek()?;
        let bracket = match byte {
            b'{' if inside => true,
            b'[' if inside || field != NOWHERE => true,
            _ if field != NOWHERE && byte != b'{' => {
                self.scalar(byte, field, place)?;
                return Ok(false);
            }
            _ => false,
        };
        if !bracket {
            self.lexer.skip(self.found.frames.len())?;
            return Ok(false);
        }
        self.lexer.at += 1;
        let object = byte == b'{';
        let mut array = 0;
        if !object {
            self.found.arrays += 1;
            array = self.found.arrays;
        }
        self.push(Frame { object, node, field, place, array, element: 0 })?;
        // A closing bracket right away is seen by the loop; a comma is not allowed there.
        Ok(true)
    }

    #[inline]
    fn scalar(&mut self, byte: u8, field: u32, place: u32) -> Read<()> {
        match byte {
            b'"' => {
                let Span { start, end, escaped } = self.lexer.string()?;
                if !escaped {
                    self.found.keep(field, Kind::Text { decoded: false }, start, end, place);
                    return Ok(());
                }
                let raw = self.lexer.text.get(start..end).unwrap_or_default();
                let start = self.found.decoded.len();
                decode(raw, &mut self.found.decoded);
                self.found.keep(field, Kind::Text { decoded: true }, start, self.found.decoded.len(), place);
            }
            b'-' | b'0'..=b'9' => {
                let numeral = self.lexer.number()?;
                let number = Number::of(self.lexer.text, numeral);
                self.found.keep(field, Kind::Number(number), numeral.start, numeral.end, place);
            }
            _ => {
                let literal = match self.lexer.word()? {
                    Word::Null => Literal::Null,
                    Word::True => Literal::True,
                    Word::False => Literal::False,
                };
                self.found.keep(field, Kind::Literal(literal), 0, 0, place);
            }
        }
        Ok(())
    }
}
