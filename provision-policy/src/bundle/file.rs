//! Reading a bundle's files from disk.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use provision_core::diagnostic::{Diagnostic, Severity, Span};

use super::table_file::is_table;
use crate::document::{Data, FILE_MAX, Node, Sources};

/// Most files of a bundle.
const FILES_MAX: usize = 1000;

pub(super) fn read(path: &Path) -> Result<Vec<(String, String)>, Vec<Diagnostic>> {
    let failed = |path: &Path, error: std::io::Error| {
        let span = Span { file: path.display().to_string(), ..Span::default() };
        vec![
            Diagnostic::new(
                Severity::Error,
                "P0009",
                format!("cannot be read: {error}"),
                "check path and rights",
            )
            .at(span),
        ]
    };
    let mut paths: Vec<PathBuf> = Vec::new();
    if path.is_dir() {
        for entry in std::fs::read_dir(path).map_err(|error| failed(path, error))? {
            let found = entry.map_err(|error| failed(path, error))?.path();
            let yaml = found.extension().is_some_and(|extension| extension == "yaml" || extension == "yml");
            if yaml && !is_test_file(&found) && found.is_file() && paths.len() < FILES_MAX {
                paths.push(found);
            }
        }
        paths.sort();
    } else {
        paths.push(path.to_owned());
    }
    let mut files = Vec::with_capacity(paths.len());
    let mut problems = Vec::new();
    for path in paths {
        match read_bounded(&path) {
            Ok(text) => files.push((path.display().to_string(), text)),
            Err(error) => problems.extend(failed(&path, error)),
        }
    }
    let folder = if path.is_dir() { path } else { path.parent().unwrap_or(path) };
    for name in tables(&files) {
        let path = folder.join(name);
        match read_bounded(&path) {
            Ok(text) => files.push((path.display().to_string(), text)),
            // Who names it says so.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => problems.extend(failed(&path, error)),
        }
    }
    if problems.is_empty() { Ok(files) } else { Err(problems) }
}

/// Whether a file holds tests of policy, not policy.
pub(crate) fn is_test_file(path: &Path) -> bool {
    let name = path.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
    name.ends_with(".test.yaml") || name.ends_with(".test.yml")
}

/// The names of files that the tables of a bundle are in; faulty files name none.
fn tables(files: &[(String, String)]) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for (name, text) in files.iter().filter(|(_, text)| text.contains(".csv")) {
        let sources = Sources::new(&[(name, text)]);
        let Ok(Some(root)) = crate::document::read(&sources, 0, text) else { continue };
        let tables = value_of(&root, "tables").map(|tables| &tables.data);
        let Some(Data::Map(tables)) = tables else { continue };
        let named = tables.iter().filter_map(|(_, table)| value_of(table, "file")?.text());
        let beside = |name: &&str| is_table(name) && !name.contains(['/', '\\']);
        names.extend(named.filter(beside).take(FILES_MAX).map(str::to_owned));
    }
    names
}

fn value_of<'n>(node: &'n Node, key: &str) -> Option<&'n Node> {
    let Data::Map(entries) = &node.data else { return None };
    entries.iter().find(|(known, _)| known.text() == Some(key)).map(|(_, value)| value)
}

/// Reads a little more than a file may hold, so that a file too large is seen as such and not read whole.
pub(crate) fn read_bounded(path: &Path) -> std::io::Result<String> {
    use std::io::Read as _;
    let mut text = String::new();
    std::fs::File::open(path)?.take(FILE_MAX as u64 + 1).read_to_string(&mut text)?;
    Ok(text)
}
