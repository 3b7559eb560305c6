//! All patterns at once.
//!
//! Every alternative of a pattern is a set of *predicates*: a field with a value list. Equal predicates are one. Each
//! alternative waits under that one of its predicates that the fewest events are expected to meet; an event's values
//! open predicates through the index, and only the alternatives that wait there are looked at. What else they ask for
//! is asked at most once an event for each predicate.
//!
//! A tree of states, one step a field, as the reference has it, was the other way: it asks less of rules with common
//! beginnings, but needs a state with an index of its own for each of them. Where a rule waits is decided when it is
//! added and not again, so that adding and removing touch nothing else.

use std::collections::BTreeSet;
use std::sync::Arc;

use hashbrown::HashTable;

use crate::condition::Condition;
use crate::hash::Seed;
use crate::index::Index;
use crate::names::Names;
use crate::pattern::{Conditions, Fields, InvalidPattern, Pattern, path_order};
use crate::postings::Postings;
use crate::slab::Slab;

pub struct Predicate {
    pub(crate) field: u32,
    pub(crate) uses: u32,
    pub(crate) hash: u64,
    pub(crate) conditions: Conditions,
    /// The alternatives that wait here.
    pub(crate) waiting: Postings,
}

pub struct Alternative {
    pub(crate) rule: u32,
    /// The predicate that it waits under.
    pub(crate) under: u32,
    /// Which of those it is that wait there, so that it need not be looked for among them.
    place: u32,
    /// All its predicates, in path order.
    pub(crate) predicates: Box<[u32]>,
}

pub struct Rule {
    pub(crate) id: Arc<str>,
    pub(crate) alternatives: Box<[u32]>,
}

/// Many patterns, asked at once.
pub struct Matcher {
    seed: Seed,
    pub(crate) names: Names,
    pub(crate) index: Index,
    pub(crate) predicates: Slab<Predicate>,
    pub(crate) alternatives: Slab<Alternative>,
    pub(crate) rules: Slab<Rule>,
    ids: HashTable<u32>,
    /// Predicates by their field and list.
    interned: HashTable<u32>,
    /// Predicates that absence meets, and under which some alternative waits.
    pub(crate) absent: Vec<u32>,
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

    pub fn contains(&self, id: &str) -> bool {
        let same = |&at: &u32| self.rules.get(at).is_some_and(|rule| *rule.id == *id);
        self.ids.find(self.seed.of(0, id.as_bytes()), same).is_some()
    }

    /// Take a pattern in under `id`, in place of the one it had, and give the rule's number. On an error nothing changes.
    pub fn add(&mut self, id: &str, pattern: &[u8]) -> Result<u32, InvalidPattern> {
        Pattern::parse(pattern).map(|pattern| self.insert(id, pattern))
    }

    /// As `add`, of a pattern that was parsed before: whoever shares a matcher need not keep the others waiting for that.
    pub fn insert(&mut self, id: &str, pattern: Pattern) -> u32 {
        self.remove(id);
        let rule = self.rules.add(Rule { id: id.into(), alternatives: Box::default() });
        let mut alternatives: Vec<u32> = Vec::new();
        let mut known: BTreeSet<Box<[u32]>> = BTreeSet::new();
        for fields in pattern.alternatives {
            let predicates = self.predicates_of(fields);
            if known.contains(&predicates) {
                predicates.iter().for_each(|&predicate| self.release(predicate));
                continue;
            }
            alternatives.push(self.wait(rule, predicates.clone()));
            known.insert(predicates);
        }
        if let Some(made) = self.rules.get_mut(rule) {
            made.alternatives = alternatives.into();
        }
        let (rules, seed) = (&self.rules, self.seed);
        let hash_of = |&at: &u32| seed.of(0, rules.get(at).map_or("", |rule| &rule.id).as_bytes());
        self.ids.insert_unique(seed.of(0, id.as_bytes()), rule, hash_of);
        rule
    }

    /// Forget an id, and give the number that its rule had; None for an unknown one. The number is the next one given.
    pub fn remove(&mut self, id: &str) -> Option<u32> {
        let rules = &self.rules;
        let same = |&at: &u32| rules.get(at).is_some_and(|rule| *rule.id == *id);
        let Ok(entry) = self.ids.find_entry(self.seed.of(0, id.as_bytes()), same) else { return None };
        let (rule, _) = entry.remove();
        for at in self.rules.remove(rule).map(|rule| rule.alternatives).unwrap_or_default() {
            if let Some(alternative) = self.alternatives.remove(at) {
                self.leave(alternative.under, alternative.place);
                alternative.predicates.iter().for_each(|&predicate| self.release(predicate));
            }
        }
        Some(rule)
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
        let place = self.predicates.get(under).map_or(0, |predicate| predicate.waiting.as_slice().len() as u32);
        let at = self.alternatives.add(Alternative { rule, under, place, predicates });
        let Some(predicate) = self.predicates.get_mut(under) else { return at };
        predicate.waiting.add(at);
        if place == 0 {
            let (field, conditions) = (predicate.field, predicate.conditions.clone());
            self.index.put(field, under, &conditions);
            if conditions.contains(&Condition::Absent) {
                self.absent.push(under);
            }
        }
        at
    }

    fn leave(&mut self, under: u32, place: u32) {
        let Some(predicate) = self.predicates.get_mut(under) else { return };
        if let Some(moved) = predicate.waiting.remove_at(place as usize) {
            self.alternatives.get_mut(moved).into_iter().for_each(|moved| moved.place = place);
        }
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

    /// Whether nothing is left of rules that were there; `len` does not count what a mistake would leave behind. For
    /// tests.
    #[doc(hidden)]
    pub fn is_clear(&self) -> bool {
        self.ids.is_empty()
            && self.interned.is_empty()
            && self.absent.is_empty()
            && self.predicates.items.iter().all(Option::is_none)
            && self.alternatives.items.iter().all(Option::is_none)
            && self.rules.items.iter().all(Option::is_none)
            && self.index.is_clear()
            && self.names.is_clear()
    }

    pub fn id(&self, rule: u32) -> Option<&Arc<str>> {
        self.rules.get(rule).map(|rule| &rule.id)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;
    use crate::seeded::Numbers;

    #[test]
    fn rules_that_wait_under_one_predicate_leave_it_in_any_order() {
        let (mut numbers, mut scratch) = (Numbers::new(5), Scratch::default());
        let (mut matcher, mut kept) = (Matcher::default(), Vec::new());
        for round in 0..3_000 {
            if kept.is_empty() || numbers.below(40) > kept.len() {
                let id = round.to_string();
                assert!(matcher.add(&id, br#"{"$or":[{"a":["x"]},{"a":["y"]}]}"#).is_ok());
                kept.push(id);
            } else {
                assert!(matcher.remove(&kept.swap_remove(numbers.below(kept.len()))).is_some());
            }
            let found = matcher.find(br#"{"a":"x"}"#, &mut scratch).unwrap_or_default();
            let mut found: Vec<&str> = found.iter().filter_map(|&rule| matcher.id(rule)).map(|id| &**id).collect();
            let mut wanted: Vec<&str> = kept.iter().map(|id| &**id).collect();
            assert_eq!((found.sort_unstable(), found), (wanted.sort_unstable(), wanted));
        }
        kept.iter().for_each(|id| assert!(matcher.remove(id).is_some()));
        assert!(matcher.is_clear());
    }
}
