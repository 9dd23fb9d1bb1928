//! The behaviour every store has. Each case works in realms of its own, so that all may run on one store at once.
//!
//! A case panics where the store breaks the contract, and gives back the errors of the store.

mod commits;
mod due;
mod marks;
mod scans;
mod streams;

pub use commits::*;
pub use due::*;
pub use marks::*;
pub use scans::*;
pub use streams::*;

use crate::error::Result;
use crate::id::RealmId;
use crate::store::{Changes, Commit, Put, Row, Store, Table};

/// Runs every case.
pub async fn run_all(store: &dyn Store) -> Result<()> {
    commit_writes_rows_and_counts_versions(store).await?;
    conflict_writes_nothing(store).await?;
    columns_are_replaced(store).await?;
    unique_columns_hold_one_row(store).await?;
    deletes_come_first(store).await?;
    changes_that_make_no_sense_are_refused(store).await?;
    hostile_text_comes_back(store).await?;
    realms_are_apart(store).await?;
    counters_lose_no_increment(store).await?;
    large_commit_is_whole(store).await?;
    marks_are_read_by_key(store).await?;
    scan_selects_in_order(store).await?;
    scan_pages_without_gap_under_inserts(store).await?;
    scans_asked_together_are_those_asked_alone(store).await?;
    scan_counts_what_it_reads(store).await?;
    stream_keeps_order(store).await?;
    stream_by_column_reads_its_rows(store).await?;
    outbox_is_trimmed_and_counts_on(store).await?;
    realms_are_found_by_what_is_due(store).await?;
    clock_and_epoch_answer(store).await
}

/// The clock gives a time, and the epoch stays what it is.
pub async fn clock_and_epoch_answer(store: &dyn Store) -> Result<()> {
    let earlier = store.now().await?;
    assert!(store.now().await? >= earlier);
    let epoch = store.epoch().await?;
    assert!(!epoch.is_empty());
    assert_eq!(store.epoch().await?, epoch);
    Ok(())
}

/// A row to write, for cases.
pub fn row(table: Table, key: &str, columns: &[(&'static str, &str)], body: &str) -> Put {
    let columns = columns.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
    Put { table, key: key.to_owned(), columns, body: body.to_owned() }
}

/// Writes rows that must not conflict.
async fn write(store: &dyn Store, realm: &RealmId, rows: Vec<Put>) -> Result<()> {
    let changes = Changes { put: rows, ..Changes::in_realm(realm) };
    assert_eq!(store.commit(changes).await?, Commit::Committed);
    Ok(())
}

/// One row.
async fn one(store: &dyn Store, realm: &RealmId, table: Table, key: &str) -> Result<Option<Row>> {
    Ok(store.get(realm, table, &[key.to_owned()]).await?.pop().flatten())
}
