//! Seeded faults: what goes wrong at a target, when, and how often it did. The same seed and the same order of calls
//! give the same faults. The in-memory target makes them itself; `testkit::fault` makes them in front of any connector.

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
    /// The end of a pending write is asked for.
    Poll,
}

impl Operation {
    /// True when it may change the target, or tells whether a change was made.
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
    /// It is not done, and no answer comes: `Unavailable` with effect `Unknown`, as if the answer had been lost.
    /// Only the layer of `testkit::fault` makes this one and those below.
    LoseRequest,
    /// It is done twice; the caller gets the first answer.
    Duplicate,
    /// The answer is lost at once, and a write is done only after this many milliseconds.
    Late(u64),
    /// It is done at once, and the answer takes this many milliseconds.
    DelayResponse(u64),
    /// It is not done, and the call never ends: the caller has to drop it.
    Hang,
    /// It is done, and the call never ends: the caller has to drop it.
    HangResponse,
    /// The page with this number (the first is 0) comes twice.
    RepeatPage(u64),
    /// A read shows what was there this many milliseconds ago.
    Stale(u64),
    /// The token of the change feed is too old: `Conflict`.
    ExpireToken,
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

impl When {
    /// Whether the call with this number is hit, as far as the number tells: never for a key or a value.
    pub(crate) fn falls_on(&self, call: u64, seed: u64, rule: usize) -> bool {
        match self {
            Self::Always => true,
            Self::PerMille(chance) => {
                let seed = seed ^ (rule as u64).rotate_left(48) ^ call.rotate_left(16);
                crate::runtime::SeededRandom::new(seed).next_u64() % 1000 < u64::from(*chance)
            }
            Self::Calls(numbers) => numbers.contains(&call),
            Self::Key(_) | Self::Value(..) => false,
        }
    }
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
pub(crate) struct About<'a> {
    pub(crate) operation: Operation,
    pub(crate) class: Option<&'a ClassName>,
    pub(crate) key: Option<&'a str>,
    pub(crate) attributes: Option<&'a Attributes>,
}

/// The rules at work.
#[derive(Debug, Default)]
pub(crate) struct FaultState {
    faults: Faults,
    /// By rule: calls seen, times fired.
    counts: Vec<(u64, u64)>,
    /// The rules are those of a layer: it can make every fault.
    layer: bool,
}

impl FaultState {
    pub(crate) fn new(faults: Faults) -> Self {
        let counts = vec![(0, 0); faults.rules.len()];
        Self { faults, counts, layer: false }
    }

    /// The rules of a layer in front of a connector.
    #[cfg(any(test, feature = "testkit"))]
    pub(crate) fn of_layer(faults: Faults) -> Self {
        Self { layer: true, ..Self::new(faults) }
    }

    /// By rule, in order: how often it fired.
    pub(crate) fn fired(&self) -> Vec<u64> {
        self.counts.iter().map(|(_, fired)| *fired).collect()
    }

    /// What was asked for.
    #[cfg(any(test, feature = "testkit"))]
    pub(crate) fn faults(&self) -> &Faults {
        &self.faults
    }

    /// The faults that are due at this call, each with the number of its rule.
    pub(crate) fn due(&mut self, about: About<'_>) -> Vec<(usize, Fault)> {
        let mut due = Vec::new();
        let rules = self.faults.rules.iter().zip(&mut self.counts);
        for (index, (rule, (calls, fired))) in rules.enumerate() {
            let concerns = (rule.on.is_empty() || rule.on.contains(&about.operation))
                && rule.fault.befalls(about.operation)
                && (self.layer || !rule.fault.needs_layer())
                && (rule.class.is_none() || rule.class.as_ref() == about.class);
            if !concerns {
                continue;
            }
            *calls += 1;
            let hit = match &rule.when {
                When::Key(id) => about.key == Some(id),
                When::Value(name, value) => about
                    .attributes
                    .is_some_and(|attributes| attributes.values(name.as_str()).contains(value)),
                when => when.falls_on(*calls, self.faults.seed, index),
            };
            if hit && rule.times_max.is_none_or(|most| *fired < most) {
                *fired += 1;
                due.push((index, rule.fault.clone()));
            }
        }
        due
    }
}

impl Fault {
    /// Whether it can go wrong at this operation. A rule is about no other, whatever it names.
    pub fn befalls(&self, operation: Operation) -> bool {
        match self {
            Self::Truncate(_)
            | Self::Break(_)
            | Self::PageError(_)
            | Self::RepeatToken
            | Self::Hide
            | Self::HideAfter(_)
            | Self::RepeatPage(_) => operation == Operation::List,
            Self::Stale(_) => matches!(operation, Operation::Get | Operation::List),
            Self::ExpireToken => operation == Operation::Changes,
            Self::Duplicate => operation != Operation::List,
            Self::DropObserved => operation.writes(),
            Self::Late(_) => operation.writes() && operation != Operation::Poll,
            _ => true,
        }
    }

    /// True when the in-memory target does not make it by itself.
    pub(super) fn needs_layer(&self) -> bool {
        matches!(
            self,
            Self::LoseRequest
                | Self::Duplicate
                | Self::Late(_)
                | Self::DelayResponse(_)
                | Self::Hang
                | Self::HangResponse
                | Self::RepeatPage(_)
                | Self::Stale(_)
                | Self::ExpireToken
        )
    }

    /// The error of a fault that stops a call before it does anything.
    pub(crate) fn refusal(&self) -> Option<Error> {
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
