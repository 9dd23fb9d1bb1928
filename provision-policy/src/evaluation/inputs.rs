//! What a value was made from: for people as references, for strength `normal` as a hash.

use provision_core::id::PolicyRef;
use provision_core::policy::InputRef;
use provision_core::value::AttrName;
use sha2::{Digest, Sha256};

use crate::expression::{Facts, Reads, Traced};

/// Hexadecimal digits of a hash that are kept.
const DIGITS: usize = 32;
/// Bytes that nearly every value fits in.
const JSON: usize = 64;

/// What a mapping is made from: its id, its text and what it reads. All that is the same for everybody is in the hash
/// before the first person comes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Inputs {
    /// Everything it reads, shared values included.
    pub(crate) reads: Reads,
    /// The numbers of the slots of what it reads, in the order of `reads.attributes`.
    slots: Vec<usize>,
    begun: Sha256,
}

impl Inputs {
    /// The inputs of the mapping with this id and these texts; `attributes` are those that have slots, in order.
    pub(crate) fn new(id: &PolicyRef, texts: &[&str], reads: Reads, attributes: &[AttrName]) -> Self {
        let mut begun = Sha256::new();
        add(&mut begun, "id", id.as_str());
        texts.iter().for_each(|text| add(&mut begun, "text", text));
        let slot = |name: &AttrName| attributes.binary_search(name).unwrap_or(usize::MAX);
        Self { slots: reads.attributes.iter().map(slot).collect(), reads, begun }
    }

    /// The attributes read, each with the source that asserted it.
    pub(super) fn references(&self, facts: &Facts<'_>) -> Vec<InputRef> {
        let of = |(attribute, slot): (&AttrName, &usize)| InputRef {
            attribute: attribute.clone(),
            source: facts.origins.get(*slot).copied().flatten().cloned(),
        };
        self.reads.attributes.iter().zip(&self.slots).map(of).collect()
    }

    /// True when no source says anything of what it reads: neither a value nor that there is none.
    pub(super) fn silent(&self, facts: &Facts<'_>) -> bool {
        !self.slots.is_empty()
            && self.slots.iter().all(|slot| facts.slots.get(*slot).copied().flatten().is_none())
    }

    /// A hash of the mapping, its text and everything it read: it changes when, and only when, one of them does.
    pub(super) fn hash(&self, facts: &Facts<'_>, rows: &Traced) -> String {
        let mut hasher = self.begun.clone();
        let reads = &self.reads;
        let mut json = Vec::with_capacity(JSON);
        for (attribute, slot) in reads.attributes.iter().zip(&self.slots) {
            // Absent, null and values are three different texts.
            json.clear();
            if let Some(slot) = facts.slots.get(*slot).copied().flatten()
                && serde_json::to_writer(&mut json, slot).is_err()
            {
                json.clear();
            }
            add_bytes(&mut hasher, attribute.as_str(), &json);
        }
        let mut add = |name: &str, value: &str| add(&mut hasher, name, value);
        for name in &reads.names {
            add("name", name);
            add("is", facts.names.get(name.as_str()).map(String::as_str).unwrap_or_default());
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
        digits(hasher)
    }
}

/// The hash of a name: a name is made once, only another name is a changed input.
pub(super) fn hash_of_name(inputs: &Inputs, name: &str) -> String {
    let mut hasher = inputs.begun.clone();
    add(&mut hasher, "text", name);
    digits(hasher)
}

/// The hash of several mappings together: another one when one of theirs is.
pub(super) fn hash_of_parts(inputs: &Inputs, parts: &[String]) -> String {
    let mut hasher = inputs.begun.clone();
    parts.iter().for_each(|part| add(&mut hasher, "part", part));
    digits(hasher)
}

fn add(hasher: &mut Sha256, name: &str, value: &str) {
    add_bytes(hasher, name, value.as_bytes());
}

fn add_bytes(hasher: &mut Sha256, name: &str, value: &[u8]) {
    for part in [name.as_bytes(), value] {
        hasher.update((part.len() as u64).to_be_bytes());
        hasher.update(part);
    }
}

fn digits(hasher: Sha256) -> String {
    let mut digits = String::with_capacity(DIGITS);
    for byte in hasher.finalize().iter().take(DIGITS / 2) {
        digits
            .extend([byte >> 4, byte & 15].into_iter().filter_map(|four| char::from_digit(four.into(), 16)));
    }
    digits
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Links hold these hashes: another one for the same inputs would write values again that somebody has corrected
    /// on the target.
    #[test]
    fn a_hash_is_what_it_was() {
        let inputs = Inputs::new(&PolicyRef::new("a"), &["user.x"], Reads::default(), &[]);
        assert_eq!(hash_of_name(&inputs, "joe"), "013e575e29c0d607249d833370e7901e");
    }
}
