//! What PostgreSQL's errors mean to an operator.

use std::error::Error as _;
use std::time::Duration;

use deadpool_postgres::PoolError;
use tokio_postgres::error::SqlState;

use crate::error::{Effect, Error, ErrorKind, Retry};

/// When to try again what a passing trouble stopped.
const LATER: Duration = Duration::from_secs(1);

/// The store cannot be used, and nothing was written.
pub(super) fn unusable(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::StoreUnusable, message).with_effect(Effect::None)
}

/// As `unusable`, but it may pass.
pub(super) fn passing(message: impl Into<String>) -> Error {
    unusable(message).with_retry(Retry::After(Some(LATER)))
}

/// The options are wrong.
pub(super) fn misconfigured(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::ConfigInvalid, message).with_effect(Effect::None)
}

/// Says what to do about an error of PostgreSQL; `doing` completes "cannot …". States effect `None`: where it may be
/// another, the caller says so.
pub(super) fn explain(error: tokio_postgres::Error, doing: &str) -> Error {
    let Some(code) = error.code().cloned() else {
        let failure = match refused_certificate(&error) {
            true => unusable(format!(
                "cannot {doing}: the database's certificate was refused: set `ca_file` to the authority it is \
                 from, and connect by a name that stands in it"
            )),
            false => passing(format!(
                "cannot {doing}: no connection to the database: check that it runs, its address, and whether it offers \
                 TLS (else set sslmode=disable)"
            )),
        };
        return failure.with_source(error);
    };
    let (advice, passes) = advice(&code);
    let failure = match (&code, passes) {
        (&SqlState::PROGRAM_LIMIT_EXCEEDED, _) => {
            Error::new(ErrorKind::DataInvalid, format!("cannot {doing}: {advice}")).with_effect(Effect::None)
        }
        (_, true) => passing(format!("cannot {doing}: {advice}")),
        (_, false) => unusable(format!("cannot {doing}: {advice}")),
    };
    failure.with_context("sqlstate", code.code()).with_source(error)
}

/// What to do, and whether it may pass by itself.
fn advice(code: &SqlState) -> (&'static str, bool) {
    let text = match *code {
        SqlState::INVALID_PASSWORD | SqlState::INVALID_AUTHORIZATION_SPECIFICATION => {
            return ("the database refused the user or the password: check both, and pg_hba.conf", false);
        }
        SqlState::INVALID_CATALOG_NAME => {
            return ("there is no such database: create it (createdb), or give another name", false);
        }
        SqlState::INSUFFICIENT_PRIVILEGE => {
            return (
                "the role may not do this: open the store once as the owner of its schema, and give the role what \
                 `runtime_grants` says",
                false,
            );
        }
        SqlState::UNDEFINED_TABLE | SqlState::UNDEFINED_COLUMN | SqlState::INVALID_SCHEMA_NAME => {
            return (
                "the schema is not there, or not whole: open the store once as the owner of its schema",
                false,
            );
        }
        SqlState::PROGRAM_LIMIT_EXCEEDED => {
            return ("a key or an indexed column is too long: about 2,700 bytes fit an index", false);
        }
        SqlState::READ_ONLY_SQL_TRANSACTION => {
            "this server takes no writes (a replica): give the address of the primary, or of both"
        }
        SqlState::TOO_MANY_CONNECTIONS => {
            "the database has no connection left: raise max_connections, or lower ours"
        }
        SqlState::LOCK_NOT_AVAILABLE => {
            "another transaction held what this one needs for longer than the lock timeout"
        }
        SqlState::QUERY_CANCELED => "it took longer than the statement timeout",
        SqlState::DISK_FULL => "the database's disk is full: make room",
        SqlState::T_R_DEADLOCK_DETECTED | SqlState::T_R_SERIALIZATION_FAILURE => {
            "other transactions were in the way, again and again"
        }
        SqlState::CANNOT_CONNECT_NOW | SqlState::ADMIN_SHUTDOWN | SqlState::CRASH_SHUTDOWN => {
            "the database is starting or stopping"
        }
        _ if code.code().starts_with("08")
            || code.code().starts_with("53")
            || code.code().starts_with("57P") =>
        {
            "the database cannot serve now"
        }
        _ if code.code() == "25P03" => "the transaction stood still for too long and was ended",
        _ => return ("PostgreSQL refused; the cause says why", false),
    };
    (text, true)
}

/// True when nothing can come over this connection any more.
pub(super) fn is_lost(error: &tokio_postgres::Error) -> bool {
    let Some(code) = error.code() else { return true };
    code.code().starts_with("57P") || code.code().starts_with("08") || code.code() == "25P03"
}

fn refused_certificate(error: &tokio_postgres::Error) -> bool {
    let mut cause = error.source();
    while let Some(found) = cause {
        let inner = found.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        if found.is::<rustls::Error>() || inner.is_some_and(|inner| inner.is::<rustls::Error>()) {
            return true;
        }
        cause = found.source();
    }
    false
}

/// The pool has no connection to give.
pub(super) fn explain_pool(error: PoolError) -> Error {
    match error {
        PoolError::Backend(error) => explain(error, "connect to the database"),
        PoolError::Timeout(_) => passing(
            "no connection in time: the database does not answer, or all connections of the pool are busy for longer \
             than the connect timeout",
        ),
        other => passing("no connection to the database").with_source(other),
    }
}
