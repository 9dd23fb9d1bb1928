//! What the documents say is so.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "helpers of tests fail loudly"
)]

mod support;

use std::collections::BTreeSet;

use provision_core::value::Zone;
use provision_policy::Bundle;
use support::{Names, account, evaluate, person, value};

fn document(name: &str) -> String {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs").join(name);
    std::fs::read_to_string(path).unwrap()
}

#[test]
fn the_snippets_of_the_guide_are_one_bundle() {
    let guide = document("guide/policy.md");
    let snippets: Vec<String> = guide
        .split("```yaml\n")
        .skip(1)
        .map(|rest| rest.split("```").next().unwrap())
        .map(|text| if text.starts_with("bundle:") { text.to_owned() } else { format!("bundle: 1\n{text}") })
        .collect();
    assert!(snippets.len() >= 5);
    let names: Vec<String> = (1..=snippets.len()).map(|number| format!("snippet {number}")).collect();
    let files: Vec<_> = names.iter().map(String::as_str).zip(snippets.iter().map(String::as_str)).collect();
    let bundle = Bundle::load(&files).unwrap_or_else(|problems| {
        panic!("{}", problems.iter().map(|p| format!("{p}\n")).collect::<String>())
    });
    assert_eq!(bundle.warnings(), []);
    let jane = person("1", &[("givenName", "Jane"), ("familyName", "Doe")]);
    let evaluation = evaluate(&bundle, &jane, &mut Names::default());
    assert_eq!(value(account(&evaluation, "directory"), "sn"), "Doe");
    let first = snippets[0].as_str();
    assert!(Bundle::load(&[("first", first)]).is_ok(), "the smallest bundle stands alone");
}

#[test]
fn the_message_of_the_guide_is_the_message() {
    let guide = document("guide/policy.md");
    let golden = include_str!("golden/malformed/bad_expressions.txt");
    let shown: Vec<&str> =
        guide.split("```text\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    assert_eq!(shown.len(), 2);
    for message in shown {
        assert!(golden.contains(message), "{message}");
    }
}

/// The rows of the table under this heading: its cells, of which the last two are an example and its result.
fn rows(document: &str, heading: &str) -> Vec<Vec<String>> {
    let cell = |cell: &str| cell.trim().replace("\\|", "|");
    document
        .lines()
        .skip_while(|line| !line.starts_with(heading))
        .skip(2)
        .take_while(|line| line.starts_with('|'))
        .map(|line| {
            line.trim_start_matches('|').trim_end().trim_end_matches('|').split(" | ").map(cell).collect()
        })
        .collect()
}

/// Evaluates the examples for the person whom the documents describe.
fn examples_give_their_results(rows: &[Vec<String>]) {
    let mut bundle = "bundle: 1\nversion: a\nlookups:\n  floor: { map: { Clerk: 3rd } }\n\
                      tables:\n  posts:\n    key: title\n    columns: { grade: number }\n    \
                      rows: [{ title: Clerk, grade: 4 }]\n\
                      roles:\n  r: { grants: [{ account: d/u }] }\n\
                      rules:\n  - { id: all, when: 'true', roles: [r] }\ntargets:\n  d:\n    u:\n      attributes:\n"
        .to_owned();
    let examples = || rows.iter().enumerate().filter(|(_, row)| row[2] != "-");
    for (index, row) in examples() {
        assert_eq!(row.len(), 4, "{row:?}");
        let example = row[2].trim_matches('`').replace('\'', "''");
        bundle.push_str(&format!("        a{index}: {{ value: '{example}', when_null: keep }}\n"));
    }
    let bundle = Bundle::load(&[("table", &bundle)]).unwrap_or_else(|problems| {
        panic!("{}", problems.iter().map(|p| format!("{p}\n")).collect::<String>())
    });
    let mut zoe = person("1", &[("givenName", "Zoë"), ("familyName", "O'Neil"), ("title", "Clerk")]);
    zoe.attributes.set("emails", vec!["a@x".into(), "b@x".into()]);
    zoe.zone = Zone::new("Europe/Zurich").unwrap();
    let evaluation = evaluate(&bundle, &zoe, &mut Names::default());
    let directory = account(&evaluation, "d");
    assert_eq!(directory.refusals, []);
    for (index, row) in examples() {
        assert_eq!(value(directory, &format!("a{index}")), row[3], "{}", row[2]);
    }
}

#[test]
fn the_examples_of_the_functions_give_their_results() {
    let rows = rows(&document("spec/bundle.md"), "| function |");
    examples_give_their_results(&rows);
    // Every function has a row, and nothing else does.
    let table = include_str!("../src/expression/function.rs");
    let names: BTreeSet<&str> =
        table.split("row(Function::").skip(1).filter_map(|row| row.split('"').nth(1)).collect();
    assert!(names.len() > 50, "{names:?}");
    let name = |row: &Vec<String>| row[0].trim_matches('`').split(['(', '[']).next().unwrap().to_owned();
    let listed: BTreeSet<String> = rows.iter().map(name).collect();
    let others = ["has", "list", "list.exists", "null"];
    let listed: BTreeSet<&str> =
        listed.iter().map(String::as_str).filter(|name| !others.contains(name)).collect();
    assert_eq!(listed, names);
}

#[test]
fn the_examples_for_those_who_come_from_entra_give_their_results() {
    let rows = rows(&document("guide/policy.md"), "| Entra |");
    assert!(rows.len() >= 40, "{}", rows.len());
    examples_give_their_results(&rows);
}

#[test]
fn the_bundles_of_the_examples_load() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/data");
    for name in ["bundle", "phone-book.yaml"] {
        let bundle =
            Bundle::load_path(folder.join(name)).unwrap_or_else(|problems| panic!("{}", problems[0]));
        assert_eq!(bundle.warnings(), [], "{name}");
    }
}

#[test]
fn every_code_is_listed() {
    let spec = document("spec/bundle.md");
    let listed: BTreeSet<&str> = spec
        .lines()
        .filter_map(|line| line.strip_prefix("| ")?.get(..5))
        .filter(|code| code.starts_with("P0"))
        .collect();
    let mut used = BTreeSet::new();
    let mut folders = vec![std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let text = std::fs::read_to_string(path).unwrap();
            used.extend(
                text.match_indices("\"P0").filter_map(|(at, _)| text.get(at + 1..at + 6).map(str::to_owned)),
            );
        }
    }
    assert_eq!(listed, used.iter().map(String::as_str).collect());
}
