//! Backups: consistent, private, and noticed when restored.

use provision_core::store::{MemoryStore, SqliteOptions, Store};
use provision_core::{Effect, ErrorKind};

use crate::fixture::{count, meta, open, open_with, refusal, try_write, write};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_during_writes_holds_whole_commits_and_its_own_epoch() {
    for inline in [true, false] {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("store.db");
        let copy = directory.path().join("copy.db");
        let options = if inline { SqliteOptions::inline() } else { SqliteOptions::default() };
        let store = open_with(&path, options).unwrap();
        write(&store, (0..3000).map(|n| meta(&format!("k{n}"), &"x".repeat(300))).collect()).await;
        let writes = async {
            for n in 0..60 {
                write(&store, (0..3).map(|part| meta(&format!("w{n}/{part}"), "{}")).collect()).await;
            }
        };
        let (saved, ()) = futures_util::future::join(store.backup(&copy), writes).await;
        saved.unwrap();
        let names: Vec<_> = std::fs::read_dir(directory.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| name.starts_with("copy"))
            .collect();
        assert_eq!(names, ["copy.db"], "one file, no draft and no log");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            assert_eq!(std::fs::metadata(&copy).unwrap().permissions().mode() & 0o777, 0o600);
        }
        let copied = open(&copy);
        let rows = count(&copied).await;
        assert!((3000..=3180).contains(&rows) && rows % 3 == 0, "{rows}");
        assert_ne!(copied.epoch().await.unwrap(), store.epoch().await.unwrap());
        assert_eq!(count(&store).await, 3180);
    }
}

#[tokio::test]
async fn a_restored_backup_has_another_epoch_and_is_noticed_once() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store.db");
    let copy = directory.path().join("copy.db");
    let store = open(&path);
    write(&store, vec![meta("a", "1")]).await;
    store.backup(&copy).await.unwrap();
    write(&store, vec![meta("b", "1")]).await;
    let epoch = store.epoch().await.unwrap();
    drop(store);
    std::fs::copy(&copy, &path).unwrap();
    let store = open(&path);
    assert!(store.restored());
    assert_eq!(count(&store).await, 1);
    let renewed = store.epoch().await.unwrap();
    assert_ne!(renewed, epoch);
    drop(store);
    let store = open(&path);
    assert!(!store.restored());
    assert_eq!(store.epoch().await.unwrap(), renewed);
}

#[tokio::test]
async fn the_log_of_the_file_before_is_not_applied_to_a_restored_backup() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store.db");
    let copy = directory.path().join("copy.db");
    let log = directory.path().join("store.db-wal");
    let store = open(&path);
    write(&store, vec![meta("a", "1")]).await;
    store.backup(&copy).await.unwrap();
    write(&store, vec![meta("b", "1")]).await;
    // What a killed process leaves.
    let left = std::fs::read(&log).unwrap();
    drop(store);
    std::fs::copy(&copy, &path).unwrap();
    std::fs::write(&log, left).unwrap();
    let error = refusal(&path);
    assert_eq!((error.kind(), error.effect()), (ErrorKind::StoreUnusable, Effect::None));
    assert!(error.message().contains("remove these two"), "{error:?}");
    std::fs::remove_file(&log).unwrap();
    let store = open(&path);
    assert!(store.restored());
    assert_eq!(count(&store).await, 1);
}

#[tokio::test]
async fn a_backup_never_writes_over_a_file() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory.path().join("store.db"));
    let taken = directory.path().join("taken");
    std::fs::write(&taken, "mine").unwrap();
    let error = store.backup(&taken).await.unwrap_err();
    assert_eq!((error.kind(), error.effect()), (ErrorKind::AlreadyExists, Effect::None));
    assert_eq!(std::fs::read_to_string(&taken).unwrap(), "mine");
    let nowhere = store.backup(&directory.path().join("no/copy.db")).await.unwrap_err();
    assert_eq!(nowhere.kind(), ErrorKind::StoreUnusable);
    try_write(&store, vec![meta("a", "1")]).await.unwrap();

    let memory = MemoryStore::new(std::sync::Arc::new(provision_core::runtime::SystemClock));
    let error = memory.backup(&directory.path().join("copy.db")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
}
