//! Points at which a process dies or stops: before or after its n-th commit, or its n-th writing call to a target.

use std::fmt;
use std::io::{Read as _, Write as _};
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::process::{Signal, getpid, kill_process};

/// The environment variable that tells a process its point.
pub(crate) const POINT: &str = "FLEET_POINT";
/// How a process says that it has come to its point.
pub(crate) const ARRIVED: &str = "at the point";

/// What happens there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// The process kills itself with SIGKILL.
    Kill,
    /// The process says so and waits until somebody has stopped it and lets it go on.
    Stop,
}

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Act {
    /// A commit of the store.
    Commit,
    /// A call that writes to a target.
    Call,
}

/// One side of one act.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Point {
    pub(crate) fate: Fate,
    pub(crate) act: Act,
    /// From 1.
    pub(crate) nth: u64,
    pub(crate) after: bool,
}

impl Point {
    /// Every point of a process that did so many commits and calls.
    pub(crate) fn all(fate: Fate, counted: Counted) -> Vec<Self> {
        let acts = [(Act::Commit, counted.commits), (Act::Call, counted.calls)];
        let of = |(act, count)| (1..=count).map(move |nth| (act, nth));
        let sides = |(act, nth)| [false, true].map(|after| Self { fate, act, nth, after });
        acts.into_iter().flat_map(of).flat_map(sides).collect()
    }
}

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fate = if self.fate == Fate::Kill { "kill" } else { "stop" };
        let side = if self.after { "after" } else { "before" };
        let act = if self.act == Act::Commit { "commit" } else { "call" };
        write!(f, "{fate} {side} {act} {}", self.nth)
    }
}

impl FromStr for Point {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let words: Vec<&str> = text.split(' ').collect();
        let [fate, side, act, nth] = words[..] else { return Err(format!("no point: {text}")) };
        Ok(Self {
            fate: if fate == "kill" { Fate::Kill } else { Fate::Stop },
            act: if act == "commit" { Act::Commit } else { Act::Call },
            nth: nth.parse().map_err(|_| format!("no number: {text}"))?,
            after: side == "after",
        })
    }
}

/// How much a process did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Counted {
    pub(crate) commits: u64,
    pub(crate) calls: u64,
}

/// Counts what its process does, and ends or stops it at its point.
#[derive(Debug, Default)]
pub(crate) struct Points {
    wanted: Option<Point>,
    commits: AtomicU64,
    calls: AtomicU64,
}

impl Points {
    /// With the point that the environment names, if any.
    pub(crate) fn from_environment() -> Arc<Self> {
        let wanted = std::env::var(POINT).ok().map(|point| point.parse().unwrap());
        Arc::new(Self { wanted, ..Self::default() })
    }

    /// An act begins: its number.
    pub(crate) fn before(&self, act: Act) -> u64 {
        let counter = if act == Act::Commit { &self.commits } else { &self.calls };
        let nth = counter.fetch_add(1, Ordering::SeqCst) + 1;
        self.reach(act, nth, false);
        nth
    }

    /// The act with that number has ended.
    pub(crate) fn after(&self, act: Act, nth: u64) {
        self.reach(act, nth, true);
    }

    pub(crate) fn counted(&self) -> Counted {
        Counted { commits: self.commits.load(Ordering::SeqCst), calls: self.calls.load(Ordering::SeqCst) }
    }

    fn reach(&self, act: Act, nth: u64, after: bool) {
        let Some(point) =
            self.wanted.filter(|point| (point.act, point.nth, point.after) == (act, nth, after))
        else {
            return;
        };
        match point.fate {
            Fate::Kill => {
                kill_process(getpid(), Signal::KILL).unwrap();
                unreachable!("SIGKILL cannot be survived");
            }
            Fate::Stop => {
                // This thread waits here, so that the process does nothing until it is stopped.
                println!("\n{ARRIVED}");
                std::io::stdout().flush().unwrap();
                std::io::stdin().read_exact(&mut [0u8]).unwrap();
            }
        }
    }
}
