//! How much of a value's beginnings the wildcards on one field can be in at once: AWS refuses what is beyond a limit.
//!
//! A value that has passed every asterisk is in all of them for good, and besides in each beginning of a literal that
//! its end spells. So: the asterisks, plus the longest chain of literal beginnings that end alike. Wildcards whose
//! first literals contradict each other never meet in one value.

use std::collections::{BTreeSet, HashMap};

use crate::texts;

/// Inferred from patterns that AWS accepted and refused; it publishes no number.
pub const COMPLEXITY_MAX: usize = 10;

/// `wildcards` are the literals of each, all on one field, each once.
pub fn complexity(wildcards: &BTreeSet<Vec<Vec<u8>>>) -> usize {
    let starred: Vec<&Vec<Vec<u8>>> = wildcards.iter().filter(|literals| literals.len() > 1).collect();
    let anchors: BTreeSet<&Vec<u8>> = starred.iter().filter_map(|literals| literals.first()).collect();
    let together = |anchor: &Vec<u8>| {
        let meeting: Vec<&Vec<Vec<u8>>> = starred
            .iter()
            .filter(|literals| literals.first().is_some_and(|first| anchor.starts_with(first)))
            .copied()
            .collect();
        let asterisks: usize = meeting.iter().map(|literals| literals.len() - 1).sum();
        let after: Vec<Vec<u32>> = meeting.iter().flat_map(|literals| after_asterisks(literals)).collect();
        asterisks + most_alike(&after)
    };
    anchors.into_iter().map(together).max().unwrap_or_default()
}

/// The literals but the first, as code points. The end of the value counts as one, written as a quote.
fn after_asterisks(literals: &[Vec<u8>]) -> Vec<Vec<u32>> {
    let mut after: Vec<Vec<u32>> =
        literals.iter().skip(1).map(|literal| texts::code_points(literal).collect()).collect();
    after.last_mut().into_iter().for_each(|last| last.push(u32::from(b'"')));
    after
}

/// The most beginnings of literals that are all endings of one text (an Aho-Corasick automaton, counted).
fn most_alike(literals: &[Vec<u32>]) -> usize {
    let mut children: Vec<HashMap<u32, usize>> = vec![HashMap::new()];
    let mut weights = vec![0usize];
    for literal in literals {
        let mut node = 0;
        for &char in literal {
            let fresh = children.len();
            node = *children[node].entry(char).or_insert(fresh);
            if node == fresh {
                children.push(HashMap::new());
                weights.push(0);
            }
            weights[node] += 1;
        }
    }
    let mut fallback = vec![0usize; children.len()];
    let mut totals = vec![0usize; children.len()];
    let mut waiting = std::collections::VecDeque::from([0usize]);
    while let Some(node) = waiting.pop_front() {
        for (&char, &child) in &children[node] {
            let mut shorter = fallback[node];
            while shorter != 0 && !children[shorter].contains_key(&char) {
                shorter = fallback[shorter];
            }
            fallback[child] = if node == 0 { 0 } else { children[shorter].get(&char).copied().unwrap_or_default() };
            totals[child] = weights[child] + totals[fallback[child]];
            waiting.push_back(child);
        }
    }
    totals.into_iter().max().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wildcard::literals;

    #[test]
    fn complexity_counts_beginnings_that_can_be_open_at_once() {
        let cases: [(&[&str], usize); 7] = [
            (&["*"], 2),
            (&["a*c"], 2),
            (&["*a*b*"], 4),
            (&["/Users/*/dir/dir/dir/dir/dir/doc.txt"], 7),
            (&["*:*:*:*:*:event-bus/*"], 11),
            (&["no asterisk"], 0),
            (&["*:stack/a/*", "*:stack/b/*", "*:stack/c/*"], 9),
        ];
        for (texts, wanted) in cases {
            let set = texts.iter().map(|text| literals(text.as_bytes()).unwrap_or_default()).collect();
            assert_eq!(complexity(&set), wanted, "{texts:?}");
        }
    }
}
