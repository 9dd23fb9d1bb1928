//! What a decision was made on: as long as it stays the same, nobody is asked again.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::value::{AttrName, Attributes};

/// Hashes of the attributes of a record or object that correlation looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Evidence(BTreeMap<AttrName, String>);

impl Evidence {
    /// Of some attributes; one without values is evidence too.
    pub fn of(names: &BTreeSet<AttrName>, attributes: &Attributes) -> Self {
        let hash = |name: &AttrName| {
            let values = serde_json::to_vec(attributes.values(name.as_str())).unwrap_or_default();
            hex::encode(Sha256::digest(values).get(..8).unwrap_or_default())
        };
        Self(names.iter().map(|name| (name.clone(), hash(name))).collect())
    }

    /// With other evidence added.
    #[must_use]
    pub fn with(mut self, other: Self) -> Self {
        self.0.extend(other.0);
        self
    }

    /// Whether nothing is known: a decision from before evidence was kept.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether an attribute that both looked at has other values now. Rules that look at more than they did are no
    /// reason to ask again.
    pub fn contradicts(&self, now: &Self) -> bool {
        self.0.iter().any(|(name, hash)| now.0.get(name).is_some_and(|now| now != hash))
    }
}
