//! The specification and the tests cite each other.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "helpers of tests may panic as tests do"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

fn here() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The clause that `text` starts with: `C-4.10`.
fn clause(text: &str) -> Option<String> {
    let number = text.strip_prefix("C-")?;
    let end = number.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(number.len());
    let number = number[..end].trim_end_matches('.');
    let (major, minor) = number.split_once('.')?;
    (!major.is_empty() && !minor.is_empty()).then(|| format!("C-{number}"))
}

fn clauses_of_the_spec() -> Vec<String> {
    let text = std::fs::read_to_string(here().join("../docs/spec/connector.md")).unwrap();
    text.lines().filter_map(|line| clause(line.strip_prefix("- **")?)).collect()
}

fn files(folder: &Path, of: impl Fn(&str) -> bool) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let entries = entries.filter(|path| path.is_file());
    let mut files =
        entries.filter(|path| of(path.file_name().unwrap().to_str().unwrap())).collect::<Vec<_>>();
    files.sort();
    files
}

/// Clauses cited by a comment above a function, with the function's line.
fn cited_by_tests() -> BTreeMap<String, Vec<String>> {
    let mut cited: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut sources = files(&here().join("src/testkit/contract"), |name| name.ends_with(".rs"));
    sources.extend(files(&here().join("tests/contract_memory"), |name| name.ends_with(".rs")));
    for source in sources {
        let text = std::fs::read_to_string(&source).unwrap();
        let lines = text.lines().map(str::trim).collect::<Vec<_>>();
        for (at, line) in lines.iter().enumerate() {
            let Some(clause) = line.strip_prefix("/// ").and_then(clause) else { continue };
            let function = lines[at..].iter().find(|line| line.contains("fn ")).unwrap();
            cited.entry(clause).or_default().push(format!("{}: {function}", source.display()));
        }
    }
    cited
}

#[test]
fn every_clause_has_a_test_and_every_test_cites_a_clause() {
    let clauses = clauses_of_the_spec();
    let known = clauses.iter().cloned().collect::<BTreeSet<_>>();
    assert_eq!(known.len(), clauses.len(), "a clause is numbered twice");
    assert!(known.len() > 35, "the specification was not read: {known:?}");
    let cited = cited_by_tests();
    let untested = known.iter().filter(|clause| !cited.contains_key(*clause)).collect::<Vec<_>>();
    assert_eq!(untested, Vec::<&String>::new(), "clauses without a test");
    let unknown = cited.iter().filter(|(clause, _)| !known.contains(*clause)).collect::<Vec<_>>();
    assert_eq!(unknown, vec![], "tests that cite an unknown clause");
}

#[test]
fn the_suite_runs_every_function_under_its_own_clause() {
    let text = std::fs::read_to_string(here().join("src/testkit/contract/mod.rs")).unwrap();
    let listed = text.lines().map(str::trim).filter_map(|line| line.strip_prefix('"')?.split_once("\" "));
    let listed = listed.filter(|(clause, _)| clause.starts_with("C-"));
    let listed = listed.map(|(clause, check)| (check, clause)).collect::<BTreeMap<_, _>>();
    let clauses = clauses_of_the_spec();
    assert_eq!(listed.len(), clauses.len(), "the suite lists: {listed:?}");
    for (clause, functions) in cited_by_tests() {
        for function in functions.iter().filter(|function| function.contains("testkit")) {
            let name = function.split("fn ").nth(1).unwrap().split('(').next().unwrap();
            assert_eq!(listed.get(name), Some(&clause.as_str()), "{name}");
        }
    }
}

/// A number is not given up and not used again: they stand in order, without a gap.
#[test]
fn clauses_are_numbered_without_a_gap() {
    let mut next: BTreeMap<String, u32> = BTreeMap::new();
    let mut last = 0;
    for clause in clauses_of_the_spec() {
        let (major, minor) = clause.strip_prefix("C-").unwrap().split_once('.').unwrap();
        let expected = next.entry(major.to_owned()).or_insert(1);
        assert_eq!(minor.parse::<u32>().unwrap(), *expected, "{clause} is out of order");
        *expected += 1;
        assert!(major.parse::<u32>().unwrap() >= last, "{clause} is out of order");
        last = major.parse().unwrap();
    }
    // What has been promised once: these counts only grow.
    let promised =
        [("1", 3), ("2", 5), ("3", 3), ("4", 12), ("5", 7), ("6", 2), ("7", 3), ("8", 4), ("9", 5)];
    for (major, least) in promised {
        assert!(next[major] > least, "section {major} lost a clause");
    }
}

#[test]
fn code_cites_known_clauses_only() {
    let known = clauses_of_the_spec().into_iter().collect::<BTreeSet<_>>();
    let folders = [here().join("src/connector"), here().join("src/memory")];
    let mut cited = 0;
    for source in folders.iter().flat_map(|folder| files(folder, |name| name.ends_with(".rs"))) {
        let text = std::fs::read_to_string(&source).unwrap();
        for clause in text.match_indices("C-").filter_map(|(at, _)| clause(&text[at..])) {
            cited += 1;
            assert!(known.contains(&clause), "{}: {clause}", source.display());
        }
    }
    assert!(cited > 10);
}
