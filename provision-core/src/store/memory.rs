//! The store in memory: for tests, previews and hosts that keep nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use super::admission::{admit, admit_due, admit_scan, admit_select, known};
use super::{
    Append, Changes, Commit, Conflict, Cursor, Due, DueRealms, Expect, MARK, Put, Row, Rows, Scan, Select,
    Store, Stream, Table,
};
use crate::error::{Error, ErrorKind, Result};
use crate::id::RealmId;
use crate::runtime::Clock;
use crate::value::Timestamp;

/// A store whose rows live in this process and end with it.
pub struct MemoryStore {
    clock: Arc<dyn Clock>,
    epoch: String,
    state: Mutex<State>,
}

impl MemoryStore {
    /// An empty store that takes the time from `clock`.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, epoch: "memory".to_owned(), state: Mutex::new(State::default()) }
    }

    /// A store with the rows that this one has now: a backup. Where it takes the place of this one, its epoch tells
    /// that it is a restored copy; it must be another than those before it.
    #[must_use]
    pub fn copy(&self, epoch: impl Into<String>) -> Self {
        Self { clock: Arc::clone(&self.clock), epoch: epoch.into(), state: Mutex::new(self.state().clone()) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore").finish_non_exhaustive()
    }
}

#[derive(Clone, Default)]
struct State {
    tables: BTreeMap<(RealmId, Table), Shelf>,
    due: BTreeMap<(Table, &'static str), DueRows>,
    streams: BTreeMap<(RealmId, Stream), Tape>,
    /// The last number given, per stream: numbers count across realms.
    numbers: BTreeMap<Stream, u64>,
}

/// How many rows of a realm have a value of a column by which realms are found.
type DueRows = BTreeMap<(String, RealmId), u64>;

#[derive(Clone)]
struct Held {
    version: u64,
    body: String,
    columns: Vec<(&'static str, String)>,
}

/// The rows of one table of one realm, with the keys by column value.
#[derive(Clone, Default)]
struct Shelf {
    rows: BTreeMap<String, Held>,
    indexes: BTreeMap<&'static str, BTreeMap<String, BTreeSet<String>>>,
}

impl Shelf {
    /// Makes a key hold a row, or none; gives what it held before.
    fn set(&mut self, key: &str, row: Option<Held>) -> Option<Held> {
        let before = self.rows.remove(key);
        let searched = |held: &'_ &(&'static str, String)| held.0 != MARK;
        for (column, value) in before.iter().flat_map(|held| &held.columns).filter(searched) {
            let Some(values) = self.indexes.get_mut(column) else { continue };
            if let Some(keys) = values.get_mut(value) {
                keys.remove(key);
                if keys.is_empty() {
                    values.remove(value);
                }
            }
        }
        if let Some(held) = row {
            for (column, value) in held.columns.iter().filter(searched) {
                let values = self.indexes.entry(column).or_default();
                values.entry(value.clone()).or_default().insert(key.to_owned());
            }
            self.rows.insert(key.to_owned(), held);
        }
        before
    }

    /// The first unique column of a row to write whose value another row has.
    fn taken(&self, put: &Put) -> Option<&'static str> {
        let unique = put.table.indexes().iter().filter(|index| index.unique);
        unique.map(|index| index.name).find(|name| {
            let value = put.columns.iter().find(|(column, _)| column == name).map(|(_, value)| value);
            let keys = value.and_then(|value| self.indexes.get(name)?.get(value));
            keys.is_some_and(|keys| keys.iter().any(|key| *key != put.key))
        })
    }

    /// The rows of a select after a cursor, as (column value, key), in order.
    fn walk<'a>(
        &'a self,
        select: &'a Select,
        after: Option<&'a Cursor>,
    ) -> Box<dyn Iterator<Item = (&'a str, &'a str)> + 'a> {
        let key_bound = match after {
            Some(cursor) => Bound::Excluded(cursor.key.as_str()),
            None => Bound::Unbounded,
        };
        match select {
            Select::KeyPrefix(prefix) => {
                let from = match after {
                    Some(cursor) if cursor.key >= *prefix => key_bound,
                    _ => Bound::Included(prefix.as_str()),
                };
                let keys = self.rows.range::<str, _>((from, Bound::Unbounded)).map(|(key, _)| key.as_str());
                Box::new(keys.take_while(move |key| key.starts_with(prefix.as_str())).map(|key| ("", key)))
            }
            Select::Equal(column, value) => {
                let keys = self.indexes.get(column).and_then(|values| values.get(value)).into_iter();
                Box::new(
                    keys.flat_map(move |keys| keys.range::<str, _>((key_bound, Bound::Unbounded)))
                        .map(|key| ("", key.as_str())),
                )
            }
            Select::AtMost(column, most) => {
                self.walk_column(column, "", after, move |value| value <= most.as_str())
            }
            Select::ColumnPrefix(column, prefix) => {
                self.walk_column(column, prefix, after, move |value| value.starts_with(prefix.as_str()))
            }
        }
    }

    fn walk_column<'a>(
        &'a self,
        column: &str,
        least: &'a str,
        after: Option<&'a Cursor>,
        wanted: impl Fn(&str) -> bool + 'a,
    ) -> Box<dyn Iterator<Item = (&'a str, &'a str)> + 'a> {
        let least = after.map_or(least, |cursor| least.max(cursor.column.as_str()));
        let values = self.indexes.get(column).into_iter();
        Box::new(
            values
                .flat_map(move |values| values.range::<str, _>((Bound::Included(least), Bound::Unbounded)))
                .take_while(move |(value, _)| wanted(value))
                .flat_map(move |(value, keys)| {
                    let from = match after {
                        Some(cursor) if cursor.column == *value => Bound::Excluded(cursor.key.as_str()),
                        _ => Bound::Unbounded,
                    };
                    let keys = keys.range::<str, _>((from, Bound::Unbounded));
                    keys.map(move |key| (value.as_str(), key.as_str()))
                }),
        )
    }

    fn mark(&self, key: &str) -> Option<String> {
        let columns = &self.rows.get(key)?.columns;
        columns.iter().find(|(name, _)| *name == MARK).map(|(_, mark)| mark.clone())
    }

    fn row(&self, key: &str) -> Option<Row> {
        let held = self.rows.get(key)?;
        Some(Row { key: key.to_owned(), version: held.version, body: held.body.clone() })
    }
}

/// The rows of one stream of one realm.
#[derive(Clone, Default)]
struct Tape {
    rows: BTreeMap<u64, String>,
    indexes: BTreeMap<&'static str, BTreeMap<String, BTreeSet<u64>>>,
}

impl Tape {
    /// Forgets the rows up to a number.
    fn trim(&mut self, number: u64) {
        self.rows.retain(|kept, _| *kept > number);
        for values in self.indexes.values_mut() {
            values.values_mut().for_each(|numbers| numbers.retain(|kept| *kept > number));
            values.retain(|_, numbers| !numbers.is_empty());
        }
    }

    fn row(&self, number: u64) -> Option<(u64, Row)> {
        let body = self.rows.get(&number)?.clone();
        Some((number, Row { key: number.to_string(), version: 1, body }))
    }
}

impl State {
    fn shelf(&self, realm: &RealmId, table: Table) -> Option<&Shelf> {
        self.tables.get(&(realm.clone(), table))
    }

    /// The first expectation that does not hold.
    fn refused(&self, realm: &RealmId, expect: &[Expect]) -> Option<Conflict> {
        expect.iter().find_map(|expect| {
            let (Expect::Version { table, key, .. }
            | Expect::Absent { table, key }
            | Expect::Column { table, key, .. }) = expect;
            let held = self.shelf(realm, *table).and_then(|shelf| shelf.rows.get(key));
            let holds = match expect {
                Expect::Version { version, .. } => held.is_some_and(|held| held.version == *version),
                Expect::Absent { .. } => held.is_none(),
                Expect::Column { column, value, .. } => held.is_some_and(|held| {
                    held.columns.iter().any(|(name, has)| name == column && has == value)
                }),
            };
            (!holds).then(|| Conflict::Expectation { table: *table, key: key.clone() })
        })
    }

    fn commit(&mut self, realm: &RealmId, changes: Changes) -> Commit {
        if let Some(conflict) = self.refused(realm, &changes.expect) {
            return Commit::Conflict(conflict);
        }
        let mut undo = Vec::new();
        for (table, key) in changes.delete {
            let before = self.set(realm, table, &key, None);
            undo.push((table, key, before));
        }
        for put in changes.put {
            let shelf = self.tables.entry((realm.clone(), put.table)).or_default();
            if let Some(column) = shelf.taken(&put) {
                let conflict = Conflict::Unique { table: put.table, column, key: put.key };
                self.undo(realm, undo);
                return Commit::Conflict(conflict);
            }
            let version = shelf.rows.get(&put.key).map_or(1, |held| held.version.saturating_add(1));
            let held = Held { version, body: put.body, columns: put.columns };
            let before = self.set(realm, put.table, &put.key, Some(held));
            undo.push((put.table, put.key, before));
        }
        for (stream, number) in changes.trim {
            if let Some(tape) = self.streams.get_mut(&(realm.clone(), stream)) {
                tape.trim(number);
            }
        }
        for append in changes.append {
            self.append(realm, append);
        }
        Commit::Committed
    }

    fn undo(&mut self, realm: &RealmId, undo: Vec<(Table, String, Option<Held>)>) {
        for (table, key, before) in undo.into_iter().rev() {
            self.set(realm, table, &key, before);
        }
    }

    /// Makes a key hold a row, or none; gives what it held before.
    fn set(&mut self, realm: &RealmId, table: Table, key: &str, row: Option<Held>) -> Option<Held> {
        let across = |held: &Option<Held>| {
            let columns = held.iter().flat_map(|held| &held.columns);
            let mut found = Vec::new();
            for index in table.indexes().iter().filter(|index| index.across) {
                let values = columns.clone().filter(|(name, _)| *name == index.name);
                found.extend(values.map(|(_, value)| (index.name, (value.clone(), realm.clone()))));
            }
            found
        };
        let comes = across(&row);
        let before = self.tables.entry((realm.clone(), table)).or_default().set(key, row);
        for (column, place) in across(&before) {
            let rows = self.due.entry((table, column)).or_default();
            let left = rows.get(&place).map_or(0, |count| count.saturating_sub(1));
            if left == 0 {
                rows.remove(&place);
            } else {
                rows.insert(place, left);
            }
        }
        for (column, place) in comes {
            *self.due.entry((table, column)).or_default().entry(place).or_default() += 1;
        }
        before
    }

    fn due_realms(&self, due: &Due) -> DueRealms {
        let Some(rows) = self.due.get(&(due.table, due.column)) else { return DueRealms::default() };
        let from = (due.prefix.clone(), RealmId::new(""));
        let mut realms = BTreeSet::new();
        let mut later = None;
        for (value, realm) in rows.range(from..).map(|(place, _)| place) {
            if !value.starts_with(&due.prefix) {
                break;
            }
            if *value > due.at_most {
                later = Some(value.clone());
                break;
            }
            if due.after.as_ref().is_none_or(|after| realm > after) {
                realms.insert(realm.clone());
            }
        }
        DueRealms::page(realms.into_iter().collect(), due.limit, later)
    }

    fn append(&mut self, realm: &RealmId, append: Append) {
        let number = self.numbers.entry(append.stream).or_default();
        *number = number.saturating_add(1);
        let tape = self.streams.entry((realm.clone(), append.stream)).or_default();
        for (column, value) in append.columns {
            tape.indexes.entry(column).or_default().entry(value).or_default().insert(*number);
        }
        tape.rows.insert(*number, append.body);
    }
}

fn page(limit: u32) -> usize {
    usize::try_from(limit).unwrap_or(usize::MAX)
}

#[async_trait]
impl Store for MemoryStore {
    async fn get(&self, realm: &RealmId, table: Table, keys: &[String]) -> Result<Vec<Option<Row>>> {
        let state = self.state();
        let shelf = state.shelf(realm, table);
        Ok(keys.iter().map(|key| shelf?.row(key)).collect())
    }

    async fn marks(&self, realm: &RealmId, table: Table, keys: Vec<String>) -> Result<Vec<Option<String>>> {
        let state = self.state();
        let shelf = state.shelf(realm, table);
        Ok(keys.iter().map(|key| shelf?.mark(key)).collect())
    }

    async fn scan_marks(
        &self,
        realm: &RealmId,
        table: Table,
        prefix: &str,
        after: Option<String>,
        limit: u32,
    ) -> Result<Vec<(String, Option<String>)>> {
        let state = self.state();
        let Some(shelf) = state.shelf(realm, table) else { return Ok(Vec::new()) };
        let after = after.map(|key| Cursor { column: String::new(), key });
        let select = Select::KeyPrefix(prefix.to_owned());
        let keys = shelf.walk(&select, after.as_ref()).take(page(limit));
        Ok(keys.map(|(_, key)| (key.to_owned(), shelf.mark(key))).collect())
    }

    async fn scan(&self, scan: &Scan) -> Result<Rows> {
        admit_scan(scan)?;
        let state = self.state();
        let Some(shelf) = state.shelf(&scan.realm, scan.table) else { return Ok(Rows::default()) };
        let mut walk = shelf.walk(&scan.select, scan.after.as_ref());
        let mut rows = Rows::default();
        let mut last = None;
        for (column, key) in walk.by_ref().take(page(scan.limit)) {
            rows.rows.extend(shelf.row(key));
            last = Some((column, key));
        }
        if walk.next().is_some() {
            rows.next = last.map(|(column, key)| Cursor { column: column.to_owned(), key: key.to_owned() });
        }
        Ok(rows)
    }

    async fn count(&self, realm: &RealmId, table: Table, select: &Select) -> Result<u64> {
        admit_select(table, select)?;
        let state = self.state();
        let Some(shelf) = state.shelf(realm, table) else { return Ok(0) };
        let count = match select {
            Select::KeyPrefix(prefix) if prefix.is_empty() => shelf.rows.len(),
            Select::Equal(column, value) => {
                shelf.indexes.get(column).and_then(|values| values.get(value)).map_or(0, BTreeSet::len)
            }
            _ => shelf.walk(select, None).count(),
        };
        Ok(u64::try_from(count).unwrap_or(u64::MAX))
    }

    async fn read_stream(
        &self,
        realm: &RealmId,
        stream: Stream,
        after: u64,
        limit: u32,
    ) -> Result<Vec<(u64, Row)>> {
        let state = self.state();
        let Some(tape) = state.streams.get(&(realm.clone(), stream)) else { return Ok(Vec::new()) };
        let numbers = tape.rows.range((Bound::Excluded(after), Bound::Unbounded)).map(|(number, _)| *number);
        Ok(numbers.take(page(limit)).filter_map(|number| tape.row(number)).collect())
    }

    async fn read_stream_by(
        &self,
        realm: &RealmId,
        stream: Stream,
        column: &'static str,
        value: &str,
        after: u64,
        limit: u32,
    ) -> Result<Vec<(u64, Row)>> {
        known(stream.name(), stream.indexes(), column)?;
        let state = self.state();
        let Some(tape) = state.streams.get(&(realm.clone(), stream)) else { return Ok(Vec::new()) };
        let numbers = tape.indexes.get(column).and_then(|values| values.get(value)).into_iter();
        let numbers = numbers.flat_map(|numbers| numbers.range((Bound::Excluded(after), Bound::Unbounded)));
        Ok(numbers.take(page(limit)).filter_map(|number| tape.row(*number)).collect())
    }

    async fn commit(&self, changes: Changes) -> Result<Commit> {
        let Some(realm) = admit(&changes)?.cloned() else { return Ok(Commit::Committed) };
        Ok(self.state().commit(&realm, changes))
    }

    async fn now(&self) -> Result<Timestamp> {
        Ok(self.clock.now())
    }

    /// Always the same, but for copies.
    async fn epoch(&self) -> Result<String> {
        Ok(self.epoch.clone())
    }

    async fn realms(&self) -> Result<Vec<RealmId>> {
        let state = self.state();
        let with_rows = state.tables.iter().filter(|(_, shelf)| !shelf.rows.is_empty());
        let tables = with_rows.map(|((realm, _), _)| realm);
        let kept = state.streams.iter().filter(|(_, tape)| !tape.rows.is_empty());
        let realms: BTreeSet<_> = tables.chain(kept.map(|((realm, _), _)| realm)).collect();
        Ok(realms.into_iter().cloned().collect())
    }

    async fn due_realms(&self, dues: &[Due]) -> Result<Vec<DueRealms>> {
        let state = self.state();
        dues.iter().map(|due| admit_due(due).map(|()| state.due_realms(due))).collect()
    }

    async fn backup(&self, _path: &std::path::Path) -> Result<()> {
        Err(Error::new(ErrorKind::Unsupported, "a store in memory has no file to copy"))
    }
}
