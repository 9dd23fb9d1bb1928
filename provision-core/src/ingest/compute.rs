//! The identity as its source records together describe it, by declared precedence. Pure.

use std::collections::{BTreeMap, BTreeSet};

use crate::id::SourceName;
use crate::model::{Employment, Engagement, Identity, RecordState, SourceRecord, Status};
use crate::source::SourceSettings;
use crate::value::{AttrName, Attributes, Value, Zone};

/// The configured sources of a realm.
pub(super) type Sources = BTreeMap<SourceName, SourceSettings>;

/// What the records say, before it is compared with what was known.
#[derive(Debug)]
pub(super) struct Computed {
    pub(super) attributes: Attributes,
    pub(super) provenance: BTreeMap<AttrName, SourceName>,
    pub(super) employment: Employment,
    pub(super) engagements: Vec<Engagement>,
    pub(super) zone: Zone,
}

/// Computes an identity from all its records. `before` gives what stays when no record asserts anything any more.
///
/// A record asserts unless it is removed: one that is missing from fewer feeds than its source demands, or that is
/// disputed, still says what it said last. The engagements of somebody who has several are computed each for itself:
/// [`Identity::as_of`] puts them together.
pub(super) fn compute(before: Option<&Identity>, records: &[SourceRecord], sources: &Sources) -> Computed {
    let mut ranked: Vec<&SourceRecord> =
        records.iter().filter(|record| record.state != RecordState::Removed).collect();
    ranked.sort_by(|a, b| rank(a, sources).cmp(&rank(b, sources)));
    let engagements = engagements(&ranked, sources);
    let (mut attributes, mut provenance) = merged(&ranked, sources);
    let rules = |record: &SourceRecord| asserts_lifecycle(record, sources);
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
        engagements,
        zone: zone.or_else(|| before.map(|before| before.zone.clone())).unwrap_or_else(Zone::utc),
    }
}

/// The attributes of records together, and whose each is. Of records in rank the first that says something of an
/// attribute has it, unless its source or another has a precedence of its own for that one.
fn merged(ranked: &[&SourceRecord], sources: &Sources) -> (Attributes, BTreeMap<AttrName, SourceName>) {
    let mut attributes = Attributes::new();
    let mut provenance = BTreeMap::new();
    let settings = |record: &SourceRecord| sources.get(&record.source);
    let plain =
        |settings: &SourceSettings| settings.precedence_of.is_empty() && settings.null_yields.is_empty();
    let mut taken: BTreeMap<&AttrName, (bool, Rank<'_>)> = BTreeMap::new();
    let all_plain = ranked.iter().filter_map(|record| settings(record)).all(plain);
    for record in ranked {
        for (name, slot) in record.attributes.iter().filter(|(name, _)| may_assert(record, name, sources)) {
            if all_plain {
                if attributes.get(name.as_str()).is_some() {
                    continue;
                }
            } else {
                let source = settings(record);
                let own = source.and_then(|source| source.precedence_of.get(name)).copied();
                let (precedence, source_name, key) = rank(record, sources);
                let yields = slot.values().is_empty()
                    && source.is_some_and(|source| source.null_yields.contains(name));
                let rank = (yields, (own.map_or(precedence, u64::from), source_name, key));
                if taken.get(name).is_some_and(|known| *known <= rank) {
                    continue;
                }
                taken.insert(name, rank);
            }
            attributes.insert(name.clone(), slot.clone());
            provenance.insert(name.clone(), record.source.clone());
        }
    }
    (attributes, provenance)
}

/// The engagements of somebody who has several: the rows of sources that declare theirs so, and the leading record of
/// the other sources beside them. In the order in which they lead.
fn engagements(ranked: &[&SourceRecord], sources: &Sources) -> Vec<Engagement> {
    let declared =
        |record: &SourceRecord| sources.get(&record.source).and_then(|source| source.engagements.as_ref());
    let mut rows: Vec<&SourceRecord> =
        ranked.iter().filter(|record| declared(record).is_some()).copied().collect();
    if rows.is_empty() {
        return Vec::new();
    }
    let lifecycle =
        |record: &&&SourceRecord| declared(record).is_none() && asserts_lifecycle(record, sources);
    rows.extend(ranked.iter().find(lifecycle));
    if rows.len() < 2 {
        return Vec::new();
    }
    let is_primary = |record: &SourceRecord| {
        let primary = declared(record).and_then(|declared| declared.primary.as_ref());
        primary.is_some_and(|primary| record.attributes.values(primary.as_str()).iter().any(is_true))
    };
    rows.sort_by_key(|record| (!is_primary(record), rank(record, sources)));
    let own: BTreeSet<(&SourceName, &str)> = rows.iter().map(|row| (&row.source, row.key.as_str())).collect();
    let of = |row: &&SourceRecord| {
        let others = |record: &&&SourceRecord| {
            !own.contains(&(&record.source, record.key.as_str()))
                || record.key == row.key && record.source == row.source
        };
        let ranked: Vec<&SourceRecord> = ranked.iter().filter(others).copied().collect();
        let (attributes, provenance) = merged(&ranked, sources);
        Engagement {
            source: row.source.clone(),
            key: row.key.clone(),
            attributes,
            provenance,
            employment: row.employment,
            zone: zone_of(row, sources),
        }
    };
    rows.iter().map(of).collect()
}

fn is_true(value: &Value) -> bool {
    let text = value.to_plain();
    ["true", "yes", "1"].iter().any(|word| text.trim().eq_ignore_ascii_case(word))
}

fn asserts_lifecycle(record: &SourceRecord, sources: &Sources) -> bool {
    sources.get(&record.source).is_none_or(|source| source.asserts_lifecycle)
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
    let had = before.map(|before| before.engagements.as_slice()).unwrap_or_default();
    if had != after.engagements {
        let shown = |all: &[Engagement]| -> Vec<serde_json::Value> {
            let one = |one: &Engagement| serde_json::json!({ "engagement": one.order(), "employment": one.employment });
            all.iter().map(one).collect()
        };
        let change = serde_json::json!({ "old": shown(had), "new": shown(&after.engagements) });
        changes.insert("(engagements)".to_owned(), change);
    }
    if before.is_none_or(|before| before.zone != after.zone) {
        let was = before.map(|before| &before.zone);
        changes.insert("(zone)".to_owned(), serde_json::json!({ "old": was, "new": after.zone }));
    }
    changes
}

/// Precedence, source and key.
type Rank<'a> = (u64, &'a SourceName, &'a str);

/// Lower wins; a source that is no longer configured comes last.
fn rank<'a>(record: &'a SourceRecord, sources: &Sources) -> Rank<'a> {
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
