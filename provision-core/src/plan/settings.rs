//! What the engine must know of a target: its drive, its guards, its offboarding.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::Budgets;
use crate::correlate::ClassCorrelation;
use crate::id::{ClassName, TargetName};
use crate::value::{AttrName, Attributes};

/// How far the engine may go on a target.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Drive {
    /// Reads only. Where a new target starts.
    #[default]
    Observe,
    /// Writes what a person has looked at: `plan`, then `apply`.
    Review,
    /// Writes by itself: `run`.
    Enforce,
}

/// What offboarding does with an object.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnDelete {
    /// Delete it.
    Delete,
    /// Disable it, take away its memberships.
    #[default]
    Disable,
    /// Set these attributes, take away its memberships.
    Update(Attributes),
}

/// Settings of one object class of a target.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ClassSettings {
    /// What offboarding does.
    pub on_delete: OnDelete,
    /// The attribute that carries an immutable id issued by us or by the source. Objects are adopted by it and by
    /// nothing else.
    pub marker: Option<AttrName>,
    /// How objects whose marker is empty find their identity at onboarding. A match is a dispute that proposes it,
    /// unless the target is `domain_managed`.
    pub correlate: ClassCorrelation,
}

/// When a failed step is tried again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RetrySchedule {
    /// Attempts in all; then the step has failed.
    pub attempts_max: u32,
    /// Seconds before the second attempt; doubled each time, with jitter.
    pub first_seconds: u32,
    /// The longest wait in seconds.
    pub longest_seconds: u32,
}

impl Default for RetrySchedule {
    fn default() -> Self {
        Self { attempts_max: 8, first_seconds: 5, longest_seconds: 3_600 }
    }
}

/// How fast a target may be called, by all processes that share the store together. Counted are the calls that change
/// something there or look something up for it; listings are read a page at a time and are not.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PaceSettings {
    /// Calls in `seconds`; 0: as fast as it answers.
    pub requests: u32,
    /// How many seconds these calls are for; 1 unless set.
    pub seconds: u32,
    /// Calls that may be made at once after a rest; 1 unless set.
    pub burst: u32,
    /// Targets of a realm that name the same credential share one pace, and its pauses.
    pub credential: Option<String>,
}

/// A configured target.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TargetSettings {
    /// Its name.
    pub name: TargetName,
    /// The kind of connector, as registered.
    pub kind: String,
    /// The connector's own configuration. Secrets are references, never values.
    #[serde(default)]
    pub config: serde_json::Value,
    /// How far the engine may go.
    #[serde(default)]
    pub drive: Drive,
    /// Settings by class.
    #[serde(default)]
    pub classes: BTreeMap<ClassName, ClassSettings>,
    /// How much may be destroyed in 24 hours.
    #[serde(default)]
    pub budgets: Budgets,
    /// Ids or names of objects that are never changed: our own principal, break-glass accounts.
    #[serde(default)]
    pub protected: BTreeSet<String>,
    /// Groups whose members are privileged: granting is budgeted, holders are never adopted by name.
    #[serde(default)]
    pub privileged_groups: BTreeSet<String>,
    /// Every object of the mapped classes is ours to manage: a unique match by `correlate` is adopted.
    #[serde(default)]
    pub domain_managed: bool,
    /// Requests under way at once.
    #[serde(default = "default_concurrency")]
    pub concurrency: u32,
    /// A request's deadline in seconds; of a listing of the whole target, each page's.
    #[serde(default = "default_timeout")]
    pub timeout_seconds: u32,
    /// When a failed step is tried again.
    #[serde(default)]
    pub retry: RetrySchedule,
    /// How fast it may be called. Without one it is called as fast as it answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pace: Option<PaceSettings>,
}

impl TargetSettings {
    /// A target of a kind with every setting at its default: drive `observe`.
    pub fn new(name: impl Into<TargetName>, kind: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            kind: kind.into(),
            config: serde_json::Value::Null,
            drive: Drive::default(),
            classes: BTreeMap::new(),
            budgets: Budgets::default(),
            protected: BTreeSet::new(),
            privileged_groups: BTreeSet::new(),
            domain_managed: false,
            concurrency: default_concurrency(),
            timeout_seconds: default_timeout(),
            retry: RetrySchedule::default(),
            pace: None,
        }
    }

    /// The settings of a class.
    pub fn class(&self, class: &ClassName) -> ClassSettings {
        self.classes.get(class).cloned().unwrap_or_default()
    }
}

fn default_concurrency() -> u32 {
    8
}

fn default_timeout() -> u32 {
    30
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_that_name_only_the_target_are_the_default_ones() {
        let read: TargetSettings = serde_json::from_str(r#"{"name": "app", "kind": "memory"}"#).unwrap();
        assert_eq!(read, TargetSettings::new("app", "memory"));
        assert_eq!((read.concurrency, read.timeout_seconds, read.drive), (8, 30, Drive::Observe));
    }
}
