//! Whether the fields of one rule can be met by values that lie in the same elements of the event's arrays.
//!
//! ```text
//! {"items": {"sku": ["A"], "colour": ["red"]}}   must not match   items: [{A, blue}, {B, red}]
//! ```
//!
//! Fields are taken in the order of their paths (UTF-16, as AWS). After each field there is a set of *choices*: which
//! element of which array the values chosen so far lie in. A field is met if some accepted value's place agrees with
//! some choice; `exists: false` is met by a choice if no value at all agrees with it, and it sees only what smaller
//! paths chose. A choice forgets arrays in which no later field lies, and those that agree with a place are found by
//! walking a tree of choices, so that long arrays cost their length.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use crate::condition::Condition;
use crate::found::{Found, Leaf};
use crate::names::NOWHERE;

/// Arrays with the element chosen in each, by ascending array: one has a smaller number than those inside it.
type Choice = Vec<(u32, u32)>;

/// Ours, as the reference has it: how many pairs of a choice and a place one field may cost, for each value that the
/// rule looks at.
const PAIRS_PER_VALUE: usize = 16;

/// One field of a rule.
#[derive(Clone, Copy)]
pub struct Field<'a> {
    pub number: u32,
    pub conditions: &'a [Condition],
}

/// Whether all fields can be met together; they are in path order.
pub fn met(fields: &[Field<'_>], found: &Found, event: &[u8]) -> bool {
    match shape(fields, found) {
        Shape::Plain => fields.iter().all(|field| met_alone(field, found, event)),
        Shape::OneArray => met_in_one_array(fields, found, event),
        Shape::Any => met_by_choices(fields, found, event),
    }
}

/// How the values of a rule's fields lie in arrays.
enum Shape {
    /// Those of at most one field do, so there is nothing that they could disagree about.
    Plain,
    /// All that do lie in the elements of one array, and none of these fields may be absent.
    OneArray,
    Any,
}

fn shape(fields: &[Field<'_>], found: &Found) -> Shape {
    let mut placed = 0;
    let mut absent = false;
    let mut arrays = (NOWHERE, false);
    for field in fields {
        let mut inside = false;
        for place in found.of(field.number).filter_map(|leaf| found.places.get(leaf.place as usize)) {
            inside = true;
            arrays = (place.array, arrays.1 || (arrays.0 != NOWHERE && arrays.0 != place.array));
        }
        placed += usize::from(inside);
        absent |= inside && has_absent(field.conditions);
    }
    match placed {
        0 | 1 => Shape::Plain,
        _ if arrays.1 || absent => Shape::Any,
        _ => Shape::OneArray,
    }
}

fn met_alone(field: &Field<'_>, found: &Found, event: &[u8]) -> bool {
    found.of(field.number).any(|leaf| accepts(field, leaf, found, event))
        || (!found.has(field.number) && has_absent(field.conditions))
}

/// Look for an element that has an accepted value of every field. Places are numbered as they come.
fn met_in_one_array(fields: &[Field<'_>], found: &Found, event: &[u8]) -> bool {
    let mut common: Option<Vec<u32>> = None;
    for field in fields {
        let accepted =
            || found.of(field.number).filter(|leaf| accepts(field, leaf, found, event)).map(|leaf| leaf.place);
        if accepted().any(|place| place == NOWHERE) || !found.has(field.number) {
            if !met_alone(field, found, event) {
                return false;
            }
            continue;
        }
        let places: Vec<u32> = match common {
            None => accepted().collect(),
            Some(before) => accepted().filter(|place| before.binary_search(place).is_ok()).collect(),
        };
        if places.is_empty() {
            return false;
        }
        common = Some(places);
    }
    true
}

fn met_by_choices(fields: &[Field<'_>], found: &Found, event: &[u8]) -> bool {
    let pairs_max = PAIRS_PER_VALUE * fields.iter().map(|field| found.of(field.number).count()).sum::<usize>();
    let last = last_fields(fields, found);
    let mut choices = vec![Choice::new()];
    for (position, field) in fields.iter().enumerate() {
        let needed = |array: u32| last.get(&array).is_some_and(|&last| last > position);
        // Where no later field lies in an array there is nothing left to tell choices apart.
        let one_is_enough = !last.keys().any(|&array| needed(array));
        choices = narrow(&choices, field, found, event, &needed, if one_is_enough { 1 } else { pairs_max });
        if choices.is_empty() {
            return false;
        }
    }
    true
}

fn has_absent(conditions: &[Condition]) -> bool {
    conditions.contains(&Condition::Absent)
}

fn accepts(field: &Field<'_>, leaf: &Leaf, found: &Found, event: &[u8]) -> bool {
    let value = found.value(event, leaf);
    field.conditions.iter().any(|condition| condition.accepts(value))
}

fn choice_of(found: &Found, mut place: u32) -> Choice {
    let mut choice = Choice::new();
    while let Some(at) = found.places.get(place as usize) {
        choice.push((at.array, at.element));
        place = at.around;
    }
    choice.reverse();
    choice
}

/// For each array, the position of the last field that has values in it.
fn last_fields(fields: &[Field<'_>], found: &Found) -> BTreeMap<u32, usize> {
    let mut last = BTreeMap::new();
    for (position, field) in fields.iter().enumerate() {
        let mut before = NOWHERE;
        for leaf in found.of(field.number) {
            let mut place = if leaf.place == before { NOWHERE } else { leaf.place };
            before = leaf.place;
            while let Some(at) = found.places.get(place as usize) {
                last.insert(at.array, position);
                place = at.around;
            }
        }
    }
    last
}

/// The choices that remain after one more field, each forgetting the arrays that are not `needed`.
fn narrow(
    choices: &[Choice],
    field: &Field<'_>,
    found: &Found,
    event: &[u8],
    needed: &dyn Fn(u32) -> bool,
    pairs_max: usize,
) -> Vec<Choice> {
    let places: BTreeSet<u32> =
        found.of(field.number).filter(|leaf| accepts(field, leaf, found, event)).map(|leaf| leaf.place).collect();
    let mut narrowed = BTreeSet::new();
    let mut pairs = 0;
    if !places.is_empty() {
        let tree = ChoiceTree::new(choices);
        for place in places {
            let place = choice_of(found, place);
            let _ = tree.agreeing(&place, &mut |choice| {
                narrowed.insert(merged(choice, &place, needed));
                pairs += 1;
                if pairs >= pairs_max { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            });
            if pairs >= pairs_max {
                break;
            }
        }
    }
    if has_absent(field.conditions) {
        let places: BTreeSet<u32> = found.of(field.number).map(|leaf| leaf.place).collect();
        let taken: Vec<Choice> = places.into_iter().map(|place| choice_of(found, place)).collect();
        let taken = ChoiceTree::new(&taken);
        for choice in choices {
            if taken.agreeing(choice, &mut |_| ControlFlow::Break(())).is_continue() {
                narrowed.insert(merged(choice, &[], needed));
            }
        }
    }
    narrowed.into_iter().collect()
}

fn merged(one: &[(u32, u32)], other: &[(u32, u32)], needed: &dyn Fn(u32) -> bool) -> Choice {
    let mut both: Choice = one.iter().chain(other).filter(|pair| needed(pair.0)).copied().collect();
    both.sort_unstable();
    both.dedup();
    both
}

/// What is told each choice, and says whether to go on.
type Give<'a> = dyn FnMut(&[(u32, u32)]) -> ControlFlow<()> + 'a;

/// Choices by their first array, then its element, then the next array …
struct ChoiceTree {
    nodes: Vec<TreeNode>,
}

#[derive(Default)]
struct TreeNode {
    ends: bool,
    arrays: BTreeMap<u32, BTreeMap<u32, usize>>,
}

impl ChoiceTree {
    fn new(choices: &[Choice]) -> Self {
        let mut nodes = vec![TreeNode::default()];
        for choice in choices {
            let mut node = 0;
            for &(array, element) in choice {
                let fresh = nodes.len();
                node = *nodes[node].arrays.entry(array).or_default().entry(element).or_insert(fresh);
                if node == fresh {
                    nodes.push(TreeNode::default());
                }
            }
            nodes[node].ends = true;
        }
        Self { nodes }
    }

    /// Give every choice that names no array of `wanted` with another element, until told to break.
    fn agreeing(&self, wanted: &[(u32, u32)], give: &mut Give<'_>) -> ControlFlow<()> {
        let mut waiting: Vec<(usize, Choice)> = vec![(0, Choice::new())];
        while let Some((node, choice)) = waiting.pop() {
            let node = &self.nodes[node];
            if node.ends {
                give(&choice)?;
            }
            for (&array, elements) in &node.arrays {
                let with = |element| [choice.as_slice(), &[(array, element)]].concat();
                match wanted.binary_search_by_key(&array, |pair| pair.0) {
                    Err(_) => waiting.extend(elements.iter().map(|(&element, &child)| (child, with(element)))),
                    Ok(at) => {
                        let element = wanted[at].1;
                        waiting.extend(elements.get(&element).map(|&child| (child, with(element))));
                    }
                }
            }
        }
        ControlFlow::Continue(())
    }
}
