//! Real processes on real files: killed, stopped, side by side, on a restored store. What they leave is read by tools
//! that are not ours.
//!
//! Every message of a failure names the seed and the number of the case: `KILL_SEED=7 KILL_ONLY=42` replays that one
//! (`STOP_`, `LIMIT_`, `BOUNDARY_`, `NODES_` likewise).
//!
//! Linux only: what a process is doing is read from `/proc`.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test may panic")]

mod boundary;
mod bus;
mod cluster;
mod connector;
mod failover;
mod host;
mod kill;
mod limit;
mod nodes;
mod point;
mod process;
mod restore;
mod seed;
mod site;
mod start;
mod stop;
mod store;
mod stream;
#[path = "../support/mod.rs"]
mod support;
mod two_processes;
