//! Problems of configured rules: all in one pass, each with its remedy.

use std::collections::BTreeSet;

use super::mail::is_mail;
use super::rule::{Correlation, Item, Rule, Similarity};
use super::score::Score;
use super::settings::{ClassCorrelation, SourceCorrelation};
use crate::diagnostic::{Diagnostic, Severity};
use crate::error::{Effect, Error, ErrorKind};
use crate::value::{AttrName, AttrPath};

/// Rules of one correlation.
const RULES_MAX: usize = 64;
/// Items of one rule.
const ITEMS_MAX: usize = 16;
/// Characters of a name.
const NAME_MAX: usize = 64;

impl SourceCorrelation {
    /// What is wrong with the rules, and what works otherwise than it may be meant. `path`: where they stand.
    pub fn check(&self, path: &str) -> Vec<Diagnostic> {
        match self {
            Self::Scored(correlation) => correlation.check(path),
            Self::Lists(lists) => {
                let names = lists.iter().flat_map(|list| &list.attributes);
                names.filter(|name| is_mail(name.as_str())).map(|name| asked(path, name)).collect()
            }
        }
    }
}

impl ClassCorrelation {
    /// What is wrong with the rules, and what works otherwise than it may be meant. `path`: where they stand.
    pub fn check(&self, path: &str) -> Vec<Diagnostic> {
        match self {
            Self::Scored(correlation) => correlation.check(path),
            Self::Pairs(pairs) => {
                let mail = |(native, own): &(&AttrName, &AttrName)| {
                    is_mail(native.as_str()) || is_mail(own.as_str())
                };
                pairs.iter().filter(mail).map(|(native, _)| asked(path, native)).collect()
            }
        }
    }
}

impl Correlation {
    /// What is wrong with the rules, and what works otherwise than it may be meant. `path`: where they stand.
    pub fn check(&self, path: &str) -> Vec<Diagnostic> {
        let mut found = Vec::new();
        let mut error = |code: &str, at: String, summary: String, remedy: &str| {
            found.push(Diagnostic {
                path: Some(at),
                ..Diagnostic::new(Severity::Error, code, summary, remedy)
            });
        };
        if self.rules.len() > RULES_MAX {
            let summary = format!("{} rules are more than {RULES_MAX}", self.rules.len());
            error("C0001", format!("{path}.rules"), summary, "leave out rules that others imply");
            return found;
        }
        if self.definite == Score::ZERO || self.definite > Score::ONE || self.candidate > self.definite {
            let summary =
                format!("definite {} and candidate {} are no thresholds", self.definite, self.candidate);
            let remedy = "definite is more than 0 and at most 1, and candidate is not above it";
            error("C0002", path.to_owned(), summary, remedy);
        }
        if self.scale == Score::ZERO {
            let at = format!("{path}.scale");
            error("C0003", at, "a scale of 0 makes every score 0".to_owned(), "leave it out, or take 1");
        }
        let mut names = BTreeSet::new();
        for (n, rule) in self.rules.iter().enumerate() {
            let at = format!("{path}.rules[{n}]");
            self.check_rule(rule, &at, &mut error);
            if !names.insert(rule.name.as_str()) {
                let summary = format!("two rules are called `{}`", shown(&rule.name));
                error("C0004", format!("{at}.name"), summary, "give each rule a name of its own");
            }
            self.check_silence(rule, &at, &mut error);
        }
        if self.is_circular() {
            let summary = "`unless_matched_by` leads in a circle".to_owned();
            error(
                "C0010",
                format!("{path}.rules"),
                summary,
                "let the weaker of the rules name the stronger one",
            );
        }
        for (n, item) in self.must_not_differ.iter().enumerate() {
            let at = format!("{path}.must_not_differ[{n}]");
            check_path(item, &at, &mut error);
            if item.similarity != Similarity::Equal || item.minimum.is_some() || item.verified_by.is_some() {
                let summary = format!("`{}` rules out by equality alone", item.attribute);
                let remedy = "leave out `similarity`, `minimum` and `verified_by` here";
                error("C0011", at, summary, remedy);
            }
        }
        self.check_reach(path, &mut found);
        found
    }

    fn check_rule(&self, rule: &Rule, at: &str, error: &mut impl FnMut(&str, String, String, &str)) {
        let name = shown(&rule.name);
        if rule.name.is_empty() || rule.name.chars().count() > NAME_MAX {
            let summary = format!("`{name}` is no name of a rule");
            error("C0004", format!("{at}.name"), summary, "a name has 1 to 64 characters");
        }
        if rule.weight == Score::ZERO {
            let summary = format!("rule `{name}` has a weight of 0 and says nothing");
            error(
                "C0003",
                format!("{at}.weight"),
                summary,
                "leave out the weight for 1, or leave out the rule",
            );
        }
        if rule.items.is_empty() || rule.items.len() > ITEMS_MAX {
            let summary = format!("rule `{name}` compares {} attributes", rule.items.len());
            error("C0005", format!("{at}.items"), summary, "compare 1 to 16 attributes in a rule");
        } else if rule.items.iter().all(|item| item.similarity != Similarity::Equal) {
            let summary = format!(
                "rule `{name}` compares by likeness only: it would have to be tried on every identity there is"
            );
            let remedy = "add an item that has to be equal, such as a date of birth or a normalised family name: \
                          candidates are found by it, and likeness decides among them";
            error("C0006", format!("{at}.items"), summary, remedy);
        }
        for (n, item) in rule.items.iter().enumerate() {
            let at = format!("{at}.items[{n}]");
            check_path(item, &at, error);
            self.check_item(item, &at, error);
        }
    }

    fn check_item(&self, item: &Item, at: &str, error: &mut impl FnMut(&str, String, String, &str)) {
        let (name, declared) = (&item.attribute, item.minimum);
        let good = match (item.similarity, declared) {
            (Similarity::Equal, minimum) => minimum.is_none(),
            (_, minimum) => minimum.is_some_and(|least| least > Score::ZERO && least <= Score::ONE),
        };
        if !good {
            let (summary, remedy) = match item.similarity {
                Similarity::Equal => (
                    format!("`{name}` has to be equal and has a minimum"),
                    "leave out the minimum, or say by which `similarity` values are compared",
                ),
                _ => (
                    format!("`{name}` is compared by likeness and does not say how alike is enough"),
                    "declare a `minimum` of more than 0 and at most 1: 0.5 of levenshtein is one character",
                ),
            };
            error("C0007", format!("{at}.minimum"), summary, remedy);
        }
        let mail = is_mail(name.as_str()) || is_mail(item.other().as_str());
        if mail && item.verified_by.is_none() && !self.verifies_mail {
            let summary = format!("`{name}` is an address, and nothing says that it was verified");
            let remedy = "name in `verified_by` the attribute that is true when it was, or set `verifies_mail: true` \
                          where every address that is shown was verified; anybody can claim an address";
            error("C0008", at.to_owned(), summary, remedy);
        }
    }

    /// A rule can only be silenced by one that was looked at before it.
    fn check_silence(&self, rule: &Rule, at: &str, error: &mut impl FnMut(&str, String, String, &str)) {
        for other in &rule.unless_matched_by {
            let why = match self.rules.iter().find(|known| known.name == *other) {
                None => "there is no rule of this name",
                Some(known) if known.name == rule.name => "it is the rule itself",
                Some(known) if place(known).0 > place(rule).0 => "that rule is in a later tier",
                Some(known) if known.tier == rule.tier && place(known) > place(rule) => {
                    "that rule comes later in the order"
                }
                Some(_) => continue,
            };
            let summary = format!("`{}` cannot silence `{}`: {why}", shown(other), shown(&rule.name));
            error(
                "C0009",
                format!("{at}.unless_matched_by"),
                summary,
                "name rules that are looked at before this one",
            );
        }
    }

    fn is_circular(&self) -> bool {
        let mut open: Vec<&Rule> = self.rules.iter().collect();
        loop {
            let before = open.len();
            let still: BTreeSet<&str> = open.iter().map(|rule| rule.name.as_str()).collect();
            open.retain(|rule| {
                let mut silencing = rule.unless_matched_by.iter().map(String::as_str);
                silencing.any(|name| name != rule.name && still.contains(name))
            });
            if open.is_empty() || open.len() == before {
                return !open.is_empty();
            }
        }
    }

    /// Rules that together are never certain only ever ask.
    fn check_reach(&self, path: &str, found: &mut Vec<Diagnostic>) {
        let sum = self.rules.iter().fold(Score::ZERO, |sum, rule| sum.plus(rule.weight));
        if self.rules.is_empty() || sum.times(self.scale) >= self.definite {
            return;
        }
        let summary = format!(
            "all rules together give {}, less than definite {}",
            sum.times(self.scale),
            self.definite
        );
        let remedy =
            "nothing is ever matched without a person: lower `definite` or raise a weight if not meant";
        let diagnostic = Diagnostic::new(Severity::Warning, "C0012", summary, remedy);
        found.push(Diagnostic { path: Some(path.to_owned()), ..diagnostic });
    }
}

fn place(rule: &Rule) -> (u32, u32) {
    (rule.tier.unwrap_or(u32::MAX), rule.order.unwrap_or(u32::MAX))
}

fn check_path(item: &Item, at: &str, error: &mut impl FnMut(&str, String, String, &str)) {
    let paths = [Some(&item.attribute), item.with.as_ref(), item.verified_by.as_ref()];
    for path in paths.into_iter().flatten().filter(|path| AttrPath::parse(path.as_str()).is_none()) {
        let summary = format!("`{}` is no attribute", shown(path.as_str()));
        error(
            "C0005",
            at.to_owned(),
            summary,
            "write `attribute`, or `attribute.sub` for a part of structured values",
        );
    }
}

/// The short form on an address: read as ever, and never more than a question.
fn asked(path: &str, name: &AttrName) -> Diagnostic {
    let summary =
        format!("`{name}` is an address that nothing says was verified: a match is always a dispute");
    let remedy = "write `rules` with `verified_by` or `verifies_mail: true`, see docs/guide/correlation.md";
    let diagnostic = Diagnostic::new(Severity::Warning, "C0008", summary, remedy);
    Diagnostic { path: Some(path.to_owned()), ..diagnostic }
}

fn shown(text: &str) -> String {
    crate::text::escape(&text.chars().take(2 * NAME_MAX).collect::<String>())
}

/// The error of rules that cannot be used, with everything that is wrong with them.
pub(crate) fn refusal(found: &[Diagnostic]) -> Option<Error> {
    let errors: Vec<String> =
        found.iter().filter(|found| found.is_error()).map(ToString::to_string).collect();
    (!errors.is_empty())
        .then(|| Error::new(ErrorKind::ConfigInvalid, errors.join("\n")).with_effect(Effect::None))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn codes(correlation: Value) -> Vec<String> {
        let correlation: Correlation = serde_json::from_value(correlation).unwrap();
        correlation.check("sources.hr.correlate").into_iter().map(|found| found.code).collect()
    }

    fn rules(rules: Value) -> Vec<String> {
        codes(json!({ "rules": rules }))
    }

    #[test]
    fn each_mistake_is_told_by_its_code() {
        let id = json!([{ "attribute": "nationalId" }]);
        let like = json!({ "attribute": "familyName", "similarity": "levenshtein", "minimum": 0.5 });
        assert_eq!(rules(json!([{ "name": "id", "items": id }])), [""; 0]);
        assert_eq!(rules(json!([])), [""; 0]);
        let many: Vec<Value> = (0..65).map(|n| json!({ "name": format!("r{n}"), "items": id })).collect();
        assert_eq!(rules(json!(many)), ["C0001"]);
        let items = json!([{ "name": "id", "items": id }]);
        for (definite, candidate) in [(json!(0), json!(0)), (json!(1.1), json!(0)), (json!(0.5), json!(0.6))]
        {
            let mut found = codes(json!({ "rules": items, "definite": definite, "candidate": candidate }));
            found.retain(|code| code != "C0012");
            assert_eq!(found, ["C0002"]);
        }
        assert_eq!(codes(json!({ "rules": items, "scale": 0 })), ["C0003", "C0012"]);
        assert_eq!(rules(json!([{ "name": "id", "items": id, "weight": 0 }])), ["C0003", "C0012"]);
        assert_eq!(rules(json!([{ "name": "", "items": id }])), ["C0004"]);
        assert_eq!(rules(json!([{ "name": "id", "items": id }, { "name": "id", "items": id }])), ["C0004"]);
        assert_eq!(rules(json!([{ "name": "id", "items": [] }])), ["C0005"]);
        assert_eq!(rules(json!([{ "name": "id", "items": [{ "attribute": "a." }] }])), ["C0005"]);
        assert_eq!(rules(json!([{ "name": "like", "items": [like] }])), ["C0006"]);
        for (similarity, minimum) in [
            ("levenshtein", Value::Null),
            ("trigram", json!(0)),
            ("trigram", json!(1.5)),
            ("equal", json!(0.5)),
        ] {
            let item = json!({ "attribute": "familyName", "similarity": similarity, "minimum": minimum });
            assert_eq!(rules(json!([{ "name": "a", "items": [{ "attribute": "b" }, item] }])), ["C0007"]);
        }
        assert_eq!(rules(json!([{ "name": "a", "items": [{ "attribute": "emails.value" }] }])), ["C0008"]);
        assert_eq!(
            rules(json!([{ "name": "a", "items": [{ "attribute": "x", "with": "eMail" }] }])),
            ["C0008"]
        );
        let by = json!([{ "attribute": "mail", "verified_by": "mailVerified" }]);
        assert_eq!(rules(json!([{ "name": "a", "items": by }])), [""; 0]);
        let two = |a: Value, b: Value| {
            let (mut one, mut other) =
                (json!({ "name": "a", "items": id }), json!({ "name": "b", "items": id }));
            one.as_object_mut().unwrap().extend(a.as_object().unwrap().clone());
            other.as_object_mut().unwrap().extend(b.as_object().unwrap().clone());
            rules(json!([one, other]))
        };
        let by = |name: &str| json!({ "unless_matched_by": [name] });
        assert_eq!(two(by("b"), json!({})), [""; 0]);
        assert_eq!(two(by("c"), json!({})), ["C0009"]);
        assert_eq!(two(by("a"), json!({})), ["C0009"]);
        assert_eq!(two(json!({ "tier": 1, "unless_matched_by": ["b"] }), json!({})), ["C0009"]);
        assert_eq!(two(json!({ "order": 1, "unless_matched_by": ["b"] }), json!({ "order": 2 })), ["C0009"]);
        assert_eq!(two(by("b"), by("a")), ["C0010"]);
        let birth = json!([{ "attribute": "birthDate", "similarity": "trigram" }]);
        assert_eq!(codes(json!({ "rules": items, "must_not_differ": birth })), ["C0011"]);
        assert_eq!(rules(json!([{ "name": "id", "items": id, "weight": 0.9 }])), ["C0012"]);
    }

    #[test]
    fn the_refusal_says_where_why_and_how_to_fix_it() {
        let like = json!({ "attribute": "familyName", "similarity": "trigram", "minimum": 0.3 });
        let correlation: Correlation =
            serde_json::from_value(json!({ "rules": [{ "name": "names", "items": [like] }] })).unwrap();
        let refused = refusal(&correlation.check("sources.hr.correlate")).unwrap();
        let text = refused.to_string();
        for part in [
            "sources.hr.correlate.rules[0].items",
            "C0006",
            "every identity there is",
            "add an item that has",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert_eq!(refused.kind(), ErrorKind::ConfigInvalid);
        let lists: SourceCorrelation = serde_json::from_value(json!([["mail"], ["employeeNumber"]])).unwrap();
        let found = lists.check("sources.hr.correlate");
        assert_eq!((found.len(), found[0].is_error(), found[0].code.as_str()), (1, false, "C0008"));
        assert!(refusal(&found).is_none());
    }
}
