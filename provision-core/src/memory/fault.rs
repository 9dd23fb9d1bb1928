//! Seeded faults: what goes wrong at an in-memory target, when, and how often it did. The same seed and the same
//! order of calls give the same faults.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::error::{Effect, Error, ErrorKind, Retry};
use crate::id::ClassName;
use crate::value::{AttrName, Attributes, Value};

/// The operations of a connector.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Operation {
    /// `check`.
    Check,
    /// `discover`.
    Discover,
    /// `get`.
    Get,
    /// A listing, once as a whole.
    List,
    /// `create`.
    Create,
    /// `update`.
    Update,
    /// `rename`.
    Rename,
    /// `delete`.
    Delete,
    /// A membership request.
    Membership,
    /// Enable or disable.
    Lifecycle,
    /// Set a password.
    Credential,
    /// A page of the change feed.
    Changes,
}

impl Operation {
    /// True when it may change the target.
    pub fn writes(self) -> bool {
        !matches!(self, Self::Check | Self::Discover | Self::Get | Self::List | Self::Changes)
    }
}

/// What goes wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// `Unavailable`; nothing was done.
    Refuse,
    /// `PermissionDenied`; nothing was done.
    Forbid,
    /// `Unauthenticated`; nothing was done.
    RefuseCredentials,
    /// It takes this many milliseconds of the connector's clock.
    Delay(u64),
    /// It is done, and the answer is lost: `Unavailable` with effect `Unknown`.
    LoseResponse,
    /// `RateLimited`, to be tried again after this many milliseconds; without a number the target names no time.
    RateLimit(Option<u64>),
    /// `Conflict`; nothing was done.
    Conflict,
    /// The listing ends after this many objects and says that it is partial.
    Truncate(u64),
    /// The listing stops without an end event after this many objects.
    Break(u64),
    /// The page with this number (the first is 0) fails.
    PageError(u64),
    /// The second page's token comes again and again.
    RepeatToken,
    /// The listing shows nothing and claims to be complete: what a lost read permission looks like.
    Hide,
    /// The listing shows only this many objects and claims to be complete.
    HideAfter(u64),
    /// A write is done and the outcome tells no `observed`.
    DropObserved,
}

/// When it goes wrong, of the calls that a rule is about.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum When {
    /// Each time.
    #[default]
    Always,
    /// By chance, so many times in a thousand.
    PerMille(u32),
    /// At the calls with these numbers; the first is 1.
    Calls(BTreeSet<u64>),
    /// For the object with this id.
    Key(String),
    /// For a create whose attribute has this value.
    Value(AttrName, Value),
}

/// A rule of what goes wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FaultRule {
    /// The operations it is about; all when empty.
    #[serde(default)]
    pub on: BTreeSet<Operation>,
    /// The class it is about; all when absent.
    #[serde(default)]
    pub class: Option<ClassName>,
    /// When.
    #[serde(default)]
    pub when: When,
    /// At most so many times.
    #[serde(default)]
    pub times_max: Option<u64>,
    /// What.
    pub fault: Fault,
}

impl FaultRule {
    /// A fault at each such operation.
    pub fn always(on: Operation, fault: Fault) -> Self {
        Self { on: [on].into(), class: None, when: When::Always, times_max: None, fault }
    }

    /// A fault at the calls of the operation with these numbers, from 1.
    pub fn at(on: Operation, calls: impl IntoIterator<Item = u64>, fault: Fault) -> Self {
        Self { when: When::Calls(calls.into_iter().collect()), ..Self::always(on, fault) }
    }

    /// A fault by chance, so many times in a thousand.
    pub fn per_mille(on: Operation, chance: u32, fault: Fault) -> Self {
        Self { when: When::PerMille(chance), ..Self::always(on, fault) }
    }

    /// The same, only so many times.
    #[must_use]
    pub fn at_most(self, times: u64) -> Self {
        Self { times_max: Some(times), ..self }
    }
}

/// Everything that goes wrong.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Faults {
    /// Decides what `per_mille` hits.
    pub seed: u64,
    /// The rules; of one call, every rule that is due acts, in order.
    pub rules: Vec<FaultRule>,
}

/// What a call is about, for the rules.
#[derive(Clone, Copy, Debug)]
pub(super) struct About<'a> {
    pub(super) operation: Operation,
    pub(super) class: Option<&'a ClassName>,
    pub(super) key: Option<&'a str>,
    pub(super) attributes: Option<&'a Attributes>,
}

/// The rules at work.
#[derive(Debug, Default)]
pub(super) struct FaultState {
    faults: Faults,
    /// By rule: calls seen, times fired.
    counts: Vec<(u64, u64)>,
}

impl FaultState {
    pub(super) fn new(faults: Faults) -> Self {
        let counts = vec![(0, 0); faults.rules.len()];
        Self { faults, counts }
    }

    /// By rule, in order: how often it fired.
    pub(super) fn fired(&self) -> Vec<u64> {
        self.counts.iter().map(|(_, fired)| *fired).collect()
    }

    /// The faults that are due at this call.
    pub(super) fn due(&mut self, about: About<'_>) -> Vec<Fault> {
        let mut due = Vec::new();
        let rules = self.faults.rules.iter().zip(&mut self.counts);
        for (index, (rule, (calls, fired))) in rules.enumerate() {
            let concerns = (rule.on.is_empty() || rule.on.contains(&about.operation))
                && (rule.class.is_none() || rule.class.as_ref() == about.class);
            if !concerns {
                continue;
            }
            *calls += 1;
            let hit = match &rule.when {
                When::Always => true,
                When::PerMille(chance) => {
                    let dice = crate::runtime::SeededRandom::new(
                        self.faults.seed ^ (index as u64).rotate_left(48) ^ calls.rotate_left(16),
                    );
                    dice.next_u64() % 1000 < u64::from(*chance)
                }
                When::Calls(numbers) => numbers.contains(calls),
                When::Key(id) => about.key == Some(id),
                When::Value(name, value) => about
                    .attributes
                    .is_some_and(|attributes| attributes.values(name.as_str()).contains(value)),
            };
            if hit && rule.times_max.is_none_or(|most| *fired < most) {
                *fired += 1;
                due.push(rule.fault.clone());
            }
        }
        due
    }
}

impl Fault {
    /// The error of a fault that stops a call before it does anything.
    pub(super) fn refusal(&self) -> Option<Error> {
        let error = match self {
            Self::Refuse => Error::new(ErrorKind::Unavailable, "the target refuses the connection"),
            Self::Forbid => Error::new(ErrorKind::PermissionDenied, "the service account may not do this"),
            Self::RefuseCredentials => {
                Error::new(ErrorKind::Unauthenticated, "the service account's credentials are refused")
            }
            Self::RateLimit(after) => Error::new(ErrorKind::RateLimited, "too many requests")
                .with_retry(Retry::After(after.map(Duration::from_millis))),
            Self::Conflict => Error::new(ErrorKind::Conflict, "somebody else changes the object"),
            _ => return None,
        };
        Some(error.with_effect(Effect::None))
    }
}
