//! The simulation finds each planted defect, by the law that it breaks, and nothing where there is none.

use std::time::Instant;

use provision_core::planted::{Defect, plant};
use provision_core::testkit::simulation::{Profile, Simulation, Violation};

/// Seeds tried for one defect, at most.
const SEEDS: u64 = 60;

/// A defect, where it shows, and the law that it breaks.
fn hunts() -> [(Defect, Profile, u32); 14] {
    [
        (Defect::StaleLeaseCommits, Profile::leases(), 4),
        (Defect::DirtyClearedAfterNewerChange, Profile::restless(), 5),
        (Defect::BudgetCountedAfterWrite, Profile::exodus(), 7),
        (Defect::IntentNotJournalled, Profile::lossy(), 12),
        (Defect::AdoptionByName, Profile::squatters(), 4),
        (Defect::EdgeLostInGroup, Profile::crowds(), 10),
        (Defect::ReservationKept, Profile::namesakes(), 5),
        (Defect::TombstoneIgnored, Profile::namesakes(), 4),
        (Defect::BlindRetry, Profile::lossy(), 4),
        (Defect::StalePrecondition, Profile::reviews(), 3),
        (Defect::LeaverBehindQueue, Profile::queue(), 9),
        (Defect::ApprovedTwice, Profile::boards(), 7),
        (Defect::AuditRowMissing, Profile::lossy(), 12),
        (Defect::EndDateForgotten, Profile::outages(), 5),
    ]
}

fn run(profile: &Profile, seed: u64) -> Vec<Violation> {
    Simulation::new(seed).profile(profile.clone()).run().unwrap().violations
}

/// The seed that shows a defect, and what broke.
fn found(defect: Defect, profile: &Profile, law: u32) -> Option<(u64, String)> {
    let _planted = plant(defect);
    (1..=SEEDS).find_map(|seed| {
        let violations = run(profile, seed);
        let expected = violations.iter().find(|violation| violation.law == law);
        if expected.is_none() {
            for other in &violations {
                println!("  {}, seed {seed}: {other}", defect.name());
            }
        }
        expected.map(|violation| (seed, violation.what.clone()))
    })
}

#[test]
fn every_planted_defect_is_found() {
    let only = std::env::var("PLANTED").ok();
    for (defect, profile, law) in hunts() {
        if only.as_ref().is_some_and(|only| !format!("{defect:?}").contains(only.as_str())) {
            continue;
        }
        let begun = Instant::now();
        let Some((seed, what)) = found(defect, &profile, law) else {
            println!(
                "{}: NOT FOUND in {SEEDS} seeds of {}, {:?}",
                defect.name(),
                profile.name,
                begun.elapsed()
            );
            continue;
        };
        println!(
            "{}: seed {seed} of {}, {:?}: law {law}: {what}",
            defect.name(),
            profile.name,
            begun.elapsed()
        );
        for seed in 1..=seed {
            for violation in run(&profile, seed) {
                println!("   SOUND seed {seed} of {}: {violation}", profile.name);
            }
        }
    }
}
