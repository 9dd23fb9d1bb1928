//! Having failed steps tried again.

use std::collections::{BTreeMap, BTreeSet};

use super::Engine;
use crate::audit::AuditEntry;
use crate::error::Result;
use crate::execute::{JournalEntry, StepState};
use crate::id::{IdentityId, PlanId, TargetName};
use crate::model::{Actor, Link};
use crate::plan::{PlanHeader, PlanState};
use crate::runtime::Operation;
use crate::store::{self, Changes, Select, Stored};

/// Rows changed in one commit.
const PAGE: u32 = 200;

/// Which steps are tried again. An empty filter: all of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RetryFilter {
    /// Those on this target.
    pub target: Option<TargetName>,
    /// Those for this identity.
    pub identity: Option<IdentityId>,
    /// Those of this plan; skipped ones too.
    pub plan: Option<PlanId>,
    /// Objects that are gone from their target without us are created anew by the next plan.
    pub recreate: bool,
}

impl RetryFilter {
    fn takes(&self, entry: &JournalEntry) -> bool {
        self.target.as_ref().is_none_or(|target| *target == entry.target)
            && self.identity.is_none_or(|identity| identity == entry.identity)
            && self.plan.is_none_or(|plan| plan == entry.plan)
    }

    /// The journal rows to look through.
    fn selects(&self) -> Vec<Select> {
        if let Some(plan) = self.plan {
            return vec![Select::Equal("plan", plan.to_string())];
        }
        let ended = |state: &str| match &self.target {
            Some(target) => Select::Equal("open", format!("{state}/{}", target.as_str())),
            None => Select::ColumnPrefix("open", format!("{state}/")),
        };
        vec![Select::ColumnPrefix("open", "waiting/".to_owned()), ended("failed"), ended("disputed")]
    }
}

impl Engine {
    /// Has steps tried again; returns how many. Waiting steps of a plan under way become due now. Failed ones make
    /// their identities dirty, so that the next plan looks at them again; they no longer count as failed. A disputed
    /// step makes its identity dirty and stays open until the dispute is decided.
    ///
    /// # Errors
    /// `Conflict` when others write the same rows: what was changed before stays changed; call again.
    pub async fn retry(&self, actor: &Actor, filter: &RetryFilter) -> Result<u64> {
        self.authorize(actor, Operation::Retry)?;
        let mut count = 0;
        let mut plans: BTreeMap<PlanId, bool> = BTreeMap::new();
        for select in filter.selects() {
            let mut cursor = None;
            loop {
                let (page, next) =
                    store::list_by::<JournalEntry>(self.store(), &self.realm, select.clone(), cursor, PAGE)
                        .await?;
                let page: Vec<_> = page.into_iter().filter(|entry| filter.takes(&entry.value)).collect();
                count += self.retry_page(actor, page, &mut plans).await?;
                cursor = next;
                if cursor.is_none() {
                    break;
                }
            }
        }
        if filter.recreate {
            count += self.recreate(actor, filter).await?;
        }
        Ok(count)
    }

    async fn retry_page(
        &self,
        actor: &Actor,
        page: Vec<Stored<JournalEntry>>,
        plans: &mut BTreeMap<PlanId, bool>,
    ) -> Result<u64> {
        let now = self.now();
        let mut changes = Changes::in_realm(&self.realm);
        let mut dirty: BTreeSet<IdentityId> = BTreeSet::new();
        let mut count = 0;
        for Stored { version, value: entry } in page {
            let state = match &entry.state {
                StepState::Waiting { until }
                    if *until > now && self.is_applying(entry.plan, plans).await? =>
                {
                    Some(StepState::Waiting { until: now })
                }
                StepState::Pending { ticket, until }
                    if *until > now && self.is_applying(entry.plan, plans).await? =>
                {
                    Some(StepState::Pending { ticket: ticket.clone(), until: now })
                }
                StepState::Failed => {
                    dirty.insert(entry.identity);
                    Some(StepState::Skipped { why: "failed before; taken up again".to_owned() })
                }
                StepState::Skipped { .. } | StepState::Disputed => {
                    dirty.insert(entry.identity);
                    None
                }
                _ => continue,
            };
            count += 1;
            let mut audit = AuditEntry::new(&self.realm, now, actor, "step.retried");
            audit.identity = Some(entry.identity);
            audit.target = Some(entry.target.clone());
            audit.plan = Some(entry.plan);
            audit.step = Some(entry.step.clone());
            changes.append.push(audit.append()?);
            if let Some(state) = state {
                changes.replace(version, &JournalEntry { state, ..entry })?;
            }
        }
        if count == 0 {
            return Ok(0);
        }
        // First they are dirty, then the journal says so: a crash in between does it again.
        self.mark_dirty(&dirty.into_iter().collect::<Vec<_>>()).await?;
        self.commit(changes).await?;
        Ok(count)
    }

    async fn is_applying(&self, plan: PlanId, known: &mut BTreeMap<PlanId, bool>) -> Result<bool> {
        if let Some(applying) = known.get(&plan) {
            return Ok(*applying);
        }
        let header = store::get::<PlanHeader>(self.store(), &self.realm, &plan.to_string()).await?;
        let applying = header.is_some_and(|header| header.value.state == PlanState::Applying);
        known.insert(plan, applying);
        Ok(applying)
    }

    /// Forgets the keys of objects that are gone: the next plan creates them.
    async fn recreate(&self, actor: &Actor, filter: &RetryFilter) -> Result<u64> {
        let select = match (&filter.identity, &filter.target) {
            (Some(identity), _) => Select::Equal("identity", identity.to_string()),
            (None, Some(target)) => Select::ColumnPrefix("target", format!("{}/", target.as_str())),
            (None, None) => Select::KeyPrefix(String::new()),
        };
        let (mut count, mut cursor) = (0, None);
        loop {
            let (page, next) =
                store::list_by::<Link>(self.store(), &self.realm, select.clone(), cursor, PAGE).await?;
            let here = |link: &Link| filter.target.as_ref().is_none_or(|target| *target == link.target);
            let mut changes = Changes::in_realm(&self.realm);
            let (mut dirty, mut moved) = (Vec::new(), false);
            for Stored { version, value: link } in
                page.into_iter().filter(|link| link.value.missing && here(&link.value))
            {
                let mut audit = AuditEntry::new(&self.realm, self.now(), actor, "link.recreate");
                audit.identity = link.subject.identity();
                audit.target = Some(link.target.clone());
                audit.class = Some(link.class.clone());
                audit.object = link.key.as_ref().map(|key| key.id.clone());
                changes.append.push(audit.append()?);
                dirty.extend(link.subject.identity());
                let revision = link.revision + 1;
                moved |= self.forget_members(&mut changes, &link).await?;
                changes.replace(version, &Link { missing: false, key: None, revision, ..link })?;
                count += 1;
            }
            if !dirty.is_empty() {
                self.mark_dirty(&dirty).await?;
                self.commit(changes).await?;
            }
            if moved {
                self.finish_marking().await?;
            }
            cursor = next;
            if cursor.is_none() {
                return Ok(count);
            }
        }
    }
}
