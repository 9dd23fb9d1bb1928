//! A wave: steps whose intents are journalled in one commit, called side by side, and whose outcomes are journalled
//! as they come.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use serde::Deserialize;

use super::lane::{Entries, Lane};
use super::{Ended, JournalEntry, StepState, Unit};
use crate::engine::hour_of;
use crate::error::Result;
use crate::id::LinkId;
use crate::model::{Identity, Link, Subject};
use crate::plan::{Action, BudgetKind, Spending, Step};
use crate::store::{self, Changes, Commit, Expect, Record, Row, Stored, Table};

/// Outcomes journalled in one commit, at most: those that are there when one of them is. None waits for another.
const SETTLE: usize = 256;
/// Tries against others who write the same rows.
const TRIES_MAX: u32 = 10;

/// A step about to be called.
#[derive(Clone, Debug)]
pub(super) struct Begun {
    pub(super) step: Arc<Step>,
    pub(super) entry: JournalEntry,
    /// The version its journal row has once the intent is written.
    pub(super) version: u64,
    pub(super) link: Option<Link>,
    /// The attempt before may have changed something: read back first.
    pub(super) after_unknown: bool,
    /// A ticket to ask with, if the target is still working.
    pub(super) ticket: Option<String>,
}

impl Lane<'_> {
    /// Begins, calls and settles steps.
    pub(super) async fn wave(&self, chunk: u32, steps: &[Arc<Step>], entries: &Entries) -> Result<()> {
        let begun = self.begin(chunk, steps, entries).await?;
        if begun.is_empty() {
            return Ok(());
        }
        let concurrency = self.concurrency();
        let units = super::units(begun, |class| {
            self.discovery().capabilities.class(class).members_per_request.max(1) as usize
        });
        // Edges after everything else: a sign-in is blocked before its access is taken away. Whether that succeeded
        // does not matter to them (law 9).
        let (edges, alone): (Vec<Unit>, Vec<Unit>) =
            units.into_iter().partition(|unit| matches!(unit, Unit::Edges { .. }));
        for units in [alone, edges] {
            let calls = units.into_iter().map(|unit: Unit| self.call(unit));
            let mut results =
                futures_util::stream::iter(calls).buffer_unordered(concurrency).ready_chunks(SETTLE);
            while let Some(ended) = results.next().await {
                let ended: Vec<(Begun, Ended)> = ended.into_iter().flatten().collect();
                self.settle(ended).await?;
            }
        }
        Ok(())
    }

    fn concurrency(&self) -> usize {
        let own = self.target.settings.concurrency.max(1);
        let limits = self.discovery().capabilities.classes.values().map(|class| class.concurrency_max);
        let limit = limits.filter(|limit| *limit > 0).min();
        limit.map_or(own, |limit| limit.min(own)) as usize
    }

    pub(super) fn discovery(&self) -> &crate::connector::Discovery {
        static NONE: std::sync::LazyLock<crate::connector::Discovery> =
            std::sync::LazyLock::new(Default::default);
        self.target.discovery.as_ref().unwrap_or(&NONE)
    }

    /// Checks preconditions, reserves budgets and journals the intents.
    async fn begin(&self, chunk: u32, steps: &[Arc<Step>], entries: &Entries) -> Result<Vec<Begun>> {
        let mut entries = entries.clone();
        for _ in 0..TRIES_MAX {
            let (mut begun, stale) = self.check(chunk, steps, &entries).await?;
            if !stale.is_empty() {
                self.skip(&stale, &entries, true).await?;
            }
            let mut changes = Changes::in_realm(&self.engine.realm);
            let over = self.reserve(&mut changes, &begun).await?;
            if let Some(why) = over {
                let (stop, go): (Vec<Begun>, Vec<Begun>) =
                    begun.into_iter().partition(|begun| !begun.step.budgets.is_empty());
                let stop: Vec<(Arc<Step>, String)> =
                    stop.into_iter().map(|begun| (begun.step, why.clone())).collect();
                self.skip(&stop, &entries, true).await?;
                begun = go;
                changes = Changes::in_realm(&self.engine.realm);
            }
            if begun.is_empty() {
                return Ok(begun);
            }
            for begun in &begun {
                match entries.get(&begun.step.id) {
                    Some(known) => changes.replace(known.version, &begun.entry)?,
                    None => changes.insert(&begun.entry)?,
                }
            }
            if self.engine.store().commit(changes).await? == Commit::Committed {
                return Ok(begun);
            }
            // Another process works on the same plan: look again, and leave alone what it has begun.
            entries = self.reload(steps).await?;
            let now = self.engine.now();
            let free = |step: &&Arc<Step>| {
                entries.get(&step.id).is_none_or(|entry| match &entry.value.state {
                    StepState::Intent => entry.value.deadline.plus(self.engine.inner.settle) <= now,
                    StepState::Waiting { until } | StepState::Pending { until, .. } => *until <= now,
                    _ => false,
                })
            };
            let free: Vec<Arc<Step>> = steps.iter().filter(free).cloned().collect();
            if free.len() < steps.len() {
                return Box::pin(self.begin(chunk, &free, &entries)).await;
            }
        }
        Ok(Vec::new())
    }

    async fn reload(&self, steps: &[Arc<Step>]) -> Result<Entries> {
        let keys: Vec<String> =
            steps.iter().map(|step| JournalEntry::row_key(self.header.id, &step.id)).collect();
        let found = store::get_many::<JournalEntry>(self.engine.store(), &self.engine.realm, &keys).await?;
        Ok(found.into_iter().flatten().map(|entry| (entry.value.step.clone(), entry)).collect())
    }

    /// Steps whose preconditions hold, with what is needed to call them; and those that are stale.
    async fn check(
        &self,
        chunk: u32,
        steps: &[Arc<Step>],
        entries: &Entries,
    ) -> Result<(Vec<Begun>, Vec<(Arc<Step>, String)>)> {
        let (store, realm) = (self.engine.store(), &self.engine.realm);
        let identity_keys: Vec<String> = steps.iter().map(|step| step.identity.to_string()).collect();
        let identities = store.get(realm, Identity::TABLE, &identity_keys).await?;
        let link_keys: Vec<String> = steps.iter().map(|step| link_key(step)).collect();
        let links = store::get_many::<Link>(store, realm, &link_keys).await?;
        let (mut begun, mut stale) = (Vec::new(), Vec::new());
        for ((step, identity), link) in steps.iter().zip(identities).zip(links) {
            let link = link.map(|link| link.value);
            let version = identity.as_ref().map(identity_version).transpose()?;
            if let Some(why) = self.stale(step, version, link.as_ref()) {
                stale.push((step.clone(), why));
                continue;
            }
            begun.push(self.begun(chunk, step, link, entries.get(&step.id))?);
        }
        Ok((begun, stale))
    }

    fn stale(&self, step: &Step, version: Option<u64>, link: Option<&Link>) -> Option<String> {
        if version != Some(step.precondition.identity_version) {
            return Some("the identity changed since the plan was made".to_owned());
        }
        let ours = link.is_some_and(|link| link.last_plan == Some(self.header.id));
        if !ours && link.map(|link| link.revision) != step.precondition.link_revision {
            return Some("the account changed since the plan was made".to_owned());
        }
        None
    }

    fn begun(
        &self,
        chunk: u32,
        step: &Arc<Step>,
        link: Option<Link>,
        known: Option<&Stored<JournalEntry>>,
    ) -> Result<Begun> {
        let now = self.engine.now();
        let version = known.map_or(1, |known| known.version + 1);
        let known = known.map(|known| &known.value);
        let link_id = match (&link, known.and_then(|known| known.link)) {
            (Some(link), _) => link.id,
            (None, Some(id)) => id,
            (None, None) => LinkId::from_uuid(self.engine.inner.mint()?),
        };
        let unknown = |entry: &JournalEntry| {
            entry.state == StepState::Intent
                || entry.error.as_ref().is_some_and(|error| error.effect != crate::error::Effect::None)
        };
        let ticket = known.and_then(|known| match &known.state {
            StepState::Pending { ticket, .. } => Some(ticket.clone()),
            _ => None,
        });
        let entry = JournalEntry {
            realm: self.engine.realm.clone(),
            plan: self.header.id,
            step: step.id.clone(),
            chunk,
            target: step.target.clone(),
            identity: step.identity,
            link: Some(link_id),
            state: StepState::Intent,
            attempts: known.map_or(0, |known| known.attempts) + 1,
            started_at: now,
            deadline: now.plus(self.timeout()),
            key: None,
            error: None,
            read_back: false,
        };
        let after_unknown = known.is_some_and(unknown) && ticket.is_none();
        Ok(Begun { step: Arc::clone(step), entry, version, link, after_unknown, ticket })
    }

    /// Adds the spending of steps to the commit that journals their intents. Says so when that is over a budget,
    /// except for plans that a person approved whole.
    async fn reserve(&self, changes: &mut Changes, begun: &[Begun]) -> Result<Option<String>> {
        let mut spends: BTreeMap<BudgetKind, u64> = BTreeMap::new();
        for kind in begun.iter().flat_map(|begun| &begun.step.budgets) {
            *spends.entry(*kind).or_default() += 1;
        }
        if spends.is_empty() {
            return Ok(None);
        }
        if !self.approved {
            let target = self.engine.target(&self.target.settings.name).await?.value;
            let allowance = self.engine.allowance(&target, self.engine.now()).await?;
            for (kind, wanted) in &spends {
                if *wanted > allowance.left(*kind) {
                    return Ok(Some(format!(
                        "the budget `{}` is spent since the plan was made: plan again",
                        kind.as_str()
                    )));
                }
            }
        }
        self.spend(changes, &spends, true).await?;
        Ok(None)
    }

    /// Adds to (or takes back from) the buckets of the present hour.
    pub(super) async fn spend(
        &self,
        changes: &mut Changes,
        amounts: &BTreeMap<BudgetKind, u64>,
        add: bool,
    ) -> Result<()> {
        let hour = hour_of(self.engine.now());
        let target = &self.target.settings.name;
        for (kind, amount) in amounts {
            let key = Spending::row_key(target, *kind, hour);
            let known = store::get::<Spending>(self.engine.store(), &self.engine.realm, &key).await?;
            let (version, mut spending) = match known {
                Some(Stored { version, value }) => (Some(version), value),
                None => {
                    let realm = self.engine.realm.clone();
                    let fresh =
                        Spending { realm, target: target.clone(), kind: *kind, hour, spent: 0, approved: 0 };
                    (None, fresh)
                }
            };
            let approved = if self.approved { *amount } else { 0 };
            if add {
                spending.spent += amount;
                spending.approved += approved;
            } else {
                spending.spent = spending.spent.saturating_sub(*amount);
                spending.approved = spending.approved.saturating_sub(approved);
            }
            match version {
                Some(version) => changes.replace(version, &spending)?,
                None => changes.insert(&spending)?,
            }
        }
        Ok(())
    }

    /// How long to wait before the next attempt: doubled each time, with jitter, never more than the longest.
    pub(super) fn backoff(&self, attempts: u32) -> Result<Duration> {
        let schedule = &self.target.settings.retry;
        let doubled =
            u64::from(schedule.first_seconds).saturating_mul(1 << attempts.saturating_sub(1).min(20));
        let millis = doubled.min(u64::from(schedule.longest_seconds)).saturating_mul(1_000);
        let mut byte = [0u8; 1];
        self.engine.inner.random.fill(&mut byte)?;
        let [byte] = byte;
        // Between half and the whole, so that many steps do not come back together.
        Ok(Duration::from_millis(millis / 2 + millis / 2 * u64::from(byte) / 255))
    }
}

/// The version of an identity: all that a precondition asks of it.
fn identity_version(row: &Row) -> Result<u64> {
    #[derive(Deserialize)]
    struct Versioned {
        version: u64,
    }
    store::decode_part::<Versioned>(Identity::TABLE, row).map(|identity| identity.version)
}

/// The key of the link a step is about.
pub(super) fn link_key(step: &Step) -> String {
    Link::row_key(&step.target, &step.class, &step.tag, &Subject::Identity(step.identity))
}

/// A create makes the link; everything else has one.
pub(super) fn makes_link(step: &Step) -> bool {
    matches!(step.action, Action::Create { .. })
}

/// Expects that an entry is as it was when its intent was journalled.
pub(super) fn expect_entry(changes: &mut Changes, entry: &JournalEntry, version: u64) -> Result<()> {
    changes.expect.push(Expect::Version { table: Table::Journal, key: entry.key(), version });
    changes.put(entry)
}
