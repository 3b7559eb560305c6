//! The arrays of one event, as far as a batch of alternatives looks into them.

use crate::arrays::{AskedField, Batch, Bits};
use crate::field_set::FieldSet;
use crate::found::Found;

/// The event, or an element of an array: which fields have values in it, and which alternatives these meet. What is in
/// arrays in it counts when they are settled.
#[derive(Clone, Copy)]
struct Scope {
    fields: FieldSet,
    met: Bits,
}

/// Which fields have values in its elements, which alternatives have one that meets them, and the place of the first.
#[derive(Clone, Copy)]
struct Array {
    fields: FieldSet,
    met: Bits,
    first: Option<u32>,
}

/// Room for what is found out about one event, used again for the next.
#[derive(Default)]
pub struct Scopes {
    /// The event, and then an element for each place.
    scopes: Vec<Scope>,
    arrays: Vec<Array>,
}

fn scope_at(place: u32) -> usize {
    place.wrapping_add(1) as usize
}

impl Scopes {
    pub fn begin(&mut self, found: &Found) {
        self.scopes.clear();
        self.scopes.resize(found.places.len() + 1, Scope { fields: FieldSet::EMPTY, met: Bits::MAX });
        self.arrays.clear();
        self.arrays.resize(found.arrays as usize + 1, Array { fields: FieldSet::EMPTY, met: 0, first: None });
        for (at, place) in found.places.iter().enumerate() {
            self.arrays[place.array as usize].first.get_or_insert(at as u32);
        }
    }

    /// Put what a field's values meet into the scopes that they lie in; whether the field leads several ways.
    pub fn put(&mut self, field: FieldSet, asked: &AskedField<'_>, found: &Found, event: &[u8]) -> bool {
        let mut several = false;
        let mut leaves = found.of(asked.number).peekable();
        while let Some(first) = leaves.next() {
            let scope = &mut self.scopes[scope_at(first.place)];
            let asking = asked.who & scope.met;
            let mut met = asked.met_by(found.value(event, first), asking);
            while let Some(next) = leaves.next_if(|next| next.place == first.place) {
                met |= asked.met_by(found.value(event, next), asking & !met);
            }
            several |= !(scope.fields & field).is_empty();
            scope.fields = scope.fields | field;
            scope.met &= !asked.who | met;
        }
        several
    }

    /// Take each array's alternatives into the scope around it, the inner ones first, and give the fields that lead
    /// several ways. Places and arrays have smaller numbers than those in them.
    pub fn settle(&mut self, batch: &Batch<'_>, found: &Found) -> FieldSet {
        let mut several_ways = FieldSet::EMPTY;
        for (at, place) in found.places.iter().enumerate().rev() {
            let array = &mut self.arrays[place.array as usize];
            array.fields = array.fields | self.scopes[at + 1].fields;
            if array.first == Some(at as u32) {
                let around = &mut self.scopes[scope_at(place.around)].fields;
                several_ways = several_ways | (*around & array.fields);
                *around = *around | array.fields;
            }
        }
        let mut lacking = (FieldSet::EMPTY, FieldSet::EMPTY, 0);
        for (at, place) in found.places.iter().enumerate().rev() {
            let Scope { fields, met } = self.scopes[at + 1];
            let array = &mut self.arrays[place.array as usize];
            if array.fields.is_empty() {
                continue;
            }
            let missing = array.fields - fields;
            // Elements are much alike.
            if (lacking.0, lacking.1) != (array.fields, missing) {
                lacking = (array.fields, missing, batch.lacking(array.fields, missing));
            }
            array.met |= met & !lacking.2;
            if array.first == Some(at as u32) {
                self.scopes[scope_at(place.around)].met &= array.met | !batch.who(array.fields);
            }
        }
        several_ways
    }

    pub fn bytes(&self) -> usize {
        self.scopes.capacity() * size_of::<Scope>() + self.arrays.capacity() * size_of::<Array>()
    }

    /// The alternatives that are met in the whole event.
    pub fn met(&self) -> Bits {
        self.scopes.first().map_or(0, |event| event.met)
    }
}
