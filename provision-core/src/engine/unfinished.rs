//! Plans a drive goes on with: steps that are due again, and holds that were approved.

use std::collections::BTreeSet;

use super::held::scope_of;
use super::worker::Worker;
use crate::error::{ErrorKind, Result};
use crate::execute::{JournalEntry, StepState};
use crate::id::{PlanId, TargetName};
use crate::model::HoldState;
use crate::plan::{Drive, PlanState};
use crate::runtime::Progress;
use crate::store::{self, Select};

/// Journal entries looked through for plans to go on with.
const OPEN_MAX: usize = 10_000;

impl Worker<'_> {
    /// Goes on with plans whose steps are due again, and with those whose hold was approved.
    pub(super) async fn go_on(&mut self) -> Result<bool> {
        let mut moved = false;
        for plan in self.due_plans().await? {
            self.apply(plan, &Progress::new()).await?;
            moved = true;
        }
        for (_, header) in self.holds(HoldState::Approved).await? {
            if header.expires_at <= self.engine.now() {
                continue;
            }
            match self.apply(header.id, &Progress::new()).await {
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
    pub(super) async fn due_plans(&self) -> Result<BTreeSet<PlanId>> {
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
