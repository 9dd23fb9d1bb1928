//! Onboarding: reading a target that already has accounts, before anything is written to it.

use std::collections::{BTreeMap, BTreeSet};

use super::pages::Pages;
use super::reconcile::Listed;
use super::{Engine, ReconcileReport};
use crate::audit::AuditEntry;
use crate::connector::{Completeness, Connector, Context, Discovery, ListRequest, Object};
use crate::error::{Effect, Error, ErrorKind, Result};
use crate::execute::find_group;
use crate::id::{ClassName, IdentityId, LinkId, Tag, TargetName};
use crate::model::{
    Actor, ConfiguredTarget, Dispute, DisputeAbout, Identity, Link, LinkState, Name, NameState, SourceRecord,
    Subject,
};
use crate::onboard::{Match, OnboardingReport, OnboardingRow, Situation, correlate};
use crate::plan::{TargetSettings, is_protected};
use crate::policy::Namespace;
use crate::runtime::{Operation, within};
use crate::store::{self, Changes, Commit, Record, Select, Stored};
use crate::value::Timestamp;

/// Rows of a report.
const ROWS_MAX: usize = 1_000;
/// Tries against others who write the same rows.
const TRIES_MAX: u32 = 10;

/// What an object is to us, the identities it belongs or may belong to, and why.
type Told = (Situation, Vec<IdentityId>, String);

/// What an onboarding read.
struct Onboarded {
    /// The store's epoch when it began.
    epoch: String,
    /// Classes that were listed whole.
    classes: BTreeSet<ClassName>,
    /// Objects that are linked.
    managed: u64,
}

/// Identities by the attributes that a target's classes correlate by. Only built where a class has such attributes;
/// grows with the population.
#[derive(Default)]
struct Finder {
    by_attribute: BTreeMap<(String, String), Vec<IdentityId>>,
    /// Names and ids of privileged groups.
    privileged: BTreeSet<String>,
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
        let restored = target.epoch.as_ref().is_some_and(|known| *known != epoch);
        let mut finder = self.finder(&target.settings).await?;
        finder.privileged = self.privileged(&target.settings, connector.as_ref(), &discovery).await?;
        let namespaces =
            self.inner.policy(&self.realm).map(|policy| policy.namespaces().to_vec()).unwrap_or_default();
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
            let mut pages = Pages::of(self.inner.clock.as_ref(), &target.settings, listing);
            let mut crowded = false;
            while let Some(objects) = pages.next().await {
                let taken =
                    self.take_in(&target.settings, class, &objects, &finder, &namespaces, &mut report);
                onboarded.managed += taken.await?;
                if restored {
                    // What the store says of its links may be older than the objects.
                    let mut seen = ReconcileReport::begun(name, at);
                    crowded |= !self.doubt_edges(name, class, &objects).await?;
                    crowded |= !self
                        .compare(&Listed::of(name, class, &discovery, schema), objects, &mut seen)
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
            && target.epoch.as_ref().is_none_or(|known| *known == epoch)
            && target.settings.classes.keys().all(listed))
    }

    /// Records what one page of a listing holds. Returns how many of its objects are linked.
    async fn take_in(
        &self,
        settings: &TargetSettings,
        class: &ClassName,
        objects: &[Object],
        finder: &Finder,
        namespaces: &[Namespace],
        report: &mut OnboardingReport,
    ) -> Result<u64> {
        let mut linked = 0;
        for object in objects {
            let mut taken = None;
            for _ in 0..TRIES_MAX {
                taken = self.take_one(settings, class, object, finder, namespaces, report.at).await?;
                if taken.is_some() {
                    break;
                }
            }
            // Neither linked nor disputed: the target is not known yet.
            let Some((situation, identities, detail)) = taken else {
                let reason = format!("others kept changing what concerns `{}`; onboard again", object.key.id);
                report.completeness = Completeness::Partial { reason };
                continue;
            };
            *report.counts.entry(class.clone()).or_default().entry(situation).or_default() += 1;
            linked += u64::from(matches!(situation, Situation::Linked | Situation::Known));
            if !matches!(situation, Situation::Linked | Situation::Known) && report.rows.len() < ROWS_MAX {
                report.rows.push(OnboardingRow {
                    class: class.clone(),
                    object: object.key.id.clone(),
                    name: object.key.name.clone(),
                    situation,
                    identities,
                    detail,
                });
            }
        }
        Ok(linked)
    }

    /// One object, in one commit. `None`: somebody else wrote one of its rows at the same time.
    async fn take_one(
        &self,
        settings: &TargetSettings,
        class: &ClassName,
        object: &Object,
        finder: &Finder,
        namespaces: &[Namespace],
        at: Timestamp,
    ) -> Result<Option<Told>> {
        let (situation, identities, detail) = self.situation(settings, class, object, finder).await?;
        let mut changes = Changes::in_realm(&self.realm);
        let mut owner = None;
        match situation {
            Situation::Linked => {
                if let Some(id) = identities.first() {
                    self.link(&mut changes, settings, class, object, *id, at).await?;
                    owner = Some(*id);
                }
            }
            Situation::Known => owner = identities.first().copied(),
            Situation::Disputed => changes.put(&Dispute {
                realm: self.realm.clone(),
                about: DisputeAbout::Match {
                    target: settings.name.clone(),
                    class: class.clone(),
                    object: object.key.id.clone(),
                    candidates: identities.clone(),
                },
                detail: detail.clone(),
                open: true,
                at,
                decision: None,
            })?,
            Situation::Unmatched | Situation::Protected => {}
        }
        self.take_names(&mut changes, settings, class, object, owner, namespaces).await?;
        if let Commit::Conflict(conflict) = self.store().commit(changes).await? {
            tracing::debug!(?conflict, "onboarding met another writer");
            return Ok(None);
        }
        Ok(Some((situation, identities, detail)))
    }

    async fn situation(
        &self,
        settings: &TargetSettings,
        class: &ClassName,
        object: &Object,
        finder: &Finder,
    ) -> Result<Told> {
        let row = format!("{}/{}/{}", settings.name.as_str(), class.as_str(), object.key.id);
        let (known, _) =
            store::list_by::<Link>(self.store(), &self.realm, Select::Equal("object", row), None, 1).await?;
        if let Some(link) = known.first() {
            let identity = link.value.subject.identity();
            return Ok((Situation::Known, identity.into_iter().collect(), String::new()));
        }
        if is_protected(&settings.protected, &object.key) {
            return Ok((Situation::Protected, Vec::new(), "named in the target's `protected`".to_owned()));
        }
        let rules = settings.class(class);
        let marker = rules.marker.as_ref().and_then(|marker| object.attributes.first(marker.as_str()));
        let by_marker = match marker {
            Some(value) => self.by_key(&value.to_plain()).await?,
            None => Vec::new(),
        };
        let mut by_name: BTreeSet<IdentityId> = BTreeSet::new();
        for (native, attribute) in &rules.correlate {
            for value in object.attributes.values(native.as_str()) {
                by_name.extend(finder.by_attribute(attribute.as_str(), &value.to_plain()));
            }
        }
        let by_name: Vec<IdentityId> = by_name.into_iter().collect();
        let privileged = object
            .attributes
            .values("memberOf")
            .iter()
            .any(|group| finder.privileged.contains(&group.to_plain()));
        Ok(match correlate(&by_marker, marker.is_some(), &by_name, settings.domain_managed, privileged) {
            Match::Definite(id) => {
                let link = self.main_link(settings, class, id).await?.map(|stored| stored.value);
                match link.as_ref().map(|link| (&link.key, link.revision)) {
                    _ if link.as_ref().is_some_and(|link| link.state == LinkState::Inactive) => {
                        let detail =
                            "the person's account was seen off; taking this one is for a person to say";
                        (Situation::Disputed, vec![id], detail.to_owned())
                    }
                    // A link whose object is gone takes the one that is there.
                    None | Some((None, 1..)) => (Situation::Linked, vec![id], String::new()),
                    // A create of ours has begun, and its own road finds the object.
                    Some((None, 0)) => (Situation::Known, vec![id], String::new()),
                    // Linked by somebody else a moment ago.
                    Some((Some(key), _)) if key.id == object.key.id => {
                        (Situation::Known, vec![id], String::new())
                    }
                    Some((Some(_), _)) => {
                        let detail = "the person has another account there already".to_owned();
                        (Situation::Disputed, vec![id], detail)
                    }
                }
            }
            Match::Disputed(..) if self.is_decided(settings, class, object).await? => {
                (Situation::Unmatched, Vec::new(), "a person has decided that it is nobody's".to_owned())
            }
            Match::Disputed(candidates, why) => (Situation::Disputed, candidates, why),
            Match::None => (Situation::Unmatched, Vec::new(), "matches nobody".to_owned()),
        })
    }

    /// Whether a person has decided the dispute about an object: a decision is not asked for twice.
    async fn is_decided(
        &self,
        settings: &TargetSettings,
        class: &ClassName,
        object: &Object,
    ) -> Result<bool> {
        let about = DisputeAbout::Match {
            target: settings.name.clone(),
            class: class.clone(),
            object: object.key.id.clone(),
            candidates: Vec::new(),
        };
        let key = Dispute::row_key(&about);
        let known = store::get::<Dispute>(self.store(), &self.realm, &key).await?;
        Ok(known.is_some_and(|known| !known.value.open))
    }

    async fn main_link(
        &self,
        settings: &TargetSettings,
        class: &ClassName,
        id: IdentityId,
    ) -> Result<Option<Stored<Link>>> {
        let key = Link::row_key(&settings.name, class, &Tag::main(), &Subject::Identity(id));
        store::get::<Link>(self.store(), &self.realm, &key).await
    }

    /// Links an object: by a new link, or by one whose object is gone.
    async fn link(
        &self,
        changes: &mut Changes,
        settings: &TargetSettings,
        class: &ClassName,
        object: &Object,
        identity: IdentityId,
        at: Timestamp,
    ) -> Result<()> {
        let known = self.main_link(settings, class, identity).await?;
        let (id, revision) = match &known {
            Some(known) => (known.value.id, known.value.revision + 1),
            None => (LinkId::from_uuid(self.inner.mint()?), 1),
        };
        let subject = Subject::Identity(identity);
        let mut link =
            Link::new(id, self.realm.clone(), settings.name.clone(), class.clone(), Tag::main(), subject);
        link.key = Some(object.key.clone());
        link.enabled = object.enabled;
        link.observed = object.attributes.clone();
        link.observed_at = Some(at);
        link.revision = revision;
        match known {
            Some(known) => changes.replace(known.version, &link),
            None => changes.insert(&link),
        }
    }

    /// The names an object takes: held by its owner, or foreign.
    async fn take_names(
        &self,
        changes: &mut Changes,
        settings: &TargetSettings,
        class: &ClassName,
        object: &Object,
        owner: Option<IdentityId>,
        namespaces: &[Namespace],
    ) -> Result<()> {
        let mut names: Vec<Name> = Vec::new();
        // A scoped name means nothing without its scope, which only the policy knows: the create's refusal covers it.
        for namespace in namespaces.iter().filter(|namespace| !namespace.scoped) {
            let here = |member: &&crate::policy::NamespaceMember| {
                member.target == settings.name && member.class == *class
            };
            for member in namespace.members.iter().filter(here) {
                for value in object.attributes.values(member.attribute.as_str()) {
                    let name = value.to_plain();
                    let purpose = format!(
                        "{}/{}/main/{}",
                        settings.name.as_str(),
                        class.as_str(),
                        member.attribute.as_str()
                    );
                    names.push(Name {
                        realm: self.realm.clone(),
                        namespace: namespace.name.clone(),
                        scope: String::new(),
                        folded: namespace.case.fold(&name),
                        name,
                        owner,
                        purpose: if owner.is_some() { purpose } else { String::new() },
                        state: if owner.is_some() { NameState::Held } else { NameState::Foreign },
                    });
                }
            }
        }
        let keys: Vec<String> = names.iter().map(Record::key).collect();
        let known = store::get_many::<Name>(self.store(), &self.realm, &keys).await?;
        for (name, known) in names.iter().zip(known) {
            if known.is_none()
                && !changes.put.iter().any(|put| put.table == Name::TABLE && put.key == name.key())
            {
                changes.insert(name)?;
            }
        }
        Ok(())
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

    /// The privileged groups by name and by id.
    async fn privileged(
        &self,
        settings: &TargetSettings,
        connector: &dyn Connector,
        discovery: &Discovery,
    ) -> Result<BTreeSet<String>> {
        let mut known = settings.privileged_groups.clone();
        let classes = discovery.capabilities.classes.iter().filter(|(_, class)| class.members);
        let cx = Context::new(self.realm.clone(), format!("onboard/{}", settings.name.as_str()));
        let limit = std::time::Duration::from_secs(u64::from(settings.timeout_seconds.max(1)));
        for (class, _) in classes {
            for name in &settings.privileged_groups {
                let found = find_group(connector, discovery, &cx, class, name);
                match within(self.inner.clock.as_ref(), limit, found).await {
                    Ok(key) => known.extend([key.id]),
                    Err(error) if error.is_not_found() => {}
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(known)
    }

    /// The identities whose record in any source has this key.
    async fn by_key(&self, key: &str) -> Result<Vec<IdentityId>> {
        let sources = self.sources().await?;
        let keys: Vec<String> =
            sources.iter().map(|source| SourceRecord::row_key(&source.settings.name, key)).collect();
        let records = store::get_many::<SourceRecord>(self.store(), &self.realm, &keys).await?;
        let mut found: Vec<IdentityId> =
            records.into_iter().flatten().map(|record| record.value.identity).collect();
        found.sort();
        found.dedup();
        Ok(found)
    }

    /// Reads the attributes that the target's classes correlate by.
    async fn finder(&self, settings: &TargetSettings) -> Result<Finder> {
        let attributes: BTreeSet<String> = settings
            .classes
            .values()
            .flat_map(|class| class.correlate.values().map(|name| name.as_str().to_owned()))
            .collect();
        let mut finder = Finder::default();
        if attributes.is_empty() {
            return Ok(finder);
        }
        let mut cursor = None;
        loop {
            let select = Select::KeyPrefix(String::new());
            let (page, next) =
                store::list_by::<Identity>(self.store(), &self.realm, select, cursor, 1_000).await?;
            for identity in page.into_iter().map(|stored| stored.value) {
                for attribute in &attributes {
                    for value in identity.attributes.values(attribute) {
                        let key = (attribute.clone(), value.to_plain().to_lowercase());
                        finder.by_attribute.entry(key).or_default().push(identity.id);
                    }
                }
            }
            cursor = next;
            if cursor.is_none() {
                return Ok(finder);
            }
        }
    }
}

impl Finder {
    fn by_attribute(&self, attribute: &str, value: &str) -> Vec<IdentityId> {
        self.by_attribute.get(&(attribute.to_owned(), value.to_lowercase())).cloned().unwrap_or_default()
    }
}
