//! Reads nodes as what the bundle expects, and collects what does not fit.

use provision_core::diagnostic::{Diagnostic, Severity};

use super::{Data, Node, Place, Sources};

/// Most diagnostics of one load; the rest is counted.
const PROBLEMS_MAX: usize = 200;

/// Collects problems while the bundle is read.
#[derive(Debug)]
pub(crate) struct Reader<'a> {
    pub(crate) sources: &'a Sources,
    problems: Vec<(Place, Diagnostic)>,
    omitted: usize,
}

/// The entries of a mapping whose keys are fixed.
#[derive(Debug)]
pub(crate) struct Fields<'n> {
    pub(crate) place: Place,
    pub(crate) path: String,
    entries: Vec<(&'n str, &'n Node)>,
    /// It is no mapping at all, which is reported: nothing is missing besides.
    broken: bool,
}

impl<'n> Fields<'n> {
    pub(crate) fn get(&self, key: &str) -> Option<&'n Node> {
        self.entries.iter().find(|(known, _)| *known == key).map(|(_, node)| *node)
    }

    pub(crate) fn path_of(&self, key: &str) -> String {
        join(&self.path, key)
    }
}

/// `path.key`, without a leading dot.
fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

impl<'a> Reader<'a> {
    pub(crate) fn new(sources: &'a Sources) -> Self {
        Self { sources, problems: Vec::new(), omitted: 0 }
    }

    /// Adds a problem. Beyond the most that are kept it is counted, and its text not even made.
    pub(crate) fn push(&mut self, place: Place, make: impl FnOnce(&Sources) -> Diagnostic) {
        if self.problems.len() < PROBLEMS_MAX {
            self.problems.push((place, make(self.sources)));
        } else {
            self.omitted += 1;
        }
    }

    /// True when an error was found.
    pub(crate) fn has_errors(&self) -> bool {
        self.problems.iter().any(|(_, problem)| problem.is_error())
    }

    pub(crate) fn error(
        &mut self,
        code: &str,
        place: Place,
        path: &str,
        summary: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        self.report(Severity::Error, code, place, path, summary, remedy);
    }

    pub(crate) fn report(
        &mut self,
        severity: Severity,
        code: &str,
        place: Place,
        path: &str,
        summary: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        self.push(place, |sources| {
            let diagnostic = Diagnostic::new(severity, code, summary, remedy).at(sources.span(place));
            if path.is_empty() { diagnostic } else { diagnostic.at_path(path) }
        });
    }

    /// Everything found, in the order of the files.
    pub(crate) fn into_problems(mut self) -> Vec<Diagnostic> {
        self.problems.sort_by_key(|(place, _)| *place);
        let mut found: Vec<_> = self.problems.into_iter().map(|(_, diagnostic)| diagnostic).collect();
        if self.omitted > 0 {
            let summary = format!("{} more problems are not shown", self.omitted);
            found.push(Diagnostic::new(Severity::Error, "P0000", summary, "correct these first"));
        }
        found
    }

    /// A mapping with any keys: name, the key's node, the value.
    pub(crate) fn entries<'n>(&mut self, node: &'n Node, path: &str) -> Vec<(&'n str, &'n Node, &'n Node)> {
        let entries = match &node.data {
            Data::Map(entries) => entries,
            Data::Null => return Vec::new(),
            _ => {
                self.wrong(node, path, "a mapping");
                return Vec::new();
            }
        };
        let mut seen: std::collections::BTreeSet<&str> = std::collections::BTreeSet::new();
        let mut found: Vec<(&str, &Node, &Node)> = Vec::with_capacity(entries.len());
        for (key, value) in entries {
            let Some(name) = key.text().filter(|name| !name.is_empty()) else {
                self.error("P0006", key.place, path, "a key must be text", "write a name before the colon");
                continue;
            };
            if !seen.insert(name) {
                let remedy = "keep one of the two";
                self.error("P0003", key.place, &join(path, name), format!("`{name}` is given twice"), remedy);
                continue;
            }
            found.push((name, key, value));
        }
        found
    }

    /// A mapping with fixed keys; others are reported.
    pub(crate) fn fields<'n>(&mut self, node: &'n Node, path: &str, allowed: &[&str]) -> Fields<'n> {
        let mut entries = Vec::new();
        for (name, key, value) in self.entries(node, path) {
            if allowed.contains(&name) {
                entries.push((name, value));
                continue;
            }
            let remedy = match suggestion(name, allowed.iter().copied()) {
                Some(meant) => format!("did you mean `{meant}`?"),
                None => format!("remove it; known here: {}", allowed.join(", ")),
            };
            self.error("P0004", key.place, &join(path, name), format!("unknown key `{name}`"), remedy);
        }
        let broken = !matches!(node.data, Data::Map(_) | Data::Null);
        Fields { place: node.place, path: path.to_owned(), entries, broken }
    }

    pub(crate) fn required<'n>(&mut self, fields: &Fields<'n>, key: &str) -> Option<&'n Node> {
        let found = fields.get(key);
        if found.is_none() && !fields.broken {
            let remedy = format!("add `{key}:`");
            self.error("P0005", fields.place, &fields.path, format!("`{key}` is missing"), remedy);
        }
        found
    }

    pub(crate) fn list<'n>(&mut self, node: &'n Node, path: &str) -> &'n [Node] {
        match &node.data {
            Data::List(items) => items,
            Data::Null => &[],
            _ => {
                self.wrong(node, path, "a list");
                &[]
            }
        }
    }

    pub(crate) fn text<'n>(&mut self, node: &'n Node, path: &str) -> Option<&'n str> {
        if node.text().is_none() {
            self.wrong(node, path, "text");
        }
        node.text()
    }

    pub(crate) fn texts(&mut self, node: &Node, path: &str) -> Vec<String> {
        let items = self.list(node, path);
        items.iter().filter_map(|item| self.text(item, path).map(str::to_owned)).collect()
    }

    pub(crate) fn boolean(&mut self, node: &Node, path: &str) -> Option<bool> {
        match &node.data {
            Data::Text { text, plain: true } if text == "true" => Some(true),
            Data::Text { text, plain: true } if text == "false" => Some(false),
            _ => {
                self.wrong(node, path, "`true` or `false`");
                None
            }
        }
    }

    pub(crate) fn number(&mut self, node: &Node, path: &str, low: u32, high: u32) -> Option<u32> {
        let found = match &node.data {
            Data::Text { text, plain: true } => text.parse::<u32>().ok(),
            _ => None,
        };
        let found = found.filter(|number| (low..=high).contains(number));
        if found.is_none() {
            self.wrong(node, path, &format!("a whole number from {low} to {high}"));
        }
        found
    }

    /// One of a few words.
    pub(crate) fn word<T: Copy>(&mut self, node: &Node, path: &str, words: &[(&str, T)]) -> Option<T> {
        let text = self.text(node, path)?;
        let found = words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
        if found.is_none() {
            let known: Vec<_> = words.iter().map(|(word, _)| *word).collect();
            let remedy = match suggestion(text, known.iter().copied()) {
                Some(meant) => format!("did you mean `{meant}`?"),
                None => format!("use one of: {}", known.join(", ")),
            };
            self.error("P0006", node.place, path, format!("`{text}` is not known here"), remedy);
        }
        found
    }

    pub(crate) fn wrong(&mut self, node: &Node, path: &str, expected: &str) {
        let summary = match node.text() {
            Some(text) => {
                format!("expected {expected}, found `{}`", text.chars().take(60).collect::<String>())
            }
            None => format!("expected {expected}, found {}", node.kind()),
        };
        self.error("P0006", node.place, path, summary, format!("write {expected}"));
    }
}

/// The known word that is most like the given one, if one is close enough.
pub(crate) fn suggestion<'k>(given: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    let given_folded = given.to_lowercase();
    let limit = (given_folded.chars().count() / 3).clamp(1, 3);
    if given.len() > 64 {
        return None;
    }
    known
        .into_iter()
        .filter(|word| word.len() <= 64)
        .map(|word| (distance(&given_folded, &word.to_lowercase()), word))
        .filter(|(distance, _)| *distance <= limit)
        .min()
        .map(|(_, word)| word)
}

/// Edits (insert, remove, replace, swap of neighbours) between two short words.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut older: Vec<usize> = Vec::new();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut next = vec![i + 1];
        for (j, y) in b.iter().enumerate() {
            let at = |row: &[usize], index: usize| row.get(index).copied().unwrap_or(usize::MAX / 2);
            let mut best = (at(&row, j) + usize::from(x != y)).min(at(&row, j + 1) + 1).min(at(&next, j) + 1);
            let swapped = i > 0 && j > 0 && a.get(i - 1) == Some(y) && b.get(j - 1) == Some(x);
            if swapped {
                best = best.min(at(&older, j - 1) + 1);
            }
            next.push(best);
        }
        older = std::mem::replace(&mut row, next);
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::suggestion;

    #[test]
    fn suggestion_finds_slips_of_the_finger_and_nothing_else() {
        let known = ["department", "displayName", "title"];
        assert_eq!(suggestion("departmnet", known), Some("department"));
        assert_eq!(suggestion("displayname", known), Some("displayName"));
        assert_eq!(suggestion("shoeSize", known), None);
    }
}
