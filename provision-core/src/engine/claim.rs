//! Claims: who works on which dirty identity, for how long. Leases go by the store's clock; fences refuse the late.

use std::time::Duration;

use super::Engine;
use super::rest::Rest;
use crate::error::{Effect, Error, ErrorKind, Result};
use crate::id::IdentityId;
use crate::model::{Lease, Work};
use crate::planted::{self, Defect};
use crate::store::{self, Changes, Claim, Commit, Cursor, Expect, Put, Row, Select, Stored, Table};
use crate::value::Timestamp;

/// Tries against others who claim or mark the same rows.
pub(super) const TRIES_MAX: u32 = 20;

impl Engine {
    /// Claims dirty identities that are due: leavers first, then the longest due. When others were faster with one of
    /// them, takes what they have left.
    pub(super) async fn claim_due(&self, owner: &str, lease: Duration, limit: u32) -> Result<Vec<Work>> {
        // Planted: leavers come after everybody else.
        let urgent_last = planted::is(Defect::LeaverBehindQueue);
        self.claim_of(&[!urgent_last, urgent_last], owner, lease, limit).await
    }

    /// Claims leavers that are due, the longest due first.
    pub(super) async fn claim_leavers(&self, owner: &str, lease: Duration, limit: u32) -> Result<Vec<Work>> {
        self.claim_of(&[true], owner, lease, limit).await
    }

    async fn claim_of(
        &self,
        urgencies: &[bool],
        owner: &str,
        lease: Duration,
        limit: u32,
    ) -> Result<Vec<Work>> {
        for _ in 0..TRIES_MAX {
            let now = self.store().now().await?;
            let pages = urgencies.iter().map(|urgent| {
                let select = Select::AtMost("due", Work::due_column(*urgent, now));
                // Urgent rows sort before the others, due or not: passed over in the second round.
                let after = || Cursor { column: "0|\u{10FFFF}".to_owned(), key: String::new() };
                (select, (!urgent).then(after))
            });
            let pages = pages.collect();
            let claim = Claim { realm: self.realm.clone(), table: Table::Work, pages, limit };
            let take = |row: &Row| {
                let known = store::decode::<Work>(row)?.value;
                store::put(&taken(known, owner, now.plus(lease)))
            };
            if let Some(claimed) = self.store().claim(&claim, &take).await? {
                return claimed.iter().map(|put| store::decode_part(Table::Work, &row_of(put))).collect();
            }
        }
        // Many others are at it.
        Ok(Vec::new())
    }

    /// Claims one identity, dirty, parked or neither; `None` while somebody else has it.
    pub(super) async fn claim_one(
        &self,
        who: IdentityId,
        owner: &str,
        lease: Duration,
    ) -> Result<Option<Work>> {
        let Some(identity) = self.identity(who).await? else {
            return Err(super::find::nobody(&who.to_string()));
        };
        for _ in 0..TRIES_MAX {
            let now = self.store().now().await?;
            let Some(known) = store::get::<Work>(self.store(), &self.realm, &identity.order()).await? else {
                self.mark_dirty(&[who]).await?;
                continue;
            };
            let leased = known.value.lease.as_ref().is_some_and(|lease| lease.until > now);
            if leased && !known.value.is_parked() {
                return Ok(None);
            }
            if let Some(mut claimed) = self.claim(&[known], owner, now.plus(lease)).await? {
                return Ok(claimed.pop());
            }
        }
        Err(busy())
    }

    /// Takes the rows as they were read; `None` when somebody else changed one of them.
    async fn claim(
        &self,
        found: &[Stored<Work>],
        owner: &str,
        until: Timestamp,
    ) -> Result<Option<Vec<Work>>> {
        if found.is_empty() {
            return Ok(Some(Vec::new()));
        }
        let mut changes = Changes::in_realm(&self.realm);
        let mut claimed = Vec::with_capacity(found.len());
        for Stored { version, value } in found {
            let work = taken(value.clone(), owner, until);
            changes.replace(*version, &work)?;
            claimed.push(work);
        }
        let committed = self.store().commit(changes).await? == Commit::Committed;
        Ok(committed.then_some(claimed))
    }

    /// Gives claims back, all in one commit where nobody is in the way. For each whether it was still held; those that
    /// were not are left alone.
    pub(super) async fn give_back_all(&self, claimed: &[(&Work, Rest)]) -> Result<Vec<bool>> {
        let keys: Vec<String> = claimed.iter().map(|(work, _)| work.order.clone()).collect();
        let known = store::get_many::<Work>(self.store(), &self.realm, &keys).await?;
        let mut changes = Changes::in_realm(&self.realm);
        let mut kept = Vec::with_capacity(claimed.len());
        for ((work, rest), known) in claimed.iter().zip(known) {
            kept.push(self.free(&mut changes, work, known, *rest)?);
        }
        if self.store().commit(changes).await? == Commit::Committed {
            return Ok(kept);
        }
        // Somebody marked one of them meanwhile, or took it over.
        kept.clear();
        for (work, rest) in claimed {
            kept.push(self.give_back(work, *rest).await?);
        }
        Ok(kept)
    }

    /// Gives a claim back. A newer mark stays. False when the claim was lost: the lease ended and somebody else took
    /// the identity over, so that nothing is written.
    pub(super) async fn give_back(&self, claimed: &Work, rest: Rest) -> Result<bool> {
        for _ in 0..TRIES_MAX {
            let known = store::get::<Work>(self.store(), &self.realm, &claimed.order).await?;
            let mut changes = Changes::in_realm(&self.realm);
            if !self.free(&mut changes, claimed, known, rest)? {
                return Ok(false);
            }
            if self.store().commit(changes).await? == Commit::Committed {
                return Ok(true);
            }
        }
        Err(busy())
    }

    /// Adds the end of a claim to a commit; false when it is not held any more.
    fn free(
        &self,
        changes: &mut Changes,
        claimed: &Work,
        known: Option<Stored<Work>>,
        rest: Rest,
    ) -> Result<bool> {
        let (Some(lease), Some(Stored { version, value })) = (&claimed.lease, known) else {
            return Ok(false);
        };
        // Planted: the lease and its fence are not looked at.
        let fenced = !planted::is(Defect::StaleLeaseCommits);
        if fenced && !value.is_held_by(lease) {
            return Ok(false);
        }
        if fenced {
            changes.expect.push(Expect::Column {
                table: Table::Work,
                key: claimed.order.clone(),
                column: "fence",
                value: lease.fence.to_string(),
            });
        }
        let free = Work { lease: None, ..value };
        // Planted: nobody asks for newer marks.
        let seen = free.generation == claimed.generation || planted::is(Defect::DirtyClearedAfterNewerChange);
        // Planted: the process remembers the date.
        let rest = match rest {
            Rest::Done(Some(_)) if planted::is(Defect::EndDateForgotten) => Rest::Done(None),
            rest => rest,
        };
        match rest {
            _ if !seen => changes.replace(version, &free)?,
            Rest::Done(None) => {
                let key = claimed.order.clone();
                changes.expect.push(Expect::Version { table: Table::Work, key: key.clone(), version });
                changes.delete::<Work>(key);
            }
            Rest::Done(Some(at)) => {
                changes.replace(version, &Work { due_at: at, urgent: false, ..free })?;
            }
            // By the store's clock, as it is claimed: or a process whose clock is behind would claim it again and
            // again, and find each time that it is too early.
            Rest::Later(at) => {
                let due_at = self.inner.skew.at_most(at);
                changes.replace(version, &Work { due_at, ..free })?;
            }
            Rest::Parked(until) => changes.replace(version, &free.parked(until))?,
        }
        Ok(true)
    }
}

/// The row as its next holder has it.
fn taken(work: Work, owner: &str, until: Timestamp) -> Work {
    let fence = work.fence + 1;
    Work { lease: Some(Lease { owner: owner.to_owned(), until, fence }), fence, ..work }
}

/// A row as it was written.
fn row_of(put: &Put) -> Row {
    Row { key: put.key.clone(), version: 0, body: put.body.clone() }
}

pub(super) fn busy() -> Error {
    Error::new(ErrorKind::Conflict, "others keep writing the same work row; try again")
        .with_effect(Effect::None)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;
    use crate::connector::Registry;
    use crate::id::RealmId;
    use crate::model::{Employment, Identity, Status};
    use crate::runtime::{FixedClock, Runtime};
    use crate::store::{MemoryStore, Rows, Scan, Store, Stream};
    use crate::value::{Attributes, Zone};

    const LEASE: Duration = Duration::from_secs(60);

    struct Realm {
        engine: Engine,
        clock: Arc<FixedClock>,
    }

    fn realm() -> Realm {
        let clock = Arc::new(FixedClock::at(Timestamp::from_micros(1_000_000_000)));
        let store = Arc::new(MemoryStore::new(clock.clone()));
        let engine = Runtime::builder(store, Registry::new()).clock(clock.clone()).build().realm("main");
        Realm { engine, clock }
    }

    impl Realm {
        async fn dirty(&self, number: u128, gone: bool) -> IdentityId {
            let id = IdentityId::from_uuid(uuid::Uuid::from_u128(number));
            let status = if gone { Status::Terminated } else { Status::Active };
            let identity = Identity {
                id,
                realm: self.engine.realm.clone(),
                attributes: Attributes::new(),
                provenance: Default::default(),
                employment: Employment { status, ..Employment::default() },
                engagements: Vec::new(),
                zone: Zone::utc(),
                source: "hr".into(),
                key: format!("{number:04}"),
                version: 1,
                next_change_at: None,
            };
            let mut changes = Changes::in_realm(&self.engine.realm);
            changes.put(&identity).unwrap();
            self.engine.commit(changes).await.unwrap();
            self.engine.mark_dirty(&[id]).await.unwrap();
            id
        }

        async fn claim(&self, owner: &str) -> Vec<Work> {
            self.engine.claim_due(owner, LEASE, 100).await.unwrap()
        }

        fn wait(&self, duration: Duration) {
            self.clock.set(self.engine.now().plus(duration));
        }
    }

    #[tokio::test]
    async fn the_late_worker_is_refused_after_a_takeover() {
        let realm = realm();
        realm.dirty(1, false).await;
        let late = realm.claim("a").await.remove(0);
        assert!(realm.claim("b").await.is_empty(), "leased");
        realm.wait(LEASE);
        let taken = realm.claim("b").await.remove(0);
        assert_eq!(taken.fence, late.fence + 1);
        assert!(!realm.engine.give_back(&late, Rest::Done(None)).await.unwrap());
        assert!(realm.claim("c").await.is_empty(), "the second worker has it still");
        assert!(realm.engine.give_back(&taken, Rest::Done(None)).await.unwrap());
        assert_eq!(realm.engine.due_count(realm.engine.now()).await.unwrap(), 0);
        assert!(!realm.engine.give_back(&taken, Rest::Done(None)).await.unwrap(), "given back once");
    }

    #[tokio::test]
    async fn of_a_batch_that_is_given_back_what_was_lost_or_marked_again_stays() {
        let realm = realm();
        let mut identities = Vec::new();
        for number in 1..=4 {
            identities.push(realm.dirty(number, false).await);
        }
        let late = realm.claim("a").await;
        realm.wait(LEASE);
        let taken = realm.engine.claim_due("b", LEASE, 1).await.unwrap().remove(0);
        realm.engine.mark_dirty(&identities[3..]).await.unwrap();
        let rests: Vec<(&Work, Rest)> = late.iter().map(|work| (work, Rest::Done(None))).collect();
        let kept = realm.engine.give_back_all(&rests).await.unwrap();
        assert_eq!(kept, late.iter().map(|work| work.identity != taken.identity).collect::<Vec<_>>());
        let left: Vec<IdentityId> = realm.claim("c").await.iter().map(|work| work.identity).collect();
        assert_eq!(left, identities[3..], "marked while somebody worked; the other one is held");
        assert!(realm.engine.give_back(&taken, Rest::Done(None)).await.unwrap());
    }

    #[tokio::test]
    async fn a_mark_made_while_somebody_works_is_not_lost() {
        let realm = realm();
        let id = realm.dirty(1, false).await;
        let claimed = realm.claim("a").await.remove(0);
        realm.engine.mark_dirty(&[id]).await.unwrap();
        assert!(realm.engine.give_back(&claimed, Rest::Done(None)).await.unwrap());
        assert_eq!(realm.claim("b").await.len(), 1);
    }

    /// A plan made before the first row ended may be applied after the second one was made, by a process whose clock
    /// is another.
    #[tokio::test]
    async fn a_mark_in_the_place_of_one_that_ended_is_not_taken_for_it() {
        let realm = realm();
        let id = realm.dirty(1, false).await;
        let first = realm.claim("a").await.remove(0);
        assert!(realm.engine.give_back(&first, Rest::Done(None)).await.unwrap());
        realm.wait(Duration::from_millis(1));
        realm.engine.mark_dirty(&[id]).await.unwrap();
        let second = realm.claim("b").await.remove(0);
        assert_ne!(first.generation, second.generation);
    }

    #[tokio::test]
    async fn a_parked_row_waits_for_its_instant_or_for_the_next_mark() {
        let realm = realm();
        let id = realm.dirty(1, false).await;
        let later = realm.engine.now().plus(LEASE * 10);
        let claimed = realm.claim("a").await.remove(0);
        assert!(realm.engine.give_back(&claimed, Rest::Parked(later)).await.unwrap());
        assert!(realm.claim("b").await.is_empty());
        let due = realm.engine.due_work(realm.engine.now(), None, 10).await.unwrap().0;
        assert_eq!(due.len(), 1, "a person's plan sees it");
        realm.engine.mark_dirty(&[id]).await.unwrap();
        let claimed = realm.claim("b").await.remove(0);
        assert!(realm.engine.give_back(&claimed, Rest::Parked(later)).await.unwrap());
        realm.wait(LEASE * 10);
        assert_eq!(realm.claim("c").await.len(), 1);
    }

    /// A store that lets others go first at every call.
    #[derive(Debug)]
    struct Polite(MemoryStore);

    #[async_trait::async_trait]
    impl Store for Polite {
        async fn get(&self, realm: &RealmId, table: Table, keys: &[String]) -> Result<Vec<Option<Row>>> {
            self.0.get(realm, table, keys).await
        }

        async fn scan(&self, scan: &Scan) -> Result<Rows> {
            tokio::task::yield_now().await;
            self.0.scan(scan).await
        }

        async fn count(&self, realm: &RealmId, table: Table, select: &Select) -> Result<u64> {
            self.0.count(realm, table, select).await
        }

        async fn read_stream(
            &self,
            r: &RealmId,
            s: Stream,
            after: u64,
            limit: u32,
        ) -> Result<Vec<(u64, Row)>> {
            self.0.read_stream(r, s, after, limit).await
        }

        async fn read_stream_by(
            &self,
            realm: &RealmId,
            stream: Stream,
            column: &'static str,
            value: &str,
            after: u64,
            limit: u32,
        ) -> Result<Vec<(u64, Row)>> {
            self.0.read_stream_by(realm, stream, column, value, after, limit).await
        }

        async fn commit(&self, changes: Changes) -> Result<Commit> {
            tokio::task::yield_now().await;
            self.0.commit(changes).await
        }

        async fn now(&self) -> Result<Timestamp> {
            self.0.now().await
        }

        async fn epoch(&self) -> Result<String> {
            self.0.epoch().await
        }

        async fn realms(&self) -> Result<Vec<RealmId>> {
            self.0.realms().await
        }

        async fn backup(&self, path: &std::path::Path) -> Result<()> {
            self.0.backup(path).await
        }
    }

    #[tokio::test]
    async fn whoever_is_too_slow_takes_what_is_left() {
        let clock = Arc::new(FixedClock::at(Timestamp::from_micros(1_000_000_000)));
        let store = Arc::new(Polite(MemoryStore::new(clock.clone())));
        let engine = Runtime::builder(store, Registry::new()).clock(clock.clone()).build().realm("main");
        let realm = Realm { engine, clock };
        for number in 1..=12 {
            realm.dirty(number, false).await;
        }
        let claims = (0..3).map(|_| realm.engine.claim_due("a", LEASE, 4));
        let claimed = futures_util::future::try_join_all(claims).await.unwrap();
        assert!(claimed.iter().all(|claimed| claimed.len() == 4), "{claimed:?}");
        let orders: std::collections::BTreeSet<_> =
            claimed.iter().flatten().map(|work| &work.order).collect();
        assert_eq!(orders.len(), 12);
    }

    #[tokio::test]
    async fn one_identity_is_claimed_by_one_worker() {
        let realm = realm();
        let id = realm.dirty(1, false).await;
        let claimed = realm.engine.claim_one(id, "a", LEASE).await.unwrap().unwrap();
        assert!(realm.engine.claim_one(id, "b", LEASE).await.unwrap().is_none());
        assert!(realm.engine.give_back(&claimed, Rest::Done(None)).await.unwrap());
        assert!(realm.engine.claim_one(id, "b", LEASE).await.unwrap().is_some(), "also when it is not dirty");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        /// Whatever the order of marks and the size of batches: every leaver is claimed before anybody else, and
        /// nobody twice.
        #[test]
        fn leavers_are_claimed_first(gone in prop::collection::vec(any::<bool>(), 1..30), batch in 1u32..10) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            runtime.block_on(async {
                let realm = realm();
                for (number, gone) in gone.iter().enumerate() {
                    realm.dirty(number as u128 + 1, *gone).await;
                    realm.wait(Duration::from_millis(3));
                }
                let mut claimed: Vec<Work> = Vec::new();
                loop {
                    let page = realm.engine.claim_due("a", LEASE, batch).await.unwrap();
                    if page.is_empty() {
                        break;
                    }
                    claimed.extend(page);
                }
                let urgent: Vec<bool> = claimed.iter().map(|work| work.urgent).collect();
                let leavers = gone.iter().filter(|gone| **gone).count();
                prop_assert_eq!(urgent.iter().take_while(|urgent| **urgent).count(), leavers);
                let mut orders: Vec<&str> = claimed.iter().map(|work| work.order.as_str()).collect();
                orders.sort();
                orders.dedup();
                prop_assert_eq!(orders.len(), gone.len());
                Ok(())
            })?;
        }
    }
}
