//! Making a plan: identities in order, in chunks, each chunk durable before the next is begun.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::TryStreamExt;
use sha2::{Digest, Sha256};

use super::Engine;
use super::batch::{Batch, BatchFacts};
use super::configure::other_policy;
use super::references::Waiting;
use super::snapshot::{Known, Matches};
use crate::audit::AuditEntry;
use crate::error::{Effect, Error, ErrorKind, Result};
use crate::id::{HoldId, IdentityId, PlanId, TargetName};
use crate::model::{Actor, Hold, HoldOf, HoldState, Identity, Name, NameState, Work};
use crate::plan::{
    Draft, Drive, NameIndex, PlanChunk, PlanHeader, PlanInput, PlanState, Planned, ReferenceKey, Resolved,
    Scope, Step, TargetFacts, WaitingReference, digest_steps, in_use, may_take, over_budget, plan_identity,
};
use crate::policy::{Evaluation, Policy, PolicyInput, RefusalReason};
use crate::runtime::Operation;
use crate::store::{self, Changes, Commit, Conflict, Expect, Record, Stored, Table};
use crate::value::Timestamp;

/// Identities in a chunk.
pub(super) const CHUNK: usize = 256;
/// Rounds of looking names up; each round asks for what the one before could not know.
const NAME_ROUNDS_MAX: u32 = 12;
/// Tries against other planners that want the same names.
const TRIES_MAX: u32 = 8;

/// When a group that still has members of ours is looked at again.
const MEMBERS: Duration = Duration::from_secs(60);

/// How a plan is made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PlanOptions {
    /// For this instant instead of now. Makes a preview.
    pub as_of: Option<Timestamp>,
    /// Show what would be done also where a drive or a stop forbids it, and with proposed rules and mappings; nothing
    /// is reserved, names are provisional, the plan cannot be applied.
    pub preview: bool,
    /// How long the plan may be applied; 7 days unless set.
    pub valid_for: Option<Duration>,
    /// Write to these targets only; what the others need is a skip. The plan takes no identity's dirty mark away: who
    /// asks for part of the work says when the rest is done.
    pub only: Option<BTreeSet<TargetName>>,
    /// Chunks whose facts are read at the same time, at most 64; 0: one. The plan is the same with any number.
    pub workers: u32,
}

/// What one planning run works with.
pub(super) struct Run {
    pub(super) id: PlanId,
    pub(super) now: Timestamp,
    pub(super) until: Timestamp,
    pub(super) preview: bool,
    /// Proposed rules and mappings count: nothing of it may be applied.
    pub(super) proposed: bool,
    /// Dirty marks stay: the plan does part of the work.
    pub(super) partial: bool,
    pub(super) policy: Arc<dyn Policy>,
    pub(super) facts: BTreeMap<TargetName, TargetFacts>,
    /// Targets that are not written to for now, and when to look again.
    pub(super) stops: BTreeMap<TargetName, Timestamp>,
    /// Matches that a person must decide, as they were when the plan was begun.
    pub(super) matches: Arc<Matches>,
    /// The policy is still the realm's: part of every commit that takes marks away. `None` for a preview.
    pub(super) policy_stands: Option<Expect>,
    /// Names given out by a preview, which reserves nothing in the store.
    pub(super) provisional: Vec<Name>,
}

/// One identity, planned.
pub(super) struct Drafted {
    pub(super) known: Known,
    pub(super) evaluation: Evaluation,
    pub(super) draft: Draft,
    pub(super) names: Vec<Name>,
    /// Those it refers to who have left.
    pub(super) gone: Vec<IdentityId>,
    /// The rows of records of those it refers to of whom nothing is known.
    pub(super) unknown: Vec<String>,
    /// The groups of roles it is to be in, that are there.
    pub(super) groups: BTreeMap<ReferenceKey, String>,
}

impl Engine {
    /// Makes a plan. Nothing is written to any target.
    ///
    /// The plan is in the store when this returns: `Ready`, or `Held` when it is over a budget, or `Preview`. An empty
    /// plan is `Applied` at once.
    ///
    /// # Errors
    /// `ConfigInvalid` without a policy; `Conflict` when another policy was set for the realm; `Unavailable` when a
    /// target cannot say which names are taken.
    pub async fn plan(&self, actor: &Actor, scope: Scope, options: PlanOptions) -> Result<PlanHeader> {
        self.authorize(actor, Operation::Plan)?;
        self.finish_marking().await?;
        let made_at = self.now();
        let now = options.as_of.unwrap_or(made_at);
        let preview = options.preview || options.as_of.is_some();
        if !preview && scope == Scope::Changed {
            // Start and end dates act by the clock alone.
            while self.road(actor).due_by_time(u64::from(u16::MAX)).await? > 0 {}
        }
        let until = made_at.plus(options.valid_for.unwrap_or(Duration::from_secs(7 * 86_400)));
        let mut run = self.begin(now, until, preview, options.only.as_ref()).await?;
        let mut header = PlanHeader {
            id: run.id,
            realm: self.realm.clone(),
            state: PlanState::Draft,
            scope: scope.clone(),
            now,
            made_at,
            expires_at: until,
            policy: run.policy.version(),
            author: actor.clone(),
            identities: 0,
            targets: BTreeMap::new(),
            steps: 0,
            chunks: 0,
            digest: String::new(),
            hold: None,
            over: Vec::new(),
        };
        let mut changes = Changes::in_realm(&self.realm);
        changes.insert(&header)?;
        self.commit(changes).await?;
        let mut hasher = Sha256::new();
        let mut waiting = false;
        let mut batches = self.batches(&scope, &run, options.workers);
        while let Some(batch) = batches.try_next().await? {
            waiting |= self.plan_chunk(&mut run, &mut header, &mut hasher, batch).await?;
        }
        if waiting {
            self.plan_references(&mut run, &mut header, &mut hasher).await?;
        }
        header.digest = hex::encode(hasher.finalize());
        self.finish_plan(actor, &run, header).await
    }

    /// What a planning run works with, as it is now.
    async fn begin(
        &self,
        now: Timestamp,
        until: Timestamp,
        preview: bool,
        only: Option<&BTreeSet<TargetName>>,
    ) -> Result<Run> {
        let policy = self.inner.policy(&self.realm)?;
        let policy_stands = match preview {
            true => None,
            false => Some(self.expect_policy(&policy.version()).await?),
        };
        let (mut facts, stops) = self.facts_and_stops().await?;
        for (name, facts) in &mut facts {
            let left_out = only.is_some_and(|only| !only.contains(name));
            if left_out && facts.stopped.is_none() && facts.settings.drive != Drive::Observe {
                facts.stopped = Some("the plan was not asked to write there".to_owned());
            }
        }
        Ok(Run {
            id: PlanId::from_uuid(self.inner.mint()?),
            now,
            until,
            preview,
            proposed: preview,
            partial: only.is_some(),
            policy,
            facts,
            stops,
            matches: Arc::new(self.open_matches().await?),
            policy_stands,
            provisional: Vec::new(),
        })
    }

    /// Plans a chunk and makes it durable. True when it has references that wait.
    async fn plan_chunk(
        &self,
        run: &mut Run,
        header: &mut PlanHeader,
        hasher: &mut Sha256,
        batch: Batch,
    ) -> Result<bool> {
        let Batch { identities, mut facts } = batch;
        for _ in 0..TRIES_MAX {
            let BatchFacts { work, known } = match facts.take() {
                Some(facts) => facts,
                None => self.batch_facts(&identities, run.now, run.id, &run.matches).await?,
            };
            let drafted = self.draft(run, known).await?;
            if !run.preview {
                self.wake_members(&drafted).await?;
            }
            let waiting = drafted.iter().any(|drafted| !drafted.draft.waiting.is_empty());
            let chunk = chunk_of(run, header.chunks, &drafted, &work)?;
            let mut changes = Changes::in_realm(&self.realm);
            changes.insert(&chunk)?;
            changes.expect.extend(run.policy_stands.clone());
            if !run.preview {
                if !self.reserve_names(&mut changes, run, &drafted).await? {
                    continue;
                }
                for (drafted, to) in drafted.iter().flat_map(|of| of.gone.iter().map(move |to| (of, *to))) {
                    changes.put(&Waiting::for_account(drafted.known.identity.id, to))?;
                }
                self.expect_unknown(&mut changes, &drafted).await?;
                for ((planned, drafted), work) in chunk.planned.iter().zip(&drafted).zip(&work) {
                    if rests(drafted) {
                        Self::finish_work(&mut changes, work.as_ref(), planned, run.now)?;
                    }
                }
            }
            match self.store().commit(changes).await? {
                Commit::Committed => {
                    count(header, &chunk);
                    digest_steps(hasher, &chunk.steps)?;
                    if run.preview {
                        run.provisional.extend(drafted.into_iter().flat_map(|drafted| drafted.names));
                    }
                    return Ok(waiting);
                }
                Commit::Conflict(conflict) if is_policy(&conflict) => return Err(other_policy()),
                Commit::Conflict(_) => continue,
            }
        }
        Err(Error::new(ErrorKind::Conflict, "others keep taking the names this plan wants; plan again")
            .with_effect(Effect::None))
    }

    /// Evaluates and plans identities in order, looking names up until none is missing.
    pub(super) async fn draft(&self, run: &Run, known: Vec<Known>) -> Result<Vec<Drafted>> {
        let mut covered: Vec<(crate::plan::StemQuery, Vec<Name>)> = Vec::new();
        for _ in 0..NAME_ROUNDS_MAX {
            let mut index = NameIndex::new(&self.realm, run.policy.namespaces(), run.id, run.now, run.until);
            for (query, names) in &covered {
                let provisional =
                    run.provisional.iter().filter(|name| name.folded.starts_with(&query.stem)).cloned();
                index.cover(query.clone(), names.iter().cloned().chain(provisional));
            }
            let mut evaluated: Vec<(Evaluation, Vec<Name>)> = Vec::with_capacity(known.len());
            for known in &known {
                index.begin(known.identity.id, known.names.clone());
                let input = PolicyInput {
                    identity: &known.identity,
                    lifecycle: known.lifecycle,
                    now: run.now,
                    grants: &known.grants,
                    proposed: run.proposed,
                };
                let evaluation = run.policy.evaluate_subject(&input, &mut index);
                evaluated.push((evaluation, index.take_allotted()));
            }
            let wanted = index.take_wanted();
            if wanted.is_empty() {
                return self.passes(run, known, evaluated).await;
            }
            covered.extend(self.taken(&wanted, run.policy.namespaces(), &run.facts).await?);
        }
        Err(Error::new(
            ErrorKind::Unexpected,
            format!("the policy asks for new names after {NAME_ROUNDS_MAX} rounds"),
        )
        .with_effect(Effect::None))
    }

    async fn passes(
        &self,
        run: &Run,
        known: Vec<Known>,
        evaluated: Vec<(Evaluation, Vec<Name>)>,
    ) -> Result<Vec<Drafted>> {
        let pairs: Vec<(&Identity, &Evaluation)> = known
            .iter()
            .map(|known| &known.identity)
            .zip(evaluated.iter().map(|(evaluation, _)| evaluation))
            .collect();
        let mut references = self.resolve_references(&pairs, &run.facts, run.now).await?;
        let mut drafted = Vec::with_capacity(known.len());
        for (known, (evaluation, names)) in known.into_iter().zip(evaluated) {
            let resolved = references.resolved.remove(&known.identity.id).unwrap_or_default();
            let gone = references.gone.iter().filter(|(from, _)| *from == known.identity.id);
            let gone = gone.map(|(_, to)| *to).collect();
            let unknown = references.unknown.iter().filter(|(from, _)| *from == known.identity.id);
            let unknown = unknown.map(|(_, row)| row.clone()).collect();
            let draft = plan_identity(&PlanInput {
                now: run.now,
                identity: &known.identity,
                lifecycle: known.lifecycle,
                evaluation: &evaluation,
                links: &known.links,
                memberships: &known.memberships,
                targets: &run.facts,
                references: &resolved,
                disputed: &known.disputed,
                open: &known.open,
                peopled: &known.peopled,
                preview: run.preview,
            });
            let groups = resolved.into_iter().filter_map(|(reference, resolved)| match resolved {
                Resolved::Group(_, key) | Resolved::Missing(_, key) => Some((reference, key.id)),
                _ => None,
            });
            let groups = groups.collect();
            drafted.push(Drafted { known, evaluation, draft, names, gone, unknown, groups });
        }
        Ok(drafted)
    }

    /// Reserves the names of steps that will be tried. False when somebody else took one of them meanwhile: the
    /// chunk is drafted again.
    async fn reserve_names(&self, changes: &mut Changes, run: &Run, drafted: &[Drafted]) -> Result<bool> {
        let mut names: Vec<Name> = Vec::new();
        for drafted in drafted.iter().filter(|drafted| !drafted.draft.steps.is_empty()) {
            let acts = |name: &Name| {
                drafted.draft.steps.iter().any(|step| name.purpose.starts_with(&purpose_of(step)))
            };
            names.extend(drafted.names.iter().filter(|name| acts(name)).cloned());
            // A reservation of an earlier plan that was not applied passes to this one, if it is what this one writes.
            let known = &drafted.known.names;
            names.extend(known.iter().filter(|name| acts(name)).filter_map(|name| {
                let alike = known.iter().filter(|other| name.is_for_the_same(other));
                match &name.state {
                    NameState::Reserved { plan, .. }
                        if *plan != run.id && in_use(alike, run.id, run.now) == Some(name) =>
                    {
                        Some(Name {
                            state: NameState::Reserved { plan: run.id, until: run.until },
                            ..name.clone()
                        })
                    }
                    _ => None,
                }
            }));
        }
        let mut seen = BTreeSet::new();
        names.retain(|name| seen.insert(name.key()));
        let keys: Vec<String> = names.iter().map(Record::key).collect();
        let rows = store::get_many::<Name>(self.store(), &self.realm, &keys).await?;
        for (name, row) in names.iter().zip(rows) {
            match row {
                None => changes.insert(name)?,
                // Ours already, under another purpose: nothing to reserve.
                Some(row) if row.value.owner == name.owner && row.value.purpose != name.purpose => {}
                Some(row) => {
                    let space = run.policy.namespaces().iter().find(|space| space.name == name.namespace);
                    if row.value.owner != name.owner && !may_take(&row.value, space, run.now) {
                        return Ok(false);
                    }
                    changes.replace(row.version, name)?;
                }
            }
        }
        Ok(true)
    }

    /// Guards the plan and makes it final.
    async fn finish_plan(&self, actor: &Actor, run: &Run, mut header: PlanHeader) -> Result<PlanHeader> {
        let spends =
            header.targets.iter().map(|(target, counts)| (target.clone(), counts.spends.clone())).collect();
        header.over = over_budget(&spends, &self.allowances(run.now).await?);
        let mut changes = Changes::in_realm(&self.realm);
        let mut entry = AuditEntry::new(&self.realm, self.now(), actor, "plan.made");
        if run.preview {
            header.state = PlanState::Preview;
        } else if header.steps == 0 {
            header.state = PlanState::Applied;
        } else if header.over.is_empty() {
            header.state = PlanState::Ready;
        } else {
            header.state = PlanState::Held;
            let hold = Hold {
                id: HoldId::from_uuid(self.inner.mint()?),
                realm: self.realm.clone(),
                of: HoldOf::Plan { plan: header.id },
                state: HoldState::Open,
                digest: header.digest.clone(),
                reasons: header.over.clone(),
                counts: counts_of(&header),
                at: self.now(),
                author: actor.clone(),
                decided_by: None,
            };
            header.hold = Some(hold.id);
            entry.event = "hold.opened".to_owned();
            entry.note = header.over.join("; ");
            changes.insert(&hold)?;
        }
        changes.put(&header)?;
        if !run.preview {
            entry.plan = Some(header.id);
            entry.policy = Some(header.policy.clone());
            changes.append.push(entry.append()?);
        }
        self.commit(changes).await?;
        Ok(header)
    }

    /// A plan's header.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn plan_header(&self, plan: PlanId) -> Result<PlanHeader> {
        let found = store::get::<PlanHeader>(self.store(), &self.realm, &plan.to_string()).await?;
        found.map(|stored| stored.value).ok_or_else(|| super::configure::missing("plan", &plan.to_string()))
    }

    /// A part of a chunk: whoever needs no steps need not build them.
    pub(crate) async fn plan_chunk_part<T: serde::de::DeserializeOwned>(
        &self,
        plan: PlanId,
        chunk: u32,
    ) -> Result<Option<T>> {
        let key = PlanChunk::row_key(plan, chunk);
        let rows = self.store().get(&self.realm, PlanChunk::TABLE, &[key]).await?;
        let row = rows.into_iter().flatten().next();
        row.map(|row| store::decode_part(PlanChunk::TABLE, &row)).transpose()
    }

    /// A chunk of a plan, from 0; `None` after the last.
    pub async fn plan_steps(&self, plan: PlanId, chunk: u32) -> Result<Option<PlanChunk>> {
        let key = PlanChunk::row_key(plan, chunk);
        Ok(store::get::<PlanChunk>(self.store(), &self.realm, &key)
            .await?
            .map(|stored: Stored<_>| stored.value))
    }
}

/// Whether a commit was refused because another policy was set.
fn is_policy(conflict: &Conflict) -> bool {
    matches!(conflict, Conflict::Expectation { table: Table::Meta, .. })
}

/// The start of the purposes of a step's names.
pub(crate) fn purpose_of(step: &Step) -> String {
    format!("{}/{}/{}/", step.target.as_str(), step.class.as_str(), step.tag.as_str())
}

/// True when the plan does nothing for the identity: what is left of its work can be said now.
fn rests(drafted: &Drafted) -> bool {
    drafted.draft.steps.is_empty() && drafted.draft.waiting.is_empty()
}

/// When to look again at what is left undone although nothing will mark the identity: where a step of another plan is
/// open, and where a target is stopped.
fn left(run: &Run, drafted: &Drafted) -> Option<Timestamp> {
    let skips = drafted.draft.skips.iter();
    let of = skips.filter_map(|skip| match skip.reason {
        RefusalReason::Pending => Some(run.now),
        // Their own steps take the members out.
        RefusalReason::HasMembers => Some(run.now.plus(MEMBERS)),
        RefusalReason::Observed => run.stops.get(&skip.target).copied(),
        _ => None,
    });
    of.min()
}

fn chunk_of(run: &Run, number: u32, drafted: &[Drafted], work: &[Option<Stored<Work>>]) -> Result<PlanChunk> {
    let planned = drafted.iter().zip(work).map(|(drafted, work)| Planned {
        identity: drafted.known.identity.id,
        work: work
            .as_ref()
            .filter(|_| !run.partial)
            .map(|work| (work.value.order.clone(), work.value.generation)),
        next_change_at: Timestamp::earliest(drafted.known.next_change_at, drafted.evaluation.next_change_at),
        left: left(run, drafted),
    });
    let steps: Vec<Step> = drafted.iter().flat_map(|drafted| drafted.draft.steps.iter().cloned()).collect();
    let mut ids = BTreeSet::new();
    if let Some(step) = steps.iter().find(|step| !ids.insert(&step.id)) {
        return Err(Error::new(ErrorKind::Unexpected, "two steps of a plan have the same id")
            .with_context("step", step.id.as_str())
            .with_effect(Effect::None));
    }
    Ok(PlanChunk {
        plan: run.id,
        number,
        planned: planned.collect(),
        offboarding: steps.iter().any(|step| step.offboarding),
        steps,
        skips: drafted.iter().flat_map(|drafted| drafted.draft.skips.iter().cloned()).collect(),
        waiting: drafted
            .iter()
            .flat_map(|drafted| {
                drafted.draft.waiting.iter().map(|waiting| (drafted.known.identity.id, waiting.clone()))
            })
            .collect::<Vec<(IdentityId, WaitingReference)>>(),
    })
}

/// Adds a chunk to the header's counts.
pub(super) fn count(header: &mut PlanHeader, chunk: &PlanChunk) {
    header.chunks += 1;
    header.identities += chunk.planned.len() as u64;
    header.steps += chunk.steps.len() as u64;
    for step in &chunk.steps {
        let counts = header.targets.entry(step.target.clone()).or_default();
        *counts.steps.entry(step.action.word().to_owned()).or_default() += 1;
        for kind in &step.budgets {
            *counts.spends.entry(*kind).or_default() += 1;
        }
    }
    // An account with two problems of a kind is one account left alone.
    let mut counted = BTreeSet::new();
    for skip in &chunk.skips {
        if !counted.insert((skip.identity, &skip.target, &skip.class, &skip.tag, skip.reason)) {
            continue;
        }
        let counts = header.targets.entry(skip.target.clone()).or_default();
        *counts.skipped.entry(skip.reason).or_default() += 1;
    }
}

fn counts_of(header: &PlanHeader) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    for (target, of) in &header.targets {
        for (word, number) in &of.steps {
            counts.insert(format!("{} {word}", target.as_str()), *number);
        }
    }
    counts
}
