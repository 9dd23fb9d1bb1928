//! The values of one attribute: which mappings count, what they give, and what becomes of what is not given any more.

use provision_core::id::PolicyRef;
use provision_core::policy::{
    Derivation, DesiredAccount, DesiredSlot, DesiredValue, Range, Refusal, RefusalReason, Tolerance,
};
use provision_core::value::{Slot, Value};

use super::account::Draft;
use super::inputs::hash_of_parts;
use super::period;
use super::roles::refusal;
use crate::bundle::{AttributeMap, Mapping, State, WhenNull};
use crate::expression::{Datum, Facts, Failure, Traced, Trouble, evaluate};

/// What proposed mappings say of themselves.
const PROPOSED: &str = "proposed: it counts in previews only";

impl<'a> Draft<'_, 'a, '_> {
    /// Adds what the mappings of an attribute give.
    pub(super) fn attribute<'f>(
        &mut self,
        map: &'a AttributeMap,
        facts: &Facts<'f>,
        account: &mut DesiredAccount,
    ) where
        'a: 'f,
    {
        if map.timed {
            self.note_bounds(map, facts);
        }
        if map.exclusive {
            account.refusals.extend(self.conflict(map, facts));
        }
        if map.each {
            return self.together(map, facts, account);
        }
        let mut unmet = Vec::new();
        for (index, mapping) in map.mappings.iter().enumerate().filter(|(_, mapping)| self.is_seen(mapping)) {
            let mut rows = Traced::new();
            let found = match self.counts(mapping, facts, &mut rows) {
                Ok(true) => self.slot(mapping, facts, &mut rows),
                Ok(false) => {
                    unmet.push(mapping.id.clone());
                    continue;
                }
                Err(failure) => Err(failure),
            };
            match found {
                Ok(None) => {}
                Ok(Some(slot)) => {
                    let lost = map.mappings.iter().skip(index + 1).filter(|lost| self.is_seen(lost));
                    let overridden = lost.map(|lost| lost.id.clone()).collect();
                    let value = self.derived(map, mapping, slot, facts, &rows, (overridden, unmet));
                    account.values.push(value);
                }
                Err(failure) => {
                    account.refusals.extend(refusal(&failure, Some(&map.attribute), &mapping.id));
                }
            }
            return;
        }
        account.values.extend(self.withdrawn(map, facts, unmet));
    }

    /// Whether a mapping is looked at: proposed ones are in previews only.
    fn is_seen(&self, mapping: &Mapping) -> bool {
        self.input.proposed || mapping.state == State::Active
    }

    /// Whether a mapping counts now.
    fn counts<'f>(&self, mapping: &'a Mapping, facts: &Facts<'f>, rows: &mut Traced) -> Result<bool, Failure>
    where
        'a: 'f,
    {
        if let Some(period) = &mapping.period
            && !period::holds(period, self.input.now, facts)?
        {
            return Ok(false);
        }
        match &mapping.when {
            None => Ok(true),
            Some(when) => evaluate(when, facts, rows).map(|found| found == Datum::Bool(true)),
        }
    }

    /// Notes when periods begin and end: also those of mappings that lost, or whose conditions do not hold now.
    fn note_bounds<'f>(&mut self, map: &'a AttributeMap, facts: &Facts<'f>)
    where
        'a: 'f,
    {
        let seen =
            map.mappings.iter().filter(|mapping| self.input.proposed || mapping.state == State::Active);
        for period in seen.filter_map(|mapping| mapping.period.as_deref()) {
            for bound in period::bounds(period, facts) {
                // One that fails refuses the account where it is asked for.
                self.clock.at(bound.ok());
            }
        }
    }

    /// The refusal of two exclusive mappings that both give something.
    fn conflict<'f>(&self, map: &'a AttributeMap, facts: &Facts<'f>) -> Option<Refusal>
    where
        'a: 'f,
    {
        let exclusive = map.mappings.iter().filter(|mapping| mapping.exclusive && self.is_seen(mapping));
        // One that fails is reported where it is evaluated for its value; one that never is has lost to another.
        let mut giving = exclusive.filter(|mapping| {
            let mut rows = Traced::new();
            self.counts(mapping, facts, &mut rows) == Ok(true)
                && matches!(self.slot(mapping, facts, &mut rows), Ok(Some(slot)) if gives(&slot))
        });
        let (first, second) = (giving.next()?, giving.next()?);
        Some(Refusal {
            reason: RefusalReason::Exclusive,
            attribute: Some(map.attribute.clone()),
            mapping: Some(first.id.clone()),
            detail: format!("`{}` and `{}` are exclusive and both give a value", first.id, second.id),
        })
    }

    fn derived(
        &mut self,
        map: &AttributeMap,
        mapping: &Mapping,
        slot: DesiredSlot,
        facts: &Facts<'_>,
        rows: &Traced,
        (overridden, unmet): (Vec<PolicyRef>, Vec<PolicyRef>),
    ) -> DesiredValue {
        let proposed = mapping.state == State::Proposed;
        if proposed {
            self.proposed.push(mapping.id.clone());
        }
        DesiredValue {
            attribute: map.attribute.clone(),
            slot,
            strength: mapping.strength,
            inputs: mapping.inputs.hash(facts, rows),
            derivation: Derivation {
                mapping: Some(mapping.id.clone()),
                strength: Some(mapping.strength),
                inputs: mapping.inputs.references(facts),
                identity_version: self.input.identity.version,
                overridden,
                unmet,
                note: proposed.then(|| PROPOSED.to_owned()),
            },
            tolerance: tolerance(map, &mut std::iter::once(mapping), map.add_only),
        }
    }

    /// The values of all mappings that count, together.
    fn together<'f>(&mut self, map: &'a AttributeMap, facts: &Facts<'f>, account: &mut DesiredAccount)
    where
        'a: 'f,
    {
        let mut giving: Vec<&'a Mapping> = Vec::new();
        let (mut unmet, mut parts, mut values) = (Vec::new(), Vec::new(), Vec::new());
        let mut keep = false;
        for mapping in map.mappings.iter().filter(|mapping| self.is_seen(mapping)) {
            let mut rows = Traced::new();
            let found = match self.counts(mapping, facts, &mut rows) {
                Ok(true) => self.values(mapping, facts, &mut rows),
                Ok(false) => {
                    unmet.push(mapping.id.clone());
                    continue;
                }
                Err(failure) => Err(failure),
            };
            match found {
                Ok(found) => {
                    keep |= found.is_empty() && matches!(mapping.when_null, WhenNull::Keep);
                    giving.push(mapping);
                    parts.push(mapping.inputs.hash(facts, &rows));
                    let fresh = found.into_iter().filter(|value: &Value| !values.contains(value));
                    let fresh: Vec<Value> = fresh.collect();
                    values.extend(fresh);
                }
                Err(failure) => {
                    account.refusals.extend(refusal(&failure, Some(&map.attribute), &mapping.id));
                    return;
                }
            }
        }
        let Some(first) = giving.first() else {
            account.values.extend(self.withdrawn(map, facts, unmet));
            return;
        };
        let silent = map.inputs.silent(facts);
        if values.is_empty() && (keep || silent) {
            return;
        }
        let proposed = giving.iter().filter(|mapping| mapping.state == State::Proposed);
        self.proposed.extend(proposed.map(|mapping| mapping.id.clone()));
        // Of what nobody says anything, nothing is taken away either; nor where everything is to be kept.
        let tolerance = match silent || keep {
            true => Some(Box::new(Tolerance { add_only: true, ..Tolerance::default() })),
            false => tolerance(map, &mut giving.iter().copied(), map.add_only),
        };
        account.values.push(DesiredValue {
            attribute: map.attribute.clone(),
            slot: DesiredSlot::Known(Slot::from_values(values)),
            strength: first.strength,
            inputs: hash_of_parts(&map.inputs, &parts),
            derivation: Derivation {
                mapping: Some(map.id.clone()),
                strength: Some(first.strength),
                inputs: map.inputs.references(facts),
                identity_version: self.input.identity.version,
                overridden: Vec::new(),
                unmet,
                note: Some(given_by(&giving)),
            },
            tolerance,
        });
    }

    /// The values that one of several mappings gives.
    fn values<'f>(
        &self,
        mapping: &'a Mapping,
        facts: &Facts<'f>,
        rows: &mut Traced,
    ) -> Result<Vec<Value>, Failure>
    where
        'a: 'f,
    {
        match self.slot(mapping, facts, rows)? {
            Some(DesiredSlot::Known(Slot::Values(values))) => Ok(values),
            Some(DesiredSlot::AccountOf { .. }) => {
                Err(Failure::failed("a reference to an account is not one of several values"))
            }
            _ => Ok(Vec::new()),
        }
    }

    /// What becomes of the value now that no mapping counts.
    fn withdrawn(
        &self,
        map: &AttributeMap,
        facts: &Facts<'_>,
        unmet: Vec<PolicyRef>,
    ) -> Option<DesiredValue> {
        let withdrawal = map.withdrawal.as_ref()?;
        let silent = withdrawal.inputs.silent(facts);
        let stays = silent.then_some(provision_core::policy::LeftReason::Silent);
        let strength = map.mappings.first().map(|mapping| mapping.strength);
        Some(DesiredValue {
            attribute: map.attribute.clone(),
            slot: DesiredSlot::Withdrawn { stays: withdrawal.stays.or(stays) },
            strength: strength.unwrap_or_default(),
            inputs: String::new(),
            derivation: Derivation {
                mapping: Some(map.id.clone()),
                strength,
                inputs: withdrawal.inputs.references(facts),
                identity_version: self.input.identity.version,
                overridden: Vec::new(),
                unmet,
                note: Some("no mapping of it counts".to_owned()),
            },
            tolerance: None,
        })
    }

    /// The value of a mapping; `None` leaves the attribute alone.
    fn slot<'f>(
        &self,
        mapping: &'a Mapping,
        facts: &Facts<'f>,
        rows: &mut Traced,
    ) -> Result<Option<DesiredSlot>, Failure>
    where
        'a: 'f,
    {
        let found = evaluate(&mapping.value, facts, rows)?;
        if !found.is_empty() {
            return Ok(Some(desired(found)));
        }
        Ok(match &mapping.when_null {
            WhenNull::Keep => None,
            WhenNull::Default(default) => Some(desired(evaluate(default, facts, rows)?)),
            WhenNull::Refuse => {
                let detail = "a value is required here and there is none";
                return Err(Failure::new(Trouble::Missing, detail));
            }
            // What no source says anything of is not cleared.
            WhenNull::Clear => (!mapping.inputs.silent(facts)).then_some(DesiredSlot::Known(Slot::Null)),
        })
    }
}

fn desired(found: Datum<'_>) -> DesiredSlot {
    match found {
        Datum::AccountOf(key) => DesiredSlot::AccountOf { key },
        other => DesiredSlot::Known(other.into_slot()),
    }
}

/// Whether there is a value in it.
fn gives(slot: &DesiredSlot) -> bool {
    match slot {
        DesiredSlot::Known(slot) => !slot.values().is_empty(),
        DesiredSlot::AccountOf { .. } => true,
        DesiredSlot::Withdrawn { .. } => false,
    }
}

/// What becomes of values that are there and not given: the ranges of the mappings that count, and what stands beside
/// them. `None` when the policy says nothing special.
fn tolerance(
    map: &AttributeMap,
    giving: &mut dyn Iterator<Item = &Mapping>,
    add_only: bool,
) -> Option<Box<Tolerance>> {
    let ranges = giving.flat_map(|mapping| {
        let range = |pattern: &String| Range { pattern: pattern.clone(), by: mapping.id.clone() };
        mapping.range.iter().map(range)
    });
    let removes: Vec<Range> = ranges.chain(map.removes.iter().cloned()).collect();
    let said = add_only || !removes.is_empty();
    said.then(|| Box::new(Tolerance { add_only, removes, keeps: map.keeps.clone() }))
}

fn given_by(giving: &[&Mapping]) -> String {
    let name = |mapping: &&Mapping| match mapping.state {
        State::Proposed => format!("{} (proposed)", mapping.id),
        _ => mapping.id.to_string(),
    };
    let names: Vec<String> = giving.iter().map(name).collect();
    format!("given together by {}", names.join(", "))
}
