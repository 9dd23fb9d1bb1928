//! The simulated world: seeds in numbers, the same seed twice, and seeds that found something once.

mod planted;
mod replay;
mod seeds;
