//! The fault layer: each fault does what it says, is recorded when it acted, and comes again with its seed; without
//! faults nobody can tell that the layer is there.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests may panic as tests do"
)]

mod bench;
mod calls;
mod chance;
mod contract;
mod listings;
mod observer;
mod past;
