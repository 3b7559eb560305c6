//! Which fields of a batch: a bit for each.

use std::ops::{BitAnd, BitOr, Sub};

use crate::pattern::FIELDS_MAX;

const WORDS: usize = FIELDS_MAX / 64;

/// Up to `FIELDS_MAX` fields by their position in a batch.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct FieldSet([u64; WORDS]);

impl FieldSet {
    pub const EMPTY: Self = Self([0; WORDS]);

    pub fn of(field: usize) -> Self {
        let mut set = Self::EMPTY;
        if let Some(word) = set.0.get_mut(field / 64) {
            *word = 1 << (field % 64);
        }
        set
    }

    pub fn is_empty(self) -> bool {
        self == Self::EMPTY
    }

    pub fn has(self, field: usize) -> bool {
        !(self & Self::of(field)).is_empty()
    }
}

impl BitOr for FieldSet {
    type Output = Self;

    #[inline]
    fn bitor(self, other: Self) -> Self {
        Self(std::array::from_fn(|word| self.0[word] | other.0[word]))
    }
}

impl BitAnd for FieldSet {
    type Output = Self;

    #[inline]
    fn bitand(self, other: Self) -> Self {
        Self(std::array::from_fn(|word| self.0[word] & other.0[word]))
    }
}

/// Those of the one set that are not in the other.
impl Sub for FieldSet {
    type Output = Self;

    #[inline]
    fn sub(self, other: Self) -> Self {
        Self(std::array::from_fn(|word| self.0[word] & !other.0[word]))
    }
}
