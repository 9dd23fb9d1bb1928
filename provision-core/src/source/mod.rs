//! Sources: authoritative systems that deliver records in feeds.

mod settings;

use std::fmt::Debug;
use std::pin::Pin;

use async_trait::async_trait;
use futures_core::Stream;
use serde::{Deserialize, Serialize};

pub use settings::{Absence, EngagementSettings, FeedGuard, SourceSettings};

pub use crate::correlate::{CorrelationRule, SourceCorrelation};

use crate::connector::{Completeness, Context};
use crate::diagnostic::Diagnostic;
use crate::error::Result;
use crate::model::Employment;
use crate::value::{Attributes, Zone};

/// Whether a feed holds everything or only what changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FeedMode {
    /// Everything: a missing record is a candidate leaver.
    Full,
    /// Only changes: a missing record means nothing.
    Delta,
}

/// Where a feed stands in its source's order. A feed with the same content as one already consumed, or an order
/// below the last one, is reported as such and not diffed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeedSequence {
    /// Sorts after the order of every earlier feed (byte-wise): a number with leading zeros, a date. `None`: not known.
    pub order: Option<String>,
    /// Hash of the content.
    pub content: String,
}

/// What a record says shall happen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RecordAction {
    /// The record is as given.
    #[default]
    Upsert,
    /// An explicit tombstone: the record is removed.
    Remove,
}

/// One record of a feed, in the identity's attribute names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeedRecord {
    /// The record's immutable key in the source.
    pub key: String,
    /// Where it stands in the feed, for messages: line number of a file.
    pub position: u64,
    /// What it says; absent attributes are not asserted.
    pub attributes: Attributes,
    /// The employment it states.
    pub employment: Employment,
    /// The person's zone, where the source knows it.
    pub zone: Option<Zone>,
    /// What shall happen.
    pub action: RecordAction,
    /// Hash of the record's raw content: an unchanged one is skipped without looking further.
    pub fingerprint: String,
}

/// What a feed yields. The last event is `End`; a stream that stops without it is partial.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FeedEvent {
    /// Some records.
    Records(Vec<FeedRecord>),
    /// A row that cannot be used; the others go on.
    Problem(Diagnostic),
    /// The end, and what it proves.
    End(Completeness),
}

/// The records of a feed.
pub type FeedStream = Pin<Box<dyn Stream<Item = Result<FeedEvent>> + Send>>;

/// One delivery of a source.
pub struct Feed {
    /// What people call it: a file's name.
    pub name: String,
    /// Everything or changes.
    pub mode: FeedMode,
    /// Where it stands in the source's order.
    pub sequence: FeedSequence,
    /// The records.
    pub records: FeedStream,
}

impl Debug for Feed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Feed")
            .field("name", &self.name)
            .field("mode", &self.mode)
            .field("sequence", &self.sequence)
            .finish()
    }
}

/// An authoritative system.
#[async_trait]
pub trait Source: Debug + Send + Sync {
    /// Opens the deliveries that are ready, oldest first. A file source has one per file; a database one in all.
    ///
    /// # Errors
    /// Problems of the whole feed (unreadable, wrong encoding, missing column): nothing of it may be used.
    async fn feeds(&self, cx: &Context) -> Result<Vec<Feed>>;

    /// Reads one record by key; `None` only if the source said that there is none.
    async fn get(&self, cx: &Context, key: &str) -> Result<Option<FeedRecord>>;
}
