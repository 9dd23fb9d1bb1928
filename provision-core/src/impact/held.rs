//! Names for a comparison of two policies: those held stay, others are first candidates.

use crate::id::PlanId;
use crate::model::Name;
use crate::plan::in_use;
use crate::policy::{NameAllocator, NameRequest, NameResult};
use crate::value::Timestamp;

/// An allocator that knows the names one identity has, and gives the first candidate where it has none. It asks
/// nobody and reserves nothing.
#[derive(Clone, Copy, Debug)]
pub struct HeldNames<'n> {
    names: &'n [Name],
    now: Timestamp,
}

impl<'n> HeldNames<'n> {
    /// With the names of the identity that is evaluated next.
    pub fn new(names: &'n [Name], now: Timestamp) -> Self {
        Self { names, now }
    }

    fn name(&self, request: &NameRequest) -> Option<String> {
        let scope = request.scope.to_lowercase();
        let own = self.names.iter().filter(|name| {
            name.namespace == request.namespace
                && name.scope.to_lowercase() == scope
                && name.purpose == request.purpose
        });
        in_use(own, PlanId::from_uuid(uuid::Uuid::nil()), self.now).map(|name| name.name.clone())
    }
}

impl NameAllocator for HeldNames<'_> {
    fn allocate(
        &mut self,
        requests: &[NameRequest],
        candidates: &mut dyn FnMut(u32) -> Option<Vec<String>>,
    ) -> NameResult {
        match self.held(requests) {
            Some(names) => NameResult::Held(names),
            None => candidates(1).map_or(NameResult::Exhausted, |names| NameResult::Allocated(names, 0)),
        }
    }

    fn held(&self, requests: &[NameRequest]) -> Option<Vec<String>> {
        requests.iter().map(|request| self.name(request)).collect()
    }
}
