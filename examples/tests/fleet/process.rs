//! Processes a test starts: stopped, continued and killed by their id, waited for with a bound, never left behind.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use provision_core::runtime::{Clock as _, SystemClock};
use rustix::process::{Pid, Signal, kill_process};

/// The longest that anything is waited for.
pub(crate) const BOUND: Duration = Duration::from_secs(100);
/// Lines of a process that are shown when a test fails.
const SHOWN: usize = 60;
/// Between two looks at a process.
const LOOK: Duration = Duration::from_millis(2);

/// A process that was started.
pub(crate) struct Process {
    child: Child,
    lines: Receiver<String>,
    said: Vec<String>,
    gone: bool,
}

/// How a process ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) success: bool,
    /// `None`: a signal ended it.
    pub(crate) code: Option<i32>,
    pub(crate) said: Vec<String>,
}

impl Ended {
    /// What it said after this word, last.
    pub(crate) fn after(&self, word: &str) -> Option<&str> {
        self.said.iter().rev().find_map(|line| line.strip_prefix(word))
    }
}

impl Process {
    pub(crate) fn start(mut command: Command) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let (lines, received) = channel();
        let errors = lines.clone();
        let (out, err) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        // They end with the pipes.
        std::thread::spawn(move || forward(out, |line| lines.send(line).is_ok()));
        std::thread::spawn(move || forward(err, |line| errors.send(line).is_ok()));
        Self { child, lines: received, said: Vec::new(), gone: false }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits until it says this line; false when it ends without.
    pub(crate) fn says(&mut self, expected: &str) -> bool {
        self.says_like(|line| line == expected)
    }

    /// Waits until it says such a line; false when it ends without.
    pub(crate) fn says_like(&mut self, expected: impl Fn(&str) -> bool) -> bool {
        loop {
            match self.lines.recv_timeout(BOUND) {
                Ok(line) => {
                    self.said.push(line);
                    if self.said.last().is_some_and(|line| expected(line)) {
                        return true;
                    }
                }
                Err(RecvTimeoutError::Disconnected) => return false,
                Err(RecvTimeoutError::Timeout) => panic!("not said in {BOUND:?}: {:?}", self.said),
            }
        }
    }

    /// Stops it with SIGSTOP and waits until it has stopped.
    pub(crate) fn stop(&self) {
        self.send(Signal::STOP);
        self.wait_for("to stop", |state| state == 'T');
    }

    /// Lets it go on: past its point, if it is at one.
    pub(crate) fn go_on(&mut self) {
        self.send(Signal::CONT);
        // A process that waits at no point does not read it.
        let _ = self.child.stdin.as_mut().unwrap().write_all(b".");
    }

    /// Asks it to end.
    pub(crate) fn terminate(&self) {
        self.send(Signal::TERM);
    }

    /// Kills it with SIGKILL. True if it was still running.
    pub(crate) fn kill(&mut self) -> bool {
        let running = self.child.try_wait().unwrap().is_none();
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.gone = true;
        running
    }

    /// Whether it is still there.
    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Waits for its end.
    pub(crate) fn end(mut self) -> Ended {
        loop {
            match self.lines.recv_timeout(BOUND) {
                Ok(line) => self.said.push(line),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => panic!("not ended in {BOUND:?}: {:?}", self.said),
            }
        }
        let status = self.child.wait().unwrap();
        self.gone = true;
        Ended { success: status.success(), code: status.code(), said: std::mem::take(&mut self.said) }
    }

    fn send(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    fn wait_for(&self, what: &str, is: impl Fn(char) -> bool) {
        let started = SystemClock.now();
        loop {
            let status = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
            // The name before it may hold anything, parentheses too.
            let state = status.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next()).unwrap();
            if is(state) {
                return;
            }
            assert!(SystemClock.now().since(started) < BOUND, "waited too long for {} {what}", self.id());
            std::thread::sleep(LOOK);
        }
    }
}

fn forward(from: impl std::io::Read, to: impl Fn(String) -> bool) {
    for line in BufReader::new(from).lines() {
        if !line.is_ok_and(&to) {
            return;
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if !self.gone {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
        if std::thread::panicking() {
            self.said.extend(self.lines.try_iter());
            let from = self.said.len().saturating_sub(SHOWN);
            println!("process {} said: {:#?}", self.child.id(), &self.said[from..]);
        }
    }
}
