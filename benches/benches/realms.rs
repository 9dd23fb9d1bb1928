//! Many realms in one process: what an idle one costs, how often the store is asked while nothing is due, and how long
//! a busy realm delays another.
//!
//! `--smoke`: 200 realms. `--realms N`, `--changes N`: other sizes.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt, stream};
use provision_benches::counted::Counted;
use provision_benches::report::Figure;
use provision_benches::{
    BenchPolicy, Outcome, Size, Table, expect, number_of, peak_memory_kib, run, seconds, timed,
};
use provision_core::connector::{Connector, Registry};
use provision_core::engine::{Engine, RunOptions, RunUntil, Stop};
use provision_core::id::IdentityId;
use provision_core::memory::{MemoryConfig, MemoryConnector};
use provision_core::model::{Actor, ConfiguredTarget, Employment, Identity, Work};
use provision_core::plan::{Budget, BudgetKind, ClassSettings, Drive, TargetSettings};
use provision_core::policy::Policy;
use provision_core::runtime::{AllowAll, Clock, FixedClock, Runtime, SystemClock};
use provision_core::store::{Changes, SqliteOptions, SqliteStore, Store};
use provision_core::value::{Attributes, Timestamp, Zone};
use uuid::Uuid;

const BENCH: &str = "realms";
/// Virtual minutes that nothing is due for.
const IDLE: u64 = 60;
/// The page cache of each connection: small, so that memory shows what is kept for each realm, not the budget that the
/// cache of a larger store fills.
const CACHE_KIB: u32 = 64;
/// People of an idle realm, each with a date that is far away.
const PEOPLE: u64 = 20;
/// People with something to do in the realm beside the busy one.
const FEW: u64 = 10;
const BATCH: u32 = 64;

fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().collect();
    if let Some(realms) = number_of(&arguments, "--idle") {
        let path = arguments.last().ok_or("no store")?;
        let cache = number_of(&arguments, "--cache").and_then(|kib| u32::try_from(kib).ok());
        return run(idle(Path::new(path), realms, cache));
    }
    let size = Size::asked(&arguments);
    let (realms, changes) = if size == Size::Smoke { (200, 256) } else { (5_000, 2_000) };
    let realms = number_of(&arguments, "--realms").unwrap_or(realms);
    let changes = number_of(&arguments, "--changes").unwrap_or(changes);
    cost_of_idle(realms, size)?;
    run(fairness(changes as u64))
}

/// What a process says of itself after an hour in which nothing was due.
#[derive(Debug)]
struct Idled {
    peak_kib: u64,
    calls: u64,
    wall: f64,
}

/// A process of its own for each number of realms: its peak of memory is that of nothing else.
fn cost_of_idle(realms: usize, size: Size) -> Outcome<()> {
    let folder = tempfile::tempdir()?;
    let store = |count: usize| folder.path().join(format!("{count}.db"));
    run(async {
        fill(&store(0), 0).await?;
        fill(&store(realms), realms).await
    })?;
    let measure = |count: usize, cache: Option<u32>| -> Outcome<Idled> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["--idle", &count.to_string()]);
        if let Some(kib) = cache {
            command.args(["--cache", &kib.to_string()]);
        }
        let answer = command.arg(store(count)).output()?;
        let text = String::from_utf8_lossy(&answer.stdout);
        let mut numbers = text.split_whitespace().filter_map(|word| word.parse::<f64>().ok());
        let mut next = || numbers.next().ok_or_else(|| format!("no answer: {answer:?}"));
        Ok(Idled { peak_kib: next()? as u64, calls: next()? as u64, wall: next()? })
    };
    let rounds = if size == Size::Smoke { 1 } else { 5 };
    let of = |count: usize, cache: Option<u32>| -> Outcome<Idled> {
        let mut all = (0..rounds).map(|_| measure(count, cache)).collect::<Outcome<Vec<_>>>()?;
        all.sort_by_key(|idled| idled.peak_kib);
        Ok(all.swap_remove(rounds / 2))
    };
    let (none, many) = (of(0, Some(CACHE_KIB))?, of(realms, Some(CACHE_KIB))?);
    let (plain_none, plain_many) = (of(0, None)?, of(realms, None)?);
    let each = many.peak_kib.saturating_sub(none.peak_kib) as f64 / realms as f64;
    let mut table = Table::new(&["idle", "page caches", "peak memory", "store calls a minute", "a look"]);
    let (small, usual) = (format!("{CACHE_KIB} KiB"), "as usual".to_owned());
    for (count, cache, idled) in
        [(0, &small, &none), (realms, &small, &many), (0, &usual, &plain_none), (realms, &usual, &plain_many)]
    {
        let memory = format!("{} KiB", idled.peak_kib);
        let (calls, look) = (idled.calls / IDLE, format!("{:.0} µs", look_of(idled)));
        table.row([format!("{count} realms"), cache.clone(), memory, calls.to_string(), look]);
    }
    println!("{table}");
    expect("store calls while idle, whatever the number of realms", many.calls, none.calls)?;
    Figure::new(BENCH, format!("memory of an idle realm, of {realms}"), each, "KiB")
        .goal("under 1 KiB")
        .print();
    Figure::new(
        BENCH,
        format!("store calls a minute, {realms} idle realms"),
        (many.calls / IDLE) as f64,
        "calls",
    )
    .peer("no realms", (none.calls / IDLE) as f64)
    .goal("1x")
    .print();
    Figure::new(BENCH, format!("one look, {realms} idle realms"), look_of(&many), "µs")
        .peer("no realms", look_of(&none))
        .print();
    Ok(())
}

/// Microseconds of a look: there is one each second.
fn look_of(idled: &Idled) -> f64 {
    idled.wall * 1e6 / (IDLE * 60) as f64
}

/// Drives the realms of a store for an hour of virtual time in which nothing is due.
async fn idle(path: &Path, realms: usize, cache: Option<u32>) -> Outcome<()> {
    let mut options = SqliteOptions::default();
    options.cache_kib = cache.unwrap_or(options.cache_kib);
    let store = SqliteStore::open(path, options, Arc::new(SystemClock))?;
    let clock = Arc::new(FixedClock::at(SystemClock.now()));
    let store = Arc::new(Counted::new(Arc::new(store)));
    let runtime = runtime(store.clone(), clock.clone(), Registry::new());
    let (actor, policy) = (Actor::engine(), policy());
    for number in 0..realms {
        runtime.realm(name(number)).set_policy(&actor, Arc::clone(&policy)).await?;
    }
    let stop = Stop::new();
    let options = RunOptions { until: RunUntil::Forever, stop: stop.clone(), ..RunOptions::default() };
    let until = clock.now().plus(Duration::from_secs(IDLE * 60));
    let before = store.calls();
    let ((report, ()), spent) = timed(async {
        let drive = runtime.run(&actor, &options);
        let watch = async {
            while clock.now() < until {
                tokio::task::yield_now().await;
            }
            stop.stop();
        };
        futures_util::join!(drive, watch)
    })
    .await;
    expect("turns while idle", report?.turns, 0)?;
    let calls = store.calls() - before;
    println!("{} {calls} {}", peak_memory_kib().unwrap_or(0), spent.wall.as_secs_f64());
    Ok(())
}

/// Realms with a target and people, of whom nothing is due for a year.
async fn fill(path: &Path, realms: usize) -> Outcome<()> {
    let store = SqliteStore::open(path, SqliteOptions::default(), Arc::new(SystemClock))?;
    let (registry, _) = registry("memory")?;
    let runtime = runtime(Arc::new(store), Arc::new(SystemClock), registry);
    let policy = policy();
    let work = (0..realms).map(|number| {
        let (engine, policy) = (runtime.realm(name(number)), Arc::clone(&policy));
        let store = Arc::clone(runtime.store());
        async move {
            let actor = Actor::engine();
            engine.put_target(&actor, target("memory")).await?;
            engine.set_policy(&actor, policy).await?;
            let later = SystemClock.now().plus(Duration::from_secs(365 * 86_400));
            people(store.as_ref(), &engine, PEOPLE, Some(later)).await
        }
    });
    let mut filled = stream::iter(work).buffer_unordered(128);
    while let Some(done) = filled.next().await {
        done?;
    }
    Ok(())
}

/// One worker, a realm with many changes and one with few: how many batches pass until those are done.
async fn fairness(changes: u64) -> Outcome<()> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("store.db");
    let store = SqliteStore::open(path, SqliteOptions::default(), Arc::new(SystemClock))?;
    let (busy_kind, busy) = registry("a-busy")?;
    let small = MemoryConnector::new(MemoryConfig::default(), Arc::new(SystemClock))?;
    let shared: Arc<dyn Connector> = Arc::new(small.clone());
    let registry = busy_kind.with_connector("b-small", move |_| Ok(Arc::clone(&shared)));
    let runtime = runtime(Arc::new(store), Arc::new(SystemClock), registry);
    let actor = Actor::engine();
    for (kind, connector, count) in [("a-busy", &busy, changes), ("b-small", &small, FEW)] {
        let engine = runtime.realm(kind);
        engine.put_target(&actor, target(kind)).await?;
        let known = engine.target(&"directory".into()).await?;
        let discovery = connector.discover(&MemoryConnector::context()).await?;
        let onboarded = ConfiguredTarget {
            discovery: Some(discovery),
            onboarded_at: Some(SystemClock.now()),
            onboarded: known.value.settings.classes.keys().cloned().collect(),
            ..known.value
        };
        let mut configured = Changes::in_realm(engine.realm());
        configured.put(&onboarded)?;
        runtime.store().commit(configured).await?;
        engine.set_policy(&actor, policy()).await?;
        people(runtime.store().as_ref(), &engine, count, None).await?;
    }
    let stop = Stop::new();
    let options =
        RunOptions { until: RunUntil::Forever, stop: stop.clone(), batch: BATCH, ..RunOptions::default() };
    let made = |connector: &MemoryConnector| connector.dump("user").map_or(0, |users| users.len() as u64);
    let watch = async {
        while made(&small) < FEW {
            tokio::task::yield_now().await;
        }
        let before = made(&busy);
        stop.stop();
        before
    };
    let (ran, (report, before)) = {
        let ((report, before), spent) =
            timed(async { futures_util::join!(runtime.run(&actor, &options), watch) }).await;
        (spent, (report?, before))
    };
    let batches = before.div_ceil(u64::from(BATCH));
    let mut table = Table::new(&["beside a busy realm", "batches", "its accounts meanwhile", "time"]);
    let what = format!("{FEW} changes beside {changes}");
    table.row([what.clone(), batches.to_string(), before.to_string(), seconds(ran.wall)]);
    println!("{table}");
    expect("problems", report.problems.len(), 0)?;
    Figure::new(
        BENCH,
        format!("batches of a busy realm before another is done: {what}"),
        batches as f64,
        "batches",
    )
    .goal("1")
    .print();
    let rest = RunOptions { batch: BATCH, ..RunOptions::default() };
    let (report, spent) = timed(runtime.run(&actor, &rest)).await;
    expect("problems", report?.problems.len(), 0)?;
    expect("accounts of the busy realm", made(&busy), changes)?;
    println!("the rest of the busy realm: {}", seconds(spent.wall));
    Ok(())
}

fn name(number: usize) -> String {
    format!("tenant-{number:05}")
}

fn policy() -> Arc<dyn Policy> {
    Arc::new(BenchPolicy::new())
}

fn runtime(store: Arc<dyn Store>, clock: Arc<dyn Clock>, registry: Registry) -> Runtime {
    Runtime::builder(store, registry).clock(clock).authorizer(Arc::new(AllowAll)).build()
}

fn registry(kind: &str) -> Outcome<(Registry, MemoryConnector)> {
    let directory = MemoryConnector::new(MemoryConfig::default(), Arc::new(SystemClock))?;
    let shared: Arc<dyn Connector> = Arc::new(directory.clone());
    Ok((Registry::new().with_connector(kind, move |_| Ok(Arc::clone(&shared))), directory))
}

fn target(kind: &str) -> TargetSettings {
    let mut settings = TargetSettings::new("directory", kind);
    settings.drive = Drive::Enforce;
    settings.budgets.0.insert(BudgetKind::Create, Budget { always: 1_000_000, percent: 100 });
    let user = ClassSettings {
        marker: Some("employeeNumber".into()),
        correlate: Default::default(),
        ..ClassSettings::default()
    };
    settings.classes.insert("user".into(), user);
    settings
}

/// People of a realm: dirty now, or when a date of theirs comes.
async fn people(store: &dyn Store, engine: &Engine, count: u64, later: Option<Timestamp>) -> Outcome<()> {
    let now = SystemClock.now();
    let mut changes = Changes::in_realm(engine.realm());
    for number in 0..count {
        let attributes = Attributes::new()
            .with("givenName", "Anna")
            .with("familyName", format!("Person {number}"))
            .with("title", "Analyst")
            .with("department", "Sales");
        let identity = Identity {
            id: IdentityId::from_uuid(Uuid::from_u128(u128::from(number) + 1)),
            realm: engine.realm().clone(),
            provenance: attributes.iter().map(|(name, _)| (name.clone(), "hr".into())).collect(),
            attributes,
            employment: Employment::default(),
            engagements: Vec::new(),
            zone: Zone::utc(),
            source: "hr".into(),
            key: format!("{number:06}"),
            version: 1,
            next_change_at: later,
        };
        changes.put(&identity)?;
        changes.put(&Work::marked(None, &identity, false, later.unwrap_or(now)))?;
    }
    store.commit(changes).await?;
    Ok(())
}
