//! Deltas that wait for a person, and what becomes of feeds that are not taken over.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

use super::stage::{Staging, replaces};
use super::{FeedOutcome, Ingest, conflict};
use crate::audit::AuditEntry;
use crate::connector::Completeness;
use crate::error::{Effect, Error, ErrorKind, Result};
use crate::event::Event;
use crate::id::{FeedId, HoldId, SourceName};
use crate::model::{
    ConfiguredSource, FeedChange, FeedCounts, FeedReport, FeedState, Hold, HoldOf, HoldState,
};
use crate::runtime::mint;
use crate::store::{self, Changes, Commit, Scan, Select, Stored, Table};

/// Writes a report that is at `version` in the store (`None` or 0: not there yet).
pub(super) fn write_report(changes: &mut Changes, version: Option<u64>, report: &FeedReport) -> Result<()> {
    match version {
        None | Some(0) => changes.insert(report),
        Some(version) => changes.replace(version, report),
    }
}

impl Ingest<'_> {
    /// A feed that broke off: nothing of it is taken over.
    pub(super) async fn refuse(&self, staging: Staging<'_>, broken: Error) -> Result<FeedOutcome> {
        let mut report = staging.finish().await?;
        let reason = broken.report();
        report.value.state = FeedState::Refused;
        report.value.completeness = Completeness::Partial { reason: reason.clone() };
        let mut changes = Changes::in_realm(self.realm);
        write_report(&mut changes, Some(report.version), &report.value)?;
        let mut entry = self.entry("ingest.refused", &report.value);
        entry.error = Some(broken.record());
        changes.append.push(entry.append()?);
        self.commit(changes, "the feed was discarded by somebody else").await?;
        self.delete_staged(report.value.id).await?;
        Ok(FeedOutcome::Refused { report: Box::new(report.value), reason })
    }

    /// Opens a hold for the whole delta of a feed.
    pub(super) async fn hold(
        &self,
        mut report: Stored<FeedReport>,
        source: Stored<ConfiguredSource>,
        reasons: Vec<String>,
    ) -> Result<FeedOutcome> {
        let feed = report.value.id;
        let hold = Hold {
            id: HoldId::from_uuid(mint(self.clock, self.random)?),
            realm: self.realm.clone(),
            of: HoldOf::Feed { feed, source: report.value.source.clone() },
            state: HoldState::Open,
            digest: self.digest(feed).await?,
            reasons,
            counts: counted(&report.value.counts),
            at: self.clock.now(),
            author: self.actor.clone(),
            decided_by: None,
        };
        report.value.state = FeedState::Held;
        report.value.hold = Some(hold.id);
        let mut changes = Changes::in_realm(self.realm);
        write_report(&mut changes, Some(report.version), &report.value)?;
        changes.insert(&hold)?;
        // Nobody else may have taken a feed of this source since it was compared.
        changes.replace(source.version, &source.value)?;
        let superseded = self.supersede(&mut changes, &report.value).await?;
        let mut entry = self.entry("ingest.held", &report.value);
        entry.object = Some(hold.id.to_string());
        entry.note = format!("{}: {}", report.value.name, hold.reasons.join("; "));
        changes.append.push(entry.append()?);
        let event = Event {
            realm: self.realm.clone(),
            at: hold.at,
            event: "hold.opened".to_owned(),
            identity: None,
            target: None,
            plan: None,
        };
        changes.append.push(event.append()?);
        self.commit(changes, "another feed of this source was taken meanwhile").await?;
        for feed in superseded {
            self.delete_staged(feed).await?;
        }
        Ok(FeedOutcome::Held { report: Box::new(report.value), hold: Box::new(hold) })
    }

    /// Rejects a held feed: its delta is dropped, the feed counts as consumed.
    ///
    /// # Errors
    /// `NotFound`, or `Conflict` when the feed is not held (any more).
    pub async fn reject(&self, feed: FeedId) -> Result<FeedReport> {
        let Some(mut report) = self.report(feed).await? else {
            return Err(Error::new(ErrorKind::NotFound, "there is no such feed").with_effect(Effect::None));
        };
        let hold = self.hold_of(&report.value).await?;
        let Some(mut hold) = hold.filter(|hold| is_waiting(&hold.value)) else {
            return Err(conflict("the feed does not wait for a decision").with_retry(crate::Retry::Never));
        };
        hold.value.state = HoldState::Rejected;
        hold.value.decided_by = Some(self.actor.clone());
        report.value.state = FeedState::Refused;
        let mut changes = Changes::in_realm(self.realm);
        changes.replace(hold.version, &hold.value)?;
        changes.replace(report.version, &report.value)?;
        let mut entry = self.entry("ingest.refused", &report.value);
        entry.object = Some(hold.value.id.to_string());
        entry.note = format!("{}: rejected", report.value.name);
        changes.append.push(entry.append()?);
        self.commit(changes, "somebody else decided the hold meanwhile").await?;
        self.delete_staged(feed).await?;
        Ok(report.value)
    }

    pub(super) async fn hold_of(&self, report: &FeedReport) -> Result<Option<Stored<Hold>>> {
        match report.hold {
            Some(id) => store::get(self.store, self.realm, &id.to_string()).await,
            None => Ok(None),
        }
    }

    /// Whether a held feed of the source waits for a decision, or for being taken over.
    pub(super) async fn holds_feed_of(&self, name: &SourceName) -> Result<bool> {
        for state in [HoldState::Open, HoldState::Approved] {
            let mut cursor = None;
            loop {
                let select = Select::Equal("state", state.as_str().to_owned());
                let (holds, next) =
                    store::list_by::<Hold>(self.store, self.realm, select, cursor, self.batch).await?;
                let waits = |hold: &Stored<Hold>| match &hold.value.of {
                    HoldOf::Feed { source, .. } => source == name,
                    _ => false,
                };
                if holds.iter().any(waits) {
                    return Ok(true);
                }
                cursor = next;
                if cursor.is_none() {
                    break;
                }
            }
        }
        Ok(false)
    }

    /// Ends the waiting of earlier feeds of the source when `by` says all there is: what they held is in it, or over.
    /// Returns the feeds whose staged rows are to be deleted after the commit.
    pub(super) async fn supersede(&self, changes: &mut Changes, by: &FeedReport) -> Result<Vec<FeedId>> {
        let mut superseded = Vec::new();
        if !replaces(by) {
            return Ok(superseded);
        }
        for state in [HoldState::Open, HoldState::Approved] {
            let mut cursor = None;
            loop {
                let select = Select::Equal("state", state.as_str().to_owned());
                let (holds, next) =
                    store::list_by::<Hold>(self.store, self.realm, select, cursor, self.batch).await?;
                for mut hold in holds {
                    let HoldOf::Feed { feed, source } = &hold.value.of else { continue };
                    let feed = *feed;
                    if feed == by.id || *source != by.source {
                        continue;
                    }
                    hold.value.state = HoldState::Superseded;
                    changes.replace(hold.version, &hold.value)?;
                    if let Some(mut report) = self.report(feed).await? {
                        report.value.state = FeedState::Refused;
                        changes.replace(report.version, &report.value)?;
                    }
                    superseded.push(feed);
                }
                cursor = next;
                if cursor.is_none() {
                    break;
                }
            }
        }
        Ok(superseded)
    }

    /// Hash over the staged changes in their order.
    pub(super) async fn digest(&self, feed: FeedId) -> Result<String> {
        let mut hasher = Sha256::new();
        let mut after = None;
        loop {
            let scan = self.staged_scan(feed, after, self.batch);
            let page = self.store.scan(&scan).await?;
            for row in &page.rows {
                hasher.update((row.body.len() as u64).to_be_bytes());
                hasher.update(row.body.as_bytes());
            }
            after = page.next;
            if after.is_none() {
                return Ok(hex::encode(hasher.finalize()));
            }
        }
    }

    pub(super) fn staged_scan(&self, feed: FeedId, after: Option<store::Cursor>, limit: u32) -> Scan {
        Scan {
            realm: self.realm.clone(),
            table: Table::FeedChange,
            select: Select::KeyPrefix(format!("{feed}/")),
            after,
            limit,
        }
    }

    pub(super) async fn delete_staged(&self, feed: FeedId) -> Result<()> {
        loop {
            let page = self.store.scan(&self.staged_scan(feed, None, self.batch)).await?;
            if page.rows.is_empty() {
                return Ok(());
            }
            let mut changes = Changes::in_realm(self.realm);
            for row in page.rows {
                changes.delete::<FeedChange>(row.key);
            }
            self.store.commit(changes).await?;
        }
    }

    /// Drops what a feed left behind that was not read to its end.
    pub(super) async fn discard(&self, feed: FeedId, report: Option<Stored<FeedReport>>) -> Result<()> {
        if let Some(mut report) = report.filter(|report| report.value.state == FeedState::Staging) {
            report.value.state = FeedState::Refused;
            report.value.completeness =
                Completeness::Partial { reason: "reading it was interrupted".to_owned() };
            let mut changes = Changes::in_realm(self.realm);
            changes.replace(report.version, &report.value)?;
            changes.append.push(self.entry("ingest.discarded", &report.value).append()?);
            self.commit(changes, "the feed is being read by somebody else").await?;
        }
        self.delete_staged(feed).await
    }

    pub(super) async fn commit(&self, changes: Changes, lost: &str) -> Result<()> {
        match self.store.commit(changes).await? {
            Commit::Committed => Ok(()),
            Commit::Conflict(_) => Err(conflict(lost)),
        }
    }

    /// An audit entry about a feed.
    pub(super) fn entry(&self, event: &str, report: &FeedReport) -> AuditEntry {
        let mut entry = AuditEntry::new(self.realm, self.clock.now(), self.actor, event);
        entry.note = report.name.clone();
        entry.change = Some(serde_json::json!({
            "feed": report.id,
            "source": report.source,
            "counts": report.counts,
        }));
        entry
    }
}

fn is_waiting(hold: &Hold) -> bool {
    matches!(hold.state, HoldState::Open | HoldState::Approved)
}

fn counted(counts: &FeedCounts) -> BTreeMap<String, u64> {
    [
        ("added", counts.added),
        ("changed", counts.changed),
        ("removed", counts.removed),
        ("terminated", counts.terminated),
        ("absent", counts.absent),
        ("disputed", counts.disputed),
    ]
    .into_iter()
    .filter(|(_, count)| *count > 0)
    .map(|(name, count)| (name.to_owned(), count))
    .collect()
}
