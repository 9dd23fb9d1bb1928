//! Diagnostics: problems of policy, schema and data, with the place and the remedy. They are not errors:
//! a check returns all of them in one pass.

use std::fmt;

use serde::{Deserialize, Serialize};

/// How bad a diagnostic is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Worth knowing.
    Note,
    /// Works, and probably not as meant.
    Warning,
    /// Refused.
    Error,
}

/// A place in a text: file, 1-based line and column, and the line itself for the caret.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    /// The file as the reader knows it.
    pub file: String,
    /// 1-based line; 0 when only the file is known.
    pub line: u32,
    /// 1-based column, in characters; 0 when only the line is known.
    pub column: u32,
    /// How many characters the caret underlines; at least one.
    pub length: u32,
    /// The text of the line, for display.
    pub text: String,
}

/// One problem: a stable code, what is wrong, how to fix it, and where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Diagnostic {
    /// How bad.
    pub severity: Severity,
    /// Stable code, e.g. `P0012` (policy) or `F0003` (feed).
    pub code: String,
    /// What is wrong, lower case, one line, user input in backticks.
    pub summary: String,
    /// How to fix it.
    pub remedy: String,
    /// Where in the document's structure: `targets.directory.account.mail`.
    pub path: Option<String>,
    /// Where in the text.
    pub span: Option<Span>,
}

impl Diagnostic {
    /// A diagnostic without a place.
    pub fn new(
        severity: Severity,
        code: impl Into<String>,
        summary: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self {
            severity,
            code: code.into(),
            summary: summary.into(),
            remedy: remedy.into(),
            path: None,
            span: None,
        }
    }

    /// Adds the structural path.
    #[must_use]
    pub fn at_path(mut self, path: impl Into<String>) -> Self {
        self.path = Some(path.into());
        self
    }

    /// Adds the place in the text.
    #[must_use]
    pub fn at(mut self, span: Span) -> Self {
        self.span = Some(span);
        self
    }

    /// True when this must stop what was asked.
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = match self.severity {
            Severity::Note => "note",
            Severity::Warning => "warning",
            Severity::Error => "error",
        };
        write!(f, "{severity}[{}]: {}", self.code, crate::text::escape(&self.summary))?;
        if let Some(span) = &self.span {
            write!(f, "\n  --> {}", crate::text::escape(&span.file))?;
            if span.line > 0 {
                write!(f, ":{}", span.line)?;
            }
            if span.line > 0 && span.column > 0 {
                write!(f, ":{}", span.column)?;
            }
            if span.line > 0 && !span.text.is_empty() {
                let number = span.line.to_string();
                let gutter = " ".repeat(number.len());
                write!(f, "\n {gutter} |\n {number} | {}", crate::text::escape(&span.text))?;
                if span.column > 0 {
                    let lead =
                        span.text.chars().take(span.column.saturating_sub(1) as usize).collect::<String>();
                    let pad = " ".repeat(crate::text::escape(&lead).chars().count());
                    write!(f, "\n {gutter} | {pad}{}", "^".repeat(span.length.max(1) as usize))?;
                }
            }
        }
        if let Some(path) = &self.path {
            write!(f, "\n  at {}", crate::text::escape(path))?;
        }
        if !self.remedy.is_empty() {
            write!(f, "\n  fix: {}", crate::text::escape(&self.remedy))?;
        }
        Ok(())
    }
}
