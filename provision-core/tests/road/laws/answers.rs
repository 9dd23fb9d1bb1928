//! Law 4 against a wire that loses, doubles and delays: what the layer in front of the directory can do and the
//! directory itself cannot.

use std::time::Duration;

use provision_core::memory::MemoryConfig;
use provision_core::plan::Scope;
use provision_core::testkit::fault::{Fault, FaultRule, Operation};

use super::faults::{two_days, undisturbed};
use crate::crash::polled;
use crate::view::{same, stand};
use crate::wire::WRITES;
use crate::world::{DIRECTORY, Setup, World, person};

const FAULTS: [Fault; 5] = [
    Fault::LoseRequest,
    Fault::Duplicate,
    Fault::DelayResponse(3_000),
    Fault::DelayResponse(70_000),
    Fault::Hang,
];

async fn disturbed(rules: Vec<FaultRule>) -> World {
    let world = World::new(1).await;
    world.onboard().await;
    world.wire.layer().set_rules(rules);
    for people in &two_days() {
        world.feed(people).await;
        world.settle_down(8).await;
    }
    world
}

#[tokio::test(start_paused = true)]
async fn law_4_exactly_one_account_with_every_loss_on_the_wire_at_every_write() {
    let expected = undisturbed(&two_days()).await;
    let mut acted = 0;
    for fault in FAULTS {
        for number in 1.. {
            let rule = FaultRule::at(Operation::Create, [number], fault.clone());
            let world = disturbed(vec![FaultRule { on: WRITES.into(), ..rule }]).await;
            let injected = world.wire.layer().injected();
            if injected.is_empty() {
                break;
            }
            acted += 1;
            same(&(world.picture(), world.links().await), &expected, &format!("{}", world.wire.layer()));
            assert_eq!(world.open_disputes().await, [], "{injected:?}");
        }
    }
    assert!(acted > 40, "only {acted} faults acted");
}

/// What the target does after the engine has looked whether it did it.
#[tokio::test(start_paused = true)]
async fn law_4_exactly_one_account_when_a_create_arrives_late() {
    let (accounts, links) = undisturbed(&two_days()).await;
    let expected = (accounts, stand(&links));
    let mut acted = 0;
    for millis in [1, 1_000, 60_000] {
        for number in 1.. {
            let world =
                disturbed(vec![FaultRule::at(Operation::Create, [number], Fault::Late(millis))]).await;
            if world.wire.layer().injected_count() == 0 {
                break;
            }
            acted += 1;
            world.wire.layer().deliver_all().await;
            world.settle_down(8).await;
            same(&world.standing().await, &expected, &format!("{}", world.wire.layer()));
        }
    }
    assert!(acted > 12, "only {acted} faults acted");
}

/// The look for what a lost create made sees what was there before it.
#[tokio::test(start_paused = true)]
async fn law_4_exactly_one_account_when_reads_lag_behind_a_lost_create() {
    let (accounts, links) = undisturbed(&two_days()).await;
    let expected = (accounts, stand(&links));
    for (lag, faults) in [(500, 2), (3_000, 3), (20_000, 3)] {
        for number in 1..=5 {
            let reads = FaultRule::always(Operation::Get, Fault::Stale(lag));
            let world = World::new(1).await;
            world.onboard().await;
            world.wire.layer().set_rules([
                FaultRule::at(Operation::Create, [number], Fault::LoseResponse),
                FaultRule { on: [Operation::Get, Operation::List].into(), ..reads },
            ]);
            for people in &two_days() {
                world.feed(people).await;
                for _ in 0..8 {
                    let engine = world.restarted().await;
                    if let Some(plan) = world.try_plan(Scope::All).await.filter(|plan| !plan.is_empty()) {
                        world.finish(&engine).await;
                        assert!(plan.hold.is_none());
                    }
                    world.later(Duration::from_secs(30));
                }
            }
            assert!(world.wire.layer().injected_count() >= faults, "{}", world.wire.layer());
            same(&world.standing().await, &expected, &format!("{}", world.wire.layer()));
            assert_eq!(world.open_disputes().await, []);
        }
    }
}

/// A directory whose reads are half a minute old, and that promises a minute.
async fn slow() -> World {
    let config = MemoryConfig { visible_after_s: 60, ..MemoryConfig::default() };
    let world = Setup { config, ..Setup::default() }.build().await;
    world.onboard().await;
    world
}

fn old(on: Operation) -> FaultRule {
    FaultRule::always(on, Fault::Stale(30_000))
}

#[tokio::test]
async fn law_4_exactly_one_account_where_a_write_is_shown_only_later() {
    for lost in [Fault::LoseResponse, Fault::LoseRequest] {
        let world = slow().await;
        world.feed(&[person("1", "Jane", "Smith", "Sales")]).await;
        let plan = world.plan(Scope::Changed).await;
        let rules = [FaultRule::at(Operation::Create, [1], lost.clone()), old(Operation::List)];
        world.wire.layer().set_rules(rules);
        let report = world.apply(plan.id).await;
        assert!(report.is_clean(), "{lost:?}: {report:?}");
        assert_eq!(world.accounts().len(), 1);
        assert_eq!(world.directory.called(Operation::Create), 1, "{lost:?}");
    }
}

#[tokio::test]
async fn law_4_exactly_one_account_where_a_lost_workers_write_is_shown_only_later() {
    let world = slow().await;
    world.feed(&[person("1", "Jane", "Smith", "Sales")]).await;
    let plan = world.plan(Scope::Changed).await;
    let hang = FaultRule::at(Operation::Create, [1], Fault::HangResponse);
    world.wire.layer().set_rules([hang, old(Operation::List)]);
    let mut lost = Box::pin(world.apply(plan.id));
    assert!(polled(&mut lost, 1).await.is_none());
    drop(lost);
    assert_eq!(world.accounts().len(), 1);
    world.later(Duration::from_secs(17));
    let report = world.apply(plan.id).await;
    assert!(report.is_clean(), "{report:?}");
    assert_eq!(world.directory.called(Operation::Create), 1);
}

#[tokio::test]
async fn an_account_that_is_not_shown_yet_is_neither_missing_nor_drifted() {
    let world = slow().await;
    let mut people = vec![person("1", "Jane", "Smith", "Sales"), person("2", "Al", "Kim", "Sales")];
    world.feed(&people).await;
    world.converge(2).await;
    world.later(Duration::from_secs(600));
    world.wire.layer().set_rules([old(Operation::List)]);
    people[0].department = "Finance".to_owned();
    people.push(person("3", "Jo", "Doe", "Sales"));
    world.feed(&people).await;
    world.converge(2).await;
    world.later(Duration::from_secs(20));
    for later in [20, 30] {
        let report = world.engine.reconcile(&world.actor, &DIRECTORY.into()).await.unwrap();
        assert!(report.completeness.is_complete());
        assert_eq!((report.missing, report.drifted), (0, 0), "{report:?}");
        world.later(Duration::from_secs(later));
    }
    assert_eq!(world.reconcile().await.linked, 3);
    assert!(world.plan(Scope::All).await.is_empty());
}
