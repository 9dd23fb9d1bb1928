//! What the store knows of the outbox beside its rows: which realms have something to send, which sinks there are, and
//! how far each of them is.

use serde::{Deserialize, Serialize};

use super::message::token;
use crate::error::{ErrorRecord, Result};
use crate::store::{Put, Record, Table};
use crate::value::Timestamp;

/// The row that says that a realm has something to send, or rows to delete later.
const MARK: &str = "outbox";
/// The mark's column while something may be unsent. It sorts behind every instant, so that who asks what is due at an
/// instant does not find it.
const UNSENT: &str = "outbox|unsent";
/// Before the instant from which on sent rows may be deleted.
const SENT: &str = "outbox|until|";

/// Whether a row of [`Table::Meta`] is one of the outbox's own: nothing of the realm itself changes with it.
pub(crate) fn is_own(key: &str) -> bool {
    key.strip_prefix(MARK).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Says what a realm's outbox waits for. Every commit that appends an event writes it anew, so that its version tells
/// whether one came since.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct OutboxMark {
    /// Everything is sent to every sink; rows may be deleted from then on.
    pub(crate) sent_until: Option<Timestamp>,
}

impl OutboxMark {
    pub(crate) const KEY: &'static str = MARK;

    /// Something may be unsent.
    pub(crate) fn unsent() -> Result<Put> {
        crate::store::put(&Self { sent_until: None })
    }

    /// The prefix and the last value of realms with something unsent.
    pub(crate) fn unsent_range() -> (String, String) {
        (UNSENT.to_owned(), UNSENT.to_owned())
    }

    /// The prefix and the last value of realms with rows to delete.
    pub(crate) fn sent_range(now: Timestamp) -> (String, String) {
        (SENT.to_owned(), format!("{SENT}{}", now.sortable()))
    }
}

impl Record for OutboxMark {
    const TABLE: Table = Table::Meta;

    fn key(&self) -> String {
        MARK.to_owned()
    }

    fn columns(&self) -> Vec<(&'static str, String)> {
        let due = self.sent_until.map_or_else(|| UNSENT.to_owned(), |at| format!("{SENT}{}", at.sortable()));
        vec![("due", due)]
    }
}

/// How far a sink is in a realm, and who is at it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct SinkCursor {
    pub(crate) sink: String,
    /// The number of the last event that has arrived.
    pub(crate) sent: u64,
    /// When the cursor moved last.
    pub(crate) moved_at: Option<Timestamp>,
    /// Who sends, until `until` by the store's clock.
    pub(crate) owner: Option<String>,
    pub(crate) until: Timestamp,
    /// Failures in a row, and the last one.
    pub(crate) failures: u32,
    pub(crate) error: Option<ErrorRecord>,
    /// Not to be tried again before.
    pub(crate) retry_at: Option<Timestamp>,
}

impl SinkCursor {
    pub(crate) fn new(sink: &str) -> Self {
        Self {
            sink: sink.to_owned(),
            sent: 0,
            moved_at: None,
            owner: None,
            until: Timestamp::EPOCH,
            failures: 0,
            error: None,
            retry_at: None,
        }
    }

    pub(crate) fn row_key(sink: &str) -> String {
        format!("{MARK}/cursor/{}", token(sink))
    }
}

impl Record for SinkCursor {
    const TABLE: Table = Table::Meta;

    fn key(&self) -> String {
        Self::row_key(&self.sink)
    }

    fn columns(&self) -> Vec<(&'static str, String)> {
        Vec::new()
    }
}

/// A sink that some process has, or had. Events are kept until each of them has them.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct KnownSink {
    pub(crate) name: String,
    pub(crate) since: Timestamp,
    /// The realms that were there when it came have been told.
    pub(crate) told: bool,
}

impl KnownSink {
    pub(crate) const PREFIX: &'static str = "outbox/sink/";

    pub(crate) fn row_key(name: &str) -> String {
        format!("{}{}", Self::PREFIX, token(name))
    }
}

impl Record for KnownSink {
    const TABLE: Table = Table::Meta;

    fn key(&self) -> String {
        Self::row_key(&self.name)
    }

    fn columns(&self) -> Vec<(&'static str, String)> {
        Vec::new()
    }
}
