//! Where the servers are, and as whom they run.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::failed;
use crate::error::Result;

/// What the tests need of Debian.
const INSTALL: &str = "apt-get install -y --no-install-recommends postgresql pgbouncer nats-server";

/// Finds a program: in the folder that the variable names, on the path, in the folders of administrators, and where
/// Debian puts the programs of PostgreSQL (the latest version).
pub(super) fn find(name: &str, variable: &str) -> Result<PathBuf> {
    if let Some(folder) = std::env::var_os(variable) {
        let program = Path::new(&folder).join(name);
        if program.is_file() {
            return Ok(program);
        }
        return Err(failed(format!("{variable} names a folder without `{name}`: {}", folder.display())));
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders = versions();
    folders.extend(std::env::split_paths(&path));
    folders.extend(["/usr/sbin", "/usr/local/sbin", "/usr/local/bin"].map(PathBuf::from));
    let mut programs = folders.into_iter().map(|folder| folder.join(name));
    programs.find(|program| program.is_file()).ok_or_else(|| {
        failed(format!(
            "there is no `{name}`: install it (on Debian: {INSTALL}), or set {variable} to its folder"
        ))
    })
}

/// Folders of PostgreSQL's programs, the latest version first.
fn versions() -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir("/usr/lib/postgresql") else { return Vec::new() };
    let mut found: Vec<(u32, PathBuf)> = entries
        .filter_map(|entry| {
            let entry = entry.ok()?;
            Some((entry.file_name().to_str()?.parse().ok()?, entry.path().join("bin")))
        })
        .collect();
    found.sort();
    found.into_iter().rev().map(|(_, folder)| folder).collect()
}

/// User and group that servers run as, where it cannot be the caller's.
#[derive(Clone, Copy, Debug)]
pub(super) struct RunAs {
    pub(super) user: u32,
    pub(super) group: u32,
}

impl RunAs {
    /// `postgres` where the caller is root; nobody else otherwise.
    pub(super) fn unprivileged() -> Result<Option<Self>> {
        if !rustix::process::geteuid().is_root() {
            return Ok(None);
        }
        let users = std::fs::read_to_string("/etc/passwd").map_err(|e| failed("no users").with_source(e))?;
        let found = users.lines().find_map(|line| {
            let mut fields = line.split(':');
            (fields.next()? == "postgres").then_some(())?;
            Some(Self { user: fields.nth(1)?.parse().ok()?, group: fields.next()?.parse().ok()? })
        });
        let missing = || failed(format!("there is no user `postgres` to run servers as: {INSTALL}"));
        found.ok_or_else(missing).map(Some)
    }

    /// A program that runs as this user, in a folder it may enter.
    pub(super) fn command(run_as: Option<Self>, program: &Path, folder: &Path) -> Command {
        let mut command = Command::new(program);
        command.current_dir(folder).stdin(Stdio::null()).env("LC_ALL", "C.UTF-8");
        for variable in ["PGHOST", "PGPORT", "PGUSER", "PGDATABASE", "PGPASSWORD", "PGDATA", "PGOPTIONS"] {
            command.env_remove(variable);
        }
        #[cfg(unix)]
        if let Some(Self { user, group }) = run_as {
            use std::os::unix::process::CommandExt;
            command.uid(user).gid(group);
        }
        command
    }

    /// Gives the user a file or folder.
    pub(super) fn give(run_as: Option<Self>, path: &Path) -> Result<()> {
        #[cfg(unix)]
        if let Some(Self { user, group }) = run_as {
            std::os::unix::fs::chown(path, Some(user), Some(group))
                .map_err(|error| failed("cannot give a file away").with_source(error))?;
        }
        Ok(())
    }
}

/// Runs a program to its end; what it printed.
pub(super) fn run(mut command: Command, doing: &str) -> Result<String> {
    let output = command.output().map_err(|error| failed(format!("cannot {doing}")).with_source(error))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).trim_end().to_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(failed(format!("cannot {doing}: {said}")))
}
