//! Capabilities: what this target can do now, as data, per object class.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::filter::{Comparison, Filter};
use crate::id::ClassName;
use crate::schema::Schema;
use crate::value::AttrName;

/// What a delete does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeleteStyle {
    /// The object can be brought back for this long.
    Reversible {
        /// How long.
        window: Duration,
    },
    /// It is gone for good.
    Irreversible,
    /// The target cannot delete.
    #[default]
    Unsupported,
}

/// What "disabled" really does on this target.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DisableMeaning {
    /// Sign-in is refused; everything else stays.
    BlocksSignIn,
    /// Sign-in is refused and the person loses memberships or licences.
    DropsAccess,
    /// The flag is kept and has no effect.
    Informational,
    /// There is no such flag.
    #[default]
    Unsupported,
}

/// Which filters the target evaluates.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FilterSupport {
    /// Comparisons it knows.
    pub comparisons: BTreeSet<Comparison>,
    /// Attributes it can compare; `None`: every one.
    pub attributes: Option<BTreeSet<AttrName>>,
    /// It knows `All` (and).
    pub all: bool,
    /// It knows `Any` and `Not`.
    pub any_not: bool,
}

impl FilterSupport {
    /// Every filter.
    pub fn full() -> Self {
        use Comparison::*;
        let comparisons = [Equal, StartsWith, EndsWith, Contains, Greater, GreaterOrEqual, Less, LessOrEqual]
            .into_iter()
            .collect();
        Self { comparisons, attributes: None, all: true, any_not: true }
    }

    /// Whether the target evaluates this node itself (its parts are asked separately).
    pub fn pushes(&self, filter: &Filter) -> bool {
        let known =
            |name: &AttrName| self.attributes.as_ref().is_none_or(|attributes| attributes.contains(name));
        match filter {
            Filter::All(_) => self.all,
            Filter::Any(_) | Filter::Not(_) => self.any_not,
            Filter::Present(path) => self.any_not && known(&path.attribute),
            Filter::Compare(path, comparison, _) => {
                self.comparisons.contains(comparison) && known(&path.attribute)
            }
        }
    }
}

/// What the target can do with one class of objects.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ClassCapabilities {
    /// Creates.
    pub create: bool,
    /// Updates by delta.
    pub update: bool,
    /// Renames (changes of a naming attribute).
    pub rename: bool,
    /// What delete does.
    pub delete: DeleteStyle,
    /// What disable does.
    pub disable: DisableMeaning,
    /// Sets credentials.
    pub credential: bool,
    /// Objects of this class have members, changed through the membership facet.
    pub members: bool,
    /// Edges one membership request may carry.
    pub members_per_request: u32,
    /// Tells what changed.
    pub change_feed: bool,
    /// Lists all objects with a completeness proof.
    pub list_complete: bool,
    /// Objects a page may hold.
    pub page_size_max: u32,
    /// Filters evaluated by the target.
    pub filter: FilterSupport,
    /// The target refuses a second object with the same value of these attributes: a create needs no lookup before it.
    pub unique: BTreeSet<AttrName>,
    /// The target remembers [`super::CreateRequest::idempotency`] and answers a repetition with the first result.
    pub idempotent_create: bool,
    /// A write is visible to reads after at most this long. Before that the engine takes an absence for no proof:
    /// neither of a create whose answer was lost, nor, in a reconcile, of an account that it wrote.
    pub visible_after: Duration,
    /// Writes the target takes at once from us; 0: no limit of its own.
    pub concurrency_max: u32,
}

/// Capabilities by class.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Capabilities {
    /// By class name. A class that is not here cannot be used.
    pub classes: BTreeMap<ClassName, ClassCapabilities>,
}

impl Capabilities {
    /// The capabilities of a class; all off when it is not declared.
    pub fn class(&self, name: &ClassName) -> ClassCapabilities {
        self.classes.get(name).cloned().unwrap_or_default()
    }
}

/// Schema and capabilities: what `discover` returns. A value that can be stored and shared.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Discovery {
    /// Classes and attributes.
    pub schema: Schema,
    /// What can be done with them.
    pub capabilities: Capabilities,
}
