//! What an expression yields.

use std::borrow::Cow;

use provision_core::policy::RefusalReason;
use provision_core::value::{Date, Slot, Timestamp, Value};

/// A value while an expression is evaluated; borrowed from the identity or the bundle where possible.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Datum<'a> {
    Null,
    Bool(bool),
    Int(i64),
    Text(Cow<'a, str>),
    Date(Date),
    Time(Timestamp),
    List(Vec<Datum<'a>>),
    /// A value that expressions pass on as it is: octets, references, structured values.
    Whole(&'a Value),
    /// The account of the identity with this key.
    AccountOf(String),
}

impl<'a> Datum<'a> {
    pub(crate) fn text(text: impl Into<Cow<'a, str>>) -> Self {
        Self::Text(text.into())
    }

    pub(crate) fn of(value: &'a Value) -> Self {
        match value {
            Value::Bool(value) => Self::Bool(*value),
            Value::Int(value) => Self::Int(*value),
            Value::Text(value) => Self::text(value.as_str()),
            Value::Date(value) => Self::Date(*value),
            Value::Time(value) => Self::Time(*value),
            other => Self::Whole(other),
        }
    }

    pub(crate) fn of_slot(slot: Option<&'a Slot>) -> Self {
        match slot.map(Slot::values).unwrap_or_default() {
            [] => Self::Null,
            [one] => Self::of(one),
            many => Self::List(many.iter().map(Self::of).collect()),
        }
    }

    /// Null, the empty text and the empty list.
    pub(crate) fn is_empty(&self) -> bool {
        match self {
            Self::Null => true,
            Self::Text(text) => text.is_empty(),
            Self::List(items) => items.is_empty(),
            _ => false,
        }
    }

    /// How messages call it.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "true or false",
            Self::Int(_) => "a number",
            Self::Text(_) => "text",
            Self::Date(_) => "a date",
            Self::Time(_) => "an instant",
            Self::List(_) => "a list",
            Self::Whole(_) => "a structured value",
            Self::AccountOf(_) => "a reference to an account",
        }
    }

    /// The bytes it has of its own: texts that were copied, and places of values.
    pub(super) fn weight(&self) -> usize {
        match self {
            Self::Text(Cow::Owned(text)) => text.len(),
            Self::List(items) => items.iter().map(|item| size_of::<Self>() + item.weight()).sum(),
            _ => 0,
        }
    }

    /// As values of an attribute; empty texts and nulls are no values.
    pub(crate) fn into_slot(self) -> Slot {
        Slot::from_values(self.into_values())
    }

    fn into_values(self) -> Vec<Value> {
        match self {
            Self::Null | Self::AccountOf(_) => Vec::new(),
            Self::Text(text) if text.is_empty() => Vec::new(),
            Self::Bool(value) => vec![Value::Bool(value)],
            Self::Int(value) => vec![Value::Int(value)],
            Self::Text(text) => vec![Value::text(text)],
            Self::Date(value) => vec![Value::Date(value)],
            Self::Time(value) => vec![Value::Time(value)],
            Self::Whole(value) => vec![value.clone()],
            Self::List(items) => {
                let mut values: Vec<Value> = Vec::with_capacity(items.len());
                for value in items.into_iter().flat_map(Self::into_values) {
                    if !values.contains(&value) {
                        values.push(value);
                    }
                }
                values
            }
        }
    }
}

/// Why an expression yields nothing for this identity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) trouble: Trouble,
    pub(crate) detail: String,
    /// The character of the expression where it failed, until that is part of the detail.
    pub(crate) at: Option<usize>,
}

/// Kinds of failures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// The data does not fit the expression.
    Failed,
    /// A script without reading.
    Unmappable,
    /// A lookup has no row.
    Missing,
    /// Something it needs is refused already.
    Upstream,
}

impl Failure {
    pub(crate) fn failed(detail: impl Into<String>) -> Self {
        Self::new(Trouble::Failed, detail)
    }

    pub(crate) fn new(trouble: Trouble, detail: impl Into<String>) -> Self {
        Self { trouble, detail: detail.into(), at: None }
    }

    /// A text with a character that has no reading of its own.
    pub(crate) fn unreadable(text: &str, c: char) -> Self {
        let shown = provision_core::text::escape(super::letters::left(text, 60));
        let detail =
            format!("`{shown}` holds `{c}`, which has no reading that can be known; give a romanised form");
        Self::new(Trouble::Unmappable, detail)
    }

    /// Says in the detail where in the expression it failed; other troubles are of the data and need no place.
    pub(super) fn placed(mut self, text: &str) -> Self {
        if let Some(at) = self.at.take().filter(|_| self.trouble == Trouble::Failed) {
            let shown = provision_core::text::escape(super::letters::left(text, 120));
            self.detail.push_str(&format!(" (character {} of `{shown}`)", at + 1));
        }
        self
    }

    /// The reason a refusal states; `None` when another refusal says it.
    pub(crate) fn reason(&self) -> Option<RefusalReason> {
        match self.trouble {
            Trouble::Failed => Some(RefusalReason::ExpressionFailed),
            Trouble::Unmappable => Some(RefusalReason::Unmappable),
            Trouble::Missing => Some(RefusalReason::MissingInput),
            Trouble::Upstream => None,
        }
    }
}
