//! Seeds: printed by every test that draws, and set by the environment to replay it.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use provision_core::runtime::SeededRandom;

/// The seed of a test: from the environment variable, or the one that is always used.
pub(crate) fn seed(variable: &str) -> u64 {
    let seed = std::env::var(variable).ok().and_then(|seed| seed.parse().ok()).unwrap_or(20_261_102);
    println!("seed {seed} (set {variable} for another)");
    seed
}

/// Numbers below a limit.
pub(crate) struct Draw(SeededRandom);

impl Draw {
    pub(crate) fn new(seed: u64) -> Self {
        Self(SeededRandom::new(seed))
    }

    pub(crate) fn below(&self, limit: u64) -> u64 {
        self.0.next_u64() % limit.max(1)
    }
}

/// Tries each case, a few at a time, and gives what they came to in order. `only` picks one of them by its number.
pub(crate) fn each<C: Sync, R: Send>(
    cases: &[C],
    at_once: usize,
    only: Option<usize>,
    attempt: impl Fn(usize, &C) -> R + Sync,
) -> Vec<R> {
    let (next, ended) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..at_once {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    let Some(case) = cases.get(number) else { return };
                    if only.is_none_or(|only| only == number) {
                        let came_to = attempt(number, case);
                        ended.lock().unwrap().push((number, came_to));
                    }
                }
            });
        }
    });
    let mut ended = ended.into_inner().unwrap();
    ended.sort_by_key(|(number, _)| *number);
    ended.into_iter().map(|(_, came_to)| came_to).collect()
}

/// The number of the one case to try, from the environment.
pub(crate) fn only(variable: &str) -> Option<usize> {
    std::env::var(variable).ok().and_then(|number| number.parse().ok())
}
