//! What a host asks of an engine, and the continuous drive: on the real store, planner, executor and an in-memory
//! target. Identities are put into the store as records.

mod answers;
mod continuous;
mod decisions;
mod realm;
mod requests;
