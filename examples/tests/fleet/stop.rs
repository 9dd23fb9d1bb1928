//! SIGSTOP past the lease, then SIGCONT: a peer takes over, the late one does no harm. And a process that is stopped in
//! the middle of a write to SQLite: the others get an error within the busy timeout, and go on when it is gone.

use std::process::Command;
use std::time::Duration;

use provision_core::runtime::{Clock as _, SystemClock};
use provision_core::store::SqliteOptions;

use crate::host::{Task, counted, start};
use crate::kill::{Scene, ready};
use crate::point::{ARRIVED, Counted, Fate, Point};
use crate::process::{BOUND, Process};
use crate::seed::{Draw, each, only, seed};
use crate::site::{Setup, Site};
use crate::support::differing;

/// Most of a stop is waiting.
const AT_ONCE: usize = 4;
/// Points that are tried, drawn from all.
const STOPS: usize = 60;
const SETUP: Setup = Setup { people: 12, drive: "enforce", concurrency: 4 };
/// Longer than the lease, the deadline of every call and the settle time.
const LONG: Duration = Duration::from_secs(120);

/// A site whose drive has leavers, joiners and movers to do.
fn moving() -> Site {
    let site = Site::new(SETUP);
    site.expect(0, &["ingest"]);
    site.expect(0, &["onboard"]);
    site.expect(0, &["run", "--once"]);
    site.feed("2026-01-06", 3..15, 1);
    site.expect(0, &["ingest"]);
    site
}

/// What happens while a host is stopped.
#[derive(Clone, Copy)]
enum Meanwhile {
    /// Its lease ends, a peer does everything, and then everybody changes once more.
    Peer,
    /// Its lease ends, a peer takes over and is stopped at this point, past its own lease; the first goes on before it.
    Stopped(Point),
    /// Everybody changes once more, within its lease.
    Feed,
}

/// A stop: where, and what happens meanwhile.
#[derive(Clone, Copy)]
struct Case {
    point: Point,
    meanwhile: Meanwhile,
}

impl std::fmt::Display for Case {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.meanwhile {
            Meanwhile::Peer => write!(f, "{}, a peer takes over", self.point),
            Meanwhile::Stopped(peer) => write!(f, "{}, a peer takes over: {peer}", self.point),
            Meanwhile::Feed => write!(f, "{}, a feed comes", self.point),
        }
    }
}

/// Claims that were lost to somebody else.
fn lost(report: Option<&str>) -> u64 {
    let report: serde_json::Value = serde_json::from_str(report.unwrap()).unwrap();
    report["lost"].as_u64().unwrap()
}

/// What the drive comes to when nobody disturbs it, before and after the last feed, and how much it did.
fn undisturbed(ready: &Site) -> ([String; 2], Counted) {
    let site = ready.copy();
    let mut outcomes = vec![site.outcome()];
    let mut did = Vec::new();
    for last in [false, true] {
        if last {
            deliver_last(&site);
        }
        let ended = start(&site, Task::Drive, None).end();
        assert!(ended.success, "{ended:#?}");
        site.expect(0, &["plan", "--all"]);
        did.push(counted(&ended));
        outcomes.push(site.outcome());
    }
    let [before, first, last] = outcomes.try_into().unwrap();
    assert!(before != first && first != last);
    ([first, last], did[0])
}

/// One more change of everybody. Nobody leaves: what a leaver's account shows depends on what came before.
fn deliver_last(site: &Site) {
    site.feed("2026-01-07", 3..17, 2);
    site.expect(0, &["ingest"]);
}

#[test]
fn a_host_stopped_past_its_lease_does_nothing_twice_and_nothing_late() {
    let ready = moving();
    let (expected, counted) = undisturbed(&ready);
    let all = Point::all(Fate::Stop, counted);
    println!("{counted:?}");
    let seed = seed("STOP_SEED");
    let draw = Draw::new(seed);
    let any = || all[usize::try_from(draw.below(all.len() as u64)).unwrap()];
    let cases: Vec<Case> = (0..only("STOP_COUNT").unwrap_or(STOPS))
        .map(|number| {
            let (point, peer) = (any(), any());
            let meanwhile = [Meanwhile::Peer, Meanwhile::Feed, Meanwhile::Stopped(peer)][number % 3];
            Case { point, meanwhile }
        })
        .collect();
    let lost: u64 = each(&cases, AT_ONCE, only("STOP_ONLY"), |number, case| {
        let told = format!("seed {seed}, stop {number}: {case}");
        let site = ready.copy();
        let (lost, delivered) = stop(&site, case, number % 2 == 0, &told);
        let plan = site.run(&["plan", "--all"]);
        assert_eq!(plan.code, 0, "{told}: {plan:#?}");
        let outcome = site.foreign("outcome").unwrap_or_else(|wrong| panic!("{told}: {wrong}"));
        let differ = differing(&expected[usize::from(delivered)], &outcome);
        assert!(differ.is_empty(), "{told}:\n{differ}");
        lost
    })
    .into_iter()
    .sum();
    println!("{lost} claims were lost to the peer, and their late ends refused");
    assert!(lost > 0 || only("STOP_ONLY").is_some(), "no late worker was refused: the stops were too short");
}

/// The claims that were lost, and whether the last feed came. With `really` the machine's clock passes the calls' time
/// limits too.
fn stop(site: &Site, case: &Case, really: bool, told: &str) -> (u64, bool) {
    let mut first = start(site, Task::Drive, Some(case.point));
    assert!(first.says(ARRIVED), "{told}: the point was not reached");
    first.stop();
    let stopped = SystemClock.now();
    let peer = match case.meanwhile {
        Meanwhile::Peer => take_over(site, None, told),
        Meanwhile::Stopped(point) => take_over(site, Some(point), told),
        Meanwhile::Feed => None,
    };
    let delivered = peer.is_none();
    if delivered {
        // What the stopped one holds of everybody is out of date, and it must not say that they are done.
        deliver_last(site);
    }
    if really {
        // What is tested is that time passes: calls have a limit of a second.
        std::thread::sleep(Duration::from_millis(1_100).saturating_sub(SystemClock.now().since(stopped)));
    }
    first.go_on();
    let late = first.end();
    assert!(late.success, "{told}: the late one: {late:#?}");
    let mut refused = lost(late.after("report "));
    if let Some(mut peer) = peer {
        peer.go_on();
        let ended = peer.end();
        assert!(ended.success, "{told}: the peer: {ended:#?}");
        refused += lost(ended.after("report "));
    }
    (refused, delivered)
}

/// A peer takes over after the lease: it is given back where it stopped, past its own lease. It may have less to do
/// than its point needs; then it has done everything.
fn take_over(site: &Site, point: Option<Point>, told: &str) -> Option<Process> {
    site.pass(LONG);
    let mut peer = start(site, Task::Drive, point);
    if point.is_some() && peer.says(ARRIVED) {
        peer.stop();
        site.pass(LONG);
        return Some(peer);
    }
    let ended = peer.end();
    assert!(ended.success, "{told}: the peer: {ended:#?}");
    None
}

/// What a peer is told while somebody keeps the store locked, and within which time.
fn told_busy(site: &Site) {
    let started = SystemClock.now();
    let peer = Process::start(site.command(&["--json", "apply"])).end();
    let took = SystemClock.now().since(started);
    assert!(!peer.success, "{peer:#?}");
    let said = peer.said.join("\n");
    for expected in [
        "another process kept the file locked for longer than the busy timeout",
        "find the process that holds it or is stopped in a write, then try again",
        "\"kind\": \"store_unusable\"",
        "\"effect\": \"none\"",
        "\"retryable\": true",
    ] {
        assert!(said.contains(expected), "no `{expected}` in: {said}");
    }
    // The rest is for a machine that has other work.
    let bound = SqliteOptions::default().busy_timeout;
    assert!(took >= bound && took < bound + Duration::from_secs(20), "the error came after {took:?}");
    // Those who only read are not held up.
    let status = Process::start(site.command(&["status"])).end();
    assert!(status.success, "{status:#?}");
}

/// Applies and compares with an apply that nobody disturbed.
fn converges(site: &Site, expected: &str) {
    site.pass(LONG);
    crate::kill::resume(site, "after the stop");
    let differ = differing(expected, &site.outcome());
    assert!(differ.is_empty(), "{differ}");
}

#[test]
fn peers_of_a_stranger_stopped_in_its_write_get_an_error_in_time_and_go_on_afterwards() {
    let ready = ready(Scene::Joiners, Setup { people: 6, drive: "review", concurrency: 4 });
    let whole = ready.copy();
    crate::kill::resume(&whole, "undisturbed");
    let expected = whole.outcome();
    let mut python = Command::new("python3");
    python.current_dir(ready.folder.path()).args([
        "-c",
        "import sqlite3, sys\n\
         store = sqlite3.connect('provision.db', isolation_level=None)\n\
         store.execute('BEGIN IMMEDIATE')\n\
         store.execute('DELETE FROM journal')\n\
         print('held', flush=True)\n\
         sys.stdin.read(1)\n\
         store.execute('ROLLBACK')\n",
    ]);
    let mut stranger = Process::start(python);
    assert!(stranger.says("held"));
    stranger.stop();
    told_busy(&ready);
    stranger.go_on();
    assert!(stranger.end().success);
    converges(&ready, &expected);
}

/// Whether a process has the lock of SQLite's write-ahead log under which it writes: byte 120 of the shared memory.
fn is_writing(process: &Process) -> bool {
    let locks = std::fs::read_to_string("/proc/locks").unwrap();
    let id = process.id().to_string();
    locks.lines().any(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        // 1: POSIX ADVISORY WRITE <pid> <device>:<inode> <first> <last>
        matches!(words[..], [_, "POSIX", _, "WRITE", pid, _, first, _] if pid == id && first == "120")
    })
}

#[test]
fn peers_of_an_engine_stopped_in_its_write_get_an_error_in_time_and_go_on_afterwards() {
    let setup = Setup { people: 200, drive: "review", concurrency: 64 };
    let ready = ready(Scene::Joiners, setup);
    let whole = ready.copy();
    crate::kill::resume(&whole, "undisturbed");
    let expected = whole.outcome();
    for attempt in 1.. {
        assert!(attempt <= 50, "no apply of {attempt} was stopped in a write");
        let site = ready.copy();
        let mut engine = Process::start(site.command(&["apply"]));
        if !stopped_in_a_write(&mut engine) {
            continue;
        }
        println!("stopped in a write at attempt {attempt}");
        told_busy(&site);
        engine.go_on();
        let ended = engine.end();
        assert!(ended.success, "the one that was stopped: {ended:#?}");
        converges(&site, &expected);
        return;
    }
}

/// Stops a process while it writes to the store. False when it ended before that.
fn stopped_in_a_write(process: &mut Process) -> bool {
    let started = SystemClock.now();
    while process.is_running() {
        assert!(SystemClock.now().since(started) < BOUND, "it neither ended nor wrote");
        if !is_writing(process) {
            continue;
        }
        process.stop();
        if is_writing(process) {
            return true;
        }
        process.go_on();
    }
    false
}
