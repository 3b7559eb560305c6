//! Which rules an event matches: what its values open, and what waits there.

use crate::arrays::{self, Field};
use crate::condition::Condition;
use crate::event::{InvalidEvent, read};
use crate::found::Found;
use crate::matcher::{Matcher, Predicate};
use crate::scratch::Scratch;

impl Matcher {
    /// The numbers of the rules that match, each once, in no promised order; `id` gives their names.
    pub fn find<'s>(&self, event: &[u8], scratch: &'s mut Scratch) -> Result<&'s [u32], InvalidEvent> {
        read(event, &self.names, &mut scratch.blocks, &mut scratch.found)?;
        scratch.begin(self.predicates.items.len(), self.rules.items.len());
        self.open(event, scratch);
        for next in 0..scratch.opened.len() {
            let Some(predicate) = self.predicates.get(scratch.opened[next]) else { continue };
            for &at in predicate.waiting.as_slice() {
                self.ask(at, event, scratch);
            }
        }
        Ok(&scratch.matched)
    }

    /// Find the predicates that the event opens. Where values lie in arrays of objects a field may be absent for one
    /// element and present for another, so absence is taken as possible there.
    fn open(&self, event: &[u8], scratch: &mut Scratch) {
        for next in 0..scratch.found.fields.len() {
            let field = scratch.found.fields[next];
            scratch.postings.clear();
            scratch.buffers.begin();
            for leaf in scratch.found.of(field) {
                let value = scratch.found.value(event, leaf);
                self.index.find(field, value, &mut scratch.buffers, &mut scratch.postings);
                scratch.buffers.settle(&mut scratch.postings);
            }
            for next in 0..scratch.postings.len() {
                let posting = scratch.postings[next];
                let predicate = posting >> 1;
                if scratch.known(predicate).is_none() {
                    let met = posting & 1 == 1 || self.possible(predicate, event, &scratch.found);
                    scratch.open(predicate, met);
                }
            }
            for &predicate in self.index.broad(field) {
                if scratch.known(predicate).is_none() {
                    scratch.open(predicate, true);
                }
            }
        }
        for &predicate in &self.absent {
            let Some(field) = self.predicates.get(predicate).map(|predicate| predicate.field) else { continue };
            let possible = scratch.found.placed || !scratch.found.has(field);
            if possible && scratch.known(predicate) != Some(true) {
                scratch.open(predicate, true);
            }
        }
    }

    /// Whether some value of the field meets a predicate by itself, or its absence may.
    fn possible(&self, predicate: u32, event: &[u8], found: &Found) -> bool {
        let Some(Predicate { field, conditions, .. }) = self.predicates.get(predicate) else { return false };
        let mut leaves = found.of(*field);
        leaves.any(|leaf| {
            let value = found.value(event, leaf);
            conditions.iter().any(|condition| condition.accepts(value))
        }) || ((found.placed || !found.has(*field)) && conditions.contains(&Condition::Absent))
    }

    /// Take the rule of an alternative in if the event matches it.
    fn ask(&self, at: u32, event: &[u8], scratch: &mut Scratch) {
        let Some(alternative) = self.alternatives.get(at) else { return };
        let rule = alternative.rule;
        if scratch.rules[rule as usize] == scratch.epoch {
            return;
        }
        for &predicate in &alternative.predicates {
            let met = match scratch.known(predicate) {
                Some(met) => met,
                None => {
                    let met = self.possible(predicate, event, &scratch.found);
                    scratch.learn(predicate, met)
                }
            };
            if !met {
                return;
            }
        }
        if scratch.found.placed {
            let fields: Vec<Field<'_>> = alternative
                .predicates
                .iter()
                .filter_map(|&at| self.predicates.get(at))
                .map(|predicate| Field { number: predicate.field, conditions: &predicate.conditions })
                .collect();
            if !arrays::met(&fields, &scratch.found, event) {
                return;
            }
        }
        scratch.rules[rule as usize] = scratch.epoch;
        scratch.matched.push(rule);
    }
}
