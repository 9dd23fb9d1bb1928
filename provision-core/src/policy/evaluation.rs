//! What a policy decides for one identity.

use serde::{Deserialize, Serialize};

use super::{Derivation, LeftReason, Strength, Tolerance};
use crate::id::{ClassName, PolicyRef, RoleName, Tag, TargetName};
use crate::model::Subject;
use crate::value::{AttrName, Slot, Timestamp};

/// Everything a policy decides for one identity.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evaluation {
    /// Roles it has, with the rules that gave them.
    pub roles: Vec<RoleDecision>,
    /// Roles that a rule would give and an exclusion keeps away, unless something else gives them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub excluded: Vec<RoleExclusion>,
    /// Its accounts, one per (target, class, tag) that the policy maps; also those it must not have.
    pub accounts: Vec<DesiredAccount>,
    /// The earliest instant at which any of this changes by the clock alone.
    pub next_change_at: Option<Timestamp>,
    /// Proposed rules and mappings that count in it, where the input asked for them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub proposed: Vec<PolicyRef>,
}

/// A role the identity has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoleDecision {
    /// The role.
    pub role: RoleName,
    /// The rules, requests or parent roles that give it.
    pub because: Vec<PolicyRef>,
}

/// A role the identity has not, though the condition of a rule holds.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RoleExclusion {
    /// The role.
    pub role: RoleName,
    /// The rule that would give it.
    pub rule: PolicyRef,
    /// What excludes from it.
    pub by: PolicyRef,
}

/// What one account of the identity shall be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DesiredAccount {
    /// Where.
    pub target: TargetName,
    /// Of which class.
    pub class: ClassName,
    /// Which of the person's accounts there.
    pub tag: Tag,
    /// It shall exist. `false` starts the offboarding of an active link and nothing else.
    pub exists: bool,
    /// It shall be enabled; `None`: the policy does not say.
    pub enabled: Option<bool>,
    /// Why it shall (or shall not) exist and be enabled.
    pub because: Vec<Derivation>,
    /// Attribute values.
    pub values: Vec<DesiredValue>,
    /// How far they are kept right.
    #[serde(default, skip_serializing_if = "Authority::is_assist")]
    pub authority: Authority,
    /// Groups it shall be a member of.
    pub groups: Vec<DesiredGroup>,
    /// The initial password of a new account.
    pub credential: Option<CredentialPolicy>,
    /// Something is wrong with this account: it is left as it is (not created, not changed) until that is mended.
    pub refusals: Vec<Refusal>,
}

/// How far the attributes of an account are kept right.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Authority {
    /// Written at create, never on an account that is there: what would be written is shown.
    Observe,
    /// By the strength of each mapping.
    #[default]
    Assist,
    /// The same, where mappings that do not say are strong.
    Enforce,
}

impl Authority {
    fn is_assist(&self) -> bool {
        *self == Self::Assist
    }
}

/// What one attribute shall be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DesiredValue {
    /// The attribute of the target's class.
    pub attribute: AttrName,
    /// The value.
    pub slot: DesiredSlot,
    /// How strongly.
    pub strength: Strength,
    /// Hash of the mapping and of everything it read; strength `normal` compares it.
    pub inputs: String,
    /// Why.
    pub derivation: Derivation,
    /// What becomes of values that are there and not wanted, where the policy says more than its strength.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tolerance: Option<Box<Tolerance>>,
}

/// A value known now, or one that only the planner can resolve.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DesiredSlot {
    /// Values, or null to clear.
    Known(Slot),
    /// A reference to the account that the identity with this source key has on the same target. Until it has one,
    /// the attribute is left alone; it follows when that account appears.
    AccountOf {
        /// Key in the source of the identity evaluated.
        key: String,
    },
    /// No mapping of the attribute counts: what an earlier one wrote is taken back, what others put there stays.
    Withdrawn {
        /// Why it is not taken back, if so.
        stays: Option<LeftReason>,
    },
}

impl DesiredSlot {
    /// The values, where they are known.
    pub fn known(&self) -> Option<&Slot> {
        match self {
            Self::Known(slot) => Some(slot),
            Self::AccountOf { .. } | Self::Withdrawn { .. } => None,
        }
    }
}

/// A group the account shall be in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DesiredGroup {
    /// Class of the group object.
    pub class: ClassName,
    /// Key of the group on the target; empty where `of` says which it is.
    pub group: String,
    /// It is the object of this role there, whatever its key is. Until there is one, the membership waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of: Option<RoleName>,
    /// Granting it counts as privileged.
    pub privileged: bool,
    /// Roles or grants that give it.
    pub because: Vec<PolicyRef>,
}

impl DesiredGroup {
    /// The group as people read it: its key, or the role that it stands for.
    pub fn shown(&self) -> String {
        match &self.of {
            Some(role) => Subject::Role(role.as_str().to_owned()).to_string(),
            None => self.group.clone(),
        }
    }
}

/// How an initial password is made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CredentialPolicy {
    /// Characters; at least one each of lower case, upper case, digit and symbol.
    pub length: u32,
    /// The person must change it at the first sign-in.
    pub must_change: bool,
}

impl Default for CredentialPolicy {
    fn default() -> Self {
        Self { length: 20, must_change: true }
    }
}

/// Why an account is left as it is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Refusal {
    /// What kind of problem.
    pub reason: RefusalReason,
    /// The attribute, where there is one.
    pub attribute: Option<AttrName>,
    /// The mapping, where there is one.
    pub mapping: Option<PolicyRef>,
    /// What is wrong and how to mend it.
    pub detail: String,
}

/// Kinds of refusals. Also the reason codes of accounts that a plan leaves alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum RefusalReason {
    /// A name cannot be written in the target's characters, and no romanised form is given.
    Unmappable,
    /// A required input is missing.
    MissingInput,
    /// Every candidate of a generated name is taken.
    NameExhausted,
    /// An expression failed on this identity's data.
    ExpressionFailed,
    /// The value does not fit the target's schema.
    ValueInvalid,
    /// The object is protected.
    Protected,
    /// The target has not been onboarded: nothing may be created there.
    NotOnboarded,
    /// The target's drive is `observe`: nothing is written there.
    Observed,
    /// A dispute about this object is open.
    Disputed,
    /// The link is inactive: nothing is sent until a rehire or relink.
    Inactive,
    /// The target cannot do this.
    Unsupported,
    /// The target's outcome of an earlier step is still open.
    Pending,
    /// We still have members in the group: they are taken out before it is deleted.
    HasMembers,
    /// Two exclusive mappings give values for the same attribute.
    Exclusive,
    /// The map's authority is `observe`: attributes of accounts that are there are not written.
    AttributesObserved,
}

impl RefusalReason {
    /// The word used in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unmappable => "unmappable",
            Self::MissingInput => "missing_input",
            Self::NameExhausted => "name_exhausted",
            Self::ExpressionFailed => "expression_failed",
            Self::ValueInvalid => "value_invalid",
            Self::Protected => "protected",
            Self::NotOnboarded => "not_onboarded",
            Self::Observed => "observed",
            Self::Disputed => "disputed",
            Self::Inactive => "inactive",
            Self::Unsupported => "unsupported",
            Self::Pending => "pending",
            Self::HasMembers => "has_members",
            Self::Exclusive => "exclusive",
            Self::AttributesObserved => "attributes_observed",
        }
    }
}
