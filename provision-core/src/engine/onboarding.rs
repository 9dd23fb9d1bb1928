//! Onboarding: reading a target that already has accounts, before anything is written to it.

use std::collections::{BTreeMap, BTreeSet};

use super::pages::Pages;
use super::reconcile::Listed;
use super::stranger::Lookup;
use super::{Engine, ReconcileReport};
use crate::audit::AuditEntry;
use crate::connector::{Completeness, Connector, Context, Discovery, ListRequest, Object};
use crate::error::{Effect, Error, ErrorKind, Result};
use crate::id::{ClassName, TargetName};
use crate::model::{Actor, ConfiguredTarget};
use crate::onboard::{OnboardingReport, OnboardingRow, Situation};
use crate::plan::TargetSettings;
use crate::runtime::{Operation, within};
use crate::store::{Changes, Commit, Stored};

/// Rows of a report.
const ROWS_MAX: usize = 1_000;
/// Tries against others who write the same rows.
const TRIES_MAX: u32 = 10;

/// What an onboarding read.
struct Onboarded {
    /// The store's epoch when it began.
    epoch: String,
    /// Classes that were listed whole.
    classes: BTreeSet<ClassName>,
    /// Objects that are linked.
    managed: u64,
}

impl Engine {
    /// Reaches a target, tries its credentials and stores what it can do now. Changes nothing there.
    ///
    /// # Errors
    /// `Unauthenticated`, `Unavailable`, `ConfigInvalid`: as the connector says.
    pub async fn check(&self, name: &TargetName) -> Result<Discovery> {
        let target = self.target(name).await?.value;
        let connector = self.inner.connector(&self.realm, &target.settings)?;
        self.discover(&target.settings, connector.as_ref()).await
    }

    async fn discover(&self, settings: &TargetSettings, connector: &dyn Connector) -> Result<Discovery> {
        let cx = Context::new(self.realm.clone(), format!("check/{}", settings.name.as_str()));
        let limit = std::time::Duration::from_secs(u64::from(settings.timeout_seconds.max(1)));
        within(self.inner.clock.as_ref(), limit, connector.check(&cx)).await?;
        let discovery = within(self.inner.clock.as_ref(), limit, connector.discover(&cx)).await?;
        for _ in 0..TRIES_MAX {
            let Stored { version, value } = self.target(&settings.name).await?;
            if value.discovery.as_ref() == Some(&discovery) {
                return Ok(discovery);
            }
            let mut changes = Changes::in_realm(&self.realm);
            changes.replace(version, &ConfiguredTarget { discovery: Some(discovery.clone()), ..value })?;
            if self.store().commit(changes).await? == Commit::Committed {
                return Ok(discovery);
            }
        }
        Err(Error::new(ErrorKind::Conflict, "others keep changing the target's row")
            .with_effect(Effect::None))
    }

    /// Lists the target whole, links what carries our or the source's immutable id, reports the rest. Nothing is
    /// written to the target. Only after a complete listing are creates allowed there, of the classes that were listed.
    ///
    /// Once more after the store was restored from a backup: accounts created since are linked by their immutable id,
    /// and what the store says of the others is compared with what is there.
    ///
    /// # Errors
    /// As [`Engine::check`]; a listing that breaks off, or whose next page does not come within the target's
    /// `timeout_seconds`, is not an error but a report that is not complete.
    pub async fn onboard(&self, actor: &Actor, name: &TargetName) -> Result<OnboardingReport> {
        self.authorize(actor, Operation::Observe)?;
        let target = self.target(name).await?.value;
        let connector = self.inner.connector(&self.realm, &target.settings)?;
        let discovery = self.discover(&target.settings, connector.as_ref()).await?;
        let at = self.now();
        let epoch = self.store().epoch().await?;
        let restored = target.is_restored(&epoch);
        if target.settings.classes.values().any(|class| !class.correlate.is_empty()) {
            self.road(actor).make_findable().await?;
        }
        let privileged = self.privileged(&target.settings, connector.as_ref(), &discovery).await?;
        let (namespaces, roles) = (self.namespaces(), self.role_finder(&target.settings, true).await?);
        let mut report = OnboardingReport {
            target: name.clone(),
            at,
            completeness: Completeness::Complete { proof: "every class was listed".to_owned() },
            counts: BTreeMap::new(),
            rows: Vec::new(),
        };
        let mut onboarded = Onboarded { epoch, classes: BTreeSet::new(), managed: 0 };
        for class in target.settings.classes.keys() {
            let Some(schema) = discovery.schema.class(class) else { continue };
            let cx = Context::new(self.realm.clone(), format!("onboard/{}", name.as_str()));
            let listing = connector.list(&cx, ListRequest::all(class.clone()))?;
            let prepared = target.settings.class(class).correlate.prepare();
            let lookup = Lookup {
                settings: &target.settings,
                class,
                privileged: &privileged,
                roles: &roles,
                namespaces: &namespaces,
                at,
                rules: Some(&prepared),
                restored,
            };
            let mut pages = Pages::of(self.inner.clock.as_ref(), &target.settings, listing);
            let mut crowded = false;
            while let Some(objects) = pages.next().await {
                onboarded.managed += self.take_in(&lookup, &objects, &mut report).await?;
                if restored {
                    // What the store says of its links may be older than the objects.
                    let mut seen = ReconcileReport::begun(name, at);
                    crowded |= !self.doubt_edges(name, class, &objects).await?;
                    crowded |= !self
                        .compare(
                            &Listed::of(&target.settings, class, &discovery, schema, restored),
                            objects,
                            &mut seen,
                        )
                        .await?;
                }
            }
            let mut end = pages.end();
            if crowded {
                end = Completeness::Partial { reason: "others kept changing the links of a page".to_owned() };
            }
            if end.is_complete() {
                onboarded.classes.insert(class.clone());
            } else {
                report.completeness = end;
            }
        }
        self.finish_onboarding(actor, &report, onboarded).await?;
        self.finish_marking().await?;
        Ok(report)
    }

    /// Whether a target's content is known: every configured class that it has was listed whole, by this store and not
    /// by one that a backup was restored over.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn is_onboarded(&self, name: &TargetName) -> Result<bool> {
        let target = self.target(name).await?.value;
        let epoch = self.store().epoch().await?;
        let has = |class: &ClassName| {
            target.discovery.as_ref().is_some_and(|known| known.schema.classes.contains_key(class))
        };
        let listed = |class: &ClassName| !has(class) || target.onboarded.contains(class);
        Ok(target.onboarded_at.is_some()
            && !target.is_restored(&epoch)
            && target.settings.classes.keys().all(listed))
    }

    /// Records what one page of a listing holds. Returns how many of its objects are linked.
    async fn take_in(
        &self,
        lookup: &Lookup<'_>,
        objects: &[Object],
        report: &mut OnboardingReport,
    ) -> Result<u64> {
        let mut linked = 0;
        for object in objects {
            // Neither linked nor disputed: the target is not known yet.
            let Some(told) = self.take_with_patience(lookup, object).await? else {
                let reason = format!("others kept changing what concerns `{}`; onboard again", object.key.id);
                report.completeness = Completeness::Partial { reason };
                continue;
            };
            let class = lookup.class;
            *report.counts.entry(class.clone()).or_default().entry(told.situation).or_default() += 1;
            let is_ours = matches!(told.situation, Situation::Linked | Situation::Known);
            linked += u64::from(is_ours);
            if !is_ours && report.rows.len() < ROWS_MAX {
                report.rows.push(OnboardingRow {
                    class: class.clone(),
                    object: object.key.id.clone(),
                    name: object.key.name.clone(),
                    situation: told.situation,
                    identities: told.identities,
                    detail: told.detail,
                    candidates: told.candidates,
                });
            }
        }
        Ok(linked)
    }

    async fn finish_onboarding(
        &self,
        actor: &Actor,
        report: &OnboardingReport,
        found: Onboarded,
    ) -> Result<()> {
        for _ in 0..TRIES_MAX {
            let Stored { version, value } = self.target(&report.target).await?;
            let mut changes = Changes::in_realm(&self.realm);
            changes.put(report)?;
            if report.completeness.is_complete() {
                let epoch = Some(found.epoch.clone());
                let (onboarded_at, onboarded) = (Some(report.at), found.classes.clone());
                let managed = found.managed;
                let target = ConfiguredTarget { onboarded_at, onboarded, managed, epoch, ..value };
                changes.replace(version, &target)?;
            }
            self.note_marking(&mut changes)?;
            let mut entry = AuditEntry::new(&self.realm, report.at, actor, "target.onboarded");
            entry.target = Some(report.target.clone());
            if let Completeness::Partial { reason } = &report.completeness {
                entry.event = "target.onboarding_partial".to_owned();
                entry.note = reason.clone();
            }
            changes.append.push(entry.append()?);
            if self.store().commit(changes).await? == Commit::Committed {
                return Ok(());
            }
        }
        Err(Error::new(ErrorKind::Conflict, "others keep changing the target's row")
            .with_effect(Effect::None))
    }
}
