//! The answer to "why does this person have (or lack) that": shapes.

use serde::{Deserialize, Serialize};

use super::asked::NotThere;
use crate::connector::ObjectKey;
use crate::error::ErrorRecord;
use crate::execute::StepState;
use crate::id::{ClassName, FeedId, IdentityId, PlanId, PolicyRef, SourceName, StepId, Tag, TargetName};
use crate::model::{Dispute, Grant, Lifecycle, LinkState};
use crate::plan::{Drive, Skip};
use crate::policy::{Derivation, LeftReason, PolicyVersion, Refusal, RoleDecision, Strength};
use crate::value::{AttrName, Slot, Timestamp};

/// Everything that decides about one identity, recomputed.
///
/// Values of attributes that a target's schema marks as sensitive are not in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explanation {
    /// The form of this answer; 1. Fields are added, and none taken away, without another number.
    pub format: u32,
    /// The identity.
    pub identity: IdentityId,
    /// How people recognise it.
    pub label: String,
    /// Its version.
    pub version: u64,
    /// The policy it was evaluated with.
    pub policy: PolicyVersion,
    /// The instant it was evaluated for.
    pub as_of: Timestamp,
    /// Where it stands then.
    pub lifecycle: Lifecycle,
    /// When that changes by the clock alone.
    pub lifecycle_changes_at: Option<Timestamp>,
    /// When anything of this changes by the clock alone.
    pub next_change_at: Option<Timestamp>,
    /// When the engine looks at it again; `None`: it is not dirty.
    pub due_at: Option<Timestamp>,
    /// Its attributes.
    pub attributes: Vec<ExplainedAttribute>,
    /// Roles, with the rules that gave them.
    pub roles: Vec<RoleDecision>,
    /// Stored grants: requests, manual, imported.
    pub grants: Vec<ExplainedGrant>,
    /// Accounts that it has or shall have.
    pub accounts: Vec<ExplainedAccount>,
    /// Targets where it has none and shall have none.
    pub absences: Vec<Absence>,
    /// Steps that have not been done.
    pub open: Vec<OpenStep>,
    /// Open disputes that concern it.
    pub disputes: Vec<Dispute>,
}

/// An attribute of the identity and where it comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExplainedAttribute {
    /// Its name.
    pub name: AttrName,
    /// Its values.
    pub value: Slot,
    /// The source that counts.
    pub source: Option<SourceName>,
    /// What the sources say of it, each: the one that counts, and those that lost to it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub asserted: Vec<ExplainedSource>,
}

/// What one source says of an attribute.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExplainedSource {
    /// The source.
    pub source: SourceName,
    /// The key of its record.
    pub key: String,
    /// The values it states.
    pub value: Slot,
    /// The feed that last changed the record.
    pub feed: FeedId,
}

/// A stored grant and whether it stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExplainedGrant {
    /// The grant.
    pub grant: Grant,
    /// One of its origins stands.
    pub stands: bool,
    /// When that changes by the clock alone.
    pub changes_at: Option<Timestamp>,
}

/// An account, wanted or there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExplainedAccount {
    /// Where.
    pub target: TargetName,
    /// Of which class.
    pub class: ClassName,
    /// Which of the identity's accounts there.
    pub tag: Tag,
    /// The policy wants it to exist.
    pub wanted: bool,
    /// The policy wants it enabled; `None`: it does not say.
    pub wanted_enabled: Option<bool>,
    /// Why it is wanted or not.
    pub because: Vec<Derivation>,
    /// Our link; `None`: there is no account of ours.
    pub link: Option<ExplainedLink>,
    /// How far the engine may go on the target; `None`: the target is not configured.
    pub drive: Option<Drive>,
    /// Why nothing is written there now, if so.
    pub stopped: Option<String>,
    /// Values, attribute by attribute.
    pub values: Vec<ExplainedValue>,
    /// Groups.
    pub groups: Vec<ExplainedGroup>,
    /// What was asked about and is not there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_there: Vec<NotThere>,
    /// What is wrong with it.
    pub refusals: Vec<Refusal>,
    /// Why a plan leaves it alone.
    pub skips: Vec<Skip>,
    /// What a plan would do now, if the drive let it.
    pub steps: Vec<ExplainedStep>,
}

/// A link as far as an explanation goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExplainedLink {
    /// Where it stands.
    pub state: LinkState,
    /// The object's key.
    pub key: Option<ObjectKey>,
    /// Enabled or not, as last applied or seen.
    pub enabled: Option<bool>,
    /// The object is gone and we did not delete it.
    pub missing: bool,
    /// When it was last read.
    pub observed_at: Option<Timestamp>,
    /// The plan that changed it last.
    pub last_plan: Option<PlanId>,
}

/// What becomes of a value or a membership.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "verdict")]
pub enum Verdict {
    /// The target has it.
    InPlace,
    /// A plan would write it.
    WouldChange,
    /// It differs and is left as it is.
    LeftAlone {
        /// Why.
        reason: LeftReason,
        /// In words.
        why: String,
    },
}

impl Verdict {
    /// Left alone for a reason.
    pub(super) fn left(reason: LeftReason) -> Self {
        Self::LeftAlone { reason, why: reason.detail().to_owned() }
    }
}

/// One attribute of an account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExplainedValue {
    /// The attribute.
    pub attribute: AttrName,
    /// Its values are not shown.
    pub sensitive: bool,
    /// What the policy wants; `None` for a sensitive one, and for a reference to another identity's account.
    pub desired: Option<Slot>,
    /// The key, in the source, of the identity whose account it refers to.
    pub refers_to: Option<String>,
    /// How strongly.
    pub strength: Strength,
    /// Why: mapping, inputs, mappings that lost.
    pub derivation: Derivation,
    /// What we last wrote.
    pub applied: Option<Slot>,
    /// What the target showed after that.
    pub observed: Option<Slot>,
    /// What the target shows instead now.
    pub drift: Option<Slot>,
    /// What becomes of it.
    pub verdict: Verdict,
}

/// A group of an account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExplainedGroup {
    /// The group's key.
    pub group: String,
    /// The policy wants it.
    pub wanted: bool,
    /// We made the account a member.
    pub applied: bool,
    /// It counts as privileged.
    pub privileged: bool,
    /// The roles and grants that give it.
    pub because: Vec<PolicyRef>,
    /// What becomes of the membership.
    pub verdict: Verdict,
}

/// A step that a plan would hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExplainedStep {
    /// Its id.
    pub id: StepId,
    /// What it does, in one word.
    pub action: String,
    /// Attributes it writes.
    pub attributes: Vec<AttrName>,
    /// The group it is about.
    pub group: Option<String>,
}

/// Why there is no account on a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum AbsenceReason {
    /// The policy maps no account there.
    NotMapped,
    /// No role and no grant gives one.
    NotGiven,
    /// The person has left.
    Terminated,
    /// The person has not started.
    NotStarted,
    /// A condition of the policy map does not hold.
    Condition,
}

/// A target without an account, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Absence {
    /// The target.
    pub target: TargetName,
    /// Why there is none.
    pub reason: AbsenceReason,
    /// The same in words, with what the policy notes.
    pub why: String,
}

/// A step in the journal that has not been done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenStep {
    /// The plan.
    pub plan: PlanId,
    /// The step.
    pub step: StepId,
    /// Where.
    pub target: TargetName,
    /// Where it stands.
    pub state: StepState,
    /// Attempts made.
    pub attempts: u32,
    /// What failed last.
    pub error: Option<ErrorRecord>,
}
