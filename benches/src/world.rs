//! An engine on a SQLite file, with one CSV source and one in-memory directory.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

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
use provision_core::value::Zone;

use crate::{BenchPolicy, Outcome};

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
    /// The target; empty at first.
    pub directory: MemoryConnector,
    /// The store of the engine.
    pub store: Arc<dyn Store>,
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
        Self::open_wide(folder, &[TARGET.into()]).await
    }

    /// The same with several targets.
    ///
    /// # Errors
    /// As [`World::open`].
    pub async fn open_wide(folder: &Path, targets: &[TargetName]) -> Outcome<Self> {
        let (path, options) = (folder.join("store.db"), SqliteOptions::default());
        let store: Arc<dyn Store> = Arc::new(SqliteStore::open(path, options, Arc::new(SystemClock))?);
        let directory = MemoryConnector::new(MemoryConfig::default(), Arc::new(SystemClock))?;
        let shared: Arc<dyn Connector> = Arc::new(directory.clone());
        let registry = Registry::new()
            .with_connector("memory", move |_| Ok(Arc::clone(&shared)))
            .with_source("csv", CsvSource::factory());
        let runtime = Runtime::builder(Arc::clone(&store), registry).authorizer(Arc::new(AllowAll)).build();
        let world = Self { engine: runtime.realm(REALM), actor: Actor::person("bench"), directory, store };
        if world.engine.sources().await?.is_empty() {
            world.engine.put_source(&world.actor, source(&folder.join("hr.csv"))).await?;
            for name in targets {
                world.engine.put_target(&world.actor, target(name)).await?;
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
        self.engine.set_policy(&self.actor, Arc::new(BenchPolicy::on(targets))).await?;
        Ok(())
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
        asserts: None,
        asserts_lifecycle: true,
        absence: Absence::RemoveAfter(1),
        guard: FeedGuard::default(),
        correlate: Vec::new(),
        zone: Zone::utc(),
    }
}

fn target(name: &TargetName) -> TargetSettings {
    let mut settings = TargetSettings::new(name.as_str(), "memory");
    settings.drive = Drive::Review;
    // A first load is more creates than the guard lets through unasked.
    settings.budgets.0.insert(BudgetKind::Create, Budget { always: 1_000_000, percent: 100 });
    let user = ClassSettings {
        on_delete: OnDelete::Disable,
        marker: Some("employeeNumber".into()),
        correlate: BTreeMap::new(),
    };
    settings.classes.insert("user".into(), user);
    settings
}
