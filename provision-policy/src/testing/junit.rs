//! The report as JUnit's XML, which every CI server reads.

use std::fmt::Write as _;

use super::Report;

impl Report {
    /// JUnit's XML: a suite with a case for each case.
    pub fn junit(&self) -> String {
        let counts = format!("tests=\"{}\" failures=\"{}\" errors=\"0\"", self.cases.len(), self.failed());
        let mut out = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites {counts}>\n<testsuite name=\"policy\" {counts}>\n"
        );
        for case in &self.cases {
            // A write to a String does not fail.
            let _ = write!(
                out,
                "<testcase classname=\"{}\" name=\"{}\" file=\"{}\" line=\"{}\"",
                escaped(&case.at.file),
                escaped(&case.name),
                escaped(&case.at.file),
                case.at.line
            );
            if case.failures.is_empty() {
                out.push_str("/>\n");
                continue;
            }
            out.push_str(">\n");
            for failure in &case.failures {
                let (message, body) = (escaped(&failure.problem.summary), escaped(&failure.render()));
                let code = escaped(&failure.problem.code);
                let _ = writeln!(out, "<failure type=\"{code}\" message=\"{message}\">{body}</failure>");
            }
            out.push_str("</testcase>\n");
        }
        out.push_str("</testsuite>\n</testsuites>\n");
        out
    }
}

/// The text for content and attributes. Characters that XML 1.0 cannot hold become U+FFFD.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' | '\t' => out.push(c),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}
