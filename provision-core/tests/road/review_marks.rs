//! Scenarios of the second review: marks that were lost, access that stayed, leavers that had to wait.

use std::time::Duration;

use provision_core::engine::{ApplyOptions, ApplyReport};
use provision_core::id::PlanId;
use provision_core::memory::{Fault, FaultRule, Faults, Operation};
use provision_core::model::Status;
use provision_core::plan::Scope;
use provision_core::runtime::Progress;
use provision_core::value::Date;

use crate::world::{Setup, World, generous, person};

/// Applies without waiting for what is in escrow.
async fn at_once(world: &World, plan: PlanId) -> ApplyReport {
    let options = ApplyOptions { patience: Duration::ZERO };
    world.engine.apply(&world.actor, plan, &options, &Progress::new()).await.unwrap()
}

fn faults(world: &World, rules: Vec<FaultRule>) {
    world.directory.set_faults(Faults { seed: 0, rules });
}

async fn ready() -> World {
    let world = Setup { settings: generous(), ..Setup::default() }.build().await;
    world.onboard().await;
    world
}

#[tokio::test]
async fn going_on_with_a_plan_leaves_marks_alone_that_came_after_it() {
    let world = ready().await;
    let mut people = vec![person("1", "Jane", "Smith", "Sales"), person("2", "Al", "Kim", "Sales")];
    world.feed(&people).await;
    let plan = world.plan(Scope::Changed).await;
    faults(&world, vec![FaultRule::at(Operation::Create, [2], Fault::Refuse)]);
    assert!(at_once(&world, plan.id).await.open > 0, "one of them waits");
    faults(&world, Vec::new());
    world.later(Duration::from_secs(60));
    let done = if world.accounts().contains_key("1") { 0 } else { 1 };
    people[done].status = Status::Terminated;
    world.feed(&people).await;
    world.later(Duration::from_secs(60));
    at_once(&world, plan.id).await;
    let next = world.plan(Scope::Changed).await;
    assert!(!next.is_empty(), "the termination has not been forgotten");
    world.apply(next.id).await;
    assert_eq!(world.accounts()[&people[done].key].1, Some(false));
}

#[tokio::test]
async fn a_membership_of_unknown_outcome_goes_when_it_is_not_wanted_any_more() {
    let world = ready().await;
    let mut people = vec![person("1", "Jane", "Smith", "Sales")];
    world.feed(&people).await;
    let plan = world.plan(Scope::Changed).await;
    faults(&world, vec![FaultRule::at(Operation::Membership, [1], Fault::LoseResponse)]);
    assert!(at_once(&world, plan.id).await.open > 0);
    assert_eq!(world.accounts()["1"].3, 1, "the target did it, and nobody knows");
    faults(&world, Vec::new());
    people[0].department = "Finance".to_owned();
    world.feed(&people).await;
    world.later(Duration::from_secs(60));
    at_once(&world, plan.id).await;
    assert!(world.converge(4).await < 4);
    assert_eq!(world.accounts()["1"].3, 1, "out of the old group, into the new one");
    people[0].status = Status::Terminated;
    world.feed(&people).await;
    assert!(world.converge(4).await < 4);
    assert_eq!((world.accounts()["1"].1, world.accounts()["1"].3), (Some(false), 0));
}

#[tokio::test]
async fn nobody_whose_last_day_has_passed_since_the_plan_gets_access() {
    let world = ready().await;
    let mut people = vec![person("1", "Jane", "Smith", "Sales"), person("2", "Al", "Kim", "Sales")];
    people[0].end = Date::new(2026, 11, 3);
    world.feed(&people).await;
    let plan = world.plan(Scope::Changed).await;
    world.later(Duration::from_secs(3 * 86_400));
    let report = at_once(&world, plan.id).await;
    assert!(report.skipped > 0, "{report:?}");
    assert_eq!(world.accounts().keys().collect::<Vec<_>>(), ["2"]);
}

#[tokio::test]
async fn a_leaver_does_not_wait_for_a_change_of_his_that_had_no_effect() {
    let world = ready().await;
    let mut people = vec![person("1", "Jane", "Smith", "Sales")];
    world.feed(&people).await;
    world.converge(3).await;
    people[0].department = "Finance".to_owned();
    world.feed(&people).await;
    let mover = world.plan(Scope::Changed).await;
    faults(
        &world,
        [Operation::Update, Operation::Rename].map(|on| FaultRule::always(on, Fault::Refuse)).into(),
    );
    assert!(at_once(&world, mover.id).await.open > 0);
    people[0].status = Status::Terminated;
    world.feed(&people).await;
    let leaver = world.plan(Scope::Changed).await;
    at_once(&world, leaver.id).await;
    assert_eq!(
        world.accounts()["1"].1,
        Some(false),
        "signed out although a change of the account is in escrow"
    );
}

#[tokio::test]
async fn a_reference_whose_create_went_stale_is_not_forgotten() {
    let world = ready().await;
    let mut people = vec![person("1", "Jane", "Smith", "Sales"), person("2", "Al", "Kim", "Sales")];
    people[0].manager = Some("2".to_owned());
    world.feed(&people).await;
    let plan = world.plan(Scope::Changed).await;
    // The manager changes before the plan is applied: the account is another plan's, and the reference with it.
    people[1].department = "Finance".to_owned();
    world.feed(&people).await;
    assert!(world.apply(plan.id).await.skipped > 1);
    for _ in 0..2 {
        let next = world.plan(Scope::Changed).await;
        world.apply(next.id).await;
    }
    assert!(world.plan(Scope::All).await.is_empty(), "the manager is written");
    assert!(world.dirty().await.is_empty());
}
