//! A lane: the steps of one plan on one target. A stuck target holds its own lane and no other.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use futures_util::StreamExt;
use serde::Deserialize;
use tokio::sync::{Semaphore, SemaphorePermit};

use super::call::asked_for;
use super::company::Company;
use super::gathered::{Gathered, is_edge};
use super::order::{Order, Orders};
use super::wave::{Begun, concurrency};
use super::{JournalEntry, StepState};
use crate::connector::{Connector, Context};
use crate::engine::Engine;
use crate::error::{Effect, Error, ErrorKind, Result};
use crate::id::{IdentityId, StepId};
use crate::model::{Actor, ConfiguredTarget, Quarantine};
use crate::plan::{Drive, PlanHeader};
use crate::planted::{self, Defect};
use crate::runtime::{Progress, meter, within};
use crate::store::{self, Changes, Stored};
use crate::value::Timestamp;

/// Steps begun in one commit.
pub(super) const WAVE: usize = 256;
/// Chunks executed side by side.
pub(super) const AHEAD: usize = 2;
/// How often a lane looks whether its target was stopped, or asked for a pause elsewhere: before a wave.
pub(super) const LOOK: Duration = Duration::from_secs(1);
/// Failures in a row that put a target into quarantine.
const FAILURES_MAX: u32 = 10;
/// How long a target stays in quarantine before somebody looks again.
const QUARANTINE: Duration = Duration::from_secs(6 * 3_600);

/// The steps of one plan on one target, being executed.
pub(crate) struct Lane<'a> {
    pub(crate) engine: &'a Engine,
    pub(crate) actor: &'a Actor,
    pub(crate) header: &'a PlanHeader,
    pub(crate) target: ConfiguredTarget,
    pub(crate) connector: Arc<dyn Connector>,
    pub(crate) progress: &'a Progress,
    /// A person approved the plan: its spending is not counted against other plans.
    pub(crate) approved: bool,
    /// How long to wait for steps in escrow before giving back.
    pub(crate) patience: Duration,
    /// Groups found so far, by class and name.
    pub(crate) groups:
        std::sync::Mutex<BTreeMap<(crate::id::ClassName, String), crate::connector::ObjectKey>>,
    /// The target asked for a pause until then (microseconds since the Unix epoch).
    pub(crate) not_before: AtomicI64,
    /// When it last looked what other processes know of the target (microseconds since the Unix epoch).
    pub(super) looked_at: AtomicI64,
    /// Somebody stopped the target.
    pub(super) halted: AtomicBool,
    /// Failures in a row.
    pub(crate) failures: AtomicU32,
    /// Steps that this lane has done.
    pub(crate) done: AtomicU64,
    /// A turn for each call that the target may have side by side: several waves share them.
    pub(super) calls: Semaphore,
    /// The turn of the wave that begins.
    pub(super) begins: Semaphore,
    /// Other plans that edges may go together with.
    pub(crate) company: Option<&'a Company>,
}

/// What a step came to in the journal, with the version to write over.
pub(super) type Entries = BTreeMap<StepId, Stored<JournalEntry>>;

/// Whether a chunk has leavers. Its steps are not built to learn that: most plans have none.
#[derive(Deserialize)]
struct Urgency {
    offboarding: bool,
}

/// A step that can be tried, and the chunk it is in.
#[derive(Clone, Debug)]
pub(super) struct Ready {
    pub(super) chunk: u32,
    /// When what was planned for the identity is to be looked at again: from then on it is stale.
    pub(super) stale_at: Option<Timestamp>,
    pub(super) step: Arc<Order>,
}

/// What a pass over a chunk found.
#[derive(Default)]
struct Pass {
    /// Something ended or was tried.
    moved: bool,
    /// Steps that have not ended.
    open: u64,
    /// When the next of them may be tried.
    next: Option<Timestamp>,
}

/// What a pass over the chunks found.
#[derive(Default)]
struct Round {
    moved: bool,
    /// Chunks with steps that have not ended.
    open: BTreeSet<u32>,
    next: Option<Timestamp>,
}

impl<'a> Lane<'a> {
    /// A lane that waits for nothing and has no company.
    pub(crate) fn new(
        engine: &'a Engine,
        actor: &'a Actor,
        header: &'a PlanHeader,
        target: ConfiguredTarget,
        connector: Arc<dyn Connector>,
        progress: &'a Progress,
    ) -> Self {
        Self {
            engine,
            actor,
            header,
            connector,
            progress,
            approved: false,
            patience: Duration::ZERO,
            groups: Default::default(),
            not_before: AtomicI64::new(0),
            // Its target was read a moment ago.
            looked_at: AtomicI64::new(engine.now().as_micros()),
            halted: AtomicBool::new(false),
            failures: AtomicU32::new(target.failures),
            done: AtomicU64::new(0),
            calls: Semaphore::new(concurrency(&target)),
            begins: Semaphore::new(1),
            company: None,
            target,
        }
    }

    /// Executes until nothing is left, nothing can move, or what waits takes longer than the patience.
    pub(crate) async fn run(&self) -> Result<()> {
        let started = self.engine.now();
        self.hear_of_pauses().await?;
        let mut chunks: Vec<u32> = (0..self.header.chunks).collect();
        // Leavers first: their access ends before anybody gets any.
        let mut moved = self.may_offboard() && self.pass(&chunks, true).await?.moved;
        loop {
            let round = self.pass(&chunks, false).await?;
            if round.open.is_empty() {
                return Ok(());
            }
            if self.stopped() {
                return self.quarantine().await;
            }
            if self.ends() {
                return Ok(());
            }
            chunks = round.open.into_iter().collect();
            if round.moved || std::mem::take(&mut moved) {
                continue;
            }
            let now = self.engine.now();
            match round.next {
                Some(next) if next.since(started) <= self.patience => {
                    let wait = next.since(now).max(Duration::from_millis(1));
                    let sleep = self.engine.inner.clock.sleep(wait);
                    futures_util::future::select(sleep, std::pin::pin!(self.progress.stopped())).await;
                }
                // Nothing moves, nothing waits, and nobody else is at it.
                None if self.skip_stranded(&chunks).await? => {}
                _ => return Ok(()),
            }
        }
    }

    /// Executes what is ready of chunks, the next one beside the one before it: while the store writes of one, the
    /// target is called for the other. Edges that need not be first go at the end, in as few requests as they need.
    async fn pass(&self, chunks: &[u32], offboarding: bool) -> Result<Round> {
        let gathered = Gathered::default();
        // Copied: the compiler does not see that a closure over a borrowed number can be sent between threads.
        let passes = chunks.iter().copied().map(|number| self.take_up(number, offboarding, &gathered));
        let mut passes = futures_util::stream::iter(passes).buffer_unordered(AHEAD);
        let (mut round, mut open) = (Round::default(), BTreeMap::new());
        while let Some(pass) = passes.next().await {
            let (number, pass) = pass?;
            open.insert(number, pass.open);
            round.moved |= pass.moved;
            round.next = Timestamp::earliest(round.next, pass.next);
        }
        drop(passes);
        if !self.stopped() && !self.ends() {
            self.drain(&gathered).await?;
        }
        let (moved, ended) = gathered.ended();
        round.moved |= moved;
        for (number, ended) in ended {
            open.entry(number).and_modify(|open| *open = open.saturating_sub(ended));
        }
        round.open = open.into_iter().filter(|(_, open)| *open > 0).map(|(number, _)| number).collect();
        Ok(round)
    }

    /// Executes what is ready of one chunk, and the requests that its edges made full.
    async fn take_up(&self, number: u32, offboarding: bool, gathered: &Gathered) -> Result<(u32, Pass)> {
        if self.stopped() || self.ends() {
            // Not looked at: as far as anybody knows, it is open.
            return Ok((number, Pass { open: 1, ..Pass::default() }));
        }
        let pass = self.chunk(number, offboarding, gathered).await?;
        self.send_full(gathered).await?;
        Ok((number, pass))
    }

    /// Whether the plan has steps here that can be part of an offboarding: only then are chunks looked through for
    /// them.
    fn may_offboard(&self) -> bool {
        let counts = self.header.targets.get(&self.target.settings.name);
        let others = ["create", "enable", "rename", "add_member"];
        counts.is_some_and(|counts| counts.steps.keys().any(|word| !others.contains(&word.as_str())))
    }

    /// Executes what is ready of one chunk.
    async fn chunk(&self, number: u32, offboarding: bool, gathered: &Gathered) -> Result<Pass> {
        let mut pass = Pass::default();
        let plan = self.header.id;
        if offboarding {
            let urgency = self.engine.plan_chunk_part::<Urgency>(plan, number).await?;
            if !urgency.is_some_and(|urgency| urgency.offboarding) {
                return Ok(pass);
            }
        }
        let Some(chunk) = self.engine.plan_chunk_part::<Orders>(plan, number).await? else { return Ok(pass) };
        let planned = chunk.planned.iter();
        let dates = planned.filter_map(|of| of.next_change_at.map(|at| (of.identity, at)));
        let dates: BTreeMap<IdentityId, Timestamp> = dates.collect();
        let steps: Vec<Arc<Order>> = chunk
            .steps
            .into_iter()
            .filter(|step| step.target == self.target.settings.name && (!offboarding || step.offboarding))
            .map(Arc::new)
            .collect();
        let mut entries = self.entries(&steps).await?;
        self.engine.ask_time().await?;
        loop {
            let (mut ready, open, next) = self.ready(&steps, &entries).await?;
            let stale = self.know_groups(&mut ready).await?;
            self.skip(&stale, &entries, true).await?;
            pass.open = open.saturating_sub(stale.len() as u64);
            pass.next = next;
            let (edges, ready): (Vec<Ready>, Vec<Ready>) = ready
                .into_iter()
                .map(|step| {
                    let stale_at = dates.get(&step.identity).copied();
                    Ready { chunk: number, stale_at, step }
                })
                // Leavers do not wait for company.
                .partition(|ready| !ready.step.offboarding && is_edge(&ready.step.action));
            if self.stopped() || self.ends() {
                return Ok(pass);
            }
            if ready.is_empty() {
                gathered.add(edges, &mut entries);
                return Ok(pass);
            }
            pass.moved = true;
            for wave in ready.chunks(WAVE) {
                let mut settled = self.wave(wave, &entries, None).await?;
                // Skipped, or another process has them.
                let others: Vec<Ready> =
                    wave.iter().filter(|ready| !settled.contains_key(&ready.step.id)).cloned().collect();
                settled.append(&mut self.reload(&others).await?);
                entries.append(&mut settled);
                if self.stopped() || self.ends() {
                    return Ok(pass);
                }
            }
        }
    }

    /// The journal of steps and of everything they need.
    pub(super) async fn entries(&self, steps: &[Arc<Order>]) -> Result<Entries> {
        let ids = steps.iter().flat_map(|step| step.needs.iter().chain([&step.id]));
        let mut keys: Vec<String> = ids.map(|id| JournalEntry::row_key(self.header.id, id)).collect();
        keys.sort();
        keys.dedup();
        let found = store::get_many::<JournalEntry>(self.engine.store(), &self.engine.realm, &keys).await?;
        Ok(found.into_iter().flatten().map(|entry| (entry.value.step.clone(), entry)).collect())
    }

    /// Steps that can be tried now, how many have not ended, and when the next of those may be tried.
    async fn ready(
        &self,
        steps: &[Arc<Order>],
        entries: &Entries,
    ) -> Result<(Vec<Arc<Order>>, u64, Option<Timestamp>)> {
        let now = self.engine.now();
        let (mut ready, mut open, mut next) = (Vec::new(), 0, None);
        let mut blocked: Vec<(Arc<Order>, String)> = Vec::new();
        for step in steps {
            let entry = entries.get(&step.id).map(|entry| &entry.value);
            if entry.is_some_and(|entry| entry.state.has_ended()) {
                continue;
            }
            open += 1;
            let not_before = entry.and_then(|entry| match &entry.state {
                StepState::Intent => Some(self.engine.takeover_at(entry.deadline)),
                StepState::Waiting { until } | StepState::Pending { until, .. } => Some(*until),
                _ => None,
            });
            if let Some(at) = not_before.filter(|at| *at > now) {
                next = Timestamp::earliest(next, Some(at));
                continue;
            }
            let needs = step.needs.iter().map(|need| entries.get(need).map(|entry| &entry.value.state));
            let mut missing = false;
            let mut failed = false;
            for state in needs {
                match state {
                    Some(StepState::Done) => {}
                    Some(state) if state.has_ended() => failed = true,
                    _ => missing = true,
                }
            }
            if failed {
                blocked.push((step.clone(), "a step it needs did not succeed".to_owned()));
            } else if !missing {
                ready.push(step.clone());
            }
        }
        if !blocked.is_empty() {
            open -= blocked.len() as u64;
            self.skip(&blocked, entries, false).await?;
        }
        Ok((ready, open, next))
    }

    /// What the target's log says of a call for a step.
    pub(super) fn correlation(&self, begun: &Begun) -> String {
        format!("{}/{}", self.header.id, begun.step.id.as_str())
    }

    /// The context of a call.
    pub(super) fn context(&self, begun: &Begun) -> Context {
        let mut cx = Context::new(self.engine.realm.clone(), self.correlation(begun));
        cx.deadline = Some(self.engine.now().plus(self.limit(begun)));
        cx
    }

    /// How long a call for a step may take now: after its intent's deadline others may take the step over.
    pub(super) fn limit(&self, begun: &Begun) -> Duration {
        self.limit_until(begun.entry.deadline)
    }

    /// How long a call may take now that must have ended at the deadline, by the store's clock.
    pub(super) fn limit_until(&self, deadline: Timestamp) -> Duration {
        // Planted: whoever was paused goes on as if no time had passed.
        if planted::is(Defect::StaleLeaseCommits) {
            return self.timeout();
        }
        self.timeout().min(deadline.since(self.engine.stored_at_most()))
    }

    /// Makes a call for a step within its limit. With no time left it is not made.
    pub(super) async fn within<T>(&self, begun: &Begun, call: impl Future<Output = Result<T>>) -> Result<T> {
        let limit = self.limit(begun);
        if limit.is_zero() {
            return Err(Error::new(ErrorKind::Unavailable, "the attempt's time was over before the call")
                .with_effect(Effect::None));
        }
        self.turn(limit / 2).await?;
        // What is left after the turn has come.
        let limit = self.limit(begun);
        let call = within(self.engine.inner.clock.as_ref(), limit, call);
        let answer = meter::request(&self.target.settings.name, self.engine, call).await;
        if let Err(error) = &answer
            && let (ErrorKind::RateLimited, retry) = (error.kind(), error.retry())
        {
            self.told_to_pause(asked_for(retry)).await;
        }
        answer
    }

    pub(super) fn timeout(&self) -> Duration {
        Duration::from_secs(u64::from(self.target.settings.timeout_seconds.max(1)))
    }

    /// How much longer the target wants to be left alone.
    pub(super) fn pause(&self) -> Option<Duration> {
        let until = Timestamp::from_micros(self.not_before.load(Ordering::Relaxed));
        let left = until.since(self.engine.now());
        (!left.is_zero()).then_some(left)
    }

    /// The target asked for a pause: nobody on this lane calls it before that.
    pub(super) fn pace(&self, after: Duration) {
        self.not_before.fetch_max(self.engine.now().plus(after).as_micros(), Ordering::Relaxed);
    }

    /// Waits until the target may have one call more.
    pub(super) async fn call_turn(&self) -> Option<SemaphorePermit<'_>> {
        let waiting = meter::waiting(&self.target.settings.name);
        // It does not matter to a turn that nobody gives any more.
        let turn = self.calls.acquire().await.ok();
        drop(waiting);
        turn
    }

    /// Nothing more is begun: the operation was stopped, or the target was.
    pub(super) fn ends(&self) -> bool {
        self.progress.is_stopped() || self.halted.load(Ordering::Relaxed)
    }

    /// Looks, from time to time, whether another process or a person has stopped the target, or it asked for a pause.
    pub(super) async fn look_around(&self) -> Result<()> {
        if !self.looks() {
            return Ok(());
        }
        self.hear_of_pauses().await?;
        let name = &self.target.settings.name;
        let stopped = match self.engine.target(name).await {
            Ok(Stored { value, .. }) => {
                let now = self.engine.now();
                let quarantined = value.quarantine.as_ref().is_some_and(|quarantine| quarantine.until > now);
                value.paused || quarantined || value.settings.drive == Drive::Observe
            }
            Err(error) if error.is_not_found() => true,
            Err(error) => return Err(error),
        };
        if stopped && !self.halted.swap(true, Ordering::Relaxed) {
            tracing::info!(target = name.as_str(), "the target was stopped: its lane ends");
        }
        Ok(())
    }

    /// Takes note of how a call ended, for the breaker.
    pub(super) fn note(&self, failed: Option<ErrorKind>) {
        match failed {
            None => self.failures.store(0, Ordering::Relaxed),
            Some(ErrorKind::Unauthenticated) => {
                self.failures.store(FAILURES_MAX, Ordering::Relaxed);
            }
            Some(ErrorKind::Unavailable) => {
                self.failures.fetch_add(1, Ordering::Relaxed);
            }
            Some(_) => {}
        }
    }

    pub(super) fn stopped(&self) -> bool {
        self.failures.load(Ordering::Relaxed) >= FAILURES_MAX
    }

    /// Stops writing to the target; what is left stays in the plan.
    async fn quarantine(&self) -> Result<()> {
        let name = &self.target.settings.name;
        let Stored { version, value } = self.engine.target(name).await?;
        let now = self.engine.now();
        let quarantine = Quarantine {
            since: now,
            reason: "too many calls in a row failed; see the plan's journal".to_owned(),
            until: now.plus(QUARANTINE),
        };
        let mut changes = Changes::in_realm(&self.engine.realm);
        changes.replace(version, &ConfiguredTarget { quarantine: Some(quarantine), ..value })?;
        let mut entry =
            crate::audit::AuditEntry::new(&self.engine.realm, now, self.actor, "target.quarantined");
        entry.target = Some(name.clone());
        entry.plan = Some(self.header.id);
        changes.append.push(entry.append()?);
        self.engine.store().commit(changes).await?;
        meter::quarantined(name);
        tracing::warn!(target = name.as_str(), "target in quarantine");
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::workbench::{Workbench, now};
    use super::*;
    use crate::plan::TargetCounts;

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[tokio::test]
    async fn a_call_has_the_targets_time_and_no_more_than_is_left() {
        let mut bench = Workbench::new().await;
        bench.target.settings.timeout_seconds = 5;
        let lane = bench.lane();
        assert_eq!(lane.timeout(), seconds(5));
        assert_eq!(lane.limit_until(now().plus(seconds(60))), seconds(5));
        assert_eq!(lane.limit_until(now().plus(seconds(3))), seconds(3));
        assert_eq!(lane.limit_until(now().minus(seconds(3))), Duration::ZERO);
        let begun = bench.begun(crate::plan::Action::Enable);
        assert_eq!(lane.context(&begun).deadline, Some(now().plus(seconds(5))));
        let plan = bench.header.id;
        assert_eq!(lane.context(&begun).correlation, format!("{plan}/directory/user/main/hr:1/enable"));
    }

    #[tokio::test]
    async fn a_call_without_time_is_not_made() {
        let bench = Workbench::new().await;
        let mut begun = bench.begun(crate::plan::Action::Enable);
        let lane = bench.lane();
        assert_eq!(lane.within(&begun, async { Ok(7) }).await.unwrap(), 7);
        begun.entry.deadline = now();
        let error = lane.within(&begun, async { Ok(7) }).await.unwrap_err();
        assert_eq!((error.kind(), error.effect()), (ErrorKind::Unavailable, Effect::None));
    }

    #[tokio::test]
    async fn a_pause_lasts_as_long_as_the_longest_that_was_asked_for() {
        let bench = Workbench::new().await;
        let lane = bench.lane();
        assert_eq!(lane.pause(), None);
        lane.pace(seconds(30));
        lane.pace(seconds(10));
        assert_eq!(lane.pause(), Some(seconds(30)));
        bench.clock.set(now().plus(seconds(29)));
        assert_eq!(lane.pause(), Some(seconds(1)));
        bench.clock.set(now().plus(seconds(30)));
        assert_eq!(lane.pause(), None);
    }

    #[tokio::test]
    async fn ten_failures_in_a_row_stop_a_lane_and_one_refusal_of_our_credentials_does() {
        let bench = Workbench::new().await;
        let lane = bench.lane();
        let fail = |times: u32| (0..times).for_each(|_| lane.note(Some(ErrorKind::Unavailable)));
        fail(9);
        assert!(!lane.stopped());
        lane.note(None);
        fail(9);
        lane.note(Some(ErrorKind::PolicyRejected));
        assert!(!lane.stopped(), "a value that is refused says nothing of the target");
        fail(1);
        assert!(lane.stopped());
        let lane = bench.lane();
        lane.note(Some(ErrorKind::Unauthenticated));
        assert!(lane.stopped());
    }

    #[tokio::test]
    async fn chunks_are_looked_through_for_leavers_only_where_there_may_be_some() {
        let mut bench = Workbench::new().await;
        let offboards = |bench: &Workbench| bench.lane().may_offboard();
        assert!(!offboards(&bench), "nothing is planned here");
        let joiners = ["create", "enable", "rename", "add_member"].map(|word| (word.to_owned(), 1));
        let counts = TargetCounts { steps: joiners.into(), ..TargetCounts::default() };
        bench.header.targets.insert("directory".into(), counts.clone());
        assert!(!offboards(&bench));
        for word in ["disable", "delete", "remove_member", "update", "release"] {
            let mut counts = counts.clone();
            counts.steps.insert(word.to_owned(), 1);
            bench.header.targets.insert("directory".into(), counts);
            assert!(offboards(&bench), "{word}");
        }
    }
}
