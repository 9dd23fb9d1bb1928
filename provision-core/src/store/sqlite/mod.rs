//! The store in one SQLite file.

/// How a SQLite store is opened.
#[derive(Clone, Debug, Default)]
pub struct SqliteOptions;

/// A store in one SQLite file.
#[derive(Debug)]
pub struct SqliteStore;
