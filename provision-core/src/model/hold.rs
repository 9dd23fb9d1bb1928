//! Holds and disputes: what waits for a person.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Actor;
use crate::correlate::{Candidate, Evidence};
use crate::id::{ClassName, FeedId, HoldId, IdentityId, PlanId, RealmId, SourceName, TargetName};
use crate::value::Timestamp;

/// What is held.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum HoldOf {
    /// The whole delta of a feed.
    Feed {
        /// The feed.
        feed: FeedId,
        /// Its source.
        source: SourceName,
    },
    /// A whole plan.
    Plan {
        /// The plan.
        plan: PlanId,
    },
}

/// Where a hold stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HoldState {
    /// Waits.
    Open,
    /// Approved, not yet used.
    Approved,
    /// Approved and carried out: cannot be used again.
    Used,
    /// Rejected by a person.
    Rejected,
    /// What it held no longer stands.
    Superseded,
}

impl HoldState {
    /// The word used in the store and in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Approved => "approved",
            Self::Used => "used",
            Self::Rejected => "rejected",
            Self::Superseded => "superseded",
        }
    }
}

/// Work that waits for approval. The approval names the digest and counts once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// Its id.
    pub id: HoldId,
    /// The tenant.
    pub realm: RealmId,
    /// What is held.
    pub of: HoldOf,
    /// Where it stands.
    pub state: HoldState,
    /// Hash of exactly what is held.
    pub digest: String,
    /// Why: which guard tripped and by how much.
    pub reasons: Vec<String>,
    /// What it would do, counted.
    pub counts: BTreeMap<String, u64>,
    /// When it began.
    pub at: Timestamp,
    /// Who asked for what is held; may not approve it.
    pub author: Actor,
    /// Who decided.
    pub decided_by: Option<Actor>,
}

/// What a dispute is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum DisputeAbout {
    /// Rows of one feed claim one key with different content.
    Record {
        /// The source.
        source: SourceName,
        /// The key.
        key: String,
    },
    /// A record matches several identities.
    Correlation {
        /// The source.
        source: SourceName,
        /// The key.
        key: String,
        /// The identities.
        candidates: Vec<IdentityId>,
    },
    /// An object may belong to an identity, by something that is not an immutable id.
    Match {
        /// The target.
        target: TargetName,
        /// The class.
        class: ClassName,
        /// The object's id there.
        object: String,
        /// The identities it may belong to.
        candidates: Vec<IdentityId>,
    },
}

impl DisputeAbout {
    /// The identities that are in question.
    pub fn candidates(&self) -> &[IdentityId] {
        match self {
            Self::Record { .. } => &[],
            Self::Correlation { candidates, .. } | Self::Match { candidates, .. } => candidates,
        }
    }
}

/// A match that a person must decide.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dispute {
    /// The tenant.
    pub realm: RealmId,
    /// What it is about.
    pub about: DisputeAbout,
    /// In words.
    pub detail: String,
    /// Open until decided.
    pub open: bool,
    /// Since when.
    pub at: Timestamp,
    /// Who decided, and what.
    pub decision: Option<(Actor, String)>,
    /// Who it may be, with their scores, and who was ruled out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub candidates: Vec<Candidate>,
    /// What the question rests on: a decision stands as long as that stays the same.
    #[serde(default, skip_serializing_if = "Evidence::is_empty")]
    pub evidence: Evidence,
}

impl Dispute {
    /// An open dispute without candidates.
    pub fn new(realm: RealmId, about: DisputeAbout, detail: impl Into<String>, at: Timestamp) -> Self {
        let (detail, candidates, evidence) = (detail.into(), Vec::new(), Evidence::default());
        Self { realm, about, detail, open: true, at, decision: None, candidates, evidence }
    }

    /// The row's key: one dispute per record or object.
    pub fn row_key(about: &DisputeAbout) -> String {
        match about {
            DisputeAbout::Record { source, key } => format!("record/{}/{key}", source.as_str()),
            DisputeAbout::Correlation { source, key, .. } => format!("correlation/{}/{key}", source.as_str()),
            DisputeAbout::Match { target, class, object, .. } => {
                format!("match/{}/{}/{object}", target.as_str(), class.as_str())
            }
        }
    }
}
