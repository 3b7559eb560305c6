//! Ranges by the numbers that lie in them: a tree by lower ends, each node knowing the highest upper end below it.
//!
//! A treap: random priorities keep it shallow whatever the order of adds and removes.

use std::hash::{BuildHasher, RandomState};

struct Node {
    low: u64,
    high: u64,
    highest: u64,
    posting: u32,
    priority: u32,
    left: u32,
    right: u32,
}

const NONE: u32 = u32::MAX;

pub struct Intervals {
    nodes: Vec<Node>,
    free: Vec<u32>,
    root: u32,
    random: u64,
}

impl Default for Intervals {
    fn default() -> Self {
        Self { nodes: Vec::new(), free: Vec::new(), root: NONE, random: RandomState::new().hash_one(0u8) | 1 }
    }
}

impl Intervals {
    pub fn len(&self) -> usize {
        self.nodes.len() - self.free.len()
    }

    fn highest(&self, node: u32) -> u64 {
        self.nodes.get(node as usize).map_or(0, |node| node.highest)
    }

    fn settle(&mut self, at: u32) {
        let node = &self.nodes[at as usize];
        let highest = node.high.max(self.highest(node.left)).max(self.highest(node.right));
        self.nodes[at as usize].highest = highest;
    }

    /// Nodes before (low, posting), and those from it on.
    fn split(&mut self, at: u32, key: (u64, u32)) -> (u32, u32) {
        let Some(node) = self.nodes.get(at as usize) else { return (NONE, NONE) };
        if (node.low, node.posting) < key {
            let (left, right) = self.split(node.right, key);
            self.nodes[at as usize].right = left;
            self.settle(at);
            (at, right)
        } else {
            let (left, right) = self.split(node.left, key);
            self.nodes[at as usize].left = right;
            self.settle(at);
            (left, at)
        }
    }

    fn merge(&mut self, left: u32, right: u32) -> u32 {
        let (Some(one), Some(other)) = (self.nodes.get(left as usize), self.nodes.get(right as usize)) else {
            return if left == NONE { right } else { left };
        };
        if one.priority > other.priority {
            let merged = self.merge(one.right, right);
            self.nodes[left as usize].right = merged;
            self.settle(left);
            left
        } else {
            let merged = self.merge(left, other.left);
            self.nodes[right as usize].left = merged;
            self.settle(right);
            right
        }
    }

    pub fn add(&mut self, low: u64, high: u64, posting: u32) {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        let priority = (self.random >> 32) as u32;
        let node = Node { low, high, highest: high, posting, priority, left: NONE, right: NONE };
        let fresh = match self.free.pop() {
            Some(at) => {
                self.nodes[at as usize] = node;
                at
            }
            None => {
                self.nodes.push(node);
                self.nodes.len() as u32 - 1
            }
        };
        let (left, right) = self.split(self.root, (low, posting));
        let left = self.merge(left, fresh);
        self.root = self.merge(left, right);
    }

    /// Undo one `add`.
    pub fn remove(&mut self, low: u64, posting: u32) {
        let (left, rest) = self.split(self.root, (low, posting));
        let (gone, right) = self.split(rest, (low, posting + 1));
        self.root = self.merge(left, right);
        // One posting may stand here more than once, with other upper ends: they go together, and so do their lists.
        let mut waiting = vec![gone];
        while let Some(at) = waiting.pop() {
            if let Some(node) = self.nodes.get(at as usize) {
                waiting.extend([node.left, node.right]);
                self.free.push(at);
            }
        }
    }

    /// Give every posting whose range holds `number`.
    pub fn find(&self, number: u64, mut found: impl FnMut(u32)) {
        self.find_below(self.root, number, &mut found);
    }

    fn find_below(&self, at: u32, number: u64, found: &mut impl FnMut(u32)) {
        let Some(node) = self.nodes.get(at as usize).filter(|node| node.highest >= number) else { return };
        self.find_below(node.left, number, found);
        if node.low <= number {
            if number <= node.high {
                found(node.posting);
            }
            self.find_below(node.right, number, found);
        }
    }

    pub fn bytes(&self) -> usize {
        self.nodes.capacity() * size_of::<Node>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seeded::Numbers;

    #[test]
    fn it_finds_what_a_list_of_ranges_finds() {
        let mut numbers = Numbers::new(11);
        for _ in 0..300 {
            let (mut tree, mut plain) = (Intervals::default(), Vec::new());
            for posting in 0..numbers.below(60) as u32 {
                let low = numbers.below(50) as u64;
                let high = low + numbers.below(20) as u64;
                tree.add(low, high, posting);
                plain.push((low, high, posting));
                if numbers.below(3) == 0 {
                    let (low, _, posting) = plain.swap_remove(numbers.below(plain.len()));
                    tree.remove(low, posting);
                }
            }
            assert_eq!(tree.len(), plain.len());
            let number = numbers.below(70) as u64;
            let mut found = Vec::new();
            tree.find(number, |posting| found.push(posting));
            found.sort_unstable();
            let mut wanted: Vec<u32> = plain
                .iter()
                .filter(|(low, high, _)| (*low..=*high).contains(&number))
                .map(|&(_, _, posting)| posting)
                .collect();
            wanted.sort_unstable();
            assert_eq!(found, wanted);
        }
    }
}
