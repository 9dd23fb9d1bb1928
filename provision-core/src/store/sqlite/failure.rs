//! What SQLite's error codes mean to an operator.

use std::path::Path;
use std::time::Duration;

use rusqlite::ErrorCode;

use crate::error::{Effect, Error, ErrorKind, Result, Retry};

/// Says what to do about an error of SQLite; `doing` completes "cannot …".
pub(super) fn explain(error: rusqlite::Error, doing: &str) -> Error {
    let code = error.sqlite_error_code();
    let advice = match code {
        Some(ErrorCode::DiskFull) => "the disk is full: make room, then try again",
        Some(ErrorCode::ReadOnly) => {
            "the file or its directory is read-only: allow this process to write the file, its directory, and the \
             files beside it that end in -wal and -shm"
        }
        Some(ErrorCode::DatabaseCorrupt) => {
            "the file is damaged or cut short: stop all processes that use it and restore a backup"
        }
        Some(ErrorCode::NotADatabase) => {
            "the file is no SQLite database: give another path, or restore a backup"
        }
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            "another process kept the file locked for longer than the busy timeout: find the process that holds it \
             or is stopped in a write, then try again"
        }
        Some(
            ErrorCode::CannotOpen | ErrorCode::PermissionDenied | ErrorCode::AuthorizationForStatementDenied,
        ) => {
            "the file cannot be opened: check that its directory exists and that this process may read and write both"
        }
        Some(ErrorCode::SystemIoFailure) => {
            "the disk reported an error: check the disk; if the file is damaged, restore a backup"
        }
        Some(ErrorCode::OutOfMemory) => "there is not enough memory",
        _ => "SQLite refused; the cause says why",
    };
    let failure = unusable(format!("cannot {doing}: {advice}")).with_source(error);
    match code {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked | ErrorCode::DiskFull) => {
            failure.with_retry(Retry::After(Some(Duration::from_secs(1))))
        }
        _ => failure,
    }
}

/// An error of the file system around the store's file.
pub(super) fn explain_io(error: std::io::Error, doing: &str, path: &Path) -> Error {
    use std::io::ErrorKind as Io;
    let advice = match error.kind() {
        Io::NotFound => "the directory does not exist: create it",
        Io::PermissionDenied | Io::ReadOnlyFilesystem => {
            "it is read-only for this process: allow it to write the directory and the file"
        }
        Io::StorageFull | Io::QuotaExceeded => "the disk is full: make room, then try again",
        _ => "the file system refused; the cause says why",
    };
    unusable(format!("cannot {doing}: {advice}"))
        .with_context("path", path.display().to_string())
        .with_source(error)
}

/// The store cannot be used, and nothing was written.
pub(super) fn unusable(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::StoreUnusable, message).with_effect(Effect::None)
}

/// Explains the errors of a chain of SQLite calls.
pub(super) trait Explain<T> {
    /// Turns SQLite's error into ours; `doing` completes "cannot …".
    fn or_explain(self, doing: &str) -> Result<T>;
}

impl<T> Explain<T> for rusqlite::Result<T> {
    fn or_explain(self, doing: &str) -> Result<T> {
        self.map_err(|error| explain(error, doing))
    }
}
