//! What one entry of a value list accepts.

use crate::address::{self, Address};
use crate::fold::{Edge, Folded};
use crate::number::{self, Number};
use crate::wildcard::Wildcard;

/// A scalar of an event. Texts are decoded.
#[derive(Clone, Copy)]
pub enum Value<'a> {
    Text(&'a [u8]),
    /// And its text.
    Number(&'a Number, &'a [u8]),
    Literal(Literal),
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Literal {
    Null,
    True,
    False,
}

#[derive(PartialEq, Eq, Hash, Debug)]
pub enum Condition {
    Text(Box<[u8]>),
    Address(Box<Address>),
    /// A double's bits; the number is never -0.
    Number(u64),
    /// A number with more digits than a double keeps equals only its own text.
    NumberText(Box<[u8]>),
    Literal(Literal),
    Prefix(Box<[u8]>),
    Suffix(Box<[u8]>),
    Folded(Edge, Box<Folded>),
    Wildcard(Box<Wildcard>),
    /// Lowest and highest double by `number::order`, both included.
    Range(u64, u64),
    Network(Box<Address>, u8),
    Present,
    /// Accepts no value; who asks must look whether there is none.
    Absent,
    NotTexts(Box<[Box<[u8]>]>),
    Not(Box<[Condition]>),
}

impl<'a> Value<'a> {
    /// What only an equal value has.
    pub fn key(self) -> (Option<Literal>, bool, &'a [u8]) {
        match self {
            Self::Text(text) => (None, false, text),
            Self::Number(_, text) => (None, true, text),
            Self::Literal(literal) => (Some(literal), false, b""),
        }
    }
}

impl Condition {
    pub fn accepts(&self, value: Value<'_>) -> bool {
        match (self, value) {
            (Self::Present, _) => true,
            (Self::Absent, _) => false,
            (Self::NotTexts(texts), Value::Text(text)) => {
                texts.binary_search_by(|refused| (**refused).cmp(text)).is_err()
            }
            (Self::NotTexts(_), _) => true,
            (Self::Not(refused), _) => !refused.iter().any(|condition| condition.accepts(value)),
            (_, Value::Text(text)) => self.accepts_text(text),
            (_, Value::Number(number, text)) => self.accepts_number(number, text),
            (Self::Literal(wanted), Value::Literal(literal)) => *wanted == literal,
            _ => false,
        }
    }

    fn accepts_number(&self, number: &Number, text: &[u8]) -> bool {
        let candidate = number.candidate();
        match self {
            Self::Number(bits) => candidate.is_some_and(|double| double.to_bits() == *bits) && number.is_comparable(),
            // The pattern's number is not comparable, so one of the same text isn't either.
            Self::NumberText(wanted) => **wanted == *text,
            Self::Range(low, high) => {
                candidate.is_some_and(|double| (*low..=*high).contains(&number::order(double)))
                    && number.is_comparable()
            }
            _ => false,
        }
    }

    fn accepts_text(&self, text: &[u8]) -> bool {
        match self {
            Self::Text(wanted) => **wanted == *text,
            Self::Prefix(wanted) => text.starts_with(wanted),
            Self::Suffix(wanted) => text.ends_with(wanted),
            Self::Folded(edge, folded) => folded.accepts(*edge, text),
            Self::Wildcard(wildcard) => wildcard.accepts(text),
            Self::Address(wanted) => address::parse(text) == Some(**wanted),
            Self::Network(wanted, mask) => address::parse(text).is_some_and(|address| {
                address.bits == wanted.bits && address.network(*mask) == wanted.network(*mask)
            }),
            _ => false,
        }
    }

    /// Whether it accepts nearly every value, so that an index rather knows what it refuses.
    pub fn is_broad(&self) -> bool {
        matches!(self, Self::Present | Self::NotTexts(_) | Self::Not(_))
    }

    /// Bytes on the heap, about.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Text(text) | Self::NumberText(text) | Self::Prefix(text) | Self::Suffix(text) => text.len(),
            Self::Folded(_, folded) => {
                size_of::<Folded>() + folded.text.len() * if folded.text.is_ascii() { 1 } else { 60 }
            }
            Self::Wildcard(wildcard) => size_of::<Wildcard>() + wildcard.bytes(),
            Self::NotTexts(texts) => texts.iter().map(|text| text.len() + size_of::<Box<[u8]>>()).sum(),
            Self::Not(refused) => refused.iter().map(|condition| size_of::<Self>() + condition.bytes()).sum(),
            _ => 0,
        }
    }
}
