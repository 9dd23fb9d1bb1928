//! Events out and commands in: the relay with sinks of the test, and with a real JetStream.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests fail by panicking, helper functions included"
)]

mod broadcast;
mod commands;
mod connection;
mod fixture;
mod jetstream;
mod kill;
mod lag;
mod relay;
mod storm;
mod stream;
