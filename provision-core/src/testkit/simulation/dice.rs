//! Chance, from a seed.

use crate::runtime::SeededRandom;

/// A generator of decisions. The same seed and the same order of questions give the same answers.
#[derive(Debug)]
pub(super) struct Dice(SeededRandom);

impl Dice {
    /// The dice number `stream` of a seed.
    pub(super) fn new(seed: u64, stream: u64) -> Self {
        let mixed = SeededRandom::new(seed.rotate_left(17) ^ stream.wrapping_mul(0xA076_1D64_78BD_642F));
        Self(SeededRandom::new(mixed.next_u64()))
    }

    /// Below `most`; 0 when that is 0.
    pub(super) fn below(&self, most: u64) -> u64 {
        if most == 0 { 0 } else { self.0.next_u64() % most }
    }

    /// From `least` to `most`, both included.
    pub(super) fn between(&self, least: u64, most: u64) -> u64 {
        least.saturating_add(self.below(most.saturating_sub(least).saturating_add(1)))
    }

    /// True so many times in a thousand.
    pub(super) fn per_mille(&self, chance: u64) -> bool {
        chance > 0 && self.below(1_000) < chance
    }

    /// True so many times in a million.
    pub(super) fn per_million(&self, chance: u64) -> bool {
        chance > 0 && self.below(1_000_000) < chance
    }

    /// One of several.
    pub(super) fn pick<'a, T>(&self, from: &'a [T]) -> Option<&'a T> {
        let at = usize::try_from(self.below(from.len() as u64)).unwrap_or(0);
        from.get(at)
    }

    /// One of several by weight; `None` when all weigh nothing.
    pub(super) fn weighted<T: Copy>(&self, from: &[(u64, T)]) -> Option<T> {
        let all: u64 = from.iter().map(|(weight, _)| *weight).sum();
        let mut at = self.below(all);
        for (weight, one) in from {
            if at < *weight {
                return Some(*one);
            }
            at -= weight;
        }
        None
    }

    /// A seed for dice of their own.
    pub(super) fn seed(&self) -> u64 {
        self.0.next_u64()
    }
}
