//! Chance: names, values and orders drawn from a seed. The same seed and clause draw the same.

use crate::runtime::SeededRandom;

const LETTERS: &[u8] = b"abcdefghijklmnopqrstuvwxyz";
const LETTERS_AND_DIGITS: &[u8] = b"abcdefghijklmnopqrstuvwxyz0123456789";

/// Characters that some target's syntax or storage has mistaken for something else, and some of every width.
const CHARACTERS: &[char] = &[
    'a', 'Z', '7', ' ', ' ', '\'', '"', '`', '\\', '/', '*', '%', '_', '(', ')', '{', '}', '[', ']', '<',
    '>', '&', '|', ',', ';', ':', '=', '+', '-', '#', '@', '!', '?', '$', '~', '^', '.', '\t', '\n', 'é',
    'ß', 'İ', 'ı', 'Ω', 'Ж', '王', '𝔘', '😀', '\u{301}', '\u{200d}', '\u{202e}', '\u{feff}', 'ﬁ',
];

/// A stream of draws.
#[derive(Debug)]
pub(super) struct Chance(SeededRandom);

impl Chance {
    /// The draws of one clause, whichever others are tried.
    pub(super) fn of(seed: u64, clause: &str) -> Self {
        let mark = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        Self(SeededRandom::new(clause.bytes().fold(seed ^ 0xcbf2_9ce4_8422_2325, mark)))
    }

    /// A number below `limit`; 0 for 0.
    pub(super) fn below(&self, limit: usize) -> usize {
        let limit = (limit as u64).max(1);
        usize::try_from(self.0.next_u64() % limit).unwrap_or_default()
    }

    /// One of several; nothing of none.
    pub(super) fn pick<'a, T>(&self, from: &'a [T]) -> Option<&'a T> {
        from.get(self.below(from.len()))
    }

    /// The same in another order.
    pub(super) fn shuffled<T>(&self, mut items: Vec<T>) -> Vec<T> {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
        items
    }

    fn letters(&self, from: &[u8], length: usize) -> String {
        (0..length).filter_map(|_| self.pick(from)).map(|letter| char::from(*letter)).collect()
    }

    /// Five letters and digits, a letter first.
    pub(super) fn tag(&self) -> String {
        self.letters(LETTERS, 1) + &self.letters(LETTERS_AND_DIGITS, 4)
    }

    /// Some letters.
    pub(super) fn word(&self) -> String {
        self.letters(LETTERS, 3 + self.below(6))
    }

    /// A text of any characters, `length` at most, at least one; none that white space alone makes.
    pub(super) fn text(&self, length: usize) -> String {
        let characters = (0..1 + self.below(length)).filter_map(|_| self.pick(CHARACTERS));
        let text = characters.collect::<String>();
        if text.trim().is_empty() { "x".to_owned() } else { text }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_and_a_clause_draw_the_same_and_others_draw_others() {
        let drawn = |seed, clause| {
            let chance = Chance::of(seed, clause);
            (chance.tag(), chance.word(), chance.text(20), chance.shuffled((0..9).collect::<Vec<_>>()))
        };
        assert_eq!(drawn(7, "C-4.1"), drawn(7, "C-4.1"));
        assert_ne!(drawn(7, "C-4.1"), drawn(8, "C-4.1"));
        assert_ne!(drawn(7, "C-4.1"), drawn(7, "C-4.2"));
        assert_eq!(drawn(7, "C-4.1").0.len(), 5);
        let mut order = Chance::of(1, "").shuffled((0..9).collect::<Vec<_>>());
        order.sort_unstable();
        assert_eq!(order, (0..9).collect::<Vec<_>>());
    }
}
