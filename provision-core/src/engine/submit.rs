//! Requests of the host: grants given, taken back and extended, and emergency termination. Each counts once.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::Engine;
use crate::audit::AuditEntry;
use crate::error::{Effect, Error, ErrorKind, Result, Retry};
use crate::event::Event;
use crate::id::{IdentityId, PolicyRef};
use crate::model::{
    Actor, ActorKind, Entitlement, Grant, Identity, Origin, OriginKind, Status, Validity, Work,
};
use crate::runtime::Operation;
use crate::store::{self, Changes, Commit, Record, Stored, Table};
use crate::value::Timestamp;

/// Tries against others who write the same rows.
const TRIES_MAX: u32 = 10;
/// The longest idempotency key in bytes.
const KEY_MAX: usize = 200;

/// What the host asks for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "request")]
pub enum SubmitRequest {
    /// Give an entitlement. An origin with the same reference is replaced.
    Grant {
        /// To whom.
        identity: IdentityId,
        /// What.
        entitlement: Entitlement,
        /// When it counts.
        #[serde(default)]
        validity: Validity,
        /// The request's number, or who decided.
        reference: PolicyRef,
    },
    /// Take back what a request gave. What a rule gives stays.
    Revoke {
        /// From whom.
        identity: IdentityId,
        /// What.
        entitlement: Entitlement,
        /// Which origin; `None`: every stored one, imported ones too.
        reference: Option<PolicyRef>,
    },
    /// Move the end of what a request gave.
    Extend {
        /// Whose.
        identity: IdentityId,
        /// What.
        entitlement: Entitlement,
        /// Which origin.
        reference: PolicyRef,
        /// The end from now on; `None`: no end.
        until: Option<Timestamp>,
    },
    /// Emergency: the identity is terminated now, before its source says so. It stands until a record of the identity
    /// changes in a source; then the source's word counts again.
    Terminate {
        /// Who.
        identity: IdentityId,
    },
}

impl SubmitRequest {
    pub(crate) fn identity(&self) -> IdentityId {
        match self {
            Self::Grant { identity, .. }
            | Self::Revoke { identity, .. }
            | Self::Extend { identity, .. }
            | Self::Terminate { identity } => *identity,
        }
    }

    fn entitlement(&self) -> Option<&Entitlement> {
        match self {
            Self::Grant { entitlement, .. }
            | Self::Revoke { entitlement, .. }
            | Self::Extend { entitlement, .. } => Some(entitlement),
            Self::Terminate { .. } => None,
        }
    }
}

/// What a request came to. A repetition gets the same answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubmitOutcome {
    /// About whom.
    pub identity: IdentityId,
    /// When it was accepted.
    pub at: Timestamp,
    /// Something is different now; false when it was so before.
    pub changed: bool,
}

/// The answer to a request, kept under its idempotency key.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Answered {
    key: String,
    /// Hash of the request: the same key with another content is a mistake.
    content: String,
    outcome: SubmitOutcome,
}

impl Record for Answered {
    const TABLE: Table = Table::Request;

    fn key(&self) -> String {
        self.key.clone()
    }

    fn columns(&self) -> Vec<(&'static str, String)> {
        Vec::new()
    }
}

impl Engine {
    /// Accepts a request, once per idempotency key: a repetition changes nothing and gets the first answer.
    ///
    /// # Errors
    /// `NotFound` for an unknown identity, target or origin; `Conflict` when the key was used for another request;
    /// `DataInvalid` for a key that is empty or longer than 200 bytes. Nothing is changed by any of them.
    pub async fn submit(
        &self,
        actor: &Actor,
        request: SubmitRequest,
        idempotency: &str,
    ) -> Result<SubmitOutcome> {
        self.authorize(actor, Operation::Submit)?;
        if idempotency.is_empty() || idempotency.len() > KEY_MAX {
            return Err(Error::new(ErrorKind::DataInvalid, "an idempotency key has 1 to 200 bytes")
                .with_effect(Effect::None));
        }
        let text = serde_json::to_vec(&request).map_err(|error| {
            Error::new(ErrorKind::Unexpected, "cannot encode the request")
                .with_source(error)
                .with_effect(Effect::None)
        })?;
        let content = hex::encode(Sha256::digest(&text));
        if let Some(entitlement) = request.entitlement() {
            self.target(entitlement.target()).await?;
        }
        for _ in 0..TRIES_MAX {
            let known = store::get::<Answered>(self.store(), &self.realm, idempotency).await?;
            if let Some(known) = known {
                if known.value.content == content {
                    return Ok(known.value.outcome);
                }
                return Err(Error::new(
                    ErrorKind::Conflict,
                    "the idempotency key was used for another request",
                )
                .with_context("key", idempotency)
                .with_effect(Effect::None));
            }
            let mut changes = Changes::in_realm(&self.realm);
            let changed = self.request(&mut changes, actor, &request).await?;
            let outcome = SubmitOutcome { identity: request.identity(), at: self.now(), changed };
            let key = idempotency.to_owned();
            changes.insert(&Answered { key, content: content.clone(), outcome: outcome.clone() })?;
            if self.store().commit(changes).await? == Commit::Committed {
                return Ok(outcome);
            }
        }
        Err(Error::new(ErrorKind::Conflict, "others keep changing the same identity; try again")
            .with_retry(Retry::After(None))
            .with_effect(Effect::None))
    }

    /// Adds what a request changes. False when it is so already.
    async fn request(&self, changes: &mut Changes, actor: &Actor, request: &SubmitRequest) -> Result<bool> {
        let id = request.identity();
        let stored = store::get::<Identity>(self.store(), &self.realm, &id.to_string()).await?;
        let Some(Stored { version, mut value }) = stored else {
            return Err(super::find::nobody(&id.to_string()));
        };
        let urgent = matches!(request, SubmitRequest::Terminate { .. });
        let (changed, event) = match request {
            SubmitRequest::Terminate { .. } => {
                let several = value.engagements.iter_mut().map(|engagement| &mut engagement.employment);
                let mut changed = false;
                for employment in std::iter::once(&mut value.employment).chain(several) {
                    changed |= employment.status != Status::Terminated;
                    employment.status = Status::Terminated;
                }
                if changed {
                    value.version += 1;
                    value.next_change_at = None;
                    changes.replace(version, &value)?;
                }
                (changed, "identity.terminated")
            }
            SubmitRequest::Grant { .. } => (self.regrant(changes, actor, request).await?, "grant.given"),
            SubmitRequest::Revoke { .. } => (self.regrant(changes, actor, request).await?, "grant.revoked"),
            SubmitRequest::Extend { .. } => (self.regrant(changes, actor, request).await?, "grant.extended"),
        };
        let mut entry = AuditEntry::new(&self.realm, self.now(), actor, event);
        entry.identity = Some(id);
        entry.target = request.entitlement().map(|entitlement| entitlement.target().clone());
        entry.note = match (request.entitlement(), changed) {
            (Some(entitlement), true) => entitlement.key(),
            (Some(entitlement), false) => format!("{}: was so already", entitlement.key()),
            (None, true) => "by request, ahead of the source".to_owned(),
            (None, false) => "was so already".to_owned(),
        };
        changes.append.push(entry.append()?);
        if changed {
            if !urgent {
                // Plans made before do not know the grant as it is now: their steps are stale.
                value.version += 1;
                changes.replace(version, &value)?;
            }
            let work = store::get::<Work>(self.store(), &self.realm, &value.order()).await?;
            Work::mark(changes, work, &value, urgent, self.now())?;
            let event = Event {
                realm: self.realm.clone(),
                at: self.now(),
                event: event.to_owned(),
                identity: Some(id),
                target: entry.target,
                plan: None,
            };
            changes.append.push(event.append()?);
        }
        Ok(changed)
    }

    /// Changes the origins of a stored grant.
    async fn regrant(&self, changes: &mut Changes, actor: &Actor, request: &SubmitRequest) -> Result<bool> {
        let Some(entitlement) = request.entitlement() else { return Ok(false) };
        let empty = Grant {
            realm: self.realm.clone(),
            identity: request.identity(),
            entitlement: entitlement.clone(),
            origins: Vec::new(),
        };
        let known = store::get::<Grant>(self.store(), &self.realm, &empty.key()).await?;
        let mut grant = known.as_ref().map_or(empty, |known| known.value.clone());
        match request {
            SubmitRequest::Grant { validity, reference, .. } => {
                let kind = match actor.kind {
                    ActorKind::Person => OriginKind::Manual,
                    ActorKind::Service | ActorKind::Engine => OriginKind::Request,
                };
                let origin = Origin { kind, reference: reference.clone(), validity: *validity };
                match grant.origins.iter_mut().find(|known| known.reference == *reference) {
                    Some(known) => *known = origin,
                    None => grant.origins.push(origin),
                }
            }
            SubmitRequest::Revoke { reference, .. } => {
                grant.origins.retain(|origin| {
                    reference.as_ref().is_some_and(|reference| origin.reference != *reference)
                });
            }
            SubmitRequest::Extend { reference, until, .. } => {
                let origin = grant.origins.iter_mut().find(|origin| origin.reference == *reference);
                let Some(origin) = origin else {
                    return Err(Error::new(ErrorKind::NotFound, "no request of that reference gave this")
                        .with_context("reference", reference.as_str())
                        .with_effect(Effect::None));
                };
                origin.validity.until = *until;
            }
            SubmitRequest::Terminate { .. } => {}
        }
        match known {
            Some(known) if known.value == grant => return Ok(false),
            Some(known) if grant.origins.is_empty() => {
                let expect =
                    store::Expect::Version { table: Grant::TABLE, key: grant.key(), version: known.version };
                changes.expect.push(expect);
                changes.delete::<Grant>(grant.key());
            }
            Some(known) => changes.replace(known.version, &grant)?,
            None if grant.origins.is_empty() => return Ok(false),
            None => changes.insert(&grant)?,
        }
        Ok(true)
    }
}
