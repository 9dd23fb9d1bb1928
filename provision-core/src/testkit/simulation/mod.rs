//! A simulated world: realms with sources and targets, processes that die and come back, virtual time, one seed.
//!
//! Everything runs on one thread in an order that the seed chooses, so that a seed replays. While it runs, every write
//! is looked at when it is sent; at the end everything is brought to rest and the laws are checked from outside: what
//! the sources really said, against what the targets hold, the store's rows and the ledger of what reached the targets.
//! `docs/decisions/0011-simulation.md` says how and why.

mod clock;
mod commits;
mod depot;
mod dice;
mod executor;
mod finale;
mod inspector;
mod laws;
mod ledger;
mod network;
mod policy;
mod population;
mod profile;
mod realm;
mod record;
mod scenario;
mod staff;
mod storm;
mod stranger;
mod trace;
mod verdict;
mod weather;
mod world;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub use depot::StoreKind;
pub use profile::Profile;
pub use verdict::{Outcome, Violation};
pub use weather::Faults;

use self::clock::Time;
use self::dice::Dice;
use self::executor::{Ended, Executor};
use self::trace::Trace;
use self::world::World;
use crate::error::Result;
use crate::value::Timestamp;

/// Polls after which a world is thought to be going round in circles.
const EVENTS_MAX: u64 = 120_000;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A simulation to run.
#[derive(Clone, Debug)]
pub struct Simulation {
    seed: u64,
    profile: Profile,
    store: StoreKind,
    folder: PathBuf,
    whole_trace: bool,
}

impl Simulation {
    /// A simulation with this seed, of everyday life, in memory.
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            profile: Profile::everyday(),
            store: StoreKind::Memory,
            folder: PathBuf::new(),
            whole_trace: false,
        }
    }

    /// What happens in it.
    #[must_use]
    pub fn profile(mut self, profile: Profile) -> Self {
        self.profile = profile;
        self
    }

    /// What its rows are kept in. A file lies in `folder`, which is empty and belongs to this run.
    #[must_use]
    pub fn store(mut self, store: StoreKind, folder: impl Into<PathBuf>) -> Self {
        (self.store, self.folder) = (store, folder.into());
        self
    }

    /// Keeps every line of the trace instead of the last ones.
    #[must_use]
    pub fn whole_trace(mut self) -> Self {
        self.whole_trace = true;
        self
    }

    /// Runs it to its end and checks every law.
    ///
    /// # Errors
    /// When the world cannot be set up.
    pub fn run(&self) -> Result<Outcome> {
        let time = Time::starting_at(Timestamp::from_micros(START));
        let trace = Arc::new(Trace::new(self.whole_trace));
        let mut executor = Executor::new(time.clone(), Dice::new(self.seed, 0), Arc::clone(&trace));
        let shared = (time.clone(), Arc::clone(&trace));
        let world =
            Arc::new(World::new(&self.profile, self.seed, self.store, &self.folder, &executor, shared)?);
        let found: Arc<Mutex<Vec<Violation>>> = Arc::default();
        let (told, living) = (Arc::clone(&found), Arc::clone(&world));
        let ended = executor.run(
            async move {
                if let Err(error) = storm::set_up(&living).await {
                    living.trouble(format!("cannot set up: {}", error.report()));
                    return;
                }
                storm::rage(&living).await;
                let process = finale::play(&living).await;
                let violations = laws::check(&living, &process).await;
                lock(&told).extend(violations);
            },
            EVENTS_MAX,
        );
        executor.clear();
        let mut violations = world.depot.record.violations();
        for site in world.realms.iter().flat_map(|realm| realm.sites.values()) {
            violations.extend(site.ledger.violations());
        }
        violations.extend(lock(&found).drain(..));
        violations.extend(lock(&world.trouble).drain(..).map(|what| Violation { law: 0, what }));
        if ended != Ended::Done {
            violations.push(Violation { law: 0, what: format!("the world did not end: {ended:?}") });
        }
        let writes = world.realms.iter().flat_map(|realm| realm.sites.values()).map(|site| site.ledger.len());
        Ok(Outcome {
            seed: self.seed,
            profile: self.profile.name,
            store: self.store,
            events: executor.events,
            store_calls: world.depot.record.calls(),
            writes: writes.sum::<usize>() as u64,
            virtual_time: time.now(),
            digest: trace.digest(),
            violations,
            trace: trace.lines(),
        })
    }
}

/// When every world begins: 2026-11-02, 08:00 UTC.
const START: i64 = 1_793_606_400_000_000;
