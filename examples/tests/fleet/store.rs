//! A store whose commits are points.

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use provision_core::Result;
use provision_core::id::RealmId;
use provision_core::store::{
    Changes, Commit, Due, DueRealms, Row, Rows, Scan, Select, SqliteStore, Store, Stream, Table,
};
use provision_core::value::Timestamp;

use crate::point::{Act, Points};

#[derive(Debug)]
pub(crate) struct PointStore {
    pub(crate) inner: SqliteStore,
    pub(crate) points: Arc<Points>,
}

#[async_trait]
impl Store for PointStore {
    async fn get(&self, realm: &RealmId, table: Table, keys: &[String]) -> Result<Vec<Option<Row>>> {
        self.inner.get(realm, table, keys).await
    }

    async fn marks(&self, realm: &RealmId, table: Table, keys: Vec<String>) -> Result<Vec<Option<String>>> {
        self.inner.marks(realm, table, keys).await
    }

    async fn scan_marks(
        &self,
        realm: &RealmId,
        table: Table,
        prefix: &str,
        after: Option<String>,
        limit: u32,
    ) -> Result<Vec<(String, Option<String>)>> {
        self.inner.scan_marks(realm, table, prefix, after, limit).await
    }

    async fn scan(&self, scan: &Scan) -> Result<Rows> {
        self.inner.scan(scan).await
    }

    async fn scan_all(&self, scans: &[Scan]) -> Result<Vec<Rows>> {
        self.inner.scan_all(scans).await
    }

    async fn count(&self, realm: &RealmId, table: Table, select: &Select) -> Result<u64> {
        self.inner.count(realm, table, select).await
    }

    async fn read_stream(
        &self,
        realm: &RealmId,
        stream: Stream,
        after: u64,
        limit: u32,
    ) -> Result<Vec<(u64, Row)>> {
        self.inner.read_stream(realm, stream, after, limit).await
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
        self.inner.read_stream_by(realm, stream, column, value, after, limit).await
    }

    async fn commit(&self, changes: Changes) -> Result<Commit> {
        if changes.is_empty() {
            return self.inner.commit(changes).await;
        }
        let nth = self.points.before(Act::Commit);
        let answer = self.inner.commit(changes).await;
        self.points.after(Act::Commit, nth);
        answer
    }

    async fn now(&self) -> Result<Timestamp> {
        self.inner.now().await
    }

    async fn epoch(&self) -> Result<String> {
        self.inner.epoch().await
    }

    async fn realms(&self) -> Result<Vec<RealmId>> {
        self.inner.realms().await
    }

    async fn due_realms(&self, dues: &[Due]) -> Result<Vec<DueRealms>> {
        self.inner.due_realms(dues).await
    }

    async fn backup(&self, path: &Path) -> Result<()> {
        self.inner.backup(path).await
    }
}
