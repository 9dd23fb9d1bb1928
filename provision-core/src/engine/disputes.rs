//! Disputes: matches that a person must decide.

use serde::{Deserialize, Serialize};

use super::{Engine, conflict_error};
use crate::audit::AuditEntry;
use crate::connector::{Context, GetRequest, Object, ObjectKey};
use crate::error::{Effect, Error, ErrorKind, Result};
use crate::execute::{JournalEntry, StepState};
use crate::id::{ClassName, IdentityId, LinkId, Tag, TargetName};
use crate::ingest::NEW;
use crate::model::{
    Actor, Dispute, DisputeAbout, Identity, Link, LinkState, Name, NameState, RecordState, SourceRecord,
    Subject, Work,
};
use crate::plan::is_protected;
use crate::runtime::{Operation, within};
use crate::store::{self, Changes, Commit, Conflict, Record, Select, Stored, Table};

/// Open disputes returned at once.
const DISPUTES_MAX: usize = 10_000;
/// Tries against others who write the same rows.
const TRIES_MAX: u32 = 10;

/// What a person decides.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "decide")]
pub enum Decision {
    /// The object of the dispute is this identity's account: from now on it is linked and kept right. Or the record is
    /// this identity's.
    Link {
        /// Whose it is.
        identity: IdentityId,
    },
    /// The lost create did make an object: this one. For a dispute about a step.
    LinkTo {
        /// Whose it is.
        identity: IdentityId,
        /// The object's id on the target.
        object: String,
    },
    /// The object belongs to none of the candidates. They may get an account of their own. Of a record: it is a new
    /// identity.
    NotTheSame,
    /// The lost create made nothing: the next plan creates it. For a dispute about a step.
    CreateAgain,
    /// The source's data has been put right: the record is taken from the next feed again.
    Accept,
}

impl Engine {
    /// Open disputes, at most 10,000, in the order of their keys.
    pub async fn disputes(&self) -> Result<Vec<Dispute>> {
        let mut disputes = Vec::new();
        let mut cursor = None;
        loop {
            let select = Select::Equal("state", "open".to_owned());
            let (page, next) =
                store::list_by::<Dispute>(self.store(), &self.realm, select, cursor, 1_000).await?;
            disputes.extend(page.into_iter().map(|stored| stored.value));
            cursor = next;
            if cursor.is_none() || disputes.len() >= DISPUTES_MAX {
                return Ok(disputes);
            }
        }
    }

    /// Decides a dispute, by its key ([`Dispute::row_key`]). Nothing is written to a target; a decision to link reads
    /// the object.
    ///
    /// A record that may be somebody's is attached to whom `Link` names, a candidate or somebody else; `NotTheSame`
    /// makes a new identity of it; `Accept` closes the dispute, and a next feed that is as ambiguous opens it again.
    /// The record's next delivery counts: a full feed brings it by itself, a delta source must send it again. A
    /// decision holds as long as the record says what it said when it was asked.
    ///
    /// # Errors
    /// `NotFound` for an unknown dispute, identity or object; `Conflict` when it is decided already, or the object or
    /// the identity is linked otherwise; `Unsupported` when the decision does not fit what the dispute is about.
    /// Nothing is changed by any of them.
    pub async fn decide(&self, actor: &Actor, dispute_key: &str, decision: Decision) -> Result<Dispute> {
        self.authorize(actor, Operation::Relink)?;
        for _ in 0..TRIES_MAX {
            let Some(known) = store::get::<Dispute>(self.store(), &self.realm, dispute_key).await? else {
                return Err(Error::new(ErrorKind::NotFound, "there is no such dispute")
                    .with_context("key", dispute_key)
                    .with_effect(Effect::None));
            };
            if !known.value.open {
                return Err(refused("the dispute is decided already"));
            }
            let mut changes = Changes::in_realm(&self.realm);
            let mut entry = AuditEntry::new(&self.realm, self.now(), actor, "dispute.decided");
            let dirty = self.decided(&mut changes, &mut entry, &known.value, &decision).await?;
            entry.note = format!("{}: {dispute_key}", word_of(&decision));
            changes.append.push(entry.append()?);
            self.add_dirty(&mut changes, &dirty).await?;
            let kept = kept_of(&known.value.about, &decision);
            let dispute = Dispute { open: false, decision: Some((actor.clone(), kept)), ..known.value };
            changes.replace(known.version, &dispute)?;
            match self.store().commit(changes).await? {
                Commit::Committed => {
                    // Decided: what fails from here on is noted in the store and made up for by the next plan.
                    if let Err(error) = self.tell_of_decision(dirty).await {
                        tracing::warn!(%error, "who waits for a decision is told by the next plan");
                    }
                    return Ok(dispute);
                }
                Commit::Conflict(Conflict::Unique { table: Table::Link, .. }) => {
                    return Err(refused("the object is linked to somebody else"));
                }
                Commit::Conflict(Conflict::Expectation { table: Table::Work, .. }) => continue,
                Commit::Conflict(conflict) => return Err(conflict_error(&conflict)),
            }
        }
        Err(refused("others keep changing the same rows; try again"))
    }

    /// Whether objects of a class stand for roles, by the policy.
    fn stands_for_roles(&self, target: &TargetName, class: &ClassName) -> bool {
        let classes = self.policy().map(|policy| policy.role_classes()).unwrap_or_default();
        classes.iter().any(|known| (&known.0, &known.1) == (target, class))
    }

    async fn tell_of_decision(&self, dirty: Vec<IdentityId>) -> Result<()> {
        self.finish_marking().await?;
        for identity in self.waiting_for(&dirty.into_iter().collect()).await?.into_keys() {
            self.wake_waiting(identity).await?;
        }
        Ok(())
    }

    /// Adds what a decision changes; returns who must be looked at again.
    async fn decided(
        &self,
        changes: &mut Changes,
        entry: &mut AuditEntry,
        dispute: &Dispute,
        decision: &Decision,
    ) -> Result<Vec<IdentityId>> {
        match (&dispute.about, decision) {
            (DisputeAbout::Match { target, class, object, candidates }, decision) => {
                entry.target = Some(target.clone());
                entry.class = Some(class.clone());
                let step = object.strip_prefix("step/");
                let linked = match (decision, step) {
                    (Decision::Link { identity }, None) => Some((*identity, object)),
                    (Decision::LinkTo { identity, object }, _) => Some((*identity, object)),
                    (Decision::NotTheSame, None) | (Decision::CreateAgain, Some(_)) => None,
                    _ => return Err(unfit(decision)),
                };
                let mut dirty = candidates.clone();
                if let Some((identity, object)) = linked {
                    self.relink(changes, target, class, object, identity).await?;
                    entry.identity = Some(identity);
                    entry.object = Some(object.clone());
                    dirty.push(identity);
                    let waiting = self.waiting_for(&[identity].into()).await?;
                    dirty.extend(waiting.into_values().flatten().map(|waiting| waiting.identity));
                } else {
                    entry.identity = candidates.first().copied();
                    entry.object = step.is_none().then(|| object.clone());
                }
                if let Some(step) = step {
                    self.close_step(changes, step, candidates, word_of(decision)).await?;
                }
                Ok(dirty)
            }
            (DisputeAbout::Record { source, key }, Decision::Accept) => {
                let row_key = SourceRecord::row_key(source, key);
                let record = store::get::<SourceRecord>(self.store(), &self.realm, &row_key).await?;
                if let Some(Stored { version, value }) = record
                    && value.state == RecordState::Disputed
                {
                    // Without a fingerprint the next row counts as changed, whatever it says.
                    let state = RecordState::Present;
                    entry.identity = Some(value.identity);
                    changes.replace(version, &SourceRecord { state, fingerprint: String::new(), ..value })?;
                }
                Ok(Vec::new())
            }
            (DisputeAbout::Correlation { .. }, Decision::Accept | Decision::NotTheSame) => Ok(Vec::new()),
            (DisputeAbout::Correlation { .. }, Decision::Link { identity }) => {
                let known = self.identity(*identity).await?;
                let Some(known) = known else { return Err(super::find::nobody(&identity.to_string())) };
                if known.role().is_some() {
                    return Err(refused("a record of a person does not belong to a role"));
                }
                entry.identity = Some(*identity);
                Ok(Vec::new())
            }
            (_, decision) => Err(unfit(decision)),
        }
    }

    /// Links an object that is there to an identity.
    async fn relink(
        &self,
        changes: &mut Changes,
        target: &TargetName,
        class: &ClassName,
        object: &str,
        identity: IdentityId,
    ) -> Result<()> {
        let known = self.identity(identity).await?;
        let Some(known) = known else { return Err(super::find::nobody(&identity.to_string())) };
        let of_roles = self.stands_for_roles(target, class);
        if known.role().is_some() != of_roles {
            let whom = if of_roles { "a role" } else { "a person" };
            return Err(refused(&format!("an object of this class stands for {whom}")));
        }
        let settings = self.target(target).await?.value.settings;
        let connector = self.inner.connector(&self.realm, &settings)?;
        let cx = Context::new(self.realm.clone(), format!("relink/{}", target.as_str()));
        let limit = std::time::Duration::from_secs(u64::from(settings.timeout_seconds.max(1)));
        let request = GetRequest { class: class.clone(), key: ObjectKey::id(object) };
        let found =
            within(self.inner.clock.as_ref(), limit, connector.get(&cx, request)).await.map_err(unchanged)?;
        let Some(found) = found else {
            return Err(Error::new(ErrorKind::NotFound, "the object is not on the target any more")
                .with_context("object", object)
                .with_effect(Effect::None));
        };
        if is_protected(&settings.protected, &found.key) {
            return Err(refused("the object is protected: it is never linked"));
        }
        let subject = Subject::Identity(identity);
        let row_key = Link::row_key(target, class, &Tag::main(), &subject);
        let known = store::get::<Link>(self.store(), &self.realm, &row_key).await?;
        let (version, mut link) = match known {
            Some(Stored { version, value }) => (Some(version), value),
            None => {
                let id = LinkId::from_uuid(self.inner.mint()?);
                let realm = self.realm.clone();
                (None, Link::new(id, realm, target.clone(), class.clone(), Tag::main(), subject))
            }
        };
        // The object it stood for before, if any, is not this one.
        if version.is_some() && link.key.as_ref().is_none_or(|key| key.id != found.key.id) {
            self.forget_edges(changes, link.id).await?;
        }
        let has_other = link.key.as_ref().is_some_and(|key| key.id != found.key.id);
        if has_other && link.state != LinkState::Inactive && !link.missing {
            return Err(refused("the identity has another account there already"));
        }
        if has_other {
            self.forget_members(changes, &link).await?;
        }
        link.state = LinkState::Active;
        link.missing = false;
        link.key = Some(found.key.clone());
        link.enabled = found.enabled;
        // What it holds is not what we wrote: the next plan brings it right.
        link.applied = Default::default();
        link.inputs.clear();
        link.drift = Default::default();
        link.observed = found.attributes.clone();
        link.observed_at = Some(self.now());
        link.revision += 1;
        match version {
            Some(version) => changes.replace(version, &link)?,
            None => changes.insert(&link)?,
        }
        self.hold_names(changes, target, class, &found, identity).await
    }

    /// The names of a linked object are its owner's now.
    async fn hold_names(
        &self,
        changes: &mut Changes,
        target: &TargetName,
        class: &ClassName,
        object: &Object,
        owner: IdentityId,
    ) -> Result<()> {
        let policy = self.inner.policy(&self.realm).ok();
        let namespaces = policy.as_ref().map(|policy| policy.namespaces()).unwrap_or_default();
        let mut names: Vec<Name> = Vec::new();
        // A scoped name means nothing without its scope, which only the policy knows.
        for namespace in namespaces.iter().filter(|namespace| !namespace.scoped) {
            let here =
                namespace.members.iter().filter(|member| (&member.target, &member.class) == (target, class));
            for member in here {
                let attribute = member.attribute.as_str();
                names.extend(object.attributes.values(attribute).iter().map(|value| {
                    let name = value.to_plain();
                    Name {
                        realm: self.realm.clone(),
                        namespace: namespace.name.clone(),
                        scope: String::new(),
                        folded: namespace.case.fold(&name),
                        name,
                        owner: Some(owner),
                        purpose: format!("{}/{}/main/{attribute}", target.as_str(), class.as_str()),
                        state: NameState::Held,
                    }
                }));
            }
        }
        let mut seen = std::collections::BTreeSet::new();
        names.retain(|name| seen.insert(name.key()));
        let keys: Vec<String> = names.iter().map(Record::key).collect();
        let known = store::get_many::<Name>(self.store(), &self.realm, &keys).await?;
        for (name, known) in names.iter().zip(known) {
            match known {
                None => changes.insert(name)?,
                Some(known) if known.value.owner.is_none() => changes.replace(known.version, name)?,
                Some(_) => {}
            }
        }
        Ok(())
    }

    /// The step that the dispute is about has ended: plans look at the account again.
    async fn close_step(
        &self,
        changes: &mut Changes,
        step: &str,
        candidates: &[IdentityId],
        word: &str,
    ) -> Result<()> {
        for candidate in candidates {
            let select = Select::Equal("identity", candidate.to_string());
            let (entries, _) =
                store::list_by::<JournalEntry>(self.store(), &self.realm, select, None, 10_000).await?;
            for Stored { version, value } in entries {
                if value.step.as_str() == step && value.state == StepState::Disputed {
                    let state = StepState::Skipped { why: format!("a person decided: {word}") };
                    changes.replace(version, &JournalEntry { state, ..value })?;
                }
            }
        }
        Ok(())
    }

    /// Adds the dirty marks of identities to a commit.
    async fn add_dirty(&self, changes: &mut Changes, identities: &[IdentityId]) -> Result<()> {
        let mut keys: Vec<String> = identities.iter().map(ToString::to_string).collect();
        keys.sort();
        keys.dedup();
        let found = store::get_many::<Identity>(self.store(), &self.realm, &keys).await?;
        let found: Vec<Identity> = found.into_iter().flatten().map(|stored| stored.value).collect();
        let keys: Vec<String> = found.iter().map(Identity::order).collect();
        let work = store::get_many::<Work>(self.store(), &self.realm, &keys).await?;
        for (identity, work) in found.iter().zip(work) {
            Work::mark(changes, work, identity, false, self.now())?;
        }
        Ok(())
    }
}

/// What is kept of a decision; of one about a record, what its next delivery looks for.
fn kept_of(about: &DisputeAbout, decision: &Decision) -> String {
    match (about, decision) {
        (DisputeAbout::Correlation { .. }, Decision::Link { identity }) => identity.to_string(),
        (DisputeAbout::Correlation { .. }, Decision::NotTheSame) => NEW.to_owned(),
        _ => word_of(decision).to_owned(),
    }
}

fn word_of(decision: &Decision) -> &'static str {
    match decision {
        Decision::Link { .. } | Decision::LinkTo { .. } => "linked",
        Decision::NotTheSame => "not the same",
        Decision::CreateAgain => "create again",
        Decision::Accept => "accepted",
    }
}

fn refused(why: &str) -> Error {
    Error::new(ErrorKind::Conflict, why.to_owned()).with_effect(Effect::None)
}

fn unfit(decision: &Decision) -> Error {
    let message = format!("`{}` does not answer what this dispute is about", word_of(decision));
    Error::new(ErrorKind::Unsupported, message).with_effect(Effect::None)
}

/// A read changes nothing.
fn unchanged(error: Error) -> Error {
    error.with_effect(Effect::None)
}
