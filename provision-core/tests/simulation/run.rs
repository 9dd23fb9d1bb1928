//! Running seeds and saying what they did.

use std::time::Instant;

use provision_core::testkit::simulation::{Outcome, Profile, Simulation, StoreKind};

/// Runs one seed.
pub(crate) fn run(seed: u64, profile: &Profile, store: StoreKind) -> Outcome {
    let folder = tempfile::tempdir().unwrap();
    Simulation::new(seed).profile(profile.clone()).store(store, folder.path()).run().unwrap()
}

/// What several seeds did.
#[derive(Default)]
pub(crate) struct Tally {
    pub(crate) seeds: u64,
    pub(crate) events: u64,
    pub(crate) failed: Vec<String>,
}

impl Tally {
    /// Adds a run; what failed is printed whole.
    pub(crate) fn add(&mut self, outcome: &Outcome) {
        self.seeds += 1;
        self.events += outcome.events;
        if !outcome.is_clean() {
            println!("{outcome}");
            self.failed.push(format!("{} {} {:?}", outcome.seed, outcome.profile, outcome.store));
        }
    }

    /// Says it and fails when a seed did.
    pub(crate) fn conclude(&self, begun: Instant) {
        let took = begun.elapsed().as_secs_f64();
        let (seeds, events) = (self.seeds, self.events);
        println!(
            "{seeds} seeds, {events} events in {took:.1} s: {:.0} events per second",
            events as f64 / took
        );
        assert!(self.failed.is_empty(), "these seeds broke a law: {:?}", self.failed);
    }
}

/// The profile of a seed: every second one is everyday life, the others take turns.
pub(crate) fn profile_of(seed: u64) -> Profile {
    let all = Profile::all();
    let turn = usize::try_from(seed / 2).unwrap() % all.len();
    if seed.is_multiple_of(2) { all[turn].clone() } else { Profile::everyday() }
}
