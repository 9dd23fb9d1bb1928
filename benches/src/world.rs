//! An engine on a SQLite file or another store, with one CSV source and one in-memory directory.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use provision_connectors::csv::CsvSource;
use provision_core::connector::{Connector, Registry};
use provision_core::engine::Engine;
use provision_core::id::{SourceName, TargetName};
use provision_core::ingest::FeedOutcome;
use provision_core::memory::{MemoryConfig, MemoryConnector};
use provision_core::model::{Actor, FeedReport};
use provision_core::plan::{Budget, BudgetKind, ClassSettings, Drive, OnDelete, TargetSettings};
use provision_core::runtime::{AllowAll, Runtime, SystemClock};
use provision_core::source::{Absence, FeedGuard, SourceSettings};
use provision_core::store::{SqliteOptions, SqliteStore, Store};
use provision_core::value::{Attributes, Zone};

use crate::{BenchPolicy, Outcome, Sink};

/// The realm everything is in.
pub const REALM: &str = "bench";
/// The source.
pub const SOURCE: &str = "hr";
/// The target.
pub const TARGET: &str = "directory";

/// Everything a bench needs.
pub struct World {
    /// The engine.
    pub engine: Engine,
    /// On whose behalf.
    pub actor: Actor,
    /// The target; empty at first, but for the group everybody gets into.
    pub directory: MemoryConnector,
    /// What takes the creates in its place, if anything does.
    pub sink: Option<Arc<Sink>>,
    /// The store of the engine.
    pub store: Arc<dyn Store>,
    group: Option<String>,
}

/// What is not the same in every world.
#[derive(Clone, Debug)]
pub struct WorldOptions {
    /// The targets; all of them are one directory.
    pub targets: Vec<TargetName>,
    /// How changes of the target come about.
    pub drive: Drive,
    /// Edges that a membership request may carry.
    pub members_per_request: u32,
    /// A group that everybody gets into.
    pub group: Option<String>,
    /// The target keeps nothing of what it takes.
    pub sink: bool,
    /// How long such a target takes to answer.
    pub answers_in: Duration,
    /// Calls that a target may have side by side.
    pub side_by_side: u32,
}

impl Default for WorldOptions {
    fn default() -> Self {
        let targets = vec![TARGET.into()];
        Self {
            targets,
            drive: Drive::Review,
            members_per_request: 1_000,
            group: None,
            sink: false,
            answers_in: Duration::ZERO,
            side_by_side: 8,
        }
    }
}

impl std::fmt::Debug for World {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("World").finish_non_exhaustive()
    }
}

impl World {
    /// Opens the store `store.db` of a folder, with the feed `hr.csv` beside it and an empty directory.
    ///
    /// # Errors
    /// Those of the store and of the configuration.
    pub async fn open(folder: &Path) -> Outcome<Self> {
        Self::open_with(folder, WorldOptions::default()).await
    }

    /// The same with several targets.
    ///
    /// # Errors
    /// As [`World::open`].
    pub async fn open_wide(folder: &Path, targets: &[TargetName]) -> Outcome<Self> {
        let targets = targets.to_vec();
        Self::open_with(folder, WorldOptions { targets, ..WorldOptions::default() }).await
    }

    /// Opens the store of a folder as [`World::open`] does, in another kind of world.
    ///
    /// # Errors
    /// Those of the store and of the configuration.
    pub async fn open_with(folder: &Path, options: WorldOptions) -> Outcome<Self> {
        let (path, sqlite) = (folder.join("store.db"), SqliteOptions::default());
        let store = SqliteStore::open(path, sqlite, Arc::new(SystemClock))?;
        Self::on(Arc::new(store), folder, options).await
    }

    /// The same on another store. The feed is `hr.csv` of the folder.
    ///
    /// # Errors
    /// Those of the store and of the configuration.
    pub async fn on(store: Arc<dyn Store>, folder: &Path, options: WorldOptions) -> Outcome<Self> {
        let WorldOptions { members_per_request, group, answers_in, .. } = options;
        let config = MemoryConfig { members_per_request, ..MemoryConfig::default() };
        let directory = MemoryConnector::new(config, Arc::new(SystemClock))?;
        if let Some(group) = &group {
            let attributes = Attributes::new().with("cn", group.as_str()).with("dn", group_name(group));
            directory.seed("group", [(attributes, None)])?;
        }
        let sink = options.sink.then(|| Arc::new(Sink::new(directory.clone(), answers_in)));
        let shared: Arc<dyn Connector> = match &sink {
            Some(sink) => Arc::clone(sink) as Arc<dyn Connector>,
            None => Arc::new(directory.clone()),
        };
        let registry = Registry::new()
            .with_connector("memory", move |_| Ok(Arc::clone(&shared)))
            .with_source("csv", CsvSource::factory());
        let runtime = Runtime::builder(Arc::clone(&store), registry).authorizer(Arc::new(AllowAll)).build();
        let (engine, actor) = (runtime.realm(REALM), Actor::person("bench"));
        let world = Self { engine, actor, directory, sink, store, group };
        if world.engine.sources().await?.is_empty() {
            world.engine.put_source(&world.actor, source(&folder.join("hr.csv"))).await?;
            for name in &options.targets {
                let settings = target(name, options.drive, options.side_by_side);
                world.engine.put_target(&world.actor, settings).await?;
            }
        }
        Ok(world)
    }

    /// Says that the policy is [`BenchPolicy`]. Marks everybody dirty where that is news.
    ///
    /// # Errors
    /// Those of the engine.
    pub async fn set_policy(&self) -> Outcome<()> {
        self.set_policy_on(&[TARGET.into()]).await
    }

    /// The same, with accounts on several targets.
    ///
    /// # Errors
    /// Those of the engine.
    pub async fn set_policy_on(&self, targets: &[TargetName]) -> Outcome<()> {
        let policy = match &self.group {
            Some(group) => BenchPolicy::on(targets).with_group(group_name(group)),
            None => BenchPolicy::on(targets),
        };
        self.engine.set_policy(&self.actor, Arc::new(policy)).await?;
        Ok(())
    }

    /// How many accounts are in groups, each for each of its groups.
    ///
    /// # Errors
    /// Those of the target.
    pub fn memberships(&self) -> Outcome<usize> {
        let users = self.directory.dump("user")?;
        Ok(users.iter().map(|user| user.attributes.values("memberOf").len()).sum())
    }

    /// Takes the feed.
    ///
    /// # Errors
    /// Those of the engine, and a feed that was held or refused.
    pub async fn ingest(&self) -> Outcome<FeedReport> {
        let mut outcomes = self.engine.ingest(&self.actor, &SourceName::new(SOURCE)).await?;
        match outcomes.pop() {
            Some(FeedOutcome::Applied(report)) => Ok(*report),
            other => Err(format!("the feed was not applied: {other:?}").into()),
        }
    }
}

fn group_name(group: &str) -> String {
    format!("CN={group},OU=Groups,DC=bench")
}

fn source(path: &Path) -> SourceSettings {
    let config = serde_json::json!({
        "path": path,
        "mode": "full",
        "key": "id",
        "columns": {
            "givenName": "given", "familyName": "family", "title": "title", "department": "department",
            "city": "city", "mobile": "mobile",
        },
        "employment": { "start": "start", "status": "status" },
    });
    SourceSettings {
        name: SOURCE.into(),
        kind: "csv".to_owned(),
        config,
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
    }
}

fn target(name: &TargetName, drive: Drive, side_by_side: u32) -> TargetSettings {
    let mut settings = TargetSettings::new(name.as_str(), "memory");
    (settings.drive, settings.concurrency) = (drive, side_by_side);
    // A first load is more creates than the guard lets through unasked.
    settings.budgets.0.insert(BudgetKind::Create, Budget { always: 1_000_000, percent: 100 });
    let user = ClassSettings {
        on_delete: OnDelete::Disable,
        marker: Some("employeeNumber".into()),
        correlate: Default::default(),
    };
    settings.classes.insert("user".into(), user);
    settings
}
