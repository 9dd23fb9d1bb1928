//! Evaluation: a walk over the terms. Its depth is bounded by the limits of the scanner.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use provision_core::model::{Identity, Lifecycle};
use provision_core::value::Date;

use super::datum::{Datum, Failure, Trouble};
use super::fold::{Locals, fold};
use super::function::{self, Function};
use super::letters::{self, Letters};
use super::term::{Binary, Op, Term};
use super::{Expression, Kind};
use crate::bundle::Lookup;

/// Longest text an expression may build, in bytes.
const TEXT_MAX: usize = 64 * 1024;
/// Longest list an expression may build.
const LIST_MAX: usize = 10_000;

/// What expressions are evaluated over.
#[derive(Debug)]
pub(crate) struct Facts<'a> {
    pub(crate) identity: &'a Identity,
    pub(crate) lifecycle: Lifecycle,
    pub(crate) today: Option<Date>,
    pub(crate) locale: Option<&'a str>,
    pub(crate) roles: &'a [String],
    pub(crate) lookups: &'a BTreeMap<String, Lookup>,
    /// Shared values by number, each with the rows it looked up.
    pub(crate) shared: Vec<(Result<Datum<'a>, Failure>, Traced)>,
    /// Names of the account; `None` for one that was refused.
    pub(crate) names: BTreeMap<String, Option<String>>,
}

/// Rows that were looked up: `lookup/key=result`.
pub(crate) type Traced = BTreeSet<String>;

type Found<'a> = Result<Datum<'a>, Failure>;

/// Evaluates an expression; the rows it looks up are added to `traced`.
pub(crate) fn evaluate<'a>(expression: &'a Expression, facts: &Facts<'a>, traced: &mut Traced) -> Found<'a> {
    evaluate_in(&expression.term, facts, None, traced).map_err(|failure| failure.placed(&expression.text))
}

/// Evaluates a part; a failure remembers the innermost part it happened in.
pub(super) fn evaluate_in<'a>(
    term: &'a Term,
    facts: &Facts<'a>,
    locals: Option<&Locals<'_, 'a>>,
    traced: &mut Traced,
) -> Found<'a> {
    part_of(term, facts, locals, traced).map_err(|mut failure| {
        failure.at.get_or_insert(term.at);
        failure
    })
}

fn part_of<'a>(
    term: &'a Term,
    facts: &Facts<'a>,
    locals: Option<&Locals<'_, 'a>>,
    traced: &mut Traced,
) -> Found<'a> {
    let mut at = |term: &'a Term| evaluate_in(term, facts, locals, traced);
    Ok(match &term.op {
        Op::Null => Datum::Null,
        Op::Bool(value) => Datum::Bool(*value),
        Op::Int(value) => Datum::Int(*value),
        Op::Text(value) => Datum::text(value.as_str()),
        Op::Attribute(name) => Datum::of_slot(facts.identity.attributes.get(name)),
        Op::Part(whole, name) => part(at(whole)?, name)?,
        Op::Present(inner) => Datum::Bool(at(inner)? != Datum::Null),
        Op::Name(name) => match facts.names.get(name) {
            Some(Some(found)) => Datum::text(found.clone()),
            _ => {
                return Err(Failure::new(Trouble::Upstream, format!("`name.{name}` is refused")));
            }
        },
        Op::Shared(index) => {
            let Some((found, rows)) = facts.shared.get(*index) else { return Ok(Datum::Null) };
            traced.extend(rows.iter().cloned());
            found.clone()?
        }
        Op::Lifecycle => Datum::text(facts.lifecycle.as_str()),
        Op::Today => facts.today.map_or(Datum::Null, Datum::Date),
        Op::Key => Datum::text(facts.identity.key.as_str()),
        Op::Source => Datum::text(facts.identity.source.as_str()),
        Op::Roles => Datum::List(facts.roles.iter().map(|role| Datum::text(role.as_str())).collect()),
        Op::Local(name) => match locals {
            Some(locals) if locals.item.0 == name => locals.item.1.clone(),
            Some(locals) if locals.result.0 == name => locals.result.1.clone(),
            _ => Datum::Null,
        },
        Op::List(items) => Datum::List(items.iter().map(at).collect::<Result<_, _>>()?),
        Op::Not(inner) => truth(&at(inner)?)?.map_or(Datum::Null, |value| Datum::Bool(!value)),
        Op::Negate(inner) => match at(inner)? {
            Datum::Null => Datum::Null,
            other => whole_number(0_i64.checked_sub(number(&other)?))?,
        },
        Op::And(a, b) => logic(false, &at(a)?, || at(b))?,
        Op::Or(a, b) => logic(true, &at(a)?, || at(b))?,
        Op::If(condition, yes, no) => match truth(&at(condition)?)? {
            Some(true) => at(yes)?,
            _ => at(no)?,
        },
        Op::Binary(operator, a, b) => binary(*operator, at(a)?, at(b)?)?,
        Op::Call(function, args) => {
            let args = args.iter().map(at).collect::<Result<Vec<_>, _>>()?;
            call(*function, args, facts, traced)?
        }
        Op::Fold(inner) => fold(inner, facts, traced)?,
    })
}

/// `&&` and `||` with the deciding value; null is "not known" and decides nothing.
fn logic<'a>(decides: bool, a: &Datum<'a>, b: impl FnOnce() -> Found<'a>) -> Found<'a> {
    let a = truth(a)?;
    if a == Some(decides) {
        return Ok(Datum::Bool(decides));
    }
    let b = truth(&b()?)?;
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

fn needs(user: &str, wanted: Kind, found: &Datum<'_>) -> Failure {
    Failure::failed(format!("{user} needs {}, got {}", wanted.name(), found.kind()))
}

fn number(datum: &Datum<'_>) -> Result<i64, Failure> {
    match datum {
        Datum::Int(value) => Ok(*value),
        other => Err(needs("the operator", Kind::Int, other)),
    }
}

fn whole_number<'a>(result: Option<i64>) -> Found<'a> {
    result.map(Datum::Int).ok_or_else(|| Failure::failed("the number is out of range"))
}

fn part<'a>(whole: Datum<'a>, name: &str) -> Found<'a> {
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

fn bounded<'a>(text: String) -> Found<'a> {
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
                Datum::List(items) => items.contains(&a),
                single => a == single,
            }));
        }
        _ if a == Datum::Null || b == Datum::Null => return Ok(Datum::Null),
        _ => {}
    }
    match (operator, a, b) {
        (Binary::Add, Datum::Text(a), Datum::Text(b)) => bounded(a.into_owned() + &b),
        (Binary::Add, Datum::List(mut a), Datum::List(b)) if a.len() + b.len() <= LIST_MAX => {
            a.extend(b);
            Ok(Datum::List(a))
        }
        (Binary::Index, Datum::List(items), index) => {
            let index = number(&index)?;
            let found = usize::try_from(index).ok().and_then(|index| items.into_iter().nth(index));
            Ok(found.unwrap_or(Datum::Null))
        }
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

fn order(a: &Datum<'_>, b: &Datum<'_>) -> Result<Ordering, Failure> {
    match (a, b) {
        (Datum::Int(a), Datum::Int(b)) => Ok(a.cmp(b)),
        (Datum::Text(a), Datum::Text(b)) => Ok(a.cmp(b)),
        (Datum::Date(a), Datum::Date(b)) => Ok(a.cmp(b)),
        (Datum::Date(a), Datum::Text(b)) => Ok(a.cmp(&read_date(b)?)),
        (Datum::Text(a), Datum::Date(b)) => Ok(read_date(a)?.cmp(b)),
        (a, b) => Err(Failure::failed(format!("{} and {} have no order", a.kind(), b.kind()))),
    }
}

fn read_date(text: &str) -> Result<Date, Failure> {
    text.parse().map_err(|_| Failure::failed("the text is not a date like 2026-11-20"))
}

fn text<'d>(datum: &'d Datum<'_>, user: &str) -> Result<&'d str, Failure> {
    match datum {
        Datum::Text(text) => Ok(text),
        other => Err(needs(user, Kind::Text, other)),
    }
}

fn count(datum: Option<&Datum<'_>>) -> Result<usize, Failure> {
    let count = datum.map_or(Ok(0), number)?;
    usize::try_from(count).map_err(|_| Failure::failed("a count cannot be negative"))
}

fn plain(datum: &Datum<'_>) -> Option<String> {
    match datum {
        Datum::Text(text) => Some(text.to_string()),
        Datum::Bool(value) => Some(value.to_string()),
        Datum::Int(value) => Some(value.to_string()),
        Datum::Date(value) => Some(value.to_string()),
        Datum::Whole(value) => Some(value.to_plain()),
        Datum::Null | Datum::List(_) | Datum::AccountOf(_) => None,
    }
}

fn call<'a>(function: Function, args: Vec<Datum<'a>>, facts: &Facts<'a>, traced: &mut Traced) -> Found<'a> {
    match function {
        Function::Empty => return Ok(Datum::Bool(args.first().is_none_or(Datum::is_empty))),
        Function::FirstNonempty => {
            return Ok(args.into_iter().find(|arg| !arg.is_empty()).unwrap_or(Datum::Null));
        }
        Function::Values => {
            return Ok(match args.into_iter().next() {
                None | Some(Datum::Null) => Datum::List(Vec::new()),
                Some(Datum::List(items)) => Datum::List(items),
                Some(single) => Datum::List(vec![single]),
            });
        }
        _ => {}
    }
    let Some(first) = args.first() else { return Ok(Datum::Null) };
    let rest = args.get(1..).unwrap_or_default();
    match function {
        Function::Lookup => return look_up(first, rest.first(), facts, traced),
        _ if args.contains(&Datum::Null) => return Ok(Datum::Null),
        Function::Size => {
            return Ok(Datum::Int(match first {
                Datum::Text(text) => i64::try_from(text.chars().count()).unwrap_or(i64::MAX),
                Datum::List(items) => i64::try_from(items.len()).unwrap_or(i64::MAX),
                _ => 1,
            }));
        }
        Function::Contains => {
            let Some(wanted) = rest.first() else { return Ok(Datum::Null) };
            return Ok(Datum::Bool(match first {
                Datum::List(items) => items.contains(wanted),
                other => text(other, "`contains`")?.contains(text(wanted, "`contains`")?),
            }));
        }
        Function::JoinNonempty => return join(first, rest.first()),
        Function::Text => {
            return plain(first).map(Datum::text).ok_or_else(|| needs("`string`", Kind::Text, first));
        }
        Function::Date | Function::PlusDays => return date(first, rest.first()),
        _ => {}
    }
    let name =
        function::FUNCTIONS.iter().find(|known| known.function == function).map_or("", |known| known.name);
    of_text(function, text(first, &format!("`{name}`"))?, rest, facts)
}

/// Functions whose first argument is text.
fn of_text<'a>(function: Function, first: &str, rest: &[Datum<'_>], facts: &Facts<'a>) -> Found<'a> {
    let second = || rest.first().map_or(Ok(""), |datum| text(datum, "the function"));
    match function {
        Function::Lower => bounded(first.to_lowercase()),
        Function::Upper => bounded(first.to_uppercase()),
        Function::Trim => bounded(first.trim().to_owned()),
        Function::Left => bounded(letters::left(first, count(rest.first())?).to_owned()),
        Function::Right => bounded(letters::right(first, count(rest.first())?).to_owned()),
        Function::Rdn => bounded(letters::rdn(first)),
        Function::StartsWith => Ok(Datum::Bool(first.starts_with(second()?))),
        Function::EndsWith => Ok(Datum::Bool(first.ends_with(second()?))),
        Function::AccountOf => match first {
            "" => Ok(Datum::Null),
            key => Ok(Datum::AccountOf(key.to_owned())),
        },
        Function::Only => {
            let letters =
                Letters::parse(second()?).ok_or_else(|| Failure::failed("not a set of characters"))?;
            bounded(letters.keep(first))
        }
        Function::Replace => {
            let (old, new) = (second()?, rest.get(1).map_or(Ok(""), |datum| text(datum, "`replace`"))?);
            let times = if old.is_empty() { 0 } else { first.matches(old).count() };
            if first.len() + times * new.len() > TEXT_MAX {
                return Err(Failure::failed("the text becomes too long"));
            }
            Ok(Datum::text(if old.is_empty() { first.to_owned() } else { first.replace(old, new) }))
        }
        _ => match letters::ascii(first, facts.locale) {
            Ok(text) => bounded(text),
            Err(c) => Err(Failure::unreadable(first, c)),
        },
    }
}

fn look_up<'a>(
    name: &Datum<'a>,
    key: Option<&Datum<'a>>,
    facts: &Facts<'a>,
    traced: &mut Traced,
) -> Found<'a> {
    let name = text(name, "`lookup`")?;
    let Some(lookup) = facts.lookups.get(name) else {
        return Err(Failure::failed(format!("there is no lookup `{name}`")));
    };
    let key = match key {
        None | Some(Datum::Null) => None,
        Some(key) => Some(plain(key).ok_or_else(|| needs("`lookup`", Kind::Text, key))?),
    };
    let found = key.as_deref().and_then(|key| lookup.rows.get(key)).or(lookup.default.as_ref());
    traced.insert(format!(
        "{name}/{}={}",
        key.as_deref().unwrap_or_default(),
        found.map_or("", String::as_str)
    ));
    match (found, key) {
        (Some(found), _) => Ok(Datum::Text(Cow::Borrowed(found.as_str()))),
        (None, None) => Ok(Datum::Null),
        (None, Some(key)) => {
            let shown = provision_core::text::escape(letters::left(&key, 60));
            let detail = format!("lookup `{name}` has no row for `{shown}`; add one, or a `default`");
            Err(Failure::new(Trouble::Missing, detail))
        }
    }
}

fn join<'a>(separator: &Datum<'a>, items: Option<&Datum<'a>>) -> Found<'a> {
    let separator = text(separator, "`join_nonempty`")?;
    let parts: Vec<String> = match items {
        Some(Datum::List(items)) => items.iter().filter(|item| !item.is_empty()).filter_map(plain).collect(),
        Some(single) => plain(single).into_iter().filter(|text| !text.is_empty()).collect(),
        None => Vec::new(),
    };
    bounded(parts.join(separator))
}

fn date<'a>(first: &Datum<'a>, days: Option<&Datum<'a>>) -> Found<'a> {
    let date = match first {
        Datum::Date(date) => *date,
        other => read_date(text(other, "`date`")?)?,
    };
    let days = days.map_or(Ok(0), number)?;
    let days = i32::try_from(days).map_err(|_| Failure::failed("too many days"))?;
    Ok(Datum::Date(date.plus_days(days)))
}
