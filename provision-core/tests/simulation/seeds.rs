//! Many seeds.

use provision_core::testkit::simulation::{Profile, Simulation, StoreKind};

fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

#[test]
fn explore() {
    let (from, many) = (number("SIMULATION_FROM", 1), number("SIMULATION_MANY", 5));
    let name = std::env::var("SIMULATION_PROFILE").unwrap_or("everyday".to_owned());
    let mut events = 0;
    let mut calls = 0;
    let mut failed = Vec::new();
    let begun = std::time::Instant::now();
    for seed in from..from + many {
        let folder = tempfile::tempdir().unwrap();
        let store = if std::env::var("SIMULATION_STORE").is_ok_and(|s| s == "SqliteInline") {
            StoreKind::SqliteInline
        } else {
            StoreKind::Memory
        };
        let outcome = Simulation::new(seed)
            .profile(Profile::named(&name).unwrap())
            .store(store, folder.path())
            .run()
            .unwrap();
        events += outcome.events;
        calls += outcome.store_calls;
        if !outcome.is_clean() {
            for violation in outcome.violations.iter().take(4) {
                println!("{seed}: {}", violation.to_string().chars().take(300).collect::<String>());
            }
            failed.push(seed);
        }
    }
    println!("{events} events, {calls} calls in {:?}; failed {failed:?}", begun.elapsed());
}
