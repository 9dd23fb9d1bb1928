//! As many seeds as a time gives: `./test --long simulation`.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use provision_core::testkit::simulation::{Profile, StoreKind};

use crate::run::{Tally, run};

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().expect("a number"))
}

/// Seeds that are run when no time is given.
const FEW: u64 = 4;

/// `SIMULATION_SECONDS`: how long; `SIMULATION_FROM`: the first seed; `SIMULATION_PROFILE`: only that one.
#[test]
fn as_many_seeds_as_there_is_time() {
    let seconds = number("SIMULATION_SECONDS");
    let from = number("SIMULATION_FROM").unwrap_or(1_000);
    let only = std::env::var("SIMULATION_PROFILE").ok();
    let profiles: Vec<Profile> = Profile::all()
        .into_iter()
        .filter(|profile| only.as_ref().is_none_or(|only| only == profile.name))
        .collect();
    let threads = std::thread::available_parallelism().map_or(1, |cores| cores.get());
    let begun = Instant::now();
    let next = AtomicU64::new(from);
    let tally = Mutex::new(Tally::default());
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while seconds.is_none_or(|seconds| begun.elapsed() < Duration::from_secs(seconds)) {
                    let seed = next.fetch_add(1, Ordering::SeqCst);
                    if seconds.is_none() && seed >= from + FEW {
                        break;
                    }
                    let turn = usize::try_from(seed).unwrap();
                    let store =
                        if turn.is_multiple_of(5) { StoreKind::SqliteInline } else { StoreKind::Memory };
                    let outcome = run(seed, &profiles[turn % profiles.len()], store);
                    tally.lock().unwrap().add(&outcome);
                }
            });
        }
    });
    tally.lock().unwrap().conclude(begun);
}
