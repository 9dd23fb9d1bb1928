//! Changes put in the order in which the database is asked: what is locked, and what is written.

use std::collections::{BTreeMap, BTreeSet};

use tokio_postgres::Row as Found;

use super::reader::{text, unsigned, value};
use super::statement::{Schema, Statement};
use super::text::{read, written};
use crate::error::Result;
use crate::store::{Append, Changes, Conflict, Expect, Put, Stream, Table};

/// The rows of one table that are locked.
#[derive(Default)]
struct Lock<'a> {
    keys: BTreeSet<&'a str>,
    /// Columns that are looked at.
    columns: BTreeSet<&'static str>,
    /// One of the rows is written.
    written: bool,
}

/// A row as it was found and locked.
pub(super) struct Held {
    version: u64,
    columns: BTreeMap<&'static str, String>,
}

/// Rows that were found, by table and key.
pub(super) type Locked = BTreeMap<(Table, String), Held>;

/// Who has which value of a unique column.
#[derive(Default)]
pub(super) struct Holders {
    keys: BTreeMap<(Table, &'static str, String), String>,
    values: BTreeMap<(Table, String), Vec<(&'static str, String)>>,
}

impl Holders {
    /// A row has a value.
    pub(super) fn give(&mut self, table: Table, column: &'static str, value: String, key: String) {
        self.values.entry((table, key.clone())).or_default().push((column, value.clone()));
        self.keys.insert((table, column, value), key);
    }

    /// A row has no values any more.
    fn clear(&mut self, table: Table, key: &str) {
        for (column, value) in self.values.remove(&(table, key.to_owned())).unwrap_or_default() {
            self.keys.remove(&(table, column, value));
        }
    }
}

/// The changes of a commit, arranged.
pub(super) struct Batch<'a> {
    realm: &'a str,
    changes: &'a Changes,
    locks: BTreeMap<Table, Lock<'a>>,
    /// Rows that must not be there.
    absent: BTreeSet<(Table, &'a str)>,
}

fn unique(table: Table) -> impl Iterator<Item = &'static str> {
    table.indexes().iter().filter(|index| index.unique).map(|index| index.name)
}

/// True for a row of `meta` that is written whatever it is: that there are events to send, in nearly every commit of a
/// realm. It is locked when it is written, last of all rows; before, the commits of a realm would wait for each other
/// from the first statement on.
fn is_mark(locks: &BTreeMap<Table, Lock<'_>>, put: &Put) -> bool {
    put.table == Table::Meta
        && !locks.get(&put.table).is_some_and(|lock| lock.keys.contains(put.key.as_str()))
}

fn column<'a>(put: &'a Put, name: &str) -> Option<&'a String> {
    put.columns.iter().find(|(column, _)| *column == name).map(|(_, value)| value)
}

impl<'a> Batch<'a> {
    /// Arranges changes that were admitted.
    pub(super) fn of(realm: &'a str, changes: &'a Changes) -> Self {
        let mut locks: BTreeMap<Table, Lock<'a>> = BTreeMap::new();
        let mut absent = BTreeSet::new();
        for expect in &changes.expect {
            let (Expect::Version { table, key, .. }
            | Expect::Absent { table, key }
            | Expect::Column { table, key, .. }) = expect;
            let lock = locks.entry(*table).or_default();
            lock.keys.insert(key);
            match expect {
                Expect::Absent { .. } => {
                    absent.insert((*table, key.as_str()));
                }
                Expect::Column { column, .. } => {
                    lock.columns.insert(column);
                }
                Expect::Version { .. } => {}
            }
        }
        for put in &changes.put {
            if is_mark(&locks, put) {
                continue;
            }
            let lock = locks.entry(put.table).or_default();
            lock.keys.insert(&put.key);
            lock.columns.extend(unique(put.table));
            lock.written = true;
        }
        for (table, key) in &changes.delete {
            let lock = locks.entry(*table).or_default();
            lock.keys.insert(key);
            lock.written = true;
        }
        Self { realm, changes, locks, absent }
    }

    /// Locks the rows: one statement for each table, in the one order that all commits keep to.
    pub(super) fn locking(&self, schema: &Schema) -> Vec<Statement<'a>> {
        let locks = self.locks.iter().map(|(table, lock)| {
            schema.lock(
                self.realm,
                *table,
                lock.keys.iter().copied(),
                lock.columns.iter().copied(),
                lock.written,
            )
        });
        locks.collect()
    }

    /// What `locking` found.
    pub(super) fn locked(&self, answers: &[Vec<Found>]) -> Result<Locked> {
        let mut locked = Locked::new();
        for ((table, lock), rows) in self.locks.iter().zip(answers) {
            for row in rows {
                let mut columns = BTreeMap::new();
                for (place, column) in lock.columns.iter().enumerate() {
                    if let Some(found) = value::<Option<String>>(row, place + 2)? {
                        columns.insert(*column, read(found));
                    }
                }
                locked.insert((*table, text(row, 0)?), Held { version: unsigned(row, 1)?, columns });
            }
        }
        Ok(locked)
    }

    /// The first expectation that does not hold.
    pub(super) fn refused(&self, locked: &Locked) -> Option<Conflict> {
        self.changes.expect.iter().find_map(|expect| {
            let (Expect::Version { table, key, .. }
            | Expect::Absent { table, key }
            | Expect::Column { table, key, .. }) = expect;
            let held = locked.get(&(*table, key.clone()));
            let holds = match expect {
                Expect::Version { version, .. } => held.is_some_and(|held| held.version == *version),
                Expect::Absent { .. } => held.is_none(),
                Expect::Column { column, value, .. } => {
                    held.is_some_and(|held| held.columns.get(column) == Some(value))
                }
            };
            (!holds).then(|| Conflict::Expectation { table: *table, key: key.clone() })
        })
    }

    /// True when a put wants a unique value that a row of this commit has now: whether it gets it depends on the order
    /// of the puts.
    pub(super) fn is_entangled(&self, locked: &Locked) -> bool {
        let mut held = BTreeMap::new();
        for ((table, key), row) in locked {
            for name in unique(*table) {
                if let Some(value) = row.columns.get(name) {
                    held.insert((*table, name, value), key);
                }
            }
        }
        self.changes.put.iter().any(|put| {
            unique(put.table).any(|name| {
                let holder = column(put, name).and_then(|value| held.get(&(put.table, name, value)));
                holder.is_some_and(|key| **key != put.key)
            })
        })
    }

    /// Asks who has the unique values that are put.
    pub(super) fn holding(&self, schema: &Schema) -> Vec<(Table, &'static str, Statement<'a>)> {
        let mut wanted: BTreeMap<(Table, &'static str), BTreeSet<&'a str>> = BTreeMap::new();
        for put in &self.changes.put {
            for name in unique(put.table) {
                if let Some(value) = column(put, name) {
                    wanted.entry((put.table, name)).or_default().insert(value);
                }
            }
        }
        let ask = |((table, name), values)| (table, name, schema.holders(self.realm, table, name, values));
        wanted.into_iter().map(ask).collect()
    }

    /// The first put that wants a unique value another row has when its turn comes.
    pub(super) fn taken(&self, mut holders: Holders) -> Option<Conflict> {
        for (table, key) in &self.changes.delete {
            holders.clear(*table, key);
        }
        for put in &self.changes.put {
            let table = put.table;
            let values: Vec<(&'static str, &String)> =
                unique(table).filter_map(|name| Some((name, column(put, name)?))).collect();
            for (name, value) in &values {
                let holder = holders.keys.get(&(table, *name, (*value).clone()));
                if holder.is_some_and(|holder| *holder != put.key) {
                    return Some(Conflict::Unique { table, column: name, key: put.key.clone() });
                }
            }
            holders.clear(table, &put.key);
            for (name, value) in values {
                holders.give(table, name, value.clone(), put.key.clone());
            }
        }
        None
    }

    /// Everything that is written, in order, but for what is appended.
    pub(super) fn writing(&self, schema: &Schema) -> Vec<Statement<'a>> {
        let mut statements = Vec::new();
        let put: BTreeSet<(Table, &str)> =
            self.changes.put.iter().map(|put| (put.table, put.key.as_str())).collect();
        let mut placed: BTreeMap<Table, BTreeSet<&'a str>> = BTreeMap::new();
        for (table, key) in self.absent.difference(&put) {
            placed.entry(*table).or_default().insert(key);
        }
        let mut deleted = placed.clone();
        for (table, key) in &self.changes.delete {
            deleted.entry(*table).or_default().insert(key);
        }
        statements
            .extend(placed.into_iter().map(|(table, keys)| schema.place_holders(self.realm, table, keys)));
        statements.extend(deleted.into_iter().map(|(table, keys)| schema.delete(self.realm, table, keys)));
        let mut seen = BTreeSet::new();
        for round in self.rounds() {
            let mut tables: BTreeMap<(Table, bool), Vec<&'a Put>> = BTreeMap::new();
            for put in round {
                let key = (put.table, put.key.as_str());
                let fresh = seen.insert(key) && self.absent.contains(&key);
                tables.entry((put.table, fresh)).or_default().push(put);
            }
            for ((table, fresh), mut puts) in tables {
                // In the order of the keys where no other order is asked for: who inserts the same waits for the
                // other, and never both for each other.
                if fresh || unique(table).next().is_none() {
                    puts.sort_by_key(|put| written(&put.key));
                }
                statements.push(schema.put(self.realm, table, &puts, fresh));
            }
        }
        statements
    }

    /// The puts in rounds in which no row is put twice.
    fn rounds(&self) -> Vec<Vec<&'a Put>> {
        let (mut rounds, mut round, mut keys) = (Vec::new(), Vec::new(), BTreeSet::new());
        for put in &self.changes.put {
            if !keys.insert((put.table, &put.key)) {
                rounds.push(std::mem::take(&mut round));
                keys = BTreeSet::from([(put.table, &put.key)]);
            }
            round.push(put);
        }
        rounds.push(round);
        rounds
    }

    /// What happens to streams, under the lock that numbers them: trimmed, then appended.
    pub(super) fn appending(&self, schema: &Schema) -> Vec<Statement<'a>> {
        let mut statements = Vec::new();
        for (stream, number) in &self.changes.trim {
            statements.push(schema.trim(self.realm, *stream, *number));
        }
        let mut streams: BTreeMap<Stream, Vec<&'a Append>> = BTreeMap::new();
        for append in &self.changes.append {
            streams.entry(append.stream).or_default().push(append);
        }
        for (stream, rows) in streams {
            statements.push(schema.append(self.realm, stream, &rows));
        }
        statements
    }
}
