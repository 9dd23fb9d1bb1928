//! What a simulation came to.

use std::fmt;

use super::depot::StoreKind;
use crate::value::Timestamp;

/// A law that did not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Its number; 0: the simulation itself did not come to an end.
    pub law: u32,
    /// What was seen.
    pub what: String,
}

/// The end of a simulation.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// What it replays from.
    pub seed: u64,
    /// The profile's name.
    pub profile: &'static str,
    /// On which store.
    pub store: StoreKind,
    /// Times a task went on.
    pub events: u64,
    /// Calls to the store.
    pub store_calls: u64,
    /// Writes that reached a target.
    pub writes: u64,
    /// The world's time at the end.
    pub virtual_time: Timestamp,
    /// Over everything that happened, in order.
    pub digest: String,
    /// Laws that did not hold.
    pub violations: Vec<Violation>,
    /// The last lines of what happened.
    pub trace: Vec<String>,
}

impl Outcome {
    /// True when every law held.
    pub fn is_clean(&self) -> bool {
        self.violations.is_empty()
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "law {}: {}", self.law, self.what)
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in &self.trace {
            writeln!(f, "  {line}")?;
        }
        for violation in &self.violations {
            writeln!(f, "{violation}")?;
        }
        let (seed, store, profile) = (self.seed, self.store, self.profile);
        writeln!(
            f,
            "seed {seed} on {store:?}, profile {profile}, {} events, digest {}",
            self.events, self.digest
        )?;
        write!(
            f,
            "replay: SIMULATION_SEED={seed} SIMULATION_STORE={store:?} SIMULATION_PROFILE={profile} cargo test -p \
             provision-core --test simulation replay -- --nocapture"
        )
    }
}
