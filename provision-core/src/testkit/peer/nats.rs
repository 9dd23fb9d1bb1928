//! nats-server with JetStream.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::process::Signal;
use tempfile::TempDir;

use super::certificate::Certificate;
use super::failed;
use super::program::{RunAs, find};
use super::server::{Server, free_port, loopback};
use crate::error::Result;

/// How a server is started.
#[derive(Clone, Debug, Default)]
pub struct NatsSetup {
    /// Clients must use TLS. The server has a certificate for `localhost` and 127.0.0.1.
    pub tls: bool,
    /// With `tls`: clients must have a certificate of the same authority.
    pub verify: bool,
    /// Further arguments: `["--user", "relay", "--pass", "s3cret"]`.
    pub arguments: Vec<String>,
}

/// A NATS server whose streams are on disk.
#[derive(Debug)]
pub struct Nats {
    server: Mutex<Option<Server>>,
    folder: TempDir,
    certificate: Option<Certificate>,
    port: u16,
    monitor: u16,
    setup: NatsSetup,
}

impl Nats {
    /// Starts one that takes everybody, without TLS.
    ///
    /// # Errors
    /// When it is not installed or does not start: why, and what to install.
    pub fn start() -> Result<Self> {
        Self::start_with(NatsSetup::default())
    }

    /// Starts one.
    ///
    /// # Errors
    /// As [`Nats::start`].
    pub fn start_with(setup: NatsSetup) -> Result<Self> {
        let folder = tempfile::tempdir().map_err(|error| failed("no folder").with_source(error))?;
        let certificate = setup.tls.then(|| Certificate::make(folder.path(), None)).transpose()?;
        let (port, monitor) = (free_port()?, free_port()?);
        let started = Self { server: Mutex::new(None), folder, certificate, port, monitor, setup };
        started.restart()?;
        Ok(started)
    }

    /// Starts it on its port, with the streams it had; stops it before when it runs.
    ///
    /// # Errors
    /// As [`Nats::start`].
    pub fn restart(&self) -> Result<()> {
        self.stop();
        let folder = self.folder.path();
        let mut command = RunAs::command(None, &find("nats-server", "PROVISION_NATS_BIN")?, folder);
        command.args([
            "-a",
            "127.0.0.1",
            "-p",
            &self.port.to_string(),
            "-m",
            &self.monitor.to_string(),
            "-js",
        ]);
        command.arg("-sd").arg(folder.join("streams")).args(&self.setup.arguments);
        if let Some(certificate) = &self.certificate {
            command
                .arg("--tls")
                .arg("--tlscert")
                .arg(&certificate.server)
                .arg("--tlskey")
                .arg(&certificate.key);
            if self.setup.verify {
                command.arg("--tlsverify").arg("--tlscacert").arg(&certificate.authority);
            }
        }
        let stop = (Signal::TERM, "TERM");
        let server = Server::start(command, (folder, "nats-server"), stop, || self.is_healthy())?;
        *self.server() = Some(server);
        Ok(())
    }

    /// Stops it in order.
    pub fn stop(&self) {
        let running = self.server().take();
        drop(running);
    }

    /// Kills it.
    pub fn kill(&self) {
        let running = self.server().take();
        if let Some(server) = running {
            server.end(Signal::KILL);
        }
    }

    /// Stops its clock: connections stay, nothing answers.
    ///
    /// # Errors
    /// When it does not run.
    pub fn pause(&self) -> Result<()> {
        self.server().as_ref().ok_or_else(|| failed("it does not run"))?.signal(Signal::STOP)
    }

    /// Lets it go on after a pause.
    ///
    /// # Errors
    /// When it does not run.
    pub fn resume(&self) -> Result<()> {
        self.server().as_ref().ok_or_else(|| failed("it does not run"))?.signal(Signal::CONT)
    }

    /// `nats://` address; `tls://` where clients must use TLS.
    pub fn url(&self) -> String {
        let scheme = if self.setup.tls { "tls" } else { "nats" };
        format!("{scheme}://127.0.0.1:{}", self.port)
    }

    /// PEM file of the authority that signed its certificate, where it has one.
    pub fn authority(&self) -> Option<PathBuf> {
        self.certificate.as_ref().map(|certificate| certificate.authority.clone())
    }

    /// PEM files of a certificate of its authority and of the key, which a client may show.
    pub fn certificate(&self) -> Option<(PathBuf, PathBuf)> {
        self.certificate.as_ref().map(|certificate| (certificate.server.clone(), certificate.key.clone()))
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        loopback(self.port)
    }

    fn is_healthy(&self) -> bool {
        let asked = || -> std::io::Result<String> {
            let limit = Duration::from_millis(500);
            let mut stream = TcpStream::connect_timeout(&loopback(self.monitor), limit)?;
            stream.set_read_timeout(Some(limit))?;
            stream.write_all(b"GET /healthz?js-enabled=true HTTP/1.0\r\n\r\n")?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer)?;
            Ok(answer)
        };
        asked().is_ok_and(|answer| answer.lines().next().is_some_and(|status| status.contains(" 200 ")))
    }

    fn server(&self) -> MutexGuard<'_, Option<Server>> {
        self.server.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
