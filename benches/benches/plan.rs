//! A plan of everybody on many targets, where one person in twenty has changed: how long, how much memory, how many
//! bytes a link takes, and whether one worker and eight make the same plan. The long run is
//! `--people 1000000 --targets 20`: it needs 40 GB of disk and an hour.
//!
//! `--smoke`: 400 people, 3 targets.

use std::path::Path;
use std::process::Command;

use provision_benches::population::{Copies, feed, record};
use provision_benches::report::Figure;
use provision_benches::{
    Outcome, Size, TARGET, Table, World, expect, number_of, peak_memory_kib, run, seconds, timed,
};
use provision_core::engine::{ApplyOptions, PlanOptions};
use provision_core::id::{SourceName, TargetName};
use provision_core::plan::Scope;
use provision_core::runtime::Progress;

fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().collect();
    let smoke = Size::asked(&arguments) == Size::Smoke;
    let people = number_of(&arguments, "--people").unwrap_or(if smoke { 400 } else { 50_000 });
    let count = number_of(&arguments, "--targets").unwrap_or(if smoke { 3 } else { 20 });
    let targets: Vec<TargetName> = std::iter::once(TARGET.into())
        .chain((1..count).map(|number| TargetName::new(format!("target-{number:02}"))))
        .collect();
    if let Some(at) = arguments.iter().position(|argument| argument == "--child") {
        let (folder, workers) = (arguments.get(at + 1), number_of(&arguments, "--workers"));
        let folder = folder.ok_or("--child needs a folder")?;
        return run(plan(Path::new(folder), &targets, workers.unwrap_or(1)));
    }
    let folder = tempfile::tempdir()?;
    run(fill(folder.path(), people, &targets))?;
    let links = people * count;
    let bytes = bytes_of_links(&folder.path().join("store.db"))? / links as f64;
    let mut table = Table::new(&["workers", "plan", "peak memory", "digest"]);
    let mut digests = Vec::new();
    for workers in [1, 8] {
        let told = child(folder.path(), count, workers)?;
        let [took, peak, steps, digest] = told.as_slice() else {
            return Err("the child told nothing".into());
        };
        expect("steps", steps.parse::<usize>()?, (people - 1) / 20 * count)?;
        table.row([workers.to_string(), format!("{took} s"), format!("{peak} MiB"), digest.clone()]);
        digests.push(digest.clone());
        let name = format!("plan of {people} people on {count} targets, {workers} workers: peak memory");
        Figure::new("plan", name, peak.parse()?, "MiB").goal("under 1 GiB").print();
    }
    digests.dedup();
    expect("digests", digests.len(), 1)?;
    println!("{table}");
    Figure::new("plan", "bytes in the store for a link, with its indexes", bytes, "B").print();
    Ok(())
}

/// Everybody has an account on every target; one in twenty has another title than on the targets.
async fn fill(folder: &Path, people: usize, targets: &[TargetName]) -> Outcome<()> {
    let world = World::open_wide(folder, targets).await?;
    let (engine, actor) = (&world.engine, &world.actor);
    world.set_policy().await?;
    engine.onboard(actor, &TARGET.into()).await?;
    let first = feed(0, vec![record(0, "Analyst")]);
    engine.ingest_feed(actor, &SourceName::new(provision_benches::SOURCE), first, &mut |_| {}).await?;
    let plan = engine.plan(actor, Scope::All, PlanOptions::default()).await?;
    engine.apply(actor, plan.id, &ApplyOptions::default(), &Progress::new()).await?;
    for target in targets {
        engine.onboard(actor, target).await?;
    }
    world.set_policy_on(targets).await?;
    world.copy_people(Copies { count: people, changed_in: 20, ..Copies::default() }, targets, &[]).await
}

/// A process that makes one preview of everybody: its seconds, its peak in MiB, steps and digest.
fn child(folder: &Path, targets: usize, workers: usize) -> Outcome<Vec<String>> {
    let output = Command::new(std::env::current_exe()?)
        .arg("--child")
        .arg(folder)
        .args(["--targets", &targets.to_string(), "--workers", &workers.to_string()])
        .output()?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned().into());
    }
    Ok(String::from_utf8(output.stdout)?.split_whitespace().map(str::to_owned).collect())
}

async fn plan(folder: &Path, targets: &[TargetName], workers: usize) -> Outcome<()> {
    let world = World::open_wide(folder, targets).await?;
    world.set_policy_on(targets).await?;
    let workers = u32::try_from(workers)?;
    let options = PlanOptions { preview: true, workers, ..PlanOptions::default() };
    let (plan, spent) = timed(world.engine.plan(&world.actor, Scope::All, options)).await;
    let plan = plan?;
    let peak = peak_memory_kib().unwrap_or_default() / 1_024;
    let took = seconds(spent.wall);
    println!("{} {peak} {} {}", took.trim_end_matches(" s"), plan.steps, plan.digest);
    Ok(())
}

/// What the links take in the file, with their indexes.
fn bytes_of_links(store: &Path) -> Outcome<f64> {
    let connection = rusqlite::Connection::open(store)?;
    let sql = "SELECT coalesce(sum(pgsize), 0) FROM dbstat WHERE name IN \
               (SELECT name FROM sqlite_master WHERE tbl_name = 'link')";
    Ok(connection.query_row(sql, [], |row| row.get::<_, i64>(0))? as f64)
}
