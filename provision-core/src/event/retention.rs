//! Deletes events that every sink has and that are old enough.

use super::outbox::{OutboxMark, SinkCursor};
use super::relay::RelayOptions;
use super::turn::{known_sinks, note_kept, settle, written_at};
use crate::error::Result;
use crate::id::RealmId;
use crate::runtime::Inner;
use crate::store::{self, Changes, Due, Stream, Table};

/// Realms of one look.
const PAGE: u32 = 1_000;
/// Rows deleted by one commit.
const ROWS_MAX: u32 = 1_000;
/// Commits in one realm; then others go first.
const ROUNDS_MAX: u32 = 20;

/// Looks once for events to delete; says how many were.
pub(super) async fn trim_all(inner: &Inner, options: &RelayOptions) -> Result<u64> {
    let now = inner.clock.now();
    let (prefix, at_most) = OutboxMark::sent_range(now);
    let mut trimmed = 0;
    for realm in due(inner, prefix, at_most).await? {
        trimmed += trim(inner, &realm, options).await?;
    }
    if known_sinks(inner).await?.is_empty() {
        // Nobody sends, nobody else settles.
        let (prefix, at_most) = OutboxMark::unsent_range();
        for realm in due(inner, prefix, at_most).await? {
            if let Some(mark) =
                store::get::<OutboxMark>(inner.store.as_ref(), &realm, OutboxMark::KEY).await?
            {
                settle(inner, &realm, options.retention, &mark, None).await?;
            }
        }
    }
    Ok(trimmed)
}

async fn due(inner: &Inner, prefix: String, at_most: String) -> Result<Vec<RealmId>> {
    let due = Due { table: Table::Meta, column: "due", prefix, at_most, after: None, limit: PAGE };
    let found = inner.store.due_realms(&[due]).await?;
    Ok(found.into_iter().flat_map(|page| page.realms).collect())
}

/// Deletes what is old enough in a realm.
async fn trim(inner: &Inner, realm: &RealmId, options: &RelayOptions) -> Result<u64> {
    let store = inner.store.as_ref();
    let Some(mark) = store::get::<OutboxMark>(store, realm, OutboxMark::KEY).await? else { return Ok(0) };
    if mark.value.sent_until.is_none() {
        return Ok(0);
    }
    // A sink that has no cursor here has nothing of this realm yet.
    let mut everywhere = u64::MAX;
    for sink in known_sinks(inner).await? {
        let cursor = store::get::<SinkCursor>(store, realm, &SinkCursor::row_key(&sink.name)).await?;
        everywhere = everywhere.min(cursor.map_or(0, |cursor| cursor.value.sent));
    }
    let before = inner.clock.now().minus(options.retention);
    let mut trimmed = 0;
    for _ in 0..ROUNDS_MAX {
        let page = store.read_stream(realm, Stream::Outbox, 0, ROWS_MAX).await?;
        let old = page.iter().take_while(|(number, row)| *number <= everywhere && written_at(row) <= before);
        let Some((last, count)) = old.map(|(number, _)| *number).zip(1u64..).last() else { break };
        let changes = Changes { trim: vec![(Stream::Outbox, last)], ..Changes::in_realm(realm) };
        store.commit(changes).await?;
        trimmed += count;
    }
    let mut changes = Changes::in_realm(realm);
    note_kept(inner, realm, options.retention, mark.version, &mut changes).await?;
    // Where an event came meanwhile, the mark stays as that commit left it.
    store.commit(changes).await?;
    tracing::debug!(realm = realm.as_str(), count = trimmed, "sent events deleted");
    Ok(trimmed)
}
