//! Holds: what waits for a person, and the decision.

use std::path::Path;

use super::Engine;
use crate::audit::{self, AuditEntry, Verdict};
use crate::error::{Effect, Error, ErrorKind, Result};
use crate::id::HoldId;
use crate::ingest::FeedOutcome;
use crate::model::{Actor, Hold, HoldOf, HoldState};
use crate::plan::{PlanHeader, PlanState};
use crate::planted::{self, Defect};
use crate::runtime::Operation;
use crate::store::{self, Changes, Select, Stored};

impl Engine {
    /// Holds that wait: open ones, then approved ones that have not been used.
    pub async fn holds(&self) -> Result<Vec<Hold>> {
        let mut holds = Vec::new();
        for state in [HoldState::Open, HoldState::Approved] {
            let mut cursor = None;
            loop {
                let select = Select::Equal("state", state.as_str().to_owned());
                let (page, next) =
                    store::list_by::<Hold>(self.store(), &self.realm, select, cursor, 1_000).await?;
                holds.extend(page.into_iter().map(|stored| stored.value));
                cursor = next;
                if cursor.is_none() {
                    break;
                }
            }
        }
        Ok(holds)
    }

    /// One hold.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn hold(&self, id: HoldId) -> Result<Hold> {
        Ok(self.stored_hold(id).await?.value)
    }

    /// Approves exactly what the digest names, once. Carry it out with [`Engine::apply`] or [`Engine::promote`].
    ///
    /// # Errors
    /// `PermissionDenied` when the host denies it or the approver is who asked for what is held; `Conflict` when the
    /// hold is not open or the digest is another: nothing is approved.
    pub async fn approve(&self, actor: &Actor, id: HoldId, digest: &str) -> Result<Hold> {
        self.authorize(actor, Operation::Approve)?;
        let Stored { version, value: hold } = self.stored_hold(id).await?;
        // Planted: a decision may be taken again.
        if hold.state != HoldState::Open && !planted::is(Defect::ApprovedTwice) {
            return Err(refused(&hold, &format!("the hold is {}, not open", hold.state.as_str())));
        }
        if hold.author == *actor {
            return Err(Error::new(
                ErrorKind::PermissionDenied,
                "who asked for something may not approve it",
            )
            .with_context("actor", actor.name.clone())
            .with_effect(Effect::None));
        }
        if hold.digest != digest {
            return Err(refused(&hold, "the digest is not that of what is held: read the hold again"));
        }
        self.decide_hold(actor, version, hold, HoldState::Approved, "hold.approved").await
    }

    /// Rejects what is held: a feed's delta is dropped, a plan is discarded and its identities stay dirty.
    ///
    /// # Errors
    /// As [`Engine::approve`].
    pub async fn reject(&self, actor: &Actor, id: HoldId) -> Result<Hold> {
        self.authorize(actor, Operation::Approve)?;
        let Stored { version, value: hold } = self.stored_hold(id).await?;
        if !matches!(hold.state, HoldState::Open | HoldState::Approved) {
            return Err(refused(&hold, &format!("the hold is {} already", hold.state.as_str())));
        }
        match &hold.of {
            HoldOf::Feed { feed, .. } => {
                self.road(actor).reject(*feed).await?;
                self.hold(id).await
            }
            HoldOf::Plan { .. } => {
                self.decide_hold(actor, version, hold, HoldState::Rejected, "hold.rejected").await
            }
        }
    }

    /// Takes over the delta of a feed whose hold is approved.
    ///
    /// # Errors
    /// `Conflict` when it is not approved, or was used before.
    pub async fn promote(&self, actor: &Actor, id: HoldId) -> Result<FeedOutcome> {
        self.authorize(actor, Operation::Ingest)?;
        let hold = self.hold(id).await?;
        let HoldOf::Feed { feed, .. } = hold.of else {
            return Err(refused(&hold, "the hold is of a plan: apply the plan"));
        };
        let report = self.road(actor).promote(feed).await?;
        audit::seal(self.store(), &self.realm).await?;
        Ok(FeedOutcome::Applied(Box::new(report)))
    }

    /// Seals what is not sealed yet and recomputes every seal of the audit chain.
    pub async fn verify(&self) -> Result<Verdict> {
        audit::seal(self.store(), &self.realm).await?;
        audit::verify(self.store(), &self.realm).await
    }

    /// Writes a consistent copy of the store to a new file.
    ///
    /// # Errors
    /// `Unsupported` for a store without a file; `AlreadyExists`.
    pub async fn backup(&self, path: &Path) -> Result<()> {
        self.store().backup(path).await
    }

    async fn stored_hold(&self, id: HoldId) -> Result<Stored<Hold>> {
        let found = store::get::<Hold>(self.store(), &self.realm, &id.to_string()).await?;
        found.ok_or_else(|| super::configure::missing("hold", &id.to_string()))
    }

    async fn decide_hold(
        &self,
        actor: &Actor,
        version: u64,
        hold: Hold,
        state: HoldState,
        event: &str,
    ) -> Result<Hold> {
        let hold = Hold { state, decided_by: Some(actor.clone()), ..hold };
        let mut changes = Changes::in_realm(&self.realm);
        changes.replace(version, &hold)?;
        if let (HoldState::Rejected, HoldOf::Plan { plan }) = (state, &hold.of) {
            let plan = store::get::<PlanHeader>(self.store(), &self.realm, &plan.to_string()).await?;
            if let Some(Stored { version, value }) = plan {
                changes.replace(version, &PlanHeader { state: PlanState::Discarded, ..value })?;
            }
        }
        if let (HoldState::Approved, HoldOf::Plan { .. }) = (state, &hold.of) {
            self.note_approval(&mut changes)?;
        }
        let mut entry = AuditEntry::new(&self.realm, self.now(), actor, event);
        entry.object = Some(hold.id.to_string());
        entry.note = format!("digest {}", hold.digest);
        changes.append.push(entry.append()?);
        self.commit(changes).await?;
        Ok(hold)
    }
}

fn refused(hold: &Hold, why: &str) -> Error {
    Error::new(ErrorKind::Conflict, why.to_owned())
        .with_context("hold", hold.id.to_string())
        .with_effect(Effect::None)
}
