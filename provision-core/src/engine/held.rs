//! Plans of a drive that are held: who spends what is over budget waits together, the others go on.

use std::collections::{BTreeMap, BTreeSet};

use super::rest::Rest;
use super::worker::Worker;
use crate::audit::AuditEntry;
use crate::error::Result;
use crate::id::{IdentityId, TargetName};
use crate::model::{Hold, HoldOf, HoldState};
use crate::plan::{BudgetKind, PlanHeader, PlanState, Scope};
use crate::runtime::Progress;
use crate::store::{self, Changes, Commit, Select, Stored};

impl Worker<'_> {
    /// Over budget: who spends what is over waits in a hold, the others go on.
    pub(super) async fn split(
        &mut self,
        header: PlanHeader,
        progress: &Progress,
        rests: &mut BTreeMap<IdentityId, Rest>,
    ) -> Result<()> {
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
                _ => self.carry_out(header, progress, rests).await?,
            }
        }
        Ok(())
    }

    /// What the plan spends too much of.
    pub(super) async fn over(&self, header: &PlanHeader) -> Result<BTreeSet<(TargetName, BudgetKind)>> {
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
    pub(super) async fn park(
        &mut self,
        header: PlanHeader,
        rests: &mut BTreeMap<IdentityId, Rest>,
    ) -> Result<()> {
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
        self.report.note_held(kept);
        rests.extend(own.into_iter().map(|identity| (identity, Rest::Parked(until))));
        Ok(())
    }

    /// Plans of this actor that are held, with their holds.
    pub(super) async fn holds(&self, state: HoldState) -> Result<Vec<(Hold, PlanHeader)>> {
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
    pub(super) async fn discard(&self, header: &PlanHeader) -> Result<bool> {
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
}

/// The identities a plan of the drive looked at.
pub(super) fn scope_of(header: &PlanHeader) -> &[IdentityId] {
    match &header.scope {
        Scope::Identities(identities) => identities,
        Scope::Changed | Scope::All => &[],
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::rest::REVIEW;
    use super::super::{Engine, RunOptions, RunReport};
    use super::*;
    use crate::connector::Registry;
    use crate::execute::Company;
    use crate::id::HoldId;
    use crate::id::PlanId;
    use crate::model::Actor;
    use crate::policy::PolicyVersion;
    use crate::runtime::{FixedClock, Runtime};
    use crate::store::MemoryStore;
    use crate::value::Timestamp;

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
            noticed: 0,
            engine: &engine,
            actor: &actor,
            options: &options,
            first: true,
            owner: String::new(),
            report: RunReport::default(),
            company: &Company::default(),
            bringing: None,
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
