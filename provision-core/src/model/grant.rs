//! Grants: who has what, and why.

use serde::{Deserialize, Serialize};

use crate::id::{ClassName, IdentityId, PolicyRef, RealmId, Tag, TargetName};
use crate::value::Timestamp;

/// Something grantable on a target.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Entitlement {
    /// An account.
    Account {
        /// Where.
        target: TargetName,
        /// Of which class.
        class: ClassName,
        /// Which of the person's accounts there.
        tag: Tag,
    },
    /// Membership of a group.
    Group {
        /// Where.
        target: TargetName,
        /// The account's class.
        class: ClassName,
        /// Which account.
        tag: Tag,
        /// The group's key on the target.
        group: String,
    },
}

impl Entitlement {
    /// The target it is on.
    pub fn target(&self) -> &TargetName {
        match self {
            Self::Account { target, .. } | Self::Group { target, .. } => target,
        }
    }

    /// A stable text form: the row key of the grant.
    pub fn key(&self) -> String {
        match self {
            Self::Account { target, class, tag } => {
                format!("account/{}/{}/{}", target.as_str(), class.as_str(), tag.as_str())
            }
            Self::Group { target, class, tag, group } => {
                format!("group/{}/{}/{}/{group}", target.as_str(), class.as_str(), tag.as_str())
            }
        }
    }
}

/// Where an origin comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OriginKind {
    /// A rule of the policy.
    Rule,
    /// An approved request.
    Request,
    /// An administrator, by hand.
    Manual,
    /// Found on the target at onboarding.
    Imported,
}

/// When an origin counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Validity {
    /// From this instant; `None`: always was.
    pub from: Option<Timestamp>,
    /// Until before this instant; `None`: no end.
    pub until: Option<Timestamp>,
}

impl Validity {
    /// Whether `now` is inside, and when that changes next.
    pub fn at(&self, now: Timestamp) -> (bool, Option<Timestamp>) {
        let started = self.from.is_none_or(|from| from <= now);
        let ended = self.until.is_some_and(|until| until <= now);
        let next = if !started {
            self.from
        } else if ended {
            None
        } else {
            self.until
        };
        (started && !ended, next)
    }
}

/// One reason for a grant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// Kind of reason.
    pub kind: OriginKind,
    /// The rule, request number or administrator.
    pub reference: PolicyRef,
    /// When it counts.
    #[serde(default)]
    pub validity: Validity,
}

/// An identity has an entitlement for as long as one of the origins stands.
///
/// Rule origins are computed at every evaluation and not stored; the stored ones are requests, manual and imported.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// The tenant.
    pub realm: RealmId,
    /// Who.
    pub identity: IdentityId,
    /// What.
    pub entitlement: Entitlement,
    /// Why.
    pub origins: Vec<Origin>,
}

impl Grant {
    /// Whether any origin stands at `now`, and when that may change next.
    pub fn at(&self, now: Timestamp) -> (bool, Option<Timestamp>) {
        let mut stands = false;
        let mut next: Option<Timestamp> = None;
        for origin in &self.origins {
            let (inside, change) = origin.validity.at(now);
            stands |= inside;
            next = Timestamp::earliest(next, change);
        }
        (stands, next)
    }
}
