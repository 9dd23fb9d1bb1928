//! The configuration of the target.

use std::collections::BTreeSet;
use std::path::PathBuf;

use provision_core::Result;
use provision_core::connector::DisableMeaning;
use provision_core::id::ClassName;
use provision_core::schema::AttributeType;
use provision_core::value::AttrName;
use serde::{Deserialize, Serialize};

use super::config::{comma, dialect};
use super::error;

/// What identifies a row for good.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, expecting = "the name of an attribute, or an object with `generated`")]
pub enum KeyConfig {
    /// An attribute among `columns` that never changes, such as `employeeNumber`.
    Attribute(AttrName),
    /// A column of its own, filled with the id of the link.
    Generated(GeneratedKey),
}

/// A key column that is no attribute.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GeneratedKey {
    /// The column's name.
    pub generated: String,
}

/// One column of the table, with details.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TableColumn {
    /// The attribute.
    pub name: AttrName,
    /// The column's name in the header; the attribute's where it is `None`.
    #[serde(default)]
    pub column: Option<String>,
    /// Type of each value: `text`, `int`, `bool`, `date` or `time`.
    #[serde(default = "text", rename = "type")]
    pub kind: AttributeType,
    /// Several values in one cell, a set.
    #[serde(default)]
    pub multi: bool,
    /// A create without it is refused.
    #[serde(default)]
    pub required: bool,
    /// A second row with the same value is refused.
    #[serde(default)]
    pub unique: bool,
}

/// An attribute's name, or the column with details.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    untagged,
    expecting = "an attribute name, or an object with `name` and maybe `column`, `type`, `multi`, `required`, `unique`"
)]
pub enum TableColumnConfig {
    /// A single-valued text column named like its attribute.
    Name(AttrName),
    /// A column with details.
    Detail(TableColumn),
}

impl TableColumnConfig {
    /// The column with every detail.
    pub fn detail(&self) -> TableColumn {
        match self {
            Self::Detail(detail) => detail.clone(),
            Self::Name(name) => TableColumn {
                name: name.clone(),
                column: None,
                kind: text(),
                multi: false,
                required: false,
                unique: false,
            },
        }
    }
}

/// Configuration of a [`super::CsvConnector`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TableConfig {
    /// The file. Made at the first write; its folder must be there.
    pub path: PathBuf,
    /// The class of its rows.
    #[serde(default = "account")]
    pub class: ClassName,
    /// What identifies a row.
    pub key: KeyConfig,
    /// The columns in order.
    pub columns: Vec<TableColumnConfig>,
    /// The attribute that names a row to people and changes by rename.
    #[serde(default)]
    pub naming: Option<AttrName>,
    /// A column with `true` or `false`: the account's state.
    #[serde(default)]
    pub enabled_column: Option<String>,
    /// What a disabled row means to the system that reads the file.
    #[serde(default = "blocks_sign_in")]
    pub disable: DisableMeaning,
    /// Between cells.
    #[serde(default = "comma")]
    pub delimiter: char,
    /// Between the values of one cell.
    #[serde(default = "bar")]
    pub separator: char,
    /// Puts an apostrophe before cells that a spreadsheet would run as a formula; taken off again when reading.
    #[serde(default = "yes")]
    pub neutralise_formulas: bool,
}

fn text() -> AttributeType {
    AttributeType::Text
}

fn account() -> ClassName {
    ClassName::new("account")
}

fn blocks_sign_in() -> DisableMeaning {
    DisableMeaning::BlocksSignIn
}

fn bar() -> char {
    '|'
}

fn yes() -> bool {
    true
}

impl TableConfig {
    /// Reads a configuration; the error names the field. What fields say together is checked by
    /// [`CsvConnector::new`](super::CsvConnector::new).
    ///
    /// # Errors
    /// `ConfigInvalid`.
    pub fn from_value(value: &serde_json::Value) -> Result<Self> {
        Self::deserialize(value).map_err(|error| error::config("config", error.to_string()))
    }

    pub(super) fn check(&self) -> Result<()> {
        dialect(self.delimiter, '"')?;
        if self.path.file_name().is_none() {
            return Err(error::config("path", "must name a file"));
        }
        if self.columns.is_empty() {
            return Err(error::config("columns", "must list an attribute at least"));
        }
        if self.separator == '\\' || self.separator == '\'' || self.separator.is_control() {
            return Err(error::config(
                "separator",
                "must not be a backslash, an apostrophe or a control character",
            ));
        }
        let columns = self.columns.iter().map(TableColumnConfig::detail).collect::<Vec<_>>();
        let mut attributes = BTreeSet::new();
        for column in &columns {
            let name = &column.name;
            if !attributes.insert(name) {
                return Err(error::config("columns", format!("`{name}` is there twice")));
            }
            if matches!(column.kind, AttributeType::Bytes | AttributeType::Record | AttributeType::Reference)
            {
                let message = format!("`{name}`: a cell holds text, int, bool, date or time");
                return Err(error::config("columns", message));
            }
            if column.multi && column.unique {
                return Err(error::config("columns", format!("`{name}`: a unique column has one value")));
            }
        }
        if let KeyConfig::Attribute(key) = &self.key {
            match columns.iter().find(|column| column.name == *key) {
                None => return Err(error::config("key", format!("`{key}` is not among `columns`"))),
                Some(column) if column.multi => {
                    return Err(error::config("key", format!("`{key}` has several values")));
                }
                Some(_) if self.naming.as_ref() == Some(key) => {
                    return Err(error::config("naming", "must not be the key, which survives a rename"));
                }
                Some(_) => {}
            }
        }
        if let Some(naming) = &self.naming
            && !columns.iter().any(|column| column.name == *naming && !column.multi)
        {
            return Err(error::config("naming", format!("`{naming}` is no single-valued one of `columns`")));
        }
        self.check_header()
    }

    fn check_header(&self) -> Result<()> {
        let mut names = BTreeSet::new();
        for name in self.header() {
            if name.is_empty() || name.trim() != name || name.contains(['\n', '\r', '\u{FEFF}']) {
                let message =
                    format!("the column name {} is empty or has blanks around it", error::shown(&name));
                return Err(error::config("columns", message));
            }
            if !names.insert(name.clone()) {
                return Err(error::config(
                    "columns",
                    format!("two columns are named {}", error::shown(&name)),
                ));
            }
        }
        Ok(())
    }

    /// The file's header: a generated key first, the attributes, the state last.
    pub(super) fn header(&self) -> Vec<String> {
        let mut header = Vec::with_capacity(self.columns.len() + 2);
        if let KeyConfig::Generated(key) = &self.key {
            header.push(key.generated.clone());
        }
        for column in &self.columns {
            let detail = column.detail();
            header.push(detail.column.unwrap_or_else(|| detail.name.as_str().to_owned()));
        }
        header.extend(self.enabled_column.clone());
        header
    }
}
