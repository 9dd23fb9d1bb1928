//! An ending: what one attempt came to, as changes of its journal entry, its link, its edges and its names.

use super::doubt::{doubt, is_doubtful};
use super::lane::Lane;
use super::settle::Batch;
use super::wave::{Begun, link_key, makes_link};
use super::{Ended, JournalEntry, StepState};
use crate::connector::ObjectKey;
use crate::delta::Change;
use crate::engine::{WAITING, hour_of};
use crate::error::{Effect, Error, ErrorKind, Result};
use crate::id::{ClassName, LinkId, Tag};
use crate::model::{Dispute, DisputeAbout, Link, LinkState, Membership};
use crate::plan::{Action, Step};
use crate::planted::{self, Defect};
use crate::schema::{AttributeSchema, ObjectClass};
use crate::store::{Record, Table};
use crate::value::{AttrName, Attributes, Slot, Value};

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
                self.refund(batch, begun);
                self.name_taken(batch, begun).await?;
                batch.dirty.push(step.identity);
            }
            Ended::Disputed(why) => {
                entry.state = StepState::Disputed;
                self.dispute(batch, begun, why)?;
            }
            Ended::Skipped(why) => {
                entry.state = StepState::Skipped { why: why.clone() };
                self.refund(batch, begun);
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
            self.refund(batch, begun);
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
            let doubtful = unknown && begun.link.as_ref().is_some_and(|link| is_doubtful(&begun.step, link));
            if doubtful {
                self.change_link(batch, begun, |link| doubt(&begun.step, link));
            }
            if error.is_not_found() && !makes_link(&begun.step) && is_about_object(&begun.step.action) {
                self.change_link(batch, begun, |link| link.missing = true);
            }
        }
        entry.error = Some(record);
        Ok(())
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
        if is_referable(begun) {
            tell_waiting(batch, step);
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
                    if let Some(schema) = class.attributes.get(name) {
                        note_insisted(link, name, &step.action, schema, slot);
                    }
                }
                link.observed_at = Some(now);
            }
            // Nor is it what a step that says nothing of it meets: a reconcile finds that, and has it mended.
            let decides = matches!(step.action, Action::Create { .. } | Action::Enable | Action::Disable);
            if enabled.is_some() && (decides || *found || link.enabled.is_none()) {
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
    pub(super) fn edge(
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
        let about = DisputeAbout::Match {
            target: step.target.clone(),
            class: step.class.clone(),
            object: format!("step/{}", step.id.as_str()),
            candidates: vec![step.identity],
        };
        let dispute = Dispute::new(self.engine.realm.clone(), about, why, batch.now);
        batch.changes.put(&dispute)
    }

    /// Gives back what a step has paid. Not what it paid in another hour: that is gone with its bucket.
    fn refund(&self, batch: &mut Batch, begun: &Begun) {
        let present = hour_of(self.engine.now());
        let paid_here = begun.entry.paid_hour.is_none_or(|hour| hour == present);
        // Planted: nothing was spent yet.
        if paid_here && !planted::is(Defect::BudgetCountedAfterWrite) {
            count(batch, &begun.step);
        }
    }
}

/// The account that others wait for is there.
fn tell_waiting(batch: &mut Batch, step: &Step) {
    let waiting = batch.waiting.get(&step.identity);
    for waiting in waiting.into_iter().flatten() {
        batch.changes.delete.push((Table::Waiting, waiting.key()));
        batch.dirty.push(waiting.identity);
    }
    if waiting.is_some_and(|waiting| waiting.len() >= WAITING as usize) {
        // More than one commit tells: whoever plans a role again tells the others, should we not come to it.
        batch.dirty.push(step.identity);
    }
}

/// Adds what a step spends to what the batch takes back.
fn count(batch: &mut Batch, step: &Step) {
    for kind in &step.budgets {
        *batch.refunds.entry(*kind).or_default() += 1;
    }
}

/// A step after which references can point at the account: its create, the enable of a return, and whatever else is the
/// first done to an account that comes back.
pub(super) fn is_referable(begun: &Begun) -> bool {
    let step = &begun.step;
    let ended = begun.link.as_ref().is_some_and(|link| link.state != LinkState::Active);
    let returns = ended && !step.offboarding && !matches!(step.action, Action::Release);
    (makes_link(step) || step.action == Action::Enable || returns) && step.tag == Tag::main()
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
            link.insisted = Attributes::new();
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
        match rest_of_set(link, name, action, class) {
            Some(rest) => link.observed.insert(name.clone(), rest),
            // What the target showed of another value is no measure of this one.
            None if link.applied.get(name.as_str()) != Some(slot) => {
                drop(link.observed.remove(name.as_str()))
            }
            None => {}
        }
        link.applied.insert(name.clone(), slot.clone());
        link.drift.remove(name.as_str());
    }
    if !found {
        link.inputs.extend(step.inputs.clone());
    }
    // No mapping counts any more: what the target shows of it from now on is nobody's drift.
    for name in &step.withdraws {
        link.applied.remove(name.as_str());
        link.inputs.remove(name);
    }
    if step.offboarding && !matches!(action, Action::Release) {
        link.state = LinkState::Leaving;
    } else if !step.offboarding && link.state != LinkState::Active {
        // Planned steps on a link that had ended are a return.
        link.state = LinkState::Active;
    }
    wrote
}

/// What was seen of a set without what a step took away: foreign values are not forgotten, and what the step added is
/// not taken for seen.
fn rest_of_set(link: &Link, name: &AttrName, action: &Action, class: &ObjectClass) -> Option<Slot> {
    let Some(Change::Edit { remove, .. }) = change_of(action, name) else { return None };
    let seen = link.drift.get(name.as_str()).or_else(|| link.observed.get(name.as_str()))?;
    let schema = class.attributes.get(name)?;
    let gone = |value: &&Value| remove.iter().any(|gone| schema.same(gone, value));
    Some(Slot::from_values(seen.values().iter().filter(|value| !gone(value)).cloned().collect()))
}

fn change_of<'a>(action: &'a Action, name: &AttrName) -> Option<&'a Change> {
    match action {
        Action::Update { delta, .. } => delta.changes.get(name),
        _ => None,
    }
}

/// Remembers values that the target shows again right after we took them away.
fn note_insisted(link: &mut Link, name: &AttrName, action: &Action, schema: &AttributeSchema, shown: &Slot) {
    if !schema.multi || schema.ordered {
        return;
    }
    let again = |value: &&Value| match change_of(action, name) {
        Some(Change::Edit { remove, .. }) => remove.iter().any(|gone| schema.same(gone, value)),
        Some(Change::Clear) => true,
        Some(Change::Replace(_)) | None => false,
    };
    let again: Vec<Value> = shown.values().iter().filter(again).cloned().collect();
    if !again.is_empty() {
        link.insisted.set(name.clone(), again);
    }
}

#[cfg(test)]
mod tests {
    use super::super::workbench::{Workbench, add_member, create, now, order, step};
    use super::*;
    use crate::delta::Delta;
    use crate::error::Retry;
    use crate::id::PlanId;
    use crate::model::LinkState;
    use crate::plan::BudgetKind;

    fn class() -> ObjectClass {
        let tags = AttributeSchema { multi: true, ..AttributeSchema::text() };
        let attributes = [("title", AttributeSchema::text()), ("tags", tags)];
        ObjectClass {
            attributes: attributes.into_iter().map(|(name, schema)| (name.into(), schema)).collect(),
            ..ObjectClass::default()
        }
    }

    fn title(value: &str) -> Attributes {
        Attributes::new().with("title", value)
    }

    fn update(change: Change) -> Action {
        let delta = Delta { changes: [("title".into(), change)].into() };
        Action::Update { delta, outputs: Default::default() }
    }

    fn texts<const N: usize>(values: [&str; N]) -> Vec<Value> {
        values.into_iter().map(Value::text).collect()
    }

    /// The link after a step of Jane's, and what the step wrote.
    fn link_after(before: Link, step: &Step, found: bool) -> (Link, Attributes) {
        let mut link = before;
        let wrote = after(&mut link, step, &step.action, &class(), (found, &Attributes::new()));
        (link, wrote)
    }

    #[tokio::test]
    async fn a_create_that_made_the_object_leaves_what_it_wrote_and_an_adoption_does_not() {
        let bench = Workbench::new().await;
        let before = Link { missing: true, applied: title("Old"), drift: title("Odd"), ..bench.link() };
        let mut made = Step::clone(&step(create(title("Clerk"))));
        made.inputs.insert("title".into(), "inputs".to_owned());
        let (link, wrote) = link_after(before.clone(), &made, false);
        assert_eq!((&link.applied, &wrote), (&title("Clerk"), &title("Clerk")));
        assert_eq!((link.enabled, link.missing), (Some(true), false));
        assert_eq!((link.drift.len(), link.inputs.len()), (0, 1));
        let (link, wrote) = link_after(before, &made, true);
        assert_eq!((link.applied.len(), wrote.len(), link.enabled), (0, 0, None));
        assert_eq!(link.inputs.len(), 0, "the next plan writes what it holds otherwise");
    }

    #[tokio::test]
    async fn what_the_target_showed_of_another_value_is_forgotten() {
        let bench = Workbench::new().await;
        let before = || Link { applied: title("Clerk"), observed: title("CLERK"), ..bench.link() };
        let write = |value: &str| step(update(Change::Replace(texts([value]))));
        let (link, wrote) = link_after(before(), &write("Engineer"), false);
        assert_eq!((link.applied, wrote), (title("Engineer"), title("Engineer")));
        assert_eq!(link.observed.get("title"), None);
        let (link, _) = link_after(before(), &write("Clerk"), false);
        assert_eq!(link.observed, title("CLERK"), "it is how the target shows this one");
        let (link, wrote) = link_after(before(), &step(Action::Enable), false);
        assert_eq!((link.enabled, wrote.len(), link.applied), (Some(true), 0, title("Clerk")));
        assert_eq!(link_after(before(), &step(Action::Disable), false).0.enabled, Some(false));
    }

    #[tokio::test]
    async fn of_a_set_what_was_seen_is_kept_but_for_what_was_taken_away() {
        let bench = Workbench::new().await;
        let tags = |values: &[&str]| {
            let mut tags = Attributes::new();
            tags.set("tags", values.iter().map(|value| (*value).into()).collect());
            tags
        };
        let edit = |change: Change| {
            let delta = Delta { changes: [("tags".into(), change)].into() };
            step(Action::Update { delta, outputs: Default::default() })
        };
        let take_x = || edit(Change::Edit { add: texts(["b"]), remove: texts(["x"]) });
        let known = |drift: Attributes| Link {
            applied: tags(&["a"]),
            observed: tags(&["a", "x", "y"]),
            drift,
            ..bench.link()
        };
        let (link, _) = link_after(known(Attributes::new()), &take_x(), false);
        assert_eq!(
            (link.applied, link.observed),
            (tags(&["a", "b"]), tags(&["a", "y"])),
            "`b` was not seen yet"
        );
        let (link, _) = link_after(known(tags(&["x", "z"])), &take_x(), false);
        assert_eq!((link.observed, link.drift.len()), (tags(&["z"]), 0), "as last seen");
        let (link, _) = link_after(known(Attributes::new()), &edit(Change::Clear), false);
        assert_eq!(link.observed.get("tags"), None);
    }

    #[tokio::test]
    async fn what_is_taken_back_for_good_is_forgotten() {
        let bench = Workbench::new().await;
        let inputs = [("title".into(), "inputs".to_owned()), ("mail".into(), "inputs".to_owned())];
        let before = Link {
            applied: title("Clerk").with("mail", "a"),
            drift: title("x"),
            inputs: inputs.into(),
            ..bench.link()
        };
        let mut taken = Step::clone(&step(update(Change::Clear)));
        taken.withdraws.insert("title".into());
        // As it comes out of the store.
        let taken = order(&taken);
        let (link, wrote) = link_after(before, &taken, false);
        assert_eq!(wrote, Attributes::new().with_null("title"));
        assert_eq!((link.applied, link.drift.len()), (Attributes::new().with("mail", "a"), 0));
        assert_eq!(link.inputs.keys().map(AttrName::as_str).collect::<Vec<_>>(), ["mail"]);
    }

    #[test]
    fn a_step_that_was_planned_before_there_were_withdrawals_is_read() {
        let new = serde_json::to_value(&**step(Action::Enable)).unwrap();
        assert_eq!(new.get("withdraws"), None, "nor is it written where there are none");
        let read: Step = serde_json::from_value(new).unwrap();
        assert!(read.withdraws.is_empty());
    }

    #[tokio::test]
    async fn a_link_leaves_with_its_offboarding_ends_with_its_release_and_comes_back() {
        let bench = Workbench::new().await;
        let state = |before: LinkState, action: Action, offboarding: bool| {
            let mut step = Step::clone(&step(action));
            step.offboarding = offboarding;
            link_after(Link { state: before, ..bench.link() }, &step, false).0.state
        };
        assert_eq!(state(LinkState::Active, Action::Disable, true), LinkState::Leaving);
        assert_eq!(state(LinkState::Leaving, Action::Release, true), LinkState::Inactive);
        assert_eq!(state(LinkState::Leaving, Action::Enable, false), LinkState::Active);
        assert_eq!(state(LinkState::Inactive, Action::Enable, false), LinkState::Active);
        assert_eq!(state(LinkState::Active, Action::Disable, false), LinkState::Active);
    }

    /// The link once a step of Jane's is settled with what the target showed.
    fn settled(bench: &Workbench, link: Link, action: Action, observed: Attributes) -> Link {
        let mut begun = bench.begun(Action::Enable);
        begun.link = Some(link);
        begun.step = step(action);
        let mut batch = bench.batch(&begun);
        let ended = Ended::done(Some(ObjectKey::id("object-1")), Some(observed));
        bench.lane().done_to_link(&mut batch, &begun, &ended);
        batch.links.remove(&link_key(&begun.step)).unwrap().1
    }

    #[tokio::test]
    async fn what_the_target_shows_is_a_measure_of_what_was_written_with_it() {
        let bench = Workbench::new().await;
        let shows = || title("CLERK").with("mail", "THEIRS");
        let write = || update(Change::Replace(texts(["Clerk"])));
        let link = settled(&bench, bench.link(), write(), shows());
        assert_eq!(link.observed, shows(), "both are shown for the first time");
        assert_eq!((link.revision, link.last_plan), (5, Some(bench.header.id)));
        assert_eq!((link.observed_at, link.written_at), (Some(now()), Some(now())));
        let known = Link { observed: Attributes::new().with("mail", "before"), ..bench.link() };
        let link = settled(&bench, known, write(), shows());
        assert_eq!(link.observed.text("mail"), Some("before"), "a reconcile finds what others change");
        let ours = |mail: &str| Link { applied: Attributes::new().with("mail", mail), ..bench.link() };
        let link = settled(&bench, ours("before"), write(), shows());
        assert_eq!(link.observed.text("mail"), None, "we wrote something else");
        let link = settled(&bench, ours("THEIRS"), write(), shows());
        assert_eq!(link.observed.text("mail"), Some("THEIRS"));
        let known = Link { observed: Attributes::new().with("mail", "before"), ..bench.link() };
        let link = settled(&bench, known, create(title("Clerk")), shows());
        assert_eq!(link.observed, shows(), "of a new object, all is");
        assert_eq!(settled(&bench, bench.link(), Action::Delete, Attributes::new()).key, None);
    }

    #[tokio::test]
    async fn an_account_that_somebody_disabled_is_left_to_a_reconcile_by_steps_that_say_nothing_of_it() {
        let bench = Workbench::new().await;
        let shown = |action: Action, known: Option<bool>| {
            let mut begun = bench.begun(Action::Enable);
            begun.link = Some(Link { enabled: known, ..bench.link() });
            begun.step = step(action);
            let mut ended = Ended::done(Some(ObjectKey::id("object-1")), Some(title("Clerk")));
            let Ended::Done { enabled, .. } = &mut ended else { panic!("it is done") };
            *enabled = Some(false);
            let mut batch = bench.batch(&begun);
            bench.lane().done_to_link(&mut batch, &begun, &ended);
            batch.links.remove(&link_key(&begun.step)).unwrap().1.enabled
        };
        let write = || update(Change::Replace(texts(["Clerk"])));
        assert_eq!(shown(write(), Some(true)), Some(true), "or nobody would see that it differs");
        assert_eq!(shown(write(), None), Some(false));
        assert_eq!(shown(Action::Enable, Some(true)), Some(false));
    }

    #[tokio::test]
    async fn a_create_is_anothers_when_its_link_has_another_object_or_plan() {
        let bench = Workbench::new().await;
        let mut begun = bench.begun(create(Attributes::new()));
        let mut is = |key: Option<&str>, plan: Option<u128>, made: Option<&str>| {
            let last_plan = plan.map(|plan| PlanId::from_uuid(uuid::Uuid::from_u128(plan)));
            begun.link = Some(Link { key: key.map(ObjectKey::id), last_plan, ..bench.link() });
            bench.lane().is_anothers(&bench.batch(&begun), &begun, made.map(ObjectKey::id).as_ref())
        };
        assert!(!is(None, Some(100), Some("a")));
        assert!(!is(None, None, Some("a")));
        assert!(!is(Some("a"), Some(100), Some("a")));
        assert!(is(Some("b"), Some(100), Some("a")));
        assert!(is(Some("b"), None, None));
        assert!(is(None, Some(101), Some("a")));
    }

    /// The entry and the changes of links after a step ended well.
    async fn done(bench: &Workbench, action: Action, before: Link) -> (StepState, Vec<LinkState>) {
        let mut begun = bench.begun(Action::Enable);
        begun.link = Some(before);
        begun.step = step(action);
        let mut batch = bench.batch(&begun);
        let mut entry = JournalEntry { state: StepState::Done, ..begun.entry.clone() };
        let ended = Ended::done(Some(ObjectKey::id("object-1")), None);
        bench.lane().done(&mut batch, &begun, &mut entry, &ended).await.unwrap();
        let touched = batch.touched.keys().filter_map(|key| batch.links.get(key));
        (entry.state, touched.map(|(_, link)| link.state).collect())
    }

    #[tokio::test]
    async fn a_create_whose_link_was_given_away_meanwhile_is_disputed() {
        let bench = Workbench::new().await;
        let made = || create(Attributes::new());
        let nobodys = Link { key: None, ..bench.link() };
        assert_eq!(done(&bench, made(), nobodys).await, (StepState::Done, vec![LinkState::Active]));
        let given_away = Link { key: Some(ObjectKey::id("object-2")), ..bench.link() };
        assert_eq!(done(&bench, made(), given_away).await, (StepState::Disputed, vec![]));
    }

    #[tokio::test]
    async fn a_membership_brings_a_link_back_and_leaves_an_active_one_alone() {
        let bench = Workbench::new().await;
        let in_state = |state| Link { state, ..bench.link() };
        let joined = || add_member("staff");
        assert_eq!(done(&bench, joined(), in_state(LinkState::Active)).await, (StepState::Done, vec![]));
        let back = (StepState::Done, vec![LinkState::Active]);
        assert_eq!(done(&bench, joined(), in_state(LinkState::Inactive)).await, back);
    }

    #[tokio::test]
    async fn a_failure_is_tried_again_as_often_as_the_schedule_says() {
        let mut bench = Workbench::new().await;
        bench.target.settings.retry.attempts_max = 3;
        bench.target.settings.retry.longest_seconds = 60;
        let fails = |attempts: u32, error: Error| {
            let mut begun = bench.begun(update(Change::Clear));
            begun.step = {
                let mut step = Step::clone(&begun.step);
                step.budgets = vec![BudgetKind::AttributeClear; 2];
                super::super::workbench::order(&step)
            };
            begun.entry.attempts = attempts;
            let (mut batch, mut entry) = (bench.batch(&begun), begun.entry.clone());
            bench.lane().failed(&mut batch, &begun, &mut entry, &error).unwrap();
            let wait = match entry.state {
                StepState::Waiting { until } => Some(until.since(now()).as_secs()),
                StepState::Failed => None,
                other => panic!("{other:?}"),
            };
            (wait, entry.attempts, batch.refunds.get(&BudgetKind::AttributeClear).copied())
        };
        let error = |kind, effect| Error::new(kind, "it failed").with_effect(effect);
        let after = |seconds: u64| Retry::After(Some(std::time::Duration::from_secs(seconds)));
        let (waits, _, paid) = fails(2, error(ErrorKind::Unavailable, Effect::None));
        assert!(waits.is_some_and(|wait| (5..=10).contains(&wait)), "{waits:?}");
        assert_eq!(paid, Some(2), "nothing was done: what it spent is given back");
        assert_eq!(fails(3, error(ErrorKind::Unavailable, Effect::None)).0, None, "that was the last");
        assert_eq!(fails(1, error(ErrorKind::PolicyRejected, Effect::None)), (None, 1, Some(2)));
        let (waits, _, paid) = fails(1, error(ErrorKind::PolicyRejected, Effect::Unknown));
        assert!(waits.is_some(), "what it did is to be found out");
        assert_eq!(paid, None);
        assert_eq!(fails(3, error(ErrorKind::Unavailable, Effect::Unknown)), (None, 3, None));
        let throttled = |seconds| error(ErrorKind::RateLimited, Effect::None).with_retry(after(seconds));
        assert_eq!(fails(3, throttled(20)), (Some(20), 2, Some(2)), "to be asked to wait is no attempt");
        assert_eq!(fails(3, throttled(86_400)).0, Some(60), "no longer than the longest");
    }

    #[tokio::test]
    async fn what_a_failure_leaves_behind_depends_on_the_step() {
        let mut bench = Workbench::new().await;
        bench.target.settings.retry.attempts_max = 1;
        let fails = |action: Action, error: Error| {
            let begun = bench.begun(action);
            let (mut batch, mut entry) = (bench.batch(&begun), begun.entry.clone());
            bench.lane().failed(&mut batch, &begun, &mut entry, &error).unwrap();
            let missing = batch.links.values().any(|(_, link)| link.missing);
            let tables: Vec<Table> = batch.changes.put.iter().map(|put| put.table).collect();
            (entry.state, missing, tables)
        };
        let gone = || Error::new(ErrorKind::NotFound, "no such object").with_effect(Effect::None);
        let lost = || Error::new(ErrorKind::Unavailable, "lost").with_effect(Effect::Unknown);
        for action in [update(Change::Clear), Action::Enable, Action::Disable] {
            assert_eq!(fails(action, gone()), (StepState::Failed, true, vec![]));
        }
        assert_eq!(
            fails(add_member("staff"), gone()),
            (StepState::Failed, false, vec![]),
            "the group is gone"
        );
        assert_eq!(fails(create(Attributes::new()), gone()).0, StepState::Failed);
        assert_eq!(
            fails(create(Attributes::new()), lost()),
            (StepState::Disputed, false, vec![Table::Dispute])
        );
        assert_eq!(fails(Action::Enable, lost()), (StepState::Failed, false, vec![]));
        assert_eq!(fails(add_member("staff"), lost()), (StepState::Failed, false, vec![Table::Membership]));
    }

    #[tokio::test]
    async fn a_return_that_may_have_had_an_effect_does_not_leave_the_account_seen_off() {
        let mut bench = Workbench::new().await;
        bench.target.settings.retry.attempts_max = 1;
        let fails = |action: Action, state: LinkState, effect: Effect| {
            let mut begun = bench.begun(action);
            begun.link = Some(Link { state, enabled: Some(false), ..bench.link() });
            let (mut batch, mut entry) = (bench.batch(&begun), begun.entry.clone());
            let error = Error::new(ErrorKind::Unavailable, "lost").with_effect(effect);
            bench.lane().failed(&mut batch, &begun, &mut entry, &error).unwrap();
            let touched = batch.touched.keys().filter_map(|key| batch.links.get(key));
            touched.map(|(_, link)| (link.state, link.enabled)).collect::<Vec<_>>()
        };
        let (inactive, leaving) = (LinkState::Inactive, LinkState::Leaving);
        assert_eq!(fails(Action::Enable, inactive, Effect::Unknown), [(leaving, None)]);
        assert_eq!(fails(Action::Enable, LinkState::Active, Effect::Unknown), [(LinkState::Active, None)]);
        assert_eq!(fails(add_member("staff"), inactive, Effect::Unknown), [(leaving, Some(false))]);
        assert_eq!(fails(add_member("staff"), LinkState::Active, Effect::Unknown), []);
        assert_eq!(fails(Action::Enable, inactive, Effect::None), []);
    }

    #[tokio::test]
    async fn references_point_at_main_accounts_that_are_made_or_come_back() {
        let bench = Workbench::new().await;
        let referable = |action: Action, state: LinkState| {
            let mut begun = bench.begun(action);
            begun.link = begun.link.map(|link| Link { state, ..link });
            is_referable(&begun)
        };
        assert!(referable(create(Attributes::new()), LinkState::Active));
        assert!(referable(Action::Enable, LinkState::Active));
        assert!(!referable(Action::Disable, LinkState::Active));
        assert!(!referable(add_member("staff"), LinkState::Active));
        assert!(referable(add_member("staff"), LinkState::Leaving), "it comes back without an enable");
        assert!(!referable(Action::Release, LinkState::Leaving));
        let mut second = bench.begun(Action::Enable);
        let mut other = Step::clone(&second.step);
        other.tag = Tag::new("second");
        second.step = order(&other);
        assert!(!is_referable(&second));
    }
}
