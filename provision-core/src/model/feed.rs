//! Feeds as the store remembers them, and the changes staged from them.

use serde::{Deserialize, Serialize};

use crate::connector::Completeness;
use crate::diagnostic::Diagnostic;
use crate::id::{FeedId, HoldId, RealmId, SourceName};
use crate::source::{FeedMode, FeedRecord, FeedSequence};
use crate::value::Timestamp;

/// How far a feed has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FeedState {
    /// Being read; its changes are staged. A crash leaves it so; it is read again from the start.
    Staging,
    /// Its whole delta waits for approval.
    Held,
    /// Its changes are being taken over. A crash leaves it so; taking over goes on.
    Promoting,
    /// Its changes are in force.
    Applied,
    /// It was read and could not be used, or a person rejected it.
    Refused,
}

/// What a feed holds, counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeedCounts {
    /// Rows read.
    pub rows: u64,
    /// Rows that are as they were.
    pub unchanged: u64,
    /// Records not known before.
    pub added: u64,
    /// Known records that changed.
    pub changed: u64,
    /// Records removed: tombstones, and absences that count.
    pub removed: u64,
    /// Records that end by a termination status or an end date that has passed.
    pub terminated: u64,
    /// Records missing that do not count yet.
    pub absent: u64,
    /// Rows repeated with the same content.
    pub repeated: u64,
    /// Keys claimed by rows that differ.
    pub disputed: u64,
    /// Rows that could not be used.
    pub problems: u64,
}

/// A feed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeedReport {
    /// Its id.
    pub id: FeedId,
    /// The tenant.
    pub realm: RealmId,
    /// The source.
    pub source: SourceName,
    /// Its name.
    pub name: String,
    /// Everything or changes.
    pub mode: FeedMode,
    /// Its place in the source's order.
    pub sequence: FeedSequence,
    /// How far it has come.
    pub state: FeedState,
    /// What it holds.
    pub counts: FeedCounts,
    /// The first problems of its rows.
    pub problems: Vec<Diagnostic>,
    /// Whether it was read whole.
    pub completeness: Completeness,
    /// The hold its delta waits in.
    pub hold: Option<HoldId>,
    /// When it was read.
    pub at: Timestamp,
    /// Staged changes taken over so far.
    pub promoted: u64,
}

/// What a staged change does to a source record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FeedChangeKind {
    /// The record is as given.
    Upsert,
    /// The record is gone.
    Remove,
    /// The record was missing once more.
    Absent,
    /// The record is back after an absence that did not count yet, unchanged.
    Seen,
    /// Two rows claim it.
    Dispute,
}

/// A staged change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeedChange {
    /// The feed.
    pub feed: FeedId,
    /// Its place in the feed's delta, from 0.
    pub number: u64,
    /// What is done.
    pub kind: FeedChangeKind,
    /// The record's key.
    pub key: String,
    /// The record, for an upsert.
    pub record: Option<FeedRecord>,
}
