//! Writes: one connection, one transaction for all changes that wait.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use rusqlite::{CachedStatement, Connection, ErrorCode, OptionalExtension, params_from_iter};
use tokio::sync::{mpsc, oneshot};

use super::failure::{explain, unusable};
use super::file::StoreFile;
use super::statement::{Statements, has_value, in_order, number, other_holder, text, trim_sql};
use crate::error::{Effect, Error, Result};
use crate::id::RealmId;
use crate::store::{Changes, Commit, Conflict, Expect, Put, Table};

/// At most so many changes share a transaction.
const GROUP_CHANGES: usize = 256;
/// No further changes join a transaction of so many rows.
const GROUP_ROWS: usize = 16 * 1024;
/// At most so many changes wait; further callers wait to be let in.
const QUEUE: usize = 1024;
/// A log of so many bytes is made to start over.
const LOG: u64 = 64 * 1024 * 1024;
/// So long it waits for the reads that need the log.
const LOG_WAIT: Duration = Duration::from_millis(100);

/// The connection that writes.
#[derive(Debug)]
pub(super) struct Writer {
    connection: Connection,
    statements: Arc<Statements>,
    file: StoreFile,
    busy_timeout: Duration,
}

/// Statements in use for one set of changes: the cache is asked once for each table, not for each row.
struct Held<'a, K>(BTreeMap<K, CachedStatement<'a>>);

impl<'a, K: Ord> Held<'a, K> {
    fn new() -> Self {
        Self(BTreeMap::new())
    }

    fn of(
        &mut self,
        key: K,
        prepare: impl FnOnce() -> rusqlite::Result<CachedStatement<'a>>,
    ) -> rusqlite::Result<&mut CachedStatement<'a>> {
        match self.0.entry(key) {
            Entry::Occupied(held) => Ok(held.into_mut()),
            Entry::Vacant(free) => Ok(free.insert(prepare()?)),
        }
    }
}

/// Why nothing of a group was written (or, at COMMIT, perhaps all of it).
struct Failure {
    error: Error,
    /// Parts of the group may do better: the whole did not fit on the disk, or one of them is at fault.
    divisible: bool,
}

impl Writer {
    /// Writes through this connection.
    pub(super) fn new(
        connection: Connection,
        statements: Arc<Statements>,
        file: StoreFile,
        busy_timeout: Duration,
    ) -> Self {
        Self { connection, statements, file, busy_timeout }
    }

    /// Makes a log longer than `limit` start over; gives the length at which to try again.
    ///
    /// By itself SQLite does so only when a commit meets no reader. With several threads that read without a pause this
    /// may not happen for a long time, and the log grows with every write.
    fn shorten_log(&self, limit: u64, next: u64) -> u64 {
        let length = self.file.log_length();
        if length < limit {
            return limit;
        }
        if length < next {
            return next;
        }
        // Whether it worked or not: the commit is done, and a log that stays long is tried again.
        let _ = self.connection.busy_timeout(LOG_WAIT);
        let _ = self.connection.query_row("PRAGMA wal_checkpoint(RESTART)", [], |_| Ok(()));
        let _ = self.connection.busy_timeout(self.busy_timeout);
        length.saturating_add(limit)
    }

    /// The connection, for reads of a store without threads.
    pub(super) fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Applies changes that were admitted.
    pub(super) fn commit(&self, changes: &Changes) -> Result<Commit> {
        let mut answers = self.commit_group(&[changes]);
        answers.pop().unwrap_or_else(|| Err(unusable("the writer gave no answer")))
    }

    /// Applies a group in one transaction; an answer for each, in order.
    fn commit_group(&self, group: &[&Changes]) -> Vec<Result<Commit>> {
        let failure = match self.attempt(group) {
            Ok(commits) => return commits.into_iter().map(Ok).collect(),
            Err(failure) => failure,
        };
        if failure.divisible && group.len() > 1 {
            let (left, right) = group.split_at(group.len() / 2);
            let mut answers = self.commit_group(left);
            answers.extend(self.commit_group(right));
            return answers;
        }
        let record = failure.error.record();
        let mut answers = vec![Err(failure.error)];
        answers.extend(group.iter().skip(1).map(|_| Err(Error::from(record.clone()))));
        answers
    }

    fn attempt(&self, group: &[&Changes]) -> Result<Vec<Commit>, Failure> {
        let whole = |error| Failure { error, divisible: false };
        self.file.still_there().map_err(whole)?;
        self.run("BEGIN IMMEDIATE").map_err(|error| whole(explain(error, "begin a write")))?;
        let commits = group.iter().map(|changes| self.apply(changes)).collect::<rusqlite::Result<Vec<_>>>();
        let failure = match commits {
            Ok(commits) => match self.run("COMMIT") {
                Ok(()) => return Ok(commits),
                Err(error) => {
                    // After an error of the disk the mark that makes changes count may be there or not.
                    let unsure = error.sqlite_error_code() == Some(ErrorCode::SystemIoFailure);
                    let effect = if unsure { Effect::Unknown } else { Effect::None };
                    Failure { error: explain(error, "commit").with_effect(effect), divisible: !unsure }
                }
            },
            Err(error) => Failure { error: explain(error, "write"), divisible: true },
        };
        // Some errors roll back by themselves.
        if !self.connection.is_autocommit() {
            let _ = self.run("ROLLBACK");
        }
        Err(failure)
    }

    fn run(&self, sql: &str) -> rusqlite::Result<()> {
        self.connection.prepare_cached(sql)?.execute([]).map(|_| ())
    }

    /// Applies one of a group; a conflict takes back this one only.
    fn apply(&self, changes: &Changes) -> rusqlite::Result<Commit> {
        let Some(realm) = &changes.realm else { return Ok(Commit::Committed) };
        let mut versions = Held::new();
        for expect in &changes.expect {
            if let Some(conflict) = self.refused(&mut versions, realm, expect)? {
                return Ok(Commit::Conflict(conflict));
            }
        }
        drop(versions);
        self.run("SAVEPOINT one")?;
        let conflict = self.write(realm, changes)?;
        if conflict.is_some() {
            self.run("ROLLBACK TO one")?;
        }
        self.run("RELEASE one")?;
        Ok(conflict.map_or(Commit::Committed, Commit::Conflict))
    }

    fn refused<'a>(
        &'a self,
        versions: &mut Held<'a, Table>,
        realm: &RealmId,
        expect: &Expect,
    ) -> rusqlite::Result<Option<Conflict>> {
        let (Expect::Version { table, key, .. }
        | Expect::Absent { table, key }
        | Expect::Column { table, key, .. }) = expect;
        let row = [text(realm.as_str()), text(key)];
        let mut version = |row| {
            let statement = versions.of(*table, || self.prepare(&self.statements.table(*table)?.version))?;
            statement.query_row(row, |row| super::reader::unsigned(row, 0)).optional()
        };
        let holds = match expect {
            Expect::Version { version: expected, .. } => version(row)? == Some(*expected),
            Expect::Absent { .. } => version(row)?.is_none(),
            Expect::Column { column, value, .. } => {
                let mut statement = self.connection.prepare_cached(&has_value(*table, column))?;
                statement.exists([text(realm.as_str()), text(key), text(value)])?
            }
        };
        Ok((!holds).then(|| Conflict::Expectation { table: *table, key: key.clone() }))
    }

    fn write(&self, realm: &RealmId, changes: &Changes) -> rusqlite::Result<Option<Conflict>> {
        for (table, key) in &changes.delete {
            let mut statement = self.connection.prepare_cached(&self.statements.table(*table)?.delete)?;
            statement.execute([text(realm.as_str()), text(key)])?;
        }
        let mut puts = Held::new();
        for put in &changes.put {
            match self.put(&mut puts, realm, put) {
                Ok(()) => {}
                Err(error) if error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation) => {
                    return match self.taken(realm, put)? {
                        Some(conflict) => Ok(Some(conflict)),
                        None => Err(error),
                    };
                }
                Err(error) => return Err(error),
            }
        }
        drop(puts);
        for (stream, until) in &changes.trim {
            let mut statement = self.connection.prepare_cached(&trim_sql(*stream))?;
            statement.execute([text(realm.as_str()), number(*until)])?;
        }
        let mut appends = Held::new();
        for append in &changes.append {
            let sql = || self.prepare(self.statements.append(append.stream)?);
            let statement = appends.of(append.stream, sql)?;
            let columns = append.stream.indexes().iter().map(|index| index.name);
            let columns = in_order(columns, &append.columns);
            let binds = std::iter::once(text(realm.as_str())).chain(columns).chain([text(&append.body)]);
            statement.execute(params_from_iter(binds))?;
        }
        Ok(None)
    }

    fn prepare(&self, sql: &str) -> rusqlite::Result<CachedStatement<'_>> {
        self.connection.prepare_cached(sql)
    }

    fn put<'a>(&'a self, puts: &mut Held<'a, Table>, realm: &RealmId, put: &Put) -> rusqlite::Result<()> {
        let sql = || self.prepare(&self.statements.table(put.table)?.put);
        let statement = puts.of(put.table, sql)?;
        let columns = in_order(put.table.columns(), &put.columns);
        let binds =
            [text(realm.as_str()), text(&put.key)].into_iter().chain(columns).chain([text(&put.body)]);
        statement.execute(params_from_iter(binds)).map(|_| ())
    }

    /// The unique column another row has the value of. SQLite names it in its message only, so ask the table.
    fn taken(&self, realm: &RealmId, put: &Put) -> rusqlite::Result<Option<Conflict>> {
        for index in put.table.indexes().iter().filter(|index| index.unique) {
            let Some((column, value)) = put.columns.iter().find(|(name, _)| *name == index.name) else {
                continue;
            };
            let mut statement = self.connection.prepare_cached(&other_holder(put.table, column))?;
            if statement.exists([text(realm.as_str()), text(value), text(&put.key)])? {
                return Ok(Some(Conflict::Unique { table: put.table, column, key: put.key.clone() }));
            }
        }
        Ok(None)
    }
}

struct Request {
    changes: Changes,
    reply: oneshot::Sender<Result<Commit>>,
}

impl Request {
    fn rows(&self) -> usize {
        let changes = &self.changes;
        changes.put.len() + changes.delete.len() + changes.append.len() + changes.trim.len()
    }
}

/// The thread that owns the writer.
#[derive(Debug)]
pub(super) struct WriterThread {
    queue: Option<mpsc::Sender<Request>>,
    thread: Option<JoinHandle<()>>,
}

impl std::fmt::Debug for Request {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Request").field("rows", &self.rows()).finish_non_exhaustive()
    }
}

impl WriterThread {
    /// Starts the thread.
    pub(super) fn start(writer: Writer) -> Result<Self> {
        let (queue, requests) = mpsc::channel(QUEUE);
        let thread = std::thread::Builder::new()
            .name("provision-write".to_owned())
            .spawn(move || serve(&writer, requests))
            .map_err(|error| unusable("cannot start the thread for writes").with_source(error))?;
        Ok(Self { queue: Some(queue), thread: Some(thread) })
    }

    /// Applies changes that were admitted, together with others that wait.
    pub(super) async fn commit(&self, changes: Changes) -> Result<Commit> {
        let (reply, answer) = oneshot::channel();
        let stopped = || unusable("the thread that writes the store has stopped: open the store again");
        let queue = self.queue.as_ref().ok_or_else(stopped)?;
        queue.send(Request { changes, reply }).await.map_err(|_| stopped())?;
        answer.await.map_err(|_| stopped().with_effect(Effect::Unknown))?
    }
}

impl Drop for WriterThread {
    fn drop(&mut self) {
        self.queue = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn serve(writer: &Writer, mut requests: mpsc::Receiver<Request>) {
    let mut log = LOG;
    while let Some(first) = requests.blocking_recv() {
        let mut rows = first.rows();
        let mut group = vec![first];
        while group.len() < GROUP_CHANGES && rows < GROUP_ROWS {
            let Ok(request) = requests.try_recv() else { break };
            rows += request.rows();
            group.push(request);
        }
        let changes: Vec<_> = group.iter().map(|request| &request.changes).collect();
        let answers = writer.commit_group(&changes);
        for (request, answer) in group.into_iter().zip(answers) {
            // A caller that stopped waiting has chosen not to know.
            let _ = request.reply.send(answer);
        }
        log = writer.shorten_log(LOG, log);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::sqlite::{SqliteOptions, connection};
    use crate::store::{Append, Stream};

    #[test]
    fn a_long_log_starts_over_and_is_not_tried_at_every_commit() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("store.db");
        let options = SqliteOptions::default();
        let file = StoreFile::prepare(&path).unwrap();
        let connection = connection::open(&path, &options).unwrap();
        connection::configure_writer(&connection, &options).unwrap();
        for migration in crate::store::sqlite::MIGRATIONS {
            connection.execute_batch(migration.sql).unwrap();
        }
        connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
        let reader = connection::open(&path, &options).unwrap();
        let writer = Writer::new(connection, Arc::new(Statements::new()), file, options.busy_timeout);
        let write = |bytes: usize| {
            let row = Append { stream: Stream::Audit, columns: Vec::new(), body: "x".repeat(bytes) };
            let changes = Changes { append: vec![row], ..Changes::in_realm(&RealmId::new("r")) };
            assert_eq!(writer.commit(&changes).unwrap(), Commit::Committed);
            writer.file.log_length()
        };
        let limit = 1024 * 1024;
        assert_eq!(writer.shorten_log(limit, limit), limit, "a short log is left alone");
        let long = write(2 * 1024 * 1024);
        // A read that goes on keeps the log as it is.
        reader.execute_batch("BEGIN; SELECT count(*) FROM audit").unwrap();
        let next = writer.shorten_log(limit, limit);
        assert_eq!(next, long + limit);
        let longer = write(1);
        assert!(longer > long);
        assert_eq!(writer.shorten_log(limit, next), next, "not before it has grown");
        reader.execute_batch("COMMIT").unwrap();
        writer.shorten_log(limit, limit);
        assert_eq!(write(1), longer, "written from the start again");
    }
}
