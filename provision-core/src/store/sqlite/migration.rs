//! The schema's versions, and the way from one to the next.

use rusqlite::{Connection, OptionalExtension};
use sha2::{Digest, Sha256};

use super::failure::{Explain, unusable};
use crate::error::{Error, Result};
use crate::value::Timestamp;

/// Marks a file as ours: "PROV".
const APPLICATION_ID: i32 = 0x5052_4F56;

/// One step of the schema. Never edited after a release.
#[derive(Clone, Copy, Debug)]
pub(super) struct Migration {
    /// Counts from 1, without gaps.
    pub(super) version: u32,
    /// What it is about.
    pub(super) name: &'static str,
    /// The statements.
    pub(super) sql: &'static str,
}

/// Every step of the schema, in order.
pub(super) const MIGRATIONS: &[Migration] = &[
    Migration { version: 1, name: "tables", sql: include_str!("schema/0001_tables.sql") },
    Migration { version: 2, name: "marks", sql: include_str!("schema/0002_marks.sql") },
    Migration { version: 3, name: "due realms", sql: include_str!("schema/0003_due_realms.sql") },
    Migration { version: 4, name: "nodes", sql: include_str!("schema/0004_nodes.sql") },
];

const BOOKKEEPING: &str = "
CREATE TABLE schema_migration (
  version INTEGER PRIMARY KEY,
  name TEXT NOT NULL,
  sha256 TEXT NOT NULL,
  applied_at TEXT NOT NULL
);
CREATE TABLE store_epoch (
  epoch TEXT NOT NULL
);
";

/// Refuses a file that is a database of somebody else's, or of a newer version. Reads only.
pub(super) fn recognise(connection: &Connection, migrations: &[Migration]) -> Result<()> {
    let doing = "read the store's file";
    let application: i32 =
        connection.pragma_query_value(None, "application_id", |row| row.get(0)).or_explain(doing)?;
    let objects: i64 =
        connection.query_row("SELECT count(*) FROM sqlite_master", [], |row| row.get(0)).or_explain(doing)?;
    if application != APPLICATION_ID && (application != 0 || objects != 0) {
        return Err(unusable(
            "the file is a SQLite database, but not a store of this library: give another path",
        ));
    }
    refuse_newer(stored_version(connection)?, migrations)
}

/// Brings the schema to the last version, in one transaction. Processes that start at once take turns; `epoch` becomes
/// the epoch of a new store.
pub(super) fn migrate(
    connection: &mut Connection,
    migrations: &[Migration],
    now: Timestamp,
    epoch: &str,
) -> Result<()> {
    let done = usize::try_from(stored_version(connection)?).unwrap_or(usize::MAX);
    if done == migrations.len() {
        return verify(connection, migrations);
    }
    let transaction = connection
        .transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)
        .or_explain("begin the schema's migration")?;
    // Somebody else may have been faster.
    recognise(&transaction, migrations)?;
    let done = usize::try_from(stored_version(&transaction)?).unwrap_or(usize::MAX);
    let doing = "migrate the schema";
    if done == 0 {
        transaction.execute_batch(BOOKKEEPING).or_explain(doing)?;
        transaction.pragma_update(None, "application_id", APPLICATION_ID).or_explain(doing)?;
        transaction.execute("INSERT INTO store_epoch (epoch) VALUES (?)", [epoch]).or_explain(doing)?;
    }
    verify(&transaction, migrations)?;
    for migration in migrations.iter().skip(done) {
        let named = |error: Error| error.with_context("migration", migration.name);
        transaction.execute_batch(migration.sql).or_explain(doing).map_err(named)?;
        transaction
            .execute(
                "INSERT INTO schema_migration (version, name, sha256, applied_at) VALUES (?, ?, ?, ?)",
                (migration.version, migration.name, checksum(migration.sql), now.to_string()),
            )
            .or_explain(doing)
            .map_err(named)?;
        transaction.pragma_update(None, "user_version", migration.version).or_explain(doing)?;
    }
    transaction.commit().or_explain(doing)
}

/// The epoch kept in the file.
pub(super) fn epoch(connection: &Connection) -> Result<String> {
    connection.query_row("SELECT epoch FROM store_epoch", [], |row| row.get(0)).or_explain("read the epoch")
}

/// Gives the file another epoch.
pub(super) fn renew_epoch(connection: &Connection, epoch: &str) -> rusqlite::Result<()> {
    connection.execute("UPDATE store_epoch SET epoch = ?", [epoch]).map(|_| ())
}

fn stored_version(connection: &Connection) -> Result<u32> {
    connection
        .pragma_query_value(None, "user_version", |row| row.get(0))
        .or_explain("read the schema's version")
}

fn refuse_newer(version: u32, migrations: &[Migration]) -> Result<()> {
    let known = migrations.last().map_or(0, |migration| migration.version);
    if version <= known {
        return Ok(());
    }
    Err(unusable(format!(
        "the store was written by a newer version of this library (schema {version}; this one knows {known}): use \
         that version, or restore a backup made before the upgrade"
    )))
}

/// Compares what was applied with what this library would have applied.
fn verify(connection: &Connection, migrations: &[Migration]) -> Result<()> {
    let version = usize::try_from(stored_version(connection)?).unwrap_or(usize::MAX);
    for migration in migrations.iter().take(version) {
        let applied: Option<String> = connection
            .query_row("SELECT sha256 FROM schema_migration WHERE version = ?", [migration.version], |row| {
                row.get(0)
            })
            .optional()
            .or_explain("read the schema's migrations")?;
        if applied.as_deref() != Some(checksum(migration.sql).as_str()) {
            return Err(unusable(format!(
                "the store's schema was made by a different migration {}: use the version of this library that made \
                 it, or restore a backup",
                migration.version
            ))
            .with_context("migration", migration.name));
        }
    }
    Ok(())
}

fn checksum(sql: &str) -> String {
    hex::encode(Sha256::digest(sql.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{Effect, ErrorKind};
    use crate::store::{Stream, Table};

    const FIRST: Migration = Migration {
        version: 1,
        name: "people",
        sql: "CREATE TABLE person (key TEXT NOT NULL, body TEXT NOT NULL);",
    };
    const SECOND: Migration = Migration {
        version: 2,
        name: "mail",
        sql: "ALTER TABLE person ADD COLUMN mail TEXT; UPDATE person SET mail = key || '@x';
              CREATE UNIQUE INDEX person__mail ON person (mail);",
    };
    const BROKEN: Migration = Migration {
        version: 2,
        name: "broken",
        sql: "CREATE TABLE half (x TEXT); CREATE TABLE person (x TEXT);",
    };

    fn run(connection: &mut Connection, list: &[Migration]) -> Result<()> {
        recognise(connection, list)?;
        migrate(connection, list, Timestamp::EPOCH, "e1")
    }

    /// What version 1 left, written down: not made by the code that is tested.
    fn version_one() -> Connection {
        let connection = Connection::open_in_memory().unwrap();
        connection
            .execute_batch(&format!(
                "CREATE TABLE schema_migration (version INTEGER PRIMARY KEY, name TEXT NOT NULL,
                                                sha256 TEXT NOT NULL, applied_at TEXT NOT NULL);
                 CREATE TABLE store_epoch (epoch TEXT NOT NULL);
                 INSERT INTO store_epoch VALUES ('e0');
                 {}
                 INSERT INTO schema_migration VALUES (1, 'people',
                     '2db5a0c2', '2026-11-20T00:00:00Z');
                 INSERT INTO person VALUES ('a', '{{}}'), ('b', '{{}}');
                 PRAGMA application_id = 1347571542;
                 PRAGMA user_version = 1;",
                FIRST.sql
            ))
            .unwrap();
        connection.execute("UPDATE schema_migration SET sha256 = ?", [checksum(FIRST.sql)]).unwrap();
        connection
    }

    fn text(connection: &Connection, sql: &str) -> String {
        connection.query_row(sql, [], |row| row.get(0)).unwrap()
    }

    #[test]
    fn an_upgrade_keeps_rows_and_epoch_and_runs_once() {
        let mut connection = version_one();
        for _ in 0..2 {
            run(&mut connection, &[FIRST, SECOND]).unwrap();
            assert_eq!(text(&connection, "SELECT group_concat(mail) FROM person"), "a@x,b@x");
            assert_eq!(text(&connection, "SELECT group_concat(version) FROM schema_migration"), "1,2");
            assert_eq!(epoch(&connection).unwrap(), "e0");
        }
        let error = run(&mut connection, &[FIRST]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::StoreUnusable);
        assert!(error.message().contains("newer version"), "{error}");
    }

    #[test]
    fn a_migration_that_fails_leaves_the_file_as_it_was() {
        let mut connection = version_one();
        let error = run(&mut connection, &[FIRST, BROKEN]).unwrap_err();
        assert_eq!((error.kind(), error.effect()), (ErrorKind::StoreUnusable, Effect::None));
        assert_eq!(text(&connection, "SELECT count(*) || '' FROM sqlite_master WHERE name = 'half'"), "0");
        assert_eq!(stored_version(&connection).unwrap(), 1);
        run(&mut connection, &[FIRST, SECOND]).unwrap();
    }

    #[test]
    fn a_migration_that_was_edited_is_noticed() {
        let mut connection = version_one();
        let edited = Migration { sql: "CREATE TABLE person (key TEXT NOT NULL);", ..FIRST };
        for list in [&[edited][..], &[edited, SECOND][..]] {
            let error = run(&mut connection, list).unwrap_err();
            assert!(error.message().contains("different migration 1"), "{error}");
        }
    }

    #[test]
    fn realms_are_found_by_rows_of_before_the_upgrade() {
        let mut connection = Connection::open_in_memory().unwrap();
        let before: Vec<Migration> =
            MIGRATIONS.iter().copied().take_while(|migration| migration.name != "due realms").collect();
        run(&mut connection, &before).unwrap();
        connection
            .execute_batch(
                "INSERT INTO meta (realm, key, version, body)
                     VALUES ('a', 'marking', 1, '{}'), ('b', 'policy', 1, '{}');
                 INSERT INTO work (realm, key, version, due, body) VALUES ('c', 'hr/1', 1, '1|2026', '{}');
                 INSERT INTO identity (realm, key, version, next_change_at, body)
                     VALUES ('d', 'x', 1, '2026', '{}');",
            )
            .unwrap();
        run(&mut connection, MIGRATIONS).unwrap();
        let ask = |table, column, prefix: &str, at_most: &str| {
            let (prefix, at_most) = (prefix.to_owned(), at_most.to_owned());
            let due = crate::store::Due { table, column, prefix, at_most, after: None, limit: 10 };
            super::super::due::due_realms(&connection, &[due]).unwrap().remove(0).realms
        };
        assert_eq!(ask(Table::Meta, "due", "", "2026"), ["a".into()]);
        assert_eq!(ask(Table::Work, "due", "1|", "1|2026"), ["c".into()]);
        assert_eq!(ask(Table::Identity, "next_change_at", "", "2026"), ["d".into()]);
    }

    #[test]
    fn a_mark_that_an_older_process_leaves_behind_tells_nothing() {
        let mut connection = Connection::open_in_memory().unwrap();
        run(&mut connection, &MIGRATIONS[..3]).unwrap();
        assert_eq!(stored_version(&connection).unwrap(), 3);
        let body = r#"{"state":"present","ordinal":1,"fingerprint":"a","identity":"x"}"#;
        let insert =
            "INSERT INTO source_record (realm, key, version, mark, body) VALUES ('r', 'k', 1, 'one', ?)";
        connection.execute(insert, [body]).unwrap();
        run(&mut connection, MIGRATIONS).unwrap();
        let mark = || text(&connection, "SELECT coalesce(mark, 'none') FROM source_record");
        assert_eq!(mark(), "one", "rows of before are kept");
        let set = |what: &str| connection.execute(&format!("UPDATE source_record SET {what}"), []).unwrap();
        // As version 1 wrote a row that is there: without the column.
        let old = |body: &str| {
            let sql = "INSERT INTO source_record (realm, key, version, body) VALUES ('r', 'k', 1, ?)
                       ON CONFLICT (realm, key) DO UPDATE SET version = version + 1, body = excluded.body";
            connection.execute(sql, [body]).unwrap()
        };
        old(&body.replace("\"x\"", "\"y\""));
        assert_eq!(mark(), "one", "what the mark tells of is as it was");
        old(&body.replace("\"a\"", "\"b\""));
        assert_eq!(mark(), "none");
        set("mark = 'two', body = json_set(body, '$.fingerprint', 'c')");
        assert_eq!(mark(), "two", "written together");
        set("body = json_set(body, '$.state', json('{\"absent\":2}'))");
        assert_eq!(mark(), "none");
        assert_eq!(text(&connection, "SELECT count(*) || '' FROM node"), "0");
        assert_eq!(text(&connection, "SELECT count(*) || '' FROM pace"), "0");
    }

    #[test]
    fn the_migrations_make_every_table_stream_and_column() {
        let mut connection = Connection::open_in_memory().unwrap();
        run(&mut connection, MIGRATIONS).unwrap();
        let columns = |name: &str| {
            let mut statement = connection.prepare("SELECT name FROM pragma_table_info(?)").unwrap();
            let names = statement.query_map([name], |row| row.get::<_, String>(0)).unwrap();
            let mut names: Vec<String> = names.map(std::result::Result::unwrap).collect();
            names.sort();
            names
        };
        let expected = |fixed: &[&'static str], columns: Vec<&'static str>| {
            let mut names: Vec<String> =
                fixed.iter().chain(&columns).map(|name| (*name).to_owned()).collect();
            names.sort();
            names
        };
        for table in Table::ALL {
            let expected = expected(&["realm", "key", "version", "body"], table.columns().collect());
            assert_eq!(columns(table.name()), expected, "table {}: add a migration", table.name());
            for index in table.indexes() {
                let name = format!("{}__{}", table.name(), index.name);
                let sql = text(&connection, &format!("SELECT sql FROM sqlite_master WHERE name = '{name}'"));
                assert_eq!(sql.starts_with("CREATE UNIQUE"), index.unique, "{sql}");
                let named = format!("SELECT count(*) || '' FROM sqlite_master WHERE name = '{name}__across'");
                assert_eq!(text(&connection, &named), u8::from(index.across).to_string(), "{name}");
            }
        }
        for stream in Stream::ALL {
            let indexes = stream.indexes().iter().map(|index| index.name).collect();
            let expected = expected(&["realm", "number", "body"], indexes);
            assert_eq!(columns(stream.name()), expected, "stream {}: add a migration", stream.name());
        }
        let versions: Vec<u32> = MIGRATIONS.iter().map(|migration| migration.version).collect();
        assert_eq!(versions, (1..).take(versions.len()).collect::<Vec<u32>>(), "no gaps");
    }
}
