//! Dirty identities: what the engine still has to look at.

use serde::{Deserialize, Serialize};

use super::Identity;
use crate::id::{IdentityId, RealmId};
use crate::value::Timestamp;

/// How the owner of a parked row begins; its generation follows.
const PARKED: &str = "parked/";

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
    /// Grows with the changes, from the instant the row was made; the row is removed only by who saw the last one.
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
    /// The dirty mark of an identity, over the one it may have: a newer generation, never later than it was due. A
    /// worker that holds it keeps its lease and finds the newer generation at the end.
    pub fn marked(existing: Option<Self>, identity: &Identity, urgent: bool, due_at: Timestamp) -> Self {
        match existing {
            Some(work) => Self {
                generation: work.generation.saturating_add(1),
                urgent: urgent || work.urgent,
                due_at: due_at.min(work.due_at),
                ..work
            },
            None => Self {
                realm: identity.realm.clone(),
                identity: identity.id,
                order: identity.order(),
                // Not from 1 again: whoever saw an earlier row must not take this one for that.
                generation: u64::try_from(due_at.as_micros()).unwrap_or(1).max(1),
                urgent,
                due_at,
                lease: None,
                fence: 0,
            },
        }
    }

    /// The sortable column: leavers first, then by the instant it may be claimed.
    pub fn due_column(urgent: bool, at: Timestamp) -> String {
        format!("{}|{}", if urgent { 0 } else { 1 }, at.sortable())
    }

    /// When it may be claimed: due, and not leased. A parked row may be claimed as soon as it is marked again.
    pub fn claimable_at(&self) -> Timestamp {
        let marked_again =
            |lease: &&Lease| lease.owner.starts_with(PARKED) && lease.owner != self.parked_owner();
        let lease = self.lease.as_ref().filter(|lease| !marked_again(lease));
        lease.map_or(self.due_at, |lease| lease.until.max(self.due_at))
    }

    /// Leaves the identity to a person (a review, an approval): dirty still, and not claimed before `until` unless it
    /// is marked again.
    #[must_use]
    pub fn parked(mut self, until: Timestamp) -> Self {
        let owner = self.parked_owner();
        self.lease = Some(Lease { owner, until, fence: self.fence });
        self
    }

    /// Whether the claim that was given this lease still holds: nobody took the identity over. Renewing moves the end
    /// of a lease, and keeps its owner and fence.
    pub fn is_held_by(&self, lease: &Lease) -> bool {
        self.lease.as_ref().is_some_and(|now| now.owner == lease.owner && now.fence == lease.fence)
    }

    /// Whether it waits for a person, not for a worker.
    pub fn is_parked(&self) -> bool {
        self.lease.as_ref().is_some_and(|lease| lease.owner.starts_with(PARKED))
    }

    fn parked_owner(&self) -> String {
        format!("{PARKED}{}", self.generation)
    }
}
