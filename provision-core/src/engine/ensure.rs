//! An account just in time: somebody stands at the door of an application and needs it now.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::rest::Rest;
use super::{ApplyOptions, Engine, PlanOptions};
use crate::connector::ObjectKey;
use crate::error::Result;
use crate::id::{HoldId, IdentityId, LinkId, PlanId, TargetName};
use crate::model::{Actor, Link, LinkState};
use crate::plan::{Drive, PlanHeader, PlanState, Scope};
use crate::runtime::{Operation, Progress};
use crate::store::{self, Select};

/// How long the identity is ours before it may be taken over, unless that is renewed.
const LEASE: Duration = Duration::from_secs(120);
/// How long to wait before asking again whether the other worker is done.
const ASK_AGAIN: Duration = Duration::from_millis(200);

/// Whether the account is there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "outcome")]
pub enum EnsureOutcome {
    /// It is there.
    Ready {
        /// The link.
        link: LinkId,
        /// The object's key on the target.
        key: ObjectKey,
        /// Enabled or not; `None` where the target has no such state.
        enabled: Option<bool>,
        /// The plan that made it, if this call had to.
        plan: Option<PlanId>,
    },
    /// It is not there, and why.
    NotReady {
        /// In words.
        why: Vec<String>,
        /// The plan that was made, if one was.
        plan: Option<PlanId>,
        /// The hold that it waits in.
        hold: Option<HoldId>,
    },
}

impl Engine {
    /// Makes sure that an identity has the account on a target that the policy gives it, now. An account that is there
    /// and enabled is answered at once; otherwise the identity is planned for this target alone and the plan applied.
    /// Calling it again changes nothing; calls side by side make one account.
    ///
    /// `deadline` is how long to wait for another worker that has the identity, and for steps whose next attempt is due
    /// later. A call to the target that is under way is not cut off.
    ///
    /// # Errors
    /// `NotFound` for an unknown identity or target; as [`Engine::plan`] and [`Engine::apply`].
    pub async fn ensure(
        &self,
        actor: &Actor,
        who: IdentityId,
        target: &TargetName,
        deadline: Duration,
    ) -> Result<EnsureOutcome> {
        self.authorize(actor, Operation::Plan)?;
        self.authorize(actor, Operation::Apply)?;
        let configured = self.target(target).await?.value;
        if self.identity(who).await?.is_none() {
            return Err(super::find::nobody(&who.to_string()));
        }
        if let Some(ready) = self.is_ready(who, target, None).await? {
            return Ok(ready);
        }
        if configured.settings.drive == Drive::Observe {
            return Ok(not_ready("the target's drive is `observe`: nothing is written there"));
        }
        let until = self.now().plus(deadline);
        let owner = format!("ensure/{}", self.inner.mint()?);
        let claimed = loop {
            if let Some(claimed) = self.claim_one(who, &owner, LEASE).await? {
                break claimed;
            }
            if self.now() >= until {
                return Ok(not_ready("another worker has the identity; call again"));
            }
            self.inner.clock.sleep(ASK_AGAIN).await;
            if let Some(ready) = self.is_ready(who, target, None).await? {
                return Ok(ready);
            }
        };
        let progress = Progress::new();
        let work = self.ensure_claimed(actor, who, target, deadline, &progress);
        let outcome = self.while_held(std::slice::from_ref(&claimed), LEASE, &progress, work).await;
        // What other targets need is still to be done: the identity stays dirty.
        self.give_back(&claimed, Rest::Later(self.now())).await?;
        outcome
    }

    async fn ensure_claimed(
        &self,
        actor: &Actor,
        who: IdentityId,
        target: &TargetName,
        deadline: Duration,
        progress: &Progress,
    ) -> Result<EnsureOutcome> {
        // Whoever had the identity before us may have made it.
        if let Some(ready) = self.is_ready(who, target, None).await? {
            return Ok(ready);
        }
        let only = Some(BTreeSet::from([target.clone()]));
        let options = PlanOptions { only, ..PlanOptions::default() };
        let header = self.plan(actor, Scope::Identities(vec![who]), options).await?;
        let mut why = self.why_not(&header, target).await?;
        match header.state {
            PlanState::Held => {
                why.extend(header.over.iter().cloned());
                return Ok(EnsureOutcome::NotReady { why, plan: Some(header.id), hold: header.hold });
            }
            PlanState::Ready => {
                let options = ApplyOptions { patience: deadline };
                let report = self.apply(actor, header.id, &options, progress).await?;
                why.extend(report.problems.into_values().flatten());
            }
            _ => {}
        }
        if let Some(ready) = self.is_ready(who, target, Some(header.id)).await? {
            return Ok(ready);
        }
        if why.is_empty() {
            why.push("the policy gives no account there".to_owned());
        }
        Ok(EnsureOutcome::NotReady { why, plan: Some(header.id), hold: None })
    }

    /// What the plan leaves alone on the target.
    async fn why_not(&self, header: &PlanHeader, target: &TargetName) -> Result<Vec<String>> {
        let mut why = Vec::new();
        for number in 0..header.chunks {
            let Some(chunk) = self.plan_steps(header.id, number).await? else { continue };
            let here = chunk.skips.iter().filter(|skip| skip.target == *target);
            why.extend(here.map(|skip| format!("{}: {}", skip.reason.as_str(), skip.detail)));
        }
        Ok(why)
    }

    /// The account, if it is there and usable.
    async fn is_ready(
        &self,
        who: IdentityId,
        target: &TargetName,
        plan: Option<PlanId>,
    ) -> Result<Option<EnsureOutcome>> {
        let select = Select::Equal("identity", who.to_string());
        let (links, _) = store::list_by::<Link>(self.store(), &self.realm, select, None, 1_000).await?;
        let usable = |link: &Link| {
            link.target == *target
                && link.key.is_some()
                && link.state == LinkState::Active
                && !link.missing
                && link.enabled != Some(false)
        };
        let link = links.into_iter().map(|stored| stored.value).find(usable);
        Ok(link.and_then(|link| {
            let key = link.key?;
            Some(EnsureOutcome::Ready { link: link.id, key, enabled: link.enabled, plan })
        }))
    }
}

fn not_ready(why: &str) -> EnsureOutcome {
    EnsureOutcome::NotReady { why: vec![why.to_owned()], plan: None, hold: None }
}
