//! Budgets: how much may be destroyed.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What a step can spend.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BudgetKind {
    /// New objects.
    Create,
    /// Changes of naming or key attributes.
    KeyRewrite,
    /// Disabled accounts.
    Disable,
    /// Deleted objects.
    Delete,
    /// Memberships taken away.
    Revoke,
    /// Attributes that had a value and have none.
    AttributeClear,
    /// Privileged memberships given.
    PrivilegedGrant,
}

impl BudgetKind {
    /// Every kind.
    pub const ALL: [Self; 7] = [
        Self::Create,
        Self::KeyRewrite,
        Self::Disable,
        Self::Delete,
        Self::Revoke,
        Self::AttributeClear,
        Self::PrivilegedGrant,
    ];

    /// The word used in configuration and reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::KeyRewrite => "key_rewrite",
            Self::Disable => "disable",
            Self::Delete => "delete",
            Self::Revoke => "revoke",
            Self::AttributeClear => "attribute_clear",
            Self::PrivilegedGrant => "privileged_grant",
        }
    }
}

/// How much of one kind may happen in 24 hours: the greater of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Budget {
    /// This many, whatever the population (the small-population exemption).
    pub always: u64,
    /// This share of the managed objects at the last complete cycle, in percent.
    pub percent: u64,
}

impl Budget {
    /// The limit for a population.
    pub fn limit(&self, managed: u64) -> u64 {
        self.always.max(managed.saturating_mul(self.percent) / 100)
    }
}

/// Budgets of a target by kind. A kind that is not named has its default; there is no way to have none, only a large
/// one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Budgets(pub BTreeMap<BudgetKind, Budget>);

impl Budgets {
    /// The budget of a kind.
    pub fn of(&self, kind: BudgetKind) -> Budget {
        self.0.get(&kind).copied().unwrap_or(match kind {
            BudgetKind::Create => Budget { always: 1_000, percent: 100 },
            BudgetKind::KeyRewrite => Budget { always: 10, percent: 5 },
            BudgetKind::Disable => Budget { always: 10, percent: 10 },
            BudgetKind::Delete => Budget { always: 5, percent: 5 },
            BudgetKind::Revoke => Budget { always: 50, percent: 20 },
            BudgetKind::AttributeClear => Budget { always: 20, percent: 10 },
            BudgetKind::PrivilegedGrant => Budget { always: 5, percent: 1 },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_the_greater_of_a_number_and_a_share() {
        let limit = |managed| Budget { always: 10, percent: 5 }.limit(managed);
        assert_eq!([0, 100, 200, 219, 220, 1_000].map(limit), [10, 10, 10, 10, 11, 50]);
    }

    #[test]
    fn every_kind_has_a_word_of_its_own_that_is_also_stored() {
        for kind in BudgetKind::ALL {
            assert_eq!(serde_json::to_string(&kind).unwrap(), format!("\"{}\"", kind.as_str()));
        }
    }
}
