//! Where the processes of a store stand: who is there, what they hold, how much work there is.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde::{Deserialize, Serialize};

use super::Engine;
use super::lease::Leased;
use super::nodes::{LATE, nodes};
use crate::error::Result;
use crate::event::{SinkLag, lags_of};
use crate::execute::{JournalEntry, Paced};
use crate::id::{RealmId, TargetName};
use crate::model::{Node, NodeState, Work};
use crate::runtime::Runtime;
use crate::store::{self, Select};
use crate::text::escape;
use crate::value::Timestamp;

/// Realms looked at for an overview.
const REALMS_MAX: usize = 100;
/// Rows of a kind read for a realm.
const ROWS_MAX: u32 = 1_000;

/// Where the processes of a store stand, and the first of its realms.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Overview {
    /// When, by the store's clock.
    pub at: Timestamp,
    /// The processes that drive the store's realms, by name; at most 1,000.
    pub nodes: Vec<NodeStatus>,
    /// Realms in order; at most 100.
    pub realms: Vec<RealmOverview>,
    /// Realms that are not shown.
    pub more_realms: u64,
}

/// Where a node stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeStatus {
    /// Its row.
    pub node: Node,
    /// It has not said for a while that it is there: it is gone, or paused. What it had is taken over.
    pub late: bool,
}

/// Where a realm stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RealmOverview {
    /// The realm.
    pub realm: RealmId,
    /// Identities that are dirty, due and free to be claimed.
    pub due: u64,
    /// Dirty identities in all: due ones, those somebody works on, those that wait.
    pub waiting: u64,
    /// Leases that have not ended; at most 1,000.
    pub leases: Vec<LeaseStatus>,
    /// Steps whose outcome is not journalled, by target; of the first 1,000.
    pub under_way: BTreeMap<TargetName, u64>,
    /// Targets and credentials that asked for a pause, and until when.
    pub pauses: BTreeMap<String, Timestamp>,
    /// Targets that are not written to, and why.
    pub stopped: BTreeMap<TargetName, String>,
    /// Sinks that have not got all events of the realm.
    pub behind: Vec<SinkLag>,
}

/// A lease that somebody has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaseStatus {
    /// What it is about.
    pub name: String,
    /// Who has it: the node, and the claim.
    pub owner: String,
    /// Until when, unless it is renewed.
    pub until: Timestamp,
}

impl Runtime {
    /// Where the processes of the store stand. [`Engine::status`] tells more of one realm.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn status(&self) -> Result<Overview> {
        let (at, nodes) = nodes(&self.0).await?;
        let late = |node: &Node| at.since(node.heartbeat_at) >= LATE;
        let nodes = nodes.into_iter().map(|node| NodeStatus { late: late(&node), node }).collect();
        let known = self.store().realms().await?;
        let mut realms = Vec::new();
        for realm in known.iter().take(REALMS_MAX) {
            realms.push(self.realm(realm.clone()).overview(at).await?);
        }
        let more_realms = known.len().saturating_sub(realms.len()) as u64;
        Ok(Overview { at, nodes, realms, more_realms })
    }
}

impl Engine {
    async fn overview(&self, at: Timestamp) -> Result<RealmOverview> {
        let (store, every) = (self.store(), || Select::KeyPrefix(String::new()));
        let (leases, _) = store::list_by::<Leased>(store, &self.realm, every(), None, ROWS_MAX).await?;
        let leases = leases.into_iter().map(|stored| stored.value).filter(|leased| leased.lease.until > at);
        let open = Select::ColumnPrefix("open", "intent/".to_owned());
        let (open, _) = store::list_by::<JournalEntry>(store, &self.realm, open, None, ROWS_MAX).await?;
        let mut under_way = BTreeMap::new();
        for entry in open {
            *under_way.entry(entry.value.target).or_insert(0) += 1;
        }
        let (paced, _) = store::list_by::<Paced>(store, &self.realm, every(), None, ROWS_MAX).await?;
        let paused = paced.into_iter().map(|stored| stored.value).filter(|paced| paced.not_before > at);
        let stopped = self.facts().await?.into_iter();
        Ok(RealmOverview {
            realm: self.realm.clone(),
            due: self.due_count(at).await?,
            waiting: store::count_by::<Work>(store, &self.realm, every()).await?,
            leases: leases.map(|Leased { name, lease }| lease_status(name, lease)).collect(),
            under_way,
            pauses: paused.map(|paced| (paced.name, paced.not_before)).collect(),
            stopped: stopped.filter_map(|(name, facts)| facts.stopped.map(|why| (name, why))).collect(),
            behind: lags_of(&self.inner, &self.realm, ROWS_MAX).await?,
        })
    }
}

fn lease_status(name: String, lease: crate::model::Lease) -> LeaseStatus {
    LeaseStatus { name, owner: lease.owner, until: lease.until }
}

impl Overview {
    /// The overview as text.
    pub fn render(&self) -> String {
        let mut out = String::new();
        let _ = writeln!(out, "{} nodes at {}", self.nodes.len(), self.at);
        for NodeStatus { node, late } in &self.nodes {
            let state = match (late, node.state) {
                (true, _) => "late",
                (false, NodeState::Running) => "running",
                (false, NodeState::Draining) => "draining",
            };
            let _ = writeln!(
                out,
                "  {} {state}, process {}, version {}, since {}, last heard of {}, {} workers, {} claimed",
                escape(&node.name),
                escape(&node.process),
                escape(&node.version),
                node.started_at,
                node.heartbeat_at,
                node.workers,
                node.claimed
            );
        }
        for realm in &self.realms {
            let _ =
                writeln!(out, "realm {}: {} due, {} waiting in all", realm.realm, realm.due, realm.waiting);
            for lease in &realm.leases {
                let (name, owner) = (escape(&lease.name), escape(&lease.owner));
                let _ = writeln!(out, "  lease {name}: {owner} until {}", lease.until);
            }
            for (target, steps) in &realm.under_way {
                let _ = writeln!(out, "  lane {target}: {steps} steps under way");
            }
            for (name, until) in &realm.pauses {
                let _ = writeln!(out, "  pause {}: until {until}", escape(name));
            }
            for (target, why) in &realm.stopped {
                let _ = writeln!(out, "  stopped {target}: {}", escape(why));
            }
            for SinkLag { sink, unsent, unsent_since } in &realm.behind {
                let age = self.at.since(*unsent_since).as_secs();
                let _ = writeln!(
                    out,
                    "  events to {}: {unsent} wait, the oldest for {age} s, since {unsent_since}",
                    escape(sink)
                );
            }
        }
        if self.more_realms > 0 {
            let _ = writeln!(out, "and {} realms more", self.more_realms);
        }
        out
    }
}
