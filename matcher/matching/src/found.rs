//! What one event holds for the fields that rules look at.

use std::collections::HashSet;

use crate::condition::{Literal, Value};
use crate::event::Frame;
use crate::names::NOWHERE;
use crate::number::Number;

/// An element of an array that a value lies in, and the place around it. A scalar that is itself an element does not
/// carry its own place: only objects and arrays inside arrays give one.
#[derive(Clone, Copy)]
pub struct Place {
    pub array: u32,
    pub element: u32,
    pub around: u32,
}

#[derive(Clone)]
pub enum Kind {
    Text { decoded: bool },
    Number(Number),
    Literal(Literal),
}

/// A value of a field, as a part of the event's text or of what was decoded from it.
#[derive(Clone)]
pub struct Leaf {
    kind: Kind,
    start: usize,
    end: usize,
    /// NOWHERE outside all arrays of objects.
    pub place: u32,
    next: u32,
}

#[derive(Clone, Copy, Default)]
struct Ends {
    epoch: u32,
    first: u32,
    last: u32,
    /// Where the different values begin: at `first`, unless values were found to be repeated.
    once: u32,
    count: u32,
    /// Whether a value lies in an array of objects.
    placed: bool,
}

/// Ours: of a field with fewer values nobody looks whether they are repeated.
const COUNT_MIN: u32 = 1_024;

/// The values of a field, in the event's order.
pub struct Leaves<'a> {
    found: &'a Found,
    at: u32,
}

impl<'a> Iterator for Leaves<'a> {
    type Item = &'a Leaf;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let leaf = self.found.leaves.get(self.at as usize)?;
        self.at = leaf.next;
        Some(leaf)
    }
}

/// What one event holds for the fields that rules look at; used again for the next event.
#[derive(Default)]
pub struct Found {
    epoch: u32,
    pub decoded: Vec<u8>,
    pub name: Vec<u8>,
    leaves: Vec<Leaf>,
    ends: Vec<Ends>,
    pub frames: Vec<Frame>,
    pub arrays: u32,
    pub places: Vec<Place>,
    /// Fields that have a value, each once.
    pub fields: Vec<u32>,
    /// Whether some value lies in an array of objects.
    pub placed: bool,
}

impl Found {
    /// Forget the event before; `fields` is how many there are.
    pub fn begin(&mut self, fields: usize) {
        self.epoch = self.epoch.wrapping_add(1);
        if self.epoch == 0 {
            self.ends.fill(Ends::default());
            self.epoch = 1;
        }
        if self.ends.len() < fields {
            self.ends.resize(fields, Ends::default());
        }
        self.decoded.clear();
        self.leaves.clear();
        self.frames.clear();
        self.places.clear();
        self.fields.clear();
        (self.arrays, self.placed) = (0, false);
    }

    /// Bytes that grow with events.
    pub fn event_bytes(&self) -> usize {
        self.decoded.capacity()
            + self.name.capacity()
            + self.leaves.capacity() * size_of::<Leaf>()
            + self.frames.capacity() * size_of::<Frame>()
            + self.places.capacity() * size_of::<Place>()
    }

    /// Bytes that grow with the fields that rules look at.
    pub fn field_bytes(&self) -> usize {
        self.ends.capacity() * size_of::<Ends>() + self.fields.capacity() * size_of::<u32>()
    }

    #[inline]
    fn ends(&self, field: u32) -> Option<&Ends> {
        self.ends.get(field as usize).filter(|ends| ends.epoch == self.epoch)
    }

    #[inline]
    pub fn of(&self, field: u32) -> Leaves<'_> {
        Leaves { found: self, at: self.ends(field).map_or(NOWHERE, |ends| ends.first) }
    }

    /// The different values of a field; some may be given again.
    #[inline]
    pub fn once(&self, field: u32) -> Leaves<'_> {
        Leaves { found: self, at: self.ends(field).map_or(NOWHERE, |ends| ends.once) }
    }

    /// Let `once` give repeated values of a field once: a long list may hold the same a thousand times, and every
    /// predicate would be asked for each.
    pub fn part_repeated(&mut self, field: u32, event: &[u8]) {
        if self.ends(field).is_none_or(|ends| ends.count < COUNT_MIN) {
            return;
        }
        let mut known = HashSet::new();
        let different: Vec<Leaf> =
            self.of(field).filter(|leaf| known.insert(self.value(event, leaf).key())).cloned().collect();
        self.ends[field as usize].once = self.leaves.len() as u32;
        for leaf in different {
            let next = self.leaves.len() as u32 + 1;
            self.leaves.push(Leaf { next, ..leaf });
        }
        self.leaves.last_mut().into_iter().for_each(|last| last.next = NOWHERE);
    }

    #[inline]
    pub fn has(&self, field: u32) -> bool {
        self.ends(field).is_some()
    }

    /// Whether a value of the field lies in an array of objects.
    pub fn is_placed(&self, field: u32) -> bool {
        self.ends(field).is_some_and(|ends| ends.placed)
    }

    #[inline]
    pub fn value<'a>(&'a self, event: &'a [u8], leaf: &'a Leaf) -> Value<'a> {
        let part = |from: &'a [u8]| from.get(leaf.start..leaf.end).unwrap_or_default();
        match &leaf.kind {
            Kind::Text { decoded: false } => Value::Text(part(event)),
            Kind::Text { decoded: true } => Value::Text(part(&self.decoded)),
            Kind::Number(number) => Value::Number(number, part(event)),
            Kind::Literal(literal) => Value::Literal(*literal),
        }
    }

    pub fn keep(&mut self, field: u32, kind: Kind, start: usize, end: usize, place: u32) {
        let at = self.leaves.len() as u32;
        self.leaves.push(Leaf { kind, start, end, place, next: NOWHERE });
        self.placed |= place != NOWHERE;
        let ends = &mut self.ends[field as usize];
        if ends.epoch == self.epoch {
            self.leaves[ends.last as usize].next = at;
            ends.last = at;
            ends.count += 1;
            ends.placed |= place != NOWHERE;
        } else {
            let placed = place != NOWHERE;
            *ends = Ends { epoch: self.epoch, first: at, last: at, once: at, count: 1, placed };
            self.fields.push(field);
        }
    }
}
