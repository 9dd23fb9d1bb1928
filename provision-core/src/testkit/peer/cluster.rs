//! PostgreSQL: a cluster of its own, and replicas of it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use rustix::process::Signal;
use tempfile::TempDir;

use super::certificate::Certificate;
use super::failed;
use super::program::{RunAs, find, run};
use super::server::{Server, free_port, loopback};
use crate::error::Result;

const BINARIES: &str = "PROVISION_PG_BIN";

/// How a cluster is started.
#[derive(Clone, Debug, Default)]
pub struct PostgresSetup {
    /// Commits wait for the disk. Off: a cluster that survives a crash of its processes, not of the machine.
    pub fsync: bool,
    /// Further settings: `("max_connections", "20")`.
    pub settings: Vec<(String, String)>,
}

/// A PostgreSQL server.
///
/// The user `postgres` may do everything and needs no password; every other user needs its password (SCRAM). TLS is
/// offered, with a certificate for `localhost` and 127.0.0.1 of the authority in [`Postgres::authority`].
#[derive(Debug)]
pub struct Postgres {
    // Before the folder: the server ends first.
    server: Mutex<Option<Server>>,
    folder: TempDir,
    certificate: Certificate,
    run_as: Option<RunAs>,
    port: u16,
    setup: PostgresSetup,
    databases: AtomicU64,
}

impl Postgres {
    /// Makes a cluster and starts it.
    ///
    /// # Errors
    /// When PostgreSQL is not installed or does not start: why, and what to install.
    pub fn start(setup: PostgresSetup) -> Result<Self> {
        let initdb = find("initdb", BINARIES)?;
        Self::make(setup, |data, folder, run_as| {
            let mut command = RunAs::command(run_as, &initdb, folder);
            command.arg("-D").arg(data);
            command.args(["-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync"]);
            run(command, "make a PostgreSQL cluster")?;
            let access = "local all all trust\nhost all postgres 127.0.0.1/32 trust\n\
                          host replication postgres 127.0.0.1/32 trust\nhost all all 127.0.0.1/32 scram-sha-256\n";
            std::fs::write(data.join("pg_hba.conf"), access).map_err(|e| failed("pg_hba.conf").with_source(e))
        })
    }

    /// Makes a streaming replica of this server and starts it; it answers reads.
    ///
    /// # Errors
    /// As [`Postgres::start`].
    pub fn replica(&self) -> Result<Self> {
        let program = find("pg_basebackup", BINARIES)?;
        let primary = format!("host=127.0.0.1 port={} user=postgres", self.port);
        Self::make(self.setup.clone(), |data, folder, run_as| {
            let mut command = RunAs::command(run_as, &program, folder);
            command.arg("-D").arg(data).args([
                "-d",
                &primary,
                "-R",
                "-X",
                "stream",
                "-c",
                "fast",
                "--no-sync",
            ]);
            run(command, "copy a PostgreSQL cluster").map(drop)
        })
    }

    fn make(setup: PostgresSetup, fill: impl Fn(&Path, &Path, Option<RunAs>) -> Result<()>) -> Result<Self> {
        let folder = tempfile::tempdir().map_err(|error| failed("no folder").with_source(error))?;
        let run_as = RunAs::unprivileged()?;
        RunAs::give(run_as, folder.path())?;
        let certificate = Certificate::make(folder.path(), run_as)?;
        fill(&folder.path().join("data"), folder.path(), run_as)?;
        let (server, port) = (Mutex::new(None), free_port()?);
        let made = Self { server, folder, certificate, run_as, port, setup, databases: AtomicU64::new(0) };
        made.restart()?;
        Ok(made)
    }

    /// Starts the server on its port; stops it before when it runs.
    ///
    /// # Errors
    /// As [`Postgres::start`].
    pub fn restart(&self) -> Result<()> {
        self.stop();
        let folder = self.folder.path();
        let mut command = RunAs::command(self.run_as, &find("postgres", BINARIES)?, folder);
        command.arg("-D").arg(folder.join("data")).args(["-p", &self.port.to_string()]);
        let durable = if self.setup.fsync { "on" } else { "off" };
        let mut setting = |name: &str, value: &str| {
            command.args(["-c", &format!("{name}={value}")]);
        };
        setting("listen_addresses", "127.0.0.1");
        setting("unix_socket_directories", &folder.display().to_string());
        setting("ssl", "on");
        setting("ssl_cert_file", &self.certificate.server.display().to_string());
        setting("ssl_key_file", &self.certificate.key.display().to_string());
        setting("max_connections", "200");
        for name in ["fsync", "full_page_writes"] {
            setting(name, durable);
        }
        for (name, value) in &self.setup.settings {
            setting(name, value);
        }
        let asks = find("pg_isready", BINARIES)?;
        let ready = || {
            let mut command = RunAs::command(None, &asks, folder);
            command.args(["-q", "-h", "127.0.0.1", "-p", &self.port.to_string(), "-U", "postgres"]);
            command.status().is_ok_and(|status| status.success())
        };
        // An interrupt is the shutdown that does not wait for clients.
        let server = Server::start(command, (folder, "postgres"), (Signal::INT, "INT"), ready)?;
        *self.server() = Some(server);
        Ok(())
    }

    /// Stops the server in order: connections are ended, everything is written.
    pub fn stop(&self) {
        let running = self.server().take();
        drop(running);
    }

    /// Ends the server without a shutdown, as a crash would: the next start recovers from the log.
    pub fn crash(&self) {
        let running = self.server().take();
        if let Some(server) = running {
            server.end(Signal::QUIT);
        }
    }

    /// Makes a replica take writes, on a timeline of its own.
    ///
    /// # Errors
    /// When it is no replica, or does not answer.
    pub fn promote(&self) -> Result<()> {
        match self.sql("postgres", "select pg_promote()")?.as_str() {
            "t" => Ok(()),
            _ => Err(failed("the replica was not promoted")),
        }
    }

    /// Makes an empty database; its name is new.
    ///
    /// # Errors
    /// When the server does not answer.
    pub fn database(&self) -> Result<String> {
        let name = format!("test_{}", self.databases.fetch_add(1, Ordering::SeqCst) + 1);
        self.sql("postgres", &format!("create database {name}"))?;
        Ok(name)
    }

    /// Runs SQL as `postgres` by the server's own client; gives the rows, columns separated by `|`. Several
    /// statements are one transaction.
    ///
    /// # Errors
    /// What the client says.
    pub fn sql(&self, database: &str, sql: &str) -> Result<String> {
        let mut command = RunAs::command(None, &find("psql", BINARIES)?, self.folder.path());
        command.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1", "-U", "postgres"]);
        command.args(["-p", &self.port.to_string(), "-d", database, "-c", sql]);
        run(command, "run SQL")
    }

    /// `postgres://` address of a database, as the user `postgres`.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}", self.port)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        loopback(self.port)
    }

    /// The folder of its unix socket.
    pub fn socket_folder(&self) -> &Path {
        self.folder.path()
    }

    /// PEM file of the authority that signed its certificate.
    pub fn authority(&self) -> PathBuf {
        self.certificate.authority.clone()
    }

    fn server(&self) -> std::sync::MutexGuard<'_, Option<Server>> {
        self.server.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
