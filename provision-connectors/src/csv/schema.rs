//! Shapes: what the table's rows look like to the engine, and the JSON Schemas of both configurations.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use provision_core::Result;
use provision_core::connector::{
    Capabilities, ClassCapabilities, DeleteStyle, DisableMeaning, Discovery, FilterSupport,
};
use provision_core::id::ClassName;
use provision_core::schema::{AttributeSchema, AttributeType, Mutability, ObjectClass, Schema};
use provision_core::value::AttrName;
use serde_json::json;

use super::config::dialect;
use super::record::Dialect;
use super::table_config::{KeyConfig, TableColumnConfig, TableConfig};

/// Objects of a page at most.
pub(super) const PAGE_MAX: u32 = 1000;

/// One attribute's column.
#[derive(Clone, Debug)]
pub(super) struct AttributeColumn {
    pub(super) name: AttrName,
    pub(super) index: usize,
    pub(super) kind: AttributeType,
    pub(super) multi: bool,
}

/// The table's columns by role.
#[derive(Clone, Debug)]
pub(super) struct Shape {
    pub(super) class_name: ClassName,
    pub(super) class: ObjectClass,
    pub(super) header: Vec<String>,
    pub(super) attributes: Vec<AttributeColumn>,
    /// Index of the key's column.
    pub(super) key: usize,
    /// The key's attribute; `None` for a generated key.
    pub(super) key_attribute: Option<AttrName>,
    pub(super) enabled: Option<usize>,
    pub(super) disable: DisableMeaning,
    /// Indexes of columns without repetition, the key first.
    pub(super) unique: Vec<usize>,
    pub(super) dialect: Dialect,
    pub(super) separator: char,
    pub(super) formulas: bool,
}

impl Shape {
    /// The shape a configuration describes.
    pub(super) fn new(config: &TableConfig) -> Result<Self> {
        config.check()?;
        let header = config.header();
        let first = usize::from(matches!(config.key, KeyConfig::Generated(_)));
        let key_attribute = match &config.key {
            KeyConfig::Attribute(name) => Some(name.clone()),
            KeyConfig::Generated(_) => None,
        };
        let mut class = ObjectClass { naming: config.naming.clone(), ..ObjectClass::default() };
        let mut attributes = Vec::with_capacity(config.columns.len());
        let mut key = 0;
        let mut unique = Vec::new();
        for (position, column) in config.columns.iter().map(TableColumnConfig::detail).enumerate() {
            let index = first + position;
            let is_key = key_attribute.as_ref() == Some(&column.name);
            let mutability = match () {
                () if is_key => Mutability::CreateOnly,
                () if config.naming.as_ref() == Some(&column.name) => Mutability::Naming,
                () => Mutability::ReadWrite,
            };
            if is_key {
                key = index;
            } else if column.unique {
                unique.push(index);
            }
            let schema = AttributeSchema {
                kind: column.kind,
                multi: column.multi,
                required: column.required || is_key,
                unique: column.unique || is_key,
                mutability,
                ..AttributeSchema::default()
            };
            class.attributes.insert(column.name.clone(), schema);
            attributes.push(AttributeColumn {
                name: column.name,
                index,
                kind: column.kind,
                multi: column.multi,
            });
        }
        unique.insert(0, key);
        Ok(Self {
            class_name: config.class.clone(),
            class,
            enabled: config.enabled_column.is_some().then(|| header.len().saturating_sub(1)),
            header,
            attributes,
            key,
            key_attribute,
            disable: config.disable,
            unique,
            dialect: dialect(config.delimiter, '"')?,
            separator: config.separator,
            formulas: config.neutralise_formulas,
        })
    }

    /// Schema and capabilities.
    pub(super) fn discovery(&self) -> Discovery {
        let unique = self.class.attributes.iter().filter(|(_, schema)| schema.unique);
        let capabilities = ClassCapabilities {
            create: true,
            update: true,
            rename: self.class.naming.is_some(),
            delete: DeleteStyle::Irreversible,
            disable: if self.enabled.is_some() { self.disable } else { DisableMeaning::Unsupported },
            list_complete: true,
            page_size_max: PAGE_MAX,
            filter: FilterSupport::full(),
            unique: unique.map(|(name, _)| name.clone()).collect::<BTreeSet<_>>(),
            // A generated key is the link's id: a second create of the link finds the row of the first.
            idempotent_create: self.key_attribute.is_none(),
            visible_after: Duration::ZERO,
            ..ClassCapabilities::default()
        };
        Discovery {
            schema: Schema { classes: BTreeMap::from([(self.class_name.clone(), self.class.clone())]) },
            capabilities: Capabilities { classes: BTreeMap::from([(self.class_name.clone(), capabilities)]) },
        }
    }
}

/// JSON Schema of the target's configuration.
pub(super) fn table_config() -> serde_json::Value {
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "CSV target",
        "type": "object",
        "additionalProperties": false,
        "required": ["path", "key", "columns"],
        "properties": {
            "path": {"type": "string", "minLength": 1, "description": "The file; made at the first write."},
            "class": {"type": "string", "default": "account", "description": "The class of its rows."},
            "key": {
                "description": "What identifies a row for good.",
                "oneOf": [
                    {"type": "string", "description": "An attribute among the columns."},
                    {"type": "object", "additionalProperties": false, "required": ["generated"],
                     "properties": {"generated": {"type": "string", "description": "A column for the link's id."}}}
                ]
            },
            "columns": {
                "type": "array", "minItems": 1,
                "items": {"oneOf": [
                    {"type": "string", "description": "The attribute."},
                    {"type": "object", "additionalProperties": false, "required": ["name"], "properties": {
                        "name": {"type": "string", "description": "The attribute."},
                        "column": {"type": "string", "description": "The column's name, if another."},
                        "type": {"enum": ["text", "int", "bool", "date", "time"], "default": "text"},
                        "multi": {"type": "boolean", "default": false, "description": "A set of values in one cell."},
                        "required": {"type": "boolean", "default": false},
                        "unique": {"type": "boolean", "default": false}
                    }}
                ]}
            },
            "naming": {"type": "string", "description": "The attribute that changes by rename."},
            "enabled_column": {"type": "string", "description": "A column with true or false."},
            "disable": {"enum": ["blocks_sign_in", "drops_access", "informational"], "default": "blocks_sign_in"},
            "delimiter": {"type": "string", "minLength": 1, "maxLength": 1, "default": ","},
            "separator": {"type": "string", "minLength": 1, "maxLength": 1, "default": "|"},
            "neutralise_formulas": {"type": "boolean", "default": true}
        }
    })
}

/// JSON Schema of the source's configuration.
pub(super) fn source_config() -> serde_json::Value {
    let column = |description: &str| json!({"type": "string", "description": description});
    let limit = |default: u64| json!({"type": "integer", "minimum": 1, "default": default});
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "CSV source",
        "type": "object",
        "additionalProperties": false,
        "required": ["path", "mode", "key"],
        "properties": {
            "path": {"type": "string", "minLength": 1, "description": "A file, or a folder of files."},
            "pattern": {"type": "string", "description": "Which files of the folder: * and ? are wildcards."},
            "mode": {"enum": ["full", "delta"]},
            "key": column("Column of the immutable key."),
            "columns": {"type": "object", "additionalProperties": {"oneOf": [
                {"type": "string"},
                {"type": "object", "additionalProperties": false, "required": ["column"], "properties": {
                    "column": {"type": "string"},
                    "split": {"type": "string", "minLength": 1, "description": "Between values of one cell."},
                    "type": {"enum": ["text", "int", "bool", "date"], "default": "text"}
                }}
            ]}},
            "encoding": {"enum": ["utf-8", "utf-16", "windows-1252"]},
            "delimiter": {"type": "string", "minLength": 1, "maxLength": 1, "default": ","},
            "quote": {"type": "string", "minLength": 1, "maxLength": 1, "default": "\""},
            "null_token": column("A cell with this text clears the attribute."),
            "empty": {"enum": ["null", "absent"], "default": "null", "description": "What an empty cell says."},
            "employment": {"type": "object", "additionalProperties": false, "properties": {
                "start": column("Column of the first day."),
                "end": column("Column of the last day."),
                "status": column("Column of the status."),
                "status_map": {"type": "object", "additionalProperties":
                    {"enum": ["active", "on_leave", "suspended", "terminated"]}}
            }},
            "date_formats": {"type": "array", "items": {"type": "string"}, "description": "Tried in order."},
            "zone": column("Column of the IANA time zone."),
            "op": {"type": "object", "additionalProperties": false, "required": ["column", "map"], "properties": {
                "column": {"type": "string"},
                "map": {"type": "object", "additionalProperties": {"enum": ["upsert", "remove"]}}
            }},
            "sequence": {"type": "object", "additionalProperties": false, "properties": {
                "from_name": {"type": "boolean", "default": false}
            }},
            "trailer": {"type": "object", "additionalProperties": false, "required": ["first"], "properties": {
                "first": {"type": "string", "description": "Text of the trailer's first cell."},
                "count": {"type": "integer", "minimum": 1, "default": 2}
            }},
            "expected_rows": {"type": "integer", "minimum": 0},
            "min_rows": {"type": "integer", "minimum": 0, "default": 0},
            "rows_max": limit(10_000_000),
            "row_length_max": limit(1 << 20),
            "row_lines_max": limit(100),
            "problems_max": {"type": "integer", "minimum": 0, "default": 1000}
        }
    })
}
