//! What becomes of an identity when a worker is through with it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::Engine;
use super::worker::Worker;
use crate::error::Result;
use crate::execute::{JournalEntry, StepState};
use crate::id::IdentityId;
use crate::plan::{Drive, PlanHeader, PlanState, Skip};
use crate::policy::RefusalReason;
use crate::runtime::Progress;
use crate::value::Timestamp;

/// How long what is left undone for a stopped target rests, unless the end of the stop wakes it.
const STOPPED: Duration = Duration::from_secs(3_600);
/// How long before an identity with an open step, of whoever's plan, is looked at again.
pub(super) const LOOK_AGAIN: Duration = Duration::from_secs(60);
/// How long an identity waits for a person's review before the drive looks again.
pub(super) const REVIEW: Duration = Duration::from_secs(7 * 86_400);

/// What becomes of a claimed identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rest {
    /// Nothing is left to do until then; `None`: until something changes.
    Done(Option<Timestamp>),
    /// Look again then.
    Later(Timestamp),
    /// A person decides first; look again then at the latest.
    Parked(Timestamp),
}

impl Worker<'_> {
    /// Applies a plan and says what becomes of its identities.
    pub(super) async fn carry_out(
        &mut self,
        header: PlanHeader,
        progress: &Progress,
        rests: &mut BTreeMap<IdentityId, Rest>,
    ) -> Result<()> {
        if header.state == PlanState::Ready && !progress.is_stopped() {
            self.apply(header.id, progress).await?;
        }
        let now = self.engine.now();
        let reviewed = self.targets(Drive::Review).await?;
        let open = self.engine.identities_with_open_steps(&header).await?;
        let pending = |skip: &Skip| skip.reason == RefusalReason::Pending;
        for number in 0..header.chunks {
            let Some(chunk) = self.engine.plan_steps(header.id, number).await? else { continue };
            let waiting = chunk.skips.iter().filter(|skip| pending(skip)).map(|skip| skip.identity);
            let waiting = waiting.chain(open.iter().copied()).collect();
            let attempts = self.engine.next_attempts(&waiting).await?;
            for planned in &chunk.planned {
                let skips = || chunk.skips.iter().filter(|skip| skip.identity == planned.identity);
                let review = skips()
                    .any(|skip| skip.reason == RefusalReason::Observed && reviewed.contains(&skip.target));
                let soonest = |at: Timestamp| planned.next_change_at.map_or(at, |next| next.min(at));
                // A step in escrow is gone on with when the identity is due.
                let attempt = attempts.get(&planned.identity).copied().filter(|at| *at > now);
                let again = attempt.map_or(now.plus(LOOK_AGAIN), |at| at.min(now.plus(LOOK_AGAIN)));
                let at_once = attempts.get(&planned.identity).is_none_or(|at| *at <= now);
                let rest = if open.contains(&planned.identity) && at_once && progress.is_stopped() {
                    // Whoever comes next may begin at once.
                    Rest::Later(now)
                } else if open.contains(&planned.identity) {
                    Rest::Later(soonest(again))
                } else if let Some(left) = planned.left {
                    // Whoever ends a stop marks everybody, which wakes them before.
                    let members = |skip: &Skip| skip.reason == RefusalReason::HasMembers;
                    let again = match () {
                        () if skips().any(pending) => again,
                        () if skips().any(members) => left,
                        () => now.plus(STOPPED),
                    };
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
}

impl Engine {
    /// When the open steps of identities may be tried next, the first of each.
    async fn next_attempts(
        &self,
        identities: &BTreeSet<IdentityId>,
    ) -> Result<BTreeMap<IdentityId, Timestamp>> {
        if identities.is_empty() {
            return Ok(BTreeMap::new());
        }
        let mut next = BTreeMap::new();
        for entry in self.rows_of::<JournalEntry>("identity", identities).await?.into_values().flatten() {
            let at = match &entry.value.state {
                StepState::Waiting { until } | StepState::Pending { until, .. } => *until,
                StepState::Intent => self.takeover_at(entry.value.deadline),
                _ => continue,
            };
            let first = next.entry(entry.value.identity).or_insert(at);
            *first = at.min(*first);
        }
        Ok(next)
    }
}
