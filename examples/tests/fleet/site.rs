//! A site: a folder with configuration, policy, HR files, store and targets, on a clock that the test moves.
//!
//! Every process of a site runs in its folder and names files relative to it, so that a copy of a site is a site.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use provision_core::runtime::{Clock, SystemClock};
use provision_core::value::Timestamp;
use tempfile::TempDir;

use crate::support::{Ran, quiet};

/// Where the clock of a site is kept: its start, and the instant of the machine's clock at which it began.
pub(crate) const CLOCK: &str = "provision.db.rehearsal";
/// What every site's clock shows first.
pub(crate) const START: &str = "2026-01-05T08:00:00Z";

/// How a site is set up.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setup {
    /// People of the first file.
    pub(crate) people: usize,
    /// `review` or `enforce`.
    pub(crate) drive: &'static str,
    /// Calls side by side on each target.
    pub(crate) concurrency: u32,
}

/// One of them.
pub(crate) struct Site {
    pub(crate) folder: TempDir,
}

/// Accounts with names and memberships in a directory, and a badge for everybody.
const BUNDLE: &str = r#"
bundle: 1
version: fleet
namespaces:
  login: { case: ignore }
roles:
  staff:
    grants:
      - { account: directory/user }
      - { group: "CN=Staff,OU=Groups,DC=corp,DC=example", on: directory/user }
      - { account: badges/badge }
  pilots:
    grants: [{ group: "CN=Pilots,OU=Groups,DC=corp,DC=example", on: directory/user }]
rules:
  - { id: all, when: 'lifecycle != "terminated"', roles: [staff] }
  - { id: pilots, when: 'lifecycle != "terminated" && user.title == "Pilot"', roles: [pilots] }
targets:
  directory:
    user:
      enabled: 'lifecycle == "active"'
      names:
        - sAMAccountName:
            namespace: login
            max: 20
            allow: a-z0-9
            parts: [{ value: user.familyName, max: 19 }, { value: user.givenName, max: 1 }]
      attributes:
        cn: 'user.displayName + " " + key'
        dn: '"CN=" + rdn(user.displayName + " " + key) + ",OU=People,DC=corp,DC=example"'
        employeeNumber: { value: key, strength: weak }
        displayName: user.displayName
        title: user.title
  badges:
    badge:
      attributes:
        employeeNumber: { value: key, strength: create_only }
        displayName: user.displayName
"#;

const SEED: &str = r#"[
  {"class": "group", "attributes": {"cn": "Staff", "dn": "CN=Staff,OU=Groups,DC=corp,DC=example"}},
  {"class": "group", "attributes": {"cn": "Pilots", "dn": "CN=Pilots,OU=Groups,DC=corp,DC=example"}}
]"#;

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
      columns: { givenName: first, familyName: last, displayName: name, title: title }
      sequence: { from_name: true }
    guard: { removed_percent_max: 100 }
targets:
  - name: directory
    kind: demo-directory
    config: { state_file: directory.json, seed_file: seed.json }
    drive: DRIVE
    timeout_seconds: 1
    retry: { attempts_max: 20, first_seconds: 1, longest_seconds: 1 }
    concurrency: CONCURRENCY
    classes: { user: { marker: employeeNumber } }
    budgets: &many
      disable: { always: 1000, percent: 0 }
      delete: { always: 1000, percent: 0 }
      revoke: { always: 1000, percent: 0 }
      key_rewrite: { always: 1000, percent: 0 }
  - name: badges
    kind: csv
    config: { path: badges.csv, class: badge, key: employeeNumber, columns: [employeeNumber, displayName] }
    drive: DRIVE
    timeout_seconds: 1
    retry: { attempts_max: 20, first_seconds: 1, longest_seconds: 1 }
    concurrency: CONCURRENCY
    classes: { badge: { marker: employeeNumber, on_delete: delete } }
    budgets: *many
"#;

impl Site {
    /// A site with nothing but these files.
    pub(crate) fn of(configuration: &str, bundle: &str) -> Self {
        let site = Self { folder: tempfile::tempdir().unwrap() };
        site.write("provisioner.yaml", &configuration.replace("START", START));
        site.write("bundle.yaml", bundle);
        std::fs::create_dir(site.folder.path().join("hr")).unwrap();
        site
    }

    /// A site with a directory, a badge office and a first HR file.
    pub(crate) fn new(setup: Setup) -> Self {
        let configuration = CONFIGURATION
            .replace("DRIVE", setup.drive)
            .replace("CONCURRENCY", &setup.concurrency.to_string());
        let site = Self::of(&configuration, BUNDLE);
        site.write("seed.json", SEED);
        site.feed("2026-01-05", 0..setup.people, 0);
        site
    }

    /// A full HR file of people by number. Another `generation` gives everybody another title and every fifth another
    /// family name.
    pub(crate) fn feed(&self, day: &str, people: std::ops::Range<usize>, generation: usize) {
        let mut csv = String::from("id,first,last,name,title\n");
        for number in people {
            let first = ["Ann", "Bo", "Cy"][number % 3];
            let married = if number % 5 == 0 { generation } else { 0 };
            let last = ["Smith", "Jones", "Ng", "Wu"][(number + married) % 4];
            let title = ["Engineer", "Pilot", "Clerk"][(number + generation) % 3];
            csv.push_str(&format!("{},{first},{last},{first} {last},{title}\n", 1000 + number));
        }
        self.write(&format!("hr/{day}.csv"), &csv);
    }

    /// The same site in another folder.
    pub(crate) fn copy(&self) -> Self {
        let copy = Self { folder: tempfile::tempdir().unwrap() };
        copy_folder(self.folder.path(), copy.folder.path());
        copy
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        std::fs::write(self.folder.path().join(name), text).unwrap();
    }

    pub(crate) fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.folder.path().join(name)).unwrap()
    }

    pub(crate) fn rename(&self, from: &str, to: &str) {
        std::fs::rename(self.folder.path().join(from), self.folder.path().join(to)).unwrap();
    }

    /// The real program, in the site's folder.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = quiet(env!("CARGO_BIN_EXE_provisioner"));
        command.current_dir(self.folder.path()).args(arguments);
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Ran {
        self.command(arguments).output().unwrap().into()
    }

    /// Runs and expects this exit code.
    #[track_caller]
    pub(crate) fn expect(&self, code: i32, arguments: &[&str]) -> Ran {
        let ran = self.run(arguments);
        assert_eq!(ran.code, code, "{arguments:?}: {ran:#?}");
        ran
    }

    /// Time passes for every process that starts from now on, and for those of [`crate::host`] at once.
    pub(crate) fn pass(&self, time: Duration) {
        pass(self.folder.path(), time);
    }

    /// Everything as tools that are not ours read it.
    pub(crate) fn dump(&self) -> String {
        self.foreign("everything").unwrap_or_else(|wrong| panic!("{wrong}"))
    }

    /// What a run comes to, whatever plans led there, as tools that are not ours read it.
    pub(crate) fn outcome(&self) -> String {
        self.foreign("outcome").unwrap_or_else(|wrong| panic!("{wrong}"))
    }

    /// What the reader finds; its complaint if something that must never be is there.
    pub(crate) fn foreign(&self, what: &str) -> Result<String, String> {
        let reader = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/foreign_reader.py");
        let output = Command::new("python3").arg(reader).arg(self.folder.path()).arg(what).output().unwrap();
        match output.status.success() {
            true => Ok(String::from_utf8(output.stdout).unwrap()),
            false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
        }
    }
}

/// Moves the clock of the site in this folder.
pub(crate) fn pass(folder: &Path, time: Duration) {
    let (file, beside) = (folder.join(CLOCK), folder.join(format!("{CLOCK}.{}", std::process::id())));
    let kept = std::fs::read_to_string(&file).unwrap();
    let (start, began) = kept.trim().split_once(' ').unwrap();
    let began: Timestamp = began.parse().unwrap();
    std::fs::write(&beside, format!("{start} {}\n", began.minus(time))).unwrap();
    // Readers see the old text or the new one.
    std::fs::rename(&beside, &file).unwrap();
}

/// What the clock of the site in this folder shows.
pub(crate) fn now(folder: &Path) -> Timestamp {
    let kept = std::fs::read_to_string(folder.join(CLOCK)).unwrap();
    let (start, began) = kept.trim().split_once(' ').unwrap();
    let (start, began): (Timestamp, Timestamp) = (start.parse().unwrap(), began.parse().unwrap());
    start.plus(SystemClock.now().since(began))
}

fn copy_folder(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            std::fs::create_dir(&target).unwrap();
            copy_folder(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), &target).unwrap();
        }
    }
}
