//! Names in a test: those the person holds, and those others have.

use std::collections::{BTreeMap, BTreeSet};

use provision_core::id::NamespaceName;
use provision_core::policy::{NameAllocator, NameRequest, NameResult, Namespace};

/// Most candidates that are looked at.
const CANDIDATES_MAX: u32 = 10_000;

/// An allocator over what a case gives.
#[derive(Debug)]
pub(super) struct GivenNames<'g> {
    spaces: &'g [Namespace],
    held: &'g BTreeMap<String, String>,
    taken: BTreeSet<(&'g str, String)>,
}

impl<'g> GivenNames<'g> {
    pub(super) fn new(
        spaces: &'g [Namespace],
        held: &'g BTreeMap<String, String>,
        taken: &'g BTreeMap<String, BTreeSet<String>>,
    ) -> Self {
        let mut names = Self { spaces, held, taken: BTreeSet::new() };
        for (space, list) in taken {
            let folded =
                list.iter().map(|name| (space.as_str(), names.fold(space, name))).collect::<Vec<_>>();
            names.taken.extend(folded);
        }
        names
    }

    fn fold(&self, space: &str, name: &str) -> String {
        let space = self.spaces.iter().find(|known| known.name == NamespaceName::new(space));
        space.map(|space| space.case).unwrap_or_default().fold(name)
    }
}

impl NameAllocator for GivenNames<'_> {
    fn allocate(
        &mut self,
        requests: &[NameRequest],
        candidates: &mut dyn FnMut(u32) -> Option<Vec<String>>,
    ) -> NameResult {
        if let Some(held) = self.held(requests) {
            return NameResult::Held(held);
        }
        for number in 1..=CANDIDATES_MAX {
            let Some(names) = candidates(number) else { break };
            let free = requests.iter().zip(&names).all(|(request, name)| {
                let space = request.namespace.as_str();
                !self.taken.contains(&(space, self.fold(space, name)))
            });
            if free {
                return NameResult::Allocated(names, number - 1);
            }
        }
        NameResult::Exhausted
    }

    fn held(&self, requests: &[NameRequest]) -> Option<Vec<String>> {
        requests.iter().map(|request| self.held.get(&request.purpose).cloned()).collect()
    }
}
