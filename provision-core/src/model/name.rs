//! Names that are taken.

use serde::{Deserialize, Serialize};

use crate::id::{IdentityId, NamespaceName, PlanId, RealmId};
use crate::value::Timestamp;

/// Why a name is taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "state")]
pub enum NameState {
    /// A plan wants it; expires with the plan.
    Reserved {
        /// The plan.
        plan: PlanId,
        /// Free again after this instant.
        until: Timestamp,
    },
    /// An account has it.
    Held,
    /// An account had it: not given to anybody else (see `reuse_after_days` of the namespace).
    Tombstone {
        /// Since when.
        since: Timestamp,
    },
    /// An object on a target that is not ours has it, or a target refused it as taken.
    Foreign,
}

/// A name taken in a namespace. The row's key is the folded name: two owners cannot have it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Name {
    /// The tenant.
    pub realm: RealmId,
    /// The namespace.
    pub namespace: NamespaceName,
    /// The part of the namespace.
    pub scope: String,
    /// As written.
    pub name: String,
    /// Under the namespace's case rule.
    pub folded: String,
    /// Whose it is; `None` for a foreign one.
    pub owner: Option<IdentityId>,
    /// What it is for.
    pub purpose: String,
    /// Why it is taken.
    pub state: NameState,
}

impl Name {
    /// Whether both are names of one account for one attribute, of which one is in use.
    pub(crate) fn is_for_the_same(&self, other: &Self) -> bool {
        (&self.namespace, &self.purpose) == (&other.namespace, &other.purpose)
            && self.scope.to_lowercase() == other.scope.to_lowercase()
    }

    /// The row's key.
    pub fn row_key(namespace: &NamespaceName, scope: &str, folded: &str) -> String {
        format!(
            "{}|{}|{folded}",
            namespace.as_str(),
            scope.to_lowercase().replace('\\', "\\\\").replace('|', "\\p")
        )
    }
}
