//! Law 4 against a wire that loses, doubles and delays: what the layer in front of the directory can do and the
//! directory itself cannot.

use provision_core::testkit::fault::{Fault, FaultRule, Operation};

use super::faults::{two_days, undisturbed};
use crate::view::same;
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
