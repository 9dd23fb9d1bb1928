//! One batch of staged changes: source records, identities, work and audit of a single commit.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use super::Ingest;
use super::compute::{Sources, compute, differences};
use super::correlate::{self, RuleIndex};
use super::find::{Found, Made};
use super::person::{ENGAGEMENTS_MAX, People};
use crate::audit::AuditEntry;
use crate::correlate::{KeySpec, Prepared, Verdict};
use crate::engine::{Meta, Unknowns, Waiting};
use crate::error::Result;
use crate::id::IdentityId;
use crate::model::{
    ConfiguredSource, Dispute, DisputeAbout, FeedChange, FeedChangeKind, FeedReport, FeedState, Identity,
    RecordState, SourceRecord, Work,
};
use crate::runtime::mint;
use crate::source::{FeedRecord, SourceSettings};
use crate::store::{self, Changes, Expect, Record, Scan, Select, Stored};
use crate::value::Timestamp;

/// A source record as this batch leaves it.
#[derive(Debug)]
struct Draft {
    /// As read; `None`: the batch makes it.
    version: Option<u64>,
    value: SourceRecord,
    changed: bool,
}

/// A batch being prepared; nothing is written before its one commit.
#[derive(Debug)]
pub(super) struct Batch<'a> {
    pub(super) road: &'a Ingest<'a>,
    pub(super) now: Timestamp,
    pub(super) report: Stored<FeedReport>,
    pub(super) source: Stored<ConfiguredSource>,
    sources: Sources,
    /// The source's rules.
    pub(super) prepared: Prepared,
    /// What identities are found by.
    specs: BTreeSet<KeySpec>,
    index: RuleIndex,
    /// The identities that the batch makes.
    pub(super) made: Made,
    /// Whose the rows are, where they are engagements.
    pub(super) people: People,
    page: Vec<FeedChange>,
    last: bool,
    records: BTreeMap<String, Draft>,
    pub(super) disputes: BTreeMap<String, Stored<Dispute>>,
    /// Rows of `records` by identity.
    rows_of: BTreeMap<IdentityId, Vec<String>>,
    touched: BTreeSet<IdentityId>,
    /// New ones, with the key of the record each is made from.
    minted: BTreeMap<IdentityId, String>,
    pub(super) changes: Changes,
}

impl<'a> Batch<'a> {
    pub(super) async fn load(road: &'a Ingest<'a>, report: Stored<FeedReport>, limit: u32) -> Result<Self> {
        let source = road.source(report.value.source.as_str()).await?;
        let sources = road.sources().await?;
        let specs = road.key_specs(&sources).await?;
        let index = road.rule_index(&specs).await?;
        let rows = road.store.scan(&road.staged_scan(report.value.id, None, limit)).await?;
        let page: Vec<FeedChange> =
            rows.rows.iter().map(|row| store::decode(row).map(|row| row.value)).collect::<Result<_>>()?;
        let name = &report.value.source;
        let keys: Vec<String> = page.iter().map(|change| SourceRecord::row_key(name, &change.key)).collect();
        let known = store::get_many::<SourceRecord>(road.store, road.realm, &keys).await?;
        let about = dispute_keys(&source.value.settings, &report.value, &page, &known);
        let people = People::load(road, &source.value.settings, &page).await?;
        let disputes = store::get_many::<Dispute>(road.store, road.realm, &about).await?;
        let (mut records, mut rows_of) = (BTreeMap::new(), BTreeMap::<_, Vec<String>>::new());
        for (key, known) in keys.into_iter().zip(known) {
            let Some(Stored { version, value }) = known else { continue };
            rows_of.entry(value.identity).or_default().push(key.clone());
            records.insert(key, Draft { version: Some(version), value, changed: false });
        }
        Ok(Self {
            road,
            now: road.clock.now(),
            records,
            rows_of,
            disputes: about
                .into_iter()
                .zip(disputes)
                .filter_map(|(key, dispute)| dispute.map(|dispute| (key, dispute)))
                .collect(),
            report,
            prepared: source.value.settings.correlate.prepare(),
            source,
            sources,
            specs,
            index,
            made: Made::default(),
            people,
            page,
            last: rows.next.is_none(),
            touched: BTreeSet::new(),
            minted: BTreeMap::new(),
            changes: Changes::in_realm(road.realm),
        })
    }

    /// Works out every change of the page.
    pub(super) async fn take_over(&mut self) -> Result<()> {
        for change in std::mem::take(&mut self.page) {
            self.changes.delete::<FeedChange>(change.key());
            self.report.value.promoted += 1;
            self.change(change).await?;
        }
        self.identities().await
    }

    /// The changes of the batch, and the report if it was the last one.
    pub(super) fn finish(mut self) -> Result<(Changes, Option<FeedReport>)> {
        self.write_people()?;
        for draft in self.records.values().filter(|draft| draft.changed) {
            match draft.version {
                Some(version) => self.changes.replace(version, &draft.value)?,
                None => self.changes.insert(&draft.value)?,
            }
        }
        if self.last {
            let report = &mut self.report.value;
            report.state = FeedState::Applied;
            let source = &mut self.source.value;
            source.last_feed = Some(report.id);
            // A feed cut short leaves its place in the order to the whole one.
            if report.completeness.is_complete() && report.sequence.order.is_some() {
                source.last_order.clone_from(&report.sequence.order);
            }
            self.changes.append.push(self.road.entry("ingest.applied", &self.report.value).append()?);
        }
        self.changes.replace(self.source.version, &self.source.value)?;
        self.changes.replace(self.report.version, &self.report.value)?;
        Ok((self.changes, self.last.then_some(self.report.value)))
    }

    async fn change(&mut self, change: FeedChange) -> Result<()> {
        let row = SourceRecord::row_key(&self.report.value.source, &change.key);
        let state = self.records.get(&row).map(|draft| draft.value.state);
        match (change.kind, state, change.record) {
            (FeedChangeKind::Dispute, _, _) => self.dispute_record(&row, &change.key),
            (_, Some(RecordState::Disputed), _) => Ok(()),
            (FeedChangeKind::Upsert, None | Some(RecordState::Removed), Some(_))
                if self.is_frozen(&change.key) =>
            {
                Ok(())
            }
            (FeedChangeKind::Upsert, None, Some(record)) => self.join(row, record).await,
            (FeedChangeKind::Upsert, Some(_), Some(record)) => {
                if !self.stays(&row, &record)? {
                    return Ok(());
                }
                self.update(&row, true, |draft, feed| {
                    draft.attributes = record.attributes;
                    draft.employment = record.employment;
                    draft.zone = record.zone;
                    draft.fingerprint = record.fingerprint;
                    draft.state = RecordState::Present;
                    draft.feed = feed;
                });
                Ok(())
            }
            (FeedChangeKind::Remove, Some(_), _) => {
                self.update(&row, true, |draft, feed| {
                    draft.state = RecordState::Removed;
                    draft.feed = feed;
                });
                Ok(())
            }
            (FeedChangeKind::Absent, Some(state), _) => {
                let times = if let RecordState::Absent(times) = state { times } else { 0 };
                self.update(&row, false, |draft, _| {
                    draft.state = RecordState::Absent(times.saturating_add(1))
                });
                Ok(())
            }
            (FeedChangeKind::Seen, Some(_), _) => {
                self.update(&row, false, |draft, _| draft.state = RecordState::Present);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn update(
        &mut self,
        row: &str,
        touches: bool,
        change: impl FnOnce(&mut SourceRecord, crate::id::FeedId),
    ) {
        let Some(draft) = self.records.get_mut(row) else { return };
        tally(&mut self.source.value, &draft.value, false);
        change(&mut draft.value, self.report.value.id);
        draft.changed = true;
        tally(&mut self.source.value, &draft.value, true);
        let identity = draft.value.identity;
        if touches {
            self.touched.insert(identity);
        }
    }

    /// Whether a known row is taken over. One that says that it is another person's waits until somebody has looked at
    /// it: a slip in that column would give one person the access of another. Then it moves.
    fn stays(&mut self, row: &str, record: &FeedRecord) -> Result<bool> {
        let Some(known) = self.records.get(row) else { return Ok(true) };
        let Some((was, is)) = self.changes_person(&known.value, record) else { return Ok(true) };
        let (source, key) = (self.report.value.source.clone(), record.key.clone());
        let about = DisputeAbout::Record { source, key };
        let detail = format!("the row was an engagement of `{was}` and says that it is one of `{is}` now");
        let asked = self.disputes.get(&Dispute::row_key(&about)).map(|asked| &asked.value);
        let accepted = asked
            .is_some_and(|asked| asked.decision.is_some() && asked.detail == crate::text::escape(&detail));
        if !accepted {
            self.update(row, false, |draft, _| draft.state = RecordState::Disputed);
            self.open_dispute(Dispute::new(self.road.realm.clone(), about, detail, self.now))?;
            return Ok(false);
        }
        let to = match self.people_of(record).as_slice() {
            [] => {
                let id = IdentityId::from_uuid(mint(self.road.clock, self.road.random)?);
                self.minted.insert(id, self.key_of(record));
                id
            }
            [one, ..] => *one,
        };
        self.note_person(&record.attributes, to);
        let Some(draft) = self.records.get_mut(row) else { return Ok(true) };
        let from = std::mem::replace(&mut draft.value.identity, to);
        self.rows_of.entry(from).or_default().retain(|other| other != row);
        self.rows_of.entry(to).or_default().push(row.to_owned());
        self.touched.extend([from, to]);
        Ok(true)
    }

    /// Two rows claim the key: an existing record is frozen, a new one is not made.
    fn dispute_record(&mut self, row: &str, key: &str) -> Result<()> {
        if self.records.get(row).is_some_and(|draft| draft.value.state != RecordState::Removed) {
            self.update(row, false, |draft, _| draft.state = RecordState::Disputed);
        }
        let about = DisputeAbout::Record { source: self.report.value.source.clone(), key: key.to_owned() };
        let detail =
            format!("rows of feed `{}` claim this key with different content", self.report.value.name);
        self.open_dispute(Dispute::new(self.road.realm.clone(), about, detail, self.now))
    }

    fn is_frozen(&self, key: &str) -> bool {
        let about = DisputeAbout::Record { source: self.report.value.source.clone(), key: key.to_owned() };
        self.disputes.get(&Dispute::row_key(&about)).is_some_and(|dispute| dispute.value.open)
    }

    fn open_dispute(&mut self, dispute: Dispute) -> Result<()> {
        let key = Dispute::row_key(&dispute.about);
        let mut dispute = Dispute { detail: crate::text::escape(&dispute.detail), ..dispute };
        let known = self.disputes.get(&key);
        // Asked already; perhaps the scores are others now.
        let again = known.filter(|known| known.value.open && known.value.about == dispute.about);
        if let Some(again) = again {
            dispute.at = again.value.at;
            if again.value == dispute {
                return Ok(());
            }
        }
        match known {
            Some(known) => self.changes.replace(known.version, &dispute)?,
            None => self.changes.insert(&dispute)?,
        }
        if again.is_none() {
            let mut entry = AuditEntry::new(self.road.realm, self.now, self.road.actor, "dispute.opened");
            entry.object = Some(key);
            entry.note = dispute.detail;
            self.changes.append.push(entry.append()?);
        }
        Ok(())
    }

    /// A record that matched several identities matches one now, or none: the data decided.
    fn close_correlation(&mut self, key: &str) -> Result<()> {
        let key = correlation_key(&self.report.value, key);
        match self.disputes.get(&key) {
            Some(known) if known.value.open => {
                let decision = Some((self.road.actor.clone(), "no longer ambiguous".to_owned()));
                let dispute = Dispute { open: false, decision, ..known.value.clone() };
                self.changes.replace(known.version, &dispute)
            }
            _ => Ok(()),
        }
    }

    /// A record not known before: finds or makes its identity.
    async fn join(&mut self, row: String, record: FeedRecord) -> Result<()> {
        let found = match self.decided(&record) {
            Some(decided) => decided,
            None => match self.engaged(&record).await? {
                Some(found) => found,
                None => self.find(&record).await?,
            },
        };
        let identity = match found {
            Found::Identity(identity) => identity,
            Found::New => {
                let id = IdentityId::from_uuid(mint(self.road.clock, self.road.random)?);
                self.minted.insert(id, self.key_of(&record));
                id
            }
            Found::Disputed(verdict, detail) => {
                let mut candidates: Vec<IdentityId> = verdict.open().map(|one| one.identity).collect();
                candidates.sort();
                let source = self.report.value.source.clone();
                let about = DisputeAbout::Correlation { source, key: record.key, candidates };
                let realm = self.road.realm.clone();
                let evidence = self.prepared.evidence(&record.attributes);
                let candidates = verdict.candidates;
                let dispute =
                    Dispute { candidates, evidence, ..Dispute::new(realm, about, detail, self.now) };
                return self.open_dispute(dispute);
            }
        };
        self.close_correlation(&record.key)?;
        self.note_person(&record.attributes, identity);
        let value = SourceRecord {
            realm: self.road.realm.clone(),
            source: self.report.value.source.clone(),
            key: record.key,
            identity,
            attributes: record.attributes,
            employment: record.employment,
            zone: record.zone,
            fingerprint: record.fingerprint,
            ordinal: self.source.value.next_ordinal,
            state: RecordState::Present,
            feed: self.report.value.id,
        };
        if self.minted.contains_key(&identity) {
            self.remember(identity, &value)?;
        }
        self.source.value.next_ordinal += 1;
        tally(&mut self.source.value, &value, true);
        self.rows_of.entry(identity).or_default().push(row.clone());
        self.records.insert(row, Draft { version: None, value, changed: true });
        self.touched.insert(identity);
        Ok(())
    }

    /// Whose engagement a new row is, where rows are engagements and the person is known.
    async fn engaged(&self, record: &FeedRecord) -> Result<Option<Found>> {
        let known = self.people_of(record);
        let [one] = known.as_slice() else {
            let why = "several identities are known by the value that tells the person";
            return Ok((!known.is_empty()).then(|| Found::Disputed(Verdict::of(&known), why.to_owned())));
        };
        let records = self.records_of(*one, !self.minted.contains_key(one)).await?;
        let own = records.iter().filter(|record| record.source == self.report.value.source).count();
        let why = "the person has as many rows of this source as one may have";
        Ok(Some(if own < ENGAGEMENTS_MAX {
            Found::Identity(*one)
        } else {
            Found::Disputed(Verdict::of(&known), why.to_owned())
        }))
    }

    /// All records of an identity, as this batch leaves them.
    pub(super) async fn records_of(&self, identity: IdentityId, stored: bool) -> Result<Vec<SourceRecord>> {
        let rows = self.rows_of.get(&identity).into_iter().flatten();
        let mut records: Vec<SourceRecord> =
            rows.filter_map(|row| self.records.get(row)).map(|draft| draft.value.clone()).collect();
        if !stored {
            return Ok(records);
        }
        let mut cursor = None;
        loop {
            let select = Select::Equal("identity", identity.to_string());
            let (page, next) =
                store::list_by::<SourceRecord>(self.road.store, self.road.realm, select, cursor, 100).await?;
            let others = page.into_iter().map(|record| record.value);
            records.extend(others.filter(|record| !self.records.contains_key(&record.key())));
            cursor = next;
            if cursor.is_none() {
                return Ok(records);
            }
        }
    }

    /// Computes every identity the batch touches, anew and from all its records.
    async fn identities(&mut self) -> Result<()> {
        let ids: Vec<String> = self.touched.iter().map(ToString::to_string).collect();
        let before = store::get_many::<Identity>(self.road.store, self.road.realm, &ids).await?;
        let (mut dirtied, mut returned) = (Vec::new(), Vec::new());
        let mut keys_changed = !self.minted.is_empty();
        for (id, before) in std::mem::take(&mut self.touched).into_iter().zip(before) {
            let records = self.records_of(id, before.is_some()).await?;
            let Some(after) = self.computed(id, before.as_ref().map(|before| &before.value), &records)?
            else {
                continue;
            };
            let known = before.as_ref().map(|before| &before.value);
            keys_changed |= correlate::write_keys(&mut self.changes, &self.specs, known, &after)?;
            self.history(known, &after)?;
            let overdue = known.and_then(|known| known.next_change_at).is_some_and(|at| at <= self.now);
            // Always written, changed or not: two sources that touch one identity shut each other out by its row.
            match &before {
                Some(before) => self.changes.replace(before.version, &after)?,
                None => self.changes.insert(&after)?,
            }
            let had_left = known.map(|known| known.has_left(self.now)).transpose()?.unwrap_or(false);
            if had_left && !after.has_left(self.now)? {
                returned.push(id.to_string());
            }
            if overdue || known.is_none_or(|known| known.version != after.version) {
                dirtied.push(after);
            }
        }
        returned.extend(self.made_known().await?);
        self.wake_waiting(&returned, &mut dirtied).await?;
        // Only who looks for candidates can overlook somebody who is made at the same time.
        if keys_changed && self.sources.values().any(|source| !source.correlate.is_empty()) {
            self.index.lock(&mut self.changes)?;
        } else if !ids.is_empty() {
            self.index.expect(&mut self.changes);
        }
        let orders: Vec<String> = dirtied.iter().map(|identity| identity.order()).collect();
        let works = store::get_many::<Work>(self.road.store, self.road.realm, &orders).await?;
        for (identity, work) in dirtied.iter().zip(works) {
            let urgent = identity.has_left(self.now)?;
            Work::mark(&mut self.changes, work, identity, urgent, self.now)?;
        }
        Ok(())
    }

    /// What those wait for who refer to a record that is new; nothing where nobody ever referred to any. Nobody who
    /// begins to wait in this moment is overlooked: the row that is read first is expected to be as it is.
    async fn made_known(&mut self) -> Result<Vec<String>> {
        let new = self.records.iter().filter(|(_, draft)| draft.version.is_none() && draft.changed);
        let new = new.map(|(row, _)| row).chain(&self.people.new);
        let new: Vec<String> = new.map(|row| Waiting::record(row)).collect();
        if new.is_empty() {
            return Ok(new);
        }
        let (table, key) = (Meta::<Unknowns>::TABLE, Meta::<Unknowns>::KEY.to_owned());
        let noted = store::get::<Meta<Unknowns>>(self.road.store, self.road.realm, &key).await?;
        match noted {
            Some(Stored { version, .. }) => {
                self.changes.expect.push(Expect::Version { table, key, version });
                let scan = |what: &String| Scan {
                    realm: self.road.realm.clone(),
                    table: Waiting::TABLE,
                    select: Select::Equal("waits_for", what.clone()),
                    after: None,
                    limit: 1,
                };
                let scans: Vec<Scan> = new.iter().map(scan).collect();
                let pages = self.road.store.scan_all(&scans).await?;
                let waited_for = new.into_iter().zip(pages).filter(|(_, page)| !page.rows.is_empty());
                Ok(waited_for.map(|(what, _)| what).collect())
            }
            None => {
                self.changes.expect.push(Expect::Absent { table, key });
                Ok(Vec::new())
            }
        }
    }

    /// Adds those who wait for somebody who is back, or who becomes known: an account that was not taken away yet may
    /// need no step that would tell them. Whoever has to wait on says so in the next plan.
    async fn wake_waiting(&mut self, returned: &[String], dirtied: &mut Vec<Identity>) -> Result<()> {
        let (store, realm) = (self.road.store, self.road.realm);
        for what in returned {
            let mut cursor = None;
            loop {
                let select = Select::Equal("waits_for", what.clone());
                let (page, next) = store::list_by::<Waiting>(store, realm, select, cursor, 1_000).await?;
                let who: Vec<String> =
                    page.iter().map(|waiting| waiting.value.identity.to_string()).collect();
                let found = store::get_many::<Identity>(store, realm, &who).await?;
                for identity in found.into_iter().flatten().map(|found| found.value) {
                    if dirtied.iter().all(|known| known.id != identity.id) {
                        dirtied.push(identity);
                    }
                }
                for waiting in page {
                    self.changes.delete::<Waiting>(waiting.value.key());
                }
                cursor = next;
                if cursor.is_none() {
                    break;
                }
            }
        }
        Ok(())
    }

    pub(super) fn computed(
        &self,
        id: IdentityId,
        before: Option<&Identity>,
        records: &[SourceRecord],
    ) -> Result<Option<Identity>> {
        let origin = match (before, self.minted.get(&id)) {
            (Some(before), _) => (before.source.clone(), before.key.clone()),
            (None, Some(key)) => (self.report.value.source.clone(), key.clone()),
            (None, None) => return Ok(None),
        };
        let computed = compute(before, records, &self.sources);
        let mut identity = Identity {
            id,
            realm: self.road.realm.clone(),
            attributes: computed.attributes,
            provenance: computed.provenance,
            employment: computed.employment,
            engagements: computed.engagements,
            zone: computed.zone,
            source: origin.0,
            key: origin.1,
            version: 1,
            next_change_at: None,
        };
        if let Cow::Owned(seen) = identity.as_of(self.now)? {
            identity = seen;
        }
        if let Some(before) = before {
            let same = before.attributes == identity.attributes
                && before.employment == identity.employment
                && before.engagements == identity.engagements
                && before.zone == identity.zone;
            identity.version = before.version + u64::from(!same);
        }
        identity.next_change_at = identity.lifecycle(self.now)?.1;
        Ok(Some(identity))
    }

    fn history(&mut self, before: Option<&Identity>, after: &Identity) -> Result<()> {
        let differences = differences(before, after);
        if differences.is_empty() {
            return Ok(());
        }
        let event = match before {
            None => "identity.created",
            Some(before) if after.has_left(self.now)? && !before.has_left(self.now)? => "identity.terminated",
            Some(_) => "identity.changed",
        };
        let mut entry = AuditEntry::new(self.road.realm, self.now, self.road.actor, event);
        entry.identity = Some(after.id);
        entry.change = Some(serde_json::Value::Object(differences));
        entry.note = format!("{} {}", self.report.value.source, self.report.value.name);
        self.changes.append.push(entry.append()?);
        Ok(())
    }
}

/// Disputes that may bear on a page: those of new and removed records, and those that are to be opened.
fn dispute_keys(
    settings: &SourceSettings,
    report: &FeedReport,
    page: &[FeedChange],
    known: &[Option<Stored<SourceRecord>>],
) -> Vec<String> {
    let mut keys = Vec::new();
    for (change, known) in page.iter().zip(known) {
        let standing = known.as_ref().is_some_and(|known| known.value.state != RecordState::Removed);
        if !standing || change.kind == FeedChangeKind::Dispute || settings.engagements.is_some() {
            let (source, key) = (report.source.clone(), change.key.clone());
            keys.push(Dispute::row_key(&DisputeAbout::Record { source, key }));
        }
        if known.is_none() {
            keys.push(correlation_key(report, &change.key));
        }
    }
    keys
}

pub(super) fn correlation_key(report: &FeedReport, key: &str) -> String {
    let (source, key) = (report.source.clone(), key.to_owned());
    Dispute::row_key(&DisputeAbout::Correlation { source, key, candidates: Vec::new() })
}

/// Counts a record in or out of what the guards refer to.
fn tally(source: &mut ConfiguredSource, record: &SourceRecord, counts: bool) {
    if record.state == RecordState::Removed {
        return;
    }
    let count = |sum: u64| if counts { sum.saturating_add(1) } else { sum.saturating_sub(1) };
    source.present = count(source.present);
    for (name, _) in record.attributes.iter().filter(|(_, slot)| !slot.values().is_empty()) {
        let sum = source.filled.entry(name.clone()).or_default();
        *sum = count(*sum);
    }
}

impl Ingest<'_> {
    /// The settings of every source of the realm.
    pub(super) async fn sources(&self) -> Result<Sources> {
        let (mut sources, mut cursor) = (Sources::new(), None);
        loop {
            let select = Select::KeyPrefix(String::new());
            let (page, next) =
                store::list_by::<ConfiguredSource>(self.store, self.realm, select, cursor, 100).await?;
            let settings = page.into_iter().map(|source| source.value.settings);
            sources.extend(settings.map(|settings| (settings.name.clone(), settings)));
            cursor = next;
            if cursor.is_none() {
                return Ok(sources);
            }
        }
    }
}
