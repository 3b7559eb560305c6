//! Array consistency as the rule reads: choose a value for each field in turn, so that all elements agree.
//!
//! For fields that lead several ways; `arrays` says which those are, and settles all others without a search.

use crate::arrays::{Field, accepts, may_be_absent};
use crate::found::{Found, Leaves};
use crate::names::NOWHERE;

/// Ours, as the reference has it: how many values and elements are looked at for one alternative. Where arrays
/// multiply, what would be found only after these is not found.
const STEPS_MAX: u32 = 10_000;

/// The ways to meet one field.
struct Ways<'a> {
    leaves: Leaves<'a>,
    /// Whether some value agrees with what the fields before chose.
    agreed: bool,
    /// The place of the value taken last: what another value there opens was tried.
    before: Option<u32>,
    /// How many arrays had an element chosen when this field began.
    chosen: usize,
}

struct Search<'a> {
    found: &'a Found,
    event: &'a [u8],
    /// By array: the element chosen, or NOWHERE.
    elements: Vec<u32>,
    /// Arrays with an element chosen, in order.
    chosen: Vec<u32>,
    steps_left: u32,
}

/// Whether the fields of one alternative, in path order, can be met together; tries at most `STEPS_MAX`.
pub fn finds(fields: &[Field<'_>], found: &Found, event: &[u8]) -> bool {
    let elements = vec![NOWHERE; found.arrays as usize + 1];
    let mut search = Search { found, event, elements, chosen: Vec::new(), steps_left: STEPS_MAX };
    let mut levels: Vec<Ways<'_>> = Vec::new();
    loop {
        let Some(field) = fields.get(levels.len()) else { return true };
        levels.push(search.ways(field));
        loop {
            if search.steps_left == 0 {
                return false;
            }
            let position = levels.len().wrapping_sub(1);
            let (Some(ways), Some(field)) = (levels.get_mut(position), fields.get(position)) else { return false };
            if search.next(ways, field) {
                break;
            }
            levels.pop();
        }
    }
}

impl<'a> Search<'a> {
    fn ways(&self, field: &Field<'_>) -> Ways<'a> {
        Ways { leaves: self.found.of(field.number), agreed: false, before: None, chosen: self.chosen.len() }
    }

    /// Meet the field in the next way, if there is one; its elements stay chosen until then.
    fn next(&mut self, ways: &mut Ways<'a>, field: &Field<'_>) -> bool {
        self.forget(ways.chosen);
        for leaf in ways.leaves.by_ref() {
            if self.steps_left == 0 {
                return false;
            }
            if !self.choose(leaf.place) {
                self.forget(ways.chosen);
                continue;
            }
            ways.agreed = true;
            if ways.before != Some(leaf.place) && accepts(field.conditions, self.found.value(self.event, leaf)) {
                ways.before = Some(leaf.place);
                return true;
            }
            self.forget(ways.chosen);
        }
        // Absence is the last way, and only once.
        !std::mem::replace(&mut ways.agreed, true) && may_be_absent(field.conditions)
    }

    /// Choose the elements around a value; false if another element of some array is chosen already.
    fn choose(&mut self, mut place: u32) -> bool {
        self.step();
        while let Some(at) = self.found.places.get(place as usize) {
            self.step();
            let element = &mut self.elements[at.array as usize];
            if *element == NOWHERE {
                *element = at.element;
                self.chosen.push(at.array);
            } else if *element != at.element {
                return false;
            }
            place = at.around;
        }
        true
    }

    fn step(&mut self) {
        self.steps_left = self.steps_left.saturating_sub(1);
    }

    /// Forget all but the first choices.
    fn forget(&mut self, kept: usize) {
        for array in self.chosen.drain(kept.min(self.chosen.len())..) {
            self.elements[array as usize] = NOWHERE;
        }
    }
}
