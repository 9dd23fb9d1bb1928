//! A wave: steps whose intents are journalled in one commit, called side by side, and whose outcomes are journalled
//! as they come.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{Stream, StreamExt};
use serde::Deserialize;

use super::company::{Company, Stage};
use super::lane::{AHEAD, Entries, Lane, Ready};
use super::order::Order;
use super::{Ended, JournalEntry, StepState, Unit};
use crate::error::{ErrorKind, Result};
use crate::id::{ClassName, IdentityId, LinkId, StepId, Tag, TargetName};
use crate::model::{ConfiguredTarget, Identity, Link, Subject};
use crate::plan::{Action, Step};
use crate::planted::{self, Defect};
use crate::store::{self, Changes, Commit, Expect, Record, Row, Stored, Table};
use crate::value::Timestamp;

/// Outcomes journalled in one commit, at most: those that are there when one of them is. None waits for another.
const SETTLE: usize = 256;
/// Tries against others who write the same rows.
const TRIES_MAX: u32 = 10;

/// Turns of calls that the steps of a wave get before its deadline; those that did not get theirs are begun again.
const TURNS_MAX: usize = 16;

/// A step about to be called.
#[derive(Clone, Debug)]
pub(super) struct Begun {
    pub(super) step: Arc<Order>,
    pub(super) entry: JournalEntry,
    /// The version its journal row has once the intent is written.
    pub(super) version: u64,
    pub(super) link: Option<Link>,
    /// The version of the link's row then.
    pub(super) link_version: Option<u64>,
    /// The attempt before may have changed something: read back first.
    pub(super) after_unknown: bool,
    /// Until then a lookup may not show what the attempt before made: its worker is gone, and nobody has waited yet.
    pub(super) shown_at: Option<Timestamp>,
    /// A ticket to ask with, if the target is still working.
    pub(super) ticket: Option<String>,
    /// The step may not be sent any more, and why: an attempt before may have had an effect, so that it is only
    /// found out what became of it.
    pub(super) resolve_only: Option<String>,
}

impl Begun {
    /// An attempt before may have changed something, or still may.
    pub(super) fn is_open(&self) -> bool {
        self.after_unknown || self.ticket.is_some()
    }
}

/// Steps whose preconditions were checked, against which rows.
#[derive(Default)]
struct Checked {
    begun: Vec<Begun>,
    stale: Vec<(Arc<Order>, String)>,
    /// What was looked at is still so when the intents are written; the links of creates are written with them.
    changes: Changes,
}

impl Lane<'_> {
    /// Begins, calls and settles steps; edges of several plans may share a request with `company`. Gives the entries
    /// that it wrote last; of a step without one, others know more.
    pub(super) async fn wave(
        &self,
        steps: &[Ready],
        entries: &Entries,
        company: Option<&Company>,
    ) -> Result<Entries> {
        // One after the other: they spend from the same budgets.
        let turn = self.begins.acquire().await;
        self.look_around().await?;
        let begun = if self.ends() { Vec::new() } else { self.begin(steps, entries).await? };
        drop(turn);
        let mut settled = Entries::new();
        if begun.is_empty() {
            return Ok(settled);
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
            // Edges that wait for company are in nobody's way.
            let waits = units.iter().any(|unit| matches!(unit, Unit::Edges { .. }));
            let side_by_side = if waits { units.len().max(1) } else { concurrency };
            let stage = company.filter(|_| waits).map(|company| Stage::new(company, units.len()));
            let calls = units.into_iter().map(|unit: Unit| self.call(unit, stage.as_ref()));
            let calls = futures_util::stream::iter(calls).buffer_unordered(side_by_side).ready_chunks(SETTLE);
            settled.append(
                &mut self.settle_all(calls.map(|ended| ended.into_iter().flatten().collect())).await?,
            );
        }
        Ok(settled)
    }

    /// Journals how calls end, as they end, while the others go on. What ends while a commit is under way goes into the
    /// next one together: a slow store makes commits larger, and does not keep the target waiting.
    async fn settle_all(&self, calls: impl Stream<Item = Vec<(Begun, Ended)>>) -> Result<Entries> {
        let mut calls = pin!(calls);
        let (mut settled, mut ended, mut calling) = (Entries::new(), Vec::new(), true);
        while calling || !ended.is_empty() {
            if ended.is_empty() {
                match calls.next().await {
                    Some(more) => ended = more,
                    None => calling = false,
                }
                continue;
            }
            let first = ended.len().min(SETTLE);
            let mut settling = pin!(self.settle(ended.drain(..first).collect()));
            let mut entries = loop {
                tokio::select! {
                    biased;
                    entries = &mut settling => break entries?,
                    more = calls.next(), if calling => match more {
                        Some(more) => ended.extend(more),
                        None => calling = false,
                    },
                }
            };
            settled.append(&mut entries);
        }
        Ok(settled)
    }

    fn concurrency(&self) -> usize {
        concurrency(&self.target)
    }

    pub(super) fn discovery(&self) -> &crate::connector::Discovery {
        static NONE: std::sync::LazyLock<crate::connector::Discovery> =
            std::sync::LazyLock::new(Default::default);
        self.target.discovery.as_ref().unwrap_or(&NONE)
    }

    /// Checks preconditions, reserves budgets and journals the intents.
    async fn begin(&self, steps: &[Ready], entries: &Entries) -> Result<Vec<Begun>> {
        let mut entries = Cow::Borrowed(entries);
        for _ in 0..TRIES_MAX {
            let Checked { mut begun, stale, mut changes } = self.check(steps, &entries).await?;
            if !stale.is_empty() {
                self.skip(&stale, &entries, true).await?;
            }
            if let Some(why) = self.reserve(&mut changes, &mut begun).await? {
                let (stop, go): (Vec<Begun>, Vec<Begun>) =
                    begun.into_iter().partition(|begun| !begun.is_open() && !begun.step.budgets.is_empty());
                let stop: Vec<(Arc<Order>, String)> =
                    stop.into_iter().map(|begun| (begun.step, why.clone())).collect();
                self.skip(&stop, &entries, true).await?;
                let go: BTreeSet<&StepId> = go.iter().map(|begun| &begun.step.id).collect();
                let go: Vec<Ready> =
                    steps.iter().filter(|ready| go.contains(&ready.step.id)).cloned().collect();
                return Box::pin(self.begin(&go, &entries)).await;
            }
            let (begun, spent) = split_unresolvable(begun);
            if !spent.is_empty() {
                self.skip(&spent, &entries, true).await?;
            }
            if begun.is_empty() {
                return Ok(begun);
            }
            // Planted: the journal hears of them when they have ended.
            let silent = planted::is(Defect::IntentNotJournalled);
            for begun in begun.iter().filter(|_| !silent) {
                match entries.get(&begun.step.id) {
                    Some(known) => changes.replace(known.version, &begun.entry)?,
                    None => changes.insert(&begun.entry)?,
                }
            }
            if self.engine.store().commit(changes).await? == Commit::Committed {
                return Ok(begun);
            }
            // Another process works on the same plan: look again, and leave alone what it has begun.
            entries = Cow::Owned(self.reload(steps).await?);
            let now = self.engine.now();
            let free = |ready: &&Ready| {
                entries.get(&ready.step.id).is_none_or(|entry| match &entry.value.state {
                    StepState::Intent => self.engine.takeover_at(entry.value.deadline) <= now,
                    StepState::Waiting { until } | StepState::Pending { until, .. } => *until <= now,
                    _ => false,
                })
            };
            let free: Vec<Ready> = steps.iter().filter(free).cloned().collect();
            if free.len() < steps.len() {
                return Box::pin(self.begin(&free, &entries)).await;
            }
        }
        Ok(Vec::new())
    }

    /// The journal of steps as it is now.
    pub(super) async fn reload(&self, steps: &[Ready]) -> Result<Entries> {
        let keys: Vec<String> =
            steps.iter().map(|ready| JournalEntry::row_key(self.header.id, &ready.step.id)).collect();
        let found = store::get_many::<JournalEntry>(self.engine.store(), &self.engine.realm, &keys).await?;
        Ok(found.into_iter().flatten().map(|entry| (entry.value.step.clone(), entry)).collect())
    }

    /// Steps whose preconditions hold, with what is needed to call them; and those that are stale.
    async fn check(&self, steps: &[Ready], entries: &Entries) -> Result<Checked> {
        let (store, realm) = (self.engine.store(), &self.engine.realm);
        let identity_keys: Vec<String> = steps.iter().map(|ready| ready.step.identity.to_string()).collect();
        let identities = store.get(realm, Identity::TABLE, &identity_keys).await?;
        let link_keys: Vec<String> = steps.iter().map(|ready| link_key(&ready.step)).collect();
        let links = store::get_many::<Link>(store, realm, &link_keys).await?;
        let others = self.open_elsewhere(steps).await?;
        self.engine.ask_time().await?;
        let deadline = self.deadline(steps.len());
        let mut checked = Checked { changes: Changes::in_realm(realm), ..Checked::default() };
        // A plan that somebody goes on with later was made by a policy that may not be in force any more.
        let other_policy = match self.engine.expect_policy(&self.header.policy).await {
            Ok(expect) => {
                checked.changes.expect.push(expect);
                false
            }
            Err(error) if error.kind() == ErrorKind::Conflict => true,
            Err(error) => return Err(error),
        };
        for ((ready, identity), link) in steps.iter().zip(identities).zip(links) {
            let step = &ready.step;
            let version = identity.as_ref().map(identity_version).transpose()?;
            let known = entries.get(&step.id);
            let mut stale = self.stale(step, version, link.as_ref().map(|link| &link.value));
            let date = ready.stale_at;
            let fresh = planted::is(Defect::StalePrecondition);
            if !fresh && stale.is_none() && date.is_some_and(|at| at <= self.engine.now()) {
                let why = "a first or last day, or the end of a grant, has come since the plan was made";
                stale = Some(why.to_owned());
            }
            if stale.is_none() && other_policy && !fresh {
                stale = Some("the policy changed since the plan was made".to_owned());
            }
            if stale.is_none() && others.contains(&account_of(step)) {
                stale = Some("a step of another plan has not ended for this account".to_owned());
            }
            let mut begun =
                self.begun(ready.chunk, step, link.as_ref().map(|link| &link.value), known, deadline)?;
            match stale {
                Some(why) if begun.is_open() && can_resolve(&step.action) => begun.resolve_only = Some(why),
                Some(why) => {
                    checked.stale.push((step.clone(), why));
                    continue;
                }
                None if begun.after_unknown && self.is_used_up(&begun) => {
                    begun.resolve_only = Some("its attempts are used up".to_owned());
                }
                None => {}
            }
            if let Some(identity) = &identity {
                let (table, key) = (Identity::TABLE, identity.key.clone());
                let version = identity.version;
                checked.changes.expect.push(Expect::Version { table, key, version });
            }
            self.claim_link(&mut checked.changes, &mut begun, link.map(|link| link.version))?;
            checked.begun.push(begun);
        }
        Ok(checked)
    }

    /// Whether an attempt has only to find out what became of those before: they were all that the target gets, and a
    /// lookup tells.
    fn is_used_up(&self, begun: &Begun) -> bool {
        let lookup = matches!(begun.step.action, Action::Create { lookup: Some(_), .. });
        lookup && begun.entry.attempts > self.target.settings.retry.attempts_max
    }

    /// Ties the intent to the link it was checked against. A create writes its link now, without a key: nobody else
    /// creates the account, and every later attempt has the same id.
    fn claim_link(&self, changes: &mut Changes, begun: &mut Begun, version: Option<u64>) -> Result<()> {
        let (table, key) = (Link::TABLE, link_key(&begun.step));
        let claimed = begun.link.as_ref().is_some_and(|link| link.last_plan == Some(self.header.id));
        if !makes_link(&begun.step) || claimed || begun.resolve_only.is_some() {
            begun.link_version = version;
            changes.expect.push(match version {
                Some(version) => Expect::Version { table, key, version },
                None => Expect::Absent { table, key },
            });
            return Ok(());
        }
        let mut link = match begun.link.take() {
            Some(link) => Link { revision: link.revision + 1, ..link },
            None => match new_link(begun) {
                Some(link) => link,
                None => return Ok(()),
            },
        };
        link.last_plan = Some(self.header.id);
        match version {
            Some(version) => changes.replace(version, &link)?,
            None => changes.insert(&link)?,
        }
        begun.link = Some(link);
        begun.link_version = Some(version.unwrap_or(0) + 1);
        Ok(())
    }

    /// Accounts of which a step of another plan has been begun and has not ended.
    async fn open_elsewhere(&self, steps: &[Ready]) -> Result<BTreeSet<AccountOf>> {
        let identities: BTreeSet<IdentityId> = steps.iter().map(|ready| ready.step.identity).collect();
        let open = self.engine.rows_of::<JournalEntry>("identity", &identities).await?;
        let other = open.into_values().flatten().map(|entry| entry.value);
        let leaving: BTreeSet<IdentityId> =
            steps.iter().filter(|ready| ready.step.offboarding).map(|ready| ready.step.identity).collect();
        // An offboarding does not wait for a step in escrow that had no effect: that one is stale afterwards.
        let other = other.filter(|entry| {
            entry.plan != self.header.id && !(leaving.contains(&entry.identity) && entry.is_idle())
        });
        Ok(other.filter_map(|entry| entry.account().map(|account| (entry.identity, account))).collect())
    }

    /// Until when the steps of a wave may be sent, by the store's clock: the last of them waits for those before it.
    fn deadline(&self, steps: usize) -> Timestamp {
        // Those of the chunk that goes beside it have their turns, too.
        let turns = (AHEAD * steps / self.concurrency().max(1)).min(TURNS_MAX) + 1;
        let turns = u32::try_from(turns).unwrap_or(u32::MAX);
        self.engine.stored_at_most().plus(self.timeout().saturating_mul(turns))
    }

    fn stale(&self, step: &Step, version: Option<u64>, link: Option<&Link>) -> Option<String> {
        // Planted: a plan is a plan.
        if planted::is(Defect::StalePrecondition) {
            return None;
        }
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
        step: &Arc<Order>,
        link: Option<&Link>,
        known: Option<&Stored<JournalEntry>>,
        deadline: Timestamp,
    ) -> Result<Begun> {
        let version = known.map_or(1, |known| known.version + 1);
        let known = known.map(|known| &known.value);
        let link_id = match (link, known.and_then(|known| known.link)) {
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
            started_at: self.engine.now(),
            deadline,
            key: None,
            error: None,
            read_back: false,
            paid_hour: known.and_then(|known| known.paid_hour),
        };
        let after_unknown = known.is_some_and(unknown) && ticket.is_none();
        let lost = known.filter(|known| known.state == StepState::Intent);
        let shown_at = lost.map(|lost| lost.deadline.plus(self.visible_after(step)));
        let link = link.cloned();
        Ok(Begun {
            step: Arc::clone(step),
            entry,
            version,
            link,
            link_version: None,
            after_unknown,
            shown_at,
            ticket,
            resolve_only: None,
        })
    }

    /// How long after a write a read may not show it yet.
    pub(super) fn visible_after(&self, step: &Step) -> Duration {
        self.discovery().capabilities.class(&step.class).visible_after
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

/// Calls that a target may have side by side.
pub(super) fn concurrency(target: &ConfiguredTarget) -> usize {
    let own = target.settings.concurrency.max(1);
    let classes = target.discovery.iter().flat_map(|discovery| discovery.capabilities.classes.values());
    let limit = classes.map(|class| class.concurrency_max).filter(|limit| *limit > 0).min();
    limit.map_or(own, |limit| limit.min(own)) as usize
}

/// The version of an identity: all that a precondition asks of it.
fn identity_version(row: &Row) -> Result<u64> {
    #[derive(Deserialize)]
    struct Versioned {
        version: u64,
    }
    store::decode_part::<Versioned>(Identity::TABLE, row).map(|identity| identity.version)
}

/// Steps that may only be found out about and cannot be: they are left, with why.
fn split_unresolvable(begun: Vec<Begun>) -> (Vec<Begun>, Vec<(Arc<Order>, String)>) {
    let (mut go, mut left) = (Vec::with_capacity(begun.len()), Vec::new());
    for begun in begun {
        match &begun.resolve_only {
            Some(why) if !can_resolve(&begun.step.action) => left.push((begun.step, why.clone())),
            _ => go.push(begun),
        }
    }
    (go, left)
}

/// Whether it can be found out what became of an attempt, other than by sending again. An edge is kept as uncertain and
/// a release is simply left: the next plan sends what is wanted then.
fn can_resolve(action: &Action) -> bool {
    !matches!(action, Action::AddMember { .. } | Action::RemoveMember { .. } | Action::Release)
}

/// An account, and whose it is.
type AccountOf = (IdentityId, (TargetName, ClassName, Tag));

/// The account of a step.
fn account_of(step: &Step) -> AccountOf {
    (step.identity, (step.target.clone(), step.class.clone(), step.tag.clone()))
}

/// The link that a create makes.
pub(super) fn new_link(begun: &Begun) -> Option<Link> {
    let step = &begun.step;
    let subject = Subject::Identity(step.identity);
    let (target, class, tag) = (step.target.clone(), step.class.clone(), step.tag.clone());
    Some(Link::new(begun.entry.link?, begun.entry.realm.clone(), target, class, tag, subject))
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

#[cfg(test)]
mod tests {
    use super::super::workbench::{Workbench, add_member, create, now, step};
    use super::*;
    use crate::error::{Effect, Error, ErrorRecord};
    use crate::value::Attributes;

    fn refused(effect: Effect) -> ErrorRecord {
        Error::new(ErrorKind::Unavailable, "it failed").with_effect(effect).record()
    }

    #[tokio::test]
    async fn the_wait_before_the_next_attempt_doubles_up_to_the_longest() {
        let mut bench = Workbench::new().await;
        bench.target.settings.retry.first_seconds = 8;
        bench.target.settings.retry.longest_seconds = 60;
        let lane = bench.lane();
        for (attempts, whole) in [(0, 8_000), (1, 8_000), (2, 16_000), (3, 32_000), (4, 60_000), (99, 60_000)]
        {
            let waits: BTreeSet<u64> =
                (0..200).map(|_| lane.backoff(attempts).unwrap().as_millis() as u64).collect();
            let (least, most) = (waits.first().copied().unwrap(), waits.last().copied().unwrap());
            assert!(least >= whole / 2 && most <= whole, "{attempts}: {least} to {most} of {whole}");
            assert!(
                least < whole * 6 / 10 && most > whole * 9 / 10,
                "{attempts}: {least} to {most} of {whole}"
            );
            assert!(waits.len() > 50, "many steps do not come back together");
        }
    }

    #[tokio::test]
    async fn the_class_that_bears_least_sets_how_many_calls_are_made_at_once() {
        let mut bench = Workbench::new().await;
        let mut at_once = |own: u32, limits: [u32; 2]| {
            bench.target.settings.concurrency = own;
            let discovery = bench.target.discovery.as_mut().unwrap();
            let classes = discovery.capabilities.classes.values_mut();
            classes.zip(limits).for_each(|(class, limit)| class.concurrency_max = limit);
            concurrency(&bench.target)
        };
        assert_eq!(at_once(6, [0, 0]), 6, "it has no limit of its own");
        assert_eq!(at_once(6, [0, 4]), 4);
        assert_eq!(at_once(6, [3, 4]), 3);
        assert_eq!(at_once(6, [1, 0]), 1);
        assert_eq!(at_once(2, [9, 9]), 2);
        assert_eq!(at_once(0, [0, 0]), 1, "never none");
    }

    #[tokio::test]
    async fn the_last_step_of_a_wave_has_time_until_its_turn() {
        let mut bench = Workbench::new().await;
        bench.target.settings.timeout_seconds = 5;
        bench.target.settings.concurrency = 8;
        let turns = |steps: usize| bench.lane().deadline(steps).since(now()).as_secs() / 5;
        assert_eq!(turns(1), 1);
        assert_eq!(turns(8), 3, "those of the chunk beside it have their turns, too");
        assert_eq!(turns(32), 9);
        assert_eq!(turns(256), 17, "who did not get a turn by then is begun again");
    }

    #[tokio::test]
    async fn an_attempt_knows_what_the_one_before_left_open() {
        let bench = Workbench::new().await;
        let enable = step(Action::Enable);
        let after = |state: StepState, error: Option<ErrorRecord>| {
            let mut entry = bench.begun(Action::Enable).entry;
            (entry.state, entry.error, entry.attempts) = (state, error, 3);
            let known = Stored { version: 6, value: entry };
            let begun = bench.lane().begun(2, &enable, Some(&bench.link()), Some(&known), now()).unwrap();
            assert_eq!((begun.version, begun.entry.attempts, begun.entry.chunk), (7, 4, 2));
            (begun.after_unknown, begun.ticket)
        };
        let waiting = || StepState::Waiting { until: now() };
        let pending = || StepState::Pending { ticket: "t".to_owned(), until: now() };
        assert_eq!(after(StepState::Intent, None), (true, None), "it may have been sent");
        assert_eq!(after(waiting(), Some(refused(Effect::Unknown))), (true, None));
        assert_eq!(after(waiting(), Some(refused(Effect::None))), (false, None));
        assert_eq!(after(waiting(), None), (false, None));
        assert_eq!(after(pending(), Some(refused(Effect::Unknown))), (false, Some("t".to_owned())));
    }

    #[tokio::test]
    async fn a_first_attempt_has_the_links_id_or_one_of_its_own() {
        let bench = Workbench::new().await;
        let (enable, made) = (step(Action::Enable), step(create(Attributes::new())));
        let first = bench.lane().begun(0, &enable, Some(&bench.link()), None, now()).unwrap();
        assert_eq!((first.version, first.entry.attempts), (1, 1));
        assert_eq!(first.entry.link, Some(bench.link().id));
        assert!(!first.is_open());
        let lane = bench.lane();
        let begin = |known| lane.begun(0, &made, None, known, now()).unwrap();
        let one = begin(None);
        assert_ne!(one.entry.link, begin(None).entry.link, "each is minted");
        let again = begin(Some(&Stored { version: 1, value: one.entry.clone() }));
        assert_eq!(again.entry.link, one.entry.link, "and kept for every attempt");
    }

    #[tokio::test]
    async fn a_step_is_stale_when_what_it_was_planned_from_has_changed() {
        let bench = Workbench::new().await;
        let mut planned = Step::clone(&step(Action::Enable));
        (planned.precondition.identity_version, planned.precondition.link_revision) = (7, Some(4));
        let link = bench.link();
        let stale = |version, link: Option<&Link>| bench.lane().stale(&planned, version, link).is_some();
        assert!(!stale(Some(7), Some(&link)));
        assert!(stale(Some(8), Some(&link)));
        assert!(stale(None, Some(&link)));
        assert!(stale(Some(7), None));
        let changed = Link { revision: 5, ..link.clone() };
        assert!(stale(Some(7), Some(&changed)));
        let by_us = Link { last_plan: Some(bench.header.id), ..changed };
        assert!(!stale(Some(7), Some(&by_us)), "this plan's own writes count for nothing");
        assert!(stale(Some(8), Some(&by_us)));
    }

    #[tokio::test]
    async fn a_create_claims_its_link_and_everything_else_expects_it() {
        let bench = Workbench::new().await;
        let claim = |action: Action, link: Option<Link>, version: Option<u64>, resolve: Option<&str>| {
            let mut begun = bench.begun(action);
            begun.link = link;
            begun.resolve_only = resolve.map(str::to_owned);
            let mut changes = Changes::in_realm(bench.engine.realm());
            bench.lane().claim_link(&mut changes, &mut begun, version).unwrap();
            let put = changes.put.first().map(|put| serde_json::from_str::<Link>(&put.body).unwrap());
            (changes.expect, put, begun.link_version)
        };
        let (table, key) = (Link::TABLE, bench.link().key());
        let made = || create(Attributes::new());
        let absent = Expect::Absent { table, key: key.clone() };
        let (expect, put, version) = claim(made(), None, None, None);
        assert_eq!((expect, version), (vec![absent.clone()], Some(1)));
        let put = put.unwrap();
        assert_eq!((put.id, put.last_plan, put.revision), (bench.link().id, Some(bench.header.id), 0));
        let (expect, put, version) = claim(made(), Some(bench.link()), Some(3), None);
        assert_eq!(expect, [Expect::Version { table, key: key.clone(), version: 3 }]);
        assert_eq!((put.unwrap().revision, version), (5, Some(4)));
        let claimed = Link { last_plan: Some(bench.header.id), ..bench.link() };
        for (action, link, resolve) in [
            (made(), claimed, None),
            (made(), bench.link(), Some("the identity changed")),
            (Action::Enable, bench.link(), None),
        ] {
            let (expect, put, version) = claim(action, Some(link), Some(3), resolve);
            assert_eq!(expect, [Expect::Version { table, key: key.clone(), version: 3 }]);
            assert_eq!((put, version), (None, Some(3)));
        }
        assert_eq!(claim(Action::Enable, None, None, None), (vec![absent], None, None));
    }

    #[test]
    fn only_what_the_target_can_show_is_found_out_by_asking() {
        for action in [Action::Enable, Action::Delete, create(Attributes::new())] {
            assert!(can_resolve(&action), "{action:?}");
        }
        for action in [Action::Release, add_member("staff")] {
            assert!(!can_resolve(&action), "{action:?}");
        }
    }
}
