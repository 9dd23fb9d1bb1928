//! A table of objects in a JSON file: what the connector of the example `custom_connector` speaks to.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use provision_core::value::Attributes;
use provision_core::{Effect, Error, ErrorKind, Result};

/// Attributes by key.
pub type Rows = BTreeMap<String, Attributes>;

/// The table.
#[derive(Debug)]
pub struct JsonTable {
    file: PathBuf,
    /// One call at a time reads, changes and writes the file.
    turn: Mutex<()>,
}

impl JsonTable {
    /// The table in this file; made by the first change.
    pub fn new(file: impl Into<PathBuf>) -> Self {
        Self { file: file.into(), turn: Mutex::new(()) }
    }

    /// All rows.
    ///
    /// # Errors
    /// `Unavailable` when the file cannot be read.
    pub fn read(&self) -> Result<Rows> {
        match std::fs::read(&self.file) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| broken(&error)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Rows::new()),
            Err(error) => Err(broken(&error)),
        }
    }

    /// Reads, changes and writes the file whole; a reader never sees half of it.
    ///
    /// # Errors
    /// What `change` says: nothing is written then. `Unavailable` when the file cannot be read or written.
    pub fn change<T>(&self, change: impl FnOnce(&mut Rows) -> Result<T>) -> Result<T> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let mut rows = self.read()?;
        let result = change(&mut rows)?;
        let text = serde_json::to_vec_pretty(&rows).map_err(|error| broken(&error))?;
        let beside = self.file.with_extension("new");
        std::fs::write(&beside, text).map_err(|error| broken(&error))?;
        // Nobody knows whether a rename that failed has happened: the engine will look.
        std::fs::rename(&beside, &self.file).map_err(|error| broken(&error).with_effect(Effect::Unknown))?;
        Ok(result)
    }
}

fn broken(error: &dyn std::error::Error) -> Error {
    Error::new(ErrorKind::Unavailable, format!("the file: {error}")).with_effect(Effect::None)
}
