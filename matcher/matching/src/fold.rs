//! `equals-ignore-case`, alone and under `prefix` and `suffix`.
//!
//! AWS folds the pattern, not the event: each character of the pattern stands for its upper-case and its lower-case
//! form (full mappings, so "ß" also stands for "SS") and for nothing else.

use crate::texts;

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Edge {
    Whole,
    Prefix,
    Suffix,
}

/// The texts that one character stands for.
type Forms = Vec<Box<[u8]>>;

const BASIC_PLANE_MAX: u32 = 0xFFFF;

fn encode(chars: impl Iterator<Item = char>) -> Box<[u8]> {
    chars.collect::<String>().into_bytes().into()
}

/// The texts that a character of a pattern stands for.
///
/// Beyond the basic plane, one that has case (Deseret, Adlam) stands for nothing, as recorded from AWS; one without
/// (emoji) stands for itself.
fn forms(code: u32) -> Forms {
    let Some(char) = char::from_u32(code) else {
        let mut half = Vec::new();
        texts::push(code, &mut half);
        return vec![half.into()];
    };
    let (upper, lower) = (encode(char.to_uppercase()), encode(char.to_lowercase()));
    match (upper == lower, code > BASIC_PLANE_MAX) {
        (true, _) => vec![upper],
        (false, true) => vec![],
        (false, false) => vec![upper, lower],
    }
}

/// A text of a pattern with what each of its characters stands for; None for ASCII, where comparing bytes is enough.
#[derive(PartialEq, Eq, Hash, Debug)]
pub struct Folded {
    pub text: Box<[u8]>,
    forms: Option<Box<[Forms]>>,
}

impl Folded {
    pub fn new(text: &[u8]) -> Self {
        let forms = (!text.is_ascii()).then(|| texts::code_points(text).map(forms).collect());
        Self { text: text.into(), forms }
    }

    pub fn accepts(&self, edge: Edge, value: &[u8]) -> bool {
        let Some(forms) = &self.forms else {
            let length = self.text.len();
            let part = match edge {
                Edge::Whole => Some(value),
                Edge::Prefix => value.get(..length),
                Edge::Suffix => value.len().checked_sub(length).and_then(|from| value.get(from..)),
            };
            return part.is_some_and(|part| part.eq_ignore_ascii_case(&self.text));
        };
        match edge {
            Edge::Whole => walk(forms.iter(), value).contains(&value.len()),
            Edge::Prefix => !walk(forms.iter(), value).is_empty(),
            Edge::Suffix => !walk_back(forms.iter().rev(), value).is_empty(),
        }
    }

    /// The beginning (or for a suffix, the end) of every accepted value after `simple`: what an index may ask for.
    /// Whether it is all of the text comes second.
    pub fn anchor(&self, edge: Edge) -> (Vec<u8>, bool) {
        let codes: Vec<u32> = texts::code_points(&self.text).collect();
        let sure = |code: &&u32| forms_are_simple(**code);
        let kept: Vec<u32> = match edge {
            Edge::Suffix => {
                let mut end: Vec<u32> = codes.iter().rev().take_while(sure).copied().collect();
                end.reverse();
                end
            }
            _ => codes.iter().take_while(sure).copied().collect(),
        };
        let mut anchor = Vec::new();
        for &code in &kept {
            texts::push(simple(code), &mut anchor);
        }
        (anchor, kept.len() == codes.len())
    }
}

/// Every place of `value` at which the forms, one after another from its beginning, can end.
fn walk<'a>(forms: impl Iterator<Item = &'a Forms>, value: &[u8]) -> Vec<usize> {
    let mut ends = vec![0];
    for alternatives in forms {
        let mut next: Vec<usize> = Vec::new();
        for &end in &ends {
            let rest = value.get(end..).unwrap_or_default();
            next.extend(alternatives.iter().filter(|form| rest.starts_with(form)).map(|form| end + form.len()));
        }
        next.sort_unstable();
        next.dedup();
        ends = next;
    }
    ends
}

/// The same from the end of `value` on, backwards.
fn walk_back<'a>(forms: impl Iterator<Item = &'a Forms>, value: &[u8]) -> Vec<usize> {
    let mut starts = vec![value.len()];
    for alternatives in forms {
        let mut next: Vec<usize> = Vec::new();
        for &start in &starts {
            let rest = value.get(..start).unwrap_or_default();
            next.extend(alternatives.iter().filter(|form| rest.ends_with(form)).map(|form| start - form.len()));
        }
        next.sort_unstable();
        next.dedup();
        starts = next;
    }
    starts
}

/// One character for all that differ only in case, where upper and lower case are one character each.
fn simple(code: u32) -> u32 {
    let Some(char) = char::from_u32(code) else { return code };
    let mut upper = char.to_uppercase();
    let (Some(first), None) = (upper.next(), upper.next()) else { return code };
    let mut lower = first.to_lowercase();
    match (lower.next(), lower.next()) {
        (Some(only), None) => u32::from(only),
        _ => code,
    }
}

fn forms_are_simple(code: u32) -> bool {
    forms(code).iter().all(|form| {
        let mut codes = texts::code_points(form);
        matches!((codes.next(), codes.next()), (Some(only), None) if simple(only) == simple(code))
    })
}

/// `value` with every character made `simple`.
pub fn simplify(value: &[u8], out: &mut Vec<u8>) {
    out.clear();
    if value.is_ascii() {
        out.extend(value.iter().map(u8::to_ascii_lowercase));
    } else {
        texts::code_points(value).for_each(|code| texts::push(simple(code), out));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepts(text: &str, edge: Edge, value: &str) -> bool {
        Folded::new(text.as_bytes()).accepts(edge, value.as_bytes())
    }

    #[test]
    fn the_pattern_is_folded_not_the_event() {
        assert!(accepts("straße", Edge::Whole, "STRASSE"));
        assert!(!accepts("STRASSE", Edge::Whole, "straße"));
        assert!(accepts("straße", Edge::Suffix, "die STRASSE"));
        assert!(accepts("Σ", Edge::Whole, "σ") && !accepts("Σ", Edge::Whole, "ς"));
        assert!(!accepts("k", Edge::Whole, "\u{212a}"));
    }

    #[test]
    fn emoji_stand_for_themselves_and_cased_letters_beyond_the_basic_plane_for_nothing() {
        assert!(accepts("😀", Edge::Whole, "😀") && !accepts("😀", Edge::Whole, "??"));
        assert!(!accepts("𐐀", Edge::Whole, "𐐀"));
    }

    #[test]
    fn every_accepted_form_has_the_anchor() {
        for code in 0..=BASIC_PLANE_MAX {
            for form in forms(code).iter().filter(|_| forms_are_simple(code)) {
                let mut simplified = Vec::new();
                simplify(form, &mut simplified);
                let mut wanted = Vec::new();
                texts::push(simple(code), &mut wanted);
                assert_eq!(simplified, wanted, "{code:x}");
            }
        }
    }
}
