//! From an entry of a value list to a condition.

use crate::address::{self, Address};
use crate::condition::{Condition, Literal};
use crate::fold::{Edge, Folded};
use crate::lexer::Word;
use crate::number;
use crate::tree::Tree;
use crate::wildcard::{self, Wildcard};

type Made = Result<Condition, &'static str>;

pub fn condition(entry: &Tree) -> Made {
    match entry {
        Tree::Text(text) => Ok(match address::parse(text) {
            Some(address) => Condition::Address(Box::new(address)),
            None => Condition::Text(text.as_slice().into()),
        }),
        Tree::Number(text) => Ok(match number::comparable(text) {
            Some(number) => Condition::Number(number.to_bits()),
            None => Condition::NumberText(text.as_slice().into()),
        }),
        Tree::Word(word) => Ok(Condition::Literal(literal(*word))),
        Tree::Object(members) => match members.as_slice() {
            [(name, argument)] => operator(name, argument),
            _ => Err("an operator's object has exactly one member"),
        },
        Tree::Array(_) => Err("a value list holds no lists"),
    }
}

pub fn literal(word: Word) -> Literal {
    match word {
        Word::Null => Literal::Null,
        Word::True => Literal::True,
        Word::False => Literal::False,
    }
}

fn operator(name: &[u8], argument: &Tree) -> Made {
    match (name, argument) {
        (b"exactly", Tree::Text(text)) => Ok(Condition::Text(text.as_slice().into())),
        (b"prefix", Tree::Text(text)) => Ok(Condition::Prefix(text.as_slice().into())),
        (b"suffix", Tree::Text(text)) => Ok(Condition::Suffix(text.as_slice().into())),
        (b"prefix", Tree::Object(members)) => folded_edge(members, Edge::Prefix),
        (b"suffix", Tree::Object(members)) => folded_edge(members, Edge::Suffix),
        (b"equals-ignore-case", Tree::Text(text)) => Ok(folded(Edge::Whole, text)),
        (b"wildcard", Tree::Text(text)) => wildcard_condition(text),
        (b"cidr", Tree::Text(text)) => network(text),
        (b"numeric", Tree::Array(terms)) => numeric(terms),
        (b"exists", Tree::Word(Word::True)) => Ok(Condition::Present),
        (b"exists", Tree::Word(Word::False)) => Ok(Condition::Absent),
        (b"anything-but", _) => anything_but(argument),
        (b"exactly" | b"prefix" | b"suffix" | b"equals-ignore-case" | b"wildcard" | b"cidr", _) => {
            Err("the operator wants a string")
        }
        (b"numeric", _) => Err("numeric wants a list"),
        (b"exists", _) => Err("exists wants true or false"),
        _ => Err("unknown operator"),
    }
}

fn folded(edge: Edge, text: &[u8]) -> Condition {
    Condition::Folded(edge, Box::new(Folded::new(text)))
}

fn folded_edge(members: &[(Vec<u8>, Tree)], edge: Edge) -> Made {
    match members {
        [(name, Tree::Text(text))] if name == b"equals-ignore-case" => Ok(folded(edge, text)),
        _ => Err("prefix and suffix want a string or {\"equals-ignore-case\": string}"),
    }
}

fn wildcard_condition(text: &[u8]) -> Made {
    let literals = wildcard::literals(text)?;
    Ok(match literals.as_slice() {
        [only] => Condition::Text(only.as_slice().into()),
        _ => Condition::Wildcard(Box::new(Wildcard::new(&literals))),
    })
}

fn network(text: &[u8]) -> Made {
    let mut parts = text.split(|&byte| byte == b'/');
    let (Some(address), Some(mask), None) = (parts.next(), parts.next(), parts.next()) else {
        return Err("cidr wants ADDRESS/BITS");
    };
    let digits = mask.strip_prefix(b"+").or(mask.strip_prefix(b"-")).unwrap_or(mask);
    if digits.is_empty() || digits.len() > 9 || !digits.iter().all(u8::is_ascii_digit) {
        return Err("the mask of a cidr is a number of bits");
    }
    let bits = digits.iter().fold(0u32, |bits, digit| bits * 10 + u32::from(digit - b'0'));
    if bits > 0 && mask.starts_with(b"-") {
        return Err("the mask of a cidr is not negative");
    }
    let address: Address = address::parse(address).ok_or("cidr wants an IP address")?;
    match u8::try_from(bits) {
        Ok(mask) if mask < address.bits => Ok(Condition::Network(Box::new(address), mask)),
        _ => Err("the mask of a cidr has fewer bits than the address"),
    }
}

fn bound(term: Option<&Tree>) -> Result<f64, &'static str> {
    match term {
        Some(Tree::Number(text)) => number::comparable(text).ok_or("a number with more digits than a double keeps"),
        _ => Err("a comparison wants a number"),
    }
}

fn numeric(terms: &[Tree]) -> Made {
    const INFINITE: f64 = f64::INFINITY;
    let Some(Tree::Text(first)) = terms.first() else {
        return Err("numeric begins with a comparison");
    };
    let number = bound(terms.get(1))?;
    match (first.as_slice(), terms.get(2)) {
        (b"=", None) => Ok(Condition::Number(number.to_bits())),
        (b"<", None) => Ok(Condition::Range(number::order(-INFINITE), number::order(number) - 1)),
        (b"<=", None) => Ok(Condition::Range(number::order(-INFINITE), number::order(number))),
        (b">" | b">=", rest) => {
            let low = number::order(number) + u64::from(first == b">");
            let Some(rest) = rest else {
                return Ok(Condition::Range(low, number::order(INFINITE)));
            };
            let Tree::Text(second) = rest else { return Err("a range has two comparisons") };
            let upper = bound(terms.get(3))?;
            let high = match second.as_slice() {
                b"<" => number::order(upper) - 1,
                b"<=" => number::order(upper),
                _ => return Err("a range ends with < or <="),
            };
            if terms.len() > 4 || number >= upper {
                return Err("a range has two comparisons, the lower bound first");
            }
            Ok(Condition::Range(low, high))
        }
        (b"=" | b"<" | b"<=", Some(_)) => Err("only a lower bound has another comparison behind it"),
        _ => Err("unknown comparison"),
    }
}

fn anything_but(argument: &Tree) -> Made {
    match argument {
        Tree::Text(text) => Ok(Condition::NotTexts([text.as_slice().into()].into())),
        Tree::Number(_) => Ok(Condition::Not([refused_number(argument)?].into())),
        Tree::Array(elements) if elements.iter().all(|element| matches!(element, Tree::Text(_))) => {
            let mut texts: Vec<Box<[u8]>> = elements.iter().filter_map(text_of).map(Into::into).collect();
            texts.sort();
            texts.dedup();
            if texts.is_empty() {
                Err("anything-but wants at least one value")
            } else {
                Ok(Condition::NotTexts(texts.into()))
            }
        }
        Tree::Array(elements) => Ok(Condition::Not(elements.iter().map(refused_number).collect::<Result<_, _>>()?)),
        Tree::Object(members) => match members.as_slice() {
            [(name, Tree::Array(elements))] if !elements.is_empty() => {
                Ok(Condition::Not(elements.iter().map(|element| refused(name, element)).collect::<Result<_, _>>()?))
            }
            [(name, element)] => Ok(Condition::Not([refused(name, element)?].into())),
            _ => Err("anything-but wants exactly one operator"),
        },
        Tree::Word(_) => Err("anything-but wants strings, numbers or an operator"),
    }
}

fn text_of(tree: &Tree) -> Option<&[u8]> {
    match tree {
        Tree::Text(text) => Some(text),
        _ => None,
    }
}

fn refused_number(element: &Tree) -> Made {
    match element {
        Tree::Number(_) => Ok(Condition::Number(bound(Some(element))?.to_bits())),
        _ => Err("anything-but wants strings only or numbers only"),
    }
}

fn refused(name: &[u8], element: &Tree) -> Made {
    let text = text_of(element).ok_or("an operator inside anything-but wants strings")?;
    match name {
        b"prefix" | b"suffix" if text.is_empty() => Err("anything-but wants no empty prefix or suffix"),
        b"prefix" => Ok(Condition::Prefix(text.into())),
        b"suffix" => Ok(Condition::Suffix(text.into())),
        b"wildcard" => wildcard_condition(text),
        b"equals-ignore-case" => Ok(folded(Edge::Whole, text)),
        _ => Err("unknown operator inside anything-but"),
    }
}
