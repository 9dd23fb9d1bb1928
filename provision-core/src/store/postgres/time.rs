//! The database's clock, read without asking the database each time.
//!
//! All nodes of a store go by the clock of its database, so that a node whose own clock is a minute off takes nobody's
//! lease. Every few seconds the database is asked; in between its time is what it said plus what has passed since then,
//! by a clock of this process that is never set. What is told is never ahead of the database's clock (the way of the
//! answer is not counted), so that no lease ends early.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::runtime::Moment;
use crate::value::Timestamp;

/// How long an answer is good for. Clocks of machines drift apart by less than a millisecond in this time.
const GOOD_FOR: Duration = Duration::from_secs(5);
/// Steps back that are taken for what they are: the database was moved to a machine whose clock is behind.
const STEP_BACK: Duration = Duration::from_secs(1);

#[derive(Clone, Copy, Debug)]
struct Reading {
    told: Timestamp,
    at: Moment,
}

/// What the database's clock said last.
#[derive(Debug, Default)]
pub(super) struct DatabaseClock {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    reading: Option<Reading>,
    /// The latest time that was told: it does not go back.
    told: Option<Timestamp>,
}

impl DatabaseClock {
    /// The time; `None` when the database has to be asked.
    pub(super) fn now(&self) -> Option<Timestamp> {
        let mut state = self.state();
        let Reading { told, at } = state.reading?;
        let passed = at.elapsed();
        if passed > GOOD_FOR {
            return None;
        }
        let now = told.plus(passed);
        let now = state.told.map_or(now, |before| before.max(now));
        state.told = Some(now);
        Some(now)
    }

    /// The database has told its time.
    pub(super) fn set(&self, told: Timestamp) -> Timestamp {
        let mut state = self.state();
        state.reading = Some(Reading { told, at: Moment::now() });
        let now = match state.told {
            Some(before) if before <= told.plus(STEP_BACK) => before.max(told),
            _ => told,
        };
        state.told = Some(now);
        now
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn time_goes_on_between_readings_and_never_back_for_a_small_step() {
        let clock = DatabaseClock::default();
        assert_eq!(clock.now(), None);
        let start = Timestamp::from_micros(1_000_000_000);
        assert_eq!(clock.set(start), start);
        tokio::time::advance(Duration::from_secs(2)).await;
        let later = start.plus(Duration::from_secs(2));
        assert_eq!(clock.now(), Some(later));
        assert_eq!(clock.set(start.plus(Duration::from_millis(1900))), later, "what was told stays told");
        assert_eq!(clock.now(), Some(later));
        tokio::time::advance(GOOD_FOR + Duration::from_millis(1)).await;
        assert_eq!(clock.now(), None, "asked again");
        assert_eq!(clock.set(start), start, "another machine, another clock");
    }
}
