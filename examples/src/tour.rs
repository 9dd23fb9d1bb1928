//! Day one of the shipped HR file, taken to one target: what the small examples do once they have their part ready.

use std::path::PathBuf;
use std::sync::Arc;

use provision_core::connector::Registry;
use provision_core::engine::{ApplyOptions, PlanOptions};
use provision_core::model::Actor;
use provision_core::plan::{ClassSettings, Drive, Scope, TargetSettings, render_header, render_step};
use provision_core::policy::Policy;
use provision_core::runtime::{Clock, FixedClock, Progress, Runtime};
use provision_core::store::MemoryStore;
use provision_core::{Error, ErrorKind, Result};

use crate::company;
use crate::screen::say;

/// The instant at which the tour happens: the morning of day one.
///
/// # Errors
/// None: the text is an instant.
pub fn clock() -> Result<Arc<dyn Clock>> {
    Ok(Arc::new(FixedClock::at("2026-11-02T08:00:00Z".parse()?)))
}

/// A folder to write to: `$PROVISION_STATE_DIR`, or a new one among the temporary files.
///
/// # Errors
/// `Unexpected` when it cannot be made.
pub fn folder() -> Result<PathBuf> {
    let failed = |error: std::io::Error| Error::new(ErrorKind::Unexpected, error.to_string());
    match std::env::var_os("PROVISION_STATE_DIR").map(PathBuf::from) {
        Some(folder) => std::fs::create_dir_all(&folder).map(|()| folder).map_err(failed),
        None => tempfile::tempdir().map(tempfile::TempDir::keep).map_err(failed),
    }
}

/// Feed, onboarding, plan, apply; then plans again and expects nothing to do. `class` is the target's class of
/// accounts; its `employeeNumber` holds the number HR issued.
///
/// # Errors
/// What the engine says, and `Unexpected` when something is left to do afterwards.
pub async fn tour(
    clock: Arc<dyn Clock>,
    registry: Registry,
    policy: Arc<dyn Policy>,
    target: TargetSettings,
    class: &str,
) -> Result<()> {
    let store = Arc::new(MemoryStore::new(Arc::clone(&clock)));
    let engine = Runtime::builder(store, registry).clock(clock).build().realm("corp");
    let actor = Actor::person("olivia.operator");
    engine.set_policy(&actor, policy).await?;
    let mut hr = company::hr(&company::data().join("hr"))?;
    if let Some(config) = hr.config.as_object_mut() {
        config.insert("pattern".to_owned(), "2026-11-02.csv".into());
    }
    engine.put_source(&actor, hr).await?;
    let settings = ClassSettings { marker: Some("employeeNumber".into()), ..ClassSettings::default() };
    let name = target.name.clone();
    let classes = [(class.into(), settings)].into();
    engine.put_target(&actor, TargetSettings { drive: Drive::Review, classes, ..target }).await?;

    engine.ingest(&actor, &"hr".into()).await?;
    engine.onboard(&actor, &name).await?;
    let plan = engine.plan(&actor, Scope::Changed, PlanOptions::default()).await?;
    say(render_header(&plan));
    let steps = engine.plan_steps(plan.id, 0).await?.map(|chunk| chunk.steps).unwrap_or_default();
    steps.iter().take(2).for_each(|step| say(render_step(step, None, true)));
    let report = engine.apply(&actor, plan.id, &ApplyOptions::default(), &Progress::new()).await?;
    say(format!("{} of {} steps done", report.done, plan.steps));
    let again = engine.plan(&actor, Scope::All, PlanOptions::default()).await?;
    say(format!("planned again: {} steps", again.steps));
    if report.is_clean() && again.is_empty() {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Unexpected, format!("the target is not as planned: {report:?}")))
}
