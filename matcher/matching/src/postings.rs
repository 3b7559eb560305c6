//! What a key of an index leads to: mostly nothing or one number.

#[derive(Debug, Default)]
pub enum Postings {
    #[default]
    None,
    One(u32),
    Many(Vec<u32>),
}

impl Postings {
    #[inline]
    pub fn as_slice(&self) -> &[u32] {
        match self {
            Self::None => &[],
            Self::One(only) => std::slice::from_ref(only),
            Self::Many(all) => all,
        }
    }

    pub fn add(&mut self, posting: u32) {
        match self {
            Self::None => *self = Self::One(posting),
            Self::One(first) => *self = Self::Many(vec![*first, posting]),
            Self::Many(all) => all.push(posting),
        }
    }

    /// Undo one `add`.
    pub fn remove(&mut self, posting: u32) {
        match self {
            Self::One(only) if *only == posting => *self = Self::None,
            Self::Many(all) => {
                if let Some(at) = all.iter().rposition(|&other| other == posting) {
                    all.swap_remove(at);
                }
                if let [only] = all.as_slice() {
                    *self = Self::One(*only);
                }
            }
            _ => {}
        }
    }

    /// Undo the `add` that is at `place`, and give the one that has this place now.
    pub fn remove_at(&mut self, place: usize) -> Option<u32> {
        let Self::Many(all) = self else {
            *self = Self::None;
            return None;
        };
        all.swap_remove(place);
        let moved = all.get(place).copied();
        if let [only] = all.as_slice() {
            *self = Self::One(*only);
        }
        moved
    }

    pub fn bytes(&self) -> usize {
        match self {
            Self::Many(all) => all.capacity() * size_of::<u32>(),
            _ => 0,
        }
    }
}
