//! The schema's versions, and the way from one to the next.
//!
//! A version may be used by processes of an earlier one as long as all its steps only add: each step says which is the
//! earliest. So the nodes of a cluster are renewed one after the other.

use sha2::{Digest, Sha256};
use tokio_postgres::error::SqlState;

use super::PostgresStore;
use super::connection::{Session, in_order};
use super::failure::{explain, unusable};
use super::reader::{text, value};
use super::statement::Statement;
use crate::error::{Error, Result};

/// One step of the schema. Never edited after a release.
#[derive(Clone, Copy, Debug)]
pub(super) struct Migration {
    /// Counts from 1, without gaps.
    pub(super) version: i32,
    /// What it is about.
    pub(super) name: &'static str,
    /// The earliest version whose processes can use the store after this step.
    pub(super) usable_from: i32,
    /// The statements.
    pub(super) sql: &'static str,
}

/// Every step of the schema, in order.
pub(super) const MIGRATIONS: &[Migration] = &[
    Migration { version: 1, name: "tables", usable_from: 1, sql: include_str!("schema/0001_tables.sql") },
    Migration { version: 2, name: "enqueue", usable_from: 1, sql: include_str!("schema/0002_enqueue.sql") },
];

/// What was applied.
struct Applied {
    version: i32,
    usable_from: i32,
    sha256: String,
}

impl PostgresStore {
    /// Brings the schema to the last version, or says why it cannot be used.
    pub(super) async fn prepare(&self, migrations: &[Migration], migrate: bool) -> Result<()> {
        let applied = self.applied().await?;
        if verify(&applied, migrations)? {
            return Ok(());
        }
        if !migrate {
            return Err(unusable(
                "the schema of the store is of an earlier version, or not there: open the store once as the owner of \
                 the schema, with `migrate` on",
            ));
        }
        let mut session = self.connections.session().await?;
        session.at_rest = false;
        let turn = Statement::new("select pg_advisory_xact_lock($1)").signed(self.lock_number("migrate", ""));
        let doing = "migrate the schema";
        let begun = in_order(vec![session.run(self.connections.begin()), session.execute(&turn)]);
        for answer in self.connections.in_time(begun).await? {
            answer.map_err(|error| explain(error, doing))?;
        }
        // Somebody else may have been faster.
        let applied = self.applied_in(&session).await?;
        if !verify(&applied, migrations)? {
            if applied.is_empty() {
                self.lay_out(&session).await?;
            }
            for migration in migrations.iter().skip(applied.len()) {
                let named = |error: Error| error.with_context("migration", migration.name);
                self.migrate_to(&session, migration).await.map_err(named)?;
            }
        }
        self.connections
            .in_time(session.run::<()>("commit"))
            .await?
            .map_err(|error| explain(error, doing))?;
        session.at_rest = true;
        Ok(())
    }

    async fn applied(&self) -> Result<Vec<Applied>> {
        let session = self.connections.session().await?;
        self.applied_in(&session).await
    }

    async fn applied_in(&self, session: &Session) -> Result<Vec<Applied>> {
        let doing = "read the schema's version";
        let there = Statement::new("select to_regclass($1) is not null")
            .owned_text(self.schema.of("schema_migration"));
        let rows = self.connections.in_time(session.query(&there)).await?.map_err(|e| explain(e, doing))?;
        let there = rows.first().map(|row| value::<bool>(row, 0)).transpose()?.unwrap_or_default();
        if !there {
            return Ok(Vec::new());
        }
        let sql = format!(
            "select version, usable_from, sha256 from {} order by version",
            self.schema.of("schema_migration")
        );
        let statement = Statement::new(sql);
        let rows =
            self.connections.in_time(session.query(&statement)).await?.map_err(|e| explain(e, doing))?;
        let applied = rows.iter().map(|row| {
            Ok(Applied { version: value(row, 0)?, usable_from: value(row, 1)?, sha256: text(row, 2)? })
        });
        applied.collect()
    }

    /// Makes the schema, and the tables that say what it is.
    async fn lay_out(&self, session: &Session) -> Result<()> {
        let name = self.schema.name();
        let there =
            Statement::new("select 1 from pg_namespace where nspname = $1").owned_text(name.to_owned());
        let rows = self.connections.in_time(session.query(&there)).await?;
        // A role that owns the schema need not be allowed to make one.
        if rows.map_err(|error| explain(error, "look for the schema"))?.is_empty() {
            self.run(session, &format!("create schema \"{name}\""), "make the schema").await?;
        }
        let tables = format!(
            "create table {} (version integer primary key, name text not null, usable_from integer not null, \
             sha256 text not null, applied_at timestamptz not null default now()); \
             create table {} (epoch text not null)",
            self.schema.of("schema_migration"),
            self.schema.of("store_epoch")
        );
        self.run(session, &tables, "make the tables").await?;
        let epoch = super::random_name(self.random.as_ref())?;
        let sql = format!("insert into {} (epoch) values ($1)", self.schema.of("store_epoch"));
        let insert = Statement::new(sql).owned_text(epoch);
        let done = self.connections.in_time(session.execute(&insert)).await?;
        done.map(drop).map_err(|error| explain(error, "note the epoch"))
    }

    async fn migrate_to(&self, session: &Session, migration: &Migration) -> Result<()> {
        let path = format!("set local search_path to \"{}\", pg_temp", self.schema.name());
        self.run(session, &path, "migrate the schema").await?;
        self.run(session, migration.sql, "migrate the schema").await?;
        let sql = format!(
            "insert into {} (version, name, usable_from, sha256) values ($1::bigint, $2, $3::bigint, $4)",
            self.schema.of("schema_migration")
        );
        let note = Statement::new(sql)
            .signed(i64::from(migration.version))
            .text(migration.name)
            .signed(i64::from(migration.usable_from))
            .owned_text(checksum(migration.sql));
        let done = self.connections.in_time(session.execute(&note)).await?;
        done.map(drop).map_err(|error| explain(error, "note the schema's version"))
    }

    async fn run(&self, session: &Session, sql: &str, doing: &str) -> Result<()> {
        let done: std::result::Result<(), _> = self.connections.in_time(session.run(sql)).await?;
        done.map_err(|error| match error.code() {
            Some(&SqlState::INSUFFICIENT_PRIVILEGE) => unusable(format!(
                "cannot {doing}: the role may not: open the store once as the owner of the schema, or as somebody who \
                 may make one"
            ))
            .with_source(error),
            _ => explain(error, doing),
        })
    }
}

/// Compares what was applied with what this library would have applied. True when nothing is missing.
fn verify(applied: &[Applied], migrations: &[Migration]) -> Result<bool> {
    let known = migrations.last().map_or(0, |migration| migration.version);
    let stored = applied.last().map_or(0, |last| last.version);
    let needed = applied.iter().map(|step| step.usable_from).max().unwrap_or(0);
    if needed > known {
        return Err(unusable(format!(
            "the store is used by a newer version of this library (schema {stored}, usable from {needed} on; this one \
             knows {known}): use that version"
        )));
    }
    for (step, migration) in applied.iter().zip(migrations) {
        if step.version != migration.version || step.sha256 != checksum(migration.sql) {
            return Err(unusable(format!(
                "the schema is not the one this library makes: step {} (`{}`) was changed; restore a backup, or use \
                 the version that made it",
                migration.version, migration.name
            )));
        }
    }
    Ok(stored >= known)
}

fn checksum(sql: &str) -> String {
    hex::encode(Sha256::digest(sql.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::MIGRATIONS;
    use crate::store::{Stream, Table};

    /// The database has every table and column that the library writes.
    #[test]
    fn the_schema_has_every_table_and_column() {
        let sql: String = MIGRATIONS.iter().map(|migration| migration.sql).collect();
        let table = |name: &str| {
            let rest = sql
                .split_once(&format!("CREATE TABLE \"{name}\" ("))
                .unwrap_or_else(|| panic!("no {name}"))
                .1;
            rest.split_once("\n)").unwrap().0.to_owned()
        };
        for of in Table::ALL {
            let columns = table(of.name());
            for column in of.columns() {
                let later = format!("ALTER TABLE \"{}\" ADD COLUMN \"{column}\"", of.name());
                assert!(
                    columns.contains(&format!("\"{column}\" text COLLATE \"C\"")) || sql.contains(&later)
                );
            }
            for index in of.indexes().iter().filter(|index| index.across) {
                assert!(sql.contains(&format!("\"{}__{}__across\"", of.name(), index.name)));
            }
        }
        for of in Stream::ALL {
            assert!(
                of.indexes().iter().all(|index| table(of.name()).contains(&format!("\"{}\"", index.name)))
            );
        }
    }

    #[cfg(feature = "testkit-peer")]
    mod rolling {
        use std::sync::Arc;

        use super::super::Migration;
        use super::MIGRATIONS;
        use crate::error::Result;
        use crate::id::RealmId;
        use crate::runtime::SystemClock;
        use crate::store::{Changes, Commit, PostgresOptions, PostgresStore, Store, Table};
        use crate::testkit::peer::shared_postgres;
        use crate::testkit::store::row;

        async fn open(database: &str, migrations: &[Migration]) -> Result<PostgresStore> {
            let url = format!("{}?sslmode=disable", shared_postgres()?.url(database));
            PostgresStore::open_with(PostgresOptions::new(url), Arc::new(SystemClock), migrations).await
        }

        fn with(migration: Migration) -> Vec<Migration> {
            MIGRATIONS.iter().copied().chain([migration]).collect()
        }

        fn next(sql: &'static str, usable_from: i32) -> Migration {
            let version = MIGRATIONS.last().map_or(0, |last| last.version) + 1;
            Migration { version, name: "next", usable_from, sql }
        }

        async fn works(store: &PostgresStore, key: &str) {
            let put = vec![row(Table::Work, key, &[("due", key)], "{}")];
            let changes = Changes { put, ..Changes::in_realm(&RealmId::new("r")) };
            assert_eq!(store.commit(changes).await.unwrap(), Commit::Committed);
        }

        /// Nodes are renewed one after the other: those of the version before go on, and may be started again.
        #[tokio::test]
        async fn old_and_new_processes_work_side_by_side() {
            let server = shared_postgres().unwrap();
            let database = server.database().unwrap();
            let old = open(&database, MIGRATIONS).await.unwrap();
            works(&old, "a").await;
            let adds = "ALTER TABLE \"work\" ADD COLUMN \"extra\" text; CREATE INDEX ON \"work\" (\"extra\")";
            let new = open(&database, &with(next(adds, 1))).await.unwrap();
            works(&new, "b").await;
            works(&old, "c").await;
            let again = open(&database, MIGRATIONS).await.unwrap();
            for (store, key) in [(&again, "a"), (&new, "c"), (&old, "b")] {
                works(store, key).await;
            }
            let count = "select count(*), sum(version) from provision.work";
            assert_eq!(server.sql(&database, count).unwrap(), "3|6");
        }

        #[tokio::test]
        async fn a_step_that_breaks_old_processes_keeps_them_out() {
            let database = shared_postgres().unwrap().database().unwrap();
            let last = MIGRATIONS.last().map_or(0, |last| last.version) + 1;
            let breaks = with(next("ALTER TABLE \"hold\" RENAME COLUMN \"state\" TO \"s\"", last));
            open(&database, &breaks).await.unwrap();
            let error = open(&database, MIGRATIONS).await.unwrap_err();
            assert!(error.to_string().contains("newer version"), "{error:?}");
        }

        #[tokio::test]
        async fn a_step_that_fails_leaves_the_schema_as_it_was() {
            let server = shared_postgres().unwrap();
            let database = server.database().unwrap();
            let fails = with(next("ALTER TABLE \"work\" ADD COLUMN \"extra\" text; SELECT 1 / 0", 1));
            let error = open(&database, &fails).await.unwrap_err();
            assert!(error.to_string().contains("next"), "{error:?}");
            let there = "select to_regclass('provision.work') is null";
            assert_eq!(server.sql(&database, there).unwrap(), "t", "not even the first steps");
            open(&database, MIGRATIONS).await.unwrap();
        }
    }
}
