//! What the engine must know of a source: what it may assert, how absence is read, when a feed is suspicious.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::correlate::SourceCorrelation;
use crate::id::SourceName;
use crate::value::{AttrName, Zone};

/// What becomes of records missing from a complete feed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Absence {
    /// Nothing: only an end date or a tombstone ends an employment.
    Ignore,
    /// After this many complete feeds in a row without it, the record is removed.
    RemoveAfter(u32),
}

/// When the delta of a whole feed is held for a person to look at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FeedGuard {
    /// Held when more than this share of the known records would be removed or terminated, in percent.
    pub removed_percent_max: u32,
    /// That many removals are always allowed (small-population exemption).
    pub removed_always: u32,
    /// Held when more than this share of a column's values turned empty, in percent.
    pub cleared_percent_max: u32,
    /// Held when one of these records is missing or terminated.
    pub canaries: BTreeSet<String>,
}

impl Default for FeedGuard {
    fn default() -> Self {
        Self {
            removed_percent_max: 10,
            removed_always: 5,
            cleared_percent_max: 20,
            canaries: BTreeSet::new(),
        }
    }
}

/// How the rows of a source are engagements of people who may have several.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EngagementSettings {
    /// The attribute that tells the person: rows with an equal value are engagements of one, who is known by it. A row
    /// without a value cannot be used.
    pub person: AttrName,
    /// The attribute that is true (`true`, `yes`, `1`) on the row that leads while it stands. Without one, or where no
    /// row or several say so, the source's precedence and then the rows' keys decide.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub primary: Option<AttrName>,
}

/// A configured source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourceSettings {
    /// Its name.
    pub name: SourceName,
    /// The kind of source, as registered.
    pub kind: String,
    /// The kind's own configuration. Secrets are references, never values.
    #[serde(default)]
    pub config: serde_json::Value,
    /// Lower wins where several sources assert an attribute.
    #[serde(default)]
    pub precedence: u32,
    /// Another precedence than that for these attributes.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub precedence_of: BTreeMap<AttrName, u32>,
    /// Attributes of which an empty value says nothing while another source has a value. Of all others it is what the
    /// source says: that there is none.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub null_yields: BTreeSet<AttrName>,
    /// Its rows are engagements; `None`: each row is a person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub engagements: Option<EngagementSettings>,
    /// Attributes it may assert; `None`: every one it delivers.
    #[serde(default)]
    pub asserts: Option<BTreeSet<AttrName>>,
    /// It may assert employment (joiners, leavers).
    #[serde(default = "yes")]
    pub asserts_lifecycle: bool,
    /// How absence is read.
    #[serde(default = "default_absence")]
    pub absence: Absence,
    /// When a feed is held.
    #[serde(default)]
    pub guard: FeedGuard,
    /// How a new record finds its identity; nobody matches: a new one.
    #[serde(default)]
    pub correlate: SourceCorrelation,
    /// Zone of records that name none.
    #[serde(default = "Zone::utc")]
    pub zone: Zone,
}

fn yes() -> bool {
    true
}

fn default_absence() -> Absence {
    Absence::RemoveAfter(1)
}
