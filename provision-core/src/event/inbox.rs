//! Commands that a host hands over in the store's own database, within transactions of its own.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::command::{Command, CommandActor, CommandMessage, CommandOutcome};
use crate::error::{Error, ErrorKind, Result};
use crate::id::RealmId;
use crate::model::Actor;
use crate::runtime::Runtime;
use crate::store::Posted;

/// Where such commands come from, for what is set aside.
const SOURCE: &str = "inbox";
/// Commands read at a time.
const PAGE: u32 = 64;
/// Pages in one go; the next go takes the others.
const PAGES_MAX: u32 = 4;

/// What became of the commands of a host that uses the store's database.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct InboxReport {
    /// Changes that are committed.
    pub taken: u64,
    /// Commands that can never be accepted: they are kept with the reason.
    pub set_aside: u64,
    /// The first trouble that may pass. What it stopped stays, with what comes after it in its realm.
    pub problem: Option<crate::error::ErrorRecord>,
}

/// A command as it goes through the same door as those of a bus.
#[derive(Serialize)]
struct Message<'a> {
    realm: &'a RealmId,
    #[serde(skip_serializing_if = "Option::is_none")]
    actor: Option<&'a str>,
    idempotency_key: &'a str,
    change: &'a RawValue,
}

/// Whoever may call `enqueue` is the host: its word of who asks is taken.
#[derive(Debug)]
struct Host;

impl CommandActor for Host {
    fn actor(&self, _message: &CommandMessage, command: &Command) -> Result<Actor> {
        Ok(Actor::service(command.actor.as_deref().unwrap_or("enqueue")))
    }
}

impl Runtime {
    /// Takes in what a host handed over with the SQL function `enqueue` ([`Store::inbox`](crate::store::Store::inbox)):
    /// of each realm in the order of the numbers, each once. The drive of all realms ([`Runtime::run`]) does this by
    /// itself.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn take_inbox(&self) -> Result<InboxReport> {
        let (mut report, mut stopped, mut after) = (InboxReport::default(), BTreeSet::new(), 0);
        for _ in 0..PAGES_MAX {
            let page = self.store().inbox(after, PAGE).await?;
            let Some(last) = page.last() else { break };
            after = last.number;
            for posted in page {
                // Those after it wait for it: they may be about the same identity.
                if stopped.contains(&posted.realm) {
                    continue;
                }
                match self.take_posted(&posted).await {
                    Ok(CommandOutcome::Taken(_)) => report.taken += 1,
                    Ok(CommandOutcome::SetAside(_)) => report.set_aside += 1,
                    Err(error) => {
                        stopped.insert(posted.realm);
                        report.problem.get_or_insert_with(|| error.record());
                    }
                }
            }
        }
        Ok(report)
    }

    async fn take_posted(&self, posted: &Posted) -> Result<CommandOutcome> {
        let change: &RawValue = serde_json::from_str(&posted.change).map_err(unreadable)?;
        let (realm, key) = (&posted.realm, posted.key.as_str());
        let message = Message { realm, actor: posted.actor.as_deref(), idempotency_key: key, change };
        let message = CommandMessage {
            source: SOURCE.to_owned(),
            sequence: posted.number,
            message_id: Some(posted.key.clone()),
            subject: posted.realm.as_str().to_owned(),
            headers: Default::default(),
            payload: serde_json::to_vec(&message).map_err(unreadable)?,
        };
        let outcome = self.take_command(&message, &Host).await?;
        // Whatever happens before it is removed, it counts once.
        self.store().remove_posted(posted.number).await?;
        Ok(outcome)
    }
}

fn unreadable(error: serde_json::Error) -> Error {
    Error::new(ErrorKind::StoreUnusable, "cannot read a command of the inbox").with_source(error)
}
