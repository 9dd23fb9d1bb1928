//! Applying a plan: exactly the steps that were read, one lane per target.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Engine;
use crate::audit::{self, AuditEntry};
use crate::error::{Effect, Error, ErrorKind, Result, Retry};
use crate::execute::{Bringing, Company, JournalEntry, Lane, StepState};
use crate::id::{IdentityId, PlanId, TargetName};
use crate::model::{Actor, Hold, HoldState, Work};
use crate::plan::{Drive, PlanHeader, PlanState, Planned};
use crate::runtime::{Operation, Progress};
use crate::store::{self, Changes, Commit, Select, Stored};

/// How a plan is applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApplyOptions {
    /// How long to wait, in all, for steps whose next attempt is due later; after that they stay in escrow and
    /// `apply` may be called again. 30 seconds unless set.
    pub patience: Duration,
}

impl Default for ApplyOptions {
    fn default() -> Self {
        Self { patience: Duration::from_secs(30) }
    }
}

/// What applying a plan came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApplyReport {
    /// The plan.
    pub plan: PlanId,
    /// Where the plan stands now.
    pub state: PlanState,
    /// Steps done, those of earlier calls included.
    pub done: u64,
    /// Steps that ended without success.
    pub failed: u64,
    /// Steps not tried: stale, or dependent on a failed one.
    pub skipped: u64,
    /// Steps a person must look at.
    pub disputed: u64,
    /// Steps in escrow, pending on the target, or not reached.
    pub open: u64,
    /// What went wrong, by target: the first messages.
    pub problems: BTreeMap<TargetName, Vec<String>>,
}

impl ApplyReport {
    /// True when every step is done.
    pub fn is_clean(&self) -> bool {
        self.failed + self.skipped + self.disputed + self.open == 0
    }
}

/// Whom a chunk looked at: what is left to do of it when its steps have ended.
#[derive(Deserialize)]
struct LookedAt {
    planned: Vec<Planned>,
}

/// Among whom a plan is applied.
#[derive(Clone, Copy, Default)]
pub(super) struct Among<'a> {
    /// Whose edges may go to their groups together with ours.
    pub(super) company: Option<&'a Company>,
    /// Others go on after it: what it adds to the audit stream is sealed together with theirs.
    pub(super) seals_later: bool,
}

/// Runs a lane that may bring edges until it has ended.
async fn run_lane(lane: &Lane<'_>, bringing: Option<Bringing<'_>>) -> Result<()> {
    let ended = lane.run().await;
    drop(bringing);
    ended
}

/// The report of a plan of which nothing was begun.
pub(super) fn untouched(header: &PlanHeader) -> ApplyReport {
    ApplyReport {
        plan: header.id,
        state: header.state,
        done: 0,
        failed: 0,
        skipped: 0,
        disputed: 0,
        open: header.steps,
        problems: BTreeMap::new(),
    }
}

fn overtaken(header: &PlanHeader) -> Error {
    Error::new(ErrorKind::Conflict, "others keep changing the plan; try again")
        .with_context("plan", header.id.to_string())
        .with_retry(Retry::After(None))
        .with_effect(Effect::None)
}

/// Tries against others who change a target's row, or the plan's.
const TRIES_MAX: u32 = 10;
/// How far ahead the clock of whoever marked an identity may be: what is due later waits for a date.
const SKEW: Duration = Duration::from_secs(3_600);
/// Messages kept for each target in a report.
const PROBLEMS_MAX: usize = 10;

impl Engine {
    /// Applies a plan. Call it again to go on after a crash, or with what was in escrow: the journal knows.
    ///
    /// A step whose precondition no longer holds is skipped and its identity becomes dirty. A plan over budget needs
    /// its approved hold. Several targets go side by side; one that fails stops only itself.
    ///
    /// # Errors
    /// `NotFound`; `Conflict` for a plan that is held, expired, a preview or incomplete: nothing is written.
    pub async fn apply(
        &self,
        actor: &Actor,
        plan: PlanId,
        options: &ApplyOptions,
        progress: &Progress,
    ) -> Result<ApplyReport> {
        self.apply_in(actor, plan, options, progress, Among::default()).await
    }

    /// Applies a plan whose edges may go to their groups together with those of other plans.
    pub(super) async fn apply_in(
        &self,
        actor: &Actor,
        plan: PlanId,
        options: &ApplyOptions,
        progress: &Progress,
        Among { company, seals_later }: Among<'_>,
    ) -> Result<ApplyReport> {
        self.authorize(actor, Operation::Apply)?;
        let mut header = self.plan_header(plan).await?;
        if header.state == PlanState::Applied {
            return self.apply_report(&header).await;
        }
        let going = header.state == PlanState::Applying;
        let approved = self.open_gate(actor, &mut header).await?;
        progress.total(header.steps);
        // Nobody but us began it, a moment ago: its journal is empty.
        let before = match going {
            true => self.apply_report(&header).await?,
            false => untouched(&header),
        };
        progress.ended(header.steps - before.open, before.failed + before.skipped + before.disputed);
        let lanes = self.lanes(actor, &header, progress, (approved, options.patience, company)).await?;
        let mut runs = Vec::new();
        for lane in &lanes {
            runs.push(run_lane(lane, company.map(Company::bring)));
        }
        // Whoever applies brings what its lanes bring, and nothing besides.
        let resting = company.map(Company::rest);
        let ended = futures_util::future::join_all(runs).await;
        drop(resting);
        for ended in ended {
            ended?;
        }
        let done = before.done + lanes.iter().map(|lane| lane.done.load(Ordering::Relaxed)).sum::<u64>();
        drop(lanes);
        // Where all is done there is nothing to tell: the journal is as long as the plan.
        let report = match done == header.steps {
            true => ApplyReport { done, open: 0, ..untouched(&header) },
            false => self.apply_report(&header).await?,
        };
        let report = self.finish_apply(actor, header, report).await?;
        match seals_later {
            true => self.seal_soon().await?,
            false => drop(audit::seal(self.store(), &self.realm).await?),
        }
        Ok(report)
    }

    /// A lane for each target that may be written to.
    async fn lanes<'a>(
        &'a self,
        actor: &'a Actor,
        header: &'a PlanHeader,
        progress: &'a Progress,
        (approved, patience, company): (bool, Duration, Option<&'a Company>),
    ) -> Result<Vec<Lane<'a>>> {
        let facts = self.facts().await?;
        let mut lanes = Vec::new();
        for (name, counts) in &header.targets {
            // One where everybody was left as they are needs no connector, and nothing of it.
            if counts.steps.is_empty() {
                continue;
            }
            let target = match self.target(name).await {
                Ok(target) => target.value,
                Err(error) if error.is_not_found() => continue,
                Err(error) => return Err(error),
            };
            let stopped = facts.get(name).is_none_or(|facts| facts.stopped.is_some());
            if stopped || target.settings.drive == Drive::Observe {
                continue;
            }
            let connector = self.inner.connector(&self.realm, &target.settings)?;
            let mut lane = Lane::new(self, actor, header, target, connector, progress);
            (lane.approved, lane.patience, lane.company) = (approved, patience, company);
            lanes.push(lane);
        }
        Ok(lanes)
    }

    /// Whether the plan may be executed; takes an approval once. True for a plan that a person approved. Of several who
    /// open it one does, and the others go in after.
    async fn open_gate(&self, actor: &Actor, header: &mut PlanHeader) -> Result<bool> {
        for _ in 0..TRIES_MAX {
            if self.try_gate(actor, header).await? {
                return Ok(header.hold.is_some());
            }
            *header = self.plan_header(header.id).await?;
        }
        Err(overtaken(header))
    }

    /// False when somebody changed the plan since it was read, or decided on it.
    async fn try_gate(&self, actor: &Actor, header: &mut PlanHeader) -> Result<bool> {
        let refuse = |why: &str| {
            Err(Error::new(ErrorKind::Conflict, why.to_owned())
                .with_context("plan", header.id.to_string())
                .with_effect(Effect::None))
        };
        let going = header.state == PlanState::Applying;
        match header.state {
            PlanState::Draft => return refuse("the plan was not finished; make a new one"),
            PlanState::Preview => return refuse("a preview cannot be applied; make a plan"),
            PlanState::Discarded => return refuse("the plan was discarded; make a new one"),
            PlanState::Applied => return Ok(true),
            PlanState::Ready | PlanState::Held | PlanState::Applying => {}
        }
        if !going && header.expires_at <= self.now() {
            self.give_up_expired(actor, header.id).await?;
            return refuse("the plan has expired; make a new one");
        }
        let mut changes = Changes::in_realm(&self.realm);
        if let Some(hold) = header.hold {
            let known = store::get::<Hold>(self.store(), &self.realm, &hold.to_string()).await?;
            match known {
                Some(Stored { version, value }) if !going => {
                    if value.state != HoldState::Approved {
                        return refuse(
                            "the plan is over budget and held: read it, then have its hold approved",
                        );
                    }
                    if value.digest != header.digest {
                        return refuse("the approval is for other content than the plan's");
                    }
                    changes.replace(version, &Hold { state: HoldState::Used, ..value })?;
                }
                Some(_) => {}
                None => return refuse("the plan's hold is gone; make a new plan"),
            }
        }
        if !going {
            let stored = store::get::<PlanHeader>(self.store(), &self.realm, &header.id.to_string()).await?;
            let Some(stored) = stored else { return refuse("the plan is gone; make a new one") };
            if stored.value.state != header.state {
                return Ok(false);
            }
            header.state = PlanState::Applying;
            changes.replace(stored.version, header)?;
            let mut entry = AuditEntry::new(&self.realm, self.now(), actor, "plan.applying");
            entry.plan = Some(header.id);
            entry.policy = Some(header.policy.clone());
            changes.append.push(entry.append()?);
            return Ok(self.store().commit(changes).await? == Commit::Committed);
        }
        Ok(true)
    }

    /// Gives up a plan that nobody may carry out any more: its hold waits for nothing.
    async fn give_up_expired(&self, actor: &Actor, plan: PlanId) -> Result<()> {
        let known = store::get::<PlanHeader>(self.store(), &self.realm, &plan.to_string()).await?;
        let Some(Stored { version, value }) = known else { return Ok(()) };
        if !matches!(value.state, PlanState::Ready | PlanState::Held) {
            return Ok(());
        }
        let mut changes = Changes::in_realm(&self.realm);
        let mut entry = AuditEntry::new(&self.realm, self.now(), actor, "plan.expired");
        entry.plan = Some(plan);
        if let Some(hold) = value.hold
            && let Some(hold) = store::get::<Hold>(self.store(), &self.realm, &hold.to_string()).await?
            && matches!(hold.value.state, HoldState::Open | HoldState::Approved)
        {
            entry.object = Some(hold.value.id.to_string());
            changes.replace(hold.version, &Hold { state: HoldState::Superseded, ..hold.value })?;
        }
        changes.replace(version, &PlanHeader { state: PlanState::Discarded, ..value })?;
        changes.append.push(entry.append()?);
        // Somebody else decided it meanwhile: that stands.
        self.store().commit(changes).await.map(drop)
    }

    /// Ends the plan if every step has ended, and the work of the identities whose steps have.
    async fn finish_apply(
        &self,
        actor: &Actor,
        mut header: PlanHeader,
        mut report: ApplyReport,
    ) -> Result<ApplyReport> {
        let open = match report.open {
            0 => BTreeSet::new(),
            _ => self.identities_with_open_steps(&header).await?,
        };
        for number in 0..header.chunks {
            let chunk = self.plan_chunk_part::<LookedAt>(header.id, number).await?;
            let Some(chunk) = chunk else { continue };
            let planned: Vec<_> =
                chunk.planned.iter().filter(|planned| !open.contains(&planned.identity)).collect();
            let keys: Vec<String> = planned
                .iter()
                .filter_map(|planned| planned.work.as_ref().map(|(key, _)| key.clone()))
                .collect();
            let work = store::get_many::<Work>(self.store(), &self.realm, &keys).await?;
            let seen: BTreeMap<&str, &Planned> = planned
                .iter()
                .filter_map(|planned| planned.work.as_ref().map(|(key, _)| (key.as_str(), *planned)))
                .collect();
            let mut changes = Changes::in_realm(&self.realm);
            for work in work.into_iter().flatten() {
                // Made after the plan, in the place of a mark that an earlier call ended.
                let due = work.value.due_at;
                if due > header.made_at && due <= self.now().plus(SKEW) {
                    continue;
                }
                if let Some(planned) = seen.get(work.value.order.as_str()) {
                    Self::finish_work(&mut changes, Some(&work), planned, self.now())?;
                }
            }
            // Somebody marked one of them meanwhile: they all stay dirty and are looked at again.
            if let Commit::Conflict(_) = self.store().commit(changes).await? {
                continue;
            }
        }
        if report.open == 0 {
            report.state = PlanState::Applied;
            header.state = PlanState::Applied;
            if self.say_applied(actor, &header).await? && report.is_clean() {
                self.count_managed(&header).await?;
            }
        }
        Ok(report)
    }

    /// Of several who finish a plan, one says so: true.
    async fn say_applied(&self, actor: &Actor, header: &PlanHeader) -> Result<bool> {
        for _ in 0..TRIES_MAX {
            let stored = store::get::<PlanHeader>(self.store(), &self.realm, &header.id.to_string()).await?;
            let Some(stored) = stored.filter(|stored| stored.value.state == PlanState::Applying) else {
                return Ok(false);
            };
            let mut changes = Changes::in_realm(&self.realm);
            changes.replace(stored.version, header)?;
            let mut entry = AuditEntry::new(&self.realm, self.now(), actor, "plan.applied");
            entry.plan = Some(header.id);
            changes.append.push(entry.append()?);
            if self.store().commit(changes).await? == Commit::Committed {
                return Ok(true);
            }
        }
        Err(overtaken(header))
    }

    /// A plan that was done whole is a complete cycle: what it made and released counts for the budgets' percentages.
    async fn count_managed(&self, header: &PlanHeader) -> Result<()> {
        for (name, counts) in &header.targets {
            let of = |word: &str| counts.steps.get(word).copied().unwrap_or(0);
            let (made, released) = (of("create"), of("release"));
            for _ in 0..TRIES_MAX {
                let Stored { version, mut value } = match self.target(name).await {
                    Ok(target) if made != released => target,
                    Err(error) if !error.is_not_found() => return Err(error),
                    _ => break,
                };
                value.managed = (value.managed + made).saturating_sub(released);
                let mut changes = Changes::in_realm(&self.realm);
                changes.replace(version, &value)?;
                if self.store().commit(changes).await? == Commit::Committed {
                    break;
                }
            }
        }
        Ok(())
    }

    /// Plans in a state, oldest first: `Ready` ones to read, `Applying` ones to go on with after a crash.
    pub async fn plans(&self, state: PlanState) -> Result<Vec<PlanHeader>> {
        let select = Select::Equal("state", state.as_str().to_owned());
        let (plans, _) = store::list_by::<PlanHeader>(self.store(), &self.realm, select, None, 1_000).await?;
        Ok(plans.into_iter().map(|stored| stored.value).collect())
    }

    /// What became of a plan's steps so far, from the journal.
    pub async fn apply_report(&self, header: &PlanHeader) -> Result<ApplyReport> {
        let mut report = untouched(header);
        let select = Select::Equal("plan", header.id.to_string());
        let mut cursor = None;
        loop {
            let (page, next) =
                store::list_by::<JournalEntry>(self.store(), &self.realm, select.clone(), cursor, 1_000)
                    .await?;
            for entry in page.into_iter().map(|stored| stored.value) {
                match &entry.state {
                    StepState::Done => report.done += 1,
                    StepState::Failed => report.failed += 1,
                    StepState::Skipped { .. } => report.skipped += 1,
                    StepState::Disputed => report.disputed += 1,
                    StepState::Intent | StepState::Waiting { .. } | StepState::Pending { .. } => {}
                }
                let message = match (&entry.state, &entry.error) {
                    (StepState::Done, _) => None,
                    (StepState::Skipped { why }, _) => Some(why.clone()),
                    (_, error) => error.as_ref().map(|error| error.message.clone()),
                };
                if let Some(message) = message {
                    let problems = report.problems.entry(entry.target.clone()).or_default();
                    if problems.len() < PROBLEMS_MAX {
                        problems.push(format!("{}: {message}", entry.step));
                    }
                }
            }
            cursor = next;
            if cursor.is_none() {
                break;
            }
        }
        let ended = report.done + report.failed + report.skipped + report.disputed;
        report.open = header.steps.saturating_sub(ended);
        Ok(report)
    }

    pub(super) async fn identities_with_open_steps(
        &self,
        header: &PlanHeader,
    ) -> Result<BTreeSet<IdentityId>> {
        let mut open = BTreeSet::new();
        for number in 0..header.chunks {
            let Some(chunk) = self.plan_steps(header.id, number).await? else { continue };
            let keys: Vec<String> =
                chunk.steps.iter().map(|step| JournalEntry::row_key(header.id, &step.id)).collect();
            let entries = store::get_many::<JournalEntry>(self.store(), &self.realm, &keys).await?;
            for (step, entry) in chunk.steps.iter().zip(entries) {
                if entry.is_none_or(|entry| !entry.value.state.has_ended()) {
                    open.insert(step.identity);
                }
            }
        }
        Ok(open)
    }
}
