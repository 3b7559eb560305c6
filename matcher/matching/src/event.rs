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
        let mut frame = Frame { object: true, node: ROOT, field: NOWHERE, place: NOWHERE, array: 0, element: 0 };
        let mut fresh = true;
        loop {
            let close = if frame.object { b'}' } else { b']' };
            let next = self.lexer.peek()?;
            if next == close {
                self.lexer.at += 1;
                let Some(outer) = self.found.frames.pop() else { return Ok(()) };
                frame = outer;
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
            let opened = if frame.object { self.member(&frame)? } else { self.element(&frame)? };
            fresh = opened.is_some();
            if let Some(inner) = opened {
                self.found.frames.push(std::mem::replace(&mut frame, inner));
            }
        }
    }

    /// How many brackets are open.
    fn depth(&self) -> usize {
        self.found.frames.len() + 1
    }

    #[inline]
    fn member(&mut self, frame: &Frame) -> Read<Option<Frame>> {
        let name = self.lexer.name()?;
        let raw = self.lexer.text.get(name.start..name.end).unwrap_or_default();
        let (node, direct) =
            if name.escaped { self.led_to_decoded(frame.node, raw) } else { self.names.led_to(frame.node, raw) };
        if node == NOWHERE {
            self.lexer.skip(self.depth())?;
            return Ok(None);
        }
        let led = &self.names.nodes[node as usize];
        let field = if led.uses > 0 && (led.direct || !direct) { node } else { NOWHERE };
        self.value(Target { node, field, place: frame.place })
    }

    #[cold]
    fn led_to_decoded(&mut self, node: u32, raw: &[u8]) -> (u32, bool) {
        self.found.name.clear();
        decode(raw, &mut self.found.name);
        self.names.led_to(node, &self.found.name)
    }

    fn element(&mut self, frame: &Frame) -> Read<Option<Frame>> {
        let &Frame { node, field, place, array, element, .. } = frame;
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

    /// Read a value; the frame of a bracket that was opened and is still to be read.
    #[inline]
    fn value(&mut self, target: Target) -> Read<Option<Frame>> {
        let Target { node, field, place } = target;
        let inside = self.names.nodes[node as usize].children > 0;
        let byte = self.lexer.peek()?;
        let object = byte == b'{';
        let opens = inside && object || (inside || field != NOWHERE) && byte == b'[';
        if !opens {
            if field != NOWHERE && !object {
                self.scalar(byte, field, place)?;
            } else {
                self.lexer.skip(self.depth())?;
            }
            return Ok(None);
        }
        if self.depth() >= DEPTH_MAX {
            return fault("nested too deep", self.lexer.at);
        }
        self.lexer.at += 1;
        let mut array = 0;
        if !object {
            self.found.arrays += 1;
            array = self.found.arrays;
        }
        // A closing bracket right away is seen by the loop; a comma is not allowed there.
        Ok(Some(Frame { object, node, field, place, array, element: 0 }))
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
