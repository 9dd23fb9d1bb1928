//! The simulation finds each planted defect, by the law that it breaks, and nothing where there is none.

use std::collections::BTreeMap;
use std::time::Instant;

use provision_core::planted::{Defect, plant};
use provision_core::testkit::simulation::{Outcome, Profile, StoreKind};

use crate::run::run;

/// Seeds tried for one defect, at most.
const SEEDS_MAX: u64 = 60;

/// Where a defect shows, and the law that it breaks.
fn hunt(defect: Defect) -> (Profile, u32) {
    match defect {
        Defect::StaleLeaseCommits => (Profile::stops(), 4),
        Defect::DirtyClearedAfterNewerChange => (Profile::restless(), 5),
        Defect::BudgetCountedAfterWrite => (Profile::exodus(), 7),
        Defect::IntentNotJournalled => (Profile::lossy(), 12),
        Defect::AdoptionByName => (Profile::squatters(), 4),
        Defect::EdgeLostInGroup => (Profile::crowds(), 10),
        Defect::ReservationKept => (Profile::namesakes(), 5),
        Defect::TombstoneIgnored => (Profile::namesakes(), 4),
        Defect::BlindRetry => (Profile::lossy(), 4),
        Defect::StalePrecondition => (Profile::reviews(), 3),
        Defect::LeaverBehindQueue => (Profile::queue(), 9),
        Defect::ApprovedTwice => (Profile::boards(), 7),
        Defect::AuditRowMissing => (Profile::lossy(), 12),
        Defect::EndDateForgotten => (Profile::outages(), 5),
    }
}

/// What a seed broke of a law.
fn broken(outcome: &Outcome, law: u32) -> Option<String> {
    outcome.violations.iter().find(|violation| violation.law == law).map(|violation| violation.what.clone())
}

/// Seeds are tried with each defect until one shows it; the same seeds without it are clean.
#[test]
fn every_planted_defect_is_found_by_its_law() {
    let (mut missed, mut tried) = (Vec::new(), BTreeMap::new());
    for defect in Defect::ALL {
        let (profile, law) = hunt(defect);
        let (name, begun) = (defect.name(), Instant::now());
        let planted = plant(defect);
        let found = (1..=SEEDS_MAX)
            .find_map(|seed| broken(&run(seed, &profile, StoreKind::Memory), law).map(|what| (seed, what)));
        drop(planted);
        let took = begun.elapsed().as_secs_f64();
        match found {
            Some((seed, what)) => {
                println!("{name}: seed {seed} of `{}` in {took:.1} s, law {law}: {what}", profile.name);
                let most = tried.entry(profile.name).or_insert((profile, 0));
                most.1 = seed.max(most.1);
            }
            None => missed.push(format!("{name}: {SEEDS_MAX} seeds of `{}` keep law {law}", profile.name)),
        }
    }
    assert!(missed.is_empty(), "{missed:#?}");
    for (profile, most) in tried.into_values() {
        for seed in 1..=most {
            let outcome = run(seed, &profile, StoreKind::Memory);
            assert!(outcome.is_clean(), "without a defect: {outcome}");
        }
    }
}

/// The scenarios are calm apart from what they are for: more of their seeds hold on the sound engine, on SQLite too.
#[test]
fn scenarios_hold_without_a_defect() {
    for (turn, profile) in (0_u64..).zip(Profile::scenarios()) {
        let outcome = run(101 + turn, &profile, StoreKind::SqliteInline);
        assert!(outcome.is_clean(), "{outcome}");
    }
}
