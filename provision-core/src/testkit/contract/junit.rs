//! The report as JUnit's XML, which every CI server reads.

use std::fmt::Write as _;

use super::report::{Report, Trial};
use super::verdict::Finding;

impl Report {
    /// JUnit's XML: a suite with a case for each clause.
    pub fn junit(&self) -> String {
        let took = self.trials.iter().map(|trial| trial.took.as_secs_f64()).sum::<f64>();
        let counts = format!(
            "tests=\"{}\" failures=\"{}\" errors=\"0\" skipped=\"{}\" time=\"{took:.3}\"",
            self.trials.len(),
            self.broken().len(),
            self.not_applicable().len(),
        );
        let name = escaped(&self.name);
        let cases = self.trials.iter().map(|trial| self.case(trial)).collect::<String>();
        let left = self.leftovers();
        let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
        // A write to a String does not fail.
        let _ = write!(
            out,
            "<testsuites {counts}>\n<testsuite name=\"contract of {name}\" {counts}>\n<properties>\n\
             <property name=\"seed\" value=\"{}\"/>\n<property name=\"left\" value=\"{}\"/>\n</properties>\n{cases}",
            self.seed,
            left.len(),
        );
        if !left.is_empty() {
            let _ = writeln!(out, "<system-out>{}</system-out>", escaped(&left.join("\n")));
        }
        out.push_str("</testsuite>\n</testsuites>\n");
        out
    }

    fn case(&self, trial: &Trial) -> String {
        let name = escaped(&format!("{}: {}", trial.clause, trial.promise));
        let head = format!(
            "<testcase classname=\"contract.{}\" name=\"{name}\" time=\"{:.3}\"",
            escaped(&self.name),
            trial.took.as_secs_f64(),
        );
        match &trial.verdict {
            Ok(()) => format!("{head}/>\n"),
            Err(Finding::NotApplicable(why)) => {
                format!("{head}><skipped message=\"{}\"/></testcase>\n", escaped(why))
            }
            Err(Finding::Broken(seen)) => {
                let body =
                    format!("expected: {}\nseen: {seen}\nagain: {}", trial.promise, self.again(trial.clause));
                let (message, body) = (escaped(seen), escaped(&body));
                format!("{head}><failure type=\"broken\" message=\"{message}\">{body}</failure></testcase>\n")
            }
        }
    }
}

/// The text for content and attributes. Characters that XML 1.0 cannot hold become U+FFFD.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&apos;"),
            // A reader would turn them into blanks in an attribute.
            '\t' => out.push_str("&#9;"),
            '\n' => out.push_str("&#10;"),
            '\r' => out.push_str("&#13;"),
            '\u{0}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => out.push('\u{fffd}'),
            character => out.push(character),
        }
    }
    out
}
