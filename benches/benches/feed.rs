//! A feed in which one row in 1,000 has another title, from the file to the plan, against two that do less:
//!
//! - reading the same file with `csv` and looking each row up in the same SQLite file: the least that anybody must do
//!   who compares a feed with what is stored;
//! - the snapshot diff in SQL with DuckDB, of yesterday's file and today's: no store, no identities, no plan.
//!
//! Everything of ours runs in a process of its own, so that its memory can be told.
//!
//! `--smoke`: 2,000 rows, one round, without DuckDB. `--rows N`, `--rounds N`: one size, other rounds.

use std::path::Path;
use std::time::Duration;

use provision_benches::child::{self, Told};
use provision_benches::report::Figure;
use provision_benches::{
    Outcome, People, REALM, SOURCE, Size, Spent, TARGET, Table, World, expect, median, number_of, run, timed,
    write_csv,
};
use provision_core::engine::PlanOptions;
use provision_core::plan::Scope;
use rusqlite::{Connection, OpenFlags};

const DUCKDB: &str = include_str!("../peers/snapshot_diff.py");

fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["--first", folder] => return run(first(Path::new(folder))),
        ["--day", changed, folder] => return run(day(Path::new(folder), changed.parse()?)),
        _ => {}
    }
    let size = Size::asked(&arguments);
    let rounds = number_of(&arguments, "--rounds").unwrap_or(if size == Size::Smoke { 1 } else { 3 });
    let sizes = match number_of(&arguments, "--rows") {
        Some(rows) => vec![rows],
        None if size == Size::Smoke => vec![2_000],
        None => vec![10_000, 100_000, 1_000_000],
    };
    let measured: Vec<Measured> =
        sizes.iter().map(|rows| measure(*rows, rounds, size)).collect::<Outcome<_>>()?;
    memory(&measured);
    Ok(())
}

/// What came of one size.
struct Measured {
    rows: usize,
    first: Told,
    days: Vec<Told>,
}

/// The first feed of an empty store. The target is onboarded before, while there is nobody.
async fn first(folder: &Path) -> Outcome<()> {
    let world = World::open(folder).await?;
    world.set_policy().await?;
    world.engine.onboard(&world.actor, &TARGET.into()).await?;
    let (report, ingest) = timed(world.ingest()).await;
    expect("rows of the first feed that are not new", report?.counts.unchanged, 0)?;
    child::tell(&[("ingest", ingest)])
}

/// The feed of another day, and the plan of those it changed.
async fn day(folder: &Path, changed: u64) -> Outcome<()> {
    let world = World::open(folder).await?;
    world.set_policy().await?;
    let (report, ingest) = timed(world.ingest()).await;
    let counts = report?.counts;
    expect("rows changed", counts.changed, changed)?;
    expect("rows unchanged", counts.unchanged, counts.rows - changed)?;
    let planned = world.engine.plan(&world.actor, Scope::Changed, PlanOptions::default());
    let (planned, plan) = timed(planned).await;
    expect("steps planned", planned?.steps, changed)?;
    child::tell(&[("ingest", ingest), ("plan", plan)])
}

fn measure(rows: usize, rounds: usize, size: Size) -> Outcome<Measured> {
    let folder = tempfile::tempdir()?;
    let (path, changed) = (folder.path(), rows / 1_000);
    let people = |day| People { count: rows, day, changed };
    let (feed, yesterday) = (path.join("hr.csv"), path.join("yesterday.csv"));
    write_csv(&feed, people(0))?;
    let first = child::again(&["--first"], path)?;
    let (mut days, mut lookups, mut joins) = (Vec::new(), Vec::new(), Vec::new());
    for day in 1..=rounds {
        forget_work(path)?;
        std::fs::rename(&feed, &yesterday)?;
        write_csv(&feed, people(day))?;
        let (found, plain) = run(async { Ok(timed(async { lookup(path) }).await) })?;
        expect("rows looked up", found?, rows)?;
        lookups.push(plain);
        if size == Size::Full {
            let join = child::python(DUCKDB, &[&yesterday, &feed])?;
            expect("rows that differ", join.number("", "rows")?, changed as f64)?;
            joins.push(join);
        }
        days.push(child::again(&["--day", &changed.to_string()], path)?);
    }
    let measured = Measured { rows, first, days };
    show(&measured, &lookups, &joins)?;
    Ok(measured)
}

/// Takes the dirty marks away, as if everybody had the account: a plan is made of what the next feed changes.
fn forget_work(folder: &Path) -> Outcome<()> {
    Connection::open(folder.join("store.db"))?.execute_batch("DELETE FROM work")?;
    Ok(())
}

fn show(measured: &Measured, lookups: &[Spent], joins: &[Told]) -> Outcome<()> {
    let Measured { rows, first, days } = measured;
    let all = |name: &str| days.iter().map(|day| day.spent(name)).collect::<Outcome<Vec<_>>>();
    let (ingests, plans) = (all("ingest")?, all("plan")?);
    let totals: Vec<Spent> = ingests.iter().zip(&plans).map(|(ingest, plan)| ingest.plus(*plan)).collect();
    let (ingest, plan, total, plain) = (median(&ingests), median(&plans), median(&totals), median(lookups));
    let changed = rows / 1_000;
    let mut table = Table::new(&["feed", "median", "processor", "rows per second"]);
    table.row(first.spent("ingest")?.cells(format!("first ingest of {rows} rows (once)"), *rows));
    table.row(ingest.cells(format!("ingest of {rows} rows, {changed} changed"), *rows));
    table.row(plan.cells(format!("plan of the {changed} changed"), changed));
    table.row(total.cells("both".to_owned(), *rows));
    table.row(plain.cells("`csv` read and a point lookup per row".to_owned(), *rows));
    let name = format!("feed of {} rows, 0.1 % changed, through ingest to plan", thousands(*rows));
    figure(&name, total, "`csv` read and a SQLite point lookup per row", plain).goal("2x").print();
    if !joins.is_empty() {
        let spent = joins.iter().map(|join| join.spent("")).collect::<Outcome<Vec<_>>>()?;
        let (join, ours, peer) = (median(&spent), peak(days)?, peak(joins)?);
        table.row(join.cells("snapshot diff of two files in DuckDB".to_owned(), *rows));
        figure(&format!("{name} (two files)"), total, "DuckDB, SQL snapshot diff of the two files", join)
            .goal("3x")
            .print();
        Figure::new("feed", format!("{name}: peak memory"), ours, "MiB")
            .peer("DuckDB, SQL snapshot diff of the two files", peer)
            .goal("a tenth")
            .print();
    }
    println!("{table}");
    println!("ratio: {} ({} rounds)\n", total.ratio(plain), days.len());
    Ok(())
}

fn figure(name: &str, ours: Spent, against: &str, peer: Spent) -> Figure {
    let processor = ours.processor.max(TICK).as_secs_f64() / peer.processor.max(TICK).as_secs_f64();
    Figure::new("feed", name, ours.wall.as_secs_f64(), "s")
        .peer(against, peer.wall.as_secs_f64())
        .processor(processor)
}

/// The least processor time the system tells.
const TICK: Duration = Duration::from_millis(10);

/// The highest of the peaks.
fn peak(all: &[Told]) -> Outcome<f64> {
    all.iter().map(Told::peak_mib).try_fold(0.0, |most: f64, peak| Ok(most.max(peak?)))
}

fn memory(measured: &[Measured]) {
    let mut table = Table::new(&["peak memory of a process", "first ingest", "0.1 % changed, to the plan"]);
    for of in measured {
        let (first, day) = (of.first.peak_mib().unwrap_or(f64::NAN), peak(&of.days).unwrap_or(f64::NAN));
        table.row([format!("{} rows", of.rows), format!("{first:.1} MiB"), format!("{day:.1} MiB")]);
        let rows = thousands(of.rows);
        for (what, value) in [("first ingest", first), ("0.1 % changed, through ingest to plan", day)] {
            let name = format!("peak memory, {rows} rows, {what}");
            Figure::new("feed", name, value, "MiB").goal("flat, under 300 MiB").print();
        }
    }
    println!("{table}");
}

/// `1,000,000`.
fn thousands(number: usize) -> String {
    let digits = number.to_string();
    let mut shown = String::new();
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            shown.push(',');
        }
        shown.push(digit);
    }
    shown
}

/// Reads the file with `csv` and each row's record from the store; how many were found.
fn lookup(folder: &Path) -> Outcome<usize> {
    let connection = Connection::open_with_flags(
        folder.join("store.db"),
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    connection.pragma_update(None, "cache_size", -16 * 1_024)?;
    // One transaction for all of them, as somebody would who wants it fast.
    let transaction = connection.unchecked_transaction()?;
    let mut statement =
        transaction.prepare("SELECT version, body FROM source_record WHERE realm = ? AND key = ?")?;
    let mut reader = csv::Reader::from_path(folder.join("hr.csv"))?;
    let (mut record, mut found) = (csv::StringRecord::new(), 0);
    while reader.read_record(&mut record)? {
        let key = format!("{SOURCE}/{}", record.get(0).unwrap_or_default());
        let (version, body): (i64, String) =
            statement.query_row([REALM, &key], |row| Ok((row.get(0)?, row.get(1)?)))?;
        found += usize::from(version > 0 && !body.is_empty());
    }
    Ok(found)
}
