//! A journalled apply of 100,000 creates into the in-memory target, against inserting the rows that it wrote with
//! nothing but SQLite: the least that anybody must do who keeps a durable record of each of them.
//!
//! Then the peak memory of a process that does nothing but one apply, into a target that keeps nothing.
//!
//! `--smoke`: 300 creates, one round. `--creates N`, `--rounds N`: other sizes.

use std::path::Path;

use provision_benches::report::Figure;
use provision_benches::{
    Outcome, People, Size, Spent, TARGET, Table, World, WorldOptions, Written, child, expect, insert_all,
    median, number_of, open_like, position, run, thousands, timed, write_csv, written_since,
};
use provision_core::engine::{ApplyOptions, PlanOptions};
use provision_core::plan::{PlanState, Scope};
use provision_core::runtime::Progress;

fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [option, folder] = arguments.as_slice()
        && option == "--child"
    {
        return run(apply_alone(Path::new(folder)));
    }
    let smoke = Size::asked(&arguments) == Size::Smoke;
    let (creates, rounds) = if smoke { (300, 1) } else { (100_000, 3) };
    let creates = number_of(&arguments, "--creates").unwrap_or(creates);
    let rounds = number_of(&arguments, "--rounds").unwrap_or(rounds);
    let prepared = tempfile::tempdir()?;
    run(prepare(prepared.path(), creates))?;
    let mut all = Vec::new();
    for _ in 0..rounds {
        all.push(round(prepared.path(), creates)?);
    }
    show(creates, &all);
    for creates in [creates / 10, creates] {
        let name = format!("peak memory of a process that applies {} creates", thousands(creates));
        Figure::new("apply", name, peak(creates)?, "MiB").goal("flat").print();
    }
    Ok(())
}

/// The peak of a process that applies a plan and does nothing else, in MiB.
fn peak(creates: usize) -> Outcome<f64> {
    let folder = tempfile::tempdir()?;
    run(prepare(folder.path(), creates))?;
    run(async {
        let world = World::open(folder.path()).await?;
        world.set_policy().await?;
        world.engine.plan(&world.actor, Scope::All, PlanOptions::default()).await?;
        Ok(())
    })?;
    child::again(&["--child"], folder.path())?.peak_mib()
}

/// Applies the plan that is ready.
async fn apply_alone(folder: &Path) -> Outcome<()> {
    let world = World::open_with(folder, WorldOptions { sink: true, ..WorldOptions::default() }).await?;
    world.set_policy().await?;
    let plans = world.engine.plans(PlanState::Ready).await?;
    let plan = plans.first().ok_or("there is no plan to apply")?;
    let (options, progress) = (ApplyOptions::default(), Progress::new());
    let (report, spent) = timed(world.engine.apply(&world.actor, plan.id, &options, &progress)).await;
    expect("steps done", report?.done, plan.steps)?;
    child::tell(&[("apply", spent)])
}

/// What one round came to.
struct Round {
    plan: Spent,
    apply: Spent,
    bare: Spent,
    rows: usize,
    bytes: usize,
}

/// Everybody is known and the target is onboarded; nothing is planned.
async fn prepare(folder: &Path, creates: usize) -> Outcome<()> {
    write_csv(&folder.join("hr.csv"), People { count: creates, day: 0, changed: 0 })?;
    let world = World::open(folder).await?;
    world.set_policy().await?;
    expect("rows added", world.ingest().await?.counts.added, creates as u64)?;
    world.engine.onboard(&world.actor, &TARGET.into()).await?;
    Ok(())
}

/// Plans and applies on a copy of the store, then inserts the same rows without the engine.
fn round(prepared: &Path, creates: usize) -> Outcome<Round> {
    let folder = tempfile::tempdir()?;
    let store = folder.path().join("store.db");
    std::fs::copy(prepared.join("store.db"), &store)?;
    let (plan, apply, before) = run(engine(folder.path(), &store, creates))?;
    let written = written_since(&store, &before)?;
    let rows: usize = written.iter().map(Written::len).sum();
    if rows < creates * 4 {
        return Err(format!("an apply of {creates} creates wrote {rows} rows only").into());
    }
    let mut bare = open_like(&store, &folder.path().join("bare.db"))?;
    let (inserted, bare) = run(async { Ok(timed(async { insert_all(&mut bare, &written) }).await) })?;
    inserted?;
    let bytes = written.iter().map(Written::bytes).sum();
    Ok(Round { plan, apply, bare, rows, bytes })
}

async fn engine(folder: &Path, store: &Path, creates: usize) -> Outcome<(Spent, Spent, Vec<i64>)> {
    let world = World::open(folder).await?;
    world.set_policy().await?;
    let (engine, actor) = (&world.engine, &world.actor);
    let (planned, plan) = timed(engine.plan(actor, Scope::All, PlanOptions::default())).await;
    let planned = planned?;
    expect("steps planned", planned.steps, creates as u64)?;
    let before = position(store)?;
    let (options, progress) = (ApplyOptions::default(), Progress::new());
    let (report, apply) = timed(engine.apply(actor, planned.id, &options, &progress)).await;
    let report = report?;
    expect("the plan's state", report.state, PlanState::Applied)?;
    expect("steps done", (report.done, report.is_clean()), (creates as u64, true))?;
    expect("accounts on the target", world.directory.dump("user")?.len(), creates)?;
    Ok((plan, apply, before))
}

fn show(creates: usize, all: &[Round]) {
    let of = |time: fn(&Round) -> Spent| median(&all.iter().map(time).collect::<Vec<_>>());
    let (plan, apply, bare) = (of(|round| round.plan), of(|round| round.apply), of(|round| round.bare));
    let (rows, bytes) = all.last().map_or((0, 0), |round| (round.rows, round.bytes));
    let mut table = Table::new(&["creates", "median", "processor", "creates per second"]);
    table.row(plan.cells(format!("plan of {creates} creates"), creates));
    table.row(apply.cells(format!("journalled apply of {creates} creates"), creates));
    let same = format!("bare inserts of the same {rows} rows ({:.0} MB)", bytes as f64 / 1e6);
    table.row(bare.cells(same, creates));
    println!("{table}");
    println!("ratio: {} ({} rounds)\n", apply.ratio(bare), all.len());
    let name = format!("journalled apply of {} creates", thousands(creates));
    Figure::new("apply", name, apply.wall.as_secs_f64(), "s")
        .peer(
            format!("bare batched SQLite inserts of the same {} rows", thousands(rows)),
            bare.wall.as_secs_f64(),
        )
        .processor(apply.processor.as_secs_f64() / bare.processor.as_secs_f64().max(0.01))
        .goal("5x")
        .print();
}
