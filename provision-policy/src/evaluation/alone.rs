//! One expression, evaluated alone for one person: to try it out.

use provision_core::diagnostic::{Diagnostic, Span};
use provision_core::policy::{PolicyInput, RefusalReason};
use provision_core::value::{Slot, Value};
use serde::Serialize;

use super::facts;
use crate::bundle::Bundle;
use crate::expression::Datum;

/// The name of the file that an expression given alone seems to stand in.
const FILE: &str = "expression";
/// What stands before it there, and on how many lines.
const HEAD: &str = "bundle: 1\nvalues:\n  \"the expression\": |\n    ";
const HEAD_LINES: u32 = 3;
const INDENT: u32 = 4;

/// What an expression gives for one person, and from what.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Evaluated {
    /// The kind of what it gives: `null`, `text`, `a list` and so on.
    pub kind: &'static str,
    /// The values; `None` where it fails, or is a reference to an account.
    pub value: Option<Slot>,
    /// The key of the person whose account it refers to.
    pub account_of: Option<String>,
    /// Why it gives nothing.
    pub failure: Option<(Option<RefusalReason>, String)>,
    /// The attributes it reads, itself or through shared values, with what the person has there.
    pub reads: Vec<(String, Option<Slot>)>,
    /// Other things it reads: `lifecycle`, `today`, `key`, the zone, the locale.
    pub others: Vec<String>,
    /// Rows it has looked up: `lookup/key=text`.
    pub rows: Vec<String>,
    /// The most steps it may take, whoever it is evaluated for; shared values it uses left out.
    pub steps: u64,
}

impl Bundle {
    /// Evaluates an expression as if it stood under `values`, after all others: it may read what those may, and each
    /// of them. Roles and generated names are not known there.
    ///
    /// # Errors
    /// What is wrong with the expression, with its place in it.
    pub fn eval(&self, expression: &str, input: &PolicyInput<'_>) -> Result<Evaluated, Vec<Diagnostic>> {
        let line = expression.replace(['\n', '\r', '\t'], " ");
        let text = format!("{HEAD}{line}\n");
        let mut files: Vec<(&str, &str)> = self.0.texts().collect();
        files.push((FILE, &text));
        let bundle = Self::load(&files).map_err(|problems| {
            problems
                .into_iter()
                .filter(Diagnostic::is_error)
                .map(|problem| placed(problem, &line))
                .collect::<Vec<_>>()
        })?;
        let content = &*bundle.0;
        let facts = facts(content, input);
        let (Some(own), Some((found, rows))) = (content.shared.last(), facts.shared.last()) else {
            return Ok(Evaluated::nothing());
        };
        let reads = own.reads_all(&content.shared);
        let slot = |name: &str| input.identity.attributes.get(name).cloned();
        let others = [
            (reads.lifecycle, "lifecycle"),
            (reads.today, "today"),
            (reads.key, "key or source"),
            (reads.zone, "the time zone"),
            (reads.locale, "the locale"),
        ];
        let mut evaluated = Evaluated {
            reads: reads
                .attributes
                .iter()
                .map(|name| (name.as_str().to_owned(), slot(name.as_str())))
                .collect(),
            others: others.iter().filter(|(read, _)| *read).map(|(_, word)| (*word).to_owned()).collect(),
            rows: rows.iter().cloned().collect(),
            steps: own.steps(),
            ..Evaluated::nothing()
        };
        match found {
            Err(failure) => evaluated.failure = Some((failure.reason(), failure.detail.clone())),
            Ok(found) => {
                evaluated.kind = found.kind();
                match found {
                    Datum::AccountOf(key) => evaluated.account_of = Some(key.clone()),
                    found => evaluated.value = Some(found.clone().into_slot()),
                }
            }
        }
        Ok(evaluated)
    }
}

impl Evaluated {
    fn nothing() -> Self {
        Self {
            kind: "null",
            value: None,
            account_of: None,
            failure: None,
            reads: Vec::new(),
            others: Vec::new(),
            rows: Vec::new(),
            steps: 0,
        }
    }

    /// As text.
    pub fn render(&self) -> String {
        let values = |slot: &Slot| {
            let shown: Vec<String> = slot.values().iter().map(|value: &Value| format!("{value:?}")).collect();
            match shown.as_slice() {
                [] => "null".to_owned(),
                [one] => one.clone(),
                _ => format!("[{}]", shown.join(", ")),
            }
        };
        let mut out = match (&self.failure, &self.account_of, &self.value) {
            (Some((reason, detail)), ..) => {
                let reason = reason.map_or("refused before", RefusalReason::as_str);
                format!("fails: {reason}: {}\n", provision_core::text::escape(detail))
            }
            (None, Some(key), _) => format!("the account of `{}`\n", provision_core::text::escape(key)),
            (None, None, Some(slot)) if slot.values().is_empty() => "null\n".to_owned(),
            (None, None, Some(slot)) => format!("{}  ({})\n", values(slot), self.kind),
            (None, None, None) => "null\n".to_owned(),
        };
        for (name, slot) in &self.reads {
            let shown = slot.as_ref().map_or_else(|| "absent".to_owned(), values);
            out.push_str(&format!("  reads user.{} = {shown}\n", provision_core::text::escape(name)));
        }
        for other in &self.others {
            out.push_str(&format!("  reads {other}\n"));
        }
        for row in &self.rows {
            out.push_str(&format!("  row {}\n", provision_core::text::escape(row)));
        }
        out.push_str(&format!("  at most {} steps\n", self.steps));
        out
    }
}

/// A problem where the person sees it: in the expression as given.
fn placed(mut problem: Diagnostic, expression: &str) -> Diagnostic {
    if let Some(span) = problem.span.take().filter(|span| span.file == FILE) {
        problem.path = None;
        problem.span = Some(Span {
            file: FILE.to_owned(),
            line: span.line.saturating_sub(HEAD_LINES).max(1),
            column: span.column.saturating_sub(INDENT).max(1),
            length: span.length,
            text: expression.chars().take(240).collect(),
        });
    }
    problem
}
