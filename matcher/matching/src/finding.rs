//! Which rules an event matches: what its values open, and what waits there.

use crate::arrays::{Batch, Field, accepts, may_be_absent};
use crate::element_search;
use crate::event::{InvalidEvent, read};
use crate::found::Found;
use crate::matcher::{Alternative, Matcher, Predicate};
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
        self.settle(event, scratch);
        Ok(&scratch.matched)
    }

    /// Find the predicates that the event opens. Where values lie in arrays of objects a field may be absent for one
    /// element and present for another, so absence is taken as possible there.
    fn open(&self, event: &[u8], scratch: &mut Scratch) {
        for next in 0..scratch.found.fields.len() {
            let field = scratch.found.fields[next];
            scratch.postings.clear();
            scratch.buffers.begin();
            scratch.found.part_repeated(field, event);
            for leaf in scratch.found.once(field) {
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
        found.once(*field).any(|leaf| accepts(conditions, found.value(event, leaf)))
            || ((found.placed || !found.has(*field)) && may_be_absent(conditions))
    }

    /// Take the rule of an alternative in if the event matches it; where values lie in arrays it is still a candidate.
    fn ask(&self, at: u32, event: &[u8], scratch: &mut Scratch) {
        let Some(alternative) = self.alternatives.get(at) else { return };
        let rule = alternative.rule;
        if scratch.has(rule) {
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
            scratch.candidates.push(at);
        } else {
            scratch.take(rule);
        }
    }

    /// Take in the rules of those candidates whose fields are met together.
    fn settle(&self, event: &[u8], scratch: &mut Scratch) {
        let candidates = std::mem::take(&mut scratch.candidates);
        let mut batch = Batch::default();
        for &at in &candidates {
            let Some(alternative) = self.alternatives.get(at) else { continue };
            let fields = || self.fields_of(alternative);
            let found = &scratch.found;
            let placed = fields().filter(|field| found.is_placed(field.number)).count();
            // A field that has nothing to agree with is met by itself. That was seen, unless its absence would do.
            let alone = |field: &Field<'_>| placed < 2 || !found.is_placed(field.number);
            if scratch.has(alternative.rule)
                || fields().any(|field| alone(&field) && has_values_only_refused(&field, event, found))
            {
                continue;
            }
            if placed < 2 {
                scratch.take(alternative.rule);
                continue;
            }
            if !batch.has_room(placed) {
                self.decide(&std::mem::take(&mut batch), event, scratch);
            }
            let found = &scratch.found;
            batch.add(at, fields().filter(|field| found.is_placed(field.number)));
        }
        self.decide(&batch, event, scratch);
        scratch.candidates = candidates;
    }

    fn fields_of<'a>(&'a self, alternative: &'a Alternative) -> impl Iterator<Item = Field<'a>> {
        let predicates = alternative.predicates.iter().filter_map(|&at| self.predicates.get(at));
        predicates.map(|predicate| Field { number: predicate.field, conditions: &predicate.conditions })
    }

    fn decide(&self, batch: &Batch<'_>, event: &[u8], scratch: &mut Scratch) {
        // Most events have nothing to settle, and need no scopes.
        if batch.alternatives().is_empty() {
            return;
        }
        let decided = batch.decide(&scratch.found, event, &mut scratch.scopes);
        for (place, &at) in batch.alternatives().iter().enumerate() {
            let Some(alternative) = self.alternatives.get(at) else { continue };
            let met = if decided.searched >> place & 1 == 1 {
                let fields: Vec<Field<'_>> = self.fields_of(alternative).collect();
                element_search::finds(&fields, &scratch.found, event)
            } else {
                decided.met >> place & 1 == 1
            };
            if met && !scratch.has(alternative.rule) {
                scratch.take(alternative.rule);
            }
        }
    }
}

/// Whether a field that may be absent is not, and none of its values is accepted.
fn has_values_only_refused(field: &Field<'_>, event: &[u8], found: &Found) -> bool {
    may_be_absent(field.conditions)
        && found.has(field.number)
        && !found.once(field.number).any(|leaf| accepts(field.conditions, found.value(event, leaf)))
}
