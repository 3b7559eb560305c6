//! All patterns at once.
//!
//! Every alternative of a pattern is a set of *predicates*: a field with a value list. Equal predicates are one. Each
//! alternative waits under that one of its predicates that the fewest events are expected to meet; an event's values
//! open predicates through the index, and only the alternatives that wait there are looked at. What else they ask for
//! is asked at most once an event for each predicate.
//!
//! A tree of states, one step a field, as the reference has it, was the other way: it asks less of rules with common
//! beginnings, but a rule's place in it depends on the rules that came before, and it takes several times the memory.

use std::sync::Arc;

use hashbrown::HashTable;

use crate::arrays::{self, Field};
use crate::condition::Condition;
use crate::event::{Found, InvalidEvent, read};
use crate::hash::Seed;
use crate::index::{Buffers, Index};
use crate::names::Names;
use crate::pattern::{Alternative as Fields, Conditions, InvalidPattern, parse, path_order};
use crate::postings::Postings;

struct Predicate {
    field: u32,
    uses: u32,
    hash: u64,
    conditions: Conditions,
    /// The alternatives that wait here.
    waiting: Postings,
}

struct Alternative {
    rule: u32,
    /// The predicate that it waits under.
    under: u32,
    /// All its predicates, in path order.
    predicates: Box<[u32]>,
}

struct Rule {
    id: Arc<str>,
    alternatives: Box<[u32]>,
}

/// Things by number; numbers are used again.
struct Slab<T> {
    items: Vec<Option<T>>,
    free: Vec<u32>,
}

impl<T> Slab<T> {
    fn add(&mut self, item: T) -> u32 {
        if let Some(at) = self.free.pop() {
            self.items[at as usize] = Some(item);
            return at;
        }
        self.items.push(Some(item));
        self.items.len() as u32 - 1
    }

    fn get(&self, at: u32) -> Option<&T> {
        self.items.get(at as usize)?.as_ref()
    }

    fn get_mut(&mut self, at: u32) -> Option<&mut T> {
        self.items.get_mut(at as usize)?.as_mut()
    }

    fn remove(&mut self, at: u32) -> Option<T> {
        let item = self.items.get_mut(at as usize)?.take();
        if item.is_some() {
            self.free.push(at);
        }
        item
    }

    fn bytes(&self) -> usize {
        self.items.capacity() * size_of::<Option<T>>() + self.free.capacity() * 4
    }
}

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Self { items: Vec::new(), free: Vec::new() }
    }
}

/// What one match needs besides the matcher. Kept by the caller to be used again, by one thread at a time.
#[derive(Default)]
pub struct Scratch {
    found: Found,
    epoch: u32,
    /// By predicate: the epoch it was asked in, doubled, plus one when it is met.
    verdicts: Vec<u32>,
    /// By rule: the epoch in which it was found to match.
    rules: Vec<u32>,
    opened: Vec<u32>,
    postings: Vec<u32>,
    buffers: Buffers,
    matched: Vec<u32>,
}

const EPOCH_MAX: u32 = u32::MAX >> 1;

impl Scratch {
    fn begin(&mut self, predicates: usize, rules: usize) {
        if self.epoch == EPOCH_MAX {
            self.verdicts.fill(0);
            self.rules.fill(0);
            self.epoch = 0;
        }
        self.epoch += 1;
        if self.verdicts.len() < predicates {
            self.verdicts.resize(predicates, 0);
        }
        if self.rules.len() < rules {
            self.rules.resize(rules, 0);
        }
        self.opened.clear();
        self.matched.clear();
    }

    /// What was found out about a predicate in this event.
    #[inline]
    fn known(&self, predicate: u32) -> Option<bool> {
        let verdict = self.verdicts[predicate as usize];
        (verdict >> 1 == self.epoch).then_some(verdict & 1 == 1)
    }

    #[inline]
    fn learn(&mut self, predicate: u32, met: bool) -> bool {
        self.verdicts[predicate as usize] = self.epoch << 1 | u32::from(met);
        met
    }

    fn open(&mut self, predicate: u32, met: bool) {
        if self.learn(predicate, met) {
            self.opened.push(predicate);
        }
    }
}

/// Many patterns, asked at once.
pub struct Matcher {
    seed: Seed,
    names: Names,
    index: Index,
    predicates: Slab<Predicate>,
    alternatives: Slab<Alternative>,
    rules: Slab<Rule>,
    ids: HashTable<u32>,
    /// Predicates by their field and list.
    interned: HashTable<u32>,
    /// Predicates that absence meets, and under which some alternative waits.
    absent: Vec<u32>,
}

impl Default for Matcher {
    fn default() -> Self {
        let seed = Seed::default();
        Self {
            seed,
            names: Names::new(seed),
            index: Index::new(seed),
            predicates: Slab::default(),
            alternatives: Slab::default(),
            rules: Slab::default(),
            ids: HashTable::new(),
            interned: HashTable::new(),
            absent: Vec::new(),
        }
    }
}

impl Matcher {
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// Take a pattern in under `id`, in place of the one it had. On an error nothing changes.
    pub fn add(&mut self, id: &str, pattern: &[u8]) -> Result<(), InvalidPattern> {
        let fields = parse(pattern)?;
        self.remove(id);
        let rule = self.rules.add(Rule { id: id.into(), alternatives: Box::default() });
        let mut alternatives: Vec<u32> = Vec::new();
        let mut known: Vec<Box<[u32]>> = Vec::new();
        for fields in fields {
            let predicates = self.predicates_of(fields);
            if known.contains(&predicates) {
                predicates.iter().for_each(|&predicate| self.release(predicate));
                continue;
            }
            alternatives.push(self.wait(rule, predicates.clone()));
            known.push(predicates);
        }
        if let Some(made) = self.rules.get_mut(rule) {
            made.alternatives = alternatives.into();
        }
        let (rules, seed) = (&self.rules, self.seed);
        let hash_of = |&at: &u32| seed.of(0, rules.get(at).map_or("", |rule| &rule.id).as_bytes());
        self.ids.insert_unique(seed.of(0, id.as_bytes()), rule, hash_of);
        Ok(())
    }

    /// Forget an id; false for an unknown one.
    pub fn remove(&mut self, id: &str) -> bool {
        let rules = &self.rules;
        let same = |&at: &u32| rules.get(at).is_some_and(|rule| *rule.id == *id);
        let Ok(entry) = self.ids.find_entry(self.seed.of(0, id.as_bytes()), same) else { return false };
        let (rule, _) = entry.remove();
        for at in self.rules.remove(rule).map(|rule| rule.alternatives).unwrap_or_default() {
            if let Some(alternative) = self.alternatives.remove(at) {
                self.leave(alternative.under, at);
                alternative.predicates.iter().for_each(|&predicate| self.release(predicate));
            }
        }
        true
    }

    /// The predicates of an alternative, each retained once, in path order.
    fn predicates_of(&mut self, fields: Fields) -> Box<[u32]> {
        let mut ordered: Vec<_> = fields.into_iter().collect();
        ordered.sort_by_cached_key(|(path, _)| path_order(path));
        ordered.into_iter().map(|(path, conditions)| self.retain(&path, conditions)).collect()
    }

    fn retain(&mut self, path: &[u8], conditions: Conditions) -> u32 {
        let field = self.names.retain(path);
        let hash = self.seed.of_value(&(field, &*conditions));
        let predicates = &self.predicates;
        let same = |&at: &u32| {
            predicates.get(at).is_some_and(|known| known.field == field && known.conditions == conditions)
        };
        if let Some(&at) = self.interned.find(hash, same) {
            self.names.release(field);
            self.predicates.get_mut(at).into_iter().for_each(|known| known.uses += 1);
            return at;
        }
        let at = self.predicates.add(Predicate { field, uses: 1, hash, conditions, waiting: Postings::None });
        let predicates = &self.predicates;
        self.interned.insert_unique(hash, at, |&at| predicates.get(at).map_or(0, |known| known.hash));
        at
    }

    fn release(&mut self, at: u32) {
        let Some(predicate) = self.predicates.get_mut(at) else { return };
        predicate.uses -= 1;
        if predicate.uses == 0 {
            let (hash, field) = (predicate.hash, predicate.field);
            if let Ok(entry) = self.interned.find_entry(hash, |&other| other == at) {
                entry.remove();
            }
            self.names.release(field);
            self.predicates.remove(at);
        }
    }

    /// Let an alternative wait under the best of its predicates.
    fn wait(&mut self, rule: u32, predicates: Box<[u32]>) -> u32 {
        let under = predicates.iter().copied().min_by_key(|&at| self.cost(at)).unwrap_or_default();
        let at = self.alternatives.add(Alternative { rule, under, predicates });
        let Some(predicate) = self.predicates.get_mut(under) else { return at };
        let first = predicate.waiting.as_slice().is_empty();
        predicate.waiting.add(at);
        if first {
            let (field, conditions) = (predicate.field, predicate.conditions.clone());
            self.index.put(field, under, &conditions);
            if conditions.contains(&Condition::Absent) {
                self.absent.push(under);
            }
        }
        at
    }

    fn leave(&mut self, under: u32, alternative: u32) {
        let Some(predicate) = self.predicates.get_mut(under) else { return };
        predicate.waiting.remove(alternative);
        if predicate.waiting.as_slice().is_empty() {
            let (field, conditions) = (predicate.field, predicate.conditions.clone());
            self.index.take(field, under, &conditions);
            if let Some(at) = self.absent.iter().rposition(|&other| other == under) {
                self.absent.swap_remove(at);
            }
        }
    }

    /// How little a predicate narrows, and how many alternatives would be looked at beside one that waits there.
    fn cost(&self, at: u32) -> (usize, u32) {
        let Some(predicate) = self.predicates.get(at) else { return (usize::MAX, 0) };
        let kind: usize = predicate.conditions.iter().map(kind_cost).max().unwrap_or_default();
        let load: usize =
            predicate.conditions.iter().map(|condition| self.index.load(predicate.field, condition)).sum();
        (kind + load + predicate.waiting.as_slice().len(), predicate.uses)
    }

    /// The numbers of the rules that match, each once, in no promised order; `id` gives their names.
    pub fn find<'s>(&self, event: &[u8], scratch: &'s mut Scratch) -> Result<&'s [u32], InvalidEvent> {
        read(event, &self.names, &mut scratch.found)?;
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

    pub fn id(&self, rule: u32) -> Option<&Arc<str>> {
        self.rules.get(rule).map(|rule| &rule.id)
    }

    /// Find the predicates that the event opens. Where values lie in arrays of objects a field may be absent for one
    /// element and present for another, so absence is taken as possible there.
    fn open(&self, event: &[u8], scratch: &mut Scratch) {
        for next in 0..scratch.found.fields.len() {
            let field = scratch.found.fields[next];
            scratch.postings.clear();
            for leaf in scratch.found.of(field) {
                let value = scratch.found.value(event, leaf);
                self.index.find(field, value, &mut scratch.buffers, &mut scratch.postings);
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

    /// Bytes that the rules take, about; what a match needs besides grows with them by some eight bytes a rule.
    pub fn bytes(&self) -> usize {
        let conditions: usize = self
            .predicates
            .items
            .iter()
            .flatten()
            .map(|predicate| {
                let lists = predicate.conditions.iter().map(|condition| size_of::<Condition>() + condition.bytes());
                16 + lists.sum::<usize>() + predicate.waiting.bytes()
            })
            .sum();
        let alternatives: usize =
            self.alternatives.items.iter().flatten().map(|alternative| alternative.predicates.len() * 4 + 16).sum();
        let rules: usize =
            self.rules.items.iter().flatten().map(|rule| rule.id.len() + 32 + rule.alternatives.len() * 4 + 16).sum();
        let slabs = self.predicates.bytes() + self.alternatives.bytes() + self.rules.bytes();
        let tables = (self.ids.capacity() + self.interned.capacity()) * 6 + self.absent.capacity() * 4;
        self.names.bytes() + self.index.bytes() + conditions + alternatives + rules + slabs + tables
    }
}

/// Ours: what asking one such condition is worth in exact look-ups. Broad ones and absence only where nothing else is.
fn kind_cost(condition: &Condition) -> usize {
    match condition {
        Condition::Text(_) | Condition::Number(_) | Condition::NumberText(_) | Condition::Literal(_) => 0,
        Condition::Address(_) | Condition::Network(..) | Condition::Prefix(_) | Condition::Suffix(_) => 4,
        Condition::Range(..) | Condition::Folded(..) => 4,
        Condition::Wildcard(_) => 16,
        Condition::Present | Condition::NotTexts(_) | Condition::Not(_) => 1 << 32,
        Condition::Absent => 1 << 33,
    }
}
