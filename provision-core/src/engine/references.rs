//! The second pass of planning: references to accounts that the same plan creates (manager and report both new).

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use sha2::Sha256;

use super::Engine;
use super::configure::Meta;
use super::planning::{CHUNK, Drafted, Run, count};
use crate::error::{Effect, Error, ErrorKind, Result};
use crate::id::{ClassName, IdentityId, StepId, Tag, TargetName};
use crate::ingest::PersonKey;
use crate::model::{Identity, Link, SourceRecord, Subject, Work};
use crate::plan::{
    Action, BudgetKind, OutputRef, PlanChunk, PlanHeader, Precondition, Reason, Step, WaitingMember,
    WaitingReference, digest_steps, member_budgets, reference_action, step_id,
};
use crate::store::{self, Changes, Commit, Expect, Record, Scan, Select, Stored, Table};
use crate::value::{Timestamp, Value};

/// Those who wait for one account that are told in one commit.
pub(crate) const WAITING: u32 = 500;
/// Tries against others who mark the same identities.
const TRIES_MAX: u32 = 20;

/// A reference that no plan can complete yet: the identity is planned again when the other's account appears, or when
/// somebody of whom nothing is known becomes known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Waiting {
    pub(crate) identity: IdentityId,
    waits_for: String,
}

/// Written with every row that waits for a record, so that whoever makes records known sees by its version whether all
/// such rows were found: otherwise one written at the same moment would be waited on for ever.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Unknowns {}

impl Meta<Unknowns> {
    /// The row's key.
    pub(crate) const KEY: &str = "unknowns";

    pub(crate) fn noted() -> Self {
        Self { name: Self::KEY.to_owned(), value: Unknowns::default() }
    }
}

impl Record for Meta<Unknowns> {
    const TABLE: Table = Table::Meta;

    fn key(&self) -> String {
        self.name.clone()
    }

    fn columns(&self) -> Vec<(&'static str, String)> {
        Vec::new()
    }
}

impl Waiting {
    /// Waits for the account of somebody.
    pub(crate) fn for_account(identity: IdentityId, of: IdentityId) -> Self {
        Self { identity, waits_for: of.to_string() }
    }

    /// Waits for a source record, by the key of its row.
    pub(crate) fn for_record(identity: IdentityId, row: &str) -> Self {
        Self { identity, waits_for: Self::record(row) }
    }

    /// What those wait for who wait for a source record.
    pub(crate) fn record(row: &str) -> String {
        format!("record/{row}")
    }
}

impl Record for Waiting {
    const TABLE: Table = Table::Waiting;

    fn key(&self) -> String {
        format!("{}/{}", self.waits_for, self.identity)
    }

    fn columns(&self) -> Vec<(&'static str, String)> {
        vec![("waits_for", self.waits_for.clone())]
    }
}

impl Engine {
    /// Adds chunks that set the references whose object this plan creates, and remembers those that must wait.
    pub(super) async fn plan_references(
        &self,
        run: &mut Run,
        header: &mut PlanHeader,
        hasher: &mut Sha256,
    ) -> Result<()> {
        let chunks = header.chunks;
        for number in 0..chunks {
            let Some(chunk) = self.plan_steps(run.id, number).await? else { continue };
            if chunk.waiting.is_empty() {
                continue;
            }
            let created = self.created_by_plan(run, header, &chunk.waiting).await?;
            let mut steps = Vec::new();
            let mut changes = Changes::in_realm(&self.realm);
            for of @ (identity, waiting) in &chunk.waiting {
                match created.get(&at_of(waiting)) {
                    Some(creates) => steps.extend(self.reference_step(run, &chunk, of, creates).await?),
                    None if !run.preview => changes.put(&Waiting::for_account(*identity, waiting.to))?,
                    None => {}
                }
            }
            let waited = chunk;
            let chunk = PlanChunk {
                plan: run.id,
                number: header.chunks,
                planned: Vec::new(),
                steps,
                skips: Vec::new(),
                waiting: Vec::new(),
                offboarding: false,
            };
            if !chunk.steps.is_empty() {
                changes.insert(&chunk)?;
            }
            self.commit(changes).await?;
            if !run.preview {
                let left =
                    waited.waiting.iter().filter(|(_, waiting)| !created.contains_key(&at_of(waiting)));
                self.wake_late(left).await?;
            }
            if !chunk.steps.is_empty() {
                count(header, &chunk);
                digest_steps(hasher, &chunk.steps)?;
            }
            if !run.preview {
                self.rest(&waited, &chunk, run.now).await?;
            }
        }
        Ok(())
    }

    /// Ends the work of identities that have nothing to do but wait: the account they wait for makes them dirty.
    ///
    /// The waiting rows are durable by now. Who waits for an account that appeared before has just been marked by
    /// `wake_late`; one that appears later finds the row. Either mark is newer than the work ended here.
    async fn rest(&self, chunk: &PlanChunk, references: &PlanChunk, now: Timestamp) -> Result<()> {
        let mut busy: BTreeSet<IdentityId> =
            chunk.steps.iter().chain(&references.steps).map(|step| step.identity).collect();
        // What was left undone for a stop or an open step keeps its mark.
        let left = chunk.planned.iter().filter(|planned| planned.left.is_some());
        busy.extend(left.map(|planned| planned.identity));
        let waits: BTreeSet<IdentityId> = chunk.waiting.iter().map(|(identity, _)| *identity).collect();
        let resting: Vec<_> = chunk
            .planned
            .iter()
            .filter(|planned| waits.contains(&planned.identity) && !busy.contains(&planned.identity))
            .filter_map(|planned| planned.work.as_ref().map(|(key, _)| (key.clone(), planned)))
            .collect();
        let keys: Vec<String> = resting.iter().map(|(key, _)| key.clone()).collect();
        let work = store::get_many::<Work>(self.store(), &self.realm, &keys).await?;
        let mut changes = Changes::in_realm(&self.realm);
        for ((_, planned), work) in resting.iter().zip(&work) {
            Self::finish_work(&mut changes, work.as_ref(), planned, now)?;
        }
        // Somebody marked one of them meanwhile: they all stay dirty and are looked at again.
        self.store().commit(changes).await.map(drop)
    }

    /// Makes those dirty whose account appeared before they were known to wait for it: nobody else wakes them.
    async fn wake_late(&self, waiting: impl Iterator<Item = &(IdentityId, WaitingReference)>) -> Result<()> {
        let (mut who, mut keys) = (Vec::new(), Vec::new());
        for (identity, waiting) in waiting {
            let subject = Subject::Identity(waiting.to);
            who.push(*identity);
            keys.push(Link::row_key(&waiting.target, waiting.to_class(), &Tag::main(), &subject));
        }
        let links = store::get_many::<Link>(self.store(), &self.realm, &keys).await?;
        let there = |link: &Option<Stored<Link>>| link.as_ref().is_some_and(|link| link.value.is_referable());
        let mut late: Vec<IdentityId> =
            who.into_iter().zip(&links).filter(|(_, link)| there(link)).map(|(who, _)| who).collect();
        late.sort();
        late.dedup();
        self.mark_dirty(&late).await
    }

    /// Which of the accounts referred to this plan creates: their identities are planned once more, which gives the
    /// same answer as their own chunk did, unless something has changed in between. Whoever applies the plan finds a
    /// step then that it has not, and looks at the identity again.
    async fn created_by_plan(
        &self,
        run: &Run,
        header: &PlanHeader,
        waiting: &[(IdentityId, WaitingReference)],
    ) -> Result<BTreeMap<(IdentityId, TargetName, ClassName), Step>> {
        let to: BTreeSet<IdentityId> = waiting.iter().map(|(_, waiting)| waiting.to).collect();
        let keys: Vec<String> = to.iter().map(ToString::to_string).collect();
        let mut created = BTreeMap::new();
        for keys in keys.chunks(CHUNK) {
            let found = store::get_many::<Identity>(self.store(), &self.realm, keys).await?;
            let identities: Vec<Identity> = found.into_iter().flatten().map(|stored| stored.value).collect();
            let in_scope = self.in_scope(run, header, identities).await?;
            let known = self.snapshot(in_scope, run.now, Some(run.id), &run.matches).await?;
            for drafted in self.draft(run, known).await? {
                for step in drafted.draft.steps {
                    if matches!(step.action, Action::Create { .. }) && step.tag == Tag::main() {
                        created.insert((step.identity, step.target.clone(), step.class.clone()), step);
                    }
                }
            }
        }
        Ok(created)
    }

    /// Those of the identities that the plan looked at.
    async fn in_scope(
        &self,
        run: &Run,
        header: &PlanHeader,
        identities: Vec<Identity>,
    ) -> Result<Vec<Identity>> {
        match &header.scope {
            crate::plan::Scope::All => Ok(identities),
            crate::plan::Scope::Identities(ids) => {
                Ok(identities.into_iter().filter(|identity| ids.contains(&identity.id)).collect())
            }
            crate::plan::Scope::Changed => {
                let keys: Vec<String> = identities.iter().map(Identity::order).collect();
                let work = store::get_many::<Work>(self.store(), &self.realm, &keys).await?;
                let due = |work: &Option<store::Stored<Work>>| {
                    work.as_ref().is_some_and(|work| work.value.due_at <= run.now)
                };
                Ok(identities
                    .into_iter()
                    .zip(&work)
                    .filter(|(_, work)| due(work))
                    .map(|(identity, _)| identity)
                    .collect())
            }
        }
    }

    /// The step that sets a reference once both ends are there.
    async fn reference_step(
        &self,
        run: &Run,
        chunk: &PlanChunk,
        (identity, waiting): &(IdentityId, WaitingReference),
        creates: &Step,
    ) -> Result<Option<Step>> {
        let Some(identity) = store::get::<Identity>(self.store(), &self.realm, &identity.to_string()).await?
        else {
            return Ok(None);
        };
        let identity = identity.value;
        let subject = Subject::Identity(identity.id);
        let row_key = Link::row_key(&waiting.target, &waiting.class, &waiting.tag, &subject);
        let link = store::get::<Link>(self.store(), &self.realm, &row_key).await?.map(|link| link.value);
        let own = chunk.steps.iter().find(|step| {
            step.identity == identity.id
                && (&step.target, &step.class, &step.tag) == (&waiting.target, &waiting.class, &waiting.tag)
                && matches!(step.action, Action::Create { .. })
        });
        if own.is_none() && link.as_ref().is_none_or(|link| link.key.is_none()) {
            return Ok(None);
        }
        let (action, budgets, reasons) = match &waiting.member {
            Some(member) => member_action(run, waiting, member, creates),
            None => {
                let output = OutputRef {
                    step: creates.id.clone(),
                    subject: Subject::Identity(waiting.to),
                    class: waiting.class.clone(),
                    tag: Tag::main(),
                };
                let (action, reasons) = reference_action(waiting, output);
                (action, Vec::new(), reasons)
            }
        };
        let inputs =
            waiting.inputs.iter().map(|inputs| (waiting.attribute.clone(), inputs.clone())).collect();
        let base = step_id(&waiting.target, &waiting.class, &waiting.tag, &identity.order(), &action);
        let id = match &waiting.member {
            Some(_) => base,
            None => StepId::new(format!("{}/{}", base.as_str(), waiting.attribute.as_str())),
        };
        Ok(Some(Step {
            id,
            identity: identity.id,
            label: identity.label(),
            target: waiting.target.clone(),
            class: waiting.class.clone(),
            tag: waiting.tag.clone(),
            key: link.as_ref().and_then(|link| link.key.clone()),
            action,
            budgets,
            offboarding: false,
            needs: own.map(|own| own.id.clone()).into_iter().chain([creates.id.clone()]).collect(),
            inputs,
            withdraws: Default::default(),
            precondition: Precondition {
                // Not the present one: who has left since the chunk was evaluated gets no reference.
                identity_version: waiting.identity_version,
                link_revision: link.map(|link| link.revision),
            },
            reasons,
        }))
    }

    /// Remembers who refers to somebody of whom nothing is known, and that this was so when the chunk was written:
    /// whoever makes that known afterwards finds the row, and wakes them.
    pub(super) async fn expect_unknown(&self, changes: &mut Changes, drafted: &[Drafted]) -> Result<()> {
        let of = |drafted: &Drafted| (drafted.known.identity.id, drafted.unknown.clone());
        let unknown =
            drafted.iter().map(of).flat_map(|(id, rows)| rows.into_iter().map(move |row| (id, row)));
        let unknown: Vec<(IdentityId, String)> = unknown.collect();
        let rows: Vec<Waiting> = unknown.iter().map(|(id, row)| Waiting::for_record(*id, row)).collect();
        let keys: Vec<String> = rows.iter().map(Record::key).collect();
        let known = store::get_many::<Waiting>(self.store(), &self.realm, &keys).await?;
        let mut news = false;
        for (row, known) in rows.iter().zip(known) {
            match known {
                // Still there when the chunk is written: whoever takes it away wakes them.
                Some(Stored { version, .. }) => {
                    changes.expect.push(Expect::Version { table: Waiting::TABLE, key: row.key(), version })
                }
                None => {
                    changes.insert(row)?;
                    news = true;
                }
            }
        }
        if news {
            changes.put(&Meta::<Unknowns>::noted())?;
        }
        let absent: BTreeSet<String> = unknown.into_iter().map(|(_, row)| row).collect();
        let expect = |key: String| match PersonKey::is_key(&key) {
            true => Expect::Absent { table: PersonKey::TABLE, key },
            false => Expect::Absent { table: SourceRecord::TABLE, key },
        };
        changes.expect.extend(absent.into_iter().map(expect));
        Ok(())
    }

    /// Who waits for the accounts of identities that just got them, of each at most [`WAITING`]; those that nobody
    /// waits for are left out.
    pub(crate) async fn waiting_for(
        &self,
        identities: &BTreeSet<IdentityId>,
    ) -> Result<BTreeMap<IdentityId, Vec<Waiting>>> {
        let mut found = BTreeMap::new();
        if identities.is_empty() {
            return Ok(found);
        }
        let scan = |identity: &IdentityId| Scan {
            realm: self.realm.clone(),
            table: Waiting::TABLE,
            select: Select::Equal("waits_for", identity.to_string()),
            after: None,
            limit: WAITING,
        };
        let pages = self.store().scan_all(&identities.iter().map(scan).collect::<Vec<_>>()).await?;
        for (identity, page) in identities.iter().zip(&pages).filter(|(_, page)| !page.rows.is_empty()) {
            let rows = page.rows.iter().map(|row| store::decode::<Waiting>(row).map(|stored| stored.value));
            found.insert(*identity, rows.collect::<Result<Vec<_>>>()?);
        }
        Ok(found)
    }

    /// Makes all dirty who wait for an account that is there, a page at a time: a role may have everybody for a member.
    /// Whoever has to wait on says so in the next plan.
    pub(crate) async fn wake_waiting(&self, identity: IdentityId) -> Result<()> {
        let mut tries = 0;
        while tries < TRIES_MAX {
            let waiting = self.waiting_for(&[identity].into()).await?.remove(&identity).unwrap_or_default();
            if waiting.is_empty() {
                return Ok(());
            }
            let who: Vec<IdentityId> = waiting.iter().map(|waiting| waiting.identity).collect();
            let mut changes = Changes::in_realm(&self.realm);
            self.mark_in(&mut changes, &who).await?;
            for waiting in waiting {
                changes.delete::<Waiting>(waiting.key());
            }
            tries = match self.store().commit(changes).await? {
                Commit::Committed => 0,
                Commit::Conflict(_) => tries + 1,
            };
        }
        Err(Error::new(ErrorKind::Conflict, "others keep marking those who wait; try again")
            .with_effect(Effect::None))
    }
}

/// The edge to a group that the plan makes, and what it spends.
fn member_action(
    run: &Run,
    waiting: &WaitingReference,
    member: &WaitingMember,
    creates: &Step,
) -> (Action, Vec<BudgetKind>, Vec<Reason>) {
    let named = match &creates.action {
        Action::Create { attributes, .. } => attributes.iter().flat_map(|(_, slot)| slot.values()).collect(),
        _ => Vec::new(),
    };
    let privileged_groups = run.facts.get(&waiting.target).map(|facts| &facts.settings.privileged_groups);
    let listed = |value: &&Value| privileged_groups.is_some_and(|groups| groups.contains(&value.to_plain()));
    let privileged = member.privileged || named.iter().any(listed);
    let action = Action::AddMember {
        group_class: member.class.clone(),
        group: Subject::Role(member.role.as_str().to_owned()).to_string(),
        privileged,
        of: Some(Subject::Identity(waiting.to)),
    };
    let reason =
        Reason { attribute: None, derivation: waiting.derivation.clone(), because: member.because.clone() };
    (action, member_budgets(privileged), vec![reason])
}

/// The account that a reference waits for.
fn at_of(waiting: &WaitingReference) -> (IdentityId, TargetName, ClassName) {
    (waiting.to, waiting.target.clone(), waiting.to_class().clone())
}
