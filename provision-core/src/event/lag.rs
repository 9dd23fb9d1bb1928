//! How far sinks are behind: for the status of a realm, and for the recorder of numbers.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::outbox::{OutboxMark, SinkCursor};
use super::relay::RelayOptions;
use super::turn::{known_sinks, written_at};
use crate::engine::RunUntil;
use crate::error::Result;
use crate::id::RealmId;
use crate::runtime::{Inner, meter};
use crate::store::{self, Due, Stream, Table};
use crate::value::Timestamp;

/// How often a relay tells the recorder.
const TELL: Duration = Duration::from_secs(15);
/// Realms looked at for the recorder, of those that have something unsent.
const REALMS_MAX: u32 = 1_000;
/// Unsent events of a sink counted for the recorder, of all realms together.
const COUNTED_MAX: u64 = 10_000;

/// How far a sink is behind in a realm.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SinkLag {
    /// The sink.
    pub sink: String,
    /// Events that are committed and have not arrived; 1,000 stands for as many or more.
    pub unsent: u64,
    /// When the oldest of them was written.
    pub unsent_since: Timestamp,
}

/// Events behind a number, at most so many, and when the first of them was written.
pub(super) async fn unsent_after(
    inner: &Inner,
    realm: &RealmId,
    sent: u64,
    most: u32,
) -> Result<Option<(u64, Timestamp)>> {
    let store = inner.store.as_ref();
    let first = store.read_stream(realm, Stream::Outbox, sent, 1).await?;
    let Some((_, row)) = first.first() else { return Ok(None) };
    let count = match most {
        0 | 1 => u64::from(most),
        _ => store.read_stream(realm, Stream::Outbox, sent, most).await?.len() as u64,
    };
    Ok(Some((count, written_at(row))))
}

/// The sinks that have not got everything of a realm, by name.
pub(crate) async fn lags_of(inner: &Inner, realm: &RealmId, most: u32) -> Result<Vec<SinkLag>> {
    let store = inner.store.as_ref();
    let mark = store::get::<OutboxMark>(store, realm, OutboxMark::KEY).await?;
    if mark.is_none_or(|mark| mark.value.sent_until.is_some()) {
        return Ok(Vec::new());
    }
    let mut behind = Vec::new();
    for known in known_sinks(inner).await? {
        let sent = sent_to(inner, realm, &known.name).await?;
        if let Some((unsent, unsent_since)) = unsent_after(inner, realm, sent, most).await? {
            behind.push(SinkLag { sink: known.name, unsent, unsent_since });
        }
    }
    Ok(behind)
}

/// How far a sink is in a realm.
async fn sent_to(inner: &Inner, realm: &RealmId, sink: &str) -> Result<u64> {
    let cursor = store::get::<SinkCursor>(inner.store.as_ref(), realm, &SinkCursor::row_key(sink)).await?;
    Ok(cursor.map_or(0, |cursor| cursor.value.sent))
}

/// Tells the recorder again and again while a relay runs, whatever its sinks are at.
pub(super) async fn keep_telling(inner: &Inner, options: &RelayOptions) {
    let mut told = BTreeSet::new();
    while options.until == RunUntil::Forever && !options.stop.is_stopped() {
        tell(inner, &mut told).await;
        tokio::select! {
            biased;
            () = options.stop.stopped() => {}
            () = inner.clock.sleep(TELL) => {}
        }
    }
}

/// Tells the recorder how far each sink of the store is behind; one that was told of and is forgotten is not.
pub(super) async fn tell(inner: &Inner, told: &mut BTreeSet<String>) {
    if !meter::is_heard() {
        return;
    }
    let mut lags = match measure(inner).await {
        Ok(lags) => lags,
        Err(error) => {
            tracing::warn!(error = %error.report(), "how far sinks are behind is not known");
            return;
        }
    };
    let gone: Vec<String> = told.iter().filter(|sink| !lags.contains_key(*sink)).cloned().collect();
    told.extend(lags.keys().cloned());
    lags.extend(gone.into_iter().map(|sink| (sink, (0, Duration::ZERO))));
    for (sink, (unsent, age)) in lags {
        meter::unsent(&sink, unsent, age);
    }
}

/// Unsent events, and the age of the oldest, by sink.
async fn measure(inner: &Inner) -> Result<BTreeMap<String, (u64, Duration)>> {
    let (prefix, at_most) = OutboxMark::unsent_range();
    let due = Due { table: Table::Meta, column: "due", prefix, at_most, after: None, limit: REALMS_MAX };
    let realms = inner.store.due_realms(&[due]).await?.pop().unwrap_or_default().realms;
    let now = inner.clock.now();
    let mut lags = BTreeMap::new();
    for known in known_sinks(inner).await? {
        let (mut unsent, mut since) = (0_u64, None);
        for realm in &realms {
            let sent = sent_to(inner, realm, &known.name).await?;
            // Enough were counted: the age of the others is still asked for.
            let most = u32::try_from(COUNTED_MAX.saturating_sub(unsent)).unwrap_or(u32::MAX);
            if let Some((more, first)) = unsent_after(inner, realm, sent, most).await? {
                unsent += more;
                since = Timestamp::earliest(since, Some(first));
            }
        }
        lags.insert(known.name, (unsent, since.map_or(Duration::ZERO, |since| now.since(since))));
    }
    Ok(lags)
}
