//! The bus: where events go and commands come from.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use provision_core::engine::Stop;
use provision_core::event::jetstream::{
    JetStream, JetStreamCommands, JetStreamCommandsOptions, JetStreamLogin, JetStreamOptions, JetStreamSink,
    JetStreamSinkOptions,
};
use provision_core::model::Actor;
use provision_core::{Error, ErrorKind, Result};
use serde::Deserialize;
use serde_saphyr::Spanned;

use crate::config::at_line;
use crate::secrets::Secrets;

/// The name of the sink: the store keeps under it how far events have been sent.
pub(crate) const SINK: &str = "bus";

/// The bus, and what it is used for.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct BusSettings {
    nats: Spanned<NatsSettings>,
    /// Send events.
    #[serde(default)]
    events: bool,
    /// Take commands.
    #[serde(default)]
    commands: Option<Spanned<CommandSettings>>,
}

/// How NATS is reached.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NatsSettings {
    /// `tls://host:port`; several with commas between them.
    url: String,
    /// What the subjects of events begin with; `provision` unless set.
    #[serde(default)]
    prefix: Option<String>,
    /// The stream of events; the prefix in capitals unless set.
    #[serde(default)]
    stream: Option<String>,
    #[serde(default)]
    user: Option<String>,
    #[serde(default)]
    password: Option<String>,
    #[serde(default)]
    token: Option<String>,
    /// PEM file of the authorities that the server's certificate may be from.
    #[serde(default)]
    ca_file: Option<PathBuf>,
    /// Our certificate, and its key.
    #[serde(default)]
    cert_file: Option<PathBuf>,
    #[serde(default)]
    key_file: Option<PathBuf>,
    /// Off: no TLS.
    #[serde(default = "yes")]
    tls: bool,
}

/// Which messages are commands, and who gives them.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CommandSettings {
    /// The stream, which is the sender's.
    stream: String,
    /// The name of the durable consumer; `provision` unless set.
    #[serde(default)]
    durable: Option<String>,
    /// Only subjects that match.
    #[serde(default)]
    filter: String,
    /// For whom all commands are taken: whoever may publish to the stream acts as this service.
    actor: String,
}

fn yes() -> bool {
    true
}

/// The bus of a node.
#[derive(Debug)]
pub(crate) struct Bus {
    pub(crate) sink: Option<Arc<JetStreamSink>>,
    commands: Option<Commands>,
}

/// Where commands are read, and for whom they are taken.
#[derive(Debug)]
struct Commands {
    bus: JetStream,
    options: JetStreamCommandsOptions,
    actor: Actor,
}

impl BusSettings {
    /// Takes paths as relative to a folder.
    pub(crate) fn relative_to(&mut self, folder: &Path) {
        let nats = &mut self.nats.value;
        for path in [&mut nats.ca_file, &mut nats.cert_file, &mut nats.key_file].into_iter().flatten() {
            *path = folder.join(&*path);
        }
    }

    /// The bus; no I/O.
    pub(crate) fn build(&self, secrets: &Secrets, config: &Path) -> Result<Bus> {
        let told = |error| at_line(error, config, self.nats.referenced.line());
        let nats = &self.nats.value;
        let bus = JetStream::new(nats.options(secrets).map_err(told)?);
        let prefix = nats.prefix.as_deref().unwrap_or("provision");
        let stream = nats.stream.clone().unwrap_or_else(|| prefix.to_uppercase().replace('.', "_"));
        let sink = match self.events {
            true => Some(
                JetStreamSink::new(bus.clone(), JetStreamSinkOptions::new(stream, prefix)).map_err(told)?,
            ),
            false => None,
        };
        let commands = match &self.commands {
            Some(settings) => Some(
                settings
                    .value
                    .build(bus)
                    .map_err(|error| at_line(error, config, settings.referenced.line()))?,
            ),
            None => None,
        };
        Ok(Bus { sink: sink.map(Arc::new), commands })
    }
}

impl NatsSettings {
    fn options(&self, secrets: &Secrets) -> Result<JetStreamOptions> {
        let url = secrets.resolve_text(&self.url)?;
        let mut options = JetStreamOptions::new(url.split(',').map(str::trim).filter(|url| !url.is_empty()));
        if options.servers.is_empty() {
            return Err(wrong("the bus has no address: give `url`, such as tls://nats.example.org:4222"));
        }
        options.login = match (&self.user, &self.password, &self.token) {
            (None, None, None) => JetStreamLogin::Anonymous,
            (None, None, Some(token)) => JetStreamLogin::Token(secrets.secret(token)?),
            (Some(user), Some(password), None) => {
                JetStreamLogin::Password { user: user.clone(), password: secrets.secret(password)? }
            }
            _ => {
                return Err(wrong("the bus takes `user` with `password`, or `token` alone, or none of them"));
            }
        };
        options.certificate = match (&self.cert_file, &self.key_file) {
            (None, None) => None,
            (Some(certificate), Some(key)) => Some((certificate.clone(), key.clone())),
            _ => return Err(wrong("`cert_file` and `key_file` of the bus go together")),
        };
        options.roots.clone_from(&self.ca_file);
        options.require_tls = self.tls;
        Ok(options)
    }
}

impl CommandSettings {
    fn build(&self, bus: JetStream) -> Result<Commands> {
        let durable = self.durable.as_deref().unwrap_or("provision");
        let options = JetStreamCommandsOptions {
            filter: self.filter.clone(),
            ..JetStreamCommandsOptions::new(self.stream.as_str(), durable)
        };
        // A name that cannot be one is told at the start, not at the first command.
        JetStreamCommands::new(bus.clone(), options.clone())?;
        Ok(Commands { bus, options, actor: Actor::service(self.actor.as_str()) })
    }
}

impl Bus {
    /// Where commands are taken from until a stop, and for whom.
    pub(crate) fn commands(&self, stop: &Stop) -> Result<Option<(JetStreamCommands, Actor)>> {
        let Some(Commands { bus, options, actor }) = &self.commands else { return Ok(None) };
        let options = JetStreamCommandsOptions { stop: stop.clone(), ..options.clone() };
        Ok(Some((JetStreamCommands::new(bus.clone(), options)?, actor.clone())))
    }
}

fn wrong(message: &str) -> Error {
    Error::new(ErrorKind::ConfigInvalid, message)
}
