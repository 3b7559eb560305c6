//! Which alternatives are met by values that lie in the same elements of the event's arrays.
//!
//! ```text
//! {"items": {"sku": ["A"], "colour": ["red"]}}   must not match   items: [{A, blue}, {B, red}]
//! ```
//!
//! The rule, as AWS has it: fields are taken in the order of their paths (UTF-16). Each chooses one of its accepted
//! values, and with it the elements that this lies in; of no array two elements may be chosen. `exists: false` is met
//! if no value at all agrees with what smaller paths chose.
//!
//! Nearly always a field leads one way: in any object, all its values are in one array, or in none. Then each array is
//! settled by itself, the inner ones first: an alternative is met in an array if one of the elements has all that it
//! asks of this array. `exists: false` is met in an element that lacks the field, but not for the alternative's first
//! field in the array, before which no element is chosen. Alternatives are bits of a word, so that one walk over the
//! values is for many of them.
//!
//! Alternatives with fields that lead several ways (a repeated name, a dotted name beside a nested one, a list that has
//! scalars and lists) are left to `element_search`.

use crate::condition::{Condition, Value};
use crate::field_set::FieldSet;
use crate::found::Found;
use crate::pattern::FIELDS_MAX;
use crate::scopes::Scopes;

/// One field of an alternative.
#[derive(Clone, Copy)]
pub struct Field<'a> {
    pub number: u32,
    pub conditions: &'a [Condition],
}

pub fn accepts(conditions: &[Condition], value: Value<'_>) -> bool {
    conditions.iter().any(|condition| condition.accepts(value))
}

pub fn may_be_absent(conditions: &[Condition]) -> bool {
    conditions.contains(&Condition::Absent)
}

/// Alternatives of a batch, each a bit.
pub type Bits = u64;

/// A field as the alternatives of a batch ask for it: `who` do, and of these it is `needed_by` those that its absence
/// never meets. `lists` are their different conditions.
pub struct AskedField<'a> {
    pub number: u32,
    pub who: Bits,
    needed_by: Bits,
    lists: Vec<(&'a [Condition], Bits)>,
}

impl AskedField<'_> {
    /// Of some alternatives, those that a value meets.
    pub fn met_by(&self, value: Value<'_>, asking: Bits) -> Bits {
        let lists = self.lists.iter().filter(|list| list.1 & asking != 0);
        lists.fold(0, |met, &(conditions, who)| if accepts(conditions, value) { met | who } else { met })
    }
}

/// A field whose absence may meet an alternative, and the alternative's fields before it.
struct Absent {
    field: usize,
    who: Bits,
    before: FieldSet,
}

/// Alternatives that are asked together, by their numbers, with the fields of theirs that have values in arrays.
#[derive(Default)]
pub struct Batch<'a> {
    alternatives: Vec<u32>,
    fields: Vec<AskedField<'a>>,
    absent: Vec<Absent>,
}

/// Of a batch, the alternatives that are met, and those that a search has to decide.
pub struct Decided {
    pub met: Bits,
    pub searched: Bits,
}

impl<'a> Batch<'a> {
    pub fn alternatives(&self) -> &[u32] {
        &self.alternatives
    }

    /// Whether there is room for one more alternative with so many fields.
    pub fn has_room(&self, fields: usize) -> bool {
        self.alternatives.len() < Bits::BITS as usize && self.fields.len() + fields <= FIELDS_MAX
    }

    /// Take in an alternative with its fields that have values in arrays, in path order.
    pub fn add(&mut self, alternative: u32, fields: impl Iterator<Item = Field<'a>>) {
        let who = 1 << self.alternatives.len();
        self.alternatives.push(alternative);
        let mut before = FieldSet::EMPTY;
        for Field { number, conditions } in fields {
            let at = self.asked(number);
            let asked = &mut self.fields[at];
            asked.who |= who;
            match asked.lists.iter_mut().find(|list| std::ptr::eq(list.0, conditions)) {
                Some(list) => list.1 |= who,
                None => asked.lists.push((conditions, who)),
            }
            if may_be_absent(conditions) {
                self.absent.push(Absent { field: at, who, before });
            } else {
                asked.needed_by |= who;
            }
            before = before | FieldSet::of(at);
        }
    }

    fn asked(&mut self, number: u32) -> usize {
        self.fields.iter().position(|field| field.number == number).unwrap_or_else(|| {
            self.fields.push(AskedField { number, who: 0, needed_by: 0, lists: Vec::new() });
            self.fields.len() - 1
        })
    }

    pub fn decide(&self, found: &Found, event: &[u8], scopes: &mut Scopes) -> Decided {
        scopes.begin(found);
        let mut several_ways = FieldSet::EMPTY;
        for (at, field) in self.fields.iter().enumerate() {
            if scopes.put(FieldSet::of(at), field, found, event) {
                several_ways = several_ways | FieldSet::of(at);
            }
        }
        several_ways = several_ways | scopes.settle(self, found);
        Decided { met: scopes.met(), searched: self.who(several_ways) }
    }

    /// The alternatives that ask for any of `fields`.
    pub fn who(&self, fields: FieldSet) -> Bits {
        self.fields.iter().enumerate().filter(|(at, _)| fields.has(*at)).fold(0, |who, (_, field)| who | field.who)
    }

    /// The alternatives that an element of an array fails by having none of `missing`, of the array's `fields`. Absence
    /// will do where a smaller one of the fields is asked for too, since this chose the element.
    pub fn lacking(&self, fields: FieldSet, missing: FieldSet) -> Bits {
        if missing.is_empty() {
            return 0;
        }
        let needed = self.fields.iter().enumerate().filter(|(at, _)| missing.has(*at));
        let lacking = needed.fold(0, |lacking, (_, field)| lacking | field.needed_by);
        let first = self.absent.iter().filter(|one| missing.has(one.field) && (one.before & fields).is_empty());
        first.fold(lacking, |lacking, one| lacking | one.who)
    }
}
