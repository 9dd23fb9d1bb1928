//! 500 seeds, on both stores.

use std::ops::RangeInclusive;
use std::time::Instant;

use provision_core::testkit::simulation::StoreKind;

use crate::run::{Tally, profile_of, run};

fn every(seeds: RangeInclusive<u64>, store: StoreKind) {
    let begun = Instant::now();
    let mut tally = Tally::default();
    for seed in seeds {
        tally.add(&run(seed, &profile_of(seed), store));
    }
    tally.conclude(begun);
}

#[test]
fn laws_hold_in_memory_for_the_first_seeds() {
    every(1..=200, StoreKind::Memory);
}

#[test]
fn laws_hold_in_memory_for_more_seeds() {
    every(201..=400, StoreKind::Memory);
}

#[test]
fn laws_hold_on_sqlite_for_some_seeds() {
    every(401..=450, StoreKind::SqliteInline);
}

#[test]
fn laws_hold_on_sqlite_for_more_seeds() {
    every(451..=500, StoreKind::SqliteInline);
}
