//! Memberships in groups that are not there yet, or not any more.

use std::time::Duration;

use provision_core::connector::{DeleteRequest, ObjectKey, Writer};
use provision_core::engine::{RetryFilter, RunOptions};
use provision_core::memory::{Fault, FaultRule, Faults, MemoryConnector, Operation};
use provision_core::model::{Link, Membership};
use provision_core::plan::{BudgetKind, Drive, OnDelete, Scope};
use provision_core::policy::RefusalReason;
use provision_core::store;

use super::{done, groups, members, pairs, people, roles, set_roles, world};
use crate::world::{World, person};

fn one() -> super::RoleGroups {
    roles([("sellers", "Sales")])
}

/// The group is gone from the target, and a reconcile has seen it.
async fn lost(world: &World) -> String {
    let key = groups(world)["app-sellers"].0.clone();
    let request = DeleteRequest { class: "group".into(), key: ObjectKey::id(&key) };
    Writer::delete(&world.directory, &MemoryConnector::context(), request).await.unwrap();
    let report = world.reconcile().await;
    assert_eq!(report.missing, 1, "{report:?}");
    key
}

#[tokio::test]
async fn a_group_that_somebody_deleted_is_not_made_again_by_itself() {
    let world = world(Drive::Review, OnDelete::Delete, one()).await;
    world.converge(3).await;
    let key = lost(&world).await;
    let mut more = people();
    more.push(person("5", "Eve", "Poe", "Sales"));
    world.feed(&more).await;
    for _ in 0..2 {
        let plan = world.plan(Scope::All).await;
        world.apply(plan.id).await;
        let skips = world.skips(plan.id, plan.chunks).await;
        let said: Vec<_> = skips.iter().map(|skip| (skip.label.as_str(), skip.reason)).collect();
        assert_eq!(said, [("role:sellers", RefusalReason::Disputed)]);
    }
    assert_eq!(members(&world), []);
    let edges = world.all::<Membership>().await;
    assert_eq!(edges.len(), 2, "what is wanted and was there is not taken for withdrawn");
    assert!(world.plan(Scope::All).await.is_empty());
    // An operator says so: another group, and everybody in it.
    let filter = RetryFilter { recreate: true, ..RetryFilter::default() };
    assert_eq!(world.engine.retry(&world.actor, &filter).await.unwrap(), 1);
    let plan = world.plan(Scope::Changed).await;
    let made =
        ["add_member hr:1", "add_member hr:2", "add_member hr:5"].map(|step| format!("{step} role:sellers"));
    let made: Vec<String> = made.into_iter().chain(["create role:sellers".to_owned()]).collect();
    assert_eq!(done(&world, &plan).await, made);
    assert!(world.apply(plan.id).await.is_clean());
    assert_eq!(members(&world), pairs([("app-sellers", "1 2 5")]));
    assert_ne!(groups(&world)["app-sellers"].0, key);
    assert!(world.converge(2).await < 2);
}

#[tokio::test]
async fn a_group_that_is_lost_and_not_wanted_any_more_leaves_nothing_behind() {
    let mut world = world(Drive::Review, OnDelete::Delete, one()).await;
    world.converge(3).await;
    lost(&world).await;
    set_roles(&mut world, "none", roles([])).await;
    assert!(world.converge(3).await < 3);
    assert_eq!(world.all::<Membership>().await, []);
    assert!(world.journal().await.iter().all(|entry| entry.error.is_none()));
}

/// More wait than one commit tells, and the process that made the group dies before it has told the others.
#[tokio::test]
async fn everybody_who_waits_for_a_group_is_told_that_it_is_there() {
    const PEOPLE: usize = 1_300;
    let world = world(Drive::Enforce, OnDelete::Delete, one()).await;
    let refuse =
        FaultRule { class: Some("group".into()), ..FaultRule::always(Operation::Create, Fault::Refuse) };
    world.directory.set_faults(Faults { seed: 0, rules: vec![refuse] });
    let crowd: Vec<_> =
        (0..PEOPLE).map(|number| person(&number.to_string(), "Jo", &format!("F{number}"), "Sales")).collect();
    world.feed(&crowd).await;
    let options = RunOptions { batch: 256, ..RunOptions::default() };
    world.engine.run(&world.actor, &options).await.unwrap();
    assert_eq!(members(&world), []);
    // Those whose edges are in the plan of the create wait with it.
    assert_eq!(world.dirty().await.len(), 256, "the others have nothing to do");
    world.directory.set_faults(Faults::default());
    world.later(Duration::from_secs(3_600));
    let before = store::list_by::<Link>(
        world.store.as_ref(),
        world.engine.realm(),
        store::Select::Equal("target", "directory/group".to_owned()),
        None,
        10,
    );
    assert!(before.await.unwrap().0.iter().all(|link| link.value.key.is_none()));
    // It dies as soon as the group is there.
    world.pace.stepwise();
    let mut run = Box::pin(world.engine.run(&world.actor, &options));
    while groups(&world).is_empty() {
        assert!(crate::crash::polled(&mut run, 1).await.is_none());
    }
    for _ in 0..12 {
        assert!(crate::crash::polled(&mut run, 1).await.is_none());
    }
    drop(run);
    world.pace.straight();
    world.later(Duration::from_secs(3_600));
    world.engine.run(&world.actor, &options).await.unwrap();
    assert_eq!(groups(&world)["app-sellers"].1.len(), PEOPLE);
    assert_eq!(world.dirty().await, []);
    assert!(world.plan(Scope::All).await.is_empty());
}

#[tokio::test]
async fn privileged_memberships_are_budgeted_whichever_way_they_are_named() {
    let mut said = one();
    said.roles.get_mut("sellers").unwrap().privileged = true;
    let declared = world(Drive::Review, OnDelete::Delete, said).await;
    let mut listed = super::settings(Drive::Review, OnDelete::Delete);
    listed.privileged_groups = ["app-sellers".to_owned()].into();
    let listed = super::unread(listed, one()).await;
    listed.onboard().await;
    for world in [declared, listed] {
        let plan = world.plan(Scope::All).await;
        let spends = &plan.targets.values().next().unwrap().spends;
        assert_eq!(spends.get(&BudgetKind::PrivilegedGrant), Some(&2), "the group is not there yet");
    }
}

#[tokio::test]
async fn somebody_who_changes_department_changes_groups() {
    let both = roles([("buyers", "Finance"), ("sellers", "Sales")]);
    let world = world(Drive::Review, OnDelete::Delete, both).await;
    world.converge(3).await;
    let mut moved = people();
    moved[0].department = "Finance".to_owned();
    moved.remove(1);
    world.feed(&moved).await;
    assert!(world.converge(3).await < 3);
    assert_eq!(members(&world), pairs([("app-buyers", "1 3"), ("app-sellers", "")]));
}

/// The group vanishes between the plan and its apply: nobody is put anywhere, nothing fails for ever.
#[tokio::test]
async fn edges_of_a_plan_whose_group_is_gone_meanwhile_wait_for_the_next() {
    let world = world(Drive::Review, OnDelete::Delete, one()).await;
    let plan = world.plan(Scope::All).await;
    world.apply(plan.id).await;
    let mut more = people();
    more.push(person("5", "Eve", "Poe", "Sales"));
    world.feed(&more).await;
    let plan = world.plan(Scope::Changed).await;
    assert!(done(&world, &plan).await.iter().any(|step| step.starts_with("add_member hr:5")));
    lost(&world).await;
    let report = world.apply(plan.id).await;
    assert_eq!((report.failed, report.skipped), (0, 1), "{report:?}");
    world.settle_down(2).await;
    assert_eq!(world.all::<Membership>().await.len(), 2);
}
