//! Settling: what an attempt came to becomes rows, in one commit with its audit entry and its event.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::lane::{Entries, Lane};
use super::names::settles_names;
use super::wave::{Begun, expect_entry, link_key, makes_link, new_link};
use super::{Ended, JournalEntry, StepState};
use crate::audit::AuditEntry;
use crate::connector::ObjectKey;
use crate::engine::Waiting;
use crate::error::{Effect, Error, ErrorKind, Result};
use crate::event::Event;
use crate::id::{ClassName, IdentityId, LinkId, Tag};
use crate::model::{Dispute, DisputeAbout, Identity, Link, LinkState, Membership, Name, Work};
use crate::plan::{Action, BudgetKind, Step};
use crate::schema::ObjectClass;
use crate::store::{self, Changes, Commit, Conflict, Expect, Record, Stored, Table};
use crate::value::{AttrName, Attributes, Timestamp};

/// Tries against others who write the same rows.
const TRIES_MAX: u32 = 20;

/// Rows read for a batch of endings, and changed by them one after the other.
pub(super) struct Batch {
    pub(super) now: Timestamp,
    links: BTreeMap<String, (Option<u64>, Link)>,
    /// Names of those whose steps may settle them.
    pub(super) names: BTreeMap<IdentityId, Vec<Stored<Name>>>,
    /// Who waits for the accounts that are there now.
    waiting: BTreeMap<IdentityId, Vec<Waiting>>,
    touched: BTreeMap<String, ()>,
    refunds: BTreeMap<BudgetKind, u64>,
    dirty: Vec<IdentityId>,
    pub(super) changes: Changes,
    ended: u64,
    failed: u64,
}

impl Lane<'_> {
    /// Journals how attempts ended. Succeeds or leaves the intents open, to be read back later.
    pub(super) async fn settle(&self, mut ended: Vec<(Begun, Ended)>) -> Result<()> {
        for _ in 0..TRIES_MAX {
            let mut batch = self.batch(&ended).await?;
            for (begun, ended) in &ended {
                self.settle_one(&mut batch, begun, ended).await?;
            }
            for (key, ()) in std::mem::take(&mut batch.touched) {
                let Some((version, link)) = batch.links.get(&key) else { continue };
                match version {
                    Some(version) => batch.changes.replace(*version, link)?,
                    None => batch.changes.insert(link)?,
                }
            }
            if !batch.refunds.is_empty() {
                let refunds = std::mem::take(&mut batch.refunds);
                self.spend(&mut batch.changes, &refunds, false).await?;
            }
            self.mark(&mut batch).await?;
            match self.engine.store().commit(batch.changes).await? {
                Commit::Committed => {
                    self.progress.ended(batch.ended, batch.failed);
                    return self.wake_late(&ended).await;
                }
                // An object that is linked to somebody else already: settle one by one, so that only this one is held.
                Commit::Conflict(Conflict::Unique { table: Table::Link, .. }) => {
                    return self.settle_apart(ended).await;
                }
                Commit::Conflict(Conflict::Expectation { table: Table::Journal, .. }) => {
                    ended = self.not_taken_over(ended).await?;
                    if ended.is_empty() {
                        return Ok(());
                    }
                }
                Commit::Conflict(_) => {}
            }
        }
        Err(Error::new(
            ErrorKind::Conflict,
            "others keep writing the same rows; the intents stay open and are read back",
        ))
    }

    /// Those who began to wait for an account after the waiting rows were read, and before it was there.
    async fn wake_late(&self, ended: &[(Begun, Ended)]) -> Result<()> {
        let there = ended
            .iter()
            .filter(|(begun, ended)| matches!(ended, Ended::Done { .. }) && is_referable(&begun.step))
            .map(|(begun, _)| begun.step.identity)
            .collect();
        let late = self.engine.waiting_for(&there).await?;
        let late: Vec<IdentityId> = late.into_values().flatten().map(|waiting| waiting.identity).collect();
        self.engine.mark_dirty(&late).await
    }

    async fn settle_apart(&self, ended: Vec<(Begun, Ended)>) -> Result<()> {
        let alone = ended.len() == 1;
        for (begun, ended) in ended {
            let ended = match ended {
                Ended::Done { .. } if alone => {
                    Ended::Disputed("the object is linked to somebody else".to_owned())
                }
                ended => ended,
            };
            Box::pin(self.settle(vec![(begun, ended)])).await?;
        }
        Ok(())
    }

    /// Those whose intents are still as we wrote them: the others were taken over meanwhile (we were paused beyond
    /// the deadline), and whoever has them says how they ended.
    async fn not_taken_over(&self, ended: Vec<(Begun, Ended)>) -> Result<Vec<(Begun, Ended)>> {
        let keys: Vec<String> = ended.iter().map(|(begun, _)| begun.entry.key()).collect();
        let known = store::get_many::<JournalEntry>(self.engine.store(), &self.engine.realm, &keys).await?;
        let kept = known
            .into_iter()
            .zip(ended)
            .filter(|(known, (begun, _))| known.as_ref().is_some_and(|known| known.version == begun.version));
        Ok(kept.map(|(_, ended)| ended).collect())
    }

    async fn batch(&self, ended: &[(Begun, Ended)]) -> Result<Batch> {
        let (store, realm) = (self.engine.store(), &self.engine.realm);
        let keys: Vec<String> = ended.iter().map(|(begun, _)| link_key(&begun.step)).collect();
        let found = store::get_many::<Link>(store, realm, &keys).await?;
        let mut links = BTreeMap::new();
        for ((key, link), (begun, _)) in keys.into_iter().zip(found).zip(ended) {
            match link {
                Some(Stored { version, value }) => {
                    links.insert(key, (Some(version), value));
                }
                None if makes_link(&begun.step) => {
                    if let Some(link) = new_link(begun) {
                        links.insert(key, (None, link));
                    }
                }
                None => {}
            }
        }
        let mut changes = Changes::in_realm(realm);
        // The intent must be the one we wrote: nobody took the step over.
        for (begun, _) in ended {
            let (table, key, version) = (Table::Journal, begun.entry.key(), begun.version);
            changes.expect.push(Expect::Version { table, key, version });
        }
        let done = || {
            let done = ended.iter().filter(|(_, ended)| matches!(ended, Ended::Done { .. }));
            done.map(|(begun, _)| &begun.step)
        };
        let named = done().filter(|step| settles_names(step)).map(|step| step.identity).collect();
        let there = done().filter(|step| is_referable(step)).map(|step| step.identity).collect();
        Ok(Batch {
            now: self.engine.now(),
            links,
            names: self.engine.names_of(&named).await?,
            waiting: self.engine.waiting_for(&there).await?,
            touched: BTreeMap::new(),
            refunds: BTreeMap::new(),
            dirty: Vec::new(),
            changes,
            ended: 0,
            failed: 0,
        })
    }

    async fn settle_one(&self, batch: &mut Batch, begun: &Begun, ended: &Ended) -> Result<()> {
        let step = &begun.step;
        let mut entry = begun.entry.clone();
        match ended {
            Ended::Done { .. } => {
                entry.state = StepState::Done;
                self.done(batch, begun, &mut entry, ended).await?;
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
        batch.changes.put(&entry)
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
        if again && (throttled || entry.attempts < self.target.settings.retry.attempts_max) {
            let asked = record.retry_after_ms.map(std::time::Duration::from_millis);
            let wait = asked.map_or_else(|| self.backoff(entry.attempts), Ok)?;
            // A target that asks for a day would keep a leaver's account waiting that long.
            let longest = u64::from(self.target.settings.retry.longest_seconds.max(1));
            let wait = wait.min(std::time::Duration::from_secs(longest));
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
    fn uncertain_edge(&self, step: &Step, entry: &JournalEntry) -> Option<Membership> {
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
                let measured = |name: &AttrName| whole || wrote.get(name.as_str()).is_some();
                for (name, slot) in observed.iter() {
                    if measured(name) || link.observed.get(name.as_str()).is_none() {
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
        for kind in &step.budgets {
            *batch.refunds.entry(*kind).or_default() += 1;
        }
    }

    /// Every write on a target has its entry, failed ones too.
    fn tell(&self, batch: &mut Batch, begun: &Begun, entry: &JournalEntry) -> Result<()> {
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
        batch.changes.append.push(audit.append_change(&step.action, &step.reasons)?);
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
    fn tell_renewed(&self, batch: &mut Batch, begun: &Begun, entry: &JournalEntry) -> Result<()> {
        let step = &begun.step;
        let mut audit =
            AuditEntry::new(&self.engine.realm, batch.now, self.actor, "account.password_renewed");
        audit.identity = Some(step.identity);
        audit.target = Some(step.target.clone());
        audit.class = Some(step.class.clone());
        audit.plan = Some(self.header.id);
        audit.step = Some(step.id.clone());
        audit.object = entry.key.as_ref().map(|key| key.id.clone());
        audit.note = "the answer to the create was lost, and its password with it".to_owned();
        batch.changes.append.push(audit.append()?);
        Ok(())
    }

    async fn mark(&self, batch: &mut Batch) -> Result<()> {
        batch.dirty.sort();
        batch.dirty.dedup();
        let keys: Vec<String> = batch.dirty.iter().map(ToString::to_string).collect();
        let found = store::get_many::<Identity>(self.engine.store(), &self.engine.realm, &keys).await?;
        let identities: Vec<Identity> = found.into_iter().flatten().map(|stored| stored.value).collect();
        let keys: Vec<String> = identities.iter().map(Identity::order).collect();
        let work = store::get_many::<Work>(self.engine.store(), &self.engine.realm, &keys).await?;
        for (identity, work) in identities.iter().zip(work) {
            Work::mark(&mut batch.changes, work, identity, false, batch.now)?;
        }
        Ok(())
    }

    /// Journals steps that are not tried. Stale ones make their identity dirty: the next plan looks again.
    pub(super) async fn skip(
        &self,
        steps: &[(Arc<Step>, String)],
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
            for (step, why) in steps {
                let known = entries.get(&step.id);
                let entry = JournalEntry {
                    realm: self.engine.realm.clone(),
                    plan: self.header.id,
                    step: step.id.clone(),
                    chunk: 0,
                    target: step.target.clone(),
                    identity: step.identity,
                    link: None,
                    state: StepState::Skipped { why: why.clone() },
                    attempts: known.map_or(0, |known| known.value.attempts),
                    started_at: now,
                    deadline: now,
                    key: None,
                    error: None,
                    read_back: false,
                };
                if let Some(edge) = known.and_then(|known| self.uncertain_edge(step, &known.value)) {
                    batch.changes.put(&edge)?;
                }
                match known {
                    Some(known) => expect_entry(&mut batch.changes, &entry, known.version)?,
                    None => batch.changes.insert(&entry)?,
                }
                if stale {
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
            self.mark(&mut batch).await?;
            if self.engine.store().commit(batch.changes).await? == Commit::Committed {
                self.progress.ended(batch.ended, batch.failed);
            }
        }
        Ok(())
    }
}

/// Skips journalled in one commit.
const SKIPS: usize = 256;

/// A step after which references can point at the account: its create, or the enable of a return.
fn is_referable(step: &Step) -> bool {
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
