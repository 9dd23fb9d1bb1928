//! The provisioner as an operator and a script use it.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

mod support;

use std::path::Path;
use std::process::{Command, Stdio};

use support::{Host, Ran, golden, quiet};

#[test]
fn road_from_check_to_a_clean_plan() {
    let host = Host::with(12, "");
    host.expect(0, &["check"]);
    assert_eq!(host.expect(0, &["plan"]).stdout.matches("nothing to do").count(), 1, "nobody is known yet");
    host.expect(0, &["ingest"]);
    let early = host.expect(0, &["plan", "--json"]).json();
    assert_eq!(early["plan"]["steps"], 0, "nothing is created before the onboarding: {early:#}");
    host.expect(0, &["onboard"]);

    let plan = host.expect(2, &["plan", "--json"]).json();
    assert_eq!(plan["plan"]["steps"], 24);
    assert_eq!(plan["steps"].as_array().unwrap().len(), 24);
    let applied = host.expect(0, &["apply", "--json"]).json();
    assert_eq!(applied["report"]["done"], 24);
    assert_eq!(host.read("badges.csv").lines().count(), 13);

    host.expect(0, &["plan", "--all"]);
    let status = host.expect(0, &["status", "--json"]).json();
    assert_eq!(status["identities"], 12);
    assert_eq!(status["targets"].as_array().unwrap().len(), 2);
    let verdict = host.expect(0, &["verify", "--json"]).json();
    assert_eq!(verdict["broken"], serde_json::Value::Null);
    assert_eq!(host.expect(0, &["holds", "--json"]).json()["holds"].as_array().unwrap().len(), 0);

    let again = host.expect(0, &["ingest"]);
    assert!(again.stdout.contains("seen before, not read"), "{again:?}");
}

#[test]
fn one_person_is_explained_previewed_and_has_a_history() {
    let host = Host::with(5, "");
    for command in ["ingest", "onboard"] {
        host.expect(0, &[command]);
    }
    let preview = host.expect(2, &["preview", "1003", "--json"]).json();
    assert_eq!(preview["steps"].as_array().unwrap().len(), 2);
    assert_eq!(preview["plan"]["state"], "preview");
    host.expect(2, &["plan"]);
    host.expect(0, &["apply"]);
    host.expect(0, &["preview", "hr:1003"]);
    let why = host.expect(0, &["explain", "hr:1003"]);
    assert!(why.stdout.contains("rules.all"), "{why:?}");
    let history = host.expect(0, &["history", "1003", "--json"]).json();
    let events: Vec<&str> =
        history["entries"].as_array().unwrap().iter().filter_map(|entry| entry["event"].as_str()).collect();
    assert_eq!(events, ["identity.created", "step.create.done", "step.create.done"]);
    let nobody = host.expect(1, &["explain", "nobody", "--json"]);
    assert_eq!(nobody.json()["error"]["kind"], "not_found");
}

#[test]
fn over_budget_waits_for_somebody_else() {
    let host = Host::with(30, "    budgets: { disable: { always: 2, percent: 0 } }");
    for (code, command) in [(0, "ingest"), (0, "onboard"), (2, "plan"), (0, "apply")] {
        host.expect(code, &[command]);
    }
    host.feed("2026-01-06", 0..24);
    host.expect(0, &["ingest"]);
    let plan = host.expect(3, &["plan", "--json"]).json();
    let (hold, digest) = (plan["plan"]["hold"].as_str().unwrap(), plan["plan"]["digest"].as_str().unwrap());
    let before = host.read("badges.csv");
    host.expect(3, &["apply"]);
    host.expect(3, &["holds"]);

    let own = host.expect(1, &["approve", hold, "--digest", digest, "--json"]).json();
    assert_eq!(own["error"]["kind"], "permission_denied");
    host.expect(1, &["approve", hold, "--digest", "0123", "--actor", "bob"]);
    host.expect(3, &["apply"]);
    assert_eq!(host.read("badges.csv"), before, "nothing of a held plan is written");

    host.expect(0, &["approve", hold, "--digest", digest, "--actor", "bob"]);
    host.expect(0, &["apply"]);
    assert_eq!(host.read("badges.csv").lines().count(), 25);
    host.expect(1, &["approve", hold, "--digest", digest, "--actor", "bob"]);
    host.expect(0, &["holds"]);
    host.expect(0, &["plan"]);
}

#[test]
fn rejected_plan_is_gone_and_its_people_are_planned_again() {
    let host = Host::with(10, "    budgets: { create: { always: 3, percent: 0 } }");
    host.expect(0, &["ingest"]);
    host.expect(0, &["onboard"]);
    let plan = host.expect(3, &["plan", "--json"]).json();
    host.expect(0, &["reject", plan["plan"]["hold"].as_str().unwrap(), "--actor", "bob"]);
    host.expect(1, &["apply", plan["plan"]["id"].as_str().unwrap()]);
    host.expect(3, &["plan"]);
}

#[test]
fn as_of_shows_the_future_and_cannot_be_applied() {
    let host = Host::with(0, "");
    let config = host.read("provisioner.yaml");
    let dated = config.replace("      sequence:", "      employment: { end: until }\n      sequence:");
    host.write("provisioner.yaml", &dated);
    host.write("hr/2026-01-05.csv", "id,first,last,name,title,until\n1,Ann,Wu,Ann Wu,Engineer,2040-06-30\n");
    for (code, command) in [(0, "ingest"), (0, "onboard"), (2, "plan"), (0, "apply"), (0, "plan")] {
        host.expect(code, &[command]);
    }
    let later = host.expect(2, &["plan", "--all", "--as-of", "2040-07-02", "--json"]).json();
    let words: Vec<&str> =
        later["steps"].as_array().unwrap().iter().filter_map(|step| step["action"]["do"].as_str()).collect();
    assert!(words.contains(&"disable") && words.contains(&"delete"), "{words:?}");
    host.expect(1, &["apply", later["plan"]["id"].as_str().unwrap()]);
    let why = host.expect(0, &["explain", "1", "--as-of", "2040-07-02T00:00:00Z", "--json"]).json();
    assert_eq!(why["lifecycle"], "terminated");
    assert_eq!(host.expect(0, &["explain", "1", "--json"]).json()["lifecycle"], "active");
    host.expect(5, &["plan", "--as-of", "yesterday"]);
}

#[test]
fn paused_target_is_left_alone() {
    let host = Host::with(3, "");
    host.expect(0, &["ingest"]);
    host.expect(0, &["onboard"]);
    host.expect(0, &["pause", "badges"]);
    let plan = host.expect(2, &["plan", "--json"]).json();
    assert_eq!(plan["plan"]["steps"], 3, "{plan:#}");
    host.expect(0, &["apply"]);
    assert!(!host.folder.path().join("badges.csv").exists());
    host.expect(0, &["resume", "badges"]);
    host.expect(2, &["plan"]);
    host.expect(0, &["apply"]);
    assert_eq!(host.read("badges.csv").lines().count(), 4);
    host.expect(0, &["retry"]);
    host.expect(1, &["pause", "nowhere"]);
}

#[test]
fn correlation_that_cannot_be_used_is_refused_and_what_is_meant_otherwise_is_said() {
    let host = Host::with(2, "");
    let config = host.read("provisioner.yaml");
    let with = |correlate: &str| {
        let marker = "{ user: { marker: employeeNumber } }";
        let class = format!("{{ user: {{ marker: employeeNumber, correlate: {correlate} }} }}");
        host.write("provisioner.yaml", &config.replace(marker, &class));
    };
    with("{ mail: mail }");
    let said = host.expect(0, &["check"]).stdout;
    assert!(said.contains("warning[C0008]") && said.contains("targets.directory.classes.user"), "{said}");
    with("{ rules: [{ name: like, items: [{ attribute: sn, similarity: trigram, minimum: 0.4 }] }] }");
    let refused = || {
        let ran = host.run(&["check"]);
        assert_ne!(ran.code, 0, "{ran:#?}");
        ran.stderr
    };
    let said = refused();
    assert!(said.contains("C0006") && said.contains("rules[0].items"), "{said}");
    with("{ rules: [{ name: id, items: [{ atribute: sn }] }] }");
    let said = refused();
    assert!(said.contains("unknown field `atribute`"), "{said}");
}

#[test]
fn dispute_is_decided_and_the_account_kept() {
    let host = Host::with(2, "");
    let config = host.read("provisioner.yaml");
    let config = config.replace("kind: memory", "kind: demo-directory");
    let config = config.replace("directory.json }", "directory.json, seed_file: seed.json }");
    let config = config.replace(
        "{ user: { marker: employeeNumber } }",
        "{ user: { marker: employeeNumber, correlate: { displayName: displayName } } }",
    );
    host.write("provisioner.yaml", &config);
    host.write(
        "seed.json",
        r#"[{"class": "user", "attributes": {"cn": "Ann", "dn": "CN=Ann", "sAMAccountName": "ann",
             "displayName": "Ann Smith"},
             "enabled": true}]"#,
    );
    host.expect(0, &["ingest"]);
    let shown = "    hr:1000 (Ann Smith): 1 by displayName 1\n";
    let onboarded = host.expect(0, &["onboard"]).stdout;
    assert!(onboarded.contains(shown), "{onboarded}");
    let plan = host.expect(2, &["plan", "--json"]).json();
    assert_eq!(plan["skips"][0]["reason"], "disputed", "{plan:#}");
    let listed = host.expect(0, &["disputes"]).stdout;
    assert!(listed.contains(shown), "{listed}");
    let candidate = &host.expect(0, &["disputes", "--json"]).json()["disputes"][0]["candidates"][0];
    assert_eq!(
        (&candidate["score"], &candidate["contributions"][0]["rule"]),
        (&1.0.into(), &"displayName".into())
    );
    let key = listed.split_whitespace().next().unwrap();
    host.expect(5, &["decide", key]);
    host.expect(1, &["decide", "match/directory/user/nothing", "--not-the-same"]);
    host.expect(0, &["decide", key, "--link", "1000"]);
    assert!(host.expect(0, &["disputes"]).stdout.contains("no dispute is open"));
    host.expect(2, &["plan"]);
    host.expect(0, &["apply"]);
    host.expect(0, &["plan", "--all"]);
    let why = host.expect(0, &["explain", "1000", "--target", "directory", "--json"]).json();
    assert_eq!(why["accounts"][0]["link"]["state"], "active", "{why:#}");
    assert!(host.expect(0, &["check"]).stdout.contains("user"));
    assert_eq!(host.read("directory.json").matches("\"employeeNumber\"").count(), 2, "one account each");
}

#[test]
fn continuous_drive_takes_in_plans_and_applies() {
    let host = Host::with(9, "");
    let config = host.read("provisioner.yaml").replace("drive: review", "drive: enforce");
    host.write("provisioner.yaml", &config);
    host.expect(0, &["onboard"]);
    let report = host.expect(0, &["run", "--once", "--json"]).json();
    assert_eq!(report["report"]["done"], 18, "{report:#}");
    assert_eq!(host.read("badges.csv").lines().count(), 10);
    host.expect(0, &["plan"]);
}

#[test]
fn interrupt_finishes_what_is_under_way_and_leaves_the_rest() {
    let host = Host::with(600, "");
    let slow = "directory.json, faults: { rules: [{ on: [create], fault: { delay: 10 } }] } }";
    host.write("provisioner.yaml", &host.read("provisioner.yaml").replace("directory.json }", slow));
    host.expect(0, &["ingest"]);
    host.expect(0, &["onboard"]);
    host.expect(2, &["plan"]);
    let log = host.folder.path().join("directory.json.log");
    let idle = log.metadata().unwrap().len();
    let mut command = host.command(&["apply", "--json"]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // From its first write on there is something under way.
    while log.metadata().map_or(0, |log| log.len()) <= idle {
        std::thread::yield_now();
    }
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    let ran = Ran::from(child.wait_with_output().unwrap());
    assert_eq!(ran.code, 2, "{ran:?}");
    assert!(ran.stderr.contains("stopping"), "{ran:?}");
    let report = ran.json()["report"].clone();
    assert!(report["open"].as_u64().unwrap() > 0 && report["done"].as_u64().unwrap() > 0, "{report:#}");
    let status = host.expect(0, &["status", "--json"]).json();
    assert_eq!(status["steps"]["under_way"], 0, "nobody needs to find out how a call ended: {status:#}");
    host.expect(0, &["apply"]);
    host.expect(0, &["plan", "--all"]);
}

#[cfg(unix)]
#[test]
fn node_runs_until_it_is_asked_to_end_and_finishes_what_it_has() {
    let host = Host::with(400, "");
    let slow = "directory.json, faults: { rules: [{ on: [create], fault: { delay: 10 } }] } }";
    let config = host.read("provisioner.yaml").replace("drive: review", "drive: enforce");
    host.write("provisioner.yaml", &config.replace("directory.json }", slow));
    host.expect(0, &["onboard"]);
    let log = host.folder.path().join("directory.json.log");
    let idle = log.metadata().unwrap().len();
    let mut command = host.command(&["run", "--node", "one", "--workers", "2", "--json"]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    while log.metadata().map_or(0, |log| log.len()) <= idle {
        std::thread::yield_now();
    }
    assert!(Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap().success());
    let ran = Ran::from(child.wait_with_output().unwrap());
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.stderr.contains("stopping: nothing more is claimed"), "{ran:?}");
    assert!(ran.stderr.contains("stopped: what this process had is finished or given back"), "{ran:?}");
    let report = ran.json();
    assert!(report["report"]["done"].as_u64().unwrap() > 0, "{report:#}");
    assert_eq!(report["sources"]["sources"][0]["source"], "hr", "{report:#}");
    let status = host.expect(0, &["status", "--json"]).json();
    assert_eq!(status["steps"]["under_way"], 0, "{status:#}");
    assert!(status["waiting"].as_u64().unwrap() > 0, "there was more to do: {status:#}");
    // What it had is given back: no lease of two minutes is waited for.
    host.expect(0, &["run", "--once", "--workers", "16"]);
    assert_eq!(host.read("badges.csv").lines().count(), 401);
}

#[test]
fn backup_is_a_store_of_its_own() {
    let host = Host::with(2, "");
    host.expect(0, &["ingest"]);
    let copy = host.folder.path().join("copy.db");
    host.expect(0, &["backup", copy.to_str().unwrap()]);
    assert!(copy.metadata().unwrap().len() > 0);
    host.expect(1, &["backup", copy.to_str().unwrap()]);
}

#[test]
fn secret_is_in_nothing_that_is_printed_or_kept() {
    const SECRET: &str = "hunter2-planted-in-the-environment";
    let host = Host::with(3, "");
    // A file's name stands in for a password here: what matters is that it came from the environment.
    let config = host.read("provisioner.yaml").replace("path: badges.csv", "path: ${env:BADGES_FILE}");
    host.write("provisioner.yaml", &config);
    let secret = host.folder.path().join(SECRET);
    let mut printed = String::new();
    for arguments in [
        &["check"][..],
        &["ingest"],
        &["onboard"],
        &["plan", "--why"],
        &["plan", "--json"],
        &["apply"],
        &["status", "--json"],
        &["explain", "1001"],
        &["history", "1001", "--json"],
    ] {
        let mut command = host.command(arguments);
        let ran = command.env("BADGES_FILE", &secret).env("RUST_LOG", "debug").output().unwrap();
        printed.push_str(&String::from_utf8_lossy(&ran.stdout));
        printed.push_str(&String::from_utf8_lossy(&ran.stderr));
    }
    assert!(secret.exists(), "the reference was resolved: {printed}");
    // A folder in the way makes the connector complain about the very path.
    std::fs::remove_file(&secret).unwrap();
    std::fs::create_dir(&secret).unwrap();
    let ran = host.command(&["check"]).env("BADGES_FILE", &secret).output().unwrap();
    assert_eq!(ran.status.code(), Some(1));
    printed.push_str(&String::from_utf8_lossy(&ran.stdout));
    printed.push_str(&String::from_utf8_lossy(&ran.stderr));
    assert!(printed.contains("[secret]"), "the complaint named the path: {printed}");
    assert!(!printed.contains(SECRET), "{printed}");
    for file in std::fs::read_dir(host.folder.path()).unwrap().map(|entry| entry.unwrap().path()) {
        if file.is_file() {
            let bytes = std::fs::read(&file).unwrap();
            let found = bytes.windows(SECRET.len()).any(|window| window == SECRET.as_bytes());
            assert!(!found, "{}", file.display());
        }
    }
    let unset = host.expect(5, &["check"]);
    assert!(unset.stderr.contains("BADGES_FILE"), "{unset:?}");
}

const DATABASE: &str = "store: { postgres: { url: \"postgres://ada@db/shop\" } }";
const PASSWORD: &str =
    "store: { postgres: { url: \"postgres://ada@db/shop\", password: \"${env:NOT_SET}\" } }";

#[test]
fn bad_configuration_is_told_exactly() {
    let good = Host::with(1, "").read("provisioner.yaml");
    let mut told = String::new();
    for (what, config) in [
        ("not YAML", "realm: [corp".to_owned()),
        ("a field that is missing", good.replace("realm: corp\n", "")),
        ("a field nobody knows", good.replace("settle_ms", "setle_ms")),
        ("a kind nobody registered", good.replace("kind: memory", "kind: ldap")),
        ("a drive that does not exist", good.replacen("drive: review", "drive: reviewed", 1)),
        ("a setting the connector does not have", good.replace("state_file", "state_fil")),
        ("a column setting that is wrong", good.replace("mode: full", "mode: whole")),
        ("a policy that is not there", good.replace("bundle: bundle.yaml", "bundle: policy.yaml")),
        (
            "a store that is neither file nor database",
            good.replace("store: provision.db", "store: { mysql: {} }"),
        ),
        (
            "a store without address",
            good.replace("store: provision.db", "store: { postgres: { schema: a } }"),
        ),
        (
            "a store with an address that is none",
            good.replace("store: provision.db", "store:\n  postgres:\n    url: db"),
        ),
        ("a store whose password is not set", good.replace("store: provision.db", PASSWORD)),
        (
            "a rehearsal in a database",
            format!("clock: 2026-01-05T08:00:00Z\n{}", good.replace("store: provision.db", DATABASE)),
        ),
        ("a bus of another kind", format!("bus: {{ kafka: {{}} }}\n{good}")),
        ("a bus with half a login", format!("bus: {{ nats: {{ url: \"nats://bus\", user: ada }} }}\n{good}")),
        (
            "a bus with a prefix that is none",
            format!("bus: {{ nats: {{ url: \"nats://bus\", prefix: \"a b\" }}, events: true }}\n{good}"),
        ),
    ] {
        let host = Host::with(1, "");
        host.write("provisioner.yaml", &config);
        let ran = host.expect(5, &["check"]);
        assert_eq!(ran.stdout, "");
        let said = ran.stderr.replace(&host.folder.path().display().to_string(), "HOST");
        told.push_str(&format!("# {what}\n{said}\n"));
    }
    let host = Host::with(1, "");
    host.write(
        "bundle.yaml",
        &host.read("bundle.yaml").replace("user.title", "user.tittle").replace("[staff]", "[staf]"),
    );
    let ran = host.expect(5, &["plan"]);
    let said = ran.stderr.replace(&host.folder.path().display().to_string(), "HOST");
    told.push_str(&format!("# a policy with two problems\n{said}"));
    golden("bad_configuration.txt", &told);
    host.expect(5, &["no-such-command"]);
    host.expect(5, &["approve", "not-an-id", "--digest", "x"]);
}

#[test]
fn shipped_configuration_does_what_the_readme_says() {
    let folder = tempfile::tempdir().unwrap();
    // As deep as it is in the workspace: its state lies two folders up.
    let data = folder.path().join("examples/data");
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("data");
    for part in ["", "hr", "bundle"] {
        std::fs::create_dir_all(data.join(part)).unwrap();
        for entry in std::fs::read_dir(shipped.join(part)).unwrap().map(Result::unwrap) {
            if entry.file_type().unwrap().is_file() {
                std::fs::copy(entry.path(), data.join(part).join(entry.file_name())).unwrap();
            }
        }
    }
    let expect = |code: i32, arguments: &[&str]| -> Ran {
        let mut command = quiet(env!("CARGO_BIN_EXE_provisioner"));
        command.arg("--config").arg(data.join("provisioner.yaml")).args(arguments);
        let ran = Ran::from(command.output().unwrap());
        assert_eq!(ran.code, code, "{arguments:?}: {ran:#?}");
        ran
    };
    expect(0, &["check"]);
    expect(3, &["ingest"]);
    assert!(expect(0, &["onboard"]).stdout.contains("directory: 30 linked, 0 known, 5 disputed"));
    expect(2, &["plan", "--why"]);
    expect(0, &["apply"]);
    assert!(expect(0, &["explain", "1501"]).stdout.contains("john.smith2@corp.example"));
    expect(0, &["plan", "--all"]);
    expect(0, &["status"]);
    assert!(folder.path().join("provisioner-state/badges.csv").exists());
}
