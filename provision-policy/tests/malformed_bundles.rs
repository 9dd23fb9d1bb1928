//! Malformed bundles and the exact diagnostics they get.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "helpers of tests fail loudly"
)]

mod support;

use provision_policy::Bundle;
use support::golden;

fn text(name: &str) -> String {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bundles/malformed");
    std::fs::read_to_string(folder.join(format!("{name}.yaml"))).unwrap()
}

fn rendered(files: &[(&str, &str)]) -> String {
    let problems = Bundle::load(files).expect_err("the bundle is malformed");
    problems.iter().map(|problem| format!("{problem}\n\n")).collect()
}

fn check(name: &str) {
    golden(&format!("malformed/{name}.txt"), &rendered(&[("policy.yaml", &text(name))]));
}

macro_rules! malformed {
    ($($name:ident),* $(,)?) => {
        $(
            #[test]
            fn $name() {
                check(stringify!($name));
            }
        )*
    };
}

malformed!(
    anchors,
    bad_expressions,
    duplicates,
    empty,
    mapping_keys,
    not_yaml,
    order_of_names,
    own_groups,
    role_circle,
    too_large_expressions,
    unknown_keys,
    unknown_references,
    wrong_format,
    wrong_kinds,
);

#[test]
fn what_nothing_uses_is_a_warning() {
    let bundle = Bundle::load(&[("policy.yaml", &text("unused"))]).unwrap();
    let shown: String = bundle.warnings().iter().map(|problem| format!("{problem}\n\n")).collect();
    golden("malformed/unused.txt", &shown);
}

#[test]
fn two_files() {
    let first = "bundle: 1\nversion: a\nroles:\n  employee: {}\n  staff: {}\n";
    let rule = "  - { id: a, when: 'true', roles: [staff, x] }";
    let second = format!("bundle: 1\nversion: b\nroles:\n  employee: {{}}\nrules:\n{rule}\n");
    let second = second.as_str();
    golden("malformed/two_files.txt", &rendered(&[("a.yaml", first), ("b.yaml", second)]));
}

#[test]
fn text_that_lies_is_shown_as_escapes() {
    let text = "bundle: 1\nversion: a\n\"ro\u{202e}les\\e[31m\": {}\n";
    let shown = rendered(&[("policy\u{202e}.yaml", text)]);
    assert!(!shown.contains(['\u{202e}', '\u{1b}']), "{shown}");
}

#[test]
fn many_problems_are_counted_and_not_listed() {
    let rules: String = (0..1000).map(|n| format!("  - {{ id: r{n}, when: 'x', roles: [y] }}\n")).collect();
    let text = format!("bundle: 1\nversion: a\nrules:\n{rules}");
    let problems = Bundle::load(&[("policy.yaml", &text)]).unwrap_err();
    assert_eq!(problems.len(), 201);
    assert!(problems[200].summary.contains("1800 more"), "{}", problems[200]);
}
