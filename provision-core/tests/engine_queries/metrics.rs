//! The numbers that a run hands over are those of the guide, and no others.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use metrics::{Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit};
use provision_core::connector::{Completeness, Context, Registry};
use provision_core::engine::{RunOptions, RunUntil, Stop};
use provision_core::event::{EventMessage, EventSink, RelayOptions, Sent};
use provision_core::memory::{Fault, FaultRule, Faults, Operation};
use provision_core::plan::PaceSettings;
use provision_core::runtime::{Clock, Runtime};
use provision_core::source::{
    Absence, Feed, FeedEvent, FeedGuard, FeedMode, FeedRecord, FeedSequence, Source, SourceSettings,
};
use provision_core::store::Store;
use provision_core::value::Zone;

use crate::realm::Realm;
use crate::test_time::TestTime;

const GUIDE: &str = include_str!("../../../docs/guide/metrics.md");

/// Name to kind and labels.
type Numbers = BTreeMap<String, (String, Vec<String>)>;

#[derive(Default)]
struct Seen {
    described: Mutex<BTreeMap<String, (String, Option<Unit>)>>,
    given: Mutex<Numbers>,
}

impl Seen {
    fn describe(&self, kind: &str, name: &KeyName, unit: Option<Unit>) {
        self.described.lock().unwrap().insert(name.as_str().to_owned(), (kind.to_owned(), unit));
    }

    fn register(&self, kind: &str, key: &Key) {
        let labels = key.labels().map(|label| label.key().to_owned()).collect();
        self.given.lock().unwrap().insert(key.name().to_owned(), (kind.to_owned(), labels));
    }
}

impl Recorder for Seen {
    fn describe_counter(&self, key: KeyName, unit: Option<Unit>, _: SharedString) {
        self.describe("counter", &key, unit);
    }

    fn describe_gauge(&self, key: KeyName, unit: Option<Unit>, _: SharedString) {
        self.describe("gauge", &key, unit);
    }

    fn describe_histogram(&self, key: KeyName, unit: Option<Unit>, _: SharedString) {
        self.describe("histogram", &key, unit);
    }

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        self.register("counter", key);
        Counter::noop()
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        self.register("gauge", key);
        Gauge::noop()
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        self.register("histogram", key);
        Histogram::noop()
    }
}

/// What the guide lists: the first column, kind, and the words in back quotes before a colon or alone.
fn listed() -> Numbers {
    let rows = GUIDE.lines().filter_map(|line| line.strip_prefix("| `provision_"));
    let number = |row: &str| {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let known = ["target", "outcome", "kind", "sink"];
        let labels = known.iter().filter(|label| cells[3].contains(&format!("`{label}`")));
        let name = format!("provision_{}", cells[0].trim_end_matches('`'));
        (name, (cells[1].to_owned(), labels.map(|label| (*label).to_owned()).collect()))
    };
    rows.map(number).collect()
}

#[derive(Debug)]
pub(crate) struct NoFeeds;

#[async_trait::async_trait]
impl Source for NoFeeds {
    async fn feeds(&self, _cx: &Context) -> provision_core::Result<Vec<Feed>> {
        Ok(Vec::new())
    }

    async fn get(&self, _cx: &Context, _key: &str) -> provision_core::Result<Option<FeedRecord>> {
        Ok(None)
    }
}

#[derive(Debug)]
struct Deaf;

#[async_trait::async_trait]
impl EventSink for Deaf {
    async fn send(&self, _events: &[EventMessage]) -> Sent {
        Sent::until(0, provision_core::Error::new(provision_core::ErrorKind::Unavailable, "away"))
    }
}

/// Everything there is a number for: people are hired, calls are refused, a target asks for a pause and is stopped.
async fn a_day() {
    let clock = TestTime::new(false);
    let pace = PaceSettings { requests: 100, seconds: 1, burst: 1, credential: None };
    let realm = Realm::timed(clock.clone(), |settings| settings.pace = Some(pace.clone())).await;
    let (runtime, engine) = realm.another(clock.clone(), Some("a")).await;
    let source = SourceSettings {
        name: "people".into(),
        kind: "none".to_owned(),
        config: serde_json::Value::Null,
        precedence: 0,
        precedence_of: Default::default(),
        null_yields: Default::default(),
        engagements: None,
        asserts: None,
        asserts_lifecycle: true,
        absence: Absence::RemoveAfter(1),
        guard: FeedGuard::default(),
        correlate: Default::default(),
        zone: Zone::utc(),
    };
    engine.put_source(&realm.robot, source).await.unwrap();
    let end = FeedEvent::End(Completeness::Complete { proof: "end of file".to_owned() });
    let feed = Feed {
        name: "first".to_owned(),
        mode: FeedMode::Full,
        sequence: FeedSequence { order: Some("1".to_owned()), content: "1".to_owned() },
        records: Box::pin(futures_util::stream::iter([Ok(end)])),
    };
    engine.ingest_feed(&realm.robot, &"people".into(), feed, &mut |_| {}).await.unwrap();
    let fault =
        |fault| Faults { seed: 1, rules: vec![FaultRule::always(Operation::Create, fault).at_most(1)] };
    realm.hire(1, "1042", "Jane Doe", "Finance").await;
    realm.hire(2, "1043", "John Roe", "Finance").await;
    let stop = Stop::new();
    let options = RunOptions { until: RunUntil::Forever, stop: stop.clone(), ..RunOptions::default() };
    let watch = async {
        clock.sleep(Duration::from_secs(30)).await;
        realm.directory.set_faults(fault(Fault::RateLimit(Some(1_000))));
        realm.hire(3, "1044", "Max Low", "IT").await;
        clock.sleep(Duration::from_secs(60)).await;
        realm.directory.set_faults(fault(Fault::RefuseCredentials));
        realm.hire(4, "1045", "Eve Law", "IT").await;
        clock.sleep(Duration::from_secs(600)).await;
        stop.stop();
    };
    futures_util::future::join(runtime.run(&realm.robot, &options), watch).await.0.unwrap();
    let store: Arc<dyn Store> = realm.store.clone();
    let relay = Runtime::builder(store, Registry::new()).clock(clock).sink("bus", Arc::new(Deaf)).build();
    relay.relay(&RelayOptions::default()).await.unwrap();
}

#[test]
fn the_guide_lists_every_number() {
    let seen = Arc::new(Seen::default());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let runtime = runtime.unwrap();
    metrics::with_local_recorder(seen.as_ref(), || runtime.block_on(a_day()));
    let given = seen.given.lock().unwrap().clone();
    let listed = listed();
    assert!(listed.len() > 10, "{listed:?}");
    assert_eq!(given, listed);
    let described = seen.described.lock().unwrap();
    let kinds: BTreeMap<_, _> =
        described.iter().map(|(name, (kind, _))| (name.clone(), kind.clone())).collect();
    let expected = listed.into_iter().map(|(name, (kind, _))| (name, kind)).collect();
    assert_eq!(kinds, expected);
    for (name, (_, unit)) in described.iter() {
        let seconds = name.ends_with("_seconds");
        assert_eq!(*unit, Some(if seconds { Unit::Seconds } else { Unit::Count }), "{name}");
    }
}
