//! The relay: drives all sinks of a runtime, for all realms of the store.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::StreamExt;
use serde::{Deserialize, Serialize};

use super::outbox::{KnownSink, OutboxMark, SinkCursor};
use super::turn::{Lane, Turn, TurnEnd};
use super::{lag, retention};
use crate::engine::{RunUntil, Stop};
use crate::error::{Effect, Error, ErrorKind, ErrorRecord, Result, Retry};
use crate::id::RealmId;
use crate::model::Actor;
use crate::runtime::{Inner, Operation, Runtime};
use crate::store::{self, Changes, Commit, Due, Stored, Stream, Table};
use crate::value::Timestamp;

/// Realms of one look.
const PAGE: u32 = 1_000;
/// How often events that may be deleted are looked for.
const TIDY: Duration = Duration::from_secs(60);
/// Realms whose last error is kept.
const PROBLEMS_MAX: usize = 1_000;
/// How long a relay that runs forever waits after an error of the store.
const STORE_REST: Duration = Duration::from_secs(1);

/// How the relay goes.
#[derive(Clone, Debug)]
pub struct RelayOptions {
    /// When it returns: when everything is sent that can be sent now, or when it is stopped.
    pub until: RunUntil,
    /// Ends it: what is being sent is waited for, nothing more is sent.
    pub stop: Stop,
    /// How long to wait before looking again, which finds what other processes committed. What this process commits is
    /// seen at once. 1 second unless set.
    pub poll: Duration,
    /// Events handed to a sink together, of one realm. 500 unless set.
    pub batch: u32,
    /// Realms that a sink is given side by side. 4 unless set.
    pub realms: usize,
    /// How long a relay has a realm and a sink before another process may take over, by the store's clock. A sink has
    /// half of it for a batch. 30 seconds unless set.
    pub lease: Duration,
    /// How long events are kept after they were written, also when every sink has them. 7 days unless set.
    pub retention: Duration,
}

impl Default for RelayOptions {
    fn default() -> Self {
        Self {
            until: RunUntil::Idle,
            stop: Stop::new(),
            poll: Duration::from_secs(1),
            batch: 500,
            realms: 4,
            lease: Duration::from_secs(30),
            retention: Duration::from_secs(7 * 86_400),
        }
    }
}

/// What the relay did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RelayReport {
    /// Events that arrived, by sink.
    pub sent: BTreeMap<String, u64>,
    /// Events deleted from the outbox.
    pub trimmed: u64,
    /// The last error by sink and realm, where the last try failed; at most 1,000 of a sink.
    pub problems: BTreeMap<String, BTreeMap<RealmId, ErrorRecord>>,
}

impl Runtime {
    /// Sends the events of all realms to the sinks of this runtime, and deletes those that every sink of the store has
    /// and that are older than the retention.
    ///
    /// Any number of processes may do this on one store: a realm's events go to a sink from one of them at a time. A
    /// sink that fails is tried again after a while, up to a minute, from where it stopped; no other sink and no drive
    /// waits for it. A realm with nothing to send costs nothing: two questions of an index each `poll` find the others.
    ///
    /// A sink that is named for the first time gets everything that the outbox still has. From then on events are kept
    /// until it has them, whether its process is there or not: see [`Runtime::forget_sink`].
    ///
    /// # Errors
    /// Those of the store; with [`RunUntil::Forever`] those that pass are waited out. The errors of sinks are in the
    /// report and in the status of their realms.
    pub async fn relay(&self, options: &RelayOptions) -> Result<RelayReport> {
        let lanes = self.0.sinks.iter().map(|(name, sink)| drive(&self.0, name, sink, options));
        let lanes = futures_util::future::join_all(lanes);
        let telling = lag::keep_telling(&self.0, options);
        let (lanes, trimmed, ()) = futures_util::join!(lanes, tidy(&self.0, options), telling);
        lag::tell(&self.0, &mut BTreeSet::new()).await;
        let mut report = RelayReport { trimmed: trimmed?, ..RelayReport::default() };
        for (name, lane) in self.0.sinks.keys().zip(lanes) {
            let lane = lane?;
            report.sent.insert(name.clone(), lane.sent);
            if !lane.problems.is_empty() {
                report.problems.insert(name.clone(), lane.problems);
            }
        }
        Ok(report)
    }

    /// Forgets a sink that nobody sends to any more: events are not kept for it. False when there was none.
    ///
    /// # Errors
    /// `PermissionDenied` without the right to configure.
    pub async fn forget_sink(&self, actor: &Actor, name: &str) -> Result<bool> {
        self.0.authorizer.authorize(actor, &RealmId::reserved(), Operation::Configure)?;
        let store = self.0.bare.as_ref();
        let key = KnownSink::row_key(name);
        if store::get::<KnownSink>(store, &RealmId::reserved(), &key).await?.is_none() {
            return Ok(false);
        }
        let mut changes = Changes::in_realm(&RealmId::reserved());
        changes.delete::<KnownSink>(key);
        store.commit(changes).await?;
        Ok(true)
    }
}

/// Whether an error of the store may be gone the next time.
pub(super) fn passes(error: &Error) -> bool {
    error.retry() != Retry::Never || matches!(error.kind(), ErrorKind::Conflict)
}

/// What came of one sink.
#[derive(Debug, Default)]
struct Driven {
    sent: u64,
    problems: BTreeMap<RealmId, ErrorRecord>,
    /// Realms that are not to be tried before, by our clock.
    resting: BTreeMap<RealmId, Timestamp>,
    /// The sink itself is not to be tried before.
    rests_until: Option<Timestamp>,
}

async fn drive(
    inner: &Arc<Inner>,
    name: &str,
    sink: &Arc<dyn crate::event::EventSink>,
    options: &RelayOptions,
) -> Result<Driven> {
    let owner = inner.mint()?.to_string();
    let lane = Lane { inner, name, sink, options, owner };
    let mut driven = Driven::default();
    let mut commits = inner.announced.commits();
    let mut is_known = false;
    while !options.stop.is_stopped() {
        commits.borrow_and_update();
        let round = async {
            if !is_known {
                tell(inner, name).await?;
                is_known = true;
            }
            driven.round(&lane).await
        };
        let moved = match round.await {
            Ok(moved) => moved,
            Err(error) if options.until == RunUntil::Forever && passes(&error) => {
                tracing::warn!(sink = name, error = %error.report(), "the relay cannot use the store");
                driven.rests_until = Some(inner.clock.now().plus(STORE_REST));
                false
            }
            Err(error) => return Err(error),
        };
        if moved {
            continue;
        }
        if options.until == RunUntil::Idle {
            break;
        }
        let now = inner.clock.now();
        let next = Timestamp::earliest(driven.rests_until, driven.resting.values().min().copied());
        let wait = next.map_or(options.poll, |next| next.since(now).min(options.poll));
        let sink_rests = driven.rests_until.is_some_and(|until| until > now);
        tokio::select! {
            biased;
            () = options.stop.stopped() => {}
            _ = commits.changed(), if !sink_rests => {}
            () = inner.clock.sleep(wait.max(Duration::from_millis(1))) => {}
        }
    }
    Ok(driven)
}

impl Driven {
    /// Looks for realms with something unsent, and gives each a turn. True when something moved.
    async fn round(&mut self, lane: &Lane<'_>) -> Result<bool> {
        let now = lane.inner.clock.now();
        if self.rests_until.is_some_and(|until| until > now) {
            return Ok(false);
        }
        self.rests_until = None;
        self.resting.retain(|_, until| *until > now);
        let (mut after, mut moved) = (None, false);
        loop {
            let (prefix, at_most) = OutboxMark::unsent_range();
            let due = Due { table: Table::Meta, column: "due", prefix, at_most, after, limit: PAGE };
            let page = lane.inner.store.due_realms(&[due]).await?.pop().unwrap_or_default();
            let realms: Vec<RealmId> =
                page.realms.into_iter().filter(|realm| !self.resting.contains_key(realm)).collect();
            let side_by_side = lane.options.realms.max(1);
            // Turns that have begun are finished; no further ones begin.
            let ended = AtomicBool::new(false);
            let turns = realms.into_iter().map(|realm| async {
                if ended.load(Ordering::Relaxed) || lane.options.stop.is_stopped() {
                    return (realm, Ok(Turn { sent: 0, end: TurnEnd::Idle }));
                }
                let turn = lane.turn(&realm).await;
                (realm, turn)
            });
            let mut turns = futures_util::stream::iter(turns).buffer_unordered(side_by_side);
            while let Some((realm, turn)) = turns.next().await {
                moved |= self.over(realm, turn?, lane);
                ended.store(self.rests_until.is_some(), Ordering::Relaxed);
            }
            after = page.next;
            if after.is_none() || lane.options.stop.is_stopped() || self.rests_until.is_some() {
                return Ok(moved);
            }
        }
    }

    fn over(&mut self, realm: RealmId, turn: Turn, lane: &Lane<'_>) -> bool {
        let now = lane.inner.clock.now();
        self.sent += turn.sent;
        if turn.sent > 0 {
            self.problems.remove(&realm);
        }
        match turn.end {
            TurnEnd::Idle => {}
            TurnEnd::More => return true,
            TurnEnd::Wait(wait) => {
                self.resting.insert(realm, now.plus(wait));
            }
            TurnEnd::Failed(error, rest) => {
                let realm_name = realm.as_str();
                tracing::warn!(sink = lane.name, realm = realm_name, error = %error.report(), "events wait");
                if error.kind() == ErrorKind::Unavailable {
                    // The other side is away: other realms would only wait for the same.
                    self.rests_until = Some(now.plus(rest));
                }
                if self.problems.len() < PROBLEMS_MAX || self.problems.contains_key(&realm) {
                    self.problems.insert(realm.clone(), error.record());
                }
                self.resting.insert(realm, now.plus(rest));
            }
        }
        turn.sent > 0
    }
}

/// Makes a sink known to the store. One that is new gets what every realm's outbox still has.
async fn tell(inner: &Arc<Inner>, name: &str) -> Result<()> {
    // Sinks are in no realm of the host.
    let (store, bare) = (inner.store.as_ref(), inner.bare.as_ref());
    let key = KnownSink::row_key(name);
    let known = store::get::<KnownSink>(bare, &RealmId::reserved(), &key).await?;
    if known.as_ref().is_some_and(|known| known.value.told) {
        return Ok(());
    }
    let mut sink = KnownSink { name: name.to_owned(), since: inner.clock.now(), told: false };
    let version = match known {
        Some(Stored { version, value }) => {
            sink = value;
            version
        }
        None => {
            let mut changes = Changes::in_realm(&RealmId::reserved());
            changes.insert(&sink)?;
            if bare.commit(changes).await? != Commit::Committed {
                return Err(overtaken());
            }
            1
        }
    };
    for realm in store.realms().await? {
        let cursor = store::get::<SinkCursor>(store, &realm, &SinkCursor::row_key(name)).await?;
        let is_empty = store.read_stream(&realm, Stream::Outbox, 0, 1).await?.is_empty();
        if cursor.is_none() && !is_empty {
            let mut changes = Changes::in_realm(&realm);
            changes.put.push(OutboxMark::unsent()?);
            store.commit(changes).await?;
        }
    }
    let mut changes = Changes::in_realm(&RealmId::reserved());
    changes.replace(version, &KnownSink { told: true, ..sink })?;
    // Where another process was faster, it has told everybody, too.
    bare.commit(changes).await.map(|_| ())
}

fn overtaken() -> Error {
    Error::new(ErrorKind::Conflict, "another process makes the same sink known; try again")
        .with_retry(Retry::After(None))
        .with_effect(Effect::None)
}

/// Deletes what may be deleted, from time to time.
async fn tidy(inner: &Arc<Inner>, options: &RelayOptions) -> Result<u64> {
    let mut trimmed = 0;
    loop {
        match retention::trim_all(inner, options).await {
            Ok(count) => trimmed += count,
            Err(error) if options.until == RunUntil::Forever && passes(&error) => {
                tracing::warn!(error = %error.report(), "sent events are not deleted");
            }
            Err(error) => return Err(error),
        }
        if options.until == RunUntil::Idle {
            return Ok(trimmed);
        }
        tokio::select! {
            biased;
            () = options.stop.stopped() => return Ok(trimmed),
            () = inner.clock.sleep(TIDY) => {}
        }
    }
}
