//! Where a condition is looked up: under which keys, beginnings or ranges.

use std::borrow::Cow;

use crate::address::Address;
use crate::condition::{Condition, Literal};
use crate::fold::Edge;
use crate::wildcard::Anchor;

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Tag {
    Text,
    Number,
    NumberText,
    Literal,
    Address,
    Network,
    Folded,
}

pub const TAGS: usize = 7;

/// Where a condition is looked up.
pub enum Spot<'a> {
    Key(Tag, Cow<'a, [u8]>),
    Beginning(Beginnings, Cow<'a, [u8]>),
    Range(u64, u64),
}

/// Which of a field's trees of beginnings; ends are beginnings backwards.
#[derive(Clone, Copy)]
pub enum Beginnings {
    Prefix,
    Suffix,
    Inside,
    FoldedPrefix,
    FoldedSuffix,
}

pub fn address_key(address: Address) -> [u8; 17] {
    let mut key = [address.bits; 17];
    key[1..].copy_from_slice(&address.number.to_le_bytes());
    key
}

pub fn network_key(address: Address, mask: u8) -> [u8; 18] {
    let mut key = [mask; 18];
    key[1..].copy_from_slice(&address_key(Address { bits: address.bits, number: address.network(mask) }));
    key
}

pub fn literal_key(literal: Literal) -> &'static [u8] {
    match literal {
        Literal::Null => b"n",
        Literal::True => b"t",
        Literal::False => b"f",
    }
}

pub fn reversed(text: &[u8]) -> Vec<u8> {
    text.iter().rev().copied().collect()
}

/// Every spot of a condition, and whether a value that leads there surely meets it.
pub fn spots<'a>(condition: &'a Condition, give: &mut dyn FnMut(Spot<'a>, bool)) {
    let mut key = |tag, key: Cow<'a, [u8]>| give(Spot::Key(tag, key), true);
    match condition {
        Condition::Text(text) => key(Tag::Text, Cow::Borrowed(text)),
        Condition::Number(bits) => key(Tag::Number, bits.to_le_bytes().to_vec().into()),
        Condition::NumberText(text) => key(Tag::NumberText, Cow::Borrowed(text)),
        Condition::Literal(literal) => key(Tag::Literal, literal_key(*literal).into()),
        Condition::Address(address) => key(Tag::Address, address_key(**address).to_vec().into()),
        Condition::Network(address, mask) => key(Tag::Network, network_key(**address, *mask).to_vec().into()),
        Condition::Prefix(text) => give(Spot::Beginning(Beginnings::Prefix, Cow::Borrowed(text)), true),
        Condition::Suffix(text) => give(Spot::Beginning(Beginnings::Suffix, reversed(text).into()), true),
        Condition::Range(low, high) => give(Spot::Range(*low, *high), true),
        Condition::Folded(edge, folded) => {
            let (anchor, whole) = folded.anchor(*edge);
            let spot = match edge {
                Edge::Whole if whole => Spot::Key(Tag::Folded, anchor.into()),
                Edge::Suffix => Spot::Beginning(Beginnings::FoldedSuffix, reversed(&anchor).into()),
                _ => Spot::Beginning(Beginnings::FoldedPrefix, anchor.into()),
            };
            give(spot, false);
        }
        Condition::Wildcard(wildcard) => {
            let spot = match wildcard.anchor() {
                Anchor::Prefix(text) => Spot::Beginning(Beginnings::Prefix, text.into()),
                Anchor::Suffix(text) => Spot::Beginning(Beginnings::Suffix, reversed(text).into()),
                Anchor::Inside(text) => Spot::Beginning(Beginnings::Inside, text.into()),
                Anchor::Anything => Spot::Beginning(Beginnings::Prefix, (&b""[..]).into()),
            };
            give(spot, false);
        }
        Condition::NotTexts(texts) => {
            texts.iter().for_each(|text| give(Spot::Key(Tag::Text, Cow::Borrowed(text)), false));
        }
        Condition::Not(refused) => {
            refused.iter().for_each(|condition| spots(condition, &mut |spot, _| give(spot, false)));
        }
        Condition::Present | Condition::Absent => {}
    }
}
