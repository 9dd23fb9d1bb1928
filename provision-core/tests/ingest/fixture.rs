//! A realm with real stores, and feeds made of rows.

use std::sync::Arc;

use futures_util::stream;
use provision_core::audit::AuditEntry;
use provision_core::connector::Completeness;
use provision_core::id::RealmId;
use provision_core::ingest::{FeedOutcome, Ingest};
use provision_core::model::{
    Actor, ConfiguredSource, Employment, FeedReport, Hold, HoldState, Identity, Lifecycle, SourceRecord,
    Status, Work,
};
use provision_core::runtime::{FixedClock, SeededRandom};
use provision_core::source::{
    Feed, FeedEvent, FeedMode, FeedRecord, FeedSequence, RecordAction, SourceCorrelation, SourceSettings,
};
use provision_core::store::{
    self, Changes, Commit, MemoryStore, Put, Record, Scan, Select, Store, Stored, Stream, Table,
};
use provision_core::value::{Attributes, Timestamp};
use provision_core::{Error, ErrorKind, Result};

pub(crate) struct World {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) clock: Arc<FixedClock>,
    random: SeededRandom,
    realm: RealmId,
    actor: Actor,
    _dir: Option<tempfile::TempDir>,
}

pub(crate) fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

impl World {
    fn new(store: Arc<dyn Store>, clock: Arc<FixedClock>, dir: Option<tempfile::TempDir>) -> Self {
        let (realm, actor) = (RealmId::new("acme"), Actor::service("test"));
        Self { store, clock, random: SeededRandom::new(7), realm, actor, _dir: dir }
    }

    pub(crate) fn in_memory() -> Self {
        let clock = Arc::new(FixedClock::at(at("2026-11-20T08:00:00Z")));
        Self::new(Arc::new(MemoryStore::new(clock.clone())), clock, None)
    }

    #[cfg(feature = "sqlite")]
    fn in_a_file() -> Self {
        Self::opened(provision_core::store::SqliteOptions::inline())
    }

    /// With threads: calls of two tasks interleave.
    #[cfg(feature = "sqlite")]
    pub(crate) fn threaded() -> Self {
        Self::opened(provision_core::store::SqliteOptions::default())
    }

    #[cfg(feature = "sqlite")]
    fn opened(options: provision_core::store::SqliteOptions) -> Self {
        use provision_core::store::SqliteStore;
        let clock = Arc::new(FixedClock::at(at("2026-11-20T08:00:00Z")));
        let dir = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(dir.path().join("state"), options, clock.clone()).unwrap();
        Self::new(Arc::new(store), clock, Some(dir))
    }

    pub(crate) fn each() -> Vec<Self> {
        vec![
            Self::in_memory(),
            #[cfg(feature = "sqlite")]
            Self::in_a_file(),
        ]
    }

    pub(crate) fn road(&self) -> Ingest<'_> {
        Ingest::new(&*self.store, &*self.clock, &self.random, &self.realm, &self.actor).with_batch(7)
    }

    pub(crate) async fn with_source(&self, settings: SourceSettings) {
        let mut changes = Changes::in_realm(&self.realm);
        changes.insert(&ConfiguredSource::new(settings)).unwrap();
        assert_eq!(self.store.commit(changes).await.unwrap(), Commit::Committed);
    }

    /// Gives a source other settings.
    pub(crate) async fn configure(&self, settings: SourceSettings) {
        let known = self.get::<ConfiguredSource>(settings.name.as_str()).await.unwrap();
        let mut changes = Changes::in_realm(&self.realm);
        changes.replace(known.version, &ConfiguredSource { settings, ..known.value }).unwrap();
        assert_eq!(self.store.commit(changes).await.unwrap(), Commit::Committed);
    }

    /// Drops every key that identities are found by; the index's row says this.
    pub(crate) async fn forget_keys(&self, index: &str) {
        let mut changes = Changes::in_realm(&self.realm);
        changes
            .delete
            .extend(self.rows(Table::IdentityKey).await.into_iter().map(|key| (Table::IdentityKey, key)));
        let (table, key, columns) = (Table::Meta, "correlation".to_owned(), Vec::new());
        changes.put.push(Put { table, key, columns, body: index.to_owned() });
        assert_eq!(self.store.commit(changes).await.unwrap(), Commit::Committed);
    }

    /// The keys of a table's rows.
    pub(crate) async fn rows(&self, table: Table) -> Vec<String> {
        let (realm, select) = (self.realm.clone(), Select::KeyPrefix(String::new()));
        let scan = Scan { realm, table, select, after: None, limit: 10_000 };
        self.store.scan(&scan).await.unwrap().rows.into_iter().map(|row| row.key).collect()
    }

    pub(crate) async fn feed(&self, source: &str, feed: Feed) -> FeedOutcome {
        self.road().feed(source, feed, &mut |_| {}).await.unwrap()
    }

    pub(crate) async fn applied(&self, source: &str, feed: Feed) -> FeedReport {
        match self.feed(source, feed).await {
            FeedOutcome::Applied(report) => *report,
            other => panic!("not applied: {other:?}"),
        }
    }

    pub(crate) async fn held(&self, source: &str, feed: Feed) -> (FeedReport, Hold) {
        match self.feed(source, feed).await {
            FeedOutcome::Held { report, hold } => (*report, *hold),
            other => panic!("not held: {other:?}"),
        }
    }

    pub(crate) async fn approve(&self, hold: &Hold) {
        let mut stored = self.get::<Hold>(&hold.id.to_string()).await.unwrap();
        stored.value.state = HoldState::Approved;
        stored.value.decided_by = Some(Actor::person("boss"));
        let mut changes = Changes::in_realm(&self.realm);
        changes.replace(stored.version, &stored.value).unwrap();
        assert_eq!(self.store.commit(changes).await.unwrap(), Commit::Committed);
    }

    pub(crate) async fn get<R: Record>(&self, key: &str) -> Option<Stored<R>> {
        store::get(&*self.store, &self.realm, key).await.unwrap()
    }

    pub(crate) async fn all<R: Record>(&self) -> Vec<Stored<R>> {
        let all = Select::KeyPrefix(String::new());
        store::list_by(&*self.store, &self.realm, all, None, 100_000).await.unwrap().0
    }

    pub(crate) async fn record(&self, source: &str, key: &str) -> Option<SourceRecord> {
        self.get(&SourceRecord::row_key(&source.into(), key)).await.map(|stored| stored.value)
    }

    pub(crate) async fn identity(&self, source: &str, key: &str) -> Identity {
        let record = self.record(source, key).await.unwrap();
        self.get::<Identity>(&record.identity.to_string()).await.unwrap().value
    }

    pub(crate) async fn standing(&self, source: &str, key: &str) -> Lifecycle {
        use provision_core::runtime::Clock;
        self.identity(source, key).await.lifecycle(self.clock.now()).unwrap().0
    }

    pub(crate) async fn work(&self, key: &str) -> Option<Work> {
        self.get(key).await.map(|stored| stored.value)
    }

    pub(crate) async fn source(&self, name: &str) -> ConfiguredSource {
        self.get(name).await.unwrap().value
    }

    /// As a worker does that has looked at everything.
    pub(crate) async fn work_off(&self) {
        let mut changes = Changes::in_realm(&self.realm);
        for work in self.all::<Work>().await {
            changes.delete::<Work>(work.value.key());
        }
        self.store.commit(changes).await.unwrap();
    }

    pub(crate) async fn audit(&self) -> Vec<AuditEntry> {
        let rows = self.store.read_stream(&self.realm, Stream::Audit, 0, 100_000).await.unwrap();
        rows.iter().map(|(_, row)| serde_json::from_str(&row.body).unwrap()).collect()
    }

    pub(crate) async fn events(&self) -> Vec<String> {
        self.audit().await.into_iter().map(|entry| entry.event).collect()
    }

    /// Identities without their ids: what two runs must agree on.
    pub(crate) async fn people(&self) -> Vec<String> {
        let mut people: Vec<String> = Vec::new();
        for Stored { value: one, .. } in self.all::<Identity>().await {
            people.push(format!(
                "{}:{} {:?} {:?} {:?} {:?}",
                one.source, one.key, one.attributes, one.provenance, one.employment, one.zone
            ));
        }
        people.sort();
        people
    }
}

pub(crate) fn settings(name: &str) -> SourceSettings {
    serde_json::from_value(serde_json::json!({ "name": name, "kind": "rows" })).unwrap()
}

/// Rules as they are configured.
pub(crate) fn rules(correlate: serde_json::Value) -> SourceCorrelation {
    serde_json::from_value(correlate).unwrap()
}

/// A source whose addresses are all verified finds people by them.
pub(crate) fn by_mail() -> SourceCorrelation {
    rules(serde_json::json!({
        "rules": [{ "name": "mail", "items": [{ "attribute": "mail" }] }],
        "verifies_mail": true,
        "may_have_left": true,
    }))
}

/// A row `key`, with a given name.
pub(crate) fn row(key: &str, name: &str) -> FeedRecord {
    record(key, Attributes::new().with("givenName", name), Employment::default())
}

pub(crate) fn record(key: &str, attributes: Attributes, employment: Employment) -> FeedRecord {
    let fingerprint = format!("{attributes:?}{employment:?}");
    FeedRecord {
        key: key.to_owned(),
        position: 1,
        attributes,
        employment,
        zone: None,
        action: RecordAction::Upsert,
        fingerprint,
    }
}

pub(crate) fn dated(key: &str, start: Option<&str>, end: Option<&str>) -> FeedRecord {
    let date = |text: Option<&str>| text.map(|text| text.parse().unwrap());
    let employment = Employment { start: date(start), end: date(end), status: Status::Active };
    record(key, Attributes::new().with("givenName", "Ann"), employment)
}

pub(crate) fn ended(key: &str, name: &str) -> FeedRecord {
    let employment = Employment { status: Status::Terminated, ..Employment::default() };
    record(key, Attributes::new().with("givenName", name), employment)
}

pub(crate) fn tombstone(key: &str) -> FeedRecord {
    FeedRecord { action: RecordAction::Remove, fingerprint: "gone".to_owned(), ..row(key, "") }
}

/// `count` rows, `p000` and up.
pub(crate) fn rows(count: usize) -> Vec<FeedRecord> {
    (0..count).map(|n| row(&format!("p{n:03}"), &format!("Name {n}"))).collect()
}

pub(crate) fn whole() -> Result<FeedEvent> {
    Ok(FeedEvent::End(Completeness::Complete { proof: "end of file".to_owned() }))
}

pub(crate) fn broken() -> Result<FeedEvent> {
    Err(Error::new(ErrorKind::Unavailable, "page 3 could not be read"))
}

pub(crate) fn feed_of(mode: FeedMode, order: &str, events: Vec<Result<FeedEvent>>) -> Feed {
    let content = format!("{events:?}");
    Feed {
        name: format!("feed {order}"),
        mode,
        sequence: FeedSequence { order: (!order.is_empty()).then(|| order.to_owned()), content },
        records: Box::pin(stream::iter(events)),
    }
}

/// A complete full feed.
pub(crate) fn full(order: &str, rows: Vec<FeedRecord>) -> Feed {
    feed_of(FeedMode::Full, order, vec![Ok(FeedEvent::Records(rows)), whole()])
}

/// A complete delta feed.
pub(crate) fn delta(order: &str, rows: Vec<FeedRecord>) -> Feed {
    feed_of(FeedMode::Delta, order, vec![Ok(FeedEvent::Records(rows)), whole()])
}
