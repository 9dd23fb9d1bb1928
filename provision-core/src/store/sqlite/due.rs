//! Realms in which something is due.

use std::collections::BTreeSet;

use rusqlite::{Connection, OptionalExtension, params_from_iter};

use super::failure::Explain;
use super::statement::{below, number, text};
use crate::error::Result;
use crate::id::RealmId;
use crate::store::{Due, DueRealms};

/// Due rows read to see whose they are. Where more are due, it is cheaper to ask for each realm that has rows.
const ROWS_MAX: u64 = 512;

/// Answers questions for realms, all of one moment.
pub(super) fn due_realms(connection: &Connection, dues: &[Due]) -> Result<Vec<DueRealms>> {
    let snapshot = connection.unchecked_transaction().or_explain("begin a read")?;
    let found = dues.iter().map(|due| answer(connection, due)).collect::<rusqlite::Result<Vec<_>>>();
    let found = found.or_explain("find realms with due rows")?;
    snapshot.commit().or_explain("end a read")?;
    Ok(found)
}

fn answer(connection: &Connection, due: &Due) -> rusqlite::Result<DueRealms> {
    let (table, column) = (due.table.name(), due.column);
    let by_value = format!("\"{table}\" INDEXED BY \"{table}__{column}__across\"");
    let sql = format!(
        "SELECT \"{column}\" FROM {by_value} WHERE \"{column}\" > ? AND \"{column}\" < ? \
         ORDER BY \"{column}\" LIMIT 1"
    );
    let later = connection
        .prepare_cached(&sql)?
        .query_row(params_from_iter([text(&due.at_most), below(&due.prefix)]), |row| row.get::<_, String>(0))
        .optional()?;
    let sql = format!(
        "SELECT realm FROM {by_value} WHERE \"{column}\" >= ? AND \"{column}\" <= ? ORDER BY \"{column}\" LIMIT ?"
    );
    let binds = [text(&due.prefix), text(&due.at_most), number(ROWS_MAX)];
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query(params_from_iter(binds))?;
    let (mut realms, mut read) = (BTreeSet::new(), 0);
    while let Some(row) = rows.next()? {
        read += 1;
        realms.insert(row.get::<_, String>(0)?);
    }
    let after = due.after.as_ref().map_or("", RealmId::as_str);
    let realms: Vec<String> = match read {
        ROWS_MAX => realm_by_realm(connection, due, after)?,
        _ => realms.into_iter().filter(|realm| due.after.is_none() || realm.as_str() > after).collect(),
    };
    Ok(DueRealms::page(realms.into_iter().map(RealmId::from).collect(), due.limit, later))
}

/// Steps from realm to realm in the index, and asks each for one due row; one more than the limit.
fn realm_by_realm(connection: &Connection, due: &Due, after: &str) -> rusqlite::Result<Vec<String>> {
    let (table, column) = (due.table.name(), due.column);
    let first = if due.after.is_some() { ">" } else { ">=" };
    let sql = format!(
        "WITH RECURSIVE step (realm) AS (SELECT (SELECT min(realm) FROM \"{table}\" WHERE realm {first} ?) \
         UNION ALL SELECT (SELECT min(realm) FROM \"{table}\" WHERE realm > step.realm) FROM step \
         WHERE step.realm IS NOT NULL) \
         SELECT realm FROM step WHERE realm IS NOT NULL AND EXISTS (SELECT 1 FROM \"{table}\" AS held \
         WHERE held.realm = step.realm AND held.\"{column}\" >= ? AND held.\"{column}\" <= ?) LIMIT ?"
    );
    let limit = number(u64::from(due.limit).saturating_add(1));
    let binds = [text(after), text(&due.prefix), text(&due.at_most), limit];
    let mut statement = connection.prepare_cached(&sql)?;
    statement.query_map(params_from_iter(binds), |row| row.get(0))?.collect()
}
