//! Attributes: a name maps to absent, null or values.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

use super::Value;

/// The name of an attribute, in the schema's spelling. [`crate::schema::ObjectClass::parse`] brings foreign
/// spellings to it; after that names compare exactly.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AttrName(SmolStr);

impl AttrName {
    /// The name as given.
    pub fn new(name: impl AsRef<str>) -> Self {
        Self(SmolStr::new(name.as_ref()))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for AttrName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&crate::text::escape(&self.0))
    }
}

impl fmt::Debug for AttrName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0.as_str())
    }
}

impl From<&str> for AttrName {
    fn from(name: &str) -> Self {
        Self::new(name)
    }
}

impl From<String> for AttrName {
    fn from(name: String) -> Self {
        Self::new(name)
    }
}

impl std::borrow::Borrow<str> for AttrName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

/// An attribute, or a sub-attribute of a structured one: `mail`, `name.givenName`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct AttrPath {
    /// The attribute.
    pub attribute: AttrName,
    /// The sub-attribute, if the path has one.
    pub sub: Option<AttrName>,
}

impl AttrPath {
    /// A path to a whole attribute.
    pub fn new(attribute: impl Into<AttrName>) -> Self {
        Self { attribute: attribute.into(), sub: None }
    }

    /// Reads `attribute` or `attribute.sub`. `None` for an empty part.
    pub fn parse(text: &str) -> Option<Self> {
        let (attribute, sub) = match text.split_once('.') {
            Some((attribute, sub)) => (attribute, Some(sub)),
            None => (text, None),
        };
        if attribute.is_empty() || sub.is_some_and(str::is_empty) {
            return None;
        }
        Some(Self { attribute: attribute.into(), sub: sub.map(AttrName::new) })
    }

    /// The values the path selects in `attributes`; empty for absent and null.
    pub fn select<'a>(&'a self, attributes: &'a Attributes) -> impl Iterator<Item = &'a Value> + 'a {
        attributes.values(self.attribute.as_str()).iter().filter_map(move |value| match (&self.sub, value) {
            (None, value) => Some(value),
            (Some(sub), Value::Record(record)) => record.get(sub),
            (Some(_), _) => None,
        })
    }
}

impl fmt::Display for AttrPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.attribute)?;
        self.sub.as_ref().map_or(Ok(()), |sub| write!(f, ".{sub}"))
    }
}

/// What is known of a present attribute. An attribute that is not in the map at all is *absent*: nothing is said of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(untagged, from = "Option<Vec<Value>>")]
pub enum Slot {
    /// Stated to have no value: clear it. `null` in JSON.
    Null,
    /// One value or more; an array in JSON. An empty list is read as null.
    Values(Vec<Value>),
}

impl Slot {
    /// The values; empty for null.
    pub fn values(&self) -> &[Value] {
        match self {
            Self::Null => &[],
            Self::Values(values) => values,
        }
    }

    /// Null when the list is empty.
    pub fn from_values(values: Vec<Value>) -> Self {
        if values.is_empty() { Self::Null } else { Self::Values(values) }
    }
}

impl From<Option<Vec<Value>>> for Slot {
    fn from(values: Option<Vec<Value>>) -> Self {
        Self::from_values(values.unwrap_or_default())
    }
}

/// Attributes in name order, each absent, null or with values.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Attributes(BTreeMap<AttrName, Slot>);

impl Attributes {
    /// No attribute: everything absent.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets one value.
    #[must_use]
    pub fn with(mut self, name: impl Into<AttrName>, value: impl Into<Value>) -> Self {
        self.set(name, vec![value.into()]);
        self
    }

    /// Sets an attribute to null.
    #[must_use]
    pub fn with_null(mut self, name: impl Into<AttrName>) -> Self {
        self.0.insert(name.into(), Slot::Null);
        self
    }

    /// Sets the values; an empty list is null.
    pub fn set(&mut self, name: impl Into<AttrName>, values: Vec<Value>) {
        self.0.insert(name.into(), Slot::from_values(values));
    }

    /// Sets the slot.
    pub fn insert(&mut self, name: impl Into<AttrName>, slot: Slot) {
        self.0.insert(name.into(), slot);
    }

    /// Makes an attribute absent.
    pub fn remove(&mut self, name: &str) -> Option<Slot> {
        self.0.remove(name)
    }

    /// The slot, or `None` when absent.
    pub fn get(&self, name: &str) -> Option<&Slot> {
        self.0.get(name)
    }

    /// The values; empty when absent or null.
    pub fn values(&self, name: &str) -> &[Value] {
        self.0.get(name).map(Slot::values).unwrap_or_default()
    }

    /// The first value.
    pub fn first(&self, name: &str) -> Option<&Value> {
        self.values(name).first()
    }

    /// The first value, if it is text.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.first(name).and_then(Value::as_text)
    }

    /// In name order.
    pub fn iter(&self) -> impl Iterator<Item = (&AttrName, &Slot)> {
        self.0.iter()
    }

    /// True when nothing is said of any attribute.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many attributes are present (null included).
    pub fn len(&self) -> usize {
        self.0.len()
    }
}

impl FromIterator<(AttrName, Slot)> for Attributes {
    fn from_iter<I: IntoIterator<Item = (AttrName, Slot)>>(slots: I) -> Self {
        Self(slots.into_iter().collect())
    }
}
