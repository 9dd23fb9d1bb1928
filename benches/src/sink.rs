//! A target that takes every create and keeps nothing of it: what a process holds is the engine's.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use provision_core::connector::{
    Connector, ConnectorInfo, Context, CreateRequest, DeleteRequest, Discovery, GetRequest, ListRequest,
    Listing, Object, ObjectKey, Outcome, RenameRequest, UpdateRequest, Writer,
};
use provision_core::memory::MemoryConnector;
use provision_core::runtime::{Clock as _, SystemClock};
use provision_core::{Effect, Error, ErrorKind, Result};

/// Looks like the directory it is given, and stays as empty as that one.
#[derive(Debug)]
pub struct Sink {
    directory: MemoryConnector,
    answers_in: Duration,
    begun: AtomicU64,
    made: Mutex<Vec<Instant>>,
}

impl Sink {
    /// A target of the shape of an empty directory, which takes so long to answer.
    pub fn new(directory: MemoryConnector, answers_in: Duration) -> Self {
        Self { directory, answers_in, begun: AtomicU64::new(0), made: Mutex::default() }
    }

    /// When it answered each create, in order.
    pub fn made(&self) -> Vec<Instant> {
        self.made.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Creates that it answered.
    pub fn count(&self) -> usize {
        self.made.lock().unwrap_or_else(PoisonError::into_inner).len()
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
        let number = self.begun.fetch_add(1, Ordering::Relaxed);
        if !self.answers_in.is_zero() {
            SystemClock.sleep(self.answers_in).await;
        }
        #[allow(clippy::disallowed_methods, reason = "a bench measures the time that really passes")]
        self.made.lock().unwrap_or_else(PoisonError::into_inner).push(Instant::now());
        // Several processes may make objects of one target.
        Ok(Outcome::done(ObjectKey::id(format!("s-{}-{number:08}", std::process::id()))))
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
