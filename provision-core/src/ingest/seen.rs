//! Which records a feed has brought so far: one bit per known record, one number per staged change.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

/// Bits over the dense numbering of a source's records.
#[derive(Debug, Default)]
pub(super) struct Seen {
    words: Vec<u64>,
}

impl Seen {
    pub(super) fn with_capacity(ordinals: u64) -> Self {
        let words = usize::try_from(ordinals / 64 + 1).unwrap_or(0);
        Self { words: vec![0; words] }
    }

    /// Marks a record; false if it was marked already.
    pub(super) fn insert(&mut self, ordinal: u64) -> bool {
        let index = usize::try_from(ordinal / 64).unwrap_or(usize::MAX);
        if index >= self.words.len() && index < usize::MAX {
            self.words.resize(index + 1, 0);
        }
        let bit = 1u64 << (ordinal % 64);
        match self.words.get_mut(index) {
            Some(word) if *word & bit == 0 => {
                *word |= bit;
                true
            }
            _ => false,
        }
    }

    pub(super) fn contains(&self, ordinal: u64) -> bool {
        let index = usize::try_from(ordinal / 64).unwrap_or(usize::MAX);
        self.words.get(index).is_some_and(|word| word & (1 << (ordinal % 64)) != 0)
    }
}

/// The numbers of staged changes by key: 16 bytes each, keys are kept as hashes. Two keys of one hash are told apart by
/// the caller, who reads the change; the second takes the next free place.
#[derive(Debug, Default)]
pub(super) struct StagedKeys {
    numbers: HashMap<u64, u64>,
}

impl StagedKeys {
    /// Where the search for a key begins.
    pub(super) fn start(key: &str) -> u64 {
        let mut hasher = DefaultHasher::new();
        key.hash(&mut hasher);
        hasher.finish()
    }

    /// The change at a place; the search goes on at `place + 1` (wrapping) until it finds none.
    pub(super) fn at(&self, place: u64) -> Option<u64> {
        self.numbers.get(&place).copied()
    }

    /// Adds a key that is not there.
    pub(super) fn insert(&mut self, key: &str, number: u64) {
        let mut place = Self::start(key);
        while self.numbers.contains_key(&place) {
            place = place.wrapping_add(1);
        }
        self.numbers.insert(place, number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seen_marks_each_ordinal_once_and_grows() {
        let mut seen = Seen::with_capacity(10);
        assert!(seen.insert(3) && !seen.insert(3) && seen.insert(100_000));
        assert!(seen.contains(3) && seen.contains(100_000) && !seen.contains(4) && !seen.contains(99_999));
    }

    #[test]
    fn staged_keys_keep_both_of_one_place() {
        let mut keys = StagedKeys::default();
        keys.insert("a", 7);
        keys.insert("a", 8);
        let place = StagedKeys::start("a");
        assert_eq!((keys.at(place), keys.at(place.wrapping_add(1))), (Some(7), Some(8)));
    }
}
