//! Wake-ups inside the process: a commit that makes something due tells the drive of all realms at once.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use tokio::sync::Notify;

use super::Clock;
use super::skew::Skew;
use crate::engine::{Meta, Unknowns, schedule};
use crate::error::Result;
use crate::event::{Announced, OutboxMark, is_own};
use crate::id::RealmId;
use crate::model::Work;
use crate::store::{
    Changes, Claim, Commit, Due, DueRealms, Posted, Put, Row, Rows, Scan, Select, Store, Stream, Table, Take,
};
use crate::value::Timestamp;

/// What a realm is to be looked at for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Wake {
    /// A leaver is due.
    pub(crate) urgent: bool,
    /// Something else is due.
    pub(crate) due: bool,
    /// Policy or targets changed: what failed before may succeed.
    pub(crate) configured: bool,
}

impl Wake {
    fn any(self) -> bool {
        self.urgent || self.due || self.configured
    }
}

/// Realms that woke since a drive last asked. Nothing is kept while nobody listens.
#[derive(Debug, Default)]
pub(crate) struct Wakes {
    listeners: AtomicUsize,
    realms: Mutex<BTreeMap<RealmId, Wake>>,
    bell: Notify,
}

/// Somebody listens as long as this lives.
#[derive(Debug)]
pub(crate) struct Listening(Arc<Wakes>);

impl Drop for Listening {
    fn drop(&mut self) {
        if self.0.listeners.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.0.take();
        }
    }
}

impl Wakes {
    /// Begins to listen.
    pub(crate) fn listen(self: &Arc<Self>) -> Listening {
        self.listeners.fetch_add(1, Ordering::SeqCst);
        Listening(Arc::clone(self))
    }

    /// Wakes a realm.
    pub(crate) fn wake(&self, realm: &RealmId, wake: Wake) {
        if !wake.any() || !self.is_heard() {
            return;
        }
        let mut realms = self.realms.lock().unwrap_or_else(PoisonError::into_inner);
        let known = realms.entry(realm.clone()).or_default();
        known.urgent |= wake.urgent;
        known.due |= wake.due;
        known.configured |= wake.configured;
        drop(realms);
        self.bell.notify_one();
    }

    /// Realms that woke since the last time.
    pub(crate) fn take(&self) -> BTreeMap<RealmId, Wake> {
        std::mem::take(&mut *self.realms.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Returns when a realm wakes; at once when one did since the last time.
    pub(crate) async fn rung(&self) {
        self.bell.notified().await;
    }

    fn is_heard(&self) -> bool {
        self.listeners.load(Ordering::SeqCst) > 0
    }

    /// What a commit makes due now.
    fn of(&self, changes: &Changes, now: Timestamp) -> Wake {
        let mut wake = Wake::default();
        if !self.is_heard() {
            return wake;
        }
        let (urgent, due) = (Work::due_column(true, now), Work::due_column(false, now));
        for put in &changes.put {
            let column = || put.columns.iter().find(|(name, _)| *name == "due").map(|(_, value)| value);
            match put.table {
                // How far the outbox is, or who waits for somebody unknown, changes nothing of the realm itself.
                Table::Meta if is_own(&put.key) || put.key == Meta::<Unknowns>::KEY => {}
                Table::Meta => {
                    wake.configured |= !put.key.starts_with(schedule::PREFIX);
                    wake.due |= column().is_some_and(|at| *at <= now.sortable());
                }
                Table::Work => {
                    let leaver = |at: &String| at.starts_with("0|");
                    wake.urgent |= column().is_some_and(|at| leaver(at) && *at <= urgent);
                    wake.due |= column().is_some_and(|at| !leaver(at) && *at <= due);
                }
                _ => {}
            }
        }
        wake
    }
}

/// A store whose commits through this runtime wake their realm, and tell of their events.
#[derive(Debug)]
pub(crate) struct WakingStore {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) wakes: Arc<Wakes>,
    pub(crate) skew: Arc<Skew>,
    pub(crate) announced: Arc<Announced>,
}

#[async_trait]
impl Store for WakingStore {
    async fn get(&self, realm: &RealmId, table: Table, keys: &[String]) -> Result<Vec<Option<Row>>> {
        self.store.get(realm, table, keys).await
    }

    async fn marks(&self, realm: &RealmId, table: Table, keys: Vec<String>) -> Result<Vec<Option<String>>> {
        self.store.marks(realm, table, keys).await
    }

    async fn scan_marks(
        &self,
        realm: &RealmId,
        table: Table,
        prefix: &str,
        after: Option<String>,
        limit: u32,
    ) -> Result<Vec<(String, Option<String>)>> {
        self.store.scan_marks(realm, table, prefix, after, limit).await
    }

    async fn scan(&self, scan: &Scan) -> Result<Rows> {
        self.store.scan(scan).await
    }

    async fn scan_all(&self, scans: &[Scan]) -> Result<Vec<Rows>> {
        self.store.scan_all(scans).await
    }

    async fn count(&self, realm: &RealmId, table: Table, select: &Select) -> Result<u64> {
        self.store.count(realm, table, select).await
    }

    async fn read_stream(
        &self,
        realm: &RealmId,
        stream: Stream,
        after: u64,
        limit: u32,
    ) -> Result<Vec<(u64, Row)>> {
        self.store.read_stream(realm, stream, after, limit).await
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
        self.store.read_stream_by(realm, stream, column, value, after, limit).await
    }

    async fn commit(&self, mut changes: Changes) -> Result<Commit> {
        changes.realm.as_ref().map_or(Ok(()), RealmId::admit)?;
        let wake = self.wakes.of(&changes, self.clock.now());
        let realm = changes.realm.clone().filter(|_| wake.any());
        let has_events = changes.append.iter().any(|append| append.stream == Stream::Outbox);
        let events = self.announced.of(&changes);
        if has_events {
            // Relays of any process find the realm by it.
            changes.put.push(OutboxMark::unsent()?);
        }
        let commit = self.store.commit(changes).await?;
        super::meter::commit(commit == Commit::Committed);
        if let (Some(realm), Commit::Committed) = (realm, &commit) {
            self.wakes.wake(&realm, wake);
        }
        if has_events && commit == Commit::Committed {
            self.announced.tell(events);
        }
        Ok(commit)
    }

    async fn claim(&self, claim: &Claim, take: Take<'_>) -> Result<Option<Vec<Put>>> {
        self.store.claim(claim, take).await
    }

    async fn noticed(&self, seen: u64) -> u64 {
        self.store.noticed(seen).await
    }

    async fn inbox(&self, after: u64, limit: u32) -> Result<Vec<Posted>> {
        self.store.inbox(after, limit).await
    }

    async fn remove_posted(&self, number: u64) -> Result<()> {
        self.store.remove_posted(number).await
    }

    async fn now(&self) -> Result<Timestamp> {
        let before = self.clock.now();
        let stored = self.store.now().await?;
        self.skew.measured(before, stored, self.clock.now());
        Ok(stored)
    }

    async fn epoch(&self) -> Result<String> {
        self.store.epoch().await
    }

    async fn realms(&self) -> Result<Vec<RealmId>> {
        let mut realms = self.store.realms().await?;
        realms.retain(|realm| !realm.is_reserved());
        Ok(realms)
    }

    async fn due_realms(&self, dues: &[Due]) -> Result<Vec<DueRealms>> {
        self.store.due_realms(dues).await
    }

    async fn backup(&self, path: &Path) -> Result<()> {
        self.store.backup(path).await
    }
}

#[cfg(test)]
mod tests {
    /// A method of the store that has a default would not be passed on, and nothing else would show it.
    #[test]
    fn every_method_of_a_store_is_passed_on() {
        let names = |text: &str| -> Vec<String> {
            let after = text.split("async fn ").skip(1);
            after.filter_map(|rest| rest.split_once('(').map(|(name, _)| name.to_owned())).collect()
        };
        let asked = include_str!("../store/mod.rs").split_once("pub trait Store").unwrap().1;
        let here = include_str!("wake.rs").split_once("impl Store for WakingStore").unwrap().1;
        let here = here.split_once("#[cfg(test)]").unwrap().0;
        assert!(names(asked).len() > 8);
        assert_eq!(names(here), names(asked));
    }
}
