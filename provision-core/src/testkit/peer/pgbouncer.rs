//! PgBouncer in transaction mode.

use std::net::SocketAddr;

use rustix::process::Signal;
use tempfile::TempDir;

use super::cluster::Postgres;
use super::failed;
use super::program::{RunAs, find};
use super::server::{Server, free_port, listens, loopback};
use crate::error::Result;

/// A pooler in front of a PostgreSQL server: each transaction may run on another connection.
#[derive(Debug)]
pub struct PgBouncer {
    _server: Server,
    _folder: TempDir,
    port: u16,
}

impl PgBouncer {
    /// Starts one with so many connections to each database.
    ///
    /// # Errors
    /// When it is not installed or does not start: why, and what to install.
    pub fn start(upstream: &Postgres, connections: u32) -> Result<Self> {
        let program = find("pgbouncer", "PROVISION_PGBOUNCER_BIN")?;
        let folder = tempfile::tempdir().map_err(|error| failed("no folder").with_source(error))?;
        let run_as = RunAs::unprivileged()?;
        RunAs::give(run_as, folder.path())?;
        let (port, server_port) = (free_port()?, upstream.address().port());
        let users = folder.path().join("users.txt");
        let settings = format!(
            "[databases]\n* = host=127.0.0.1 port={server_port}\n[pgbouncer]\nlisten_addr = 127.0.0.1\n\
             listen_port = {port}\nauth_type = trust\nauth_file = {}\npool_mode = transaction\n\
             default_pool_size = {connections}\nmax_client_conn = 500\nunix_socket_dir =\n",
            users.display()
        );
        let path = folder.path().join("pgbouncer.ini");
        for (path, text) in [(&users, "\"postgres\" \"\"\n"), (&path, settings.as_str())] {
            std::fs::write(path, text).map_err(|error| failed("no settings").with_source(error))?;
        }
        let mut command = RunAs::command(run_as, &program, folder.path());
        command.arg(&path);
        let stop = (Signal::TERM, "TERM");
        let server = Server::start(command, (folder.path(), "pgbouncer"), stop, || listens(port))?;
        Ok(Self { _server: server, _folder: folder, port })
    }

    /// `postgres://` address of a database, as the user `postgres`.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}", self.port)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        loopback(self.port)
    }
}
