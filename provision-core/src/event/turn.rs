//! One turn of a sink in a realm: what is unsent is sent, under a lease that is part of the cursor.

use std::sync::Arc;
use std::time::Duration;

use super::outbox::{KnownSink, OutboxMark, SinkCursor};
use super::relay::RelayOptions;
use super::{Event, EventMessage, EventSink, Sent};
use crate::error::{Error, ErrorKind, Result, Retry};
use crate::id::RealmId;
use crate::runtime::Inner;
use crate::store::{self, Changes, Commit, Expect, Row, Select, Store, Stored, Stream, Table};
use crate::value::Timestamp;

/// Batches of one turn; then other realms go first.
const BATCHES_MAX: u32 = 16;
/// How long a sink rests after its first failure in a realm; each further one doubles it.
const REST: Duration = Duration::from_millis(500);
/// How long it rests at most.
const REST_MAX: Duration = Duration::from_secs(60);
/// Sinks of a store.
const SINKS_MAX: u32 = 1_000;

/// A sink that this process sends to.
pub(super) struct Lane<'a> {
    pub(super) inner: &'a Arc<Inner>,
    pub(super) name: &'a str,
    pub(super) sink: &'a Arc<dyn EventSink>,
    pub(super) options: &'a RelayOptions,
    /// Tells this relay from all others.
    pub(super) owner: String,
}

/// How a turn ended, after so many events.
#[derive(Debug)]
pub(super) struct Turn {
    pub(super) sent: u64,
    pub(super) end: TurnEnd,
}

/// How a turn ended.
#[derive(Debug)]
pub(super) enum TurnEnd {
    /// Nothing is left to send.
    Idle,
    /// There may be more.
    More,
    /// Somebody else is at it, or it is not time to try again: not before so long.
    Wait(Duration),
    /// The sink did not take everything: not before so long.
    Failed(Error, Duration),
}

/// How a batch was received.
enum Moved {
    All,
    /// Another relay has taken over.
    Lost,
    Failed(Error, Duration),
}

impl Lane<'_> {
    fn store(&self) -> &dyn Store {
        self.inner.store.as_ref()
    }

    /// Sends what is unsent in a realm, if nobody else is at it.
    pub(super) async fn turn(&self, realm: &RealmId) -> Result<Turn> {
        let ended = |end| Ok(Turn { sent: 0, end });
        // Read before the rows: a commit that comes later changes its version.
        let mark = store::get::<OutboxMark>(self.store(), realm, OutboxMark::KEY).await?;
        let Some(mark) = mark.filter(|mark| mark.value.sent_until.is_none()) else {
            return ended(TurnEnd::Idle);
        };
        let (begun, now) = (self.inner.clock.now(), self.store().now().await?);
        let known = store::get::<SinkCursor>(self.store(), realm, &SinkCursor::row_key(self.name)).await?;
        let mut at = known.unwrap_or_else(|| Stored { version: 0, value: SinkCursor::new(self.name) });
        let mine = at.value.owner.as_ref() == Some(&self.owner);
        if at.value.owner.is_some() && !mine && at.value.until > now {
            return ended(TurnEnd::Wait(at.value.until.since(now)));
        }
        if let Some(retry_at) = at.value.retry_at.filter(|retry_at| *retry_at > now) {
            return ended(TurnEnd::Wait(retry_at.since(now)));
        }
        let mut page = self.page(realm, at.value.sent).await?;
        if page.is_empty() && at.version > 0 {
            return Ok(Turn { sent: 0, end: self.caught_up(realm, &mark, &mut at).await? });
        }
        if !mine || at.value.until.since(now) < self.options.lease / 2 {
            at.value.owner = Some(self.owner.clone());
            at.value.until = now.plus(self.options.lease);
            if !self.keep(realm, &mut at).await? {
                return ended(TurnEnd::Wait(self.options.poll));
            }
        }
        let epoch = self.store().epoch().await?;
        let mut sent = 0;
        for _ in 0..BATCHES_MAX {
            if page.is_empty() {
                return Ok(Turn { sent, end: self.caught_up(realm, &mark, &mut at).await? });
            }
            // The next page is read while this one is sent.
            let last = page.last().map_or(at.value.sent, |(number, _)| *number);
            let batch = self.batch(realm, &epoch, &page, &mut at, (begun, now));
            let (moved, next) = futures_util::join!(batch, self.page(realm, last));
            let (count, moved) = moved?;
            sent += count;
            match moved {
                Moved::All => {}
                Moved::Lost => return Ok(Turn { sent, end: TurnEnd::Wait(self.options.poll) }),
                Moved::Failed(error, rest) => return Ok(Turn { sent, end: TurnEnd::Failed(error, rest) }),
            }
            if self.options.stop.is_stopped() {
                at.value.owner = None;
                self.keep(realm, &mut at).await?;
                break;
            }
            page = next?;
        }
        Ok(Turn { sent, end: TurnEnd::More })
    }

    /// Nothing is left to send. While another sink is behind, the realm is found again and again: not at every commit.
    async fn caught_up(
        &self,
        realm: &RealmId,
        mark: &Stored<OutboxMark>,
        at: &mut Stored<SinkCursor>,
    ) -> Result<TurnEnd> {
        if settle(self.inner, realm, self.options.retention, mark, Some(at)).await? {
            return Ok(TurnEnd::Idle);
        }
        if at.value.owner.as_ref() == Some(&self.owner) {
            at.value.owner = None;
            self.keep(realm, at).await?;
        }
        Ok(TurnEnd::Wait(self.options.poll))
    }

    async fn page(&self, realm: &RealmId, after: u64) -> Result<Vec<(u64, Row)>> {
        self.store().read_stream(realm, Stream::Outbox, after, self.options.batch.max(1)).await
    }

    /// Sends a batch, and moves the cursor behind what has arrived. `begun` is one instant by our clock and by the
    /// store's.
    async fn batch(
        &self,
        realm: &RealmId,
        epoch: &str,
        page: &[(u64, Row)],
        at: &mut Stored<SinkCursor>,
        (begun, stored): (Timestamp, Timestamp),
    ) -> Result<(u64, Moved)> {
        let messages: Result<Vec<EventMessage>> =
            page.iter().map(|(number, row)| EventMessage::of(realm, epoch, *number, row)).collect();
        let answer = match messages {
            Ok(messages) => self.send(&messages).await,
            Err(error) => Sent::until(0, error),
        };
        let now = stored.plus(self.inner.clock.now().since(begun));
        let cursor = &mut at.value;
        let count = answer.count.min(page.len());
        if let Some((number, _)) = count.checked_sub(1).and_then(|last| page.get(last)) {
            (cursor.sent, cursor.moved_at) = (*number, Some(self.inner.clock.now()));
            (cursor.failures, cursor.error, cursor.retry_at) = (0, None, None);
        }
        cursor.until = now.plus(self.options.lease);
        let failed = (count < page.len()).then(|| {
            let error = answer.error.unwrap_or_else(|| {
                Error::new(ErrorKind::Unavailable, "the sink did not confirm all events, and gave no reason")
            });
            let rest = rest_after(cursor.failures, &error);
            cursor.failures = cursor.failures.saturating_add(1);
            cursor.error = Some(error.record());
            cursor.retry_at = Some(now.plus(rest));
            // Whoever comes first after the rest may try.
            cursor.owner = None;
            (error, rest)
        });
        let kept = self.keep(realm, at).await?;
        let sent = u64::try_from(count).unwrap_or(u64::MAX);
        Ok(match failed {
            _ if !kept => (sent, Moved::Lost),
            Some((error, rest)) => (sent, Moved::Failed(error, rest)),
            None => (sent, Moved::All),
        })
    }

    /// Waits for the sink no longer than half the lease: while it sends, nobody else does.
    async fn send(&self, messages: &[EventMessage]) -> Sent {
        let limit = self.options.lease / 2;
        tokio::select! {
            biased;
            () = self.inner.clock.deadline(limit) => {
                let message = format!("the sink gave no answer within {} seconds", limit.as_secs_f32());
                Sent::until(0, Error::new(ErrorKind::Unavailable, message))
            }
            sent = self.sink.send(messages) => sent,
        }
    }

    /// Writes the cursor, unless somebody else has written it since it was read.
    async fn keep(&self, realm: &RealmId, at: &mut Stored<SinkCursor>) -> Result<bool> {
        let mut changes = Changes::in_realm(realm);
        match at.version {
            0 => changes.insert(&at.value)?,
            version => changes.replace(version, &at.value)?,
        }
        let kept = self.store().commit(changes).await? == Commit::Committed;
        at.version += u64::from(kept);
        Ok(kept)
    }
}

fn rest_after(failures: u32, error: &Error) -> Duration {
    let rest = REST.saturating_mul(1 << failures.min(7));
    match error.retry() {
        Retry::After(Some(after)) => rest.max(after).min(REST_MAX),
        _ => rest.min(REST_MAX),
    }
}

/// All sinks that events are kept for.
pub(super) async fn known_sinks(inner: &Inner) -> Result<Vec<KnownSink>> {
    let select = Select::KeyPrefix(KnownSink::PREFIX.to_owned());
    let (sinks, _) =
        store::list_by::<KnownSink>(inner.bare.as_ref(), &RealmId::reserved(), select, None, SINKS_MAX)
            .await?;
    Ok(sinks.into_iter().map(|stored| stored.value).collect())
}

/// Takes the mark of a realm away in which every sink has everything, or leaves one for when rows may be deleted; gives
/// the lease of the cursor back in the same commit. Nothing happens when another event came since the mark was read, or
/// while another sink has not got everything: false.
pub(super) async fn settle(
    inner: &Inner,
    realm: &RealmId,
    retention: Duration,
    mark: &Stored<OutboxMark>,
    at: Option<&Stored<SinkCursor>>,
) -> Result<bool> {
    let store = inner.store.as_ref();
    for other in known_sinks(inner).await? {
        if at.is_some_and(|at| at.value.sink == other.name) {
            continue;
        }
        let cursor = store::get::<SinkCursor>(store, realm, &SinkCursor::row_key(&other.name)).await?;
        let sent = cursor.map_or(0, |cursor| cursor.value.sent);
        if !store.read_stream(realm, Stream::Outbox, sent, 1).await?.is_empty() {
            return Ok(false);
        }
    }
    let mut changes = Changes::in_realm(realm);
    note_kept(inner, realm, retention, mark.version, &mut changes).await?;
    if let Some(Stored { version, value }) = at.filter(|at| at.value.owner.is_some()) {
        changes.replace(*version, &SinkCursor { owner: None, ..value.clone() })?;
    }
    store.commit(changes).await?;
    Ok(true)
}

/// Leaves a mark for when the first row that is kept may be deleted; none where no row is kept.
pub(super) async fn note_kept(
    inner: &Inner,
    realm: &RealmId,
    retention: Duration,
    version: u64,
    changes: &mut Changes,
) -> Result<()> {
    changes.expect.push(Expect::Version { table: Table::Meta, key: OutboxMark::KEY.to_owned(), version });
    let first = inner.store.read_stream(realm, Stream::Outbox, 0, 1).await?;
    match first.first() {
        Some((_, row)) => changes.put(&OutboxMark { sent_until: Some(written_at(row).plus(retention)) }),
        None => {
            changes.delete::<OutboxMark>(OutboxMark::KEY);
            Ok(())
        }
    }
}

/// When an event was written. One that cannot be read is as old as can be: once it is sent, nobody needs it.
pub(super) fn written_at(row: &Row) -> Timestamp {
    serde_json::from_str::<Event>(&row.body).map_or(Timestamp::EPOCH, |event| event.at)
}
