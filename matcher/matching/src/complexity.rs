//! How much of a value's beginnings the wildcards on one field can be in at once: AWS refuses what is beyond a limit.
//!
//! A value that has passed every asterisk is in all of them for good, and besides in each beginning of a literal that
//! its end spells. So: the asterisks, plus the longest chain of literal beginnings that end alike. Wildcards whose
//! first literals contradict each other never meet in one value.

use std::collections::{BTreeSet, HashMap};

use crate::texts;

/// Inferred from patterns that AWS accepted and refused; it publishes no number.
pub const COMPLEXITY_MAX: usize = 10;

/// Ours, as the reference has it: how many characters of literals are looked at, so that thousands of wildcards that all
/// meet one long one cost no more. No pattern of the 4,096 characters that AWS takes comes near it.
const CHARACTERS_MAX: usize = 1_000_000;

/// `wildcards` are the literals of each, all on one field, each once. A number above `COMPLEXITY_MAX` may be too low, and
/// stands for what would take too long to count.
pub fn complexity(wildcards: &BTreeSet<Vec<Vec<u8>>>) -> usize {
    // In order, so that a wildcard comes behind those whose first literal its own begins with.
    let mut starred = wildcards.iter().filter(|literals| literals.len() > 1).peekable();
    let mut meeting: Vec<&[Vec<u8>]> = Vec::new();
    let (mut most, mut characters) = (0, 0);
    while let Some(literals) = starred.next() {
        while meeting.last().is_some_and(|before| !literals[0].starts_with(&before[0])) {
            meeting.pop();
        }
        meeting.push(literals);
        let asterisks: usize = meeting.iter().map(|literals| literals.len() - 1).sum();
        if asterisks > COMPLEXITY_MAX {
            return asterisks;
        }
        // The next one meets all of these too.
        if starred.peek().is_some_and(|next| next[0].starts_with(&literals[0])) {
            continue;
        }
        let after: Vec<Vec<u32>> = meeting.iter().flat_map(|literals| after_asterisks(literals)).collect();
        characters += after.iter().map(Vec::len).sum::<usize>();
        if characters > CHARACTERS_MAX {
            return COMPLEXITY_MAX + 1;
        }
        most = most.max(asterisks + most_alike(&after));
    }
    most
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
        let cases: [(&[&str], usize); 10] = [
            (&["*"], 2),
            (&["a*c"], 2),
            (&["*a*b*"], 4),
            (&["/Users/*/dir/dir/dir/dir/dir/doc.txt"], 7),
            (&["*:*:*:*:*:event-bus/*"], 11),
            (&["no asterisk"], 0),
            (&["*:stack/a/*", "*:stack/b/*", "*:stack/c/*"], 9),
            (&["a*", "b*", "c*"], 2),
            (&["a*", "ab*", "ac*", "abc*"], 6),
            (&["*xyz", "a*xyz", "a*yz", "b*z"], 6),
        ];
        for (texts, wanted) in cases {
            let set = texts.iter().map(|text| literals(text.as_bytes()).unwrap_or_default()).collect();
            assert_eq!(complexity(&set), wanted, "{texts:?}");
        }
    }

    #[test]
    fn what_would_take_too_long_to_count_is_too_complex() {
        let long = format!("*a{}", "b".repeat(20_000));
        let set = |count: usize| {
            let short = (0..count).map(|number| format!("{number}-*"));
            short.chain([long.clone()]).map(|text| literals(text.as_bytes()).unwrap_or_default()).collect()
        };
        assert_eq!(complexity(&set(1)), 4);
        assert_eq!(complexity(&set(10_000)), COMPLEXITY_MAX + 1);
    }
}
