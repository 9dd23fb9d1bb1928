//! Between the engine and what it works on: counts, records, and stops at every call.

use std::path::Path;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use provision_core::Result;
use provision_core::connector::{Connector, Context, Edge};
use provision_core::delta::Delta;
use provision_core::id::RealmId;
use provision_core::memory::MemoryConnector;
use provision_core::runtime::{Clock, SeededRandom};
use provision_core::store::{Changes, Commit, Due, DueRealms, Row, Rows, Scan, Select, Store, Stream, Table};
use provision_core::testkit::fault::{
    Answer, Fault, FaultLayer, FaultRule, LayerOptions, Observer, Operation, Request,
};
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

    async fn marks(&self, realm: &RealmId, table: Table, keys: Vec<String>) -> Result<Vec<Option<String>>> {
        self.around(self.inner.marks(realm, table, keys), Vec::len).await
    }

    async fn scan_marks(
        &self,
        realm: &RealmId,
        table: Table,
        prefix: &str,
        after: Option<String>,
        limit: u32,
    ) -> Result<Vec<(String, Option<String>)>> {
        self.around(self.inner.scan_marks(realm, table, prefix, after, limit), Vec::len).await
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

    async fn due_realms(&self, dues: &[Due]) -> Result<Vec<DueRealms>> {
        self.around(self.inner.due_realms(dues), |_| 0).await
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

/// The directory behind a fault layer, with a record of the writes that reached it, each with the correlation of its
/// call.
#[derive(Debug)]
pub(crate) struct Wire {
    layer: FaultLayer,
    log: Arc<WireLog>,
}

/// Notes every write, and gives way at the edges of the calls.
#[derive(Debug)]
struct WireLog {
    pace: Arc<Pace>,
    writes: Mutex<Vec<(String, Write)>>,
}

impl Wire {
    pub(crate) fn new(inner: MemoryConnector, clock: Arc<dyn Clock>, pace: Arc<Pace>) -> Self {
        let log = Arc::new(WireLog { pace, writes: Mutex::default() });
        let options = LayerOptions { observer: Some(log.clone()), ..LayerOptions::default() };
        Self { layer: FaultLayer::with(Arc::new(inner), clock, options), log }
    }

    /// What the engine speaks to.
    pub(crate) fn connector(&self) -> Arc<dyn Connector> {
        Arc::new(self.layer.clone())
    }

    /// What makes faults between the engine and the directory.
    pub(crate) fn layer(&self) -> &FaultLayer {
        &self.layer
    }

    /// The writes since the last call of this.
    pub(crate) fn take(&self) -> Vec<(String, Write)> {
        std::mem::take(&mut *self.log.writes.lock().unwrap())
    }

    /// The answer to the write with this number (the next one is 1) never comes.
    pub(crate) fn hang_at(&self, number: u64) {
        let hang = FaultRule::at(Operation::Create, [number], Fault::HangResponse);
        self.layer.set_rules([FaultRule { on: WRITES.into(), ..hang }]);
    }
}

pub(crate) const WRITES: [Operation; 7] = [
    Operation::Create,
    Operation::Update,
    Operation::Rename,
    Operation::Delete,
    Operation::Membership,
    Operation::Lifecycle,
    Operation::Credential,
];

/// The writes of a request: of a membership request, one for each edge.
fn writes(request: &Request) -> Vec<Write> {
    vec![match request {
        Request::Create(request) => Write::Create {
            attributes: request.attributes.clone(),
            enabled: request.enabled,
            password: request.password.is_some(),
        },
        Request::Update(request) => {
            Write::Update { key: request.key.id.clone(), delta: request.delta.clone() }
        }
        Request::Rename(request) => {
            Write::Rename { key: request.key.id.clone(), naming: request.naming.clone() }
        }
        Request::Delete(request) => Write::Delete { key: request.key.id.clone() },
        Request::Lifecycle(request) => Write::Set { key: request.key.id.clone(), enabled: request.enabled },
        Request::Credential(request) => Write::Password { key: request.key.id.clone() },
        Request::Membership(request) => {
            let edge = |edge: &Edge| Write::Edge {
                group: request.group.id.clone(),
                member: edge.member.id.clone(),
                add: edge.add,
            };
            return request.edges.iter().map(edge).collect();
        }
        _ => return Vec::new(),
    }]
}

#[async_trait]
impl Observer for WireLog {
    async fn sending(&self, cx: &Context, request: &Request) {
        if matches!(request, Request::Get(_)) {
            self.pace.edge().await;
        }
        for write in writes(request) {
            self.pace.edge().await;
            self.writes.lock().unwrap().push((cx.correlation.clone(), write));
        }
    }

    async fn answered(&self, _cx: &Context, request: &Request, _answer: &Result<Answer>) {
        if WRITES.contains(&request.operation()) {
            self.pace.edge().await;
        }
    }
}
