//! Reading files of tests.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use provision_core::diagnostic::{Diagnostic, Severity, Span};

use super::expect::Expectation;
use super::given::{self, Given, Parts};
use super::{Case, TestFile};
use crate::bundle::{is_test_file, read_bounded};
use crate::document::{Node, Place, Reader, Sources, suggestion};

/// Keys of a file of tests.
pub(super) const TOP: &[&str] = &["tests", "description", "now", "taken", "people", "cases"];
/// Keys of a case.
pub(super) const CASE: &[&str] = &["name", "description", "given", "expect"];
/// Most files that are read.
const FILES_MAX: usize = 1_000;

pub(super) fn load(name: &str, text: &str) -> Result<TestFile, Vec<Diagnostic>> {
    let sources = Sources::new(&[(name, text)]);
    let node = crate::document::read(&sources, 0, text).map_err(|problem| vec![*problem])?;
    let mut reader = Reader::new(&sources);
    let cases = match node {
        Some(node) => cases(&mut reader, &node),
        None => {
            let place = Place::default();
            reader.error("P0083", place, "", "a file without tests", "add `tests: 1` and `cases:`");
            Vec::new()
        }
    };
    let failed = reader.has_errors();
    let problems = reader.into_problems();
    if failed { Err(problems) } else { Ok(TestFile { sources, cases }) }
}

fn cases(reader: &mut Reader<'_>, root: &Node) -> Vec<Case> {
    let fields = reader.fields(root, "", TOP);
    if let Some(version) = reader.required(&fields, "tests").filter(|node| node.text() != Some("1")) {
        let found = version.text().unwrap_or("?").chars().take(20).collect::<String>();
        let summary = format!("test format `{found}` is not known to this version");
        reader.error("P0007", version.place, "tests", summary, "write `tests: 1`");
    }
    let mut base = Parts::default();
    if let Some(node) = fields.get("now") {
        base.now = given::instant(reader, node, "now");
    }
    if let Some(node) = fields.get("taken") {
        given::taken(reader, node, "taken", &mut base.taken);
    }
    let mut people: BTreeMap<&str, Parts> = BTreeMap::new();
    if let Some(node) = fields.get("people") {
        for (name, _, node) in reader.entries(node, "people") {
            let mut person = base.clone();
            person.key = Some(name.to_owned());
            person.read(reader, node, &format!("people.{name}"), given::PERSON);
            people.insert(name, person);
        }
    }
    let mut cases = Vec::new();
    let mut names = BTreeSet::new();
    let Some(list) = reader.required(&fields, "cases") else { return cases };
    for (index, item) in reader.list(list, "cases").iter().enumerate() {
        cases.extend(case(reader, item, &format!("cases[{index}]"), &base, &people, &mut names));
    }
    if reader.list(list, "cases").is_empty() && !reader.has_errors() {
        reader.error("P0083", list.place, "cases", "a file without tests", "add a case");
    }
    cases
}

fn case(
    reader: &mut Reader<'_>,
    node: &Node,
    path: &str,
    base: &Parts,
    people: &BTreeMap<&str, Parts>,
    names: &mut BTreeSet<String>,
) -> Option<Case> {
    let fields = reader.fields(node, path, CASE);
    let name = reader.required(&fields, "name").and_then(|node| Some((node.place, reader.text(node, path)?)));
    if let Some((place, name)) = name.filter(|(_, name)| !names.insert((*name).to_owned())) {
        let summary = format!("two cases are called `{name}`");
        reader.error("P0003", place, path, summary, "give each its own name");
    }
    let given = reader.required(&fields, "given").and_then(|node| {
        let path = fields.path_of("given");
        let mut parts = chosen(reader, node, &path, people).unwrap_or_else(|| base.clone());
        parts.read(reader, node, &path, given::GIVEN);
        if parts.now.is_none() {
            let remedy = "add `now: 2026-11-20T09:00:00Z` here, or once at the top";
            reader.error("P0005", node.place, &path, "`now` is missing: tests have no clock", remedy);
        }
        parts.finish()
    });
    let expect = reader.required(&fields, "expect").map(|node| {
        let path = fields.path_of("expect");
        Expectation::read(reader, node, &path)
    });
    let (place, name) = name?;
    Some(Case { name: name.to_owned(), place, given: given?, expect: expect? })
}

/// The person that a case begins with.
fn chosen(reader: &mut Reader<'_>, node: &Node, path: &str, people: &BTreeMap<&str, Parts>) -> Option<Parts> {
    let (_, named) = match &node.data {
        crate::document::Data::Map(entries) => {
            entries.iter().find(|(key, _)| key.text() == Some("person"))?
        }
        _ => return None,
    };
    let name = reader.text(named, path)?;
    let found = people.get(name).cloned();
    if found.is_none() {
        let remedy = match suggestion(name, people.keys().copied()) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => "describe them under `people`".to_owned(),
        };
        reader.error("P0081", named.place, path, format!("unknown person `{name}`"), remedy);
    }
    found
}

pub(super) fn person(name: &str, text: &str) -> Result<Given, Vec<Diagnostic>> {
    let sources = Sources::new(&[(name, text)]);
    let node = crate::document::read(&sources, 0, text).map_err(|problem| vec![*problem])?;
    let mut reader = Reader::new(&sources);
    let mut parts = Parts::default();
    match &node {
        Some(node) => parts.read(&mut reader, node, "", given::PERSON),
        None => reader.error("P0083", Place::default(), "", "a file without a person", "add `attributes:`"),
    }
    if parts.now.is_none() && !reader.has_errors() {
        let place =
            node.as_ref().map_or(Place::default(), |node| Place { end: node.place.start, ..node.place });
        reader.error("P0005", place, "", "`now` is missing: a person in a file has no clock", "add `now:`");
    }
    let failed = reader.has_errors();
    let problems = reader.into_problems();
    parts.finish().filter(|_| !failed).ok_or(problems)
}

pub(super) fn load_path(path: &Path) -> Result<Vec<TestFile>, Vec<Diagnostic>> {
    let mut files: Vec<PathBuf> = Vec::new();
    if is_test_file(path) {
        files.push(path.to_owned());
    } else {
        let folder = if path.is_dir() { Some(path) } else { path.parent() };
        let folder = folder.filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        for folder in [folder.to_owned(), folder.join("tests")] {
            let Ok(entries) = std::fs::read_dir(&folder) else { continue };
            let found = entries.filter_map(Result::ok).map(|entry| entry.path());
            files.extend(found.filter(|path| is_test_file(path)).take(FILES_MAX));
        }
        files.sort();
    }
    let at = |path: &Path| Span { file: path.display().to_string(), ..Span::default() };
    if files.is_empty() {
        let summary = "no file ends in `.test.yaml`, neither here nor in `tests`";
        let problem = Diagnostic::new(Severity::Error, "P0083", summary, "write one, or name it");
        return Err(vec![problem.at(at(path))]);
    }
    let (mut read, mut problems) = (Vec::new(), Vec::new());
    for path in files {
        match read_bounded(&path) {
            Ok(text) => match load(&path.display().to_string(), &text) {
                Ok(file) => read.push(file),
                Err(found) => problems.extend(found),
            },
            Err(error) => {
                let summary = format!("cannot be read: {error}");
                let problem = Diagnostic::new(Severity::Error, "P0009", summary, "check path and rights");
                problems.push(problem.at(at(&path)));
            }
        }
    }
    if problems.is_empty() { Ok(read) } else { Err(problems) }
}
