//! What the planner decides from: one identity, everything known about it, and nothing else.

use std::collections::{BTreeMap, BTreeSet};

use crate::connector::{Discovery, ObjectKey};
use crate::id::{ClassName, RoleName, SourceName, Tag, TargetName};
use crate::model::{Identity, Lifecycle, Link, Membership, SourceRecord};
use crate::plan::TargetSettings;
use crate::policy::Evaluation;
use crate::value::Timestamp;

/// A target as the planner sees it.
#[derive(Clone, Debug)]
pub struct TargetFacts {
    /// As configured.
    pub settings: TargetSettings,
    /// Schema and capabilities.
    pub discovery: Discovery,
    /// The classes whose content is known from a completed onboarding.
    pub onboarded: BTreeSet<ClassName>,
    /// Why nothing is written there now (paused, quarantined, store restored), if so.
    pub stopped: Option<String>,
}

/// What a reference to another identity's account comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resolved {
    /// The account is there.
    Key(ObjectKey),
    /// The identity has no account there now; the reference follows when it has one.
    Later(crate::id::IdentityId),
    /// The object of a role is there; the role's record, and its key.
    Group(crate::id::IdentityId, ObjectKey),
    /// The object of a role was found missing, and nobody knows what became of it: memberships in it are left as
    /// they are, new ones wait.
    Missing(crate::id::IdentityId, ObjectKey),
    /// No such identity.
    Unknown,
}

/// The key under which a reference is resolved: key in the identity's source, target, class. Of the object of a role,
/// see [`role_reference`].
pub type ReferenceKey = (String, TargetName, ClassName);

/// The key under which the object of a role is resolved.
pub fn role_reference(role: &RoleName, target: &TargetName, class: &ClassName) -> ReferenceKey {
    let row = SourceRecord::row_key(&SourceName::roles(), role.as_str());
    (row, target.clone(), class.clone())
}

/// Everything the planner may look at for one identity.
#[derive(Clone, Copy, Debug)]
pub struct PlanInput<'a> {
    /// The instant of the plan.
    pub now: Timestamp,
    /// The identity.
    pub identity: &'a Identity,
    /// Where it stands at `now`.
    pub lifecycle: Lifecycle,
    /// What the policy wants.
    pub evaluation: &'a Evaluation,
    /// Its links.
    pub links: &'a [Link],
    /// The memberships of those links.
    pub memberships: &'a [Membership],
    /// The targets.
    pub targets: &'a BTreeMap<TargetName, TargetFacts>,
    /// References of the evaluation, resolved.
    pub references: &'a BTreeMap<ReferenceKey, Resolved>,
    /// Classes of targets where an open dispute concerns the identity.
    pub disputed: &'a BTreeSet<(TargetName, ClassName)>,
    /// Accounts for which a step of another plan has not ended.
    pub open: &'a BTreeSet<(TargetName, ClassName, Tag)>,
    /// Groups that we still have members in.
    pub peopled: &'a BTreeSet<(TargetName, ClassName, Tag)>,
    /// Show what would be done also where the drive or a stop forbids it.
    pub preview: bool,
}
