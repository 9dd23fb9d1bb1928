//! Laws 1, 2 and 13: nothing is left to plan; two previews are equal; one person costs what one person costs.

use super::super::realm::Realm;
use super::super::verdict::Violation;
use super::super::world::{World, operator};
use crate::engine::{Engine, PlanOptions};
use crate::error::Result;
use crate::plan::Scope;

/// Calls to the store that planning one identity may cost, beside the calls that the number of targets costs.
const CALLS_MAX: u64 = 60;

pub(super) async fn check(
    world: &World,
    realm: &Realm,
    engine: &Engine,
    found: &mut Vec<Violation>,
) -> Result<()> {
    let mut broken = |law: u32, what: String| {
        found.push(Violation { law, what: format!("{}: {what}", realm.id) });
    };
    let at = engine.inner.clock.now();
    let preview = || PlanOptions { as_of: Some(at), preview: true, ..PlanOptions::default() };
    let first = engine.plan(&operator(), Scope::All, preview()).await?;
    let other = world.process(98);
    for (_, again, known) in other.realms.iter().filter(|(other, _, _)| other.id == realm.id) {
        world.equip(realm, again, known).await;
        let second = again.plan(&operator(), Scope::All, preview()).await?;
        if first.digest != second.digest {
            broken(1, format!("two plans of the same differ: {} and {}", first.digest, second.digest));
        }
    }
    let plan = engine.plan(&operator(), Scope::All, PlanOptions::default()).await?;
    for number in 0..plan.chunks {
        let Some(chunk) = engine.plan_steps(plan.id, number).await? else { continue };
        for step in &chunk.steps {
            broken(2, format!("there is something to do still: {} {:?}", step.id.as_str(), step.action));
        }
        // What is left alone is said, and said for a reason that a person can see.
        for skip in &chunk.skips {
            broken(
                5,
                format!("{} on {} is left alone: {:?} {}", skip.label, skip.target, skip.reason, skip.detail),
            );
        }
    }
    let identities: Vec<crate::model::Identity> = super::all(engine).await?;
    if let Some(one) = identities.first() {
        let before = world.depot.record.calls();
        engine.plan(&operator(), Scope::Identities(vec![one.id]), PlanOptions::default()).await?;
        let calls = world.depot.record.calls() - before;
        if calls > CALLS_MAX {
            broken(13, format!("planning one of {} people made {calls} calls", identities.len()));
        }
    }
    Ok(())
}
