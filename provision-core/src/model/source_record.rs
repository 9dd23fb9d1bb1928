//! One row of a source, kept per source.

use serde::{Deserialize, Serialize};

use super::Employment;
use crate::id::{FeedId, IdentityId, RealmId, SourceName};
use crate::value::{Attributes, Zone};

/// Whether the source still has the record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RecordState {
    /// In the last feed that could tell.
    Present,
    /// Missing from this many complete feeds in a row: a candidate leaver.
    Absent(u32),
    /// Removed by an explicit tombstone, or absent for as many feeds as the source demands.
    Removed,
    /// Two rows of one feed claim the key with different content: frozen until a person decides.
    Disputed,
}

/// One row of a source, in the identity's attribute names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceRecord {
    /// The tenant.
    pub realm: RealmId,
    /// The source.
    pub source: SourceName,
    /// The row's immutable key in the source.
    pub key: String,
    /// The identity it belongs to.
    pub identity: IdentityId,
    /// What the row says.
    pub attributes: Attributes,
    /// The employment it states.
    pub employment: Employment,
    /// The person's zone, where the row names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<Zone>,
    /// Hash of the row's content: an equal one is skipped.
    pub fingerprint: String,
    /// Position in the source's dense numbering: the bit that marks it seen.
    pub ordinal: u64,
    /// Whether the source still has it.
    pub state: RecordState,
    /// The feed that last changed it.
    pub feed: FeedId,
}
