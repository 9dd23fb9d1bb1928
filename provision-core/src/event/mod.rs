//! Events for the host: appended to the outbox in the same commit as what they tell.

use serde::{Deserialize, Serialize};

use crate::id::{IdentityId, PlanId, RealmId, TargetName};
use crate::store::{Append, Stream};
use crate::value::Timestamp;

/// Something the host may want to know. Level-triggered: it says what to look at, not what to believe.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// The tenant.
    pub realm: RealmId,
    /// When.
    pub at: Timestamp,
    /// What: `account.created`, `account.disabled`, `hold.opened`, ...
    pub event: String,
    /// About whom.
    pub identity: Option<IdentityId>,
    /// On which target.
    pub target: Option<TargetName>,
    /// In which plan.
    pub plan: Option<PlanId>,
}

impl Event {
    /// The row to append.
    pub fn append(&self) -> crate::Result<Append> {
        let body = serde_json::to_string(self).map_err(|error| {
            crate::Error::new(crate::ErrorKind::Unexpected, "cannot encode an event").with_source(error)
        })?;
        let columns = self.identity.map(|identity| ("identity", identity.to_string())).into_iter().collect();
        Ok(Append { stream: Stream::Outbox, columns, body })
    }
}
