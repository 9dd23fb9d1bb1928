//! Dirty identities: what the engine still has to look at.

use serde::{Deserialize, Serialize};

use crate::id::{IdentityId, RealmId};
use crate::value::Timestamp;

/// Somebody works on it until then; afterwards anybody may take it over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// The worker.
    pub owner: String,
    /// By the store's clock.
    pub until: Timestamp,
    /// Grows with every claim; a commit with an older one is refused.
    pub fence: u64,
}

/// A dirty identity. Level-triggered: it says *that* something may have changed, never what.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Work {
    /// The tenant.
    pub realm: RealmId,
    /// The identity.
    pub identity: IdentityId,
    /// Source and key: the row's key and the order in which names are allotted.
    pub order: String,
    /// Counts the changes; the row is removed only by a worker that saw the last one.
    pub generation: u64,
    /// A leaver: goes before everybody else.
    pub urgent: bool,
    /// Not before this instant (retry, a future change).
    pub due_at: Timestamp,
    /// Who works on it.
    pub lease: Option<Lease>,
    /// The last fence given out.
    pub fence: u64,
}

impl Work {
    /// The sortable column: leavers first, then by the instant it may be claimed.
    pub fn due_column(urgent: bool, at: Timestamp) -> String {
        format!("{}|{}", if urgent { 0 } else { 1 }, at.sortable())
    }

    /// When it may be claimed: due, and not leased.
    pub fn claimable_at(&self) -> Timestamp {
        self.lease.as_ref().map_or(self.due_at, |lease| lease.until.max(self.due_at))
    }
}
