//! Conditions over a few facts, decided on the identity itself: nothing is allocated, no facts are gathered. What an
//! edit of a bundle may concern is asked of a whole population, and nearly always the answer is no.

use std::collections::BTreeSet;

use provision_core::model::{Identity, Lifecycle};
use provision_core::value::{AttrName, Slot, Value};

use super::datum::Datum;
use super::evaluate::{Facts, Traced, evaluate_in, plain};
use super::function::Function;
use super::term::{Binary, Op, Term};
use super::{Expression, Reads};

/// A condition that always has an answer and never fails.
#[derive(Clone, Debug)]
pub(crate) enum Quick {
    Always(bool),
    /// The attribute has this one value, or one of these.
    Is(AttrName, Vec<String>),
    /// The attribute has a value.
    There(AttrName),
    /// It has none, or the empty text.
    Empty(AttrName),
    /// The person stands at one of these.
    Stands(Vec<String>),
    Not(Box<Self>),
    All(Vec<Self>),
    Any(Vec<Self>),
}

/// What a lookup is asked with, somewhere in an expression.
#[derive(Clone, Debug)]
pub(crate) struct Key {
    term: Term,
    /// The key is nothing but this attribute.
    attribute: Option<AttrName>,
}

/// What is known of a key for one identity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Asked<'i> {
    /// This row.
    Row(&'i str),
    /// No row: the key is null.
    Nothing,
    /// That takes an evaluation.
    Open,
}

impl Quick {
    /// The condition as one of these, if it is one.
    pub(crate) fn of(expression: &Expression, shared: &[Expression]) -> Option<Self> {
        of(&expression.term, shared)
    }

    /// Whether it holds.
    pub(crate) fn holds(&self, identity: &Identity, lifecycle: Lifecycle) -> bool {
        let slot = |name: &AttrName| identity.attributes.get(name.as_str());
        match self {
            Self::Always(truth) => *truth,
            Self::Is(name, texts) => {
                single(slot(name)).is_some_and(|found| texts.iter().any(|text| text == found))
            }
            Self::There(name) => slot(name).is_some_and(|slot| !slot.values().is_empty()),
            Self::Empty(name) => match slot(name).map(Slot::values).unwrap_or_default() {
                [] => true,
                [Value::Text(text)] => text.is_empty(),
                _ => false,
            },
            Self::Stands(words) => words.iter().any(|word| word == lifecycle.as_str()),
            Self::Not(inner) => !inner.holds(identity, lifecycle),
            Self::All(parts) => parts.iter().all(|part| part.holds(identity, lifecycle)),
            Self::Any(parts) => parts.iter().any(|part| part.holds(identity, lifecycle)),
        }
    }
}

impl Expression {
    /// An attribute and the texts of which it must be one for this condition to hold, if there is such an attribute:
    /// for everybody else it does not hold, and does not fail.
    pub(crate) fn needs(&self, shared: &[Self]) -> Option<(AttrName, Vec<String>)> {
        needs(&self.term, shared)
    }
}

fn needs(term: &Term, shared: &[Expression]) -> Option<(AttrName, Vec<String>)> {
    if let Some(Quick::Is(name, texts)) = of(term, shared) {
        return Some((name, texts));
    }
    match &term.op {
        // What stands before it is asked first, and must not be able to fail.
        Op::And(a, b) => needs(a, shared).or_else(|| of(a, shared).and_then(|_| needs(b, shared))),
        Op::Shared(index) => needs(&shared.get(*index)?.term, shared),
        _ => None,
    }
}

/// The text of an attribute with one value.
pub(crate) fn single(slot: Option<&Slot>) -> Option<&str> {
    match slot.map(Slot::values) {
        Some([Value::Text(text)]) => Some(text.as_str()),
        _ => None,
    }
}

fn of(term: &Term, shared: &[Expression]) -> Option<Quick> {
    let both = |a: &Term, b: &Term| Some(vec![of(a, shared)?, of(b, shared)?]);
    match &term.op {
        Op::Bool(truth) => Some(Quick::Always(*truth)),
        Op::Shared(index) => of(&shared.get(*index)?.term, shared),
        Op::Not(inner) => of(inner, shared).map(Box::new).map(Quick::Not),
        Op::And(a, b) => both(a, b).map(Quick::All),
        Op::Or(a, b) => both(a, b).map(Quick::Any),
        Op::Present(inner) => attribute(inner, shared).map(Quick::There),
        Op::Call(Function::Empty, args) => match args.as_slice() {
            [inner] => attribute(inner, shared).map(Quick::Empty),
            _ => None,
        },
        Op::Binary(operator, a, b) => match operator {
            Binary::Equal => equal(a, b, shared).or_else(|| equal(b, a, shared)),
            Binary::NotEqual => {
                let found = equal(a, b, shared).or_else(|| equal(b, a, shared));
                found.map(Box::new).map(Quick::Not)
            }
            Binary::In => among(a, b, shared),
            _ => None,
        },
        _ => None,
    }
}

fn equal(a: &Term, b: &Term, shared: &[Expression]) -> Option<Quick> {
    match (&a.op, &b.op) {
        (Op::Lifecycle, Op::Text(word)) => Some(Quick::Stands(vec![word.clone()])),
        (_, Op::Text(text)) => attribute(a, shared).map(|name| Quick::Is(name, vec![text.clone()])),
        (_, Op::Null) => attribute(a, shared).map(Quick::There).map(Box::new).map(Quick::Not),
        _ => None,
    }
}

fn among(a: &Term, b: &Term, shared: &[Expression]) -> Option<Quick> {
    let Op::List(items) = &b.op else { return None };
    let text = |item: &Term| match &item.op {
        Op::Text(text) => Some(text.clone()),
        _ => None,
    };
    let texts = items.iter().map(text).collect::<Option<Vec<_>>>()?;
    match &a.op {
        Op::Lifecycle => Some(Quick::Stands(texts)),
        _ => attribute(a, shared).map(|name| Quick::Is(name, texts)),
    }
}

/// The attribute that the part is, itself or by a shared value. One that is declared as a list is read as a list.
fn attribute(term: &Term, shared: &[Expression]) -> Option<AttrName> {
    match &term.op {
        Op::Attribute { name, list: false, .. } => Some(AttrName::new(name)),
        Op::Shared(index) => attribute(&shared.get(*index)?.term, shared),
        _ => None,
    }
}

impl Expression {
    /// What a lookup is asked with by this expression alone, shared values left out. `None` when that depends on the
    /// value a loop is at, on roles or on generated names, which are not known before an evaluation.
    pub(crate) fn keys_of(&self, lookup: &str, shared: &[Self]) -> Option<Vec<Key>> {
        let mut keys = Some(Vec::new());
        self.term.walk(&mut |part| {
            let Op::Call(Function::Lookup, args) = &part.op else { return };
            let [Term { op: Op::Text(name), .. }, key, ..] = args.as_slice() else { return keys = None };
            if name != lookup {
                return;
            }
            let mut known = true;
            key.walk(&mut |inner| {
                known &= !matches!(inner.op, Op::Item { .. } | Op::Result | Op::Roles | Op::Name(_));
            });
            match keys.as_mut().filter(|_| known) {
                Some(keys) => keys.push(Key { term: key.clone(), attribute: attribute(key, shared) }),
                None => keys = None,
            }
        });
        keys
    }

    /// The whole of it as what a table is asked with.
    pub(crate) fn as_key(&self, shared: &[Self]) -> Key {
        Key { term: self.term.clone(), attribute: attribute(&self.term, shared) }
    }

    /// The shared values it uses, themselves or through others.
    pub(crate) fn shared_used(&self, shared: &[Self]) -> BTreeSet<usize> {
        let Reads { shared: used, .. } = self.reads_all(shared);
        used
    }
}

impl Key {
    /// The attribute that the key is, if it is nothing else.
    pub(crate) fn attribute(&self) -> Option<&AttrName> {
        self.attribute.as_ref()
    }

    /// The row that an identity asks for, as far as that is seen at once.
    pub(crate) fn asked<'i>(&self, identity: &'i Identity) -> Asked<'i> {
        let Some(name) = &self.attribute else { return Asked::Open };
        match identity.attributes.get(name.as_str()).map(Slot::values).unwrap_or_default() {
            [] => Asked::Nothing,
            [Value::Text(text)] => Asked::Row(text.as_str()),
            _ => Asked::Open,
        }
    }

    /// The row it asks for by an evaluation: `Err` when that fails, `None` for a null key.
    pub(crate) fn row(&self, facts: &Facts<'_>) -> Result<Option<String>, ()> {
        match evaluate_in(&self.term, facts, None, &mut Traced::new()) {
            Ok(Datum::Null) => Ok(None),
            Ok(found) => plain(&found).map(Some).ok_or(()),
            Err(_) => Err(()),
        }
    }
}
