//! A store that counts what it is asked.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use provision_core::Result;
use provision_core::id::RealmId;
use provision_core::store::{
    Changes, Claim, Commit, Due, DueRealms, Put, Row, Rows, Scan, Select, Store, Stream, Table, Take,
};
use provision_core::value::Timestamp;

/// Another store, with a count of the calls.
#[derive(Debug)]
pub struct Counted {
    store: Arc<dyn Store>,
    calls: AtomicU64,
}

impl Counted {
    /// Counts the calls of a store.
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self { store, calls: AtomicU64::new(0) }
    }

    /// Calls so far.
    pub fn calls(&self) -> u64 {
        self.calls.load(Ordering::SeqCst)
    }

    fn asked(&self) -> &dyn Store {
        self.calls.fetch_add(1, Ordering::SeqCst);
        self.store.as_ref()
    }
}

#[async_trait]
impl Store for Counted {
    async fn get(&self, realm: &RealmId, table: Table, keys: &[String]) -> Result<Vec<Option<Row>>> {
        self.asked().get(realm, table, keys).await
    }

    async fn marks(&self, realm: &RealmId, table: Table, keys: Vec<String>) -> Result<Vec<Option<String>>> {
        self.asked().marks(realm, table, keys).await
    }

    async fn scan_marks(
        &self,
        realm: &RealmId,
        table: Table,
        prefix: &str,
        after: Option<String>,
        limit: u32,
    ) -> Result<Vec<(String, Option<String>)>> {
        self.asked().scan_marks(realm, table, prefix, after, limit).await
    }

    async fn scan(&self, scan: &Scan) -> Result<Rows> {
        self.asked().scan(scan).await
    }

    async fn scan_all(&self, scans: &[Scan]) -> Result<Vec<Rows>> {
        self.asked().scan_all(scans).await
    }

    async fn count(&self, realm: &RealmId, table: Table, select: &Select) -> Result<u64> {
        self.asked().count(realm, table, select).await
    }

    async fn read_stream(
        &self,
        realm: &RealmId,
        stream: Stream,
        after: u64,
        limit: u32,
    ) -> Result<Vec<(u64, Row)>> {
        self.asked().read_stream(realm, stream, after, limit).await
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
        self.asked().read_stream_by(realm, stream, column, value, after, limit).await
    }

    async fn commit(&self, changes: Changes) -> Result<Commit> {
        self.asked().commit(changes).await
    }

    async fn claim(&self, claim: &Claim, take: Take<'_>) -> Result<Option<Vec<Put>>> {
        self.asked().claim(claim, take).await
    }

    async fn noticed(&self, seen: u64) -> u64 {
        // Waiting asks nothing.
        self.store.noticed(seen).await
    }

    async fn now(&self) -> Result<Timestamp> {
        self.asked().now().await
    }

    async fn epoch(&self) -> Result<String> {
        self.asked().epoch().await
    }

    async fn realms(&self) -> Result<Vec<RealmId>> {
        self.asked().realms().await
    }

    async fn due_realms(&self, dues: &[Due]) -> Result<Vec<DueRealms>> {
        self.asked().due_realms(dues).await
    }

    async fn backup(&self, path: &Path) -> Result<()> {
        self.asked().backup(path).await
    }
}
