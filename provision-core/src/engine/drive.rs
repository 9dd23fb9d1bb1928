//! The continuous drive: dirty identities are claimed, planned and brought right, without anybody asking.

use std::pin::pin;
use std::time::Duration;

use futures_util::future::{Either, select};
use serde::{Deserialize, Serialize};

use super::worker::Worker;
use super::{Engine, Stop};
use crate::error::{Error, Result};
use crate::execute::Company;
use crate::id::PlanId;
use crate::model::Actor;
use crate::runtime::Operation;

/// Plans named in a report.
const PLANS_MAX: usize = 1_000;

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
    /// Workers side by side; at least 1. Of all realms together, where several are driven.
    pub workers: u32,
    /// When it returns.
    pub until: RunUntil,
    /// Ends it early.
    pub stop: Stop,
    /// How long to wait before looking for work again when there is none, which finds what other processes did. What
    /// becomes due in this process is seen at once where several realms are driven. 1 second unless set.
    pub poll: Duration,
    /// How long a worker has an identity before others may take it over. The lease is renewed at every third of it
    /// while the batch is worked on, so that it need not be as long as a batch takes: it says how long the identities
    /// of a worker that is gone wait. It must be longer than a call to a target may take (`timeout_seconds`): what a
    /// worker has under way when it loses its lease has then ended before another begins. 2 minutes unless set.
    pub lease: Duration,
    /// How long what is under way may go on after the drive was stopped. Then it is given back: calls that are out
    /// are waited for, each to its own deadline, and nothing more is begun. 30 seconds unless set.
    pub drain: Duration,
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
            drain: Duration::from_secs(30),
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
    /// Plans applied, whole or in part; the first 1,000.
    pub plans: Vec<PlanId>,
    /// Plans that wait for approval; the first 1,000.
    pub held: Vec<PlanId>,
    /// Identities left to a person: held, or with changes on targets that are reviewed.
    pub parked: u64,
    /// Claims lost to another worker because the lease ended.
    pub lost: u64,
}

/// A drive runs for months: what it reports is bounded.
fn note(plans: &mut Vec<PlanId>, plan: PlanId) {
    if plans.len() < PLANS_MAX && !plans.contains(&plan) {
        plans.push(plan);
    }
}

impl RunReport {
    pub(super) fn add(&mut self, other: Self) {
        self.claimed += other.claimed;
        self.done += other.done;
        self.failed += other.failed;
        self.skipped += other.skipped;
        self.disputed += other.disputed;
        other.plans.into_iter().for_each(|plan| self.note_plan(plan));
        other.held.into_iter().for_each(|plan| self.note_held(plan));
        self.parked += other.parked;
        self.lost += other.lost;
    }

    /// Steps that have ended.
    pub(super) fn ended(&self) -> u64 {
        self.done + self.failed + self.skipped + self.disputed
    }

    /// A plan was applied.
    pub(super) fn note_plan(&mut self, plan: PlanId) {
        note(&mut self.plans, plan);
    }

    /// A plan waits for approval.
    pub(super) fn note_held(&mut self, plan: PlanId) {
        note(&mut self.held, plan);
    }
}

impl Engine {
    /// Runs schedules when they are due, until the drive is stopped.
    async fn run_schedules(&self, actor: &Actor, options: &RunOptions) {
        while !options.stop.is_stopped() {
            let ran = async {
                for name in self.due_schedules().await? {
                    self.run_schedule(actor, &name, options).await?;
                }
                Ok::<(), Error>(())
            };
            if let Err(error) = ran.await {
                tracing::warn!(error = %error.report(), "schedules were not run");
            }
            let sleep = self.inner.clock.deadline(options.poll);
            select(sleep, pin!(options.stop.stopped())).await;
        }
    }

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
        let company = Company::default();
        let mut workers = Vec::new();
        for number in 0..options.workers.max(1) {
            workers.push(Worker::new(self, actor, options, number == 0, &company)?);
        }
        let workers = futures_util::future::join_all(workers.into_iter().map(Worker::run));
        let ended = match options.until {
            RunUntil::Idle => workers.await,
            RunUntil::Forever => match select(workers, pin!(self.run_schedules(actor, options))).await {
                Either::Left((ended, _)) => ended,
                Either::Right(((), workers)) => workers.await,
            },
        };
        let mut report = RunReport::default();
        for ended in ended {
            report.add(ended?);
        }
        Ok(report)
    }
}
