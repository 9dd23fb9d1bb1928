//! Policy tests as files: given this identity, expect this account, these groups, this reason.
//!
//! ```
//! use provision_policy::Bundle;
//! use provision_policy::testing::{TestFile, run};
//!
//! let bundle = r#"
//! bundle: 1
//! version: first
//! roles: { staff: { grants: [{ account: crm/contact }] } }
//! rules: [{ id: all, when: 'lifecycle == "active"', roles: [staff] }]
//! targets: { crm: { contact: { attributes: { title: user.title } } } }
//! "#;
//! let tests = r#"
//! tests: 1
//! now: 2026-11-20T09:00:00Z
//! people:
//!   jane: { attributes: { title: Clerk } }
//! cases:
//!   - name: everybody is a contact
//!     given: { person: jane }
//!     expect:
//!       roles: [staff]
//!       accounts: { crm/contact: { exists: true, values: { title: Clerk } } }
//! "#;
//! let bundle = Bundle::load(&[("policy.yaml", bundle)]).unwrap();
//! let tests = TestFile::load("policy.test.yaml", tests).unwrap();
//! let report = run(&bundle, &[tests]);
//! assert!(report.is_clean(), "{}", report.render(false));
//! ```

mod compare;
mod coverage;
mod expect;
mod file;
mod given;
mod junit;
mod names;
mod report;

use provision_core::diagnostic::{Diagnostic, Severity};

pub use coverage::{Coverage, Uncovered};
pub use given::Given;
pub use report::{CaseReport, Failure, Report};

use crate::Bundle;
use crate::document::{Place, Sources};
use expect::Expectation;

/// The cases of one file.
#[derive(Debug)]
pub struct TestFile {
    sources: Sources,
    cases: Vec<Case>,
}

/// A case: who is given, and what is expected.
#[derive(Debug)]
struct Case {
    name: String,
    place: Place,
    given: Given,
    expect: Expectation,
}

impl TestFile {
    /// Reads a file of tests.
    ///
    /// # Errors
    /// Every problem of the file, in one pass.
    pub fn load(name: &str, text: &str) -> Result<Self, Vec<Diagnostic>> {
        file::load(name, text)
    }

    /// Reads files of tests: the one given, or those of a folder and of its folder `tests` whose names end in
    /// `.test.yaml`, in the order of their names. Of a file that is a bundle: those beside it.
    ///
    /// # Errors
    /// A file that cannot be read is a diagnostic (`P0009`), and so is a place without tests (`P0083`).
    pub fn load_path(path: impl AsRef<std::path::Path>) -> Result<Vec<Self>, Vec<Diagnostic>> {
        file::load_path(path.as_ref())
    }

    /// How many cases it has.
    pub fn len(&self) -> usize {
        self.cases.len()
    }

    /// It has no cases.
    pub fn is_empty(&self) -> bool {
        self.cases.is_empty()
    }
}

/// Reads one person, written as `given` of a case: for an evaluation without a store.
///
/// # Errors
/// Every problem of the text, in one pass.
pub fn person(name: &str, text: &str) -> Result<Given, Vec<Diagnostic>> {
    file::person(name, text)
}

/// Runs tests against a bundle. Pure: an instant is part of each case.
pub fn run(bundle: &Bundle, files: &[TestFile]) -> Report {
    let mut report = Report::default();
    let mut seen = coverage::Seen::default();
    for file in files {
        for case in &file.cases {
            let evaluation = case.given.evaluate(bundle);
            if let Ok(evaluation) = &evaluation {
                seen.add(evaluation);
            }
            let failures = match evaluation {
                Ok(evaluation) => compare::compare(bundle, &file.sources, case, &evaluation),
                Err(error) => {
                    let summary = format!("the person cannot be evaluated: {}", error.report());
                    let problem = Diagnostic::new(Severity::Error, "P0084", summary, "correct what is given");
                    vec![Failure::of(problem.at(file.sources.span(case.place)))]
                }
            };
            report.cases.push(CaseReport {
                name: case.name.clone(),
                at: file.sources.span(case.place),
                failures,
            });
        }
    }
    report.coverage = seen.against(bundle);
    report
}
