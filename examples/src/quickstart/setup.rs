//! Store, policy, source and targets.

use std::path::Path;
use std::sync::Arc;

use provision_core::model::Actor;
use provision_core::plan::PlanHeader;
use provision_core::runtime::{AllowAll, Clock, FixedClock, Runtime};
use provision_core::store::{self, Select, SqliteOptions, SqliteStore, Store};
use provision_core::value::Timestamp;
use provision_core::{Error, ErrorKind, Result};
use provision_policy::Bundle;

use super::Stage;
use crate::company;
use crate::screen::{Screen, say};

/// Opens the store and configures the engine: what a host does when it starts.
pub(super) async fn open(state: &Path, screen: Screen) -> Result<Stage<'_>> {
    let inbox = state.join("inbox");
    std::fs::create_dir_all(&inbox).map_err(|error| {
        Error::new(ErrorKind::ConfigInvalid, format!("cannot make {}: {error}", inbox.display()))
    })?;
    // The clock stands at 08:00 UTC of the day being played, so that every run prints the same.
    let clock = Arc::new(FixedClock::at(Timestamp::EPOCH));
    let any_clock: Arc<dyn Clock> = Arc::clone(&clock) as Arc<dyn Clock>;

    let store: Arc<dyn Store> = Arc::new(SqliteStore::open(
        state.join("provision.db"),
        SqliteOptions::default(),
        Arc::clone(&any_clock),
    )?);
    let runtime = Runtime::builder(store, company::registry(&any_clock))
        .clock(any_clock)
        .authorizer(Arc::new(AllowAll))
        .build();
    let engine = runtime.realm("corp");
    let actor = Actor::person("olivia.operator");

    let bundle = Bundle::load_path(company::data().join("bundle")).map_err(|problems| {
        problems.iter().for_each(|problem| say(problem.to_string()));
        Error::new(ErrorKind::ConfigInvalid, "the policy bundle has problems")
    })?;
    let stage = Stage { runtime, engine, clock, actor, inbox, state, screen };
    stage.clock.set(stage.last_moment().await?);
    let (engine, actor) = (&stage.engine, &stage.actor);
    engine.set_policy(actor, Arc::new(bundle)).await?;
    engine.put_source(actor, company::hr(&stage.inbox)?).await?;
    engine.put_target(actor, company::directory(state)?).await?;
    engine.put_target(actor, company::badges(state)?).await?;
    Ok(stage)
}

impl Stage<'_> {
    /// When the last run made its last plan, since time does not go back; the first morning before any.
    async fn last_moment(&self) -> Result<Timestamp> {
        let select = Select::KeyPrefix(String::new());
        let store = self.runtime.store().as_ref();
        let (plans, _) =
            store::list_by::<PlanHeader>(store, self.engine.realm(), select, None, 1_000).await?;
        Ok(plans.iter().map(|plan| plan.value.made_at).max().unwrap_or("2026-11-02T08:00:00Z".parse()?))
    }

    /// It is 08:00 UTC of that day, or later if it was later before.
    pub(super) fn advance_to(&self, day: &str) -> Result<()> {
        let morning: Timestamp = format!("{day}T08:00:00Z").parse()?;
        self.clock.set(self.clock.now().max(morning));
        Ok(())
    }
}
