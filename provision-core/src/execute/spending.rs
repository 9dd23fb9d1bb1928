//! Spending: what steps take from the budgets of their target, in the commit that journals their intents.

use std::collections::{BTreeMap, BTreeSet};

use super::lane::Lane;
use super::wave::Begun;
use crate::engine::{HOURS, hour_of};
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
    /// except for plans that a person approved whole. What an attempt before paid in another hour moves to this one:
    /// that is where its effect may be. When that hour is no longer in the budget's day, it is paid anew; where nothing
    /// is left for that, the step may not be sent any more.
    pub(super) async fn reserve(&self, changes: &mut Changes, begun: &mut [Begun]) -> Result<Option<String>> {
        let mut spends: BTreeMap<BudgetKind, u64> = BTreeMap::new();
        // An attempt before that may have had an effect is paid for.
        for kind in begun.iter().filter(|begun| !begun.is_open()).flat_map(|begun| &begun.step.budgets) {
            *spends.entry(*kind).or_default() += 1;
        }
        let hour = hour_of(self.engine.now());
        if spends.is_empty() && !begun.iter().any(|begun| is_paid_elsewhere(begun, hour)) {
            return Ok(None);
        }
        // Read before what is left of the budget: whoever spends in between makes this commit fail.
        let kinds: BTreeSet<BudgetKind> = begun.iter().flat_map(|begun| begun.step.budgets.clone()).collect();
        let mut buckets = self.buckets(kinds.into_iter()).await?;
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
        let mut moved: BTreeMap<(i64, BudgetKind), u64> = BTreeMap::new();
        for begun in begun.iter_mut().filter(|begun| !begun.step.budgets.is_empty()) {
            let late = is_paid_elsewhere(begun, hour);
            if begun.is_open() && !late {
                continue;
            }
            let budgets = &begun.step.budgets;
            match begun.entry.paid_hour.filter(|_| late) {
                // Counted above.
                None => {}
                Some(paid) if paid >= hour - HOURS => {
                    for kind in budgets {
                        *moved.entry((paid, *kind)).or_default() += 1;
                    }
                }
                Some(_) if budgets.iter().all(|kind| is_left(&spends, *kind, 1)) => {
                    for kind in budgets {
                        *spends.entry(*kind).or_default() += 1;
                    }
                }
                Some(_) => {
                    begun.resolve_only = Some("its budget is spent since its first attempt".to_owned());
                    continue;
                }
            }
            begun.entry.paid_hour = Some(hour);
        }
        // Planted: counted when it is done.
        if planted::is(Defect::BudgetCountedAfterWrite) {
            return Ok(None);
        }
        for ((_, kind), amount) in &moved {
            *spends.entry(*kind).or_default() += amount;
        }
        self.take_back(changes, &mut buckets, &moved).await?;
        if !spends.is_empty() {
            changes.expect.extend(buckets.beside.iter().cloned());
            self.spend(changes, buckets, &spends, true)?;
        }
        Ok(None)
    }

    /// Takes what moves to the present hour out of the hours in which it was paid.
    async fn take_back(
        &self,
        changes: &mut Changes,
        buckets: &mut Buckets,
        moved: &BTreeMap<(i64, BudgetKind), u64>,
    ) -> Result<()> {
        let target = &self.target.settings.name;
        let keys: Vec<String> =
            moved.keys().map(|(hour, kind)| Spending::row_key(target, *kind, *hour)).collect();
        let rows = store::get_many::<Spending>(self.engine.store(), &self.engine.realm, &keys).await?;
        for (row, amount) in rows.into_iter().zip(moved.values()) {
            let Some(Stored { version, value: mut spending }) = row else { continue };
            spending.spent = spending.spent.saturating_sub(*amount);
            if self.approved {
                spending.approved = spending.approved.saturating_sub(*amount);
            }
            changes.replace(version, &spending)?;
        }
        // Written over by its version, which is the same expectation.
        buckets.beside.retain(|expect| match expect {
            Expect::Version { key, .. } | Expect::Absent { key, .. } => !keys.contains(key),
            Expect::Column { .. } => true,
        });
        Ok(())
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

/// Whether an attempt before, which may or may not have had an effect, was paid for in another hour. To ask a target
/// that is still working how far it is costs nothing.
fn is_paid_elsewhere(begun: &Begun, hour: i64) -> bool {
    begun.after_unknown
        && begun.ticket.is_none()
        && begun.resolve_only.is_none()
        && !begun.step.budgets.is_empty()
        && begun.entry.paid_hour.is_some_and(|paid| paid != hour)
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
        let hour = hour_of(now());
        let open = |paid: i64| {
            let mut begun = bench.begun(Action::Disable);
            let mut step = crate::plan::Step::clone(&step(Action::Disable));
            step.budgets = vec![BudgetKind::Disable];
            begun.step = order(&step);
            begun.after_unknown = true;
            begun.entry.paid_hour = Some(paid);
            begun
        };
        let reserve = async |mut begun: Vec<Begun>| {
            let mut changes = Changes::in_realm(bench.engine.realm());
            assert_eq!(lane.reserve(&mut changes, &mut begun).await.unwrap(), None);
            let rows = changes.put.iter().map(|put| serde_json::from_str::<Spending>(&put.body).unwrap());
            let looks = begun.iter().filter(|begun| begun.resolve_only.is_some()).count() as u64;
            let paid = begun.iter().filter(|begun| begun.entry.paid_hour == Some(hour)).count() as u64;
            (rows.map(|row| (row.hour, row.spent)).collect::<Vec<_>>(), paid, looks)
        };
        assert_eq!(reserve(vec![open(hour)]).await, (vec![], 1, 0), "it was paid in this hour");
        let too_old = hour - HOURS - 1;
        assert_eq!(reserve(vec![open(too_old)]).await, (vec![(hour, 1)], 1, 0));
        let many = (0..left + 3).map(|_| open(too_old)).collect();
        let paid = (vec![(hour, left)], left, 3);
        assert_eq!(reserve(many).await, paid, "no more than the budget has; what only looks has not paid");
        let mut asks = open(too_old);
        asks.ticket = Some("t".to_owned());
        assert_eq!(reserve(vec![asks]).await, (vec![], 0, 0), "to ask how far it is costs nothing");
        // Within the budget's day it moves, and takes nothing from anybody.
        let mut changes = Changes::in_realm(bench.engine.realm());
        let (realm, target) = (bench.engine.realm().clone(), "directory".into());
        let (kind, spent) = (BudgetKind::Disable, left + 5);
        changes.insert(&Spending { realm, target, kind, hour: hour - 1, spent, approved: 0 }).unwrap();
        assert_eq!(bench.engine.store().commit(changes).await.unwrap(), Commit::Committed);
        let moves = (vec![(hour - 1, spent - 2), (hour, 2)], 2, 0);
        assert_eq!(reserve(vec![open(hour - 1), open(hour - 1)]).await, moves);
        assert_eq!(reserve(vec![open(too_old)]).await, (vec![], 0, 1), "nothing is left to pay anew");
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
