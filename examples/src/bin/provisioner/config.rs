//! The configuration file.

use std::path::{Path, PathBuf};

use provision_core::plan::TargetSettings;
use provision_core::source::SourceSettings;
use provision_core::value::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use crate::answer::Failure;
use crate::bus::BusSettings;
use crate::database::Place;

/// Settings of a connector or source that name files; relative ones are relative to the configuration file.
const PATHS: &[&str] = &["path", "state_file", "seed_file"];

/// Everything the host needs to know. Paths are relative to the file. All nodes that share a store read the same.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    /// The tenant.
    pub(crate) realm: String,
    /// Where the rows are: a SQLite file, or a PostgreSQL database.
    pub(crate) store: Place,
    /// Where events go and commands come from.
    #[serde(default)]
    pub(crate) bus: Option<BusSettings>,
    /// The policy: a file, or a folder of them.
    pub(crate) bundle: PathBuf,
    /// For rehearsals: the first command happens at this instant instead of now, later ones later.
    #[serde(default)]
    pub(crate) clock: Option<Timestamp>,
    /// How long after a request's deadline its open intent may be taken over.
    #[serde(default = "one_second")]
    pub(crate) settle_ms: u64,
    /// Where people come from.
    pub(crate) sources: Vec<SourceSettings>,
    /// Where accounts go.
    pub(crate) targets: Vec<TargetSettings>,
}

fn one_second() -> u64 {
    1_000
}

impl Config {
    /// Reads the file.
    pub(crate) fn load(file: &Path) -> Result<Self, Failure> {
        let shown = file.display();
        let text = std::fs::read_to_string(file)
            .map_err(|error| Failure::configuration(format!("error: cannot read {shown}: {error}")))?;
        let mut config: Self = serde_saphyr::from_str(&text)
            .map_err(|error| Failure::configuration(told(&error.to_string(), file)))?;
        let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        config.store.relative_to(folder);
        if let Some(bus) = &mut config.bus {
            bus.relative_to(folder);
        }
        config.bundle = folder.join(&config.bundle);
        let configs = config.sources.iter_mut().map(|source| &mut source.config);
        for settings in configs.chain(config.targets.iter_mut().map(|target| &mut target.config)) {
            for name in PATHS {
                if let Some(Value::String(path)) = settings.get_mut(name)
                    && !path.starts_with("${")
                {
                    *path = folder.join(&*path).display().to_string();
                }
            }
        }
        config.agree(file)?;
        Ok(config)
    }

    /// What the fields say together.
    fn agree(&self, file: &Path) -> Result<(), Failure> {
        if self.clock.is_some() && matches!(self.store, Place::Postgres(_)) {
            return Err(Failure::configuration(format!(
                "error: {}: `clock` moves the time of a rehearsal, and a store in PostgreSQL goes by the database's: \
                 remove `clock`, or rehearse with a SQLite file",
                file.display()
            )));
        }
        Ok(())
    }
}

/// A library's complaint about a part of the file, with the part's line.
pub(crate) fn at_line(error: provision_core::Error, file: &Path, line: u64) -> provision_core::Error {
    match error.kind() {
        provision_core::ErrorKind::ConfigInvalid => {
            error.with_context("at", format!("{}:{line}", file.display()))
        }
        _ => error,
    }
}

/// The reader's message with the file's name in it.
fn told(message: &str, file: &Path) -> String {
    let message = message.strip_prefix("error: ").unwrap_or(message);
    format!("error: {}", message.replacen("<input>", &file.display().to_string(), 1))
}
