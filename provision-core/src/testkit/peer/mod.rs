//! Real servers for tests, started from what the system has installed. Feature `testkit-peer`.
//!
//! [`Postgres`] (with streaming replicas), [`PgBouncer`] in transaction mode, and [`Nats`] with JetStream: each on a
//! free loopback port, with its files in a folder of its own, ready when its constructor returns. A server that is not
//! installed is an error that names the package; tests fail with it rather than pass without having looked.
//!
//! A server is stopped, by its process id, when its value is dropped. [`shared_postgres`] and [`shared_nats`] start one
//! per process, since starting takes half a second and a database of one's own ([`Postgres::database`]) hardly any
//! time. Those, and whatever a killed process leaves behind, are stopped by a small shell that waits for the end of
//! the process that started them.
//!
//! Starting blocks the calling thread. Servers that refuse to run as root run as the user `postgres`.

mod certificate;
mod cluster;
mod nats;
mod pgbouncer;
mod program;
mod server;

use std::sync::OnceLock;

pub use cluster::{Postgres, PostgresSetup};
pub use nats::{Nats, NatsSetup};
pub use pgbouncer::PgBouncer;

use crate::error::{Error, ErrorKind, Result};

/// The PostgreSQL of this process: started at the first call. Use a database of your own, do not stop it.
///
/// # Errors
/// As [`Postgres::start`], at every call.
pub fn shared_postgres() -> Result<&'static Postgres> {
    static SHARED: OnceLock<Result<Postgres>> = OnceLock::new();
    shared(SHARED.get_or_init(|| Postgres::start(PostgresSetup::default())))
}

/// The nats-server of this process: started at the first call. Use streams and subjects of your own, do not stop it.
///
/// # Errors
/// As [`Nats::start`], at every call.
pub fn shared_nats() -> Result<&'static Nats> {
    static SHARED: OnceLock<Result<Nats>> = OnceLock::new();
    shared(SHARED.get_or_init(Nats::start))
}

fn shared<T>(started: &'static Result<T>) -> Result<&'static T> {
    started.as_ref().map_err(|error| Error::from(error.record()))
}

fn failed(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Unavailable, message)
}
