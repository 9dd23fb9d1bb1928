//! Seeds that found something once, each with what it found.

use provision_core::testkit::simulation::{Profile, StoreKind};

use crate::run::run;

/// Profile, seed, and what was wrong.
const KEPT: &[(&str, u64, &str)] = &[
    ("everyday", 3, "what a stranger changed was forgotten when our next write showed it"),
    ("everyday", 43, "edges that were taken away between a backup and its restore were not given again"),
];

#[test]
fn what_was_found_once_stays_found() {
    for (profile, seed, what) in KEPT {
        let outcome = run(*seed, &Profile::named(profile).unwrap(), StoreKind::Memory);
        assert!(outcome.is_clean(), "{what}\n{outcome}");
    }
}
