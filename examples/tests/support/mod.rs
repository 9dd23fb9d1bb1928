//! Running the real programs as a person would, and what they printed.
#![allow(dead_code, unreachable_pub, reason = "each test binary uses its own part")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test may panic")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// What a program printed and how it ended.
#[derive(Debug)]
pub struct Ran {
    pub stdout: String,
    pub stderr: String,
    pub code: i32,
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        Self {
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
            code: output.status.code().unwrap_or(-1),
        }
    }
}

impl Ran {
    /// The answer of a `--json` call.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// An environment in which nothing of the caller's shows.
pub fn quiet(program: impl AsRef<Path>) -> Command {
    let mut command = Command::new(program.as_ref());
    command
        .env("NO_COLOR", "1")
        .env("USER", "alice")
        .env_remove("RUST_LOG")
        .env_remove("PROVISION_STATE_DIR");
    command
}

/// An example as cargo built it. `cargo test` builds all of them; a single test target alone does not.
pub fn example(name: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let built = test.parent().and_then(Path::parent).unwrap().join("examples").join(name);
    if !built.exists() {
        let cargo = Command::new(env!("CARGO")).args(["build", "--example", name]).status().unwrap();
        assert!(cargo.success());
    }
    built
}

/// A host of its own in a folder: configuration, bundle, one HR file.
pub struct Host {
    pub folder: tempfile::TempDir,
}

const BUNDLE: &str = "
bundle: 1
version: test
namespaces:
  login: { case: ignore }
roles:
  staff: { grants: [{ account: directory/user }, { account: badges/badge }] }
rules:
  - { id: all, when: 'lifecycle != \"terminated\"', roles: [staff] }
targets:
  directory:
    user:
      enabled: 'lifecycle == \"active\"'
      names:
        - sAMAccountName:
            namespace: login
            max: 20
            allow: a-z0-9
            parts: [{ value: user.familyName, max: 19 }, { value: user.givenName, max: 1 }]
      attributes:
        cn: 'user.displayName + \" \" + key'
        dn: '\"CN=\" + rdn(user.displayName + \" \" + key) + \",OU=People,DC=corp,DC=example\"'
        employeeNumber: { value: key, strength: weak }
        displayName: user.displayName
        title: user.title
  badges:
    badge:
      attributes:
        employeeNumber: { value: key, strength: create_only }
        displayName: user.displayName
";

impl Host {
    /// With this many people. `extra` goes into the directory's settings.
    pub fn with(people: usize, extra: &str) -> Self {
        let host = Self { folder: tempfile::tempdir().unwrap() };
        host.write("bundle.yaml", BUNDLE);
        host.write("provisioner.yaml", &configuration(extra));
        std::fs::create_dir(host.folder.path().join("hr")).unwrap();
        host.feed("2026-01-05", 0..people);
        host
    }

    /// A full HR file of people by number.
    pub fn feed(&self, day: &str, people: std::ops::Range<usize>) {
        let mut csv = String::from("id,first,last,name,title\n");
        for number in people {
            let (first, last) = (["Ann", "Bo", "Cy"][number % 3], ["Smith", "Jones", "Ng", "Wu"][number % 4]);
            csv.push_str(&format!("{},{first},{last},{first} {last},Engineer\n", 1000 + number));
        }
        self.write(&format!("hr/{day}.csv"), &csv);
    }

    pub fn write(&self, name: &str, text: &str) {
        std::fs::write(self.folder.path().join(name), text).unwrap();
    }

    pub fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.folder.path().join(name)).unwrap()
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = quiet(env!("CARGO_BIN_EXE_provisioner"));
        command.arg("--config").arg(self.folder.path().join("provisioner.yaml")).args(arguments);
        command
    }

    pub fn run(&self, arguments: &[&str]) -> Ran {
        self.command(arguments).output().unwrap().into()
    }

    /// Runs and expects this exit code.
    #[track_caller]
    pub fn expect(&self, code: i32, arguments: &[&str]) -> Ran {
        let ran = self.run(arguments);
        assert_eq!(ran.code, code, "{arguments:?}: {ran:#?}");
        ran
    }
}

fn configuration(extra: &str) -> String {
    format!(
        "realm: corp
store: provision.db
bundle: bundle.yaml
settle_ms: 50
sources:
  - name: hr
    kind: csv
    config:
      path: hr
      pattern: \"*.csv\"
      mode: full
      key: id
      columns: {{ givenName: first, familyName: last, displayName: name, title: title }}
      sequence: {{ from_name: true }}
    guard: {{ removed_percent_max: 100 }}
targets:
  - name: directory
    kind: memory
    config: {{ state_file: directory.json }}
    drive: review
    timeout_seconds: 1
    retry: {{ attempts_max: 20, first_seconds: 1, longest_seconds: 1 }}
    classes: {{ user: {{ marker: employeeNumber }} }}
{extra}
  - name: badges
    kind: csv
    config:
      path: badges.csv
      class: badge
      key: employeeNumber
      columns: [employeeNumber, displayName]
    drive: review
    timeout_seconds: 1
    retry: {{ attempts_max: 20, first_seconds: 1, longest_seconds: 1 }}
    classes: {{ badge: {{ marker: employeeNumber, on_delete: delete }} }}
    concurrency: 16
"
    )
}

/// Text with ids, digests and the state's folder made the same in every run.
pub fn normalised(text: &str, folder: &Path) -> String {
    let text = text.replace(&folder.display().to_string(), "STATE");
    let mut out = String::new();
    let mut word = String::new();
    for c in text.chars().chain(['\n']) {
        if c.is_ascii_hexdigit() || c == '-' {
            word.push(c);
            continue;
        }
        out.push_str(&stable(&word));
        word.clear();
        out.push(c);
    }
    out.pop();
    out
}

fn stable(word: &str) -> String {
    let hex = word.chars().all(|c| c.is_ascii_hexdigit());
    let digits = word.chars().any(|c| c.is_ascii_digit());
    match word.len() {
        36 if word.matches('-').count() == 4 => "ID".to_owned(),
        12 | 16 | 64 if hex && digits => "HASH".to_owned(),
        _ => word.to_owned(),
    }
}

/// Compares with a golden file; `UPDATE_GOLDEN=1` writes it.
#[track_caller]
pub fn golden(name: &str, actual: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, actual).unwrap();
        return;
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    let differ = differing(&expected, actual);
    assert!(differ.is_empty(), "{}, then set UPDATE_GOLDEN=1:\n{differ}", path.display());
}

/// The first lines that differ.
pub fn differing(expected: &str, actual: &str) -> String {
    let (old, new) = (expected.lines().count(), actual.lines().count());
    let pairs = expected.lines().zip(actual.lines()).filter(|(old, new)| old != new).take(20);
    let mut lines: Vec<String> = pairs.map(|(old, new)| format!("- {old}\n+ {new}")).collect();
    if old != new {
        lines.push(format!("{old} lines became {new}"));
    }
    lines.join("\n")
}
