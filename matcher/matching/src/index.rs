//! From a value of a field to the predicates that it opens, or whose mind it may change.
//!
//! A posting is a predicate's number, doubled, plus one when the value surely meets it; otherwise the predicate must be
//! asked. A broad predicate (`anything-but`, `exists`) is kept by what it refuses: it is met unless a value leads to
//! it. What has no value to be looked up by is looked up by a part: a wildcard by one of its literals, a text in any
//! case by its beginning.

use hashbrown::HashTable;

use crate::address;
use crate::condition::{Condition, Value};
use crate::field_index::{Buffers, FieldIndex, count_mask};
use crate::fold;
use crate::hash::Seed;
use crate::number;
use crate::postings::Postings;
use crate::spots::{Spot, Tag, address_key, literal_key, network_key, spots};

struct Entry {
    field: u32,
    tag: Tag,
    key: Box<[u8]>,
    postings: Postings,
}

pub struct Index {
    seed: Seed,
    table: HashTable<Entry>,
    fields: Vec<Option<Box<FieldIndex>>>,
}

impl Index {
    pub fn new(seed: Seed) -> Self {
        Self { seed, table: HashTable::new(), fields: Vec::new() }
    }

    fn field(&mut self, field: u32) -> &mut FieldIndex {
        let at = field as usize;
        if self.fields.len() <= at {
            self.fields.resize_with(at + 1, || None);
        }
        self.fields[at].get_or_insert_default()
    }

    fn hash(&self, field: u32, tag: Tag, key: &[u8]) -> u64 {
        self.seed.of(u64::from(field) << 8 | tag as u64, key)
    }

    fn entry(&self, field: u32, tag: Tag, key: &[u8]) -> Option<&Entry> {
        self.table.find(self.hash(field, tag, key), |entry| same(entry, field, tag, key))
    }

    /// Let values lead to a predicate.
    pub fn put(&mut self, field: u32, predicate: u32, conditions: &[Condition]) {
        for condition in conditions {
            spots(condition, &mut |spot, sure| self.put_spot(field, spot, predicate << 1 | u32::from(sure)));
        }
        if conditions.iter().any(Condition::is_broad) {
            self.field(field).broad.push(predicate);
        }
    }

    fn put_spot(&mut self, field: u32, spot: Spot<'_>, posting: u32) {
        match spot {
            Spot::Key(tag, key) => {
                self.field(field).keys[tag as usize] += 1;
                if let (Tag::Network, &[mask, bits, ..]) = (tag, &*key) {
                    count_mask(&mut self.field(field).masks, bits, mask);
                }
                let hash = self.hash(field, tag, &key);
                let seed = self.seed;
                let hash_of = |entry: &Entry| seed.of(u64::from(entry.field) << 8 | entry.tag as u64, &entry.key);
                self.table
                    .entry(hash, |entry| same(entry, field, tag, &key), hash_of)
                    .or_insert_with(|| Entry { field, tag, key: key.as_ref().into(), postings: Postings::None })
                    .get_mut()
                    .postings
                    .add(posting);
            }
            Spot::Beginning(which, text) => {
                self.field(field).beginnings[which as usize].get_or_insert_default().add(&text, posting);
            }
            Spot::Range(low, high) => self.field(field).ranges.get_or_insert_default().add(low, high, posting),
        }
    }

    /// Undo one `put`.
    pub fn take(&mut self, field: u32, predicate: u32, conditions: &[Condition]) {
        for condition in conditions {
            spots(condition, &mut |spot, sure| self.take_spot(field, spot, predicate << 1 | u32::from(sure)));
        }
        let index = self.field(field);
        if let Some(at) = index.broad.iter().rposition(|&other| other == predicate) {
            index.broad.swap_remove(at);
        }
        if index.is_empty() {
            self.fields[field as usize] = None;
        }
    }

    fn take_spot(&mut self, field: u32, spot: Spot<'_>, posting: u32) {
        match spot {
            Spot::Key(tag, key) => {
                self.field(field).keys[tag as usize] -= 1;
                if let (Tag::Network, &[mask, bits, ..]) = (tag, &*key) {
                    let masks = &mut self.field(field).masks;
                    masks
                        .iter_mut()
                        .filter(|known| (known.0, known.1) == (bits, mask))
                        .for_each(|known| known.2 -= 1);
                    masks.retain(|known| known.2 > 0);
                }
                let hash = self.hash(field, tag, &key);
                if let Ok(mut entry) = self.table.find_entry(hash, |entry| same(entry, field, tag, &key)) {
                    entry.get_mut().postings.remove(posting);
                    if entry.get().postings.as_slice().is_empty() {
                        entry.remove();
                    }
                }
            }
            Spot::Beginning(which, text) => {
                let tree = &mut self.field(field).beginnings[which as usize];
                tree.iter_mut().for_each(|tree| tree.remove(&text, posting));
                if tree.as_ref().is_some_and(|tree| tree.texts == 0) {
                    *tree = None;
                }
            }
            Spot::Range(low, _) => {
                let ranges = &mut self.field(field).ranges;
                ranges.iter_mut().for_each(|ranges| ranges.remove(low, posting));
                if ranges.as_ref().is_some_and(|ranges| ranges.len() == 0) {
                    *ranges = None;
                }
            }
        }
    }

    /// How many predicates the values that a condition accepts already lead to, about.
    pub fn load(&self, field: u32, condition: &Condition) -> usize {
        let Some(index) = self.fields.get(field as usize).and_then(Option::as_ref) else { return 0 };
        let mut load = if condition.is_broad() { index.broad.len() } else { 0 };
        spots(condition, &mut |spot, _| {
            load += match spot {
                Spot::Key(tag, key) => {
                    self.entry(field, tag, &key).map_or(0, |entry| entry.postings.as_slice().len())
                }
                Spot::Beginning(which, text) => {
                    index.beginnings[which as usize].as_ref().map_or(0, |tree| tree.load(&text))
                }
                Spot::Range(..) => 0,
            };
        });
        load
    }

    pub fn broad(&self, field: u32) -> &[u32] {
        self.fields.get(field as usize).and_then(Option::as_ref).map_or(&[], |index| &index.broad)
    }

    /// Append the postings that a value leads to.
    #[inline]
    pub fn find(&self, field: u32, value: Value<'_>, buffers: &mut Buffers, out: &mut Vec<u32>) {
        let Some(index) = self.fields.get(field as usize).and_then(Option::as_ref) else { return };
        let mut look = |tag: Tag, key: &[u8]| {
            if index.keys[tag as usize] > 0
                && let Some(entry) = self.entry(field, tag, key)
            {
                out.extend_from_slice(entry.postings.as_slice());
            }
        };
        match value {
            Value::Text(text) => {
                look(Tag::Text, text);
                if index.keys[Tag::Address as usize] + index.keys[Tag::Network as usize] > 0
                    && let Some(address) = address::parse(text)
                {
                    look(Tag::Address, &address_key(address));
                    for &(bits, mask, _) in &index.masks {
                        if bits == address.bits {
                            look(Tag::Network, &network_key(address, mask));
                        }
                    }
                }
                if index.keys[Tag::Folded as usize] > 0 {
                    fold::simplify(text, &mut buffers.simple);
                    look(Tag::Folded, &buffers.simple);
                }
                index.find_parts(text, buffers, out);
            }
            Value::Number(number, text) => {
                look(Tag::NumberText, text);
                let before = out.len();
                if let Some(double) = number.candidate() {
                    self.find_number(index, field, double, out);
                }
                if out.len() > before && !number.is_comparable() {
                    out.truncate(before);
                }
            }
            Value::Literal(literal) => look(Tag::Literal, literal_key(literal)),
        }
    }

    fn find_number(&self, index: &FieldIndex, field: u32, double: f64, out: &mut Vec<u32>) {
        if index.keys[Tag::Number as usize] > 0
            && let Some(entry) = self.entry(field, Tag::Number, &double.to_bits().to_le_bytes())
        {
            out.extend_from_slice(entry.postings.as_slice());
        }
        if let Some(ranges) = &index.ranges {
            ranges.find(number::order(double), |posting| out.push(posting));
        }
    }

    /// Whether nothing is left of what was there.
    pub fn is_clear(&self) -> bool {
        self.table.is_empty() && self.fields.iter().all(Option::is_none)
    }

    /// Bytes that all of it takes, about.
    pub fn bytes(&self) -> usize {
        let keys: usize = self.table.iter().map(|entry| entry.key.len() + 16 + entry.postings.bytes()).sum();
        let fields: usize = self.fields.iter().flatten().map(|index| index.bytes()).sum();
        self.table.capacity() * (size_of::<Entry>() + 1) * 8 / 7 + keys + self.fields.capacity() * 8 + fields
    }
}

fn same(entry: &Entry, field: u32, tag: Tag, key: &[u8]) -> bool {
    entry.field == field && entry.tag == tag && *entry.key == *key
}
