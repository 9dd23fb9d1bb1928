//! Law 7: a hold is decided once.

use std::collections::BTreeMap;

use super::super::realm::Realm;
use super::super::verdict::Violation;
use crate::audit::AuditEntry;
use crate::engine::Engine;
use crate::error::Result;
use crate::store::Stream;

pub(super) async fn check(realm: &Realm, engine: &Engine, found: &mut Vec<Violation>) -> Result<()> {
    let store = engine.inner.store.as_ref();
    let rows = store.read_stream(engine.realm(), Stream::Audit, 0, 1_000_000).await?;
    let mut approved: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for entry in rows.iter().filter_map(|(_, row)| serde_json::from_str::<AuditEntry>(&row.body).ok()) {
        if entry.event == "hold.approved"
            && let Some(hold) = entry.object
        {
            approved.entry(hold).or_default().push(entry.actor.name);
        }
    }
    for (hold, by) in approved.into_iter().filter(|(_, by)| by.len() > 1) {
        let what = format!("{}: the hold {hold} was approved by {}", realm.id, by.join(", then by "));
        found.push(Violation { law: 7, what });
    }
    Ok(())
}
