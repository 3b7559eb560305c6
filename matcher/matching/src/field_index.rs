//! One field's part of the index: all but the exact keys.

use crate::fold;
use crate::intervals::Intervals;
use crate::radix::{Given, Radix};
use crate::spots::TAGS;

/// One field's part; its exact keys are in the table that all fields share.
#[derive(Default)]
pub struct FieldIndex {
    pub keys: [u32; TAGS],
    /// Families and masks of networks, with how many there are.
    pub masks: Vec<(u8, u8, u32)>,
    pub beginnings: [Option<Box<Radix>>; 5],
    pub ranges: Option<Box<Intervals>>,
    /// Predicates that any value meets unless one leads to them.
    pub broad: Vec<u32>,
}

/// Room for values that are turned around or made one case.
#[derive(Default)]
pub struct Buffers {
    /// How many postings may come together before those that came twice are left out.
    limit: usize,
    reversed: Vec<u8>,
    pub simple: Vec<u8>,
    /// By tree of beginnings: what the field's values led to already.
    given: [Given; 5],
}

/// Ours: fewer postings than this are never looked through for repetition.
const POSTINGS_MIN: usize = 1_024;

impl Buffers {
    /// Keep postings few: each value of a long list may give the same ones again.
    #[inline]
    pub fn settle(&mut self, postings: &mut Vec<u32>) {
        if postings.len() > self.limit.max(POSTINGS_MIN) {
            postings.sort_unstable();
            postings.dedup();
            self.limit = postings.len() * 2;
        }
    }

    /// Bytes that grow with the texts of events.
    pub fn text_bytes(&self) -> usize {
        self.reversed.capacity() + self.simple.capacity()
    }

    /// Bytes that grow with trees of beginnings.
    pub fn node_bytes(&self) -> usize {
        self.given.iter().map(Given::bytes).sum()
    }

    /// Begin a field, with no postings.
    pub fn begin(&mut self) {
        self.limit = 0;
        self.given.iter_mut().for_each(Given::begin);
    }
}

/// Count one more network under a mask.
pub fn count_mask(masks: &mut Vec<(u8, u8, u32)>, bits: u8, mask: u8) {
    match masks.iter_mut().find(|known| (known.0, known.1) == (bits, mask)) {
        Some(known) => known.2 += 1,
        None => masks.push((bits, mask, 1)),
    }
}

impl FieldIndex {
    pub fn is_empty(&self) -> bool {
        self.broad.is_empty()
            && self.keys.iter().all(|&count| count == 0)
            && self.beginnings.iter().all(Option::is_none)
            && self.ranges.is_none()
    }

    /// Append the postings of beginnings, ends and parts of a text.
    pub fn find_parts(&self, text: &[u8], buffers: &mut Buffers, out: &mut Vec<u32>) {
        let [prefixes, suffixes, inside, folded_prefixes, folded_suffixes] = &self.beginnings;
        let Buffers { reversed, simple, given, .. } = buffers;
        let [in_prefixes, in_suffixes, in_inside, in_folded_prefixes, in_folded_suffixes] = given;
        if let Some(tree) = prefixes {
            tree.walk(text, in_prefixes, out);
        }
        if let Some(tree) = suffixes {
            reversed.clear();
            reversed.extend(text.iter().rev());
            tree.walk(reversed, in_suffixes, out);
        }
        if let Some(tree) = inside {
            (0..text.len()).for_each(|from| tree.walk(&text[from..], in_inside, out));
        }
        if folded_prefixes.is_some() || folded_suffixes.is_some() {
            fold::simplify(text, simple);
        }
        if let Some(tree) = folded_prefixes {
            tree.walk(simple, in_folded_prefixes, out);
        }
        if let Some(tree) = folded_suffixes {
            simple.reverse();
            tree.walk(simple, in_folded_suffixes, out);
        }
    }

    pub fn bytes(&self) -> usize {
        let trees: usize = self.beginnings.iter().flatten().map(|tree| size_of::<Radix>() + tree.bytes()).sum();
        let ranges = self.ranges.as_ref().map_or(0, |ranges| size_of::<Intervals>() + ranges.bytes());
        size_of::<Self>() + self.masks.capacity() * 8 + self.broad.capacity() * 4 + trees + ranges
    }
}
