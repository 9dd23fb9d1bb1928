//! The commands for those who write policy, as they and their scripts use them.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::string_slice, reason = "a test may panic")]

mod support;

use std::path::Path;
use std::process::Command;

use support::{Host, Ran, differing, normalised, quiet};

const TESTS: &str = "
tests: 1
now: 2026-01-05T09:00:00Z
people:
  ann: { key: \"1000\", attributes: { givenName: Ann, familyName: Smith, displayName: Ann Smith, title: Engineer } }
cases:
  - name: who works here has both accounts
    given: { person: ann }
    expect:
      roles: [staff]
      accounts:
        directory/user: { exists: true, enabled: true, values: { sAMAccountName: smitha, title: Engineer } }
        badges/badge: { exists: true, values: { displayName: Ann Smith } }
";

/// Runs in a folder, without any configuration.
fn alone(folder: &Path, code: i32, arguments: &[&str]) -> Ran {
    let ran = Ran::from(
        quiet(env!("CARGO_BIN_EXE_provisioner")).current_dir(folder).args(arguments).output().unwrap(),
    );
    assert_eq!(ran.code, code, "{arguments:?}: {ran:#?}");
    ran
}

#[test]
fn a_bundle_is_checked_without_anything_else() {
    let host = Host::with(0, "");
    let folder = host.folder.path();
    let ok = alone(folder, 0, &["check", "--bundle", "bundle.yaml"]);
    assert!(ok.stdout.starts_with("ok policy test (") && ok.stderr.is_empty(), "{ok:?}");
    host.write("unused.yaml", &host.read("bundle.yaml").replace("roles:\n", "roles:\n  spare: {}\n"));
    let warned = alone(folder, 0, &["check", "--bundle", "unused.yaml", "--json"]).json();
    assert_eq!(warned["problems"][0]["code"], "P0030");
    host.write(
        "bad.yaml",
        &host.read("bundle.yaml").replace("user.title", "user.tittle").replace("[staff]", "[staf]"),
    );
    let bad = alone(folder, 5, &["check", "--bundle", "bad.yaml"]);
    for part in [
        "error[P0010]",
        "error[P0016]",
        "bad.yaml:9:59",
        "did you mean `user.title`?",
        "no 2 errors, 0 warnings",
    ] {
        assert!(bad.stdout.contains(part), "{part}: {}", bad.stdout);
    }
    let json = alone(folder, 5, &["check", "--bundle", "bad.yaml", "--json"]).json();
    assert_eq!(json["problems"].as_array().unwrap().len(), 2);
    assert_eq!(json["problems"][0]["span"]["line"], 9);
    alone(folder, 5, &["check", "--bundle", "nowhere.yaml"]);
    assert!(!folder.join("provision.db").exists(), "no store was made");
}

#[test]
fn policy_tests_run_without_a_store_and_their_exit_says_it() {
    let host = Host::with(0, "");
    let folder = host.folder.path();
    alone(folder, 5, &["test", "--bundle", "bundle.yaml"]);
    host.write("bundle.test.yaml", TESTS);
    let ran = alone(folder, 0, &["test", "--bundle", "bundle.yaml", "--coverage"]);
    assert!(ran.stdout.contains("rules 1 of 1") && ran.stdout.ends_with("1 cases hold, 0 fail\n"), "{ran:?}");
    assert!(!ran.stdout.contains("not targets.badges"), "{ran:?}");
    // By the configuration; still no store.
    host.expect(0, &["test"]);
    host.write("other.test.yaml", &TESTS.replacen("title: Engineer", "title: Baker", 1));
    let failed =
        host.expect(4, &["test", "--json", "--junit", folder.join("out.xml").to_str().unwrap()]).json();
    let failure =
        failed["cases"].as_array().unwrap().iter().find_map(|case| case["failures"].get(0)).unwrap();
    assert_eq!((failure["code"].as_str(), failure["span"]["line"].as_u64()), (Some("P0080"), Some(12)));
    assert_eq!((&failure["expected"][0], &failure["found"][0]), (&"Engineer".into(), &"Baker".into()));
    assert!(host.read("out.xml").contains("<testsuites tests=\"2\" failures=\"1\" errors=\"0\">"));
    let text = host.expect(4, &["test", folder.join("other.test.yaml").to_str().unwrap()]).stdout;
    for part in ["FAILED who works here", "  - Engineer\n  + Baker\n", "bundle.yaml:", "0 cases hold, 1 fail"]
    {
        assert!(text.contains(part), "{part}: {text}");
    }
    host.write("other.test.yaml", &TESTS.replace("given:", "givn:"));
    let unreadable = host.expect(5, &["test"]);
    assert!(
        unreadable.stderr.contains("unknown key `givn`") && unreadable.stdout.is_empty(),
        "{unreadable:?}"
    );
    assert!(!folder.join("provision.db").exists(), "no store was made");
}

#[test]
fn impact_says_what_another_policy_would_do_and_does_nothing() {
    let host = Host::with(12, "");
    for (code, command) in [(0, "ingest"), (0, "onboard"), (2, "plan"), (0, "apply")] {
        host.expect(code, &[command]);
    }
    let path = |name: &str| host.folder.path().join(name).display().to_string();
    let old = host.read("bundle.yaml");
    host.write(
        "new.yaml",
        &old.replace("title: user.title", "title: upper(user.title)")
            .replace("version: test", "version: next"),
    );
    let before = host.expect(0, &["status", "--json"]).json();
    let args = ["impact", "--from", &path("bundle.yaml"), "--to", &path("new.yaml")];
    let text = host.expect(2, &args).stdout;
    for part in [
        "changed targets.directory.user.attributes.title\n",
        "12 identities read, 12 touched by the edit, 12 decided differently\n",
        "  directory/user title: 12\n",
        "  targets.directory.user.attributes.title: 12\n",
        "    directory/user title: \"Engineer\" -> \"ENGINEER\"  <- targets.directory.user.attributes.title\n",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let json = host.expect(2, &[&args[..], &["--json", "--limit", "3"]].concat()).json();
    assert_eq!(json["impact"]["attributes"][0]["count"], 12);
    assert_eq!(
        (json["impact"]["people"].as_array().unwrap().len(), json["impact"]["more_people"].as_u64()),
        (3, Some(9))
    );
    assert_eq!(json["edit"][0]["change"], "changed");
    // The configured bundle is where it leads by itself.
    let none = host.expect(0, &["impact", "--from", &path("bundle.yaml")]);
    assert!(none.stdout.contains("nothing changes for anybody"), "{none:?}");
    host.write(
        "gone.yaml",
        &old.replace("{ id: all, when: 'lifecycle != \"terminated\"'", "{ id: all, when: 'key == \"1003\"'"),
    );
    let gone = host
        .expect(2, &["impact", "--from", &path("bundle.yaml"), "--to", &path("gone.yaml"), "--json"])
        .json();
    assert_eq!(gone["impact"]["accounts"][0]["change"], "offboard");
    assert_eq!(
        (gone["impact"]["accounts"][0]["count"].as_u64(), gone["impact"]["rules"][0]["lost"].as_u64()),
        (Some(11), Some(11))
    );
    host.write("bad.yaml", "bundle: 1\n");
    host.expect(5, &["impact", "--from", &path("bundle.yaml"), "--to", &path("bad.yaml")]);
    host.expect(5, &["impact"]);
    let after = host.expect(0, &["status", "--json"]).json();
    assert_eq!(before["waiting"], after["waiting"], "nobody was made dirty");
    assert_eq!(before["policy"], after["policy"]);
    host.expect(0, &["plan", "--all"]);
}

#[test]
fn an_expression_is_evaluated_for_one_person() {
    let host = Host::with(3, "");
    host.expect(0, &["ingest"]);
    let ran = host.expect(
        0,
        &["eval", "upper(user.title) + today.string()", "--person", "1001", "--as-of", "2026-11-20"],
    );
    assert_eq!(
        ran.stdout,
        "\"ENGINEER2026-11-20\"  (text)\n  reads user.title = \"Engineer\"\n  reads today\n  at most 7 steps\n"
    );
    let json = host.expect(0, &["eval", "user.nickName", "--person", "1001", "--json"]).json();
    assert_eq!((json["kind"].as_str(), &json["reads"][0][1]), (Some("null"), &serde_json::Value::Null));
    let fails = host.expect(4, &["eval", "int(user.title)", "--person", "1001"]);
    assert!(fails.stdout.starts_with("fails: expression_failed: "), "{fails:?}");
    let faulty = host.expect(5, &["eval", "user.title + user.tittle", "--person", "1001"]);
    assert!(
        faulty.stderr.contains("expression:1:14") && faulty.stderr.contains("did you mean"),
        "{faulty:?}"
    );
    host.expect(5, &["eval", "user.title"]);
    host.expect(1, &["eval", "user.title", "--person", "nobody"]);
    host.write("ann.yaml", "now: 2026-11-20T09:00:00Z\nattributes: { title: Clerk }\n");
    let ran = alone(
        host.folder.path(),
        0,
        &["eval", "user.title", "--given", "ann.yaml", "--bundle", "bundle.yaml"],
    );
    assert!(ran.stdout.starts_with("\"Clerk\"  (text)\n"), "{ran:?}");
}

#[test]
fn explain_tells_of_one_value_or_one_group_and_where_it_is_written() {
    let host = Host::with(3, "");
    for (code, command) in [(0, "ingest"), (0, "onboard"), (2, "plan"), (0, "apply")] {
        host.expect(code, &[command]);
    }
    let text = host.expect(0, &["explain", "1001", "--target", "directory", "--attribute", "title"]).stdout;
    for part in [
        "  title = \"Engineer\"",
        "normal  <- targets.directory.user.attributes.title",
        "written at\n",
        "bundle.yaml:",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(!text.contains("displayName"), "{text}");
    let json =
        host.expect(0, &["explain", "1001", "--attribute", "nothing", "--group", "none", "--json"]).json();
    assert_eq!(json["format"], 1);
    assert_eq!(json["accounts"][0]["not_there"][0]["reason"], "no_value");
    assert_eq!(json["accounts"][0]["not_there"][1]["reason"], "not_given");
    assert!(json["places"]["rules.all"].as_str().unwrap().contains("bundle.yaml:"), "{json:#}");
    let all = host.expect(0, &["explain", "1001", "--json"]).json();
    let title = all["attributes"].as_array().unwrap().iter().find(|one| one["name"] == "title").unwrap();
    assert_eq!((title["source"].as_str(), title["asserted"][0]["key"].as_str()), (Some("hr"), Some("1001")));
    assert!(!all.to_string().to_lowercase().contains("unknown"));
}

#[test]
fn the_schema_is_printed_and_nothing_is_coloured_where_nobody_looks() {
    let folder = tempfile::tempdir().unwrap();
    let ran = alone(folder.path(), 0, &["schema"]);
    let committed = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/spec/bundle.schema.json");
    assert_eq!(ran.stdout, std::fs::read_to_string(committed).unwrap());
    let host = Host::with(1, "");
    let mut command: Command =
        host.command(&["check", "--bundle", host.folder.path().join("bundle.yaml").to_str().unwrap()]);
    let ran = Ran::from(command.env_remove("NO_COLOR").output().unwrap());
    assert!(ran.code == 0 && !ran.stdout.contains('\u{1b}'), "{ran:?}");
    let help = alone(folder.path(), 0, &["--help"]).stdout;
    for part in ["a policy test does not", "(`impact`)", "(`eval`)"] {
        assert!(help.contains(part), "{part}: {help}");
    }
}

/// The parts of the guide between these fences.
fn blocks(guide: &str, fence: &str) -> Vec<String> {
    let open = format!("```{fence}\n");
    guide.split(&open).skip(1).map(|rest| rest.split("```").next().unwrap().to_owned()).collect()
}

#[test]
fn commands_of_the_guide_print_what_the_guide_shows() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/guide/policy.md");
    let guide = std::fs::read_to_string(&path).unwrap();
    let host = Host::with(3, "");
    let policy = blocks(&guide, "yaml")[0].clone();
    host.write("policy.yaml", &policy);
    host.write("policy.test.yaml", &blocks(&guide, "yaml test")[0]);
    host.write(
        "next.yaml",
        &policy
            .replace("lifecycle == \"active\"", "lifecycle in [\"active\", \"on_leave\"]")
            .replace("sn: user.familyName", "sn: upper(user.familyName)"),
    );
    for (code, command) in [(0, "ingest"), (0, "onboard"), (2, "plan"), (0, "apply"), (0, "plan")] {
        host.expect(code, &[command]);
    }
    let shown = blocks(&guide, "console");
    assert!(shown.len() >= 4, "{}", shown.len());
    let mut actual = guide.clone();
    for block in &shown {
        let command = block.lines().next().unwrap();
        let words: Vec<String> = words(command.strip_prefix("$ provisioner ").unwrap());
        let mut program = quiet(env!("CARGO_BIN_EXE_provisioner"));
        let ran = Ran::from(program.current_dir(host.folder.path()).args(&words).output().unwrap());
        assert!(ran.stderr.is_empty(), "{command}: {ran:?}");
        // When the engine looks again is another instant in each run.
        let lines = ran.stdout.lines().filter(|line| !line.starts_with("  dirty, due "));
        let stable: String = lines.map(|line| format!("{line}\n")).collect();
        let printed = format!("{command}\n{}", normalised(&stable, host.folder.path()));
        actual = actual.replace(block.as_str(), &printed);
    }
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, &actual).unwrap();
    }
    let differ = differing(&guide, &actual);
    assert!(actual == guide || std::env::var_os("UPDATE_GOLDEN").is_some(), "{differ}");
}

/// Words of a command line; `'` keeps them together.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    for (number, part) in line.split('\'').enumerate() {
        match number % 2 {
            1 => words.push(part.to_owned()),
            _ => words.extend(part.split_whitespace().map(str::to_owned)),
        }
    }
    words
}
