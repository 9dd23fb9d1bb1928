//! A store that the version before left: after the upgrade its records are known by their marks.

use std::path::Path;
use std::sync::Arc;

use provision_core::id::RealmId;
use provision_core::model::SourceRecord;
use provision_core::source::{Absence, SourceSettings};
use provision_core::store::{SqliteOptions, SqliteStore, Store, Table};
use rusqlite::Connection;
use sha2::{Digest, Sha256};

use crate::fixture::{World, delta, full, row, rows, settings, tombstone};

const VERSION_ONE: &str = include_str!("../../src/store/sqlite/schema/0001_tables.sql");

/// The file of a store without migration 2: its released schema, and the rows without marks.
fn version_one(from: &Path, to: &Path) {
    let file = Connection::open(to).unwrap();
    file.execute_batch(VERSION_ONE).unwrap();
    file.execute("ATTACH ? AS now", [from.to_str().unwrap()]).unwrap();
    let tables = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'";
    let mut statement = file.prepare(tables).unwrap();
    let names = statement.query_map([], |row| row.get::<_, String>(0)).unwrap();
    for name in names.map(Result::unwrap) {
        let columns = "SELECT group_concat('\"' || name || '\"') FROM pragma_table_info(?)";
        let columns: String = file.query_row(columns, [&name], |row| row.get(0)).unwrap();
        let copy = format!("INSERT INTO main.\"{name}\" ({columns}) SELECT {columns} FROM now.\"{name}\"");
        file.execute_batch(&copy).unwrap();
    }
    let checksum = hex::encode(Sha256::digest(VERSION_ONE.as_bytes()));
    file.execute_batch(&format!(
        "CREATE TABLE schema_migration (version INTEGER PRIMARY KEY, name TEXT NOT NULL, sha256 TEXT NOT NULL,
                                        applied_at TEXT NOT NULL);
         CREATE TABLE store_epoch (epoch TEXT NOT NULL);
         INSERT INTO store_epoch SELECT epoch FROM now.store_epoch;
         INSERT INTO schema_migration VALUES (1, 'tables', '{checksum}', '2026-11-20T00:00:00Z');
         PRAGMA application_id = 1347571542;
         PRAGMA user_version = 1;"
    ))
    .unwrap();
}

fn marks(path: &Path) -> Vec<(String, Option<String>)> {
    let file = Connection::open(path).unwrap();
    let mut statement = file.prepare("SELECT key, mark FROM source_record ORDER BY key").unwrap();
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    rows.map(Result::unwrap).collect()
}

#[tokio::test]
async fn records_of_version_one_are_known_by_their_marks() {
    let directory = tempfile::tempdir().unwrap();
    let (now, old) = (directory.path().join("now.db"), directory.path().join("old.db"));
    let open = |path: &Path, world: &World| -> Arc<dyn Store> {
        Arc::new(SqliteStore::open(path, SqliteOptions::inline(), world.clock.clone()).unwrap())
    };
    // Every state there is: present, absent twice, removed, disputed.
    let mut world = World::in_memory();
    world.store = open(&now, &world);
    world.with_source(SourceSettings { absence: Absence::RemoveAfter(3), ..settings("hr") }).await;
    world.applied("hr", full("1", rows(12))).await;
    world.applied("hr", full("2", rows(11))).await;
    world.applied("hr", full("3", rows(11))).await;
    let fourth = vec![tombstone("p002"), row("p003", "one"), row("p003", "two")];
    world.applied("hr", delta("4", fourth)).await;
    // Closed.
    world.store = World::in_memory().store;
    let made = marks(&now);
    let states: std::collections::BTreeSet<_> =
        made.iter().map(|(_, mark)| mark.as_deref().unwrap().split(' ').next().unwrap()).collect();
    assert_eq!(states.into_iter().collect::<Vec<_>>(), ["absent:2", "disputed", "present", "removed"]);

    version_one(&now, &old);
    world.store = open(&old, &world);
    assert_eq!(marks(&old), made);
    let report = world.applied("hr", full("5", rows(12))).await;
    let counts = (report.counts.unchanged, report.counts.changed, report.counts.disputed);
    assert_eq!(counts, (10, 1, 1), "{:?}", report.counts);
    let keys = world.all::<SourceRecord>().await.into_iter().map(|record| record.value);
    let told: Vec<_> = keys.map(|record| (format!("hr/{}", record.key), record.mark().to_string())).collect();
    let keys = told.iter().map(|(key, _)| key.clone()).collect();
    let known = world.store.marks(&RealmId::new("acme"), Table::SourceRecord, keys).await.unwrap();
    assert_eq!(known, told.into_iter().map(|(_, mark)| Some(mark)).collect::<Vec<_>>());
}
