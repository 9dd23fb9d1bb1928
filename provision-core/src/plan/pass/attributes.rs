//! Attribute values: what a create carries, what an update changes, by strength.

use std::collections::BTreeMap;

use super::account::Case;
use crate::delta::{Change, Delta};
use crate::plan::draft::{Draft, WaitingReference};
use crate::plan::{Action, BudgetKind, OutputRef, Reason, Resolved};
use crate::policy::{DesiredSlot, DesiredValue, RefusalReason, Strength};
use crate::schema::{AttributeSchema, AttributeType, Mutability, ObjectClass};
use crate::value::{AttrName, Attributes, ObjectRef, Slot, Value};

/// What a create carries.
pub(super) struct Initial {
    pub(super) attributes: Attributes,
    pub(super) reasons: Vec<Reason>,
    pub(super) inputs: BTreeMap<AttrName, String>,
}

/// The attributes of a new object; `None` after a skip when they do not fit the schema.
pub(super) fn initial(case: &Case<'_>, draft: &mut Draft) -> Option<Initial> {
    let class = class_of(case, draft)?;
    let mut raw = Attributes::new();
    let mut reasons = Vec::new();
    for value in &case.wanted.values {
        let read_only =
            class.attribute(value.attribute.as_str()).is_some_and(|(_, schema)| is_read_only(schema));
        if read_only {
            continue;
        }
        let Some(slot) = resolve(case, value, draft) else { continue };
        if slot.values().is_empty() {
            continue;
        }
        raw.insert(value.attribute.clone(), slot);
        reasons.push(reason_of(value));
    }
    let attributes = fit(case, class, &raw, draft)?;
    for (name, schema) in &class.attributes {
        if schema.required && attributes.values(name.as_str()).is_empty() {
            let detail = format!("the target requires `{name}` and the policy gives it no value");
            draft.skip(case.input, case.at(), RefusalReason::MissingInput, detail);
            return None;
        }
    }
    let inputs = inputs_of(case, class, |_| true);
    Some(Initial { attributes, reasons, inputs })
}

/// Adds the update and the rename that an existing object needs.
pub(super) fn changes(case: &Case<'_>, draft: &mut Draft) {
    let Some(class) = class_of(case, draft) else { return };
    let Some(link) = case.link else { return };
    let mut wanted = Attributes::new();
    let mut naming = Attributes::new();
    let mut reasons: BTreeMap<AttrName, Reason> = BTreeMap::new();
    for value in &case.wanted.values {
        let Some((name, schema)) = class.attribute(value.attribute.as_str()) else { continue };
        if value.strength == Strength::CreateOnly
            || schema.mutability == Mutability::CreateOnly
            || is_read_only(schema)
        {
            continue;
        }
        let Some(slot) = resolve(case, value, draft) else { continue };
        let parsed = Attributes::from_iter([(name.clone(), slot)]);
        let Some(parsed) = fit(case, class, &parsed, draft) else { return };
        let Some(slot) = parsed.get(name.as_str()).cloned() else { continue };
        if !writes(link, name, schema, value, &slot) {
            continue;
        }
        reasons.insert(name.clone(), reason_of(value));
        if schema.mutability == Mutability::Naming {
            naming.insert(name.clone(), slot);
        } else {
            wanted.insert(name.clone(), slot);
        }
    }
    let take = |names: &Attributes| {
        names.iter().filter_map(|(name, _)| reasons.get(name).cloned()).collect::<Vec<_>>()
    };
    if !naming.is_empty() {
        let step_reasons = take(&naming);
        let inputs = inputs_of(case, class, |name| naming.get(name.as_str()).is_some());
        let mut step = case.step(Action::Rename { naming }, vec![BudgetKind::KeyRewrite], step_reasons);
        step.inputs = inputs;
        draft.steps.push(step);
    }
    // What is wanted here is not there as it is wanted, or has drifted: single values and lists are written whole.
    let mut delta = Delta::diff(class, &Attributes::new(), &wanted);
    for (name, slot) in wanted.iter() {
        if let Some(schema) = class.attributes.get(name).filter(|schema| schema.multi && !schema.ordered) {
            match set_change(link, name, schema, slot) {
                Some(change) => delta.changes.insert(name.clone(), change),
                None => delta.changes.remove(name),
            };
        }
    }
    if !delta.is_empty() {
        let clears = delta.changes.values().filter(|change| matches!(change, Change::Clear)).count();
        let budgets = vec![BudgetKind::AttributeClear; clears];
        let step_reasons = take(&wanted);
        let action = Action::Update { delta, outputs: BTreeMap::new() };
        let mut step = case.step(action, budgets, step_reasons);
        step.inputs = inputs_of(case, class, |name| wanted.get(name.as_str()).is_some());
        draft.steps.push(step);
    }
}

/// Hashes of the inputs of the mappings that a step writes.
fn inputs_of(
    case: &Case<'_>,
    class: &ObjectClass,
    keep: impl Fn(&AttrName) -> bool,
) -> BTreeMap<AttrName, String> {
    let named = case.wanted.values.iter().filter_map(|value| {
        class.attribute(value.attribute.as_str()).map(|(name, _)| (name.clone(), value.inputs.clone()))
    });
    named.filter(|(name, _)| keep(name)).collect()
}

/// Completes a waiting reference with the step that creates the account it refers to.
pub(crate) fn reference_action(waiting: &WaitingReference, output: OutputRef) -> (Action, Vec<Reason>) {
    let outputs = BTreeMap::from([(waiting.attribute.clone(), output)]);
    let reason = Reason {
        attribute: Some(waiting.attribute.clone()),
        derivation: waiting.derivation.clone(),
        because: Vec::new(),
    };
    (Action::Update { delta: Delta::new(), outputs }, vec![reason])
}

/// Whether the strength asks for a write.
fn writes(
    link: &crate::model::Link,
    name: &AttrName,
    schema: &AttributeSchema,
    value: &DesiredValue,
    slot: &Slot,
) -> bool {
    let current = current(link, name);
    let same = match current {
        // An account we adopted and have not written: its foreign values are not ours to take away.
        Some(current) if link.applied.get(name.as_str()).is_none() => holds(schema, current, slot),
        Some(current) => schema.same_slot(current, slot),
        None => slot.values().is_empty(),
    };
    let drifted = link.drift.get(name.as_str()).is_some_and(|now| !holds(schema, now, slot));
    match value.strength {
        Strength::Strong => !same || drifted,
        Strength::Normal => !same && link.inputs.get(name) != Some(&value.inputs),
        Strength::Weak => {
            let seen = link.observed.values(name.as_str());
            let empty = current.is_none_or(|current| current.values().is_empty()) && seen.is_empty();
            empty && !slot.values().is_empty()
        }
        Strength::CreateOnly => false,
    }
}

/// Whether an attribute holds what is wanted; a set may hold foreign values besides.
fn holds(schema: &AttributeSchema, now: &Slot, wanted: &Slot) -> bool {
    if schema.multi && !schema.ordered && !wanted.values().is_empty() {
        return wanted
            .values()
            .iter()
            .all(|value| now.values().iter().any(|known| schema.same(known, value)));
    }
    schema.same_slot(now, wanted)
}

/// What the attribute is now, as far as we know: what we wrote, else what we saw.
fn current<'a>(link: &'a crate::model::Link, name: &AttrName) -> Option<&'a Slot> {
    link.applied.get(name.as_str()).or_else(|| link.observed.get(name.as_str()))
}

/// The change of a set: what we wrote and do not want any more goes, what is missing comes, foreign values stay.
fn set_change(
    link: &crate::model::Link,
    name: &AttrName,
    schema: &AttributeSchema,
    slot: &Slot,
) -> Option<Change> {
    let written = link.applied.values(name.as_str());
    let seen = link.drift.get(name.as_str()).or_else(|| link.observed.get(name.as_str())).map(Slot::values);
    let has = |values: &[Value], value: &Value| values.iter().any(|known| schema.same(known, value));
    let there = |value: &Value| match (seen, link.drift.get(name.as_str())) {
        (Some(seen), Some(_)) => has(seen, value),
        (seen, _) => has(written, value) || seen.is_some_and(|seen| has(seen, value)),
    };
    let add: Vec<Value> = slot.values().iter().filter(|value| !there(value)).cloned().collect();
    let remove: Vec<Value> = written.iter().filter(|value| !has(slot.values(), value)).cloned().collect();
    let foreign =
        seen.unwrap_or_default().iter().any(|value| !has(written, value) && !has(slot.values(), value));
    match (add.is_empty() && remove.is_empty(), slot.values().is_empty() && !foreign) {
        (true, _) => None,
        (false, true) => Some(Change::Clear),
        (false, false) => Some(Change::Edit { add, remove }),
    }
}

/// The value, with references resolved; `None` when it is not known yet and the attribute is left alone.
fn resolve(case: &Case<'_>, value: &DesiredValue, draft: &mut Draft) -> Option<Slot> {
    let key = match &value.slot {
        DesiredSlot::Known(slot) => return Some(slot.clone()),
        DesiredSlot::AccountOf { key } => key,
    };
    let (target, class, tag) = case.at();
    match case.input.references.get(&(key.clone(), target.clone(), class.clone()))? {
        Resolved::Key(object) | Resolved::Group(_, object) => {
            let reference = ObjectRef { class: class.clone(), key: object.id.clone() };
            Some(Slot::Values(vec![Value::Reference(reference)]))
        }
        Resolved::Later(to) | Resolved::Missing(to, _) => {
            draft.waiting.push(WaitingReference {
                target: target.clone(),
                class: class.clone(),
                tag: tag.clone(),
                attribute: value.attribute.clone(),
                to: *to,
                identity_version: case.input.identity.version,
                derivation: value.derivation.clone(),
                member: None,
            });
            None
        }
        Resolved::Unknown => None,
    }
}

/// The attributes in the schema's spelling and types; a skip per problem when they do not fit.
fn fit(case: &Case<'_>, class: &ObjectClass, raw: &Attributes, draft: &mut Draft) -> Option<Attributes> {
    // A target may hold a reference as plain text (a file column): write the key.
    let raw: Attributes = raw
        .iter()
        .map(|(name, slot)| {
            let text =
                class.attribute(name.as_str()).is_some_and(|(_, schema)| schema.kind == AttributeType::Text);
            match slot {
                Slot::Values(values) if text => {
                    let plain = values.iter().map(|value| match value {
                        Value::Reference(reference) => Value::text(&reference.key),
                        other => other.clone(),
                    });
                    (name.clone(), Slot::Values(plain.collect()))
                }
                slot => (name.clone(), slot.clone()),
            }
        })
        .collect();
    let (parsed, problems) = class.parse(&raw);
    if problems.is_empty() {
        return Some(parsed);
    }
    for problem in problems {
        let detail = format!("{}; {}", problem.summary, problem.remedy);
        draft.skip(case.input, case.at(), RefusalReason::ValueInvalid, detail);
    }
    None
}

fn class_of<'a>(case: &'a Case<'_>, draft: &mut Draft) -> Option<&'a ObjectClass> {
    let class = case.facts.discovery.schema.class(&case.wanted.class);
    if class.is_none() {
        let detail = "the target's schema has no such class";
        draft.skip(case.input, case.at(), RefusalReason::Unsupported, detail);
    }
    class
}

fn is_read_only(schema: &AttributeSchema) -> bool {
    schema.mutability == Mutability::ReadOnly
}

fn reason_of(value: &DesiredValue) -> Reason {
    Reason {
        attribute: Some(value.attribute.clone()),
        derivation: value.derivation.clone(),
        because: Vec::new(),
    }
}
