//! What a value was made from: for people as references, for strength `normal` as a hash.

use provision_core::id::PolicyRef;
use provision_core::policy::InputRef;
use sha2::{Digest, Sha256};

use crate::expression::{Facts, Reads, Traced};

/// The attributes read, each with the source that asserted it.
pub(super) fn references(reads: &Reads, facts: &Facts<'_>) -> Vec<InputRef> {
    let attributes = reads.attributes.iter();
    attributes
        .map(|attribute| InputRef {
            attribute: attribute.clone(),
            source: facts.identity.provenance.get(attribute.as_str()).cloned(),
        })
        .collect()
}

/// A hash of the mapping, its text and everything it read: it changes when, and only when, one of them does.
pub(super) fn hash(
    id: &PolicyRef,
    texts: &[&str],
    reads: &Reads,
    facts: &Facts<'_>,
    rows: &Traced,
) -> String {
    let mut hasher = Sha256::new();
    let mut add = |name: &str, value: &str| {
        for part in [name, value] {
            hasher.update((part.len() as u64).to_be_bytes());
            hasher.update(part.as_bytes());
        }
    };
    add("id", id.as_str());
    texts.iter().for_each(|text| add("text", text));
    for attribute in &reads.attributes {
        let slot = facts.identity.attributes.get(attribute.as_str());
        // Absent, null and values are three different texts.
        let value = slot.map(|slot| serde_json::to_string(slot).unwrap_or_default()).unwrap_or_default();
        add(attribute.as_str(), &value);
    }
    for name in &reads.names {
        add("name", name);
        add("is", facts.names.get(name).and_then(Option::as_deref).unwrap_or_default());
    }
    rows.iter().for_each(|row| add("row", row));
    if reads.lifecycle {
        add("lifecycle", facts.lifecycle.as_str());
    }
    if reads.today {
        add("today", &facts.today.map(|today| today.to_string()).unwrap_or_default());
    }
    if reads.key {
        add("source", facts.identity.source.as_str());
        add("key", &facts.identity.key);
    }
    if reads.roles {
        facts.roles.iter().for_each(|role| add("role", role));
    }
    if reads.zone {
        add("zone", facts.identity.zone.as_str());
    }
    if reads.locale {
        add("locale", facts.locale.unwrap_or_default());
    }
    let mut hash = hex::encode(hasher.finalize());
    hash.truncate(32);
    hash
}
