//! A step: one change of one object, with what must hold before it and why it is done.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::BudgetKind;
use crate::connector::ObjectKey;
use crate::delta::Delta;
use crate::filter::Filter;
use crate::id::{ClassName, IdentityId, PolicyRef, StepId, Tag, TargetName};
use crate::model::Subject;
use crate::policy::{CredentialPolicy, Derivation};
use crate::value::{AttrName, Attributes};

/// A value that an earlier step makes known: the key of the object that a subject gets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutputRef {
    /// The step that creates the object.
    pub step: StepId,
    /// The subject whose object it is.
    pub subject: Subject,
    /// Class of the object.
    pub class: ClassName,
    /// Tag of the object.
    pub tag: Tag,
}

/// What a step does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self", rename_all = "snake_case", tag = "do")]
pub enum Action {
    /// Create the object: look up, create, on conflict look up again.
    Create {
        /// Its attributes.
        attributes: Attributes,
        /// Whether it starts enabled.
        enabled: Option<bool>,
        /// Finds the object by the immutable id that we or the source issued; adoption needs it.
        lookup: Option<Filter>,
        /// Make and set an initial password.
        credential: Option<CredentialPolicy>,
    },
    /// Change attributes.
    Update {
        /// What changes.
        delta: Delta,
        /// References that an earlier step makes known; set beside the delta.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        outputs: BTreeMap<AttrName, OutputRef>,
    },
    /// Change the name.
    Rename {
        /// The naming attributes afterwards.
        naming: Attributes,
    },
    /// Enable the account.
    Enable,
    /// Disable the account.
    Disable,
    /// Delete the object.
    Delete,
    /// Make the account a member of a group.
    AddMember {
        /// Class of the group.
        group_class: ClassName,
        /// Key of the group.
        group: String,
        /// Counts as a privileged grant.
        privileged: bool,
        /// What the group stands for, where that says which it is: its link has the key, which a step of the same plan
        /// may make known. `group` is the key that was known when the plan was made, or the subject as people read it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        of: Option<Subject>,
    },
    /// Take the account out of a group.
    RemoveMember {
        /// Class of the group.
        group_class: ClassName,
        /// Key of the group.
        group: String,
    },
    /// Nothing on the target: the offboarding is done, the link becomes inactive and its names tombstones.
    Release,
}

impl Action {
    /// The word used in reports.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Create { .. } => "create",
            Self::Update { .. } => "update",
            Self::Rename { .. } => "rename",
            Self::Enable => "enable",
            Self::Disable => "disable",
            Self::Delete => "delete",
            Self::AddMember { .. } => "add_member",
            Self::RemoveMember { .. } => "remove_member",
            Self::Release => "release",
        }
    }
}

impl Serialize for Action {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // Not the trait's: the one that the attributes above describe.
        Self::serialize(self, serializer)
    }
}

impl<'de> Deserialize<'de> for Action {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Reader)
    }
}

/// A create has most of what a plan says, and its tag comes first in everything that we write: it is read straight into
/// its place, where the general way keeps a copy of all its fields until it has seen the tag.
struct Reader;

#[derive(Deserialize)]
struct Create {
    attributes: Attributes,
    enabled: Option<bool>,
    lookup: Option<Filter>,
    credential: Option<CredentialPolicy>,
}

impl<'de> Visitor<'de> for Reader {
    type Value = Action;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an action")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Action, A::Error> {
        let mut fields = serde_json::Map::new();
        if let Some(first) = map.next_key::<Cow<'de, str>>()? {
            let value: serde_json::Value = map.next_value()?;
            if first == "do" && value == "create" {
                let Create { attributes, enabled, lookup, credential } =
                    Create::deserialize(MapAccessDeserializer::new(map))?;
                return Ok(Action::Create { attributes, enabled, lookup, credential });
            }
            fields.insert(first.into_owned(), value);
        }
        while let Some((name, value)) = map.next_entry::<String, serde_json::Value>()? {
            fields.insert(name, value);
        }
        Action::deserialize(serde_json::Value::Object(fields)).map_err(serde::de::Error::custom)
    }
}

/// What must still hold when the step is executed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Precondition {
    /// Version of the identity the plan was made from.
    pub identity_version: u64,
    /// Revision of the link the plan was made from (writes of this plan excepted); `None`: there must be none.
    pub link_revision: Option<u64>,
}

/// Why a step is done: for an attribute, or for the step as a whole.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Reason {
    /// The attribute explained; `None`: the step.
    pub attribute: Option<AttrName>,
    /// Why.
    pub derivation: Derivation,
    /// Policy rules, roles or grants that give it, for memberships.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub because: Vec<PolicyRef>,
}

/// One change of one object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// Derived from target, class, tag, subject and action; unique in the plan.
    pub id: StepId,
    /// For whom.
    pub identity: IdentityId,
    /// How people recognise the identity.
    pub label: String,
    /// Where.
    pub target: TargetName,
    /// Class of the object.
    pub class: ClassName,
    /// Which of the identity's objects there.
    pub tag: Tag,
    /// The object; `None` when this plan creates it.
    pub key: Option<ObjectKey>,
    /// What is done.
    pub action: Action,
    /// What it spends.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub budgets: Vec<BudgetKind>,
    /// Part of an offboarding: goes first, and is all that a leaving link may get.
    #[serde(default)]
    pub offboarding: bool,
    /// Steps that must be done before; if one fails, this one is not tried.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub needs: Vec<StepId>,
    /// Hashes of the inputs of the mappings it writes, kept with the link.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub inputs: BTreeMap<AttrName, String>,
    /// Attributes whose values it takes back for good: the link forgets them.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub withdraws: BTreeSet<AttrName>,
    /// What must still hold.
    pub precondition: Precondition,
    /// Why.
    pub reasons: Vec<Reason>,
}
