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
    let shown = guide.split("```text\n").nth(1).unwrap().split("```").next().unwrap();
    let golden = include_str!("golden/malformed/bad_expressions.txt");
    assert!(golden.contains(shown), "{shown}");
}

#[test]
fn the_examples_of_the_functions_give_their_results() {
    let spec = document("spec/bundle.md");
    let rows: Vec<Vec<&str>> = spec
        .lines()
        .skip_while(|line| !line.starts_with("| function |"))
        .skip(2)
        .take_while(|line| line.starts_with('|'))
        .map(|line| line.trim_matches('|').split(" | ").map(str::trim).collect())
        .collect();
    assert!(rows.len() >= 22, "{}", rows.len());
    let mut bundle = "bundle: 1\nversion: a\nlookups:\n  floor: { map: { Clerk: 3rd } }\n\
                      roles:\n  r: { grants: [{ account: d/u }] }\n\
                      rules:\n  - { id: all, when: 'true', roles: [r] }\ntargets:\n  d:\n    u:\n      attributes:\n"
        .to_owned();
    for (index, row) in rows.iter().enumerate() {
        let example = row[2].trim_matches('`');
        bundle.push_str(&format!(
            "        a{index}: {{ value: '{}', when_null: keep }}\n",
            example.replace('\'', "''")
        ));
    }
    let bundle = Bundle::load(&[("table", &bundle)]).unwrap_or_else(|problems| {
        panic!("{}", problems.iter().map(|p| format!("{p}\n")).collect::<String>())
    });
    let mut zoe = person("1", &[("givenName", "Zoë"), ("familyName", "O'Neil"), ("title", "Clerk")]);
    zoe.attributes.set("emails", vec!["a@x".into(), "b@x".into()]);
    let evaluation = evaluate(&bundle, &zoe, &mut Names::default());
    let directory = account(&evaluation, "d");
    assert_eq!(directory.refusals, []);
    for (index, row) in rows.iter().enumerate() {
        assert_eq!(value(directory, &format!("a{index}")), row[3], "{}", row[2]);
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
