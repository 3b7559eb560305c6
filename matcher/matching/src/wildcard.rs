//! `wildcard`: `*` stands for any run of characters; `\*` and `\\` are the only escapes.
//!
//! Matching goes from literal to literal, leftmost first: a later occurrence of a literal can never make room that the
//! leftmost one does not leave. Each literal is found in linear time, so all of it is linear in the text.

/// A text to find, with how far each of its beginnings can be kept when the next character is another (Knuth, Morris
/// and Pratt).
#[derive(PartialEq, Eq, Hash, Debug)]
struct Needle {
    text: Box<[u8]>,
    kept: Box<[u32]>,
}

impl Needle {
    fn new(text: &[u8]) -> Self {
        let mut kept = vec![0u32; text.len()];
        let mut length = 0usize;
        for at in 1..text.len() {
            while length > 0 && text[at] != text[length] {
                length = kept[length - 1] as usize;
            }
            length += usize::from(text[at] == text[length]);
            kept[at] = length as u32;
        }
        Self { text: text.into(), kept: kept.into() }
    }

    /// The place behind the first occurrence.
    fn end_in(&self, text: &[u8]) -> Option<usize> {
        let first = *self.text.first()?;
        let mut length = 0usize;
        let mut at = 0;
        while at < text.len() {
            if length == 0 {
                at += text.get(at..)?.iter().position(|&byte| byte == first)?;
                length = 1;
            } else if text[at] == self.text[length] {
                length += 1;
            } else {
                length = self.kept[length - 1] as usize;
                continue;
            }
            at += 1;
            if length == self.text.len() {
                return Some(at);
            }
        }
        None
    }
}

/// The texts between the asterisks of a wildcard that has any.
#[derive(PartialEq, Eq, Hash, Debug)]
pub struct Wildcard {
    first: Box<[u8]>,
    between: Box<[Needle]>,
    last: Box<[u8]>,
}

/// Where an index can look for a wildcard.
pub enum Anchor<'a> {
    Prefix(&'a [u8]),
    Suffix(&'a [u8]),
    Inside(&'a [u8]),
    Anything,
}

/// Ours: as much of a text between asterisks as is looked for at each place of a value.
const INSIDE_BYTES_MAX: usize = 8;

impl Wildcard {
    pub fn new(literals: &[Vec<u8>]) -> Self {
        let (first, rest) = literals.split_first().map_or((&[][..], &[][..]), |(first, rest)| (&first[..], rest));
        let (last, between) = rest.split_last().map_or((&[][..], &[][..]), |(last, between)| (&last[..], between));
        Self {
            first: first.into(),
            between: between.iter().map(|text| Needle::new(text)).collect(),
            last: last.into(),
        }
    }

    pub fn accepts(&self, value: &[u8]) -> bool {
        let Some(mut rest) = value.strip_prefix(&*self.first).and_then(|rest| rest.strip_suffix(&*self.last)) else {
            return false;
        };
        for needle in &self.between {
            match needle.end_in(rest) {
                Some(end) => rest = rest.get(end..).unwrap_or_default(),
                None => return false,
            }
        }
        true
    }

    pub fn anchor(&self) -> Anchor<'_> {
        let longest = self.between.iter().max_by_key(|needle| needle.text.len());
        match longest {
            _ if !self.first.is_empty() => Anchor::Prefix(&self.first),
            _ if !self.last.is_empty() => Anchor::Suffix(&self.last),
            Some(needle) => Anchor::Inside(needle.text.get(..INSIDE_BYTES_MAX).unwrap_or(&needle.text)),
            None => Anchor::Anything,
        }
    }

    /// The texts between the asterisks, first and last included.
    pub fn literals(&self) -> Vec<Vec<u8>> {
        let between = self.between.iter().map(|needle| &needle.text);
        std::iter::once(&self.first).chain(between).chain([&self.last]).map(|text| text.to_vec()).collect()
    }

    pub fn bytes(&self) -> usize {
        let between: usize = self.between.iter().map(|needle| needle.text.len() * 5 + 32).sum();
        self.first.len() + self.last.len() + between
    }
}

/// The texts between the asterisks, first and last included; one text when there is no asterisk.
pub fn literals(text: &[u8]) -> Result<Vec<Vec<u8>>, &'static str> {
    let mut literals = vec![Vec::new()];
    let mut at = 0;
    while let Some(&byte) = text.get(at) {
        at += 1;
        match byte {
            b'*' if text.get(at) == Some(&b'*') => return Err("two wildcard characters side by side"),
            b'*' => literals.push(Vec::new()),
            b'\\' => match text.get(at) {
                Some(&escaped @ (b'*' | b'\\')) => {
                    literals.last_mut().into_iter().for_each(|literal| literal.push(escaped));
                    at += 1;
                }
                _ => return Err("a backslash in a wildcard wants an asterisk or a backslash behind it"),
            },
            other => literals.last_mut().into_iter().for_each(|literal| literal.push(other)),
        }
    }
    Ok(literals)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepts(text: &str, value: &str) -> bool {
        Wildcard::new(&literals(text.as_bytes()).unwrap_or_default()).accepts(value.as_bytes())
    }

    #[test]
    fn one_character_never_stands_for_two_literals() {
        for (text, value) in [("ab*ba", "aba"), ("a*b*b", "ab"), ("*b*ab", "ab"), ("a*a", "a")] {
            assert!(!accepts(text, value), "{text} {value}");
        }
        for (text, value) in [("*", ""), ("a*", "a"), ("*aab*", "aaab"), (r"\**\\", r"*x\"), ("*abab*c", "aababac")] {
            assert!(accepts(text, value), "{text} {value}");
        }
    }

    #[test]
    fn a_wildcard_is_linear_where_backtracking_would_hang() {
        let text = "a".repeat(1_000_000);
        assert!(!accepts("*a*a*a*a*b", &text));
        assert!(!accepts(&format!("*{}c*", "ab".repeat(500)), &"ab".repeat(500_000)));
    }

    #[test]
    fn bad_wildcards_are_refused() {
        for text in ["a**", "a\\", "\\b"] {
            assert!(literals(text.as_bytes()).is_err(), "{text}");
        }
    }
}
