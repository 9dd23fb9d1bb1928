//! The store: typed rows, keyset reads, and one atomic `commit`.
//!
//! Every row belongs to a realm and a [`Table`], has a text key, a version that grows with each write, a JSON body and
//! a few indexed columns. What a row means is the business of its [`Record`]; a store keeps rows and nothing else, so
//! that each database implements a handful of operations.

mod admission;
mod claim;
mod due;
mod memory;
#[cfg(feature = "postgres")]
mod postgres;
mod record;
mod rows;
#[cfg(feature = "sqlite")]
mod sqlite;
mod table;

use std::fmt::Debug;

use async_trait::async_trait;

pub use claim::{Claim, Take};
pub use due::{Due, DueRealms};
pub use memory::MemoryStore;
#[cfg(feature = "postgres")]
pub use postgres::{PostgresOptions, PostgresStore};
pub(crate) use record::decode_part;
pub use record::{Record, Stored, count_by, decode, get, get_many, list_by, put};
#[cfg(feature = "sqlite")]
pub use sqlite::{SqliteOptions, SqliteStore};
pub use table::{IndexSpec, MARK, Stream, Table};

use crate::error::Result;
use crate::id::RealmId;
use crate::value::Timestamp;

/// A row as stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Its key; unique in (realm, table).
    pub key: String,
    /// 1 at insert, one more with every write.
    pub version: u64,
    /// JSON.
    pub body: String,
}

/// A row to write: inserted, or replaced whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Put {
    /// The table.
    pub table: Table,
    /// The key.
    pub key: String,
    /// The indexed columns that have a value, by the names of [`Table::indexes`], and the [`MARK`] of a table that has
    /// one.
    pub columns: Vec<(&'static str, String)>,
    /// JSON.
    pub body: String,
}

/// What must hold for a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expect {
    /// The row has this version.
    Version {
        /// The table.
        table: Table,
        /// The key.
        key: String,
        /// The version.
        version: u64,
    },
    /// There is no such row.
    Absent {
        /// The table.
        table: Table,
        /// The key.
        key: String,
    },
    /// The row is there and its column has this value: the fence of a lease.
    Column {
        /// The table.
        table: Table,
        /// The key.
        key: String,
        /// The column.
        column: &'static str,
        /// The value.
        value: String,
    },
}

/// Rows appended to a stream; the store numbers them in commit order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Append {
    /// The stream.
    pub stream: Stream,
    /// Indexed columns.
    pub columns: Vec<(&'static str, String)>,
    /// JSON.
    pub body: String,
}

/// Everything one commit changes: applied whole, or not at all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// The realm all rows belong to.
    pub realm: Option<RealmId>,
    /// What must hold.
    pub expect: Vec<Expect>,
    /// Rows to write.
    pub put: Vec<Put>,
    /// Rows to delete; a missing one is fine.
    pub delete: Vec<(Table, String)>,
    /// Rows to append.
    pub append: Vec<Append>,
    /// Streams whose rows up to a number, this one included, are deleted; of a stream that may be trimmed
    /// ([`Stream::may_be_trimmed`]). Their numbers are never given again.
    pub trim: Vec<(Stream, u64)>,
}

impl Changes {
    /// No change, in a realm.
    pub fn in_realm(realm: &RealmId) -> Self {
        Self { realm: Some(realm.clone()), ..Self::default() }
    }

    /// Writes a record whatever version it has.
    pub fn put<R: Record>(&mut self, record: &R) -> Result<()> {
        self.put.push(put(record)?);
        Ok(())
    }

    /// Writes a record that must not exist.
    pub fn insert<R: Record>(&mut self, record: &R) -> Result<()> {
        self.expect.push(Expect::Absent { table: R::TABLE, key: record.key() });
        self.put(record)
    }

    /// Writes a record that must still have the version it was read with.
    pub fn replace<R: Record>(&mut self, version: u64, record: &R) -> Result<()> {
        self.expect.push(Expect::Version { table: R::TABLE, key: record.key(), version });
        self.put(record)
    }

    /// Deletes a record.
    pub fn delete<R: Record>(&mut self, key: impl Into<String>) {
        self.delete.push((R::TABLE, key.into()));
    }

    /// True when there is nothing to write.
    pub fn is_empty(&self) -> bool {
        self.put.is_empty() && self.delete.is_empty() && self.append.is_empty() && self.trim.is_empty()
    }
}

/// A command that a host handed over in the store itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Posted {
    /// By which it is removed.
    pub number: u64,
    /// The realm it names; there may be no such realm.
    pub realm: RealmId,
    /// By which it counts once.
    pub key: String,
    /// Who the host says it is from.
    pub actor: Option<String>,
    /// The change, as JSON.
    pub change: String,
}

/// How a commit ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Commit {
    /// Everything is durable.
    Committed,
    /// Nothing was written.
    Conflict(Conflict),
}

/// Why a commit was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Conflict {
    /// An [`Expect`] did not hold.
    Expectation {
        /// The table.
        table: Table,
        /// The key.
        key: String,
    },
    /// Another row has the same value of a unique column.
    Unique {
        /// The table.
        table: Table,
        /// The column.
        column: &'static str,
        /// The key of the row that was to be written.
        key: String,
    },
}

/// Which rows a scan reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Select {
    /// By key, those that start with the prefix; in key order.
    KeyPrefix(String),
    /// Those whose column has this value; in key order.
    Equal(&'static str, String),
    /// Those whose column is at most this value (and set); in order of (column, key).
    AtMost(&'static str, String),
    /// Those whose column starts with the prefix; in order of (column, key).
    ColumnPrefix(&'static str, String),
}

/// Where the next page starts: column value (empty for key order) and key of the last row read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cursor {
    /// The column's value.
    pub column: String,
    /// The key.
    pub key: String,
}

/// A page of rows, in order, after a cursor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scan {
    /// The realm.
    pub realm: RealmId,
    /// The table.
    pub table: Table,
    /// Which rows.
    pub select: Select,
    /// After this row; `None`: from the first.
    pub after: Option<Cursor>,
    /// At most this many rows.
    pub limit: u32,
}

/// A page.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rows {
    /// The rows.
    pub rows: Vec<Row>,
    /// Where to go on; `None`: that was all.
    pub next: Option<Cursor>,
}

/// Where everything durable lives. Reads see committed rows only; a commit that returned `Committed` survives a crash.
#[async_trait]
pub trait Store: Debug + Send + Sync {
    /// Rows by key, in the order of the keys.
    async fn get(&self, realm: &RealmId, table: Table, keys: &[String]) -> Result<Vec<Option<Row>>>;

    /// The marks of rows ([`MARK`]) by key, in the order of the keys, without reading the rows. `None` says nothing:
    /// there may be no such row, or one whose mark the store does not know.
    async fn marks(&self, realm: &RealmId, table: Table, keys: Vec<String>) -> Result<Vec<Option<String>>> {
        let _ = (realm, table);
        Ok(vec![None; keys.len()])
    }

    /// A page of keys that start with a prefix and come after a key, in key order, each with its mark as
    /// [`Store::marks`] tells it. Fewer than `limit`: that was all.
    async fn scan_marks(
        &self,
        realm: &RealmId,
        table: Table,
        prefix: &str,
        after: Option<String>,
        limit: u32,
    ) -> Result<Vec<(String, Option<String>)>> {
        let after = after.map(|key| Cursor { column: String::new(), key });
        let select = Select::KeyPrefix(prefix.to_owned());
        let page = self.scan(&Scan { realm: realm.clone(), table, select, after, limit }).await?;
        Ok(page.rows.into_iter().map(|row| (row.key, None)).collect())
    }

    /// A page of rows.
    async fn scan(&self, scan: &Scan) -> Result<Rows>;

    /// Several scans in one call: a store may answer them together.
    async fn scan_all(&self, scans: &[Scan]) -> Result<Vec<Rows>> {
        let mut pages = Vec::with_capacity(scans.len());
        for scan in scans {
            pages.push(self.scan(scan).await?);
        }
        Ok(pages)
    }

    /// How many rows a select has.
    async fn count(&self, realm: &RealmId, table: Table, select: &Select) -> Result<u64>;

    /// A page of a stream, after a number, oldest first: (number, row key = number as text).
    async fn read_stream(
        &self,
        realm: &RealmId,
        stream: Stream,
        after: u64,
        limit: u32,
    ) -> Result<Vec<(u64, Row)>>;

    /// Rows of a stream whose column has a value, oldest first.
    async fn read_stream_by(
        &self,
        realm: &RealmId,
        stream: Stream,
        column: &'static str,
        value: &str,
        after: u64,
        limit: u32,
    ) -> Result<Vec<(u64, Row)>>;

    /// Applies changes atomically and durably: all of `expect` is checked first, then `delete`, `put`, `trim` and
    /// `append` happen in this order, each in the order given. A unique value that a deleted row had is free for a put.
    /// A caller that stops waiting does not know whether the changes were applied.
    ///
    /// # Errors
    /// `StoreUnusable` (disk full, file gone, busy beyond the bound), with its effect: `None`, except where the disk
    /// failed while the end of the commit was written; then it is `Unknown`, and a read tells.
    async fn commit(&self, changes: Changes) -> Result<Commit>;

    /// Takes rows that nobody else is taking, in one transaction: up to the limit, those of the first page before those
    /// of the next, each in the order of a scan. `take` says what is written in the place of each; that is what comes
    /// back. `None`: others were faster with one of them and nothing was taken; try again. A store with locks of rows
    /// passes over what others have locked instead.
    ///
    /// # Errors
    /// As [`Store::commit`], and those of `take`: then nothing is taken.
    async fn claim(&self, claim: &Claim, take: Take<'_>) -> Result<Option<Vec<Put>>> {
        claim::optimistic(self, claim, take).await
    }

    /// Returns when another process has committed something that is due: a number other than `seen`, which is the one
    /// it gave last, 0 at first. Some are not noticed, and some without reason: whoever waits looks for work from time
    /// to time, too. A store that does not hear of other processes never returns.
    async fn noticed(&self, seen: u64) -> u64 {
        let _ = seen;
        std::future::pending().await
    }

    /// Commands that the host handed over in transactions of its own, after a number, oldest first. A store that is
    /// not also the host's has none.
    async fn inbox(&self, after: u64, limit: u32) -> Result<Vec<Posted>> {
        let _ = (after, limit);
        Ok(Vec::new())
    }

    /// Removes a command that was taken in; it may be gone already.
    async fn remove_posted(&self, number: u64) -> Result<()> {
        let _ = number;
        Ok(())
    }

    /// The store's clock: leases and claims use it.
    async fn now(&self) -> Result<Timestamp>;

    /// Changes when the store is restored from a backup; kept in the store and beside it.
    async fn epoch(&self) -> Result<String>;

    /// Realms that have rows.
    async fn realms(&self) -> Result<Vec<RealmId>>;

    /// Realms in which something is due; several questions in one call. A store has an index for it, so that realms
    /// in which nothing is due cost nothing; without one, every realm is visited.
    async fn due_realms(&self, dues: &[Due]) -> Result<Vec<DueRealms>> {
        let mut found = Vec::with_capacity(dues.len());
        for due in dues {
            admission::admit_due(due)?;
            found.push(due::visit(self, due).await?);
        }
        Ok(found)
    }

    /// Writes a consistent copy to a new file, while the store is in use.
    ///
    /// # Errors
    /// `Unsupported` where the store has no file; `AlreadyExists` when the file is there.
    async fn backup(&self, path: &std::path::Path) -> Result<()>;
}
