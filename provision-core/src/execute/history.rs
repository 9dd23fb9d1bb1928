//! The history of steps: an audit entry for each write, and the event that a host may wait for.

use super::lane::Lane;
use super::settle::Batch;
use super::wave::Begun;
use super::{JournalEntry, StepState};
use crate::audit::AuditEntry;
use crate::connector::ObjectKey;
use crate::error::{Error, Result};
use crate::event::Event;
use crate::plan::Action;
use crate::planted::{self, Defect};
use crate::store::Changes;
use crate::value::Timestamp;

impl Lane<'_> {
    /// Every write on a target has its entry, failed ones too.
    pub(super) fn tell(&self, batch: &mut Batch, begun: &Begun, entry: &JournalEntry) -> Result<()> {
        // Planted: only what was done is told.
        let done = matches!(entry.state, StepState::Done | StepState::Pending { .. });
        if !done && planted::is(Defect::AuditRowMissing) {
            return Ok(());
        }
        let step = &begun.step;
        let how = match &entry.state {
            StepState::Done => "done",
            StepState::Waiting { .. } => "waiting",
            StepState::Pending { .. } => "pending",
            StepState::Failed => "failed",
            StepState::Disputed => "disputed",
            StepState::Skipped { .. } => "skipped",
            StepState::Intent => "intent",
        };
        let mut audit = AuditEntry::new(
            &self.engine.realm,
            batch.now,
            self.actor,
            format!("step.{}.{how}", step.action.word()),
        );
        audit.identity = Some(step.identity);
        audit.target = Some(step.target.clone());
        audit.class = Some(step.class.clone());
        audit.plan = Some(self.header.id);
        audit.step = Some(step.id.clone());
        audit.policy = Some(self.header.policy.clone());
        audit.object = entry.key.as_ref().or(step.key.as_ref()).map(|key| key.id.clone());
        audit.error = entry.error.clone();
        if entry.read_back {
            audit.note = "known by reading back".to_owned();
        }
        batch.changes.append.push(audit.append_change(&step.action, begun.step.reasons())?);
        if entry.state == StepState::Done && step.action != Action::Release {
            let event = Event {
                realm: self.engine.realm.clone(),
                at: batch.now,
                event: format!("account.{}", step.action.word()),
                identity: Some(step.identity),
                target: Some(step.target.clone()),
                plan: Some(self.header.id),
            };
            batch.changes.append.push(event.append()?);
        }
        Ok(())
    }

    /// The second password of an account is a write of its own.
    pub(super) fn tell_renewed(&self, batch: &mut Batch, begun: &Begun, entry: &JournalEntry) -> Result<()> {
        let mut audit = self.about_password(begun, "account.password_renewed", batch.now);
        audit.object = entry.key.as_ref().map(|key| key.id.clone());
        audit.note = "the answer to the create was lost, and its password with it".to_owned();
        batch.changes.append.push(audit.append()?);
        Ok(())
    }

    /// A password that nobody has but the target. Told at once: the step itself is done.
    pub(super) async fn tell_undelivered(&self, begun: &Begun, key: &ObjectKey, error: &Error) -> Result<()> {
        let mut audit = self.about_password(begun, "account.password_undelivered", self.engine.now());
        audit.object = Some(key.id.clone());
        audit.error = Some(error.record());
        let mut changes = Changes::in_realm(&self.engine.realm);
        changes.append.push(audit.append()?);
        self.engine.store().commit(changes).await?;
        Ok(())
    }

    fn about_password(&self, begun: &Begun, event: &str, at: Timestamp) -> AuditEntry {
        let step = &begun.step;
        let mut audit = AuditEntry::new(&self.engine.realm, at, self.actor, event);
        audit.identity = Some(step.identity);
        audit.target = Some(step.target.clone());
        audit.class = Some(step.class.clone());
        audit.plan = Some(self.header.id);
        audit.step = Some(step.id.clone());
        audit
    }
}
