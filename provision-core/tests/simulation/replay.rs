//! A seed replays: on each store it gives the same events again, and one that failed can be looked at.

use provision_core::testkit::simulation::{Profile, Simulation, StoreKind};

use crate::run::run;

#[test]
fn the_same_seed_is_the_same_world() {
    for store in [StoreKind::Memory, StoreKind::SqliteInline] {
        for seed in 1..=3 {
            let (one, two) = (run(seed, &Profile::everyday(), store), run(seed, &Profile::everyday(), store));
            assert_eq!((one.events, &one.digest), (two.events, &two.digest), "seed {seed} on {store:?}");
            let other = run(seed + 100, &Profile::everyday(), store);
            assert_ne!(one.digest, other.digest, "another seed is another world");
        }
    }
}

/// `SIMULATION_SEED` and, where they matter, `SIMULATION_STORE` and `SIMULATION_PROFILE`: one seed with all its lines.
#[test]
fn replay() {
    let seed = std::env::var("SIMULATION_SEED").unwrap_or_else(|_| "4".to_owned());
    let store = match std::env::var("SIMULATION_STORE").as_deref() {
        Ok("SqliteInline") => StoreKind::SqliteInline,
        _ => StoreKind::Memory,
    };
    let name = std::env::var("SIMULATION_PROFILE").unwrap_or_else(|_| "everyday".to_owned());
    let profile = Profile::named(&name).expect("a profile of that name");
    let folder = tempfile::tempdir().unwrap();
    let simulation = Simulation::new(seed.parse().unwrap()).profile(profile);
    let outcome = simulation.store(store, folder.path()).whole_trace().run().unwrap();
    println!("{outcome}");
    assert!(outcome.is_clean());
}
