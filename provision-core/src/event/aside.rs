//! Commands that can never be accepted: kept with the reason until an operator has them tried again or drops them.

use serde::{Deserialize, Serialize};

use super::command::{Command, CommandMessage};
use super::message::token;
use crate::engine::SubmitOutcome;
use crate::error::{Effect, Error, ErrorKind, ErrorRecord, Result};
use crate::id::RealmId;
use crate::model::Actor;
use crate::runtime::{Operation, Runtime};
use crate::store::{self, Changes, Cursor, Record, Select, Table};
use crate::value::Timestamp;

/// The first part of the rows' keys.
const PREFIX: &str = "aside/";
/// Bytes of a message that are kept.
const KEPT_MAX: usize = 64 * 1024;
/// Commands set aside at a time. More are not taken from the bus until some are decided.
const ASIDE_MAX: u64 = 10_000;

/// A command that was set aside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetAside {
    /// By which it is tried again or dropped.
    pub id: String,
    /// When.
    pub at: Timestamp,
    /// The stream that it came from.
    pub source: String,
    /// Its number there.
    pub sequence: u64,
    /// Its subject there.
    pub subject: String,
    /// The id that its sender gave it.
    pub message_id: Option<String>,
    /// The realm that it names, as far as it could be read. There may be no such realm.
    pub realm: Option<RealmId>,
    /// Why it cannot be accepted.
    pub reason: ErrorRecord,
    /// What it says; of a message that is too large, the beginning. Text from outside: escape it before it is shown.
    pub payload: String,
}

impl SetAside {
    pub(super) fn of(
        message: &CommandMessage,
        realm: Option<RealmId>,
        at: Timestamp,
        reason: ErrorRecord,
    ) -> Self {
        let kept = message.payload.get(..KEPT_MAX).unwrap_or(&message.payload);
        Self {
            id: format!("{}/{:020}", token(&message.source), message.sequence),
            at,
            source: message.source.clone(),
            sequence: message.sequence,
            subject: message.subject.clone(),
            message_id: message.message_id.clone(),
            realm,
            reason,
            payload: String::from_utf8_lossy(kept).into_owned(),
        }
    }
}

impl Record for SetAside {
    const TABLE: Table = Table::Meta;

    fn key(&self) -> String {
        format!("{PREFIX}{}", self.id)
    }

    fn columns(&self) -> Vec<(&'static str, String)> {
        Vec::new()
    }
}

impl Runtime {
    pub(super) async fn set_aside(&self, aside: SetAside) -> Result<()> {
        let store = self.0.bare.as_ref();
        let known = store::get::<SetAside>(store, &RealmId::reserved(), &aside.key()).await?;
        if known.is_none() && self.count_set_aside().await? >= ASIDE_MAX {
            let message = "10,000 commands are set aside: decide some of them before more are taken";
            return Err(Error::new(ErrorKind::Unavailable, message).with_effect(Effect::None));
        }
        tracing::warn!(
            source = aside.source,
            sequence = aside.sequence,
            reason = aside.reason.message,
            "a command is set aside"
        );
        let mut changes = Changes::in_realm(&RealmId::reserved());
        changes.put(&aside)?;
        store.commit(changes).await.map(|_| ())
    }

    /// How many commands are set aside.
    pub async fn count_set_aside(&self) -> Result<u64> {
        let every = Select::KeyPrefix(PREFIX.to_owned());
        store::count_by::<SetAside>(self.0.bare.as_ref(), &RealmId::reserved(), every).await
    }

    /// Commands that were set aside, after an id, in the order of their streams.
    pub async fn commands_set_aside(&self, after: Option<&str>, limit: u32) -> Result<Vec<SetAside>> {
        let after = after.map(|id| Cursor { column: String::new(), key: format!("{PREFIX}{id}") });
        let every = Select::KeyPrefix(PREFIX.to_owned());
        let page = store::list_by::<SetAside>(
            self.0.bare.as_ref(),
            &RealmId::reserved(),
            every,
            after,
            limit.max(1),
        )
        .await?;
        Ok(page.0.into_iter().map(|stored| stored.value).collect())
    }

    /// Tries a command again that was set aside, for the actor who asks: what the message said of its sender counts for
    /// nothing. Accepted, it is not set aside any more.
    ///
    /// # Errors
    /// `NotFound` for an unknown id; else as [`crate::engine::Engine::submit`]: it stays set aside.
    pub async fn retry_command(&self, actor: &Actor, id: &str) -> Result<SubmitOutcome> {
        let aside = self.aside(id).await?;
        let message = CommandMessage {
            source: aside.source,
            sequence: aside.sequence,
            message_id: aside.message_id,
            subject: aside.subject,
            headers: std::collections::BTreeMap::new(),
            payload: aside.payload.into_bytes(),
        };
        let Command { realm, change, idempotency_key, .. } = message.command()?;
        // Not the key of the message: another request may have it, and that is why it was set aside.
        let key = format!("aside/{}", idempotency_key.as_deref().unwrap_or(id));
        let outcome = self.realm(realm).submit(actor, change, &key).await?;
        self.remove_aside(id).await?;
        Ok(outcome)
    }

    /// Drops a command that was set aside.
    ///
    /// # Errors
    /// `NotFound` for an unknown id; `PermissionDenied` without the right to retry.
    pub async fn drop_command(&self, actor: &Actor, id: &str) -> Result<()> {
        self.0.authorizer.authorize(actor, &RealmId::reserved(), Operation::Retry)?;
        self.aside(id).await?;
        self.remove_aside(id).await
    }

    async fn aside(&self, id: &str) -> Result<SetAside> {
        let key = format!("{PREFIX}{id}");
        let found = store::get::<SetAside>(self.0.bare.as_ref(), &RealmId::reserved(), &key).await?;
        found.map(|stored| stored.value).ok_or_else(|| {
            Error::new(ErrorKind::NotFound, "no command of that id is set aside")
                .with_context("id", id)
                .with_effect(Effect::None)
        })
    }

    async fn remove_aside(&self, id: &str) -> Result<()> {
        let mut changes = Changes::in_realm(&RealmId::reserved());
        changes.delete::<SetAside>(format!("{PREFIX}{id}"));
        self.0.bare.commit(changes).await.map(|_| ())
    }
}
