//! nats-server with JetStream.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::process::Signal;
use tempfile::TempDir;

use super::failed;
use super::program::{RunAs, find};
use super::server::{Server, free_port, loopback};
use crate::error::Result;

/// A NATS server whose streams are on disk.
#[derive(Debug)]
pub struct Nats {
    server: Mutex<Option<Server>>,
    folder: TempDir,
    port: u16,
    monitor: u16,
}

impl Nats {
    /// Starts one.
    ///
    /// # Errors
    /// When it is not installed or does not start: why, and what to install.
    pub fn start() -> Result<Self> {
        let folder = tempfile::tempdir().map_err(|error| failed("no folder").with_source(error))?;
        let started = Self { server: Mutex::new(None), folder, port: free_port()?, monitor: free_port()? };
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
        command.arg("-sd").arg(folder.join("streams"));
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

    /// `nats://` address.
    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
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
