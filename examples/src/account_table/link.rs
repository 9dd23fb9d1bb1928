//! The connection: made when it is needed, and again when it broke.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use provision_core::{Effect, Error, ErrorKind, Result};
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Config, NoTls};

/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(5);

/// The way to the database. Calls share one connection: each is sent at once, and answered in turn.
pub(super) struct Link {
    config: Config,
    client: Mutex<Option<Arc<Client>>>,
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").finish_non_exhaustive()
    }
}

impl Link {
    pub(super) fn new(url: &str) -> Result<Self> {
        // The cause would quote the address, which may hold a password.
        let mut config: Config = url.parse().map_err(|_| {
            Error::new(ErrorKind::ConfigInvalid, "`url` is no address: postgres://user@host:port/database")
        })?;
        config.connect_timeout(CONNECT);
        Ok(Self { config, client: Mutex::new(None) })
    }

    pub(super) async fn client(&self) -> Result<Arc<Client>> {
        let known = self.client.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(client) = known.filter(|client| !client.is_closed()) {
            return Ok(client);
        }
        let connected = self.config.connect(NoTls).await;
        let (client, connection) = connected.map_err(|error| {
            let kind = match error.code() {
                Some(code) if *code == SqlState::INVALID_PASSWORD => ErrorKind::Unauthenticated,
                _ => ErrorKind::Unavailable,
            };
            Error::new(kind, "cannot connect to the database").with_effect(Effect::None).with_source(error)
        })?;
        // It ends with the client, or with the server.
        tokio::spawn(connection);
        let client = Arc::new(client);
        *self.client.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&client));
        Ok(client)
    }
}

/// What a statement came to; `broken` is the effect where the connection ended before the answer.
pub(super) fn told(error: tokio_postgres::Error, broken: Effect) -> Error {
    let (kind, effect) = match error.code() {
        Some(code) if *code == SqlState::UNIQUE_VIOLATION => (ErrorKind::AlreadyExists, Effect::None),
        Some(code) if *code == SqlState::FOREIGN_KEY_VIOLATION => (ErrorKind::NotFound, Effect::None),
        // The server ends: it may have got as far as the commit.
        Some(code) if code.code().starts_with("57P") => (ErrorKind::Unavailable, broken),
        Some(_) => (ErrorKind::Unavailable, Effect::None),
        None => (ErrorKind::Unavailable, broken),
    };
    Error::new(kind, "the database refused or did not answer").with_effect(effect).with_source(error)
}
