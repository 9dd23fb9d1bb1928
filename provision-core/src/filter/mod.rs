//! Filters: one syntax tree, in-memory evaluation, and the split into what a target evaluates and what is left.

use serde::{Deserialize, Serialize};

use crate::schema::{CaseRule, ObjectClass};
use crate::value::{AttrPath, Attributes, Value};

/// Deepest nesting a filter may have; deeper ones match nothing and are refused by [`Filter::check`].
pub const DEPTH_MAX: usize = 32;

/// A condition on an object's attributes. An absent or null attribute satisfies no comparison.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Filter {
    /// Every part holds; true when empty.
    All(Vec<Filter>),
    /// Some part holds; false when empty.
    Any(Vec<Filter>),
    /// The part does not hold.
    Not(Box<Filter>),
    /// The attribute has a value.
    Present(AttrPath),
    /// Some value compares so.
    Compare(AttrPath, Comparison, Value),
}

/// A comparison of one value with a literal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Comparison {
    /// Equal by the attribute's case rule.
    Equal,
    /// Text starts with the literal.
    StartsWith,
    /// Text ends with the literal.
    EndsWith,
    /// Text contains the literal.
    Contains,
    /// Greater, same kind of value.
    Greater,
    /// Greater or equal.
    GreaterOrEqual,
    /// Less.
    Less,
    /// Less or equal.
    LessOrEqual,
}

impl Filter {
    /// `attribute = value`.
    pub fn equal(attribute: impl Into<crate::value::AttrName>, value: impl Into<Value>) -> Self {
        Self::Compare(AttrPath::new(attribute), Comparison::Equal, value.into())
    }

    /// Refuses a filter nested deeper than [`DEPTH_MAX`].
    pub fn check(&self) -> crate::Result<()> {
        if self.depth(0) > DEPTH_MAX {
            return Err(crate::Error::new(
                crate::ErrorKind::Unsupported,
                format!("the filter is nested deeper than {DEPTH_MAX} levels"),
            )
            .with_effect(crate::Effect::None));
        }
        Ok(())
    }

    fn depth(&self, above: usize) -> usize {
        let here = above + 1;
        if here > DEPTH_MAX {
            return here;
        }
        match self {
            Self::All(parts) | Self::Any(parts) => {
                parts.iter().map(|part| part.depth(here)).max().unwrap_or(here)
            }
            Self::Not(part) => part.depth(here),
            Self::Present(_) | Self::Compare(..) => here,
        }
    }

    /// Whether an object of `class` with these attributes satisfies the filter.
    pub fn matches(&self, class: &ObjectClass, attributes: &Attributes) -> bool {
        self.matches_at(class, attributes, 0)
    }

    fn matches_at(&self, class: &ObjectClass, attributes: &Attributes, depth: usize) -> bool {
        if depth > DEPTH_MAX {
            return false;
        }
        match self {
            Self::All(parts) => parts.iter().all(|part| part.matches_at(class, attributes, depth + 1)),
            Self::Any(parts) => parts.iter().any(|part| part.matches_at(class, attributes, depth + 1)),
            Self::Not(part) => !part.matches_at(class, attributes, depth + 1),
            Self::Present(path) => resolve(class, path).select(attributes).next().is_some(),
            Self::Compare(path, comparison, literal) => {
                let path = resolve(class, path);
                let case = class
                    .attribute(path.attribute.as_str())
                    .map_or(CaseRule::Exact, |(_, schema)| schema.case);
                path.select(attributes).any(|value| compares(case, *comparison, value, literal))
            }
        }
    }

    /// Splits the filter into the part a target can evaluate and the part that is left for us; together they mean the
    /// same as the whole. `pushes` tells whether the target evaluates a given node; of an `All`, `Any` or `Not` it is
    /// asked without regard to the parts, which it is asked about by themselves.
    ///
    /// Only a conjunction is split: a disjunction or negation goes whole to one side.
    pub fn split(self, pushes: &dyn Fn(&Filter) -> bool) -> Split {
        if self.pushable(pushes, 1) {
            return Split { pushed: Some(self), residual: None };
        }
        match self {
            Self::All(parts) => {
                let (mut pushed, mut residual): (Vec<_>, Vec<_>) =
                    parts.into_iter().partition(|part| part.pushable(pushes, 2));
                if pushed.len() > 1 && !pushes(&Self::All(Vec::new())) {
                    // The target knows no conjunction: it takes one part, the others are left for us.
                    residual.extend(pushed.drain(1..));
                }
                let join = |mut parts: Vec<Filter>| match parts.len() {
                    0 => None,
                    1 => parts.pop(),
                    _ => Some(Self::All(parts)),
                };
                Split { pushed: join(pushed), residual: join(residual) }
            }
            whole => Split { pushed: None, residual: Some(whole) },
        }
    }

    fn pushable(&self, pushes: &dyn Fn(&Filter) -> bool, depth: usize) -> bool {
        depth <= DEPTH_MAX
            && pushes(self)
            && match self {
                Self::All(parts) | Self::Any(parts) => {
                    parts.iter().all(|part| part.pushable(pushes, depth + 1))
                }
                Self::Not(part) => part.pushable(pushes, depth + 1),
                Self::Present(_) | Self::Compare(..) => true,
            }
    }
}

/// The two parts of a split filter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Split {
    /// For the target; `None` selects everything.
    pub pushed: Option<Filter>,
    /// For us, on what the target returned; `None` keeps everything.
    pub residual: Option<Filter>,
}

fn resolve(class: &ObjectClass, path: &AttrPath) -> AttrPath {
    match class.attribute(path.attribute.as_str()) {
        Some((known, _)) => AttrPath { attribute: known.clone(), sub: path.sub.clone() },
        None => path.clone(),
    }
}

fn compares(case: CaseRule, comparison: Comparison, value: &Value, literal: &Value) -> bool {
    if let (Value::Text(value), Value::Text(literal)) = (value, literal) {
        let (value, literal) = (case.fold(value), case.fold(literal));
        return match comparison {
            Comparison::Equal => value == literal,
            Comparison::StartsWith => value.starts_with(&literal),
            Comparison::EndsWith => value.ends_with(&literal),
            Comparison::Contains => value.contains(&literal),
            Comparison::Greater => value > literal,
            Comparison::GreaterOrEqual => value >= literal,
            Comparison::Less => value < literal,
            Comparison::LessOrEqual => value <= literal,
        };
    }
    if std::mem::discriminant(value) != std::mem::discriminant(literal) {
        return false;
    }
    match comparison {
        Comparison::Equal => value == literal,
        Comparison::Greater => value > literal,
        Comparison::GreaterOrEqual => value >= literal,
        Comparison::Less => value < literal,
        Comparison::LessOrEqual => value <= literal,
        Comparison::StartsWith | Comparison::EndsWith | Comparison::Contains => false,
    }
}
