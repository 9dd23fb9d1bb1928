//! The chain: closed ranges of audit entries, each sealed with a hash that includes the seal before it.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::error::Result;
use crate::id::RealmId;
use crate::store::{self, Changes, Commit, Row, Select, Store, Stream};
use crate::value::Timestamp;

/// Entries read at a time.
const PAGE: u32 = 1_000;
/// Entries in one seal.
const RANGE_MAX: u64 = 10_000;

/// A closed range of audit entries.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seal {
    /// From 1.
    pub number: u64,
    /// Number of the last entry before the range.
    pub after: u64,
    /// Number of the last entry in the range.
    pub last: u64,
    /// How many entries the range has.
    pub count: u64,
    /// SHA-256 over the hash of the seal before, then each entry's number and text.
    pub hash: String,
    /// When it was closed.
    pub at: Timestamp,
}

impl Seal {
    /// The row's key: sorts by number.
    pub fn row_key(number: u64) -> String {
        format!("{number:012}")
    }
}

/// What `verify` found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// Sealed ranges checked.
    pub seals: u64,
    /// Entries checked.
    pub entries: u64,
    /// Entries not sealed yet.
    pub unsealed: u64,
    /// The first thing that is wrong.
    pub broken: Option<String>,
}

impl Verdict {
    /// True when every sealed range is as it was sealed.
    pub fn is_whole(&self) -> bool {
        self.broken.is_none()
    }
}

/// Seals everything not sealed yet. Two sealers at once: one of them wins, the other does nothing.
pub async fn seal(store: &dyn Store, realm: &RealmId) -> Result<u64> {
    let mut sealed = 0;
    loop {
        let last = last_seal(store, realm).await?;
        let (number, after, before) =
            last.map_or((1, 0, String::new()), |seal| (seal.number + 1, seal.last, seal.hash));
        let mut range = Range::start(&before);
        while range.count < RANGE_MAX {
            let rows = store.read_stream(realm, Stream::Audit, range.last.max(after), PAGE).await?;
            if rows.is_empty() {
                break;
            }
            rows.iter().for_each(|(number, row)| range.add(*number, row));
        }
        if range.count == 0 {
            return Ok(sealed);
        }
        let (last, count) = (range.last, range.count);
        let seal = Seal { number, after, last, count, hash: range.finish(), at: store.now().await? };
        let mut changes = Changes::in_realm(realm);
        changes.insert(&seal)?;
        if store.commit(changes).await? != Commit::Committed {
            return Ok(sealed);
        }
        sealed += count;
    }
}

/// Recomputes every seal from the entries.
pub async fn verify(store: &dyn Store, realm: &RealmId) -> Result<Verdict> {
    let mut verdict = Verdict { seals: 0, entries: 0, unsealed: 0, broken: None };
    let (mut cursor, mut before, mut position, mut expected) = (None, String::new(), 0u64, 1u64);
    loop {
        let (seals, next) =
            store::list_by::<Seal>(store, realm, Select::KeyPrefix(String::new()), cursor, 100).await?;
        for seal in seals.into_iter().map(|stored| stored.value) {
            if seal.number != expected || seal.after != position {
                verdict.broken =
                    Some(format!("seal {expected} is missing or does not follow the one before it"));
                return Ok(verdict);
            }
            let range = read_range(store, realm, &before, &seal).await?;
            let (count, hash) = (range.count, range.finish());
            if count != seal.count || hash != seal.hash {
                verdict.broken = Some(format!(
                    "entries {} to {} are not those that were sealed ({} of {} found)",
                    seal.after + 1,
                    seal.last,
                    count,
                    seal.count
                ));
                return Ok(verdict);
            }
            verdict.seals += 1;
            verdict.entries += seal.count;
            (before, position, expected) = (seal.hash, seal.last, seal.number + 1);
        }
        cursor = next;
        if cursor.is_none() {
            break;
        }
    }
    loop {
        let rows = store.read_stream(realm, Stream::Audit, position, PAGE).await?;
        let Some((last, _)) = rows.last() else { break };
        position = *last;
        verdict.unsealed += rows.len() as u64;
    }
    Ok(verdict)
}

async fn read_range(store: &dyn Store, realm: &RealmId, before: &str, seal: &Seal) -> Result<Range> {
    let mut range = Range::start(before);
    let mut position = seal.after;
    while position < seal.last {
        let rows = store.read_stream(realm, Stream::Audit, position, PAGE).await?;
        let Some((last, _)) = rows.last() else { break };
        position = *last;
        rows.iter()
            .filter(|(number, _)| *number <= seal.last)
            .for_each(|(number, row)| range.add(*number, row));
    }
    Ok(range)
}

/// The seal with the highest number. Seals count from 1 without gaps, so that a few reads by key find it, however many
/// there are; a gap is for `verify` to find.
async fn last_seal(store: &dyn Store, realm: &RealmId) -> Result<Option<Seal>> {
    // The last power of two that is there, then the numbers up to the next one, halved.
    let powers: Vec<String> = (0..40u32).map(|power| Seal::row_key(1 << power)).collect();
    let known = store::get_many::<Seal>(store, realm, &powers).await?;
    let Some(mut last) = known.into_iter().flatten().last().map(|seal| seal.value) else { return Ok(None) };
    let mut absent = last.number.saturating_mul(2);
    while absent.saturating_sub(last.number) > 1 {
        let middle = last.number + (absent - last.number) / 2;
        match store::get::<Seal>(store, realm, &Seal::row_key(middle)).await? {
            Some(seal) => last = seal.value,
            None => absent = middle,
        }
    }
    Ok(Some(last))
}

struct Range {
    hasher: Sha256,
    last: u64,
    count: u64,
}

impl Range {
    fn start(before: &str) -> Self {
        let mut hasher = Sha256::new();
        hasher.update(before.as_bytes());
        Self { hasher, last: 0, count: 0 }
    }

    fn add(&mut self, number: u64, row: &Row) {
        self.hasher.update(number.to_be_bytes());
        self.hasher.update((row.body.len() as u64).to_be_bytes());
        self.hasher.update(row.body.as_bytes());
        self.last = number;
        self.count += 1;
    }

    fn finish(self) -> String {
        hex::encode(self.hasher.finalize())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::runtime::FixedClock;
    use crate::store::MemoryStore;

    #[tokio::test]
    async fn the_last_seal_is_found_among_any_number() {
        let at = Timestamp::from_micros(1_000_000);
        let store = MemoryStore::new(Arc::new(FixedClock::at(at)));
        let realm = RealmId::new("main");
        assert_eq!(last_seal(&store, &realm).await.unwrap(), None);
        for number in 1..=70 {
            let seal = Seal { number, after: number - 1, last: number, count: 1, hash: String::new(), at };
            let mut changes = Changes::in_realm(&realm);
            changes.insert(&seal).unwrap();
            store.commit(changes).await.unwrap();
            assert_eq!(last_seal(&store, &realm).await.unwrap(), Some(seal));
        }
    }
}
