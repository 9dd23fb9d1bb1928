//! The bundle: all policy as versioned, hashed data.

mod account_address;
mod account_map;
mod file;
mod input;
mod load;
mod lookup;
mod name_pattern;
mod namespace;
mod own_group;
mod role;
mod rule;
mod table;
mod table_file;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use provision_core::diagnostic::{Diagnostic, Span};
use provision_core::id::{ClassName, PolicyRef, Tag, TargetName};
use provision_core::policy::Namespace;
use provision_core::value::AttrName;

pub(crate) use account_map::{AccountMap, Condition, Mapping, WhenNull};
pub(crate) use lookup::Lookup;
pub(crate) use name_pattern::NamePattern;
pub(crate) use own_group::ATTRIBUTES as ROLE_ATTRIBUTES;
pub(crate) use role::{Role, RoleGrant};
pub(crate) use rule::{RoleRows, Rule};
pub(crate) use table::{Cell, Row, Table};

use crate::document::{Node, Place, Sources};
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
    pub(crate) lookups: BTreeMap<String, Lookup>,
    pub(crate) tables: BTreeMap<String, Table>,
    /// The attributes that expressions may read, in order: the number of each is that of its slot.
    pub(crate) inputs: Vec<AttrName>,
    /// Expressions shared by name, in the order written: each reads only those before it.
    pub(crate) shared: Vec<Expression>,
    pub(crate) namespaces: Vec<Namespace>,
    pub(crate) roles: BTreeMap<String, Role>,
    pub(crate) rules: Vec<Rule>,
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

    /// Where the mapping, rule or role with this id is written.
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
        // Both are sorted: one walk finds all.
        let mut given = given.into_iter().peekable();
        let mut find = |wanted: &AttrName| {
            while given.next_if(|(name, _)| *name < wanted).is_some() {}
            given.next_if(|(name, _)| *name == wanted).map(|(_, value)| value)
        };
        self.inputs.iter().map(&mut find).collect()
    }

    /// What is written, as one document: read again from the texts, which were read without a problem before.
    pub(crate) fn document(&self) -> Option<Node> {
        load::document(&self.sources)
    }

    /// Where the thing with this id is written, for diagnostics.
    pub(crate) fn locate(&self, id: &str) -> Option<Span> {
        let known = |id: &str| self.places.get(id).copied().or_else(|| self.row_of(id));
        // Reasons name the engagement behind the rule: `rules.clerks@hr/77`.
        let place = known(id).or_else(|| id.match_indices('@').find_map(|(at, _)| known(id.get(..at)?)));
        place.map(|place| self.sources.span(place))
    }

    /// The row that an id like `rules.by-position[positions:ENG-7]` names.
    fn row_of(&self, id: &str) -> Option<Place> {
        let (_, row) = id.strip_suffix(']')?.split_once('[')?;
        let (table, key) = row.split_once(':')?;
        self.tables.get(table)?.row(key).map(|row| row.place)
    }
}
