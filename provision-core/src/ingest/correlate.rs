//! Finding identities by what they have in common with a record or an object, without reading the population.
//!
//! For every key that a correlation rule needs each identity has rows in `identity_key`: the key's name, the values and
//! the identity. The rows are a hint: a hit is scored against the identity before it counts.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::compute::Sources;
use super::{Ingest, TRIES_MAX, conflict};
use crate::correlate::{Claims, KeySpec, Prepared};
use crate::error::{Error, ErrorKind, Result};
use crate::id::{IdentityId, RealmId};
use crate::model::{ConfiguredTarget, Identity};
use crate::store::{self, Changes, Commit, Expect, Put, Record, Scan, Select, Store, Table};

/// Identities looked at for one key; where there are more the rule says nothing of the others.
const CANDIDATES_MAX: u32 = 20;
/// Identities looked at for one record or object.
const IDENTITIES_MAX: usize = 200;
/// Keys looked up for one record or object.
const LOOKUPS_MAX: usize = 256;
/// The row that says which keys there are, and serialises those who make identities.
const INDEX: &str = "correlation";

/// A correlation value of an identity.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct IdentityKey {
    key: String,
    pub(super) identity: IdentityId,
}

impl Record for IdentityKey {
    const TABLE: Table = Table::IdentityKey;

    fn key(&self) -> String {
        self.key.clone()
    }

    fn columns(&self) -> Vec<(&'static str, String)> {
        vec![("identity", self.identity.to_string())]
    }
}

/// Which keys are in the store.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct RuleIndex {
    /// Those of the short form. All that a process of an earlier version knows: what it writes of this row is without
    /// the others, which are then made anew.
    rules: BTreeSet<String>,
    /// The others that every identity has.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    scored: BTreeSet<String>,
    /// Those that are being made: whoever writes an identity writes them.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    begun: BTreeSet<String>,
    #[serde(skip)]
    version: Option<u64>,
}

impl RuleIndex {
    /// Refuses a commit when other keys are to be written since.
    pub(super) fn expect(&self, changes: &mut Changes) {
        let (table, key) = (Table::Meta, INDEX.to_owned());
        changes.expect.push(match self.version {
            Some(version) => Expect::Version { table, key, version },
            None => Expect::Absent { table, key },
        });
    }

    /// Makes two commits that create identities or change their keys exclude each other: the second one has looked
    /// for candidates before the first one's were there.
    pub(super) fn lock(&self, changes: &mut Changes) -> Result<()> {
        self.expect(changes);
        let body = serde_json::to_string(self).map_err(|error| {
            Error::new(ErrorKind::Unexpected, "cannot encode the correlation index").with_source(error)
        })?;
        changes.put.push(Put { table: Table::Meta, key: INDEX.to_owned(), columns: Vec::new(), body });
        Ok(())
    }

    fn is_made(&self, spec: &KeySpec) -> bool {
        let made = if spec.is_short() { &self.rules } else { &self.scored };
        made.contains(spec.name())
    }

    /// Takes in keys that were made; those that nobody needs any more lose their place, since nobody keeps them up to
    /// date.
    fn settle(&mut self, specs: &BTreeSet<KeySpec>, made: &[&KeySpec]) {
        for spec in made {
            self.begun.remove(spec.name());
            let into = if spec.is_short() { &mut self.rules } else { &mut self.scored };
            into.insert(spec.name().to_owned());
        }
        let needed = |name: &String| specs.iter().any(|spec| spec.name() == name);
        self.rules.retain(needed);
        self.scored.retain(needed);
        self.begun.retain(needed);
    }
}

fn keys(specs: &BTreeSet<KeySpec>, identity: &Identity) -> BTreeSet<String> {
    let prefixes = specs.iter().flat_map(|spec| spec.prefixes_of(&identity.attributes));
    prefixes.map(|prefix| format!("{prefix}{}", identity.id)).collect()
}

/// Brings the keys of an identity up to date; true if any changed.
pub(super) fn write_keys(
    changes: &mut Changes,
    specs: &BTreeSet<KeySpec>,
    before: Option<&Identity>,
    after: &Identity,
) -> Result<bool> {
    let old = before.map(|before| keys(specs, before)).unwrap_or_default();
    let new = keys(specs, after);
    for key in old.difference(&new) {
        changes.delete::<IdentityKey>(key.clone());
    }
    for key in new.difference(&old) {
        changes.put(&IdentityKey { key: key.clone(), identity: after.id })?;
    }
    Ok(old != new)
}

/// Who may be meant.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// In the order of their ids.
    pub(crate) identities: Vec<Identity>,
    /// Places of the rules that match more identities than were looked at.
    pub(crate) cut: BTreeSet<usize>,
}

/// Identities that a rule may match, by their keys. Nothing is checked yet.
pub(crate) async fn look_up(
    store: &dyn Store,
    realm: &RealmId,
    prepared: &Prepared,
    claims: &Claims,
) -> Result<Found> {
    let mut found = Found::default();
    let prefixes = prepared.prefixes(claims);
    found.cut.extend(prefixes.iter().skip(LOOKUPS_MAX).map(|(at, _)| *at));
    let scans: Vec<Scan> = prefixes
        .iter()
        .take(LOOKUPS_MAX)
        .map(|(_, prefix)| Scan {
            realm: realm.clone(),
            table: IdentityKey::TABLE,
            select: Select::KeyPrefix(prefix.clone()),
            after: None,
            limit: CANDIDATES_MAX,
        })
        .collect();
    let mut ids = BTreeSet::new();
    for ((at, _), page) in prefixes.iter().zip(store.scan_all(&scans).await?) {
        if page.next.is_some() || ids.len() >= IDENTITIES_MAX {
            found.cut.insert(*at);
        }
        for row in page.rows.iter().take(IDENTITIES_MAX.saturating_sub(ids.len())) {
            ids.insert(store::decode::<IdentityKey>(row)?.value.identity.to_string());
        }
    }
    let ids: Vec<String> = ids.into_iter().collect();
    let identities = store::get_many::<Identity>(store, realm, &ids).await?;
    found.identities = identities.into_iter().flatten().map(|identity| identity.value).collect();
    Ok(found)
}

impl Ingest<'_> {
    /// Makes sure that identities can be found by every rule that is configured.
    pub(crate) async fn make_findable(&self) -> Result<()> {
        let sources = self.sources().await?;
        let specs = self.key_specs(&sources).await?;
        self.rule_index(&specs).await.map(|_| ())
    }

    /// The keys that the rules of all sources and of all targets' classes need.
    pub(super) async fn key_specs(&self, sources: &Sources) -> Result<BTreeSet<KeySpec>> {
        let mut specs: BTreeSet<KeySpec> =
            sources.values().flat_map(|source| source.correlate.prepare().key_specs()).collect();
        let mut cursor = None;
        loop {
            let select = Select::KeyPrefix(String::new());
            let (page, next) =
                store::list_by::<ConfiguredTarget>(self.store, self.realm, select, cursor, 100).await?;
            let classes = page.iter().flat_map(|target| target.value.settings.classes.values());
            specs.extend(classes.flat_map(|class| class.correlate.prepare().key_specs()));
            cursor = next;
            if cursor.is_none() {
                return Ok(specs);
            }
        }
    }

    /// Reads which keys there are; those that rules configured since need are made for all identities first.
    ///
    /// They are announced before: from then on whoever writes an identity writes them too, and who did not know is
    /// refused. So nobody is left without when all that were there have been gone through.
    pub(super) async fn rule_index(&self, specs: &BTreeSet<KeySpec>) -> Result<RuleIndex> {
        for _ in 0..TRIES_MAX {
            let mut index = self.read_index().await?;
            let missing: Vec<&KeySpec> = specs.iter().filter(|spec| !index.is_made(spec)).collect();
            let known = index.clone();
            if missing.is_empty() {
                index.settle(specs, &[]);
                if (&index.rules, &index.scored, &index.begun) == (&known.rules, &known.scored, &known.begun)
                {
                    return Ok(index);
                }
            } else if missing.iter().all(|spec| index.begun.contains(spec.name())) {
                self.make_keys(&missing.iter().map(|spec| (*spec).clone()).collect()).await?;
                if self.note_made(specs, &missing).await? {
                    continue;
                }
                return Err(conflict("others keep changing what identities are found by"));
            } else {
                index.begun.extend(missing.iter().map(|spec| spec.name().to_owned()));
            }
            let mut changes = Changes::in_realm(self.realm);
            index.lock(&mut changes)?;
            self.store.commit(changes).await?;
        }
        Err(conflict("other feeds made identities faster than their correlation keys could be made"))
    }

    /// Notes that keys were made. What was not announced all the while was perhaps not written by everybody: it is not
    /// noted, and made again.
    async fn note_made(&self, specs: &BTreeSet<KeySpec>, made: &[&KeySpec]) -> Result<bool> {
        for _ in 0..TRIES_MAX {
            let mut index = self.read_index().await?;
            let announced: Vec<&KeySpec> =
                made.iter().filter(|spec| index.begun.contains(spec.name())).copied().collect();
            index.settle(specs, &announced);
            let mut changes = Changes::in_realm(self.realm);
            index.lock(&mut changes)?;
            if self.store.commit(changes).await? == Commit::Committed {
                return Ok(true);
            }
        }
        Ok(false)
    }

    async fn make_keys(&self, specs: &BTreeSet<KeySpec>) -> Result<()> {
        let mut cursor = None;
        loop {
            let select = Select::KeyPrefix(String::new());
            let (identities, next) =
                store::list_by::<Identity>(self.store, self.realm, select, cursor, self.batch).await?;
            let mut changes = Changes::in_realm(self.realm);
            // Roles are nobody's records.
            for identity in identities.iter().filter(|identity| identity.value.role().is_none()) {
                write_keys(&mut changes, specs, None, &identity.value)?;
            }
            if !changes.is_empty() {
                self.store.commit(changes).await?;
            }
            cursor = next;
            if cursor.is_none() {
                return Ok(());
            }
        }
    }

    async fn read_index(&self) -> Result<RuleIndex> {
        let rows = self.store.get(self.realm, Table::Meta, &[INDEX.to_owned()]).await?;
        let Some(row) = rows.into_iter().flatten().next() else { return Ok(RuleIndex::default()) };
        let index: RuleIndex = serde_json::from_str(&row.body).map_err(|error| {
            Error::new(ErrorKind::StoreUnusable, "cannot read the correlation index").with_source(error)
        })?;
        Ok(RuleIndex { version: Some(row.version), ..index })
    }
}
