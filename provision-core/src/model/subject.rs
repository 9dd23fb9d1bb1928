//! What an object on a target stands for.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::id::IdentityId;

/// What an object on a target stands for: an identity, a role or an organisational unit.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Subject {
    /// A person or service: its account.
    Identity(IdentityId),
    /// A role: its group.
    Role(String),
    /// An organisational unit: its container.
    Unit(String),
}

impl Subject {
    /// The identity, if it is one.
    pub fn identity(&self) -> Option<IdentityId> {
        match self {
            Self::Identity(id) => Some(*id),
            _ => None,
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Identity(id) => write!(f, "identity:{id}"),
            Self::Role(name) => write!(f, "role:{}", crate::text::escape(name)),
            Self::Unit(name) => write!(f, "unit:{}", crate::text::escape(name)),
        }
    }
}
