//! A worker of a drive: claims a batch, has it planned and applied, and gives it back.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::apply::Among;
use super::rest::{LOOK_AGAIN, Rest};
use super::stop::drained;
use super::{ApplyOptions, Engine, PlanOptions, RunOptions, RunReport, RunUntil};
use crate::error::{Error, ErrorKind, Result, Retry};
use crate::execute::{Bringing, Company};
use crate::id::{IdentityId, PlanId, TargetName};
use crate::model::{Actor, Work};
use crate::plan::{Drive, PlanHeader, PlanState, Scope};
use crate::runtime::{Operation, Progress};

/// Identities claimed together, at most: one chunk of a plan.
const BATCH_MAX: u32 = 256;
/// Identities woken by the clock in one round.
const WAKE_MAX: u64 = 10_000;

/// What a worker begins its turn with.
pub(super) struct Prepared {
    pub(super) claimed: Vec<Work>,
    /// Something else was done.
    pub(super) moved: bool,
    /// There is probably more to do in the realm.
    pub(super) more: bool,
    /// Schedules that are due.
    pub(super) schedules: Vec<String>,
}

/// One worker of a drive.
pub(super) struct Worker<'a> {
    pub(super) engine: &'a Engine,
    pub(super) actor: &'a Actor,
    pub(super) options: &'a RunOptions,
    /// The first one also looks for what waits for an instant or an approval.
    pub(super) first: bool,
    pub(super) owner: String,
    pub(super) report: RunReport,
    /// Whom its edges to a group go with.
    pub(super) company: &'a Company,
    /// While it may bring edges. It has none to bring while it sleeps.
    pub(super) bringing: Option<Bringing<'a>>,
    /// What was last noticed of other processes.
    pub(super) noticed: u64,
}

impl<'a> Worker<'a> {
    pub(super) fn new(
        engine: &'a Engine,
        actor: &'a Actor,
        options: &'a RunOptions,
        first: bool,
        company: &'a Company,
    ) -> Result<Self> {
        let owner = format!("run/{}", engine.inner.mint()?);
        // Before any of them begins: the first one finds that it has company.
        let bringing = Some(company.bring());
        let report = RunReport::default();
        Ok(Self { engine, actor, options, first, owner, report, company, bringing, noticed: 0 })
    }

    pub(super) async fn run(mut self) -> Result<RunReport> {
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
            self.bringing = None;
            let sleep = self.engine.inner.clock.sleep(options.poll);
            tokio::select! {
                biased;
                () = sleep => {}
                () = options.stop.stopped() => {}
                seen = self.engine.inner.store.noticed(self.noticed) => self.noticed = seen,
            }
            self.bringing = Some(self.company.bring());
        }
        Ok(self.report)
    }

    /// Plans and applies a batch, and gives its identities back.
    pub(super) async fn work(&mut self, claimed: Vec<Work>) -> Result<()> {
        let identities: Vec<IdentityId> = claimed.iter().map(|work| work.identity).collect();
        let mut rests: BTreeMap<IdentityId, Rest> = BTreeMap::new();
        let engine = self.engine;
        let progress = Progress::new();
        let lease = self.options.lease;
        let options = self.options;
        let ended = if options.stop.is_stopped() {
            let now = engine.now();
            rests.extend(identities.into_iter().map(|who| (who, Rest::Later(now))));
            Ok(())
        } else {
            let work = self.bring_right(identities, &progress, &mut rests);
            let work = drained(engine.inner.clock.as_ref(), options, &progress, work);
            engine.while_held(&claimed, lease, &progress, work).await
        };
        // An identity that no plan looked at is gone; after an error nobody knows, and somebody looks again.
        let otherwise = match &ended {
            Ok(()) => Rest::Done(None),
            Err(_) => Rest::Later(self.engine.now().plus(LOOK_AGAIN)),
        };
        let rest_of = |work: &Work| rests.get(&work.identity).copied().unwrap_or(otherwise);
        let rests: Vec<(&Work, Rest)> = claimed.iter().map(|work| (work, rest_of(work))).collect();
        for ((_, rest), kept) in rests.iter().zip(self.engine.give_back_all(&rests).await?) {
            self.report.lost += u64::from(!kept);
            self.report.parked += u64::from(kept && matches!(rest, Rest::Parked(_)));
        }
        ended
    }

    pub(super) async fn bring_right(
        &mut self,
        identities: Vec<IdentityId>,
        progress: &Progress,
        rests: &mut BTreeMap<IdentityId, Rest>,
    ) -> Result<()> {
        let header = self.plan(identities).await?;
        if header.state == PlanState::Held {
            self.split(header, progress, rests).await
        } else {
            self.carry_out(header, progress, rests).await
        }
    }

    /// One round: true when there was something to do.
    pub(super) async fn round(&mut self) -> Result<bool> {
        let mut moved = false;
        if self.first {
            self.engine.finish_marking().await?;
            self.wake_by_clock(WAKE_MAX).await?;
            moved = self.go_on(usize::MAX).await?;
        }
        let claimed = self.engine.claim_due(&self.owner, self.options.lease, self.batch()).await?;
        if claimed.is_empty() {
            return Ok(moved);
        }
        self.report.claimed += claimed.len() as u64;
        self.work(claimed).await?;
        Ok(true)
    }

    /// The first part of a turn among several realms: what is not a batch of identities is done, a little at a time,
    /// and a batch is claimed. Nothing is claimed that this process cannot plan.
    pub(super) async fn prepare(&mut self, urgent: bool) -> Result<Prepared> {
        let engine = self.engine;
        engine.authorize(self.actor, Operation::Plan)?;
        engine.authorize(self.actor, Operation::Apply)?;
        engine.expect_policy(&engine.policy()?.version()).await?;
        let batch = self.batch();
        let (mut moved, mut more, mut schedules) = (false, false, Vec::new());
        if self.first {
            engine.finish_marking().await?;
            let woken = self.wake_by_clock(u64::from(batch)).await?;
            let ended = self.report.ended();
            let went_on = self.go_on(1).await? && self.report.ended() > ended;
            moved = woken > 0 || went_on;
            more = woken >= u64::from(batch) || went_on;
            schedules = engine.due_schedules().await?;
        }
        let (owner, lease) = (&self.owner, self.options.lease);
        let claimed = match urgent {
            true => engine.claim_leavers(owner, lease, batch).await?,
            false => engine.claim_due(owner, lease, batch).await?,
        };
        self.report.claimed += claimed.len() as u64;
        more |= claimed.len() as u64 >= u64::from(batch);
        Ok(Prepared { claimed, moved, more, schedules })
    }

    fn batch(&self) -> u32 {
        self.options.batch.clamp(1, BATCH_MAX)
    }

    /// Marks those whose dates have come; returns how many.
    async fn wake_by_clock(&self, limit: u64) -> Result<u64> {
        match self.engine.road(self.actor).due_by_time(limit).await {
            // Others write there: the next round looks again.
            Err(error) if error.kind() == ErrorKind::Conflict => Ok(0),
            woken => woken,
        }
    }

    pub(super) async fn plan(&self, identities: Vec<IdentityId>) -> Result<PlanHeader> {
        let enforced = self.targets(Drive::Enforce).await?;
        let options = PlanOptions { only: Some(enforced), ..PlanOptions::default() };
        self.engine.plan(self.actor, Scope::Identities(identities), options).await
    }

    pub(super) async fn targets(&self, drive: Drive) -> Result<BTreeSet<TargetName>> {
        let targets = self.engine.targets().await?.into_iter();
        Ok(targets
            .filter(|target| target.settings.drive == drive)
            .map(|target| target.settings.name)
            .collect())
    }

    pub(super) async fn apply(&mut self, plan: PlanId, progress: &Progress) -> Result<()> {
        let header = self.engine.plan_header(plan).await?;
        let before = match header.state {
            PlanState::Ready => super::apply::untouched(&header),
            _ => self.engine.apply_report(&header).await?,
        };
        let options = ApplyOptions { patience: Duration::ZERO };
        let seals_later = self.options.until == RunUntil::Forever;
        let among = Among { company: Some(self.company), seals_later };
        let report = self.engine.apply_in(self.actor, plan, &options, progress, among).await?;
        self.report.done += report.done.saturating_sub(before.done);
        self.report.failed += report.failed.saturating_sub(before.failed);
        self.report.skipped += report.skipped.saturating_sub(before.skipped);
        self.report.disputed += report.disputed.saturating_sub(before.disputed);
        self.report.note_plan(plan);
        Ok(())
    }
}

/// Whether an error may be gone in the next round.
pub(super) fn passes(error: &Error) -> bool {
    error.retry() != Retry::Never || error.kind() == ErrorKind::Conflict
}
