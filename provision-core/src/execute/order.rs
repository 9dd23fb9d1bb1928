//! Orders: the steps of a chunk as the executor reads them.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Deref;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::connector::ObjectKey;
use crate::id::{ClassName, IdentityId, StepId, Tag, TargetName};
use crate::plan::{Action, BudgetKind, Precondition, Step};
use crate::value::{AttrName, Timestamp};

/// The steps of a chunk.
#[derive(Deserialize)]
pub(super) struct Orders {
    pub(super) steps: Vec<Order>,
    pub(super) planned: Vec<Dated>,
}

/// When what was planned for an identity is to be looked at again: from then on it is stale.
#[derive(Deserialize)]
pub(super) struct Dated {
    pub(super) identity: IdentityId,
    pub(super) next_change_at: Option<Timestamp>,
}

/// A step. Its reasons go into the history as they were written: they are half of a plan, and nothing here looks at
/// them.
#[derive(Clone, Debug, Deserialize)]
#[serde(from = "Read")]
pub(super) struct Order {
    step: Step,
    reasons: Box<RawValue>,
}

impl Order {
    /// The reasons, as they were written; `None` when there are none.
    pub(super) fn reasons(&self) -> Option<&RawValue> {
        Some(&*self.reasons).filter(|reasons| reasons.get() != "[]")
    }
}

impl Order {
    /// The same edge to a group whose key is known by now.
    pub(super) fn in_group(&self, key: &str) -> Self {
        let mut order = self.clone();
        if let Action::AddMember { group, .. } = &mut order.step.action {
            key.clone_into(group);
        }
        order
    }
}

impl Deref for Order {
    type Target = Step;

    fn deref(&self) -> &Step {
        &self.step
    }
}

/// The fields of a step.
#[derive(Deserialize)]
struct Read {
    id: StepId,
    identity: IdentityId,
    label: String,
    target: TargetName,
    class: ClassName,
    tag: Tag,
    key: Option<ObjectKey>,
    action: Action,
    #[serde(default)]
    budgets: Vec<BudgetKind>,
    #[serde(default)]
    offboarding: bool,
    #[serde(default)]
    needs: Vec<StepId>,
    #[serde(default)]
    inputs: BTreeMap<AttrName, String>,
    #[serde(default)]
    withdraws: BTreeSet<AttrName>,
    precondition: Precondition,
    reasons: Box<RawValue>,
}

impl From<Read> for Order {
    fn from(read: Read) -> Self {
        let step = Step {
            id: read.id,
            identity: read.identity,
            label: read.label,
            target: read.target,
            class: read.class,
            tag: read.tag,
            key: read.key,
            action: read.action,
            budgets: read.budgets,
            offboarding: read.offboarding,
            needs: read.needs,
            inputs: read.inputs,
            withdraws: read.withdraws,
            precondition: read.precondition,
            reasons: Vec::new(),
        };
        Self { step, reasons: read.reasons }
    }
}
