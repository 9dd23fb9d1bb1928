//! Chance faults of every kind at once.

use std::time::Duration;

use crate::memory::{Fault, FaultRule, Faults, Operation, When};

/// Faults by chance at every operation. The kinds that a target may make without breaking the connector contract are
/// in; the others are off until their numbers are set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Storm {
    /// Decides what is hit.
    pub seed: u64,
    /// The chance of each kind of fault at each call, in a thousand.
    pub per_mille: u32,
    /// How long a delayed request or answer takes; zero: none is.
    pub delay: Duration,
    /// How late a request reaches the target whose caller has given up; zero: none does.
    pub late: Duration,
    /// How old a read may be; zero: none is. More than the target's `visible_after` breaks its promise.
    pub stale: Duration,
    /// Some calls never end: the caller needs a deadline.
    pub hang: bool,
}

impl Storm {
    /// Refusals, lost requests and answers, duplicates, cut listings, old tokens and delays of 200 milliseconds.
    pub fn new(seed: u64, per_mille: u32) -> Self {
        let delay = Duration::from_millis(200);
        Self { seed, per_mille, delay, late: Duration::ZERO, stale: Duration::ZERO, hang: false }
    }

    /// The rules.
    pub fn faults(&self) -> Faults {
        let millis = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        let mut faults = vec![
            Fault::Refuse,
            Fault::RateLimit(Some(1000)),
            Fault::LoseRequest,
            Fault::LoseResponse,
            Fault::Duplicate,
            Fault::Truncate(1),
            Fault::Break(1),
            Fault::PageError(1),
            Fault::ExpireToken,
            Fault::DropObserved,
        ];
        if !self.delay.is_zero() {
            faults.extend([Fault::Delay(millis(self.delay)), Fault::DelayResponse(millis(self.delay))]);
        }
        if !self.late.is_zero() {
            faults.push(Fault::Late(millis(self.late)));
        }
        if !self.stale.is_zero() {
            faults.push(Fault::Stale(millis(self.stale)));
        }
        if self.hang {
            faults.extend([Fault::Hang, Fault::HangResponse]);
        }
        let when = When::PerMille(self.per_mille);
        let rule = |fault| FaultRule { when: when.clone(), ..FaultRule::always(Operation::Get, fault) };
        let mut rules =
            faults.into_iter().map(|fault| FaultRule { on: [].into(), ..rule(fault) }).collect::<Vec<_>>();
        let busy = [Operation::Update, Operation::Rename, Operation::Lifecycle, Operation::Membership];
        rules.push(FaultRule { on: busy.into(), ..rule(Fault::Conflict) });
        Faults { seed: self.seed, rules }
    }
}
