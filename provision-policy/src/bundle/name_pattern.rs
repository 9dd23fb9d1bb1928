//! Patterns of generated names.

use std::collections::{BTreeMap, BTreeSet};

use provision_core::id::{NamespaceName, PolicyRef};
use provision_core::policy::Strength;
use provision_core::value::AttrName;

use super::input::expression;
use super::mapping::STRENGTHS;
use crate::document::{Data, Node, Place, Reader, suggestion};
use crate::evaluation::Inputs;
use crate::expression::letters::Letters;
use crate::expression::{Expression, Kind, Vocabulary};

/// Names that share one counter and must be free together.
#[derive(Clone, Debug)]
pub(crate) struct NameGroup {
    pub(crate) patterns: Vec<NamePattern>,
}

/// How one name is made.
#[derive(Clone, Debug)]
pub(crate) struct NamePattern {
    pub(crate) id: PolicyRef,
    pub(crate) attribute: AttrName,
    pub(crate) namespace: NamespaceName,
    /// The part of the namespace in which it must be unique.
    pub(crate) scope: Option<Expression>,
    /// Most characters, counter included, suffix not.
    pub(crate) max: usize,
    /// The only characters it may hold; `None`: any, and nothing is romanised.
    pub(crate) allow: Option<Letters>,
    /// Made of lower case letters.
    pub(crate) lower: bool,
    pub(crate) parts: Vec<Part>,
    /// Between parts.
    pub(crate) separator: String,
    /// Between the parts and the counter.
    pub(crate) counter_separator: String,
    /// After the counter: `@example.com`.
    pub(crate) suffix: String,
    pub(crate) strength: Strength,
    pub(crate) inputs: Inputs,
}

/// A part of a name.
#[derive(Clone, Debug)]
pub(crate) struct Part {
    pub(crate) value: Expression,
    /// Most characters it gives.
    pub(crate) max: usize,
}

impl NameGroup {
    pub(super) fn has(&self, attribute: &str) -> bool {
        self.patterns.iter().any(|pattern| pattern.attribute.as_str() == attribute)
    }
}

/// Reads the list of name groups; later ones may use the names of earlier ones.
pub(super) fn read(
    reader: &mut Reader<'_>,
    node: &Node,
    (path, strength): (String, Strength),
    known: &mut Vocabulary,
    namespaces: &BTreeSet<NamespaceName>,
    places: &mut BTreeMap<String, Place>,
) -> Vec<NameGroup> {
    let path = path.as_str();
    let mut groups: Vec<NameGroup> = Vec::new();
    for item in reader.list(node, path) {
        let mut group = NameGroup { patterns: Vec::new() };
        let mut names = Vec::new();
        for (attribute, key, node) in reader.entries(item, path) {
            let id = format!("{path}.{attribute}");
            if !known.names.contains(attribute) {
                places.insert(id.clone(), key.place);
            } else {
                let summary = format!("`{attribute}` is generated twice");
                reader.error("P0003", key.place, &id, summary, "keep one of the two");
            }
            names.push(attribute.to_owned());
            group.patterns.extend(pattern(reader, node, (&id, strength), attribute, known, namespaces));
        }
        // Known even when the pattern is faulty: one problem, one message.
        known.names.extend(names);
        groups.push(group);
    }
    groups
}

/// The keys of a name.
const KEYS: [&str; 10] = [
    "namespace",
    "scope",
    "max",
    "allow",
    "case",
    "parts",
    "separator",
    "counter_separator",
    "suffix",
    "strength",
];

fn pattern(
    reader: &mut Reader<'_>,
    node: &Node,
    (id, strength): (&str, Strength),
    attribute: &str,
    known: &Vocabulary,
    namespaces: &BTreeSet<NamespaceName>,
) -> Option<NamePattern> {
    let fields = reader.fields(node, id, &KEYS);
    let namespace = reader.required(&fields, "namespace").and_then(|node| {
        let name = reader.text(node, id)?;
        namespace_known(reader, node, name, id, namespaces);
        Some(NamespaceName::new(name))
    });
    let scope = fields
        .get("scope")
        .and_then(|node| expression(reader, node, &fields.path_of("scope"), known, Kind::Text));
    let max = fields.get("max").and_then(|node| reader.number(node, id, 6, 256));
    let allow = fields.get("allow").and_then(|node| {
        let letters = reader.text(node, id).and_then(Letters::parse);
        if letters.is_none() {
            reader.wrong(node, id, "a set of characters like `a-z0-9._-`");
        }
        letters
    });
    let lower =
        fields.get("case").and_then(|node| reader.word(node, id, &[("lower", true), ("keep", false)]));
    let stated = fields.get("strength").and_then(|node| reader.word(node, id, STRENGTHS));
    let mut text = |key: &str| {
        let found = fields.get(key).and_then(|node| reader.text(node, id));
        found.unwrap_or_default().to_owned()
    };
    let (separator, counter_separator, suffix) =
        (text("separator"), text("counter_separator"), text("suffix"));
    let mut parts = Vec::new();
    if let Some(node) = reader.required(&fields, "parts") {
        for item in reader.list(node, &fields.path_of("parts")) {
            parts.extend(part(reader, item, &fields.path_of("parts"), known));
        }
        if reader.list(node, &fields.path_of("parts")).is_empty() {
            reader.error("P0005", node.place, id, "a name needs at least one part", "add an expression");
        }
    }
    Some(NamePattern {
        id: PolicyRef::new(id),
        attribute: AttrName::new(attribute),
        namespace: namespace?,
        scope,
        max: max.unwrap_or(64) as usize,
        lower: lower.unwrap_or(allow.as_ref().is_some_and(|allow| !('A'..='Z').any(|c| allow.has(c)))),
        allow,
        parts,
        separator,
        counter_separator,
        suffix,
        strength: stated.unwrap_or(strength),
        inputs: Inputs::default(),
    })
}

fn namespace_known(
    reader: &mut Reader<'_>,
    node: &Node,
    name: &str,
    path: &str,
    namespaces: &BTreeSet<NamespaceName>,
) {
    if namespaces.contains(&NamespaceName::new(name)) {
        return;
    }
    let remedy = match suggestion(name, namespaces.iter().map(NamespaceName::as_str)) {
        Some(meant) => format!("did you mean `{meant}`?"),
        None => "define it under `namespaces`".to_owned(),
    };
    reader.error("P0012", node.place, path, format!("unknown namespace `{name}`"), remedy);
}

fn part(reader: &mut Reader<'_>, node: &Node, path: &str, known: &Vocabulary) -> Option<Part> {
    if !matches!(node.data, Data::Map(_)) {
        return expression(reader, node, path, known, Kind::Text)
            .map(|value| Part { value, max: usize::MAX });
    }
    let fields = reader.fields(node, path, &["value", "max"]);
    let max = fields.get("max").and_then(|node| reader.number(node, path, 1, 256));
    let value = reader.required(&fields, "value")?;
    let value = expression(reader, value, path, known, Kind::Text)?;
    Some(Part { value, max: max.map_or(usize::MAX, |max| max as usize) })
}
