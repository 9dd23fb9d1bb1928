//! Which kinds of connectors and sources this process knows. Explicit: nothing registers itself.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use super::Connector;
use crate::error::{Error, ErrorKind, Result};
use crate::source::Source;

/// Builds a connector from its configuration. No I/O: a wrong configuration is told here, an unreachable target by
/// `check` (C-1.1).
pub type ConnectorFactory = Arc<dyn Fn(&serde_json::Value) -> Result<Arc<dyn Connector>> + Send + Sync>;

/// Builds a source from its configuration. No I/O.
pub type SourceFactory = Arc<dyn Fn(&serde_json::Value) -> Result<Arc<dyn Source>> + Send + Sync>;

/// Connector and source kinds by name.
#[derive(Clone, Default)]
pub struct Registry {
    connectors: BTreeMap<String, ConnectorFactory>,
    sources: BTreeMap<String, SourceFactory>,
}

impl Registry {
    /// A registry that knows nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a kind of connector.
    #[must_use]
    pub fn with_connector(
        mut self,
        kind: &str,
        factory: impl Fn(&serde_json::Value) -> Result<Arc<dyn Connector>> + Send + Sync + 'static,
    ) -> Self {
        self.connectors.insert(kind.to_owned(), Arc::new(factory));
        self
    }

    /// Adds a kind of source.
    #[must_use]
    pub fn with_source(
        mut self,
        kind: &str,
        factory: impl Fn(&serde_json::Value) -> Result<Arc<dyn Source>> + Send + Sync + 'static,
    ) -> Self {
        self.sources.insert(kind.to_owned(), Arc::new(factory));
        self
    }

    /// Builds a connector.
    pub fn connector(&self, kind: &str, config: &serde_json::Value) -> Result<Arc<dyn Connector>> {
        match self.connectors.get(kind) {
            Some(factory) => factory(config),
            None => Err(unknown("connector", kind, self.connectors.keys())),
        }
    }

    /// Builds a source.
    pub fn source(&self, kind: &str, config: &serde_json::Value) -> Result<Arc<dyn Source>> {
        match self.sources.get(kind) {
            Some(factory) => factory(config),
            None => Err(unknown("source", kind, self.sources.keys())),
        }
    }
}

fn unknown<'a>(what: &str, kind: &str, known: impl Iterator<Item = &'a String>) -> Error {
    let known = known.map(String::as_str).collect::<Vec<_>>().join(", ");
    Error::new(
        ErrorKind::ConfigInvalid,
        format!("no {what} of kind `{}` is registered; registered: {known}", crate::text::escape(kind)),
    )
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registry")
            .field("connectors", &self.connectors.keys().collect::<Vec<_>>())
            .field("sources", &self.sources.keys().collect::<Vec<_>>())
            .finish()
    }
}
