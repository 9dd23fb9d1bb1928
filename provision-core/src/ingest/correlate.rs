//! Finding the identity of a new record among those that other sources made.
//!
//! For every correlation rule of the realm each identity has a row in `identity_key`, keyed by the rule, the folded
//! values and the identity. The rows are a hint: a hit is checked against the identity before it counts.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::compute::Sources;
use super::{Ingest, TRIES_MAX, conflict};
use crate::error::{Error, ErrorKind, Result};
use crate::id::IdentityId;
use crate::model::Identity;
use crate::source::CorrelationRule;
use crate::store::{self, Changes, Expect, Put, Record, Select, Table};
use crate::value::Attributes;

/// Candidates looked at; more of them are a dispute anyway.
const CANDIDATES_MAX: u32 = 20;
/// The row that says which rules have their keys, and serialises those who make identities.
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

/// Which rules have their keys in the store.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct RuleIndex {
    rules: BTreeSet<String>,
    #[serde(skip)]
    version: Option<u64>,
}

impl RuleIndex {
    /// Makes two commits that create identities or change their keys exclude each other: the second one has looked
    /// for candidates before the first one's were there.
    pub(super) fn lock(&self, changes: &mut Changes) -> Result<()> {
        let (table, key) = (Table::Meta, INDEX.to_owned());
        changes.expect.push(match self.version {
            Some(version) => Expect::Version { table, key, version },
            None => Expect::Absent { table, key },
        });
        let body = serde_json::to_string(self).map_err(|error| {
            Error::new(ErrorKind::Unexpected, "cannot encode the correlation index").with_source(error)
        })?;
        changes.put.push(Put { table, key: INDEX.to_owned(), columns: Vec::new(), body });
        Ok(())
    }
}

fn name_of(rule: &CorrelationRule) -> String {
    rule.attributes.iter().map(|name| name.as_str()).collect::<Vec<_>>().join(",")
}

/// The rules of all sources, once each.
pub(super) fn rules(sources: &Sources) -> Vec<&CorrelationRule> {
    let mut seen = BTreeSet::new();
    sources
        .values()
        .flat_map(|source| &source.correlate)
        .filter(|rule| !rule.attributes.is_empty() && seen.insert(name_of(rule)))
        .collect()
}

/// `attr,attr=["value","value"]|`: what the keys of all identities with these values start with. `None` when one of
/// the attributes has no value. Only first values count; case is ignored.
pub(super) fn prefix(rule: &CorrelationRule, attributes: &Attributes) -> Option<String> {
    let values: Option<Vec<String>> = rule
        .attributes
        .iter()
        .map(|name| attributes.first(name.as_str()).map(|value| value.to_plain().trim().to_lowercase()))
        .collect();
    let values = values.filter(|values| values.iter().all(|value| !value.is_empty()))?;
    // A JSON list is never the beginning of another one, whatever the values hold.
    Some(format!("{}={}|", name_of(rule), serde_json::json!(values)))
}

fn keys(rules: &[&CorrelationRule], attributes: &Attributes, identity: IdentityId) -> BTreeSet<String> {
    rules
        .iter()
        .filter_map(|rule| prefix(rule, attributes))
        .map(|prefix| format!("{prefix}{identity}"))
        .collect()
}

/// Brings the keys of an identity up to date; true if any changed.
pub(super) fn write_keys(
    changes: &mut Changes,
    rules: &[&CorrelationRule],
    before: Option<&Identity>,
    after: &Identity,
) -> Result<bool> {
    let old = before.map(|before| keys(rules, &before.attributes, after.id)).unwrap_or_default();
    let new = keys(rules, &after.attributes, after.id);
    for key in old.difference(&new) {
        changes.delete::<IdentityKey>(key.clone());
    }
    for key in new.difference(&old) {
        changes.put(&IdentityKey { key: key.clone(), identity: after.id })?;
    }
    Ok(old != new)
}

impl Ingest<'_> {
    /// Identities whose attributes match; checked, in the order of their ids.
    pub(super) async fn candidates(
        &self,
        rule: &CorrelationRule,
        attributes: &Attributes,
    ) -> Result<Vec<Identity>> {
        let Some(prefix) = prefix(rule, attributes) else { return Ok(Vec::new()) };
        let select = Select::KeyPrefix(prefix.clone());
        let (hits, _) =
            store::list_by::<IdentityKey>(self.store, self.realm, select, None, CANDIDATES_MAX).await?;
        let ids: Vec<String> = hits.iter().map(|hit| hit.value.identity.to_string()).collect();
        let identities = store::get_many::<Identity>(self.store, self.realm, &ids).await?;
        Ok(identities
            .into_iter()
            .flatten()
            .map(|identity| identity.value)
            .filter(|identity| self::prefix(rule, &identity.attributes).as_ref() == Some(&prefix))
            .collect())
    }

    /// Reads the rule index; keys of rules configured since are made for all identities first.
    pub(super) async fn rule_index(&self, rules: &[&CorrelationRule]) -> Result<RuleIndex> {
        for _ in 0..TRIES_MAX {
            let mut index = self.read_index().await?;
            let missing: Vec<&CorrelationRule> =
                rules.iter().filter(|rule| !index.rules.contains(&name_of(rule))).copied().collect();
            if missing.is_empty() {
                return Ok(index);
            }
            self.make_keys(&missing).await?;
            // Rules that no source has any more lose their place: their keys are no longer kept up to date.
            index.rules = rules.iter().map(|rule| name_of(rule)).collect();
            let mut changes = Changes::in_realm(self.realm);
            index.lock(&mut changes)?;
            // Refused: identities were made meanwhile, perhaps without the missing keys.
            self.store.commit(changes).await?;
        }
        Err(conflict("other feeds made identities faster than their correlation keys could be made"))
    }

    async fn make_keys(&self, rules: &[&CorrelationRule]) -> Result<()> {
        let mut cursor = None;
        loop {
            let select = Select::KeyPrefix(String::new());
            let (identities, next) =
                store::list_by::<Identity>(self.store, self.realm, select, cursor, self.batch).await?;
            let mut changes = Changes::in_realm(self.realm);
            // Roles are nobody's records.
            for identity in identities.iter().filter(|identity| identity.value.role().is_none()) {
                write_keys(&mut changes, rules, None, &identity.value)?;
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
