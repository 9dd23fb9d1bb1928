//! Law 4 against a wire that loses, doubles and delays: what the layer in front of the directory can do and the
//! directory itself cannot.

use std::time::Duration;

use provision_core::plan::Scope;
use provision_core::testkit::fault::{Fault, FaultRule, Operation};

use super::faults::{two_days, undisturbed};
use crate::view::{same, stand};
use crate::wire::WRITES;
use crate::world::World;

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
