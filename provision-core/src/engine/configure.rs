//! Configuration: targets, sources and policy as versioned rows, changed without restart.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::Engine;
use crate::audit::AuditEntry;
use crate::correlate::refusal;
use crate::diagnostic::Diagnostic;
use crate::error::{Effect, Error, ErrorKind, Result, Retry};
use crate::id::TargetName;
use crate::model::{Actor, ConfiguredSource, ConfiguredTarget};
use crate::plan::{Drive, TargetSettings};
use crate::policy::{Policy, PolicyVersion};
use crate::runtime::Operation;
use crate::schema::Schema;
use crate::source::SourceSettings;
use crate::store::{self, Changes, Commit, Expect, Record, Row, Select, Stored, Table};
use crate::value::Timestamp;

/// The row of the policy's version.
const POLICY: &str = "policy";
/// The row of the last version for which everybody was made dirty.
const POLICY_MARKED: &str = "policy/marked";

/// Something a realm has one of.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Meta<T> {
    pub(crate) name: String,
    pub(crate) value: T,
}

/// Everybody is to be marked dirty; noted in the commit of the change that asks for it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct MarkAll {
    since: Timestamp,
}

/// The row of the last version whose roles have their records.
const ROLES: &str = "policy/roles";
/// The row of [`MarkAll`].
const MARKING: &str = "marking";
/// Tries against others who write the same rows.
const TRIES_MAX: u32 = 20;

impl Record for Meta<PolicyVersion> {
    const TABLE: Table = Table::Meta;

    fn key(&self) -> String {
        self.name.clone()
    }

    fn columns(&self) -> Vec<(&'static str, String)> {
        Vec::new()
    }
}

impl Record for Meta<MarkAll> {
    const TABLE: Table = Table::Meta;

    fn key(&self) -> String {
        self.name.clone()
    }

    /// Due at once, whatever the clock of whoever looks.
    fn columns(&self) -> Vec<(&'static str, String)> {
        vec![("due", String::new())]
    }
}

impl Engine {
    /// Adds a target or changes its settings. A new target, a new class and another kind have to be onboarded before
    /// anything is created there.
    ///
    /// # Errors
    /// `ConfigInvalid` for an unknown kind, a wrong configuration, a bad name, or correlation rules that cannot be
    /// used: nothing is changed.
    pub async fn put_target(&self, actor: &Actor, settings: TargetSettings) -> Result<()> {
        self.authorize(actor, Operation::Configure)?;
        check_name("target", settings.name.as_str())?;
        usable(&problems_of_target(&settings))?;
        self.inner.connector(&self.realm, &settings)?;
        for _ in 0..TRIES_MAX {
            let name = settings.name.as_str();
            let known = store::get::<ConfiguredTarget>(self.store(), &self.realm, name).await?;
            let mut changes = Changes::in_realm(&self.realm);
            match known {
                Some(known) if known.value.settings == settings => return Ok(()),
                Some(Stored { version, value }) => {
                    changes.replace(version, &configured_anew(value, settings.clone()))?;
                }
                None => changes.insert(&ConfiguredTarget::new(settings.clone()))?,
            }
            let mut entry = AuditEntry::new(&self.realm, self.now(), actor, "target.configured");
            entry.target = Some(settings.name.clone());
            changes.append.push(entry.append()?);
            self.note_marking(&mut changes)?;
            if self.store().commit(changes).await? == Commit::Committed {
                return self.finish_marking().await;
            }
        }
        Err(crowded())
    }

    /// Adds a source or changes its settings.
    ///
    /// # Errors
    /// `ConfigInvalid` for an unknown kind, a wrong configuration, a bad name, or correlation rules that cannot be
    /// used: nothing is changed.
    pub async fn put_source(&self, actor: &Actor, settings: SourceSettings) -> Result<()> {
        self.authorize(actor, Operation::Configure)?;
        check_name("source", settings.name.as_str())?;
        usable(&problems_of_source(&settings))?;
        self.inner.registry.source(&settings.kind, &settings.config)?;
        if settings.engagements.is_some() && !settings.asserts_lifecycle {
            let message = "rows that are engagements begin and end: the source must assert lifecycle";
            return Err(Error::new(ErrorKind::ConfigInvalid, message).with_effect(Effect::None));
        }
        for _ in 0..TRIES_MAX {
            let name = settings.name.as_str();
            let known = store::get::<ConfiguredSource>(self.store(), &self.realm, name).await?;
            let mut changes = Changes::in_realm(&self.realm);
            match known {
                Some(known) if known.value.settings == settings => return Ok(()),
                Some(Stored { version, value }) => {
                    changes.replace(version, &ConfiguredSource { settings: settings.clone(), ..value })?;
                }
                None => changes.insert(&ConfiguredSource::new(settings.clone()))?,
            }
            let mut entry = AuditEntry::new(&self.realm, self.now(), actor, "source.configured");
            entry.note = name.to_owned();
            changes.append.push(entry.append()?);
            if self.store().commit(changes).await? == Commit::Committed {
                return Ok(());
            }
        }
        Err(crowded())
    }

    /// Sets the realm's policy. Another version than the last one makes every identity dirty.
    ///
    /// Every process of a realm has to have the same policy: one that has another version than the last one set makes
    /// no plan (`Conflict`) until the policy is set there too.
    pub async fn set_policy(&self, actor: &Actor, policy: Arc<dyn Policy>) -> Result<()> {
        self.authorize(actor, Operation::Configure)?;
        let version = policy.version();
        self.inner.set_policy(&self.realm, policy);
        let names = [POLICY.to_owned(), POLICY_MARKED.to_owned()];
        for _ in 0..TRIES_MAX {
            let known = store::get_many::<Meta<PolicyVersion>>(self.store(), &self.realm, &names).await?;
            let is_known = |row: &Option<Stored<Meta<PolicyVersion>>>| {
                row.as_ref().is_some_and(|row| row.value.value == version)
            };
            if known.len() == names.len() && known.iter().all(is_known) {
                return Ok(());
            }
            // The marking is noted with the version, so that no plan of another one takes a mark away, and whoever
            // comes next finishes it after a crash. Of processes that set the same policy at once one is first.
            let mut changes = Changes::in_realm(&self.realm);
            for (name, known) in names.iter().zip(&known) {
                let row = Meta { name: name.clone(), value: version.clone() };
                match known {
                    Some(known) => changes.replace(known.version, &row)?,
                    None => changes.insert(&row)?,
                }
            }
            let mut entry = AuditEntry::new(&self.realm, self.now(), actor, "policy.set");
            entry.policy = Some(version.clone());
            changes.append.push(entry.append()?);
            self.note_marking(&mut changes)?;
            if self.store().commit(changes).await? == Commit::Committed {
                return self.finish_marking().await;
            }
        }
        Err(crowded())
    }

    /// What must hold of the realm's policy while a plan is made from this one.
    ///
    /// # Errors
    /// `Conflict`, retryable, when another version was set since.
    pub(crate) async fn expect_policy(&self, version: &PolicyVersion) -> Result<Expect> {
        let known = store::get::<Meta<PolicyVersion>>(self.store(), &self.realm, POLICY).await?;
        match known {
            Some(known) if known.value.value == *version => {
                Ok(Expect::Version { table: Table::Meta, key: POLICY.to_owned(), version: known.version })
            }
            _ => Err(other_policy()),
        }
    }

    /// The realm's policy.
    pub fn policy(&self) -> Result<Arc<dyn Policy>> {
        self.inner.policy(&self.realm)
    }

    /// Checks the policy against the schemas of the targets as last discovered ([`Engine::check`]). All problems in one
    /// pass; targets that were never discovered are not checked against.
    pub async fn check_policy(&self) -> Result<Vec<Diagnostic>> {
        let targets = self.targets().await?;
        let schemas: BTreeMap<TargetName, Schema> = targets
            .into_iter()
            .filter_map(|target| target.discovery.map(|discovery| (target.settings.name, discovery.schema)))
            .collect();
        Ok(self.inner.policy(&self.realm)?.check(&schemas))
    }

    /// Checks the correlation rules of all sources and targets: what is wrong with them, and what works otherwise than
    /// it may be meant.
    pub async fn check_correlation(&self) -> Result<Vec<Diagnostic>> {
        let mut found = Vec::new();
        for source in self.sources().await? {
            found.extend(problems_of_source(&source.settings));
        }
        for target in self.targets().await? {
            found.extend(problems_of_target(&target.settings));
        }
        Ok(found)
    }

    /// The configured targets, by name.
    pub async fn targets(&self) -> Result<Vec<ConfiguredTarget>> {
        let select = Select::KeyPrefix(String::new());
        let (targets, _) = store::list_by(self.store(), &self.realm, select, None, 10_000).await?;
        Ok(targets.into_iter().map(|stored: Stored<ConfiguredTarget>| stored.value).collect())
    }

    /// The configured sources, by name.
    pub async fn sources(&self) -> Result<Vec<ConfiguredSource>> {
        let select = Select::KeyPrefix(String::new());
        let (sources, _) = store::list_by(self.store(), &self.realm, select, None, 10_000).await?;
        Ok(sources.into_iter().map(|stored: Stored<ConfiguredSource>| stored.value).collect())
    }

    /// A configured target.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn target(&self, name: &TargetName) -> Result<Stored<ConfiguredTarget>> {
        store::get(self.store(), &self.realm, name.as_str())
            .await?
            .ok_or_else(|| missing("target", name.as_str()))
    }

    /// Stops writing to a target until [`Engine::resume`].
    pub async fn pause(&self, actor: &Actor, name: &TargetName) -> Result<()> {
        self.change_target(actor, name, "target.paused", false, |target| target.paused = true).await
    }

    /// Writes to a target again; ends a quarantine too.
    pub async fn resume(&self, actor: &Actor, name: &TargetName) -> Result<()> {
        self.change_target(actor, name, "target.resumed", true, |target| {
            target.paused = false;
            target.quarantine = None;
            target.failures = 0;
        })
        .await
    }

    /// Sets how far the engine may go on a target.
    pub async fn set_drive(&self, actor: &Actor, name: &TargetName, drive: Drive) -> Result<()> {
        self.change_target(actor, name, "target.drive", true, |target| target.settings.drive = drive).await
    }

    /// Notes, in the commit of a change that concerns everybody, that everybody is to be marked dirty.
    pub(super) fn note_marking(&self, changes: &mut Changes) -> Result<()> {
        changes.put(&Meta { name: MARKING.to_owned(), value: MarkAll { since: self.now() } })
    }

    /// Marks everybody dirty if that was noted and not finished, by this process or one that ended in between.
    pub(super) async fn finish_marking(&self) -> Result<()> {
        for _ in 0..TRIES_MAX {
            let keys = [POLICY, ROLES, MARKING].map(str::to_owned);
            let rows = self.store().get(&self.realm, Table::Meta, &keys).await?;
            let [set, written, noted] = rows.as_slice() else { return Ok(()) };
            self.write_roles(set.as_ref(), written.as_ref()).await?;
            let Some(noted) = noted.as_ref().map(store::decode::<Meta<MarkAll>>).transpose()? else {
                return Ok(());
            };
            self.mark_all_dirty().await?;
            let mut changes = Changes::in_realm(&self.realm);
            let (key, version) = (MARKING.to_owned(), noted.version);
            changes.expect.push(Expect::Version { table: Table::Meta, key: key.clone(), version });
            changes.delete::<Meta<MarkAll>>(key);
            // Noted anew meanwhile: those who were marked before the later change are marked again.
            if self.store().commit(changes).await? == Commit::Committed {
                return Ok(());
            }
        }
        Err(crowded())
    }

    /// Brings the records of the policy's roles up to date, unless they are, before anything is planned from it. Of
    /// another policy than the realm's this process knows nothing: whoever set that one writes them.
    async fn write_roles(&self, set: Option<&Row>, written: Option<&Row>) -> Result<()> {
        let Ok(policy) = self.inner.policy(&self.realm) else { return Ok(()) };
        let read = |row: Option<&Row>| row.map(store::decode::<Meta<PolicyVersion>>).transpose();
        let (version, roles) = (policy.version(), policy.roles());
        let Some(set) = read(set)?.filter(|set| set.value.value == version) else { return Ok(()) };
        let written = read(written)?;
        let known = written.as_ref().map(|written| &written.value.value);
        if known == Some(&version) || known.is_none() && roles.is_empty() {
            return Ok(());
        }
        let stands = Expect::Version { table: Table::Meta, key: POLICY.to_owned(), version: set.version };
        let done = Meta { name: ROLES.to_owned(), value: version };
        match self.keep_roles(&roles, &stands, &done).await {
            // Another policy was set meanwhile: its roles are others.
            Err(_) if self.expect_policy(&done.value).await.is_err() => Err(other_policy()),
            kept => kept,
        }
    }

    async fn change_target(
        &self,
        actor: &Actor,
        name: &TargetName,
        event: &str,
        everybody: bool,
        change: impl FnOnce(&mut ConfiguredTarget),
    ) -> Result<()> {
        self.authorize(actor, Operation::Configure)?;
        let Stored { version, mut value } = self.target(name).await?;
        change(&mut value);
        let mut changes = Changes::in_realm(&self.realm);
        changes.replace(version, &value)?;
        let mut entry = AuditEntry::new(&self.realm, self.now(), actor, event);
        entry.target = Some(name.clone());
        changes.append.push(entry.append()?);
        if everybody {
            self.note_marking(&mut changes)?;
        }
        self.commit(changes).await?;
        self.finish_marking().await
    }
}

/// A known target under new settings. What was read of another kind, or of a class that is not there, is forgotten.
fn configured_anew(mut target: ConfiguredTarget, settings: TargetSettings) -> ConfiguredTarget {
    if target.settings.kind != settings.kind {
        target.discovery = None;
        target.onboarded_at = None;
        target.onboarded.clear();
        target.epoch = None;
        target.quarantine = None;
        target.failures = 0;
    }
    target.onboarded.retain(|class| settings.classes.contains_key(class));
    ConfiguredTarget { settings, ..target }
}

fn problems_of_source(settings: &SourceSettings) -> Vec<Diagnostic> {
    settings.correlate.check(&format!("sources.{}.correlate", settings.name))
}

fn problems_of_target(settings: &TargetSettings) -> Vec<Diagnostic> {
    let path = |class| format!("targets.{}.classes.{class}.correlate", settings.name);
    settings.classes.iter().flat_map(|(name, class)| class.correlate.check(&path(name))).collect()
}

fn usable(found: &[Diagnostic]) -> Result<()> {
    refusal(found).map_or(Ok(()), Err)
}

/// The error of a change that others were always faster than.
fn crowded() -> Error {
    Error::new(ErrorKind::Conflict, "others keep changing what concerns everybody; try again")
        .with_retry(Retry::After(None))
        .with_effect(Effect::None)
}

/// The error of a plan from a policy that is not the realm's any more.
pub(super) fn other_policy() -> Error {
    Error::new(ErrorKind::Conflict, "another policy was set for the realm: set it in this process too")
        .with_retry(Retry::After(None))
        .with_effect(Effect::None)
}

/// The error of a name that is not configured.
pub(crate) fn missing(what: &str, name: &str) -> Error {
    Error::new(ErrorKind::NotFound, format!("no {what} of that name is configured"))
        .with_context("name", name)
        .with_effect(Effect::None)
}

/// Names are parts of row keys: letters, digits, `-` and `_`.
pub(super) fn check_name(what: &str, name: &str) -> Result<()> {
    let good = !name.is_empty()
        && name.len() <= 64
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
    if good {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::ConfigInvalid,
        format!("a {what}'s name has 1 to 64 letters, digits, `-` or `_`"),
    )
    .with_context("name", name)
    .with_effect(Effect::None))
}
