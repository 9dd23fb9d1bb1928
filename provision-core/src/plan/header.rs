//! The plan as an artifact: a header and ordered chunks of steps in the store.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{BudgetKind, Step, WaitingReference};
use crate::id::{ClassName, HoldId, IdentityId, PlanId, RealmId, Tag, TargetName};
use crate::model::Actor;
use crate::policy::{PolicyVersion, RefusalReason};
use crate::value::Timestamp;

/// Which identities a plan looks at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Those that are dirty and due.
    Changed,
    /// Everybody.
    All,
    /// These.
    Identities(Vec<IdentityId>),
}

/// Where a plan stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PlanState {
    /// Being made. A crash leaves it so; it is never applied.
    Draft,
    /// Complete; nothing applied yet.
    Ready,
    /// Over a budget: waits for approval as a whole.
    Held,
    /// Being applied, or waiting for retries.
    Applying,
    /// Every step has ended.
    Applied,
    /// A preview: names are provisional, it cannot be applied.
    Preview,
    /// Given up (expired, or a later plan took its place).
    Discarded,
}

impl PlanState {
    /// The word used in the store and in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Draft => "draft",
            Self::Ready => "ready",
            Self::Held => "held",
            Self::Applying => "applying",
            Self::Applied => "applied",
            Self::Preview => "preview",
            Self::Discarded => "discarded",
        }
    }
}

/// What a plan does to one target, counted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetCounts {
    /// Steps by action word.
    pub steps: BTreeMap<String, u64>,
    /// What the steps spend.
    pub spends: BTreeMap<BudgetKind, u64>,
    /// Objects left alone, by reason.
    pub skipped: BTreeMap<RefusalReason, u64>,
}

/// A plan's header.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanHeader {
    /// Its id.
    pub id: PlanId,
    /// The tenant.
    pub realm: RealmId,
    /// Where it stands.
    pub state: PlanState,
    /// Which identities it looked at.
    pub scope: Scope,
    /// The instant it was made for.
    pub now: Timestamp,
    /// When it was made.
    pub made_at: Timestamp,
    /// Its reservations end then; after that it cannot be applied.
    pub expires_at: Timestamp,
    /// The policy it was made from.
    pub policy: PolicyVersion,
    /// Who asked for it.
    pub author: Actor,
    /// Identities looked at.
    pub identities: u64,
    /// What it does, by target.
    pub targets: BTreeMap<TargetName, TargetCounts>,
    /// Steps in all.
    pub steps: u64,
    /// Chunks in the store.
    pub chunks: u32,
    /// Running SHA-256 over the canonical steps, independent of chunking: what an approval binds to.
    pub digest: String,
    /// The hold it waits in.
    pub hold: Option<HoldId>,
    /// Why it is held.
    #[serde(default)]
    pub over: Vec<String>,
}

impl PlanHeader {
    /// True when there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.steps == 0
    }
}

/// An object that the plan leaves alone, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Skip {
    /// For whom.
    pub identity: IdentityId,
    /// How people recognise the identity.
    pub label: String,
    /// Where.
    pub target: TargetName,
    /// Class of the object.
    pub class: ClassName,
    /// Which of the identity's objects there.
    pub tag: Tag,
    /// Why.
    pub reason: RefusalReason,
    /// In words, with the remedy.
    pub detail: String,
}

/// What a plan saw of an identity: so that its work is done only if nothing changed since.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Planned {
    /// The identity.
    pub identity: IdentityId,
    /// Key of its work row, and the generation seen; `None`: it was not dirty.
    pub work: Option<(String, u64)>,
    /// When its evaluation changes by the clock alone.
    pub next_change_at: Option<Timestamp>,
    /// Something is left undone for a reason that passes without a new mark (a stop of a target, an open step): the
    /// identity stays dirty, and is looked at again then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left: Option<Timestamp>,
}

/// A chunk of a plan: whole identities, in order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanChunk {
    /// The plan.
    pub plan: PlanId,
    /// From 0.
    pub number: u32,
    /// The identities of the chunk.
    pub planned: Vec<Planned>,
    /// Their steps, in an order that respects their needs.
    pub steps: Vec<Step>,
    /// What was left alone.
    pub skips: Vec<Skip>,
    /// References of these identities that another identity's account would complete.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub waiting: Vec<(IdentityId, WaitingReference)>,
    /// It has offboarding steps: they go first in an apply.
    pub offboarding: bool,
}

impl PlanChunk {
    /// The row's key.
    pub fn row_key(plan: PlanId, number: u32) -> String {
        format!("{plan}/{number:08}")
    }
}
