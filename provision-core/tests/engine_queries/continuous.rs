//! The continuous drive.

use std::collections::BTreeMap;
use std::time::Duration;

use provision_core::engine::{PlanOptions, RetryFilter, RunOptions, RunUntil, Stop};
use provision_core::execute::{JournalEntry, StepState};
use provision_core::memory::{Fault, FaultRule, Faults, Operation};
use provision_core::model::{Actor, Hold, HoldState, LinkState, Work};
use provision_core::plan::{Budget, BudgetKind, Budgets, Drive, PlanHeader, PlanState, Scope};

use provision_core::ErrorKind;

use crate::realm::{Realm, at, id};

#[tokio::test]
async fn a_run_ends_when_nothing_is_due_and_a_second_one_finds_nothing() {
    let realm = Realm::enforced().await;
    for number in 1..=150 {
        realm.hire(number, &format!("{number:04}"), &format!("Person {number}"), "IT").await;
    }
    let options = RunOptions { workers: 3, batch: 16, ..RunOptions::default() };
    let report = realm.engine.run(&realm.robot, &options).await.unwrap();
    assert_eq!((report.done, report.failed, report.lost), (150, 0, 0));
    assert_eq!(realm.users().len(), 150);
    let again = realm.run().await;
    assert_eq!((again.claimed, again.done), (0, 0));
    assert!(realm.all::<Work>().await.is_empty());
}

#[tokio::test]
async fn the_clock_alone_ends_an_employment() {
    let realm = Realm::enforced().await;
    let jane = realm.hire(1, "1042", "Jane Doe", "Finance").await;
    let mut identity = realm.identity(jane).await;
    identity.employment.end = Some("2026-03-31".parse().unwrap());
    identity.next_change_at = Some(at("2026-04-01T00:00:00Z"));
    realm.put_identity(identity).await;
    realm.run().await;
    realm.clock.set(at("2026-03-31T23:59:59Z"));
    assert_eq!(realm.run().await.claimed, 0);
    realm.clock.set(at("2026-04-01T00:00:00Z"));
    realm.run().await;
    assert_eq!(realm.link(jane, "directory").await.unwrap().state, LinkState::Inactive);
    assert_eq!(realm.users()[0].enabled, Some(false));
    assert_eq!(realm.identity(jane).await.next_change_at, None);
}

#[tokio::test]
async fn what_is_reviewed_stays_dirty_for_a_person() {
    let realm = Realm::enforced().await;
    realm.engine.set_drive(&realm.robot, &"directory".into(), Drive::Review).await.unwrap();
    realm.hire(1, "1042", "Jane Doe", "Finance").await;
    let report = realm.run().await;
    assert_eq!((report.done, report.parked), (0, 1));
    assert_eq!(realm.run().await.claimed, 0, "it waits for the person");
    let header =
        realm.engine.plan(&Actor::person("ann"), Scope::Changed, PlanOptions::default()).await.unwrap();
    assert_eq!((header.state, header.steps), (PlanState::Ready, 2));
    realm.touch().await;
    assert_eq!(realm.run().await.claimed, 1, "a new mark ends the wait");
}

#[tokio::test]
async fn over_budget_only_who_spends_waits_and_an_approval_lets_them_go() {
    let small = |settings: &mut provision_core::plan::TargetSettings| {
        let budget = Budget { always: 1, percent: 0 };
        settings.budgets = Budgets(BTreeMap::from([(BudgetKind::Disable, budget)]));
    };
    let realm = Realm::with(Drive::Enforce, small).await;
    for number in 1..=4 {
        realm.hire(number, &format!("{number:04}"), &format!("Person {number}"), "IT").await;
    }
    realm.run().await;
    for number in [1, 2, 3] {
        let mut identity = realm.identity(id(number)).await;
        identity.version += 1;
        identity.employment.end = Some("2026-03-01".parse().unwrap());
        realm.put(&identity).await;
    }
    let mut mover = realm.identity(id(4)).await;
    mover.version += 1;
    mover.attributes.set("displayName", vec!["Moved".into()]);
    realm.put_identity(mover).await;
    let report = realm.run().await;
    assert_eq!((report.held.len(), report.parked, report.done), (1, 3, 1));
    assert!(realm.users().iter().all(|user| user.enabled == Some(true)), "no leaver before the approval");
    assert!(realm.users().iter().any(|user| user.attributes.text("displayName") == Some("Moved")));
    assert_eq!(realm.run().await.claimed, 0, "held work does not come again by itself");
    realm.touch().await;
    let again = realm.run().await;
    assert_eq!(again.held, report.held, "the same content stays in the same hold");
    let open: Vec<Hold> = realm
        .all::<Hold>()
        .await
        .into_iter()
        .map(|hold| hold.value)
        .filter(|hold| hold.state == HoldState::Open)
        .collect();
    assert_eq!(open.len(), 1);
    realm.put(&Hold { state: HoldState::Approved, ..open[0].clone() }).await;
    let report = realm.run().await;
    assert!(report.done >= 3, "{report:?}");
    assert_eq!(realm.users().iter().filter(|user| user.enabled == Some(false)).count(), 3);
    assert!(realm.all::<Work>().await.is_empty());
}

#[tokio::test]
async fn escrow_is_gone_on_with_when_due_or_when_asked() {
    let realm = Realm::enforced().await;
    let jane = realm.hire(1, "1042", "Jane Doe", "IT").await;
    realm
        .directory
        .set_faults(Faults { seed: 1, rules: vec![FaultRule::always(Operation::Create, Fault::Refuse)] });
    let report = realm.run().await;
    assert_eq!((report.done, report.failed), (0, 0));
    let status = realm.engine.status().await.unwrap();
    assert_eq!((status.steps.waiting, status.due), (1, 0));
    let explanation = realm.engine.explain(jane, &Default::default()).await.unwrap();
    assert_eq!(explanation.open.len(), 1);
    assert!(matches!(explanation.open[0].state, StepState::Waiting { .. }));
    realm.directory.set_faults(Faults::default());
    assert_eq!(realm.run().await.done, 0, "not due yet");
    assert_eq!(realm.engine.retry(&realm.robot, &RetryFilter::default()).await.unwrap(), 1);
    assert_eq!(realm.run().await.done, 1);
    assert_eq!(realm.users().len(), 1);
    let plans = realm.all::<PlanHeader>().await;
    assert!(plans.iter().all(|plan| plan.value.state == PlanState::Applied));
}

#[tokio::test]
async fn failed_steps_are_taken_up_again_once() {
    let realm = Realm::enforced().await;
    let jane = realm.hire(1, "1042", "Jane Doe", "IT").await;
    realm
        .directory
        .set_faults(Faults { seed: 1, rules: vec![FaultRule::always(Operation::Create, Fault::Forbid)] });
    assert_eq!(realm.run().await.failed, 1);
    assert_eq!(realm.run().await.claimed, 0, "what failed is not tried again by itself");
    assert_eq!(realm.engine.status().await.unwrap().steps.failed, 1);
    realm.directory.set_faults(Faults::default());
    let elsewhere = RetryFilter { target: Some("app".into()), ..RetryFilter::default() };
    assert_eq!(realm.engine.retry(&realm.robot, &elsewhere).await.unwrap(), 0);
    let filter = RetryFilter { identity: Some(jane), ..RetryFilter::default() };
    assert_eq!(realm.engine.retry(&realm.robot, &filter).await.unwrap(), 1);
    assert_eq!(realm.engine.retry(&realm.robot, &filter).await.unwrap(), 0);
    assert_eq!(realm.engine.status().await.unwrap().steps.failed, 0);
    assert_eq!(realm.run().await.done, 1);
    assert_eq!(realm.users().len(), 1);
}

#[tokio::test]
async fn a_missing_object_is_made_anew_only_when_asked() {
    let realm = Realm::enforced().await;
    let jane = realm.hire(1, "1042", "Jane Doe", "IT").await;
    realm.run().await;
    let mut link = realm.link(jane, "directory").await.unwrap();
    link.missing = true;
    link.key = Some(provision_core::connector::ObjectKey::id("user-gone"));
    realm.put(&link).await;
    realm.touch().await;
    assert_eq!(realm.run().await.done, 0);
    assert_eq!(realm.engine.retry(&realm.robot, &RetryFilter::default()).await.unwrap(), 0);
    let filter = RetryFilter { identity: Some(jane), recreate: true, ..RetryFilter::default() };
    assert_eq!(realm.engine.retry(&realm.robot, &filter).await.unwrap(), 1);
    realm.run().await;
    let link = realm.link(jane, "directory").await.unwrap();
    assert!(!link.missing && link.key.is_some_and(|key| key.id != "user-gone"));
}

#[tokio::test]
async fn a_failed_batch_stays_dirty() {
    let realm = Realm::enforced().await;
    realm.hire(1, "1042", "Jane Doe", "IT").await;
    let mut settings = realm.engine.target(&"directory".into()).await.unwrap().value;
    settings.settings.kind = "unknown".to_owned();
    realm.put(&settings).await;
    let error = realm.engine.run(&realm.robot, &RunOptions::default()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConfigInvalid);
    let work = realm.all::<Work>().await;
    assert!(work.len() == 1 && work[0].value.lease.is_none());
    settings.settings.kind = "directory".to_owned();
    realm.put(&settings).await;
    realm.clock.set(at("2026-03-02T09:05:00Z"));
    assert_eq!(realm.run().await.done, 1);
}

#[tokio::test]
async fn a_stopped_run_ends_between_batches() {
    let realm = Realm::enforced().await;
    for number in 1..=20 {
        realm.hire(number, &format!("{number:04}"), &format!("Person {number}"), "IT").await;
    }
    realm
        .directory
        .set_faults(Faults { seed: 1, rules: vec![FaultRule::always(Operation::Create, Fault::Delay(1))] });
    let stop = Stop::new();
    let options =
        RunOptions { until: RunUntil::Forever, batch: 4, stop: stop.clone(), ..RunOptions::default() };
    let watch = async {
        while realm.users().len() < 8 {
            tokio::task::yield_now().await;
        }
        stop.stop();
    };
    let (report, ()) = futures_util::future::join(realm.engine.run(&realm.robot, &options), watch).await;
    let report = report.unwrap();
    assert!(report.claimed % 4 == 0 && report.claimed < 20 && report.lost == 0, "{report:?}");
    assert!(realm.all::<Work>().await.iter().all(|work| work.value.lease.is_none()));
    let open = realm.all::<JournalEntry>().await;
    assert!(open.iter().all(|entry| entry.value.state == StepState::Done));
    let stopped =
        tokio::time::timeout(Duration::from_secs(5), realm.engine.run(&realm.robot, &options)).await;
    assert_eq!(stopped.unwrap().unwrap().claimed, 0);
}
