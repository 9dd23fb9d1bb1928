//! A draft: the steps of one identity while passes add to it.

use crate::id::{ClassName, IdentityId, PolicyRef, RoleName, StepId, Tag, TargetName};
use crate::plan::{Action, Skip, Step};
use crate::policy::{LeftReason, RefusalReason};

/// A reference that waits for another identity's account.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct WaitingReference {
    /// Where.
    pub target: TargetName,
    /// Class of the account that refers; what it refers to is of the same class, unless `member` says otherwise.
    pub class: ClassName,
    /// The account that refers.
    pub tag: Tag,
    /// The attribute; empty of a membership.
    pub attribute: crate::value::AttrName,
    /// Whose account it refers to.
    pub to: IdentityId,
    /// The version of the identity that refers, as it was evaluated.
    #[serde(default)]
    pub identity_version: u64,
    /// Hash of the inputs of the mapping, kept with the link once it is written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inputs: Option<String>,
    /// Why.
    pub derivation: crate::policy::Derivation,
    /// It is a membership in the group of a role that waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub member: Option<WaitingMember>,
}

/// A membership that waits for the group of a role.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct WaitingMember {
    /// Class of the group.
    pub class: ClassName,
    /// The role.
    pub role: RoleName,
    /// Granting it counts as privileged.
    pub privileged: bool,
    /// Roles that give it.
    pub because: Vec<PolicyRef>,
}

impl WaitingReference {
    /// The class of what is referred to.
    pub(crate) fn to_class(&self) -> &ClassName {
        self.member.as_ref().map_or(&self.class, |member| &member.class)
    }
}

/// An attribute that is left as it is although the policy speaks of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftAttribute {
    /// Where.
    pub target: TargetName,
    /// Class of the account.
    pub class: ClassName,
    /// Which account.
    pub tag: Tag,
    /// The attribute.
    pub attribute: crate::value::AttrName,
    /// Why.
    pub reason: LeftReason,
}

/// What the passes make of one identity.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Draft {
    /// The steps.
    pub steps: Vec<Step>,
    /// What is left alone, and why.
    pub skips: Vec<Skip>,
    /// References that another identity's account would complete.
    pub waiting: Vec<WaitingReference>,
    /// Attributes that are left as they are; noted in previews only.
    pub left: Vec<LeftAttribute>,
}

impl Draft {
    /// Leaves an account alone.
    pub fn skip(
        &mut self,
        input: &super::PlanInput<'_>,
        at: (&TargetName, &ClassName, &Tag),
        reason: RefusalReason,
        detail: impl Into<String>,
    ) {
        self.skips.push(Skip {
            identity: input.identity.id,
            label: input.identity.label(),
            target: at.0.clone(),
            class: at.1.clone(),
            tag: at.2.clone(),
            reason,
            detail: detail.into(),
        });
    }
}

/// The id of a step: derived, the same on every machine and in every run.
pub(crate) fn step_id(
    target: &TargetName,
    class: &ClassName,
    tag: &Tag,
    order: &str,
    action: &Action,
) -> StepId {
    let base = format!("{}/{}/{}/{order}/{}", target.as_str(), class.as_str(), tag.as_str(), action.word());
    match action {
        Action::AddMember { group_class, group, .. } | Action::RemoveMember { group_class, group } => {
            StepId::new(format!("{base}/{}/{group}", group_class.as_str()))
        }
        _ => StepId::new(base),
    }
}
