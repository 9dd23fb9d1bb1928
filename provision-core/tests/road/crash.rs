//! A process may end between any two calls; another one goes on. The end is the same.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use provision_core::engine::{ApplyOptions, PlanOptions};
use provision_core::execute::CredentialDelivery;
use provision_core::plan::Scope;
use provision_core::runtime::Progress;
use provision_core::store::{SqliteOptions, SqliteStore};

use crate::laws::faults::{two_days, undisturbed};
use crate::laws::secrets::Mailbox;
use crate::view::same;
use crate::world::{Person, Setup, TestPolicy, World, first_day};

/// Runs a future for so many polls; `None` when it has not ended by then.
pub(crate) async fn polled<F: Future>(future: &mut Pin<Box<F>>, polls: u32) -> Option<F::Output> {
    let mut left = polls;
    poll_fn(|cx| {
        if left == 0 {
            return Poll::Ready(None);
        }
        left -= 1;
        future.as_mut().poll(cx).map(Some)
    })
    .await
}

/// A world in which the first `day` days have passed undisturbed and the next has been fed.
async fn before(day: usize, days: &[Vec<Person>]) -> World {
    let world = World::new(1).await;
    world.onboard().await;
    for people in &days[..day] {
        world.feed(people).await;
        world.settle_down(2).await;
    }
    world.feed(&days[day]).await;
    world
}

/// What became of the process that was stopped.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fate {
    /// It is gone.
    Dead,
    /// It was only paused, and goes on when another has done its work.
    Late,
}

async fn stopped_in_apply(fate: Fate, step: usize) {
    let days = two_days();
    for day in 0..2 {
        let expected = undisturbed(&days[..=day]).await;
        for polls in (1..).step_by(step) {
            let world = before(day, &days).await;
            let plan = world.plan(Scope::Changed).await;
            world.pace.stepwise();
            let mut apply = Box::pin(world.apply_with(&world.engine, plan.id));
            let ended = polled(&mut apply, polls).await;
            world.pace.straight();
            if let Some(report) = ended {
                assert!(report.unwrap().is_clean());
                assert!(polls > 30, "{polls} polls are not a process that is stopped at every call");
                break;
            }
            let late = match fate {
                Fate::Dead => {
                    drop(apply);
                    None
                }
                Fate::Late => Some(apply),
            };
            // Past the deadline of the open calls and the time they get to settle.
            world.later(Duration::from_secs(10));
            world.settle_down(6).await;
            if let Some(apply) = late {
                // It may find that others have done its work; it may not do it again.
                let _ = apply.await;
                world.settle_down(6).await;
            }
            let seen = (world.picture(), world.links().await);
            same(&seen, &expected, &format!("{fate:?}, day {day}, stopped after {polls} polls"));
            assert_eq!(world.open_disputes().await, []);
            assert!(world.plan(Scope::All).await.is_empty());
        }
    }
}

#[tokio::test]
async fn a_process_that_dies_in_apply_leaves_nothing_undone_and_nothing_twice() {
    stopped_in_apply(Fate::Dead, 1).await;
}

#[tokio::test]
async fn a_process_that_is_paused_in_apply_does_nothing_twice() {
    stopped_in_apply(Fate::Late, 3).await;
}

#[tokio::test]
async fn a_process_that_dies_while_planning_leaves_no_plan_that_could_be_applied() {
    let days = two_days();
    let expected = undisturbed(&days[..1]).await;
    for polls in 1.. {
        let world = before(0, &days).await;
        world.pace.stepwise();
        let mut planning = Box::pin(world.engine.plan(&world.actor, Scope::Changed, PlanOptions::default()));
        let ended = polled(&mut planning, polls).await.is_some();
        drop(planning);
        world.pace.straight();
        if ended {
            assert!(polls > 10);
            break;
        }
        for plan in world.all::<provision_core::plan::PlanHeader>().await {
            let applied = world.apply_with(&world.engine, plan.id).await;
            assert!(applied.is_err() || plan.state != provision_core::plan::PlanState::Draft);
        }
        world.settle_down(4).await;
        same(&(world.picture(), world.links().await), &expected, &format!("stopped after {polls} polls"));
    }
}

#[tokio::test]
async fn two_processes_that_apply_one_plan_make_each_account_once() {
    let days = two_days();
    let expected = undisturbed(&days).await;
    for seed in 0..20 {
        let world = Setup { seed, ..Setup::default() }.build().await;
        world.onboard().await;
        for people in &days {
            world.feed(people).await;
            let plan = world.plan(Scope::Changed).await;
            let (a, b) = (world.restarted().await, world.restarted().await);
            let before = world.directory.dump("user").unwrap().len();
            world.pace.shuffled();
            // Neither waits for the other: the clock of the tests would jump over a call that is under way.
            let options = ApplyOptions { patience: Duration::ZERO };
            let (p, q) = (Progress::new(), Progress::new());
            let (x, y) = futures_util::future::join(
                a.apply(&world.actor, plan.id, &options, &p),
                b.apply(&world.actor, plan.id, &options, &q),
            )
            .await;
            world.pace.straight();
            // Whoever is second finds that somebody else has it: that is no failure.
            let (x, y) = (x.unwrap(), y.unwrap());
            // The clock of the test moves when somebody waits, so a process may be late here and call once more after
            // its deadline: what counts is what came of it.
            let planned = world.steps(&plan).await;
            let creates = planned.iter().filter(|step| step.action.word() == "create").count();
            let after = world.directory.dump("user").unwrap().len();
            assert_eq!(after, before + creates, "seed {seed}: {x:?} {y:?}");
            world.later(Duration::from_secs(10));
            world.settle_down(4).await;
        }
        same(&(world.picture(), world.links().await), &expected, &format!("seed {seed}"));
    }
}

#[tokio::test]
async fn a_crash_never_leaves_an_account_without_a_password_that_somebody_got() {
    for polls in 1.. {
        let mailbox = Arc::new(Mailbox::default());
        let policy = TestPolicy { password: Some(16), ..TestPolicy::new() };
        let delivery: Arc<dyn CredentialDelivery> = mailbox.clone();
        let world = Setup { policy, delivery: Some(delivery), ..Setup::default() }.build().await;
        world.onboard().await;
        world.feed(&two_days()[0][..2]).await;
        let plan = world.plan(Scope::Changed).await;
        world.pace.stepwise();
        let mut apply = Box::pin(world.apply_with(&world.engine, plan.id));
        let ended = polled(&mut apply, polls).await.is_some();
        drop(apply);
        world.pace.straight();
        world.later(Duration::from_secs(10));
        world.settle_down(4).await;
        let delivered = mailbox.take();
        let users = world.directory.dump("user").unwrap();
        assert_eq!(users.len(), 2);
        for user in users {
            let last = delivered.iter().rev().find(|(key, _)| key.id == user.key.id);
            let works =
                last.is_some_and(|(_, password)| world.directory.verify_password(&user.key, password));
            assert!(works, "stopped after {polls} polls");
        }
        if ended {
            break;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_target_that_never_answers_is_left_at_the_deadline_and_read_back() {
    let days = two_days();
    let expected = undisturbed(&days).await;
    for number in 1..=4 {
        let world = World::new(1).await;
        world.onboard().await;
        for people in &days {
            world.feed(people).await;
            world.wire.hang_at(number);
            world.settle_down(6).await;
        }
        same(&(world.picture(), world.links().await), &expected, &format!("write number {number}"));
        assert_eq!(world.open_disputes().await, []);
    }
}

#[tokio::test]
async fn the_road_ends_the_same_on_sqlite() {
    let days = two_days();
    let expected = undisturbed(&days).await;
    let folder = tempfile::tempdir().unwrap();
    let clock = first_day();
    let path = folder.path().join("store.db");
    let store = SqliteStore::open(path, SqliteOptions::default(), clock.clone()).unwrap();
    let world = Setup { store: Some(Arc::new(store)), ..Setup::default() }.build_at(clock).await;
    world.onboard().await;
    for people in &days {
        world.feed(people).await;
        world.settle_down(2).await;
    }
    same(&(world.picture(), world.links().await), &expected, "on SQLite");
    assert!(world.engine.verify().await.unwrap().is_whole());
}
