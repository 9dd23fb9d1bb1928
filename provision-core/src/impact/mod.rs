//! What another policy would do: two evaluations of everybody whom the edit may concern, compared and counted. Nothing
//! is written, no target is asked.

mod count;
mod difference;
mod held;
mod render;

use serde::{Deserialize, Serialize};

pub use count::Impacts;
pub use difference::{
    AccountChange, AccountDifference, AttributeDifference, Difference, GroupDifference, RefusalDifference,
    RoleDifference, Turn,
};
pub use held::HeldNames;

use crate::id::{ClassName, IdentityId, PolicyRef, RoleName, TargetName};
use crate::policy::{PolicyVersion, RefusalReason};
use crate::value::{AttrName, Timestamp};

/// What another policy would do to a population. Counts are exact, lists are bounded.
///
/// A generated name that an identity holds stays, with both policies; one that it would only get is the first
/// candidate, whether somebody has it or not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Impact {
    /// The form of this answer; 1.
    pub format: u32,
    /// The policy as it is.
    pub from: PolicyVersion,
    /// The policy it is compared with.
    pub to: PolicyVersion,
    /// The instant both were evaluated for.
    pub as_of: Timestamp,
    /// Identities that were read.
    pub read: u64,
    /// Those of them whom the edit may concern: both policies were evaluated for each.
    pub touched: u64,
    /// Those of them for whom the policies decide differently.
    pub differing: u64,
    /// Roles whose groups would be made, changed or seen off.
    #[serde(default)]
    pub roles_differing: u64,
    /// Accounts, by what becomes of them.
    pub accounts: Vec<AccountCount>,
    /// Roles gained and lost.
    pub roles: Vec<RoleCount>,
    /// By the rule: people it gives a role with one policy and not with the other.
    pub rules: Vec<RuleCount>,
    /// Groups gained and lost.
    pub groups: Vec<GroupCount>,
    /// Values of accounts that both policies want.
    pub attributes: Vec<AttributeCount>,
    /// The same by the mapping that gives the new value, or gave the old one.
    pub mappings: Vec<MappingCount>,
    /// Refusals gained and lost.
    pub refusals: Vec<RefusalCount>,
    /// Entries of the lists above that were one too many to be kept apart; nothing of them is counted there.
    pub beyond: u64,
    /// The first of those who differ, in the order of source and key.
    pub people: Vec<ImpactOnOne>,
    /// Those who differ and are not listed.
    pub more_people: u64,
}

impl Impact {
    /// Of nobody.
    fn of(from: PolicyVersion, to: PolicyVersion, as_of: Timestamp) -> Self {
        Self {
            format: 1,
            from,
            to,
            as_of,
            read: 0,
            touched: 0,
            differing: 0,
            roles_differing: 0,
            accounts: Vec::new(),
            roles: Vec::new(),
            rules: Vec::new(),
            groups: Vec::new(),
            attributes: Vec::new(),
            mappings: Vec::new(),
            refusals: Vec::new(),
            beyond: 0,
            people: Vec::new(),
            more_people: 0,
        }
    }
}

/// Accounts of a class that something becomes of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountCount {
    /// Where.
    pub target: TargetName,
    /// Of which class.
    pub class: ClassName,
    /// What becomes of them.
    pub change: AccountChange,
    /// How many.
    pub count: u64,
}

/// People who gain and lose a role.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoleCount {
    /// The role.
    pub role: RoleName,
    /// Who has it with the other policy only.
    pub gained: u64,
    /// Who has it with the present one only.
    pub lost: u64,
}

/// People to whom a rule applies with one of the policies.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleCount {
    /// The rule, or whatever else gives a role.
    pub rule: PolicyRef,
    /// To whom it applies with the other policy only.
    pub gained: u64,
    /// To whom it applies with the present one only.
    pub lost: u64,
}

/// Accounts that gain and lose a group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupCount {
    /// Where.
    pub target: TargetName,
    /// Class of the group object.
    pub class: ClassName,
    /// Its key.
    pub group: String,
    /// Accounts that would be added.
    pub gained: u64,
    /// Accounts that would be removed.
    pub lost: u64,
}

/// Accounts of which a value differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttributeCount {
    /// Where.
    pub target: TargetName,
    /// Of which class.
    pub class: ClassName,
    /// The attribute.
    pub attribute: AttrName,
    /// How many.
    pub count: u64,
}

/// Values that a mapping makes differ.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MappingCount {
    /// The mapping.
    pub mapping: PolicyRef,
    /// How many.
    pub count: u64,
}

/// Accounts that are refused with one of the policies.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusalCount {
    /// Where.
    pub target: TargetName,
    /// Of which class.
    pub class: ClassName,
    /// Why.
    pub reason: RefusalReason,
    /// Refused with the other policy only.
    pub gained: u64,
    /// Refused with the present one only.
    pub lost: u64,
}

/// What differs for one identity.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImpactOnOne {
    /// Who.
    pub identity: IdentityId,
    /// How people recognise it.
    pub label: String,
    /// What.
    #[serde(flatten)]
    pub difference: Difference,
}
