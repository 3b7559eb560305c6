//! Room that a match needs besides the rules, used again for the next event.

use crate::blocks::Blocks;
use crate::field_index::Buffers;
use crate::found::Found;
use crate::scopes::Scopes;

/// What one match needs besides the matcher. Kept by the caller to be used again, by one thread at a time.
#[derive(Default)]
pub struct Scratch {
    pub blocks: Blocks,
    pub found: Found,
    epoch: u32,
    /// By predicate: the epoch it was asked in, doubled, plus one when it is met.
    verdicts: Vec<u32>,
    /// By rule: the epoch in which it was found to match.
    rules: Vec<u32>,
    pub opened: Vec<u32>,
    /// Alternatives whose fields are each met, and have yet to be met together.
    pub candidates: Vec<u32>,
    pub scopes: Scopes,
    pub postings: Vec<u32>,
    pub buffers: Buffers,
    pub matched: Vec<u32>,
}

/// Ours: what an event may take and leave for the next. A list of objects takes three times its own length, so one of
/// AWS's 256 KB leaves room; a list of short numbers that a pattern looks at takes sixty times its length. What takes
/// more than this takes so long that making room anew for the event behind it is little beside it.
const EVENT_BYTES_MAX: usize = 4 << 20;
const EPOCH_MAX: u32 = u32::MAX >> 1;

impl Scratch {
    /// Begin another event, with so many predicates and rules.
    pub fn begin(&mut self, predicates: usize, rules: usize) {
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
        self.candidates.clear();
        self.matched.clear();
    }

    /// Give everything back when an event has taken more than is worth keeping.
    pub fn shrink(&mut self) {
        if self.event_bytes() > EVENT_BYTES_MAX {
            *self = Self::default();
        }
    }

    /// Bytes that it takes: some grow with events, and some with rules.
    pub fn bytes(&self) -> usize {
        let lists = [&self.verdicts, &self.rules, &self.opened, &self.candidates, &self.postings, &self.matched];
        let numbers: usize = lists.iter().map(|list| list.capacity()).sum();
        self.event_bytes() + numbers * size_of::<u32>() + self.found.field_bytes() + self.buffers.node_bytes()
    }

    fn event_bytes(&self) -> usize {
        self.blocks.bytes() + self.found.event_bytes() + self.scopes.bytes() + self.buffers.text_bytes()
    }

    /// What was found out about a predicate in this event.
    #[inline]
    pub fn known(&self, predicate: u32) -> Option<bool> {
        let verdict = self.verdicts[predicate as usize];
        (verdict >> 1 == self.epoch).then_some(verdict & 1 == 1)
    }

    #[inline]
    pub fn learn(&mut self, predicate: u32, met: bool) -> bool {
        self.verdicts[predicate as usize] = self.epoch << 1 | u32::from(met);
        met
    }

    /// Whether a rule was found to match.
    #[inline]
    pub fn has(&self, rule: u32) -> bool {
        self.rules[rule as usize] == self.epoch
    }

    #[inline]
    pub fn take(&mut self, rule: u32) {
        self.rules[rule as usize] = self.epoch;
        self.matched.push(rule);
    }

    pub fn open(&mut self, predicate: u32, met: bool) {
        if self.learn(predicate, met) {
            self.opened.push(predicate);
        }
    }
}
