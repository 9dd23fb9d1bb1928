//! What was spent of a budget, in hourly buckets, so that many small cycles cannot do what one big one may not.

use serde::{Deserialize, Serialize};

use super::BudgetKind;
use crate::id::{RealmId, TargetName};

/// What was spent on a target in one hour.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spending {
    /// The tenant.
    pub realm: RealmId,
    /// The target.
    pub target: TargetName,
    /// The kind.
    pub kind: BudgetKind,
    /// Hours since the Unix epoch.
    pub hour: i64,
    /// How much.
    pub spent: u64,
    /// Of which by plans that a person approved: not counted against later ones.
    pub approved: u64,
}

impl Spending {
    /// The row's key.
    pub fn row_key(target: &TargetName, kind: BudgetKind, hour: i64) -> String {
        format!("{}/{}/{hour:010}", target.as_str(), kind.as_str())
    }
}
