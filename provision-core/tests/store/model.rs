//! The same random commits leave the same rows in memory, in SQLite and in PostgreSQL.

use std::sync::Arc;

use proptest::collection::vec;
use proptest::prelude::*;
use provision_core::id::RealmId;
use provision_core::runtime::SystemClock;
use provision_core::store::{
    Append, Changes, Expect, MemoryStore, Put, Row, Scan, Select, Store, Stream, Table,
};
#[cfg(feature = "sqlite")]
use provision_core::store::{SqliteOptions, SqliteStore};

const TABLES: [Table; 3] = [Table::Identity, Table::Link, Table::Meta];
const REALMS: [&str; 2] = ["one", "two"];

/// Few texts, so that they meet; near each other in order.
fn text() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["a", "a\0", "ab", "b", "b'", "é", "\u{FFFF}", "🦀", ""]).prop_map(str::to_owned)
}

fn table() -> impl Strategy<Value = Table> {
    prop::sample::select(TABLES.to_vec())
}

fn columns(names: Vec<&'static str>) -> impl Strategy<Value = Vec<(&'static str, String)>> {
    let each: Vec<_> = names.into_iter().map(|name| prop::option::of((Just(name), text()))).collect();
    each.prop_map(|columns| columns.into_iter().flatten().collect())
}

fn names(table: Table) -> Vec<&'static str> {
    table.indexes().iter().map(|index| index.name).collect()
}

fn put() -> impl Strategy<Value = Put> {
    table().prop_flat_map(|table| {
        (text(), columns(names(table)), "[a-z]{0,3}").prop_map(move |(key, columns, body)| Put {
            table,
            key,
            columns,
            body,
        })
    })
}

fn expect() -> impl Strategy<Value = Expect> {
    prop_oneof![
        (table(), text(), 1..3u64).prop_map(|(table, key, version)| Expect::Version { table, key, version }),
        (table(), text()).prop_map(|(table, key)| Expect::Absent { table, key }),
        (text(), text()).prop_map(|(key, value)| Expect::Column {
            table: Table::Link,
            key,
            column: "target",
            value
        }),
    ]
}

fn append() -> impl Strategy<Value = Append> {
    (columns(vec!["identity"]), "[a-z]{0,3}").prop_map(|(columns, body)| Append {
        stream: Stream::Outbox,
        columns,
        body,
    })
}

fn changes() -> impl Strategy<Value = Changes> {
    let rows = (vec(expect(), 0..2), vec(put(), 0..4), vec((table(), text()), 0..2));
    let streams = (vec(append(), 0..2), vec((Just(Stream::Outbox), 0..12u64), 0..2));
    (prop::sample::select(REALMS.to_vec()), rows, streams).prop_map(
        |(realm, (expect, put, delete), (append, trim))| Changes {
            realm: Some(RealmId::new(realm)),
            expect,
            put,
            delete,
            append,
            trim,
        },
    )
}

fn selects(table: Table, text: &str) -> Vec<Select> {
    let mut selects = vec![Select::KeyPrefix(text.to_owned())];
    for name in names(table) {
        selects.push(Select::Equal(name, text.to_owned()));
        selects.push(Select::AtMost(name, text.to_owned()));
        selects.push(Select::ColumnPrefix(name, text.to_owned()));
    }
    selects
}

/// Everything a reader can see, page by page.
async fn all(
    store: &dyn Store,
    realm: &RealmId,
    text: &str,
    limit: u32,
) -> (Vec<Row>, Vec<u64>, Vec<(u64, Row)>) {
    let (mut rows, mut counts) = (Vec::new(), Vec::new());
    for table in TABLES {
        for select in selects(table, "").into_iter().chain(selects(table, text)) {
            counts.push(store.count(realm, table, &select).await.unwrap());
            let mut scan = Scan { realm: realm.clone(), table, select, after: None, limit };
            loop {
                let page = store.scan(&scan).await.unwrap();
                rows.extend(page.rows);
                scan.after = page.next;
                if scan.after.is_none() {
                    break;
                }
            }
        }
        rows.extend(store.get(realm, table, &[text.to_owned()]).await.unwrap().into_iter().flatten());
    }
    let mut stream = store.read_stream(realm, Stream::Outbox, 1, limit).await.unwrap();
    stream.extend(store.read_stream_by(realm, Stream::Outbox, "identity", text, 0, limit).await.unwrap());
    (rows, counts, stream)
}

/// Makes the same commits in two stores; all answers and everything that can be read are the same.
async fn agree(
    memory: &MemoryStore,
    other: &dyn Store,
    commits: Vec<Changes>,
    (probe, limit): (&str, u32),
) -> Result<(), TestCaseError> {
    for changes in commits {
        let left = memory.commit(changes.clone()).await.unwrap();
        prop_assert_eq!(left, other.commit(changes).await.unwrap());
    }
    for realm in REALMS.map(RealmId::new) {
        let left = all(memory, &realm, probe, limit).await;
        prop_assert_eq!(left, all(other, &realm, probe, limit).await);
    }
    prop_assert_eq!(memory.realms().await.unwrap(), other.realms().await.unwrap());
    Ok(())
}

#[cfg(feature = "sqlite")]
proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn memory_and_sqlite_agree(commits in vec(changes(), 1..24), probe in text(), limit in 1..5u32) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let directory = tempfile::tempdir().unwrap();
            let memory = MemoryStore::new(Arc::new(SystemClock));
            let path = directory.path().join("store.db");
            let sqlite = SqliteStore::open(path, SqliteOptions::inline(), Arc::new(SystemClock)).unwrap();
            agree(&memory, &sqlite, commits, (&probe, limit)).await
        })?;
    }
}

#[cfg(feature = "postgres")]
proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn memory_and_postgres_agree(commits in vec(changes(), 1..24), probe in text(), limit in 1..5u32) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let store = crate::postgres_fixture::emptied().await;
            let memory = MemoryStore::new(Arc::new(SystemClock));
            agree(&memory, &store, commits, (&probe, limit)).await
        })?;
    }
}
