//! Which names are taken under a stem: the store's rows, and the targets themselves where we have not seen all of them.

use std::collections::BTreeMap;

use super::Engine;
use crate::connector::{Context, ListRequest, collect};
use crate::error::{Effect, Error, ErrorKind, Result};
use crate::filter::{Comparison, Filter};
use crate::id::TargetName;
use crate::model::{Name, NameState};
use crate::plan::{StemQuery, TargetFacts};
use crate::policy::Namespace;
use crate::runtime::within;
use crate::store::{self, Scan, Select, Table};
use crate::value::AttrPath;

/// Names under one stem.
const NAMES_MAX: u32 = 20_000;

impl Engine {
    /// Looks up what is taken under stems.
    ///
    /// # Errors
    /// When a target cannot be asked: a name is never given out on a guess.
    pub(crate) async fn taken(
        &self,
        queries: &[StemQuery],
        namespaces: &[Namespace],
        facts: &BTreeMap<TargetName, TargetFacts>,
    ) -> Result<Vec<(StemQuery, Vec<Name>)>> {
        // The targets first: a name is reserved before its account is made, so that whoever sees an account of ours
        // there finds the name among the rows, too.
        let mut there = Vec::with_capacity(queries.len());
        for query in queries {
            there.push(match namespaces.iter().find(|space| space.name == query.namespace) {
                Some(namespace) => self.taken_on_targets(query, namespace, facts).await?,
                None => Vec::new(),
            });
        }
        let scans: Vec<Scan> = queries
            .iter()
            .map(|query| Scan {
                realm: self.realm.clone(),
                table: Table::Name,
                select: Select::KeyPrefix(Name::row_key(&query.namespace, &query.scope, &query.stem)),
                after: None,
                limit: NAMES_MAX,
            })
            .collect();
        let pages = self.store().scan_all(&scans).await?;
        let mut found = Vec::with_capacity(queries.len());
        for ((query, rows), there) in queries.iter().zip(pages).zip(there) {
            if rows.next.is_some() {
                return Err(Error::new(
                    ErrorKind::Unsupported,
                    format!("more than {NAMES_MAX} names share a stem"),
                )
                .with_context("stem", query.stem.clone())
                .with_effect(Effect::None));
            }
            let mut names: Vec<Name> = rows
                .rows
                .iter()
                .map(|row| store::decode::<Name>(row).map(|name| name.value))
                .collect::<Result<_>>()?;
            names.extend(there);
            found.push((query.clone(), names));
        }
        Ok(found)
    }

    async fn taken_on_targets(
        &self,
        query: &StemQuery,
        namespace: &Namespace,
        facts: &BTreeMap<TargetName, TargetFacts>,
    ) -> Result<Vec<Name>> {
        let mut names = Vec::new();
        // A scoped name (a `cn` in its container) cannot be asked for by its attribute alone; the listing at
        // onboarding and the create's own refusal cover it.
        if !query.scope.is_empty() {
            return Ok(names);
        }
        for member in &namespace.members {
            let Some(facts) = facts.get(&member.target) else { continue };
            let support = &facts.discovery.capabilities.class(&member.class).filter;
            let path = AttrPath::new(member.attribute.clone());
            let filter = Filter::Compare(path, Comparison::StartsWith, query.stem.as_str().into());
            if facts.stopped.is_some() || !facts.onboarded.contains(&member.class) || !support.pushes(&filter)
            {
                continue;
            }
            let connector = self.inner.connector(&self.realm, &facts.settings)?;
            let cx = Context::new(self.realm.clone(), format!("names/{}", namespace.name));
            let limit = std::time::Duration::from_secs(u64::from(facts.settings.timeout_seconds));
            let request = ListRequest::matching(member.class.clone(), filter);
            let listing = connector.list(&cx, request)?;
            let (objects, completeness) =
                within(self.inner.clock.as_ref(), limit, collect(listing, NAMES_MAX as usize)).await?;
            if !completeness.is_complete() {
                return Err(Error::new(
                    ErrorKind::Unavailable,
                    "the target did not list all names under a stem",
                )
                .with_context("target", member.target.as_str())
                .with_effect(Effect::None));
            }
            for object in objects {
                for value in object.attributes.values(member.attribute.as_str()) {
                    let name = value.to_plain();
                    names.push(Name {
                        realm: self.realm.clone(),
                        namespace: namespace.name.clone(),
                        scope: String::new(),
                        folded: namespace.case.fold(&name),
                        name,
                        owner: None,
                        purpose: String::new(),
                        state: NameState::Foreign,
                    });
                }
            }
        }
        Ok(names)
    }
}
