//! What happened, for history and for proof: entries in commit order, sealed in chained ranges.

mod chain;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

pub use chain::{Seal, Verdict, seal, verify};

use crate::error::ErrorRecord;
use crate::id::{ClassName, IdentityId, PlanId, RealmId, StepId, TargetName};
use crate::model::Actor;
use crate::plan::Reason;
use crate::policy::PolicyVersion;
use crate::value::Timestamp;

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditEntry {
    /// The tenant.
    pub realm: RealmId,
    /// When.
    pub at: Timestamp,
    /// Who asked for it.
    pub actor: Actor,
    /// What: `step.create`, `ingest.applied`, `hold.approved`, ...
    pub event: String,
    /// About whom.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<IdentityId>,
    /// On which target.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<TargetName>,
    /// Class of the object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<ClassName>,
    /// In which plan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<PlanId>,
    /// By which step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<StepId>,
    /// Under which policy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<PolicyVersion>,
    /// The object's id on the target.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub object: Option<String>,
    /// The change, as an opaque blob (the history item encrypts it).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub change: Option<serde_json::Value>,
    /// Why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<Reason>,
    /// What went wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<ErrorRecord>,
    /// A word more.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub note: String,
}

impl AuditEntry {
    /// An entry with who, when and what.
    pub fn new(realm: &RealmId, at: Timestamp, actor: &Actor, event: impl Into<String>) -> Self {
        Self {
            realm: realm.clone(),
            at,
            actor: actor.clone(),
            event: event.into(),
            identity: None,
            target: None,
            class: None,
            plan: None,
            step: None,
            policy: None,
            object: None,
            change: None,
            reasons: Vec::new(),
            error: None,
            note: String::new(),
        }
    }

    /// The row to append.
    pub fn append(&self) -> crate::Result<crate::store::Append> {
        self.row(self)
    }

    /// The row to append, with a change that is only borrowed and reasons as they are written already: they are most
    /// of the entry of a step.
    pub(crate) fn append_change(
        &self,
        change: &impl Serialize,
        reasons: Option<&RawValue>,
    ) -> crate::Result<crate::store::Append> {
        self.row(&Told { entry: self, change, reasons })
    }

    fn row(&self, content: &impl Serialize) -> crate::Result<crate::store::Append> {
        let body = serde_json::to_string(content).map_err(|error| {
            crate::Error::new(crate::ErrorKind::Unexpected, "cannot encode an audit entry").with_source(error)
        })?;
        let mut columns = Vec::new();
        if let Some(identity) = self.identity {
            columns.push(("identity", identity.to_string()));
        }
        if let Some(plan) = self.plan {
            columns.push(("plan", plan.to_string()));
        }
        Ok(crate::store::Append { stream: crate::store::Stream::Audit, columns, body })
    }
}

/// An entry whose own `change` and `reasons` are empty, with others in their place.
#[derive(Serialize)]
struct Told<'a, C> {
    #[serde(flatten)]
    entry: &'a AuditEntry,
    change: &'a C,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasons: Option<&'a RawValue>,
}
