//! What the planner must know of the targets, and what may still be spent on them.

use std::collections::BTreeMap;

use super::Engine;
use crate::error::Result;
use crate::id::TargetName;
use crate::model::ConfiguredTarget;
use crate::plan::{Allowance, BudgetKind, Drive, Spending, TargetFacts};
use crate::store::{self, Select};
use crate::value::Timestamp;

/// Hours a budget looks back, beside the present one: its first minutes belong to the hour 24 before.
pub(crate) const HOURS: i64 = 24;

impl Engine {
    /// The targets as the planner sees them.
    pub(crate) async fn facts(&self) -> Result<BTreeMap<TargetName, TargetFacts>> {
        Ok(self.facts_and_stops().await?.0)
    }

    /// The targets as the planner sees them; and for those that are stopped, when to look again: at the end of a
    /// quarantine, and at once where a person ends the stop.
    pub(super) async fn facts_and_stops(
        &self,
    ) -> Result<(BTreeMap<TargetName, TargetFacts>, BTreeMap<TargetName, Timestamp>)> {
        let (epoch, now) = (self.store().epoch().await?, self.now());
        let (mut facts, mut stops) = (BTreeMap::new(), BTreeMap::new());
        for target in self.targets().await? {
            let name = target.settings.name.clone();
            let ends = target.quarantine.as_ref().filter(|_| !target.paused).map(|stop| stop.until);
            let of = facts_of(target, &epoch, now);
            if of.stopped.is_some() && of.settings.drive != Drive::Observe {
                stops.insert(name.clone(), ends.map_or(now, |ends| ends.max(now)));
            }
            facts.insert(name, of);
        }
        Ok((facts, stops))
    }

    /// What may still be spent on each target.
    pub(crate) async fn allowances(&self, now: Timestamp) -> Result<BTreeMap<TargetName, Allowance>> {
        let mut allowances = BTreeMap::new();
        for target in self.targets().await? {
            let allowance = self.allowance(&target, now).await?;
            allowances.insert(target.settings.name, allowance);
        }
        Ok(allowances)
    }

    pub(crate) async fn allowance(&self, target: &ConfiguredTarget, now: Timestamp) -> Result<Allowance> {
        let mut spent: BTreeMap<BudgetKind, u64> = BTreeMap::new();
        let since = hour_of(now) - HOURS;
        let select = Select::Equal("target", target.settings.name.as_str().to_owned());
        let mut cursor = None;
        loop {
            let (page, next) =
                store::list_by::<Spending>(self.store(), &self.realm, select.clone(), cursor, 1_000).await?;
            for spending in
                page.into_iter().map(|stored| stored.value).filter(|spending| spending.hour >= since)
            {
                *spent.entry(spending.kind).or_default() += spending.spent.saturating_sub(spending.approved);
            }
            cursor = next;
            if cursor.is_none() {
                break;
            }
        }
        Ok(Allowance { budgets: target.settings.budgets.clone(), managed: target.managed, spent })
    }
}

/// Hours since the Unix epoch.
pub(crate) fn hour_of(now: Timestamp) -> i64 {
    now.as_micros().div_euclid(3_600_000_000)
}

fn facts_of(target: ConfiguredTarget, epoch: &str, now: Timestamp) -> TargetFacts {
    let stopped = if target.paused {
        Some("the target is paused".to_owned())
    } else if let Some(quarantine) = target.quarantine.as_ref().filter(|quarantine| quarantine.until > now) {
        Some(format!("the target is in quarantine since {}: {}", quarantine.since, quarantine.reason))
    } else if target.is_restored(epoch) {
        Some(
            "the store was restored from a backup and does not know the accounts created since: onboard the target \
             again"
                .to_owned(),
        )
    } else {
        None
    };
    TargetFacts {
        onboarded: target.onboarded,
        discovery: target.discovery.unwrap_or_default(),
        settings: target.settings,
        stopped,
    }
}
