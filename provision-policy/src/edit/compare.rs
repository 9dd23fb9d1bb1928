//! Two bundles compared entry by entry, and what reads the entries that differ.

use std::collections::{BTreeMap, BTreeSet};

use provision_core::id::PolicyRef;

use super::document::{at, differing, entries, is_beyond, items, rules, same};
use super::{Edit, EditedPart, PartChange};
use crate::bundle::{AccountMap, Address, AttributeMap, Content, Mapping, Role, class_and_tag};
use crate::document::{Data, Node};
use crate::expression::Expression;

/// What differs, sorted by what it takes to find who is concerned.
#[derive(Debug, Default)]
pub(super) struct Compared {
    /// Rules that differ or read something that does; true: they give the same roles in both.
    pub(super) rules: BTreeMap<String, bool>,
    pub(super) roles: BTreeSet<String>,
    /// Lookups of which some rows differ.
    pub(super) lookups: BTreeMap<String, LookupEdit>,
    /// Account maps of which something differs.
    pub(super) maps: BTreeSet<Address>,
}

/// What differs in a lookup.
#[derive(Debug, Default)]
pub(super) struct LookupEdit {
    pub(super) rows: BTreeSet<String>,
    pub(super) default: bool,
    /// All of it, whatever is asked.
    pub(super) whole: bool,
    /// Keys that differ in case only are one.
    pub(super) folded: bool,
    /// Rows that both have.
    pub(super) kept: BTreeSet<String>,
}

/// The comparison under way.
struct Comparison<'a> {
    new: &'a Content,
    parts: Vec<EditedPart>,
    everyone: bool,
    found: Compared,
    /// Numbers of shared values that differ, in the new bundle, with what they read that does.
    shared: BTreeMap<usize, String>,
    inputs: BTreeSet<String>,
}

pub(super) fn compare(old: &Content, new: &Content) -> (Edit, Option<Compared>) {
    let documents = (old.document(), new.document());
    let (Some(from), Some(to)) = (&documents.0, &documents.1) else {
        // Both were read before: without them nothing can be told apart.
        return (Edit { parts: Vec::new(), everyone: true, reach: None }, None);
    };
    let mut comparison = Comparison {
        new,
        parts: Vec::new(),
        everyone: false,
        found: Compared::default(),
        shared: BTreeMap::new(),
        inputs: BTreeSet::new(),
    };
    comparison.top(from, to);
    comparison.inputs(at(from, "inputs"), at(to, "inputs"));
    comparison.lookups(at(from, "lookups"), at(to, "lookups"));
    comparison.tables(at(from, "tables"), at(to, "tables"));
    comparison.values(at(from, "values"), at(to, "values"));
    comparison.roles(at(from, "roles"), at(to, "roles"));
    comparison.rules(from, to);
    let namespaces = comparison.named("namespaces", at(from, "namespaces"), at(to, "namespaces"));
    let reserved = !same(at(from, "reserved"), at(to, "reserved"));
    comparison.maps(from, to, &namespaces, reserved);
    let differs = !comparison.parts.is_empty();
    let everyone = comparison.everyone || differs && (is_beyond(from) || is_beyond(to));
    (Edit { parts: comparison.parts, everyone, reach: None }, differs.then_some(comparison.found))
}

impl Comparison<'_> {
    fn part(&mut self, id: impl AsRef<str>, old: bool, new: bool) {
        let change = match (old, new) {
            (false, _) => PartChange::Added,
            (_, false) => PartChange::Removed,
            _ => PartChange::Changed,
        };
        self.parts.push(EditedPart { id: PolicyRef::new(id), change, through: Vec::new() });
    }

    fn concerned(&mut self, id: impl AsRef<str>, through: &BTreeSet<String>) {
        let through = through.iter().map(PolicyRef::new).collect();
        self.parts.push(EditedPart { id: PolicyRef::new(id), change: PartChange::Concerned, through });
    }

    /// Keys of the top level that hold no entries of their own.
    fn top(&mut self, from: &Node, to: &Node) {
        for (key, (old, new)) in differing(Some(from), Some(to)) {
            match key {
                "bundle" | "version" | "description" | "inputs" | "lookups" | "tables" | "values"
                | "namespaces" | "roles" | "rules" | "targets" => {}
                "reserved" => self.part(key, old.is_some(), new.is_some()),
                _ => {
                    self.part(key, old.is_some(), new.is_some());
                    self.everyone = true;
                }
            }
        }
    }

    /// Inputs whose kind differs: what reads them may read them otherwise.
    fn inputs(&mut self, old: Option<&Node>, new: Option<&Node>) {
        let kinds = |node: Option<&Node>| {
            let mut kinds: BTreeMap<String, String> = BTreeMap::new();
            for item in node.map(items).unwrap_or_default() {
                kinds.extend(item.text().map(|name| (name.to_owned(), String::new())));
                for (name, kind) in entries(item) {
                    kinds.insert(name.to_owned(), kind.digest());
                }
            }
            kinds
        };
        let (old, new) = (kinds(old), kinds(new));
        let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
        for name in names {
            if old.get(name) != new.get(name) {
                self.inputs.insert(name.clone());
                self.part(format!("inputs.{name}"), old.contains_key(name), new.contains_key(name));
            }
        }
    }

    /// Entries of a section that differ as a whole.
    fn named(&mut self, section: &str, old: Option<&Node>, new: Option<&Node>) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        for (name, (old, new)) in differing(old, new) {
            if !told_only(old, new) {
                self.part(format!("{section}.{name}"), old.is_some(), new.is_some());
                found.insert(name.to_owned());
            }
        }
        found
    }

    fn lookups(&mut self, old: Option<&Node>, new: Option<&Node>) {
        for (name, (old, new)) in differing(old, new) {
            let edit = self.rows(&format!("lookups.{name}"), "map", old, new);
            self.found.lookups.insert(name.to_owned(), edit);
        }
    }

    fn tables(&mut self, old: Option<&Node>, new: Option<&Node>) {
        for (name, (old, new)) in differing(old, new) {
            let id = format!("tables.{name}");
            let mut edit = self.rows(&id, "rows", old, new);
            let others = differing(old, new);
            edit.whole = others.keys().any(|key| !matches!(*key, "rows" | "default" | "written"));
            // A key that is written otherwise is another reason: whose it is, is not looked at.
            let written = |node: Option<&'_ Node>| node.and_then(|node| at(node, "written")).cloned();
            let (from, to) = (written(old), written(new));
            let renamed = differing(from.as_ref(), to.as_ref());
            edit.whole |= renamed.values().any(|(old, new)| old.is_some() && new.is_some());
            if edit.whole {
                self.part(&id, old.is_some(), new.is_some());
            }
            edit.folded = new.and_then(|node| at(node, "folded")).and_then(Node::text) == Some("true");
            self.found.lookups.insert(name.to_owned(), edit);
        }
    }

    /// Notes the rows that differ, and the one for keys without.
    fn rows(&mut self, id: &str, key: &str, old: Option<&Node>, new: Option<&Node>) -> LookupEdit {
        let of = |node: Option<&Node>, key: &str| node.and_then(|node| at(node, key)).cloned();
        let (from, to) = (of(old, key), of(new, key));
        let mut edit = LookupEdit::default();
        for (row, (old, new)) in differing(from.as_ref(), to.as_ref()) {
            self.part(format!("{id}[{row}]"), old.is_some(), new.is_some());
            edit.rows.insert(row.to_owned());
        }
        let (before, after) = (of(old, "default"), of(new, "default"));
        edit.default = !same(before.as_ref(), after.as_ref());
        if edit.default {
            self.part(format!("{id}.default"), before.is_some(), after.is_some());
        }
        let rows = |node: &Option<Node>| -> BTreeSet<String> {
            node.iter().flat_map(entries).map(|(row, _)| row.to_owned()).collect()
        };
        edit.kept = rows(&from).intersection(&rows(&to)).cloned().collect();
        edit
    }

    /// Shared values that differ, themselves or by what they read.
    fn values(&mut self, old: Option<&Node>, new: Option<&Node>) {
        let differ = differing(old, new);
        // What mappings are made from is hashed in this order.
        let names = |node: Option<&Node>, other: Option<&Node>| -> Vec<String> {
            let known: BTreeSet<&str> = other.into_iter().flat_map(entries).map(|(name, _)| name).collect();
            let names = node.into_iter().flat_map(entries).map(|(name, _)| name);
            names.filter(|name| known.contains(name)).map(str::to_owned).collect()
        };
        if names(old, new) != names(new, old) {
            self.part("values", true, true);
            self.everyone = true;
        }
        for (name, (old, new)) in &differ {
            self.part(format!("values.{name}"), old.is_some(), new.is_some());
        }
        let new = new.into_iter().flat_map(entries);
        for (index, (name, _)) in new.enumerate() {
            let id = format!("values.{name}");
            if differ.contains_key(name) {
                self.shared.insert(index, id);
                continue;
            }
            let Some(expression) = self.new.shared.get(index) else { continue };
            let through = self.read_by(expression);
            if !through.is_empty() {
                self.concerned(&id, &through);
                self.shared.insert(index, id);
            }
        }
    }

    /// What an expression, written as before, reads that differs as a whole: shared values, kinds of inputs, and
    /// lookups that it asks in a way not known before an evaluation. Lookups that it asks otherwise count by row.
    fn read_by(&self, expression: &Expression) -> BTreeSet<String> {
        let reads = expression.reads_all(&self.new.shared);
        let mut found: BTreeSet<String> =
            reads.shared.iter().filter_map(|index| self.shared.get(index)).cloned().collect();
        let inputs = reads.attributes.iter().filter(|name| self.inputs.contains(name.as_str()));
        found.extend(inputs.map(|name| format!("inputs.{}", name.as_str())));
        for name in self.found.lookups.keys().filter(|name| expression.reads.lookups.contains(*name)) {
            if expression.keys_of(name, &self.new.shared).is_none() {
                found.insert(format!("lookups.{name}"));
            }
        }
        found
    }

    fn roles(&mut self, old: Option<&Node>, new: Option<&Node>) {
        let found = self.named("roles", old, new);
        // What is said of a role decides what its own group is.
        for (name, (old, new)) in differing(old, new) {
            if told_only(old, new) && self.new.roles.get(name).is_some_and(Role::owns_group) {
                self.part(format!("roles.{name}.description"), true, true);
            }
        }
        self.found.roles = found;
    }

    fn rules(&mut self, from: &Node, to: &Node) {
        let (old, new) = (rules(from), rules(to));
        let ids: BTreeSet<&str> = old.keys().chain(new.keys()).copied().collect();
        for id in ids {
            let (before, after) = (old.get(id).copied(), new.get(id).copied());
            let path = format!("rules.{id}");
            if !same(before, after) && !told_only(before, after) {
                self.part(&path, before.is_some(), after.is_some());
                let decides = |key: &&str| !matches!(*key, "description" | "when" | "unless");
                let otherwise = differing(before, after).keys().any(decides);
                self.found.rules.insert(path, !otherwise);
                continue;
            }
            let Some(rule) = self.new.rules.iter().find(|rule| rule.id.as_str() == path) else { continue };
            let keys = rule.rows.iter().map(|rows| &rows.key);
            let conditions = std::iter::once(&rule.when).chain(&rule.unless).chain(keys);
            let mut through: BTreeSet<String> =
                conditions.flat_map(|condition| self.read_by(condition)).collect();
            // Where the rule fails, it refuses what any row gives.
            let table = rule.rows.as_ref().map(|rows| &rows.table);
            let table = table.filter(|table| self.found.lookups.contains_key(*table));
            through.extend(table.map(|table| format!("tables.{table}")));
            if !through.is_empty() {
                self.concerned(&path, &through);
                self.found.rules.insert(path, true);
            }
        }
    }

    fn maps(&mut self, from: &Node, to: &Node, namespaces: &BTreeSet<String>, reserved: bool) {
        let (old, new) = (at(from, "targets"), at(to, "targets"));
        for (target, (old, new)) in differing(old, new) {
            for (class, (old, new)) in differing(old, new) {
                let path = format!("targets.{target}.{class}");
                if old.into_iter().chain(new).all(is_of_roles) {
                    // Nobody has an object of this class.
                    match (old, new) {
                        (Some(old), Some(new)) => drop(self.map(&path, old, new)),
                        _ => self.part(&path, old.is_some(), new.is_some()),
                    }
                    continue;
                }
                let of_people = |node: Option<&'_ Node>| node.is_some_and(|node| !is_of_roles(node));
                let (Some(old), Some(new), true) = (old, new, of_people(old) && of_people(new)) else {
                    // Everybody gets an entry for it, or loses theirs.
                    self.part(&path, old.is_some(), new.is_some());
                    self.everyone = true;
                    continue;
                };
                if old.text().is_some() || new.text().is_some() {
                    // A word for the whole target: the authority of its maps.
                    self.part(&path, true, true);
                    self.everyone = true;
                    continue;
                }
                if self.map(&path, old, new) {
                    match class_and_tag(class) {
                        Some((class, tag)) => drop(self.found.maps.insert((target.into(), class, tag))),
                        None => self.everyone = true,
                    }
                }
            }
        }
        for map in self.new.role_maps.values() {
            self.readers(map);
        }
        for (address, map) in &self.new.accounts {
            let mut through = BTreeSet::new();
            let patterns = map.names.iter().flat_map(|group| &group.patterns);
            let spaces =
                patterns.map(|pattern| pattern.namespace.as_str()).filter(|name| namespaces.contains(*name));
            through.extend(spaces.map(|name| format!("namespaces.{name}")));
            if reserved && !map.names.is_empty() {
                through.insert("reserved".to_owned());
            }
            if !through.is_empty() {
                self.concerned(format!("{}.names", map.id), &through);
                self.found.maps.insert(address.clone());
            }
            if self.readers(map) {
                self.found.maps.insert(address.clone());
            }
        }
    }

    /// Notes what differs in an account map; false: only its description.
    fn map(&mut self, path: &str, old: &Node, new: &Node) -> bool {
        let mut any = false;
        for (key, (old, new)) in differing(Some(old), Some(new)) {
            match key {
                "description" => continue,
                "attributes" => {
                    for (name, (old, new)) in differing(old, new) {
                        self.part(format!("{path}.attributes.{name}"), old.is_some(), new.is_some());
                    }
                }
                _ => self.part(format!("{path}.{key}"), old.is_some(), new.is_some()),
            }
            // It is said of every account, also of those that shall not be.
            self.everyone |= key == "authority";
            any = true;
        }
        any
    }

    /// Notes the expressions of a map that read something that differs; true when there are some.
    fn readers(&mut self, map: &AccountMap) -> bool {
        let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        let mut add = |id: String, expression: &Expression| {
            let through = self.read_by(expression);
            if !through.is_empty() {
                found.entry(id).or_default().extend(through);
            }
        };
        for condition in map.exists.iter().chain(&map.enabled) {
            add(condition.id.as_str().to_owned(), &condition.holds);
        }
        for pattern in map.names.iter().flat_map(|group| &group.patterns) {
            let parts = pattern.scope.iter().chain(pattern.parts.iter().map(|part| &part.value));
            parts.for_each(|part| add(pattern.id.as_str().to_owned(), part));
        }
        for mapping in map.attributes.iter().flat_map(AttributeMap::all) {
            mapping
                .expressions()
                .into_iter()
                .for_each(|expression| add(mapping.id.as_str().to_owned(), expression));
        }
        for (id, through) in &found {
            self.concerned(id, through);
        }
        !found.is_empty()
    }
}

/// A policy map is of a class whose objects stand for roles.
fn is_of_roles(map: &Node) -> bool {
    at(map, "of").and_then(Node::text) == Some("role")
}

/// Two entries differ in their description only.
fn told_only(old: Option<&Node>, new: Option<&Node>) -> bool {
    let (Some(old), Some(new)) = (old, new) else { return false };
    let maps = matches!((&old.data, &new.data), (Data::Map(_), Data::Map(_)));
    maps && differing(Some(old), Some(new)).keys().all(|key| *key == "description")
}

/// Every expression of an account map.
pub(super) fn expressions_in(map: &AccountMap) -> impl Iterator<Item = &Expression> {
    let patterns = map.names.iter().flat_map(|group| &group.patterns);
    let names =
        patterns.flat_map(|pattern| pattern.scope.iter().chain(pattern.parts.iter().map(|part| &part.value)));
    let mappings = map.attributes.iter().flat_map(AttributeMap::all);
    let conditions = map.exists.iter().chain(&map.enabled).map(|condition| &condition.holds);
    conditions.chain(names).chain(mappings.flat_map(Mapping::expressions))
}
