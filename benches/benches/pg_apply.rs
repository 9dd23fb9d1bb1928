//! A journalled apply on PostgreSQL, beside the same apply on SQLite and beside inserting the rows that it wrote with
//! nothing but `unnest`, in batches of 1,000: the least that anybody must do on that database who keeps a durable record
//! of each change. All three with durable commits.
//!
//! `--smoke`: 300 creates, one round. `--creates N`, `--rounds N`: other sizes.

use std::path::Path;
use std::sync::Arc;

use provision_benches::pg_rows::{PgWritten, pg_insert_all, pg_position, pg_written_since};
use provision_benches::postgres::{connect, database, load, server, store};
use provision_benches::report::Figure;
use provision_benches::{
    Outcome, People, Size, Spent, TARGET, Table, World, WorldOptions, expect, median, number_of, run,
    thousands, timed, write_csv,
};
use provision_core::engine::{ApplyOptions, PlanOptions};
use provision_core::plan::{PlanState, Scope};
use provision_core::runtime::{Progress, SystemClock};
use provision_core::store::{SqliteOptions, SqliteStore, Store};
use provision_core::testkit::peer::Postgres;

fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let smoke = Size::asked(&arguments) == Size::Smoke;
    let creates = number_of(&arguments, "--creates").unwrap_or(if smoke { 300 } else { 20_000 });
    let rounds = number_of(&arguments, "--rounds").unwrap_or(if smoke { 1 } else { 3 });
    let server = server()?;
    let mut all = Vec::new();
    for number in 0..rounds {
        let round = round(&server, creates)?;
        println!(
            "round {}: {:.2} times bare inserts, {:.2} times SQLite, load {}",
            number + 1,
            round.postgres.wall.as_secs_f64() / round.bare.wall.as_secs_f64().max(1e-6),
            round.postgres.wall.as_secs_f64() / round.sqlite.wall.as_secs_f64().max(1e-6),
            load()
        );
        all.push(round);
    }
    show(creates, &all);
    Ok(())
}

/// What one round came to.
struct Round {
    postgres: Spent,
    sqlite: Spent,
    bare: Spent,
    rows: usize,
    bytes: usize,
}

fn round(server: &Postgres, creates: usize) -> Outcome<Round> {
    let ((_, url), (other_name, other)) = (database(server)?, database(server)?);
    let folder = tempfile::tempdir()?;
    write_csv(&folder.path().join("hr.csv"), People { count: creates, day: 0, changed: 0 })?;
    let (postgres, written) = run(async {
        let position = std::cell::RefCell::new(Vec::new());
        let client = connect(&url).await?;
        let before = async {
            *position.borrow_mut() = pg_position(&client).await?;
            client.batch_execute("vacuum analyze").await?;
            Ok(())
        };
        let spent = apply(store(&url, 8).await?, folder.path(), creates, before).await?;
        let written = pg_written_since(&client, &position.borrow()).await?;
        Ok((spent, written))
    })?;
    let sqlite = run(async {
        let path = folder.path().join("store.db");
        let store = SqliteStore::open(path, SqliteOptions::default(), Arc::new(SystemClock))?;
        apply(Arc::new(store), folder.path(), creates, async { Ok(()) }).await
    })?;
    let rows: usize = written.iter().map(PgWritten::len).sum();
    if rows < creates * 4 {
        return Err(format!("an apply of {creates} creates wrote {rows} rows only").into());
    }
    let bare = run(async {
        // The store makes the tables.
        drop(store(&other, 1).await?);
        let client = connect(&other).await?;
        let (inserted, spent) = timed(pg_insert_all(&client, &written)).await;
        inserted?;
        let found: i64 = client.query_one("select count(*) from journal", &[]).await?.get(0);
        expect("journal entries inserted", found, creates as i64)?;
        Ok(spent)
    })?;
    server.sql("postgres", &format!("drop database {other_name} with (force)"))?;
    let bytes = written.iter().map(PgWritten::bytes).sum();
    Ok(Round { postgres, sqlite, bare, rows, bytes })
}

/// Everybody is known and planned; then the plan is applied, and timed.
async fn apply(
    store: Arc<dyn Store>,
    folder: &Path,
    creates: usize,
    before: impl Future<Output = Outcome<()>>,
) -> Outcome<Spent> {
    let world = World::on(store, folder, WorldOptions::default()).await?;
    world.set_policy().await?;
    let (engine, actor) = (&world.engine, &world.actor);
    expect("rows added", world.ingest().await?.counts.added, creates as u64)?;
    engine.onboard(actor, &TARGET.into()).await?;
    let plan = engine.plan(actor, Scope::All, PlanOptions::default()).await?;
    expect("steps planned", plan.steps, creates as u64)?;
    before.await?;
    let (options, progress) = (ApplyOptions::default(), Progress::new());
    let (report, spent) = timed(engine.apply(actor, plan.id, &options, &progress)).await;
    let report = report?;
    expect("the plan's state", report.state, PlanState::Applied)?;
    expect("steps done", (report.done, report.is_clean()), (creates as u64, true))?;
    expect("accounts on the target", world.directory.dump("user")?.len(), creates)?;
    Ok(spent)
}

fn show(creates: usize, all: &[Round]) {
    let of = |time: fn(&Round) -> Spent| median(&all.iter().map(time).collect::<Vec<_>>());
    let (postgres, sqlite, bare) =
        (of(|round| round.postgres), of(|round| round.sqlite), of(|round| round.bare));
    let (rows, bytes) = all.last().map_or((0, 0), |round| (round.rows, round.bytes));
    let mut table = Table::new(&["creates", "median", "processor of this process", "creates per second"]);
    table.row(postgres.cells(format!("journalled apply of {creates} creates on PostgreSQL"), creates));
    table.row(sqlite.cells("the same on SQLite".to_owned(), creates));
    let same = format!("bare `unnest` inserts of the same {rows} rows ({:.0} MB)", bytes as f64 / 1e6);
    table.row(bare.cells(same, creates));
    println!("{table}");
    let rate = |spent: Spent| creates as f64 / spent.wall.as_secs_f64().max(1e-6);
    let median_of = |ratio: fn(&Round) -> f64| {
        let mut ratios: Vec<f64> = all.iter().map(ratio).collect();
        ratios.sort_by(f64::total_cmp);
        ratios.get(ratios.len() / 2).copied()
    };
    let name = format!("journalled applies on PostgreSQL, {} creates", thousands(creates));
    let mut figure = Figure::new("pg_apply", name.clone(), rate(postgres), "/s")
        .peer(format!("bare `unnest` inserts of the same {} rows", thousands(rows)), rate(bare));
    figure.ratio =
        median_of(|round| round.bare.wall.as_secs_f64() / round.postgres.wall.as_secs_f64().max(1e-6));
    figure.print();
    let mut figure =
        Figure::new("pg_apply", name, rate(postgres), "/s").peer("the same on SQLite", rate(sqlite));
    figure.ratio =
        median_of(|round| round.sqlite.wall.as_secs_f64() / round.postgres.wall.as_secs_f64().max(1e-6));
    figure.print();
}
