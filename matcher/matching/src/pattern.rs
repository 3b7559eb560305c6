//! From a pattern's text to the alternatives that `$or` leaves, each a set of fields with their conditions.
//!
//! The language is in docs/patterns.md. Errors are short and our own: whoever wants AWS's wording asks the reference in
//! Python first, which refuses the same patterns.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use crate::complexity::{COMPLEXITY_MAX, complexity};
use crate::condition::Condition;
use crate::lexer::Fault;
use crate::operators::condition;
use crate::texts;
use crate::tree::{Tree, read};

/// AWS refuses more combinations of branches.
const ALTERNATIVES_MAX: usize = 1_000;
/// event-ruler's limit of distinct paths in a rule.
pub const FIELDS_MAX: usize = 256;
/// Ours, as the reference has it.
const DEPTH_MAX: usize = 100;

/// Names that AWS refuses for fields inside `$or`, so that an operator there is never taken for a field.
const RESERVED: [&str; 24] = [
    "exactly",
    "equals-ignore-case",
    "prefix",
    "suffix",
    "anything-but",
    "exists",
    "wildcard",
    "numeric",
    "cidr",
    "=",
    "<",
    "<=",
    ">",
    ">=",
    "regex",
    "not-wildcard",
    "not-equals-ignore-case",
    "date-after",
    "date-on-or-after",
    "date-before",
    "date-on-or-before",
    "in-date-range",
    "ip-address-in-range",
    "ip-address-not-in-range",
];

/// A pattern that does not compile.
#[derive(Debug, PartialEq, Eq)]
pub struct InvalidPattern {
    /// The path of the field or object that is wrong; "" for the whole pattern.
    pub path: String,
    pub reason: &'static str,
    /// At which byte it was seen that the text is no JSON; None where it is JSON.
    pub at: Option<usize>,
}

impl fmt::Display for InvalidPattern {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.path.as_str(), self.at) {
            (_, Some(at)) => write!(out, "event pattern is not JSON: {} at byte {at}", self.reason),
            ("", None) => write!(out, "event pattern is not valid: {}", self.reason),
            (path, None) => write!(out, "event pattern is not valid at `{path}`: {}", self.reason),
        }
    }
}

impl std::error::Error for InvalidPattern {}

type Path = Arc<[u8]>;
pub type Conditions = Arc<[Condition]>;
/// What one alternative asks for: fields that must all be met, by their paths.
pub type Fields = BTreeMap<Path, Conditions>;

/// A pattern that was read and found to compile, ready to be taken in by a matcher.
#[derive(Debug)]
pub struct Pattern {
    pub(crate) alternatives: Vec<Fields>,
}

impl Pattern {
    /// Compile a pattern's text. What stands behind its closing brace is ignored.
    pub fn parse(text: &[u8]) -> Result<Self, InvalidPattern> {
        parse(text).map(|alternatives| Self { alternatives })
    }
}

fn wrong(path: &[u8], reason: &'static str) -> InvalidPattern {
    InvalidPattern { path: String::from_utf8_lossy(path).into_owned(), reason, at: None }
}

fn parse(text: &[u8]) -> Result<Vec<Fields>, InvalidPattern> {
    let tree =
        read(text).map_err(|Fault { reason, at }| InvalidPattern { path: String::new(), reason, at: Some(at) })?;
    let Tree::Object(members) = tree else { return Err(wrong(b"", "a pattern is a JSON object")) };
    let mut alternatives = vec![Fields::new()];
    object(&members, &mut alternatives, b"", false, 1)?;
    check_size(&alternatives)?;
    Ok(alternatives)
}

/// Every alternative gets every member; the last list of a path wins.
fn object(
    members: &[(Vec<u8>, Tree)],
    alternatives: &mut Vec<Fields>,
    prefix: &[u8],
    inside_or: bool,
    depth: usize,
) -> Result<(), InvalidPattern> {
    if depth > DEPTH_MAX {
        return Err(wrong(prefix, "nested too deep"));
    }
    if members.is_empty() {
        return Err(wrong(prefix, "an object without members"));
    }
    for (name, member) in members {
        let path = [prefix, name.as_slice()].concat();
        if name == b"$or" {
            branches(member, alternatives, prefix, depth)?;
            continue;
        }
        if inside_or && RESERVED.iter().any(|reserved| reserved.as_bytes() == name) {
            return Err(wrong(&path, "the name of an operator can't be a field inside $or"));
        }
        match member {
            Tree::Object(inner) => {
                object(inner, alternatives, &[&path, &b"."[..]].concat(), inside_or, depth + 1)?;
            }
            Tree::Array(entries) => {
                let conditions = Conditions::from(value_list(entries).map_err(|reason| wrong(&path, reason))?);
                let path: Path = path.into();
                for alternative in &mut *alternatives {
                    alternative.insert(path.clone(), conditions.clone());
                }
            }
            _ => return Err(wrong(&path, "a field wants an object or a list")),
        }
    }
    Ok(())
}

fn branches(
    member: &Tree,
    alternatives: &mut Vec<Fields>,
    prefix: &[u8],
    depth: usize,
) -> Result<(), InvalidPattern> {
    let Tree::Array(elements) = member else { return Err(wrong(prefix, "$or wants a list of objects")) };
    if elements.len() < 2 {
        return Err(wrong(prefix, "$or wants at least two objects"));
    }
    let mut multiplied = Vec::new();
    for element in elements {
        let Tree::Object(members) = element else { return Err(wrong(prefix, "$or wants a list of objects")) };
        let mut branch = alternatives.clone();
        object(members, &mut branch, prefix, true, depth + 1)?;
        multiplied.append(&mut branch);
        if multiplied.len() > ALTERNATIVES_MAX {
            return Err(wrong(prefix, "$or leads to over 1000 combinations"));
        }
    }
    *alternatives = multiplied;
    Ok(())
}

fn value_list(entries: &[Tree]) -> Result<Vec<Condition>, &'static str> {
    if entries.is_empty() {
        return Err("an empty list accepts nothing");
    }
    entries.iter().map(condition).collect()
}

fn check_size(alternatives: &[Fields]) -> Result<(), InvalidPattern> {
    if alternatives.iter().any(|fields| fields.len() > FIELDS_MAX) {
        return Err(wrong(b"", "more than 256 fields"));
    }
    let mut wildcards: BTreeMap<&Path, BTreeSet<Vec<Vec<u8>>>> = BTreeMap::new();
    let mut seen = BTreeSet::new();
    for (path, conditions) in alternatives.iter().flatten() {
        // Alternatives share most of their lists.
        if seen.insert((path, Arc::as_ptr(conditions).cast::<()>())) {
            collect_wildcards(conditions, wildcards.entry(path).or_default());
        }
    }
    match wildcards.into_iter().find(|(_, group)| complexity(group) > COMPLEXITY_MAX) {
        Some((path, _)) => Err(wrong(path, "too many or too similar wildcards")),
        None => Ok(()),
    }
}

fn collect_wildcards(conditions: &[Condition], into: &mut BTreeSet<Vec<Vec<u8>>>) {
    for condition in conditions {
        match condition {
            Condition::Wildcard(wildcard) => drop(into.insert(wildcard.literals())),
            Condition::Not(refused) => collect_wildcards(refused, into),
            _ => {}
        }
    }
}

/// A path's UTF-16 code units, in whose order AWS takes the fields of a rule.
pub fn path_order(path: &[u8]) -> Vec<u16> {
    let mut units = Vec::with_capacity(path.len());
    for code in texts::code_points(path) {
        match char::from_u32(code) {
            Some(char) => units.extend_from_slice(char.encode_utf16(&mut [0; 2])),
            None => units.push(code as u16),
        }
    }
    units
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(text: &str) -> &'static str {
        parse(text.as_bytes()).err().map_or("", |wrong| wrong.reason)
    }

    #[test]
    fn alternatives_are_multiplied_and_the_last_list_wins() {
        let found = parse(br#"{"a":["x"],"$or":[{"a":["y"]},{"b":["z"]}],"c":[1]}"#).unwrap_or_default();
        let names: Vec<String> = found
            .iter()
            .map(|fields| fields.keys().map(|path| String::from_utf8_lossy(path).into_owned()).collect())
            .collect();
        assert_eq!(names, ["ac", "abc"]);
    }

    #[test]
    fn what_does_not_compile_says_where() {
        let wrong = parse(br#"{"a":{"b":[{"numeric":["=","5"]}]}}"#).err();
        assert_eq!(
            wrong.map(|wrong| wrong.to_string()).unwrap_or_default(),
            "event pattern is not valid at `a.b`: a comparison wants a number"
        );
        let wrong = parse(br#"{"a":["x" "y"]}"#).err();
        assert_eq!(
            wrong.map(|wrong| wrong.to_string()).unwrap_or_default(),
            "event pattern is not JSON: expected a comma or a closing bracket at byte 10"
        );
        for text in [
            "{}",
            "[]",
            "5",
            "{\"a\":[]}",
            "{\"a\":{}}",
            "{\"a\":5}",
            "{\"$or\":[{\"a\":[1]}]}",
            "{\"a\":[[1]]}",
            "{\"a\":[1,]}",
        ] {
            assert_ne!(reason(text), "", "{text}");
        }
        assert_eq!(reason(r#"{"a":["x"]} trailing"#), "");
        assert_eq!(reason(&format!("{}[1]{}", "{\"a\":".repeat(100), "}".repeat(100))), "");
        assert_eq!(reason(&format!("{}[1]{}", "{\"a\":".repeat(101), "}".repeat(101))), "nested too deep");
    }
}
