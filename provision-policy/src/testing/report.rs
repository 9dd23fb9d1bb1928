//! What became of the tests.

use std::fmt::Write;

use provision_core::diagnostic::{Diagnostic, Span};
use serde::Serialize;

use super::Coverage;

/// What became of all cases.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// In the order of the files.
    pub cases: Vec<CaseReport>,
    /// What of the bundle they have seen at work.
    pub coverage: Coverage,
}

/// What became of a case.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CaseReport {
    /// Its name.
    pub name: String,
    /// Where it is written.
    pub at: Span,
    /// What is not as expected; none: it holds.
    pub failures: Vec<Failure>,
}

/// Something that is not as expected.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Failure {
    /// What, and where the expectation is written: `P0080`, or `P0082` where the bundle has no such thing at all.
    #[serde(flatten)]
    pub problem: Diagnostic,
    /// What is expected, line by line.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub expected: Vec<String>,
    /// What is, line by line.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub found: Vec<String>,
    /// What of the bundle decided it, with its place.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub because: Vec<String>,
}

impl Failure {
    /// A problem that is no difference.
    pub(super) fn of(problem: Diagnostic) -> Self {
        Self { problem, expected: Vec::new(), found: Vec::new(), because: Vec::new() }
    }

    /// Lines of both, marked: `-` only expected, `+` only found.
    pub fn diff(&self) -> String {
        let mut out = String::new();
        let line = |out: &mut String, mark: char, text: &str| {
            let _ = writeln!(out, "  {mark} {}", provision_core::text::escape(text));
        };
        for text in &self.expected {
            line(&mut out, if self.found.contains(text) { ' ' } else { '-' }, text);
        }
        for text in self.found.iter().filter(|text| !self.expected.contains(text)) {
            line(&mut out, '+', text);
        }
        out
    }

    /// As text.
    pub fn render(&self) -> String {
        let mut out = format!("{}\n{}", self.problem, self.diff());
        for because in &self.because {
            let _ = writeln!(out, "  because {because}");
        }
        out
    }
}

impl Report {
    /// Every case holds.
    pub fn is_clean(&self) -> bool {
        self.failed() == 0
    }

    /// Cases that do not hold.
    pub fn failed(&self) -> usize {
        self.cases.iter().filter(|case| !case.failures.is_empty()).count()
    }

    /// As text: what failed, and how many there are; with `coverage` also what no case has seen.
    pub fn render(&self, coverage: bool) -> String {
        let mut out = String::new();
        for case in self.cases.iter().filter(|case| !case.failures.is_empty()) {
            let _ = writeln!(out, "FAILED {}", provision_core::text::escape(&case.name));
            case.failures.iter().for_each(|failure| out.push_str(&failure.render()));
            out.push('\n');
        }
        if coverage {
            out.push_str(&self.coverage.render());
        }
        let failed = self.failed();
        let _ = writeln!(out, "{} cases hold, {failed} fail", self.cases.len() - failed);
        out
    }
}
