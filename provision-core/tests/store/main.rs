//! The stores: one behaviour suite for all, and what only a file can get wrong.
#![cfg(test)]

mod behaviour;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod model;
#[cfg(feature = "postgres")]
mod postgres_claim;
#[cfg(feature = "postgres")]
mod postgres_commit;
#[cfg(feature = "postgres")]
mod postgres_faults;
#[cfg(feature = "postgres")]
mod postgres_fixture;
#[cfg(feature = "postgres")]
mod postgres_inbox;
#[cfg(feature = "postgres")]
mod postgres_open;
#[cfg(feature = "sqlite")]
mod sqlite_backup;
#[cfg(feature = "sqlite")]
mod sqlite_open;
#[cfg(feature = "sqlite")]
mod sqlite_processes;
#[cfg(feature = "sqlite")]
mod sqlite_write;

#[cfg(feature = "sqlite")]
mod fixture {
    use std::path::Path;
    use std::sync::Arc;

    use provision_core::id::RealmId;
    use provision_core::runtime::SystemClock;
    use provision_core::store::{Changes, Commit, Put, Select, SqliteOptions, SqliteStore, Store, Table};
    use provision_core::testkit::store::row;
    use provision_core::{Error, Result};

    pub(crate) fn realm() -> RealmId {
        RealmId::new("r")
    }

    pub(crate) fn open(path: &Path) -> SqliteStore {
        open_with(path, SqliteOptions::default()).unwrap()
    }

    pub(crate) fn open_with(path: &Path, options: SqliteOptions) -> Result<SqliteStore> {
        SqliteStore::open(path, options, Arc::new(SystemClock))
    }

    pub(crate) fn refusal(path: &Path) -> Error {
        open_with(path, SqliteOptions::default()).unwrap_err()
    }

    pub(crate) fn meta(key: &str, body: &str) -> Put {
        row(Table::Meta, key, &[], body)
    }

    pub(crate) async fn try_write(store: &dyn Store, rows: Vec<Put>) -> Result<Commit> {
        store.commit(Changes { put: rows, ..Changes::in_realm(&realm()) }).await
    }

    pub(crate) async fn write(store: &dyn Store, rows: Vec<Put>) {
        assert_eq!(try_write(store, rows).await.unwrap(), Commit::Committed);
    }

    pub(crate) async fn count(store: &dyn Store) -> u64 {
        store.count(&realm(), Table::Meta, &Select::KeyPrefix(String::new())).await.unwrap()
    }
}
