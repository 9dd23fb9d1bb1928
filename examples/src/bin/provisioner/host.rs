//! From the configuration to an engine: what every host does when it starts.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use provision_connectors::csv::{CsvConnector, CsvSource};
use provision_core::connector::Registry;
use provision_core::engine::Engine;
use provision_core::id::{SourceName, TargetName};
use provision_core::memory::MemoryConnector;
use provision_core::model::Actor;
use provision_core::runtime::{AllowAll, Clock, Runtime, SystemClock};
use provision_core::store::{SqliteOptions, SqliteStore};
use provision_core::value::Timestamp;
use provision_examples::directory;
use provision_examples::screen::{Screen, warn};
use provision_policy::Bundle;

use crate::answer::Failure;
use crate::arguments::Arguments;
use crate::config::Config;
use crate::secrets::Secrets;

/// What commands work with.
#[derive(Debug)]
pub(crate) struct Host {
    pub(crate) engine: Engine,
    pub(crate) actor: Actor,
    pub(crate) screen: Screen,
}

impl Host {
    /// Opens the store and brings the engine's rows in line with the configuration.
    pub(crate) async fn open(
        arguments: &Arguments,
        screen: Screen,
        secrets: &Arc<Secrets>,
    ) -> Result<Self, Failure> {
        let config = Config::load(&arguments.config)?;
        let bundle = Bundle::load_path(&config.bundle).map_err(|problems| Failure::problems(&problems))?;
        bundle.warnings().iter().for_each(|warning| warn(warning.to_string()));
        if let Some(folder) = config.store.parent() {
            std::fs::create_dir_all(folder).map_err(|error| {
                Failure::configuration(format!("error: cannot make {}: {error}", folder.display()))
            })?;
        }
        let clock: Arc<dyn Clock> = match config.clock {
            Some(start) => Arc::new(RehearsalClock::of(&config.store, start)?),
            None => Arc::new(SystemClock),
        };
        let store = SqliteStore::open(&config.store, SqliteOptions::default(), Arc::clone(&clock))?;
        let runtime = Runtime::builder(Arc::new(store), registry(&clock, secrets))
            .clock(clock)
            // Whoever may run this program may do everything with it. A host with users asks its own rules here.
            .authorizer(Arc::new(AllowAll))
            .settle(Duration::from_millis(config.settle_ms))
            .build();
        let engine = runtime.realm(config.realm.as_str());
        let actor = actor(arguments)?;
        for source in config.sources {
            let name = source.name.as_str().to_owned();
            engine.put_source(&actor, source).await.map_err(|error| error.with_context("source", name))?;
        }
        for target in config.targets {
            engine.put_target(&actor, target).await?;
        }
        engine.set_policy(&actor, Arc::new(bundle)).await?;
        Ok(Self { engine, actor, screen })
    }

    /// The targets meant: the one named, or all.
    pub(crate) async fn targets(&self, named: Option<&str>) -> Result<Vec<TargetName>, Failure> {
        Ok(match named {
            Some(name) => vec![TargetName::new(name)],
            None => self.engine.targets().await?.into_iter().map(|target| target.settings.name).collect(),
        })
    }

    /// The sources meant: the one named, or all.
    pub(crate) async fn sources(&self, named: Option<&str>) -> Result<Vec<SourceName>, Failure> {
        Ok(match named {
            Some(name) => vec![SourceName::new(name)],
            None => self.engine.sources().await?.into_iter().map(|source| source.settings.name).collect(),
        })
    }
}

/// The kinds this host knows. A connector of your own is one line more.
fn registry(clock: &Arc<dyn Clock>, secrets: &Arc<Secrets>) -> Registry {
    let (csv, rows) = (CsvConnector::factory_with_clock(Arc::clone(clock)), CsvSource::factory());
    let (memory, demo) = (MemoryConnector::factory(Arc::clone(clock)), directory::factory(Arc::clone(clock)));
    let known = || Arc::clone(secrets);
    let (a, b, c, d) = (known(), known(), known(), known());
    Registry::new()
        .with_source("csv", move |config| rows(&a.resolve(config)?))
        .with_connector("csv", move |config| csv(&b.resolve(config)?))
        .with_connector("memory", move |config| memory(&c.resolve(config)?))
        .with_connector(directory::KIND, move |config| demo(&d.resolve(config)?))
}

fn actor(arguments: &Arguments) -> Result<Actor, Failure> {
    let name = arguments.actor.clone().or_else(|| std::env::var("USER").ok()).filter(|name| !name.is_empty());
    let name = name.ok_or_else(|| {
        Failure::configuration("error: who asks? Set $USER or give --actor NAME; it is on every record")
    })?;
    Ok(Actor::person(name))
}

/// The machine's clock, moved: the rehearsal began at `start`, at the first command, and time has passed since.
#[derive(Debug)]
struct RehearsalClock {
    start: Timestamp,
    began: Timestamp,
}

impl RehearsalClock {
    /// The rehearsal of a store: when it began is kept in a file beside it, so that time never goes back between
    /// commands. Another `start` in the configuration begins another rehearsal.
    fn of(store: &Path, start: Timestamp) -> Result<Self, Failure> {
        let file = PathBuf::from(format!("{}.rehearsal", store.display()));
        let kept = std::fs::read_to_string(&file).unwrap_or_default();
        if let Some((kept_start, began)) = kept.trim().split_once(' ')
            && kept_start == start.to_string()
            && let Ok(began) = began.parse()
        {
            return Ok(Self { start, began });
        }
        let began = SystemClock.now();
        std::fs::write(&file, format!("{start} {began}\n")).map_err(|error| {
            Failure::configuration(format!("error: cannot write {}: {error}", file.display()))
        })?;
        Ok(Self { start, began })
    }
}

#[async_trait]
impl Clock for RehearsalClock {
    fn now(&self) -> Timestamp {
        self.start.plus(SystemClock.now().since(self.began))
    }

    async fn sleep(&self, duration: Duration) {
        SystemClock.sleep(duration).await;
    }
}
