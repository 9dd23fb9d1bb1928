//! What a host calls can be given to a runtime of several threads.

use std::sync::Arc;
use std::time::Duration;

use provision_core::engine::{ApplyOptions, Engine, PlanOptions, RunOptions};
use provision_core::id::{IdentityId, PlanId};
use provision_core::model::Actor;
use provision_core::plan::Scope;
use provision_core::runtime::Progress;

fn spawnable(_: impl Future + Send + 'static) {}

#[test]
fn calls_of_an_engine_can_be_spawned() {
    fn all(engine: Arc<Engine>, actor: Actor, plan: PlanId, identity: IdentityId) {
        let (e, a) = (engine.clone(), actor.clone());
        spawnable(async move { e.plan(&a, Scope::All, PlanOptions::default()).await });
        let (e, a) = (engine.clone(), actor.clone());
        spawnable(async move { e.apply(&a, plan, &ApplyOptions::default(), &Progress::new()).await });
        let (e, a) = (engine.clone(), actor.clone());
        spawnable(async move { e.run(&a, &RunOptions::default()).await });
        let (e, a) = (engine.clone(), actor.clone());
        spawnable(async move { e.reconcile(&a, &"t".into()).await });
        let (e, a) = (engine.clone(), actor.clone());
        spawnable(async move { e.onboard(&a, &"t".into()).await });
        let (e, a) = (engine, actor);
        spawnable(async move { e.ensure(&a, identity, &"t".into(), Duration::ZERO).await });
    }
    let _ = all;
}
