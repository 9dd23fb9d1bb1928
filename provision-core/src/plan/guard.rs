//! The guard: what a plan would destroy against what may be destroyed.

use std::collections::BTreeMap;

use super::{BudgetKind, Budgets};
use crate::id::TargetName;

/// What may still be spent on a target.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Allowance {
    /// As configured.
    pub budgets: Budgets,
    /// Objects managed at the last complete cycle.
    pub managed: u64,
    /// Spent in the last 24 hours, approved plans excepted.
    pub spent: BTreeMap<BudgetKind, u64>,
}

impl Allowance {
    /// How much of a kind is left.
    pub fn left(&self, kind: BudgetKind) -> u64 {
        let spent = self.spent.get(&kind).copied().unwrap_or(0);
        self.budgets.of(kind).limit(self.managed).saturating_sub(spent)
    }
}

/// Says in words which budgets a plan exceeds; empty when it may go on.
pub fn over_budget(
    spends: &BTreeMap<TargetName, BTreeMap<BudgetKind, u64>>,
    allowances: &BTreeMap<TargetName, Allowance>,
) -> Vec<String> {
    let mut over = Vec::new();
    for (target, kinds) in spends {
        let allowance = allowances.get(target).cloned().unwrap_or_default();
        for (kind, wanted) in kinds {
            let left = allowance.left(*kind);
            if *wanted > left {
                let budget = allowance.budgets.of(*kind);
                over.push(format!(
                    "{target}: {wanted} of kind `{}` are planned and {left} are left (limit {}: {} always, {} % of {} \
                     managed; {} spent in the last 24 hours)",
                    kind.as_str(),
                    budget.limit(allowance.managed),
                    budget.always,
                    budget.percent,
                    allowance.managed,
                    allowance.spent.get(kind).copied().unwrap_or(0),
                ));
            }
        }
    }
    over
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Budget;

    fn allowance(spent: u64) -> Allowance {
        let budgets = Budgets([(BudgetKind::Delete, Budget { always: 5, percent: 0 })].into());
        Allowance { budgets, managed: 40, spent: [(BudgetKind::Delete, spent)].into() }
    }

    #[test]
    fn what_was_spent_is_not_there_to_be_spent_again() {
        let left = |spent| allowance(spent).left(BudgetKind::Delete);
        assert_eq!([0, 2, 5, 9].map(left), [5, 3, 0, 0]);
        assert_eq!(allowance(2).left(BudgetKind::Disable), 10, "of that kind nothing was");
    }

    #[test]
    fn a_plan_is_over_when_it_wants_more_than_is_left() {
        let over = |wanted: u64| {
            let spends = BTreeMap::from([("app".into(), BTreeMap::from([(BudgetKind::Delete, wanted)]))]);
            over_budget(&spends, &BTreeMap::from([("app".into(), allowance(2))]))
        };
        assert_eq!(over(3), [""; 0]);
        let said = "app: 4 of kind `delete` are planned and 3 are left (limit 5: 5 always, 0 % of 40 managed; 2 spent \
                    in the last 24 hours)";
        assert_eq!(over(4), [said]);
    }
}
