//! The continuous drive: dirty identities are claimed, planned and brought right, without anybody asking.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::worker::Worker;
use super::{Engine, Stop};
use crate::error::Result;
use crate::id::PlanId;
use crate::model::Actor;
use crate::runtime::Operation;

/// When the drive returns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RunUntil {
    /// When nothing is due.
    #[default]
    Idle,
    /// When it is stopped.
    Forever,
}

/// How the continuous drive goes.
#[derive(Clone, Debug)]
pub struct RunOptions {
    /// Workers side by side; at least 1.
    pub workers: u32,
    /// When it returns.
    pub until: RunUntil,
    /// Ends it early.
    pub stop: Stop,
    /// How long to wait before looking for work again when there is none. 1 second unless set.
    pub poll: Duration,
    /// How long a worker has an identity before others may take it over. The lease is renewed at every third of it
    /// while the batch is worked on, so that it need not be as long as a batch takes: it says how long the identities
    /// of a worker that is gone wait. It must be longer than a call to a target may take (`timeout_seconds`): what a
    /// worker has under way when it loses its lease has then ended before another begins. 2 minutes unless set.
    pub lease: Duration,
    /// Identities claimed and planned together, at most 256. 64 unless set.
    pub batch: u32,
}

impl Default for RunOptions {
    fn default() -> Self {
        Self {
            workers: 1,
            until: RunUntil::Idle,
            stop: Stop::new(),
            poll: Duration::from_secs(1),
            lease: Duration::from_secs(120),
            batch: 64,
        }
    }
}

/// What the continuous drive did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunReport {
    /// Identities claimed, each time counted.
    pub claimed: u64,
    /// Steps done.
    pub done: u64,
    /// Steps that ended without success.
    pub failed: u64,
    /// Steps not tried: stale, or dependent on a failed one.
    pub skipped: u64,
    /// Steps a person must look at.
    pub disputed: u64,
    /// Plans applied, whole or in part.
    pub plans: Vec<PlanId>,
    /// Plans that wait for approval.
    pub held: Vec<PlanId>,
    /// Identities left to a person: held, or with changes on targets that are reviewed.
    pub parked: u64,
    /// Claims lost to another worker because the lease ended.
    pub lost: u64,
}

impl RunReport {
    fn add(&mut self, other: Self) {
        self.claimed += other.claimed;
        self.done += other.done;
        self.failed += other.failed;
        self.skipped += other.skipped;
        self.disputed += other.disputed;
        self.plans.extend(other.plans);
        self.held.extend(other.held);
        self.parked += other.parked;
        self.lost += other.lost;
    }
}
impl Engine {
    /// Runs the continuous drive: on targets whose drive is `enforce`, what is dirty and due is brought right; leavers
    /// go first. Due by the clock alone counts as dirty. Steps in escrow are gone on with when they are due, and held
    /// plans of this actor when their hold is approved.
    ///
    /// Over budget, the identities whose steps spend what is over wait together in one hold; the others go on. What
    /// targets in `review` need stays dirty for a reviewed plan.
    ///
    /// # Errors
    /// As [`Engine::plan`] and [`Engine::apply`]; the identities of the failed batch stay dirty. A drive that runs
    /// forever goes on after an error that may pass. Claims that are not given back end with their lease.
    pub async fn run(&self, actor: &Actor, options: &RunOptions) -> Result<RunReport> {
        self.authorize(actor, Operation::Plan)?;
        self.authorize(actor, Operation::Apply)?;
        let mut workers = Vec::new();
        for number in 0..options.workers.max(1) {
            let owner = format!("run/{}", self.inner.mint()?);
            let report = RunReport::default();
            workers.push(Worker { engine: self, actor, options, first: number == 0, owner, report });
        }
        let ended = futures_util::future::join_all(workers.into_iter().map(Worker::run)).await;
        let mut report = RunReport::default();
        for ended in ended {
            report.add(ended?);
        }
        Ok(report)
    }
}
<<<<<<< HEAD

impl Worker<'_> {
    async fn run(mut self) -> Result<RunReport> {
        let options = self.options;
        while !options.stop.is_stopped() {
            match self.round().await {
                Ok(true) => continue,
                Ok(false) if options.until == RunUntil::Idle => break,
                Ok(false) => {}
                // A target that cannot be asked or another writer: the drive goes on, the identities come again.
                Err(error) if options.until == RunUntil::Forever && passes(&error) => {
                    tracing::warn!(error = %error.report(), "a round of the drive failed");
                }
                Err(error) => return Err(error),
            }
            let sleep = self.engine.inner.clock.sleep(options.poll);
            futures_util::future::select(Box::pin(sleep), Box::pin(options.stop.stopped())).await;
        }
        Ok(self.report)
    }

    /// Plans and applies a batch, and gives its identities back.
    async fn work(&mut self, claimed: Vec<Work>) -> Result<()> {
        let identities: Vec<IdentityId> = claimed.iter().map(|work| work.identity).collect();
        let mut rests: BTreeMap<IdentityId, Rest> = BTreeMap::new();
        let ended = self.bring_right(identities, &mut rests).await;
        // An identity that no plan looked at is gone; after an error nobody knows, and somebody looks again.
        let otherwise = match &ended {
            Ok(()) => Rest::Done(None),
            Err(_) => Rest::Later(self.engine.now().plus(LOOK_AGAIN)),
        };
        for work in &claimed {
            let rest = rests.get(&work.identity).copied().unwrap_or(otherwise);
            let kept = self.engine.give_back(work, rest).await?;
            self.report.lost += u64::from(!kept);
            self.report.parked += u64::from(kept && matches!(rest, Rest::Parked(_)));
        }
        ended
    }

    async fn bring_right(
        &mut self,
        identities: Vec<IdentityId>,
        rests: &mut BTreeMap<IdentityId, Rest>,
    ) -> Result<()> {
        let header = self.plan(identities).await?;
        if header.state == PlanState::Held {
            self.split(header, rests).await
        } else {
            self.carry_out(header, rests).await
        }
    }

    /// One round: true when there was something to do.
    async fn round(&mut self) -> Result<bool> {
        let mut moved = false;
        if self.first {
            self.engine.finish_marking().await?;
            match self.engine.road(self.actor).due_by_time(WAKE_MAX).await {
                Ok(_) => {}
                // Others write there: the next round looks again.
                Err(error) if error.kind() == ErrorKind::Conflict => {}
                Err(error) => return Err(error),
            }
            moved = self.go_on().await?;
        }
        let batch = self.options.batch.clamp(1, BATCH_MAX);
        let claimed = self.engine.claim_due(&self.owner, self.options.lease, batch).await?;
        if claimed.is_empty() {
            return Ok(moved);
        }
        self.report.claimed += claimed.len() as u64;
        self.work(claimed).await?;
        Ok(true)
    }

    async fn plan(&self, identities: Vec<IdentityId>) -> Result<PlanHeader> {
        let enforced = self.targets(Drive::Enforce).await?;
        let options = PlanOptions { only: Some(enforced), ..PlanOptions::default() };
        self.engine.plan(self.actor, Scope::Identities(identities), options).await
    }

    async fn targets(&self, drive: Drive) -> Result<BTreeSet<TargetName>> {
        let targets = self.engine.targets().await?.into_iter();
        Ok(targets
            .filter(|target| target.settings.drive == drive)
            .map(|target| target.settings.name)
            .collect())
    }

    /// Applies a plan and says what becomes of its identities.
    async fn carry_out(&mut self, header: PlanHeader, rests: &mut BTreeMap<IdentityId, Rest>) -> Result<()> {
        if header.state == PlanState::Ready {
            self.apply(header.id).await?;
        }
        let now = self.engine.now();
        let reviewed = self.targets(Drive::Review).await?;
        let open = self.engine.identities_with_open_steps(&header).await?;
        for number in 0..header.chunks {
            let Some(chunk) = self.engine.plan_steps(header.id, number).await? else { continue };
            for planned in &chunk.planned {
                let skips = || chunk.skips.iter().filter(|skip| skip.identity == planned.identity);
                let review = skips()
                    .any(|skip| skip.reason == RefusalReason::Observed && reviewed.contains(&skip.target));
                let soonest = |at: Timestamp| planned.next_change_at.map_or(at, |next| next.min(at));
                let again = now.plus(LOOK_AGAIN);
                let rest = if open.contains(&planned.identity) {
                    Rest::Later(soonest(again))
                } else if let Some(left) = planned.left {
                    // Whoever ends a stop marks everybody, which wakes them before.
                    let pending = skips().any(|skip| skip.reason == RefusalReason::Pending);
                    let again = if pending { again } else { now.plus(STOPPED) };
                    Rest::Later(soonest(left.max(again)))
                } else if review {
                    Rest::Parked(soonest(now.plus(REVIEW)))
                } else {
                    Rest::Done(planned.next_change_at)
                };
                rests.insert(planned.identity, rest);
            }
        }
        Ok(())
    }

    async fn apply(&mut self, plan: PlanId) -> Result<()> {
        let header = self.engine.plan_header(plan).await?;
        let before = match header.state {
            PlanState::Ready => super::apply::untouched(&header),
            _ => self.engine.apply_report(&header).await?,
        };
        let options = ApplyOptions { patience: Duration::ZERO };
        let report = self.engine.apply(self.actor, plan, &options, &Progress::new()).await?;
        self.report.done += report.done.saturating_sub(before.done);
        self.report.failed += report.failed.saturating_sub(before.failed);
        self.report.skipped += report.skipped.saturating_sub(before.skipped);
        self.report.disputed += report.disputed.saturating_sub(before.disputed);
        if !self.report.plans.contains(&plan) {
            self.report.plans.push(plan);
        }
        Ok(())
    }

    /// Over budget: who spends what is over waits in a hold, the others go on.
    async fn split(&mut self, header: PlanHeader, rests: &mut BTreeMap<IdentityId, Rest>) -> Result<()> {
        let over = self.over(&header).await?;
        let (mut spending, mut free) = (BTreeSet::new(), BTreeSet::new());
        for number in 0..header.chunks {
            let Some(chunk) = self.engine.plan_steps(header.id, number).await? else { continue };
            free.extend(chunk.planned.iter().map(|planned| planned.identity));
            let spends = chunk
                .steps
                .iter()
                .filter(|step| step.budgets.iter().any(|kind| over.contains(&(step.target.clone(), *kind))));
            spending.extend(spends.map(|step| step.identity));
        }
        free.retain(|identity| !spending.contains(identity));
        if free.is_empty() || spending.is_empty() {
            return self.park(header, rests).await;
        }
        if !self.discard(&header).await? {
            return self.park(header, rests).await;
        }
        for identities in [free, spending] {
            let header = self.plan(identities.into_iter().collect()).await?;
            match header.state {
                PlanState::Held => self.park(header, rests).await?,
                _ => self.carry_out(header, rests).await?,
            }
        }
        Ok(())
    }

    /// What the plan spends too much of.
    async fn over(&self, header: &PlanHeader) -> Result<BTreeSet<(TargetName, BudgetKind)>> {
        let allowances = self.engine.allowances(header.now).await?;
        let mut over = BTreeSet::new();
        for (target, counts) in &header.targets {
            let allowance = allowances.get(target).cloned().unwrap_or_default();
            for (kind, wanted) in &counts.spends {
                if *wanted > allowance.left(*kind) {
                    over.insert((target.clone(), *kind));
                }
            }
        }
        Ok(over)
    }

    /// Leaves the identities of a held plan to its hold. A hold of exactly the same takes the place of the new one;
    /// holds of fewer identities give way to it.
    async fn park(&mut self, header: PlanHeader, rests: &mut BTreeMap<IdentityId, Rest>) -> Result<()> {
        let own: BTreeSet<IdentityId> = scope_of(&header).iter().copied().collect();
        let mut until = header.expires_at;
        let mut kept = header.id;
        for (hold, other) in self.holds(HoldState::Open).await? {
            if other.id == header.id {
                continue;
            }
            let covered = scope_of(&other).iter().all(|identity| own.contains(identity));
            if hold.digest == header.digest && other.expires_at > self.engine.now() {
                until = other.expires_at;
                kept = other.id;
                self.discard(&header).await?;
                break;
            }
            if covered {
                self.discard(&other).await?;
            }
        }
        if !self.report.held.contains(&kept) {
            self.report.held.push(kept);
        }
        rests.extend(own.into_iter().map(|identity| (identity, Rest::Parked(until))));
        Ok(())
    }

    /// Plans of this actor that are held, with their holds.
    async fn holds(&self, state: HoldState) -> Result<Vec<(Hold, PlanHeader)>> {
        let engine = self.engine;
        let select = Select::Equal("state", state.as_str().to_owned());
        let (holds, _) = store::list_by::<Hold>(engine.store(), &engine.realm, select, None, 10_000).await?;
        let mut found = Vec::new();
        for hold in holds.into_iter().map(|stored| stored.value) {
            let HoldOf::Plan { plan } = &hold.of else { continue };
            if hold.author != *self.actor {
                continue;
            }
            let header = engine.plan_header(*plan).await?;
            if header.state == PlanState::Held && !scope_of(&header).is_empty() {
                found.push((hold, header));
            }
        }
        Ok(found)
    }

    /// Gives a held plan up: another one takes its place. False when somebody decided it meanwhile: the decision
    /// stands.
    async fn discard(&self, header: &PlanHeader) -> Result<bool> {
        let engine = self.engine;
        let mut changes = Changes::in_realm(&engine.realm);
        let plan = store::get::<PlanHeader>(engine.store(), &engine.realm, &header.id.to_string()).await?;
        let Some(Stored { version, value }) = plan else { return Ok(true) };
        if value.state != PlanState::Held {
            return Ok(false);
        }
        changes.replace(version, &PlanHeader { state: PlanState::Discarded, ..value })?;
        if let Some(hold) = header.hold {
            let hold = store::get::<Hold>(engine.store(), &engine.realm, &hold.to_string()).await?;
            if let Some(Stored { version, value }) = hold {
                if value.state != HoldState::Open {
                    return Ok(false);
                }
                changes.replace(version, &Hold { state: HoldState::Superseded, ..value })?;
            }
        }
        let mut entry = AuditEntry::new(&engine.realm, engine.now(), self.actor, "hold.superseded");
        entry.plan = Some(header.id);
        changes.append.push(entry.append()?);
        Ok(engine.store().commit(changes).await? == Commit::Committed)
    }

    /// Goes on with plans whose steps are due again, and with those whose hold was approved.
    async fn go_on(&mut self) -> Result<bool> {
        let mut moved = false;
        for plan in self.due_plans().await? {
            self.apply(plan).await?;
            moved = true;
        }
        for (_, header) in self.holds(HoldState::Approved).await? {
            if header.expires_at <= self.engine.now() {
                continue;
            }
            match self.apply(header.id).await {
                Ok(()) => {}
                // Somebody else carried it out at the same moment.
                Err(error) if error.kind() == ErrorKind::Conflict => continue,
                Err(error) => return Err(error),
            }
            self.engine.mark_dirty(scope_of(&header)).await?;
            moved = true;
        }
        Ok(moved)
    }

    /// Plans with a step in escrow that is due, or with an intent whose worker is gone.
    async fn due_plans(&self) -> Result<BTreeSet<PlanId>> {
        let engine = self.engine;
        let now = engine.now();
        let facts = engine.facts().await?;
        // A step on a stopped target would be found due again and again; those of other targets go on.
        let writable = |name: &TargetName| {
            facts
                .get(name)
                .is_some_and(|facts| facts.stopped.is_none() && facts.settings.drive != Drive::Observe)
        };
        let mut due = BTreeSet::new();
        for state in ["waiting/", "intent/"] {
            let (mut cursor, mut read) = (None, 0);
            loop {
                let select = Select::ColumnPrefix("open", state.to_owned());
                let (page, next) =
                    store::list_by::<JournalEntry>(engine.store(), &engine.realm, select, cursor, 1_000)
                        .await?;
                read += page.len();
                for entry in page.into_iter().map(|stored| stored.value) {
                    let at = match &entry.state {
                        StepState::Waiting { until } | StepState::Pending { until, .. } => *until,
                        _ => entry.deadline.plus(engine.inner.settle),
                    };
                    if at <= now && writable(&entry.target) {
                        due.insert(entry.plan);
                    }
                }
                cursor = next;
                if cursor.is_none() || read >= OPEN_MAX {
                    break;
                }
            }
        }
        let mut going = BTreeSet::new();
        for plan in due {
            if engine.plan_header(plan).await?.state == PlanState::Applying {
                going.insert(plan);
            }
        }
        Ok(going)
    }
}

/// Whether an error may be gone in the next round.
fn passes(error: &Error) -> bool {
    error.retry() != Retry::Never || error.kind() == ErrorKind::Conflict
}

/// The identities a plan of the drive looked at.
fn scope_of(header: &PlanHeader) -> &[IdentityId] {
    match &header.scope {
        Scope::Identities(identities) => identities,
        Scope::Changed | Scope::All => &[],
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::connector::Registry;
    use crate::id::HoldId;
    use crate::policy::PolicyVersion;
    use crate::runtime::{FixedClock, Runtime};
    use crate::store::MemoryStore;

    /// A held plan of the worker, and its hold.
    fn held(engine: &Engine, actor: &Actor) -> (PlanHeader, Hold) {
        let (plan, hold) = (PlanId::from_uuid(uuid::Uuid::from_u128(1)), uuid::Uuid::from_u128(2));
        let at = engine.now();
        let header = PlanHeader {
            id: plan,
            realm: engine.realm.clone(),
            state: PlanState::Held,
            scope: Scope::All,
            now: at,
            made_at: at,
            expires_at: at.plus(REVIEW),
            policy: PolicyVersion { label: String::new(), hash: String::new() },
            author: actor.clone(),
            identities: 1,
            targets: BTreeMap::new(),
            steps: 1,
            chunks: 1,
            digest: "d".to_owned(),
            hold: Some(HoldId::from_uuid(hold)),
            over: Vec::new(),
        };
        let hold = Hold {
            id: HoldId::from_uuid(hold),
            realm: engine.realm.clone(),
            of: HoldOf::Plan { plan },
            state: HoldState::Open,
            digest: "d".to_owned(),
            reasons: Vec::new(),
            counts: BTreeMap::new(),
            at,
            author: actor.clone(),
            decided_by: None,
        };
        (header, hold)
    }

    #[tokio::test]
    async fn a_decided_hold_is_not_given_up() {
        let clock = Arc::new(FixedClock::at(Timestamp::from_micros(1_000_000_000)));
        let store = Arc::new(MemoryStore::new(clock.clone()));
        let engine = Runtime::builder(store, Registry::new()).clock(clock).build().realm("main");
        let (actor, options) = (Actor::engine(), RunOptions::default());
        let (header, hold) = held(&engine, &actor);
        let worker = Worker {
            engine: &engine,
            actor: &actor,
            options: &options,
            first: true,
            owner: String::new(),
            report: RunReport::default(),
        };
        for (state, given_up) in
            [(HoldState::Approved, false), (HoldState::Rejected, false), (HoldState::Open, true)]
        {
            let mut changes = Changes::in_realm(&engine.realm);
            changes.put(&header).unwrap();
            changes.put(&Hold { state, ..hold.clone() }).unwrap();
            engine.commit(changes).await.unwrap();
            // The header was read while the hold was open.
            assert_eq!(worker.discard(&header).await.unwrap(), given_up);
            let known =
                store::get::<Hold>(engine.store(), &engine.realm, &hold.id.to_string()).await.unwrap();
            let now = known.unwrap().value.state;
            assert_eq!(now, if given_up { HoldState::Superseded } else { state });
            let plan = engine.plan_header(header.id).await.unwrap().state;
            assert_eq!(plan, if given_up { PlanState::Discarded } else { PlanState::Held });
        }
    }
}
=======
>>>>>>> main
