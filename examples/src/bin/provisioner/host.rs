//! From the configuration to an engine: what every host does when it starts.

use std::sync::Arc;
use std::time::Duration;

use provision_connectors::csv::{CsvConnector, CsvSource};
use provision_core::connector::Registry;
use provision_core::engine::Engine;
use provision_core::id::{SourceName, TargetName};
use provision_core::memory::MemoryConnector;
use provision_core::model::Actor;
use provision_core::runtime::{AllowAll, Clock, Runtime};
use provision_examples::screen::{Screen, warn};
use provision_examples::{account_table, directory};
use provision_policy::Bundle;

use crate::answer::Failure;
use crate::arguments::{Arguments, Command};
use crate::bus::{Bus, SINK};
use crate::clock::clock_of;
use crate::config::Config;
use crate::secrets::Secrets;

/// What commands work with.
#[derive(Debug)]
pub(crate) struct Host {
    pub(crate) runtime: Runtime,
    pub(crate) engine: Engine,
    pub(crate) bus: Option<Bus>,
    pub(crate) actor: Actor,
    pub(crate) screen: Screen,
    pub(crate) bundle: Arc<Bundle>,
}

/// The store and an engine over it, as it is: nothing of the configuration is written to it.
pub(crate) struct Store {
    pub(crate) runtime: Runtime,
    pub(crate) engine: Engine,
    bus: Option<Bus>,
    config: Config,
}

impl Store {
    /// Opens the store.
    pub(crate) async fn open(
        arguments: &Arguments,
        config: Config,
        secrets: &Arc<Secrets>,
    ) -> Result<Self, Failure> {
        let (node, offset) = match &arguments.command {
            Command::Run(run) => (run.node.clone(), run.clock_offset),
            _ => (None, 0),
        };
        config.store.prepare()?;
        let clock = clock_of(&config, offset)?;
        let store = config.store.open(&clock, secrets, &arguments.config).await?;
        let bus = config.bus.as_ref().map(|bus| bus.build(secrets, &arguments.config)).transpose()?;
        let mut builder = Runtime::builder(store, registry(&clock, secrets))
            .clock(clock)
            // Whoever may run this program may do everything with it. A host with users asks its own rules here.
            .authorizer(Arc::new(AllowAll))
            .settle(Duration::from_millis(config.settle_ms));
        if let Some(node) = node {
            builder = builder.node(node);
        }
        if let Some(sink) = bus.as_ref().and_then(|bus| bus.sink.clone()) {
            builder = builder.sink(SINK, sink);
        }
        let runtime = builder.build();
        let engine = runtime.realm(config.realm.as_str());
        Ok(Self { runtime, engine, bus, config })
    }
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
        let Store { runtime, engine, bus, config } = Store::open(arguments, config, secrets).await?;
        let actor = actor(arguments)?;
        let bundle = Arc::new(bundle);
        configure(&engine, &actor, config, Arc::clone(&bundle)).await?;
        Ok(Self { runtime, engine, bus, actor, screen, bundle })
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

/// Brings the rows of sources, targets and policy in line. Nodes that start at the same time all do so: one of them is
/// first, and the others find that nothing is left to change.
async fn configure(
    engine: &Engine,
    actor: &Actor,
    config: Config,
    bundle: Arc<Bundle>,
) -> Result<(), Failure> {
    for source in config.sources {
        let name = source.name.as_str().to_owned();
        engine.put_source(actor, source).await.map_err(|error| error.with_context("source", name))?;
    }
    for target in config.targets {
        engine.put_target(actor, target).await?;
    }
    Ok(engine.set_policy(actor, bundle).await?)
}

/// The kinds this host knows. A connector of your own is one line more.
fn registry(clock: &Arc<dyn Clock>, secrets: &Arc<Secrets>) -> Registry {
    let (csv, rows) = (CsvConnector::factory_with_clock(Arc::clone(clock)), CsvSource::factory());
    let (memory, demo) = (MemoryConnector::factory(Arc::clone(clock)), directory::factory(Arc::clone(clock)));
    let known = || Arc::clone(secrets);
    let table = account_table::factory(Arc::clone(clock));
    let (a, b, c, d, e) = (known(), known(), known(), known(), known());
    Registry::new()
        .with_source("csv", move |config| rows(&a.resolve(config)?))
        .with_connector("csv", move |config| csv(&b.resolve(config)?))
        .with_connector("memory", move |config| memory(&c.resolve(config)?))
        .with_connector(directory::KIND, move |config| demo(&d.resolve(config)?))
        .with_connector(account_table::KIND, move |config| table(&e.resolve(config)?))
}

fn actor(arguments: &Arguments) -> Result<Actor, Failure> {
    let name = arguments.actor.clone().or_else(|| std::env::var("USER").ok()).filter(|name| !name.is_empty());
    let name = name.ok_or_else(|| {
        Failure::configuration("error: who asks? Set $USER or give --actor NAME; it is on every record")
    })?;
    Ok(Actor::person(name))
}
