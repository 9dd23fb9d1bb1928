//! 10,000 joiners into one group of a target that takes 100 members in a request, by 8 workers of the continuous drive
//! and by one reviewed plan: how many membership requests that takes, against the least there can be.
//!
//! `--smoke`: 400 joiners, 20 in a request. `--joiners N`: another number of people.

use provision_benches::report::Figure;
use provision_benches::{
    Outcome, People, Size, Table, World, WorldOptions, expect, number_of, run, seconds, timed, write_csv,
};
use provision_core::engine::{ApplyOptions, PlanOptions, RunOptions};
use provision_core::memory::Operation;
use provision_core::plan::{Drive, Scope};
use provision_core::runtime::Progress;

/// Workers of the drive.
const WORKERS: u32 = 8;

fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let smoke = Size::asked(&arguments) == Size::Smoke;
    let (joiners, edges) = if smoke { (400, 20) } else { (10_000, 100) };
    let joiners = number_of(&arguments, "--joiners").unwrap_or(joiners);
    let least = joiners.div_ceil(edges as usize) as u64;
    let mut table = Table::new(&["joiners into one group", "requests", "least", "wall"]);
    for drive in [Drive::Enforce, Drive::Review] {
        let how = match drive {
            Drive::Enforce => format!("continuous drive, {WORKERS} workers"),
            _ => "one reviewed plan".to_owned(),
        };
        let (requests, wall) = run(join(joiners, edges, drive))?;
        table.row([format!("{joiners}, {how}"), requests.to_string(), least.to_string(), seconds(wall)]);
        let name = format!("membership requests for {joiners} joiners into one group, {edges} each: {how}");
        Figure::new("group", name, requests as f64, "requests")
            .peer("the least there can be", least as f64)
            .goal("1.1x")
            .print();
        if requests as f64 > least as f64 * 1.1 {
            return Err(format!("{requests} membership requests where {least} would do").into());
        }
    }
    println!("{table}");
    Ok(())
}

async fn join(joiners: usize, edges: u32, drive: Drive) -> Outcome<(u64, std::time::Duration)> {
    let folder = tempfile::tempdir()?;
    write_csv(&folder.path().join("hr.csv"), People { count: joiners, day: 0, changed: 0 })?;
    let options = WorldOptions {
        drive,
        members_per_request: edges,
        group: Some("everybody".to_owned()),
        ..WorldOptions::default()
    };
    let world = World::open_with(folder.path(), options).await?;
    world.set_policy().await?;
    expect("rows added", world.ingest().await?.counts.added, joiners as u64)?;
    world.engine.onboard(&world.actor, &provision_benches::TARGET.into()).await?;
    let (engine, actor) = (&world.engine, &world.actor);
    let steps = 2 * joiners as u64;
    let spent = if drive == Drive::Enforce {
        let options = RunOptions { workers: WORKERS, ..RunOptions::default() };
        let (report, spent) = timed(engine.run(actor, &options)).await;
        let report = report?;
        expect("steps done and failed", (report.done, report.failed), (steps, 0))?;
        spent
    } else {
        let plan = engine.plan(actor, Scope::All, PlanOptions::default()).await?;
        let (apply, progress) = (ApplyOptions::default(), Progress::new());
        let (report, spent) = timed(engine.apply(actor, plan.id, &apply, &progress)).await;
        expect("steps done", report?.done, steps)?;
        spent
    };
    expect("members of the group", world.memberships()?, joiners)?;
    Ok((world.directory.called(Operation::Membership), spent.wall))
}
