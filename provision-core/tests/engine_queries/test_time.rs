//! A clock for tests in which time passes while everybody waits.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use provision_core::runtime::Clock;
use provision_core::value::Timestamp;
use tokio::time::Instant;

use crate::realm::at;

/// A clock that goes with the time of the test, which passes while everybody waits.
#[derive(Debug)]
pub(crate) struct TestTime {
    since: Timestamp,
    began: Instant,
    /// Nobody is woken to renew: the worker is paused.
    paused: bool,
}

impl TestTime {
    pub(crate) fn new(paused: bool) -> Arc<Self> {
        Arc::new(Self { since: at("2026-03-02T09:00:00Z"), began: Instant::now(), paused })
    }
}

/// A clock that is ahead of another, or behind it, by so many seconds.
#[derive(Debug)]
pub(crate) struct Skewed(pub(crate) Arc<TestTime>, pub(crate) i64);

#[async_trait]
impl Clock for Skewed {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.0.now().as_micros() + self.1 * 1_000_000)
    }

    async fn sleep(&self, duration: Duration) {
        self.0.sleep(duration).await;
    }
}

#[async_trait]
impl Clock for TestTime {
    fn now(&self) -> Timestamp {
        self.since.plus(self.began.elapsed())
    }

    #[allow(clippy::disallowed_methods, reason = "this is a clock")]
    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }

    async fn deadline(&self, limit: Duration) {
        if self.paused {
            std::future::pending::<()>().await;
        }
        self.sleep(limit).await;
    }
}
