//! Functions at work.

use std::borrow::Cow;
use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::Kind;
use super::calendar;
use super::cost::LIST_MAX;
use super::datum::{Datum, Failure, Trouble};
use super::evaluate::{
    Facts, Found, TEXT_MAX, TEXTS_MAX, Traced, bounded, count, needs, number, plain, text, too_many,
};
use super::function::{self, Function};
use super::letters::{self, Letters};
use super::table;

/// Calls a function.
pub(super) fn call<'a>(
    function: Function,
    args: Vec<Datum<'a>>,
    facts: &Facts<'a>,
    traced: &mut Traced,
) -> Found<'a> {
    match function {
        Function::Empty => return Ok(Datum::Bool(args.first().is_none_or(Datum::is_empty))),
        Function::FirstNonempty => {
            return Ok(args.into_iter().find(|arg| !arg.is_empty()).unwrap_or(Datum::Null));
        }
        Function::Values => return Ok(Datum::List(values(args.into_iter().next()))),
        Function::KindOf => return Ok(Datum::text(args.first().map_or("null", kind))),
        _ => {}
    }
    let Some(first) = args.first() else { return Ok(Datum::Null) };
    let rest = args.get(1..).unwrap_or_default();
    match function {
        Function::Lookup => {
            return match rest {
                [key, column] => table::look_up(first, key, column, facts, traced),
                _ => look_up(first, rest.first(), facts, traced),
            };
        }
        _ if args.contains(&Datum::Null) => return Ok(Datum::Null),
        _ => {}
    }
    if let Some(found) = calendar::call(function, first, rest, facts) {
        return found;
    }
    match function {
        Function::Size => Ok(Datum::Int(match first {
            Datum::Text(text) => i64::try_from(text.chars().count()).unwrap_or(i64::MAX),
            Datum::List(items) => i64::try_from(items.len()).unwrap_or(i64::MAX),
            _ => 1,
        })),
        Function::Contains => {
            let Some(wanted) = rest.first() else { return Ok(Datum::Null) };
            Ok(Datum::Bool(match first {
                Datum::List(items) if items.len() <= LIST_MAX => items.contains(wanted),
                Datum::List(_) => return Err(too_many()),
                other => text(other, "`contains`")?.contains(text(wanted, "`contains`")?),
            }))
        }
        Function::JoinNonempty => join(first, rest.first()),
        Function::Unique => unique(args.into_iter().next()),
        Function::Text => plain(first).map(Datum::text).ok_or_else(|| needs("`string`", Kind::Text, first)),
        Function::Int => whole(first),
        Function::Bool => truth(first),
        Function::BitAnd => Ok(Datum::Int(number(first)? & rest.first().map_or(Ok(0), number)?)),
        _ => {
            let name = function::of(function).map_or("", |known| known.name);
            of_text(function, text(first, &format!("`{name}`"))?, rest, facts)
        }
    }
}

/// Functions whose first argument is text.
fn of_text<'a>(function: Function, first: &str, rest: &[Datum<'_>], facts: &Facts<'a>) -> Found<'a> {
    let second = || rest.first().map_or(Ok(""), |datum| text(datum, "the function"));
    let locale = || rest.first().map(|datum| text(datum, "a locale")).transpose();
    match function {
        Function::Lower => bounded(letters::lower(first, locale()?)),
        Function::Upper => bounded(letters::upper(first, locale()?)),
        Function::Fold => bounded(letters::fold(first)),
        Function::TitleCase => bounded(letters::title_case(first, locale()?.unwrap_or(" -"))),
        Function::WithoutMarks => bounded(letters::without_marks(first)),
        Function::Trim => bounded(first.trim().to_owned()),
        Function::Left => bounded(letters::left(first, count(rest.first())?).to_owned()),
        Function::LeftBytes => bounded(letters::left_bytes(first, count(rest.first())?).to_owned()),
        Function::Right => bounded(letters::right(first, count(rest.first())?).to_owned()),
        Function::Mid => {
            let tail = letters::after(first, count(rest.first())?);
            bounded(letters::left(tail, count(rest.get(1))?).to_owned())
        }
        Function::PadLeft => {
            let fill = rest.get(1).map_or(Ok(""), |datum| text(datum, "`pad_left`"))?;
            bounded(pad(first, count(rest.first())?, fill)?)
        }
        Function::IndexOf => Ok(place(letters::index_of(first, second()?))),
        Function::LastIndexOf => Ok(place(letters::last_index_of(first, second()?))),
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
        Function::Split => match second()? {
            "" => Ok(Datum::List(vec![Datum::text(first.to_owned())])),
            separator => listed(first.split(separator)),
        },
        Function::Words => {
            let between = locale()?.unwrap_or(" \t\r\n");
            listed(first.split(|c| between.contains(c)).filter(|word| !word.is_empty()))
        }
        Function::Base64 => bounded(STANDARD.encode(first)),
        Function::Base64Utf16 => {
            let bytes: Vec<u8> = first.encode_utf16().flat_map(u16::to_le_bytes).collect();
            bounded(STANDARD.encode(&bytes))
        }
        Function::Hex => bounded(hex::encode(first.as_bytes())),
        _ => {
            // Without a language of its own, the text is read in the person's.
            let language = locale()?.or(facts.locale);
            match letters::ascii(first, language) {
                Ok(text) => bounded(text),
                Err(c) => Err(Failure::unreadable(first, c)),
            }
        }
    }
}

fn values(arg: Option<Datum<'_>>) -> Vec<Datum<'_>> {
    match arg {
        None | Some(Datum::Null) => Vec::new(),
        Some(Datum::List(items)) => items,
        Some(single) => vec![single],
    }
}

/// Each value once, where it stood first. A number and its text are two values.
fn unique<'a>(arg: Option<Datum<'a>>) -> Found<'a> {
    let items = values(arg);
    if items.len() > LIST_MAX {
        return Err(too_many());
    }
    let mut seen: BTreeSet<(&'static str, String)> = BTreeSet::new();
    let mut kept: Vec<Datum<'a>> = Vec::with_capacity(items.len());
    for item in items {
        // Lists in lists have no plain form; there are few of them.
        let new = match plain(&item) {
            Some(text) => seen.insert((item.kind(), text)),
            None => !kept.contains(&item),
        };
        if new {
            kept.push(item);
        }
    }
    Ok(Datum::List(kept))
}

/// A list of texts, within bounds.
fn listed<'a, 't>(parts: impl Iterator<Item = &'t str>) -> Found<'a> {
    let (mut found, mut weight) = (Vec::new(), 0_usize);
    for part in parts {
        weight += part.len();
        if found.len() == LIST_MAX || weight > TEXTS_MAX {
            return Err(too_many());
        }
        found.push(Datum::text(part.to_owned()));
    }
    Ok(Datum::List(found))
}

fn place<'a>(found: Option<usize>) -> Datum<'a> {
    found.and_then(|at| i64::try_from(at).ok()).map_or(Datum::Null, Datum::Int)
}

fn pad(text: &str, width: usize, fill: &str) -> Result<String, Failure> {
    let missing = width.saturating_sub(letters::length(text));
    if fill.is_empty() || missing.saturating_mul(fill.len()) > TEXT_MAX {
        return Err(Failure::failed("nothing to pad with, or too much of it"));
    }
    Ok(letters::left(&fill.repeat(missing), missing).to_owned() + text)
}

/// The word for what a value is.
fn kind(datum: &Datum<'_>) -> &'static str {
    match datum {
        Datum::Null => "null",
        Datum::Bool(_) => "truth",
        Datum::Int(_) => "number",
        Datum::Text(_) => "text",
        Datum::Date(_) => "date",
        Datum::Time(_) => "instant",
        Datum::List(_) => "list",
        Datum::Whole(_) => "structured",
        Datum::AccountOf(_) => "account",
    }
}

fn whole<'a>(datum: &Datum<'_>) -> Found<'a> {
    match datum {
        Datum::Int(value) => Ok(Datum::Int(*value)),
        Datum::Text(text) => text.trim().parse().map(Datum::Int).map_err(|_| {
            let shown = provision_core::text::escape(letters::left(text, 40));
            Failure::failed(format!("`{shown}` is not a whole number"))
        }),
        other => Err(needs("`int`", Kind::Text, other)),
    }
}

fn truth<'a>(datum: &Datum<'_>) -> Found<'a> {
    match datum {
        Datum::Bool(value) => Ok(Datum::Bool(*value)),
        Datum::Int(value @ (0 | 1)) => Ok(Datum::Bool(*value == 1)),
        Datum::Text(text) => match text.trim().to_ascii_lowercase().as_str() {
            "true" | "1" => Ok(Datum::Bool(true)),
            "false" | "0" => Ok(Datum::Bool(false)),
            _ => {
                let shown = provision_core::text::escape(letters::left(text, 40));
                Err(Failure::failed(format!("`{shown}` is neither true nor false")))
            }
        },
        other => Err(needs("`bool`", Kind::Text, other)),
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
        Some(Datum::List(items)) if items.len() > LIST_MAX => return Err(too_many()),
        Some(Datum::List(items)) => items.iter().filter(|item| !item.is_empty()).filter_map(plain).collect(),
        Some(single) => plain(single).into_iter().filter(|text| !text.is_empty()).collect(),
        None => Vec::new(),
    };
    let size: usize = parts.iter().map(|part| part.len() + separator.len()).sum();
    if size > TEXT_MAX + separator.len() {
        return Err(Failure::failed("the text becomes too long"));
    }
    bounded(parts.join(separator))
}
