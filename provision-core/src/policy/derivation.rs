//! Why a value is what it is, as ids.

use serde::{Deserialize, Serialize};

use crate::id::{PolicyRef, SourceName};
use crate::value::AttrName;

/// How strongly a mapping insists on its value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Strength {
    /// Written at create and never again.
    CreateOnly,
    /// Written only where the target has no value.
    Weak,
    /// Written when one of its inputs changed since the last applied write.
    #[default]
    Normal,
    /// Always kept so: a foreign value is drift.
    Strong,
}

/// An attribute a value was computed from.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct InputRef {
    /// The identity's attribute.
    pub attribute: AttrName,
    /// The source that asserted it, where one did.
    pub source: Option<SourceName>,
}

/// Why a value is what it is: ids that [`crate::policy::Policy::evaluate`] with the same input explains again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Derivation {
    /// The mapping, rule or role that decided.
    pub mapping: Option<PolicyRef>,
    /// Its strength, for values.
    pub strength: Option<Strength>,
    /// What it read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub inputs: Vec<InputRef>,
    /// Version of the identity it read.
    #[serde(default)]
    pub identity_version: u64,
    /// Mappings for the same attribute that lost.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub overridden: Vec<PolicyRef>,
    /// Mappings for the same attribute whose conditions do not hold.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unmet: Vec<PolicyRef>,
    /// A word more, where ids do not say it: `second candidate, 1 name taken`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}
