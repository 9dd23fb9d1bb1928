//! Reading a feed: every row is compared with its source record, and what differs is staged.

use futures_util::StreamExt;

use super::guard::{Effect, Measure};
use super::person::person_of;
use super::seen::{Seen, StagedKeys};
use super::{Ingest, conflict, record_prefix};
use crate::connector::Completeness;
use crate::diagnostic::{Diagnostic, Severity};
use crate::error::{Error, Result};
use crate::model::{
    ConfiguredSource, FeedChange, FeedChangeKind, FeedReport, FeedState, RecordMark, RecordState,
    SourceRecord,
};
use crate::source::{Absence, EngagementSettings, FeedEvent, FeedMode, FeedRecord, FeedStream, RecordAction};
use crate::store::{self, Changes, Commit, Stored, Table};
use crate::value::Timestamp;

/// Problems of rows kept in the report; all are counted.
const PROBLEMS_MAX: usize = 100;
/// Longest key, in bytes.
const KEY_BYTES_MAX: usize = 1_024;

/// Whether a row says what its record says already, so that the record need not be read.
fn is_unchanged(row: &FeedRecord, mark: &RecordMark<'_>) -> bool {
    row.action == RecordAction::Upsert
        && mark.state == RecordState::Present
        && mark.fingerprint == row.fingerprint
}

/// A full feed, read whole.
pub(super) fn replaces(report: &FeedReport) -> bool {
    report.mode == FeedMode::Full && report.completeness.is_complete()
}

/// A feed being read.
pub(super) struct Staging<'a> {
    road: &'a Ingest<'a>,
    source: &'a ConfiguredSource,
    now: Timestamp,
    report: FeedReport,
    version: Option<u64>,
    /// Changes not written yet; the first has the number `written`.
    pending: Vec<FeedChange>,
    written: u64,
    seen: Seen,
    /// Known records, not removed, that the feed brought.
    seen_standing: u64,
    staged: StagedKeys,
    measure: Measure,
    unusable: u64,
}

impl<'a> Staging<'a> {
    pub(super) fn new(
        road: &'a Ingest<'a>,
        source: &'a ConfiguredSource,
        report: FeedReport,
        version: Option<u64>,
    ) -> Self {
        Self {
            road,
            source,
            now: report.at,
            report,
            version,
            pending: Vec::new(),
            written: 0,
            seen: Seen::with_capacity(source.next_ordinal),
            seen_standing: 0,
            staged: StagedKeys::default(),
            measure: Measure::default(),
            unusable: 0,
        }
    }

    /// Reads the feed to its end. `Ok(Err(..))`: the feed broke off. `Ok(Ok(reasons))`: why it must be held.
    pub(super) async fn read(
        &mut self,
        mut records: FeedStream,
        progress: &mut (dyn FnMut(u64) + Send),
    ) -> Result<Result<Vec<String>, Error>> {
        let batch = self.road.batch as usize;
        // Both keep their room: giving it back and taking it anew for each batch costs more than one thinks.
        let (mut buffer, mut rows) = (Vec::<FeedRecord>::new(), Vec::new());
        let mut end =
            Completeness::Partial { reason: "the feed stopped without saying that it is whole".to_owned() };
        while let Some(event) = records.next().await {
            match event {
                Ok(FeedEvent::Records(more)) => buffer.extend(more),
                Ok(FeedEvent::Problem(problem)) => {
                    self.unusable += u64::from(problem.is_error());
                    self.problem(problem);
                }
                Ok(FeedEvent::End(completeness)) => {
                    end = completeness;
                    break;
                }
                Err(error) => return Ok(Err(error)),
            }
            while buffer.len() >= batch {
                rows.extend(buffer.drain(..batch));
                self.rows(&mut rows).await?;
                progress(self.report.counts.rows);
            }
        }
        self.rows(&mut buffer).await?;
        progress(self.report.counts.rows);
        self.report.completeness = end;
        let whole = self.replaces();
        if whole {
            self.absences().await?;
        }
        Ok(Ok(self.measure.reasons(self.source, &self.report.counts, whole)))
    }

    /// Whether the feed, as read, says all there is: only then it stands for what earlier feeds said.
    pub(super) fn replaces(&self) -> bool {
        replaces(&self.report)
    }

    /// Writes what is still pending. The report is not stored before the first staged change.
    pub(super) async fn finish(mut self) -> Result<Stored<FeedReport>> {
        self.flush().await?;
        Ok(Stored { version: self.version.unwrap_or(0), value: self.report })
    }

    /// Looks at rows and takes them out.
    async fn rows(&mut self, rows: &mut Vec<FeedRecord>) -> Result<()> {
        if rows.is_empty() {
            return Ok(());
        }
        let name = &self.source.settings.name;
        let keys: Vec<String> = rows.iter().map(|row| SourceRecord::row_key(name, &row.key)).collect();
        let marks = self.road.store.marks(self.road.realm, Table::SourceRecord, keys).await?;
        let mut known = Vec::with_capacity(rows.len());
        let mut to_read = Vec::new();
        for (row, mark) in rows.iter().zip(marks) {
            let says = |mark: &String| RecordMark::parse(mark).is_some_and(|mark| is_unchanged(row, &mark));
            let mark = mark.filter(says);
            if mark.is_none() {
                to_read.push(SourceRecord::row_key(name, &row.key));
            }
            known.push(mark);
        }
        let read = store::get_many::<SourceRecord>(self.road.store, self.road.realm, &to_read).await?;
        let mut read = read.into_iter();
        for (row, mark) in rows.drain(..).zip(known) {
            let Some(mark) = mark else {
                let record = read.next().flatten().map(|record| record.value);
                self.row(row, record).await?;
                continue;
            };
            if !self.pass(&row, &mark) {
                let record = self.record(&row.key).await?;
                self.row(row, record).await?;
            }
        }
        if self.pending.len() >= self.road.batch as usize {
            self.flush().await?;
        }
        Ok(())
    }

    /// Counts a row that its mark tells to be unchanged; false when it is not the first one of its record.
    fn pass(&mut self, row: &FeedRecord, mark: &str) -> bool {
        if !RecordMark::parse(mark).is_some_and(|mark| self.seen.insert(mark.ordinal)) {
            return false;
        }
        self.report.counts.rows += 1;
        self.report.counts.unchanged += 1;
        self.seen_standing += 1;
        self.measure.look_for_canary(row, &self.source.settings, self.now);
        true
    }

    async fn row(&mut self, row: FeedRecord, known: Option<SourceRecord>) -> Result<()> {
        self.report.counts.rows += 1;
        if row.key.is_empty() || row.key.len() > KEY_BYTES_MAX {
            self.unusable += 1;
            self.bad_row(&row, "its key is empty or longer than 1024 bytes");
            return Ok(());
        }
        let engagements = self.source.settings.engagements.as_ref();
        let lacks = |settings: &EngagementSettings| person_of(settings, &row.attributes).is_none();
        if let Some(settings) = engagements.filter(|_| row.action == RecordAction::Upsert)
            && lacks(settings)
        {
            self.unusable += 1;
            let why = format!("it has no `{}`, which tells whose engagement it is", settings.person);
            self.bad_row(&row, &why);
            return Ok(());
        }
        self.measure.look_for_canary(&row, &self.source.settings, self.now);
        let Some(known) = known else {
            return match self.find_staged(&row.key).await? {
                Some(earlier) => self.repeated(row, None, Some(earlier)).await,
                None if row.action == RecordAction::Remove => {
                    self.report.counts.unchanged += 1;
                    Ok(())
                }
                None => self.stage_row(FeedChangeKind::Upsert, row, None),
            };
        };
        if !self.seen.insert(known.ordinal) {
            let earlier = self.find_staged(&row.key).await?;
            return self.repeated(row, Some(known), earlier).await;
        }
        self.seen_standing += u64::from(known.state != RecordState::Removed);
        let same = row.fingerprint == known.fingerprint;
        match (known.state, row.action) {
            (RecordState::Disputed, _) => self.report.counts.disputed += 1,
            (RecordState::Removed, RecordAction::Remove) => self.report.counts.unchanged += 1,
            (_, RecordAction::Remove) => return self.stage_row(FeedChangeKind::Remove, row, Some(&known)),
            (RecordState::Present, _) if same => self.report.counts.unchanged += 1,
            (RecordState::Absent(_), _) if same => {
                self.report.counts.unchanged += 1;
                return self.stage_row(FeedChangeKind::Seen, row, Some(&known));
            }
            _ => return self.stage_row(FeedChangeKind::Upsert, row, Some(&known)),
        }
        Ok(())
    }

    async fn record(&self, key: &str) -> Result<Option<SourceRecord>> {
        let key = SourceRecord::row_key(&self.source.settings.name, key);
        let stored = store::get::<SourceRecord>(self.road.store, self.road.realm, &key).await?;
        Ok(stored.map(|stored| stored.value))
    }

    fn stage_row(&mut self, kind: FeedChangeKind, row: FeedRecord, old: Option<&SourceRecord>) -> Result<()> {
        let zone = row.zone.as_ref().unwrap_or(&self.source.settings.zone);
        if let (FeedChangeKind::Upsert, Err(error)) = (kind, row.employment.at(self.now, zone)) {
            self.bad_row(&row, error.message());
            return Ok(());
        }
        let effect = Effect::of(kind, old, Some(&row), &self.source.settings, self.now);
        self.measure.add(&effect, &mut self.report.counts);
        let key = row.key.clone();
        self.push(kind, key, (kind == FeedChangeKind::Upsert).then_some(row));
        Ok(())
    }

    fn push(&mut self, kind: FeedChangeKind, key: String, record: Option<FeedRecord>) {
        let number = self.written + self.pending.len() as u64;
        self.staged.insert(&key, number);
        self.pending.push(FeedChange { feed: self.report.id, number, kind, key, record });
    }

    /// A key that comes again: the same is counted, something else is a dispute that replaces what was staged.
    async fn repeated(
        &mut self,
        row: FeedRecord,
        known: Option<SourceRecord>,
        earlier: Option<FeedChange>,
    ) -> Result<()> {
        let state = known.as_ref().map(|known| known.state);
        if state == Some(RecordState::Disputed) {
            return Ok(());
        }
        let as_known = row.action == RecordAction::Upsert
            && known.as_ref().is_some_and(|known| known.fingerprint == row.fingerprint);
        let same = match earlier.as_ref().map(|earlier| (earlier.kind, &earlier.record)) {
            Some((FeedChangeKind::Dispute, _)) => return Ok(()),
            Some((FeedChangeKind::Upsert, Some(first))) => {
                row.action == RecordAction::Upsert && first.fingerprint == row.fingerprint
            }
            Some((FeedChangeKind::Remove, _)) => row.action == RecordAction::Remove,
            None if state == Some(RecordState::Removed) => row.action == RecordAction::Remove,
            _ => as_known,
        };
        if same {
            self.report.counts.repeated += 1;
            return Ok(());
        }
        self.report.counts.disputed += 1;
        let Some(mut earlier) = earlier else {
            self.report.counts.unchanged = self.report.counts.unchanged.saturating_sub(1);
            self.push(FeedChangeKind::Dispute, row.key, None);
            return Ok(());
        };
        if earlier.kind == FeedChangeKind::Seen {
            self.report.counts.unchanged = self.report.counts.unchanged.saturating_sub(1);
        }
        let first = earlier.record.take();
        let effect =
            Effect::of(earlier.kind, known.as_ref(), first.as_ref(), &self.source.settings, self.now);
        self.measure.take_back(&effect, &mut self.report.counts);
        earlier.kind = FeedChangeKind::Dispute;
        self.replace(earlier).await
    }

    async fn replace(&mut self, change: FeedChange) -> Result<()> {
        if change.number < self.written {
            let mut changes = Changes::in_realm(self.road.realm);
            changes.put(&change)?;
            return self.commit(changes).await;
        }
        let index = usize::try_from(change.number - self.written).unwrap_or(usize::MAX);
        if let Some(place) = self.pending.get_mut(index) {
            *place = change;
        }
        Ok(())
    }

    /// The change staged for a key in this feed.
    async fn find_staged(&self, key: &str) -> Result<Option<FeedChange>> {
        let mut place = StagedKeys::start(key);
        while let Some(number) = self.staged.at(place) {
            if let Some(change) = self.change(number).await?
                && change.key == key
            {
                return Ok(Some(change));
            }
            place = place.wrapping_add(1);
        }
        Ok(None)
    }

    async fn change(&self, number: u64) -> Result<Option<FeedChange>> {
        if let Some(index) = number.checked_sub(self.written) {
            let index = usize::try_from(index).unwrap_or(usize::MAX);
            return Ok(self.pending.get(index).cloned());
        }
        let key = format!("{}/{number:012}", self.report.id);
        let stored = store::get::<FeedChange>(self.road.store, self.road.realm, &key).await?;
        Ok(stored.map(|stored| stored.value))
    }

    /// Known records that a whole feed did not bring.
    async fn absences(&mut self) -> Result<()> {
        let Absence::RemoveAfter(limit) = self.source.settings.absence else { return Ok(()) };
        if self.seen_standing == self.source.present {
            return Ok(());
        }
        if self.unusable > 0 {
            // One of the missing may be the row that could not be read: their absence proves nothing.
            let missing = self.source.present.saturating_sub(self.seen_standing);
            let unusable = self.unusable;
            self.problem(Diagnostic::new(
                Severity::Warning,
                "I0002",
                format!(
                    "{missing} known records are missing, and {unusable} rows could not be used: absence does \
                     not count"
                ),
                "correct the rows and deliver the feed again",
            ));
            return Ok(());
        }
        let prefix = record_prefix(&self.source.settings.name);
        let (store, realm, batch) = (self.road.store, self.road.realm, self.road.batch);
        let mut after = None;
        loop {
            let page = store.scan_marks(realm, Table::SourceRecord, &prefix, after, batch).await?;
            let last = page.len() < batch as usize;
            after = page.last().map(|(key, _)| key.clone());
            let missing = |mark: Option<&str>| {
                let mark = mark.and_then(RecordMark::parse);
                mark.is_none_or(|mark| self.times_missing(&mark).is_some())
            };
            let keys: Vec<String> =
                page.into_iter().filter(|(_, mark)| missing(mark.as_deref())).map(|(key, _)| key).collect();
            for record in store::get_many::<SourceRecord>(store, realm, &keys).await?.into_iter().flatten() {
                self.absence(record.value, limit);
            }
            if self.pending.len() >= batch as usize {
                self.flush().await?;
            }
            if last {
                return Ok(());
            }
        }
    }

    /// How often a record has been missing now; `None`: it was seen, or is not expected any more.
    fn times_missing(&self, mark: &RecordMark<'_>) -> Option<u32> {
        let times = match mark.state {
            RecordState::Present => 1,
            RecordState::Absent(times) => times.saturating_add(1),
            RecordState::Removed | RecordState::Disputed => return None,
        };
        (!self.seen.contains(mark.ordinal)).then_some(times)
    }

    fn absence(&mut self, record: SourceRecord, limit: u32) {
        // A source whose name goes on where that of this one ends has keys with the same beginning.
        if record.source != self.source.settings.name {
            return;
        }
        let Some(times) = self.times_missing(&record.mark()) else { return };
        if times < limit {
            self.report.counts.absent += 1;
            return self.push(FeedChangeKind::Absent, record.key, None);
        }
        let effect = Effect::of(FeedChangeKind::Remove, Some(&record), None, &self.source.settings, self.now);
        self.measure.add(&effect, &mut self.report.counts);
        self.push(FeedChangeKind::Remove, record.key, None);
    }

    fn bad_row(&mut self, row: &FeedRecord, why: &str) {
        let shown = crate::text::escape(&row.key.chars().take(64).collect::<String>());
        self.problem(Diagnostic::new(
            Severity::Error,
            "I0001",
            format!("row {} (key `{shown}`) cannot be used: {why}", row.position),
            "correct the row in the source",
        ));
    }

    fn problem(&mut self, problem: Diagnostic) {
        self.report.counts.problems += u64::from(problem.is_error());
        if self.report.problems.len() < PROBLEMS_MAX {
            self.report.problems.push(problem);
        }
    }

    async fn flush(&mut self) -> Result<()> {
        if self.pending.is_empty() {
            return Ok(());
        }
        self.report.state = FeedState::Staging;
        let mut changes = Changes::in_realm(self.road.realm);
        let pending = std::mem::take(&mut self.pending);
        for change in &pending {
            changes.put(change)?;
        }
        self.written += pending.len() as u64;
        self.commit(changes).await
    }

    async fn commit(&mut self, mut changes: Changes) -> Result<()> {
        super::hold::write_report(&mut changes, self.version, &self.report)?;
        match self.road.store.commit(changes).await? {
            Commit::Committed => {
                self.version = Some(self.version.unwrap_or(0) + 1);
                Ok(())
            }
            Commit::Conflict(_) => Err(conflict("the feed was discarded by somebody else while it was read")),
        }
    }
}
