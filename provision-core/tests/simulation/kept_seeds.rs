//! Seeds that found something once, each with what it found.

use provision_core::testkit::simulation::{Profile, StoreKind};

use crate::run::run;

/// Profile, seed, and what was wrong.
const KEPT: &[(&str, u64, &str)] = &[
    ("everyday", 3, "what a stranger changed was forgotten when our next write showed it"),
    ("everyday", 43, "edges that were taken away between a backup and its restore were not given again"),
    ("end-dates", 2071, "a plan that was gone on with a day later gave what a revocation had taken away"),
    ("names", 3081, "a returning person whose name a stranger had taken was refused without end"),
    (
        "everyday",
        23,
        "a plan took a new mark for the one it had seen, because both counted from 1 and clocks differ",
    ),
    ("names", 42, "the same, of a leaver"),
    (
        "names",
        138,
        "what a stranger changed was taken for ours when a read-back showed it for the first time",
    ),
    (
        "everyday",
        101,
        "edges that a restored store knew of an account that was created anew were nobody's to remove",
    ),
    ("everyday", 149, "a reference was planned still when all was quiet"),
];

#[test]
fn what_was_found_once_stays_found() {
    for (profile, seed, what) in KEPT {
        let outcome = run(*seed, &Profile::named(profile).unwrap(), StoreKind::Memory);
        assert!(outcome.is_clean(), "{what}\n{outcome}");
    }
}
