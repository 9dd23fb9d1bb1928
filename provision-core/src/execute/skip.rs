//! Skips: steps that are not tried.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::lane::{Entries, Lane};
use super::order::Order;
use super::settle::Batch;
use super::wave::{expect_entry, link_key};
use super::{JournalEntry, StepState};
use crate::audit::AuditEntry;
use crate::error::Result;
use crate::plan::{Action, Step};
use crate::store::{Changes, Commit};

/// Skips journalled in one commit.
const SKIPS: usize = 256;

impl Lane<'_> {
    /// Journals steps that are not tried. Stale ones make their identity dirty: the next plan looks again.
    pub(super) async fn skip(
        &self,
        steps: &[(Arc<Order>, String)],
        entries: &Entries,
        stale: bool,
    ) -> Result<()> {
        for steps in steps.chunks(SKIPS) {
            let now = self.engine.now();
            let mut batch = Batch {
                now,
                links: BTreeMap::new(),
                names: BTreeMap::new(),
                waiting: BTreeMap::new(),
                touched: BTreeMap::new(),
                refunds: BTreeMap::new(),
                dirty: Vec::new(),
                changes: Changes::in_realm(&self.engine.realm),
                ended: steps.len() as u64,
                failed: steps.len() as u64,
            };
            let mut doubted = BTreeMap::new();
            for (step, why) in steps {
                let known = entries.get(&step.id);
                let entry = self.skipped(step, why, known.map(|known| &known.value));
                if let Some(edge) = known.and_then(|known| self.uncertain_edge(step, &known.value)) {
                    batch.changes.put(&edge)?;
                    doubted.insert(link_key(step), step.clone());
                }
                match known {
                    Some(known) => expect_entry(&mut batch.changes, &entry, known.version)?,
                    None => batch.changes.insert(&entry)?,
                }
                // Another's account, which a later plan makes: nobody else would tell that it is there.
                if stale || refers_to_others(step) {
                    batch.dirty.push(step.identity);
                }
                let mut audit = AuditEntry::new(
                    &self.engine.realm,
                    now,
                    self.actor,
                    format!("step.{}.skipped", step.action.word()),
                );
                audit.identity = Some(step.identity);
                audit.target = Some(step.target.clone());
                audit.plan = Some(self.header.id);
                audit.step = Some(step.id.clone());
                audit.note = why.clone();
                batch.changes.append.push(audit.append()?);
            }
            self.doubt_links(&mut batch.changes, &doubted).await?;
            self.mark(&mut batch).await?;
            if self.engine.store().commit(batch.changes).await? == Commit::Committed {
                self.progress.ended(batch.ended, batch.failed);
            }
        }
        Ok(())
    }

    /// The entry of a step that is not tried.
    fn skipped(&self, step: &Order, why: &str, known: Option<&JournalEntry>) -> JournalEntry {
        let now = self.engine.now();
        JournalEntry {
            realm: self.engine.realm.clone(),
            plan: self.header.id,
            step: step.id.clone(),
            chunk: 0,
            target: step.target.clone(),
            identity: step.identity,
            link: None,
            state: StepState::Skipped { why: why.to_owned() },
            attempts: known.map_or(0, |known| known.attempts),
            started_at: now,
            deadline: now,
            key: None,
            error: None,
            read_back: false,
            paid_hour: known.and_then(|known| known.paid_hour),
        }
    }
}

/// Whether a step writes a reference to somebody else's account.
fn refers_to_others(step: &Step) -> bool {
    match &step.action {
        Action::Update { outputs, .. } => {
            outputs.values().any(|output| output.subject.identity() != Some(step.identity))
        }
        Action::AddMember { of, .. } => of.is_some(),
        _ => false,
    }
}
