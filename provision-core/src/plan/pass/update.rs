//! What an existing object needs: the rename and the update, with what each spends and why.

use std::collections::{BTreeMap, BTreeSet};

use super::account::Case;
use super::attributes::{class_of, fit, inputs_of, is_read_only, leave, reason_of, resolve, writes};
use super::sets::{Known, is_set, reasons};
use super::withdrawal::{self, Withdrawal};
use crate::delta::{Change, Delta};
use crate::plan::draft::Draft;
use crate::plan::{Action, BudgetKind, Reason};
use crate::policy::{Authority, DesiredSlot, DesiredValue, LeftReason, RefusalReason, Strength};
use crate::schema::{Mutability, ObjectClass};
use crate::value::{AttrName, Attributes, Slot};

/// What is written to one account.
#[derive(Debug, Default)]
struct Changes {
    naming: Attributes,
    delta: Delta,
    /// Why each attribute is written.
    reasons: BTreeMap<AttrName, Vec<Reason>>,
    /// Attributes whose inputs the link keeps.
    given: BTreeSet<AttrName>,
    /// Attributes that the link forgets.
    withdraws: BTreeSet<AttrName>,
    budgets: Vec<BudgetKind>,
}

/// A value does not fit the schema: nothing is written by halves.
struct Unfit;

/// Adds the update and the rename that an existing object needs.
pub(super) fn plan(case: &Case<'_>, draft: &mut Draft) {
    let Some(class) = class_of(case, draft) else { return };
    let mut changes = Changes::default();
    for value in &case.wanted.values {
        if changes.add(case, class, value, draft).is_err() {
            return;
        }
    }
    match case.wanted.authority {
        Authority::Observe => changes.observe(case, draft),
        Authority::Assist | Authority::Enforce => changes.into_steps(case, class, draft),
    }
}

impl Changes {
    fn add(
        &mut self,
        case: &Case<'_>,
        class: &ObjectClass,
        value: &DesiredValue,
        draft: &mut Draft,
    ) -> Result<(), Unfit> {
        let Some((name, schema)) = class.attribute(value.attribute.as_str()) else {
            leave(case, draft, &value.attribute, LeftReason::NotInSchema);
            return Ok(());
        };
        let Some(link) = case.link else { return Ok(()) };
        let known = Known { link, name, schema };
        if is_read_only(schema) {
            leave(case, draft, name, LeftReason::ReadOnly);
        } else if value.strength == Strength::CreateOnly || schema.mutability == Mutability::CreateOnly {
            leave(case, draft, name, LeftReason::CreateOnly);
        } else if let DesiredSlot::Withdrawn { stays } = &value.slot {
            match withdrawal::plan(&known, *stays) {
                Withdrawal::Nothing => {}
                Withdrawal::Stays(why) => leave(case, draft, name, why),
                Withdrawal::Change(change) => self.withdraw(name, change, value),
            }
        } else {
            match resolve(case, name, value, draft) {
                Ok(slot) => self.give(case, class, &known, (value, slot), draft)?,
                Err(why) => leave(case, draft, name, why),
            }
        }
        Ok(())
    }

    fn withdraw(&mut self, name: &AttrName, change: Change, value: &DesiredValue) {
        self.withdraws.insert(name.clone());
        self.budgets.push(BudgetKind::AttributeClear);
        self.reasons.insert(name.clone(), vec![reason_of(value)]);
        self.delta.changes.insert(name.clone(), change);
    }

    fn give(
        &mut self,
        case: &Case<'_>,
        class: &ObjectClass,
        known: &Known<'_>,
        (value, slot): (&DesiredValue, Slot),
        draft: &mut Draft,
    ) -> Result<(), Unfit> {
        let Known { link, name, schema } = *known;
        let parsed = Attributes::from_iter([(name.clone(), slot)]);
        let Some(parsed) = fit(case, class, &parsed, draft) else { return Err(Unfit) };
        let Some(slot) = parsed.get(name.as_str()).cloned() else { return Ok(()) };
        let decided = writes(link, name, schema, value, &slot);
        let written = decided == Ok(true);
        let foreign = known.foreign(value, &slot);
        if let Err(why) = decided {
            leave(case, draft, name, why);
        }
        if !written && foreign.is_empty() {
            return Ok(());
        }
        let why = self.reasons.entry(name.clone()).or_default();
        if written {
            why.push(reason_of(value));
            self.given.insert(name.clone());
        }
        why.extend(reasons(name, &foreign, case.input.identity.version));
        if schema.mutability == Mutability::Naming {
            self.naming.insert(name.clone(), slot);
            return Ok(());
        }
        // What is wanted here is not there as it is wanted, or has drifted: single values and lists are written whole.
        let change = match is_set(schema) {
            true => known.change(value.tolerance.as_deref(), &slot, written, &foreign),
            false => Delta::diff(class, &Attributes::new(), &Attributes::from_iter([(name.clone(), slot)]))
                .changes
                .remove(name),
        };
        let Some(change) = change else { return Ok(()) };
        // What others put there costs what a clear costs, however much it is; so does taking away and giving nothing.
        let takes = matches!(&change, Change::Edit { add, remove } if add.is_empty() && !remove.is_empty());
        if change == Change::Clear || takes || !foreign.is_empty() {
            self.budgets.push(BudgetKind::AttributeClear);
        }
        self.delta.changes.insert(name.clone(), change);
        Ok(())
    }

    /// Says what would be written, and writes nothing.
    fn observe(self, case: &Case<'_>, draft: &mut Draft) {
        let names: BTreeSet<&AttrName> =
            self.naming.iter().map(|(name, _)| name).chain(self.delta.changes.keys()).collect();
        if names.is_empty() {
            return;
        }
        for name in &names {
            leave(case, draft, name, LeftReason::Observed);
        }
        let names: Vec<String> = names.into_iter().map(ToString::to_string).collect();
        let detail = format!("the map's authority is `observe`; would write {}", names.join(", "));
        draft.skip(case.input, case.at(), RefusalReason::AttributesObserved, detail);
    }

    fn into_steps(self, case: &Case<'_>, class: &ObjectClass, draft: &mut Draft) {
        let Self { naming, delta, mut reasons, given, withdraws, budgets } = self;
        let named = |name: &AttrName| naming.get(name.as_str()).is_some();
        if !naming.is_empty() {
            let of = naming.iter().filter_map(|(name, _)| reasons.remove(name)).flatten().collect();
            let inputs = inputs_of(case, class, named);
            let action = Action::Rename { naming: naming.clone() };
            let mut step = case.step(action, vec![BudgetKind::KeyRewrite], of);
            step.inputs = inputs;
            draft.steps.push(step);
        }
        if !delta.is_empty() {
            let of = reasons.into_values().flatten().collect();
            let mut step = case.step(Action::Update { delta, outputs: BTreeMap::new() }, budgets, of);
            step.inputs = inputs_of(case, class, |name| given.contains(name) && !named(name));
            step.withdraws = withdraws;
            draft.steps.push(step);
        }
    }
}
