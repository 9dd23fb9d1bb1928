//! What changed since a token. A token is the number of the last change that was told.

use async_trait::async_trait;

use super::MemoryConnector;
use super::content::id;
use super::fault::{About, Operation};
use super::target::refuse;
use crate::connector::{ChangeEvent, ChangeFeed, ChangeFeedRequest, ChangePage, Context, ObjectKey};
use crate::error::{ErrorKind, Result};

/// What a token starts with, so that a foreign one is recognised.
const MARK: &str = "memory:";

fn token(sequence: u64) -> Vec<u8> {
    format!("{MARK}{sequence}").into_bytes()
}

fn sequence(token: &[u8]) -> Option<u64> {
    std::str::from_utf8(token).ok()?.strip_prefix(MARK)?.parse().ok()
}

#[async_trait]
impl ChangeFeed for MemoryConnector {
    async fn changes(&self, cx: &Context, request: ChangeFeedRequest) -> Result<ChangePage> {
        self.target.class(&request.class)?;
        let about =
            About { operation: Operation::Changes, class: Some(&request.class), key: None, attributes: None };
        self.target.begin(cx, about).await?;
        let content = self.target.content()?;
        if !content.classes.get(&request.class).is_some_and(|class| class.changes) {
            return Err(refuse(ErrorKind::Unsupported, "the target does not tell what changed"));
        }
        let Some(given) = request.token else {
            return Ok(ChangePage { events: Vec::new(), token: token(content.sequence), more: false });
        };
        let oldest = content.changes.front().map_or(content.sequence + 1, |change| change.sequence);
        let Some(after) = sequence(&given).filter(|after| *after <= content.sequence && *after + 1 >= oldest)
        else {
            return Err(refuse(
                ErrorKind::Conflict,
                "the token is unknown or too old: list everything again",
            ));
        };
        let limit = request.limit.clamp(1, self.target.config.page_size_max) as usize;
        let fresh = content.changes.partition_point(|change| change.sequence <= after);
        let mut events = Vec::new();
        let mut last = content.sequence;
        let mut more = false;
        for change in content.changes.range(fresh..).filter(|change| change.class == request.class) {
            if events.len() == limit {
                more = true;
                break;
            }
            last = change.sequence;
            let stored = content.find(&change.class, &id(change.number)).filter(|_| !change.deleted);
            let key = ObjectKey { id: id(change.number), name: change.name.clone() };
            let object = stored.map(|stored| self.target.view(&content, &change.class, stored, false));
            events.push(ChangeEvent { key, deleted: change.deleted, object });
        }
        let last = if more { last } else { content.sequence };
        Ok(ChangePage { events, token: token(last), more })
    }
}
