//! What the layer did and what it let through.

use std::collections::VecDeque;
use std::fmt;

use super::request::Request;
use crate::connector::ObjectKey;
use crate::id::ClassName;
use crate::memory::{Fault, Operation};
use crate::value::Timestamp;

/// A fault that acted. One that was due and had nothing to spoil (a cut after more objects than the listing has) is
/// not here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Injected {
    /// The operation it befell.
    pub operation: Operation,
    /// Which call of that operation since the layer was made; the first is 1.
    pub call: u64,
    /// What.
    pub fault: Fault,
    /// The number of its rule, from 0.
    pub rule: usize,
    /// The class of the call.
    pub class: Option<ClassName>,
    /// The object of the call.
    pub key: Option<ObjectKey>,
    /// The correlation of the call.
    pub correlation: String,
    /// When, by the layer's clock.
    pub at: Timestamp,
}

impl fmt::Display for Injected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}", word(&self.operation), self.call, word(&self.fault))?;
        match &self.key {
            Some(key) => write!(f, " (`{}`)", crate::text::escape(&key.id)),
            None => Ok(()),
        }
    }
}

/// The word that configuration uses.
fn word(value: &impl serde::Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => word,
        Ok(serde_json::Value::Object(fields)) => {
            fields.iter().map(|(name, value)| format!("{name} {value}")).collect::<Vec<_>>().join(" ")
        }
        _ => String::new(),
    }
}

/// A request that reached the connector behind the layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Passed {
    /// The request.
    pub request: Request,
    /// The correlation of the call.
    pub correlation: String,
    /// When, by the layer's clock.
    pub at: Timestamp,
}

/// The last entries of a kind, and how many there were in all.
#[derive(Debug)]
pub(super) struct Record<T> {
    entries: VecDeque<T>,
    most: usize,
    count: u64,
}

impl<T: Clone> Record<T> {
    pub(super) fn new(most: usize) -> Self {
        Self { entries: VecDeque::new(), most, count: 0 }
    }

    pub(super) fn push(&mut self, entry: T) {
        self.count += 1;
        if self.entries.len() >= self.most {
            self.entries.pop_front();
        }
        if self.most > 0 {
            self.entries.push_back(entry);
        }
    }

    pub(super) fn all(&self) -> Vec<T> {
        self.entries.iter().cloned().collect()
    }

    pub(super) fn take(&mut self) -> Vec<T> {
        std::mem::take(&mut self.entries).into()
    }

    pub(super) fn count(&self) -> u64 {
        self.count
    }
}
