//! Commands: changes that the host asks for in messages of a bus, taken in once each.

use std::collections::BTreeMap;
use std::fmt::Debug;

use serde::{Deserialize, Serialize};

use super::aside::SetAside;
use crate::engine::{SubmitOutcome, SubmitRequest};
use crate::error::{Effect, Error, ErrorKind, ErrorRecord, Result, Retry};
use crate::id::RealmId;
use crate::model::Actor;
use crate::runtime::Runtime;

/// The largest message in bytes.
const MESSAGE_MAX: usize = 64 * 1024;

/// What a message asks for, as JSON:
///
/// ```
/// # use provision_core::event::Command;
/// let text = r#"{
///     "realm": "acme",
///     "idempotency_key": "HD-4711",
///     "change": {"request": "terminate", "identity": "0190a1b2-0000-7000-8000-000000000001"}
/// }"#;
/// let command: Command = serde_json::from_str(text)?;
/// assert_eq!(command.realm.as_str(), "acme");
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Command {
    /// In which realm.
    pub realm: RealmId,
    /// Who the sender says it is. It gives no right: see [`CommandActor`].
    #[serde(default)]
    pub actor: Option<String>,
    /// By which the command counts once; the id of the message where none is given.
    #[serde(default)]
    pub idempotency_key: Option<String>,
    /// The change, as [`Engine::submit`](crate::engine::Engine::submit) takes it.
    pub change: SubmitRequest,
}

/// A message as a bus delivered it.
#[derive(Clone, PartialEq, Eq)]
pub struct CommandMessage {
    /// Where it was read: the name of a stream.
    pub source: String,
    /// Its number there. A message that is delivered again has the same.
    pub sequence: u64,
    /// The id that its sender gave it.
    pub message_id: Option<String>,
    /// The subject or topic.
    pub subject: String,
    /// Its headers, the first value of each.
    pub headers: BTreeMap<String, String>,
    /// What it says.
    pub payload: Vec<u8>,
}

impl Debug for CommandMessage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Headers may carry what a host checks a sender by.
        f.debug_struct("CommandMessage")
            .field("source", &self.source)
            .field("sequence", &self.sequence)
            .field("subject", &self.subject)
            .finish_non_exhaustive()
    }
}

/// Decides for whom a message acts. A bus lets anybody write who may publish there: what a message says of its sender
/// is a claim, and only the host knows what proves it (a subject that only one sender may use, a signed header).
///
/// An [`Actor`] is the simplest rule: all messages act for it, and one that claims to be somebody else is refused.
pub trait CommandActor: Debug + Send + Sync {
    /// The actor that is recorded, and that the host's authorizer is asked about.
    ///
    /// # Errors
    /// `PermissionDenied`: the message is set aside.
    fn actor(&self, message: &CommandMessage, command: &Command) -> Result<Actor>;
}

impl CommandActor for Actor {
    fn actor(&self, _message: &CommandMessage, command: &Command) -> Result<Actor> {
        match &command.actor {
            Some(claimed) if *claimed != self.name => Err(Error::new(
                ErrorKind::PermissionDenied,
                "the message says that it comes from another actor than commands are taken for",
            )
            .with_context("claimed", claimed.clone())
            .with_effect(Effect::None)),
            _ => Ok(self.clone()),
        }
    }
}

/// What became of a command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CommandOutcome {
    /// The change is committed, by this delivery or by an earlier one.
    Taken(SubmitOutcome),
    /// It will never be: it is kept with the reason.
    SetAside(ErrorRecord),
}

impl CommandMessage {
    /// Whose order the command is part of; `None` where that cannot be read.
    #[cfg(feature = "nats")]
    pub(crate) fn order(&self) -> Option<(String, String)> {
        let command = self.command().ok()?;
        Some((command.realm.as_str().to_owned(), command.change.identity().to_string()))
    }

    pub(super) fn command(&self) -> Result<Command> {
        let invalid = |message: &str| Error::new(ErrorKind::DataInvalid, message).with_effect(Effect::None);
        if self.payload.len() > MESSAGE_MAX {
            let size = self.payload.len().to_string();
            return Err(invalid("the message is larger than 65,536 bytes").with_context("bytes", size));
        }
        serde_json::from_slice(&self.payload)
            .map_err(|error| invalid("the message is not a command").with_source(error))
    }

    /// By which the command counts once.
    fn key(&self, command: &Command) -> String {
        let of_sender = command.idempotency_key.clone().or_else(|| self.message_id.clone());
        of_sender.unwrap_or_else(|| format!("{}/{}", self.source, self.sequence))
    }
}

impl Runtime {
    /// Takes a command in, once: a message that comes again changes nothing and gets the first answer. When this
    /// returns `Ok`, everything is durable and the message may be acknowledged, whatever the outcome: what can never be
    /// accepted is set aside with the reason ([`Runtime::commands_set_aside`]).
    ///
    /// For adapters of other buses; [`jetstream`](crate::event) has one.
    ///
    /// # Errors
    /// Those that pass: the message is not to be acknowledged, and is to be delivered again.
    pub async fn take_command(
        &self,
        message: &CommandMessage,
        rule: &dyn CommandActor,
    ) -> Result<CommandOutcome> {
        let mut realm = None;
        let taken = async {
            let command = message.command()?;
            realm = Some(command.realm.clone());
            let actor = rule.actor(message, &command)?;
            let key = message.key(&command);
            self.realm(command.realm).submit(&actor, command.change, &key).await
        };
        let error = match taken.await {
            Ok(outcome) => return Ok(CommandOutcome::Taken(outcome)),
            Err(error) if passes(&error) => return Err(error),
            Err(error) => error,
        };
        let reason = error.record();
        self.set_aside(SetAside::of(message, realm, self.clock().now(), reason.clone())).await?;
        Ok(CommandOutcome::SetAside(reason))
    }
}

/// Whether the same message may be accepted later, without anybody doing anything about it.
fn passes(error: &Error) -> bool {
    error.retry() != Retry::Never
        || matches!(error.kind(), ErrorKind::StoreUnusable | ErrorKind::Unavailable | ErrorKind::RateLimited)
}
