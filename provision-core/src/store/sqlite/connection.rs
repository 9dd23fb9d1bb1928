//! Connections and their settings.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::SqliteOptions;
use super::failure::{Explain, explain, unusable};
use crate::error::Result;

/// Most connections that read.
pub(super) const READERS_MAX: usize = 64;
/// Statements kept prepared: a few per table.
const STATEMENTS: usize = 256;
/// A try to switch to the write-ahead log waits this long, so that two processes that start at once take turns.
const SWITCH: Duration = Duration::from_millis(50);

/// Opens a file that exists.
pub(super) fn open(path: &Path, options: &SqliteOptions) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let doing = "open the store's file";
    let connection = Connection::open_with_flags(path, flags).or_explain(doing)?;
    connection.busy_timeout(options.busy_timeout).or_explain(doing)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    Ok(connection)
}

/// Settings of a connection that only reads.
pub(super) fn configure_reader(connection: &Connection, options: &SqliteOptions) -> Result<()> {
    let readers = u32::try_from(options.readers.clamp(1, READERS_MAX)).unwrap_or(1);
    configure(connection, options, options.cache_kib / readers)?;
    connection.pragma_update(None, "query_only", "ON").or_explain("set up the connection")
}

fn configure(connection: &Connection, options: &SqliteOptions, cache_kib: u32) -> Result<()> {
    let doing = "set up the connection";
    let set = |name: &str, value: &str| connection.pragma_update(None, name, value).or_explain(doing);
    set("synchronous", if options.relaxed { "OFF" } else { "FULL" })?;
    set("foreign_keys", "ON")?;
    set("trusted_schema", "OFF")?;
    set("cell_size_check", "ON")?;
    set("temp_store", "MEMORY")?;
    connection.pragma_update(None, "cache_size", -i64::from(cache_kib)).or_explain(doing)?;
    keep_plans(connection).or_explain(doing)
}

/// Makes SQLite keep the plan of a prepared statement whatever values are bound. Otherwise it looks at them when it
/// chooses a partial index, which all of ours are, and parses and plans the statement anew at every scan.
pub(super) fn keep_plans(connection: &Connection) -> rusqlite::Result<()> {
    connection.set_db_config(rusqlite::config::DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true).map(|_| ())
}

/// Settings of the connection that writes, and those of the file.
pub(super) fn configure_writer(connection: &Connection, options: &SqliteOptions) -> Result<()> {
    configure(connection, options, options.cache_kib)?;
    let doing = "set up the write-ahead log";
    if connection.is_readonly("main").or_explain(doing)? {
        return Err(unusable(
            "the store's file is read-only: allow this process to write the file, its directory, and the files \
             beside it that end in -wal and -shm",
        ));
    }
    switch_to_log(connection, options)?;
    connection.pragma_update(None, "wal_autocheckpoint", 4000).or_explain(doing)?;
    connection.pragma_update(None, "journal_size_limit", 16 * 1024 * 1024).or_explain(doing)?;
    if let Some(pages) = options.max_pages {
        connection
            .pragma_update_and_check(None, "max_page_count", pages, |_| Ok(()))
            .or_explain("limit the file's size")?;
    }
    Ok(())
}

/// SQLite does not wait by itself when two connections switch at once.
fn switch_to_log(connection: &Connection, options: &SqliteOptions) -> Result<()> {
    let doing = "switch to the write-ahead log";
    connection.busy_timeout(SWITCH).or_explain(doing)?;
    let tries = options.busy_timeout.as_millis() / SWITCH.as_millis() + 1;
    let mut outcome = Ok(String::new());
    for _ in 0..tries {
        outcome = connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0));
        match &outcome {
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) => {
                std::thread::sleep(SWITCH);
            }
            _ => break,
        }
    }
    connection.busy_timeout(options.busy_timeout).or_explain(doing)?;
    match outcome {
        Ok(mode) if mode.eq_ignore_ascii_case("wal") => Ok(()),
        Ok(_) => Err(unusable(
            "the file system cannot keep a write-ahead log (it has no shared memory): use a local disk",
        )),
        Err(error) => Err(explain(error, doing)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pragma(connection: &Connection, name: &str) -> String {
        let value = |row: &rusqlite::Row<'_>| row.get::<_, rusqlite::types::Value>(0);
        match connection.pragma_query_value(None, name, value).unwrap() {
            rusqlite::types::Value::Integer(number) => number.to_string(),
            rusqlite::types::Value::Text(text) => text,
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn a_commit_is_on_the_disk_when_it_returns() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("store.db");
        std::fs::write(&path, "").unwrap();
        let options = SqliteOptions { cache_kib: 512, ..SqliteOptions::default() };
        let writer = open(&path, &options).unwrap();
        configure_writer(&writer, &options).unwrap();
        let expected = [
            ("journal_mode", "wal"),
            ("synchronous", "2"),
            ("foreign_keys", "1"),
            ("wal_autocheckpoint", "4000"),
            ("cache_size", "-512"),
            ("busy_timeout", "5000"),
            ("query_only", "0"),
        ];
        for (name, value) in expected {
            assert_eq!(pragma(&writer, name), value, "{name}");
        }
        let reader = open(&path, &options).unwrap();
        configure_reader(&reader, &options).unwrap();
        assert_eq!(pragma(&reader, "query_only"), "1");
        assert_eq!(pragma(&reader, "cache_size"), "-128", "one of four");
        assert_eq!(pragma(&reader, "busy_timeout"), "5000");
    }
}
