//! Events out and commands in: the relay with sinks of the test, and with a real JetStream.

mod broadcast;
mod commands;
mod fixture;
mod jetstream;
mod kill;
mod relay;
mod stream;
