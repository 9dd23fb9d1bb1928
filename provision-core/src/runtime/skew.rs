//! How far the clock of this process is from the store's. Who may take over from whom is decided by the store's clock,
//! also where it cannot be asked each time: bounds of it are kept, so that a process with a wrong clock ends its own
//! calls in time and takes over from nobody early.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::value::Timestamp;

/// A measurement is good for so long, by the clock of this process.
const FRESH: Duration = Duration::from_secs(1);

/// Both clocks, read at the same time as nearly as can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Measured {
    /// Ours, before the store was asked.
    before: Timestamp,
    /// The store's.
    stored: Timestamp,
    /// Ours, after it had answered.
    after: Timestamp,
}

/// The store's clock as this process knows it; ours, until it was asked once.
#[derive(Debug, Default)]
pub(crate) struct Skew(Mutex<Option<Measured>>);

impl Skew {
    /// The store's clock showed `stored` at some instant between two of ours.
    pub(crate) fn measured(&self, before: Timestamp, stored: Timestamp, after: Timestamp) {
        let measured = Measured { before, stored, after };
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(measured);
    }

    fn last(&self) -> Option<Measured> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the store is to be asked again. A clock that went backwards was set.
    pub(crate) fn is_old(&self, now: Timestamp) -> bool {
        self.last().is_none_or(|last| now < last.after || now.since(last.after) >= FRESH)
    }

    /// The store's clock shows at least this when ours shows `at`: nothing is early by it.
    pub(crate) fn at_least(&self, at: Timestamp) -> Timestamp {
        self.last().map_or(at, |last| moved(at, last.after, last.stored))
    }

    /// What our clock shows when the store's shows at least `stored`. It does not depend on when it is asked.
    pub(crate) fn when_at_least(&self, stored: Timestamp) -> Timestamp {
        self.last().map_or(stored, |last| moved(stored, last.stored, last.after))
    }

    /// The store's clock shows at most this when ours shows `at`: nothing is late by it.
    pub(crate) fn at_most(&self, at: Timestamp) -> Timestamp {
        self.last().map_or(at, |last| moved(at, last.before, last.stored))
    }
}

/// An instant as far from `to` as it was from `from`.
fn moved(at: Timestamp, from: Timestamp, to: Timestamp) -> Timestamp {
    let offset = to.as_micros().saturating_sub(from.as_micros());
    Timestamp::from_micros(at.as_micros().saturating_add(offset))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bounds_hold_whenever_the_store_looked_at_its_clock() {
        let at = |seconds: i64| Timestamp::from_micros(seconds * 1_000_000);
        for true_offset in [-60, 0, 60] {
            for looked in 100..=104 {
                let skew = Skew::default();
                assert_eq!((skew.at_least(at(7)), skew.at_most(at(7))), (at(7), at(7)));
                assert!(skew.is_old(at(7)));
                skew.measured(at(100), at(looked + true_offset), at(104));
                for ours in [50, 104, 1_000] {
                    let stored = at(ours + true_offset);
                    assert!(skew.at_least(at(ours)) <= stored && stored <= skew.at_most(at(ours)));
                    assert_eq!(skew.at_least(skew.when_at_least(stored)), stored);
                }
                assert!(!skew.is_old(at(104)) && skew.is_old(at(105)) && skew.is_old(at(103)));
            }
        }
    }
}
