//! Keeps rooms liveable: sizes, names, direction of dependencies, nothing unfinished. Walks the whole workspace, so
//! that one failing test lists every finding. Each rule has a test that plants a violation.
#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test; the lint's exception covers only functions marked as tests"
)]

mod layers;
mod rules;
mod source_text;
mod wrapped;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use source_text::SourceText;

const PACKAGES: &[&str] =
    &["provision-core", "provision-policy", "provision-scim", "provision-connectors", "examples", "benches"];
const TEXT_ENDINGS: &[&str] =
    &["rs", "toml", "md", "yaml", "yml", "json", "csv", "sh", "py", "sql", "snap", "txt", "run", "test"];

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

/// Files of the workspace as paths with `/`, sorted; build output and hidden folders left out.
fn files(folder: &Path, prefix: &str, found: &mut Vec<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().to_string_lossy().into_owned();
        let skipped = name.starts_with('.') && name != ".ci"
            || prefix.is_empty() && name.starts_with("target")
            || ["node_modules", "__pycache__", "quickstart-state"].contains(&name.as_str());
        let path = if prefix.is_empty() { name.clone() } else { format!("{prefix}/{name}") };
        let kind = entry.file_type().unwrap();
        if kind.is_dir() && !skipped {
            files(&entry.path(), &path, found);
        } else if kind.is_file() {
            found.push(path);
        }
    }
    found.sort();
}

fn is_text(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    TEXT_ENDINGS.contains(&name.rsplit('.').next().unwrap_or(name)) && name != "Cargo.lock"
}

/// The package a file belongs to and its path inside.
fn package_of(path: &str) -> Option<(&'static str, &str)> {
    let (folder, inside) = path.split_once('/')?;
    PACKAGES.iter().find(|package| **package == folder).map(|package| (*package, inside))
}

fn top_modules(paths: &[String], package: &str) -> BTreeSet<String> {
    let source = format!("{package}/src/");
    paths
        .iter()
        .filter_map(|path| path.strip_prefix(&source))
        .filter_map(|inside| inside.split(['/', '.']).next())
        .map(str::to_owned)
        .collect()
}

fn check_rust(path: &str, text: &str, connector_modules: &BTreeSet<String>) -> Vec<String> {
    let source = SourceText::of(text);
    let mut found = rules::lengths(path, text, &source);
    found.extend(rules::type_names(path, &source));
    found.extend(rules::unfinished(path, &source));
    if let Some((package, inside)) = package_of(path) {
        found.extend(layers::crate_paths(package, path, &source));
        match (package, inside.strip_prefix("src/")) {
            ("provision-core", Some(inside)) => found.extend(layers::core_layers(path, inside, &source)),
            ("provision-connectors", Some(inside)) => {
                found.extend(layers::connector_folder(path, inside, connector_modules, &source));
            }
            _ => {}
        }
    }
    found
}

#[test]
fn tidy() {
    let root = workspace();
    let mut paths = Vec::new();
    files(&root, "", &mut paths);
    let connector_modules = top_modules(&paths, "provision-connectors");
    let mut found = Vec::new();
    let mut rust_files = 0;
    let contract = fs::read_to_string(root.join("provision-core/src/store/mod.rs")).unwrap();
    for path in &paths {
        found.extend(rules::name_of_path(path));
        if !is_text(path) {
            continue;
        }
        let text = fs::read(root.join(path)).unwrap();
        let text = String::from_utf8_lossy(&text);
        found.extend(rules::places(path, &text));
        if path.ends_with(".rs") {
            rust_files += 1;
            found.extend(check_rust(path, &text, &connector_modules));
            found.extend(wrapped::not_passed_on(path, &text, &contract));
        }
        if let Some((package, "Cargo.toml")) = package_of(path) {
            found.extend(layers::manifest(package, &text));
        }
    }
    assert!(rust_files > 40, "only {rust_files} Rust files seen: is the workspace around this crate?");
    assert!(found.is_empty(), "{} findings:\n{}", found.len(), found.join("\n"));
}

/// Rows of the table of invariants that name a test which does not exist.
fn invariants_without_test(document: &str, functions: &BTreeSet<String>) -> Vec<String> {
    let mut found = Vec::new();
    for row in document.lines().filter(|line| line.starts_with("| INV-")) {
        let held_by = row.trim_end_matches([' ', '|']).rsplit('|').next().unwrap_or_default();
        let names: Vec<&str> = held_by.split('`').skip(1).step_by(2).collect();
        if names.is_empty() && held_by.trim() != "open" {
            found.push(format!("{row}: neither a test nor `open`"));
        }
        for name in names {
            if !name.starts_with(".ci/run ") && !functions.contains(name) {
                found.push(format!("{row}: no test `{name}`"));
            }
        }
    }
    found
}

#[test]
fn the_tests_named_with_the_invariants_exist() {
    let root = workspace();
    let mut paths = Vec::new();
    files(&root, "", &mut paths);
    let mut functions = BTreeSet::new();
    for path in paths.iter().filter(|path| path.ends_with(".rs")) {
        let source = SourceText::of(&fs::read_to_string(root.join(path)).unwrap());
        functions.extend(source.functions().into_iter().map(|(_, name, _)| name));
    }
    let document = fs::read_to_string(root.join("docs/ARCHITECTURE.md")).unwrap();
    assert!(document.contains("| INV-1 |"));
    let found = invariants_without_test(&document, &functions);
    assert!(found.is_empty(), "{}", found.join("\n"));

    let planted = "| INV-1 | a | `tidy`, `gone` |\n| INV-2 | b | open |\n| INV-3 | c | |\n";
    assert_eq!(invariants_without_test(planted, &functions).len(), 2);
}

#[test]
fn every_kind_of_finding_reaches_the_list() {
    let modules = BTreeSet::from(["csv".to_owned(), "ldap".to_owned()]);
    let core = check_rust("provision-core/src/plan/x.rs", "struct HttpV2; fn f() { todo!() }", &modules);
    assert_eq!(core.len(), 3, "{core:?}");
    let connector = check_rust("provision-connectors/src/csv/x.rs", "use crate::ldap::X;", &modules);
    assert_eq!(connector.len(), 1, "{connector:?}");
    let policy = check_rust("provision-policy/src/x.rs", "use provision_connectors::csv;", &modules);
    assert_eq!(policy.len(), 1, "{policy:?}");
    assert!(is_text(".ci/run") && is_text("test") && !is_text("Cargo.lock"));
}
