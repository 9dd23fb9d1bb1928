//! The bundle: all policy as versioned, hashed data.

mod account_address;
mod account_map;
mod attribute_map;
mod file;
mod input;
mod load;
mod lookup;
mod mapping;
mod name_pattern;
mod namespace;
mod own_group;
mod period;
mod role;
mod rule;
mod rule_index;
mod table;
mod table_file;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use provision_core::diagnostic::{Diagnostic, Span};
use provision_core::id::{ClassName, PolicyRef, Tag, TargetName};
use provision_core::policy::Namespace;
use provision_core::value::AttrName;

pub(crate) use account_address::{class_and_tag, read as read_address, text as address_text};
pub(crate) use account_map::{AccountMap, Condition};
pub(crate) use attribute_map::AttributeMap;
pub(crate) use file::{is_test_file, read_bounded};
pub(crate) use lookup::Lookup;
pub(crate) use mapping::{Mapping, State, WhenNull};
pub(crate) use name_pattern::NamePattern;
pub(crate) use own_group::ATTRIBUTES as ROLE_ATTRIBUTES;
pub(crate) use period::{Bound, Period};
pub(crate) use role::{Role, RoleGrant};
pub(crate) use rule::{RoleRows, Rule};
pub(crate) use table::{Cell, Row, Table};

use crate::document::{Data, Node, Place, Sources};
use crate::expression::Expression;

/// Target, class and tag of an account.
pub(crate) type Address = (TargetName, ClassName, Tag);

/// A policy bundle: rules, roles, policy maps and namespaces, read from YAML and checked.
///
/// It is immutable and cheap to clone. As a [`provision_core::policy::Policy`] it is pure: the same input gives the
/// same evaluation.
#[derive(Clone)]
pub struct Bundle(pub(crate) Arc<Content>);

/// What a bundle holds.
#[derive(Debug)]
pub(crate) struct Content {
    pub(crate) label: String,
    pub(crate) hash: String,
    /// The locale for people without one of their own.
    pub(crate) locale: Option<String>,
    /// Names never given, in lower case.
    pub(crate) reserved: BTreeSet<String>,
    /// The numbers that reserved names end with.
    pub(crate) reserved_counters: BTreeSet<u32>,
    pub(crate) lookups: BTreeMap<String, Lookup>,
    pub(crate) tables: BTreeMap<String, Table>,
    /// The attributes that expressions may read, in order, each after its first letters: the number of each is that of
    /// its slot.
    inputs: Vec<(u64, AttrName)>,
    /// Expressions shared by name, in the order written: each reads only those before it.
    pub(crate) shared: Vec<Expression>,
    pub(crate) namespaces: Vec<Namespace>,
    pub(crate) roles: BTreeMap<String, Role>,
    pub(crate) rules: Vec<Rule>,
    pub(crate) rule_index: rule_index::RuleIndex,
    pub(crate) accounts: BTreeMap<Address, AccountMap>,
    /// Maps of classes whose objects stand for roles.
    pub(crate) role_maps: BTreeMap<Address, AccountMap>,
    sources: Sources,
    places: BTreeMap<String, Place>,
    warnings: Vec<Diagnostic>,
    /// Some expression reads `today`: evaluations change at midnight.
    reads_today: bool,
}

impl Bundle {
    /// Reads a bundle from the texts of its files, given as (file name, text). Reads nothing else. Files whose names
    /// end with `.csv` are tables that the others name.
    ///
    /// # Errors
    ///
    /// Every problem of every file, in one pass; warnings are among them. A bundle with only warnings loads, see
    /// [`Bundle::warnings`].
    pub fn load(files: &[(&str, &str)]) -> Result<Self, Vec<Diagnostic>> {
        load::load(files).map(|content| Self(Arc::new(content)))
    }

    /// Reads a bundle from a file, or from all `*.yaml` and `*.yml` files of a directory (not of its
    /// subdirectories), in the order of their names; and the tables beside them that they name.
    /// Files of tests (`*.test.yaml`) are no part of it.
    ///
    /// # Errors
    ///
    /// A file that cannot be read is a diagnostic (`P0009`) too; otherwise as [`Bundle::load`].
    pub fn load_path(path: impl AsRef<std::path::Path>) -> Result<Self, Vec<Diagnostic>> {
        let files = file::read(path.as_ref())?;
        let texts: Vec<_> = files.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
        Self::load(&texts)
    }

    /// What is probably not as meant, though it works: roles, lookups and namespaces that nothing uses.
    pub fn warnings(&self) -> &[Diagnostic] {
        &self.0.warnings
    }

    /// Where the mapping, rule or role with this id is written; for a part of one that has no place of its own, such as
    /// `targets.crm.contact.enabled`, where the whole is.
    pub fn source_of(&self, id: &PolicyRef) -> Option<Span> {
        self.0.locate(id.as_str())
    }
}

impl std::fmt::Debug for Bundle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let content = &*self.0;
        f.debug_struct("Bundle").field("version", &content.label).field("hash", &content.hash).finish()
    }
}

impl Content {
    /// Some expression reads `today`.
    pub(crate) fn reads_today(&self) -> bool {
        self.reads_today
    }

    /// What is given by attribute, in the order of their names, by the numbers of their slots.
    pub(crate) fn by_slot<'a, T>(
        &self,
        given: impl IntoIterator<Item = (&'a AttrName, &'a T)>,
    ) -> Vec<Option<&'a T>> {
        let mut found = vec![None; self.inputs.len()];
        // Both are sorted: one walk finds all. Most names differ in their first letters, which are one number.
        let mut slots = found.iter_mut().zip(&self.inputs).peekable();
        for (name, value) in given {
            let first = first_letters(name);
            let before = |known: &(u64, AttrName)| known.0 < first || known.0 == first && known.1 < *name;
            while slots.next_if(|(_, known)| before(known)).is_some() {}
            if let Some((slot, _)) = slots.next_if(|(_, known)| known.0 == first && known.1 == *name) {
                *slot = Some(value);
            }
        }
        found
    }

    /// The texts of the files, by name.
    pub(crate) fn texts(&self) -> impl Iterator<Item = (&str, &str)> {
        self.sources.files().map(|(_, name, text)| (name, text))
    }

    /// What is written, as one document: read again from the texts, which were read without a problem before. Tables
    /// stand there with what they hold, wherever that is written.
    pub(crate) fn document(&self) -> Option<Node> {
        let mut document = load::document(&self.sources)?;
        let Data::Map(entries) = &mut document.data else { return Some(document) };
        for (key, node) in entries.iter_mut().filter(|(key, _)| key.text() == Some("tables")) {
            let name = |name: &str| Data::Text { text: name.to_owned(), plain: true };
            let tables = self.tables.iter();
            let tables = tables.map(|(of, table)| (Node { place: key.place, data: name(of) }, table.shown()));
            *node = Node { place: key.place, data: Data::Map(tables.collect()) };
        }
        Some(document)
    }

    /// Where the thing with this id is written, for diagnostics.
    pub(crate) fn locate(&self, id: &str) -> Option<Span> {
        let known = |id: &str| self.places.get(id).copied().or_else(|| self.row_of(id));
        // Reasons name the engagement behind the rule: `rules.clerks@hr/77`.
        let place = known(id).or_else(|| id.match_indices('@').find_map(|(at, _)| known(id.get(..at)?)));
        // A part without a place of its own, such as a condition, stands where the whole does.
        let parts = || id.rmatch_indices('.').find_map(|(at, _)| known(id.get(..at)?));
        place.or_else(parts).map(|place| self.sources.span(place))
    }

    /// The row that an id like `rules.by-position[positions:ENG-7]` names.
    fn row_of(&self, id: &str) -> Option<Place> {
        let (_, row) = id.strip_suffix(']')?.split_once('[')?;
        let (table, key) = row.split_once(':')?;
        self.tables.get(table)?.row(key).map(|row| row.place)
    }
}

/// The first eight bytes of a name as a number that is in the order of the names.
fn first_letters(name: &AttrName) -> u64 {
    name.as_str().bytes().chain(std::iter::repeat(0)).take(8).fold(0, |sum, byte| sum << 8 | u64::from(byte))
}

#[cfg(test)]
mod tests {
    use provision_core::value::Attributes;

    use super::*;

    #[test]
    fn every_value_is_in_its_slot() {
        let inputs = ["a", "longNameOne", "longNameTwo", "longName", "z", "é", "ab"];
        let text = format!("bundle: 1\nversion: a\ninputs: [{}]", inputs.join(", "));
        let bundle = Bundle::load(&[("a.yaml", &text)]).unwrap();
        let content = &*bundle.0;
        assert!(content.inputs.is_sorted_by(|a, b| a.1 < b.1) && content.inputs.is_sorted());
        for skipped in 0..=inputs.len() {
            let mut given = Attributes::new().with("title", "title").with("longNameT", "-").with("0", "-");
            for name in inputs.iter().enumerate().filter(|(at, _)| *at != skipped).map(|(_, name)| *name) {
                given.set(name, vec![name.into()]);
            }
            let slots = content.by_slot(given.iter());
            for (slot, (_, name)) in slots.into_iter().zip(&content.inputs) {
                assert_eq!(slot, given.get(name.as_str()), "{name}");
            }
        }
    }
}
