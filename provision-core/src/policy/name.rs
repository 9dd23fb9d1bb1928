//! Generated names: what a policy asks and what answers it.

use serde::{Deserialize, Serialize};

use crate::id::{ClassName, NamespaceName, TargetName};
use crate::schema::CaseRule;
use crate::value::AttrName;

/// A space in which names are unique.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Namespace {
    /// Its name.
    pub name: NamespaceName,
    /// When two names are the same name.
    pub case: CaseRule,
    /// Attributes of targets whose values take names of this space, ours or not.
    pub members: Vec<NamespaceMember>,
    /// Its names are unique only inside a scope that the policy computes (the OU of a `cn`): an object's name cannot be
    /// recorded as taken without it.
    #[serde(default)]
    pub scoped: bool,
    /// A name given up may be given to another after this many days; `None`: never.
    pub reuse_after_days: Option<u32>,
}

/// An attribute whose values take names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NamespaceMember {
    /// The target.
    pub target: TargetName,
    /// The class.
    pub class: ClassName,
    /// The attribute.
    pub attribute: AttrName,
}

/// One name that is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameRequest {
    /// The space.
    pub namespace: NamespaceName,
    /// A part of the space with its own uniqueness (the OU of a `cn`); empty: the whole space.
    pub scope: String,
    /// What the name is for: `target/class/tag/attribute`. With the scope, the identity has one name per purpose.
    pub purpose: String,
    /// Every candidate starts with this (after folding): what is taken is looked up by it.
    pub stem: String,
}

/// The answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NameResult {
    /// The identity has these names already; they stay whatever the inputs say now.
    Held(Vec<String>),
    /// These are free and now the identity's; the second field counts the candidates that were taken.
    Allocated(Vec<String>, u32),
    /// Every candidate is taken.
    Exhausted,
    /// What is taken under the stem has not been looked up yet; the evaluation will be repeated. Go on with the first
    /// candidate as a placeholder.
    Pending,
}

/// Allots names to one identity, in a fixed order of identities.
pub trait NameAllocator {
    /// Finds names that are free together: `candidates(n)` gives one name per request for the counter `n` = 1, 2, 3,
    /// ...; `None` ends the search. Names that the identity holds already for all requests are returned unchanged.
    fn allocate(
        &mut self,
        requests: &[NameRequest],
        candidates: &mut dyn FnMut(u32) -> Option<Vec<String>>,
    ) -> NameResult;

    /// The same for candidates that follow from `series`: whoever asks with the same series in the same spaces and
    /// scopes has the same candidates, number by number. An allocator may remember how far those before have come:
    /// without that, two thousand people of one name try two million candidates. The default remembers nothing.
    fn allocate_in(
        &mut self,
        series: &str,
        requests: &[NameRequest],
        candidates: &mut dyn FnMut(u32) -> Option<Vec<String>>,
    ) -> NameResult {
        let _ = series;
        self.allocate(requests, candidates)
    }

    /// The names the identity holds already for all requests, whatever their stems: for a policy that cannot make
    /// candidates any more (a name that has become unreadable) and must not lose what was given. `None` when one is
    /// missing; the default knows of none.
    fn held(&self, requests: &[NameRequest]) -> Option<Vec<String>> {
        let _ = requests;
        None
    }
}

/// An allocator that finds every first candidate free: for previews of a policy without a store.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoNames;

impl NameAllocator for NoNames {
    fn allocate(
        &mut self,
        _requests: &[NameRequest],
        candidates: &mut dyn FnMut(u32) -> Option<Vec<String>>,
    ) -> NameResult {
        candidates(1).map_or(NameResult::Exhausted, |names| NameResult::Allocated(names, 0))
    }
}
