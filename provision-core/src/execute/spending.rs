//! Spending: what steps take from the budgets of their target, in the commit that journals their intents.

use std::collections::{BTreeMap, BTreeSet};

use super::lane::Lane;
use super::wave::Begun;
use crate::engine::hour_of;
use crate::error::Result;
use crate::plan::{BudgetKind, Spending};
use crate::planted::{self, Defect};
use crate::store::{self, Changes, Expect, Record, Stored};

/// What was spent of some kinds on a target in one hour, with the versions to write over.
pub(super) struct Buckets {
    hour: i64,
    present: BTreeMap<BudgetKind, Option<Stored<Spending>>>,
    /// Those of the hours beside it are as they were: others may count there, when the hour turns or by their clocks.
    beside: Vec<Expect>,
}

impl Lane<'_> {
    /// Adds the spending of steps to the commit that journals their intents. Says so when that is over a budget,
    /// except for plans that a person approved whole. A step that was paid in an hour before, and for which nothing is
    /// left now, may not be sent any more.
    pub(super) async fn reserve(&self, changes: &mut Changes, begun: &mut [Begun]) -> Result<Option<String>> {
        let mut spends: BTreeMap<BudgetKind, u64> = BTreeMap::new();
        // An attempt before that may have had an effect is paid for.
        for kind in begun.iter().filter(|begun| !begun.is_open()).flat_map(|begun| &begun.step.budgets) {
            *spends.entry(*kind).or_default() += 1;
        }
        let late: Vec<&mut Begun> =
            begun.iter_mut().filter(|begun| self.was_paid_in_another_hour(begun)).collect();
        if spends.is_empty() && late.is_empty() {
            return Ok(None);
        }
        // Read before what is left of the budget: whoever spends in between makes this commit fail.
        let kinds: BTreeSet<BudgetKind> = spends
            .keys()
            .copied()
            .chain(late.iter().flat_map(|begun| begun.step.budgets.iter().copied()))
            .collect();
        let buckets = self.buckets(kinds.into_iter()).await?;
        let allowance = match self.approved {
            true => None,
            false => {
                let target = self.engine.target(&self.target.settings.name).await?.value;
                Some(self.engine.allowance(&target, self.engine.now()).await?)
            }
        };
        let is_left = |spends: &BTreeMap<BudgetKind, u64>, kind: BudgetKind, more: u64| {
            let spent = spends.get(&kind).copied().unwrap_or(0) + more;
            allowance.as_ref().is_none_or(|allowance| spent <= allowance.left(kind))
        };
        if let Some(kind) = spends.keys().find(|kind| !is_left(&spends, **kind, 0)) {
            let kind = kind.as_str();
            return Ok(Some(format!("the budget `{kind}` is spent since the plan was made: plan again")));
        }
        for begun in late {
            if begun.step.budgets.iter().all(|kind| is_left(&spends, *kind, 1)) {
                for kind in &begun.step.budgets {
                    *spends.entry(*kind).or_default() += 1;
                }
            } else {
                begun.resolve_only = Some("its budget is spent since its first attempt".to_owned());
            }
        }
        // Planted: counted when it is done.
        if !spends.is_empty() && !planted::is(Defect::BudgetCountedAfterWrite) {
            changes.expect.extend(buckets.beside.iter().cloned());
            self.spend(changes, buckets, &spends, true)?;
        }
        Ok(None)
    }

    /// Whether an attempt before, which may or may not have had an effect, was paid for in another hour. What this one
    /// does counts in the present one: the day of a budget may have passed since.
    fn was_paid_in_another_hour(&self, begun: &Begun) -> bool {
        let hour = hour_of(self.engine.now());
        begun.is_open()
            && begun.resolve_only.is_none()
            && !begun.step.budgets.is_empty()
            && begun.begun_before.is_some_and(|at| hour_of(at) != hour)
    }

    /// The buckets of the present hour, as they are now.
    pub(super) async fn buckets(&self, kinds: impl Iterator<Item = BudgetKind>) -> Result<Buckets> {
        let hour = hour_of(self.engine.now());
        let target = &self.target.settings.name;
        let kinds: Vec<BudgetKind> = kinds.collect();
        let key = |(kind, hour): (&BudgetKind, i64)| Spending::row_key(target, *kind, hour);
        let keys: Vec<String> =
            kinds.iter().flat_map(|kind| [hour, hour - 1, hour + 1].map(|hour| key((kind, hour)))).collect();
        let found = store::get_many::<Spending>(self.engine.store(), &self.engine.realm, &keys).await?;
        let mut buckets = Buckets { hour, present: BTreeMap::new(), beside: Vec::new() };
        let mut rows = keys.into_iter().zip(found);
        for kind in kinds {
            buckets.present.insert(kind, rows.next().and_then(|(_, present)| present));
            buckets.beside.extend(rows.by_ref().take(2).map(|(key, beside)| match beside {
                Some(Stored { version, .. }) => Expect::Version { table: Spending::TABLE, key, version },
                None => Expect::Absent { table: Spending::TABLE, key },
            }));
        }
        Ok(buckets)
    }

    /// Adds to (or takes back from) the buckets of the present hour.
    pub(super) fn spend(
        &self,
        changes: &mut Changes,
        buckets: Buckets,
        amounts: &BTreeMap<BudgetKind, u64>,
        add: bool,
    ) -> Result<()> {
        for (kind, known) in buckets.present {
            let amount = amounts.get(&kind).copied().unwrap_or(0);
            if amount == 0 {
                continue;
            }
            let (version, mut spending) = match known {
                Some(Stored { version, value }) => (Some(version), value),
                None => {
                    let (realm, target) = (self.engine.realm.clone(), self.target.settings.name.clone());
                    (None, Spending { realm, target, kind, hour: buckets.hour, spent: 0, approved: 0 })
                }
            };
            let approved = if self.approved { amount } else { 0 };
            if add {
                spending.spent += amount;
                spending.approved += approved;
            } else {
                spending.spent = spending.spent.saturating_sub(amount);
                spending.approved = spending.approved.saturating_sub(approved);
            }
            match version {
                Some(version) => changes.replace(version, &spending)?,
                None => changes.insert(&spending)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::workbench::{Workbench, now, order, step};
    use super::*;
    use crate::plan::Action;
    use crate::store::Commit;

    #[tokio::test]
    async fn spending_is_added_in_its_hour_and_given_back() {
        let mut bench = Workbench::new().await;
        bench.header.expires_at = now();
        let spent = |approved: bool, add: bool, known: Option<(u64, u64)>| {
            let mut lane = bench.lane();
            lane.approved = approved;
            let kind = BudgetKind::Disable;
            let row = known.map(|(spent, approved)| {
                let (realm, target) = (bench.engine.realm().clone(), "directory".into());
                let value = Spending { realm, target, kind, hour: 7, spent, approved };
                Stored { version: 2, value }
            });
            let buckets = Buckets { hour: 7, present: [(kind, row)].into(), beside: Vec::new() };
            let mut changes = Changes::in_realm(bench.engine.realm());
            lane.spend(&mut changes, buckets, &[(kind, 3)].into(), add).unwrap();
            let row: Spending = serde_json::from_str(&changes.put[0].body).unwrap();
            assert_eq!((row.hour, row.kind), (7, kind));
            (row.spent, row.approved)
        };
        assert_eq!(spent(false, true, None), (3, 0));
        assert_eq!(spent(false, true, Some((4, 1))), (7, 1));
        assert_eq!(spent(true, true, Some((4, 1))), (7, 4));
        assert_eq!(spent(false, false, Some((4, 4))), (1, 4));
        assert_eq!(spent(true, false, Some((4, 4))), (1, 1));
        assert_eq!(spent(false, false, Some((2, 0))), (0, 0));
    }

    #[tokio::test]
    async fn an_attempt_whose_first_one_was_paid_in_another_hour_is_paid_again_or_only_looks() {
        let bench = Workbench::new().await;
        let lane = bench.lane();
        let mut changes = Changes::in_realm(bench.engine.realm());
        changes.insert(&bench.target).unwrap();
        assert_eq!(bench.engine.store().commit(changes).await.unwrap(), Commit::Committed);
        let left = bench.engine.allowance(&bench.target, now()).await.unwrap().left(BudgetKind::Disable);
        let open = |before: u64| {
            let mut begun = bench.begun(Action::Disable);
            let mut step = crate::plan::Step::clone(&step(Action::Disable));
            step.budgets = vec![BudgetKind::Disable];
            begun.step = order(&step);
            begun.after_unknown = true;
            begun.begun_before = Some(bench.engine.now().minus(std::time::Duration::from_secs(before)));
            begun
        };
        let reserve = async |mut begun: Vec<Begun>| {
            let mut changes = Changes::in_realm(bench.engine.realm());
            assert_eq!(lane.reserve(&mut changes, &mut begun).await.unwrap(), None);
            let row = changes.put.first().map(|put| serde_json::from_str::<Spending>(&put.body).unwrap());
            let looks = begun.iter().filter(|begun| begun.resolve_only.is_some()).count() as u64;
            (row.map_or(0, |row| row.spent), looks)
        };
        assert_eq!(reserve(vec![open(0)]).await, (0, 0), "it was paid in this hour");
        assert_eq!(reserve(vec![open(7_200)]).await, (1, 0));
        let many = (0..left + 3).map(|_| open(7_200)).collect();
        assert_eq!(reserve(many).await, (left, 3), "no more than the budget has");
    }

    #[tokio::test]
    async fn spending_expects_the_hours_beside_to_be_as_they_were() {
        let bench = Workbench::new().await;
        let kind = BudgetKind::Disable;
        let buckets = bench.lane().buckets([kind].into_iter()).await.unwrap();
        let hour = hour_of(now());
        let beside = [hour - 1, hour + 1].map(|hour| Spending::row_key(&"directory".into(), kind, hour));
        assert_eq!(buckets.beside, beside.map(|key| Expect::Absent { table: Spending::TABLE, key }));
        assert_eq!((buckets.hour, buckets.present.len()), (hour, 1));
    }
}
