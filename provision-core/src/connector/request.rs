//! One request struct per operation. All are data, so that a connector can run in a remote agent.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::ObjectKey;
use crate::delta::Delta;
use crate::filter::Filter;
use crate::id::{ClassName, LinkId};
use crate::value::{AttrName, Attributes, Secret};

/// Read one object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GetRequest {
    /// Class of the object.
    pub class: ClassName,
    /// Its key.
    pub key: ObjectKey,
}

/// List objects of a class.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListRequest {
    /// The class.
    pub class: ClassName,
    /// Only objects that satisfy this; never more than the capabilities declare.
    pub filter: Option<Filter>,
    /// Only these attributes; `None`: all that are returned by default.
    pub attributes: Option<BTreeSet<AttrName>>,
    /// Objects per page; the connector may use fewer.
    pub page_size: u32,
}

impl ListRequest {
    /// All objects of a class, 500 a page.
    pub fn all(class: impl Into<ClassName>) -> Self {
        Self { class: class.into(), filter: None, attributes: None, page_size: 500 }
    }

    /// Objects that satisfy the filter.
    pub fn matching(class: impl Into<ClassName>, filter: Filter) -> Self {
        Self { filter: Some(filter), ..Self::all(class) }
    }
}

/// Create an object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreateRequest {
    /// The class.
    pub class: ClassName,
    /// Its attributes, naming ones included.
    pub attributes: Attributes,
    /// Whether it starts enabled; `None` where the class has no such state.
    pub enabled: Option<bool>,
    /// Our link's id: the same for every attempt to create this object.
    pub idempotency: LinkId,
    /// Initial password, for targets that want it in the create.
    #[serde(skip)]
    pub password: Option<Secret>,
}

/// Change attributes of an object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpdateRequest {
    /// The class.
    pub class: ClassName,
    /// The object.
    pub key: ObjectKey,
    /// What changes.
    pub delta: Delta,
}

/// Change an object's name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RenameRequest {
    /// The class.
    pub class: ClassName,
    /// The object.
    pub key: ObjectKey,
    /// The naming attributes after the rename.
    pub naming: Attributes,
}

/// Delete an object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeleteRequest {
    /// The class.
    pub class: ClassName,
    /// The object.
    pub key: ObjectKey,
}

/// Enable or disable an object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LifecycleRequest {
    /// The class.
    pub class: ClassName,
    /// The object.
    pub key: ObjectKey,
    /// The state afterwards.
    pub enabled: bool,
}

/// Set a password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CredentialRequest {
    /// The class.
    pub class: ClassName,
    /// The object.
    pub key: ObjectKey,
    /// The password.
    pub password: Secret,
    /// The person must change it at the next sign-in.
    pub must_change: bool,
}

/// One edge of a membership request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Edge {
    /// The account.
    pub member: ObjectKey,
    /// True to add, false to remove.
    pub add: bool,
}

/// Change edges of one group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MembershipRequest {
    /// Class of the group.
    pub class: ClassName,
    /// The group.
    pub group: ObjectKey,
    /// Class of the members.
    pub member_class: ClassName,
    /// The edges; at most `members_per_request`.
    pub edges: Vec<Edge>,
}

/// Ask what changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangeFeedRequest {
    /// The class.
    pub class: ClassName,
    /// Where the last page ended; `None`: from now on.
    pub token: Option<Vec<u8>>,
    /// Events per page.
    pub limit: u32,
}

/// Ask for the end of a pending write.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PollRequest {
    /// The ticket of the `Pending` outcome.
    pub ticket: String,
}
