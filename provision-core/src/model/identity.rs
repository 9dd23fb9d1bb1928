//! The identity: a person or service, computed from its source records.

use serde::{Deserialize, Serialize};

use super::engagement::together;
use super::{Employment, Engagement, Lifecycle, Subject};
use crate::error::Result;
use crate::id::{IdentityId, RealmId, RoleName, SourceName};
use crate::value::{Attributes, Timestamp, Zone};

/// A person or a service, as the sources together describe it.
///
/// Attributes use the SCIM core and enterprise names (`userName`, `givenName`, `familyName`, `department`, ...) plus
/// declared extensions. Lifecycle and ids are not attributes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// Our id.
    pub id: IdentityId,
    /// The tenant.
    pub realm: RealmId,
    /// Attributes by declared precedence of the sources.
    pub attributes: Attributes,
    /// Which source each attribute came from.
    #[serde(default)]
    pub provenance: std::collections::BTreeMap<crate::value::AttrName, SourceName>,
    /// Employment from the highest-ranking source that asserts it; with several engagements, that of the first.
    pub employment: Employment,
    /// The engagements, where there are several: the first one leads while it stands. Attributes and employment above
    /// are as they made them when the identity was last written; [`Identity::as_of`] tells them for any instant.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub engagements: Vec<Engagement>,
    /// The person's time zone: dates without zone are read in it.
    pub zone: Zone,
    /// The source whose record the identity was made from first; with `key`, the order names are allotted in.
    pub source: SourceName,
    /// The key of that record.
    pub key: String,
    /// Counts the changes; part of every derivation.
    pub version: u64,
    /// When lifecycle or anything else changes by the clock alone.
    pub next_change_at: Option<Timestamp>,
}

impl Identity {
    /// Whether the person has left, at an instant.
    pub(crate) fn has_left(&self, now: Timestamp) -> Result<bool> {
        Ok(self.lifecycle(now)?.0 == Lifecycle::Terminated)
    }

    /// Where the identity stands at `now`, and when that changes by itself.
    pub fn lifecycle(&self, now: Timestamp) -> Result<(Lifecycle, Option<Timestamp>)> {
        match self.engagements.as_slice() {
            [] => self.employment.at(now, &self.zone),
            several => together(several, now),
        }
    }

    /// The role, of the record of one: what objects of targets that stand for a role belong to. `None` of a person or
    /// a service.
    pub fn role(&self) -> Option<RoleName> {
        (self.source == SourceName::roles()).then(|| RoleName::new(&self.key))
    }

    /// Source and key: the order in which names are allotted, and the key of the identity's work.
    pub fn order(&self) -> String {
        super::SourceRecord::row_key(&self.source, &self.key)
    }

    /// A line people recognise the identity by: `hr:1042 (Jane Doe)`, or `role:app-admins`.
    pub fn label(&self) -> String {
        if let Some(role) = self.role() {
            return Subject::Role(role.as_str().to_owned()).to_string();
        }
        let name = self.attributes.text("displayName").map(str::to_owned).unwrap_or_else(|| {
            let parts = [self.attributes.text("givenName"), self.attributes.text("familyName")];
            parts.into_iter().flatten().collect::<Vec<_>>().join(" ")
        });
        if name.is_empty() {
            format!("{}:{}", self.source, crate::text::escape(&self.key))
        } else {
            format!("{}:{} ({})", self.source, crate::text::escape(&self.key), crate::text::escape(&name))
        }
    }
}
