//! Suites that hold implementations of the crate's traits to their contracts.

pub mod contract;
