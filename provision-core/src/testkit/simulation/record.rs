//! What was ever committed, also what a restored backup forgot; and what a commit may not do, whoever makes it.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use super::depot::Depot;
use super::executor::ProcessId;
use super::lock;
use super::verdict::Violation;
use crate::audit::AuditEntry;
use crate::execute::{JournalEntry, StepState};
use crate::id::{PlanId, RealmId};
use crate::model::{Identity, Lifecycle, Link, Subject, Work};
use crate::plan::{PlanChunk, PlanHeader, PlanState, Step};
use crate::store::{self, Changes, Record as _, Scan, Select, Store, Stream, Table};
use crate::value::Timestamp;

/// How long a leaver had waited when the claimer looked: workers of one process look one after the other.
const LEAVER_WAITS: Duration = Duration::from_secs(5);

/// What one commit says that the laws look at.
#[derive(Debug, Default)]
pub(super) struct Said {
    chunks: Vec<(RealmId, PlanChunk)>,
    audits: Vec<AuditEntry>,
    approved: Vec<PlanId>,
    intents: Vec<(RealmId, JournalEntry)>,
    work: Vec<(RealmId, String)>,
}

/// How things stood when an intent was written.
#[derive(Clone, Debug)]
pub(super) struct Intent {
    /// The version of the identity.
    pub(super) version: u64,
    /// Where the person stood by the clock of the process.
    pub(super) lifecycle: Option<Lifecycle>,
    /// The link was another than the one planned with.
    pub(super) stale: Option<String>,
}

#[derive(Debug, Default)]
struct Ever {
    intents: BTreeMap<(RealmId, String), Intent>,
    calls: u64,
    chunks: BTreeMap<(RealmId, PlanId, u32), PlanChunk>,
    audits: Vec<AuditEntry>,
    /// Plans over budget that a person approved.
    approved: Vec<PlanId>,
    /// When a process last looked for work of a realm.
    looked: BTreeMap<(ProcessId, RealmId), Timestamp>,
    /// When a work row was written last.
    work: BTreeMap<(RealmId, String), Timestamp>,
    violations: Vec<Violation>,
}

/// The record of a depot.
#[derive(Debug, Default)]
pub(super) struct Record(Mutex<Ever>);

impl Record {
    /// Counts a call.
    pub(super) fn call(&self) {
        lock(&self.0).calls += 1;
    }

    /// Calls so far.
    pub(super) fn calls(&self) -> u64 {
        lock(&self.0).calls
    }

    /// Reads what a commit says.
    pub(super) fn said(&self, changes: &Changes) -> Said {
        let mut said = Said::default();
        let Some(realm) = &changes.realm else { return said };
        for put in &changes.put {
            match put.table {
                Table::PlanChunk => {
                    let chunk = serde_json::from_str::<PlanChunk>(&put.body).ok();
                    said.chunks.extend(chunk.map(|chunk| (realm.clone(), chunk)));
                }
                Table::Journal => {
                    let entry = serde_json::from_str::<JournalEntry>(&put.body).ok();
                    let intent = entry.filter(|entry| entry.state == StepState::Intent);
                    said.intents.extend(intent.map(|entry| (realm.clone(), entry)));
                }
                Table::Plan => {
                    let header = serde_json::from_str::<PlanHeader>(&put.body).ok();
                    let carried =
                        header.filter(|plan| plan.state == PlanState::Applying && plan.hold.is_some());
                    said.approved.extend(carried.map(|plan| plan.id));
                }
                Table::Work => said.work.push((realm.clone(), put.key.clone())),
                _ => {}
            }
        }
        for append in changes.append.iter().filter(|append| append.stream == Stream::Audit) {
            said.audits.extend(serde_json::from_str::<AuditEntry>(&append.body).ok());
        }
        said
    }

    /// It is committed.
    pub(super) fn committed(&self, store: &dyn Store, now: Timestamp, said: Said) {
        let mut ever = lock(&self.0);
        ever.work.extend(said.work.into_iter().map(|row| (row, now)));
        for (realm, entry) in &said.intents {
            let step = ever
                .chunks
                .get(&(realm.clone(), entry.plan, entry.chunk))
                .and_then(|chunk| chunk.steps.iter().find(|step| step.id == entry.step))
                .cloned();
            let Some(step) = step else { continue };
            if let Some(intent) = standing(store, realm, entry, &step) {
                let row = JournalEntry::row_key(entry.plan, &entry.step);
                ever.intents.insert((realm.clone(), row), intent);
            }
        }
        for (realm, chunk) in said.chunks {
            ever.chunks.insert((realm, chunk.plan, chunk.number), chunk);
        }
        ever.audits.extend(said.audits);
        ever.approved.extend(said.approved);
    }

    /// How things stood when the last intent of a step was written, by its row.
    pub(super) fn intent(&self, realm: &RealmId, row: &str) -> Option<Intent> {
        lock(&self.0).intents.get(&(realm.clone(), row.to_owned())).cloned()
    }

    /// Every audit entry.
    pub(super) fn audits(&self) -> Vec<AuditEntry> {
        lock(&self.0).audits.clone()
    }

    /// Whether a person approved this plan's hold.
    pub(super) fn is_approved(&self, plan: PlanId) -> bool {
        lock(&self.0).approved.contains(&plan)
    }

    /// A commit broke a law.
    pub(super) fn broken(&self, found: Vec<Violation>) {
        let mut ever = lock(&self.0);
        let room = 20_usize.saturating_sub(ever.violations.len());
        ever.violations.extend(found.into_iter().take(room));
    }

    /// What was found while it ran.
    pub(super) fn violations(&self) -> Vec<Violation> {
        lock(&self.0).violations.clone()
    }

    /// A process looks for work.
    pub(super) fn looks(&self, by: ProcessId, scan: &Scan, now: Timestamp) {
        if scan.table == Table::Work && matches!(scan.select, Select::AtMost("due", _)) {
            lock(&self.0).looked.insert((by, scan.realm.clone()), now);
        }
    }

    /// Looks at a commit before it is made.
    pub(super) fn before(&self, by: ProcessId, store: &dyn Store, now: Timestamp, changes: &Changes) {
        let Some(realm) = &changes.realm else { return };
        let claims = |put: &&crate::store::Put| put.table == Table::Work;
        let claimed: Vec<Work> = changes
            .put
            .iter()
            .filter(claims)
            .filter_map(|put| serde_json::from_str::<Work>(&put.body).ok())
            .filter(|work| work.lease.as_ref().is_some_and(|lease| lease.owner.starts_with("run/")))
            // Whoever marks an identity that somebody has claimed writes its row with the claim in it.
            .filter(|work| {
                let known = Depot::at_once(store::get::<Work>(store, realm, &work.key())).ok().flatten();
                known.is_none_or(|known| known.value.fence != work.fence)
            })
            .collect();
        if claimed.is_empty() || claimed.iter().any(|work| work.urgent) {
            return;
        }
        let Some(looked) = lock(&self.0).looked.get(&(by, realm.clone())).copied() else { return };
        let select = Select::AtMost("due", Work::due_column(true, now));
        let scan = Scan { realm: realm.clone(), table: Table::Work, select, after: None, limit: 100 };
        let Ok(rows) = Depot::at_once(store.scan(&scan)) else { return };
        for row in rows.rows {
            let Ok(work) = serde_json::from_str::<Work>(&row.body) else { continue };
            let written = lock(&self.0).work.get(&(realm.clone(), work.key())).copied();
            let since = written.map_or(work.claimable_at(), |written| written.max(work.claimable_at()));
            let waits = work.urgent && since.plus(LEAVER_WAITS) <= looked;
            if waits && !claimed.iter().any(|other| other.key() == work.key()) {
                let what = format!(
                    "{realm}: {} was claimed while the leaver {} had waited since {}",
                    claimed.first().map(|work| work.order.as_str()).unwrap_or_default(),
                    work.order,
                    since
                );
                lock(&self.0).violations.push(Violation { law: 9, what });
            }
        }
    }
}

fn standing(store: &dyn Store, realm: &RealmId, entry: &JournalEntry, step: &Step) -> Option<Intent> {
    let row = entry.identity.to_string();
    let identity = Depot::at_once(store::get::<Identity>(store, realm, &row)).ok()??.value;
    let lifecycle = identity.lifecycle(entry.started_at).ok().map(|(lifecycle, _)| lifecycle);
    let row = Link::row_key(&step.target, &step.class, &step.tag, &Subject::Identity(step.identity));
    let link = Depot::at_once(store::get::<Link>(store, realm, &row)).ok()?.map(|link| link.value);
    let ours = link.as_ref().is_some_and(|link| link.last_plan == Some(entry.plan));
    let revision = link.as_ref().map(|link| link.revision);
    let planned = step.precondition.link_revision;
    let stale = (!ours && revision != planned)
        .then(|| format!("it was planned for revision {planned:?} of the link, begun at {revision:?}"));
    Some(Intent { version: identity.version, lifecycle, stale })
}
