//! Policy tests as files: what holds, what fails and how that is told.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test may panic"
)]

mod support;

use std::path::PathBuf;

use provision_core::diagnostic::Diagnostic;
use provision_policy::Bundle;
use provision_policy::testing::{Report, TestFile, person, run};
use support::golden;

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/policy_tests")
}

fn read(name: &str) -> String {
    std::fs::read_to_string(folder().join(name)).unwrap()
}

fn bundle() -> Bundle {
    Bundle::load(&[("policy.yaml", &read("policy.yaml"))]).unwrap()
}

fn ran(name: &str) -> Report {
    let file = TestFile::load(name, &read(name)).unwrap_or_else(|problems| panic!("{}", all(&problems)));
    run(&bundle(), &[file])
}

fn all(problems: &[Diagnostic]) -> String {
    problems.iter().map(|problem| format!("{problem}\n")).collect()
}

#[test]
fn what_the_bundle_gives_holds() {
    let report = ran("good.test.yaml");
    assert!(report.is_clean(), "{}", report.render(false));
    assert_eq!(report.cases.len(), 7);
    assert_eq!(report.render(false), "7 cases hold, 0 fail\n");
    let coverage = &report.coverage;
    assert_eq!((coverage.rules, coverage.roles, coverage.mappings), ((3, 3), (3, 3), (6, 6)));
    assert_eq!(coverage.missing, []);
}

#[test]
fn what_is_not_as_expected_is_told_where_the_expectation_is_written() {
    let report = ran("wrong.test.yaml");
    assert_eq!((report.cases.len(), report.failed()), (4, 3));
    golden("policy_tests.txt", &report.render(true));
    golden("policy_tests.xml", &report.junit());
    let json = serde_json::to_value(&report).unwrap();
    let first = &json["cases"][0]["failures"][0];
    assert_eq!(first["code"], "P0080");
    assert_eq!((first["span"]["line"].as_u64(), first["span"]["column"].as_u64()), (Some(9), Some(14)));
    assert_eq!(first["expected"], serde_json::json!(["chief", "staff"]));
    assert_eq!(first["found"], serde_json::json!(["sales", "staff"]));
    assert_eq!(json["coverage"]["missing"][0]["id"], "roles.chief");
}

#[test]
fn files_that_cannot_be_read_say_so_at_the_place() {
    let problems = TestFile::load("unreadable.test.yaml", &read("unreadable.test.yaml")).unwrap_err();
    golden("policy_tests_unreadable.txt", &all(&problems));
    for (text, code, line, column) in [
        ("tests: 2\ncases: []\n", "P0007", 1, 8),
        ("tests: 1\ncases: []\n", "P0083", 2, 8),
        ("tests: 1\n", "P0005", 1, 1),
        ("", "P0083", 1, 1),
        ("tests: 1\ncases: [\n", "P0001", 2, 8),
        ("tests: 1\ncases:\n  - { name: a, given: {}, expect: {} }\n", "P0005", 3, 23),
        (
            "tests: 1\nnow: 2026-11-20T09:00:00Z\ncases:\n  - { name: a, given: { person: x }, expect: {} }\n",
            "P0081",
            4,
            33,
        ),
    ] {
        let problems = TestFile::load("t", text).unwrap_err();
        let span = problems[0].span.as_ref().unwrap();
        assert_eq!(
            (problems[0].code.as_str(), span.line, span.column),
            (code, line, column),
            "{text}{}",
            problems[0]
        );
    }
}

#[test]
fn files_are_found_beside_the_bundle_and_are_no_part_of_it() {
    let temporary = tempfile::tempdir().unwrap();
    let at = |name: &str| temporary.path().join(name);
    std::fs::create_dir(at("tests")).unwrap();
    std::fs::write(at("policy.yaml"), read("policy.yaml")).unwrap();
    let problems = TestFile::load_path(temporary.path()).unwrap_err();
    assert_eq!(problems[0].code, "P0083");
    std::fs::write(at("contacts.test.yaml"), read("good.test.yaml")).unwrap();
    std::fs::write(at("tests/more.test.yaml"), read("wrong.test.yaml")).unwrap();
    std::fs::write(at("tests/other.yaml"), "not: a test\n").unwrap();
    let bundle = Bundle::load_path(temporary.path()).unwrap();
    assert_eq!(bundle.warnings(), []);
    for (path, files, cases) in
        [(temporary.path().to_owned(), 2, 11), (at("policy.yaml"), 2, 11), (at("tests/more.test.yaml"), 1, 4)]
    {
        let found = TestFile::load_path(&path).unwrap();
        assert_eq!((found.len(), found.iter().map(TestFile::len).sum::<usize>()), (files, cases));
    }
    assert!(
        matches!(TestFile::load_path(at("none.test.yaml")), Err(problems) if problems[0].code == "P0009")
    );
}

#[test]
fn a_person_in_a_file_is_evaluated_without_a_store() {
    let text = "now: 2026-11-20T09:00:00Z\nattributes: { department: Sales, familyName: Wu }\ntaken: { login: [wu] }\n";
    let evaluation = person("wu.yaml", text).unwrap().evaluate(&bundle()).unwrap();
    assert_eq!(evaluation.roles.len(), 2);
    let login =
        evaluation.accounts[0].values.iter().find(|value| value.attribute.as_str() == "login").unwrap();
    assert_eq!(support::value(&evaluation.accounts[0], login.attribute.as_str()), "wu2");
    for (text, code) in
        [("attributes: {}\n", "P0005"), ("", "P0083"), ("person: a\n", "P0004"), ("now: x\n", "P0006")]
    {
        assert_eq!(person("p", text).unwrap_err()[0].code, code, "{text}");
    }
}
