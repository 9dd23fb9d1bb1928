//! The simulated world: seeds in numbers, the same seed twice, and seeds that found something once.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "tests fail by panicking, helper functions included, and say how long they took"
)]

mod kept_seeds;
mod long;
mod planted;
mod replay;
mod run;
mod seeds;
