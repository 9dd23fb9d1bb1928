//! Opening: files that are new, damaged, foreign, newer, gone or read-only. Each refusal says what to do.

use std::path::{Path, PathBuf};

use provision_core::store::{SqliteOptions, Store, Table};
use provision_core::{Effect, Error, ErrorKind};
use rusqlite::Connection;

use crate::fixture::{count, meta, open, open_with, realm, refusal, try_write, write};

fn assert_unusable(error: &Error, says: &str) {
    assert_eq!((error.kind(), error.effect()), (ErrorKind::StoreUnusable, Effect::None), "{error:?}");
    assert!(error.message().contains(says), "{error:?} does not say `{says}`");
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    PathBuf::from(format!("{}{ending}", path.display()))
}

#[cfg(unix)]
fn mode(path: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

async fn filled(path: &Path, rows: usize) {
    let store = open(path);
    write(&store, (0..rows).map(|n| meta(&format!("k{n:05}"), &"x".repeat(400))).collect()).await;
}

#[cfg(unix)]
#[tokio::test]
async fn files_are_for_their_owner_only() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store.db");
    let store = open(&path);
    write(&store, vec![meta("a", "1")]).await;
    for file in [path.clone(), beside(&path, "-wal"), beside(&path, "-shm"), beside(&path, ".epoch")] {
        assert_eq!(mode(&file), 0o600, "{}", file.display());
    }
}

#[tokio::test]
async fn rows_and_epoch_are_there_after_reopening() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store.db");
    let store = open(&path);
    write(&store, vec![meta("a", "1")]).await;
    let epoch = store.epoch().await.unwrap();
    drop(store);
    assert!(!beside(&path, "-wal").exists(), "closing leaves one file");
    for options in [SqliteOptions::default(), SqliteOptions::inline()] {
        let store = open_with(&path, options).unwrap();
        assert_eq!(count(&store).await, 1);
        assert_eq!(store.epoch().await.unwrap(), epoch);
        assert!(!store.restored());
    }
    std::fs::remove_file(beside(&path, ".epoch")).unwrap();
    assert!(!open(&path).restored());
    assert_eq!(std::fs::read_to_string(beside(&path, ".epoch")).unwrap().trim(), epoch);
}

#[test]
fn a_file_that_is_no_database_is_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("notes.txt");
    for text in ["x", "hello, these are notes", &"notes ".repeat(3000)] {
        std::fs::write(&path, text).unwrap();
        assert_unusable(&refusal(&path), "no SQLite database");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
    }
    assert_unusable(&refusal(directory.path()), "is no file");
    assert_unusable(&refusal(&directory.path().join("no/store.db")), "create it");
}

#[test]
fn a_database_of_somebody_else_is_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("other.db");
    let other = Connection::open(&path).unwrap();
    other.execute_batch("CREATE TABLE mine (x)").unwrap();
    drop(other);
    let before = std::fs::read(&path).unwrap();
    assert_unusable(&refusal(&path), "not a store of this library");
    assert_eq!(std::fs::read(&path).unwrap(), before);
    let marked = directory.path().join("marked.db");
    Connection::open(&marked).unwrap().execute_batch("PRAGMA application_id = 7").unwrap();
    assert_unusable(&refusal(&marked), "not a store of this library");
}

#[tokio::test]
async fn a_newer_or_edited_schema_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store.db");
    filled(&path, 1).await;
    let raw = Connection::open(&path).unwrap();
    raw.execute_batch("PRAGMA user_version = 99").unwrap();
    assert_unusable(&refusal(&path), "newer version");
    raw.execute_batch("PRAGMA user_version = 1; UPDATE schema_migration SET sha256 = 'other'").unwrap();
    assert_unusable(&refusal(&path), "different migration");
}

#[tokio::test]
async fn a_file_cut_short_is_refused_and_not_touched() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store.db");
    filled(&path, 2000).await;
    let whole = std::fs::read(&path).unwrap();
    for length in [whole.len() - 4096, whole.len() / 2, 4096, 1000, 100] {
        std::fs::write(&path, &whole[..length]).unwrap();
        assert_unusable(&refusal(&path), "restore a backup");
        assert_eq!(std::fs::read(&path).unwrap(), whole[..length], "{length}");
    }
    for gone in [true, false] {
        if gone {
            std::fs::remove_file(&path).unwrap();
        } else {
            std::fs::write(&path, "").unwrap();
        }
        assert_unusable(&refusal(&path), "restore a backup, or remove the epoch file");
    }
    std::fs::write(&path, &whole).unwrap();
    assert_eq!(count(&open(&path)).await, 2000);
}

#[tokio::test]
async fn damaged_pages_are_errors_not_rows() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store.db");
    filled(&path, 2000).await;
    let mut bytes = std::fs::read(&path).unwrap();
    let start = bytes.len() - 100 * 4096;
    bytes[start..].fill(0xA5);
    std::fs::write(&path, bytes).unwrap();
    let store = open(&path);
    let keys: Vec<String> = (0..2000).map(|n| format!("k{n:05}")).collect();
    let error = store.get(&realm(), Table::Meta, &keys).await.unwrap_err();
    assert_unusable(&error, "restore a backup");
    let rows = (0..2000).map(|n| meta(&format!("k{n:05}"), "new")).collect();
    assert_unusable(&try_write(&store, rows).await.unwrap_err(), "restore a backup");
}

#[tokio::test]
async fn a_removed_or_replaced_file_takes_no_writes() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store.db");
    let store = open(&path);
    write(&store, vec![meta("a", "1")]).await;
    let aside = directory.path().join("aside.db");
    std::fs::rename(&path, &aside).unwrap();
    assert_unusable(&try_write(&store, vec![meta("b", "1")]).await.unwrap_err(), "removed or replaced");
    std::fs::copy(&aside, &path).unwrap();
    assert_unusable(&try_write(&store, vec![meta("b", "1")]).await.unwrap_err(), "removed or replaced");
    std::fs::rename(&aside, &path).unwrap();
    write(&store, vec![meta("b", "1")]).await;
}

/// The superuser may write anything, so a process without that right tries.
#[cfg(unix)]
#[tokio::test]
async fn a_read_only_file_or_directory_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::process::CommandExt as _;
    let set = |path: &Path, mode| std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let inner = directory.path().join("data");
    std::fs::create_dir(&inner).unwrap();
    let path = inner.join("store.db");
    filled(&path, 1).await;
    set(directory.path(), 0o755);
    // The same test binary, where another user may run it.
    let program = directory.path().join("program");
    std::fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    set(&program, 0o755);
    for (file_mode, directory_mode, name) in
        [(0o444, 0o777, "store.db"), (0o666, 0o555, "store.db"), (0o666, 0o555, "new.db")]
    {
        set(&path, file_mode);
        set(&inner, directory_mode);
        let mut child = std::process::Command::new(&program);
        child.args(["--exact", "sqlite_open::child_is_refused", "--nocapture"]);
        child.env("STORE_PATH", inner.join(name));
        // Succeeds for the superuser only; anybody else is without rights already.
        let output = child.uid(65534).output().or_else(|_| {
            let mut child = std::process::Command::new(&program);
            child.args(["--exact", "sqlite_open::child_is_refused", "--nocapture"]);
            child.env("STORE_PATH", inner.join(name)).output()
        });
        let output = output.unwrap();
        let said =
            String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success() && said.contains("refused"),
            "{name} {file_mode:o} {directory_mode:o}: {said}"
        );
    }
    set(&inner, 0o755);
    set(&path, 0o600);
    assert_eq!(count(&open(&path)).await, 1);
}

#[test]
fn child_is_refused() {
    let Some(path) = std::env::var_os("STORE_PATH") else { return };
    assert_unusable(&refusal(Path::new(&path)), "allow ");
    println!("refused");
}
