//! Rows that are engagements: whose they are.
//!
//! In a source that declares its rows so, a person is known by the value of one attribute. For each value a row in
//! `identity_key` says whose it is; it stays when the engagements are over, so that whoever comes back is known.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::batch::Batch;
use super::{Ingest, record_prefix};
use crate::error::Result;
use crate::id::{IdentityId, RealmId, SourceName};
use crate::model::{FeedChange, FeedChangeKind, Identity, SourceRecord};
use crate::source::{EngagementSettings, FeedRecord, SourceSettings};
use crate::store::{self, Changes, Record, Scan, Select, Store, Table};
use crate::value::{AttrName, Attributes};

/// Most rows of a source that may belong to one person: more of them tell that the attribute is another one.
pub(super) const ENGAGEMENTS_MAX: usize = 100;
/// How the keys of these rows begin: no correlation rule's do.
const KEYS: &str = "@engagements/";

/// Who is known by a value in a source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PersonKey {
    key: String,
    /// One, unless rows were taken as people before they were declared to be engagements.
    pub(crate) identities: Vec<IdentityId>,
}

impl Record for PersonKey {
    const TABLE: Table = Table::IdentityKey;

    fn key(&self) -> String {
        self.key.clone()
    }

    fn columns(&self) -> Vec<(&'static str, String)> {
        vec![("identity", self.identities.first().map(ToString::to_string).unwrap_or_default())]
    }
}

impl PersonKey {
    /// The key of the row of a value.
    pub(crate) fn row_key(source: &SourceName, person: &AttrName, value: &str) -> String {
        format!("{KEYS}{}/{}/{value}", source.as_str(), person.as_str())
    }

    /// Whether a text is the key of such a row, and not that of a source record.
    pub(crate) fn is_key(text: &str) -> bool {
        text.starts_with(KEYS)
    }
}

/// That the rows of a source which were there before have their keys.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct PersonIndex {
    source: SourceName,
    person: AttrName,
}

impl Record for PersonIndex {
    const TABLE: Table = Table::Meta;

    fn key(&self) -> String {
        format!("engagements/{}", self.source.as_str())
    }

    fn columns(&self) -> Vec<(&'static str, String)> {
        Vec::new()
    }
}

/// The value by which the person of a row is known.
pub(super) fn person_of(settings: &EngagementSettings, attributes: &Attributes) -> Option<String> {
    let value = attributes.first(settings.person.as_str())?.to_plain();
    Some(value.trim().to_owned()).filter(|value| !value.is_empty())
}

/// Those whom a source knows by these keys: the values that tell its people, where its rows are engagements.
pub(crate) async fn known_by(
    store: &dyn Store,
    realm: &RealmId,
    settings: &SourceSettings,
    values: &[String],
) -> Result<Vec<Vec<IdentityId>>> {
    let Some(engagements) = &settings.engagements else { return Ok(vec![Vec::new(); values.len()]) };
    let key = |value: &String| PersonKey::row_key(&settings.name, &engagements.person, value.trim());
    let keys: Vec<String> = values.iter().map(key).collect();
    let found = store::get_many::<PersonKey>(store, realm, &keys).await?;
    Ok(found.into_iter().map(|found| found.map(|found| found.value.identities).unwrap_or_default()).collect())
}

/// The people that a batch comes across, by their values.
#[derive(Debug, Default)]
pub(super) struct People {
    known: BTreeMap<String, Vec<IdentityId>>,
    /// Values that an identity made from another row has as its key.
    taken: BTreeSet<String>,
    /// The keys of rows that the batch makes.
    pub(super) new: Vec<String>,
    /// Rows that the batch writes, by their keys.
    changed: BTreeMap<String, PersonKey>,
}

impl People {
    /// Reads who is known by the values of a page.
    pub(super) async fn load(
        road: &Ingest<'_>,
        settings: &SourceSettings,
        page: &[FeedChange],
    ) -> Result<Self> {
        let mut people = Self::default();
        let Some(engagements) = &settings.engagements else { return Ok(people) };
        road.index_people(settings, engagements).await?;
        let upserts = page.iter().filter(|change| change.kind == FeedChangeKind::Upsert);
        let records = upserts.filter_map(|change| change.record.as_ref());
        let mut values: Vec<String> =
            records.filter_map(|record| person_of(engagements, &record.attributes)).collect();
        values.sort();
        values.dedup();
        let known = known_by(road.store, road.realm, settings, &values).await?;
        let unknown: Vec<&String> =
            values.iter().zip(&known).filter(|(_, known)| known.is_empty()).map(|(value, _)| value).collect();
        let scans: Vec<Scan> = unknown
            .iter()
            .map(|value| Scan {
                realm: road.realm.clone(),
                table: Identity::TABLE,
                select: Select::Equal("source_key", SourceRecord::row_key(&settings.name, value)),
                after: None,
                limit: 1,
            })
            .collect();
        let taken = road.store.scan_all(&scans).await?;
        let taken = unknown.into_iter().zip(taken).filter(|(_, page)| !page.rows.is_empty());
        people.taken = taken.map(|(value, _)| value.clone()).collect();
        people.known = values.into_iter().zip(known).filter(|(_, known)| !known.is_empty()).collect();
        Ok(people)
    }
}

impl Batch<'_> {
    /// The value by which the person of a row is known, where the source's rows are engagements.
    pub(super) fn person(&self, attributes: &Attributes) -> Option<String> {
        person_of(self.source.value.settings.engagements.as_ref()?, attributes)
    }

    /// Those whose engagement a row may be: one, unless it was not told before that rows are engagements.
    pub(super) fn people_of(&self, record: &FeedRecord) -> Vec<IdentityId> {
        let value = self.person(&record.attributes);
        value.and_then(|value| self.people.known.get(&value)).cloned().unwrap_or_default()
    }

    /// The key of an identity that is made from a row: the value that tells the person, or the row's own key.
    pub(super) fn key_of(&self, record: &FeedRecord) -> String {
        match self.person(&record.attributes) {
            None => record.key.clone(),
            Some(value) if self.people.taken.contains(&value) => format!("{value}/{}", record.key),
            Some(value) => value,
        }
    }

    /// Remembers whose a row is.
    pub(super) fn note_person(&mut self, attributes: &Attributes, identity: IdentityId) {
        let Some(engagements) = &self.source.value.settings.engagements else { return };
        let Some(value) = person_of(engagements, attributes) else { return };
        let key = PersonKey::row_key(&self.source.value.settings.name, &engagements.person, &value);
        let identities = self.people.known.entry(value).or_default();
        if !identities.contains(&identity) {
            identities.push(identity);
            if identities.len() == 1 {
                self.people.new.push(key.clone());
            }
            let row = PersonKey { key: key.clone(), identities: identities.clone() };
            self.people.changed.insert(key, row);
        }
    }

    /// Adds the rows of people. Whoever feeds the source does so alone: its own row is part of the commit.
    pub(super) fn write_people(&mut self) -> Result<()> {
        self.people.changed.values().try_for_each(|row| self.changes.put(row))
    }

    /// Whether a row that is known says now that it is another person's.
    pub(super) fn changes_person(
        &self,
        known: &SourceRecord,
        record: &FeedRecord,
    ) -> Option<(String, String)> {
        let (was, is) = (self.person(&known.attributes)?, self.person(&record.attributes)?);
        (was != is).then_some((was, is))
    }
}

impl Ingest<'_> {
    /// Makes the keys of the rows that were there before rows of the source were declared to be engagements.
    async fn index_people(&self, settings: &SourceSettings, engagements: &EngagementSettings) -> Result<()> {
        let index = PersonIndex { source: settings.name.clone(), person: engagements.person.clone() };
        let known = store::get::<PersonIndex>(self.store, self.realm, &index.key()).await?;
        if known.is_some_and(|known| known.value == index) {
            return Ok(());
        }
        let mut cursor = None;
        loop {
            let select = Select::KeyPrefix(record_prefix(&settings.name));
            let (page, next) =
                store::list_by::<SourceRecord>(self.store, self.realm, select, cursor, self.batch).await?;
            let mut found: BTreeMap<String, Vec<IdentityId>> = BTreeMap::new();
            let own = page.into_iter().map(|stored| stored.value).filter(|one| one.source == settings.name);
            for record in own {
                if let Some(value) = person_of(engagements, &record.attributes) {
                    let key = PersonKey::row_key(&settings.name, &engagements.person, &value);
                    found.entry(key).or_default().push(record.identity);
                }
            }
            let keys: Vec<String> = found.keys().cloned().collect();
            let known = store::get_many::<PersonKey>(self.store, self.realm, &keys).await?;
            let mut changes = Changes::in_realm(self.realm);
            for ((key, mut identities), known) in found.into_iter().zip(known) {
                identities.extend(known.into_iter().flat_map(|known| known.value.identities));
                identities.sort();
                identities.dedup();
                changes.put(&PersonKey { key, identities })?;
            }
            cursor = next;
            if cursor.is_none() {
                changes.put(&index)?;
            }
            self.store.commit(changes).await?;
            if cursor.is_none() {
                return Ok(());
            }
        }
    }
}
