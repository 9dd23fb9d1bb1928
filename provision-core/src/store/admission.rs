//! What every store checks before it looks at its rows, so that all of them refuse the same calls.

use super::table::IndexSpec;
use super::{Changes, Due, Expect, Scan, Select, Table};
use crate::error::{Effect, Error, ErrorKind, Result};
use crate::id::RealmId;

/// The realm of changes that are well formed; `None` when they ask for nothing at all.
pub(super) fn admit(changes: &Changes) -> Result<Option<&RealmId>> {
    if changes.is_empty() && changes.expect.is_empty() {
        return Ok(None);
    }
    let Some(realm) = &changes.realm else {
        return Err(misuse("changes name no realm").with_effect(Effect::None));
    };
    for put in &changes.put {
        columns(put.table.name(), put.table.columns(), &put.columns)?;
    }
    for append in &changes.append {
        let indexes = append.stream.indexes().iter().map(|index| index.name);
        columns(append.stream.name(), indexes, &append.columns)?;
    }
    if let Some((stream, _)) = changes.trim.iter().find(|(stream, _)| !stream.may_be_trimmed()) {
        let message = format!("rows of `{}` are kept: it is not trimmed", stream.name());
        return Err(misuse(message).with_effect(Effect::None));
    }
    for expect in &changes.expect {
        if let Expect::Column { table, column, .. } = expect {
            known(table.name(), table.indexes(), column).map_err(|error| error.with_effect(Effect::None))?;
        }
    }
    Ok(Some(realm))
}

/// Checks a page: its column, and a limit that lets the reader get on.
pub(super) fn admit_scan(scan: &Scan) -> Result<()> {
    if scan.limit == 0 {
        return Err(misuse("a page of 0 rows never ends: give a limit of at least 1"));
    }
    admit_select(scan.table, &scan.select)
}

/// Checks that the column of a select is indexed.
pub(super) fn admit_select(table: Table, select: &Select) -> Result<()> {
    match select {
        Select::KeyPrefix(_) => Ok(()),
        Select::Equal(column, _) | Select::AtMost(column, _) | Select::ColumnPrefix(column, _) => {
            known(table.name(), table.indexes(), column)
        }
    }
}

/// Checks a question for realms: its column, its range, and a limit that lets the reader get on.
pub(super) fn admit_due(due: &Due) -> Result<()> {
    if due.limit == 0 {
        return Err(misuse("a page of 0 realms never ends: give a limit of at least 1"));
    }
    if !due.at_most.starts_with(&due.prefix) {
        return Err(misuse("the last value that is due does not start with the prefix"));
    }
    let mut across = due.table.indexes().iter().filter(|index| index.across);
    if across.any(|index| index.name == due.column) {
        return Ok(());
    }
    Err(misuse(format!("realms are not found by column `{}` of `{}`", due.column, due.table.name())))
}

/// Checks that a column is one of the indexed ones.
pub(super) fn known(holder: &str, indexes: &[IndexSpec], column: &str) -> Result<()> {
    if indexes.iter().any(|index| index.name == column) {
        return Ok(());
    }
    Err(misuse(format!("`{holder}` has no indexed column `{column}`")))
}

fn columns(
    holder: &str,
    allowed: impl Iterator<Item = &'static str> + Clone,
    given: &[(&'static str, String)],
) -> Result<()> {
    for (position, (column, _)) in given.iter().enumerate() {
        if !allowed.clone().any(|name| name == *column) {
            return Err(misuse(format!("`{holder}` has no column `{column}`")).with_effect(Effect::None));
        }
        if given.iter().skip(position + 1).any(|(other, _)| other == column) {
            let message = format!("a row of `{holder}` gives column `{column}` twice");
            return Err(misuse(message).with_effect(Effect::None));
        }
    }
    Ok(())
}

fn misuse(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Unexpected, message)
}

/// The smallest text above every text that starts with `prefix`; `None` when there is no such text.
///
/// UTF-8 sorts by code point, so that raising the last character that can be raised is enough.
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub(super) fn above_prefix(prefix: &str) -> Option<String> {
    let mut text = prefix.to_owned();
    while let Some(last) = text.pop() {
        let next = match last {
            '\u{D7FF}' => Some('\u{E000}'),
            other => char::from_u32(u32::from(other) + 1),
        };
        if let Some(next) = next {
            text.push(next);
            return Some(text);
        }
    }
    None
}

#[cfg(all(test, any(feature = "sqlite", feature = "postgres")))]
mod tests {
    use super::above_prefix;

    #[test]
    fn above_prefix_is_above_all_that_start_with_it_and_below_the_rest() {
        assert_eq!(above_prefix("ab").as_deref(), Some("ac"));
        assert_eq!(above_prefix("a\u{D7FF}").as_deref(), Some("a\u{E000}"));
        assert_eq!(above_prefix("a\u{10FFFF}").as_deref(), Some("b"));
        assert_eq!(above_prefix("\u{10FFFF}"), None);
        assert_eq!(above_prefix(""), None);
    }
}
