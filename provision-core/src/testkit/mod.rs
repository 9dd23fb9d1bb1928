//! Suites that hold implementations of this crate's traits to their contract, and what makes trouble for tests.
//! Feature `testkit`.

pub mod contract;
pub mod fault;
#[cfg(feature = "testkit-peer")]
pub mod peer;
#[cfg(feature = "testkit-proxy")]
pub mod proxy;
pub mod simulation;
pub mod store;
