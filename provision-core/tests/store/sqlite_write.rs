//! Writes of a SQLite store: groups, a full disk, a locked file.

use std::sync::Arc;
use std::time::Duration;

use provision_core::store::{Commit, SqliteOptions, Store, Table};
use provision_core::testkit::store as suite;
use provision_core::{Effect, ErrorKind, Retry};
use rusqlite::Connection;

use crate::fixture::{count, meta, open, open_with, realm, try_write, write};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_tasks_lose_no_increment() {
    let directory = tempfile::tempdir().unwrap();
    let store: Arc<dyn Store> = Arc::new(open(&directory.path().join("store.db")));
    let tasks: Vec<_> = (0..8)
        .map(|n| {
            let store = Arc::clone(&store);
            tokio::spawn(async move {
                suite::increment(store.as_ref(), &realm(), "shared", 25).await?;
                suite::increment(store.as_ref(), &realm(), &format!("own-{n}"), 25).await
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    let row = store.get(&realm(), Table::Meta, &["shared".to_owned()]).await.unwrap().remove(0).unwrap();
    assert_eq!((row.version, row.body.as_str()), (200, "200"));
}

fn small_disk(inline: bool) -> SqliteOptions {
    let mut options = if inline { SqliteOptions::inline() } else { SqliteOptions::default() };
    options.max_pages = Some(400);
    options
}

#[tokio::test]
async fn a_full_disk_refuses_whole_commits_and_keeps_the_rest() {
    for inline in [true, false] {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("store.db");
        let store = open_with(&path, small_disk(inline)).unwrap();
        write(&store, vec![meta("before", "1")]).await;
        let large = (0..4000).map(|n| meta(&format!("k{n}"), &"x".repeat(1000))).collect();
        let error = try_write(&store, large).await.unwrap_err();
        assert_eq!((error.kind(), error.effect()), (ErrorKind::StoreUnusable, Effect::None));
        assert!(error.message().contains("disk is full"), "{error:?}");
        assert_ne!(error.retry(), Retry::Never);
        assert_eq!(count(&store).await, 1);
        write(&store, vec![meta("after", "1")]).await;
        drop(store);
        assert_eq!(count(&open(&path)).await, 2);
    }
}

#[tokio::test]
async fn a_commit_that_does_not_fit_takes_no_other_with_it() {
    let directory = tempfile::tempdir().unwrap();
    let store = open_with(&directory.path().join("store.db"), small_disk(false)).unwrap();
    let commits = (0..40).map(|n| {
        let rows = if n == 13 { 4000 } else { 1 };
        let rows = (0..rows).map(|row| meta(&format!("{n}/{row}"), &"x".repeat(1000))).collect();
        try_write(&store, rows)
    });
    // Asked for at once, so that they share transactions.
    let answers = futures_util::future::join_all(commits).await;
    for (n, answer) in answers.iter().enumerate() {
        assert_eq!(answer.is_err(), n == 13, "{n}: {answer:?}");
    }
    assert_eq!(count(&store).await, 39);
}

#[tokio::test]
async fn a_conflict_takes_no_other_commit_of_its_group_with_it() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory.path().join("store.db"));
    let commits = (0..200).map(|n| {
        let value = format!("k{}", n / 2);
        try_write(
            &store,
            vec![
                meta(&n.to_string(), "{}"),
                suite::row(Table::Identity, &n.to_string(), &[("source_key", &value)], "{}"),
            ],
        )
    });
    let answers = futures_util::future::join_all(commits).await;
    let committed = answers.iter().filter(|answer| matches!(answer, Ok(Commit::Committed))).count();
    let conflicts = answers.iter().filter(|answer| matches!(answer, Ok(Commit::Conflict(_)))).count();
    assert_eq!((committed, conflicts), (100, 100));
    assert_eq!(count(&store).await, 100);
}

#[tokio::test]
async fn a_locked_file_is_an_error_after_the_bound_and_fine_later() {
    for inline in [true, false] {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("store.db");
        let mut options = if inline { SqliteOptions::inline() } else { SqliteOptions::default() };
        options.busy_timeout = Duration::from_millis(20);
        let store = open_with(&path, options.clone()).unwrap();
        write(&store, vec![meta("a", "1")]).await;
        let other = Connection::open(&path).unwrap();
        other.execute_batch("BEGIN IMMEDIATE").unwrap();
        let error = try_write(&store, vec![meta("b", "1")]).await.unwrap_err();
        assert_eq!((error.kind(), error.effect()), (ErrorKind::StoreUnusable, Effect::None));
        assert!(error.message().contains("another process"), "{error:?}");
        assert_ne!(error.retry(), Retry::Never);
        assert_eq!(count(&store).await, 1, "reads go on");
        let second = open_with(&path, options).unwrap();
        assert_eq!(count(&second).await, 1, "and a store of the same version opens");
        other.execute_batch("ROLLBACK").unwrap();
        write(&store, vec![meta("b", "1")]).await;
        assert_eq!(count(&second).await, 2);
    }
}

#[tokio::test]
async fn dropping_a_store_finishes_what_was_asked_for() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store.db");
    let store = open(&path);
    for n in 0..50 {
        // Asked for, and not waited for.
        let commit = try_write(&store, vec![meta(&n.to_string(), "{}")]);
        assert!(futures_util::FutureExt::now_or_never(commit).is_none_or(|done| done.is_ok()));
    }
    drop(store);
    assert_eq!(count(&open(&path)).await, 50);
}
