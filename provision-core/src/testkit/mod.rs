//! Suites that hold implementations of this crate's traits to their contract. Feature `testkit`.

pub mod contract;
pub mod simulation;
pub mod store;
