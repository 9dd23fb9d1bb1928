//! The drive of all realms of a store, with one set of workers. A realm in which nothing is due costs its rows and
//! nothing else: no task, no timer, no connector and no poll of its own.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::{Either, select};
use futures_util::stream::FuturesUnordered;
use serde::{Deserialize, Serialize};

use super::nodes::Seat;
use super::turns::{Turn, Turns};
use super::worker::{Prepared, Worker, passes};
use super::{Engine, RunOptions, RunReport, RunUntil};
use crate::error::{Error, ErrorRecord, Result};
use crate::execute::Company;
use crate::id::RealmId;
use crate::model::{Actor, Work};
use crate::runtime::{Inner, Runtime, meter};
use crate::store::{Due, Table};
use crate::value::Timestamp;

/// Realms found by one look, for each reason.
const PAGE: u32 = 1_000;
/// Realms whose last error is kept.
const PROBLEMS_MAX: usize = 1_000;
/// Schedules run at the same time.
const SCHEDULES_MAX: usize = 4;
/// How long a connector may be without use before it is given up.
const CONNECTOR_IDLE: Duration = Duration::from_secs(600);
/// How often what is not needed any more is given up.
const TIDY: Duration = Duration::from_secs(60);

/// What the drive of all realms did.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct RealmsReport {
    /// Of all realms together.
    pub total: RunReport,
    /// Batches that realms had their turn for; one in which there was nothing to do counts.
    pub turns: u64,
    /// The error of each realm whose last turn failed; at most 1,000 realms.
    pub problems: BTreeMap<RealmId, ErrorRecord>,
}

impl Runtime {
    /// Runs the continuous drive ([`Engine::run`]) for all realms of the store, with one set of workers.
    ///
    /// Realms with something due take turns of one batch, so that a busy realm delays another by no more than its
    /// share. Leavers of all realms go first, three turns in four at most while others wait. A realm has several
    /// workers only while one is left for a realm that has none. A realm that fails, or has no policy in this process,
    /// rests for a second, the longer the more often up to a minute, and hurts no other.
    ///
    /// Idle, it makes two calls of the store each `poll`, however many realms there are. What a commit of this runtime
    /// makes due is seen at once, what is due at an instant at that instant.
    ///
    /// # Errors
    /// When the store cannot say what is due, and [`RunUntil::Forever`] would not help. The errors of realms are in the
    /// report. `AlreadyExists` when another process lives under the name of this node, or has taken it over: then the
    /// drive is stopped, and what it had is finished or given back first.
    pub async fn run(&self, actor: &Actor, options: &RunOptions) -> Result<RealmsReport> {
        let claimed = AtomicU64::new(0);
        let stop = &options.stop;
        let seat = Seat::take(&self.0, options.workers, &claimed, stop).await?;
        let drive = RealmsDrive::new(&self.0, actor, options, &claimed).run();
        let Some(seat) = seat else { return drive.await };
        let ended = match select(pin!(drive), pin!(seat.keep())).await {
            Either::Left((ended, _)) => ended,
            Either::Right((lost, drive)) => {
                tracing::error!(error = %lost.report(), "the drive is stopped");
                stop.stop();
                drive.await.and(Err(lost))
            }
        };
        if let Err(error) = seat.leave().await {
            tracing::warn!(error = %error.report(), "the node's row stays until it is late");
        }
        ended
    }
}

/// Why realms are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reason {
    /// Leavers are due.
    Leavers,
    /// A date has come.
    Dates,
    /// Others are due.
    Others,
    /// What concerns everybody, or an approval, was noted.
    Noted,
}

impl Reason {
    const ALL: [Self; 4] = [Self::Leavers, Self::Dates, Self::Others, Self::Noted];

    /// Dates end employments: they go with the leavers.
    fn is_urgent(self) -> bool {
        matches!(self, Self::Leavers | Self::Dates)
    }

    /// The question, with leases by the store's clock and dates by ours.
    fn due(self, stored: Timestamp, now: Timestamp, after: Option<RealmId>) -> Due {
        let (table, column, prefix, at_most) = match self {
            Self::Leavers => (Table::Work, "due", "0|", Work::due_column(true, stored)),
            Self::Others => (Table::Work, "due", "1|", Work::due_column(false, stored)),
            Self::Dates => (Table::Identity, "next_change_at", "", now.sortable()),
            Self::Noted => (Table::Meta, "due", "", stored.sortable()),
        };
        Due { table, column, prefix: prefix.to_owned(), at_most, after, limit: PAGE }
    }

    /// When something is due that is not due yet.
    fn later(self, value: &str) -> Option<Timestamp> {
        let at = match self {
            Self::Leavers | Self::Others => value.split_once('|').map_or(value, |(_, at)| at),
            Self::Dates | Self::Noted => value,
        };
        at.parse().ok()
    }
}

/// What happened in a turn.
enum Event {
    /// It has begun: its batch is claimed.
    Begun {
        turn: Turn,
        engine: Engine,
        owner: String,
        company: Arc<Company>,
        report: RunReport,
        prepared: Result<Prepared>,
    },
    /// A schedule was run, or another node runs it.
    Ran { realm: RealmId, name: String, ended: Result<()> },
    /// It is over.
    Over { turn: Turn, report: RunReport, ended: Result<()> },
}

type Part<'a> = Pin<Box<dyn Future<Output = Event> + Send + 'a>>;

struct RealmsDrive<'a> {
    inner: &'a Arc<Inner>,
    actor: &'a Actor,
    options: &'a RunOptions,
    turns: Turns,
    /// Workers of one realm send their edges together, while it has any.
    companies: BTreeMap<RealmId, Arc<Company>>,
    report: RealmsReport,
    /// Schedules that are being run.
    schedules: BTreeSet<(RealmId, String)>,
    /// What the node's row tells.
    claimed: &'a AtomicU64,
    under_way: FuturesUnordered<Part<'a>>,
    /// Where the next look goes on, for each reason.
    after: [Option<RealmId>; Reason::ALL.len()],
    /// When to look again although somebody is at work.
    look_at: Timestamp,
    /// When the next thing is due, as the last look found it.
    later: Option<Timestamp>,
    tidy_at: Timestamp,
    /// A turn did something since realms in which there was nothing to do were looked at again.
    moved: bool,
    /// What was last noticed of other processes.
    noticed: u64,
}

impl<'a> RealmsDrive<'a> {
    fn new(inner: &'a Arc<Inner>, actor: &'a Actor, options: &'a RunOptions, claimed: &'a AtomicU64) -> Self {
        Self {
            inner,
            actor,
            options,
            turns: Turns::new(options.workers),
            companies: BTreeMap::new(),
            report: RealmsReport::default(),
            schedules: BTreeSet::new(),
            claimed,
            under_way: FuturesUnordered::new(),
            after: Default::default(),
            look_at: inner.clock.now(),
            later: None,
            tidy_at: inner.clock.now(),
            moved: false,
            noticed: 0,
        }
    }

    async fn run(mut self) -> Result<RealmsReport> {
        let _listening = self.inner.wakes.listen();
        let ended = self.drive().await;
        // What was claimed is finished, and given back.
        while let Some(event) = self.under_way.next().await {
            self.happened(event);
        }
        ended.map(|()| self.report)
    }

    async fn drive(&mut self) -> Result<()> {
        while !self.options.stop.is_stopped() {
            self.wake();
            let idle = self.turns.is_empty() && self.under_way.is_empty();
            if idle || self.inner.clock.now() >= self.look_at {
                self.look().await?;
            }
            while let Some(turn) = self.turns.next() {
                self.report.turns += 1;
                let company = Arc::clone(self.companies.entry(turn.realm.clone()).or_default());
                self.under_way.push(Box::pin(begin(self.inner, self.actor, self.options, turn, company)));
            }
            if !self.under_way.is_empty() {
                self.wait_for_a_turn().await;
            } else if self.after.iter().any(Option::is_some) {
                // Realms of the next page, before there is a pause.
            } else if self.options.until == RunUntil::Forever {
                self.pause().await;
            } else if !(self.moved && self.turns.rouse_all_idle()) {
                return Ok(());
            } else {
                self.moved = false;
            }
        }
        Ok(())
    }

    /// Takes note of what became due in this process.
    fn wake(&mut self) {
        let now = self.inner.clock.now();
        for (realm, wake) in self.inner.wakes.take() {
            if wake.configured {
                self.turns.rouse(&realm);
            }
            self.turns.rouse_idle(&realm);
            if wake.urgent {
                self.turns.wait(&realm, true, now);
            }
            if wake.due {
                self.turns.wait(&realm, false, now);
            }
        }
    }

    /// Asks the store in which realms something is due.
    async fn look(&mut self) -> Result<()> {
        let now = self.inner.clock.now();
        self.look_at = now.plus(self.options.poll);
        take_inbox(self.inner).await;
        let found = async {
            let stored = self.inner.store.now().await?;
            let dues: Vec<Due> = Reason::ALL
                .iter()
                .zip(&self.after)
                .map(|(reason, after)| reason.due(stored, now, after.clone()))
                .collect();
            self.inner.store.due_realms(&dues).await
        };
        let pages = match found.await {
            Ok(pages) => pages,
            Err(error) if self.options.until == RunUntil::Forever && passes(&error) => {
                tracing::warn!(error = %error.report(), "the store cannot say what is due");
                (self.after, self.later) = (Default::default(), None);
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        self.later = None;
        for ((reason, page), after) in Reason::ALL.into_iter().zip(pages).zip(&mut self.after) {
            for realm in &page.realms {
                self.turns.wait(realm, reason.is_urgent(), now);
            }
            let later = page.later.as_deref().and_then(|value| reason.later(value));
            self.later = Timestamp::earliest(self.later, later);
            *after = page.next;
        }
        if now >= self.tidy_at {
            self.tidy_at = now.plus(TIDY);
            self.inner.give_up_connectors(now.minus(CONNECTOR_IDLE));
            self.turns.forget(now);
        }
        Ok(())
    }

    /// Waits until a part of a turn has ended, or there is something for a worker that is free.
    async fn wait_for_a_turn(&mut self) {
        let free = self.turns.free() > 0;
        let (inner, options) = (self.inner, self.options);
        let event = tokio::select! {
            biased;
            event = self.under_way.next() => event,
            () = options.stop.stopped() => None,
            () = inner.wakes.rung(), if free => None,
            seen = inner.store.noticed(self.noticed), if free => {
                (self.noticed, self.look_at) = (seen, inner.clock.now());
                None
            }
            () = inner.clock.deadline(options.poll), if free => {
                self.look_at = inner.clock.now();
                None
            }
        };
        if let Some(event) = event {
            self.happened(event);
        }
    }

    /// Waits until something may be due.
    async fn pause(&mut self) {
        let now = self.inner.clock.now();
        let next = Timestamp::earliest(self.later, self.turns.rested_at(now)).map(|at| at.since(now));
        let wait = next.map_or(self.options.poll, |next| next.min(self.options.poll));
        tokio::select! {
            biased;
            () = self.options.stop.stopped() => {}
            () = self.inner.wakes.rung() => {}
            seen = self.inner.store.noticed(self.noticed) => {
                (self.noticed, self.look_at) = (seen, now);
            }
            () = self.inner.clock.sleep(wait.max(Duration::from_millis(1))) => {}
        }
    }

    fn happened(&mut self, event: Event) {
        let now = self.inner.clock.now();
        match event {
            Event::Begun { turn, engine, owner, company, report, prepared } => {
                self.claimed.fetch_add(report.claimed, Ordering::Relaxed);
                meter::turn(report.claimed);
                self.report.total.add(report);
                match prepared {
                    Ok(Prepared { claimed, moved, more, schedules }) => {
                        for name in schedules {
                            self.run_schedule(&engine, name);
                        }
                        if more {
                            self.turns.wait(&turn.realm, turn.urgent, now);
                        }
                        if !claimed.is_empty() {
                            let part =
                                carry(self.actor, self.options, turn, (engine, owner, company), claimed);
                            return self.under_way.push(Box::pin(part));
                        }
                        if moved {
                            self.moved(&turn);
                        } else if !more {
                            self.turns.idle(&turn.realm, now.plus(self.options.poll));
                        }
                    }
                    Err(error) => self.failed(&turn, &error, now),
                }
                self.over(&turn);
            }
            Event::Ran { realm, name, ended } => {
                if let Err(error) = ended {
                    let realm = realm.as_str();
                    tracing::warn!(realm, schedule = name, error = %error.report(), "a schedule was not run");
                }
                self.schedules.remove(&(realm, name));
            }
            Event::Over { turn, report, ended } => {
                meter::lost(report.lost);
                self.report.total.add(report);
                self.over(&turn);
                match ended {
                    Ok(()) => self.moved(&turn),
                    Err(error) => self.failed(&turn, &error, now),
                }
            }
        }
    }

    /// Runs a schedule beside the turns; the realm's work does not wait for it.
    fn run_schedule(&mut self, engine: &Engine, name: String) {
        let key = (engine.realm.clone(), name.clone());
        let stopped = self.options.stop.is_stopped() || self.options.until == RunUntil::Idle;
        // Those that find no place are found again.
        if stopped || self.schedules.len() >= SCHEDULES_MAX || !self.schedules.insert(key) {
            return;
        }
        let (engine, actor, options) = (engine.clone(), self.actor, self.options);
        self.under_way.push(Box::pin(async move {
            let ended = engine.run_schedule(actor, &name, options).await;
            Event::Ran { realm: engine.realm.clone(), name, ended }
        }));
    }

    fn over(&mut self, turn: &Turn) {
        self.turns.over(turn);
        if !self.turns.is_worked_in(&turn.realm) {
            self.companies.remove(&turn.realm);
        }
    }

    fn moved(&mut self, turn: &Turn) {
        self.moved = true;
        self.turns.moved(&turn.realm);
        self.report.problems.remove(&turn.realm);
    }

    fn failed(&mut self, turn: &Turn, error: &Error, now: Timestamp) {
        tracing::warn!(realm = turn.realm.as_str(), error = %error.report(), "a realm's turn failed");
        self.turns.failed(&turn.realm, now);
        let problems = &mut self.report.problems;
        if problems.len() < PROBLEMS_MAX || problems.contains_key(&turn.realm) {
            problems.insert(turn.realm.clone(), error.record());
        }
    }
}

/// Claims the batch of a turn.
async fn begin(
    inner: &Arc<Inner>,
    actor: &Actor,
    options: &RunOptions,
    turn: Turn,
    company: Arc<Company>,
) -> Event {
    let engine = Engine::new(Arc::clone(inner), turn.realm.clone());
    let (owner, report, prepared) = match Worker::new(&engine, actor, options, turn.first, &company) {
        Ok(mut worker) => {
            let prepared = worker.prepare(turn.urgent).await;
            (worker.owner, worker.report, prepared)
        }
        Err(error) => (String::new(), RunReport::default(), Err(error)),
    };
    Event::Begun { turn, engine, owner, company, report, prepared }
}

/// Takes in what the host handed over in the store itself. What goes wrong stays there, and comes again.
async fn take_inbox(inner: &Arc<Inner>) {
    let problem = match Runtime(Arc::clone(inner)).take_inbox().await {
        Ok(report) => report.problem.map(Error::from),
        Err(error) => Some(error),
    };
    if let Some(error) = problem {
        tracing::warn!(error = %error.report(), "what the host handed over waits");
    }
}

/// Plans and applies the batch of a turn, and gives it back.
async fn carry(
    actor: &Actor,
    options: &RunOptions,
    turn: Turn,
    (engine, owner, company): (Engine, String, Arc<Company>),
    claimed: Vec<Work>,
) -> Event {
    let (report, bringing) = (RunReport::default(), Some(company.bring()));
    let first = turn.first;
    let (engine, company, noticed) = (&engine, &*company, 0);
    let mut worker = Worker { engine, actor, options, first, owner, report, company, bringing, noticed };
    let ended = worker.work(claimed).await;
    let report = worker.report;
    Event::Over { turn, report, ended }
}
