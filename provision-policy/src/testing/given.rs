//! Who is given: a person as the engine would have them from sources.

use std::collections::{BTreeMap, BTreeSet};

use provision_core::Error;
use provision_core::id::{IdentityId, RealmId, SourceName};
use provision_core::model::{
    Employment, Engagement, Entitlement, Grant, Identity, Origin, OriginKind, Status, Validity,
};
use provision_core::policy::{Evaluation, Policy, PolicyInput};
use provision_core::value::{AttrName, Attributes, Slot, Timestamp, Value, Zone};

use super::names::GivenNames;
use crate::Bundle;
use crate::bundle::{class_and_tag, read_address};
use crate::document::{Data, Node, Reader};

/// A person of a test, and what is stored about them.
#[derive(Clone, Debug)]
pub struct Given {
    /// The instant of the evaluation.
    pub now: Timestamp,
    /// The person.
    pub identity: Identity,
    /// Stored grants.
    pub grants: Vec<Grant>,
    /// Names the person holds, by `target/class/tag/attribute`.
    pub names: BTreeMap<String, String>,
    /// Names that others have, by namespace.
    pub taken: BTreeMap<String, BTreeSet<String>>,
    /// What is proposed counts.
    pub proposed: bool,
}

/// Keys of a person.
pub(super) const PERSON: &[&str] = &[
    "description",
    "source",
    "key",
    "zone",
    "attributes",
    "employment",
    "engagements",
    "grants",
    "names",
    "taken",
    "now",
    "proposed",
];
/// Keys of `given`.
pub(super) const GIVEN: &[&str] = &[
    "person",
    "without",
    "source",
    "key",
    "zone",
    "attributes",
    "employment",
    "engagements",
    "grants",
    "names",
    "taken",
    "now",
    "proposed",
];

/// Keys of an engagement.
const ENGAGEMENT: &[&str] = &["source", "key", "zone", "attributes", "employment"];

/// A person while parts are read, of which later ones count.
#[derive(Clone, Debug, Default)]
pub(super) struct Parts {
    pub(super) now: Option<Timestamp>,
    pub(super) key: Option<String>,
    source: Option<String>,
    zone: Option<Zone>,
    attributes: Attributes,
    employment: Employment,
    engagements: Vec<Engagement>,
    grants: Vec<(Entitlement, Validity, String)>,
    names: BTreeMap<String, String>,
    pub(super) taken: BTreeMap<String, BTreeSet<String>>,
    proposed: bool,
}

impl Parts {
    /// Reads what a node says, over what is known.
    pub(super) fn read(&mut self, reader: &mut Reader<'_>, node: &Node, path: &str, allowed: &[&str]) {
        let fields = reader.fields(node, path, allowed);
        let text = |reader: &mut Reader<'_>, key: &str| {
            let found = fields.get(key).and_then(|node| reader.text(node, &fields.path_of(key)));
            found.map(str::to_owned)
        };
        self.source = text(reader, "source").or(self.source.take());
        self.key = text(reader, "key").or(self.key.take());
        let parsed = |reader: &mut Reader<'_>, key: &str| {
            fields
                .get(key)
                .map(|node| (node, fields.path_of(key), reader.text(node, path).map(str::to_owned)))
        };
        if let Some((node, path, Some(name))) = parsed(reader, "zone") {
            match Zone::new(&name) {
                Ok(zone) => self.zone = Some(zone),
                Err(_) => reader.wrong(node, &path, "a time zone like `Europe/Zurich`"),
            }
        }
        if let Some(node) = fields.get("now") {
            self.now = instant(reader, node, &fields.path_of("now")).or(self.now);
        }
        if let Some(node) = fields.get("attributes") {
            let path = fields.path_of("attributes");
            for (name, _, node) in reader.entries(node, &path) {
                if let Some(slot) = slot(reader, node, &format!("{path}.{name}")) {
                    self.attributes.insert(name, slot);
                }
            }
        }
        if let Some(node) = fields.get("without") {
            for name in reader.texts(node, &fields.path_of("without")) {
                self.attributes.remove(&name);
            }
        }
        if let Some(node) = fields.get("employment") {
            self.employment(reader, node, &fields.path_of("employment"));
        }
        if let Some(node) = fields.get("engagements") {
            let path = fields.path_of("engagements");
            let items = reader.list(node, &path).iter().enumerate();
            self.engagements = items
                .map(|(index, item)| self.engagement(reader, item, &format!("{path}[{index}]"), index))
                .collect();
        }
        if let Some(node) = fields.get("grants") {
            let path = fields.path_of("grants");
            self.grants =
                reader.list(node, &path).iter().filter_map(|item| grant(reader, item, &path)).collect();
        }
        if let Some(node) = fields.get("names") {
            let path = fields.path_of("names");
            for (purpose, key, node) in reader.entries(node, &path) {
                let Some(purpose) = purpose_of(purpose) else {
                    reader.wrong(key, &path, "`target/class/attribute`");
                    continue;
                };
                if let Some(name) = reader.text(node, &path) {
                    self.names.insert(purpose, name.to_owned());
                }
            }
        }
        if let Some(node) = fields.get("proposed") {
            self.proposed = reader.boolean(node, &fields.path_of("proposed")).unwrap_or_default();
        }
        if let Some(node) = fields.get("taken") {
            taken(reader, node, &fields.path_of("taken"), &mut self.taken);
        }
    }

    /// One of several engagements: what it does not say is as the person has it.
    fn engagement(&self, reader: &mut Reader<'_>, node: &Node, path: &str, index: usize) -> Engagement {
        let mut parts = Self {
            source: self.source.clone(),
            zone: self.zone.clone(),
            attributes: self.attributes.clone(),
            ..Self::default()
        };
        parts.read(reader, node, path, ENGAGEMENT);
        let source = SourceName::new(parts.source.as_deref().unwrap_or("hr"));
        Engagement {
            provenance: parts.attributes.iter().map(|(name, _)| (name.clone(), source.clone())).collect(),
            source,
            key: parts.key.unwrap_or_else(|| (index + 1).to_string()),
            attributes: parts.attributes,
            employment: parts.employment,
            zone: parts.zone.unwrap_or_else(Zone::utc),
        }
    }

    fn employment(&mut self, reader: &mut Reader<'_>, node: &Node, path: &str) {
        let fields = reader.fields(node, path, &["start", "end", "status"]);
        for key in ["start", "end"] {
            let Some(node) = fields.get(key) else { continue };
            let date = match &node.data {
                Data::Null => None,
                _ => match reader.text(node, path).map(str::parse) {
                    Some(Ok(date)) => Some(date),
                    _ => {
                        reader.wrong(node, &fields.path_of(key), "a date like 2026-11-20");
                        continue;
                    }
                },
            };
            match key {
                "start" => self.employment.start = date,
                _ => self.employment.end = date,
            }
        }
        let words = [
            ("active", Status::Active),
            ("on_leave", Status::OnLeave),
            ("suspended", Status::Suspended),
            ("terminated", Status::Terminated),
        ];
        let status =
            fields.get("status").and_then(|node| reader.word(node, &fields.path_of("status"), &words));
        self.employment.status = status.unwrap_or(self.employment.status);
    }

    /// The person, if there is an instant to evaluate for.
    pub(super) fn finish(self) -> Option<Given> {
        let source = SourceName::new(self.source.as_deref().unwrap_or("hr"));
        let id = IdentityId::parse("00000000-0000-4000-8000-000000000001")?;
        let realm = RealmId::new("test");
        let provenance = self.attributes.iter().map(|(name, _)| (name.clone(), source.clone())).collect();
        let grants = self.grants.into_iter().map(|(entitlement, validity, reference)| Grant {
            realm: realm.clone(),
            identity: id,
            entitlement,
            origins: vec![Origin {
                kind: OriginKind::Request,
                reference: reference.as_str().into(),
                validity,
            }],
        });
        Some(Given {
            now: self.now?,
            grants: grants.collect(),
            names: self.names,
            taken: self.taken,
            proposed: self.proposed,
            identity: Identity {
                id,
                realm: realm.clone(),
                attributes: self.attributes,
                provenance,
                employment: self.employment,
                zone: self.zone.unwrap_or_else(Zone::utc),
                source,
                key: self.key.unwrap_or_else(|| "1".to_owned()),
                version: 1,
                next_change_at: None,
                engagements: self.engagements,
            },
        })
    }
}

impl Given {
    /// What a bundle decides for the person.
    ///
    /// # Errors
    /// When the dates of the employment cannot be placed in the person's zone.
    pub fn evaluate(&self, bundle: &Bundle) -> Result<Evaluation, Error> {
        let (lifecycle, _) = self.identity.lifecycle(self.now)?;
        let (identity, now, grants) = (&self.identity, self.now, self.grants.as_slice());
        let mut names = GivenNames::new(bundle.namespaces(), &self.names, &self.taken);
        Ok(bundle
            .evaluate(&PolicyInput { identity, lifecycle, now, grants, proposed: self.proposed }, &mut names))
    }
}

/// What a name is for, as the engine writes it, from `target/class/attribute` or `target/class#tag/attribute`.
fn purpose_of(text: &str) -> Option<String> {
    let [target, class, attribute] = text.split('/').collect::<Vec<_>>()[..] else { return None };
    let (class, tag) = class_and_tag(class)?;
    Some(format!("{target}/{}/{}/{attribute}", class.as_str(), tag.as_str()))
}

/// Reads names that are taken, by namespace.
pub(super) fn taken(
    reader: &mut Reader<'_>,
    node: &Node,
    path: &str,
    into: &mut BTreeMap<String, BTreeSet<String>>,
) {
    for (space, _, node) in reader.entries(node, path) {
        into.entry(space.to_owned()).or_default().extend(reader.texts(node, path));
    }
}

/// Reads an instant.
pub(super) fn instant(reader: &mut Reader<'_>, node: &Node, path: &str) -> Option<Timestamp> {
    let found = node.text().and_then(|text| text.parse().ok());
    if found.is_none() {
        reader.wrong(node, path, "an instant like 2026-11-20T09:00:00Z");
    }
    found
}

fn grant(reader: &mut Reader<'_>, node: &Node, path: &str) -> Option<(Entitlement, Validity, String)> {
    let fields = reader.fields(node, path, &["account", "group", "on", "from", "until", "reference"]);
    let mut validity = Validity::default();
    if let Some(node) = fields.get("from") {
        validity.from = instant(reader, node, &fields.path_of("from"));
    }
    if let Some(node) = fields.get("until") {
        validity.until = instant(reader, node, &fields.path_of("until"));
    }
    let reference = fields.get("reference").and_then(|node| reader.text(node, path)).unwrap_or("request");
    let group = fields.get("group").and_then(|node| reader.text(node, path));
    let key = if group.is_some() { "on" } else { "account" };
    let address = reader.required(&fields, key)?;
    let (target, class, tag) = read_address(reader, address, &fields.path_of(key))?;
    let entitlement = match group {
        Some(group) => Entitlement::Group { target, class, tag, group: group.to_owned() },
        None => Entitlement::Account { target, class, tag },
    };
    Some((entitlement, validity, reference.to_owned()))
}

/// Reads the values of an attribute: text, a list, `null`, or one of another kind.
fn slot(reader: &mut Reader<'_>, node: &Node, path: &str) -> Option<Slot> {
    Some(match &node.data {
        Data::Null => Slot::Null,
        Data::List(items) => {
            Slot::from_values(items.iter().map(|item| value(reader, item, path)).collect::<Option<_>>()?)
        }
        _ => Slot::from_values(vec![value(reader, node, path)?]),
    })
}

fn value(reader: &mut Reader<'_>, node: &Node, path: &str) -> Option<Value> {
    let entries = match &node.data {
        Data::Text { text, .. } => return Some(Value::text(text)),
        Data::Map(_) => reader.entries(node, path),
        _ => {
            reader.wrong(node, path, "text, a list of values, or `null`");
            return None;
        }
    };
    let typed = |text: &str, kind: &str| match kind {
        "number" => text.parse().ok().map(Value::Int),
        "truth" => text.parse().ok().map(Value::Bool),
        "date" => text.parse().ok().map(Value::Date),
        "instant" => text.parse().ok().map(Value::Time),
        _ => None,
    };
    if let [(kind @ ("number" | "truth" | "date" | "instant"), _, inner)] = entries.as_slice() {
        let found = inner.text().and_then(|text| typed(text, kind));
        if found.is_none() {
            reader.wrong(inner, path, &format!("a {kind}"));
        }
        return found;
    }
    let mut record = BTreeMap::new();
    for (name, _, node) in entries {
        record.insert(AttrName::new(name), value(reader, node, &format!("{path}.{name}"))?);
    }
    Some(Value::Record(record))
}
