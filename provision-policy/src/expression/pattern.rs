//! Regular expressions: written out, compiled when the bundle is loaded, matched without going back.

use regex::{Regex, RegexBuilder};

use super::datum::{Datum, Failure};
use super::evaluate::TEXT_MAX;
use super::function::Function;

/// Largest compiled pattern, in bytes.
const SIZE_MAX: usize = 128 * 1024;
/// Longest text a pattern is matched with, in bytes.
const MATCHED_MAX: usize = 4096;
/// Most matches that are replaced: each of them may look at all that is left of the text.
const MATCHES_MAX: usize = 100;
/// Deepest nesting of a pattern.
const NESTING_MAX: u32 = 32;

/// A function with its pattern.
#[derive(Clone, Debug)]
pub(crate) struct Match {
    pub(super) function: Function,
    pattern: Regex,
    /// The group that `capture` gives; 0 is the whole match.
    group: usize,
    /// What `replace_matches` writes for each match.
    pieces: Vec<Piece>,
}

/// A piece of a replacement.
#[derive(Clone, Debug)]
enum Piece {
    Text(String),
    Group(usize),
}

impl Match {
    /// Compiles the pattern; `third` is the group of `capture` and the replacement of `replace_matches`. `Err` says
    /// which argument is faulty and why.
    pub(super) fn new(
        function: Function,
        pattern: &str,
        third: Option<&str>,
    ) -> Result<Self, (usize, String)> {
        let pattern = RegexBuilder::new(pattern)
            .size_limit(SIZE_MAX)
            .dfa_size_limit(2 * SIZE_MAX)
            .nest_limit(NESTING_MAX)
            .build()
            .map_err(|error| (1, reason(&error)))?;
        let mut found = Self { function, pattern, group: 0, pieces: Vec::new() };
        match (function, third) {
            (Function::Capture, Some(group)) => {
                found.group = found.group(group).ok_or_else(|| (2, no_group(group)))?;
            }
            (Function::ReplaceMatches, Some(text)) => {
                found.pieces = found.pieces(text).map_err(|why| (2, why))?;
            }
            _ => {}
        }
        Ok(found)
    }

    /// The number of a group by its name or number.
    fn group(&self, wanted: &str) -> Option<usize> {
        match wanted.parse::<usize>() {
            Ok(number) => (number < self.pattern.captures_len()).then_some(number),
            Err(_) => self.pattern.capture_names().position(|name| name == Some(wanted)),
        }
    }

    /// The pieces of a replacement: `${1}` and `${name}` are groups, `$$` is a dollar.
    fn pieces(&self, text: &str) -> Result<Vec<Piece>, String> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('$') {
            pieces.push(Piece::Text(before.to_owned()));
            if let Some(after) = after.strip_prefix('$') {
                pieces.push(Piece::Text("$".to_owned()));
                rest = after;
            } else if let Some((name, after)) = after.strip_prefix('{').and_then(|text| text.split_once('}'))
            {
                pieces.push(Piece::Group(self.group(name).ok_or_else(|| no_group(name))?));
                rest = after;
            } else {
                return Err("a `$` in a replacement is written `$$`, a group `${1}` or `${name}`".to_owned());
            }
        }
        pieces.push(Piece::Text(rest.to_owned()));
        Ok(pieces)
    }

    /// Runs it over a text.
    pub(super) fn run<'a>(&self, text: &str) -> Result<Datum<'a>, Failure> {
        if text.len() > MATCHED_MAX {
            let detail = format!("a pattern is matched with texts of at most {MATCHED_MAX} bytes");
            return Err(Failure::failed(detail));
        }
        Ok(match self.function {
            Function::Capture => match self.pattern.captures(text).and_then(|found| found.get(self.group)) {
                Some(found) => Datum::text(found.as_str().to_owned()),
                None => Datum::Null,
            },
            Function::ReplaceMatches => Datum::text(self.replace(text)?),
            _ => Datum::Bool(self.pattern.is_match(text)),
        })
    }

    fn replace(&self, text: &str) -> Result<String, Failure> {
        let mut out = String::new();
        let mut done = 0;
        for (number, found) in self.pattern.captures_iter(text).enumerate() {
            if number == MATCHES_MAX {
                return Err(Failure::failed(format!("more than {MATCHES_MAX} matches in a text")));
            }
            let Some(whole) = found.get(0) else { continue };
            out.push_str(text.get(done..whole.start()).unwrap_or_default());
            for piece in &self.pieces {
                match piece {
                    Piece::Text(text) => out.push_str(text),
                    Piece::Group(group) => out.push_str(found.get(*group).map_or("", |found| found.as_str())),
                }
            }
            done = whole.end();
            if out.len() > TEXT_MAX {
                return Err(Failure::failed("the text becomes too long"));
            }
        }
        out.push_str(text.get(done..).unwrap_or_default());
        if out.len() > TEXT_MAX {
            return Err(Failure::failed("the text becomes too long"));
        }
        Ok(out)
    }
}

fn no_group(name: &str) -> String {
    let shown = provision_core::text::escape(super::letters::left(name, 40));
    format!("the pattern has no group `{shown}`")
}

/// Why a pattern is refused, in one line.
fn reason(error: &regex::Error) -> String {
    match error {
        regex::Error::CompiledTooBig(_) => "the pattern is too large when compiled".to_owned(),
        other => {
            let text = other.to_string();
            let line = text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default();
            let line = line.trim().trim_start_matches("error: ");
            format!("the pattern is not understood: {}", provision_core::text::escape(line))
        }
    }
}
