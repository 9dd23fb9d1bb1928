//! Reads: queries on a connection.

use rusqlite::{Connection, OptionalExtension, params_from_iter};

use super::failure::Explain;
use super::statement::{Statements, condition, number, scan_marks_sql, text};
use crate::error::Result;
use crate::id::RealmId;
use crate::store::{Cursor, Row, Rows, Scan, Select, Stream, Table};

/// Rows by key, all of one moment.
pub(super) fn get(
    connection: &Connection,
    statements: &Statements,
    realm: &RealmId,
    table: Table,
    keys: &[String],
) -> Result<Vec<Option<Row>>> {
    let snapshot = connection.unchecked_transaction().or_explain("begin a read")?;
    let rows = (|| {
        let mut statement = connection.prepare_cached(&statements.table(table)?.get)?;
        keys.iter()
            .map(|key| {
                let found = statement.query_row([text(realm.as_str()), text(key)], |row| {
                    Ok(Row { key: key.clone(), version: unsigned(row, 0)?, body: row.get(1)? })
                });
                found.optional()
            })
            .collect::<rusqlite::Result<Vec<_>>>()
    })()
    .or_explain("read rows")?;
    snapshot.commit().or_explain("end a read")?;
    Ok(rows)
}

/// Rows passed over before the next key is looked for from the root of the index again.
const PASSED_MAX: u32 = 8;

/// Marks by key, all of one moment, from the index that holds nothing else. Keys that follow each other there cost a
/// step from one to the next, others a search.
pub(super) fn marks(
    connection: &Connection,
    statements: &Statements,
    realm: &RealmId,
    table: Table,
    keys: &[String],
) -> Result<Vec<Option<String>>> {
    let mut marks = vec![None; keys.len()];
    let snapshot = connection.unchecked_transaction().or_explain("begin a read")?;
    let found = (|| {
        let Some(sql) = &statements.table(table)?.marks else { return Ok(()) };
        let mut wanted: Vec<(&String, &mut Option<String>)> = keys.iter().zip(&mut marks).collect();
        // In order already where the feed is; then this is one pass.
        wanted.sort_by_key(|(key, _)| *key);
        let mut wanted = wanted.into_iter().peekable();
        let mut statement = connection.prepare_cached(sql)?;
        while let Some((first, _)) = wanted.peek() {
            let mut rows = statement.query([text(realm.as_str()), text(first)])?;
            let mut passed = 0;
            while passed < PASSED_MAX {
                let Some(row) = rows.next()? else { return Ok(()) };
                let key = row.get_ref(0)?.as_bytes()?;
                // Those before it are not there.
                while wanted.next_if(|(wanted, _)| wanted.as_bytes() < key).is_some() {}
                passed += 1;
                while let Some((_, mark)) = wanted.next_if(|(wanted, _)| wanted.as_bytes() == key) {
                    *mark = row.get(1)?;
                    passed = 0;
                }
                if wanted.peek().is_none() {
                    break;
                }
            }
        }
        Ok(())
    })();
    found.or_explain("read marks")?;
    snapshot.commit().or_explain("end a read")?;
    Ok(marks)
}

/// A page of keys with their marks, in key order.
pub(super) fn scan_marks(
    connection: &Connection,
    realm: &RealmId,
    table: Table,
    prefix: &str,
    after: Option<&str>,
    limit: u32,
) -> Result<Vec<(String, Option<String>)>> {
    let select = Select::KeyPrefix(prefix.to_owned());
    let after = after.map(|key| Cursor { column: String::new(), key: key.to_owned() });
    let condition = condition(table, &select, after.as_ref());
    let sql = scan_marks_sql(table, &condition.sql);
    let mut binds = vec![text(realm.as_str())];
    binds.extend(condition.binds);
    binds.push(number(u64::from(limit)));
    let page = (|| {
        let mut statement = connection.prepare_cached(&sql)?;
        let rows = statement.query_map(params_from_iter(binds), |row| Ok((row.get(0)?, row.get(1)?)))?;
        rows.collect::<rusqlite::Result<Vec<_>>>()
    })();
    page.or_explain("read a page of marks")
}

/// A page of rows.
pub(super) fn scan(connection: &Connection, scan: &Scan) -> Result<Rows> {
    let condition = condition(scan.table, &scan.select, scan.after.as_ref());
    let shown = condition.column.map_or_else(|| "''".to_owned(), |column| format!("\"{column}\""));
    let sql = format!(
        "SELECT key, version, body, {shown} FROM \"{}\" WHERE realm = ? AND {} ORDER BY {} LIMIT ?",
        scan.table.name(),
        condition.sql,
        condition.order,
    );
    // One more than asked for tells whether there is a next page.
    let limit = u64::from(scan.limit).saturating_add(1);
    let mut binds = vec![text(scan.realm.as_str())];
    binds.extend(condition.binds);
    binds.push(number(limit));
    let found = (|| {
        let mut statement = connection.prepare_cached(&sql)?;
        let rows = statement.query_map(params_from_iter(binds), |row| {
            let found = Row { key: row.get(0)?, version: unsigned(row, 1)?, body: row.get(2)? };
            Ok((found, row.get::<_, String>(3)?))
        })?;
        rows.collect::<rusqlite::Result<Vec<_>>>()
    })();
    let mut found = found.or_explain("read a page of rows")?;
    let page = usize::try_from(scan.limit).unwrap_or(usize::MAX);
    let more = found.len() > page;
    found.truncate(page);
    let last = found.last().filter(|_| more);
    let next = last.map(|(row, column)| Cursor { column: column.clone(), key: row.key.clone() });
    Ok(Rows { rows: found.into_iter().map(|(row, _)| row).collect(), next })
}

/// Several pages, all of one moment.
pub(super) fn scan_all(connection: &Connection, scans: &[Scan]) -> Result<Vec<Rows>> {
    let snapshot = connection.unchecked_transaction().or_explain("begin a read")?;
    let pages = scans.iter().map(|page| scan(connection, page)).collect::<Result<Vec<_>>>()?;
    snapshot.commit().or_explain("end a read")?;
    Ok(pages)
}

/// How many rows a select has.
pub(super) fn count(connection: &Connection, realm: &RealmId, table: Table, select: &Select) -> Result<u64> {
    let condition = condition(table, select, None);
    let sql = format!("SELECT count(*) FROM \"{}\" WHERE realm = ? AND {}", table.name(), condition.sql);
    let mut binds = vec![text(realm.as_str())];
    binds.extend(condition.binds);
    let count = connection
        .prepare_cached(&sql)
        .and_then(|mut statement| statement.query_row(params_from_iter(binds), |row| unsigned(row, 0)));
    count.or_explain("count rows")
}

/// A page of a stream; of the rows whose column has a value, where one is given.
pub(super) fn read_stream(
    connection: &Connection,
    realm: &RealmId,
    stream: Stream,
    by: Option<(&'static str, &str)>,
    after: u64,
    limit: u32,
) -> Result<Vec<(u64, Row)>> {
    let filter = by.map(|(column, _)| format!(" AND \"{column}\" = ?")).unwrap_or_default();
    let sql = format!(
        "SELECT number, body FROM \"{}\" WHERE realm = ?{filter} AND number > ? ORDER BY number LIMIT ?",
        stream.name()
    );
    let mut binds = vec![text(realm.as_str())];
    binds.extend(by.map(|(_, value)| text(value)));
    binds.extend([number(after), number(u64::from(limit))]);
    let rows = (|| {
        let mut statement = connection.prepare_cached(&sql)?;
        let rows = statement.query_map(params_from_iter(binds), |row| {
            let number = unsigned(row, 0)?;
            Ok((number, Row { key: number.to_string(), version: 1, body: row.get(1)? }))
        })?;
        rows.collect::<rusqlite::Result<Vec<_>>>()
    })();
    rows.or_explain("read a stream")
}

/// Realms that have rows, in order.
pub(super) fn realms(connection: &Connection) -> Result<Vec<RealmId>> {
    let tables = Table::ALL.iter().map(|table| table.name());
    let names = tables.chain(Stream::ALL.iter().map(|stream| stream.name()));
    let mut realms = std::collections::BTreeSet::new();
    for name in names {
        // Steps from realm to realm in the index; DISTINCT would read all of it.
        let sql = format!(
            "WITH RECURSIVE step (realm) AS (SELECT min(realm) FROM \"{name}\" UNION ALL \
             SELECT (SELECT min(realm) FROM \"{name}\" WHERE realm > step.realm) FROM step \
             WHERE step.realm IS NOT NULL) \
             SELECT realm FROM step WHERE realm IS NOT NULL"
        );
        let found = (|| {
            let mut statement = connection.prepare_cached(&sql)?;
            let rows = statement.query_map([], |row| row.get::<_, String>(0))?;
            rows.collect::<rusqlite::Result<Vec<_>>>()
        })();
        realms.extend(found.or_explain("list realms")?);
    }
    Ok(realms.into_iter().map(RealmId::from).collect())
}

/// A number that is never negative, unless the file is damaged.
pub(super) fn unsigned(row: &rusqlite::Row<'_>, column: usize) -> rusqlite::Result<u64> {
    let value: i64 = row.get(column)?;
    u64::try_from(value).map_err(|_| rusqlite::Error::IntegralValueOutOfRange(column, value))
}
