//! Two processes on one file, and a process that is killed.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use provision_core::store::{Store, Table};
use provision_core::testkit::store as suite;

use crate::fixture::{count, meta, open, realm, write};

/// Starts this test binary with one of the `child_` tests below; without `STORE_PATH` these do nothing.
fn child(test: &str, path: &Path) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", &format!("sqlite_processes::{test}"), "--nocapture"]);
    command.env("STORE_PATH", path).stdout(Stdio::piped()).spawn().unwrap()
}

fn store_path() -> Option<PathBuf> {
    std::env::var_os("STORE_PATH").map(PathBuf::from)
}

#[tokio::test]
async fn two_processes_make_one_store_and_lose_no_increment() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store.db");
    let children = [child("child_increments", &path), child("child_increments", &path)];
    for child in children {
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success() && said.contains("1 passed"), "{said}");
    }
    let store = open(&path);
    let row = store.get(&realm(), Table::Meta, &["n".to_owned()]).await.unwrap().remove(0).unwrap();
    assert_eq!((row.version, row.body.as_str()), (400, "400"));
    assert!(!store.restored());
}

#[tokio::test]
async fn child_increments() {
    let Some(path) = store_path() else { return };
    let store = open(&path);
    let realm = realm();
    let tasks = (0..4).map(|_| suite::increment(&store, &realm, "n", 50));
    futures_util::future::try_join_all(tasks).await.unwrap();
}

#[tokio::test]
async fn a_killed_process_leaves_whole_commits_and_all_it_was_told_of() {
    for _ in 0..3 {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("store.db");
        let mut child = child("child_commits_until_killed", &path);
        let lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
        let told = |line: String| line.strip_prefix("committed ").map(str::to_owned);
        let mut committed: Vec<String> = Vec::new();
        for commit in lines.filter_map(told) {
            committed.push(commit);
            if committed.len() == 120 {
                child.kill().unwrap();
            }
        }
        assert!(!child.wait().unwrap().success());
        assert!(committed.len() >= 120);
        let store = open(&path);
        let rows = count(&store).await;
        assert_eq!(rows % 3, 0);
        let keys: Vec<String> = committed.iter().map(|commit| format!("{commit}/2")).collect();
        let found = store.get(&realm(), Table::Meta, &keys).await.unwrap();
        for (key, row) in keys.iter().zip(found) {
            assert!(row.is_some(), "{key} was committed and is gone");
        }
        write(&store, vec![meta("after", "1")]).await;
    }
}

#[tokio::test]
async fn child_commits_until_killed() {
    let Some(path) = store_path() else { return };
    let store = open(&path);
    let tasks = (0..8).map(|task| {
        let store = &store;
        async move {
            for n in 0..u32::MAX {
                let commit = format!("{task}-{n}");
                write(
                    store,
                    (0..3).map(|part| meta(&format!("{commit}/{part}"), &"x".repeat(500))).collect(),
                )
                .await;
                println!("committed {commit}");
            }
        }
    });
    futures_util::future::join_all(tasks).await;
}
