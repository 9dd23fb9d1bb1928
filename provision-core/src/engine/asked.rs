//! An explanation narrowed to one attribute or one group, and what it names.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::Engine;
use super::explain::ExplainOptions;
use super::explanation::{ExplainedAccount, ExplainedSource, Explanation};
use crate::error::Result;
use crate::id::PolicyRef;
use crate::model::{Identity, RecordState, SourceRecord};
use crate::store::{self, Select};
use crate::value::AttrName;

/// Records of one identity that are looked at.
const RECORDS_MAX: u32 = 100;

/// Something that was asked about and is not there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotThere {
    /// The attribute or the group.
    pub what: String,
    /// Why there is nothing.
    pub reason: NotThereReason,
}

/// Why an account has nothing of what was asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum NotThereReason {
    /// The policy wants no account.
    NoAccount,
    /// No mapping gives the attribute a value, or leaves it alone for this person.
    NoValue,
    /// A refusal keeps the value from being known.
    Refused,
    /// No role and no grant gives the group, and we never did.
    NotGiven,
}

impl NotThereReason {
    /// The reason in words.
    pub fn detail(self) -> &'static str {
        match self {
            Self::NoAccount => "the policy wants no account",
            Self::NoValue => "no mapping gives it a value for this person",
            Self::Refused => "it is refused, see below",
            Self::NotGiven => "no role and no grant gives it",
        }
    }
}

impl Explanation {
    /// Leaves what was asked about: one attribute, one group, or both.
    pub(super) fn narrow(&mut self, options: &ExplainOptions) {
        let (attribute, group) = (options.attribute.as_ref(), options.group.as_deref());
        if attribute.is_none() && group.is_none() {
            return;
        }
        for account in &mut self.accounts {
            account.values.retain(|value| {
                attribute.is_some_and(|name| name.as_str().eq_ignore_ascii_case(value.attribute.as_str()))
            });
            account.groups.retain(|known| group == Some(known.group.as_str()));
            let not_there = account.not_there(attribute, group);
            account.not_there.extend(not_there);
        }
        // What the values and groups that are left come from.
        let sources: BTreeSet<AttrName> = self
            .accounts
            .iter()
            .flat_map(|account| &account.values)
            .flat_map(|value| &value.derivation.inputs)
            .map(|input| input.attribute.clone())
            .collect();
        self.attributes.retain(|attribute| sources.contains(&attribute.name));
    }

    /// Everything of the policy that it names: rules, roles, mappings.
    pub fn policy_ids(&self) -> BTreeSet<PolicyRef> {
        let mut ids = BTreeSet::new();
        for role in &self.roles {
            ids.insert(PolicyRef::new(format!("roles.{}", role.role.as_str())));
            ids.extend(role.because.iter().cloned());
        }
        for account in &self.accounts {
            ids.extend(account.because.iter().filter_map(|derivation| derivation.mapping.clone()));
            for value in &account.values {
                ids.extend(value.derivation.mapping.clone());
                ids.extend(value.derivation.overridden.iter().cloned());
            }
            ids.extend(account.groups.iter().flat_map(|group| group.because.iter().cloned()));
            ids.extend(account.refusals.iter().filter_map(|refusal| refusal.mapping.clone()));
        }
        ids
    }
}

impl ExplainedAccount {
    /// What was asked about and is not in it.
    fn not_there(&self, attribute: Option<&AttrName>, group: Option<&str>) -> Vec<NotThere> {
        let mut found = Vec::new();
        if let Some(name) = attribute.filter(|_| self.values.is_empty()) {
            let refused = self.refusals.iter().any(|refusal| refusal.attribute.as_ref() == Some(name));
            let reason = match (self.wanted, refused) {
                (false, _) => NotThereReason::NoAccount,
                (true, true) => NotThereReason::Refused,
                (true, false) => NotThereReason::NoValue,
            };
            found.push(NotThere { what: name.as_str().to_owned(), reason });
        }
        if let Some(group) = group.filter(|_| self.groups.is_empty()) {
            let reason = if self.wanted { NotThereReason::NotGiven } else { NotThereReason::NoAccount };
            found.push(NotThere { what: group.to_owned(), reason });
        }
        found
    }
}

impl Engine {
    /// What each source says of the attributes of an identity: the one that counts, and those that lost.
    pub(super) async fn sources_of(&self, identity: &Identity) -> Result<Vec<SourceRecord>> {
        let select = Select::Equal("identity", identity.id.to_string());
        let (page, _) =
            store::list_by::<SourceRecord>(self.store(), &self.realm, select, None, RECORDS_MAX).await?;
        let records = page.into_iter().map(|stored| stored.value);
        Ok(records.filter(|record| record.state != RecordState::Removed).collect())
    }
}

/// What records say of one attribute, in the order of source and key.
pub(super) fn asserted(records: &[SourceRecord], name: &AttrName) -> Vec<ExplainedSource> {
    let said = records.iter().filter_map(|record| {
        let value = record.attributes.get(name.as_str())?.clone();
        Some(ExplainedSource {
            source: record.source.clone(),
            key: record.key.clone(),
            value,
            feed: record.feed,
        })
    });
    let mut said: Vec<ExplainedSource> = said.collect();
    said.sort_by(|a, b| (&a.source, &a.key).cmp(&(&b.source, &b.key)));
    said
}
