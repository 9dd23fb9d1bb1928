//! Laws 11 and 12: the history is whole, and no password is in it or anywhere else.

use std::collections::BTreeMap;

use super::super::executor::ProcessId;
use super::super::ledger::Entry;
use super::super::lock;
use super::super::realm::Realm;
use super::super::verdict::Violation;
use super::super::world::World;
use crate::engine::Engine;
use crate::error::Result;
use crate::execute::JournalEntry;
use crate::id::{PlanId, StepId};
use crate::store::{self, Scan, Select, Stream, Table};
use crate::value::Timestamp;

pub(super) async fn check(
    world: &World,
    realm: &Realm,
    engine: &Engine,
    found: &mut Vec<Violation>,
) -> Result<()> {
    let mut broken = |law: u32, what: String| {
        found.push(Violation { law, what: format!("{}: {what}", realm.id) });
    };
    let verdict = engine.verify().await?;
    if !verdict.is_whole() {
        broken(12, format!("the history does not verify: {verdict:?}"));
    }
    // Every write has its entry, with who, why and under which policy; also those that a restored backup forgot.
    let mut entries: BTreeMap<(PlanId, StepId), (u64, u64)> = BTreeMap::new();
    for entry in world.depot.record.audits().into_iter().filter(|entry| entry.realm == realm.id) {
        if let (Some(plan), Some(step)) = (entry.plan, entry.step.clone()) {
            let known = entries.entry((plan, step)).or_default();
            known.0 += 1;
            known.1 += u64::from(entry.error.is_some());
            let unsaid = entry.policy.is_none() || entry.actor.name.is_empty();
            let wrote = entry.event.starts_with("step.")
                && !entry.event.ends_with(".skipped")
                && entry.event != "step.retried";
            if unsaid && wrote {
                broken(12, format!("an entry without policy or actor: {entry:?}"));
            }
        }
    }
    let dead = lock(&world.dead).clone();
    for site in realm.sites.values() {
        let mut failed: BTreeMap<(PlanId, StepId), u64> = BTreeMap::new();
        for write in site.ledger.entries() {
            let at = (write.plan, write.step.clone());
            if write.done && !entries.contains_key(&at) && !is_forgotten(world, engine, &dead, &write).await?
            {
                broken(12, format!("{} wrote {} and no entry says so", write.plan, write.step.as_str()));
            }
            // Who died before it could say so is not asked.
            if write.told_failed && write.known && !dead.contains(&write.process) {
                *failed.entry(at).or_default() += 1;
            }
        }
        for (at, many) in failed {
            let told = entries.get(&at).map_or(0, |(all, _)| *all);
            if told < many {
                broken(12, format!("{} failed {many} times, {told} entries say so", at.1.as_str()));
            }
        }
    }
    passwords(realm, engine, found).await
}

/// Whether a restored store has lost the intent of a write whose process died before it could say anything.
async fn is_forgotten(world: &World, engine: &Engine, dead: &[ProcessId], write: &Entry) -> Result<bool> {
    if !dead.contains(&write.process) || !world.depot.is_restored_since(Timestamp::EPOCH) {
        return Ok(false);
    }
    let row = JournalEntry::row_key(write.plan, &write.step);
    let intent = store::get::<JournalEntry>(engine.inner.store.as_ref(), engine.realm(), &row).await?;
    Ok(intent.is_none())
}

async fn passwords(realm: &Realm, engine: &Engine, found: &mut Vec<Violation>) -> Result<()> {
    let passwords: Vec<String> = realm.sites.values().flat_map(|site| site.ledger.passwords()).collect();
    if passwords.is_empty() {
        return Ok(());
    }
    let store = engine.inner.store.as_ref();
    let mut bodies: Vec<(String, String)> = Vec::new();
    for table in Table::ALL {
        let (realm, select) = (engine.realm().clone(), Select::KeyPrefix(String::new()));
        let scan = Scan { realm, table: *table, select, after: None, limit: 100_000 };
        let rows = store.scan(&scan).await?.rows;
        bodies.extend(rows.into_iter().map(|row| (table.name().to_owned(), row.body)));
    }
    for stream in Stream::ALL {
        let rows = store.read_stream(engine.realm(), *stream, 0, 100_000).await?;
        bodies.extend(rows.into_iter().map(|(_, row)| (stream.name().to_owned(), row.body)));
    }
    for (table, body) in &bodies {
        if passwords.iter().any(|password| body.contains(password.as_str())) {
            let what = format!("{}: a password is in `{table}`", realm.id);
            found.push(Violation { law: 11, what });
        }
    }
    Ok(())
}
