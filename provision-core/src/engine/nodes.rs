//! The node of a run: its row is there from the beginning to the end, and says that the process is.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::Stop;
use crate::error::{Effect, Error, ErrorKind, Result};
use crate::id::RealmId;
use crate::model::{Node, NodeState};
use crate::runtime::Inner;
use crate::store::{self, Changes, Commit, Record, Select, Stored, Table};
use crate::value::Timestamp;

/// How often a node says that it is there.
const BEAT: Duration = Duration::from_secs(5);
/// A node that has not said so for that long is late: gone, or paused. Its name may be taken over.
pub(super) const LATE: Duration = Duration::from_secs(20);
/// How often somebody who waits for a name looks.
const LOOK: Duration = Duration::from_secs(1);
/// Nodes read for a status.
const NODES_MAX: u32 = 1_000;

impl Record for Node {
    const TABLE: Table = Table::Node;

    fn key(&self) -> String {
        self.name.clone()
    }

    fn columns(&self) -> Vec<(&'static str, String)> {
        Vec::new()
    }
}

/// The row of this run.
pub(super) struct Seat<'a> {
    inner: &'a Arc<Inner>,
    node: Node,
    /// What the run has claimed so far.
    claimed: &'a AtomicU64,
    stop: &'a Stop,
}

impl<'a> Seat<'a> {
    /// Takes the name of this process, if it has one. A name that a process left behind which ended without a word is
    /// taken over when its row is late.
    ///
    /// # Errors
    /// `AlreadyExists` when another process lives under the name.
    pub(super) async fn take(
        inner: &'a Arc<Inner>,
        workers: u32,
        claimed: &'a AtomicU64,
        stop: &'a Stop,
    ) -> Result<Option<Self>> {
        let Some(name) = inner.node.clone() else { return Ok(None) };
        let mut seen = None;
        while !stop.is_stopped() {
            let now = inner.bare.now().await?;
            let node = Node {
                name: name.clone(),
                process: std::process::id().to_string(),
                run: inner.mint()?.to_string(),
                version: env!("CARGO_PKG_VERSION").to_owned(),
                started_at: now,
                heartbeat_at: now,
                workers,
                claimed: 0,
                state: NodeState::Running,
            };
            let known = store::get::<Node>(inner.bare.as_ref(), &RealmId::reserved(), &name).await?;
            let mut changes = Changes::in_realm(&RealmId::reserved());
            match known {
                Some(known) if now.since(known.value.heartbeat_at) < LATE => {
                    if seen.replace(known.version).is_some_and(|seen| seen != known.version) {
                        return Err(taken(&known.value));
                    }
                    let stopped = std::pin::pin!(stop.stopped());
                    futures_util::future::select(inner.clock.deadline(LOOK), stopped).await;
                    continue;
                }
                Some(known) => changes.replace(known.version, &node)?,
                None => changes.insert(&node)?,
            }
            if inner.bare.commit(changes).await? == Commit::Committed {
                tracing::info!(node = name, workers, "node started");
                return Ok(Some(Self { inner, node, claimed, stop }));
            }
        }
        Ok(None)
    }

    /// Says that the process is there, until somebody else has its name.
    pub(super) async fn keep(&self) -> Error {
        let mut draining = false;
        loop {
            let beat = self.inner.clock.deadline(BEAT);
            if draining {
                beat.await;
            } else {
                futures_util::future::select(beat, std::pin::pin!(self.stop.stopped())).await;
                draining = self.stop.is_stopped();
            }
            match self.beat(draining).await {
                Ok(None) => {}
                Ok(Some(other)) => return taken(&other),
                Err(error) => {
                    tracing::warn!(node = self.node.name, error = %error.report(), "a heartbeat failed");
                }
            }
        }
    }

    /// Writes the row; whoever has the name instead.
    async fn beat(&self, draining: bool) -> Result<Option<Node>> {
        let store = self.inner.bare.as_ref();
        let known = store::get::<Node>(store, &RealmId::reserved(), &self.node.name).await?;
        let mut changes = Changes::in_realm(&RealmId::reserved());
        let node = Node {
            heartbeat_at: store.now().await?,
            claimed: self.claimed.load(Ordering::Relaxed),
            state: if draining { NodeState::Draining } else { NodeState::Running },
            ..self.node.clone()
        };
        match known {
            Some(known) if known.value.run != self.node.run => return Ok(Some(known.value)),
            Some(known) => changes.replace(known.version, &node)?,
            None => changes.insert(&node)?,
        }
        // Where somebody was faster, the next heartbeat says who.
        store.commit(changes).await?;
        Ok(None)
    }

    /// The run is over: the row goes, unless somebody else has the name.
    pub(super) async fn leave(self) -> Result<()> {
        let store = self.inner.bare.as_ref();
        let known = store::get::<Node>(store, &RealmId::reserved(), &self.node.name).await?;
        let Some(Stored { version, value }) = known else { return Ok(()) };
        if value.run != self.node.run {
            return Ok(());
        }
        let mut changes = Changes::in_realm(&RealmId::reserved());
        let key = value.key();
        changes.expect.push(store::Expect::Version { table: Table::Node, key: key.clone(), version });
        changes.delete::<Node>(key);
        store.commit(changes).await?;
        tracing::info!(node = value.name, "node ended");
        Ok(())
    }
}

/// The nodes that have a row, by name, at most 1,000; and the store's time.
pub(super) async fn nodes(inner: &Inner) -> Result<(Timestamp, Vec<Node>)> {
    let store = inner.bare.as_ref();
    let every = Select::KeyPrefix(String::new());
    let (nodes, _) = store::list_by::<Node>(store, &RealmId::reserved(), every, None, NODES_MAX).await?;
    Ok((store.now().await?, nodes.into_iter().map(|stored| stored.value).collect()))
}

fn taken(by: &Node) -> Error {
    Error::new(
        ErrorKind::AlreadyExists,
        "another process lives under this node's name: give each process a name of its own",
    )
    .with_context("node", by.name.clone())
    .with_context("process", by.process.clone())
    .with_context("since", by.started_at.to_string())
    .with_effect(Effect::None)
}
