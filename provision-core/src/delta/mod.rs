//! Deltas: one value that adds, removes, replaces and clears, so that an update is one request.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::schema::{AttributeSchema, ObjectClass};
use crate::value::{AttrName, Attributes, Slot, Value};

/// The change of one attribute.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// The attribute has no value afterwards.
    Clear,
    /// The attribute has exactly these values afterwards.
    Replace(Vec<Value>),
    /// These values are added and those removed; all others stay. Only for sets.
    Edit {
        /// Values present afterwards.
        add: Vec<Value>,
        /// Values absent afterwards.
        remove: Vec<Value>,
    },
}

/// The change of one object. An attribute that is not in it is untouched.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Delta {
    /// Changes by attribute.
    pub changes: BTreeMap<AttrName, Change>,
}

impl Delta {
    /// A change of nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// True when nothing changes.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// What turns `before` into `after`; attributes absent from `after` are untouched.
    ///
    /// Multi-values of a set become an edit, everything else a replace. For every `b` whose absences are filled from
    /// `a`: `Delta::diff(class, a, b).apply(class, a) == b`, up to the order of set values.
    pub fn diff(class: &ObjectClass, before: &Attributes, after: &Attributes) -> Self {
        let mut changes = BTreeMap::new();
        for (name, wanted) in after.iter() {
            let current = before.get(name.as_str());
            if let Some(change) = diff_slot(class, name, current, wanted) {
                changes.insert(name.clone(), change);
            }
        }
        Self { changes }
    }

    /// The attributes after the change.
    #[must_use]
    pub fn apply(&self, class: &ObjectClass, before: &Attributes) -> Attributes {
        let mut after = before.clone();
        for (name, change) in &self.changes {
            let slot = match change {
                Change::Clear => Slot::Null,
                Change::Replace(values) => Slot::from_values(values.clone()),
                Change::Edit { add, remove } => {
                    let schema = class.attributes.get(name);
                    let gone = remove.iter().map(|value| folded(schema, value)).collect::<BTreeSet<_>>();
                    let mut values = before.values(name.as_str()).to_vec();
                    values.retain(|value| !gone.contains(&folded(schema, value)));
                    let mut known = values.iter().map(|value| folded(schema, value)).collect::<BTreeSet<_>>();
                    let fresh = add.iter().filter(|value| known.insert(folded(schema, value)));
                    values.extend(fresh.cloned());
                    Slot::from_values(values)
                }
            };
            after.insert(name.clone(), slot);
        }
        after
    }
}

/// The change from `current` to `wanted`, or `None` when the values are identical.
fn diff_slot(class: &ObjectClass, name: &AttrName, current: Option<&Slot>, wanted: &Slot) -> Option<Change> {
    let schema = class.attributes.get(name);
    let is_set = schema.is_some_and(|schema| schema.multi && !schema.ordered);
    let have = current.map(Slot::values).unwrap_or_default();
    let want = wanted.values();
    if want.is_empty() {
        return (current != Some(&Slot::Null)).then_some(Change::Clear);
    }
    if !is_set {
        return (have != want).then(|| Change::Replace(want.to_vec()));
    }
    let had = have.iter().collect::<BTreeSet<_>>();
    let wants = want.iter().collect::<BTreeSet<_>>();
    if had == wants {
        return None;
    }
    // Two spellings of one value cannot be told apart in an edit (remove `a`, add `A`): replace instead.
    let all = had.union(&wants).copied().collect::<Vec<_>>();
    let spelled_twice =
        all.iter().map(|value| folded(schema, value)).collect::<BTreeSet<_>>().len() < all.len();
    if spelled_twice || have.is_empty() {
        return Some(Change::Replace(distinct(want)));
    }
    Some(Change::Edit {
        add: distinct(want.iter().filter(|value| !had.contains(value))),
        remove: distinct(have.iter().filter(|value| !wants.contains(value))),
    })
}

fn folded(schema: Option<&AttributeSchema>, value: &Value) -> Value {
    schema.map_or_else(|| value.clone(), |schema| schema.folded(value))
}

/// Without repetitions, in order.
fn distinct<'a>(values: impl IntoIterator<Item = &'a Value>) -> Vec<Value> {
    let mut seen = BTreeSet::new();
    values.into_iter().filter(|value| seen.insert(*value)).cloned().collect()
}
