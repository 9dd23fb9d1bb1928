//! The configuration of the source.

use std::collections::BTreeMap;
use std::path::PathBuf;

use provision_core::Result;
use provision_core::model::Status;
use provision_core::source::{FeedMode, RecordAction};
use provision_core::value::AttrName;
use serde::{Deserialize, Serialize};

use super::encoding::Encoding;
use super::error;
use super::record::Dialect;

/// What an empty cell says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EmptyCell {
    /// The attribute has no value: it is cleared.
    #[default]
    Null,
    /// Nothing is said of the attribute.
    Absent,
}

/// The type a column's cells are read as.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CellType {
    /// Text.
    #[default]
    Text,
    /// A whole number.
    Int,
    /// `true`, `false`, `1` or `0`.
    Bool,
    /// A date of one of the `date_formats`.
    Date,
}

/// Where an attribute's values come from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ColumnDetail {
    /// The column's name in the header.
    pub column: String,
    /// The text between values of one cell; without it a cell is one value.
    #[serde(default)]
    pub split: Option<String>,
    /// What the cells are read as.
    #[serde(default, rename = "type")]
    pub kind: CellType,
}

/// A column's name, or the name with details.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, expecting = "a column name, or an object with `column` and optionally `split` and `type`")]
pub enum ColumnConfig {
    /// The column's name in the header.
    Name(String),
    /// The name, and how its cells are read.
    Detail(ColumnDetail),
}

impl ColumnConfig {
    /// The column's name in the header.
    pub fn column(&self) -> &str {
        match self {
            Self::Name(name) => name,
            Self::Detail(detail) => &detail.column,
        }
    }
}

/// Which columns state the employment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EmploymentConfig {
    /// Column of the first day.
    pub start: Option<String>,
    /// Column of the last day. Dates of the year 9999 mean that there is none.
    pub end: Option<String>,
    /// Column of the status.
    pub status: Option<String>,
    /// What its cells stand for (case ignored); empty: the words `active`, `on_leave`, `suspended`, `terminated`.
    pub status_map: BTreeMap<String, Status>,
}

/// Which column says what happened to a row of a delta.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OpConfig {
    /// The column.
    pub column: String,
    /// What its cells stand for (case ignored).
    pub map: BTreeMap<String, RecordAction>,
}

/// How a feed's place in the order of feeds is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SequenceConfig {
    /// By the first date or number in the file's name. `false`: by its content's hash alone, so that a repetition is
    /// known and an older file is not.
    pub from_name: bool,
}

/// The last row, when it says how many came before it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrailerConfig {
    /// The text of its first cell.
    pub first: String,
    /// The number of its cell with the count, from 1.
    #[serde(default = "second")]
    pub count: u32,
}

/// Configuration of a [`super::CsvSource`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourceConfig {
    /// A file, or a folder of files.
    pub path: PathBuf,
    /// Which files of the folder, `*` and `?` as wildcards; read in the order of their names.
    #[serde(default)]
    pub pattern: Option<String>,
    /// Everything or changes.
    pub mode: FeedMode,
    /// Column of the record's immutable key.
    pub key: String,
    /// Identity attributes and the columns they come from.
    #[serde(default)]
    pub columns: BTreeMap<AttrName, ColumnConfig>,
    /// The encoding; `None`: by the byte order mark, UTF-8 without one.
    #[serde(default)]
    pub encoding: Option<Encoding>,
    /// Between cells.
    #[serde(default = "comma")]
    pub delimiter: char,
    /// Around cells that hold a delimiter, a quote or a line break.
    #[serde(default = "double_quote")]
    pub quote: char,
    /// A cell with this text clears the attribute.
    #[serde(default)]
    pub null_token: Option<String>,
    /// What an empty cell says.
    #[serde(default)]
    pub empty: EmptyCell,
    /// Employment columns.
    #[serde(default)]
    pub employment: EmploymentConfig,
    /// Forms of dates, tried in order (`%d/%m/%Y`); empty: ISO 8601.
    #[serde(default)]
    pub date_formats: Vec<String>,
    /// Column of the person's time zone (IANA name).
    #[serde(default)]
    pub zone: Option<String>,
    /// Operation column of a delta.
    #[serde(default)]
    pub op: Option<OpConfig>,
    /// Order of feeds.
    #[serde(default)]
    pub sequence: SequenceConfig,
    /// Trailer row.
    #[serde(default)]
    pub trailer: Option<TrailerConfig>,
    /// Rows a complete file has.
    #[serde(default)]
    pub expected_rows: Option<u64>,
    /// A file with fewer rows is not complete.
    #[serde(default)]
    pub min_rows: u64,
    /// A file with more rows is refused.
    #[serde(default = "rows_max")]
    pub rows_max: u64,
    /// Most bytes of a row.
    #[serde(default = "row_length_max")]
    pub row_length_max: u32,
    /// Most lines of a row with quoted line breaks; more is taken for a quote that was never closed.
    #[serde(default = "row_lines_max")]
    pub row_lines_max: u32,
    /// Most unusable rows; more and the feed is refused.
    #[serde(default = "problems_max")]
    pub problems_max: u32,
}

fn second() -> u32 {
    2
}

pub(super) fn comma() -> char {
    ','
}

fn double_quote() -> char {
    '"'
}

fn rows_max() -> u64 {
    10_000_000
}

fn row_length_max() -> u32 {
    1 << 20
}

fn row_lines_max() -> u32 {
    100
}

fn problems_max() -> u32 {
    1000
}

/// The bytes cells are set apart with, or which field is wrong.
pub(super) fn dialect(delimiter: char, quote: char) -> Result<Dialect> {
    let byte = |field: &str, c: char| match u8::try_from(c) {
        Ok(byte) if byte.is_ascii() && !matches!(byte, b'\n' | b'\r' | 0) => Ok(byte),
        _ => Err(error::config(field, "must be one ASCII character that is no line break")),
    };
    let dialect = Dialect { delimiter: byte("delimiter", delimiter)?, quote: byte("quote", quote)? };
    if dialect.delimiter == dialect.quote {
        return Err(error::config("quote", "must differ from `delimiter`"));
    }
    Ok(dialect)
}

impl SourceConfig {
    /// Reads a configuration; the error names the field. What fields say together is checked by
    /// [`CsvSource::new`](super::CsvSource::new).
    ///
    /// # Errors
    /// `ConfigInvalid`.
    pub fn from_value(value: &serde_json::Value) -> Result<Self> {
        Self::deserialize(value).map_err(|error| error::config("config", error.to_string()))
    }

    pub(super) fn check(&self) -> Result<()> {
        self.dialect()?;
        if self.path.as_os_str().is_empty() {
            return Err(error::config("path", "must name a file or a folder"));
        }
        if self.key.is_empty() {
            return Err(error::config("key", "must name a column"));
        }
        if self.pattern.as_ref().is_some_and(|pattern| pattern.contains(['/', '\\'])) {
            return Err(error::config("pattern", "matches file names, not paths: remove the separator"));
        }
        for (name, column) in &self.columns {
            let ColumnConfig::Detail(detail) = column else { continue };
            if detail.split.as_deref() == Some("") {
                return Err(error::config(&format!("columns.{name}.split"), "must not be empty"));
            }
        }
        if self.op.is_some() && self.mode == FeedMode::Full {
            return Err(error::config("op", "belongs to `mode: delta`; a full file lists who is there"));
        }
        if !self.employment.status_map.is_empty() && self.employment.status.is_none() {
            return Err(error::config(
                "employment.status_map",
                "needs `employment.status`, the column it maps",
            ));
        }
        if self.trailer.as_ref().is_some_and(|trailer| trailer.count == 0) {
            return Err(error::config("trailer.count", "counts cells from 1"));
        }
        if self.row_length_max == 0 || self.rows_max == 0 || self.row_lines_max == 0 {
            return Err(error::config("row_length_max", "limits must be at least 1"));
        }
        Ok(())
    }

    pub(super) fn dialect(&self) -> Result<Dialect> {
        dialect(self.delimiter, self.quote)
    }

    /// What decides how a row's cells become a record: part of every fingerprint, so that a changed mapping makes
    /// every row look new.
    pub(super) fn meaning(&self) -> Vec<u8> {
        let meaning = (
            (&self.key, &self.columns, &self.null_token, &self.empty),
            (&self.employment, &self.date_formats, &self.zone, &self.op),
        );
        serde_json::to_vec(&meaning).unwrap_or_default()
    }
}
