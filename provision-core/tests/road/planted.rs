//! Each planted defect changes what the engine does: the same story ends otherwise with it than without.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures_util::FutureExt;
use provision_core::engine::{PlanOptions, RunOptions};
use provision_core::memory::{Fault, FaultRule, Faults, Operation};
use provision_core::model::{Actor, HoldState, Status};
use provision_core::plan::{Budget, BudgetKind, Drive, OnDelete, Scope, TargetSettings};
use provision_core::planted::{Defect, plant};
use provision_core::runtime::Progress;
use provision_core::value::Attributes;

use crate::crash::polled;
use crate::world::{Person, Setup, World, generous, person, settings};

/// The end of a story without a defect and with it.
async fn ends<T, F: Future<Output = T>>(defect: Defect, story: impl Fn() -> F) -> (T, T) {
    let sound = story().await;
    let _planted = plant(defect);
    let ill = story().await;
    (sound, ill)
}

fn john(key: &str) -> Person {
    person(key, "John", "Smith", "Sales")
}

/// A world of these people, with their accounts.
async fn populated(setup: Setup, people: &[Person]) -> World {
    let world = setup.build().await;
    world.feed(people).await;
    world.onboard().await;
    world.converge(2).await;
    world.wire.take();
    world
}

fn with(change: impl FnOnce(&mut TargetSettings)) -> Setup {
    let mut settings = generous();
    change(&mut settings);
    Setup { settings, ..Setup::default() }
}

fn failing(operation: Operation, call: u64, fault: Fault) -> Faults {
    Faults { seed: 0, rules: vec![FaultRule::at(operation, [call], fault)] }
}

impl World {
    fn logins(&self) -> Vec<String> {
        self.accounts().into_values().map(|account| account.0).collect()
    }

    /// How often each step ended, in the history.
    async fn endings(&self) -> BTreeMap<String, usize> {
        let mut endings = BTreeMap::new();
        for entry in self.audit().await {
            let ended = entry.event.starts_with("step.") && entry.event.ends_with(".done");
            if let (Some(plan), Some(step), true) = (entry.plan, &entry.step, ended) {
                *endings.entry(format!("{plan}/{}", step.as_str())).or_default() += 1;
            }
        }
        endings
    }
}

#[test]
fn every_defect_has_a_name_of_its_own() {
    let names: BTreeSet<&str> = Defect::ALL.iter().map(|defect| defect.name()).collect();
    assert_eq!(names.len(), Defect::ALL.len());
}

#[tokio::test]
async fn a_late_worker_ends_a_step_again() {
    let (sound, ill) = ends(Defect::StaleLeaseCommits, || async {
        let mut most = 0;
        for polls in (1..80).step_by(2) {
            let world = World::new(1).await;
            world.feed(&[john("1")]).await;
            world.onboard().await;
            let plan = world.plan(Scope::Changed).await;
            world.pace.stepwise();
            let mut late = Box::pin(world.apply_with(&world.engine, plan.id));
            if polled(&mut late, polls).await.is_some() {
                break;
            }
            world.pace.straight();
            world.later(Duration::from_secs(60));
            let other = world.restarted().await;
            world.apply_with(&other, plan.id).await.unwrap();
            let _ = late.await;
            most = most.max(world.endings().await.into_values().max().unwrap_or(0));
        }
        most
    })
    .await;
    assert_eq!((sound, ill), (1, 2));
}

#[tokio::test]
async fn a_newer_mark_goes_with_the_one_before_it() {
    let (sound, ill) = ends(Defect::DirtyClearedAfterNewerChange, || async {
        let mut lost = 0;
        for polls in 1.. {
            let mut people = vec![john("1")];
            let world = World::new(1).await;
            world.feed(&people).await;
            world.onboard().await;
            let plan = world.plan(Scope::Changed).await;
            world.pace.stepwise();
            let mut apply = Box::pin(world.apply_with(&world.engine, plan.id));
            let ended = polled(&mut apply, polls).await.is_some();
            world.pace.straight();
            if ended {
                break;
            }
            people[0].department = "Finance".to_owned();
            world.feed(&people).await;
            apply.await.unwrap();
            let next = world.plan(Scope::Changed).await;
            world.apply(next.id).await;
            lost += usize::from(!world.plan(Scope::All).await.is_empty());
        }
        lost
    })
    .await;
    assert_eq!(sound, 0);
    assert!(ill > 0);
}

#[tokio::test]
async fn two_plans_spend_more_than_there_is() {
    let (sound, ill) = ends(Defect::BudgetCountedAfterWrite, || async {
        let mut most = 0;
        for seed in 0..12 {
            let setup = with(|settings| {
                settings.budgets.0.insert(BudgetKind::Disable, Budget { always: 3, percent: 0 });
            });
            let mut people: Vec<Person> = (0..4).map(|n| john(&format!("{n}"))).collect();
            let world = populated(Setup { seed, ..setup }, &people).await;
            let ids = world.identities().await;
            people.iter_mut().for_each(|person| person.status = Status::Terminated);
            world.feed(&people).await;
            let first = world.plan(Scope::Identities(vec![ids["0"], ids["1"]])).await;
            let second = world.plan(Scope::Identities(vec![ids["2"], ids["3"]])).await;
            let other = world.restarted().await;
            world.pace.shuffled();
            let _ = futures_util::future::join(
                world.apply_with(&world.engine, first.id),
                world.apply_with(&other, second.id),
            )
            .await;
            let disabled = world.accounts().values().filter(|account| account.1 == Some(false)).count();
            most = most.max(disabled);
        }
        most
    })
    .await;
    assert!(sound <= 3);
    assert_eq!(ill, 4);
}

#[tokio::test]
async fn a_call_is_made_of_which_the_journal_knows_nothing() {
    let (sound, ill) = ends(Defect::IntentNotJournalled, || async {
        let world = World::new(1).await;
        world.feed(&[john("1")]).await;
        world.onboard().await;
        let plan = world.plan(Scope::Changed).await;
        world.wire.hang_at(1);
        let mut apply = Box::pin(world.apply_with(&world.engine, plan.id));
        assert!(apply.as_mut().now_or_never().is_none());
        (world.wire.take().len(), world.journal().await.len())
    })
    .await;
    assert_eq!((sound, ill), ((1, 1), (1, 0)));
}

#[tokio::test]
async fn whoever_has_the_name_is_taken_over() {
    let (sound, ill) = ends(Defect::AdoptionByName, || async {
        let world = World::new(1).await;
        world.feed(&[john("1")]).await;
        world.onboard().await;
        let plan = world.plan(Scope::Changed).await;
        let theirs = Attributes::new()
            .with("sAMAccountName", "smithj")
            .with("cn", "theirs")
            .with("dn", "CN=theirs,DC=test");
        world.directory.seed("user", [(theirs, Some(true))]).unwrap();
        world.apply(plan.id).await;
        world.converge(3).await;
        world.logins()
    })
    .await;
    assert_eq!(sound, ["smithj", "smithj2"]);
    assert_eq!(ill, ["smithj"]);
}

#[tokio::test]
async fn an_edge_is_believed_that_was_never_put() {
    let (sound, ill) = ends(Defect::EdgeLostInGroup, || async {
        let world = World::new(1).await;
        world.feed(&[john("1")]).await;
        world.onboard().await;
        world.directory.set_faults(failing(Operation::Membership, 1, Fault::Conflict));
        world.settle_down(4).await;
        world.accounts()["1"].3
    })
    .await;
    assert_eq!((sound, ill), (1, 0));
}

#[tokio::test]
async fn a_reservation_outlives_its_plan() {
    let (sound, ill) = ends(Defect::ReservationKept, || async {
        let world = World::new(1).await;
        world.feed(&[john("1")]).await;
        world.onboard().await;
        world.plan(Scope::Changed).await;
        let mut gone = john("1");
        gone.status = Status::Terminated;
        world.later(Duration::from_secs(8 * 86_400));
        world.feed(&[gone, john("2")]).await;
        world.converge(2).await;
        world.logins()
    })
    .await;
    assert_eq!((sound, ill), (vec!["smithj".to_owned()], vec!["smithj2".to_owned()]));
}

#[tokio::test]
async fn a_leavers_name_goes_to_a_namesake() {
    let (sound, ill) = ends(Defect::TombstoneIgnored, || async {
        let deleting = with(|settings| {
            settings.classes.get_mut(&"user".into()).unwrap().on_delete = OnDelete::Delete;
        });
        let mut people = vec![john("1")];
        let world = populated(deleting, &people).await;
        people[0].status = Status::Terminated;
        people.push(john("2"));
        world.feed(&people[..1]).await;
        world.converge(2).await;
        world.feed(&people).await;
        world.converge(2).await;
        world.logins()
    })
    .await;
    assert_eq!((sound, ill), (vec!["smithj2".to_owned()], vec!["smithj".to_owned()]));
}

#[tokio::test]
async fn a_create_is_sent_again_without_looking() {
    let (sound, ill) = ends(Defect::BlindRetry, || async {
        let unmarked = with(|settings| settings.classes.get_mut(&"user".into()).unwrap().marker = None);
        let world = unmarked.build().await;
        world.feed(&[john("1")]).await;
        world.onboard().await;
        world.directory.set_faults(failing(Operation::Create, 1, Fault::LoseResponse));
        for _ in 0..4 {
            let plan = world.plan(Scope::All).await;
            world.apply(plan.id).await;
        }
        (world.directory.dump("user").unwrap().len(), world.open_disputes().await.len())
    })
    .await;
    assert_eq!((sound, ill), ((1, 1), (2, 0)));
}

#[tokio::test]
async fn a_stale_step_is_executed() {
    let (sound, ill) = ends(Defect::StalePrecondition, || async {
        let mut people = vec![john("1")];
        let world = World::new(1).await;
        world.feed(&people).await;
        world.onboard().await;
        let plan = world.plan(Scope::Changed).await;
        people[0].status = Status::Terminated;
        world.feed(&people).await;
        let report = world.apply(plan.id).await;
        (report.done, report.skipped)
    })
    .await;
    assert_eq!((sound, ill), ((0, 2), (2, 0)));
}

#[tokio::test]
async fn a_leaver_comes_after_the_queue() {
    let (sound, ill) = ends(Defect::LeaverBehindQueue, || async {
        let mut people: Vec<Person> = (0..7).map(|n| john(&format!("{n}"))).collect();
        let world = populated(with(|settings| settings.drive = Drive::Enforce), &people).await;
        people.iter_mut().for_each(|person| person.department = "Finance".to_owned());
        people[6].status = Status::Terminated;
        world.feed(&people).await;
        let leaver = world.identities().await["6"];
        let options = RunOptions { batch: 2, ..RunOptions::default() };
        let told = world.audit().await.len();
        world.engine.run(&world.actor, &options).await.unwrap();
        let steps = world.audit().await.into_iter().skip(told).filter(|entry| entry.step.is_some());
        let before: BTreeSet<_> =
            steps.map(|entry| entry.identity).take_while(|identity| *identity != Some(leaver)).collect();
        before.len()
    })
    .await;
    assert!(sound < 2, "the leaver is in the first batch");
    assert_eq!(ill, 6);
}

#[tokio::test]
async fn a_hold_is_approved_again() {
    let (sound, ill) = ends(Defect::ApprovedTwice, || async {
        let people: Vec<Person> = (0..8).map(|n| john(&format!("{n}"))).collect();
        let mut tight = settings();
        tight.budgets.0.insert(BudgetKind::Create, Budget { always: 2, percent: 0 });
        let world = Setup { settings: tight, ..Setup::default() }.build().await;
        world.feed(&people).await;
        world.onboard().await;
        world.plan(Scope::Changed).await;
        let hold = world.engine.holds().await.unwrap().remove(0);
        let first = world.engine.approve(&Actor::person("boss"), hold.id, &hold.digest).await;
        let second = world.engine.approve(&Actor::person("deputy"), hold.id, &hold.digest).await;
        assert_eq!(first.unwrap().state, HoldState::Approved);
        second.is_ok()
    })
    .await;
    assert_eq!((sound, ill), (false, true));
}

#[tokio::test]
async fn a_failed_write_is_not_told() {
    let (sound, ill) = ends(Defect::AuditRowMissing, || async {
        let world = World::new(1).await;
        world.feed(&[john("1")]).await;
        world.onboard().await;
        world.directory.set_faults(failing(Operation::Create, 1, Fault::Forbid));
        let plan = world.plan(Scope::Changed).await;
        assert_eq!(world.apply(plan.id).await.failed, 1);
        let audit = world.audit().await;
        audit.iter().filter(|entry| entry.event == "step.create.failed" && entry.error.is_some()).count()
    })
    .await;
    assert_eq!((sound, ill), (1, 0));
}

#[tokio::test]
async fn a_last_day_that_came_while_nobody_ran_is_past() {
    let (sound, ill) = ends(Defect::EndDateForgotten, || async {
        let mut leaver = john("1");
        leaver.end = Some("2026-11-30".parse().unwrap());
        let world = populated(with(|_| {}), &[leaver]).await;
        world.later(Duration::from_secs(40 * 86_400));
        let engine = world.restarted().await;
        let plan = engine.plan(&world.actor, Scope::Changed, PlanOptions::default()).await.unwrap();
        let options = provision_core::engine::ApplyOptions::default();
        engine.apply(&world.actor, plan.id, &options, &Progress::new()).await.unwrap();
        world.directory.dump("user").unwrap()[0].enabled
    })
    .await;
    assert_eq!((sound, ill), (Some(false), Some(true)));
}
