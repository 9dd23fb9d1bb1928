//! Drives of two processes that meet at what a third one left: whoever comes second leaves it to the first, and goes
//! on.

use std::time::Duration;

use provision_core::engine::RunOptions;
use provision_core::plan::{Drive, PlanHeader, PlanState, Scope};

use crate::crash::polled;
use crate::world::{Setup, World, generous, person};

const PEOPLE: usize = 24;

/// Everybody is fed and onboarded, and a drive was killed after so many polls. `None` when it had ended by then.
async fn left_behind(seed: u64, polls: u32) -> Option<World> {
    let mut settings = generous();
    settings.drive = Drive::Enforce;
    let world = Setup { seed, settings, ..Setup::default() }.build().await;
    let people: Vec<_> =
        (0..PEOPLE).map(|n| person(&format!("{n:02}"), "Jo", &format!("Family{n}"), "Sales")).collect();
    world.feed(&people).await;
    world.onboard().await;
    world.pace.stepwise();
    let options = options();
    let mut run = Box::pin(world.engine.run(&world.actor, &options));
    let ended = polled(&mut run, polls).await.is_some();
    drop(run);
    world.pace.straight();
    (!ended).then_some(world)
}

fn options() -> RunOptions {
    RunOptions { workers: 1, batch: 8, ..RunOptions::default() }
}

#[tokio::test]
async fn two_drives_that_go_on_with_one_plan_both_end_well() {
    let (mut met, mut ended) = (0, 0);
    // Where the third one ended, and which of the two overtakes the other, is the seed's.
    for seed in 0..120 {
        let Some(world) = left_behind(seed, 90 + 40 * u32::try_from(seed % 8).unwrap()).await else {
            ended += 1;
            continue;
        };
        let going = |plans: Vec<PlanHeader>| plans.iter().any(|plan| plan.state == PlanState::Applying);
        met += usize::from(going(world.all::<PlanHeader>().await));
        // Past the leases and the deadlines of the one that is gone.
        world.later(Duration::from_secs(600));
        let (one, two) = (world.restarted().await, world.restarted().await);
        world.pace.shuffled();
        let options = options();
        let both =
            futures_util::future::join(one.run(&world.actor, &options), two.run(&world.actor, &options))
                .await;
        world.pace.straight();
        for ended in [both.0, both.1] {
            let report = ended.unwrap_or_else(|error| panic!("seed {seed}: {}", error.report()));
            assert_eq!((report.failed, report.disputed), (0, 0), "seed {seed}: {report:?}");
        }
        world.later(Duration::from_secs(600));
        world.settle_down(4).await;
        assert_eq!(world.directory.dump("user").unwrap().len(), PEOPLE, "seed {seed}");
        assert!(world.plan(Scope::All).await.is_empty(), "seed {seed}");
    }
    println!("{ended} ended before, {met} left a plan to go on with");
    assert!(met > 10, "{met} times there was a plan to go on with");
}
