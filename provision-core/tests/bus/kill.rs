//! Processes that are killed between commit, publish, acknowledgement and the move of the cursor.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use provision_core::Result;
use provision_core::engine::RunUntil;
use provision_core::event::jetstream::{JetStreamSink, JetStreamSinkOptions};
use provision_core::event::{EventMessage, EventSink, RelayOptions, Sent};
use provision_core::id::RealmId;
use provision_core::runtime::{Clock, SeededRandom, SystemClock};
use provision_core::store::{
    Changes, Commit, Due, DueRealms, Row, Rows, Scan, Select, SqliteOptions, SqliteStore, Store, Stream,
    Table,
};
#[cfg(feature = "postgres")]
use provision_core::store::{PostgresOptions, PostgresStore};
#[cfg(feature = "postgres")]
use provision_core::testkit::peer::shared_postgres;
use provision_core::value::Timestamp;

use crate::fixture::{builder, commit, options};
use crate::jetstream::assert_once_and_in_order;
use crate::stream::{bus, read, server};

const KILLS: u64 = 200;
const REALM: &str = "acme";

/// A clock that is so far ahead: the leases of a killed process are over for the next one.
#[derive(Debug)]
struct Ahead(Duration);

#[async_trait]
impl Clock for Ahead {
    fn now(&self) -> Timestamp {
        SystemClock.now().plus(self.0)
    }

    async fn sleep(&self, duration: Duration) {
        SystemClock.sleep(duration).await;
    }
}

/// Opens the store at a `postgres://` address, or in a file.
async fn open(place: &str, generation: u64) -> Arc<dyn Store> {
    let clock = Arc::new(Ahead(Duration::from_secs(60 * generation)));
    #[cfg(feature = "postgres")]
    if place.starts_with("postgres://") {
        let options = PostgresOptions { own_clock: true, ..PostgresOptions::new(place) };
        return Arc::new(PostgresStore::open(options, clock).await.unwrap());
    }
    Arc::new(SqliteStore::open(Path::new(place), SqliteOptions::default(), clock).unwrap())
}

fn sink(url: &str, stream: &str) -> JetStreamSink {
    JetStreamSink::new(bus(url), JetStreamSinkOptions::new(stream, stream.to_lowercase())).unwrap()
}

/// Counts what happens. At the point it is told of, it says so; then everything stands still, or goes on into the kill.
#[derive(Debug)]
struct Points {
    passed: AtomicU64,
    last: u64,
    stands_still: bool,
}

impl Points {
    async fn pass(&self, what: &str) {
        let number = self.passed.fetch_add(1, Ordering::SeqCst) + 1;
        if number == self.last {
            println!("\nat {what}");
        }
        if number >= self.last && self.stands_still {
            std::future::pending::<()>().await;
        }
    }
}

/// A sink with points around it.
#[derive(Debug)]
struct Watched(JetStreamSink, Arc<Points>);

#[async_trait]
impl EventSink for Watched {
    async fn send(&self, events: &[EventMessage]) -> Sent {
        self.1.pass("publish").await;
        let sent = self.0.send(events).await;
        self.1.pass("acknowledged").await;
        sent
    }
}

/// A store with points around its commits.
#[derive(Debug)]
struct WatchedStore(Arc<dyn Store>, Arc<Points>);

#[async_trait]
impl Store for WatchedStore {
    async fn get(&self, realm: &RealmId, table: Table, keys: &[String]) -> Result<Vec<Option<Row>>> {
        self.0.get(realm, table, keys).await
    }

    async fn marks(&self, realm: &RealmId, table: Table, keys: Vec<String>) -> Result<Vec<Option<String>>> {
        self.0.marks(realm, table, keys).await
    }

    async fn scan_marks(
        &self,
        realm: &RealmId,
        table: Table,
        prefix: &str,
        after: Option<String>,
        limit: u32,
    ) -> Result<Vec<(String, Option<String>)>> {
        self.0.scan_marks(realm, table, prefix, after, limit).await
    }

    async fn scan(&self, scan: &Scan) -> Result<Rows> {
        self.0.scan(scan).await
    }

    async fn scan_all(&self, scans: &[Scan]) -> Result<Vec<Rows>> {
        self.0.scan_all(scans).await
    }

    async fn count(&self, realm: &RealmId, table: Table, select: &Select) -> Result<u64> {
        self.0.count(realm, table, select).await
    }

    async fn read_stream(
        &self,
        realm: &RealmId,
        stream: Stream,
        after: u64,
        limit: u32,
    ) -> Result<Vec<(u64, Row)>> {
        self.0.read_stream(realm, stream, after, limit).await
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
        self.0.read_stream_by(realm, stream, column, value, after, limit).await
    }

    async fn commit(&self, changes: Changes) -> Result<Commit> {
        let what = if changes.append.is_empty() { "cursor" } else { "commit" };
        self.1.pass(what).await;
        let done = self.0.commit(changes).await;
        self.1.pass(if what == "cursor" { "cursor moved" } else { "committed" }).await;
        done
    }

    async fn now(&self) -> Result<Timestamp> {
        self.0.now().await
    }

    async fn epoch(&self) -> Result<String> {
        self.0.epoch().await
    }

    async fn realms(&self) -> Result<Vec<RealmId>> {
        self.0.realms().await
    }

    async fn due_realms(&self, dues: &[Due]) -> Result<Vec<DueRealms>> {
        self.0.due_realms(dues).await
    }

    async fn backup(&self, path: &Path) -> Result<()> {
        self.0.backup(path).await
    }
}

/// Where a run has its events.
struct Place {
    store: String,
    url: String,
    stream: &'static str,
}

impl Place {
    fn child(&self, generation: u64, last: u64, stands_still: bool) -> Child {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "kill::child_commits_and_relays_until_killed", "--nocapture"]);
        let told = format!("{generation} {last} {stands_still} {}", self.stream);
        command.env("BUS_STORE", &self.store).env("BUS_URL", &self.url).env("BUS_KILL", told);
        command.stdout(Stdio::piped()).spawn().unwrap()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child_commits_and_relays_until_killed() {
    let Ok(place) = std::env::var("BUS_STORE") else { return };
    let url = std::env::var("BUS_URL").unwrap();
    let told = std::env::var("BUS_KILL").unwrap();
    let told: Vec<&str> = told.split(' ').collect();
    let (generation, last, stands_still) =
        (told[0].parse().unwrap(), told[1].parse().unwrap(), told[2] == "true");
    let points = Arc::new(Points { passed: AtomicU64::new(0), last, stands_still });
    let store = open(&place, generation).await;
    let store: Arc<dyn Store> = Arc::new(WatchedStore(store, Arc::clone(&points)));
    let runtime = builder(&store).sink("bus", Arc::new(Watched(sink(&url, told[3]), points))).build();
    let poll = Duration::from_millis(20);
    let options = RelayOptions { until: RunUntil::Forever, poll, batch: 10, ..options() };
    let commits = async {
        for number in 0u32.. {
            commit(&runtime, REALM, Some(u128::from(number % 5)), &format!("g{generation}.n{number}")).await;
        }
    };
    futures_util::future::join(runtime.relay(&options), commits).await.0.unwrap();
}

/// Kills processes, each at a point or a moment after it; how many at which.
async fn kill(place: &Place) -> BTreeMap<String, u64> {
    let seed = std::env::var("BUS_SEED").ok().map_or(1, |seed| seed.parse().unwrap());
    println!("BUS_SEED={seed}");
    let random = SeededRandom::new(seed);
    let draw = |below: u64| random.next_u64() % below;
    let mut killed_at: BTreeMap<String, u64> = BTreeMap::new();
    for generation in 0..KILLS {
        let (last, stands_still) = (draw(40) + 5, draw(2) == 0);
        let mut child = place.child(generation, last, stands_still);
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
        let at = lines.find_map(|line| line.strip_prefix("at ").map(str::to_owned));
        if !stands_still {
            SystemClock.sleep(Duration::from_micros(draw(3_000))).await;
        }
        child.kill().unwrap();
        assert!(!child.wait().unwrap().success());
        let at = at.unwrap_or_else(|| panic!("child {generation} ended by itself"));
        *killed_at.entry(at).or_default() += 1;
    }
    println!("killed at {killed_at:?}");
    killed_at
}

/// After all kills every event of the store is in the stream, once by its id: a plain consumer reads it.
async fn nothing_is_lost_or_doubled(place: &Place, killed_at: &BTreeMap<String, u64>) {
    assert_eq!(killed_at.values().sum::<u64>(), KILLS);
    for what in ["commit", "committed", "publish", "acknowledged", "cursor", "cursor moved"] {
        assert!(
            killed_at.get(what).is_some_and(|kills| *kills >= 5),
            "too few kills at {what}: {killed_at:?}"
        );
    }
    let store = open(&place.store, KILLS).await;
    let runtime = builder(&store).sink("bus", Arc::new(sink(&place.url, place.stream))).build();
    let report = runtime.relay(&options()).await.unwrap();
    assert!(report.problems.is_empty(), "{report:?}");
    let mut expected = BTreeSet::new();
    let mut after = 0;
    loop {
        let page = store.read_stream(&REALM.into(), Stream::Outbox, after, 1_000).await.unwrap();
        let Some((last, _)) = page.last() else { break };
        after = *last;
        expected.extend(page.iter().map(|(number, _)| *number));
    }
    let messages = read(&place.url, place.stream).await;
    assert_once_and_in_order(&messages);
    let found: BTreeSet<u64> = messages.iter().map(|(.., message)| message.number).collect();
    let lost: Vec<u64> = expected.difference(&found).copied().collect();
    assert!(lost.is_empty(), "lost: {lost:?}");
    assert_eq!(found, expected, "what was never committed");
    println!("{} events", expected.len());
    assert!(expected.len() > 400, "{} events", expected.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_kills_lose_nothing_and_double_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("store.db").display().to_string();
    let place = Place { store, url: server().url(), stream: "KILL" };
    nothing_is_lost_or_doubled(&place, &kill(&place).await).await;
}

#[cfg(feature = "postgres")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_kills_lose_nothing_and_double_nothing_on_postgresql() {
    let postgres = shared_postgres().unwrap();
    let database = postgres.database().unwrap();
    let store = format!("{}?sslmode=disable", postgres.url(&database));
    let place = Place { store, url: server().url(), stream: "KILL_POSTGRES" };
    let killed_at = kill(&place).await;
    // A commit that the last process had sent may still be carried out, with nobody to wait for it.
    let others = "select count(*) from pg_stat_activity where datname = current_database()
        and pid <> pg_backend_pid() and backend_type = 'client backend'";
    let gone = async {
        while postgres.sql(&database, others).unwrap() != "0" {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), gone).await.unwrap();
    nothing_is_lost_or_doubled(&place, &killed_at).await;
}
