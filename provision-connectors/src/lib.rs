//! Connectors and sources, one folder and one feature each.
//!
//! | feature | source | target |
//! |---|---|---|
//! | `csv` (default) | [`csv::CsvSource`] | [`csv::CsvConnector`] |
//!
//! A host registers the kinds it wants; nothing registers itself:
//!
//! ```
//! # #[cfg(feature = "csv")] {
//! use provision_connectors::csv::{CsvConnector, CsvSource};
//! use provision_core::connector::Registry;
//!
//! let registry = Registry::new()
//!     .with_source("csv", CsvSource::factory())
//!     .with_connector("csv", CsvConnector::factory());
//! # let _ = registry;
//! # }
//! ```

#[cfg(feature = "csv")]
pub mod csv;
