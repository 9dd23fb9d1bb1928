//! How a PostgreSQL store is opened.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::runtime::{Random, SystemRandom};
use crate::value::Secret;

/// How a PostgreSQL store is opened. The defaults suit a node with a few workers.
///
/// Fields may be added: start from [`PostgresOptions::new`].
#[derive(Clone, Debug)]
pub struct PostgresOptions {
    /// `postgres://user@host:port/database`, or `host=... user=... dbname=...`. Several hosts: the first that takes
    /// writes is used. `sslmode=disable` turns TLS off, `sslmode=verify-full` is what happens without it.
    pub url: Secret,
    /// The password, where the URL has none.
    pub password: Option<Secret>,
    /// The schema of the store: lower-case letters, digits and `_`. Two stores of one database have different ones.
    /// `provision` unless set.
    pub schema: String,
    /// PEM file of the authorities that the server's certificate may be from. Those of the system unless set.
    pub ca_file: Option<PathBuf>,
    /// `url` leads to a pooler: notifications are not listened for there.
    pub pooled: bool,
    /// An address without a pooler, for notifications; in the form of `url`. Without one, and with `pooled`, other
    /// processes' changes are found by polling alone.
    pub direct_url: Option<Secret>,
    /// Connections at a time, at least 1. 8 unless set.
    pub connections: usize,
    /// How long to wait for a connection: to the server, or of the pool. 5 seconds unless set.
    pub connect_timeout: Duration,
    /// How long a statement may take. 30 seconds unless set.
    pub statement_timeout: Duration,
    /// How long a statement may wait for what another transaction holds. 10 seconds unless set.
    pub lock_timeout: Duration,
    /// Whether a schema of an earlier version, or none, is brought to this one. Turn it off for a role that may not:
    /// then open a store once as its owner. On unless set.
    pub migrate: bool,
    /// Where the epoch's bytes come from.
    pub random: Arc<dyn Random>,
    /// The store's clock is the one given, not the database's: for tests that move it.
    #[doc(hidden)]
    pub own_clock: bool,
}

impl PostgresOptions {
    /// The defaults, for the database at an address.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: Secret::new(url),
            password: None,
            schema: "provision".to_owned(),
            ca_file: None,
            pooled: false,
            direct_url: None,
            connections: 8,
            connect_timeout: Duration::from_secs(5),
            statement_timeout: Duration::from_secs(30),
            lock_timeout: Duration::from_secs(10),
            migrate: true,
            random: Arc::new(SystemRandom),
            own_clock: false,
        }
    }
}
