//! A process that serves, and its end.

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use super::failed;
use crate::error::Result;

/// How long a server may take to start or to stop.
const PATIENCE: Duration = Duration::from_secs(30);
const STEP: Duration = Duration::from_millis(10);

/// Waits for the end of its input, which is the end of the process that holds the other side; then stops a server and
/// removes its folder.
const LAST: &str = "cat >/dev/null; kill -s \"$1\" \"$2\"; n=0; \
    while kill -0 \"$2\" 2>/dev/null && [ $n -lt 100 ]; do sleep 0.1; n=$((n+1)); done; rm -rf \"$3\"";

/// A running server.
#[derive(Debug)]
pub(super) struct Server {
    child: Child,
    last: Child,
    stop: Signal,
    log: PathBuf,
}

impl Server {
    /// Starts a server and waits until it is ready. `stop` ends it in order; its messages go to `folder/name.log`.
    pub(super) fn start(
        mut command: Command,
        (folder, name): (&Path, &str),
        (stop, stop_name): (Signal, &str),
        ready: impl Fn() -> bool,
    ) -> Result<Self> {
        let log = folder.join(format!("{name}.log"));
        let cannot = |error| failed(format!("cannot start {name}")).with_source(error);
        let messages = File::options().create(true).append(true).open(&log).map_err(cannot)?;
        command.stdout(messages.try_clone().map_err(cannot)?).stderr(messages);
        let mut child = command.spawn().map_err(cannot)?;
        let last = Command::new("/bin/sh")
            .args(["-c", LAST, "last", stop_name, &child.id().to_string()])
            .arg(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let last = match last {
            Ok(last) => last,
            Err(error) => {
                let _ = child.kill();
                let _ = child.wait();
                return Err(cannot(error));
            }
        };
        let mut server = Self { child, last, stop, log };
        let ended = |child: &mut Child| child.try_wait().is_ok_and(|status| status.is_some());
        let is_ready = eventually(|| ended(&mut server.child) || ready());
        if !is_ready || ended(&mut server.child) {
            let said = std::fs::read_to_string(&server.log).unwrap_or_default();
            let tail: Vec<&str> = said.lines().rev().take(8).collect();
            let tail: Vec<&str> = tail.into_iter().rev().collect();
            return Err(failed(format!("{name} did not start: {}", tail.join(" / "))));
        }
        Ok(server)
    }

    /// Sends a signal.
    pub(super) fn signal(&self, signal: Signal) -> Result<()> {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        let pid = pid.ok_or_else(|| failed("a process without an id"))?;
        kill_process(pid, signal).map_err(|error| failed("cannot send a signal").with_source(error))
    }

    /// Ends the server with a signal and waits for it.
    pub(super) fn end(mut self, signal: Signal) {
        self.end_with(signal);
    }

    fn end_with(&mut self, signal: Signal) {
        // The shell first: its process id must not come to mean another process.
        let _ = self.last.kill();
        let _ = self.last.wait();
        if self.child.try_wait().is_ok_and(|status| status.is_some()) {
            return;
        }
        let _ = self.signal(signal);
        // A server that is stopped hears nothing else.
        let _ = self.signal(Signal::CONT);
        if !eventually(|| self.child.try_wait().is_ok_and(|status| status.is_some())) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end_with(self.stop);
    }
}

/// Asks again and again, for half a minute at most.
fn eventually(mut done: impl FnMut() -> bool) -> bool {
    let steps = PATIENCE.as_millis() / STEP.as_millis();
    for _ in 0..steps {
        if done() {
            return true;
        }
        std::thread::sleep(STEP);
    }
    false
}

/// A loopback port that was free a moment ago.
pub(super) fn free_port() -> Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
    let address = listener.and_then(|listener| listener.local_addr());
    address.map(|address| address.port()).map_err(|error| failed("no free port").with_source(error))
}

/// A port of the loopback interface.
pub(super) fn loopback(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

/// True when somebody listens.
pub(super) fn listens(port: u16) -> bool {
    std::net::TcpStream::connect_timeout(&loopback(port), Duration::from_millis(200)).is_ok()
}
