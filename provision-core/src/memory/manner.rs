//! Manners: what a target does to values without being asked.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::schema::ObjectClass;
use crate::value::{AttrName, Attributes, Slot, Value};

/// What the target does to values. The default leaves them alone.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Manners {
    /// Text of these attributes is kept in lower case.
    pub lowercase: BTreeSet<AttrName>,
    /// White space around text is dropped; a text of nothing else is no value.
    pub trim: bool,
    /// Values of a set come back in another order.
    pub reorder: bool,
    /// These attributes are written and never come back, whatever the schema says.
    pub no_echo: BTreeSet<AttrName>,
    /// Outcomes never tell the object after the write.
    pub no_observed: bool,
}

impl Manners {
    /// The values as the target keeps them.
    pub(super) fn keep(&self, attributes: &Attributes) -> Attributes {
        let slots = attributes.iter().map(|(name, slot)| {
            let values = slot.values().iter().filter_map(|value| self.keep_value(name, value)).collect();
            (name.clone(), Slot::from_values(values))
        });
        slots.filter(|(_, slot)| *slot != Slot::Null).collect()
    }

    fn keep_value(&self, name: &AttrName, value: &Value) -> Option<Value> {
        let Value::Text(text) = value else { return Some(value.clone()) };
        let trimmed = if self.trim { text.trim() } else { text };
        if trimmed.is_empty() && self.trim {
            return None;
        }
        match self.lowercase.contains(name) {
            true => Some(Value::text(trimmed.to_lowercase())),
            false => Some(Value::text(trimmed)),
        }
    }

    /// The values as the target shows them; `None`: as they are.
    pub(super) fn show(&self, class: &ObjectClass, attributes: &Attributes) -> Option<Attributes> {
        if !self.reorder && self.no_echo.is_empty() {
            return None;
        }
        let shown = attributes.iter().filter(|(name, _)| !self.no_echo.contains(*name));
        let shown = shown.map(|(name, slot)| {
            let is_set = class.attributes.get(name).is_some_and(|schema| schema.multi && !schema.ordered);
            match slot {
                Slot::Values(values) if self.reorder && is_set => {
                    (name.clone(), Slot::Values(values.iter().rev().cloned().collect()))
                }
                slot => (name.clone(), slot.clone()),
            }
        });
        Some(shown.collect::<Attributes>()).filter(|shown| shown != attributes)
    }
}
