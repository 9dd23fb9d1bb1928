//! Expressions: CEL syntax, checked when the bundle is loaded, evaluated over one identity's facts.
//!
//! The parser is the `cel` crate's; everything behind it is ours. A parsed expression holds no name that is not
//! known, ends on every input, and needs no more stack than its limited nesting allows.

mod apply;
mod calendar;
mod call;
mod cost;
mod datum;
mod evaluate;
mod fold;
pub(crate) mod function;
pub(crate) mod letters;
mod operator;
mod parse;
mod pattern;
mod presence;
mod quick;
mod scan;
mod shape;
#[cfg(test)]
mod soundness;
#[cfg(test)]
mod stack;
mod table;
mod term;

use std::collections::BTreeSet;

use provision_core::value::AttrName;

pub(crate) use datum::{Datum, Failure, Trouble};
pub(crate) use evaluate::{Facts, Traced, evaluate, plain};
pub(crate) use parse::{Fault, Subject, Vocabulary, parse};
pub(crate) use quick::{Asked, Key, Quick, single};
pub(crate) use shape::{Kind, Shape};
pub(crate) use table::{Columns, no_row};

use function::Function;
use term::{Op, Term};

/// A parsed expression.
#[derive(Clone, Debug)]
pub(crate) struct Expression {
    /// As written.
    pub(crate) text: String,
    /// What it gives, as far as that is known.
    pub(crate) kind: Kind,
    /// The same with the kind of a list's values, and whether it may be null.
    pub(crate) shape: Shape,
    /// What it reads.
    pub(crate) reads: Reads,
    term: Term,
}

/// What an expression reads, itself and through the shared values it uses.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reads {
    /// Attributes of the identity.
    pub(crate) attributes: BTreeSet<AttrName>,
    /// Generated names of the same account.
    pub(crate) names: BTreeSet<String>,
    /// Numbers of the shared values it uses itself.
    pub(crate) shared: BTreeSet<usize>,
    /// Lookups and tables it uses.
    pub(crate) lookups: BTreeSet<String>,
    /// `lifecycle`.
    pub(crate) lifecycle: bool,
    /// `today`.
    pub(crate) today: bool,
    /// `key` or `source`.
    pub(crate) key: bool,
    /// `roles`.
    pub(crate) roles: bool,
    /// The person's locale, by way of `ascii`.
    pub(crate) locale: bool,
    /// The person's time zone, by way of dates of instants.
    pub(crate) zone: bool,
}

/// The stack an expression is parsed on: the parser recurses. A test proves that a quarter of it is enough at the
/// limits of the scanner, in a debug build.
pub(crate) const STACK: usize = 64 * 1024 * 1024;

impl Expression {
    /// The fault of a condition that some people have no answer to.
    pub(crate) fn undecided(&self) -> Option<Fault> {
        self.shape.absent.map(|reading| parse::undecided(&self.text, reading))
    }

    /// What it reads, itself and through the shared values.
    pub(crate) fn reads_all(&self, shared: &[Self]) -> Reads {
        let mut reads = self.reads.clone();
        for used in self.reads.shared.iter().filter_map(|index| shared.get(*index)) {
            reads.extend(&used.reads);
        }
        reads
    }

    /// The most steps it may take.
    pub(crate) fn steps(&self) -> u64 {
        cost::steps(&self.term)
    }

    /// The text, of an expression that is nothing but a text.
    pub(crate) fn constant(&self) -> Option<&str> {
        match &self.term.op {
            Op::Text(text) => Some(text),
            _ => None,
        }
    }
}

impl Reads {
    fn of(term: &Term) -> Self {
        let mut reads = Self::default();
        term.walk(&mut |part| match &part.op {
            Op::Attribute { name, .. } => {
                reads.attributes.insert(AttrName::new(name));
            }
            Op::Name(name) => {
                reads.names.insert(name.clone());
            }
            Op::Shared(index) => {
                reads.shared.insert(*index);
            }
            Op::Lifecycle => reads.lifecycle = true,
            Op::Today => reads.today = true,
            Op::Key | Op::Source => reads.key = true,
            Op::Roles => reads.roles = true,
            Op::Call(Function::Ascii, args) if args.len() == 1 => reads.locale = true,
            Op::Call(Function::Lookup, args) => {
                if let Some(Op::Text(name)) = args.first().map(|term| &term.op) {
                    reads.lookups.insert(name.clone());
                }
            }
            Op::Call(function, _) if calendar::in_zone(*function) => reads.zone = true,
            _ => {}
        });
        reads
    }

    /// Adds what another expression reads.
    pub(crate) fn extend(&mut self, other: &Self) {
        self.attributes.extend(other.attributes.iter().cloned());
        self.names.extend(other.names.iter().cloned());
        self.shared.extend(other.shared.iter().copied());
        self.lookups.extend(other.lookups.iter().cloned());
        self.lifecycle |= other.lifecycle;
        self.today |= other.today;
        self.key |= other.key;
        self.roles |= other.roles;
        self.locale |= other.locale;
        self.zone |= other.zone;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What an expression reads, of an account with the name `login` and the shared value `family`.
    fn reads(text: &str) -> Reads {
        let mut known = Vocabulary { roles: true, ..Vocabulary::default() };
        for name in ["title", "emails", "level"] {
            known.attributes.insert(name.to_owned(), Shape::of(Kind::Any));
        }
        known.lookups.insert("floor".to_owned(), false);
        known.names.insert("login".to_owned());
        let family = parse::parse("user.title", &known).map_err(|faults| format!("{faults:?}"));
        let family = family.unwrap_or_else(|faults| unreachable!("{faults}"));
        known.shared.insert("family".to_owned(), (0, family.shape));
        match parse(text, &known) {
            Ok(expression) => {
                assert_eq!(expression.reads.shared.is_empty(), !text.contains("value."));
                expression.reads_all(&[family])
            }
            Err(faults) => unreachable!("{faults:?}"),
        }
    }

    #[test]
    fn an_expression_tells_all_it_depends_on() {
        let attributes = |text| reads(text).attributes.iter().map(AttrName::to_string).collect::<Vec<_>>();
        assert_eq!(attributes("user.emails.exists(e, e == string(user.level))"), ["emails", "level"]);
        assert_eq!(attributes("has(user.title) ? 1 : 2"), ["title"]);
        assert_eq!(attributes("lower(value.family)"), ["title"], "through the shared value");
        assert_eq!(attributes("user.title.matches(\"a\") && [user.level][0] > 1"), ["level", "title"]);
        assert!(reads("lookup(\"floor\", key)").lookups.contains("floor") && reads("key").key);
        assert!(reads("name.login + source").names.contains("login") && reads("source").key);
        assert!(reads("year(today) > 1").today && !reads("year(\"2026-01-01\") > 1").today);
        assert!(reads("roles").roles && reads("lifecycle").lifecycle);
        assert!(reads("ascii(key)").locale && !reads("ascii(key, \"de\")").locale);
        for zoned in ["start_of(today)", "end_of(today)", "format_instant(key, \"%H\")", "date(key)"] {
            assert!(reads(zoned).zone, "{zoned}");
        }
        assert!(!reads("date_in(key, \"UTC\")").zone && !reads("plus_seconds(key, 1)").zone);
    }
}
