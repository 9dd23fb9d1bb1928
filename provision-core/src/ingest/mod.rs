//! The road from a source's feed to identities: read, staged, guarded, taken over.
//!
//! A feed is first read to its end and compared with the source records; only what differs is *staged* in the store.
//! Then the guards look at the whole delta: it is taken over in batches, or held whole until a person approves it.
//! Each batch is one commit, so that a stop at any point is continued where it was ([`Ingest::resume`]).

mod batch;
mod compute;
mod correlate;
mod due;
mod find;
mod guard;
mod hold;
mod outcome;
mod person;
mod promote;
mod seen;
mod settle;
mod stage;

use crate::engine::lease_of;
use crate::error::{Effect, Error, ErrorKind, Result, Retry};
use crate::id::{FeedId, RealmId, SourceName};
use crate::model::{Actor, ConfiguredSource, FeedCounts, FeedReport, FeedState};
use crate::runtime::{Clock, Random, mint};
use crate::source::{Feed, FeedSequence};
use crate::store::{self, Cursor, Scan, Select, Store, Stored, Table};
use crate::value::Timestamp;

pub(crate) use correlate::look_up;
pub use outcome::FeedOutcome;
pub(crate) use person::{PersonKey, known_by};
pub(crate) use settle::NEW;

/// Records compared, staged or taken over in one commit.
const BATCH: u32 = 1_000;
/// How often a commit that met somebody else's is tried again, with fewer rows each time.
const TRIES_MAX: u32 = 12;

/// Takes feeds of a realm's sources. Cheap: make one per call.
#[derive(Clone, Copy, Debug)]
pub struct Ingest<'a> {
    store: &'a dyn Store,
    clock: &'a dyn Clock,
    random: &'a dyn Random,
    realm: &'a RealmId,
    actor: &'a Actor,
    batch: u32,
    /// When the process began to watch the clock.
    awake_since: Option<Timestamp>,
}

impl<'a> Ingest<'a> {
    /// The road into a realm, on behalf of an actor.
    pub fn new(
        store: &'a dyn Store,
        clock: &'a dyn Clock,
        random: &'a dyn Random,
        realm: &'a RealmId,
        actor: &'a Actor,
    ) -> Self {
        Self { store, clock, random, realm, actor, batch: BATCH, awake_since: None }
    }

    /// The same road with another number of records per commit (at least 1; the default is 1,000).
    #[must_use]
    pub fn with_batch(mut self, records: u32) -> Self {
        self.batch = records.max(1);
        self
    }

    /// The same road in a process that watches the clock since then.
    pub(crate) fn awake_since(mut self, started: Timestamp) -> Self {
        self.awake_since = Some(started);
        self
    }

    /// Reads a feed and takes its delta over, or holds it. `progress` is told the rows read so far.
    ///
    /// Memory: one bit per known record, 16 bytes per changed one, one batch of records.
    ///
    /// # Errors
    /// `NotFound`: no such source. `Conflict` (retryable, effect `None`): somebody else took a feed of this source
    /// meanwhile. A feed that breaks off is not an error: [`FeedOutcome::Refused`]. Nor is one that would change what a
    /// held one of its source is compared with: while that waits, only a complete full feed is taken.
    pub async fn feed(
        &self,
        source: &str,
        feed: Feed,
        progress: &mut (dyn FnMut(u64) + Send),
    ) -> Result<FeedOutcome> {
        self.finish_promoting(source).await?;
        let configured = self.source(source).await?;
        let id = match self.place(&configured.value, &feed.sequence).await? {
            Place::Next { again } => again,
            // A delta without changes leaves no staged rows by which the interrupted feed would have been found.
            Place::Consumed(earlier) if earlier.state == FeedState::Promoting => {
                return Ok(FeedOutcome::Applied(Box::new(self.run(earlier.id).await?)));
            }
            Place::Consumed(earlier) => return Ok(FeedOutcome::AlreadyConsumed { earlier }),
            Place::Older(last_order) => return Ok(FeedOutcome::Older { last_order }),
        };
        let (id, version) = match id {
            Some((id, version)) => (id, Some(version)),
            None => (FeedId::from_uuid(mint(self.clock, self.random)?), None),
        };
        let report = FeedReport {
            id,
            realm: self.realm.clone(),
            source: configured.value.settings.name.clone(),
            name: feed.name.clone(),
            mode: feed.mode,
            sequence: feed.sequence.clone(),
            state: FeedState::Staging,
            counts: FeedCounts::default(),
            problems: Vec::new(),
            completeness: crate::connector::Completeness::Partial { reason: "not read yet".to_owned() },
            hold: None,
            at: self.clock.now(),
            promoted: 0,
        };
        let mut staging = stage::Staging::new(self, &configured.value, report, version);
        let reasons = match staging.read(feed.records, progress).await? {
            Ok(reasons) => reasons,
            Err(broken) => return self.refuse(staging, broken).await,
        };
        if !staging.replaces() && self.holds_feed_of(&configured.value.settings.name).await? {
            let waits =
                conflict("an earlier feed of the source waits for a decision: approve or reject it first");
            return self.refuse(staging, waits).await;
        }
        let outcome = self.decide(staging.finish().await?, configured, reasons).await;
        if let Err(error) = &outcome
            && error.kind() == ErrorKind::Conflict
        {
            // Compared with records that somebody else changed since: what was staged is of no use.
            let report = self.report(id).await?;
            if report.as_ref().is_none_or(|report| report.value.state == FeedState::Staging) {
                self.discard(id, report).await?;
            }
        }
        outcome
    }

    /// Takes over what was staged, or holds it.
    async fn decide(
        &self,
        report: Stored<FeedReport>,
        source: Stored<ConfiguredSource>,
        reasons: Vec<String>,
    ) -> Result<FeedOutcome> {
        if !reasons.is_empty() {
            return self.hold(report, source, reasons).await;
        }
        let feed = report.value.id;
        self.begin(report, source, None).await?;
        Ok(FeedOutcome::Applied(Box::new(self.run(feed).await?)))
    }

    /// After a crash: feeds that were being read are discarded (they are read again from the start), feeds that were
    /// being taken over go on. Sources that an [`Engine`](crate::engine::Engine) reads at this moment, here or in
    /// another process, are left to it; those of a process that is gone, for the 30 seconds that its lease lasts: call
    /// this again then. Returns the feeds that were finished.
    pub async fn resume(&self) -> Result<Vec<FeedReport>> {
        let mut finished = Vec::new();
        for feed in self.staged_feeds().await? {
            let report = self.report(feed).await?;
            if let Some(report) = &report
                && lease_of(self.store, self.realm, &lease_name(&report.value.source)).await?.is_some()
            {
                continue;
            }
            match report {
                Some(report) if report.value.state == FeedState::Promoting => {
                    finished.push(self.run(feed).await?);
                }
                Some(report) if report.value.state == FeedState::Held => {}
                // Rows of a feed that is over, or was never read to its end: nobody will look at them again.
                report => self.discard(feed, report).await?,
            }
        }
        Ok(finished)
    }

    /// What is known of a feed without reading it; `None` where it is to be read, or an earlier one of its source is
    /// not finished.
    pub(crate) async fn seen_before(
        &self,
        source: &SourceName,
        sequence: &FeedSequence,
    ) -> Result<Option<FeedOutcome>> {
        for feed in self.staged_feeds().await? {
            if let Some(report) = self.report(feed).await?
                && report.value.source == *source
                && matches!(report.value.state, FeedState::Staging | FeedState::Promoting)
            {
                return Ok(None);
            }
        }
        let configured = self.source(source.as_str()).await?;
        Ok(match self.place(&configured.value, sequence).await? {
            Place::Consumed(earlier) if earlier.state != FeedState::Promoting => {
                Some(FeedOutcome::AlreadyConsumed { earlier })
            }
            Place::Older(last_order) => Some(FeedOutcome::Older { last_order }),
            Place::Consumed(_) | Place::Next { .. } => None,
        })
    }

    /// Drops what a process left of a feed of this source that it did not read to its end. Only for whoever reads the
    /// source alone.
    pub(crate) async fn discard_unread(&self, source: &SourceName) -> Result<()> {
        for feed in self.staged_feeds().await? {
            let report = self.report(feed).await?;
            let is_left = |report: &Stored<FeedReport>| {
                report.value.source == *source && report.value.state == FeedState::Staging
            };
            if report.as_ref().is_some_and(is_left) {
                self.discard(feed, report).await?;
            }
        }
        Ok(())
    }

    async fn finish_promoting(&self, source: &str) -> Result<()> {
        for feed in self.staged_feeds().await? {
            if let Some(report) = self.report(feed).await?
                && report.value.state == FeedState::Promoting
                && report.value.source.as_str() == source
            {
                self.run(feed).await?;
            }
        }
        Ok(())
    }

    /// Feeds that have staged rows: found by jumping from feed to feed over the rows' keys.
    async fn staged_feeds(&self) -> Result<Vec<FeedId>> {
        let mut feeds = Vec::new();
        let mut after = None;
        loop {
            let scan = Scan {
                realm: self.realm.clone(),
                table: Table::FeedChange,
                select: Select::KeyPrefix(String::new()),
                after,
                limit: 1,
            };
            let page = self.store.scan(&scan).await?;
            let Some(row) = page.rows.first() else { return Ok(feeds) };
            let prefix = row.key.split('/').next().unwrap_or_default();
            if let Some(feed) = FeedId::parse(prefix) {
                feeds.push(feed);
            }
            // `~` sorts after every number.
            after = Some(Cursor { column: String::new(), key: format!("{prefix}/~") });
        }
    }

    /// Where a feed stands among those already read.
    async fn place(&self, source: &ConfiguredSource, sequence: &FeedSequence) -> Result<Place> {
        let content = format!("{}/{}", source.settings.name.as_str(), sequence.content);
        let newer = match (&sequence.order, &source.last_order) {
            (Some(order), Some(last)) => order > last,
            (Some(_), None) => true,
            (None, _) => false,
        };
        let (mut again, mut cursor) = (None, None);
        loop {
            let select = Select::Equal("content", content.clone());
            let (feeds, next) =
                store::list_by::<FeedReport>(self.store, self.realm, select, cursor, BATCH).await?;
            for feed in feeds {
                // The same content once more is a new delivery where the source says that it is newer: a revert, or
                // one more complete feed without somebody.
                if is_consumed(&feed.value) && (!newer || feed.value.sequence == *sequence) {
                    return Ok(Place::Consumed(Box::new(feed.value)));
                }
                if feed.value.state == FeedState::Refused && !is_consumed(&feed.value) {
                    again = Some((feed.value.id, feed.version));
                }
            }
            cursor = next;
            if cursor.is_none() {
                break;
            }
        }
        match (&sequence.order, &source.last_order) {
            (Some(_), Some(last)) if !newer => Ok(Place::Older(last.clone())),
            _ => Ok(Place::Next { again }),
        }
    }

    async fn source(&self, source: &str) -> Result<Stored<ConfiguredSource>> {
        store::get(self.store, self.realm, source).await?.ok_or_else(|| {
            let shown = crate::text::escape(source);
            Error::new(ErrorKind::NotFound, format!("there is no source `{shown}`")).with_effect(Effect::None)
        })
    }

    async fn report(&self, feed: FeedId) -> Result<Option<Stored<FeedReport>>> {
        store::get(self.store, self.realm, &feed.to_string()).await
    }
}

enum Place {
    /// To be read; under the id of an earlier attempt that broke off, if there was one.
    Next {
        again: Option<(FeedId, u64)>,
    },
    Consumed(Box<FeedReport>),
    Older(String),
}

/// Whether this delivery settled what its content says. One that broke off, or was cut short, did not.
fn is_consumed(report: &FeedReport) -> bool {
    match report.state {
        FeedState::Held | FeedState::Promoting => true,
        FeedState::Applied => report.completeness.is_complete(),
        FeedState::Refused => report.hold.is_some(),
        FeedState::Staging => false,
    }
}

fn conflict(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Conflict, message).with_effect(Effect::None).with_retry(Retry::After(None))
}

/// The lease of whoever reads a source.
pub(crate) fn lease_name(source: &SourceName) -> String {
    format!("source/{}", source.as_str())
}

fn record_prefix(source: &SourceName) -> String {
    crate::model::SourceRecord::row_key(source, "")
}
