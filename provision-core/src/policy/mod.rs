//! What the engine asks of a policy. `provision-policy` answers from a YAML bundle; a host may answer in Rust.
//!
//! A policy is pure: the same input gives the same evaluation, `now` included.

mod derivation;
mod evaluation;
mod left;
mod name;
mod role;
mod tolerance;

use std::any::Any;
use std::collections::BTreeMap;
use std::fmt::Debug;

use serde::{Deserialize, Serialize};

pub use derivation::{Derivation, InputRef, Strength};
pub use evaluation::{
    Authority, CredentialPolicy, DesiredAccount, DesiredGroup, DesiredSlot, DesiredValue, Evaluation,
    Refusal, RefusalReason, RoleDecision, RoleExclusion,
};
pub use left::LeftReason;
pub use name::{NameAllocator, NameRequest, NameResult, Namespace, NamespaceMember, NoNames};
pub use tolerance::{Range, Tolerance};

pub use role::PolicyRole;

use crate::diagnostic::Diagnostic;
use crate::id::{ClassName, RoleName, TargetName};
use crate::model::{Grant, Identity, Lifecycle};
use crate::schema::Schema;
use crate::value::Timestamp;

/// Which policy, exactly.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct PolicyVersion {
    /// The version its author gave it.
    pub label: String,
    /// Hash of its content; for a policy in Rust, a text its author changes with the code.
    pub hash: String,
}

/// What a policy decides from.
#[derive(Clone, Copy, Debug)]
pub struct PolicyInput<'a> {
    /// The identity.
    pub identity: &'a Identity,
    /// Where it stands at `now`.
    pub lifecycle: Lifecycle,
    /// The instant of the evaluation.
    pub now: Timestamp,
    /// Stored grants (requests, manual, imported).
    pub grants: &'a [Grant],
    /// Proposed mappings and rules count: for previews, never for anything that may be applied.
    pub proposed: bool,
}

/// Decides who has what and which values their accounts have.
pub trait Policy: Debug + Send + Sync {
    /// Which policy this is; recorded with every plan and write.
    fn version(&self) -> PolicyVersion;

    /// The spaces in which its generated names are unique.
    fn namespaces(&self) -> &[Namespace];

    /// Checks the policy against the schemas of the targets. All problems in one pass.
    fn check(&self, schemas: &BTreeMap<TargetName, Schema>) -> Vec<Diagnostic>;

    /// Decides for one identity. A problem of one account is a [`Refusal`] in the evaluation, not an error: it holds
    /// that account and no other.
    fn evaluate(&self, input: &PolicyInput<'_>, names: &mut dyn NameAllocator) -> Evaluation;

    /// The roles that objects of targets stand for, in any order: each gets a record of its own, from which
    /// [`Policy::evaluate_role`] decides. None unless the policy makes such objects.
    fn roles(&self) -> Vec<PolicyRole> {
        Vec::new()
    }

    /// The classes whose objects stand for roles, and not for people.
    fn role_classes(&self) -> Vec<(TargetName, ClassName)> {
        Vec::new()
    }

    /// Decides what the objects of a role shall be. `input` has the role's record: `name`, `description` and `labels`
    /// are its attributes.
    fn evaluate_role(&self, _role: &RoleName, _input: &PolicyInput<'_>) -> Evaluation {
        Evaluation::default()
    }

    /// Decides for whatever the record is of, a person or a role. Not for a policy to answer: people are never asked of
    /// [`Policy::evaluate_role`], nor roles of [`Policy::evaluate`].
    fn evaluate_subject(&self, input: &PolicyInput<'_>, names: &mut dyn NameAllocator) -> Evaluation {
        match input.identity.role() {
            Some(role) => self.evaluate_role(&role, input),
            None => self.evaluate(input, names),
        }
    }
    /// Whom the way from this policy to another may concern. `None`, the default: nothing is known of it, and
    /// everybody is evaluated to find out.
    fn edit_to(&self, other: &dyn Policy) -> Option<Box<dyn Reach>> {
        let _ = other;
        None
    }

    /// The policy as what it is, for another of its kind to compare itself with.
    fn as_any(&self) -> Option<&dyn Any> {
        None
    }
}

/// Whom an edit of a policy may concern.
pub trait Reach: Send + Sync {
    /// False only where both policies give this identity the same evaluation, apart from `next_change_at`, as long as
    /// the allocator of names answers both the same. Asked of everybody: it must cost little.
    fn touches(&self, input: &PolicyInput<'_>) -> bool;
}
