//! The header row: which column is where, and what is wrong when one is not there.

use std::collections::HashMap;

use provision_core::diagnostic::{Diagnostic, Severity, Span};

use super::cell::clean;
use super::error::{self, shown};
use super::record::Cells;

/// Column names in order.
#[derive(Debug)]
pub(super) struct Header {
    names: Vec<String>,
    file: String,
    line: u64,
    delimiter: char,
}

/// Most column names that a message lists.
const LISTED_MAX: usize = 40;

impl Header {
    /// Reads the header's cells; names are cleaned as cells are.
    ///
    /// # Errors
    /// What makes the file unreadable: another delimiter, a name twice.
    pub(super) fn read(
        cells: Cells<'_>,
        file: &str,
        line: u64,
        delimiter: u8,
    ) -> Result<Self, Vec<Diagnostic>> {
        let names = cells.iter().map(|cell| clean(cell).into_owned()).collect::<Vec<_>>();
        let header = Self { names, file: file.to_owned(), line, delimiter: char::from(delimiter) };
        if let [only] = header.names.as_slice() {
            let other = [';', '\t', ',', '|'].into_iter().find(|other| only.contains(*other));
            if let Some(other) = other {
                return Err(vec![header.delimiter_problem(other)]);
            }
        }
        let mut first = HashMap::new();
        let mut problems = Vec::new();
        for (index, name) in header.names.iter().enumerate().filter(|(_, name)| !name.is_empty()) {
            if let Some(before) = first.insert(name.as_str(), index) {
                problems.push(header.problem(
                    error::DUPLICATE_HEADER,
                    format!(
                        "the header has {} twice, as columns {} and {}",
                        shown(name),
                        before + 1,
                        index + 1
                    ),
                    "give every column a name of its own",
                    Some(index),
                ));
            }
        }
        if problems.is_empty() { Ok(header) } else { Err(problems) }
    }

    /// How many columns there are.
    pub(super) fn width(&self) -> usize {
        self.names.len()
    }

    /// The index of a column.
    pub(super) fn index(&self, column: &str) -> Option<usize> {
        let column = clean(column);
        self.names.iter().position(|name| *name == column)
    }

    /// The name of a column, for messages.
    pub(super) fn name(&self, index: usize) -> &str {
        self.names.get(index).map(String::as_str).unwrap_or_default()
    }

    /// A column that the configuration names and the header does not have.
    pub(super) fn missing(&self, column: &str, used_by: &str) -> Diagnostic {
        let mut listed =
            self.names.iter().take(LISTED_MAX).map(String::as_str).collect::<Vec<_>>().join(", ");
        if self.names.len() > LISTED_MAX {
            listed.push_str(", …");
        }
        let near = nearest(column, &self.names);
        let remedy = match near {
            Some((_, name)) => {
                format!("did you mean {}? otherwise ask for the column, or change `{used_by}`", shown(name))
            }
            None => format!("ask for the column, or change `{used_by}`"),
        };
        let summary = format!("column {} is not in the header; it has: {listed}", shown(column));
        self.problem(error::MISSING_COLUMN, summary, &remedy, near.map(|(index, _)| index))
    }

    fn delimiter_problem(&self, other: char) -> Diagnostic {
        let show = |c: char| if c == '\t' { "tab".to_owned() } else { format!("`{c}`") };
        self.problem(
            error::DELIMITER,
            format!(
                "the header is one column that holds {}: the delimiter is not {}",
                show(other),
                show(self.delimiter)
            ),
            &format!(
                "declare `delimiter: \"{}\"`",
                if other == '\t' { "\\t".to_owned() } else { other.to_string() }
            ),
            None,
        )
    }

    /// A problem of the header: it names columns, not people, so its line is shown.
    fn problem(&self, code: &str, summary: String, remedy: &str, caret: Option<usize>) -> Diagnostic {
        let text = self.names.join(&self.delimiter.to_string());
        let (mut column, mut length) = (0, 0);
        if let Some(index) = caret {
            let before = self.names.iter().take(index).map(|name| name.chars().count() + 1).sum::<usize>();
            column = u32::try_from(before + 1).unwrap_or(0);
            length = u32::try_from(self.name(index).chars().count()).unwrap_or(1);
        }
        let text = if text.chars().count() > 200 { String::new() } else { text };
        if text.is_empty() {
            (column, length) = (0, 0);
        }
        let line = u32::try_from(self.line).unwrap_or(u32::MAX);
        Diagnostic::new(Severity::Error, code, summary, remedy).at(Span {
            file: self.file.clone(),
            line,
            column,
            length,
            text,
        })
    }
}

/// The name most like `wanted`, if one is close: same letters, or few edits.
fn nearest<'a>(wanted: &str, names: &'a [String]) -> Option<(usize, &'a str)> {
    let bare = |name: &str| {
        name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect::<Vec<_>>()
    };
    let wanted = bare(wanted);
    let limit = (wanted.len() / 3).max(1);
    names
        .iter()
        .enumerate()
        .map(|(index, name)| (distance(&wanted, &bare(name)), index, name.as_str()))
        .filter(|(distance, _, name)| *distance <= limit && !name.is_empty())
        .min()
        .map(|(_, index, name)| (index, name))
}

/// Edits (insert, remove, change) between two names.
fn distance(a: &[char], b: &[char]) -> usize {
    let mut row = (0..=b.len()).collect::<Vec<_>>();
    for (i, from) in a.iter().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        let mut next = vec![left];
        for (to, above) in b.iter().zip(row.iter().skip(1)) {
            left = (diagonal + usize::from(from != to)).min(left + 1).min(above + 1);
            diagonal = *above;
            next.push(left);
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearest_ignores_case_and_signs_and_stays_away_from_strangers() {
        let names = ["Employee ID", "first_name", "Dept", ""].map(str::to_owned);
        assert_eq!(nearest("employee_id", &names), Some((0, "Employee ID")));
        assert_eq!(nearest("firstnam", &names), Some((1, "first_name")));
        assert_eq!(nearest("cost_center", &names), None);
        assert_eq!(distance(&['a', 'b', 'c'], &['a', 'c']), 1);
        assert_eq!(distance(&['k', 'i', 't', 't', 'e', 'n'], &['s', 'i', 't', 't', 'i', 'n', 'g']), 3);
    }
}
