//! The report of an onboarding.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::connector::Completeness;
use crate::correlate::Candidate;
use crate::id::{ClassName, IdentityId, TargetName};
use crate::value::Timestamp;

/// What an object on the target is to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Situation {
    /// Belongs to an identity, by an immutable id or by rules on a managed domain: linked.
    Linked,
    /// Was linked already.
    Known,
    /// May belong to one or several identities: a person decides.
    Disputed,
    /// Belongs to nobody we know.
    Unmatched,
    /// Is protected: never changed.
    Protected,
}

/// One object of interest in the report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OnboardingRow {
    /// Class of the object.
    pub class: ClassName,
    /// Its id on the target.
    pub object: String,
    /// Its name on the target.
    pub name: Option<String>,
    /// What it is to us.
    pub situation: Situation,
    /// The identities it belongs or may belong to.
    pub identities: Vec<IdentityId>,
    /// Why.
    pub detail: String,
    /// Who it may be, with their scores, and who was ruled out and by what.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub candidates: Vec<Candidate>,
}

/// What an onboarding found. Nothing was written to the target.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OnboardingReport {
    /// The target.
    pub target: TargetName,
    /// When.
    pub at: Timestamp,
    /// Whether the listing was whole; only then does the target count as onboarded.
    pub completeness: Completeness,
    /// Objects by class and situation.
    pub counts: BTreeMap<ClassName, BTreeMap<Situation, u64>>,
    /// The first 1,000 objects that are not simply linked.
    pub rows: Vec<OnboardingRow>,
}

impl OnboardingReport {
    /// Objects in a situation, over all classes.
    pub fn count(&self, situation: Situation) -> u64 {
        self.counts.values().filter_map(|counts| counts.get(&situation)).sum()
    }
}
