//! What the engine wrote into its store, and the same rows written by nothing but SQLite.

use std::path::Path;

use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};

use crate::Outcome;

/// Tables that an apply writes rows of.
const TABLES: [&str; 3] = ["journal", "link", "name"];
/// Streams that it appends to.
const STREAMS: [&str; 2] = ["audit", "outbox"];
/// Rows of one transaction of the competitor.
const BATCH: usize = 1_000;

/// Rows of one table.
#[derive(Clone, Debug, Default)]
pub struct Written {
    insert: String,
    rows: Vec<Vec<Value>>,
}

impl Written {
    /// How many rows.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// True when there are none.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Bytes of all texts.
    pub fn bytes(&self) -> usize {
        let bytes = |value: &Value| if let Value::Text(text) = value { text.len() } else { 0 };
        self.rows.iter().flatten().map(bytes).sum()
    }
}

/// How far the streams are: what comes later is not counted before.
///
/// # Errors
/// Those of SQLite.
pub fn position(store: &Path) -> Outcome<Vec<i64>> {
    let connection = Connection::open(store)?;
    let last = |name: &&str| -> Outcome<i64> {
        let sql = format!("SELECT coalesce(max(number), 0) FROM \"{name}\"");
        Ok(connection.query_row(&sql, [], |row| row.get(0))?)
    };
    STREAMS.iter().map(last).collect()
}

/// The rows of an apply: journal, links and names as they are at the end, and what the streams got since `position`.
///
/// # Errors
/// Those of SQLite.
pub fn written_since(store: &Path, position: &[i64]) -> Outcome<Vec<Written>> {
    let connection = Connection::open(store)?;
    let mut written = Vec::new();
    for name in TABLES {
        written.push(read(&connection, name, 0, "version")?);
    }
    for (name, after) in STREAMS.iter().zip(position) {
        written.push(read(&connection, name, *after, "number")?);
    }
    Ok(written)
}

fn read(connection: &Connection, table: &str, after: i64, counted: &str) -> Outcome<Written> {
    let sql = format!("SELECT * FROM \"{table}\" WHERE \"{counted}\" > ? ORDER BY rowid");
    let mut statement = connection.prepare(&sql)?;
    let columns: Vec<String> = statement.column_names().map(|name| format!("\"{name}\"")).collect();
    let width = columns.len();
    let rows = statement
        .query_map([after], |row| (0..width).map(|column| row.get(column)).collect())?
        .collect::<rusqlite::Result<Vec<Vec<Value>>>>()?;
    let marks = vec!["?"; width].join(", ");
    let insert = format!("INSERT INTO \"{table}\" ({}) VALUES ({marks})", columns.join(", "));
    Ok(Written { insert, rows })
}

/// A new file with the schema and the durability of the engine's store: write-ahead log, synchronous FULL.
///
/// # Errors
/// Those of SQLite.
pub fn open_like(store: &Path, file: &Path) -> Outcome<Connection> {
    let schema: Vec<String> = {
        let connection = Connection::open(store)?;
        let sql = "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%' \
                   ORDER BY CASE type WHEN 'table' THEN 0 WHEN 'index' THEN 1 ELSE 2 END, rowid";
        let mut statement = connection.prepare(sql)?;
        statement.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?
    };
    let connection = Connection::open(file)?;
    connection.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update_and_check(None, "wal_autocheckpoint", 4_000, |_| Ok(()))?;
    connection.pragma_update(None, "cache_size", -16 * 1_024)?;
    connection.execute_batch(&format!("BEGIN; {}; COMMIT", schema.join(";\n")))?;
    Ok(connection)
}

/// Inserts rows with one prepared statement per table, 1,000 rows per transaction. Give [`written_since`]'s rows:
/// reading them is not part of the work.
///
/// # Errors
/// Those of SQLite.
pub fn insert_all(connection: &mut Connection, written: &[Written]) -> Outcome<()> {
    for table in written {
        for batch in table.rows.chunks(BATCH) {
            let transaction = connection.transaction()?;
            {
                let mut statement = transaction.prepare_cached(&table.insert)?;
                for row in batch {
                    statement.execute(params_from_iter(row))?;
                }
            }
            transaction.commit()?;
        }
    }
    Ok(())
}
