//! The identity as its source records together describe it, by declared precedence. Pure.

use std::collections::{BTreeMap, BTreeSet};

use crate::id::SourceName;
use crate::model::{Employment, Identity, RecordState, SourceRecord, Status};
use crate::source::SourceSettings;
use crate::value::{AttrName, Attributes, Zone};

/// The configured sources of a realm.
pub(super) type Sources = BTreeMap<SourceName, SourceSettings>;

/// What the records say, before it is compared with what was known.
#[derive(Debug)]
pub(super) struct Computed {
    pub(super) attributes: Attributes,
    pub(super) provenance: BTreeMap<AttrName, SourceName>,
    pub(super) employment: Employment,
    pub(super) zone: Zone,
}

/// Computes an identity from all its records. `before` gives what stays when no record asserts anything any more.
///
/// A record asserts unless it is removed: one that is missing from fewer feeds than its source demands, or that is
/// disputed, still says what it said last.
pub(super) fn compute(before: Option<&Identity>, records: &[SourceRecord], sources: &Sources) -> Computed {
    let mut ranked: Vec<&SourceRecord> =
        records.iter().filter(|record| record.state != RecordState::Removed).collect();
    ranked.sort_by(|a, b| rank(a, sources).cmp(&rank(b, sources)));
    let mut attributes = Attributes::new();
    let mut provenance = BTreeMap::new();
    for record in &ranked {
        for (name, slot) in record.attributes.iter() {
            if attributes.get(name.as_str()).is_none() && may_assert(record, name, sources) {
                attributes.insert(name.clone(), slot.clone());
                provenance.insert(name.clone(), record.source.clone());
            }
        }
    }
    let rules =
        |record: &SourceRecord| sources.get(&record.source).is_none_or(|source| source.asserts_lifecycle);
    let leading = ranked.iter().find(|record| rules(record)).copied();
    let ended = leading.is_none() && (ranked.is_empty() || records.iter().any(rules));
    let employment = match leading {
        Some(record) => record.employment,
        None if ended => Employment {
            status: Status::Terminated,
            ..before.map(|before| before.employment).unwrap_or_default()
        },
        None => Employment::default(),
    };
    let zone = leading.or(ranked.first().copied()).map(|record| zone_of(record, sources));
    if let (true, Some(before)) = (ranked.is_empty(), before) {
        attributes = before.attributes.clone();
        provenance = before.provenance.clone();
    }
    Computed {
        attributes,
        provenance,
        employment,
        zone: zone.or_else(|| before.map(|before| before.zone.clone())).unwrap_or_else(Zone::utc),
    }
}

/// The attributes that differ, employment and zone included under their own names, in name order.
pub(super) fn differences(
    before: Option<&Identity>,
    after: &Identity,
) -> serde_json::Map<String, serde_json::Value> {
    let mut changes = serde_json::Map::new();
    let nothing = Attributes::new();
    let old = before.map_or(&nothing, |before| &before.attributes);
    let names: BTreeSet<&AttrName> =
        old.iter().chain(after.attributes.iter()).map(|(name, _)| name).collect();
    for name in names {
        let (was, is) = (old.get(name.as_str()), after.attributes.get(name.as_str()));
        if was != is {
            changes.insert(name.as_str().to_owned(), serde_json::json!({ "old": was, "new": is }));
        }
    }
    if before.is_none_or(|before| before.employment != after.employment) {
        let was = before.map(|before| before.employment);
        changes.insert("(employment)".to_owned(), serde_json::json!({ "old": was, "new": after.employment }));
    }
    if before.is_none_or(|before| before.zone != after.zone) {
        let was = before.map(|before| &before.zone);
        changes.insert("(zone)".to_owned(), serde_json::json!({ "old": was, "new": after.zone }));
    }
    changes
}

/// Lower wins; a source that is no longer configured comes last.
fn rank<'a>(record: &'a SourceRecord, sources: &Sources) -> (u64, &'a SourceName, &'a str) {
    let precedence = sources.get(&record.source).map_or(u64::MAX, |source| u64::from(source.precedence));
    (precedence, &record.source, &record.key)
}

fn may_assert(record: &SourceRecord, name: &AttrName, sources: &Sources) -> bool {
    match sources.get(&record.source).and_then(|source| source.asserts.as_ref()) {
        Some(asserts) => asserts.contains(name),
        None => true,
    }
}

fn zone_of(record: &SourceRecord, sources: &Sources) -> Zone {
    let configured = || sources.get(&record.source).map_or_else(Zone::utc, |source| source.zone.clone());
    record.zone.clone().unwrap_or_else(configured)
}
