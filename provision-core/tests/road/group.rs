//! Many people into one group: as few requests as the target's limit allows, whoever makes them.

use std::collections::BTreeSet;
use std::time::Duration;

use provision_core::engine::RunOptions;
use provision_core::execute::StepState;
use provision_core::memory::{MemoryConfig, Operation};
use provision_core::plan::{Action, Drive, PlanHeader, Scope};

use crate::world::{Setup, World, generous, person};

/// People of one department, and edges that a request takes: a hundred requests are the least.
const PEOPLE: usize = 1_000;
const EDGES: u32 = 10;

async fn joiners(drive: Drive) -> World {
    let mut settings = generous();
    settings.drive = drive;
    let config = MemoryConfig { members_per_request: EDGES, ..MemoryConfig::default() };
    let world = Setup { settings, config, ..Setup::default() }.build().await;
    let people: Vec<_> = (0..PEOPLE)
        .map(|number| person(&number.to_string(), "Jo", &format!("Family{number}"), "Sales"))
        .collect();
    world.feed(&people).await;
    world.onboard().await;
    world
}

fn requests(world: &World) -> u64 {
    world.directory.calls().get(&Operation::Membership).copied().unwrap_or(0)
}

fn members(world: &World) -> usize {
    world.accounts().values().map(|(.., groups)| groups).sum()
}

#[tokio::test]
async fn edges_of_a_plan_fill_requests_over_its_chunks() {
    let world = joiners(Drive::Review).await;
    let plan = world.plan(Scope::Changed).await;
    assert!(plan.chunks > 1);
    let report = world.apply(plan.id).await;
    assert!(report.is_clean(), "{report:?}");
    assert_eq!(members(&world), PEOPLE);
    assert_eq!(requests(&world), 100, "full requests only");
}

#[tokio::test]
async fn workers_of_a_drive_share_requests() {
    let world = joiners(Drive::Enforce).await;
    // 37 leave 7 edges over in each batch.
    let options = RunOptions { workers: 8, batch: 37, ..RunOptions::default() };
    let report = world.engine.run(&world.actor, &options).await.unwrap();
    assert_eq!((report.done, report.failed), (2 * PEOPLE as u64, 0), "an account and an edge for each");
    assert_eq!(members(&world), PEOPLE);
    let requests = requests(&world);
    assert!(requests <= 110, "{requests} requests");
    assert!(world.plan(Scope::All).await.is_empty());
}

#[tokio::test]
async fn a_worker_alone_has_nobody_to_wait_for() {
    let world = joiners(Drive::Enforce).await;
    let options = RunOptions { workers: 1, batch: 256, ..RunOptions::default() };
    let report = world.engine.run(&world.actor, &options).await.unwrap();
    assert_eq!(report.failed, 0);
    assert_eq!(members(&world), PEOPLE);
    // Three batches of 256 and one of 232, each with a part of a request at its end.
    assert_eq!(requests(&world), 26 * 3 + 24);
}

/// Edges of one worker wait while another still creates accounts, and their time passes: nothing was sent, so nothing
/// has failed.
#[tokio::test]
async fn edges_whose_time_passes_while_they_wait_for_company_have_not_failed() {
    let mut waited = 0;
    for creates in (5..=29).step_by(4) {
        let mut settings = generous();
        settings.drive = Drive::Enforce;
        settings.concurrency = 1;
        settings.retry.attempts_max = 1;
        let world = Setup { settings, ..Setup::default() }.build().await;
        // One worker has a single account to create, the other 29.
        let people: Vec<_> = (0..30)
            .map(|number| person(&number.to_string(), "Jo", &format!("Family{number}"), "Sales"))
            .collect();
        world.feed(&people).await;
        world.onboard().await;
        world.pace.stepwise();
        let lease = Duration::from_secs(86_400);
        let options = RunOptions { workers: 2, batch: 29, lease, ..RunOptions::default() };
        let time = async {
            while world.directory.called(Operation::Create) < creates {
                tokio::task::yield_now().await;
            }
            world.later(Duration::from_secs(600));
        };
        let (report, ()) = tokio::join!(world.engine.run(&world.actor, &options), time);
        report.unwrap();
        world.pace.straight();
        let mut edges = BTreeSet::new();
        for plan in world.all::<PlanHeader>().await {
            let steps = world.steps(&plan).await.into_iter();
            edges.extend(steps.filter(|step| is_edge(&step.action)).map(|step| (plan.id, step.id)));
        }
        let journal = world.journal().await.into_iter();
        for entry in journal.filter(|entry| edges.contains(&(entry.plan, entry.step.clone()))) {
            let fine = matches!(entry.state, StepState::Done | StepState::Skipped { .. });
            assert!(fine, "creates {creates}: {entry:?}");
        }
        let audit = world.audit().await;
        waited += audit.iter().filter(|entry| entry.event == "step.add_member.waiting").count();
    }
    assert!(waited > 0, "no edge waited beyond its time");
}

fn is_edge(action: &Action) -> bool {
    matches!(action, Action::AddMember { .. })
}
