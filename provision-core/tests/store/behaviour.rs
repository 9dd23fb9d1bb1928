//! The behaviour suite, on every store.

use std::sync::Arc;

use provision_core::runtime::SystemClock;
use provision_core::store::MemoryStore;
use provision_core::testkit::store as suite;

#[tokio::test]
async fn memory() {
    suite::run_all(&MemoryStore::new(Arc::new(SystemClock))).await.unwrap();
}

#[cfg(feature = "sqlite")]
mod sqlite {
    use super::*;
    use provision_core::store::{SqliteOptions, SqliteStore};

    async fn run(options: SqliteOptions) {
        let directory = tempfile::tempdir().unwrap();
        let store =
            SqliteStore::open(directory.path().join("store.db"), options, Arc::new(SystemClock)).unwrap();
        suite::run_all(&store).await.unwrap();
    }

    #[tokio::test]
    async fn threads() {
        run(SqliteOptions::default()).await;
    }

    #[tokio::test]
    async fn inline() {
        run(SqliteOptions::inline()).await;
    }
}

#[cfg(feature = "postgres")]
mod postgres {
    use provision_core::testkit::peer::PgBouncer;

    use super::suite;
    use crate::postgres_fixture::{fresh, open, options, server};

    #[tokio::test]
    async fn direct() {
        suite::run_all(&fresh().await.0).await.unwrap();
    }

    /// Each transaction may run on another connection, and there are only two of them.
    #[tokio::test]
    async fn behind_a_pooler() {
        let pooler = PgBouncer::start(server(), 2).unwrap();
        let url = pooler.url(&server().database().unwrap());
        suite::run_all(&open(options(&url)).await.unwrap()).await.unwrap();
    }
}

#[tokio::test]
async fn a_store_in_memory_knows_marks() {
    use provision_core::store::{Changes, MARK, Store, Table};
    let store = MemoryStore::new(Arc::new(SystemClock));
    let realm = provision_core::id::RealmId::new("r");
    let put = vec![suite::row(Table::SourceRecord, "hr/1", &[(MARK, "m")], "{}")];
    store.commit(Changes { put, ..Changes::in_realm(&realm) }).await.unwrap();
    let keys = vec!["hr/1".to_owned(), "hr/2".to_owned()];
    let marks = store.marks(&realm, Table::SourceRecord, keys).await.unwrap();
    assert_eq!(marks, [Some("m".to_owned()), None]);
}
