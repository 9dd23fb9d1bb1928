//! What one file must keep to, whatever crate it is in.

use crate::source_text::SourceText;

pub(crate) const FILE_LINES_MAX: usize = 800;
pub(crate) const FUNCTION_LINES_MAX: usize = 70;
pub(crate) const COLUMNS_MAX: usize = 120;
pub(crate) const EXAMPLE_LINES_MAX: usize = 120;

/// Names that say nothing of what is inside.
const EMPTY_NAMES: &[&str] =
    &["utils", "util", "helpers", "helper", "manager", "managers", "types", "common", "misc"];

/// A file or folder name says what is inside and has no generation in it.
pub(crate) fn name_of_path(path: &str) -> Vec<String> {
    let mut found = Vec::new();
    for part in path.split('/') {
        let stem = part.split('.').next().unwrap_or(part).to_lowercase();
        if EMPTY_NAMES.contains(&stem.as_str()) {
            found.push(format!("{path}: `{stem}` names nothing; name what is inside"));
        }
        if ["_v2", "_v3", "_new", "_old", "-v2", "-new", "-old"].iter().any(|end| stem.ends_with(end)) {
            found.push(format!("{path}: `{stem}` names a generation; replace the old one instead"));
        }
    }
    found
}

/// Lengths of a Rust file, its functions and its lines.
pub(crate) fn lengths(path: &str, text: &str, source: &SourceText) -> Vec<String> {
    let mut found = Vec::new();
    let lines = text.lines().count();
    if lines > FILE_LINES_MAX {
        found.push(format!("{path}: {lines} lines, at most {FILE_LINES_MAX}"));
    }
    for (line, name, lines) in source.functions() {
        if lines > FUNCTION_LINES_MAX {
            found.push(format!("{path}:{line}: fn {name} has {lines} lines, at most {FUNCTION_LINES_MAX}"));
        }
    }
    for (index, line) in text.lines().enumerate() {
        let columns = line.chars().count();
        if columns > COLUMNS_MAX {
            found.push(format!("{path}:{}: {columns} columns, at most {COLUMNS_MAX}", index + 1));
        }
    }
    let example = path.starts_with("examples/examples/")
        && !path.contains("/quickstart")
        && !path.contains("/provisioner");
    if example && lines > EXAMPLE_LINES_MAX {
        found.push(format!("{path}: an example of {lines} lines, at most {EXAMPLE_LINES_MAX}"));
    }
    found
}

/// Types are named for what they are, not for their generation.
pub(crate) fn type_names(path: &str, source: &SourceText) -> Vec<String> {
    let mut found = Vec::new();
    let words = source.identifiers();
    for pair in words.windows(2) {
        let [(_, keyword), (line, name)] = pair else { continue };
        let declares = matches!(keyword.as_str(), "struct" | "enum" | "trait" | "type" | "union");
        if declares && ["V2", "V3", "New", "Old"].iter().any(|end| name.ends_with(end) && name != end) {
            found.push(format!("{path}:{line}: type `{name}` names a generation"));
        }
    }
    found
}

/// Nothing unfinished: no placeholder macros, no switched-off tests, no note without an issue.
pub(crate) fn unfinished(path: &str, source: &SourceText) -> Vec<String> {
    let mut found = Vec::new();
    for (index, line) in source.code.lines().enumerate() {
        for word in ["todo!", "unimplemented!", "#[ignore", "dbg!"] {
            if line.contains(word) {
                found.push(format!("{path}:{}: `{word}`", index + 1));
            }
        }
    }
    for (index, line) in source.comments.lines().enumerate() {
        for word in ["TODO", "FIXME", "XXX"] {
            for (at, _) in line.match_indices(word) {
                let rest = line.get(at + word.len()..).unwrap_or_default();
                let number = rest.strip_prefix("(#").unwrap_or_default();
                if !number.starts_with(|c: char| c.is_ascii_digit()) {
                    found.push(format!("{path}:{}: `{word}` without an issue number", index + 1));
                }
            }
        }
        if line.contains("```") && line.contains("ignore") {
            found.push(format!("{path}:{}: a snippet that is never compiled", index + 1));
        }
    }
    found
}

/// Paths and hosts that are true only where the text was written. The patterns are put together here, so that this
/// file does not contain them.
pub(crate) fn places(path: &str, text: &str) -> Vec<String> {
    let roots =
        [concat!("/wo", "rk/"), concat!("/ro", "ot/"), concat!("C:\\", "Users\\"), concat!("/U", "sers/")];
    let hosts = [concat!("crates", ".io"), concat!("pypi", ".org"), concat!("npmjs", ".com")];
    let mut found = Vec::new();
    for (index, line) in text.lines().enumerate() {
        for root in roots {
            let absolute = |at: usize| {
                line.get(..at).and_then(|before| before.chars().last()).is_none_or(|c| {
                    !(c.is_alphanumeric() || matches!(c, '.' | '/' | '}' | ')' | '*' | '_' | '-' | '~'))
                })
            };
            if line.match_indices(root).any(|(at, _)| absolute(at)) {
                found.push(format!("{path}:{}: a path of one machine", index + 1));
            }
        }
        if hosts.iter().any(|host| line.contains(host)) {
            found.push(format!("{path}:{}: a package registry by name", index + 1));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(text: &str) -> SourceText {
        SourceText::of(text)
    }

    #[test]
    fn planted_names_are_caught() {
        assert_eq!(name_of_path("provision-core/src/utils.rs").len(), 1);
        assert_eq!(name_of_path("provision-core/tests/common/mod.rs").len(), 1);
        assert_eq!(name_of_path("docs/plan_v2.md").len(), 1);
        assert!(name_of_path("provision-core/src/store/threshold.rs").is_empty());
        assert_eq!(type_names("x", &source("pub struct PlanV2;\nenum StepNew {}\n")).len(), 2);
        assert!(
            type_names("x", &source("struct Threshold; fn plan(New: u8) {} // struct PlanV2")).is_empty()
        );
    }

    #[test]
    fn planted_lengths_are_caught() {
        let long_file = "\n".repeat(FILE_LINES_MAX + 1);
        assert_eq!(lengths("x.rs", &long_file, &source(&long_file)).len(), 1);
        let long_function = format!("fn f() {{{}}}\n", "\n".repeat(FUNCTION_LINES_MAX));
        assert!(lengths("x.rs", &long_function, &source(&long_function))[0].contains("fn f has 71 lines"));
        let wide = format!("// {}\n", "w".repeat(COLUMNS_MAX));
        assert_eq!(lengths("x.rs", &wide, &source(&wide)).len(), 1);
        let example = "\n".repeat(EXAMPLE_LINES_MAX + 1);
        assert_eq!(lengths("examples/examples/a.rs", &example, &source(&example)).len(), 1);
        assert!(lengths("examples/examples/quickstart/main.rs", &example, &source(&example)).is_empty());
    }

    #[test]
    fn planted_leftovers_are_caught() {
        let text = "fn f() { todo!() }\n#[ignore]\n// TODO later\n// TODO(#12) later\n/// ```ignore\n";
        assert_eq!(unfinished("x", &source(text)).len(), 4);
        assert!(unfinished("x", &source("let s = \"todo! TODO #[ignore\";")).is_empty());
    }

    #[test]
    fn planted_places_are_caught() {
        assert_eq!(places("x", concat!("see `/wo", "rk/main`")).len(), 1);
        assert_eq!(places("x", concat!("cd /ro", "ot/.cargo")).len(), 1);
        assert_eq!(places("x", concat!("from crates", ".io")).len(), 1);
        assert!(places("x", concat!("https://example.org/wo", "rk/item and a/ro", "ot/b")).is_empty());
    }
}
