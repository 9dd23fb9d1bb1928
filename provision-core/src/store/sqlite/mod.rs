//! The store in one SQLite file.
//!
//! Each table is a table of that name with the columns `realm`, `key`, `version`, one per index, and `body` (JSON):
//! readable with any SQLite tool. One thread writes and puts all changes that wait into one transaction; a few threads
//! read. Processes may share a file on a local disk.
//!
//! # Epoch
//! A random text, kept in the file and in `<file>.epoch`. [`Store::backup`] gives the *copy* an epoch of its own, so
//! that a restored copy has another epoch than the store it replaces, whatever else was lost; [`SqliteStore::restored`]
//! tells when the file beside the store shows it. A copy made in another way (`cp`) has the same epoch and is not
//! noticed: make copies with `backup`. To restore one, stop all processes, remove the files beside the store that end
//! in `-wal` and `-shm`, and put the copy in the store's place; leave the epoch file.

mod backup;
mod connection;
mod due;
mod failure;
mod file;
mod migration;
mod mount;
mod options;
mod pool;
mod reader;
mod statement;
mod writer;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use rusqlite::Connection;

use self::failure::unusable;
use self::file::{StoreFile, random_name};
use self::migration::{MIGRATIONS, Migration};
pub use self::options::SqliteOptions;
use self::pool::Readers;
use self::statement::Statements;
use self::writer::{Writer, WriterThread};
use super::admission::{admit, admit_due, admit_scan, admit_select, known};
use super::{Changes, Commit, Due, DueRealms, Row, Rows, Scan, Select, Store, Stream, Table};
use crate::error::Result;
use crate::id::RealmId;
use crate::runtime::Clock;
use crate::value::Timestamp;

/// A store in one SQLite file. Dropping it waits for the writes that were asked for.
pub struct SqliteStore {
    path: PathBuf,
    options: SqliteOptions,
    clock: Arc<dyn Clock>,
    statements: Arc<Statements>,
    epoch: String,
    restored: bool,
    driver: Driver,
}

/// Who runs the statements.
enum Driver {
    /// The caller, one at a time.
    Inline(Mutex<Writer>),
    /// Threads. The readers go first, so that the writer closes the file last.
    Threads { readers: Readers, writer: WriterThread },
}

impl fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteStore").field("path", &self.path).finish_non_exhaustive()
    }
}

impl SqliteStore {
    /// Opens the store in a file, or makes it: mode 0600, schema of this version. Blocks while it does.
    ///
    /// # Errors
    /// `StoreUnusable`, with what to do about it: a file that is damaged, no store, written by a newer version,
    /// read-only, removed, on a network file system, or locked for longer than the busy timeout.
    pub fn open(path: impl AsRef<Path>, options: SqliteOptions, clock: Arc<dyn Clock>) -> Result<Self> {
        let path = path.as_ref();
        Self::open_with(path, options, clock, MIGRATIONS)
            .map_err(|error| error.with_context("store", path.display().to_string()))
    }

    fn open_with(
        path: &Path,
        options: SqliteOptions,
        clock: Arc<dyn Clock>,
        migrations: &[Migration],
    ) -> Result<Self> {
        let file = StoreFile::prepare(path)?;
        let mut connection = connection::open(path, &options)?;
        migration::recognise(&connection, migrations)?;
        connection::configure_writer(&connection, &options)?;
        let epoch = random_name(options.random.as_ref())?;
        migration::migrate(&mut connection, migrations, clock.now(), &epoch)?;
        let epoch = migration::epoch(&connection)?;
        let restored = file.note_epoch(&epoch, options.random.as_ref())?;
        if restored {
            tracing::warn!(path = %path.display(), "the store is a restored copy");
        }
        let statements = Arc::new(Statements::new());
        let writer = Writer::new(connection, Arc::clone(&statements), file, options.busy_timeout);
        let driver = if options.inline {
            Driver::Inline(Mutex::new(writer))
        } else {
            let readers = (0..options.readers.clamp(1, connection::READERS_MAX)).map(|_| {
                let connection = connection::open(path, &options)?;
                connection::configure_reader(&connection, &options)?;
                Ok(connection)
            });
            let readers = Readers::start(readers.collect::<Result<_>>()?)?;
            Driver::Threads { readers, writer: WriterThread::start(writer)? }
        };
        Ok(Self { path: path.to_owned(), options, clock, statements, epoch, restored, driver })
    }

    /// True when the epoch file showed at opening that this is a restored copy.
    pub fn restored(&self) -> bool {
        self.restored
    }

    async fn read<T: Send + 'static>(
        &self,
        query: impl FnOnce(&Connection) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        match &self.driver {
            Driver::Inline(writer) => {
                query(writer.lock().unwrap_or_else(PoisonError::into_inner).connection())
            }
            Driver::Threads { readers, .. } => readers.run(query).await,
        }
    }
}

#[async_trait]
impl Store for SqliteStore {
    async fn get(&self, realm: &RealmId, table: Table, keys: &[String]) -> Result<Vec<Option<Row>>> {
        let (statements, realm, keys) = (Arc::clone(&self.statements), realm.clone(), keys.to_vec());
        self.read(move |connection| reader::get(connection, &statements, &realm, table, &keys)).await
    }

    async fn marks(&self, realm: &RealmId, table: Table, keys: Vec<String>) -> Result<Vec<Option<String>>> {
        let (statements, realm) = (Arc::clone(&self.statements), realm.clone());
        self.read(move |connection| reader::marks(connection, &statements, &realm, table, &keys)).await
    }

    async fn scan_marks(
        &self,
        realm: &RealmId,
        table: Table,
        prefix: &str,
        after: Option<String>,
        limit: u32,
    ) -> Result<Vec<(String, Option<String>)>> {
        let (realm, prefix) = (realm.clone(), prefix.to_owned());
        self.read(move |connection| {
            reader::scan_marks(connection, &realm, table, &prefix, after.as_deref(), limit)
        })
        .await
    }

    async fn scan(&self, scan: &Scan) -> Result<Rows> {
        admit_scan(scan)?;
        let scan = scan.clone();
        self.read(move |connection| reader::scan(connection, &scan)).await
    }

    /// All of one moment, in one call of a thread.
    async fn scan_all(&self, scans: &[Scan]) -> Result<Vec<Rows>> {
        for scan in scans {
            admit_scan(scan)?;
        }
        let scans = scans.to_vec();
        self.read(move |connection| reader::scan_all(connection, &scans)).await
    }

    async fn count(&self, realm: &RealmId, table: Table, select: &Select) -> Result<u64> {
        admit_select(table, select)?;
        let (realm, select) = (realm.clone(), select.clone());
        self.read(move |connection| reader::count(connection, &realm, table, &select)).await
    }

    async fn read_stream(
        &self,
        realm: &RealmId,
        stream: Stream,
        after: u64,
        limit: u32,
    ) -> Result<Vec<(u64, Row)>> {
        let realm = realm.clone();
        self.read(move |connection| reader::read_stream(connection, &realm, stream, None, after, limit)).await
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
        let (realm, value) = (realm.clone(), value.to_owned());
        self.read(move |connection| {
            reader::read_stream(connection, &realm, stream, Some((column, &value)), after, limit)
        })
        .await
    }

    async fn commit(&self, changes: Changes) -> Result<Commit> {
        if admit(&changes)?.is_none() {
            return Ok(Commit::Committed);
        }
        match &self.driver {
            Driver::Inline(writer) => writer.lock().unwrap_or_else(PoisonError::into_inner).commit(&changes),
            Driver::Threads { writer, .. } => writer.commit(changes).await,
        }
    }

    async fn now(&self) -> Result<Timestamp> {
        Ok(self.clock.now())
    }

    async fn epoch(&self) -> Result<String> {
        Ok(self.epoch.clone())
    }

    async fn realms(&self) -> Result<Vec<RealmId>> {
        self.read(reader::realms).await
    }

    async fn due_realms(&self, dues: &[Due]) -> Result<Vec<DueRealms>> {
        for due in dues {
            admit_due(due)?;
        }
        let dues = dues.to_vec();
        self.read(move |connection| due::due_realms(connection, &dues)).await
    }

    async fn backup(&self, path: &Path) -> Result<()> {
        let (source, target, options) = (self.path.clone(), path.to_owned(), self.options.clone());
        match &self.driver {
            Driver::Inline(_) => backup::backup(&source, &target, &options),
            Driver::Threads { .. } => {
                let (reply, answer) = tokio::sync::oneshot::channel();
                // A thread of its own: a copy may take minutes, and the readers have work.
                let thread = std::thread::Builder::new().name("provision-backup".to_owned());
                thread
                    .spawn(move || reply.send(backup::backup(&source, &target, &options)))
                    .map_err(|error| unusable("cannot start a thread for the backup").with_source(error))?;
                answer.await.map_err(|_| unusable("the backup's thread has stopped"))?
            }
        }
    }
}
