//! Reads: one statement each, outside of any transaction.

use std::collections::{BTreeMap, BTreeSet};

use tokio_postgres::Row as Found;
use tokio_postgres::types::FromSqlOwned;

use super::connection::Connections;
use super::failure::unusable;
use super::statement::{Schema, Statement, below};
use super::text::read;
use crate::error::Result;
use crate::id::RealmId;
use crate::store::{Cursor, Due, DueRealms, Posted, Row, Rows, Scan, Select, Stream, Table};

/// Due rows read to see whose they are. Where more are due, it is cheaper to ask for each realm that has rows.
const ROWS_MAX: usize = 512;
/// Values that one statement asks for, each with a page of its own.
const VALUES_MAX: usize = 1_000;

/// Reads through the connections of a store.
pub(super) struct Reader<'a> {
    pub(super) connections: &'a Connections,
    pub(super) schema: &'a Schema,
}

/// A value of a row.
pub(super) fn value<T: FromSqlOwned>(row: &Found, place: usize) -> Result<T> {
    row.try_get(place).map_err(|error| unusable("cannot read a row of the database").with_source(error))
}

/// A text of a row, as it was before it was written.
pub(super) fn text(row: &Found, place: usize) -> Result<String> {
    value(row, place).map(read)
}

/// A number that is never negative.
pub(super) fn unsigned(row: &Found, place: usize) -> Result<u64> {
    let number: i64 = value(row, place)?;
    u64::try_from(number).map_err(|error| unusable("a number of a row is negative").with_source(error))
}

/// key, version and body of a row that begins with them.
pub(super) fn row(row: &Found) -> Result<Row> {
    Ok(Row { key: text(row, 0)?, version: unsigned(row, 1)?, body: text(row, 2)? })
}

impl Reader<'_> {
    /// Rows by key, in the order of the keys.
    pub(super) async fn get(
        &self,
        realm: &RealmId,
        table: Table,
        keys: &[String],
    ) -> Result<Vec<Option<Row>>> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let statement = self.schema.get(realm.as_str(), table, keys);
        let found = self.connections.read(statement, "read rows").await?;
        let rows = found.iter().map(|found| row(found).map(|row| (row.key.clone(), row)));
        let rows: BTreeMap<String, Row> = rows.collect::<Result<_>>()?;
        Ok(keys.iter().map(|key| rows.get(key).cloned()).collect())
    }

    /// Marks by key, in the order of the keys.
    pub(super) async fn marks(
        &self,
        realm: &RealmId,
        table: Table,
        keys: &[String],
    ) -> Result<Vec<Option<String>>> {
        if keys.is_empty() || !table.has_mark() {
            return Ok(vec![None; keys.len()]);
        }
        let statement = self.schema.marks(realm.as_str(), table, keys);
        let found = self.connections.read(statement, "read marks").await?;
        let marks: BTreeMap<String, Option<String>> =
            found.iter().map(key_and_mark).collect::<Result<_>>()?;
        Ok(keys.iter().map(|key| marks.get(key).cloned().flatten()).collect())
    }

    /// A page of keys with their marks, in key order.
    pub(super) async fn scan_marks(
        &self,
        realm: &RealmId,
        table: Table,
        prefix: &str,
        after: Option<String>,
        limit: u32,
    ) -> Result<Vec<(String, Option<String>)>> {
        let select = Select::KeyPrefix(prefix.to_owned());
        let after = after.map(|key| Cursor { column: String::new(), key });
        let statement = self.schema.scan_marks(realm.as_str(), table, &select, after.as_ref(), limit);
        let found = self.connections.read(statement, "read a page of marks").await?;
        found.iter().map(key_and_mark).collect()
    }

    /// Several pages, asked together: those that differ in nothing but a value in one statement.
    pub(super) async fn scan_all(&self, scans: &[Scan]) -> Result<Vec<Rows>> {
        if scans.is_empty() {
            return Ok(Vec::new());
        }
        let groups = alike(scans);
        let statements = groups.iter().filter_map(|places| self.pages(scans, places));
        let answers = self.connections.read_all(statements.collect(), "read a page of rows").await?;
        let mut pages = vec![Rows::default(); scans.len()];
        for (places, answer) in groups.iter().zip(&answers) {
            let mut found: Vec<Vec<&Found>> = vec![Vec::new(); places.len()];
            for row in answer {
                let number = usize::try_from(unsigned(row, 4)?).unwrap_or(usize::MAX);
                if let Some(found) = number.checked_sub(1).and_then(|number| found.get_mut(number)) {
                    found.push(row);
                }
            }
            for (place, found) in places.iter().zip(found) {
                if let (Some(rows), Some(scan)) = (pages.get_mut(*place), scans.get(*place)) {
                    *rows = page(scan.limit, &found)?;
                }
            }
        }
        Ok(pages)
    }

    /// Asks for the pages of scans that are alike, each row with the number of its scan, from 1.
    fn pages<'s>(&self, scans: &'s [Scan], places: &[usize]) -> Option<Statement<'s>> {
        let mut alike = places.iter().filter_map(|place| scans.get(*place));
        let first = alike.next()?;
        let (realm, table) = (first.realm.as_str(), first.table);
        let values = std::iter::once(first).chain(alike).filter_map(|scan| match &scan.select {
            Select::Equal(_, value) => Some(value.as_str()),
            _ => None,
        });
        Some(match &first.select {
            Select::Equal(column, _) if places.len() > 1 => {
                self.schema.scan_each(realm, table, (column, values), first.limit)
            }
            select => self.schema.scan(realm, table, (select, first.after.as_ref()), first.limit),
        })
    }

    /// How many rows a select has.
    pub(super) async fn count(&self, realm: &RealmId, table: Table, select: &Select) -> Result<u64> {
        let statement = self.schema.count(realm.as_str(), table, select);
        let found = self.connections.read(statement, "count rows").await?;
        found.first().map_or(Ok(0), |row| unsigned(row, 0))
    }

    /// A page of a stream; of the rows whose column has a value, where one is given.
    pub(super) async fn read_stream(
        &self,
        realm: &RealmId,
        stream: Stream,
        by: Option<(&'static str, &str)>,
        after: u64,
        limit: u32,
    ) -> Result<Vec<(u64, Row)>> {
        let statement = self.schema.read_stream(realm.as_str(), stream, by, after, limit);
        let found = self.connections.read(statement, "read a stream").await?;
        let row = |row: &Found| {
            let number = unsigned(row, 0)?;
            Ok((number, Row { key: number.to_string(), version: 1, body: text(row, 1)? }))
        };
        found.iter().map(row).collect()
    }

    /// Realms that have rows, in order: in each table from realm to realm in the index, not row by row.
    pub(super) async fn realms(&self) -> Result<Vec<RealmId>> {
        let tables = Table::ALL.iter().map(|table| table.name());
        let names = tables.chain(Stream::ALL.iter().map(|stream| stream.name()));
        let statements = names.map(|name| {
            let name = self.schema.of(name);
            Statement::new(format!(
                "with recursive step (realm) as (select min(realm) from {name} union all \
                 select (select min(realm) from {name} where realm > step.realm) from step \
                 where step.realm is not null) select realm from step where realm is not null"
            ))
        });
        let found = self.connections.read_all(statements.collect(), "list realms").await?;
        let realms = found.iter().flatten().map(|row| text(row, 0));
        let realms: BTreeSet<String> = realms.collect::<Result<_>>()?;
        Ok(realms.into_iter().map(RealmId::from).collect())
    }

    /// Realms in which something is due.
    pub(super) async fn due_realms(&self, dues: &[Due]) -> Result<Vec<DueRealms>> {
        let statements = dues.iter().flat_map(|due| [self.later(due), self.owners(due)]).collect();
        let answers = self.connections.read_all(statements, "find realms with due rows").await?;
        let mut found = Vec::with_capacity(dues.len());
        for (due, answer) in dues.iter().zip(answers.chunks(2)) {
            let [later, owners] = answer else { continue };
            let later = later.first().map(|row| text(row, 0)).transpose()?;
            let owners = match owners.len() {
                ROWS_MAX => {
                    &self.connections.read(self.realm_by_realm(due), "find realms with due rows").await?
                }
                _ => owners,
            };
            let realms = owners.iter().map(|row| text(row, 0).map(RealmId::from));
            let realms: BTreeSet<RealmId> = realms.collect::<Result<_>>()?;
            let wanted = |realm: &RealmId| due.after.as_ref().is_none_or(|after| realm > after);
            found.push(DueRealms::page(realms.into_iter().filter(wanted).collect(), due.limit, later));
        }
        Ok(found)
    }

    /// Commands that were handed over.
    pub(super) async fn inbox(&self, after: u64, limit: u32) -> Result<Vec<Posted>> {
        let sql = format!(
            "select number, realm, key, actor, change::text from {} where number > $1 order by number limit {limit}",
            self.schema.of("inbox")
        );
        let found = self.connections.read(Statement::new(sql).number(after), "read commands").await?;
        let posted = found.iter().map(|row| {
            Ok(Posted {
                number: unsigned(row, 0)?,
                realm: RealmId::from(text(row, 1)?),
                key: text(row, 2)?,
                actor: value::<Option<String>>(row, 3)?.map(read),
                change: value(row, 4)?,
            })
        });
        posted.collect()
    }

    /// The least value that is not due yet.
    fn later<'a>(&self, due: &'a Due) -> Statement<'a> {
        let (name, column) = (self.schema.of(due.table.name()), due.column);
        let mut later = Statement::new("").text(&due.at_most);
        let below = below(&mut later, &format!("\"{column}\""), &due.prefix);
        later.sql = format!(
            "select \"{column}\" from {name} where \"{column}\" > $1{below} order by \"{column}\" limit 1"
        );
        later
    }

    /// The realms of the first due rows.
    fn owners<'a>(&self, due: &'a Due) -> Statement<'a> {
        let (name, column) = (self.schema.of(due.table.name()), due.column);
        let sql = format!(
            "select realm from {name} where \"{column}\" >= $1 and \"{column}\" <= $2 \
             order by \"{column}\", realm limit {ROWS_MAX}"
        );
        Statement::new(sql).text(&due.prefix).text(&due.at_most)
    }

    /// Steps from realm to realm in the index, and asks each for one due row; one more than the limit.
    fn realm_by_realm<'a>(&self, due: &'a Due) -> Statement<'a> {
        let (name, column) = (self.schema.of(due.table.name()), due.column);
        let first = if due.after.is_some() { ">" } else { ">=" };
        let sql = format!(
            "with recursive step (realm) as (select (select min(realm) from {name} where realm {first} $1) \
             union all select (select min(realm) from {name} where realm > step.realm) from step \
             where step.realm is not null) \
             select realm from step where realm is not null and exists (select 1 from {name} as held \
             where held.realm = step.realm and held.\"{column}\" >= $2 and held.\"{column}\" <= $3) limit {}",
            u64::from(due.limit) + 1
        );
        let after = due.after.as_ref().map_or("", RealmId::as_str);
        Statement::new(sql).text(after).text(&due.prefix).text(&due.at_most)
    }
}

/// The places of scans in groups of those that differ in nothing but the value they ask for.
fn alike(scans: &[Scan]) -> Vec<Vec<usize>> {
    let mut groups: Vec<Vec<usize>> = Vec::new();
    let mut known: BTreeMap<(&RealmId, Table, &str, u32), usize> = BTreeMap::new();
    for (place, scan) in scans.iter().enumerate() {
        let (Select::Equal(column, _), None) = (&scan.select, &scan.after) else {
            groups.push(vec![place]);
            continue;
        };
        let group = (&scan.realm, scan.table, *column, scan.limit);
        match known.get(&group).and_then(|number| groups.get_mut(*number)) {
            Some(places) if places.len() < VALUES_MAX => places.push(place),
            _ => {
                known.insert(group, groups.len());
                groups.push(vec![place]);
            }
        }
    }
    groups
}

fn key_and_mark(row: &Found) -> Result<(String, Option<String>)> {
    Ok((text(row, 0)?, value::<Option<String>>(row, 1)?.map(read)))
}

/// One row more than asked for tells that there is a next page.
fn page(limit: u32, found: &[&Found]) -> Result<Rows> {
    let size = usize::try_from(limit).unwrap_or(usize::MAX);
    let rows = found.iter().take(size).map(|found| row(found)).collect::<Result<Vec<_>>>()?;
    let next = match (found.len() > size, size.checked_sub(1).and_then(|last| found.get(last))) {
        (true, Some(last)) => Some(Cursor { column: text(last, 3)?, key: text(last, 0)? }),
        _ => None,
    };
    Ok(Rows { rows, next })
}
