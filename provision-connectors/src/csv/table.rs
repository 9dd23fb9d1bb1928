//! The table in memory: rows in the file's order, found by their unique cells.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::ops::Bound;
use std::path::Path;
use std::sync::Arc;

use provision_core::connector::{Object, ObjectKey};
use provision_core::schema::AttributeType;
use provision_core::value::{Attributes, Slot, Value};
use provision_core::{Effect, Error, ErrorKind, Result};

use super::cell::{join, mark, split, unmark};
use super::encoding::{Encoding, Utf8Reader};
use super::error;
use super::file::Stamp;
use super::record::{Record, RecordReader, write_cell};
use super::schema::{AttributeColumn, Shape};

/// A row: its cells as they stand in the file.
pub(super) type Row = Arc<[String]>;

/// Most bytes of a row that is read back.
const ROW_LENGTH_MAX: usize = 64 << 20;

/// Rows in the order of the file. Cheap to clone but for the indexes.
#[derive(Clone, Debug, Default)]
pub(super) struct Table {
    rows: BTreeMap<u64, Row>,
    /// For each unique column, the cell and its row. Null cells are not in it.
    index: Vec<HashMap<String, u64>>,
    next: u64,
}

impl Table {
    /// A table without rows.
    pub(super) fn empty(shape: &Shape) -> Self {
        Self { index: vec![HashMap::new(); shape.unique.len()], ..Self::default() }
    }

    /// Reads a whole file that is already open.
    ///
    /// # Errors
    /// `ConfigInvalid` for another header; `DataInvalid` for a file that is no table. Effect `None`.
    pub(super) fn read(shape: &Shape, path: &Path, file: &File) -> Result<Self> {
        let invalid = |line: u64, message: String| {
            Error::new(ErrorKind::DataInvalid, message)
                .with_context("path", path.display().to_string())
                .with_context("line", line.to_string())
                .with_effect(Effect::None)
        };
        let failed = |error| error::io("read the file", path, error).with_effect(Effect::None);
        let input = Utf8Reader::open(file, Some(Encoding::Utf8)).map_err(failed)?;
        let input = input.map_err(|told| invalid(1, told.summary.to_owned()))?;
        let mut reader = RecordReader::new(input, shape.dialect, ROW_LENGTH_MAX);
        let mut record = Record::default();
        let mut table = Self::empty(shape);
        let mut header = true;
        while reader.read(&mut record).map_err(failed)? {
            let line = record.line;
            let cells = record
                .text()
                .map_err(|at| invalid(at.line, format!("byte 0x{:02X} is not UTF-8", at.byte)))?;
            if record.too_long || record.open_quote.is_some() || record.stray.is_some() {
                return Err(invalid(line, "a quote is not closed, or the row is too long".to_owned()));
            }
            if header {
                check_header(shape, path, &cells.iter().collect::<Vec<_>>())?;
                header = false;
                continue;
            }
            if record.len() != shape.header.len() {
                let message =
                    format!("the row has {} cells and the header {}", record.len(), shape.header.len());
                return Err(invalid(line, message));
            }
            let row: Row = cells.iter().map(str::to_owned).collect();
            if row.get(shape.key).is_none_or(String::is_empty) {
                return Err(invalid(line, "the row has no key".to_owned()));
            }
            if let Err(taken) = table.insert(shape, row) {
                let name = shape.header.get(taken.column).map(String::as_str).unwrap_or_default();
                return Err(invalid(line, format!("two rows have the same `{name}`")));
            }
        }
        if header {
            let message = "the file is empty, without header; remove it to start a new table";
            return Err(invalid(1, message.to_owned()));
        }
        Ok(table)
    }

    /// The file's content.
    pub(super) fn to_bytes(&self, shape: &Shape) -> Vec<u8> {
        let cells = self.rows.values().flat_map(|row| row.iter()).map(|cell| cell.len() + 1).sum::<usize>();
        let mut out = Vec::with_capacity(cells + 1024);
        let mut write = |cells: &[String]| {
            for (index, cell) in cells.iter().enumerate() {
                if index > 0 {
                    out.push(shape.dialect.delimiter);
                }
                write_cell(&mut out, cell, shape.dialect);
            }
            out.push(b'\n');
        };
        write(&shape.header);
        for row in self.rows.values() {
            write(row);
        }
        out
    }

    /// How many rows there are.
    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    /// The rows after a position, with theirs.
    pub(super) fn after(&self, position: Option<u64>) -> impl Iterator<Item = (u64, &Row)> {
        let from = position.map_or(Bound::Unbounded, Bound::Excluded);
        self.rows.range((from, Bound::Unbounded)).map(|(position, row)| (*position, row))
    }

    /// The row whose key is this text.
    pub(super) fn find_key(&self, shape: &Shape, id: &str) -> Option<(u64, &Row)> {
        let cell = mark(id.to_owned(), shape.formulas);
        let position = *self.index.first()?.get(&cell)?;
        Some((position, self.rows.get(&position)?))
    }

    /// The row with this cell in a unique column; the outer `None`: the column is not unique.
    pub(super) fn find_unique(
        &self,
        shape: &Shape,
        column: usize,
        cell: &str,
    ) -> Option<Option<(u64, &Row)>> {
        let which = shape.unique.iter().position(|unique| *unique == column)?;
        let position = self.index.get(which)?.get(cell).copied();
        Some(position.and_then(|position| Some((position, self.rows.get(&position)?))))
    }

    /// Adds a row at the end.
    pub(super) fn insert(&mut self, shape: &Shape, row: Row) -> Result<(), Taken> {
        let position = self.next;
        self.put(shape, position, row)?;
        self.next += 1;
        Ok(())
    }

    /// Puts a row in the place of the one that is there, if one is.
    pub(super) fn put(&mut self, shape: &Shape, position: u64, row: Row) -> Result<(), Taken> {
        for (column, index) in shape.unique.iter().zip(&self.index) {
            let Some(cell) = row.get(*column).filter(|cell| !cell.is_empty()) else { continue };
            if index.get(cell).is_some_and(|other| *other != position) {
                return Err(Taken { column: *column });
            }
        }
        self.remove(shape, position);
        for (column, index) in shape.unique.iter().zip(&mut self.index) {
            if let Some(cell) = row.get(*column).filter(|cell| !cell.is_empty()) {
                index.insert(cell.clone(), position);
            }
        }
        self.rows.insert(position, row);
        Ok(())
    }

    /// Takes a row away.
    pub(super) fn remove(&mut self, shape: &Shape, position: u64) {
        let Some(row) = self.rows.remove(&position) else { return };
        for (column, index) in shape.unique.iter().zip(&mut self.index) {
            if let Some(cell) = row.get(*column) {
                index.remove(cell);
            }
        }
    }
}

/// Another row has the same cell in a unique column.
#[derive(Clone, Copy, Debug)]
pub(super) struct Taken {
    pub(super) column: usize,
}

fn check_header(shape: &Shape, path: &Path, found: &[&str]) -> Result<()> {
    if shape.header.iter().map(String::as_str).eq(found.iter().copied()) {
        return Ok(());
    }
    let lacks =
        shape.header.iter().filter(|name| !found.contains(&name.as_str())).cloned().collect::<Vec<_>>();
    let extra = found.iter().filter(|name| !shape.header.iter().any(|known| known == **name));
    let extra = extra.map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let mut parts = Vec::new();
    if !lacks.is_empty() {
        parts.push(format!("the file lacks {}", lacks.join(", ")));
    }
    if !extra.is_empty() {
        parts.push(format!("the file also has {}", extra.join(", ")));
    }
    if parts.is_empty() {
        parts.push(format!("the file's order is {}", found.join(", ")));
    }
    let message = format!("the file's header is not the configured one: {}", parts.join("; "));
    Err(error::config("columns", provision_core::text::escape(&message))
        .with_context("path", path.display().to_string()))
}

impl Shape {
    /// A slot as a cell; null and absent are the empty cell.
    pub(super) fn to_cell(&self, column: &AttributeColumn, slot: Option<&Slot>) -> String {
        let values = slot.map(Slot::values).unwrap_or_default();
        match values {
            [] => String::new(),
            [only] if !column.multi => mark(only.to_plain(), self.formulas),
            several => {
                let texts = several.iter().map(Value::to_plain).collect::<Vec<_>>();
                mark(join(&texts, self.separator), self.formulas)
            }
        }
    }

    fn to_slot(&self, column: &AttributeColumn, cell: &str) -> Result<Slot> {
        if cell.is_empty() {
            return Ok(Slot::Null);
        }
        let text = unmark(cell, self.formulas);
        let texts = if column.multi { split(text, self.separator) } else { vec![text.to_owned()] };
        let value = |text: String| {
            let value = match column.kind {
                AttributeType::Int => text.parse().ok().map(Value::Int),
                AttributeType::Bool => text.parse().ok().map(Value::Bool),
                AttributeType::Date => text.parse().ok().map(Value::Date),
                AttributeType::Time => text.parse().ok().map(Value::Time),
                _ => Some(Value::text(&text)),
            };
            value.ok_or_else(|| {
                let name = &column.name;
                let message = format!("the file holds a value of `{name}` that is no {:?}", column.kind);
                Error::new(ErrorKind::DataInvalid, message).with_effect(Effect::None)
            })
        };
        Ok(Slot::Values(texts.into_iter().map(value).collect::<Result<_>>()?))
    }

    /// The attributes of a row. An empty cell is no value, and an attribute without value is absent (C-2.2).
    pub(super) fn attributes_of(&self, row: &Row) -> Result<Attributes> {
        let cell = |column: &AttributeColumn| row.get(column.index).map(String::as_str).unwrap_or_default();
        let columns = self.attributes.iter().filter(|column| !cell(column).is_empty());
        columns.map(|column| Ok((column.name.clone(), self.to_slot(column, cell(column))?))).collect()
    }

    /// The key of a row.
    pub(super) fn key_of(&self, row: &Row) -> ObjectKey {
        let text = |index: usize| row.get(index).map(|cell| unmark(cell, self.formulas).to_owned());
        let naming = self.class.naming.as_ref();
        let name = self.attributes.iter().find(|column| Some(&column.name) == naming);
        let name = name.and_then(|column| text(column.index)).filter(|name| !name.is_empty());
        ObjectKey { id: text(self.key).unwrap_or_default(), name }
    }

    /// A row as an object.
    pub(super) fn object_of(&self, row: &Row) -> Result<Object> {
        let enabled = match self.enabled.and_then(|index| row.get(index)).map(String::as_str) {
            None => None,
            Some("true") => Some(true),
            Some("false") => Some(false),
            Some(_) => {
                let message = "the file holds a state that is neither true nor false";
                return Err(Error::new(ErrorKind::DataInvalid, message)
                    .with_context("key", self.key_of(row).id)
                    .with_effect(Effect::None));
            }
        };
        Ok(Object {
            class: self.class_name.clone(),
            key: self.key_of(row),
            attributes: self.attributes_of(row)?,
            enabled,
        })
    }
}

/// Reads a table and the stamp it was read under; a file that changes meanwhile is told, not mixed.
pub(super) fn load(shape: &Shape, path: &Path) -> Result<Option<(Table, Stamp, File)>> {
    let failed = |error| error::io("read the file", path, error).with_effect(Effect::None);
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let before = Stamp::of(&file).map_err(failed)?;
    let table = Table::read(shape, path, &file)?;
    if Stamp::of(&file).map_err(failed)? != before {
        return Err(Error::new(ErrorKind::Unavailable, "another program changed the file while it was read")
            .with_context("path", path.display().to_string())
            .with_effect(Effect::None));
    }
    Ok(Some((table, before, file)))
}
