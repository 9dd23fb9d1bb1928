//! The domain: identities and their sources, roles and grants, links and memberships.

mod actor;
mod grant;
mod identity;
mod lifecycle;
mod link;
mod membership;
mod source_record;
mod subject;

pub use actor::{Actor, ActorKind};
pub use grant::{Entitlement, Grant, Origin, OriginKind, Validity};
pub use identity::Identity;
pub use lifecycle::{Employment, Lifecycle, Status};
pub use link::{Link, LinkState};
pub use membership::Membership;
pub use source_record::{RecordState, SourceRecord};
pub use subject::Subject;
