//! Schedules: what is done again and again, by one node at a time.

use std::time::Duration;

use futures_util::future::{Either, select};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::configure::Meta;
use super::{Engine, RunOptions};
use crate::audit::{self, AuditEntry};
use crate::error::{Effect, Error, ErrorKind, ErrorRecord, Result};
use crate::id::TargetName;
use crate::model::Actor;
use crate::runtime::Operation;
use crate::store::{self, Changes, Commit, Cursor, Expect, Record, Scan, Select, Stored, Table};
use crate::value::Timestamp;

/// How the rows of schedules begin.
pub(crate) const PREFIX: &str = "schedule/";
/// The schedule that a drive makes when there is something to seal. A host's name cannot begin like this.
const SEALING: &str = "$seal";
/// How long after the first unsealed entry a drive has it sealed, with all that came since.
const SEAL_AFTER: Duration = Duration::from_secs(10);
/// How long a node has a schedule that it runs, before others may take it over; renewed while it runs.
const LASTS: Duration = Duration::from_secs(120);
/// The shortest time between two runs.
const EVERY_MIN: Duration = Duration::from_secs(1);
/// Schedules looked at for those that are due.
const PAGE: u32 = 100;

/// What a schedule does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scheduled {
    /// Reconciles a target.
    Reconcile {
        /// The target.
        target: TargetName,
    },
    /// Seals the audit stream.
    Seal,
}

/// What becomes of a run that nobody was there for: of one that is late by more than its interval.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Missed {
    /// It is made up for, once, however many were missed.
    #[default]
    Once,
    /// It is left out: the next one is at its time.
    Skip,
}

/// A schedule and how its last run ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schedule {
    /// Its name.
    pub name: String,
    /// What it does.
    pub what: Scheduled,
    /// How often; zero: once. When in this time is up to the name, so that not all schedules are due at once.
    pub every: Duration,
    /// What becomes of a run that was missed.
    pub missed: Missed,
    /// When it is due, by the store's clock.
    pub next_at: Timestamp,
    /// When it is to be looked at: when it is due, or when whoever runs it may be gone.
    look_at: Timestamp,
    /// When the last run began.
    pub last_at: Option<Timestamp>,
    /// How the last run failed.
    pub last_error: Option<ErrorRecord>,
}

impl Record for Meta<Schedule> {
    const TABLE: Table = Table::Meta;

    fn key(&self) -> String {
        row_key(&self.name)
    }

    fn columns(&self) -> Vec<(&'static str, String)> {
        vec![("due", self.value.look_at.sortable())]
    }
}

fn row_key(name: &str) -> String {
    format!("{PREFIX}{name}")
}

impl Schedule {
    fn new(name: &str, what: Scheduled, every: Duration, missed: Missed, next_at: Timestamp) -> Self {
        let name = name.to_owned();
        Self { name, what, every, missed, next_at, look_at: next_at, last_at: None, last_error: None }
    }

    fn row(self) -> Meta<Self> {
        Meta { name: self.name.clone(), value: self }
    }

    /// The first instant after `now` that is the schedule's: they are as far apart as the interval, and where the first
    /// of them lies is seeded from the names.
    fn after(&self, realm: &str, now: Timestamp) -> Timestamp {
        let every = i64::try_from(self.every.max(EVERY_MIN).as_micros()).unwrap_or(i64::MAX);
        let digest = Sha256::digest(format!("{realm}/{}", self.name));
        let seed = digest.iter().take(7).fold(0i64, |seed, byte| seed << 8 | i64::from(*byte));
        let offset = seed.rem_euclid(every);
        let since = now.as_micros().saturating_sub(offset).div_euclid(every).saturating_add(1);
        Timestamp::from_micros(since.saturating_mul(every).saturating_add(offset))
    }

    /// Late by more than its interval, with nobody to make up for it.
    fn is_left_out(&self, now: Timestamp) -> bool {
        self.missed == Missed::Skip && !self.every.is_zero() && now.since(self.next_at) >= self.every
    }
}

impl Engine {
    /// Adds a schedule, or changes it. A drive that runs forever runs it when it is due: of all nodes one, and another
    /// one when that is gone.
    ///
    /// # Errors
    /// `ConfigInvalid` for a bad name, an interval under a second, or a target that is not configured.
    pub async fn schedule(
        &self,
        actor: &Actor,
        name: &str,
        what: Scheduled,
        every: Duration,
        missed: Missed,
    ) -> Result<()> {
        self.authorize(actor, Operation::Configure)?;
        super::configure::check_name("schedule", name)?;
        if every < EVERY_MIN {
            let message = "a schedule runs every second at most: give a longer interval";
            return Err(Error::new(ErrorKind::ConfigInvalid, message).with_effect(Effect::None));
        }
        if let Scheduled::Reconcile { target } = &what {
            self.target(target).await?;
        }
        let now = self.store().now().await?;
        let known = self.schedule_row(name).await?;
        let mut schedule = Schedule::new(name, what, every, missed, now);
        schedule.next_at = schedule.after(self.realm.as_str(), now);
        schedule.look_at = schedule.next_at;
        let mut changes = Changes::in_realm(&self.realm);
        match known {
            Some(Stored { value, .. }) if same(&value.value, &schedule) => return Ok(()),
            Some(Stored { version, value }) => {
                (schedule.last_at, schedule.last_error) = (value.value.last_at, value.value.last_error);
                changes.replace(version, &schedule.row())?;
            }
            None => changes.insert(&schedule.row())?,
        }
        let mut entry = AuditEntry::new(&self.realm, self.now(), actor, "schedule.configured");
        entry.note = name.to_owned();
        changes.append.push(entry.append()?);
        self.commit(changes).await
    }

    /// Removes a schedule; a run that is under way ends.
    pub async fn unschedule(&self, actor: &Actor, name: &str) -> Result<()> {
        self.authorize(actor, Operation::Configure)?;
        let mut changes = Changes::in_realm(&self.realm);
        changes.delete::<Meta<Schedule>>(row_key(name));
        let mut entry = AuditEntry::new(&self.realm, self.now(), actor, "schedule.removed");
        entry.note = name.to_owned();
        changes.append.push(entry.append()?);
        self.commit(changes).await
    }

    /// The schedules of the realm, by name; at most 1,000.
    pub async fn schedules(&self) -> Result<Vec<Schedule>> {
        let select = Select::KeyPrefix(PREFIX.to_owned());
        let (rows, _) =
            store::list_by::<Meta<Schedule>>(self.store(), &self.realm, select, None, 1_000).await?;
        Ok(rows.into_iter().map(|stored| stored.value.value).filter(|known| known.name != SEALING).collect())
    }

    async fn schedule_row(&self, name: &str) -> Result<Option<Stored<Meta<Schedule>>>> {
        store::get::<Meta<Schedule>>(self.store(), &self.realm, &row_key(name)).await
    }

    /// Notes that there is something to seal: a drive seals what came in a while together, on one node.
    pub(super) async fn seal_soon(&self) -> Result<()> {
        let at = self.stored_at_most().plus(SEAL_AFTER);
        let mut changes = Changes::in_realm(&self.realm);
        match self.schedule_row(SEALING).await? {
            Some(known) if known.value.value.look_at <= at => return Ok(()),
            // Being sealed: what came since is sealed then.
            Some(Stored { version, value }) => {
                let schedule = Schedule { next_at: at, look_at: at, ..value.value };
                changes.replace(version, &schedule.row())?;
            }
            None => {
                let every = Duration::ZERO;
                changes.insert(&Schedule::new(SEALING, Scheduled::Seal, every, Missed::Once, at).row())?;
            }
        }
        // Somebody else noted it, or has just sealed: then the next batch notes it.
        self.store().commit(changes).await.map(drop)
    }

    /// The names of schedules that are due.
    pub(super) async fn due_schedules(&self) -> Result<Vec<String>> {
        let now = self.store().now().await?;
        let select = Select::AtMost("due", now.sortable());
        // What concerns everybody is due at once and sorts before.
        let after = Some(Cursor { column: String::new(), key: "\u{10FFFF}".to_owned() });
        let scan = Scan { realm: self.realm.clone(), table: Table::Meta, select, after, limit: PAGE };
        let rows = self.store().scan(&scan).await?.rows;
        Ok(rows.iter().filter_map(|row| row.key.strip_prefix(PREFIX)).map(str::to_owned).collect())
    }

    /// Runs a schedule that is due, unless another node does. What is under way when the drive has to end is dropped:
    /// it is run again.
    pub(super) async fn run_schedule(&self, actor: &Actor, name: &str, options: &RunOptions) -> Result<()> {
        let clock = self.inner.clock.as_ref();
        let over = std::pin::pin!(async {
            options.stop.stopped().await;
            clock.deadline(options.drain).await;
        });
        let key = row_key(name);
        let run = self.under_lease(&key, LASTS, |held| async move {
            let work = std::pin::pin!(self.run_once(actor, name, held.expect()));
            match select(work, over).await {
                Either::Left((ended, _)) => ended,
                Either::Right(_) => Ok(()),
            }
        });
        match run.await? {
            Some(ended) => ended,
            None => self.look_later(name).await,
        }
    }

    /// Somebody has it: it is looked at again when they may be gone.
    async fn look_later(&self, name: &str) -> Result<()> {
        let now = self.store().now().await?;
        let Some(Stored { version, value }) = self.schedule_row(name).await? else { return Ok(()) };
        if value.value.look_at > now {
            return Ok(());
        }
        let mut changes = Changes::in_realm(&self.realm);
        changes.replace(version, &Schedule { look_at: now.plus(LASTS), ..value.value }.row())?;
        self.store().commit(changes).await.map(drop)
    }

    async fn run_once(&self, actor: &Actor, name: &str, held: Expect) -> Result<()> {
        let now = self.store().now().await?;
        let Some(Stored { version, value }) = self.schedule_row(name).await? else { return Ok(()) };
        let schedule = value.value;
        if schedule.look_at > now {
            // Another node was faster and is through with it.
            return Ok(());
        }
        let running = Schedule { look_at: now.plus(LASTS), ..schedule.clone() };
        if !self.write_schedule(version, Some(running), &held).await? {
            return Ok(());
        }
        let mut ended = schedule.clone();
        if !schedule.is_left_out(now) {
            let result = match &schedule.what {
                Scheduled::Reconcile { target } => self.reconcile(actor, target).await.map(drop),
                Scheduled::Seal => audit::seal(self.store(), &self.realm).await.map(drop),
            };
            if let Err(error) = &result {
                tracing::warn!(schedule = name, error = %error.report(), "a scheduled run failed");
            }
            (ended.last_at, ended.last_error) = (Some(now), result.err().map(|error| error.record()));
        }
        let now = self.store().now().await?;
        let next = match (ended.every.is_zero(), ended.last_error.is_some()) {
            (true, false) => None,
            (true, true) => Some(now.plus(SEAL_AFTER)),
            (false, _) => Some(ended.after(self.realm.as_str(), now)),
        };
        let ended = next.map(|at| Schedule { next_at: at, look_at: at, ..ended });
        // Changed meanwhile, or noted anew: it is due as it says now.
        self.write_schedule(version + 1, ended, &held).await.map(drop)
    }

    /// Writes a schedule as it was read, under its lease; `None` removes it.
    async fn write_schedule(&self, version: u64, schedule: Option<Schedule>, held: &Expect) -> Result<bool> {
        let mut changes = Changes::in_realm(&self.realm);
        changes.expect.push(held.clone());
        match schedule {
            Some(schedule) => changes.replace(version, &schedule.row())?,
            None => {
                let key = row_key(SEALING);
                changes.expect.push(Expect::Version { table: Table::Meta, key: key.clone(), version });
                changes.delete::<Meta<Schedule>>(key);
            }
        }
        Ok(self.store().commit(changes).await? == Commit::Committed)
    }
}

/// Whether a schedule says the same.
fn same(one: &Schedule, other: &Schedule) -> bool {
    (&one.what, one.every, one.missed) == (&other.what, other.every, other.missed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule(name: &str, every: u64, missed: Missed) -> Schedule {
        Schedule::new(name, Scheduled::Seal, Duration::from_secs(every), missed, Timestamp::EPOCH)
    }

    #[test]
    fn instants_are_an_interval_apart_and_names_are_not_due_together() {
        let now = Timestamp::from_micros(1_800_000_000_000_000);
        let mut seen = std::collections::BTreeSet::new();
        for name in ["a", "b", "c", "d"] {
            let schedule = schedule(name, 3_600, Missed::Once);
            let first = schedule.after("main", now);
            assert!(first > now && first.since(now) <= schedule.every);
            let second = schedule.after("main", first);
            assert_eq!(second.since(first), schedule.every);
            assert_eq!(schedule.after("main", second.minus(Duration::from_secs(1))), second);
            seen.insert(first);
            seen.insert(schedule.after("other", now));
        }
        assert_eq!(seen.len(), 8);
    }

    #[test]
    fn what_was_missed_is_made_up_for_or_left_out() {
        let late = Timestamp::EPOCH.plus(Duration::from_secs(60));
        assert!(!schedule("a", 60, Missed::Once).is_left_out(late));
        assert!(schedule("a", 60, Missed::Skip).is_left_out(late));
        assert!(!schedule("a", 61, Missed::Skip).is_left_out(late));
    }
}
