//! Pacing: how fast a target is called, by all processes together. A row says up to when calls are given out; a
//! process takes about half a second's worth of them at a time, each with its instant, so that the row is written twice
//! a second and not for each call. What is not used in time is lost.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;

use super::lane::Lane;
use crate::error::{Effect, Error, ErrorKind, Result, Retry};
use crate::id::RealmId;
use crate::plan::PaceSettings;
use crate::runtime::meter;
use crate::store::{self, Changes, Commit, Record, Stored, Table};
use crate::value::Timestamp;

/// How much of a rate is given out at a time.
const ALLOTMENT: Duration = Duration::from_millis(500);
/// Calls given out at a time, at most.
const CALLS_MAX: u32 = 1_000;
/// Tries against others who take theirs.
const TRIES_MAX: u32 = 10;
/// How long somebody waits who never was fast enough.
const CROWDED: Duration = Duration::from_millis(200);
/// A pause that ends so much later than one that is known is not worth a commit.
const SAME_PAUSE: Duration = Duration::from_millis(250);
/// Why a step is not sent when its turn is too far away.
const PACED_WHY: &str = "the target's pace leaves no turn for the call in its time";

/// How far calls are given out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Paced {
    /// The target or the credential.
    pub(crate) name: String,
    /// The next call may be made then, by the store's clock.
    pub(crate) next_at: Timestamp,
    /// The target asked for a pause: no call before that.
    pub(crate) not_before: Timestamp,
}

impl Record for Paced {
    const TABLE: Table = Table::Pace;

    fn key(&self) -> String {
        self.name.clone()
    }

    fn columns(&self) -> Vec<(&'static str, String)> {
        Vec::new()
    }
}

/// A rate in the terms of its row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Rate {
    /// Between two calls.
    interval: Duration,
    /// Calls at once after a rest.
    burst: u32,
    /// Calls given out at a time.
    calls: u32,
}

impl Rate {
    /// `None` where there is no limit.
    fn of(settings: &PaceSettings) -> Option<Self> {
        let interval =
            Duration::from_secs(u64::from(settings.seconds.max(1))).checked_div(settings.requests)?;
        let interval = interval.max(Duration::from_micros(1));
        let calls = u32::try_from(ALLOTMENT.as_micros() / interval.as_micros()).unwrap_or(CALLS_MAX);
        Some(Self { interval, burst: settings.burst.max(1), calls: calls.clamp(1, CALLS_MAX) })
    }

    /// The instants of the next calls, and when those after them may follow; how long to wait where the first of them
    /// is further away than `most`.
    fn give_out(&self, known: &Paced, now: Timestamp, most: Duration) -> GivenOut {
        let rested = now.minus(self.interval.saturating_mul(self.burst - 1));
        let first = known.next_at.max(rested).max(known.not_before);
        let wait = first.since(now);
        if wait > most {
            return Err(wait);
        }
        let at = |call: u32| first.plus(self.interval.saturating_mul(call));
        Ok(((0..self.calls).map(|call| at(call).max(now)).collect(), at(self.calls)))
    }
}

type GivenOut = std::result::Result<(Vec<Timestamp>, Timestamp), Duration>;

/// What this process was given and has not used, by realm and pace.
#[derive(Debug, Default)]
pub(crate) struct Pacers(Mutex<BTreeMap<(RealmId, String), Arc<Pacer>>>);

/// The calls of one pace that this process may make, by its clock.
#[derive(Debug)]
struct Pacer {
    calls: Mutex<VecDeque<Timestamp>>,
    /// One asks for all.
    asks: Semaphore,
}

impl Pacers {
    fn of(&self, realm: &RealmId, name: &str) -> Arc<Pacer> {
        let mut pacers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (realm.clone(), name.to_owned());
        let new = || Arc::new(Pacer { calls: Mutex::default(), asks: Semaphore::new(1) });
        Arc::clone(pacers.entry(key).or_insert_with(new))
    }

    /// Forgets what nobody uses.
    pub(crate) fn forget(&self) {
        let mut pacers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        pacers.retain(|_, pacer| Arc::strong_count(pacer) > 1);
    }
}

impl Pacer {
    fn calls(&self) -> MutexGuard<'_, VecDeque<Timestamp>> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next call; those whose time is over are lost.
    fn next(&self, now: Timestamp, rate: &Rate) -> Option<Timestamp> {
        let mut calls = self.calls();
        let good = rate.interval.saturating_mul(rate.calls);
        while calls.front().is_some_and(|at| at.plus(good) < now) {
            calls.pop_front();
        }
        calls.pop_front()
    }
}

impl Lane<'_> {
    fn pace_name(&self) -> String {
        let settings = &self.target.settings;
        match settings.pace.as_ref().and_then(|pace| pace.credential.as_ref()) {
            Some(credential) => format!("credential/{credential}"),
            None => format!("target/{}", settings.name.as_str()),
        }
    }

    fn rate(&self) -> Option<Rate> {
        self.target.settings.pace.as_ref().and_then(Rate::of)
    }

    /// Whether other processes are told of a pause, and asked for theirs.
    fn shares_pauses(&self) -> bool {
        self.target.settings.pace.is_some() || self.engine.inner.node.is_some()
    }

    /// Waits for the turn of a call, at most so long. Where there is no rate, it is always one's turn.
    ///
    /// # Errors
    /// `RateLimited` with no effect when the turn comes later, or the target asked for a pause.
    pub(super) async fn turn(&self, most: Duration) -> Result<()> {
        let Some(rate) = self.rate() else { return Ok(()) };
        let engine = self.engine;
        let (name, asked_at) = (self.pace_name(), engine.now());
        let pacer = engine.inner.pacers.of(&engine.realm, &name);
        let at = loop {
            if let Some(at) = pacer.next(engine.now(), &rate) {
                break at;
            }
            // It does not matter to a turn that nobody gives any more.
            let _asking = pacer.asks.acquire().await.ok();
            if let Some(at) = pacer.next(engine.now(), &rate) {
                break at;
            }
            let left = most.saturating_sub(engine.now().since(asked_at));
            match self.allot(&name, &rate, left).await.map_err(|error| error.with_effect(Effect::None))? {
                Ok(calls) => pacer.calls().extend(calls),
                Err(wait) => return Err(paced(wait)),
            }
        };
        let wait = at.since(engine.now());
        if wait > most {
            // Of those that were given to us for later, it is still one.
            pacer.calls().push_front(at);
            return Err(paced(wait));
        }
        if !wait.is_zero() {
            engine.inner.clock.deadline(wait).await;
        }
        meter::waited(&self.target.settings.name, engine.now().since(asked_at));
        Ok(())
    }

    /// Takes calls for this process from the row, by our clock; how long to wait, where none is free in time.
    async fn allot(
        &self,
        name: &str,
        rate: &Rate,
        most: Duration,
    ) -> Result<std::result::Result<Vec<Timestamp>, Duration>> {
        let engine = self.engine;
        for _ in 0..TRIES_MAX {
            let stored = engine.store().now().await?;
            let (version, paced) = self.paced(name).await?;
            let (calls, next_at) = match rate.give_out(&paced, stored, most) {
                Ok(given) => given,
                Err(wait) => return Ok(Err(wait)),
            };
            if self.write_pace(version, &Paced { next_at, ..paced }).await? {
                let now = engine.now();
                return Ok(Ok(calls.into_iter().map(|at| now.plus(at.since(stored))).collect()));
            }
        }
        Ok(Err(CROWDED))
    }

    async fn paced(&self, name: &str) -> Result<(Option<u64>, Paced)> {
        let known = store::get::<Paced>(self.engine.store(), &self.engine.realm, name).await?;
        Ok(match known {
            Some(Stored { version, value }) => (Some(version), value),
            None => {
                let (next_at, not_before) = (Timestamp::EPOCH, Timestamp::EPOCH);
                (None, Paced { name: name.to_owned(), next_at, not_before })
            }
        })
    }

    async fn write_pace(&self, version: Option<u64>, paced: &Paced) -> Result<bool> {
        let mut changes = Changes::in_realm(&self.engine.realm);
        match version {
            Some(version) => changes.replace(version, paced)?,
            None => changes.insert(paced)?,
        }
        Ok(self.engine.store().commit(changes).await? == Commit::Committed)
    }

    /// The target answered that it wants to be left alone: all processes hear of it.
    pub(super) async fn told_to_pause(&self, after: Duration) {
        self.pace(after);
        meter::told_to_pause(&self.target.settings.name);
        if !self.shares_pauses() {
            return;
        }
        if let Err(error) = self.tell_pause(after).await {
            tracing::warn!(error = %error.report(), "other processes were not told of a target's pause");
        }
    }

    async fn tell_pause(&self, after: Duration) -> Result<()> {
        let name = self.pace_name();
        self.engine.inner.pacers.of(&self.engine.realm, &name).calls().clear();
        for _ in 0..TRIES_MAX {
            let until = self.engine.store().now().await?.plus(after);
            let (version, paced) = self.paced(&name).await?;
            if paced.not_before.plus(SAME_PAUSE) >= until {
                return Ok(());
            }
            if self.write_pace(version, &Paced { not_before: until, ..paced }).await? {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Hears of a pause that another process was asked for. With a rate, whoever takes calls hears of it.
    pub(super) async fn hear_of_pauses(&self) -> Result<()> {
        if self.rate().is_some() || !self.shares_pauses() {
            return Ok(());
        }
        let (_, paced) = self.paced(&self.pace_name()).await?;
        let left = paced.not_before.since(self.engine.stored_at_least());
        if !left.is_zero() {
            self.pace(left);
        }
        Ok(())
    }

    /// Whether it is time to look again at what other processes may have stopped.
    pub(super) fn looks(&self) -> bool {
        let now = self.engine.now();
        let last = Timestamp::from_micros(self.looked_at.load(Ordering::Relaxed));
        let due = now < last || now.since(last) >= super::lane::LOOK;
        if due {
            self.looked_at.store(now.as_micros(), Ordering::Relaxed);
        }
        due
    }
}

fn paced(wait: Duration) -> Error {
    Error::new(ErrorKind::RateLimited, PACED_WHY)
        .with_effect(Effect::None)
        .with_retry(Retry::After(Some(wait.max(Duration::from_millis(1)))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(requests: u32, seconds: u32, burst: u32) -> Rate {
        Rate::of(&PaceSettings { requests, seconds, burst, credential: None }).unwrap()
    }

    fn row() -> Paced {
        Paced { name: "t".to_owned(), next_at: Timestamp::EPOCH, not_before: Timestamp::EPOCH }
    }

    #[test]
    fn about_half_a_second_is_given_out_and_at_least_one_call() {
        assert_eq!(rate(100, 1, 1).calls, 50);
        assert_eq!(rate(1, 10, 1).calls, 1);
        assert_eq!(rate(1_000_000, 1, 1).calls, CALLS_MAX);
        assert_eq!(Rate::of(&PaceSettings::default()), None, "no rate, no limit");
    }

    #[test]
    fn given_out_calls_never_exceed_rate_and_burst() {
        for (requests, burst) in [(1, 1), (3, 1), (10, 5), (100, 1), (250, 40)] {
            let rate = rate(requests, 1, burst);
            let (mut known, mut given) = (row(), Vec::new());
            // Asked at odd times, with a rest in between.
            for millis in (0..4_000).step_by(7).chain((9_000..12_000).step_by(3)) {
                let now = Timestamp::from_micros(1_000_000_000 + millis * 1_000);
                if let Ok((calls, next_at)) = rate.give_out(&known, now, Duration::ZERO) {
                    assert!(calls.iter().all(|at| *at >= now));
                    given.extend(calls);
                    known.next_at = next_at;
                }
            }
            given.sort();
            for (index, from) in given.iter().enumerate() {
                let within = given[index..].iter().take_while(|at| at.since(*from) < Duration::from_secs(1));
                let most = (requests + burst) as usize;
                assert!(within.count() <= most, "{requests} a second, burst {burst}");
            }
            let all = (requests * 7) as usize;
            assert!(given.len() >= all - all / 4, "{} of about {all}", given.len());
        }
    }

    #[test]
    fn nothing_is_given_out_before_a_pause_ends() {
        let rate = rate(10, 1, 10);
        let now = Timestamp::from_micros(1_000_000_000);
        let known = Paced { not_before: now.plus(Duration::from_secs(3)), ..row() };
        assert_eq!(rate.give_out(&known, now, Duration::from_secs(1)), Err(Duration::from_secs(3)));
        let (calls, _) = rate.give_out(&known, now, Duration::from_secs(3)).unwrap();
        assert_eq!(calls[0], known.not_before);
    }
}
