//! Tables in files of their own: CSV as RFC 4180 has it, with a header.

use crate::document::{Data, FILE_MAX, Node, Place, Reader, suggestion};

/// A cell and where it stands.
type Found = (Place, String);

/// The rows of the file that a table names, as nodes of its columns. What is wrong is reported in the file.
pub(super) fn rows(
    reader: &mut Reader<'_>,
    named: &Node,
    path: &str,
    delimiter: char,
    columns: &[&str],
) -> Vec<Node> {
    let Some(name) = reader.text(named, path) else { return Vec::new() };
    let beside = !name.contains(['/', '\\']) && is_table(name);
    if !beside {
        reader.wrong(named, path, "the name of a `.csv` file beside this one");
        return Vec::new();
    }
    let found = reader.sources.files().find(|(_, file, _)| base(file) == name);
    let Some((file, _, text)) = found else {
        let known = reader.sources.files().map(|(_, file, _)| base(file)).filter(|file| is_table(file));
        let remedy = match suggestion(name, known) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => "put it beside the files of the bundle".to_owned(),
        };
        reader.error("P0062", named.place, path, format!("there is no file `{name}`"), remedy);
        return Vec::new();
    };
    let top = Place { file, start: 0, end: 0 };
    if text.len() > FILE_MAX {
        reader.error("P0002", top, path, "the file is larger than 4 MiB", "split the table");
        return Vec::new();
    }
    let mut lines = Cells::new(file, text, delimiter);
    let Some(header) = lines.next_row(reader, path) else {
        reader.error("P0063", top, path, "the file has no header", "name the columns in its first line");
        return Vec::new();
    };
    let header = known_header(reader, header, path, columns);
    let mut rows = Vec::new();
    while let Some(cells) = lines.next_row(reader, path) {
        if rows.len() > super::table::ROWS_MAX {
            break;
        }
        let place = cells.first().map_or(top, |(place, _)| *place);
        if cells.len() != header.len() {
            let summary = format!("the row has {} cells, the header {}", cells.len(), header.len());
            let remedy = "quote cells that hold the delimiter, as in `\"a, b\"`";
            reader.error("P0063", place, path, summary, remedy);
            continue;
        }
        let named = header.iter().zip(cells).filter_map(|(column, (place, text))| {
            let column = column.as_ref()?;
            let data = if text.is_empty() { Data::Null } else { Data::Text { text, plain: true } };
            Some((column.clone(), Node { place, data }))
        });
        rows.push(Node { place, data: Data::Map(named.collect()) });
    }
    rows
}

/// The columns of the file, in its order; `None` for one that is reported.
fn known_header(
    reader: &mut Reader<'_>,
    header: Vec<Found>,
    path: &str,
    columns: &[&str],
) -> Vec<Option<Node>> {
    let mut seen: Vec<String> = Vec::new();
    let mut known = Vec::with_capacity(header.len());
    let end = header.first().map_or(Place::default(), |(place, _)| *place);
    for (place, name) in header {
        let name = name.trim().to_owned();
        if !columns.contains(&name.as_str()) {
            let remedy = match suggestion(&name, columns.iter().copied()) {
                Some(meant) => format!("did you mean `{meant}`?"),
                None => "declare it under `columns`".to_owned(),
            };
            reader.error("P0061", place, path, format!("unknown column `{name}`"), remedy);
            known.push(None);
        } else if seen.contains(&name) {
            let summary = format!("the column `{name}` is there twice");
            reader.error("P0003", place, path, summary, "keep one of the two");
            known.push(None);
        } else {
            known.push(Some(Node { place, data: Data::Text { text: name.clone(), plain: true } }));
            seen.push(name);
        }
    }
    for missing in columns.iter().filter(|column| !seen.iter().any(|name| name == *column)) {
        let summary = format!("the file has no column `{missing}`");
        reader.error("P0061", end, path, summary, "add it, or take it out of `columns`");
    }
    known
}

/// True for a file that holds a table, by its name.
pub(super) fn is_table(file: &str) -> bool {
    file.len() > 4 && file.get(file.len() - 4..).is_some_and(|end| end.eq_ignore_ascii_case(".csv"))
}

/// The name of a file without its folders.
pub(super) fn base(file: &str) -> &str {
    file.rsplit(['/', '\\']).next().unwrap_or(file)
}

/// Walks over the cells of a text.
struct Cells<'t> {
    file: usize,
    text: &'t str,
    delimiter: char,
    at: usize,
}

impl<'t> Cells<'t> {
    fn new(file: usize, text: &'t str, delimiter: char) -> Self {
        let at = if text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
        Self { file, text, delimiter, at }
    }

    /// The next row that is not empty.
    fn next_row(&mut self, reader: &mut Reader<'_>, path: &str) -> Option<Vec<Found>> {
        loop {
            let mut row = Vec::new();
            if self.at >= self.text.len() {
                return None;
            }
            while let Some((cell, last)) = self.cell(reader, path) {
                row.push(cell);
                if last {
                    break;
                }
            }
            let blank = matches!(row.as_slice(), [(place, _)] if place.start == place.end);
            if !blank {
                return Some(row);
            }
        }
    }

    /// The next cell of a row, and whether it is the last one.
    fn cell(&mut self, reader: &mut Reader<'_>, path: &str) -> Option<(Found, bool)> {
        let start = self.at;
        let rest = self.text.get(start..)?;
        let (value, length) = match rest.strip_prefix('"') {
            Some(quoted) => self.quoted(quoted, start, reader, path),
            None => {
                let length = rest.find([self.delimiter, '\n', '\r']).unwrap_or(rest.len());
                (rest.get(..length).unwrap_or_default().to_owned(), length)
            }
        };
        let place = Place { file: self.file, start, end: start + length };
        self.at = start + length;
        let mut after = self.text.get(self.at..).unwrap_or_default().chars();
        let last = match after.next() {
            Some(sign) if sign == self.delimiter => {
                self.at += sign.len_utf8();
                false
            }
            Some('\r') if after.next() == Some('\n') => {
                self.at += 2;
                true
            }
            Some('\r' | '\n') => {
                self.at += 1;
                true
            }
            _ => true,
        };
        Some(((place, value), last))
    }

    /// A cell in quotes: its value, and its length with them.
    fn quoted(&self, quoted: &str, start: usize, reader: &mut Reader<'_>, path: &str) -> (String, usize) {
        let mut value = String::new();
        let mut chars = quoted.char_indices().peekable();
        while let Some((at, c)) = chars.next() {
            if c != '"' {
                value.push(c);
            } else if chars.next_if(|(_, next)| *next == '"').is_some() {
                value.push('"');
            } else {
                let after = quoted.get(at + 1..).unwrap_or_default();
                let more = after.find([self.delimiter, '\n', '\r']).unwrap_or(after.len());
                if more > 0 {
                    let place = Place { file: self.file, start, end: start + at + 2 };
                    let summary = "something stands after the closing quote";
                    reader.error("P0063", place, path, summary, "write a quote in a cell twice");
                }
                return (value, at + 2 + more);
            }
        }
        let place = Place { file: self.file, start, end: start + 1 };
        reader.error("P0063", place, path, "the quote is not closed", "close it");
        (value, quoted.len() + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::Sources;

    fn read(text: &str) -> (Vec<Vec<String>>, Vec<String>) {
        let sources = Sources::new(&[("t.csv", text)]);
        let mut reader = Reader::new(&sources);
        let mut cells = Cells::new(0, text, ',');
        let mut rows = Vec::new();
        while let Some(row) = cells.next_row(&mut reader, "") {
            for (place, value) in &row {
                let raw = text.get(place.start..place.end).unwrap_or("?");
                assert!(raw == value || raw.starts_with('"'), "{raw:?} is not {value:?}");
            }
            rows.push(row.into_iter().map(|(_, value)| value).collect());
        }
        let problems = reader.into_problems().iter().map(|problem| problem.code.clone()).collect();
        (rows, problems)
    }

    #[test]
    fn cells_are_read_as_the_standard_has_them() {
        let text = "\u{feff}a,b\r\n1,\"x, \"\"y\"\"\r\nz\"\n\n,\r\n\"\",é\r3,4";
        let rows = [vec!["a", "b"], vec!["1", "x, \"y\"\r\nz"], vec!["", ""], vec!["", "é"], vec!["3", "4"]];
        let (found, problems) = read(text);
        assert_eq!(found, rows.map(|row| row.into_iter().map(str::to_owned).collect::<Vec<_>>()));
        assert!(problems.is_empty(), "{problems:?}");
        assert_eq!(read("a\n\"b").1, ["P0063"]);
        assert_eq!(read("\"a\"b,c\n").1, ["P0063"]);
        assert_eq!(read("").0.len(), 0);
    }
}
