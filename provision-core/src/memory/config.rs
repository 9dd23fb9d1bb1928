//! The configuration of an in-memory target.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{Faults, Manners, personality};
use crate::connector::FilterSupport;
use crate::error::{Error, ErrorKind, Result};
use crate::id::ClassName;
use crate::schema::{CaseRule, ObjectClass};
use crate::value::AttrName;

/// A shape of target that comes with the connector.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Personality {
    /// Shaped like Active Directory: classes `user` and `group`, names without case, `dn` as naming attribute.
    #[default]
    Directory,
    /// One class `account`, named by a unique `userName`; names exact in case.
    Plain,
    /// Shaped like a SCIM 2.0 service: classes `User` and `Group`, names without case, ids from the server, no change
    /// feed, filters by equality only, pages that tell how many objects there are in all.
    Service,
}

/// One class of an in-memory target.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MemoryClass {
    /// Its attributes.
    pub attributes: BTreeMap<AttrName, crate::schema::AttributeSchema>,
    /// How attribute names compare.
    #[serde(default)]
    pub names: CaseRule,
    /// The attribute that names an object.
    #[serde(default)]
    pub naming: Option<AttrName>,
    /// Objects are enabled or disabled, and sign in with a password.
    #[serde(default)]
    pub sign_in: bool,
    /// Objects have members; the class gets the computed attribute `member`, all other classes `memberOf`.
    #[serde(default)]
    pub members: bool,
    /// Objects can be deleted.
    #[serde(default = "yes")]
    pub delete: bool,
    /// Objects are only read: nobody but the target's own people makes or changes them.
    #[serde(default)]
    pub read_only: bool,
    /// The target tells what changed.
    #[serde(default = "yes")]
    pub changes: bool,
    /// Each page of a listing tells how many objects there are in all.
    #[serde(default)]
    pub totals: bool,
    /// The filters the target evaluates, unless the configuration says; all when absent.
    #[serde(default)]
    pub filter: Option<FilterSupport>,
    /// Attributes looked up by equality or prefix without reading the whole class; unique ones always are.
    #[serde(default)]
    pub indexed: BTreeSet<AttrName>,
}

fn yes() -> bool {
    true
}

/// The configuration of an in-memory target. The default is a directory without state file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MemoryConfig {
    /// The shape of the target, unless `classes` gives another.
    pub personality: Personality,
    /// Own classes, instead of the personality's.
    pub classes: BTreeMap<ClassName, MemoryClass>,
    /// Keeps the content in this file (with `.log` and `.lock` beside it), for one process at a time.
    pub state_file: Option<PathBuf>,
    /// Objects a page may hold.
    pub page_size_max: u32,
    /// Edges a membership request may carry.
    pub members_per_request: u32,
    /// A repeated create with the same link id is answered with the first object.
    pub idempotent_create: bool,
    /// The filters the target evaluates; the class's own when absent.
    pub filter: Option<FilterSupport>,
    /// Deleted objects can be brought back for so many seconds; 0: they are gone for good.
    pub delete_window_s: u64,
    /// A write to an object is answered `Pending`, and its first so many polls too; 0: it is answered at once.
    pub pending_polls: u32,
    /// So many seconds after a write, at most, reads show it: what the target declares. It shows everything at once; a
    /// fault layer in front of it makes reads older.
    pub visible_after_s: u64,
    /// Shortest password in characters.
    pub password_length_min: u32,
    /// Changes the feed remembers; a token that is older is refused.
    pub changes_kept: u32,
    /// What goes wrong.
    pub faults: Faults,
    /// What the target does to values.
    pub manners: Manners,
}

impl Default for MemoryConfig {
    fn default() -> Self {
        Self {
            personality: Personality::default(),
            classes: BTreeMap::new(),
            state_file: None,
            page_size_max: 500,
            members_per_request: 1000,
            idempotent_create: false,
            filter: None,
            delete_window_s: 0,
            pending_polls: 0,
            visible_after_s: 0,
            password_length_min: 8,
            changes_kept: 10_000,
            faults: Faults::default(),
            manners: Manners::default(),
        }
    }
}

impl MemoryConfig {
    /// A target of that shape.
    pub fn personality(personality: Personality) -> Self {
        Self { personality, ..Self::default() }
    }

    /// Reads a configuration; null is the default.
    ///
    /// # Errors
    /// `ConfigInvalid` naming the field.
    pub fn from_value(config: &serde_json::Value) -> Result<Self> {
        if config.is_null() {
            return Ok(Self::default());
        }
        serde::Deserialize::deserialize(config).map_err(|error: serde_json::Error| {
            let message = format!("configuration of the memory target: {error}");
            Error::new(ErrorKind::ConfigInvalid, message)
        })
    }

    /// The classes with what the connector computes, checked.
    pub(super) fn classes(&self) -> Result<BTreeMap<ClassName, MemoryClass>> {
        let mut classes = match (self.classes.is_empty(), self.personality) {
            (false, _) => self.classes.clone(),
            (true, Personality::Directory) => personality::directory(),
            (true, Personality::Plain) => personality::plain(),
            (true, Personality::Service) => personality::service(),
        };
        for (field, value) in [
            ("page_size_max", self.page_size_max),
            ("members_per_request", self.members_per_request),
            ("changes_kept", self.changes_kept),
        ] {
            if value == 0 {
                return Err(invalid(field, "must be at least 1"));
            }
        }
        if let Some(rule) = self.faults.rules.iter().find(|rule| rule.fault.needs_layer()) {
            let problem = format!("has {:?}, which only a fault layer can make", rule.fault);
            return Err(invalid("faults", &problem));
        }
        let grouped = classes.values().any(|class| class.members);
        for (name, class) in &mut classes {
            let named = class.naming.iter().chain(&class.indexed);
            if let Some(missing) = named.into_iter().find(|known| !class.attributes.contains_key(*known)) {
                let field = format!("classes.{name}");
                return Err(invalid(&field, &format!("`{missing}` is not one of its attributes")));
            }
            if class.members {
                class.attributes.insert(AttrName::new("member"), personality::edges());
            } else if grouped {
                class.attributes.insert(AttrName::new("memberOf"), personality::edges());
            }
            let unique = class.attributes.iter().filter(|(_, schema)| schema.unique);
            let unique = unique.map(|(name, _)| name.clone()).collect::<Vec<_>>();
            class.indexed.extend(unique);
        }
        Ok(classes)
    }
}

impl MemoryClass {
    /// The class as the schema shows it.
    pub(super) fn object_class(&self) -> ObjectClass {
        ObjectClass { attributes: self.attributes.clone(), names: self.names, naming: self.naming.clone() }
    }
}

fn invalid(field: &str, problem: &str) -> Error {
    Error::new(ErrorKind::ConfigInvalid, format!("`{field}` {problem}")).with_context("field", field)
}
