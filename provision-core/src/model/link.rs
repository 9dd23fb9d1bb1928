//! The link: our record that an object on a target stands for a subject.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Subject;
use crate::connector::ObjectKey;
use crate::id::{ClassName, LinkId, PlanId, RealmId, Tag, TargetName};
use crate::value::{AttrName, Attributes, Timestamp};

/// Where a link stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LinkState {
    /// Kept right.
    Active,
    /// Offboarding has begun: only offboarding steps.
    Leaving,
    /// Over: nothing is sent until an explicit rehire or relink.
    Inactive,
}

/// Binds a subject to an object on a target; unique by (realm, target, class, tag, subject).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// Our id; sent to targets that keep an idempotency marker.
    pub id: LinkId,
    /// The tenant.
    pub realm: RealmId,
    /// The target.
    pub target: TargetName,
    /// The object's class.
    pub class: ClassName,
    /// Which of the subject's objects there.
    pub tag: Tag,
    /// What the object stands for.
    pub subject: Subject,
    /// The object's key on the target. `None` after a delete, and from the moment a create is begun until it is known
    /// to have succeeded.
    pub key: Option<ObjectKey>,
    /// Where the link stands.
    pub state: LinkState,
    /// Whether the account is enabled, as last applied or seen; `None` where the target cannot disable.
    pub enabled: Option<bool>,
    /// What we last wrote, attribute by attribute.
    pub applied: Attributes,
    /// What the target showed after that write. A later read that differs is drift; a target that normalises is not.
    pub observed: Attributes,
    /// Hash of each mapping's inputs at the last applied write; strength `normal` looks at it.
    pub inputs: BTreeMap<AttrName, String>,
    /// When `observed` was read.
    pub observed_at: Option<Timestamp>,
    /// When a step last wrote this record: a listing that began before says nothing about what is in it.
    #[serde(default)]
    pub written_at: Option<Timestamp>,
    /// Attributes whose value on the target is no longer what it showed after our write, as last seen.
    #[serde(default)]
    pub drift: Attributes,
    /// Foreign values that the target showed again right after we took them away: they are not taken away again.
    #[serde(default, skip_serializing_if = "Attributes::is_empty")]
    pub insisted: Attributes,
    /// Counts the changes of this record.
    pub revision: u64,
    /// The plan that changed it last.
    #[serde(default)]
    pub last_plan: Option<PlanId>,
    /// The object was found missing on the target by a complete read.
    #[serde(default)]
    pub missing: bool,
    /// When the object was last compared, what it showed then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compared: Option<Compared>,
}

/// What an object showed when it was last compared with its link.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Compared {
    /// A hash of its key, its state and the attributes we look at, in hexadecimal.
    pub fingerprint: String,
    /// The link's revision after the comparison: of no use once the link has been changed.
    pub revision: u64,
}

impl Link {
    /// An active link without an object yet: what a create makes.
    pub fn new(
        id: LinkId,
        realm: RealmId,
        target: TargetName,
        class: ClassName,
        tag: Tag,
        subject: Subject,
    ) -> Self {
        Self {
            id,
            realm,
            target,
            class,
            tag,
            subject,
            key: None,
            state: LinkState::Active,
            enabled: None,
            applied: Attributes::new(),
            observed: Attributes::new(),
            inputs: BTreeMap::new(),
            observed_at: None,
            written_at: None,
            drift: Attributes::new(),
            insisted: Attributes::new(),
            revision: 0,
            last_plan: None,
            missing: false,
            compared: None,
        }
    }

    /// True when there is no object: a create was begun and is not known to have succeeded, or is to come.
    pub fn is_only_begun(&self) -> bool {
        self.key.is_none() && self.state == LinkState::Active
    }

    /// Whether references of other objects can point at the object.
    pub fn is_referable(&self) -> bool {
        self.key.is_some() && self.state == LinkState::Active && !self.missing
    }

    /// The stable text form of what makes a link unique: its row key.
    pub fn row_key(target: &TargetName, class: &ClassName, tag: &Tag, subject: &Subject) -> String {
        // Put together by hand: every read and write of a link makes one.
        let mut buffer = uuid::Uuid::encode_buffer();
        let (kind, name) = match subject {
            Subject::Identity(id) => ("identity", &*id.uuid().hyphenated().encode_lower(&mut buffer)),
            Subject::Role(name) => ("role", name.as_str()),
            Subject::Unit(name) => ("unit", name.as_str()),
        };
        let (target, class, tag) = (target.as_str(), class.as_str(), tag.as_str());
        [target, "/", class, "/", tag, "/", kind, ":", name].concat()
    }
}
