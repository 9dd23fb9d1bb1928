//! The engine of one realm: everything a host calls.

mod apply;
mod asked;
mod asking;
mod batch;
mod claim;
mod configure;
mod disputes;
mod drive;
mod ensure;
mod explain;
mod explanation;
mod explanation_text;
mod facts;
mod find;
mod held;
mod history;
mod holds;
mod impact;
mod ingest;
mod lease;
mod nodes;
mod onboarding;
mod overview;
mod pages;
mod planning;
mod reading;
mod realms;
mod reconcile;
mod references;
mod renew;
mod rest;
mod restored;
mod retry;
mod role_records;
mod role_strangers;
mod roll;
pub(crate) mod schedule;
mod snapshot;
mod status;
mod stop;
mod stranger;
mod submit;
mod taken;
mod turns;
mod unfinished;
mod work;
mod worker;

use std::fmt;
use std::sync::Arc;

pub use apply::{ApplyOptions, ApplyReport};
pub use asked::{NotThere, NotThereReason};
pub(crate) use configure::Meta;
pub use disputes::Decision;
pub use drive::{RunOptions, RunReport, RunUntil};
pub use ensure::EnsureOutcome;
pub use explain::ExplainOptions;
pub use explanation::{
    Absence, AbsenceReason, ExplainedAccount, ExplainedAttribute, ExplainedGrant, ExplainedGroup,
    ExplainedLink, ExplainedSource, ExplainedStep, ExplainedValue, Explanation, OpenStep, Verdict,
};
pub(crate) use facts::{HOURS, hour_of};
pub use history::render_history;
pub use impact::ImpactOptions;
pub(crate) use lease::{Held, lease_of};
pub use overview::{LeaseStatus, NodeStatus, Overview, RealmOverview};
pub use planning::PlanOptions;
pub(crate) use planning::purpose_of;
pub(crate) use reading::Readings;
pub use realms::RealmsReport;
pub use reconcile::ReconcileReport;
pub(crate) use references::{Unknowns, WAITING, Waiting};
pub use retry::RetryFilter;
pub use schedule::{Missed, Schedule, Scheduled};
pub use status::{FeedStatus, LinkCounts, SourceStatus, Status, StepCounts, TargetStatus};
pub use stop::Stop;
pub use submit::{SubmitOutcome, SubmitRequest};

use crate::error::Result;
use crate::id::RealmId;
use crate::model::Actor;
use crate::runtime::{Inner, Operation};
use crate::store::{Changes, Commit, Conflict, Store};
use crate::value::Timestamp;

/// The engine of one realm. Cheap to clone; many may work on one store at once, in one process or several.
#[derive(Clone)]
pub struct Engine {
    pub(crate) inner: Arc<Inner>,
    pub(crate) realm: RealmId,
}

impl Engine {
    pub(crate) fn new(inner: Arc<Inner>, realm: RealmId) -> Self {
        Self { inner, realm }
    }

    /// The realm.
    pub fn realm(&self) -> &RealmId {
        &self.realm
    }

    pub(crate) fn store(&self) -> &dyn Store {
        self.inner.store.as_ref()
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.inner.clock.now()
    }

    /// Asks the store for its time, unless it was asked a moment ago.
    pub(crate) async fn ask_time(&self) -> Result<()> {
        if self.inner.skew.is_old(self.now()) {
            self.store().now().await?;
        }
        Ok(())
    }

    /// The store's clock shows at least this: whoever takes over goes by it.
    pub(crate) fn stored_at_least(&self) -> Timestamp {
        self.inner.skew.at_least(self.now())
    }

    /// The store's clock shows at most this: whoever must have ended in time goes by it.
    pub(crate) fn stored_at_most(&self) -> Timestamp {
        self.inner.skew.at_most(self.now())
    }

    /// When, by our clock, an open intent may be taken over.
    pub(crate) fn takeover_at(&self, deadline: Timestamp) -> Timestamp {
        self.inner.skew.when_at_least(deadline.plus(self.inner.settle))
    }

    pub(crate) fn authorize(&self, actor: &Actor, operation: Operation) -> Result<()> {
        self.realm.admit()?;
        self.inner.authorizer.authorize(actor, &self.realm, operation)
    }

    /// Commits, or says which row somebody else changed.
    pub(crate) async fn commit(&self, changes: Changes) -> Result<()> {
        match self.store().commit(changes).await? {
            Commit::Committed => Ok(()),
            Commit::Conflict(conflict) => Err(conflict_error(&conflict)),
        }
    }
}

/// The error of a conflict that the caller cannot resolve by reading again.
pub(crate) fn conflict_error(conflict: &Conflict) -> crate::Error {
    let (table, key) = match conflict {
        Conflict::Expectation { table, key } | Conflict::Unique { table, key, .. } => (table, key),
    };
    crate::Error::new(
        crate::ErrorKind::Conflict,
        "somebody else changed this at the same time; nothing was written",
    )
    .with_context("table", table.name())
    .with_context("key", key.clone())
    .with_effect(crate::Effect::None)
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine").field("realm", &self.realm).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicI64, Ordering};
    use std::time::Duration;

    use super::*;
    use crate::connector::Registry;
    use crate::runtime::{Clock, Runtime};
    use crate::store::MemoryStore;

    /// A clock that goes on whenever somebody looks at it, as real ones do.
    #[derive(Debug, Default)]
    struct Ticking(AtomicI64);

    #[async_trait::async_trait]
    impl Clock for Ticking {
        fn now(&self) -> Timestamp {
            Timestamp::from_micros(10_000_000 + self.0.fetch_add(1, Ordering::SeqCst))
        }

        async fn sleep(&self, _duration: Duration) {}
    }

    #[test]
    fn an_intent_may_be_taken_over_when_its_time_was_over_before_somebody_looks() {
        let clock: Arc<dyn Clock> = Arc::new(Ticking::default());
        let store = Arc::new(MemoryStore::new(Arc::clone(&clock)));
        let engine = Runtime::builder(store, Registry::new()).clock(clock).build().realm("main");
        let now = engine.now();
        // Whoever looks for such intents takes the time first, and then asks for each.
        assert!(engine.takeover_at(now.minus(Duration::from_secs(5))) < now);
        assert!(engine.takeover_at(now) > now, "it settles first");
    }
}
