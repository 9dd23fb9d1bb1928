//! The connection: made at the first use, made again by itself when it is lost.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_nats::connection::State;
use async_nats::jetstream::Context;
use async_nats::jetstream::context::ContextBuilder;
use async_nats::{ConnectError, ConnectErrorKind, ConnectOptions, rustls};
use tokio::sync::OnceCell;

use crate::error::{Effect, Error, ErrorKind, Result, Retry};
use crate::value::Secret;

/// Acknowledgements that the client waits for at most, of all that use the connection together.
const IN_FLIGHT: usize = 4_096;

/// How we say who we are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum JetStreamLogin {
    /// Not at all, or by a client certificate.
    #[default]
    Anonymous,
    /// By a token.
    Token(Secret),
    /// By name and password.
    Password {
        /// The name.
        user: String,
        /// The password.
        password: Secret,
    },
}

/// Where NATS is and how to reach it.
#[derive(Clone)]
pub struct JetStreamOptions {
    /// Addresses of the servers, such as `tls://nats-1.example.org:4222`. An address with a password in it is refused:
    /// that goes into `login`.
    pub servers: Vec<String>,
    /// Who we are.
    pub login: JetStreamLogin,
    /// Refuse a connection without TLS. True unless set.
    pub require_tls: bool,
    /// A file of certificates to trust instead of the system's, in PEM.
    pub roots: Option<PathBuf>,
    /// Our certificate and its key, in PEM.
    pub certificate: Option<(PathBuf, PathBuf)>,
    /// The name that the server shows for the connection. `provision` unless set.
    pub name: String,
    /// How long a connection, a request or an acknowledgement may take. 5 seconds unless set.
    pub timeout: Duration,
}

impl JetStreamOptions {
    /// These servers, with TLS, and the rest as it is unless set.
    pub fn new(servers: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self {
            servers: servers.into_iter().map(Into::into).collect(),
            login: JetStreamLogin::default(),
            require_tls: true,
            roots: None,
            certificate: None,
            name: "provision".to_owned(),
            timeout: Duration::from_secs(5),
        }
    }
}

impl fmt::Debug for JetStreamOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Somebody may have put a password before the `@`.
        let servers: Vec<&str> = self.servers.iter().filter_map(|server| server.rsplit('@').next()).collect();
        f.debug_struct("JetStreamOptions")
            .field("servers", &servers)
            .field("login", &self.login)
            .field("require_tls", &self.require_tls)
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// A connection to JetStream. Clones share it.
#[derive(Clone)]
pub struct JetStream(Arc<Inner>);

struct Inner {
    options: JetStreamOptions,
    context: OnceCell<Context>,
}

impl JetStream {
    /// No I/O: the connection is made at the first use. A lost one is made again for as long as this lives.
    pub fn new(options: JetStreamOptions) -> Self {
        Self(Arc::new(Inner { options, context: OnceCell::new() }))
    }

    pub(super) fn timeout(&self) -> Duration {
        self.0.options.timeout
    }

    /// The connection, while there is one.
    pub(super) async fn context(&self) -> Result<Context> {
        let context = self.0.context.get_or_try_init(|| self.connect()).await?;
        if context.client().connection_state() == State::Connected {
            return Ok(context.clone());
        }
        // What is published now would wait in the client's memory and go out whenever.
        Err(unavailable("there is no connection to NATS at the moment"))
    }

    async fn connect(&self) -> Result<Context> {
        let options = &self.0.options;
        if options.servers.iter().any(|server| server.contains('@')) {
            let message = "an address of NATS has a name or password in it: give them as `login`";
            return Err(Error::new(ErrorKind::ConfigInvalid, message).with_effect(Effect::None));
        }
        let mut connect = ConnectOptions::new()
            .name(&options.name)
            .connection_timeout(options.timeout)
            .request_timeout(Some(options.timeout))
            .require_tls(options.require_tls);
        connect = match &options.login {
            JetStreamLogin::Anonymous => connect,
            JetStreamLogin::Token(token) => connect.token(token.expose().to_owned()),
            JetStreamLogin::Password { user, password } => {
                connect.user_and_password(user.clone(), password.expose().to_owned())
            }
        };
        if let Some(roots) = &options.roots {
            connect = connect.add_root_certificates(roots.clone());
        }
        if let Some((certificate, key)) = &options.certificate {
            connect = connect.add_client_certificate(certificate.clone(), key.clone());
        }
        let client = connect.connect(options.servers.as_slice()).await.map_err(|error| {
            // Tried again all the same: certificates and accounts are put right on the server, too.
            let (kind, message) = explain(&error);
            Error::new(kind, message)
                .with_retry(Retry::After(None))
                .with_effect(Effect::None)
                .with_source(error)
        })?;
        let context = ContextBuilder::new()
            .timeout(options.timeout)
            .ack_timeout(options.timeout)
            .max_ack_inflight(IN_FLIGHT)
            .backpressure_on_inflight(true)
            .build(client);
        Ok(context)
    }
}

impl fmt::Debug for JetStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JetStream").field("options", &self.0.options).finish_non_exhaustive()
    }
}

/// What kept us from connecting, and what to do about it.
fn explain(error: &ConnectError) -> (ErrorKind, &'static str) {
    match (error.kind(), tls_error(error)) {
        (_, Some(rustls::Error::InvalidCertificate(_))) => (
            ErrorKind::ConfigInvalid,
            "cannot connect to NATS: its certificate was refused: trust the authority that it is from, and connect by \
             a name that stands in it",
        ),
        (ConnectErrorKind::Tls, _) => {
            (ErrorKind::ConfigInvalid, "cannot connect to NATS: our certificates or its name are no good")
        }
        (_, Some(_)) => (
            ErrorKind::ConfigInvalid,
            "cannot connect to NATS: no TLS with this server: it does not offer it, or wants a certificate of ours",
        ),
        (ConnectErrorKind::Authentication | ConnectErrorKind::AuthorizationViolation, _) => {
            (ErrorKind::Unauthenticated, "cannot connect to NATS: it refused our login")
        }
        (ConnectErrorKind::ServerParse, _) => {
            (ErrorKind::ConfigInvalid, "cannot connect to NATS: its address is none")
        }
        _ => (ErrorKind::Unavailable, "cannot connect to NATS"),
    }
}

/// What TLS said, where it was that.
fn tls_error(error: &ConnectError) -> Option<&rustls::Error> {
    let mut cause = std::error::Error::source(error);
    while let Some(found) = cause {
        let inner = found.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        let said = inner.and_then(|inner| inner.downcast_ref()).or_else(|| found.downcast_ref());
        if said.is_some() {
            return said;
        }
        cause = found.source();
    }
    None
}

pub(super) fn unavailable(message: &str) -> Error {
    Error::new(ErrorKind::Unavailable, message).with_effect(Effect::None)
}

/// A call that JetStream refused or did not answer.
pub(super) fn refused(message: &str, error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::new(ErrorKind::Unavailable, message).with_source(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_password_is_neither_shown_nor_taken_from_an_address() {
        let login = JetStreamLogin::Password { user: "relay".to_owned(), password: Secret::new("hunter2") };
        let servers = ["nats://relay:hunter2@nats.example.org"];
        let bus = JetStream::new(JetStreamOptions { login, ..JetStreamOptions::new(servers) });
        let shown = format!("{bus:?}");
        assert!(shown.contains("nats.example.org") && !shown.contains("hunter2"), "{shown}");
        let error = bus.context().await.err().unwrap();
        assert_eq!(error.kind(), ErrorKind::ConfigInvalid);
        assert!(!error.report().contains("hunter2"));
    }
}
