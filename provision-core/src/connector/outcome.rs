//! What operations return.

use serde::{Deserialize, Serialize};

use crate::delta::Delta;
use crate::error::ErrorRecord;
use crate::id::ClassName;
use crate::value::Attributes;

/// How an object is found again: a stable id that never changes, and the name people use.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ObjectKey {
    /// Opaque, never reused, survives a rename (`objectGUID`, SCIM `id`).
    pub id: String,
    /// The object's present name on the target (`dn`, `userName`), where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

impl ObjectKey {
    /// A key with an id alone.
    pub fn id(id: impl Into<String>) -> Self {
        Self { id: id.into(), name: None }
    }
}

/// An object as read from a target.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Object {
    /// Its class.
    pub class: ClassName,
    /// Its key.
    pub key: ObjectKey,
    /// Its attributes, in the schema's spelling and types.
    pub attributes: Attributes,
    /// Enabled or disabled; `None` where the class has no such state.
    pub enabled: Option<bool>,
}

/// How a write ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It is done.
    Done(WriteDone),
    /// The target works on it; ask again with the ticket.
    Pending {
        /// What to ask with.
        ticket: String,
    },
}

impl Outcome {
    /// Done, with a key and nothing else to say.
    pub fn done(key: ObjectKey) -> Self {
        Self::Done(WriteDone { key, observed: None, side_effects: Delta::new() })
    }
}

/// A finished write.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WriteDone {
    /// The object's key after the write.
    pub key: ObjectKey,
    /// The object after the write, where the target told it for free. `None` is not empty.
    pub observed: Option<Attributes>,
    /// What the target changed besides what was asked, where it told.
    pub side_effects: Delta,
}

/// How one edge ended: `None` for success.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EdgeOutcome {
    /// What failed.
    pub error: Option<ErrorRecord>,
}

/// One change of a change feed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangeEvent {
    /// What changed.
    pub key: ObjectKey,
    /// The object is gone.
    pub deleted: bool,
    /// The object, where it came for free.
    pub object: Option<Object>,
}

/// A page of a change feed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangePage {
    /// The changes, oldest first.
    pub events: Vec<ChangeEvent>,
    /// Where to go on.
    pub token: Vec<u8>,
    /// More is ready now.
    pub more: bool,
}
