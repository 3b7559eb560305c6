//! Scratches for many threads, each used by one match at a time.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::scratch::Scratch;

/// Ours: as many matches at the same time find a scratch that was used before.
const KEPT_MAX: usize = 16;

/// Boxed, as each is some 500 bytes: to move them in and out cost a short match a tenth of its time.
#[allow(clippy::vec_box)]
type Left = Vec<Box<Scratch>>;

/// Scratches that matches have left for those to come.
#[derive(Default)]
pub struct Scratches {
    left: Mutex<Left>,
}

impl Scratches {
    /// Lend one that nobody else uses.
    pub fn lend<T>(&self, borrower: impl FnOnce(&mut Scratch) -> T) -> T {
        let mut scratch = self.left().pop().unwrap_or_default();
        let result = borrower(&mut scratch);
        scratch.shrink();
        let mut left = self.left();
        if left.len() < KEPT_MAX {
            left.push(scratch);
        }
        result
    }

    /// Bytes that those take which nobody uses now.
    pub fn bytes(&self) -> usize {
        let left = self.left();
        left.iter().map(|scratch| size_of::<Scratch>() + scratch.bytes()).sum()
    }

    /// Whoever panics does so while the lock is free, and takes its scratch with it.
    fn left(&self) -> MutexGuard<'_, Left> {
        self.left.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matcher::Matcher;

    fn list(entries: usize) -> String {
        format!(r#"{{"a":["x"{}]}}"#, ",1".repeat(entries))
    }

    fn bytes_after(scratches: &Scratches, event: &str) -> usize {
        let mut matcher = Matcher::default();
        assert!(matcher.add("rule", br#"{"a":["x"]}"#).is_ok());
        assert_eq!(scratches.lend(|scratch| matcher.find(event.as_bytes(), scratch).map(<[u32]>::len)), Ok(1));
        scratches.bytes()
    }

    #[test]
    fn an_ordinary_event_leaves_room_for_the_next_and_an_unusual_one_none() {
        let scratches = Scratches::default();
        let ordinary = bytes_after(&scratches, &list(1_000));
        assert!(ordinary > 10_000);
        assert_eq!(bytes_after(&scratches, &list(900)), ordinary);
        let unused = Scratches::default();
        unused.lend(|_| ());
        assert!(bytes_after(&scratches, &list(1_000_000)) <= unused.bytes() + 1_000);
        assert_eq!(bytes_after(&scratches, &list(1_000)), ordinary);
    }

    /// Lend so many at the same time.
    fn lend(scratches: &Scratches, count: usize) {
        if count > 0 {
            scratches.lend(|_| lend(scratches, count - 1));
        }
    }

    #[test]
    fn as_many_are_kept_as_were_lent_at_once_up_to_a_limit() {
        let scratches = Scratches::default();
        for (lent, kept) in [(1, 1), (3, 3), (2, 3), (100, KEPT_MAX)] {
            lend(&scratches, lent);
            assert_eq!(scratches.left().len(), kept);
        }
    }
}
