//! Names of an account: kept where it has them, taken where it may.

use provision_core::policy::{
    Derivation, DesiredAccount, DesiredSlot, DesiredValue, NameAllocator, NameRequest, NameResult, Refusal,
    RefusalReason,
};
use provision_core::value::Slot;

use super::account::Draft;
use super::inputs;
use super::name::{Candidates, Filled, Unfilled, request, scope};
use crate::bundle::{AccountMap, Address, NameGroup, NamePattern};
use crate::expression::Facts;

/// Why a name is as it is, when it is not new.
const KEPT: &str = "kept: names are made once";

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
        for pattern in map.names.iter().flat_map(|group| &group.patterns) {
            let asked = scope(pattern, facts).map(|scope| request(address, pattern, scope));
            let why = match asked {
                // Who has a name already keeps it, even if it could not be made today.
                Ok(asked) => match held(allocator, asked) {
                    Some(name) => {
                        facts.names.insert(pattern.attribute.as_str().to_owned(), Some(name));
                        continue;
                    }
                    None => Filled::new(pattern, facts).err(),
                },
                Err(why) => Some(why),
            };
            account.refusals.extend(why.and_then(|why| unfilled(pattern, why)));
        }
        !account.refusals.is_empty()
    }

    /// The names of a group: those it has, and new ones for the rest, which are free together.
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
        let mut open = Vec::new();
        for pattern in &group.patterns {
            let Ok(scope) = scope(pattern, facts) else { return };
            let asked = request(address, pattern, scope);
            match held(allocator, asked.clone()) {
                Some(name) => self.named(pattern, name, Some(KEPT.to_owned()), facts, account),
                None => open.push((pattern, asked)),
            }
        }
        if blocked || open.is_empty() {
            return;
        }
        let patterns: Vec<&'a NamePattern> = open.iter().map(|(pattern, _)| *pattern).collect();
        let requests = open.into_iter().map(|(_, asked)| asked).collect();
        let Some((names, note)) = self.allocate(&patterns, requests, facts, allocator, account) else {
            return;
        };
        for (pattern, name) in patterns.into_iter().zip(names) {
            self.named(pattern, name, note.clone(), facts, account);
        }
    }

    /// Notes a name as a fact and as a value.
    fn named(
        &self,
        pattern: &NamePattern,
        name: String,
        note: Option<String>,
        facts: &mut Facts<'_>,
        account: &mut DesiredAccount,
    ) {
        account.values.push(DesiredValue {
            attribute: pattern.attribute.clone(),
            slot: DesiredSlot::Known(Slot::Values(vec![name.as_str().into()])),
            strength: pattern.strength,
            // A name is made once: only another name is a changed input.
            inputs: inputs::hash_of_name(&pattern.inputs, &name),
            derivation: Derivation {
                mapping: Some(pattern.id.clone()),
                strength: Some(pattern.strength),
                inputs: pattern.inputs.references(facts),
                identity_version: self.input.identity.version,
                overridden: Vec::new(),
                note,
            },
        });
        facts.names.insert(pattern.attribute.as_str().to_owned(), Some(name));
    }

    /// Takes names that are free together; `None` after a refusal.
    fn allocate<'f>(
        &self,
        patterns: &[&'a NamePattern],
        mut requests: Vec<NameRequest>,
        facts: &Facts<'f>,
        allocator: &mut dyn NameAllocator,
        account: &mut DesiredAccount,
    ) -> Option<(Vec<String>, Option<String>)>
    where
        'a: 'f,
    {
        let mut filled = Vec::with_capacity(patterns.len());
        for pattern in patterns {
            match Filled::new(pattern, facts) {
                Ok(found) => filled.push(found),
                Err(why) => account.refusals.extend(unfilled(pattern, why)),
            }
        }
        if filled.len() < patterns.len() {
            return None;
        }
        for (request, filled) in requests.iter_mut().zip(&filled) {
            let namespace = self.content.namespaces.iter().find(|known| known.name == request.namespace);
            request.stem = filled.stem(namespace.map(|namespace| namespace.case).unwrap_or_default());
        }
        let mut candidates = Candidates::new(self.content, &filled);
        Some(match allocator.allocate(&requests, &mut |number| candidates.get(number)) {
            NameResult::Held(names) => (names, Some(KEPT.to_owned())),
            NameResult::Allocated(names, 0) => (names, None),
            NameResult::Allocated(names, taken) => {
                (names, Some(format!("candidates taken before it: {taken}")))
            }
            NameResult::Pending => (candidates.get(1)?, Some("not looked up yet".to_owned())),
            NameResult::Exhausted => {
                account.refusals.push(Refusal {
                    reason: RefusalReason::NameExhausted,
                    attribute: patterns.first().map(|pattern| pattern.attribute.clone()),
                    mapping: filled.first().map(|filled| filled.id().clone()),
                    detail: "every candidate is taken".to_owned(),
                });
                return None;
            }
        })
    }
}

/// The name the identity has for this already.
fn held(allocator: &dyn NameAllocator, request: NameRequest) -> Option<String> {
    allocator.held(&[request])?.into_iter().next()
}

fn unfilled(pattern: &NamePattern, why: Unfilled) -> Option<Refusal> {
    Some(Refusal {
        reason: why.reason?,
        attribute: Some(pattern.attribute.clone()),
        mapping: Some(pattern.id.clone()),
        detail: why.detail,
    })
}
