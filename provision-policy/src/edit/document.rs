//! The documents of two bundles, side by side: which of their entries differ.

use std::collections::{BTreeMap, BTreeSet};

use crate::document::{Data, Node};

/// Keys that change no evaluation.
const TOLD: &[&str] = &["bundle", "version", "description"];
/// Keys whose reach is known, by the level they stand on. An edit of a bundle with others concerns everybody: whoever
/// adds a key decides whom it reaches, and until then too many are evaluated rather than too few.
const TOP: &[&str] = &[
    "locale",
    "inputs",
    "reserved",
    "lookups",
    "tables",
    "values",
    "namespaces",
    "roles",
    "rules",
    "targets",
];
const LOOKUP: &[&str] = &["map", "default"];
const ROLE: &[&str] = &["description", "labels", "formerly", "includes", "grants"];
const GRANT: &[&str] = &["account", "group", "own_group", "on", "group_class", "privileged"];
const RULE: &[&str] = &["id", "description", "state", "when", "unless", "roles"];
const ROWS: &[&str] = &["table", "key", "column", "missing"];
const MAP: &[&str] =
    &["description", "of", "exists", "enabled", "pre_hire", "credential", "authority", "names", "attributes"];
const MAPPING: &[&str] = &[
    "value",
    "strength",
    "when",
    "from",
    "until",
    "when_null",
    "authoritative",
    "exclusive",
    "range",
    "state",
    "each",
    "foreign",
    "keep",
    "remove",
];

/// The value of a key.
pub(super) fn at<'n>(node: &'n Node, key: &str) -> Option<&'n Node> {
    entries(node).find(|(name, _)| *name == key).map(|(_, value)| value)
}

/// The entries of a mapping; none of anything else.
pub(super) fn entries(node: &Node) -> impl Iterator<Item = (&str, &Node)> {
    let entries = match &node.data {
        Data::Map(entries) => entries.as_slice(),
        _ => &[],
    };
    entries.iter().filter_map(|(key, value)| Some((key.text()?, value)))
}

/// The items of a list; none of anything else.
pub(super) fn items(node: &Node) -> &[Node] {
    match &node.data {
        Data::List(items) => items,
        _ => &[],
    }
}

/// Whether two entries are written with the same content.
pub(super) fn same(a: Option<&Node>, b: Option<&Node>) -> bool {
    match (a, b) {
        (None, None) => true,
        (Some(a), Some(b)) => a.digest() == b.digest(),
        _ => false,
    }
}

/// The names of the entries that two mappings do not have in common, each with what it is in both.
pub(super) fn differing<'n>(
    old: Option<&'n Node>,
    new: Option<&'n Node>,
) -> BTreeMap<&'n str, (Option<&'n Node>, Option<&'n Node>)> {
    let of = |node: Option<&'n Node>| {
        node.map(|node| entries(node).collect::<BTreeMap<_, _>>()).unwrap_or_default()
    };
    let (old, new) = (of(old), of(new));
    let names: BTreeSet<&str> = old.keys().chain(new.keys()).copied().collect();
    let pairs = names.into_iter().map(|name| (name, (old.get(name).copied(), new.get(name).copied())));
    pairs.filter(|(_, (old, new))| !same(*old, *new)).collect()
}

/// The rules of a document by their ids.
pub(super) fn rules(root: &Node) -> BTreeMap<&str, &Node> {
    let rules = at(root, "rules").map(items).unwrap_or_default();
    rules.iter().filter_map(|rule| Some((at(rule, "id")?.text()?, rule))).collect()
}

/// A document holds something of which it is not known whom it reaches.
pub(super) fn is_beyond(root: &Node) -> bool {
    let only = |node: &Node, known: &[&str]| entries(node).all(|(key, _)| known.contains(&key));
    let top = entries(root).all(|(key, _)| TOP.contains(&key) || TOLD.contains(&key));
    let section = |key: &str| at(root, key).into_iter().flat_map(entries).map(|(_, node)| node);
    let lookup = |node: &Node| {
        let mut rows = at(node, "map").into_iter().flat_map(entries);
        only(node, LOOKUP) && rows.all(|(_, row)| row.text().is_some())
    };
    let role = |node: &Node| {
        let mut grants = at(node, "grants").map(items).unwrap_or_default().iter();
        only(node, ROLE)
            && grants.all(|grant| only(grant, GRANT) && entries(grant).all(|(_, part)| is_plain(part)))
    };
    let rule = |node: &&Node| {
        let listed = at(node, "roles").is_none_or(|roles| match &roles.data {
            Data::Map(_) => only(roles, ROWS),
            _ => items(roles).iter().all(is_plain),
        });
        let plain = ["when", "unless"].iter().all(|key| at(node, key).is_none_or(is_plain));
        only(node, RULE) && listed && plain
    };
    let mapping = |node: &Node| match &node.data {
        Data::List(items) => items.iter().all(|item| only(item, MAPPING)),
        _ => only(node, MAPPING),
    };
    let map = |node: &Node| {
        let mut attributes = at(node, "attributes").into_iter().flat_map(entries);
        only(node, MAP) && attributes.all(|(_, node)| mapping(node))
    };
    !(top
        && section("lookups").all(lookup)
        && section("roles").all(role)
        && rules(root).values().all(rule)
        && section("targets").flat_map(entries).all(|(_, node)| map(node)))
}

fn is_plain(node: &Node) -> bool {
    node.text().is_some()
}
