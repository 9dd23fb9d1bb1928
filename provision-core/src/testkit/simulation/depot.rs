//! The store of a world: shared by all processes, with places at every call where others go first or the caller dies.

use std::path::Path;
#[cfg(feature = "sqlite")]
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use futures_util::FutureExt;

use super::clock::{SimClock, Time};
use super::executor::ProcessId;
use super::lock;
use super::record::Record;
use super::trace::Trace;
use super::weather::Weather;
use crate::error::{Effect, Error, ErrorKind, Result, Retry};
use crate::id::RealmId;
#[cfg(feature = "sqlite")]
use crate::runtime::{Clock, SeededRandom};
use crate::store::{
    Changes, Commit, Due, DueRealms, MemoryStore, Row, Rows, Scan, Select, Store, Stream, Table,
};
#[cfg(feature = "sqlite")]
use crate::store::{SqliteOptions, SqliteStore};
use crate::value::Timestamp;

/// What a world's rows are kept in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreKind {
    /// In memory.
    Memory,
    /// In a SQLite file, without threads.
    #[cfg(feature = "sqlite")]
    SqliteInline,
}

/// What is behind the depot now, and the backups of it.
enum Shelf {
    Memory {
        now: Arc<MemoryStore>,
        backup: Option<(MemoryStore, Timestamp)>,
        restored: u64,
    },
    #[cfg(feature = "sqlite")]
    Sqlite {
        now: Option<Arc<SqliteStore>>,
        folder: PathBuf,
        backup: Option<(PathBuf, Timestamp)>,
        backups: u64,
    },
}

/// The store of a world.
pub(super) struct Depot {
    shelf: Mutex<Shelf>,
    time: Time,
    #[cfg(feature = "sqlite")]
    seed: u64,
    pub(super) weather: Arc<Weather>,
    pub(super) record: Record,
    trace: Arc<Trace>,
    /// When a backup last took the store's place.
    restored: Mutex<Option<Timestamp>>,
}

impl std::fmt::Debug for Depot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Depot").finish_non_exhaustive()
    }
}

impl Depot {
    /// An empty store. One in a file lies in `folder`.
    pub(super) fn new(
        kind: StoreKind,
        folder: &Path,
        seed: u64,
        weather: Arc<Weather>,
        trace: Arc<Trace>,
    ) -> Result<Self> {
        let time = weather.time.clone();
        let clock = Arc::new(SimClock::ahead(&time, 0));
        let shelf = match kind {
            StoreKind::Memory => {
                Shelf::Memory { now: Arc::new(MemoryStore::new(clock)), backup: None, restored: 0 }
            }
            #[cfg(feature = "sqlite")]
            StoreKind::SqliteInline => {
                let folder = folder.to_owned();
                let now = Some(open(&folder, clock, seed)?);
                Shelf::Sqlite { now, folder, backup: None, backups: 0 }
            }
        };
        #[cfg(not(feature = "sqlite"))]
        let _ = (folder, seed);
        Ok(Self {
            shelf: Mutex::new(shelf),
            time,
            #[cfg(feature = "sqlite")]
            seed,
            weather,
            record: Record::default(),
            trace,
            restored: Mutex::default(),
        })
    }

    /// The store behind, without weather.
    pub(super) fn inner(&self) -> Result<Arc<dyn Store>> {
        match &*lock(&self.shelf) {
            Shelf::Memory { now, .. } => Ok(now.clone()),
            #[cfg(feature = "sqlite")]
            Shelf::Sqlite { now, .. } => match now {
                Some(now) => Ok(now.clone()),
                None => Err(closed()),
            },
        }
    }

    /// Copies everything; the copy before is forgotten.
    pub(super) fn back_up(&self) -> Result<()> {
        let at = self.time.now();
        match &mut *lock(&self.shelf) {
            Shelf::Memory { now, backup, .. } => *backup = Some((now.copy("backup"), at)),
            #[cfg(feature = "sqlite")]
            Shelf::Sqlite { now, folder, backup, backups } => {
                let Some(now) = now else { return Err(closed()) };
                *backups += 1;
                let path = folder.join(format!("backup-{backups}.db"));
                now.backup(&path).now_or_never().unwrap_or_else(|| Err(closed()))?;
                *backup = Some((path, at));
            }
        }
        Ok(())
    }

    /// Whether a backup took the store's place after that.
    pub(super) fn is_restored_since(&self, at: Timestamp) -> bool {
        lock(&self.restored).is_some_and(|restored| restored >= at)
    }

    /// Whether there is a copy.
    pub(super) fn has_backup(&self) -> bool {
        match &*lock(&self.shelf) {
            Shelf::Memory { backup, .. } => backup.is_some(),
            #[cfg(feature = "sqlite")]
            Shelf::Sqlite { backup, .. } => backup.is_some(),
        }
    }

    /// Puts the copy in the store's place; all processes are stopped. Says when it was
    /// made; `None` when there is none.
    pub(super) fn restore(&self) -> Result<Option<Timestamp>> {
        *lock(&self.restored) = Some(self.time.now());
        match &mut *lock(&self.shelf) {
            Shelf::Memory { now, backup, restored } => {
                let Some((copy, at)) = backup.take() else { return Ok(None) };
                *restored += 1;
                *now = Arc::new(copy.copy(format!("restored-{restored}")));
                Ok(Some(at))
            }
            #[cfg(feature = "sqlite")]
            Shelf::Sqlite { now, folder, backup, backups } => {
                let Some((copy, at)) = backup.take() else { return Ok(None) };
                *backups += 1;
                drop(now.take());
                let path = folder.join("store.db");
                for end in ["-wal", "-shm"] {
                    let _ = std::fs::remove_file(folder.join(format!("store.db{end}")));
                }
                std::fs::rename(&copy, &path).map_err(|error| {
                    Error::new(ErrorKind::StoreUnusable, "cannot restore the backup").with_source(error)
                })?;
                let clock = Arc::new(SimClock::ahead(&self.time, 0));
                *now = Some(open(folder, clock, self.seed.wrapping_add(*backups))?);
                Ok(Some(at))
            }
        }
    }

    /// Answers of a store without threads are there at once.
    pub(super) fn at_once<T>(call: impl Future<Output = Result<T>>) -> Result<T> {
        call.now_or_never().unwrap_or_else(|| {
            Err(Error::new(ErrorKind::Unexpected, "a store without threads did not answer at once"))
        })
    }
}

/// The rows that say where work stands, for a trace of everything.
fn told(changes: &Changes) -> impl FnOnce() -> String + use<> {
    let tables = [Table::Work, Table::Journal, Table::Hold, Table::Dispute, Table::Name, Table::Plan];
    let changes = changes.clone();
    move || {
        let mut lines = Vec::new();
        for put in changes.put.iter().filter(|put| tables.contains(&put.table)) {
            let body: serde_json::Value = serde_json::from_str(&put.body).unwrap_or_default();
            let of = |name: &str| body.get(name).map(ToString::to_string).unwrap_or_default();
            let said =
                ["state", "until", "due_at", "lease", "generation", "urgent", "attempts"].map(of).join(" ");
            lines.push(format!("{} {} {said}", put.table.name(), put.key));
        }
        let deleted = changes.delete.iter().filter(|(table, _)| tables.contains(table));
        lines.extend(deleted.map(|(table, key)| format!("{} {key} gone", table.name())));
        lines.join(" | ")
    }
}

#[cfg(feature = "sqlite")]
fn closed() -> Error {
    Error::new(ErrorKind::StoreUnusable, "the store is closed").with_effect(Effect::None)
}

#[cfg(feature = "sqlite")]
fn open(folder: &Path, clock: Arc<dyn Clock>, seed: u64) -> Result<Arc<SqliteStore>> {
    let random = Arc::new(SeededRandom::new(seed));
    let options = SqliteOptions { relaxed: true, random, cache_kib: 2 * 1024, ..SqliteOptions::inline() };
    Ok(Arc::new(SqliteStore::open(folder.join("store.db"), options, clock)?))
}

/// The depot as one process sees it.
#[derive(Debug)]
pub(super) struct Counter {
    pub(super) process: ProcessId,
    pub(super) depot: Arc<Depot>,
}

impl Counter {
    async fn around<T>(&self, call: impl Future<Output = Result<T>>) -> Result<T> {
        let weather = &self.depot.weather;
        weather.near().await;
        self.depot.record.call();
        if weather.dice.per_mille(weather.faults().store_busy) {
            return Err(Error::new(ErrorKind::StoreUnusable, "the store is busy")
                .with_effect(Effect::None)
                .with_retry(Retry::After(None)));
        }
        let answer = call.await;
        weather.near().await;
        answer
    }
}

#[async_trait]
impl Store for Counter {
    async fn get(&self, realm: &RealmId, table: Table, keys: &[String]) -> Result<Vec<Option<Row>>> {
        self.around(async { self.depot.inner()?.get(realm, table, keys).await }).await
    }

    async fn marks(&self, realm: &RealmId, table: Table, keys: Vec<String>) -> Result<Vec<Option<String>>> {
        self.around(async { self.depot.inner()?.marks(realm, table, keys).await }).await
    }

    async fn scan_marks(
        &self,
        realm: &RealmId,
        table: Table,
        prefix: &str,
        after: Option<String>,
        limit: u32,
    ) -> Result<Vec<(String, Option<String>)>> {
        self.around(async { self.depot.inner()?.scan_marks(realm, table, prefix, after, limit).await }).await
    }

    async fn scan(&self, scan: &Scan) -> Result<Rows> {
        self.depot.record.looks(self.process, scan, self.depot.weather.time.now());
        self.around(async { self.depot.inner()?.scan(scan).await }).await
    }

    async fn scan_all(&self, scans: &[Scan]) -> Result<Vec<Rows>> {
        self.around(async { self.depot.inner()?.scan_all(scans).await }).await
    }

    async fn count(&self, realm: &RealmId, table: Table, select: &Select) -> Result<u64> {
        self.around(async { self.depot.inner()?.count(realm, table, select).await }).await
    }

    async fn read_stream(
        &self,
        realm: &RealmId,
        stream: Stream,
        after: u64,
        limit: u32,
    ) -> Result<Vec<(u64, Row)>> {
        self.around(async { self.depot.inner()?.read_stream(realm, stream, after, limit).await }).await
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
        let depot = &self.depot;
        self.around(async { depot.inner()?.read_stream_by(realm, stream, column, value, after, limit).await })
            .await
    }

    async fn commit(&self, changes: Changes) -> Result<Commit> {
        self.around(async {
            let inner = self.depot.inner()?;
            self.depot.record.before(self.process, inner.as_ref(), self.depot.weather.time.now(), &changes);
            let said = self.depot.record.said(&changes);
            let (process, now) = (self.process, self.depot.weather.time.now());
            let broken = super::commits::look(inner.as_ref(), now, &changes);
            let rows = told(&changes);
            let commit = inner.commit(changes).await?;
            self.depot.trace.detail(now, || format!("p{process} {commit:?} {}", rows()));
            if commit == Commit::Committed {
                self.depot.record.broken(broken);
                self.depot.record.committed(inner.as_ref(), now, said);
            }
            Ok(commit)
        })
        .await
    }

    async fn now(&self) -> Result<Timestamp> {
        self.depot.inner()?.now().await
    }

    async fn epoch(&self) -> Result<String> {
        self.depot.inner()?.epoch().await
    }

    async fn realms(&self) -> Result<Vec<RealmId>> {
        self.depot.inner()?.realms().await
    }

    async fn due_realms(&self, dues: &[Due]) -> Result<Vec<DueRealms>> {
        self.around(async { self.depot.inner()?.due_realms(dues).await }).await
    }

    async fn backup(&self, path: &Path) -> Result<()> {
        self.depot.inner()?.backup(path).await
    }
}
