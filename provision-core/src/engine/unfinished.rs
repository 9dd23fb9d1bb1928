//! Plans a drive goes on with: steps that are due again, and holds that were approved.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::Engine;
use super::configure::Meta;
use super::held::scope_of;
use super::stop::drained;
use super::worker::Worker;
use crate::error::{ErrorKind, Result};
use crate::execute::{JournalEntry, StepState};
use crate::id::{PlanId, TargetName};
use crate::model::HoldState;
use crate::plan::{Drive, PlanHeader, PlanState};
use crate::runtime::Progress;
use crate::store::{self, Changes, Expect, Record, Select, Table};
use crate::value::Timestamp;

/// Journal entries looked through for plans to go on with.
const OPEN_MAX: usize = 10_000;

/// The row of [`Approved`].
const APPROVED: &str = "approved";

/// A held plan was approved since a drive last looked: the realm is found by it.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Approved {
    since: Timestamp,
}

impl Record for Meta<Approved> {
    const TABLE: Table = Table::Meta;

    fn key(&self) -> String {
        self.name.clone()
    }

    /// Due at once, whatever the clock of whoever looks.
    fn columns(&self) -> Vec<(&'static str, String)> {
        vec![("due", String::new())]
    }
}

impl Worker<'_> {
    /// Goes on with plans whose steps are due again, and with those whose hold was approved; at most so many.
    pub(super) async fn go_on(&mut self, most: usize) -> Result<bool> {
        let engine = self.engine;
        let noted = store::get::<Meta<Approved>>(engine.store(), &engine.realm, APPROVED).await?;
        let due = self.due_plans().await?;
        let (mut went_on, mut elsewhere) = (0, false);
        for plan in due {
            if went_on >= most || self.options.stop.is_stopped() {
                break;
            }
            match self.apply_drained(plan).await {
                Ok(()) => went_on += 1,
                // A target that this process cannot speak to keeps its own plans waiting, and nobody else.
                Err(error) if error.kind() == ErrorKind::ConfigInvalid => {
                    tracing::warn!(%plan, error = %error.report(), "a plan cannot be gone on with here");
                }
                Err(error) => return Err(error),
            }
        }
        for (_, header) in self.holds(HoldState::Approved).await? {
            if header.expires_at <= engine.now() {
                continue;
            }
            if went_on >= most || self.options.stop.is_stopped() {
                return Ok(true);
            }
            match self.apply_alone(&header).await {
                Ok(true) => went_on += 1,
                Ok(false) => elsewhere = true,
                // Somebody else carried it out at the same moment.
                Err(error) if error.kind() == ErrorKind::Conflict => {}
                Err(error) => return Err(error),
            }
        }
        let Some(noted) = noted else { return Ok(went_on > 0) };
        // What a process that was stopped, or is gone, has left of an approved plan.
        for header in engine.plans(PlanState::Applying).await? {
            if header.hold.is_none() || header.expires_at <= engine.now() {
                continue;
            }
            if went_on >= most || self.options.stop.is_stopped() {
                return Ok(true);
            }
            match self.apply_alone(&header).await? {
                true => went_on += 1,
                false => elsewhere = true,
            }
        }
        if !elsewhere && !self.options.stop.is_stopped() {
            engine.forget_approval(noted.version).await?;
        }
        Ok(went_on > 0)
    }

    /// Carries an approved plan out, unless another process does: false.
    async fn apply_alone(&mut self, header: &PlanHeader) -> Result<bool> {
        let (engine, lasts, plan) = (self.engine, self.options.lease, header.id);
        let worker = &mut *self;
        let name = format!("plan/{plan}");
        match engine.under_lease(&name, lasts, move |_| worker.apply_drained(plan)).await? {
            Some(ended) => ended?,
            None => return Ok(false),
        }
        engine.mark_dirty(scope_of(header)).await?;
        Ok(true)
    }

    /// Applies a plan, which may have as many steps as a population, until the drive has to end.
    async fn apply_drained(&mut self, plan: PlanId) -> Result<()> {
        let progress = Progress::new();
        let (engine, options) = (self.engine, self.options);
        drained(engine.inner.clock.as_ref(), options, &progress, self.apply(plan, &progress)).await
    }

    /// Plans with a step in escrow that is due, or with an intent whose worker is gone.
    pub(super) async fn due_plans(&self) -> Result<BTreeSet<PlanId>> {
        let engine = self.engine;
        engine.ask_time().await?;
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
                        _ => engine.takeover_at(entry.deadline),
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

impl Engine {
    /// Notes, in the commit of an approval, that a drive has something to go on with.
    pub(super) fn note_approval(&self, changes: &mut Changes) -> Result<()> {
        changes.put(&Meta { name: APPROVED.to_owned(), value: Approved { since: self.now() } })
    }

    /// A drive has looked; one that was noted meanwhile stays.
    async fn forget_approval(&self, version: u64) -> Result<()> {
        let mut changes = Changes::in_realm(&self.realm);
        let key = APPROVED.to_owned();
        changes.expect.push(Expect::Version { table: Table::Meta, key: key.clone(), version });
        changes.delete::<Meta<Approved>>(key);
        self.store().commit(changes).await.map(|_| ())
    }
}
