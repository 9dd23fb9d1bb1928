//! Processes that die in mid-write, and processes that write the same file.
#![cfg(all(feature = "csv", unix))]
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test stops where something is wrong"
)]

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Arc;

use provision_connectors::csv::{CsvConnector, TableConfig};
use provision_core::connector::{Connector, Context, CreateRequest, ListRequest, collect};
use provision_core::id::LinkId;
use provision_core::value::Attributes;
use provision_core::{Effect, ErrorKind};
use serde_json::json;

const LANES: u32 = 4;

fn target(path: &Path) -> CsvConnector {
    let config = json!({"path": path, "key": "number", "columns": ["number", "note"]});
    CsvConnector::new(&TableConfig::from_value(&config).unwrap()).unwrap()
}

fn row(number: String) -> CreateRequest {
    CreateRequest {
        class: "account".into(),
        attributes: Attributes::new().with("number", number).with("note", "x\n\"y\" ".repeat(50)),
        enabled: None,
        idempotency: LinkId::from_uuid(uuid::Uuid::new_v4()),
        password: None,
    }
}

/// The numbers in the file, read by another reader.
fn numbers(path: &Path) -> BTreeSet<String> {
    let mut reader = csv::Reader::from_path(path).unwrap();
    let rows = reader.records().map(|record| record.unwrap()[0].to_owned()).collect::<Vec<_>>();
    let distinct = rows.iter().cloned().collect::<BTreeSet<_>>();
    assert_eq!(rows.len(), distinct.len());
    distinct
}

/// Not a test by itself: what the tests below run in a process of its own. Each lane writes `NAME-LANE-0`, `-1`, ...
/// and says so when it is durable.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child() {
    // Run by the harness itself it is nobody's child and has nothing to do.
    if std::env::var_os("CHILD_PATH").is_none() {
        return;
    }
    let var = |name: &str| std::env::var(name).unwrap();
    let target = Arc::new(target(Path::new(&var("CHILD_PATH"))));
    let (name, count) = (var("CHILD_NAME"), var("CHILD_COUNT").parse::<u32>().unwrap());
    let lanes = (0..LANES).map(|lane| {
        let (target, name) = (Arc::clone(&target), name.clone());
        tokio::spawn(async move {
            for n in 0..count {
                let number = format!("{name}-{lane}-{n}");
                let cx = Context::new("acme".into(), "crash");
                target.writer().unwrap().create(&cx, row(number.clone())).await.unwrap();
                let mut out = std::io::stdout().lock();
                writeln!(out, "durable {number}").and_then(|()| out.flush()).unwrap();
            }
        })
    });
    for lane in lanes.collect::<Vec<_>>() {
        lane.await.unwrap();
    }
}

fn spawn(path: &Path, name: &str, count: u32) -> (Child, BufReader<ChildStdout>) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child", "--nocapture"])
        .env("CHILD_PATH", path)
        .env("CHILD_NAME", name)
        .env("CHILD_COUNT", count.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let out = BufReader::new(child.stdout.take().unwrap());
    (child, out)
}

/// The numbers told as durable; at most `count`, all there are where it is `None`.
fn durable(out: &mut BufReader<ChildStdout>, count: Option<usize>) -> Vec<String> {
    let told = out.lines().map(Result::unwrap);
    let told = told.filter_map(|line| line.split_once("durable ").map(|(_, number)| number.to_owned()));
    told.take(count.unwrap_or(usize::MAX)).collect()
}

/// Every lane's rows are a prefix of what it meant to write, and hold all that was told as durable.
fn check_prefixes(path: &Path, name: &str, told: &[String]) {
    let numbers = numbers(path);
    for number in told {
        assert!(numbers.contains(number), "{number} was durable and is gone");
    }
    for lane in 0..LANES {
        let prefix = format!("{name}-{lane}-");
        let written = numbers.iter().filter(|number| number.starts_with(&prefix)).count();
        for n in 0..written {
            assert!(numbers.contains(&format!("{prefix}{n}")), "{prefix}{n} is missing before a later one");
        }
    }
}

#[test]
fn a_killed_writer_leaves_a_whole_file_with_all_that_was_durable() {
    for acknowledged in [1, 2, 3, 5, 8, 13, 21, 34, 55, 89] {
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join("t.csv");
        let (mut child, mut out) = spawn(&path, "a", 100_000);
        let mut told = durable(&mut out, Some(acknowledged));
        assert_eq!(told.len(), acknowledged);
        child.kill().unwrap();
        child.wait().unwrap();
        told.extend(durable(&mut out, None));
        check_prefixes(&path, "a", &told);
        // What the dead process left behind, lock and half a file, is in nobody's way.
        let (mut child, mut out) = spawn(&path, "b", 2);
        assert_eq!(durable(&mut out, None).len(), 2 * LANES as usize);
        assert!(child.wait().unwrap().success());
        check_prefixes(&path, "a", &told);
    }
}

#[test]
fn two_processes_write_one_file_and_one_of_them_dies() {
    let folder = tempfile::TempDir::new().unwrap();
    let path = folder.path().join("t.csv");
    let (mut victim, mut victim_out) = spawn(&path, "v", 100_000);
    let (mut other, mut other_out) = spawn(&path, "o", 20);
    let mut told = durable(&mut victim_out, Some(30));
    victim.kill().unwrap();
    victim.wait().unwrap();
    told.extend(durable(&mut victim_out, None));
    let finished = durable(&mut other_out, None);
    assert!(other.wait().unwrap().success());
    assert_eq!(finished.len(), 20 * LANES as usize);
    check_prefixes(&path, "v", &told);
    check_prefixes(&path, "o", &finished);
}

#[tokio::test]
async fn a_write_that_fails_before_the_rename_changes_nothing() {
    let folder = tempfile::TempDir::new().unwrap();
    let path = folder.path().join("t.csv");
    let target = target(&path);
    let cx = Context::new("acme".into(), "crash");
    let writer = target.writer().unwrap();
    writer.create(&cx, row("1".into())).await.unwrap();
    // The new file cannot be made: a folder has its name.
    let obstacle = folder.path().join(".t.csv.new");
    std::fs::create_dir(&obstacle).unwrap();
    let error = writer.create(&cx, row("2".into())).await.unwrap_err();
    assert_eq!((error.kind(), error.effect_stated()), (ErrorKind::ConfigInvalid, Some(Effect::None)));
    let listed =
        || async { collect(target.list(&cx, ListRequest::all("account")).unwrap(), 10).await.unwrap().0 };
    assert_eq!(listed().await.len(), 1, "a refused row is not in memory either");
    std::fs::remove_dir(&obstacle).unwrap();
    writer.create(&cx, row("2".into())).await.unwrap();
    assert_eq!((listed().await.len(), numbers(&path).len()), (2, 2));
}
