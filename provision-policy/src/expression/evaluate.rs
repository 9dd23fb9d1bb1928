//! Evaluation: a walk over the terms. Its depth is bounded by the limits of the scanner.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use provision_core::id::SourceName;
use provision_core::model::{Identity, Lifecycle};
use provision_core::value::{AttrName, Date, Slot};

use super::apply::call;
use super::cost::LIST_MAX;
use super::datum::{Datum, Failure, Trouble};
use super::fold::{Locals, fold};
use super::term::{Binary, Op, Term};
use super::{Expression, Kind};
use crate::bundle::{Lookup, Table};

/// Longest text an expression may build, in bytes.
pub(super) const TEXT_MAX: usize = 64 * 1024;
/// Longest texts of a list an expression may build, in bytes, together.
pub(super) const TEXTS_MAX: usize = 1024 * 1024;

/// What expressions are evaluated over.
#[derive(Debug)]
pub(crate) struct Facts<'a> {
    pub(crate) identity: &'a Identity,
    /// The values of the attributes that expressions may read, by the numbers of their slots.
    pub(crate) slots: Vec<Option<&'a Slot>>,
    /// The sources that asserted them.
    pub(crate) origins: Vec<Option<&'a SourceName>>,
    pub(crate) lifecycle: Lifecycle,
    pub(crate) today: Option<Date>,
    pub(crate) locale: Option<&'a str>,
    pub(crate) roles: &'a [&'a str],
    pub(crate) lookups: &'a BTreeMap<String, Lookup>,
    pub(crate) tables: &'a BTreeMap<String, Table>,
    /// Shared values by number, each with the rows it looked up.
    pub(crate) shared: Vec<(Result<Datum<'a>, Failure>, Traced)>,
    /// Names of the account, as far as it has them.
    pub(crate) names: BTreeMap<AttrName, String>,
}

/// Rows that were looked up: `lookup/key=result`.
pub(crate) type Traced = BTreeSet<String>;

pub(super) type Found<'a> = Result<Datum<'a>, Failure>;

/// Evaluates an expression; the rows it looks up are added to `traced`.
pub(crate) fn evaluate<'a>(expression: &'a Expression, facts: &Facts<'a>, traced: &mut Traced) -> Found<'a> {
    evaluate_in(&expression.term, facts, None, traced).map_err(|failure| failure.placed(&expression.text))
}

/// Evaluates a part; a failure remembers the innermost part it happened in.
pub(super) fn evaluate_in<'a>(
    term: &'a Term,
    facts: &Facts<'a>,
    locals: Option<&Locals<'a>>,
    traced: &mut Traced,
) -> Found<'a> {
    #[cfg(test)]
    super::soundness::step();
    part_of(term, facts, locals, traced).map_err(|mut failure| {
        failure.at.get_or_insert(term.at);
        failure
    })
}

/// What a part gives. It calls itself through the functions below: each has a frame of its own, so that no part pays
/// on the stack for what another kind of part needs.
fn part_of<'a>(
    term: &'a Term,
    facts: &Facts<'a>,
    locals: Option<&Locals<'a>>,
    traced: &mut Traced,
) -> Found<'a> {
    let mut at = |term: &'a Term| evaluate_in(term, facts, locals, traced);
    match &term.op {
        Op::Part(whole, name) => part(at(whole)?, name),
        Op::Present(inner) => at(inner).map(|found| Datum::Bool(found != Datum::Null)),
        Op::List(items) => items.iter().map(at).collect::<Result<_, _>>().map(Datum::List),
        Op::Not(inner) => at(inner).and_then(not),
        Op::Negate(inner) => at(inner).and_then(negative),
        Op::And(a, b) => both(false, a, b, &mut at),
        Op::Or(a, b) => both(true, a, b, &mut at),
        Op::If(condition, yes, no) => {
            chosen(condition, &mut at).and_then(|holds| at(if holds { yes } else { no }))
        }
        Op::Binary(operator, a, b) => binary(*operator, at(a)?, at(b)?),
        Op::Call(function, args) => {
            let args = args.iter().map(at).collect::<Result<Vec<_>, _>>()?;
            call(*function, args, facts, traced)
        }
        Op::Match(pattern, args) => match args.first().map(at).transpose()? {
            None | Some(Datum::Null) => Ok(Datum::Null),
            Some(found) => pattern.run(text(&found, "a pattern")?),
        },
        Op::Fold(inner) => fold(inner, facts, traced),
        _ => leaf(term, facts, locals, traced),
    }
}

/// Parts without parts.
fn leaf<'a>(
    term: &'a Term,
    facts: &Facts<'a>,
    locals: Option<&Locals<'a>>,
    traced: &mut Traced,
) -> Found<'a> {
    Ok(match &term.op {
        Op::Bool(value) => Datum::Bool(*value),
        Op::Int(value) => Datum::Int(*value),
        Op::Text(value) => Datum::text(value.as_str()),
        Op::Attribute { slot, list, .. } => match Datum::of_slot(facts.slots.get(*slot).copied().flatten()) {
            single if *list && !matches!(single, Datum::Null | Datum::List(_)) => Datum::List(vec![single]),
            found => found,
        },
        Op::Name(name) => match facts.names.get(name.as_str()) {
            Some(found) => Datum::text(found.clone()),
            None => {
                return Err(Failure::new(Trouble::Upstream, format!("`name.{name}` is refused")));
            }
        },
        Op::Shared(index) => {
            let Some((found, rows)) = facts.shared.get(*index) else { return Ok(Datum::Null) };
            traced.extend(rows.iter().cloned());
            found.clone()?
        }
        Op::Lifecycle => Datum::text(facts.lifecycle.as_str()),
        Op::Today => {
            facts.today.map(Datum::Date).ok_or_else(|| Failure::failed("today is beyond the calendar"))?
        }
        Op::Key => Datum::text(facts.identity.key.as_str()),
        Op::Source => Datum::text(facts.identity.source.as_str()),
        Op::Roles => Datum::List(facts.roles.iter().map(|role| Datum::text(*role)).collect()),
        Op::Item { .. } => locals.map_or(Datum::Null, |locals| locals.item.clone()),
        Op::Result => locals.map_or(Datum::Null, |locals| locals.result.clone()),
        // `null`; whatever has parts is not here.
        _ => Datum::Null,
    })
}

fn not(found: Datum<'_>) -> Found<'_> {
    Ok(truth(&found)?.map_or(Datum::Null, |value| Datum::Bool(!value)))
}

fn negative(found: Datum<'_>) -> Found<'_> {
    match found {
        Datum::Null => Ok(Datum::Null),
        other => whole_number(0_i64.checked_sub(number(&other)?)),
    }
}

/// Whether the condition before `?` holds.
fn chosen<'a>(condition: &'a Term, at: &mut impl FnMut(&'a Term) -> Found<'a>) -> Result<bool, Failure> {
    Ok(truth(&at(condition)?)? == Some(true))
}

/// `&&` and `||` with the deciding value; null is "not known" and decides nothing.
fn both<'a>(
    decides: bool,
    a: &'a Term,
    b: &'a Term,
    at: &mut impl FnMut(&'a Term) -> Found<'a>,
) -> Found<'a> {
    let a = truth(&at(a)?)?;
    if a == Some(decides) {
        return Ok(Datum::Bool(decides));
    }
    let b = truth(&at(b)?)?;
    Ok(match (a, b) {
        (_, Some(b)) if b == decides => Datum::Bool(decides),
        (Some(_), Some(_)) => Datum::Bool(!decides),
        _ => Datum::Null,
    })
}

fn truth(datum: &Datum<'_>) -> Result<Option<bool>, Failure> {
    match datum {
        Datum::Bool(value) => Ok(Some(*value)),
        Datum::Null => Ok(None),
        other => Err(needs("a condition", Kind::Bool, other)),
    }
}

pub(super) fn needs(user: &str, wanted: Kind, found: &Datum<'_>) -> Failure {
    Failure::failed(format!("{user} needs {}, got {}", wanted.name(), found.kind()))
}

pub(super) fn number(datum: &Datum<'_>) -> Result<i64, Failure> {
    match datum {
        Datum::Int(value) => Ok(*value),
        other => Err(needs("the operator", Kind::Int, other)),
    }
}

fn whole_number<'a>(result: Option<i64>) -> Found<'a> {
    result.map(Datum::Int).ok_or_else(|| Failure::failed("the number is out of range"))
}

pub(super) fn part<'a>(whole: Datum<'a>, name: &str) -> Found<'a> {
    Ok(match whole {
        Datum::Null => Datum::Null,
        Datum::Whole(provision_core::value::Value::Record(record)) => {
            record.get(name).map_or(Datum::Null, Datum::of)
        }
        Datum::List(items) => {
            let parts = items.into_iter().map(|item| part(item, name)).collect::<Result<Vec<_>, _>>()?;
            Datum::List(parts.into_iter().filter(|part| *part != Datum::Null).collect())
        }
        other => return Err(Failure::failed(format!("{} has no part `{name}`", other.kind()))),
    })
}

pub(super) fn bounded<'a>(text: String) -> Found<'a> {
    if text.len() > TEXT_MAX {
        return Err(Failure::failed("the text becomes too long"));
    }
    Ok(Datum::text(text))
}

fn binary<'a>(operator: Binary, a: Datum<'a>, b: Datum<'a>) -> Found<'a> {
    match operator {
        Binary::Equal => return Ok(Datum::Bool(a == b)),
        Binary::NotEqual => return Ok(Datum::Bool(a != b)),
        Binary::In => {
            return Ok(Datum::Bool(match b {
                Datum::Null => false,
                Datum::List(items) if items.len() <= LIST_MAX => items.contains(&a),
                Datum::List(_) => return Err(too_many()),
                single => a == single,
            }));
        }
        _ if a == Datum::Null || b == Datum::Null => return Ok(Datum::Null),
        _ => {}
    }
    match (operator, a, b) {
        (Binary::Add, Datum::Text(a), Datum::Text(b)) => bounded(a.into_owned() + &b),
        (Binary::Add, Datum::List(mut a), Datum::List(b)) => {
            // What a loop adds one by one is weighed by the loop.
            let light = b.len() <= 1 || a.iter().chain(&b).map(Datum::weight).sum::<usize>() <= TEXTS_MAX;
            if !light || a.len() + b.len() > LIST_MAX {
                return Err(too_many());
            }
            a.extend(b);
            Ok(Datum::List(a))
        }
        (Binary::Index, Datum::List(items), index) => {
            let index = number(&index)?;
            let found = usize::try_from(index).ok().and_then(|index| items.into_iter().nth(index));
            Ok(found.unwrap_or(Datum::Null))
        }
        (Binary::Index, other, _) => Err(needs("`[ ]`", Kind::List, &other)),
        (Binary::Add, a, b) if !matches!(a, Datum::Int(_)) => {
            Err(Failure::failed(format!("{} and {} cannot be joined by `+`", a.kind(), b.kind())))
        }
        (Binary::Less, a, b) => Ok(Datum::Bool(order(&a, &b)?.is_lt())),
        (Binary::LessOrEqual, a, b) => Ok(Datum::Bool(order(&a, &b)?.is_le())),
        (Binary::Greater, a, b) => Ok(Datum::Bool(order(&a, &b)?.is_gt())),
        (Binary::GreaterOrEqual, a, b) => Ok(Datum::Bool(order(&a, &b)?.is_ge())),
        (operator, a, b) => {
            let (a, b) = (number(&a)?, number(&b)?);
            whole_number(match operator {
                Binary::Add => a.checked_add(b),
                Binary::Subtract => a.checked_sub(b),
                Binary::Multiply => a.checked_mul(b),
                Binary::Divide => a.checked_div(b),
                _ => a.checked_rem(b),
            })
        }
    }
}

pub(super) fn too_many() -> Failure {
    Failure::failed(format!("the list has more than {LIST_MAX} values, or its texts are too long"))
}

fn order(a: &Datum<'_>, b: &Datum<'_>) -> Result<Ordering, Failure> {
    match (a, b) {
        (Datum::Int(a), Datum::Int(b)) => Ok(a.cmp(b)),
        (Datum::Text(a), Datum::Text(b)) => Ok(a.cmp(b)),
        (Datum::Date(a), Datum::Date(b)) => Ok(a.cmp(b)),
        (Datum::Time(a), Datum::Time(b)) => Ok(a.cmp(b)),
        (Datum::Date(a), Datum::Text(b)) => Ok(a.cmp(&read_date(b)?)),
        (Datum::Text(a), Datum::Date(b)) => Ok(read_date(a)?.cmp(b)),
        (a, b) => Err(Failure::failed(format!("{} and {} have no order", a.kind(), b.kind()))),
    }
}

pub(super) fn read_date(text: &str) -> Result<Date, Failure> {
    text.parse().map_err(|_| Failure::failed("the text is not a date like 2026-11-20"))
}

pub(super) fn text<'d>(datum: &'d Datum<'_>, user: &str) -> Result<&'d str, Failure> {
    match datum {
        Datum::Text(text) => Ok(text),
        other => Err(needs(user, Kind::Text, other)),
    }
}

pub(super) fn count(datum: Option<&Datum<'_>>) -> Result<usize, Failure> {
    let count = datum.map_or(Ok(0), number)?;
    usize::try_from(count).map_err(|_| Failure::failed("a count cannot be negative"))
}

pub(crate) fn plain(datum: &Datum<'_>) -> Option<String> {
    match datum {
        Datum::Text(text) => Some(text.to_string()),
        Datum::Bool(value) => Some(value.to_string()),
        Datum::Int(value) => Some(value.to_string()),
        Datum::Date(value) => Some(value.to_string()),
        Datum::Time(value) => Some(value.to_string()),
        Datum::Whole(value) => Some(value.to_plain()),
        Datum::Null | Datum::List(_) | Datum::AccountOf(_) => None,
    }
}
