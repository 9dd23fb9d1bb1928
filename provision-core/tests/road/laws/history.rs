//! Law 12: history is whole.

use std::process::Command;
use std::sync::Arc;

use provision_core::memory::{Fault, FaultRule, Faults, Operation};
use provision_core::plan::{PlanHeader, Scope};
use provision_core::store::{SqliteOptions, SqliteStore, Store};

use crate::laws::faults::two_days;
use crate::world::{Setup, World, first_day};

#[tokio::test]
async fn law_12_history_is_whole_every_attempt_has_its_entry() {
    let world = World::new(1).await;
    world.onboard().await;
    let rules = vec![
        FaultRule::per_mille(Operation::Create, 300, Fault::LoseResponse),
        FaultRule::per_mille(Operation::Membership, 300, Fault::Refuse),
        FaultRule::per_mille(Operation::Rename, 500, Fault::Forbid),
        FaultRule::per_mille(Operation::Update, 300, Fault::Conflict),
    ];
    world.directory.set_faults(Faults { seed: 4, rules });
    for people in &two_days() {
        world.feed(people).await;
        let plan = world.plan(Scope::All).await;
        world.apply(plan.id).await;
    }
    let audit = world.audit().await;
    let journal = world.journal().await;
    assert!(journal.iter().any(|entry| entry.state == provision_core::execute::StepState::Failed));
    for entry in &journal {
        let told = audit
            .iter()
            .rev()
            .find(|told| told.plan == Some(entry.plan) && told.step.as_ref() == Some(&entry.step));
        let told = told.unwrap_or_else(|| panic!("{} has no entry", entry.step));
        let ends = match &entry.state {
            provision_core::execute::StepState::Done => ".done",
            provision_core::execute::StepState::Failed => ".failed",
            provision_core::execute::StepState::Skipped { .. } => ".skipped",
            provision_core::execute::StepState::Waiting { .. } => ".waiting",
            state => panic!("{state:?}"),
        };
        assert!(told.event.ends_with(ends), "{} {:?}", told.event, entry.state);
    }
    let plans = world.all::<PlanHeader>().await;
    let steps = audit.iter().filter(|entry| entry.event.starts_with("step."));
    for entry in steps {
        let plan = plans.iter().find(|plan| Some(plan.id) == entry.plan).unwrap();
        assert_eq!(entry.actor, world.actor);
        assert!(entry.identity.is_some() && entry.target.is_some());
        if !entry.event.ends_with(".skipped") {
            assert_eq!(entry.policy.as_ref(), Some(&plan.policy));
            assert!(!entry.reasons.is_empty(), "{} has no reason", entry.event);
        }
    }
    // Every write that reached the target is an attempt that the stream tells of.
    for (correlation, write) in world.wire.take() {
        let (plan, step) = correlation.split_once('/').unwrap();
        let told = audit.iter().any(|entry| {
            entry.plan.is_some_and(|id| id.to_string() == plan)
                && entry.step.as_ref().is_some_and(|id| id.as_str() == step)
        });
        assert!(told, "{write:?} is not in the history");
    }
    let verdict = world.engine.verify().await.unwrap();
    assert!(verdict.is_whole(), "{verdict:?}");
    assert_eq!((verdict.entries, verdict.unsealed), (audit.len() as u64, 0));
}

/// Somebody with another program and write access to the file.
fn tamper(path: &std::path::Path, statement: &str) {
    let script = "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); n = c.execute(sys.argv[2]).rowcount; \
                  c.commit(); c.close(); sys.exit(0 if n == 1 else 3)";
    let ran = Command::new("python3").arg("-c").arg(script).arg(path).arg(statement).status();
    let status = ran.expect("python3 is not there: apt-get install python3");
    assert!(status.success(), "{statement}: {status}");
}

#[tokio::test]
async fn law_12_history_is_whole_and_tampering_is_seen() {
    let statements = [
        "UPDATE audit SET body = replace(body, '\"operator\"', '\"somebody\"') WHERE number = 5",
        "DELETE FROM audit WHERE number = 4",
        "UPDATE audit SET number = 1000000 WHERE number = 3",
        "DELETE FROM seal WHERE key = (SELECT min(key) FROM seal)",
        "UPDATE seal SET body = replace(body, '\"count\":', '\"count\":1') WHERE key = (SELECT min(key) FROM seal)",
    ];
    for statement in statements {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("store.db");
        let clock = first_day();
        let open = || {
            let store = SqliteStore::open(&path, SqliteOptions::inline(), clock.clone()).unwrap();
            Arc::new(store) as Arc<dyn Store>
        };
        {
            let world = Setup { store: Some(open()), ..Setup::default() }.build_at(clock.clone()).await;
            world.onboard().await;
            for people in &two_days() {
                world.feed(people).await;
                world.converge(2).await;
            }
            assert!(world.engine.verify().await.unwrap().is_whole());
        }
        tamper(&path, statement);
        let store = open();
        let verdict = provision_core::audit::verify(store.as_ref(), &"test".into()).await.unwrap();
        assert!(!verdict.is_whole(), "{statement}: {verdict:?}");
    }
}
