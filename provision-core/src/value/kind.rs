//! The closed set of values.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::{IgnoredAny, MapAccess, Visitor};
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

/// The kinds that are objects in JSON.
#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum Wire<'a> {
    Bytes(String),
    Date(Date),
    Time(Timestamp),
    Reference(&'a ObjectRef),
    Record(&'a BTreeMap<AttrName, Value>),
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Bool(value) => serializer.serialize_bool(*value),
            Self::Int(value) => serializer.serialize_i64(*value),
            Self::Text(value) => serializer.serialize_str(value),
            Self::Bytes(value) => Wire::Bytes(STANDARD.encode(value)).serialize(serializer),
            Self::Date(date) => Wire::Date(*date).serialize(serializer),
            Self::Time(time) => Wire::Time(*time).serialize(serializer),
            Self::Reference(value) => Wire::Reference(value).serialize(serializer),
            Self::Record(value) => Wire::Record(value).serialize(serializer),
        }
    }
}

/// Values are most of what the engine reads: each is read once, where trying one kind after the other would keep a copy
/// and make an error message for every kind that it is not.
struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("text, a whole number, true or false, or an object that names the kind of a value")
    }

    fn visit_bool<E: serde::de::Error>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Int(value))
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<Value, E> {
        i64::try_from(value).map(Value::Int).map_err(|_| E::custom("the number is too large"))
    }

    fn visit_str<E: serde::de::Error>(self, value: &str) -> Result<Value, E> {
        Ok(Value::text(value))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut found = None;
        while let Some(kind) = map.next_key::<Cow<'de, str>>()? {
            found = Some(match &*kind {
                "bytes" => {
                    let text = map.next_value::<Cow<'de, str>>()?;
                    Value::Bytes(STANDARD.decode(&*text).map_err(serde::de::Error::custom)?)
                }
                "date" => Value::Date(map.next_value()?),
                "time" => Value::Time(map.next_value()?),
                "reference" => Value::Reference(map.next_value()?),
                "record" => Value::Record(map.next_value()?),
                _ => {
                    map.next_value::<IgnoredAny>()?;
                    continue;
                }
            });
        }
        found.ok_or_else(|| serde::de::Error::custom("the object names no kind of value"))
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader)
    }
}
