//! Names of an account: kept where it has them, taken where it may.

use provision_core::policy::{
    Derivation, DesiredAccount, DesiredSlot, DesiredValue, NameAllocator, NameRequest, NameResult, Refusal,
    RefusalReason,
};
use provision_core::value::Slot;

use super::account::Draft;
use super::inputs;
use super::name::{Candidates, Filled, Unfilled, request, scope};
use crate::bundle::{AccountMap, Address, NamePattern};
use crate::expression::Facts;

/// Why a name is as it is, when it is not new.
const KEPT: &str = "kept: names are made once";

/// A name that the account needs, as far as it is known before any is taken.
#[derive(Debug)]
pub(super) struct Sought<'f> {
    pattern: &'f NamePattern,
    /// `None` where the scope has no value yet.
    asked: Option<NameRequest>,
    /// The name the person has for it.
    held: Option<String>,
    /// What a new one is made of; `None` where a part has no value yet.
    filled: Option<Filled<'f>>,
}

impl<'a> Draft<'_, 'a, '_> {
    /// The names an account needs, in order. Those that cannot be made from this person's data are reported.
    pub(super) fn sought<'f>(
        &self,
        address: &Address,
        map: &'a AccountMap,
        facts: &mut Facts<'f>,
        allocator: &dyn NameAllocator,
        account: &mut DesiredAccount,
    ) -> Vec<Sought<'f>>
    where
        'a: 'f,
    {
        let mut all = Vec::new();
        for pattern in map.names.iter().flat_map(|group| &group.patterns) {
            let mut sought = Sought { pattern, asked: None, held: None, filled: None };
            let why = match scope(pattern, facts) {
                Ok(scope) => {
                    let asked = sought.asked.insert(request(address, pattern, scope));
                    sought.held = held(allocator, asked);
                    // Who has a name already keeps it, even if it could not be made today.
                    match &sought.held {
                        Some(name) => {
                            facts.names.insert(pattern.attribute.clone(), name.clone());
                            None
                        }
                        None => Filled::new(pattern, facts).map(|filled| sought.filled = Some(filled)).err(),
                    }
                }
                Err(why) => Some(why),
            };
            account.refusals.extend(why.and_then(|why| unfilled(pattern, why)));
            all.push(sought);
        }
        all
    }

    /// The names of a group: those it has, and new ones for the rest, which are free together. An account that is
    /// refused takes none: only those it holds are shown.
    pub(super) fn names<'f>(
        &self,
        address: &Address,
        group: Vec<Sought<'f>>,
        blocked: bool,
        facts: &mut Facts<'f>,
        allocator: &mut dyn NameAllocator,
        account: &mut DesiredAccount,
    ) where
        'a: 'f,
    {
        let mut open = Vec::with_capacity(group.len());
        let mut requests = Vec::with_capacity(group.len());
        for mut sought in group {
            let asked = match sought.asked.take() {
                Some(asked) => asked,
                // Now that the names before it are known.
                None => {
                    let Ok(scope) = scope(sought.pattern, facts) else { return };
                    let asked = request(address, sought.pattern, scope);
                    sought.held = held(allocator, &asked);
                    asked
                }
            };
            match sought.held.take() {
                Some(name) => self.named(sought.pattern, name, Some(KEPT.to_owned()), facts, account),
                None => {
                    open.push(sought);
                    requests.push(asked);
                }
            }
        }
        if blocked || open.is_empty() {
            return;
        }
        let patterns: Vec<&NamePattern> = open.iter().map(|sought| sought.pattern).collect();
        let Some((names, note)) = self.allocate(open, requests, facts, allocator, account) else {
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
                note,
                ..Derivation::default()
            },
            tolerance: None,
        });
        facts.names.insert(pattern.attribute.clone(), name);
    }

    /// Takes names that are free together; `None` after a refusal.
    fn allocate<'f>(
        &self,
        open: Vec<Sought<'f>>,
        mut requests: Vec<NameRequest>,
        facts: &Facts<'f>,
        allocator: &mut dyn NameAllocator,
        account: &mut DesiredAccount,
    ) -> Option<(Vec<String>, Option<String>)> {
        let wanted = open.len();
        let mut filled = Vec::with_capacity(wanted);
        for Sought { pattern, filled: known, .. } in open {
            match known.map_or_else(|| Filled::new(pattern, facts), Ok) {
                Ok(found) => filled.push(found),
                Err(why) => account.refusals.extend(unfilled(pattern, why)),
            }
        }
        if filled.len() < wanted {
            return None;
        }
        for (request, filled) in requests.iter_mut().zip(&filled) {
            let namespace = self.content.namespaces.iter().find(|known| known.name == request.namespace);
            request.stem = filled.stem(namespace.map(|namespace| namespace.case).unwrap_or_default());
        }
        let mut series = String::with_capacity(64);
        filled.iter().for_each(|filled| filled.series(&mut series));
        let mut candidates = Candidates::new(self.content, &filled);
        Some(match allocator.allocate_in(&series, &requests, &mut |number| candidates.get(number)) {
            NameResult::Held(names) => (names, Some(KEPT.to_owned())),
            NameResult::Allocated(names, 0) => (names, None),
            NameResult::Allocated(names, taken) => {
                (names, Some(format!("candidates taken before it: {taken}")))
            }
            NameResult::Pending => (candidates.get(1)?, Some("not looked up yet".to_owned())),
            NameResult::Exhausted => {
                account.refusals.push(Refusal {
                    reason: RefusalReason::NameExhausted,
                    attribute: filled.first().map(|filled| filled.pattern().attribute.clone()),
                    mapping: filled.first().map(|filled| filled.pattern().id.clone()),
                    detail: "every candidate is taken".to_owned(),
                });
                return None;
            }
        })
    }
}

/// The name the identity has for this already.
fn held(allocator: &dyn NameAllocator, request: &NameRequest) -> Option<String> {
    allocator.held(std::slice::from_ref(request))?.into_iter().next()
}

fn unfilled(pattern: &NamePattern, why: Unfilled) -> Option<Refusal> {
    Some(Refusal {
        reason: why.reason?,
        attribute: Some(pattern.attribute.clone()),
        mapping: Some(pattern.id.clone()),
        detail: why.detail,
    })
}
