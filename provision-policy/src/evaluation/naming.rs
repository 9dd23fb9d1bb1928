//! Names of an account: kept where it has them, taken where it may.

use provision_core::policy::{
    Derivation, DesiredAccount, DesiredSlot, DesiredValue, NameAllocator, NameRequest, NameResult, Refusal,
    RefusalReason,
};
use provision_core::value::Slot;

use super::account::Draft;
use super::inputs;
use super::name::{Candidates, Filled, Unfilled, request, scope};
use super::roles::Address;
use crate::bundle::{AccountMap, NameGroup, NamePattern};
use crate::expression::{Facts, Traced};

impl<'a> Draft<'_, 'a, '_> {
    /// Reports names that cannot be made from this person's data. True when the account is refused, by that or
    /// already: then no name is taken for it, and only those it holds are shown.
    pub(super) fn unreadable<'f>(
        &self,
        address: &Address,
        map: &'a AccountMap,
        facts: &mut Facts<'f>,
        allocator: &dyn NameAllocator,
        account: &mut DesiredAccount,
    ) -> bool
    where
        'a: 'f,
    {
        for group in &map.names {
            let scopes: Vec<_> = group.patterns.iter().map(|pattern| scope(pattern, facts)).collect();
            let mut requests = Vec::with_capacity(scopes.len());
            let mut refusals = Vec::new();
            for (pattern, scope) in group.patterns.iter().zip(scopes) {
                match scope {
                    Ok(scope) => requests.push(request(address, pattern, scope)),
                    Err(why) => refusals.extend(unfilled(pattern, why)),
                }
            }
            // Who has names already keeps them, even if they could not be made today.
            let complete = requests.len() == group.patterns.len();
            if let Some(held) = held(allocator, &requests).filter(|_| complete) {
                for (pattern, name) in group.patterns.iter().zip(held) {
                    facts.names.insert(pattern.attribute.as_str().to_owned(), Some(name));
                }
                continue;
            }
            let failed = group
                .patterns
                .iter()
                .filter_map(|pattern| Some((pattern, Filled::new(pattern, facts).err()?)));
            refusals.extend(failed.filter_map(|(pattern, why)| unfilled(pattern, why)));
            account.refusals.extend(refusals);
        }
        !account.refusals.is_empty()
    }

    pub(super) fn names<'f>(
        &self,
        address: &Address,
        group: &'a NameGroup,
        blocked: bool,
        facts: &mut Facts<'f>,
        allocator: &mut dyn NameAllocator,
        account: &mut DesiredAccount,
    ) where
        'a: 'f,
    {
        let scopes: Option<Vec<_>> = group
            .patterns
            .iter()
            .map(|pattern| scope(pattern, facts).ok().map(|scope| request(address, pattern, scope)))
            .collect();
        let Some(requests) = scopes else { return };
        let found = match held(allocator, &requests) {
            Some(held) => Some((held, Some("kept: names are made once".to_owned()))),
            None if blocked => None,
            None => self.allocate(group, requests, facts, allocator, account),
        };
        let Some((names, note)) = found else { return };
        for (pattern, name) in group.patterns.iter().zip(names) {
            facts.names.insert(pattern.attribute.as_str().to_owned(), Some(name.clone()));
            account.values.push(DesiredValue {
                attribute: pattern.attribute.clone(),
                slot: DesiredSlot::Known(Slot::Values(vec![name.as_str().into()])),
                strength: pattern.strength,
                // A name is made once: only another name is a changed input.
                inputs: inputs::hash(&pattern.id, &[&name], &Default::default(), facts, &Traced::new()),
                derivation: Derivation {
                    mapping: Some(pattern.id.clone()),
                    strength: Some(pattern.strength),
                    inputs: inputs::references(&pattern.reads, facts),
                    identity_version: self.input.identity.version,
                    overridden: Vec::new(),
                    note: note.clone(),
                },
            });
        }
    }

    /// Takes names for a group; `None` after a refusal.
    fn allocate<'f>(
        &self,
        group: &'a NameGroup,
        mut requests: Vec<NameRequest>,
        facts: &Facts<'f>,
        allocator: &mut dyn NameAllocator,
        account: &mut DesiredAccount,
    ) -> Option<(Vec<String>, Option<String>)>
    where
        'a: 'f,
    {
        let mut filled = Vec::with_capacity(group.patterns.len());
        for pattern in &group.patterns {
            match Filled::new(pattern, facts) {
                Ok(found) => filled.push(found),
                Err(why) => account.refusals.extend(unfilled(pattern, why)),
            }
        }
        if filled.len() < group.patterns.len() {
            return None;
        }
        for (request, filled) in requests.iter_mut().zip(&filled) {
            let namespace = self.content.namespaces.iter().find(|known| known.name == request.namespace);
            request.stem = filled.stem(namespace.map(|namespace| namespace.case).unwrap_or_default());
        }
        let mut candidates = Candidates::new(self.content, &filled);
        Some(match allocator.allocate(&requests, &mut |number| candidates.get(number)) {
            NameResult::Held(names) => (names, Some("kept: names are made once".to_owned())),
            NameResult::Allocated(names, 0) => (names, None),
            NameResult::Allocated(names, taken) => {
                (names, Some(format!("candidates taken before it: {taken}")))
            }
            NameResult::Pending => (candidates.get(1)?, Some("not looked up yet".to_owned())),
            NameResult::Exhausted => {
                account.refusals.push(Refusal {
                    reason: RefusalReason::NameExhausted,
                    attribute: group.patterns.first().map(|pattern| pattern.attribute.clone()),
                    mapping: filled.first().map(|filled| filled.id().clone()),
                    detail: "every candidate is taken".to_owned(),
                });
                return None;
            }
        })
    }
}

/// The names the identity has for all requests.
fn held(allocator: &dyn NameAllocator, requests: &[NameRequest]) -> Option<Vec<String>> {
    allocator.held(requests).filter(|held| held.len() == requests.len())
}

fn unfilled(pattern: &NamePattern, why: Unfilled) -> Option<Refusal> {
    Some(Refusal {
        reason: why.reason?,
        attribute: Some(pattern.attribute.clone()),
        mapping: Some(pattern.id.clone()),
        detail: why.detail,
    })
}
