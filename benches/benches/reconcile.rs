//! A reconcile of a target with 1,000,000 accounts, one in a thousand changed by somebody else, against `sort` and
//! `comm` over the same two files: what the target showed before, and what it shows now, each in an order of its own.
//!
//! `--smoke`: 2,000 accounts, one round. `--accounts N`, `--rounds N`: other sizes.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError};

use provision_benches::report::Figure;
use provision_benches::{
    Outcome, People, Size, Spent, Table, expect, listed::Listed, median, number_of, peak_memory_kib, run,
    scatter, seconds, timed, write_csv,
};
use provision_core::connector::{Connector, ObjectKey, Registry};
use provision_core::engine::Engine;
use provision_core::id::{IdentityId, LinkId, RealmId, Tag};
use provision_core::model::{Actor, Link, Subject};
use provision_core::plan::{ClassSettings, OnDelete, TargetSettings};
use provision_core::runtime::{AllowAll, Runtime, SystemClock};
use provision_core::store::{Changes, SqliteOptions, SqliteStore, Store};

const REALM: &str = "bench";
const TARGET: &str = "directory";
/// Links in one commit of the preparation.
const BATCH: usize = 2_000;

fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().collect();
    let size = Size::asked(&arguments);
    let (accounts, rounds) = if size == Size::Smoke { (2_000, 1) } else { (1_000_000, 3) };
    let accounts = number_of(&arguments, "--accounts").unwrap_or(accounts);
    let rounds = number_of(&arguments, "--rounds").unwrap_or(rounds);
    let folder = tempfile::tempdir()?;
    run(speed(folder.path(), accounts, rounds))
}

async fn speed(folder: &Path, accounts: usize, rounds: usize) -> Outcome<()> {
    let changed = accounts / 1_000;
    let day = |day| People { count: accounts, day, changed };
    let file = |day: usize| folder.join(format!("day-{day}.csv"));
    let shown = Arc::new(Mutex::new(file(0)));
    write_shuffled(&file(0), day(0))?;
    let engine = prepare(folder, &shown).await?;
    let actor = Actor::person("bench");
    let (first, first_spent) = timed(engine.reconcile(&actor, &TARGET.into())).await;
    expect("accounts linked", first?.linked, accounts as u64)?;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for number in 1..=rounds {
        write_shuffled(&file(number), day(number))?;
        let (found, plain) = timed(async { compare(folder, &file(number - 1), &file(number)) }).await;
        expect("lines that differ", found?, changed)?;
        *shown.lock().unwrap_or_else(PoisonError::into_inner) = file(number);
        let (report, spent) = timed(engine.reconcile(&actor, &TARGET.into())).await;
        let report = report?;
        expect("objects", report.objects, accounts as u64)?;
        expect("drifted", report.drifted, changed as u64)?;
        ours.push(spent);
        theirs.push(plain);
    }
    show(accounts, changed, first_spent, &ours, &theirs);
    Ok(())
}

/// Writes what the target shows on a day, in an order of its own: targets do not list by key.
fn write_shuffled(file: &Path, people: People) -> Outcome<()> {
    write_csv(file, people)?;
    let text = std::fs::read_to_string(file)?;
    let (head, rows) = text.split_once('\n').ok_or("the file is empty")?;
    let mut rows: Vec<(usize, &str)> =
        rows.lines().enumerate().map(|(number, row)| (scatter(number + people.day), row)).collect();
    rows.sort_unstable();
    let rows = rows.iter().map(|(_, row)| *row);
    let text: Vec<&str> = std::iter::once(head).chain(rows).collect();
    std::fs::write(file, text.join("\n") + "\n")?;
    Ok(())
}

fn show(accounts: usize, changed: usize, first: Spent, ours: &[Spent], theirs: &[Spent]) {
    let rounds = ours.len();
    let (ours, theirs) = (median(ours), median(theirs));
    let mut table = Table::new(&["reconcile", "median", "processor", "accounts per second"]);
    table.row(first.cells(format!("first reconcile of {accounts} accounts (once)"), accounts));
    table.row(ours.cells(format!("reconcile of {accounts} accounts, {changed} changed"), accounts));
    table.row(theirs.cells("`sort` both and `comm`".to_owned(), accounts));
    println!("{table}");
    println!("ratio: {} ({rounds} rounds)", ours.ratio(theirs));
    let name = format!("reconcile of {accounts} accounts, {changed} of them changed");
    let processor = ours.processor.as_secs_f64() / theirs.processor.as_secs_f64().max(0.01);
    Figure::new("reconcile", name, ours.wall.as_secs_f64(), "s")
        .peer("`sort` of both files and `comm`", theirs.wall.as_secs_f64())
        .processor(processor)
        .goal("3x")
        .print();
    if let Some(peak) = peak_memory_kib() {
        let mebibytes = peak as f64 / 1_024.0;
        println!("peak memory: {mebibytes:.0} MiB, first reconcile {}", seconds(first.wall));
        let name = format!("peak memory of reconciling {accounts} accounts");
        Figure::new("reconcile", name, mebibytes, "MiB").goal("under 500 MiB").print();
    }
}

/// How many lines of the second file the first one does not have.
fn compare(folder: &Path, before: &Path, now: &Path) -> Outcome<usize> {
    let sorted = |file: &Path| -> Outcome<PathBuf> {
        let to = file.with_extension("sorted");
        let status = Command::new("sort").env("LC_ALL", "C").arg("-o").arg(&to).arg(file).status()?;
        if status.success() { Ok(to) } else { Err("`sort` failed".into()) }
    };
    let (before, now) = (sorted(before)?, sorted(now)?);
    let found = folder.join("found");
    let status = Command::new("comm")
        .env("LC_ALL", "C")
        .args(["-13".as_ref(), before.as_os_str(), now.as_os_str()])
        .stdout(std::fs::File::create(&found)?)
        .status()?;
    if !status.success() {
        return Err("`comm` failed".into());
    }
    Ok(std::fs::read_to_string(found)?.lines().count())
}

/// An engine whose store links every account of the target, as an onboarding and years of plans would have.
async fn prepare(folder: &Path, shown: &Arc<Mutex<PathBuf>>) -> Outcome<Engine> {
    let store = SqliteStore::open(folder.join("store.db"), SqliteOptions::default(), Arc::new(SystemClock))?;
    let store: Arc<dyn Store> = Arc::new(store);
    let target: Arc<dyn Connector> = Arc::new(Listed::new(Arc::clone(shown)));
    let registry = Registry::new().with_connector("listed", move |_| Ok(Arc::clone(&target)));
    let runtime = Runtime::builder(Arc::clone(&store), registry).authorizer(Arc::new(AllowAll)).build();
    let engine = runtime.realm(REALM);
    let mut settings = TargetSettings::new(TARGET, "listed");
    let class = ClassSettings { on_delete: OnDelete::Disable, marker: None, correlate: Default::default() };
    settings.classes.insert("user".into(), class);
    engine.put_target(&Actor::person("bench"), settings).await?;
    let realm = RealmId::new(REALM);
    let mut changes = Changes::in_realm(&realm);
    let file = shown.lock().unwrap_or_else(PoisonError::into_inner).clone();
    for object in Listed::objects(&file)? {
        let object = object?;
        let number = uuid::Uuid::from_u128(object.key.id.parse::<u128>()?);
        let subject = Subject::Identity(IdentityId::from_uuid(number));
        let (id, class) = (LinkId::from_uuid(number), object.class.clone());
        let link = Link::new(id, realm.clone(), TARGET.into(), class, Tag::main(), subject);
        let (applied, observed) = (object.attributes.clone(), object.attributes);
        let key = Some(ObjectKey::id(object.key.id));
        changes.put(&Link { key, enabled: object.enabled, applied, observed, ..link })?;
        if changes.put.len() == BATCH {
            store.commit(std::mem::replace(&mut changes, Changes::in_realm(&realm))).await?;
        }
    }
    store.commit(changes).await?;
    Ok(engine)
}
