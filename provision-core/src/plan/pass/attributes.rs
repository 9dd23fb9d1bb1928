//! Attribute values: what a create carries, when a value that is there is written again, by strength.

use std::collections::BTreeMap;

use super::account::Case;
use super::sets::is_set;
use crate::delta::Delta;
use crate::model::Link;
use crate::plan::draft::{Draft, LeftAttribute, WaitingReference};
use crate::plan::{Action, OutputRef, Reason, Resolved};
use crate::policy::{Authority, DesiredSlot, DesiredValue, LeftReason, RefusalReason, Strength};
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
        // An unknown attribute is found when the values are fitted.
        let known = class.attribute(value.attribute.as_str());
        let name = known.map_or(&value.attribute, |(name, _)| name);
        if known.is_some_and(|(_, schema)| is_read_only(schema)) {
            leave(case, draft, name, LeftReason::ReadOnly);
            continue;
        }
        if matches!(value.slot, DesiredSlot::Withdrawn { .. }) {
            continue;
        }
        let slot = match resolve(case, name, value, draft) {
            Ok(slot) => slot,
            Err(why) => {
                leave(case, draft, name, why);
                continue;
            }
        };
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

/// Hashes of the inputs of the mappings that a step writes.
pub(super) fn inputs_of(
    case: &Case<'_>,
    class: &ObjectClass,
    keep: impl Fn(&AttrName) -> bool,
) -> BTreeMap<AttrName, String> {
    let given = |value: &&DesiredValue| !matches!(value.slot, DesiredSlot::Withdrawn { .. });
    let named = case.wanted.values.iter().filter(given).filter_map(|value| {
        class.attribute(value.attribute.as_str()).map(|(name, _)| (name.clone(), value.inputs.clone()))
    });
    named.filter(|(name, _)| keep(name)).collect()
}

/// Notes for a preview why an attribute is left as it is.
pub(super) fn leave(case: &Case<'_>, draft: &mut Draft, name: &AttrName, why: LeftReason) {
    if case.input.preview {
        let (target, class, tag) = case.at();
        draft.left.push(LeftAttribute {
            target: target.clone(),
            class: class.clone(),
            tag: tag.clone(),
            attribute: name.clone(),
            reason: why,
        });
    }
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

/// Whether the strength asks for a write; `Err` says why a value that is not in place is left alone.
pub(super) fn writes(
    link: &Link,
    name: &AttrName,
    schema: &AttributeSchema,
    value: &DesiredValue,
    slot: &Slot,
) -> Result<bool, LeftReason> {
    // What a mapping that is not authoritative gave stays when it gives nothing any more.
    let add_only = value.tolerance.as_ref().is_some_and(|tolerance| tolerance.add_only);
    let current = current(link, name);
    let same = match current {
        // An account we adopted and have not written: its foreign values are not ours to take away.
        Some(current) if link.applied.get(name.as_str()).is_none() => holds(schema, current, slot),
        Some(current) => schema.same_slot(current, slot),
        None => slot.values().is_empty(),
    };
    let drifted = link.drift.get(name.as_str()).is_some_and(|now| !holds(schema, now, slot));
    if add_only && slot.values().is_empty() && !is_set(schema) {
        return if same { Ok(false) } else { Err(LeftReason::NotAuthoritative) };
    }
    match value.strength {
        Strength::Strong => Ok(!same || drifted),
        Strength::Normal if same && drifted => Err(LeftReason::Unchanged),
        Strength::Normal if same => Ok(false),
        Strength::Normal if link.inputs.get(name) != Some(&value.inputs) => Ok(true),
        Strength::Normal => Err(LeftReason::Unchanged),
        Strength::Weak => {
            let seen = link.observed.values(name.as_str());
            let empty = current.is_none_or(|current| current.values().is_empty()) && seen.is_empty();
            match (empty && !slot.values().is_empty(), same) {
                (true, _) => Ok(true),
                (false, true) => Ok(false),
                (false, false) => Err(LeftReason::Weak),
            }
        }
        Strength::CreateOnly => Err(LeftReason::CreateOnly),
    }
}

/// Whether an attribute holds what is wanted; a set may hold foreign values besides.
fn holds(schema: &AttributeSchema, now: &Slot, wanted: &Slot) -> bool {
    if is_set(schema) && !wanted.values().is_empty() {
        return wanted
            .values()
            .iter()
            .all(|value| now.values().iter().any(|known| schema.same(known, value)));
    }
    schema.same_slot(now, wanted)
}

/// What the attribute is now, as far as we know: what we wrote, else what we saw.
fn current<'a>(link: &'a Link, name: &AttrName) -> Option<&'a Slot> {
    link.applied.get(name.as_str()).or_else(|| link.observed.get(name.as_str()))
}

/// The value, with references resolved; `Err` when it is not known yet and the attribute is left alone.
pub(super) fn resolve(
    case: &Case<'_>,
    name: &AttrName,
    value: &DesiredValue,
    draft: &mut Draft,
) -> Result<Slot, LeftReason> {
    let key = match &value.slot {
        DesiredSlot::Known(slot) => return Ok(slot.clone()),
        DesiredSlot::AccountOf { key } => key,
        // Whoever knows what was written decides.
        DesiredSlot::Withdrawn { .. } => return Err(LeftReason::NotOurs),
    };
    let (target, class, tag) = case.at();
    match case.input.references.get(&(key.clone(), target.clone(), class.clone())) {
        Some(Resolved::Key(object) | Resolved::Group(_, object)) => {
            let reference = ObjectRef { class: class.clone(), key: object.id.clone() };
            Ok(Slot::Values(vec![Value::Reference(reference)]))
        }
        // It would be written later, to an account that is there then.
        Some(Resolved::Later(_) | Resolved::Missing(..))
            if case.link.is_some() && case.wanted.authority == Authority::Observe =>
        {
            Err(LeftReason::Observed)
        }
        Some(Resolved::Later(to) | Resolved::Missing(to, _)) => {
            draft.waiting.push(WaitingReference {
                target: target.clone(),
                class: class.clone(),
                tag: tag.clone(),
                attribute: name.clone(),
                to: *to,
                identity_version: case.input.identity.version,
                inputs: Some(value.inputs.clone()),
                derivation: value.derivation.clone(),
                member: None,
            });
            Err(LeftReason::Waiting)
        }
        Some(Resolved::Unknown) | None => Err(LeftReason::NoReference),
    }
}

/// The attributes in the schema's spelling and types; a skip per problem when they do not fit.
pub(super) fn fit(
    case: &Case<'_>,
    class: &ObjectClass,
    raw: &Attributes,
    draft: &mut Draft,
) -> Option<Attributes> {
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

pub(super) fn class_of<'a>(case: &'a Case<'_>, draft: &mut Draft) -> Option<&'a ObjectClass> {
    let class = case.facts.discovery.schema.class(&case.wanted.class);
    if class.is_none() {
        let detail = "the target's schema has no such class";
        draft.skip(case.input, case.at(), RefusalReason::Unsupported, detail);
    }
    class
}

pub(super) fn is_read_only(schema: &AttributeSchema) -> bool {
    schema.mutability == Mutability::ReadOnly
}

pub(super) fn reason_of(value: &DesiredValue) -> Reason {
    Reason {
        attribute: Some(value.attribute.clone()),
        derivation: value.derivation.clone(),
        because: Vec::new(),
    }
}
