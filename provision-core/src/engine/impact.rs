//! What another policy would do to everybody in the store. Nothing is written, no target is asked.

use std::collections::BTreeSet;

use super::Engine;
use crate::error::Result;
use crate::id::IdentityId;
use crate::impact::{Impact, Impacts};
use crate::model::{Grant, Identity, Name};
use crate::policy::{Policy, PolicyInput};
use crate::store::{self, Select};
use crate::value::Timestamp;

/// Identities read at a time.
const PAGE: u32 = 1_000;
/// People listed, unless asked otherwise.
const LISTED: usize = 20;

/// How two policies are compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImpactOptions {
    /// For this instant instead of now.
    pub as_of: Option<Timestamp>,
    /// As if what is proposed in the policies were active.
    pub proposed: bool,
    /// People listed; the rest is counted.
    pub limit: usize,
    /// Evaluate everybody, also whom the edit cannot concern: to check that nobody was passed over.
    pub everybody: bool,
}

impl Default for ImpactOptions {
    fn default() -> Self {
        Self { as_of: None, proposed: false, limit: LISTED, everybody: false }
    }
}

impl Engine {
    /// Compares two policies over the identities in the store, of which only those are evaluated whom the edit may
    /// concern. What a later page shows may have changed since the first was read.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn impact(
        &self,
        from: &dyn Policy,
        to: &dyn Policy,
        options: &ImpactOptions,
    ) -> Result<Impact> {
        self.realm.admit()?;
        let now = options.as_of.unwrap_or_else(|| self.now());
        let facts = self.facts().await?;
        let mut impacts = Impacts::new(from, to, now, options.limit).hiding(|target, class, attribute| {
            let class = facts.get(target).and_then(|facts| facts.discovery.schema.class(class));
            let found = class.and_then(|class| class.attribute(attribute.as_str()));
            found.is_some_and(|(_, schema)| schema.sensitive)
        });
        if options.everybody {
            impacts = impacts.of_everybody();
        }
        // Few realms have stored grants; where there are none, none are looked for.
        let all = Select::KeyPrefix(String::new());
        let (some, _) = store::list_by::<Grant>(self.store(), &self.realm, all, None, 1).await?;
        let mut cursor = None;
        loop {
            let select = Select::ColumnPrefix("source_key", String::new());
            let (page, next) =
                store::list_by::<Identity>(self.store(), &self.realm, select, cursor, PAGE).await?;
            let page: Vec<Identity> = page.into_iter().map(|stored| stored.value).collect();
            self.impact_of(&page, !some.is_empty(), (now, options.proposed), &mut impacts).await?;
            cursor = next;
            if cursor.is_none() {
                return Ok(impacts.finish());
            }
        }
    }

    async fn impact_of(
        &self,
        page: &[Identity],
        granted: bool,
        (now, proposed): (Timestamp, bool),
        impacts: &mut Impacts<'_>,
    ) -> Result<()> {
        let everybody: BTreeSet<IdentityId> = page.iter().map(|identity| identity.id).collect();
        let asked = if granted { everybody } else { BTreeSet::new() };
        let mut grants = self.rows_of::<Grant>("identity", &asked).await?;
        let mut touched = Vec::new();
        for identity in page {
            let rows = grants.remove(&identity.id).unwrap_or_default();
            let grants: Vec<Grant> = rows.into_iter().map(|stored| stored.value).collect();
            let (lifecycle, _) = identity.lifecycle(now)?;
            if impacts.read(&PolicyInput { identity, lifecycle, now, grants: &grants, proposed }) {
                touched.push((identity, lifecycle, grants));
            }
        }
        let ids: BTreeSet<IdentityId> = touched.iter().map(|(identity, ..)| identity.id).collect();
        let mut names = self.names_of(&ids).await?;
        for (identity, lifecycle, grants) in touched {
            let rows = names.remove(&identity.id).unwrap_or_default();
            let own: Vec<Name> = rows.into_iter().map(|stored| stored.value).collect();
            impacts.compare(&PolicyInput { identity, lifecycle, now, grants: &grants, proposed }, &own);
        }
        Ok(())
    }
}
