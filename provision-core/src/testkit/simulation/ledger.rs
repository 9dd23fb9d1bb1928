//! Every write that was sent to a target, as the target saw it.

use std::collections::BTreeSet;
use std::sync::Mutex;

use super::executor::ProcessId;
use super::lock;
use super::verdict::Violation;
use crate::id::{PlanId, StepId};
use crate::value::{Attributes, Timestamp};

/// What was asked.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Ask {
    Create { attributes: Attributes, enabled: Option<bool> },
    Update { delta: crate::delta::Delta },
    Rename { naming: Attributes },
    Delete,
    Set { enabled: bool },
    Edge { group: String, add: bool },
    Password,
}

/// One write.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    /// In the world's time: when it was done, or when it was given up.
    pub(super) at: Timestamp,
    pub(super) process: ProcessId,
    pub(super) plan: PlanId,
    pub(super) step: StepId,
    /// The object; of a create, the one it made.
    pub(super) object: Option<String>,
    pub(super) ask: Ask,
    /// It reached the target, and the target did it.
    pub(super) done: bool,
    /// Something is different on the target now.
    pub(super) changed: bool,
    /// The caller was told that it failed.
    pub(super) told_failed: bool,
    /// The caller was told the truth about the effect, if it lived.
    pub(super) known: bool,
}

/// All writes of a world, and what strangers did.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    entries: Mutex<Vec<Entry>>,
    passwords: Mutex<BTreeSet<String>>,
    violations: Mutex<Vec<Violation>>,
}

impl Ledger {
    /// Adds a write.
    pub(super) fn add(&self, entry: Entry) {
        lock(&self.entries).push(entry);
    }

    /// When the last attempt of a step ended that may have had an effect.
    pub(super) fn unknown_since(&self, plan: PlanId, step: &StepId) -> Option<Timestamp> {
        let entries = lock(&self.entries);
        let of = entries.iter().rev().filter(|entry| entry.plan == plan && entry.step == *step);
        of.filter(|entry| entry.done || !entry.known).map(|entry| entry.at).next()
    }

    pub(super) fn entries(&self) -> Vec<Entry> {
        lock(&self.entries).clone()
    }

    pub(super) fn len(&self) -> usize {
        lock(&self.entries).len()
    }

    /// A password that must not be found anywhere.
    pub(super) fn password(&self, password: &crate::value::Secret) {
        lock(&self.passwords).insert(password.expose().to_owned());
    }

    pub(super) fn passwords(&self) -> BTreeSet<String> {
        lock(&self.passwords).clone()
    }

    pub(super) fn violation(&self, law: u32, what: String) {
        let mut violations = lock(&self.violations);
        if violations.len() < 20 {
            violations.push(Violation { law, what });
        }
    }

    pub(super) fn violations(&self) -> Vec<Violation> {
        lock(&self.violations).clone()
    }
}
