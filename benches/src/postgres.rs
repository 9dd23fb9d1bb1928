//! A PostgreSQL of a bench's own, with durable commits, and the ways into it: the engine's store, and plain connections
//! for the competitor.

use std::sync::Arc;

use provision_core::runtime::SystemClock;
use provision_core::store::{PostgresOptions, PostgresStore};
use provision_core::testkit::peer::{Postgres, PostgresSetup};
use tokio_postgres::{Client, NoTls};

use crate::Outcome;

/// The schema the store makes.
pub const SCHEMA: &str = "provision";

/// A server with `fsync`, `synchronous_commit` and `full_page_writes` on, larger in memory than the default of 1997.
///
/// # Errors
/// When PostgreSQL is not installed or does not start.
pub fn server() -> Outcome<Postgres> {
    let settings = [("shared_buffers", "512MB"), ("max_wal_size", "4GB"), ("checkpoint_timeout", "15min")];
    let settings = settings.map(|(name, value)| (name.to_owned(), value.to_owned()));
    Ok(Postgres::start(PostgresSetup { fsync: true, settings: settings.to_vec() })?)
}

/// The address of a database. Without TLS: both sides have none.
pub fn address(server: &Postgres, database: &str) -> String {
    format!("{}?sslmode=disable", server.url(database))
}

/// A new database, and its address.
///
/// # Errors
/// When the server does not answer.
pub fn database(server: &Postgres) -> Outcome<(String, String)> {
    let name = server.database()?;
    let url = address(server, &name);
    Ok((name, url))
}

/// The engine's store in a database.
///
/// # Errors
/// Those of the store.
pub async fn store(url: &str, connections: usize) -> Outcome<Arc<PostgresStore>> {
    let options = PostgresOptions { connections, ..PostgresOptions::new(url) };
    Ok(Arc::new(PostgresStore::open(options, Arc::new(SystemClock)).await?))
}

/// A plain connection.
///
/// # Errors
/// When there is none.
pub async fn connect(url: &str) -> Outcome<Client> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    tokio::spawn(connection);
    client.batch_execute(&format!("set search_path = {SCHEMA}")).await?;
    Ok(client)
}

/// The load of the machine in the last minute, for the line beside a figure.
pub fn load() -> String {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split_whitespace().next().unwrap_or("?").to_owned()
}
