//! From when until when a mapping counts.

use super::input::expression;
use crate::document::{Data, Fields, Node, Reader};
use crate::expression::{Expression, Kind, Vocabulary};

/// From when until when a mapping counts.
#[derive(Clone, Debug)]
pub(crate) struct Period {
    pub(crate) from: Option<Bound>,
    pub(crate) until: Option<Bound>,
}

/// One end of a period.
#[derive(Clone, Debug)]
pub(crate) struct Bound {
    /// Gives a date or an instant, and never null.
    pub(crate) value: Expression,
    /// Counted as a date whatever it gives, so many days later.
    pub(crate) days: Option<i32>,
    /// A date stands for the end of its day; otherwise for the start.
    pub(crate) end: bool,
}

impl Period {
    /// Every expression of it.
    pub(super) fn expressions(&self) -> impl Iterator<Item = &Expression> {
        self.from.iter().chain(&self.until).map(|bound| &bound.value)
    }
}

/// Reads `from` and `until` of a mapping.
pub(super) fn read(reader: &mut Reader<'_>, fields: &Fields<'_>, known: &Vocabulary) -> Option<Box<Period>> {
    let from = fields.get("from").and_then(|node| bound(reader, node, &fields.path_of("from"), known, false));
    let until =
        fields.get("until").and_then(|node| bound(reader, node, &fields.path_of("until"), known, true));
    (from.is_some() || until.is_some()).then(|| Box::new(Period { from, until }))
}

/// Reads an expression, or `{ date, offset_days, at }`.
fn bound(reader: &mut Reader<'_>, node: &Node, path: &str, known: &Vocabulary, end: bool) -> Option<Bound> {
    if !matches!(node.data, Data::Map(_)) {
        return moment(reader, node, path, known).map(|value| Bound { value, days: None, end });
    }
    let fields = reader.fields(node, path, &["date", "offset_days", "at"]);
    let value = reader
        .required(&fields, "date")
        .and_then(|node| moment(reader, node, &fields.path_of("date"), known));
    let days = fields.get("offset_days").and_then(|node| days(reader, node, &fields.path_of("offset_days")));
    let words = [("start", false), ("end", true)];
    let at = fields.get("at").and_then(|node| reader.word(node, &fields.path_of("at"), &words));
    Some(Bound { value: value?, days: Some(days.unwrap_or(0)), end: at.unwrap_or(end) })
}

/// Reads an expression that gives a date or an instant for everybody.
fn moment(reader: &mut Reader<'_>, node: &Node, path: &str, known: &Vocabulary) -> Option<Expression> {
    let found = expression(reader, node, path, known, Kind::Any)?;
    if !matches!(found.kind, Kind::Any | Kind::Date | Kind::Time | Kind::Text) {
        let summary = format!("expected a date or an instant, this gives {}", found.kind.name());
        reader.error("P0026", node.place, path, summary, "correct the expression");
        return None;
    }
    let Some(fault) = found.undecided() else { return Some(found) };
    // Without a date, nobody knows whether the mapping counts: its author says, not we.
    let place = reader.sources.inside(node.place, &found.text, fault.at, fault.length);
    let read: String = found.text.chars().skip(fault.at).take(fault.length.min(60)).collect();
    let shown = provision_core::text::escape(&read);
    let summary = format!("`{shown}` may be null, and nothing says whether the mapping counts then");
    let remedy = format!("decide it, as in `has({shown}) ? {shown} : date(\"2000-01-01\")`");
    reader.error("P0027", place, path, summary, remedy);
    None
}

fn days(reader: &mut Reader<'_>, node: &Node, path: &str) -> Option<i32> {
    let found = match &node.data {
        Data::Text { text, plain: true } => text.parse::<i32>().ok(),
        _ => None,
    };
    let found = found.filter(|days| (-3660..=3660).contains(days));
    if found.is_none() {
        reader.wrong(node, path, "a whole number from -3660 to 3660");
    }
    found
}
