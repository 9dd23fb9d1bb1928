//! Generated names: candidates with a counter that always fit.

use std::collections::BTreeSet;

use provision_core::policy::{NameRequest, RefusalReason};
use provision_core::schema::CaseRule;
use unicode_normalization::UnicodeNormalization;
use unicode_segmentation::UnicodeSegmentation;

use crate::bundle::{Address, Content, NamePattern};
use crate::expression::{Datum, Facts, Failure, Traced, evaluate, letters};

/// Most candidates that are tried.
pub(super) const ATTEMPTS_MAX: u32 = 10_000;
/// Digits of the last of them.
const DIGITS_MAX: usize = 5;

/// A pattern filled with one person's data.
#[derive(Debug)]
pub(super) struct Filled<'a> {
    pattern: &'a NamePattern,
    parts: Vec<String>,
}

/// Why a pattern cannot be filled.
#[derive(Debug)]
pub(super) struct Unfilled {
    pub(super) reason: Option<RefusalReason>,
    pub(super) detail: String,
}

impl From<Failure> for Unfilled {
    fn from(failure: Failure) -> Self {
        Self { reason: failure.reason(), detail: failure.detail }
    }
}

/// The scope of a pattern: the part of the namespace it is unique in.
pub(super) fn scope<'a>(pattern: &'a NamePattern, facts: &Facts<'a>) -> Result<String, Unfilled> {
    let Some(expression) = &pattern.scope else { return Ok(String::new()) };
    match evaluate(expression, facts, &mut Traced::new())? {
        Datum::Text(text) if !text.is_empty() => Ok(text.into_owned()),
        _ => Err(Unfilled {
            reason: Some(RefusalReason::MissingInput),
            detail: format!("the scope of `{}` has no value", pattern.attribute),
        }),
    }
}

/// What is asked of the allocator, without the stem.
pub(super) fn request(address: &Address, pattern: &NamePattern, scope: String) -> NameRequest {
    let (target, class, tag) = (address.0.as_str(), address.1.as_str(), address.2.as_str());
    NameRequest {
        namespace: pattern.namespace.clone(),
        scope,
        purpose: format!("{target}/{class}/{tag}/{}", pattern.attribute.as_str()),
        stem: String::new(),
    }
}

impl<'a> Filled<'a> {
    pub(super) fn new(pattern: &'a NamePattern, facts: &Facts<'a>) -> Result<Self, Unfilled> {
        let mut parts = Vec::with_capacity(pattern.parts.len());
        let mut given = String::new();
        for part in &pattern.parts {
            let text = match evaluate(&part.value, facts, &mut Traced::new())? {
                Datum::Null => String::new(),
                Datum::Text(text) => text.into_owned(),
                other => {
                    return Err(Failure::failed(format!("a name needs text, got {}", other.kind())).into());
                }
            };
            let mut written = spell(pattern, &text, facts.locale)?;
            written.truncate(letters::left(&written, part.max).len());
            if written.is_empty() {
                given.push_str(text.trim());
            }
            parts.push(written);
        }
        if parts.iter().all(String::is_empty) {
            let attribute = &pattern.attribute;
            return Err(if given.is_empty() {
                let detail = format!("nothing to make `{attribute}` from: every part is empty");
                Unfilled { reason: Some(RefusalReason::MissingInput), detail }
            } else {
                let shown = provision_core::text::escape(letters::left(&given, 60));
                let detail =
                    format!("no character of `{shown}` may stand in `{attribute}`; give a romanised form");
                Unfilled { reason: Some(RefusalReason::Unmappable), detail }
            });
        }
        Ok(Self { pattern, parts })
    }

    /// The name with that counter, or without one. `None` when the counter leaves no room for the name.
    pub(super) fn candidate(&self, counter: Option<u32>) -> Option<String> {
        let pattern = self.pattern;
        let tail = match counter {
            Some(counter) => format!("{}{counter}", pattern.counter_separator),
            None => String::new(),
        };
        let room = pattern.max.checked_sub(tail.chars().count())?;
        let mut parts: Vec<&str> = self.parts.iter().map(String::as_str).collect();
        loop {
            let mut base = join(&parts, &pattern.separator);
            if base.is_empty() {
                return None;
            }
            if base.len() <= room || base.chars().count() <= room {
                base.push_str(&tail);
                base.push_str(&pattern.suffix);
                return Some(base);
            }
            // The longest part gives way, the first of equals.
            let (_, longest) = parts
                .iter_mut()
                .enumerate()
                .max_by_key(|(index, part)| (part.chars().count(), std::cmp::Reverse(*index)))?;
            let cut = longest.grapheme_indices(true).next_back().map_or(0, |(at, _)| at);
            *longest = longest.get(..cut).unwrap_or_default();
            if pattern.allow.is_some() {
                *longest = longest.trim_end_matches(|c: char| !c.is_alphanumeric());
            }
        }
    }

    /// What every candidate starts with, once folded.
    pub(super) fn stem(&self, case: CaseRule) -> String {
        if let Some(whole) = self.whole() {
            return case.fold(&whole);
        }
        // One counter of each width, and a second of the first: what they share, all share.
        let counters = [None, Some(2), Some(3), Some(10), Some(100), Some(1000), Some(10_000)];
        let mut candidates = counters.into_iter().filter_map(|counter| self.candidate(counter));
        let mut stem = candidates.next().map(|name| case.fold(&name)).unwrap_or_default();
        for name in candidates {
            let name = case.fold(&name);
            let shared = stem.chars().zip(name.chars()).take_while(|(a, b)| a == b).count();
            stem = stem.chars().take(shared).collect();
        }
        stem
    }

    /// What all candidates share, of a name that no counter shortens. Only for ASCII: there, folding the beginning of a
    /// text is the beginning of the folded text.
    fn whole(&self) -> Option<String> {
        let pattern = self.pattern;
        let parts: Vec<&str> = self.parts.iter().map(String::as_str).collect();
        let mut whole = join(&parts, &pattern.separator);
        let tail = pattern.counter_separator.len() + DIGITS_MAX;
        let fits = !whole.is_empty() && whole.len() + tail <= pattern.max;
        if !fits || !whole.is_ascii() || !pattern.counter_separator.is_ascii() || !pattern.suffix.is_ascii() {
            return None;
        }
        let after = pattern.suffix.chars().zip(pattern.counter_separator.chars());
        whole.extend(after.take_while(|(a, b)| a == b).map(|(a, _)| a));
        Some(whole)
    }

    /// True when nobody may have this name.
    fn is_reserved(&self, content: &Content, name: &str) -> bool {
        let own = name.strip_suffix(self.pattern.suffix.as_str()).unwrap_or(name);
        content.reserved.contains(&own.to_lowercase())
    }

    /// What all candidates follow from: the pattern and its parts.
    pub(super) fn series(&self, series: &mut String) {
        series.push_str(self.pattern.id.as_str());
        for part in &self.parts {
            series.push('\u{1f}');
            series.push_str(part);
        }
        series.push('\u{1e}');
    }

    pub(super) fn pattern(&self) -> &'a NamePattern {
        self.pattern
    }
}

/// The characters a part contributes.
fn spell(pattern: &NamePattern, text: &str, locale: Option<&str>) -> Result<String, Unfilled> {
    let Some(allow) = &pattern.allow else {
        let mut words = String::with_capacity(text.len());
        for word in text.split_whitespace() {
            words.push_str(if words.is_empty() { "" } else { " " });
            words.push_str(word);
        }
        let composed = if words.is_ascii() { words } else { words.nfc().collect() };
        return Ok(if pattern.lower { composed.to_lowercase() } else { composed });
    };
    let mut plain = letters::ascii(text, locale).map_err(|c| Failure::unreadable(text, c))?;
    if pattern.lower {
        plain.make_ascii_lowercase();
    }
    plain.retain(|c| allow.has(c));
    plain.truncate(plain.trim_end_matches(|c: char| !c.is_alphanumeric()).len());
    let start = plain.len() - plain.trim_start_matches(|c: char| !c.is_alphanumeric()).len();
    plain.drain(..start);
    Ok(plain)
}

fn join(parts: &[&str], separator: &str) -> String {
    let mut joined = String::with_capacity(64);
    for part in parts.iter().filter(|part| !part.is_empty()) {
        joined.push_str(if joined.is_empty() { "" } else { separator });
        joined.push_str(part);
    }
    joined
}

/// Gives the candidates of names that share a counter: 1 is without a number, then 2, 3, ...; what is reserved is
/// stepped over.
pub(super) struct Candidates<'c, 'a> {
    content: &'c Content,
    filled: &'c [Filled<'a>],
    /// The last answer: which candidate it was and its counter.
    last: (u32, u32),
}

impl<'c, 'a> Candidates<'c, 'a> {
    pub(super) fn new(content: &'c Content, filled: &'c [Filled<'a>]) -> Self {
        Self { content, filled, last: (0, 0) }
    }

    pub(super) fn get(&mut self, wanted: u32) -> Option<Vec<String>> {
        if wanted == 0 || wanted > ATTEMPTS_MAX {
            return None;
        }
        let (mut number, mut counter) = match wanted.checked_sub(self.last.0) {
            Some(1) => self.last,
            Some(_) if wanted > 1 => self.before(wanted),
            _ => (0, 0),
        };
        loop {
            counter += 1;
            if counter > ATTEMPTS_MAX {
                return None;
            }
            let names = self.names(counter)?;
            if self.are_reserved(&names) {
                continue;
            }
            number += 1;
            if number == wanted {
                self.last = (number, counter);
                return Some(names);
            }
        }
    }

    /// The candidate before a number, found without making those before it: a counter gives a reserved name only where
    /// a reserved word ends with it.
    fn before(&self, wanted: u32) -> (u32, u32) {
        let counters = std::iter::once(1).chain(self.content.reserved_counters.iter().copied());
        let reserved: BTreeSet<u32> = counters
            .filter(|counter| self.names(*counter).is_some_and(|names| self.are_reserved(&names)))
            .collect();
        let number = wanted - 1;
        let mut counter = number;
        loop {
            let skipped = u32::try_from(reserved.range(..=counter).count()).unwrap_or(u32::MAX);
            if counter.saturating_sub(skipped) >= number {
                return (number, counter);
            }
            counter = number.saturating_add(skipped);
        }
    }

    fn names(&self, counter: u32) -> Option<Vec<String>> {
        let shown = (counter > 1).then_some(counter);
        self.filled.iter().map(|filled| filled.candidate(shown)).collect()
    }

    fn are_reserved(&self, names: &[String]) -> bool {
        self.filled.iter().zip(names).any(|(filled, name)| filled.is_reserved(self.content, name))
    }
}
