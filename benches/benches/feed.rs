//! A feed of 100,000 rows, of which 100 changed, against reading the same file with `csv` and looking each row up in
//! the same SQLite file: the least that anybody must do who compares a feed with what is stored.
//!
//! `--smoke`: 2,000 rows, one round. `--rows N`, `--rounds N`: other sizes.

use std::path::Path;
use std::process::Command;

use provision_benches::{
    Outcome, People, REALM, SOURCE, Size, Spent, Table, World, expect, median, number_of, peak_memory_kib,
    run, timed, write_csv,
};
use rusqlite::{Connection, OpenFlags};

fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [option, folder] = arguments.as_slice()
        && option == "--child"
    {
        return run(child(Path::new(folder)));
    }
    let size = Size::asked(&arguments);
    let (rows, rounds) = if size == Size::Smoke { (2_000, 1) } else { (100_000, 7) };
    let rows = number_of(&arguments, "--rows").unwrap_or(rows);
    let rounds = number_of(&arguments, "--rounds").unwrap_or(rounds);
    speed(rows, rounds)?;
    let sizes = if size == Size::Smoke { vec![rows] } else { vec![rows / 10, rows] };
    memory(&sizes)
}

/// Unchanged feeds against the competitor, in turns.
fn speed(rows: usize, rounds: usize) -> Outcome<()> {
    let folder = tempfile::tempdir()?;
    let (path, changed) = (folder.path(), rows / 1_000);
    let people = |day| People { count: rows, day, changed };
    let feed = path.join("hr.csv");
    write_csv(&feed, people(0))?;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    let first = run(async {
        let world = World::open(path).await?;
        let (report, first) = timed(world.ingest()).await;
        expect("rows added by the first feed", report?.counts.added, rows as u64)?;
        for day in 1..=rounds {
            write_csv(&feed, people(day))?;
            let (found, plain) = timed(async { lookup(path) }).await;
            expect("rows looked up", found?, rows)?;
            let (report, ingest) = timed(world.ingest()).await;
            let counts = report?.counts;
            expect("rows changed", counts.changed, changed as u64)?;
            expect("rows unchanged", counts.unchanged, (rows - changed) as u64)?;
            ours.push(ingest);
            theirs.push(plain);
        }
        Ok(first)
    })?;
    show_speed(rows, changed, first, &ours, &theirs);
    Ok(())
}

fn show_speed(rows: usize, changed: usize, first: Spent, ours: &[Spent], theirs: &[Spent]) {
    let (ours, theirs, rounds) = (median(ours), median(theirs), ours.len());
    let mut table = Table::new(&["feed", "median", "processor", "rows per second"]);
    table.row(first.cells(format!("first ingest of {rows} rows (once)"), rows));
    table.row(ours.cells(format!("ingest of {rows} rows, {changed} changed"), rows));
    table.row(theirs.cells("`csv` read and a point lookup per row".to_owned(), rows));
    println!("{table}");
    println!("ratio: {} ({rounds} rounds)\n", ours.ratio(theirs));
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

/// The peak of processes that do nothing but one ingest.
fn memory(sizes: &[usize]) -> Outcome<()> {
    let mut table = Table::new(&["peak memory of a process", "first ingest", "1 row in 1,000 changed"]);
    for rows in sizes.iter().copied() {
        let folder = tempfile::tempdir()?;
        let mut cells = vec![format!("{rows} rows")];
        for day in 0..2 {
            write_csv(&folder.path().join("hr.csv"), People { count: rows, day, changed: rows / 1_000 })?;
            cells.push(format!("{:.1} MiB", peak_of_child(folder.path())? / 1_024.0));
        }
        table.row(cells);
    }
    println!("{table}");
    Ok(())
}

fn peak_of_child(folder: &Path) -> Outcome<f64> {
    let output = Command::new(std::env::current_exe()?).arg("--child").arg(folder).output()?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned().into());
    }
    Ok(String::from_utf8(output.stdout)?.trim().parse()?)
}

/// One ingest; prints the peak in KiB.
async fn child(folder: &Path) -> Outcome<()> {
    let world = World::open(folder).await?;
    world.ingest().await?;
    println!("{}", peak_memory_kib().ok_or("this system does not tell the peak of a process")?);
    Ok(())
}
