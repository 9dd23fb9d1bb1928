//! `lookup` in a table: checked against its columns, read from its rows.

use std::collections::BTreeMap;

use super::call::WrittenFault;
use super::datum::{Datum, Failure, Trouble};
use super::evaluate::{Facts, Found, Traced, needs, plain, text};
use super::letters;
use super::parse::Vocabulary;
use super::shape::{Kind, Reading, Shape};
use crate::bundle::{Cell, Row};
use crate::document::suggestion;

/// What expressions must know of a table.
#[derive(Clone, Debug, Default)]
pub(crate) struct Columns {
    /// What each column holds, and whether some row has nothing there.
    pub(crate) of: BTreeMap<String, (Shape, bool)>,
    /// Keys without a row have one all the same.
    pub(crate) default: bool,
}

/// What a column gives at a place, for a key that may be null there.
pub(super) fn gives(
    known: &Vocabulary,
    (name, column): (Option<&str>, Option<&str>),
    key: Option<Reading>,
    here: Option<Reading>,
) -> Shape {
    let table = name.and_then(|name| known.tables.get(name));
    let Some((columns, (shape, holes))) =
        table.and_then(|table| Some((table, column.and_then(|column| table.of.get(column))?)))
    else {
        return Shape::of(Kind::Any);
    };
    let missing = if columns.default { None } else { key };
    shape.unless(if *holes { here } else { missing })
}

/// What is wrong with the table and the column that a call names.
pub(super) fn fault(known: &Vocabulary, name: Option<&str>, column: Option<&str>) -> Option<WrittenFault> {
    let Some(name) = name else {
        let summary = "the table must be named in quotes".to_owned();
        return Some((0, "P0060", summary, "write `\"name\"`".to_owned()));
    };
    let Some(table) = known.tables.get(name) else {
        if known.lookups.contains_key(name) {
            let summary = format!("the lookup `{name}` has no columns");
            return Some((2, "P0024", summary, format!("write `lookup(\"{name}\", ..)` with the key only")));
        }
        let meant = suggestion(name, known.tables.keys().map(String::as_str));
        let meant = meant.map(|meant| format!("did you mean `{meant}`?"));
        let remedy = meant.unwrap_or_else(|| "define it under `tables`".to_owned());
        return Some((0, "P0060", format!("unknown table `{name}`"), remedy));
    };
    let Some(column) = column else {
        let summary = "the column must be named in quotes".to_owned();
        return Some((2, "P0061", summary, "write `\"name\"`".to_owned()));
    };
    if table.of.contains_key(column) {
        return None;
    }
    let meant = suggestion(column, table.of.keys().map(String::as_str));
    let meant = meant.map(|meant| format!("did you mean `{meant}`?"));
    let remedy = meant.unwrap_or_else(|| "declare it under `columns` of the table".to_owned());
    Some((2, "P0061", format!("table `{name}` has no column `{column}`"), remedy))
}

/// The cell of a row.
pub(super) fn look_up<'a>(
    name: &Datum<'a>,
    key: &Datum<'a>,
    column: &Datum<'a>,
    facts: &Facts<'a>,
    traced: &mut Traced,
) -> Found<'a> {
    let (name, column) = (text(name, "`lookup`")?, text(column, "`lookup`")?);
    let table = facts.tables.get(name);
    let found = table.and_then(|table| Some((table, table.column(column)?)));
    let Some((table, (number, _))) = found else {
        return Err(Failure::failed(format!("there is no table `{name}` with a column `{column}`")));
    };
    let key = match key {
        Datum::Null => None,
        key => Some(plain(key).ok_or_else(|| needs("`lookup`", Kind::Text, key))?),
    };
    let row: Option<&'a Row> = table.row_or_default(key.as_deref());
    let cell = row.map_or(&Cell::Null, |row| row.cell(number));
    let given = key.as_deref().unwrap_or_default();
    traced.insert(format!("{name}/{given}.{column}={}", shown(cell)));
    match (row, key) {
        (Some(_), _) => Ok(datum(cell)),
        (None, None) => Ok(Datum::Null),
        (None, Some(key)) => Err(no_row(name, &key)),
    }
}

/// Why a key without row refuses.
pub(crate) fn no_row(table: &str, key: &str) -> Failure {
    let shown = provision_core::text::escape(letters::left(key, 60));
    let detail = format!("table `{table}` has no row for `{shown}`; add one, or a `default`");
    Failure::new(Trouble::Missing, detail)
}

fn datum(cell: &Cell) -> Datum<'_> {
    match cell {
        Cell::Null => Datum::Null,
        Cell::Text(text) => Datum::text(text.as_str()),
        Cell::Number(number) => Datum::Int(*number),
        Cell::Truth(truth) => Datum::Bool(*truth),
        Cell::Date(date) => Datum::Date(*date),
        Cell::List(texts) => Datum::List(texts.iter().map(|text| Datum::text(text.as_str())).collect()),
    }
}

fn shown(cell: &Cell) -> String {
    match cell {
        Cell::Null => String::new(),
        Cell::Text(text) => text.clone(),
        Cell::Number(number) => number.to_string(),
        Cell::Truth(truth) => truth.to_string(),
        Cell::Date(date) => date.to_string(),
        Cell::List(texts) => format!("{texts:?}"),
    }
}
