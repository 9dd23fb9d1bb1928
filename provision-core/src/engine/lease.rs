//! Leases by name: of all processes on a store, one at a time does something. They go by the store's clock; a fence
//! refuses the late.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use futures_util::future::{Either, select};
use serde::{Deserialize, Serialize};

use super::Engine;
use crate::error::Result;
use crate::id::RealmId;
use crate::model::Lease;
use crate::store::{self, Changes, Commit, Expect, Record, Store, Stored, Table};
use crate::value::Timestamp;

/// A lease is renewed so many times before it would end: one renewal may fail without harm.
const RENEWALS: u32 = 3;
/// Tries against others who write the same row.
const TRIES_MAX: u32 = 5;

/// Who has something, or had it last. The row stays when the lease is given back, so that its fence only grows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Leased {
    /// What it is about, such as `seal`.
    pub(crate) name: String,
    /// Over when its end has come.
    pub(crate) lease: Lease,
}

impl Record for Leased {
    const TABLE: Table = Table::Lease;

    fn key(&self) -> String {
        self.name.clone()
    }

    fn columns(&self) -> Vec<(&'static str, String)> {
        vec![("fence", self.lease.fence.to_string())]
    }
}

/// A lease that this process has.
#[derive(Clone, Debug)]
pub(crate) struct Held {
    leased: Leased,
    /// It certainly lasts until then, by the clock of this process.
    until: Timestamp,
}

impl Held {
    /// What a commit expects that may only be made while the lease is held.
    pub(crate) fn expect(&self) -> Expect {
        Expect::Column {
            table: Table::Lease,
            key: self.leased.name.clone(),
            column: "fence",
            value: self.leased.lease.fence.to_string(),
        }
    }

    /// How long it certainly lasts.
    pub(crate) fn left(&self, now: Timestamp) -> Duration {
        self.until.since(now)
    }

    fn is(&self, lease: &Lease) -> bool {
        let mine = &self.leased.lease;
        mine.owner == lease.owner && mine.fence == lease.fence
    }
}

impl Engine {
    /// Takes a lease, unless somebody has it: `None`.
    pub(crate) async fn take_lease(&self, name: &str, lasts: Duration) -> Result<Option<Held>> {
        let owner = self.inner.owner()?;
        Ok(self.take_lease_as(name, &owner, lasts).await?.ok())
    }

    /// Takes a lease, unless somebody else has it, who is told then. What the same owner left is taken up at once.
    pub(crate) async fn take_lease_as(
        &self,
        name: &str,
        owner: &str,
        lasts: Duration,
    ) -> Result<std::result::Result<Held, Lease>> {
        let mut last = Lease { owner: String::new(), until: Timestamp::EPOCH, fence: 0 };
        for _ in 0..TRIES_MAX {
            // Before the store is asked: by our clock the lease ends no later than by the store's.
            let begun = self.now();
            let stored = self.store().now().await?;
            let known = store::get::<Leased>(self.lease_store(), &self.realm, name).await?;
            if let Some(Stored { value: Leased { lease, .. }, .. }) = &known {
                if lease.until > stored && lease.owner != owner {
                    return Ok(Err(lease.clone()));
                }
                last = lease.clone();
            }
            let fence = known.as_ref().map_or(1, |known| known.value.lease.fence + 1);
            let lease = Lease { owner: owner.to_owned(), until: stored.plus(lasts), fence };
            let leased = Leased { name: name.to_owned(), lease };
            let mut changes = Changes::in_realm(&self.realm);
            match known {
                Some(Stored { version, .. }) => changes.replace(version, &leased)?,
                None => changes.insert(&leased)?,
            }
            if self.lease_store().commit(changes).await? == Commit::Committed {
                return Ok(Ok(Held { leased, until: begun.plus(lasts) }));
            }
        }
        // Many others are at it.
        Ok(Err(last))
    }

    /// Makes a lease last from now on; `None` when somebody else has taken it.
    pub(crate) async fn renew_lease(&self, held: &Held, lasts: Duration) -> Result<Option<Held>> {
        let begun = self.now();
        let stored = self.store().now().await?;
        let renewed = self.write_lease(held, stored.plus(lasts)).await?;
        Ok(renewed.map(|leased| Held { leased, until: begun.plus(lasts) }))
    }

    /// Gives a lease back: whoever waits for it may have it at once. False when it was lost before.
    pub(crate) async fn release_lease(&self, held: &Held) -> Result<bool> {
        Ok(self.write_lease(held, Timestamp::EPOCH).await?.is_some())
    }

    /// Leases of what belongs to no realm of the host are kept beside the sinks and the nodes.
    fn lease_store(&self) -> &dyn Store {
        if self.realm.is_reserved() { self.inner.bare.as_ref() } else { self.store() }
    }

    /// Who has a lease now.
    pub(crate) async fn lease_of(&self, name: &str) -> Result<Option<Lease>> {
        lease_of(self.lease_store(), &self.realm, name).await
    }

    async fn write_lease(&self, held: &Held, until: Timestamp) -> Result<Option<Leased>> {
        for _ in 0..TRIES_MAX {
            let known = store::get::<Leased>(self.lease_store(), &self.realm, &held.leased.name).await?;
            let Some(Stored { version, value }) = known.filter(|known| held.is(&known.value.lease)) else {
                return Ok(None);
            };
            let leased = Leased { lease: Lease { until, ..value.lease }, ..value };
            let mut changes = Changes::in_realm(&self.realm);
            changes.replace(version, &leased)?;
            if self.lease_store().commit(changes).await? == Commit::Committed {
                return Ok(Some(leased));
            }
        }
        Ok(None)
    }

    /// Does something under a lease, which is renewed meanwhile at every third of it, and given back at the end. `None`
    /// when somebody else has it, or took it over: then the work was dropped where it was, so that it must bear that.
    ///
    /// # Errors
    /// When the store cannot be asked for the lease. What the work comes to is its own answer.
    pub(crate) async fn under_lease<T, F>(
        &self,
        name: &str,
        lasts: Duration,
        work: impl FnOnce(Held) -> F,
    ) -> Result<Option<T>>
    where
        F: Future<Output = T>,
    {
        let Some(held) = self.take_lease(name, lasts).await? else { return Ok(None) };
        Ok(self.while_leased(held, lasts, work).await)
    }

    /// Does something under a lease that was taken; `None` when it was lost.
    pub(crate) async fn while_leased<T, F>(
        &self,
        held: Held,
        lasts: Duration,
        work: impl FnOnce(Held) -> F,
    ) -> Option<T>
    where
        F: Future<Output = T>,
    {
        let done = {
            let work = pin!(work(held.clone()));
            let keep = pin!(self.keep_lease(&held, lasts));
            match select(work, keep).await {
                Either::Left((done, _)) => Some(done),
                Either::Right(((), _)) => None,
            }
        };
        if done.is_some()
            && let Err(error) = self.release_lease(&held).await
        {
            // It ends by itself.
            tracing::warn!(lease = held.leased.name, error = %error.report(), "a lease was not given back");
        }
        done
    }

    /// Renews a lease until it is lost, or may be lost because the store cannot be asked.
    async fn keep_lease(&self, held: &Held, lasts: Duration) {
        let mut held = held.clone();
        loop {
            self.inner.clock.deadline(lasts / RENEWALS).await;
            match self.renew_lease(&held, lasts).await {
                Ok(Some(renewed)) => held = renewed,
                Ok(None) => return,
                Err(error) => {
                    tracing::warn!(lease = held.leased.name, error = %error.report(), "a lease was not renewed");
                    if held.left(self.now()) <= lasts / RENEWALS {
                        return;
                    }
                }
            }
        }
    }
}

/// Who has a lease now, by the store's clock.
pub(crate) async fn lease_of(store: &dyn Store, realm: &RealmId, name: &str) -> Result<Option<Lease>> {
    let known = store::get::<Leased>(store, realm, name).await?;
    let Some(known) = known else { return Ok(None) };
    let now = store.now().await?;
    Ok(Some(known.value.lease).filter(|lease| lease.until > now))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::connector::Registry;
    use crate::runtime::{Clock, FixedClock, Runtime, SystemClock};
    use crate::store::MemoryStore;

    const LASTS: Duration = Duration::from_secs(60);
    const START: Timestamp = Timestamp::EPOCH;

    /// Two processes whose clocks differ from the store's by a minute, one ahead and one behind.
    fn two() -> (Arc<FixedClock>, Engine, Engine) {
        let clock = Arc::new(FixedClock::at(START));
        let store: Arc<dyn Store> = Arc::new(MemoryStore::new(clock.clone()));
        let engine = |now: Timestamp| {
            let own = Arc::new(FixedClock::at(now));
            Runtime::builder(Arc::clone(&store), Registry::new()).clock(own).build().realm("main")
        };
        let minute = Duration::from_secs(60);
        (clock, engine(START.plus(minute)), engine(START.minus(minute)))
    }

    #[tokio::test]
    async fn one_has_it_until_it_ends_by_the_clock_of_the_store() {
        let (clock, ahead, behind) = two();
        let first = behind.take_lease("seal", LASTS).await.unwrap().unwrap();
        assert!(
            ahead.take_lease("seal", LASTS).await.unwrap().is_none(),
            "a clock that is ahead takes nothing early"
        );
        assert!(ahead.take_lease("other", LASTS).await.unwrap().is_some());
        clock.set(START.plus(LASTS).minus(Duration::from_micros(1)));
        assert!(ahead.take_lease("seal", LASTS).await.unwrap().is_none());
        let first = behind.renew_lease(&first, LASTS).await.unwrap().unwrap();
        clock.set(START.plus(LASTS));
        assert!(ahead.take_lease("seal", LASTS).await.unwrap().is_none(), "renewed");
        clock.set(START.plus(LASTS * 2));
        let second = ahead.take_lease("seal", LASTS).await.unwrap().unwrap();
        assert!(behind.renew_lease(&first, LASTS).await.unwrap().is_none(), "taken over");
        assert!(!behind.release_lease(&first).await.unwrap(), "the late one takes it from nobody");
        assert!(behind.take_lease("seal", LASTS).await.unwrap().is_none());
        assert!(ahead.release_lease(&second).await.unwrap());
        assert!(behind.take_lease("seal", LASTS).await.unwrap().is_some(), "at once");
    }

    #[tokio::test]
    async fn a_late_commit_is_refused_by_the_fence() {
        let (clock, one, two) = two();
        let late = one.take_lease("seal", LASTS).await.unwrap().unwrap();
        let write = |held: &Held| {
            let mut changes = Changes::in_realm(&one.realm);
            changes.expect.push(held.expect());
            changes.delete::<Leased>("nothing");
            changes
        };
        assert_eq!(one.store().commit(write(&late)).await.unwrap(), Commit::Committed);
        clock.set(START.plus(LASTS));
        let taken = two.take_lease("seal", LASTS).await.unwrap().unwrap();
        assert!(matches!(one.store().commit(write(&late)).await.unwrap(), Commit::Conflict(_)));
        assert_eq!(two.store().commit(write(&taken)).await.unwrap(), Commit::Committed);
        assert!(two.release_lease(&taken).await.unwrap());
        let again = one.take_lease("seal", LASTS).await.unwrap().unwrap();
        assert!(
            matches!(two.store().commit(write(&taken)).await.unwrap(), Commit::Conflict(_)),
            "also after a release"
        );
        assert_eq!(one.store().commit(write(&again)).await.unwrap(), Commit::Committed);
    }

    #[tokio::test(start_paused = true)]
    async fn work_that_takes_long_keeps_its_lease_and_stops_when_it_is_lost() {
        let (clock, one, two) = two();
        let long = one.under_lease("seal", LASTS, |_| async {
            for turn in 1..=5 {
                SystemClock.sleep(LASTS).await;
                assert!(two.take_lease("seal", LASTS).await.unwrap().is_none(), "turn {turn}");
            }
        });
        let moving = async {
            loop {
                SystemClock.sleep(Duration::from_secs(1)).await;
                clock.set(clock.now().plus(Duration::from_secs(1)));
            }
        };
        let done = tokio::select! { done = long => done.unwrap(), () = moving => None };
        assert!(done.is_some());
        let held = two.take_lease("seal", LASTS).await.unwrap();
        assert!(held.is_some(), "given back at the end");
        assert!(one.under_lease("seal", LASTS, |_| async {}).await.unwrap().is_none());
        two.release_lease(&held.unwrap()).await.unwrap();
        // Whoever is paused beyond the end of a lease finds it gone.
        let paused = one.under_lease("seal", LASTS, |_| async {
            clock.set(clock.now().plus(LASTS));
            assert!(two.take_lease("seal", LASTS).await.unwrap().is_some());
            SystemClock.sleep(LASTS).await;
            panic!("goes on without its lease");
        });
        assert!(paused.await.unwrap().is_none());
    }
}
