//! Tables: rows of data that rules and expressions read by key.

use std::collections::BTreeMap;

use provision_core::value::Date;

use super::table_file;
use crate::document::{Data, Fields, Node, Place, Reader, suggestion};
use crate::expression::{Columns, Kind, Shape};

/// Most rows of a table.
pub(super) const ROWS_MAX: usize = 100_000;
/// Most columns of a table.
pub(super) const COLUMNS_MAX: usize = 64;
/// Longest cell, in bytes.
const CELL_MAX: usize = 4096;
/// Most values of a cell.
const VALUES_MAX: usize = 1000;

/// A table: rows by key.
#[derive(Clone, Debug, Default)]
pub(crate) struct Table {
    /// The column that holds the key.
    key: String,
    /// Keys that differ in case only are one.
    folded: bool,
    /// What each column holds, by name; the number is that of the cell in a row.
    columns: BTreeMap<String, (usize, Holds)>,
    rows: BTreeMap<String, Row>,
    /// For keys without a row, and for no key at all.
    default: Option<Row>,
}

/// A row of a table.
#[derive(Clone, Debug, Default)]
pub(crate) struct Row {
    /// Its key as written.
    pub(crate) key: String,
    pub(crate) place: Place,
    cells: Vec<Cell>,
    /// Where the cells stand.
    places: Vec<Place>,
}

/// A value of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Cell {
    Null,
    Text(String),
    Number(i64),
    Truth(bool),
    Date(Date),
    List(Vec<String>),
}

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Holds {
    Text,
    Number,
    Truth,
    Date,
    List,
}

/// The words for what columns hold.
const KINDS: &[(&str, Holds)] = &[
    ("text", Holds::Text),
    ("number", Holds::Number),
    ("truth", Holds::Truth),
    ("date", Holds::Date),
    ("list", Holds::List),
];

impl Table {
    /// The row of a key.
    pub(crate) fn row(&self, key: &str) -> Option<&Row> {
        match self.folded {
            true => self.rows.get(&key.to_lowercase()),
            false => self.rows.get(key),
        }
    }

    /// The row of a key, or the one for keys without a row.
    pub(crate) fn row_or_default(&self, key: Option<&str>) -> Option<&Row> {
        key.and_then(|key| self.row(key)).or(self.default.as_ref())
    }

    /// The number of a column, and what it holds.
    pub(crate) fn column(&self, name: &str) -> Option<(usize, Holds)> {
        self.columns.get(name).copied()
    }

    /// Every row, the default one last.
    pub(crate) fn rows(&self) -> impl Iterator<Item = &Row> {
        self.rows.values().chain(&self.default)
    }

    /// The column most like a name, or all of them: for messages.
    pub(crate) fn meant(&self, name: &str) -> String {
        match suggestion(name, self.columns.keys().map(String::as_str)) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => {
                let known: Vec<_> = self.columns.keys().take(20).map(String::as_str).collect();
                format!("it has: {}", known.join(", "))
            }
        }
    }

    /// What expressions must know of it.
    pub(super) fn known(&self) -> Columns {
        let shape = |(name, (number, holds)): (&String, &(usize, Holds))| {
            let shape = match holds {
                Holds::Text => Shape::of(Kind::Text),
                Holds::Number => Shape::of(Kind::Int),
                Holds::Truth => Shape::of(Kind::Bool),
                Holds::Date => Shape::of(Kind::Date),
                Holds::List => Shape::list(Kind::Text),
            };
            (name.clone(), (shape, self.rows().any(|row| *row.cell(*number) == Cell::Null)))
        };
        Columns { of: self.columns.iter().map(shape).collect(), default: self.default.is_some() }
    }

    /// Its content as a node, however it is written: what the bundle's hash covers.
    pub(super) fn canonical(&self) -> Node {
        let text = |text: &str| node(Data::Text { text: text.to_owned(), plain: true });
        let row = |row: &Row| node(Data::List(row.cells.iter().map(Cell::canonical).collect()));
        let kind =
            |holds: Holds| KINDS.iter().find(|(_, known)| *known == holds).map_or("", |(word, _)| *word);
        let columns = self.columns.iter().map(|(name, (number, holds))| {
            let column = vec![text(kind(*holds)), text(&number.to_string())];
            (text(name), node(Data::List(column)))
        });
        let mut parts = vec![
            (text("key"), text(&self.key)),
            (text("folded"), text(if self.folded { "true" } else { "false" })),
            (text("columns"), node(Data::Map(columns.collect()))),
            (text("rows"), node(Data::Map(self.rows.iter().map(|(key, of)| (text(key), row(of))).collect()))),
        ];
        parts.extend(self.default.as_ref().map(|default| (text("default"), row(default))));
        node(Data::Map(parts))
    }

    /// Its content as a node, with everything that an evaluation may show of it.
    pub(super) fn shown(&self) -> Node {
        let text = |text: &str| node(Data::Text { text: text.to_owned(), plain: true });
        let mut shown = self.canonical();
        if let Data::Map(parts) = &mut shown.data
            && self.folded
        {
            // Reasons name rows by their keys as written.
            let written = self.rows.iter().map(|(key, row)| (text(key), text(&row.key)));
            parts.push((text("written"), node(Data::Map(written.collect()))));
        }
        shown
    }

    /// Reads a table; its rows stand here, or in a file beside this one.
    pub(super) fn read(reader: &mut Reader<'_>, node: &Node, path: &str) -> Self {
        let keys =
            ["description", "key", "case", "columns", "separator", "delimiter", "default", "rows", "file"];
        let fields = reader.fields(node, path, &keys);
        if let Some(node) = fields.get("description") {
            reader.text(node, &fields.path_of("description"));
        }
        let mut table = Self::default();
        if let Some(node) = reader.required(&fields, "key") {
            table.key = reader.text(node, &fields.path_of("key")).unwrap_or_default().to_owned();
        }
        let case = fields.get("case");
        let case = case.and_then(|node| {
            reader.word(node, &fields.path_of("case"), &[("exact", false), ("ignore", true)])
        });
        table.folded = case.unwrap_or(false);
        table.read_columns(reader, &fields);
        let separator = sign(reader, &fields, "separator", '|');
        let delimiter = sign(reader, &fields, "delimiter", ',');
        if let Some(node) = fields.get("default").filter(|node| !matches!(node.data, Data::Null)) {
            table.default = Some(table.read_row(reader, node, &fields.path_of("default"), separator, false));
        }
        match (fields.get("rows"), fields.get("file")) {
            (Some(rows), None) => {
                let path = fields.path_of("rows");
                for row in reader.list(rows, &path) {
                    table.add(reader, row, &path, separator);
                }
            }
            (None, Some(file)) => {
                let path = fields.path_of("file");
                let columns: Vec<&str> = table.columns.keys().map(String::as_str).collect();
                let rows = table_file::rows(reader, file, &path, delimiter, &columns);
                for row in rows {
                    table.add(reader, &row, path.as_str(), separator);
                }
            }
            _ => {
                let summary = "a table has `rows`, or a `file` with them";
                reader.error("P0005", node.place, path, summary, "give one of the two");
            }
        }
        if table.rows.len() > ROWS_MAX {
            let summary = format!("the table has more than {ROWS_MAX} rows");
            reader.error("P0066", node.place, path, summary, "split it by what it is for");
        }
        table
    }

    fn read_columns(&mut self, reader: &mut Reader<'_>, fields: &Fields<'_>) {
        let mut names = BTreeMap::from([(self.key.clone(), Holds::Text)]);
        if let Some(node) = reader.required(fields, "columns") {
            let path = fields.path_of("columns");
            for (name, key, node) in reader.entries(node, &path) {
                let holds = reader.word(node, &format!("{path}.{name}"), KINDS).unwrap_or(Holds::Text);
                if name == self.key && holds != Holds::Text {
                    let summary = format!("`{name}` holds the key, which is a text");
                    reader.error("P0065", key.place, &path, summary, "leave it out, or write `text`");
                    continue;
                }
                names.insert(name.to_owned(), holds);
            }
            if names.len() > COLUMNS_MAX {
                let summary = format!("a table has at most {COLUMNS_MAX} columns");
                reader.error("P0066", node.place, &path, summary, "leave out what nothing reads");
            }
        }
        let columns = names.into_iter().enumerate();
        self.columns = columns.map(|(number, (name, holds))| (name, (number, holds))).collect();
    }

    fn add(&mut self, reader: &mut Reader<'_>, node: &Node, path: &str, separator: char) {
        // One more than may be: enough to say that there are too many.
        if self.rows.len() > ROWS_MAX {
            return;
        }
        let row = self.read_row(reader, node, path, separator, true);
        if row.key.is_empty() {
            return;
        }
        let key = if self.folded { row.key.to_lowercase() } else { row.key.clone() };
        if let Some(known) = self.rows.get(&key) {
            let line = reader.sources.span(known.place).line;
            let summary = format!("`{}` has a row already, in line {line}", row.key);
            reader.error("P0003", row.place, path, summary, "keep one of the two");
            return;
        }
        self.rows.insert(key, row);
    }

    fn read_row(
        &self,
        reader: &mut Reader<'_>,
        node: &Node,
        path: &str,
        separator: char,
        keyed: bool,
    ) -> Row {
        let columns: Vec<&str> =
            self.columns.keys().map(String::as_str).filter(|name| keyed || *name != self.key).collect();
        let fields = reader.fields(node, path, &columns);
        let mut cells = vec![Cell::Null; self.columns.len()];
        let mut places = vec![node.place; self.columns.len()];
        for (name, (number, holds)) in &self.columns {
            if let (Some(node), Some(place)) = (fields.get(name), places.get_mut(*number)) {
                *place = node.place;
            }
            let Some(cell) = cells.get_mut(*number) else { continue };
            *cell = match fields.get(name) {
                Some(node) => Cell::read(reader, node, path, name, (*holds, separator)),
                None if *holds == Holds::List => Cell::List(Vec::new()),
                None => Cell::Null,
            };
        }
        let key_node = fields.get(&self.key);
        let key = key_node.and_then(Node::text).unwrap_or_default().to_owned();
        let broken = !matches!(node.data, Data::Map(_) | Data::Null);
        if keyed && key.is_empty() && !broken {
            let place = key_node.map_or(node.place, |node| node.place);
            let summary = format!("the row has no `{}`, which is its key", self.key);
            reader.error("P0064", place, path, summary, "write the key, or remove the row");
        }
        Row { key, place: key_node.map_or(node.place, |node| node.place), cells, places }
    }
}

impl Row {
    /// The cell with that number.
    pub(crate) fn cell(&self, number: usize) -> &Cell {
        self.cells.get(number).unwrap_or(&Cell::Null)
    }

    /// Where the cell with that number stands.
    pub(super) fn place_of(&self, number: usize) -> Place {
        self.places.get(number).copied().unwrap_or(self.place)
    }
}

impl Cell {
    fn read(
        reader: &mut Reader<'_>,
        node: &Node,
        path: &str,
        column: &str,
        (holds, separator): (Holds, char),
    ) -> Self {
        let found = match (&node.data, holds) {
            (Data::Null, Holds::List) => Some(Self::List(Vec::new())),
            (Data::Null, _) => Some(Self::Null),
            (Data::Text { text, .. }, _) if text.len() > CELL_MAX => None,
            (Data::Text { text, .. }, holds) => match holds {
                Holds::List => {
                    let values = text.split(separator).map(str::trim).filter(|value| !value.is_empty());
                    Some(Self::List(values.map(str::to_owned).collect()))
                }
                _ if text.is_empty() => Some(Self::Null),
                Holds::Text => Some(Self::Text(text.clone())),
                Holds::Number => text.trim().parse().ok().map(Self::Number),
                Holds::Truth => text.trim().parse().ok().map(Self::Truth),
                Holds::Date => text.trim().parse().ok().map(Self::Date),
            },
            (Data::List(items), Holds::List) => {
                let texts = items.iter().map(|item| item.text().map(str::to_owned));
                texts.collect::<Option<Vec<_>>>().map(Self::List)
            }
            _ => None,
        };
        let fits = |cell: &Self| match cell {
            Self::List(values) => {
                values.len() <= VALUES_MAX && values.iter().all(|value| value.len() <= CELL_MAX)
            }
            _ => true,
        };
        found.filter(fits).unwrap_or_else(|| {
            let what = match holds {
                Holds::Text => format!("a text of at most {CELL_MAX} bytes"),
                Holds::Number => "a whole number".to_owned(),
                Holds::Truth => "`true` or `false`".to_owned(),
                Holds::Date => "a date like 2026-11-20".to_owned(),
                Holds::List => format!("a list of at most {VALUES_MAX} texts"),
            };
            let summary = format!("`{column}` holds {what}");
            reader.error("P0065", node.place, path, summary, format!("write {what}"));
            Self::Null
        })
    }

    fn canonical(&self) -> Node {
        let text = |text: String| node(Data::Text { text, plain: true });
        match self {
            Self::Null => node(Data::Null),
            Self::Text(value) => text(value.clone()),
            Self::Number(value) => text(value.to_string()),
            Self::Truth(value) => text(value.to_string()),
            Self::Date(value) => text(value.to_string()),
            Self::List(values) => node(Data::List(values.iter().map(|value| text(value.clone())).collect())),
        }
    }
}

/// A key whose value is one character.
fn sign(reader: &mut Reader<'_>, fields: &Fields<'_>, key: &str, without: char) -> char {
    let Some(node) = fields.get(key) else { return without };
    let mut given = node.text().unwrap_or_default().chars();
    match (given.next(), given.next()) {
        (Some(sign), None) if !sign.is_alphanumeric() && !matches!(sign, '"' | '\n' | '\r') => sign,
        _ => {
            reader.wrong(node, &fields.path_of(key), "one character that is no letter, digit or quote");
            without
        }
    }
}

fn node(data: Data) -> Node {
    Node { place: Place::default(), data }
}
