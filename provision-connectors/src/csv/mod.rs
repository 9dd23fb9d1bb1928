#![doc = include_str!("docs.md")]

mod cell;
mod change;
mod config;
mod connector;
mod desk;
mod encoding;
mod error;
mod file;
mod header;
mod page;
mod record;
mod row;
mod scan;
mod schema;
mod sequence;
mod source;
mod table;
mod table_config;
mod writer;

pub use config::{
    CellType, ColumnConfig, ColumnDetail, EmploymentConfig, EmptyCell, OpConfig, SequenceConfig,
    SourceConfig, TrailerConfig,
};
pub use connector::CsvConnector;
pub use encoding::Encoding;
pub use source::CsvSource;
pub use table_config::{GeneratedKey, KeyConfig, TableColumn, TableColumnConfig, TableConfig};

/// The kind both are registered under.
pub const KIND: &str = "csv";
