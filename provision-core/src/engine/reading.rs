//! Reading a source: by one process at a time. Of two that read the same feed one would have read it for nothing.

use std::collections::BTreeSet;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use super::Engine;
use crate::error::{Effect, Error, ErrorKind, Result, Retry};
use crate::id::{RealmId, SourceName};
use crate::ingest::{FeedOutcome, lease_name};
use crate::model::Lease;
use crate::runtime::Inner;

/// How long a source waits for a process that is gone. Whoever reads renews it at every third of that.
const LEASE: Duration = Duration::from_secs(30);

/// Sources that this process reads.
#[derive(Debug, Default)]
pub(crate) struct Readings {
    owner: OnceLock<String>,
    under_way: Mutex<BTreeSet<(RealmId, SourceName)>>,
}

/// A source is read in this process as long as this lives.
struct Reading<'a> {
    readings: &'a Readings,
    of: (RealmId, SourceName),
}

impl Readings {
    /// `None` when somebody in this process reads it.
    fn begin(&self, realm: &RealmId, source: &SourceName) -> Option<Reading<'_>> {
        let of = (realm.clone(), source.clone());
        let mut under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        under_way.insert(of.clone()).then(|| Reading { readings: self, of })
    }

    /// One for all readings of the process: what was dropped in the middle is taken up at once.
    fn owner(&self, inner: &Inner) -> Result<String> {
        if let Some(owner) = self.owner.get() {
            return Ok(owner.clone());
        }
        let minted = inner.owner()?;
        Ok(self.owner.get_or_init(|| minted).clone())
    }
}

impl Drop for Reading<'_> {
    fn drop(&mut self) {
        let mut under_way = self.readings.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        under_way.remove(&self.of);
    }
}

impl Engine {
    /// Does something that nobody else does with this source meanwhile; [`FeedOutcome::BeingRead`] when somebody does.
    ///
    /// # Errors
    /// `Conflict`, retryable, when the lease was lost on the way: whoever took it goes on.
    pub(super) async fn read_alone(
        &self,
        source: &SourceName,
        work: impl Future<Output = Result<FeedOutcome>>,
    ) -> Result<FeedOutcome> {
        let (name, readings) = (lease_name(source), &self.inner.readings);
        let owner = readings.owner(&self.inner)?;
        let Some(_reading) = readings.begin(&self.realm, source) else {
            let until = self.lease_of(&name).await?.map_or_else(|| self.now(), |lease| lease.until);
            return Ok(FeedOutcome::BeingRead { by: owner, until });
        };
        let held = match self.take_lease_as(&name, &owner, LEASE).await? {
            Ok(held) => held,
            Err(Lease { owner, until, .. }) => return Ok(FeedOutcome::BeingRead { by: owner, until }),
        };
        self.while_leased(held, LEASE, |_| work).await.unwrap_or_else(|| Err(lost(source)))
    }
}

fn lost(source: &SourceName) -> Error {
    Error::new(
        ErrorKind::Conflict,
        "this process was late and lost the source to another one: what was taken over stays, and is gone on with",
    )
    .with_context("source", source.as_str())
    .with_retry(Retry::After(None))
    .with_effect(Effect::Unknown)
}

/// What a host is told that hands a feed over which cannot be read now.
pub(super) fn busy(source: &SourceName, by: &str, until: &impl ToString) -> Error {
    Error::new(ErrorKind::Conflict, "a feed of this source is being read: hand this one over again later")
        .with_context("source", source.as_str())
        .with_context("by", by)
        .with_context("until", until.to_string())
        .with_retry(Retry::After(None))
        .with_effect(Effect::None)
}
