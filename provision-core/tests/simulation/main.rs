//! The simulated world: seeds in numbers, the same seed twice, and seeds that found something once.

mod kept_seeds;
mod long;
mod planted;
mod replay;
mod run;
mod seeds;
