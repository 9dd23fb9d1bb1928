//! The target: a file that a disconnected system imports.

use std::sync::Arc;

use async_trait::async_trait;
use provision_core::connector::{
    Connector, ConnectorInfo, Context, Discovery, GetRequest, LifecycleFacet, ListRequest, Listing, Object,
    Writer, paged,
};
use provision_core::runtime::{Clock, SystemClock};
use provision_core::{Effect, Result};
use tokio::sync::OnceCell;
use tokio::task::spawn_blocking;

use super::desk::Desk;
use super::error;
use super::file;
use super::page::TablePages;
use super::schema::{self, Shape};
use super::table_config::TableConfig;

/// A delimited file as a target. See [the module](super) for the configuration and what a write costs.
#[derive(Clone, Debug)]
pub struct CsvConnector {
    pub(super) desk: Arc<Desk>,
}

impl CsvConnector {
    /// A connector of this configuration, by the machine's clock. No I/O.
    ///
    /// # Errors
    /// `ConfigInvalid`, naming the field.
    pub fn new(config: &TableConfig) -> Result<Self> {
        Self::with_clock(config, Arc::new(SystemClock))
    }

    /// A connector that measures deadlines by this clock: the runtime's own, where that is not the machine's.
    ///
    /// # Errors
    /// `ConfigInvalid`, naming the field.
    pub fn with_clock(config: &TableConfig, clock: Arc<dyn Clock>) -> Result<Self> {
        let shape = Shape::new(config)?;
        Ok(Self { desk: Arc::new(Desk::new(shape, config.path.clone(), clock)) })
    }

    /// Builds a connector from the configuration's JSON form.
    ///
    /// # Errors
    /// `ConfigInvalid`, naming the field.
    pub fn from_config(config: &serde_json::Value) -> Result<Arc<dyn Connector>> {
        Ok(Arc::new(Self::new(&TableConfig::from_value(config)?)?))
    }

    /// For [`Registry::with_connector`](provision_core::connector::Registry::with_connector).
    pub fn factory() -> impl Fn(&serde_json::Value) -> Result<Arc<dyn Connector>> + Send + Sync + 'static {
        Self::from_config
    }

    /// For [`Registry::with_connector`](provision_core::connector::Registry::with_connector), by the runtime's clock.
    pub fn factory_with_clock(
        clock: Arc<dyn Clock>,
    ) -> impl Fn(&serde_json::Value) -> Result<Arc<dyn Connector>> + Send + Sync + 'static {
        move |config| {
            let config = TableConfig::from_value(config)?;
            Ok(Arc::new(Self::with_clock(&config, Arc::clone(&clock))?))
        }
    }

    /// How often this connector rewrote the file. Writes that wait together share one rewrite.
    pub fn rewrites(&self) -> u64 {
        self.desk.rewrites()
    }
}

#[async_trait]
impl Connector for CsvConnector {
    fn info(&self) -> ConnectorInfo {
        ConnectorInfo {
            kind: super::KIND.to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            config_schema: schema::table_config(),
        }
    }

    /// Reads the file. A file that is not there is an empty table, and a warning in the log.
    async fn check(&self, _cx: &Context) -> Result<()> {
        let desk = Arc::clone(&self.desk);
        let checked = spawn_blocking(move || {
            let folder = file::folder(desk.path());
            if !folder.is_dir() {
                let message = format!("the folder `{}` is not there", folder.display());
                return Err(error::config("path", message));
            }
            if !desk.path().exists() {
                tracing::warn!(path = %desk.path().display(), "the file is not there yet: the first write makes it");
            }
            desk.table().map(drop)
        });
        checked.await.map_err(|_| error::stopped(Effect::None))?
    }

    async fn discover(&self, _cx: &Context) -> Result<Discovery> {
        Ok(self.desk.shape.discovery())
    }

    async fn get(&self, cx: &Context, request: GetRequest) -> Result<Option<Object>> {
        self.desk.shape.check_class(&request.class)?;
        self.desk.in_time(cx)?;
        let desk = Arc::clone(&self.desk);
        let read = spawn_blocking(move || {
            let table = desk.table()?;
            let row = table.find_key(&desk.shape, &request.key.id).map(|(_, row)| row);
            row.map(|row| desk.shape.object_of(row)).transpose()
        });
        read.await.map_err(|_| error::stopped(Effect::None))?
    }

    fn list(&self, cx: &Context, request: ListRequest) -> Result<Listing> {
        self.desk.shape.check_class(&request.class)?;
        if let Some(filter) = &request.filter {
            filter.check()?;
        }
        Ok(paged(TablePages {
            desk: Arc::clone(&self.desk),
            cx: cx.clone(),
            request,
            table: OnceCell::new(),
        }))
    }

    fn writer(&self) -> Option<&dyn Writer> {
        Some(self)
    }

    fn lifecycle(&self) -> Option<&dyn LifecycleFacet> {
        self.desk.shape.enabled.is_some().then_some(self as &dyn LifecycleFacet)
    }
}
