//! A host in a process of its own, on the site it is started in: the real engine, store and connectors, with points.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use provision_connectors::csv::{CsvConnector, CsvSource};
use provision_core::connector::Registry;
use provision_core::engine::{ApplyOptions, Engine, RunOptions, RunReport};
use provision_core::model::Actor;
use provision_core::plan::{PlanState, Scope};
use provision_core::runtime::{AllowAll, Clock, Progress, Runtime, SystemClock};
use provision_core::store::{Select, SqliteOptions, SqliteStore, Store, Table};
use provision_core::value::Timestamp;
use provision_core::{Error, Result};
use provision_examples::directory;
use provision_policy::Bundle;

use crate::connector::pointed;
use crate::point::{Counted, POINT, Point, Points};
use crate::process::{Ended, Process};
use crate::site::{self, Site};
use crate::store::PointStore;

/// What a host does.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Task {
    /// Applies the plan that is under way, or the newest.
    Apply,
    /// Ingests, plans and applies.
    Road,
    /// The continuous drive, until nothing is left: time passes quickly while it waits for others.
    Drive,
}

const TASK: &str = "FLEET_TASK";
/// How long a worker of the drive has an identity.
pub(crate) const LEASE: Duration = Duration::from_secs(2);
/// How far the clock goes while nothing is due.
const IDLE: Duration = Duration::from_secs(20);
/// Rounds of a drive until nothing is left.
const ROUNDS_MAX: usize = 60;

/// Starts one: this test binary again, with nothing but the test below.
pub(crate) fn start(site: &Site, task: Task, point: Option<Point>) -> Process {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", "host::work_as_a_host", "--nocapture"])
        .current_dir(site.folder.path())
        .env(TASK, format!("{task:?}"));
    match point {
        Some(point) => command.env(POINT, point.to_string()),
        None => command.env_remove(POINT),
    };
    Process::start(command)
}

/// What a host did that came to its end.
pub(crate) fn counted(ended: &Ended) -> Counted {
    let said = ended.after("counted ").unwrap_or_else(|| panic!("{ended:#?}"));
    let (commits, calls) = said.split_once(' ').unwrap();
    Counted { commits: commits.parse().unwrap(), calls: calls.parse().unwrap() }
}

/// Not a test by itself: what a host does in its process. Run with the other tests, it is nobody's host.
#[test]
fn work_as_a_host() {
    let Ok(task) = std::env::var(TASK) else { return };
    let points = Points::from_environment();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let ended = runtime.block_on(work(&task, &points));
    let Counted { commits, calls } = points.counted();
    println!("\ncounted {commits} {calls}");
    if let Err(error) = &ended {
        println!("error {}", serde_json::to_string(&error.record()).unwrap());
    }
    ended.unwrap();
}

async fn work(task: &str, points: &Arc<Points>) -> Result<()> {
    let ((store, engine), actor) = (engine(points, task == "Drive")?, Actor::person("alice"));
    let policy = Bundle::load_path(Path::new("bundle.yaml")).unwrap();
    engine.set_policy(&actor, Arc::new(policy)).await?;
    match task {
        "Apply" => apply(&engine, &actor).await,
        "Road" => {
            engine.ingest(&actor, &"hr".into()).await?;
            engine.plan(&actor, Scope::Changed, Default::default()).await?;
            apply(&engine, &actor).await
        }
        _ => {
            let report = drive(store.as_ref(), &engine, &actor).await?;
            println!("\nreport {}", serde_json::to_string(&report).unwrap());
            Ok(())
        }
    }
}

/// With `inline` nothing is under way in another thread when a point is reached: a process that is stopped there is not
/// in the middle of a write, which is another test.
fn engine(points: &Arc<Points>, inline: bool) -> Result<(Arc<dyn Store>, Engine)> {
    let clock: Arc<dyn Clock> = Arc::new(SiteClock(PathBuf::from(".")));
    let options = SqliteOptions { inline, ..SqliteOptions::default() };
    let inner = SqliteStore::open("./provision.db", options, Arc::clone(&clock))?;
    let store: Arc<dyn Store> = Arc::new(PointStore { inner, points: Arc::clone(points) });
    let registry = Registry::new()
        .with_source("csv", CsvSource::factory())
        .with_connector("csv", pointed(CsvConnector::factory_with_clock(Arc::clone(&clock)), points))
        .with_connector(directory::KIND, pointed(directory::factory(Arc::clone(&clock)), points));
    let builder = Runtime::builder(Arc::clone(&store), registry).clock(clock).authorizer(Arc::new(AllowAll));
    Ok((store, builder.settle(Duration::from_millis(50)).build().realm("corp")))
}

async fn apply(engine: &Engine, actor: &Actor) -> Result<()> {
    let mut plans = engine.plans(PlanState::Applying).await?;
    plans.extend(engine.plans(PlanState::Ready).await?);
    let Some(plan) = plans.first() else { return Ok(()) };
    engine.apply(actor, plan.id, &ApplyOptions::default(), &Progress::new()).await.map(drop)
}

async fn drive(store: &dyn Store, engine: &Engine, actor: &Actor) -> Result<RunReport> {
    let options = RunOptions { workers: 2, lease: LEASE, batch: 4, ..RunOptions::default() };
    let mut whole = RunReport::default();
    for _ in 0..ROUNDS_MAX {
        let report = engine.run(actor, &options).await?;
        whole.claimed += report.claimed;
        whole.done += report.done;
        whole.skipped += report.skipped;
        whole.failed += report.failed;
        whole.disputed += report.disputed;
        whole.lost += report.lost;
        if left(store).await? == 0 {
            return Ok(whole);
        }
        site::pass(Path::new("."), IDLE);
    }
    let status = engine.status().await?;
    Err(Error::new(provision_core::ErrorKind::Unexpected, format!("never done: {}", status.render())))
}

/// Identities that somebody still has to look at, and steps that have not ended.
async fn left(store: &dyn Store) -> Result<u64> {
    let realm = "corp".into();
    let work = store.count(&realm, Table::Work, &Select::KeyPrefix(String::new())).await?;
    Ok(work + store.count(&realm, Table::Journal, &Select::ColumnPrefix("open", String::new())).await?)
}

/// The clock of a site, which its test moves while we run.
#[derive(Debug)]
struct SiteClock(PathBuf);

#[async_trait]
impl Clock for SiteClock {
    fn now(&self) -> Timestamp {
        site::now(&self.0)
    }

    async fn sleep(&self, duration: Duration) {
        SystemClock.sleep(duration).await;
    }
}
