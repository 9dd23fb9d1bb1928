//! Events for the host: appended to the outbox in the same commit as what they tell, sent from there to sinks, and
//! told to listeners in the process.
//!
//! The outbox is the truth. A host that must not miss an event adds a sink
//! ([`RuntimeBuilder::sink`](crate::runtime::RuntimeBuilder::sink)) and drives it
//! ([`Runtime::relay`](crate::runtime::Runtime::relay)); one that wants to refresh a page listens to
//! [`Runtime::events`](crate::runtime::Runtime::events). The guide `docs/guide/events.md` says what is promised.

mod announced;
mod aside;
mod command;
mod inbox;
#[cfg(feature = "nats")]
pub mod jetstream;
mod lag;
mod message;
mod outbox;
mod relay;
mod retention;
mod sink;
mod status;
mod turn;

pub(crate) use announced::Announced;
pub use announced::{Events, Heard};
pub use aside::SetAside;
pub use command::{Command, CommandActor, CommandMessage, CommandOutcome};
pub use inbox::InboxReport;
pub use lag::SinkLag;
pub(crate) use lag::lags_of;
pub use message::{EventMessage, token};
pub(crate) use outbox::{OutboxMark, is_own};
pub use relay::{RelayOptions, RelayReport};
pub use sink::{EventSink, Sent};
pub use status::SinkStatus;
pub(crate) use status::sinks_of;

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
