//! What no commit may do, whoever makes it.

use std::time::Duration;

use super::depot::Depot;
use super::verdict::Violation;
use crate::audit::AuditEntry;
use crate::execute::{JournalEntry, StepState};
use crate::id::RealmId;
use crate::model::{Name, NameState};
use crate::store::{self, Changes, Record as _, Store, Stream, Table};
use crate::value::Timestamp;

/// How long after its end a reservation may still be taken for one, by a planner that was slow.
const RESERVED: Duration = Duration::from_secs(3_600);

/// Looks at a commit before it is made.
pub(super) fn look(store: &dyn Store, now: Timestamp, changes: &Changes) -> Vec<Violation> {
    let Some(realm) = &changes.realm else { return Vec::new() };
    let mut found = Vec::new();
    let puts = |table| changes.put.iter().filter(move |put| put.table == table);
    if puts(Table::Journal).next().is_some() {
        let audits: Vec<AuditEntry> = changes
            .append
            .iter()
            .filter(|append| append.stream == Stream::Audit)
            .filter_map(|append| serde_json::from_str(&append.body).ok())
            .collect();
        for put in puts(Table::Journal) {
            let Ok(entry) = serde_json::from_str::<JournalEntry>(&put.body) else { continue };
            found.extend(outcome(store, realm, &entry, &audits));
        }
    }
    for put in puts(Table::Name) {
        let Ok(name) = serde_json::from_str::<Name>(&put.body) else { continue };
        found.extend(given_away(store, realm, &name));
        found.extend(withheld(store, realm, changes, &name, now));
    }
    found
}

fn known<R: store::Record>(store: &dyn Store, realm: &RealmId, key: &str) -> Option<R> {
    Depot::at_once(store::get::<R>(store, realm, key)).ok().flatten().map(|stored| stored.value)
}

/// An outcome has its entry in the history, and a step has one end.
fn outcome(
    store: &dyn Store,
    realm: &RealmId,
    entry: &JournalEntry,
    audits: &[AuditEntry],
) -> Option<Violation> {
    if entry.state == StepState::Intent {
        return None;
    }
    let of = |audit: &&AuditEntry| audit.plan == Some(entry.plan) && audit.step.as_ref() == Some(&entry.step);
    let told = audits.iter().find(of);
    let before = known::<JournalEntry>(store, realm, &entry.key()).map(|entry| entry.state);
    let ended = before.as_ref().is_some_and(StepState::has_ended);
    let (step, state) = (entry.step.as_str(), &entry.state);
    match told {
        None if !ended => {
            let what = format!("{realm}: {step} came to {state:?} and the history does not say so");
            Some(Violation { law: 12, what })
        }
        Some(told) if ended && told.event.starts_with("step.") && told.event != "step.retried" => {
            let what = format!("{realm}: {step} had ended, {before:?}, and ends again: {state:?}");
            Some(Violation { law: 4, what })
        }
        _ => None,
    }
}

/// A name that somebody has or had is not given to another.
fn given_away(store: &dyn Store, realm: &RealmId, name: &Name) -> Option<Violation> {
    let before = known::<Name>(store, realm, &name.key())?;
    let kept = matches!(before.state, NameState::Held | NameState::Tombstone { .. });
    let another = name.owner.is_some() && before.owner.is_some() && name.owner != before.owner;
    (kept && another).then(|| {
        let (name, state) = (&name.name, &before.state);
        Violation {
            law: 4,
            what: format!("{realm}: the name {name} was another's, {state:?}, and is given out"),
        }
    })
}

/// Nobody gets a later name because of a reservation that is over.
fn withheld(
    store: &dyn Store,
    realm: &RealmId,
    changes: &Changes,
    name: &Name,
    now: Timestamp,
) -> Option<Violation> {
    let reserved = matches!(name.state, NameState::Reserved { .. });
    if !reserved || known::<Name>(store, realm, &name.key()).is_some() {
        return None;
    }
    let stem = name.folded.trim_end_matches(|c: char| c.is_ascii_digit());
    let number: u32 = name.folded.get(stem.len()..).and_then(|digits| digits.parse().ok())?;
    let earlier = (1..number).map(|n| if n == 1 { stem.to_owned() } else { format!("{stem}{n}") });
    for earlier in earlier {
        let row = Name::row_key(&name.namespace, &name.scope, &earlier);
        // The same commit gives the earlier one to somebody.
        if changes.put.iter().any(|put| put.table == Table::Name && put.key == row) {
            continue;
        }
        let Some(before) = known::<Name>(store, realm, &row) else { continue };
        if let NameState::Reserved { until, .. } = before.state
            && until.plus(RESERVED) <= now
            && before.owner != name.owner
        {
            let what = format!("{realm}: {} is given out, {earlier} was reserved until {until}", name.name);
            return Some(Violation { law: 5, what });
        }
    }
    None
}
