//! Settling: what attempts came to becomes rows, in one commit with their audit entries and their events.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use super::ending::is_referable;
use super::lane::{Entries, Lane};
use super::names::settles_names;
use super::wave::{Begun, link_key, makes_link, new_link};
use super::{Ended, JournalEntry};
use crate::engine::Waiting;
use crate::error::{Error, ErrorKind, Result};
use crate::id::IdentityId;
use crate::model::{Identity, Link, Name, Work};
use crate::plan::BudgetKind;
use crate::planted::{self, Defect};
use crate::runtime::meter;
use crate::store::{self, Changes, Commit, Conflict, Expect, Record, Stored, Table};
use crate::value::Timestamp;

/// Tries against others who write the same rows.
const TRIES_MAX: u32 = 20;

/// Rows read for a batch of endings, and changed by them one after the other.
pub(super) struct Batch {
    pub(super) now: Timestamp,
    pub(super) links: BTreeMap<String, (Option<u64>, Link)>,
    /// Names of those whose steps may settle them.
    pub(super) names: BTreeMap<IdentityId, Vec<Stored<Name>>>,
    /// Who waits for the accounts that are there now.
    pub(super) waiting: BTreeMap<IdentityId, Vec<Waiting>>,
    pub(super) touched: BTreeMap<String, ()>,
    pub(super) refunds: BTreeMap<BudgetKind, u64>,
    pub(super) dirty: Vec<IdentityId>,
    pub(super) changes: Changes,
    pub(super) ended: u64,
    pub(super) failed: u64,
}

impl Lane<'_> {
    /// Journals how attempts ended, and gives the entries as they are then. Succeeds or leaves the intents open, to be
    /// read back later.
    pub(super) async fn settle(&self, mut ended: Vec<(Begun, Ended)>) -> Result<Entries> {
        for again in 0..TRIES_MAX {
            let mut batch = self.batch(&ended, again > 0).await?;
            let mut entries = Entries::new();
            for (begun, ended) in &ended {
                let value = self.settle_one(&mut batch, begun, ended).await?;
                entries.insert(value.step.clone(), Stored { version: begun.version + 1, value });
            }
            for (key, ()) in std::mem::take(&mut batch.touched) {
                let Some((version, link)) = batch.links.get(&key) else { continue };
                match version {
                    Some(version) => batch.changes.replace(*version, link)?,
                    None => batch.changes.insert(link)?,
                }
            }
            if !batch.refunds.is_empty() {
                let refunds = std::mem::take(&mut batch.refunds);
                // Planted: what is counted here is spending.
                let late = planted::is(Defect::BudgetCountedAfterWrite);
                let buckets = self.buckets(refunds.keys().copied()).await?;
                self.spend(&mut batch.changes, buckets, &refunds, late)?;
            }
            self.mark(&mut batch).await?;
            match self.engine.store().commit(batch.changes).await? {
                Commit::Committed => {
                    self.progress.ended(batch.ended, batch.failed);
                    self.done.fetch_add(batch.ended - batch.failed, Ordering::Relaxed);
                    meter::steps(batch.ended - batch.failed, batch.failed);
                    self.wake_late(&ended).await?;
                    return Ok(entries);
                }
                // An object that is linked to somebody else already: settle one by one, so that only this one is held.
                Commit::Conflict(Conflict::Unique { table: Table::Link, .. }) => {
                    return self.settle_apart(ended).await;
                }
                Commit::Conflict(Conflict::Expectation { table: Table::Journal, .. }) => {
                    ended = self.not_taken_over(ended).await?;
                    if ended.is_empty() {
                        return Ok(Entries::new());
                    }
                }
                Commit::Conflict(_) => {}
            }
        }
        Err(Error::new(
            ErrorKind::Conflict,
            "others keep writing the same rows; the intents stay open and are read back",
        ))
    }

    /// Those who began to wait for an account after the waiting rows were read, and before it was there.
    async fn wake_late(&self, ended: &[(Begun, Ended)]) -> Result<()> {
        let there = ended
            .iter()
            .filter(|(begun, ended)| matches!(ended, Ended::Done { .. }) && is_referable(begun))
            .map(|(begun, _)| begun.step.identity)
            .collect();
        for identity in self.engine.waiting_for(&there).await?.into_keys() {
            self.engine.wake_waiting(identity).await?;
        }
        Ok(())
    }

    async fn settle_apart(&self, ended: Vec<(Begun, Ended)>) -> Result<Entries> {
        let alone = ended.len() == 1;
        let mut entries = Entries::new();
        for (begun, ended) in ended {
            let ended = match ended {
                Ended::Done { .. } if alone => {
                    Ended::Disputed("the object is linked to somebody else".to_owned())
                }
                ended => ended,
            };
            entries.append(&mut Box::pin(self.settle(vec![(begun, ended)])).await?);
        }
        Ok(entries)
    }

    /// Those whose intents are still as we wrote them: the others were taken over meanwhile (we were paused beyond
    /// the deadline), and whoever has them says how they ended.
    async fn not_taken_over(&self, ended: Vec<(Begun, Ended)>) -> Result<Vec<(Begun, Ended)>> {
        let keys: Vec<String> = ended.iter().map(|(begun, _)| begun.entry.key()).collect();
        let known = store::get_many::<JournalEntry>(self.engine.store(), &self.engine.realm, &keys).await?;
        let kept = known
            .into_iter()
            .zip(ended)
            .filter(|(known, (begun, _))| known.as_ref().is_some_and(|known| known.version == begun.version));
        Ok(kept.map(|(_, ended)| ended).collect())
    }

    /// Reads what endings change. The links are known from the intents: they are read `again` only after somebody
    /// else has written one.
    async fn batch(&self, ended: &[(Begun, Ended)], again: bool) -> Result<Batch> {
        let (store, realm) = (self.engine.store(), &self.engine.realm);
        let mut links = BTreeMap::new();
        let mut unread = Vec::new();
        for (begun, _) in ended {
            let key = link_key(&begun.step);
            match (begun.link.clone(), begun.link_version) {
                (Some(link), Some(version)) if !again => drop(links.insert(key, (Some(version), link))),
                _ => unread.push((key, begun)),
            }
        }
        let keys: Vec<String> = unread.iter().map(|(key, _)| key.clone()).collect();
        let found = store::get_many::<Link>(store, realm, &keys).await?;
        for ((key, begun), link) in unread.into_iter().zip(found) {
            match link {
                Some(Stored { version, value }) => {
                    links.insert(key, (Some(version), value));
                }
                None if makes_link(&begun.step) => {
                    if let Some(link) = new_link(begun) {
                        links.insert(key, (None, link));
                    }
                }
                None => {}
            }
        }
        let mut changes = Changes::in_realm(realm);
        // Planted: whoever took the step over is written over; and an intent that was not written is not there.
        let fenced = !planted::is(Defect::StaleLeaseCommits) && !planted::is(Defect::IntentNotJournalled);
        // The intent must be the one we wrote: nobody took the step over.
        for (begun, _) in ended.iter().filter(|_| fenced) {
            let (table, key, version) = (Table::Journal, begun.entry.key(), begun.version);
            changes.expect.push(Expect::Version { table, key, version });
        }
        let done = || {
            let done = ended.iter().filter(|(_, ended)| matches!(ended, Ended::Done { .. }));
            done.map(|(begun, _)| begun)
        };
        let identity = |begun: &Begun| begun.step.identity;
        let named = done().filter(|begun| settles_names(&begun.step)).map(identity).collect();
        let there = done().filter(|begun| is_referable(begun)).map(identity).collect();
        Ok(Batch {
            now: self.engine.now(),
            links,
            names: self.engine.names_of(&named).await?,
            waiting: self.engine.waiting_for(&there).await?,
            touched: BTreeMap::new(),
            refunds: BTreeMap::new(),
            dirty: Vec::new(),
            changes,
            ended: 0,
            failed: 0,
        })
    }

    pub(super) async fn mark(&self, batch: &mut Batch) -> Result<()> {
        batch.dirty.sort();
        batch.dirty.dedup();
        let keys: Vec<String> = batch.dirty.iter().map(ToString::to_string).collect();
        let found = store::get_many::<Identity>(self.engine.store(), &self.engine.realm, &keys).await?;
        let identities: Vec<Identity> = found.into_iter().flatten().map(|stored| stored.value).collect();
        let keys: Vec<String> = identities.iter().map(Identity::order).collect();
        let work = store::get_many::<Work>(self.engine.store(), &self.engine.realm, &keys).await?;
        for (identity, work) in identities.iter().zip(work) {
            Work::mark(&mut batch.changes, work, identity, false, batch.now)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::StepState;
    use super::super::workbench::{Workbench, jane};
    use super::*;
    use crate::connector::ObjectKey;
    use crate::id::IdentityId;
    use crate::plan::Action;
    use crate::value::{Attributes, Zone};

    async fn commit(bench: &Workbench, changes: Changes) {
        assert_eq!(bench.engine.store().commit(changes).await.unwrap(), Commit::Committed);
    }

    async fn stored<R: Record>(bench: &Workbench, key: &str) -> Stored<R> {
        store::get::<R>(bench.engine.store(), bench.engine.realm(), key).await.unwrap().unwrap()
    }

    fn changes(bench: &Workbench) -> Changes {
        Changes::in_realm(bench.engine.realm())
    }

    fn done() -> Ended {
        Ended::done(Some(ObjectKey::id("object-1")), None)
    }

    #[tokio::test]
    async fn a_link_that_somebody_else_wrote_meanwhile_is_read_again() {
        let bench = Workbench::new().await;
        let begun = bench.begun(Action::Disable);
        let mut first = changes(&bench);
        first.insert(&begun.entry).unwrap();
        first.insert(&bench.link()).unwrap();
        commit(&bench, first).await;
        let mut second = changes(&bench);
        second.put(&Link { missing: true, ..bench.link() }).unwrap();
        commit(&bench, second).await;
        let entries = bench.lane().settle(vec![(begun.clone(), done())]).await.unwrap();
        let link: Stored<Link> = stored(&bench, &link_key(&begun.step)).await;
        assert_eq!((link.value.enabled, link.value.missing), (Some(false), true), "both changes are there");
        let entry: Stored<JournalEntry> = stored(&bench, &begun.entry.key()).await;
        assert_eq!(entry.value.state, StepState::Done);
        assert_eq!(entries.get(&begun.step.id), Some(&entry), "with the version to write over");
    }

    #[tokio::test]
    async fn whoever_waits_for_an_account_is_told_that_it_is_there() {
        for (there, told) in [(true, 1), (false, 0)] {
            let bench = Workbench::new().await;
            let waits = Identity {
                id: IdentityId::from_uuid(uuid::Uuid::from_u128(9)),
                realm: bench.engine.realm().clone(),
                attributes: Attributes::new(),
                provenance: BTreeMap::new(),
                employment: Default::default(),
                engagements: Vec::new(),
                zone: Zone::utc(),
                source: "hr".into(),
                key: "9".to_owned(),
                version: 1,
                next_change_at: None,
            };
            let mut rows = changes(&bench);
            rows.insert(&waits).unwrap();
            rows.insert(&Waiting::for_account(waits.id, jane())).unwrap();
            commit(&bench, rows).await;
            let failed = Ended::Failed(Error::new(ErrorKind::Conflict, "it failed"));
            let ended = if there { done() } else { failed };
            bench.lane().wake_late(&[(bench.begun(Action::Enable), ended)]).await.unwrap();
            let work =
                store::get::<Work>(bench.engine.store(), bench.engine.realm(), &waits.order()).await.unwrap();
            assert_eq!(usize::from(work.is_some()), told);
        }
    }
}
