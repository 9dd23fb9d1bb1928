//! The domain: identities and their sources, roles and grants, links and memberships.

mod actor;
mod configured;
mod engagement;
mod feed;
mod grant;
mod hold;
mod identity;
mod lifecycle;
mod link;
mod membership;
mod name;
mod node;
mod source_record;
mod subject;
mod work;

pub use actor::{Actor, ActorKind};
pub use configured::{ConfiguredSource, ConfiguredTarget, Quarantine};
pub use engagement::Engagement;
pub use feed::{FeedChange, FeedChangeKind, FeedCounts, FeedReport, FeedState};
pub use grant::{Entitlement, Grant, Origin, OriginKind, Validity};
pub use hold::{Dispute, DisputeAbout, Hold, HoldOf, HoldState};
pub use identity::Identity;
pub use lifecycle::{Employment, Lifecycle, Status};
pub use link::{Compared, Link, LinkState};
pub use membership::Membership;
pub use name::{Name, NameState};
pub use node::{Node, NodeState};
pub use source_record::{RecordMark, RecordState, SourceRecord};
pub use subject::Subject;
pub use work::{Lease, Work};
