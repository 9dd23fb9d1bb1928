//! Between the engine and what it works on: counts, records, and stops at every call.

use std::path::Path;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use provision_core::Result;
use provision_core::connector::{
    Connector, ConnectorInfo, Context, CreateRequest, Credential, CredentialRequest, DeleteRequest,
    Discovery, EdgeOutcome, GetRequest, LifecycleFacet, LifecycleRequest, ListRequest, Listing,
    MembershipFacet, MembershipRequest, Object, Outcome, RenameRequest, UpdateRequest, Writer,
};
use provision_core::delta::Delta;
use provision_core::id::RealmId;
use provision_core::memory::MemoryConnector;
use provision_core::runtime::SeededRandom;
use provision_core::store::{Changes, Commit, Row, Rows, Scan, Select, Store, Stream, Table};
use provision_core::value::{Attributes, Timestamp};

/// How the store and the target behave at the edges of every call.
#[derive(Debug)]
pub(crate) struct Pace {
    mode: AtomicU8,
    random: SeededRandom,
}

impl Pace {
    pub(crate) fn new(seed: u64) -> Self {
        Self { mode: AtomicU8::new(0), random: SeededRandom::new(seed) }
    }

    /// Never gives way: a call ends in the poll that starts it.
    pub(crate) fn straight(&self) {
        self.mode.store(0, Ordering::SeqCst);
    }

    /// Gives way once before and once after every call: each is a place where a process may end.
    pub(crate) fn stepwise(&self) {
        self.mode.store(1, Ordering::SeqCst);
    }

    /// Gives way a seeded number of times: processes overtake each other.
    pub(crate) fn shuffled(&self) {
        self.mode.store(2, Ordering::SeqCst);
    }

    async fn edge(&self) {
        let times = match self.mode.load(Ordering::SeqCst) {
            0 => 0,
            1 => 1,
            _ => self.random.next_u64() % 5,
        };
        for _ in 0..times {
            tokio::task::yield_now().await;
        }
    }
}

/// A store that counts what is asked of it.
#[derive(Debug)]
pub(crate) struct PacedStore {
    inner: Arc<dyn Store>,
    pace: Arc<Pace>,
    calls: AtomicU64,
    rows: AtomicU64,
    largest: AtomicU64,
}

impl PacedStore {
    pub(crate) fn new(inner: Arc<dyn Store>, pace: Arc<Pace>) -> Self {
        Self { inner, pace, calls: AtomicU64::new(0), rows: AtomicU64::new(0), largest: AtomicU64::new(0) }
    }

    /// Calls so far, and rows read by them.
    pub(crate) fn counts(&self) -> (u64, u64) {
        (self.calls.load(Ordering::SeqCst), self.rows.load(Ordering::SeqCst))
    }

    /// The most rows that one call answered or one commit wrote.
    pub(crate) fn largest(&self) -> u64 {
        self.largest.load(Ordering::SeqCst)
    }

    async fn around<T>(
        &self,
        call: impl Future<Output = Result<T>>,
        rows: impl Fn(&T) -> usize,
    ) -> Result<T> {
        self.pace.edge().await;
        self.calls.fetch_add(1, Ordering::SeqCst);
        let answer = call.await?;
        self.rows.fetch_add(rows(&answer) as u64, Ordering::SeqCst);
        self.largest.fetch_max(rows(&answer) as u64, Ordering::SeqCst);
        self.pace.edge().await;
        Ok(answer)
    }
}

#[async_trait]
impl Store for PacedStore {
    async fn get(&self, realm: &RealmId, table: Table, keys: &[String]) -> Result<Vec<Option<Row>>> {
        self.around(self.inner.get(realm, table, keys), |rows| rows.iter().flatten().count()).await
    }

    async fn scan(&self, scan: &Scan) -> Result<Rows> {
        self.around(self.inner.scan(scan), |rows| rows.rows.len()).await
    }

    async fn scan_all(&self, scans: &[Scan]) -> Result<Vec<Rows>> {
        let count = |pages: &Vec<Rows>| pages.iter().map(|rows| rows.rows.len()).sum();
        self.around(self.inner.scan_all(scans), count).await
    }

    async fn count(&self, realm: &RealmId, table: Table, select: &Select) -> Result<u64> {
        self.around(self.inner.count(realm, table, select), |_| 0).await
    }

    async fn read_stream(
        &self,
        realm: &RealmId,
        stream: Stream,
        after: u64,
        limit: u32,
    ) -> Result<Vec<(u64, Row)>> {
        self.around(self.inner.read_stream(realm, stream, after, limit), Vec::len).await
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
        self.around(self.inner.read_stream_by(realm, stream, column, value, after, limit), Vec::len).await
    }

    async fn commit(&self, changes: Changes) -> Result<Commit> {
        let rows = changes.put.len() + changes.append.len();
        self.largest.fetch_max(rows as u64, Ordering::SeqCst);
        self.around(self.inner.commit(changes), |_| 0).await
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

    async fn backup(&self, path: &Path) -> Result<()> {
        self.inner.backup(path).await
    }
}

/// What was asked of the target.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Write {
    Create { attributes: Attributes, enabled: Option<bool>, password: bool },
    Update { key: String, delta: Delta },
    Rename { key: String, naming: Attributes },
    Delete { key: String },
    Set { key: String, enabled: bool },
    Edge { group: String, member: String, add: bool },
    Password { key: String },
}

impl Write {
    /// The object it is about; `None` for a create.
    pub(crate) fn key(&self) -> Option<&str> {
        match self {
            Self::Create { .. } => None,
            Self::Update { key, .. }
            | Self::Rename { key, .. }
            | Self::Delete { key }
            | Self::Set { key, .. }
            | Self::Password { key } => Some(key),
            Self::Edge { member, .. } => Some(member),
        }
    }
}

/// The directory with a record of the writes that reached it, each with the correlation of its call.
#[derive(Debug)]
pub(crate) struct Wire {
    inner: MemoryConnector,
    pace: Arc<Pace>,
    writes: Mutex<Vec<(String, Write)>>,
    /// The answer to the write with this number, from now on, never comes.
    hang: AtomicU64,
}

impl Wire {
    pub(crate) fn new(inner: MemoryConnector, pace: Arc<Pace>) -> Self {
        Self { inner, pace, writes: Mutex::default(), hang: AtomicU64::new(0) }
    }

    /// The writes since the last call of this.
    pub(crate) fn take(&self) -> Vec<(String, Write)> {
        std::mem::take(&mut *self.writes.lock().unwrap())
    }

    async fn note(&self, cx: &Context, write: Write) {
        self.pace.edge().await;
        self.writes.lock().unwrap().push((cx.correlation.clone(), write));
    }

    /// The answer to the write with this number (the next one is 1) never comes.
    pub(crate) fn hang_at(&self, number: u64) {
        self.hang.store(number, Ordering::SeqCst);
    }

    async fn after<T>(&self, answer: T) -> T {
        let left = self.hang.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        if left == Ok(1) {
            std::future::pending::<()>().await;
        }
        self.pace.edge().await;
        answer
    }
}

#[async_trait]
impl Connector for Wire {
    fn info(&self) -> ConnectorInfo {
        self.inner.info()
    }

    async fn check(&self, cx: &Context) -> Result<()> {
        self.inner.check(cx).await
    }

    async fn discover(&self, cx: &Context) -> Result<Discovery> {
        self.inner.discover(cx).await
    }

    async fn get(&self, cx: &Context, request: GetRequest) -> Result<Option<Object>> {
        self.pace.edge().await;
        self.inner.get(cx, request).await
    }

    fn list(&self, cx: &Context, request: ListRequest) -> Result<Listing> {
        self.inner.list(cx, request)
    }

    fn writer(&self) -> Option<&dyn Writer> {
        Some(self)
    }

    fn membership(&self) -> Option<&dyn MembershipFacet> {
        Some(self)
    }

    fn lifecycle(&self) -> Option<&dyn LifecycleFacet> {
        Some(self)
    }

    fn credential(&self) -> Option<&dyn Credential> {
        Some(self)
    }
}

#[async_trait]
impl Writer for Wire {
    async fn create(&self, cx: &Context, request: CreateRequest) -> Result<Outcome> {
        let write = Write::Create {
            attributes: request.attributes.clone(),
            enabled: request.enabled,
            password: request.password.is_some(),
        };
        self.note(cx, write).await;
        self.after(Writer::create(&self.inner, cx, request).await).await
    }

    async fn update(&self, cx: &Context, request: UpdateRequest) -> Result<Outcome> {
        self.note(cx, Write::Update { key: request.key.id.clone(), delta: request.delta.clone() }).await;
        self.after(Writer::update(&self.inner, cx, request).await).await
    }

    async fn rename(&self, cx: &Context, request: RenameRequest) -> Result<Outcome> {
        self.note(cx, Write::Rename { key: request.key.id.clone(), naming: request.naming.clone() }).await;
        self.after(Writer::rename(&self.inner, cx, request).await).await
    }

    async fn delete(&self, cx: &Context, request: DeleteRequest) -> Result<Outcome> {
        self.note(cx, Write::Delete { key: request.key.id.clone() }).await;
        self.after(Writer::delete(&self.inner, cx, request).await).await
    }
}

#[async_trait]
impl MembershipFacet for Wire {
    async fn change(&self, cx: &Context, request: MembershipRequest) -> Result<Vec<EdgeOutcome>> {
        for edge in &request.edges {
            let (group, member) = (request.group.id.clone(), edge.member.id.clone());
            self.note(cx, Write::Edge { group, member, add: edge.add }).await;
        }
        self.after(MembershipFacet::change(&self.inner, cx, request).await).await
    }
}

#[async_trait]
impl LifecycleFacet for Wire {
    async fn set(&self, cx: &Context, request: LifecycleRequest) -> Result<Outcome> {
        self.note(cx, Write::Set { key: request.key.id.clone(), enabled: request.enabled }).await;
        self.after(LifecycleFacet::set(&self.inner, cx, request).await).await
    }
}

#[async_trait]
impl Credential for Wire {
    async fn set_password(&self, cx: &Context, request: CredentialRequest) -> Result<Outcome> {
        self.note(cx, Write::Password { key: request.key.id.clone() }).await;
        self.after(Credential::set_password(&self.inner, cx, request).await).await
    }
}
