//! Two processes with eight workers each on one store, mass leavers, and a limit of five hundred: never one more, at
//! every moment, whoever is killed.

use std::collections::BTreeSet;
use std::process::Command;
use std::time::Duration;

use crate::process::Process;
use crate::seed::{Draw, seed};
use crate::site::Site;

/// People who work here, those who leave at once, and how many accounts may be disabled or deleted in a day.
const PEOPLE: usize = 1_500;
const LEAVERS: usize = 1_200;
const LIMIT: usize = 500;

const CONFIGURATION: &str = r#"
realm: corp
store: provision.db
bundle: bundle.yaml
clock: START
settle_ms: 50
sources:
  - name: hr
    kind: csv
    config:
      path: hr
      pattern: "*.csv"
      mode: full
      key: id
      columns: { familyName: last }
      sequence: { from_name: true }
    guard: { removed_percent_max: 100 }
targets:
  - name: badges
    kind: csv
    config: { path: badges.csv, class: badge, key: number, columns: [number, name], enabled_column: active }
    drive: enforce
    timeout_seconds: 5
    retry: { attempts_max: 20, first_seconds: 1, longest_seconds: 1 }
    concurrency: 64
    classes: { badge: { marker: number, on_delete: END } }
    budgets:
      create: { always: 5000, percent: 0 }
      disable: { always: 500, percent: 0 }
      delete: { always: 500, percent: 0 }
"#;

const BUNDLE: &str = r#"
bundle: 1
version: limit
roles:
  staff: { grants: [{ account: badges/badge }] }
rules:
  - { id: all, when: 'lifecycle != "terminated"', roles: [staff] }
targets:
  badges:
    badge:
      enabled: 'lifecycle == "active"'
      attributes:
        number: { value: key, strength: create_only }
        name: user.familyName
"#;

/// Looks at the file until it is told to end, and tells how often it looked, the most it ever saw destroyed, and what
/// is destroyed at the end.
const WATCHER: &str = r#"
import csv, os, sys, threading
people = {str(number) for number in range(int(sys.argv[1]))}
def destroyed():
    with open("badges.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    numbers = [row["number"] for row in rows]
    assert len(numbers) == len(set(numbers)), "a badge twice"
    return people - {row["number"] for row in rows if row["active"] == "true"}
ended = threading.Event()
threading.Thread(target=lambda: (sys.stdin.read(1), ended.set()), daemon=True).start()
looks = most = 0
print("watching", flush=True)
while not ended.wait(0.005):
    most, looks = max(most, len(destroyed())), looks + 1
gone = destroyed()
print("most", max(most, len(gone)))
print("looks", looks)
print("gone", " ".join(sorted(gone)))
"#;

/// Whom open holds keep waiting.
const HELD: &str = r#"
import json, sqlite3
store = sqlite3.connect("file:provision.db?mode=ro", uri=True)
bodies = lambda table: [json.loads(body) for (body,) in store.execute(f'SELECT body FROM "{table}"')]
key = {identity["id"]: identity["key"].rsplit("/")[-1] for identity in bodies("identity")}
plan = {plan["id"]: plan for plan in bodies("plan")}
held = [who for hold in bodies("hold") if hold["state"] == "open"
        for who in plan[hold["of"]["plan"]]["scope"]["identities"]]
print("held", " ".join(key[who] for who in held))
print("open", [entry["step"] for entry in bodies("journal") if entry["state"] in ("intent", "waiting", "pending")])
print("spent", sum(row["spent"] for row in bodies("spending") if row["kind"] in ("disable", "delete")))
"#;

fn feed(site: &Site, day: &str, people: std::ops::Range<usize>) {
    let rows: String = people.map(|number| format!("{number},P{number}\n")).collect();
    site.write(&format!("hr/{day}.csv"), &format!("id,last\n{rows}"));
}

/// A site whose leavers are known and still have their accounts.
fn ready(end: &str) -> Site {
    let site = Site::of(&CONFIGURATION.replace("END", end), BUNDLE);
    feed(&site, "2026-01-05", 0..PEOPLE);
    site.expect(0, &["ingest"]);
    site.expect(0, &["onboard"]);
    site.expect(0, &["run", "--once"]);
    feed(&site, "2026-01-06", LEAVERS..PEOPLE);
    site.expect(0, &["ingest"]);
    site
}

fn python(site: &Site, program: &str, argument: &str) -> Command {
    let mut command = Command::new("python3");
    command.current_dir(site.folder.path()).args(["-c", program, argument]);
    command
}

/// Accounts in the file of the target, which is replaced as a whole and therefore never seen half written.
fn rows(site: &Site) -> usize {
    std::fs::read_to_string(site.folder.path().join("badges.csv")).unwrap().lines().count() - 1
}

fn drives(site: &Site) -> [Process; 2] {
    [(); 2].map(|()| Process::start(site.command(&["run", "--once", "--workers", "8"])))
}

/// Two drives to their end, after so many pairs of them were killed half way. What they did is compared with the limit.
fn run(end: &str, kills: usize) {
    let site = ready(end);
    let seed = seed("LIMIT_SEED");
    let (draw, end) = (Draw::new(seed), format!("seed {seed}, {end}"));
    let mut watcher = Process::start(python(&site, WATCHER, &PEOPLE.to_string()));
    assert!(watcher.says("watching"));
    let mut struck = 0;
    for number in 0..kills {
        let (before, more) = (rows(&site), 1 + draw.below(100) as usize);
        let mut both = drives(&site);
        // By what they have done and not by the clock: how long that takes depends on the machine.
        while rows(&site) + more > before && both.iter_mut().any(Process::is_running) {
            std::thread::sleep(Duration::from_millis(1));
        }
        std::thread::sleep(Duration::from_millis(draw.below(20)));
        let running = both.each_mut().map(Process::kill);
        println!(
            "kill {number} of both after {} of {more} deletes, running: {running:?}",
            before - rows(&site)
        );
        struck += usize::from(running[0] || running[1]);
        // Leases and deadlines of the dead end; the day of the budget does not.
        site.pass(Duration::from_secs(1_200));
    }
    // What one of them left to the other, or had to give up, comes with another round.
    for round in 0..6 {
        for drive in drives(&site) {
            let ended = drive.end();
            println!("{:?}: {:?}", ended.code, ended.said);
            // Done; plans are held; some steps were over the limit and not tried. That two meet is no failure, and what
            // is left to a person is said once.
            let fine: &[i32] = if round < 5 { &[0, 3, 4] } else { &[0] };
            assert!(ended.code.is_some_and(|code| fine.contains(&code)), "{end}, round {round}: {ended:#?}");
        }
        site.pass(Duration::from_secs(1_200));
    }
    watcher.go_on();
    let watched = watcher.end();
    let told = |name: &str| watched.after(name).unwrap_or_else(|| panic!("{watched:#?}")).to_owned();
    let (most, looks): (usize, usize) = (told("most ").parse().unwrap(), told("looks ").parse().unwrap());
    let gone: BTreeSet<String> = told("gone ").split(' ').map(str::to_owned).collect();
    println!("{end}: {} destroyed, never more than {most} in {looks} looks", gone.len());
    assert!(most <= LIMIT, "{end}: {most} destroyed at one moment");
    let leavers: BTreeSet<String> = (0..LEAVERS).map(|number| number.to_string()).collect();
    assert!(gone.is_subset(&leavers), "{end}: somebody who stays is gone");
    // Batches of 64 wait whole: the last few may be left of the budget.
    assert!(gone.len() > LIMIT - 64, "{end}: only {} of {LIMIT}", gone.len());
    let rest = Process::start(python(&site, HELD, "")).end();
    let held: Vec<String> = rest.after("held ").unwrap().split(' ').map(str::to_owned).collect();
    let waiting: BTreeSet<String> = held.iter().cloned().collect();
    // A hold is about people: it may name one whose step was still under way in a plan of the killed, which another
    // process has carried out since.
    let over: BTreeSet<String> = leavers.difference(&gone).cloned().collect();
    assert!(over.is_subset(&waiting), "{end}: {:?} wait in no hold", over.difference(&waiting));
    let named: Vec<&String> = waiting.difference(&over).collect();
    assert!(named.len() < 64 && named.iter().all(|who| gone.contains(*who)), "{end}: {named:?}");
    assert_eq!(rest.after("open "), Some("[]"), "{end}");
    let spent: usize = rest.after("spent ").unwrap().parse().unwrap();
    assert!(spent >= gone.len() && spent <= LIMIT, "{end}: {spent} spent for {} destroyed", gone.len());
    assert_eq!(struck, kills, "{end}: a kill came after the end");
}

#[test]
fn two_processes_never_disable_more_than_the_limit() {
    run("disable", 0);
}

#[test]
fn two_processes_that_are_killed_and_started_again_never_delete_more_than_the_limit() {
    run("delete", 3);
}
