//! The simulated world: seeds in numbers, the same seed twice, and seeds that found something once.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking, helper functions included"
)]
#![allow(clippy::disallowed_methods, reason = "how many events a second takes is told, not decided by")]

mod kept_seeds;
mod long;
mod planted;
mod replay;
mod run;
mod seeds;
