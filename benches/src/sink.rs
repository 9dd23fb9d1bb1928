//! A target that takes every create and keeps nothing of it: what a process holds is the engine's.

use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use provision_core::connector::{
    Connector, ConnectorInfo, Context, CreateRequest, DeleteRequest, Discovery, GetRequest, ListRequest,
    Listing, Object, ObjectKey, Outcome, RenameRequest, UpdateRequest, Writer,
};
use provision_core::memory::MemoryConnector;
use provision_core::{Effect, Error, ErrorKind, Result};

/// Looks like the directory it is given, and stays as empty as that one.
#[derive(Debug)]
pub struct Sink {
    directory: MemoryConnector,
    created: AtomicU64,
}

impl Sink {
    /// A target of the shape of an empty directory.
    pub fn new(directory: MemoryConnector) -> Self {
        Self { directory, created: AtomicU64::new(0) }
    }
}

fn only_creates() -> Error {
    Error::new(ErrorKind::Unsupported, "the target only takes creates").with_effect(Effect::None)
}

#[async_trait]
impl Connector for Sink {
    fn info(&self) -> ConnectorInfo {
        self.directory.info()
    }

    async fn check(&self, cx: &Context) -> Result<()> {
        self.directory.check(cx).await
    }

    async fn discover(&self, cx: &Context) -> Result<Discovery> {
        self.directory.discover(cx).await
    }

    async fn get(&self, cx: &Context, request: GetRequest) -> Result<Option<Object>> {
        self.directory.get(cx, request).await
    }

    fn list(&self, cx: &Context, request: ListRequest) -> Result<Listing> {
        self.directory.list(cx, request)
    }

    fn writer(&self) -> Option<&dyn Writer> {
        Some(self)
    }
}

#[async_trait]
impl Writer for Sink {
    async fn create(&self, _cx: &Context, _request: CreateRequest) -> Result<Outcome> {
        let number = self.created.fetch_add(1, Ordering::Relaxed);
        Ok(Outcome::done(ObjectKey::id(format!("s-{number:08}"))))
    }

    async fn update(&self, _cx: &Context, _request: UpdateRequest) -> Result<Outcome> {
        Err(only_creates())
    }

    async fn rename(&self, _cx: &Context, _request: RenameRequest) -> Result<Outcome> {
        Err(only_creates())
    }

    async fn delete(&self, _cx: &Context, _request: DeleteRequest) -> Result<Outcome> {
        Err(only_creates())
    }
}
