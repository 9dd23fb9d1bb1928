//! What a host asks of an engine, and the continuous drive: on the real store, planner, executor and an in-memory
//! target. Identities are put into the store as records.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "test code: a failed preparation is a failed test"
)]

mod answers;
mod continuous;
mod decisions;
mod drain;
mod leases;
mod metrics;
mod nodes;
mod pacing;
mod reading;
mod realm;
mod realms;
mod requests;
mod schedules;
mod skew;
mod stops;
mod test_time;
