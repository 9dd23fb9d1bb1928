//! The store in a PostgreSQL database: many processes, on many machines. Feature `postgres`.
//!
//! Each table of the store is a table of that name in a schema of its own, with the columns `realm`, `key`, `version`,
//! one per index, and `body` (JSON): readable with any PostgreSQL client.
//!
//! Nothing is kept in a session of the database: no prepared statements, no settings, no locks that outlive their
//! transaction. So the store works behind a pooler that gives each transaction another connection.
//!
//! # Epoch
//! A random text of the store, with the place the rows are in: the database server, the history it writes (timeline),
//! and the table. A replica that takes over writes a history of its own, a restored dump is in other tables: both are a
//! store of another epoch, whose targets are looked at again before anything is written there.

mod address;
mod batch;
mod claim;
mod commit;
mod connection;
mod failure;
mod migration;
mod notice;
mod options;
mod reader;
mod statement;
mod text;
mod time;

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use sha2::{Digest, Sha256};

use self::address::Address;
use self::connection::Connections;
use self::failure::misconfigured;
use self::migration::{MIGRATIONS, Migration};
use self::notice::{Notices, Tasks};
pub use self::options::PostgresOptions;
use self::reader::{Reader, value};
use self::statement::{Schema, Statement};
use self::time::DatabaseClock;
use super::admission::{admit, admit_due, admit_scan, admit_select, known};
use super::{
    Changes, Claim, Commit, Due, DueRealms, Posted, Put, Row, Rows, Scan, Select, Store, Stream, Table, Take,
};
use crate::error::{Effect, Error, ErrorKind, Result};
use crate::id::RealmId;
use crate::runtime::{Clock, Random};
use crate::value::Timestamp;

/// The longest name of a schema or role in bytes: PostgreSQL's, less what comes before it in the name of the channel.
const NAME_MAX: usize = 53;

/// A store in a schema of a PostgreSQL database.
pub struct PostgresStore {
    // They end before the pool is closed.
    _tasks: Option<Tasks>,
    notices: Arc<Notices>,
    connections: Arc<Connections>,
    schema: Schema,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    own_clock: bool,
    database_clock: DatabaseClock,
}

impl fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresStore").field("schema", &self.schema.name()).finish_non_exhaustive()
    }
}

impl PostgresStore {
    /// Opens the store in a database, or makes it: a schema with the tables of this version. `clock` is what is waited
    /// by; the time is the database's ([`Store::now`]).
    ///
    /// Processes may open a store at the same time, and processes of this version and the one before it may use it side
    /// by side.
    ///
    /// # Errors
    /// `ConfigInvalid` for options that cannot be used; `StoreUnusable`, with what to do about it: no connection, a
    /// certificate or a password that was refused, no such database, a role that may not, a schema of a newer version.
    pub async fn open(options: PostgresOptions, clock: Arc<dyn Clock>) -> Result<Self> {
        Self::open_with(options, clock, MIGRATIONS).await
    }

    async fn open_with(
        options: PostgresOptions,
        clock: Arc<dyn Clock>,
        migrations: &[Migration],
    ) -> Result<Self> {
        check_name(&options.schema)?;
        let address = Address::read(&options.url, &options)?;
        let direct = match &options.direct_url {
            Some(url) => Some(Address::read(url, &options)?),
            None => (!options.pooled).then(|| address.clone()),
        };
        let connections = Arc::new(Connections::new(&address, &options, Arc::clone(&clock))?);
        let schema = Schema::new(&options.schema);
        let channel = format!("provision_{}", schema.name());
        let sender = random_name(options.random.as_ref())?;
        let mut store = Self {
            _tasks: None,
            notices: Notices::new(channel, sender, Arc::clone(&clock)),
            connections,
            schema,
            clock,
            random: Arc::clone(&options.random),
            own_clock: options.own_clock,
            database_clock: DatabaseClock::default(),
        };
        let prepared = store.prepare(migrations, options.migrate).await;
        prepared.map_err(|error| error.with_context("schema", options.schema.clone()))?;
        store._tasks = Some(store.notices.start(Arc::clone(&store.connections), direct));
        Ok(store)
    }

    /// What a role needs to work with a store that somebody else owns, as SQL for the owner: it may read and write
    /// rows, and change or remove nothing else. Run it again after an upgrade.
    ///
    /// # Errors
    /// `ConfigInvalid` for a schema or role whose name is none.
    pub fn runtime_grants(schema: &str, role: &str) -> Result<String> {
        check_name(schema)?;
        check_name(role)?;
        let tables = Table::ALL.iter().map(|table| table.name());
        let names = tables.chain(Stream::ALL.iter().map(|stream| stream.name()));
        let names: Vec<String> = names.map(|name| format!("\"{schema}\".\"{name}\"")).collect();
        Ok(format!(
            "grant usage on schema \"{schema}\" to \"{role}\";\n\
             grant select on \"{schema}\".schema_migration, \"{schema}\".store_epoch to \"{role}\";\n\
             grant select, insert, update, delete on {} to \"{role}\";\n\
             grant select, delete on \"{schema}\".inbox to \"{role}\";\n",
            names.join(", ")
        ))
    }

    /// What a role of the host needs to hand commands over with `enqueue`, as SQL for the owner of the store.
    ///
    /// # Errors
    /// `ConfigInvalid` for a schema or role whose name is none.
    pub fn enqueue_grants(schema: &str, role: &str) -> Result<String> {
        check_name(schema)?;
        check_name(role)?;
        Ok(format!(
            "grant usage on schema \"{schema}\" to \"{role}\";\n\
             grant select, insert on \"{schema}\".inbox to \"{role}\";\n\
             grant execute on function \"{schema}\".enqueue to \"{role}\";\n"
        ))
    }

    fn reader(&self) -> Reader<'_> {
        Reader { connections: &self.connections, schema: &self.schema }
    }

    fn lock_number(&self, purpose: &str, realm: &str) -> i64 {
        lock_number(&self.schema, purpose, realm)
    }
}

/// The number of a lock: the same in every process, another for each purpose, schema and realm.
fn lock_number(schema: &Schema, purpose: &str, realm: &str) -> i64 {
    let mut hash = Sha256::new();
    for part in ["provision", purpose, schema.name(), realm] {
        hash.update(part.len().to_be_bytes());
        hash.update(part.as_bytes());
    }
    let bytes = hash.finalize();
    bytes.iter().take(8).fold(0i64, |number, byte| (number << 8) | i64::from(*byte))
}

impl Drop for PostgresStore {
    fn drop(&mut self) {
        self.connections.close();
    }
}

/// The name of a schema or role that needs no quotes.
fn check_name(name: &str) -> Result<()> {
    let letters = name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
    let first = name.bytes().next().is_some_and(|byte| byte.is_ascii_lowercase() || byte == b'_');
    if letters && first && name.len() <= NAME_MAX && !name.starts_with("pg_") {
        return Ok(());
    }
    let message =
        "a schema or role is named by at most 53 lower-case letters, digits and `_`, not a digit first";
    Err(misconfigured(message).with_context("name", name.to_owned()))
}

fn random_name(random: &dyn Random) -> Result<String> {
    let mut bytes = [0u8; 16];
    random.fill(&mut bytes)?;
    Ok(hex::encode(bytes))
}

#[async_trait]
impl Store for PostgresStore {
    async fn get(&self, realm: &RealmId, table: Table, keys: &[String]) -> Result<Vec<Option<Row>>> {
        self.reader().get(realm, table, keys).await
    }

    async fn marks(&self, realm: &RealmId, table: Table, keys: Vec<String>) -> Result<Vec<Option<String>>> {
        self.reader().marks(realm, table, &keys).await
    }

    async fn scan_marks(
        &self,
        realm: &RealmId,
        table: Table,
        prefix: &str,
        after: Option<String>,
        limit: u32,
    ) -> Result<Vec<(String, Option<String>)>> {
        self.reader().scan_marks(realm, table, prefix, after, limit).await
    }

    async fn scan(&self, scan: &Scan) -> Result<Rows> {
        admit_scan(scan)?;
        let mut pages = self.reader().scan_all(std::slice::from_ref(scan)).await?;
        Ok(pages.pop().unwrap_or_default())
    }

    async fn scan_all(&self, scans: &[Scan]) -> Result<Vec<Rows>> {
        for scan in scans {
            admit_scan(scan)?;
        }
        self.reader().scan_all(scans).await
    }

    async fn count(&self, realm: &RealmId, table: Table, select: &Select) -> Result<u64> {
        admit_select(table, select)?;
        self.reader().count(realm, table, select).await
    }

    async fn read_stream(
        &self,
        realm: &RealmId,
        stream: Stream,
        after: u64,
        limit: u32,
    ) -> Result<Vec<(u64, Row)>> {
        self.reader().read_stream(realm, stream, None, after, limit).await
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
        self.reader().read_stream(realm, stream, Some((column, value)), after, limit).await
    }

    /// # Errors
    /// As everywhere. Trouble that may pass (the database restarts, a lock is held too long) says so by `retry`. The
    /// effect is `Unknown` only where the connection broke, or nothing came back in time, after the end of the
    /// transaction was sent.
    async fn commit(&self, changes: Changes) -> Result<Commit> {
        let Some(realm) = admit(&changes)? else { return Ok(Commit::Committed) };
        let commit = self.apply(realm.as_str(), &changes).await?;
        if commit == Commit::Committed {
            self.notices.tell(&changes, || self.database_clock.now().unwrap_or_else(|| self.clock.now()));
        }
        Ok(commit)
    }

    async fn claim(&self, claim: &Claim, take: Take<'_>) -> Result<Option<Vec<Put>>> {
        self.take(claim, take).await.map(Some)
    }

    async fn noticed(&self, seen: u64) -> u64 {
        self.notices.heard(seen).await
    }

    /// The database's clock.
    async fn now(&self) -> Result<Timestamp> {
        if self.own_clock {
            return Ok(self.clock.now());
        }
        if let Some(now) = self.database_clock.now() {
            return Ok(now);
        }
        let ask = Statement::new("select (extract(epoch from clock_timestamp()) * 1000000)::bigint");
        let rows = self.connections.read(ask, "read the database's clock").await?;
        let told = rows.first().map_or(Ok(0), |row| value::<i64>(row, 0))?;
        Ok(self.database_clock.set(Timestamp::from_micros(told)))
    }

    async fn inbox(&self, after: u64, limit: u32) -> Result<Vec<Posted>> {
        self.reader().inbox(after, limit).await
    }

    async fn remove_posted(&self, number: u64) -> Result<()> {
        let sql = format!("delete from {} where number = $1", self.schema.of("inbox"));
        // Read or not, it may be done twice.
        self.connections.read(Statement::new(sql).number(number), "remove a command").await.map(drop)
    }

    async fn epoch(&self) -> Result<String> {
        let name = self.schema.of("store_epoch");
        let ask = Statement::new(format!(
            "select epoch || '/' || (select system_identifier from pg_control_system()) || '/' || \
             substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8) || '/' || '{name}'::regclass::oid from {name}"
        ));
        let rows = self.connections.read(ask, "read the epoch").await?;
        rows.first().map_or_else(|| Err(failure::unusable("the store has no epoch")), |row| value(row, 0))
    }

    async fn realms(&self) -> Result<Vec<RealmId>> {
        self.reader().realms().await
    }

    async fn due_realms(&self, dues: &[Due]) -> Result<Vec<DueRealms>> {
        for due in dues {
            admit_due(due)?;
        }
        self.reader().due_realms(dues).await
    }

    /// `Unsupported`: PostgreSQL has its own ways.
    async fn backup(&self, _path: &Path) -> Result<()> {
        Err(Error::new(
            ErrorKind::Unsupported,
            "a store in PostgreSQL is copied with PostgreSQL's own tools: pg_dump, or a base backup with its log",
        )
        .with_effect(Effect::None))
    }
}
