//! How the rate of the continuous drive grows with its workers, and with processes of one worker each, on one
//! PostgreSQL: people wait for an account on a target that takes 50 ms to answer. Efficiency is the rate of `n` workers
//! by `n` times the rate of one, in the same run.
//!
//! The rate is counted between the first tenth of the creates and the last: what a worker does before its first call,
//! and a last batch that others have no more of, are not the drive's pace.
//!
//! `--smoke`: tiny. `--each N`: creates per worker, `--batch N`, `--side-by-side N`: calls of a worker to the target at
//! a time, `--answer-ms N`, `--rounds N`, `--workers A` or `--processes A`: the largest number, `--connections N`.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use provision_benches::postgres::{connect, database, load, server, store};
use provision_benches::report::Figure;
use provision_benches::{
    Outcome, People, Size, TARGET, Table, World, WorldOptions, expect, number_of, run, write_csv,
};
use provision_core::engine::{RunOptions, RunUntil, Stop};
use provision_core::plan::Drive;

/// What is measured, and how.
#[derive(Clone, Copy, Debug)]
struct Setup {
    /// Creates for each worker.
    each: usize,
    batch: usize,
    side_by_side: usize,
    answer_ms: usize,
    connections: usize,
}

impl Setup {
    fn asked(arguments: &[String], smoke: bool) -> Self {
        let of = |name, full, small| number_of(arguments, name).unwrap_or(if smoke { small } else { full });
        Self {
            each: of("--each", 512, 32),
            batch: of("--batch", 64, 8),
            side_by_side: of("--side-by-side", 8, 4),
            answer_ms: of("--answer-ms", 50, 5),
            connections: of("--connections", 16, 16),
        }
    }

    fn world(self) -> Outcome<WorldOptions> {
        let answers_in = Duration::from_millis(u64::try_from(self.answer_ms)?);
        let side_by_side = u32::try_from(self.side_by_side)?;
        let drive = Drive::Enforce;
        Ok(WorldOptions { drive, sink: true, answers_in, side_by_side, ..WorldOptions::default() })
    }

    /// Arguments that tell a child the same.
    fn arguments(self) -> Vec<String> {
        let words = [
            ("--each", self.each),
            ("--batch", self.batch),
            ("--side-by-side", self.side_by_side),
            ("--answer-ms", self.answer_ms),
            ("--connections", self.connections),
        ];
        words.into_iter().flat_map(|(name, value)| [name.to_owned(), value.to_string()]).collect()
    }
}

/// So many processes, with so many workers each.
type Fleet = (usize, usize);

fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let smoke = Size::asked(&arguments) == Size::Smoke;
    let setup = Setup::asked(&arguments, smoke);
    if let Some(at) = arguments.iter().position(|argument| argument == "--child") {
        let (url, folder) = (arguments.get(at + 1), arguments.last());
        let (Some(url), Some(folder)) = (url, folder) else { return Err("--child URL ... FOLDER".into()) };
        let workers = number_of(&arguments, "--workers").unwrap_or(1);
        return run(drive(url, Path::new(folder), setup, workers));
    }
    let rounds = number_of(&arguments, "--rounds").unwrap_or(if smoke { 1 } else { 3 });
    let upto = |name, full, small| {
        let most = number_of(&arguments, name).unwrap_or(if smoke { small } else { full });
        [1, 2, 4, 8, 16].into_iter().filter(move |n| *n <= most)
    };
    let fleets: Vec<Fleet> = upto("--workers", 8, 2)
        .map(|n| (1, n))
        .chain(upto("--processes", 4, 2).skip(1).map(|n| (n, 1)))
        .collect();
    let workers: usize = fleets.iter().map(|(processes, workers)| processes * workers).sum();
    // What is claimed when the measured creates are done is done, too.
    let spare = fleets.len() * 8 * setup.batch;
    let people = rounds * (workers * setup.each + spare);
    let server = server()?;
    let (_, url) = database(&server)?;
    let folder = tempfile::tempdir()?;
    run(prepare(&url, folder.path(), setup, people))?;
    let mut rates: Vec<Vec<Rate>> = vec![Vec::new(); fleets.len()];
    for round in 0..rounds {
        for (fleet, rates) in fleets.iter().zip(&mut rates) {
            let rate = measure(&url, folder.path(), setup, *fleet)?;
            println!(
                "round {}: {} processes, {} workers each: {:.1} creates/s, {:.1} commits each 100, load {}",
                round + 1,
                fleet.0,
                fleet.1,
                rate.creates,
                rate.commits * 100.0,
                load()
            );
            rates.push(rate);
        }
    }
    show(setup, &fleets, &rates);
    Ok(())
}

/// What one fleet reached.
#[derive(Clone, Copy, Debug)]
struct Rate {
    /// In a second.
    creates: f64,
    /// Transactions of the database for each create, reads included.
    commits: f64,
}

/// Everybody is known, has no account yet, and is due.
async fn prepare(url: &str, folder: &Path, setup: Setup, people: usize) -> Outcome<()> {
    write_csv(&folder.join("hr.csv"), People { count: people, day: 0, changed: 0 })?;
    let world = World::on(store(url, setup.connections).await?, folder, setup.world()?).await?;
    world.set_policy().await?;
    expect("rows added", world.ingest().await?.counts.added, people as u64)?;
    world.engine.onboard(&world.actor, &TARGET.into()).await?;
    connect(url).await?.batch_execute("vacuum analyze").await?;
    Ok(())
}

/// Starts the processes, waits for them, and counts what all of them did while all of them worked.
fn measure(url: &str, folder: &Path, setup: Setup, (processes, workers): Fleet) -> Outcome<Rate> {
    let before = run(transactions(url))?;
    let mut children = Vec::new();
    for _ in 0..processes {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["--child", url, "--workers", &workers.to_string()]).args(setup.arguments()).arg(folder);
        children.push(command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?);
    }
    let told = children.into_iter().map(times).collect::<Outcome<Vec<_>>>()?;
    let (mut from, mut to) = (0.0f64, f64::MAX);
    for times in &told {
        let at = |tenth: usize| times.get((times.len() - 1) * tenth / 10).copied().unwrap_or_default();
        (from, to) = (from.max(at(1)), to.min(at(9)));
    }
    let all = told.iter().flatten();
    let counted = all.filter(|time| **time >= from && **time < to).count();
    let made: usize = told.iter().map(Vec::len).sum();
    let commits = (run(transactions(url))? - before) / made as f64;
    Ok(Rate { creates: counted as f64 / (to - from).max(0.001), commits })
}

async fn transactions(url: &str) -> Outcome<f64> {
    let client = connect(url).await?;
    let sql = "select xact_commit from pg_stat_database where datname = current_database()";
    Ok(client.query_one(sql, &[]).await?.get::<_, i64>(0) as f64)
}

/// The seconds at which a child's creates were answered.
fn times(child: Child) -> Outcome<Vec<f64>> {
    let output = child.wait_with_output()?;
    if !output.status.success() {
        return Err("a process of the drive failed".into());
    }
    let text = String::from_utf8(output.stdout)?;
    Ok(text.split_whitespace().map(str::parse).collect::<Result<_, _>>()?)
}

/// A process of the drive: works until its share is done, and tells when each create was answered.
async fn drive(url: &str, folder: &Path, setup: Setup, workers: usize) -> Outcome<()> {
    let world = World::on(store(url, setup.connections).await?, folder, setup.world()?).await?;
    world.set_policy().await?;
    let stop = Stop::new();
    let options = RunOptions {
        workers: u32::try_from(workers)?,
        batch: u32::try_from(setup.batch)?,
        until: RunUntil::Forever,
        stop: stop.clone(),
        ..RunOptions::default()
    };
    let sink = world.sink.as_ref().ok_or("no sink")?;
    let enough = setup.each * workers;
    let watch = async {
        while sink.count() < enough {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        stop.stop();
    };
    let (report, ()) = futures_util::join!(world.engine.run(&world.actor, &options), watch);
    let report = report?;
    expect("steps that failed and claims that were lost", (report.failed, report.lost), (0, 0))?;
    #[allow(clippy::disallowed_methods, reason = "a bench measures the time that really passes")]
    let (now, unix) = (Instant::now(), SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs_f64());
    for made in sink.made().into_iter().take(enough) {
        println!("{:.6}", unix - now.duration_since(made).as_secs_f64());
    }
    Ok(())
}

fn show(setup: Setup, fleets: &[Fleet], rates: &[Vec<Rate>]) {
    let middle = |values: &[f64]| {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        sorted.get(sorted.len() / 2).copied().unwrap_or_default()
    };
    let creates = |rates: &[Rate]| rates.iter().map(|rate| rate.creates).collect::<Vec<_>>();
    let one = rates.first().map(|rates| creates(rates)).unwrap_or_default();
    let mut table =
        Table::new(&["processes x workers", "creates/s", "efficiency", "transactions per create"]);
    for ((processes, workers), rates) in fleets.iter().zip(rates) {
        let n = (processes * workers) as f64;
        let efficiency: Vec<f64> =
            creates(rates).iter().zip(&one).map(|(rate, one)| rate / (n * one).max(0.001)).collect();
        let (rate, efficiency) = (middle(&creates(rates)), middle(&efficiency));
        let commits = middle(&rates.iter().map(|rate| rate.commits).collect::<Vec<_>>());
        table.row([
            format!("{processes} x {workers}"),
            format!("{rate:.1}"),
            format!("{efficiency:.2}"),
            format!("{commits:.2}"),
        ]);
        let what = match processes {
            1 => format!("{workers} workers"),
            _ => format!("{processes} processes of one worker"),
        };
        let name = format!(
            "creates on PostgreSQL, target answers in {} ms, {} calls of a worker at a time: {what}",
            setup.answer_ms, setup.side_by_side
        );
        let mut figure = Figure::new("nodes", name, rate, "/s");
        if n > 1.0 {
            figure = figure.peer(format!("{n} times one worker"), n * middle(&one)).goal("0.9x");
            figure.ratio = Some(efficiency);
        }
        figure.print();
    }
    println!("{table}");
}
