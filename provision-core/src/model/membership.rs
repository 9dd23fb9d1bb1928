//! Membership: an edge between an account and a group, kept as a row.

use serde::{Deserialize, Serialize};

use crate::id::{ClassName, LinkId, RealmId, TargetName};

/// An edge account x group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Membership {
    /// The tenant.
    pub realm: RealmId,
    /// The target.
    pub target: TargetName,
    /// The account's link.
    pub link: LinkId,
    /// Class of the group.
    pub group_class: ClassName,
    /// The group's key on the target.
    pub group: String,
    /// Policy wants it.
    pub desired: bool,
    /// We wrote it (or found it, and own it).
    pub applied: bool,
    /// Counts the changes of `desired`.
    pub generation: u64,
}
