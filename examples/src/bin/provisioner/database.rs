//! Where the store is: one file for one process at a time, or a database for many.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use provision_core::runtime::Clock;
use provision_core::store::{PostgresOptions, PostgresStore, SqliteOptions, SqliteStore, Store};
use provision_core::value::Secret;
use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_saphyr::Spanned;

use crate::answer::Failure;
use crate::config::at_line;
use crate::secrets::Secrets;

/// `store: FILE`, or `store: { postgres: ... }`.
pub(crate) enum Place {
    File(PathBuf),
    Postgres(Box<Spanned<PostgresSettings>>),
}

/// How the database is reached.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PostgresSettings {
    /// `postgres://user@host:port/database`, or `host=... user=... dbname=...`.
    url: String,
    /// The password, where the URL has none.
    #[serde(default)]
    password: Option<String>,
    /// The schema that holds the tables; `provision` unless set.
    #[serde(default)]
    schema: Option<String>,
    /// PEM file of the authorities that the server's certificate may be from.
    #[serde(default)]
    ca_file: Option<PathBuf>,
    /// The URL leads to a pooler (PgBouncer).
    #[serde(default)]
    pooled: bool,
    /// The address without the pooler, by which a node hears at once of what others did.
    #[serde(default)]
    direct_url: Option<String>,
    /// Connections of a node.
    #[serde(default)]
    connections: Option<usize>,
    /// Whether a node brings the tables to its version; off for a role that may not.
    #[serde(default = "yes")]
    migrate: bool,
}

fn yes() -> bool {
    true
}

impl Place {
    /// Takes paths as relative to a folder.
    pub(crate) fn relative_to(&mut self, folder: &Path) {
        let path = match self {
            Self::File(file) => Some(file),
            Self::Postgres(settings) => settings.value.ca_file.as_mut(),
        };
        if let Some(path) = path {
            *path = folder.join(&*path);
        }
    }

    /// Makes the folder of a file.
    pub(crate) fn prepare(&self) -> Result<(), Failure> {
        match self {
            Self::File(file) => file.parent().map_or(Ok(()), std::fs::create_dir_all).map_err(|error| {
                Failure::configuration(format!(
                    "error: cannot make the folder of {}: {error}",
                    file.display()
                ))
            }),
            Self::Postgres(_) => Ok(()),
        }
    }

    /// Opens the store, or makes it.
    pub(crate) async fn open(
        &self,
        clock: &Arc<dyn Clock>,
        secrets: &Secrets,
        config: &Path,
    ) -> Result<Arc<dyn Store>, Failure> {
        let clock = Arc::clone(clock);
        match self {
            Self::File(file) => Ok(Arc::new(SqliteStore::open(file, SqliteOptions::default(), clock)?)),
            Self::Postgres(settings) => {
                let line = settings.referenced.line();
                let told = |error| Failure::from(at_line(error, config, line));
                let options = settings.value.options(secrets).map_err(told)?;
                Ok(Arc::new(PostgresStore::open(options, clock).await.map_err(told)?))
            }
        }
    }
}

impl PostgresSettings {
    fn options(&self, secrets: &Secrets) -> provision_core::Result<PostgresOptions> {
        let mut options = PostgresOptions::new(secrets.resolve_text(&self.url)?);
        let secret = |text: &Option<String>| -> provision_core::Result<Option<Secret>> {
            text.as_deref().map(|text| secrets.secret(text)).transpose()
        };
        options.password = secret(&self.password)?;
        options.direct_url =
            self.direct_url.as_deref().map(|url| secrets.resolve_text(url)).transpose()?.map(Secret::new);
        options.ca_file.clone_from(&self.ca_file);
        options.pooled = self.pooled;
        options.migrate = self.migrate;
        if let Some(schema) = &self.schema {
            options.schema.clone_from(schema);
        }
        if let Some(connections) = self.connections {
            options.connections = connections.max(1);
        }
        Ok(options)
    }
}

impl<'de> Deserialize<'de> for Place {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;

        impl<'de> Visitor<'de> for Either {
            type Value = Place;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the path of a SQLite file, or `postgres:` with a `url`")
            }

            fn visit_str<E>(self, path: &str) -> Result<Place, E> {
                Ok(Place::File(path.into()))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Place, A::Error> {
                let Some(kind) = map.next_key::<String>()? else {
                    return Err(A::Error::missing_field("postgres"));
                };
                if kind != "postgres" {
                    return Err(A::Error::unknown_field(&kind, &["postgres"]));
                }
                let place = Place::Postgres(Box::new(map.next_value()?));
                match map.next_key::<String>()? {
                    Some(more) => Err(A::Error::unknown_field(&more, &["postgres"])),
                    None => Ok(place),
                }
            }
        }

        deserializer.deserialize_any(Either)
    }
}
