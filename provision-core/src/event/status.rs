//! Where the sinks of a realm stand.

use serde::{Deserialize, Serialize};

use super::lag::unsent_after;
use super::outbox::SinkCursor;
use super::turn::known_sinks;
use crate::error::{ErrorRecord, Result};
use crate::id::RealmId;
use crate::runtime::Inner;
use crate::store;
use crate::value::Timestamp;

/// Unsent events that are counted.
const COUNTED_MAX: u32 = 10_000;

/// How far a sink is in a realm.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SinkStatus {
    /// Its name.
    pub sink: String,
    /// The number of the last event that has arrived; 0: none.
    pub sent: u64,
    /// When the last one arrived.
    pub moved_at: Option<Timestamp>,
    /// Events that have not arrived; 10,000 stands for as many or more.
    pub unsent: u64,
    /// When the oldest of them was written: how far the sink is behind.
    pub unsent_since: Option<Timestamp>,
    /// Failures in a row.
    pub failures: u32,
    /// The last failure, until something arrives.
    pub error: Option<ErrorRecord>,
}

/// The sinks of a realm by name.
pub(crate) async fn sinks_of(inner: &Inner, realm: &RealmId) -> Result<Vec<SinkStatus>> {
    let store = inner.store.as_ref();
    let mut all = Vec::new();
    for known in known_sinks(inner).await? {
        let cursor = store::get::<SinkCursor>(store, realm, &SinkCursor::row_key(&known.name)).await?;
        let cursor = cursor.map_or_else(|| SinkCursor::new(&known.name), |cursor| cursor.value);
        let behind = unsent_after(inner, realm, cursor.sent, COUNTED_MAX).await?;
        all.push(SinkStatus {
            sink: known.name,
            sent: cursor.sent,
            moved_at: cursor.moved_at,
            unsent: behind.map_or(0, |(unsent, _)| unsent),
            unsent_since: behind.map(|(_, since)| since),
            failures: cursor.failures,
            error: cursor.error,
        });
    }
    Ok(all)
}
