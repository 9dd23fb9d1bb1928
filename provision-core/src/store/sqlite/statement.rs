//! The SQL of a table or stream, and the binding of values.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use rusqlite::types::{ToSqlOutput, Value, ValueRef};

use crate::store::{Cursor, MARK, Select, Stream, Table};

/// A value to bind.
pub(super) type Bind<'a> = ToSqlOutput<'a>;

/// Text, not copied.
pub(super) fn text(text: &str) -> Bind<'_> {
    ToSqlOutput::Borrowed(ValueRef::Text(text.as_bytes()))
}

/// A number; SQLite's end at 2^63-1.
pub(super) fn number<'a>(number: u64) -> Bind<'a> {
    ToSqlOutput::Owned(Value::Integer(i64::try_from(number).unwrap_or(i64::MAX)))
}

/// Sorts after every text: a BLOB does.
fn above_all_text<'a>() -> Bind<'a> {
    ToSqlOutput::Owned(Value::Blob(Vec::new()))
}

/// The columns of a row in the order given, with NULL where the row has no value.
pub(super) fn in_order<'a>(
    columns: impl Iterator<Item = &'static str> + 'a,
    given: &'a [(&'static str, String)],
) -> impl Iterator<Item = Bind<'a>> {
    columns.map(|column| match given.iter().find(|(name, _)| *name == column) {
        Some((_, value)) => text(value),
        None => ToSqlOutput::Owned(Value::Null),
    })
}

/// The fixed statements of a table.
#[derive(Debug)]
pub(super) struct TableSql {
    /// version and body of a key.
    pub(super) get: String,
    /// version of a key.
    pub(super) version: String,
    /// Inserts or replaces whole.
    pub(super) put: String,
    /// Deletes a key.
    pub(super) delete: String,
    /// key and mark from a key on, in key order; read from the index alone. `None`: the rows have no marks.
    pub(super) marks: Option<String>,
}

/// The fixed statements of all tables and streams.
#[derive(Debug)]
pub(super) struct Statements {
    tables: BTreeMap<Table, TableSql>,
    appends: BTreeMap<Stream, String>,
}

impl Statements {
    /// Writes the statements.
    pub(super) fn new() -> Self {
        Self {
            tables: Table::ALL.iter().map(|table| (*table, table_sql(*table))).collect(),
            appends: Stream::ALL.iter().map(|stream| (*stream, append_sql(*stream))).collect(),
        }
    }

    /// The statements of a table; every table has them.
    pub(super) fn table(&self, table: Table) -> rusqlite::Result<&TableSql> {
        self.tables.get(&table).ok_or(rusqlite::Error::InvalidQuery)
    }

    /// The statement that appends to a stream; every stream has one.
    pub(super) fn append(&self, stream: Stream) -> rusqlite::Result<&str> {
        self.appends.get(&stream).map(String::as_str).ok_or(rusqlite::Error::InvalidQuery)
    }
}

fn table_sql(table: Table) -> TableSql {
    let name = table.name();
    let (mut columns, mut marks, mut updates) = (String::new(), String::new(), String::new());
    for column in table.columns() {
        // Writing to a String cannot fail.
        let _ = write!(columns, "\"{column}\", ");
        marks.push_str("?, ");
        let _ = write!(updates, "\"{column}\" = excluded.\"{column}\", ");
    }
    TableSql {
        get: format!("SELECT version, body FROM \"{name}\" WHERE realm = ? AND key = ?"),
        version: format!("SELECT version FROM \"{name}\" WHERE realm = ? AND key = ?"),
        put: format!(
            "INSERT INTO \"{name}\" (realm, key, {columns}version, body) VALUES (?, ?, {marks}1, ?) \
             ON CONFLICT (realm, key) DO UPDATE SET {updates}version = version + 1, body = excluded.body"
        ),
        delete: format!("DELETE FROM \"{name}\" WHERE realm = ? AND key = ?"),
        marks: table.has_mark().then(|| {
            format!(
                "SELECT key, \"{MARK}\" FROM \"{name}\" INDEXED BY \"{name}__{MARK}\" \
                 WHERE realm = ? AND key >= ? ORDER BY key"
            )
        }),
    }
}

/// A page of keys and marks; of a table with marks, from the index that holds nothing else.
pub(super) fn scan_marks_sql(table: Table, condition: &str) -> String {
    let name = table.name();
    let (mark, index) = match table.has_mark() {
        true => (format!("\"{MARK}\""), format!(" INDEXED BY \"{name}__{MARK}\"")),
        false => ("NULL".to_owned(), String::new()),
    };
    format!("SELECT key, {mark} FROM \"{name}\"{index} WHERE realm = ? AND {condition} ORDER BY key LIMIT ?")
}

fn append_sql(stream: Stream) -> String {
    let columns: String = stream.indexes().iter().map(|index| format!("\"{}\", ", index.name)).collect();
    let marks = "?, ".repeat(stream.indexes().len());
    format!("INSERT INTO \"{}\" (realm, {columns}body) VALUES (?, {marks}?)", stream.name())
}

/// Deletes the rows of a realm up to a number. The column counts on by itself, whatever was deleted.
pub(super) fn trim_sql(stream: Stream) -> String {
    format!("DELETE FROM \"{}\" WHERE realm = ? AND number <= ?", stream.name())
}

/// The key of another row with a value in a column.
pub(super) fn other_holder(table: Table, column: &str) -> String {
    format!("SELECT 1 FROM \"{}\" WHERE realm = ? AND \"{column}\" = ? AND key <> ?", table.name())
}

/// Whether a row has a value in a column.
pub(super) fn has_value(table: Table, column: &str) -> String {
    format!("SELECT 1 FROM \"{}\" WHERE realm = ? AND key = ? AND \"{column}\" = ?", table.name())
}

/// The condition of a select after a cursor, what it binds after the realm, and its order.
pub(super) struct Condition<'a> {
    /// Follows `WHERE realm = ?`.
    pub(super) sql: String,
    /// Bound after the realm.
    pub(super) binds: Vec<Bind<'a>>,
    /// Follows `ORDER BY`.
    pub(super) order: String,
    /// The column that is part of the cursor.
    pub(super) column: Option<&'static str>,
}

/// What a select asks for, as SQL that one index answers in order.
pub(super) fn condition<'a>(table: Table, select: &'a Select, after: Option<&'a Cursor>) -> Condition<'a> {
    match select {
        Select::KeyPrefix(prefix) => {
            let (sql, from) = match after {
                Some(cursor) if cursor.key >= *prefix => ("key > ?", cursor.key.as_str()),
                _ => ("key >= ?", prefix.as_str()),
            };
            let binds = vec![text(from), below(prefix)];
            Condition { sql: format!("{sql} AND key < ?"), binds, order: "key".to_owned(), column: None }
        }
        Select::Equal(column, value) => {
            let mut binds = vec![text(value)];
            let mut sql = format!("\"{column}\" = ?");
            if let Some(cursor) = after {
                sql.push_str(" AND key > ?");
                binds.push(text(&cursor.key));
            }
            Condition { sql, binds, order: "key".to_owned(), column: None }
        }
        Select::AtMost(column, most) => by_column(table, column, ("", "<=", text(most)), after),
        Select::ColumnPrefix(column, prefix) => by_column(table, column, (prefix, "<", below(prefix)), after),
    }
}

fn by_column<'a>(
    table: Table,
    column: &'static str,
    (least, operator, most): (&'a str, &str, Bind<'a>),
    after: Option<&'a Cursor>,
) -> Condition<'a> {
    let (sql, mut binds) = match after {
        Some(cursor) if cursor.column.as_str() >= least => {
            (format!("(\"{column}\", key) > (?, ?)"), vec![text(&cursor.column), text(&cursor.key)])
        }
        _ => (format!("\"{column}\" >= ?"), vec![text(least)]),
    };
    binds.push(most);
    // The index of a unique column has no key: the column alone is an order, and naming more would make SQLite sort.
    let unique = table.indexes().iter().any(|index| index.unique && index.name == column);
    let order = if unique { format!("\"{column}\"") } else { format!("\"{column}\", key") };
    Condition { sql: format!("{sql} AND \"{column}\" {operator} ?"), binds, order, column: Some(column) }
}

pub(super) fn below<'a>(prefix: &str) -> Bind<'a> {
    match crate::store::admission::above_prefix(prefix) {
        Some(above) => ToSqlOutput::Owned(Value::Text(above)),
        None => above_all_text(),
    }
}

#[cfg(test)]
mod tests {
    use rusqlite::{Connection, params_from_iter};

    use super::*;

    fn plan(connection: &Connection, sql: &str, binds: Vec<Bind<'_>>) -> String {
        let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
        let lines = statement.query_map(params_from_iter(binds), |row| row.get::<_, String>(3)).unwrap();
        lines.map(Result::unwrap).collect::<Vec<_>>().join("; ")
    }

    #[test]
    fn every_select_is_answered_by_one_index_in_order() {
        let connection = Connection::open_in_memory().unwrap();
        for migration in crate::store::sqlite::MIGRATIONS {
            connection.execute_batch(migration.sql).unwrap();
        }
        crate::store::sqlite::connection::keep_plans(&connection).unwrap();
        let cursor = Cursor { column: "c".into(), key: "k".into() };
        for table in Table::ALL {
            let mut selects = vec![Select::KeyPrefix("a".into())];
            for index in table.indexes() {
                selects.push(Select::Equal(index.name, "v".into()));
                selects.push(Select::AtMost(index.name, "v".into()));
                selects.push(Select::ColumnPrefix(index.name, "v".into()));
            }
            for (select, after) in selects.iter().flat_map(|select| [(select, None), (select, Some(&cursor))])
            {
                let Condition { sql, binds, order, .. } = condition(*table, select, after);
                let name = table.name();
                let mut all = vec![text("realm")];
                all.extend(binds);
                let query =
                    format!("SELECT key, body FROM \"{name}\" WHERE realm = ? AND {sql} ORDER BY {order}");
                let plan = plan(&connection, &query, all);
                assert!(plan.starts_with(&format!("SEARCH {name} USING ")), "{query}: {plan}");
                assert!(!plan.contains("TEMP B-TREE"), "{query}: {plan}");
                // Two terms of the index at least: never all rows of the realm.
                assert!(plan.contains(" AND "), "{query}: {plan}");
            }
        }
    }

    #[test]
    fn marks_are_read_from_their_index_alone() {
        let connection = Connection::open_in_memory().unwrap();
        for migration in crate::store::sqlite::MIGRATIONS {
            connection.execute_batch(migration.sql).unwrap();
        }
        let statements = Statements::new();
        for table in Table::ALL.iter().filter(|table| table.has_mark()) {
            let sql = statements.table(*table).unwrap().marks.as_deref().unwrap();
            let plan = plan(&connection, sql, vec![text("realm"), text("key")]);
            assert!(plan.starts_with(&format!("SEARCH {} USING COVERING INDEX ", table.name())), "{plan}");
            assert!(plan.ends_with("(realm=? AND key>?)"), "{plan}");
            let select = Select::KeyPrefix("a".into());
            let Condition { sql, binds, .. } = condition(*table, &select, None);
            let mut all = vec![text("realm")];
            all.extend(binds);
            all.push(number(1));
            let plan = self::plan(&connection, &scan_marks_sql(*table, &sql), all);
            assert!(plan.starts_with(&format!("SEARCH {} USING COVERING INDEX ", table.name())), "{plan}");
            assert!(plan.ends_with("(realm=? AND key>? AND key<?)"), "{plan}");
        }
    }

    #[test]
    fn a_prepared_scan_is_not_planned_again_for_other_values() {
        use rusqlite::StatementStatus::RePrepare;
        let connection = Connection::open_in_memory().unwrap();
        for migration in crate::store::sqlite::MIGRATIONS {
            connection.execute_batch(migration.sql).unwrap();
        }
        crate::store::sqlite::connection::keep_plans(&connection).unwrap();
        for (table, select) in [
            (Table::Link, Select::Equal("identity", "v".into())),
            (Table::Work, Select::AtMost("due", "v".into())),
            (Table::Identity, Select::ColumnPrefix("source_key", "v".into())),
        ] {
            let Condition { sql, order, binds, .. } = condition(table, &select, None);
            let (name, count) = (table.name(), binds.len());
            let sql = format!("SELECT key FROM \"{name}\" WHERE realm = ? AND {sql} ORDER BY {order}");
            let mut statement = connection.prepare(&sql).unwrap();
            for value in ["a", "b", "c"] {
                let values = std::iter::once("realm").chain(std::iter::repeat_n(value, count));
                statement.exists(params_from_iter(values)).unwrap();
            }
            assert_eq!(statement.get_status(RePrepare), 0, "{sql}");
        }
    }
}
