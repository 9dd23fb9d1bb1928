//! The closed set of values.

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use smol_str::SmolStr;

use super::{AttrName, Date, Timestamp};
use crate::id::ClassName;

/// A reference to another object of the same target, by class and key.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ObjectRef {
    /// Class of the object referred to.
    pub class: ClassName,
    /// Its stable key on the target.
    pub key: String,
}

/// One value. Passwords, lifecycle and ids are not values: see [`super::Secret`], [`crate::model::Lifecycle`].
///
/// In JSON, text, numbers and booleans are themselves; the others are objects with one field that names the kind.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Value {
    /// True or false.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// Text, as given (not normalised).
    Text(SmolStr),
    /// Octets.
    Bytes(Vec<u8>),
    /// A calendar date without zone.
    Date(Date),
    /// An instant.
    Time(Timestamp),
    /// Another object of the same target.
    Reference(ObjectRef),
    /// A structured value: sub-attributes by name.
    Record(BTreeMap<AttrName, Value>),
}

impl Value {
    /// A text value.
    pub fn text(text: impl AsRef<str>) -> Self {
        Self::Text(SmolStr::new(text.as_ref()))
    }

    /// The text of a text value.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The value as a cell of a table: text as it is, other kinds in their canonical form.
    pub fn to_plain(&self) -> String {
        match self {
            Self::Bool(value) => value.to_string(),
            Self::Int(value) => value.to_string(),
            Self::Text(value) => value.to_string(),
            Self::Bytes(value) => STANDARD.encode(value),
            Self::Date(value) => value.to_string(),
            Self::Time(value) => value.to_string(),
            Self::Reference(value) => value.key.clone(),
            Self::Record(_) => serde_json::to_string(self).unwrap_or_default(),
        }
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => write!(f, "\"{}\"", crate::text::escape(text)),
            other => f.write_str(&crate::text::escape(&other.to_plain())),
        }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::text(text)
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::text(text)
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Self::Int(value)
    }
}

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Wire<'a> {
    Bool(bool),
    Int(i64),
    Text(std::borrow::Cow<'a, str>),
    Bytes { bytes: String },
    Date { date: Date },
    Time { time: Timestamp },
    Reference { reference: ObjectRef },
    Record { record: BTreeMap<AttrName, Value> },
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Bool(value) => serializer.serialize_bool(*value),
            Self::Int(value) => serializer.serialize_i64(*value),
            Self::Text(value) => serializer.serialize_str(value),
            Self::Bytes(value) => Wire::Bytes { bytes: STANDARD.encode(value) }.serialize(serializer),
            Self::Date(date) => Wire::Date { date: *date }.serialize(serializer),
            Self::Time(time) => Wire::Time { time: *time }.serialize(serializer),
            Self::Reference(value) => Wire::Reference { reference: value.clone() }.serialize(serializer),
            Self::Record(value) => Wire::Record { record: value.clone() }.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(match Wire::deserialize(deserializer)? {
            Wire::Bool(value) => Self::Bool(value),
            Wire::Int(value) => Self::Int(value),
            Wire::Text(value) => Self::text(value),
            Wire::Bytes { bytes } => Self::Bytes(STANDARD.decode(bytes).map_err(serde::de::Error::custom)?),
            Wire::Date { date } => Self::Date(date),
            Wire::Time { time } => Self::Time(time),
            Wire::Reference { reference } => Self::Reference(reference),
            Wire::Record { record } => Self::Record(record),
        })
    }
}
