//! An ending: what one attempt came to, as changes of its journal entry, its link, its edges and its names.

use super::lane::Lane;
use super::settle::Batch;
use super::wave::{Begun, link_key, makes_link};
use super::{Ended, JournalEntry, StepState};
use crate::connector::ObjectKey;
use crate::error::{Effect, Error, ErrorKind, Result};
use crate::id::{ClassName, LinkId, Tag};
use crate::model::{Dispute, DisputeAbout, Link, LinkState, Membership};
use crate::plan::{Action, Step};
use crate::planted::{self, Defect};
use crate::schema::ObjectClass;
use crate::store::{Record, Table};
use crate::value::{AttrName, Attributes, Slot};

impl Lane<'_> {
    /// Adds one ending to a batch; the entry as it is then.
    pub(super) async fn settle_one(
        &self,
        batch: &mut Batch,
        begun: &Begun,
        ended: &Ended,
    ) -> Result<JournalEntry> {
        let step = &begun.step;
        let mut entry = begun.entry.clone();
        match ended {
            Ended::Done { .. } => {
                entry.state = StepState::Done;
                self.done(batch, begun, &mut entry, ended).await?;
                // Planted: spent is what is done.
                if planted::is(Defect::BudgetCountedAfterWrite) {
                    count(batch, step);
                }
            }
            Ended::Pending(ticket) => {
                let until = batch.now.plus(self.backoff(entry.attempts)?);
                entry.state = StepState::Pending { ticket: ticket.clone(), until };
            }
            Ended::NameTaken(error) => {
                entry.state = StepState::Failed;
                entry.error = Some(error.record());
                self.refund(batch, step);
                self.name_taken(batch, begun).await?;
                batch.dirty.push(step.identity);
            }
            Ended::Disputed(why) => {
                entry.state = StepState::Disputed;
                self.dispute(batch, begun, why)?;
            }
            Ended::Skipped(why) => {
                entry.state = StepState::Skipped { why: why.clone() };
                self.refund(batch, step);
                batch.dirty.push(step.identity);
            }
            Ended::Failed(error) => self.failed(batch, begun, &mut entry, error)?,
        }
        if entry.state.has_ended() {
            batch.ended += 1;
            batch.failed += u64::from(entry.state != StepState::Done);
        }
        self.tell(batch, begun, &entry)?;
        batch.changes.put(&entry)?;
        Ok(entry)
    }

    fn failed(
        &self,
        batch: &mut Batch,
        begun: &Begun,
        entry: &mut JournalEntry,
        error: &Error,
    ) -> Result<()> {
        let record = error.record();
        if record.effect == Effect::None {
            self.refund(batch, &begun.step);
        }
        let unknown = record.effect != Effect::None;
        let throttled = error.kind() == ErrorKind::RateLimited;
        let again = record.retryable || unknown;
        let attempts_max = self.target.settings.retry.attempts_max;
        // What became of a create is found out by a lookup, and that has just failed: once more at least, and for as
        // long as the target cannot be asked (its quarantine bounds that). A person would do no more than look, too.
        let lookup = matches!(begun.step.action, Action::Create { lookup: Some(_), .. });
        let unread = error.kind() == ErrorKind::Unavailable || entry.attempts <= attempts_max;
        let looks = unknown && lookup;
        if again && (throttled || looks && unread || entry.attempts < attempts_max) {
            let asked = record.retry_after_ms.map(std::time::Duration::from_millis);
            let wait = asked.map_or_else(|| self.backoff(entry.attempts), Ok)?;
            // A target that asks for a day would keep a leaver's account waiting that long.
            let longest = u64::from(self.target.settings.retry.longest_seconds.max(1));
            let wait = wait.min(std::time::Duration::from_secs(longest));
            // The next attempt begins with a read, which must show what this one made.
            let wait = if looks { wait.max(self.visible_after(&begun.step)) } else { wait };
            if throttled {
                entry.attempts = entry.attempts.saturating_sub(1);
            }
            entry.state = StepState::Waiting { until: batch.now.plus(wait) };
        } else if unknown && makes_link(&begun.step) {
            entry.state = StepState::Disputed;
            let why = format!(
                "it is not known whether the create made an object, and the attempts are used up ({error}): look \
                 whether it is there, then link it or have it created again"
            );
            self.dispute(batch, begun, &why)?;
        } else {
            entry.state = StepState::Failed;
            // `begun.entry` is the intent: only an unknown effect leaves an uncertain edge.
            if let Some(edge) = self.uncertain_edge(&begun.step, &begun.entry).filter(|_| unknown) {
                batch.changes.put(&edge)?;
            }
            if error.is_not_found() && !makes_link(&begun.step) && is_about_object(&begun.step.action) {
                self.change_link(batch, begun, |link| link.missing = true);
            }
        }
        entry.error = Some(record);
        Ok(())
    }

    /// The edge that an attempt may have written or taken away: kept as one that may be there and is not relied on,
    /// so that the next plan adds or removes it, whichever is wanted then.
    pub(super) fn uncertain_edge(&self, step: &Step, entry: &JournalEntry) -> Option<Membership> {
        let (Action::AddMember { group_class, group, .. } | Action::RemoveMember { group_class, group }) =
            &step.action
        else {
            return None;
        };
        let sent = entry.state == StepState::Intent
            || entry.error.as_ref().is_some_and(|error| error.effect != Effect::None);
        sent.then(|| self.edge(step, entry.link, group_class, group, false)).flatten()
    }

    async fn done(
        &self,
        batch: &mut Batch,
        begun: &Begun,
        entry: &mut JournalEntry,
        ended: &Ended,
    ) -> Result<()> {
        let Ended::Done { key, observed, read_back, found, renewed, .. } = ended else {
            return Ok(());
        };
        entry.key = key.clone();
        entry.read_back = *read_back;
        let step = &begun.step;
        match &step.action {
            Action::AddMember { group_class, group, .. } => {
                if let Some(edge) = self.edge(step, begun.entry.link, group_class, group, true) {
                    batch.changes.put(&edge)?;
                }
                if begun.link.as_ref().is_some_and(|link| link.state != LinkState::Active) {
                    self.change_link(batch, begun, |link| link.state = LinkState::Active);
                }
            }
            Action::RemoveMember { group_class, group } => {
                if let Some(link) = begun.entry.link {
                    batch.changes.delete::<Membership>(Membership::row_key(link, group_class, group));
                }
            }
            Action::Create { .. } if self.is_anothers(batch, begun, key.as_ref()) => {
                entry.state = StepState::Disputed;
                let object = key.as_ref().map_or("", |key| key.id.as_str());
                let why = format!(
                    "the account was linked to another object while `{object}` was created: decide which is it, and \
                     remove the other"
                );
                return self.dispute(batch, begun, &why);
            }
            _ => self.done_to_link(batch, begun, ended),
        }
        if *renewed {
            self.tell_renewed(batch, begun, entry)?;
        }
        if begun.resolve_only.is_some() {
            // It was sent before what it was made from changed.
            batch.dirty.push(step.identity);
        }
        if makes_link(step) && begun.link.as_ref().is_some_and(|link| link.revision > 0) {
            // It had an account before: what was written of that one's edges (a restored store knows them still) is
            // taken away by the next plan.
            batch.dirty.push(step.identity);
        }
        if *found {
            // Adopted: what it holds is not what we wrote. The next plan brings it right.
            batch.dirty.push(step.identity);
        }
        match observed {
            Some(observed) if *found => self.adopt_names(batch, begun, observed).await?,
            _ => self.settle_names(batch, step)?,
        }
        if is_referable(step) {
            for waiting in batch.waiting.get(&step.identity).into_iter().flatten() {
                batch.changes.delete.push((Table::Waiting, waiting.key()));
                batch.dirty.push(waiting.identity);
            }
        }
        Ok(())
    }

    /// What a finished step and the object it showed make of the link.
    fn done_to_link(&self, batch: &mut Batch, begun: &Begun, ended: &Ended) {
        let Ended::Done { key, observed, enabled, found, filled, .. } = ended else { return };
        let (step, now) = (&begun.step, batch.now);
        let none = ObjectClass::default();
        let class = self.discovery().schema.class(&step.class).unwrap_or(&none);
        self.change_link(batch, begun, |link| {
            let wrote = after(link, step, &step.action, class, (*found, filled));
            let whole = matches!(step.action, Action::Create { .. });
            if let Some(key) = key {
                link.key = Some(key.clone());
            }
            if let Some(observed) = observed {
                // What somebody else changed meanwhile is no measure of what we wrote before: a reconcile finds it.
                // Nor is what it shows for the first time, where we wrote something else.
                let measured = |name: &AttrName| whole || wrote.get(name.as_str()).is_some();
                for (name, slot) in observed.iter() {
                    let ours = |written: &Slot| {
                        class
                            .attribute(name.as_str())
                            .is_some_and(|(_, schema)| schema.same_slot(written, slot))
                    };
                    let first = link.observed.get(name.as_str()).is_none()
                        && link.applied.get(name.as_str()).is_none_or(ours);
                    if measured(name) || first {
                        link.observed.insert(name.clone(), slot.clone());
                    }
                }
                link.observed_at = Some(now);
            }
            if enabled.is_some() {
                link.enabled = *enabled;
            }
            if matches!(step.action, Action::Delete) {
                link.key = None;
            }
        });
    }

    /// Whether the link of a create was given to another object, or to another plan, after its intent was written.
    fn is_anothers(&self, batch: &Batch, begun: &Begun, key: Option<&ObjectKey>) -> bool {
        batch.links.get(&link_key(&begun.step)).is_some_and(|(_, link)| {
            let other_object = link.key.as_ref().is_some_and(|has| key.is_none_or(|key| key.id != has.id));
            other_object || link.last_plan.is_some_and(|plan| plan != self.header.id)
        })
    }

    /// Changes the link of a step, as one of this plan's writes.
    fn change_link(&self, batch: &mut Batch, begun: &Begun, change: impl FnOnce(&mut Link)) {
        let key = link_key(&begun.step);
        if let Some((_, link)) = batch.links.get_mut(&key) {
            change(link);
            link.revision += 1;
            link.last_plan = Some(self.header.id);
            link.written_at = Some(batch.now);
            batch.touched.insert(key, ());
        }
    }

    /// An edge that we wrote; `certain`: and that is known to be there.
    fn edge(
        &self,
        step: &Step,
        link: Option<LinkId>,
        class: &ClassName,
        group: &str,
        certain: bool,
    ) -> Option<Membership> {
        Some(Membership {
            realm: self.engine.realm.clone(),
            target: step.target.clone(),
            link: link?,
            group_class: class.clone(),
            group: group.to_owned(),
            desired: certain,
            applied: true,
            generation: 1,
        })
    }

    fn dispute(&self, batch: &mut Batch, begun: &Begun, why: &str) -> Result<()> {
        let step = &begun.step;
        let dispute = Dispute {
            realm: self.engine.realm.clone(),
            about: DisputeAbout::Match {
                target: step.target.clone(),
                class: step.class.clone(),
                object: format!("step/{}", step.id.as_str()),
                candidates: vec![step.identity],
            },
            detail: why.to_owned(),
            open: true,
            at: batch.now,
            decision: None,
        };
        batch.changes.put(&dispute)
    }

    fn refund(&self, batch: &mut Batch, step: &Step) {
        // Planted: nothing was spent yet.
        if !planted::is(Defect::BudgetCountedAfterWrite) {
            count(batch, step);
        }
    }
}

/// Adds what a step spends to what the batch takes back.
fn count(batch: &mut Batch, step: &Step) {
    for kind in &step.budgets {
        *batch.refunds.entry(*kind).or_default() += 1;
    }
}

/// A step after which references can point at the account: its create, or the enable of a return.
pub(super) fn is_referable(step: &Step) -> bool {
    (makes_link(step) || step.action == Action::Enable) && step.tag == Tag::main()
}

/// Whether "not found" would mean that the object is gone.
fn is_about_object(action: &Action) -> bool {
    matches!(action, Action::Update { .. } | Action::Rename { .. } | Action::Enable | Action::Disable)
}

/// What a finished step makes of the link; gives what the step wrote.
fn after(
    link: &mut Link,
    step: &Step,
    action: &Action,
    class: &ObjectClass,
    (found, filled): (bool, &Attributes),
) -> Attributes {
    let mut wrote = filled.clone();
    match action {
        Action::Create { attributes, enabled, .. } => {
            link.state = LinkState::Active;
            link.missing = false;
            link.applied = Attributes::new();
            link.inputs.clear();
            link.drift = Attributes::new();
            if !found {
                wrote = attributes.clone();
                link.enabled = *enabled;
            }
        }
        Action::Update { delta, .. } => {
            for (name, slot) in delta.apply(class, &link.applied).iter() {
                if delta.changes.contains_key(name) {
                    wrote.insert(name.clone(), slot.clone());
                }
            }
        }
        Action::Rename { naming } => wrote = naming.clone(),
        Action::Enable => link.enabled = Some(true),
        Action::Disable => link.enabled = Some(false),
        Action::Release => link.state = LinkState::Inactive,
        Action::Delete | Action::AddMember { .. } | Action::RemoveMember { .. } => {}
    }
    for (name, slot) in wrote.iter() {
        // What the target showed of another value is no measure of this one.
        if link.applied.get(name.as_str()) != Some(slot) {
            link.observed.remove(name.as_str());
        }
        link.applied.insert(name.clone(), slot.clone());
        link.drift.remove(name.as_str());
    }
    if !found {
        link.inputs.extend(step.inputs.clone());
    }
    if step.offboarding && !matches!(action, Action::Release) {
        link.state = LinkState::Leaving;
    } else if !step.offboarding && link.state != LinkState::Active {
        // Planned steps on a link that had ended are a return.
        link.state = LinkState::Active;
    }
    wrote
}
