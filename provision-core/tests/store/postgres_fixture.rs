//! A store in a database of its own, on the server that all tests of this process share.

use std::sync::Arc;

use provision_core::Result;
use provision_core::runtime::SystemClock;
use provision_core::store::{PostgresOptions, PostgresStore};
use provision_core::testkit::peer::{Postgres, shared_postgres};

pub(crate) fn server() -> &'static Postgres {
    shared_postgres().unwrap()
}

/// Options for a database as the user `postgres`, without TLS.
pub(crate) fn options(url: &str) -> PostgresOptions {
    PostgresOptions::new(format!("{url}?sslmode=disable"))
}

pub(crate) async fn open(options: PostgresOptions) -> Result<PostgresStore> {
    PostgresStore::open(options, Arc::new(SystemClock)).await
}

/// A store in a new database, and the database's name.
pub(crate) async fn fresh() -> (PostgresStore, String) {
    let database = server().database().unwrap();
    (open(options(&server().url(&database))).await.unwrap(), database)
}

/// A store without rows whose streams begin at 1, in a database that is used again and again by one thread at a time.
pub(crate) async fn emptied() -> PostgresStore {
    static DATABASE: std::sync::OnceLock<String> = std::sync::OnceLock::new();
    let database = DATABASE.get_or_init(|| server().database().unwrap());
    let store = open(options(&server().url(database))).await.unwrap();
    let names = "select string_agg(format('provision.%I', tablename), ', ') from pg_tables \
                 where schemaname = 'provision' and tablename not in ('schema_migration', 'store_epoch')";
    let names = server().sql(database, names).unwrap();
    server().sql(database, &format!("truncate {names} restart identity")).unwrap();
    store
}
