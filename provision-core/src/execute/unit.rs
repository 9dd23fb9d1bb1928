//! Units: what goes to the target in one request. Most steps go alone; edges of one group go together.

use std::collections::BTreeMap;

use super::wave::Begun;
use crate::connector::ObjectKey;
use crate::error::Error;
use crate::id::ClassName;
use crate::plan::Action;
use crate::value::Attributes;

/// One request.
#[derive(Clone, Debug)]
pub(super) enum Unit {
    /// One step.
    Step(Box<Begun>),
    /// Edges of one group.
    Edges {
        /// Class of the group.
        class: ClassName,
        /// Key of the group.
        group: String,
        /// The steps, each with an edge.
        steps: Vec<Begun>,
    },
}

impl Unit {
    /// The step whose time the request has.
    pub(super) fn first(&self) -> Option<&Begun> {
        match self {
            Self::Step(begun) => Some(begun),
            Self::Edges { steps, .. } => steps.first(),
        }
    }
}

/// How an attempt ended.
#[derive(Debug)]
pub(super) enum Ended {
    /// Done.
    Done {
        /// The object's key now; `None` when the step has no object.
        key: Option<ObjectKey>,
        /// What the target showed, where it did.
        observed: Option<Attributes>,
        /// Enabled or not, where the object was read.
        enabled: Option<bool>,
        /// Known by reading back.
        read_back: bool,
        /// The object was there already: its attributes are not what we wrote.
        found: bool,
        /// Values that an earlier step made known, as they were written.
        filled: Attributes,
        /// A new password was set, because the first one was lost with the answer.
        renewed: bool,
    },
    /// An attempt before had no effect, and the step's precondition no longer holds: it is not tried again.
    Skipped(String),
    /// The target works on it.
    Pending(String),
    /// A name of a create belongs to somebody else.
    NameTaken(Error),
    /// A person must look.
    Disputed(String),
    /// It failed.
    Failed(Error),
}

impl Ended {
    pub(super) fn done(key: Option<ObjectKey>, observed: Option<Attributes>) -> Self {
        Self::Done {
            key,
            observed,
            enabled: None,
            read_back: false,
            found: false,
            filled: Attributes::new(),
            renewed: false,
        }
    }
}

/// Packs steps into requests. Packing is not part of the plan's digest.
pub(super) fn units(begun: Vec<Begun>, edges_max: impl Fn(&ClassName) -> usize) -> Vec<Unit> {
    let mut units = Vec::new();
    let mut groups: BTreeMap<(ClassName, ClassName, String), Vec<Begun>> = BTreeMap::new();
    for begun in begun {
        match &begun.step.action {
            Action::AddMember { group_class, group, .. } | Action::RemoveMember { group_class, group } => {
                let key = (group_class.clone(), begun.step.class.clone(), group.clone());
                groups.entry(key).or_default().push(begun);
            }
            _ => units.push(Unit::Step(Box::new(begun))),
        }
    }
    for ((class, _, group), steps) in groups {
        let size = edges_max(&class).max(1);
        let mut steps = steps.into_iter().peekable();
        while steps.peek().is_some() {
            let steps = steps.by_ref().take(size).collect();
            units.push(Unit::Edges { class: class.clone(), group: group.clone(), steps });
        }
    }
    units
}
