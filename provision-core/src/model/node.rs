//! Nodes: the processes that share a store. Each says every few seconds that it is there.

use serde::{Deserialize, Serialize};

use crate::value::Timestamp;

/// What a node is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NodeState {
    /// It claims work.
    Running,
    /// It was stopped: it claims nothing more, and finishes or gives back what it has.
    Draining,
}

/// A process that drives the realms of a store. The name is the host's; nothing depends on it but the status.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    /// Its name: of those that are alive, no other has it.
    pub name: String,
    /// The process, as its machine calls it.
    pub process: String,
    /// Tells this run from others under the same name.
    pub run: String,
    /// The version of this library.
    pub version: String,
    /// When it began, by the store's clock.
    pub started_at: Timestamp,
    /// When it last said that it is there, by the store's clock.
    pub heartbeat_at: Timestamp,
    /// Workers side by side.
    pub workers: u32,
    /// Identities claimed since it began.
    pub claimed: u64,
    /// What it is doing.
    pub state: NodeState,
}
