//! What a target's objects look like: classes, attributes and their rules.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::diagnostic::{Diagnostic, Severity};
use crate::id::ClassName;
use crate::value::{AttrName, Attributes, Date, Slot, Value};

/// The type of an attribute's values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AttributeType {
    /// True or false.
    Bool,
    /// Whole numbers.
    Int,
    /// Text.
    Text,
    /// Octets.
    Bytes,
    /// Dates without zone.
    Date,
    /// Instants.
    Time,
    /// References to objects of the same target.
    Reference,
    /// Structured values.
    Record,
}

/// When an attribute may be written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mutability {
    /// At any time.
    #[default]
    ReadWrite,
    /// At create only.
    CreateOnly,
    /// Never: the target computes it.
    ReadOnly,
    /// Written, never returned.
    WriteOnly,
    /// By rename only: part of the object's name on the target.
    Naming,
}

/// How names or text values compare.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CaseRule {
    /// `Bob` and `bob` are two.
    #[default]
    Exact,
    /// `Bob` and `bob` are one.
    Ignore,
}

impl CaseRule {
    /// Compares two texts by the rule.
    pub fn eq(self, a: &str, b: &str) -> bool {
        match self {
            Self::Exact => a == b,
            Self::Ignore => a == b || a.to_lowercase() == b.to_lowercase(),
        }
    }

    /// The form under which equal texts are the same string.
    pub fn fold(self, text: &str) -> String {
        match self {
            Self::Exact => text.to_owned(),
            Self::Ignore => text.to_lowercase(),
        }
    }
}

/// One attribute of a class.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct AttributeSchema {
    /// Type of each value.
    #[serde(rename = "type")]
    pub kind: AttributeType,
    /// Several values at once; they are a set unless `ordered`.
    pub multi: bool,
    /// The order of the values means something: every change replaces the whole list.
    pub ordered: bool,
    /// A create without it is refused.
    pub required: bool,
    /// When it may be written.
    pub mutability: Mutability,
    /// How text values compare.
    pub case: CaseRule,
    /// Longest text in characters, where the target has a limit.
    pub length_max: Option<u32>,
    /// The target refuses a second object with the same value.
    pub unique: bool,
    /// Its values are not shown in plans, logs and messages.
    pub sensitive: bool,
    /// The attribute comes back in reads. `false`: the target never echoes it.
    pub returned: bool,
}

impl Default for AttributeSchema {
    fn default() -> Self {
        Self {
            kind: AttributeType::Text,
            multi: false,
            ordered: false,
            required: false,
            mutability: Mutability::ReadWrite,
            case: CaseRule::Exact,
            length_max: None,
            unique: false,
            sensitive: false,
            returned: true,
        }
    }
}

impl AttributeSchema {
    /// A single-valued text attribute, exact in case.
    pub fn text() -> Self {
        Self::default()
    }

    /// Whether two values are the same to this attribute.
    pub fn same(&self, a: &Value, b: &Value) -> bool {
        match (a, b) {
            (Value::Text(a), Value::Text(b)) => self.case.eq(a, b),
            (a, b) => a == b,
        }
    }

    /// The form under which values that are the same to this attribute are equal.
    pub fn folded(&self, value: &Value) -> Value {
        match (value, self.case) {
            (Value::Text(text), CaseRule::Ignore) => Value::text(self.case.fold(text)),
            (value, _) => value.clone(),
        }
    }

    /// Whether two slots hold the same values by this attribute's rules: in a set, order and repetitions are ignored;
    /// case by the rule.
    pub fn same_slot(&self, a: &Slot, b: &Slot) -> bool {
        let (a, b) = (a.values().iter(), b.values().iter());
        if self.multi && !self.ordered {
            return a.map(|value| self.folded(value)).collect::<BTreeSet<_>>()
                == b.map(|value| self.folded(value)).collect();
        }
        a.len() == b.len() && a.zip(b).all(|(a, b)| self.same(a, b))
    }
}

/// One class of objects.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectClass {
    /// The attributes by their declared spelling.
    pub attributes: BTreeMap<AttrName, AttributeSchema>,
    /// How attribute *names* compare on this target.
    #[serde(default)]
    pub names: CaseRule,
    /// The attribute that names an object to people (`dn`, `userName`), if it has one.
    #[serde(default)]
    pub naming: Option<AttrName>,
}

impl ObjectClass {
    /// The attribute of that name, by the class's case rule.
    pub fn attribute(&self, name: &str) -> Option<(&AttrName, &AttributeSchema)> {
        match self.attributes.get_key_value(name) {
            Some(found) => Some(found),
            None if self.names == CaseRule::Ignore => {
                self.attributes.iter().find(|(known, _)| self.names.eq(known.as_str(), name))
            }
            None => None,
        }
    }

    /// Brings foreign spellings to the declared ones and types to the declared types.
    ///
    /// What cannot be brought there is returned as diagnostics: unknown attributes (`S0001`), several values for one
    /// (`S0002`), values of another type (`S0003`) or too long (`S0004`), one attribute in two spellings (`S0005`).
    /// What is good is returned beside them.
    pub fn parse(&self, raw: &Attributes) -> (Attributes, Vec<Diagnostic>) {
        let mut parsed = Attributes::new();
        let mut refused = BTreeSet::new();
        let mut problems = Vec::new();
        for (name, slot) in raw.iter() {
            let Some((known, schema)) = self.attribute(name.as_str()) else {
                let summary = format!("unknown attribute `{name}`");
                problems.push(problem("S0001", name, summary, "use an attribute of the class's schema"));
                continue;
            };
            let result = if parsed.get(known.as_str()).is_some() || refused.contains(known) {
                let summary = format!("`{known}` is given twice, the second time as `{name}`");
                Err(Box::new(problem("S0005", known, summary, "give it in one spelling")))
            } else {
                schema.parse_slot(known, slot)
            };
            match result {
                Ok(slot) => parsed.insert(known.clone(), slot),
                Err(problem) => {
                    parsed.remove(known.as_str());
                    refused.insert(known.clone());
                    problems.push(*problem);
                }
            }
        }
        (parsed, problems)
    }
}

impl AttributeSchema {
    /// The slot with values of the declared type.
    fn parse_slot(&self, name: &AttrName, slot: &Slot) -> Result<Slot, Box<Diagnostic>> {
        if !self.multi && slot.values().len() > 1 {
            let summary = format!("`{name}` takes one value and got {}", slot.values().len());
            return Err(Box::new(problem("S0002", name, summary, "give one value")));
        }
        let values = slot.values().iter().map(|value| coerce(self, value)).collect::<Option<Vec<_>>>();
        let Some(values) = values else {
            let summary = format!("`{name}` has a value that is not of type {:?}", self.kind);
            return Err(Box::new(problem("S0003", name, summary, "correct the value or the mapping")));
        };
        let longest = values.iter().filter_map(Value::as_text).map(|text| text.chars().count()).max();
        match self.length_max {
            Some(limit) if longest.is_some_and(|longest| longest > limit as usize) => {
                let summary = format!("`{name}` is longer than the target's {limit} characters");
                Err(Box::new(problem("S0004", name, summary, "truncate in the mapping")))
            }
            _ => Ok(Slot::from_values(values)),
        }
    }
}

fn problem(code: &str, name: &AttrName, summary: String, remedy: &str) -> Diagnostic {
    Diagnostic::new(Severity::Error, code, summary, remedy).at_path(name.as_str())
}

/// `value` as the attribute's type, where that loses nothing.
fn coerce(schema: &AttributeSchema, value: &Value) -> Option<Value> {
    match (schema.kind, value) {
        (AttributeType::Bool, Value::Bool(_))
        | (AttributeType::Int, Value::Int(_))
        | (AttributeType::Text, Value::Text(_))
        | (AttributeType::Bytes, Value::Bytes(_))
        | (AttributeType::Date, Value::Date(_))
        | (AttributeType::Time, Value::Time(_))
        | (AttributeType::Reference, Value::Reference(_))
        | (AttributeType::Record, Value::Record(_)) => Some(value.clone()),
        (AttributeType::Bool, Value::Text(text)) => match text.to_ascii_lowercase().as_str() {
            "true" => Some(Value::Bool(true)),
            "false" => Some(Value::Bool(false)),
            _ => None,
        },
        (AttributeType::Int, Value::Text(text)) => text.parse().ok().map(Value::Int),
        // A text that says more than a date (`2026-11-20T08:00`) would lose it.
        (AttributeType::Date, Value::Text(text)) => {
            text.parse().ok().filter(|date: &Date| date.to_string() == text.as_str()).map(Value::Date)
        }
        (AttributeType::Time, Value::Text(text)) => text.parse().ok().map(Value::Time),
        (AttributeType::Text, Value::Int(_) | Value::Bool(_) | Value::Date(_) | Value::Time(_)) => {
            Some(Value::text(value.to_plain()))
        }
        _ => None,
    }
}

/// All classes of a target.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schema {
    /// Classes by name.
    pub classes: BTreeMap<ClassName, ObjectClass>,
}

impl Schema {
    /// The class of that name.
    pub fn class(&self, name: &ClassName) -> Option<&ObjectClass> {
        self.classes.get(name)
    }
}
