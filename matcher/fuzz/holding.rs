//! What must hold of any texts, whoever made them up. The fuzzer runs it, and a test on what was found before.
//!
//! An input is some lines; each is taken as a pattern, and each as an event. The reference in Python takes the same
//! inputs, so that what either finds is kept for both. Nothing here knows what is the right answer: it is only asked for
//! in several ways, which must give the same one.

use busway_matching::{Matcher, Scratch};

/// Ours: further lines are passed over, as each is asked with all the others.
const LINES_MAX: usize = 6;

pub fn hold(input: &[u8]) {
    let lines: Vec<&[u8]> = input.split(|&byte| byte == b'\n').take(LINES_MAX).collect();
    let mut together = Matcher::default();
    let alone: Vec<Matcher> = (0..lines.len()).map(|at| alone(&lines, at, &mut together)).collect();
    let all: Vec<usize> = (0..lines.len()).filter(|&at| !alone[at].is_empty()).collect();
    let mut scratch = Scratch::default();
    let verdicts: Vec<Verdict> = lines.iter().map(|event| one_by_one(&alone, event, &mut scratch)).collect();
    let mut agrees = |matcher: &Matcher, kept: &[usize]| {
        assert_eq!(matcher.len(), kept.len());
        for (event, verdict) in lines.iter().zip(&verdicts) {
            let wanted: Verdict =
                verdict.as_ref().map(|ids| ids.iter().filter(|&at| kept.contains(at)).copied().collect());
            assert_eq!(asked(matcher, event, &mut scratch), wanted);
        }
    };
    agrees(&together, &all);

    // Adding what is there changes nothing, nor does it matter which of them went and came back.
    all.iter().rev().for_each(|&at| add(&mut together, &lines, at));
    agrees(&together, &all);
    let (gone, kept): (Vec<usize>, Vec<usize>) = all.iter().partition(|&at| at % 2 == 0);
    gone.iter().for_each(|&at| remove(&mut together, at));
    agrees(&together, &kept);
    gone.iter().for_each(|&at| add(&mut together, &lines, at));
    agrees(&together, &all);

    // All that patterns took is given back with them; only room for the next ones is kept.
    let bytes = together.bytes();
    all.iter().for_each(|&at| remove(&mut together, at));
    assert!(together.is_clear() && together.bytes() <= bytes);
    agrees(&together, &[]);
}

/// The numbers of the lines that match, in order; None for what is no event.
type Verdict = Option<Vec<usize>>;

fn add(matcher: &mut Matcher, lines: &[&[u8]], at: usize) {
    assert!(matcher.add(&at.to_string(), lines[at]).is_ok());
}

fn remove(matcher: &mut Matcher, at: usize) {
    assert!(matcher.remove(&at.to_string()) && !matcher.remove(&at.to_string()));
}

/// A matcher of one line only, which is also added to the one of all; both refuse it with the same words.
fn alone(lines: &[&[u8]], at: usize, together: &mut Matcher) -> Matcher {
    let mut matcher = Matcher::default();
    let taken = matcher.add(&at.to_string(), lines[at]);
    assert_eq!(taken, together.add(&at.to_string(), lines[at]));
    assert!(taken.is_ok() || matcher.is_clear());
    matcher
}

/// What each pattern says by itself. All refuse the same events: also those that look nowhere.
fn one_by_one(alone: &[Matcher], event: &[u8], scratch: &mut Scratch) -> Verdict {
    let verdicts: Vec<Verdict> = alone.iter().map(|matcher| asked(matcher, event, scratch)).collect();
    let refused = asked(&Matcher::default(), event, scratch).is_none();
    assert!(verdicts.iter().all(|verdict| verdict.is_none() == refused));
    verdicts.into_iter().collect::<Option<Vec<_>>>().map(|found| found.concat())
}

fn asked(matcher: &Matcher, event: &[u8], scratch: &mut Scratch) -> Verdict {
    let found = matcher.find(event, scratch).ok()?;
    let mut ids: Vec<usize> =
        found.iter().filter_map(|&rule| matcher.id(rule)).filter_map(|id| id.parse().ok()).collect();
    ids.sort_unstable();
    Some(ids)
}
