//! One row of a source, kept per source.

use std::fmt;

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

/// The little of a source record that tells an unchanged row of a feed: kept beside the record's key in the store.
///
/// As text: `present 7 c0ffee`, `absent:2 7 c0ffee`. The text is stored: a change of it needs a migration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordMark<'a> {
    /// Whether the source still has the record.
    pub state: RecordState,
    /// Position in the source's dense numbering.
    pub ordinal: u64,
    /// Hash of the row's content.
    pub fingerprint: &'a str,
}

impl<'a> RecordMark<'a> {
    /// Reads a mark's text; `None` when it is none.
    pub fn parse(text: &'a str) -> Option<Self> {
        let (state, rest) = text.split_once(' ')?;
        let (ordinal, fingerprint) = rest.split_once(' ')?;
        let state = match state {
            "present" => RecordState::Present,
            "removed" => RecordState::Removed,
            "disputed" => RecordState::Disputed,
            other => RecordState::Absent(other.strip_prefix("absent:")?.parse().ok()?),
        };
        Some(Self { state, ordinal: ordinal.parse().ok()?, fingerprint })
    }
}

impl fmt::Display for RecordMark<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.state {
            RecordState::Present => f.write_str("present")?,
            RecordState::Absent(times) => write!(f, "absent:{times}")?,
            RecordState::Removed => f.write_str("removed")?,
            RecordState::Disputed => f.write_str("disputed")?,
        }
        write!(f, " {} {}", self.ordinal, self.fingerprint)
    }
}

impl SourceRecord {
    /// What tells whether a row of a feed is as this record says.
    pub fn mark(&self) -> RecordMark<'_> {
        RecordMark { state: self.state, ordinal: self.ordinal, fingerprint: &self.fingerprint }
    }
}

#[cfg(test)]
mod tests {
    use super::{RecordMark, RecordState};

    #[test]
    fn a_mark_reads_back_whatever_the_fingerprint_holds() {
        for state in
            [RecordState::Present, RecordState::Absent(3), RecordState::Removed, RecordState::Disputed]
        {
            for fingerprint in ["", "c0ffee", "a b  c "] {
                let mark = RecordMark { state, ordinal: u64::MAX, fingerprint };
                assert_eq!(RecordMark::parse(&mark.to_string()), Some(mark));
            }
        }
        for text in ["", "present", "present 1", "gone 1 x", "absent:x 1 x", "present -1 x"] {
            assert_eq!(RecordMark::parse(text), None, "{text}");
        }
    }
}
