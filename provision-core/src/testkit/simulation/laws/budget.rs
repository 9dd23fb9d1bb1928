//! Law 7: in any 24 hours no more is destroyed than the budget says and people approved.

use std::time::Duration;

use super::super::ledger::{Ask, Entry};
use super::super::network::Site;
use super::super::realm::Realm;
use super::super::verdict::Violation;
use super::super::world::World;
use crate::delta::Change;
use crate::plan::BudgetKind;
use crate::value::Timestamp;

pub(super) fn check(world: &World, realm: &Realm, found: &mut Vec<Violation>) {
    for site in realm.sites.values() {
        let settings = realm.settings.iter().find(|settings| settings.name == site.name);
        let Some(settings) = settings else { continue };
        for kind in BudgetKind::ALL {
            let limit = settings.budgets.of(kind).limit(0);
            let spent = spent(world, site, kind);
            if let Some((from, many)) = most(world, &spent)
                && many > limit
            {
                let (realm, target, kind) = (&realm.id, &site.name, kind.as_str());
                let what = format!(
                    "{realm}/{target}: {many} of kind {kind} in the 24 hours from {from}, the budget is {limit}"
                );
                found.push(Violation { law: 7, what });
            }
        }
    }
}

/// When something of the kind was destroyed, without the approval of a person.
fn spent(world: &World, site: &Site, kind: BudgetKind) -> Vec<Timestamp> {
    let entries = site.ledger.entries();
    let counts = |entry: &&Entry| {
        // What a restored store forgot it cannot count.
        entry.changed
            && is_of(&entry.ask, kind)
            && !world.depot.record.is_approved(entry.plan)
            && !world.is_forgotten(entry.at)
    };
    entries.iter().filter(counts).map(|entry| entry.at).collect()
}

fn is_of(ask: &Ask, kind: BudgetKind) -> bool {
    match (ask, kind) {
        (Ask::Create { .. }, BudgetKind::Create)
        | (Ask::Rename { .. }, BudgetKind::KeyRewrite)
        | (Ask::Delete, BudgetKind::Delete) => true,
        (Ask::Set { enabled }, BudgetKind::Disable) => !*enabled,
        (Ask::Edge { add, .. }, BudgetKind::Revoke) => !*add,
        (Ask::Update { delta }, BudgetKind::AttributeClear) => {
            delta.changes.values().any(|change| *change == Change::Clear)
        }
        _ => false,
    }
}

/// The most that fall into 24 hours, and from when. The clocks of the processes may differ.
fn most(world: &World, at: &[Timestamp]) -> Option<(Timestamp, u64)> {
    let skew = Duration::from_secs(2 * world.profile.skew);
    let window = Duration::from_secs(24 * 3_600).saturating_sub(skew);
    let within = |from: Timestamp| {
        at.iter().filter(|other| **other >= from && **other < from.plus(window)).count() as u64
    };
    at.iter().map(|from| (*from, within(*from))).max_by_key(|(_, many)| *many)
}
