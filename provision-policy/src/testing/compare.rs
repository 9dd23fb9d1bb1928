//! What is expected against what a bundle decides.

use provision_core::diagnostic::{Diagnostic, Severity};
use provision_core::id::PolicyRef;
use provision_core::policy::{DesiredAccount, DesiredSlot, DesiredValue, Evaluation};

use super::expect::{AccountExpectation, At, ExpectedRefusal, ExpectedValue, Listed};
use super::{Case, Failure};
use crate::Bundle;
use crate::bundle::address_text;
use crate::document::{Place, Sources, suggestion};

struct Comparison<'c> {
    bundle: &'c Bundle,
    sources: &'c Sources,
    found: Vec<Failure>,
}

/// Everything in which a case differs from its expectation.
pub(super) fn compare(
    bundle: &Bundle,
    sources: &Sources,
    case: &Case,
    evaluation: &Evaluation,
) -> Vec<Failure> {
    let mut comparison = Comparison { bundle, sources, found: Vec::new() };
    let expect = &case.expect;
    let roles: Vec<(String, Vec<PolicyRef>)> =
        evaluation.roles.iter().map(|role| (role.role.as_str().to_owned(), role.because.clone())).collect();
    let known: Vec<&str> = bundle.0.roles.keys().map(String::as_str).collect();
    comparison.list("roles", "role", &expect.roles, &roles, Some(&known));
    for expected in &expect.accounts {
        comparison.account(expected, evaluation);
    }
    if let Some(expected) = &expect.next_change_at
        && expected.it != evaluation.next_change_at
    {
        let text = |at: Option<provision_core::value::Timestamp>| {
            at.map_or_else(|| "null".to_owned(), |at| at.to_string())
        };
        let (wanted, found) = (text(expected.it), text(evaluation.next_change_at));
        comparison.differ(expected.place, "next_change_at", vec![wanted], vec![found], &[]);
    }
    comparison.found
}

impl Comparison<'_> {
    fn differ(
        &mut self,
        place: Place,
        path: &str,
        expected: Vec<String>,
        found: Vec<String>,
        because: &[PolicyRef],
    ) {
        let summary = format!("`{path}` is not as expected");
        let problem = Diagnostic::new(Severity::Error, "P0080", summary, "").at(self.sources.span(place));
        let told = |id: &PolicyRef| match self.bundle.source_of(id) {
            Some(span) => format!("{id} ({}:{})", provision_core::text::escape(&span.file), span.line),
            None => id.to_string(),
        };
        let because = because.iter().map(told).collect();
        self.found.push(Failure { problem: problem.at_path(path), expected, found, because });
    }

    /// Something that the bundle cannot give, whoever it is.
    fn unknown(&mut self, place: Place, path: &str, what: &str, name: &str, known: &[&str]) {
        let remedy = match suggestion(name, known.iter().copied()) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => "correct the expectation, or add it to the bundle".to_owned(),
        };
        let summary = format!("the bundle has no {what} `{name}`");
        let problem = Diagnostic::new(Severity::Error, "P0082", summary, remedy);
        self.found.push(Failure::of(problem.at(self.sources.span(place)).at_path(path)));
    }

    fn list(
        &mut self,
        path: &str,
        what: &str,
        expected: &Listed,
        found: &[(String, Vec<PolicyRef>)],
        known: Option<&[&str]>,
    ) {
        let names: Vec<String> = found.iter().map(|(name, _)| name.clone()).collect();
        if let Some(known) = known {
            let exactly = expected.exactly.iter();
            let exactly = exactly.flat_map(|all| all.it.iter().map(|name| (all.place, name)));
            let parts = expected.includes.iter().chain(&expected.excludes);
            let all: Vec<(Place, &String)> =
                exactly.chain(parts.map(|part| (part.place, &part.it))).collect();
            for (place, name) in all {
                if !known.contains(&name.as_str()) {
                    self.unknown(place, path, what, name, known);
                }
            }
        }
        if let Some(exactly) = &expected.exactly {
            let sorted = |names: &[String]| {
                let mut names = names.to_vec();
                names.sort();
                names.dedup();
                names
            };
            let (wanted, all) = (sorted(&exactly.it), sorted(&names));
            if wanted != all {
                let extra = found.iter().filter(|(name, _)| !wanted.contains(name));
                let because: Vec<PolicyRef> = extra.flat_map(|(_, because)| because.clone()).collect();
                self.differ(exactly.place, path, wanted, all, &because);
            }
        }
        for wanted in expected.includes.iter().filter(|wanted| !names.contains(&wanted.it)) {
            let path = format!("{path}.includes");
            self.differ(wanted.place, &path, vec![wanted.it.clone()], names.clone(), &[]);
        }
        for unwanted in &expected.excludes {
            if let Some((name, because)) = found.iter().find(|(name, _)| *name == unwanted.it) {
                let path = format!("{path}.excludes");
                self.differ(unwanted.place, &path, Vec::new(), vec![name.clone()], because);
            }
        }
    }

    fn account(&mut self, expected: &At<AccountExpectation>, evaluation: &Evaluation) {
        let wanted = &expected.it;
        let path = format!("accounts.{}", wanted.address);
        let address = |account: &DesiredAccount| {
            address_text(&(account.target.clone(), account.class.clone(), account.tag.clone()))
        };
        let Some(account) = evaluation.accounts.iter().find(|account| address(account) == wanted.address)
        else {
            let known: Vec<String> = evaluation.accounts.iter().map(address).collect();
            let known: Vec<&str> = known.iter().map(String::as_str).collect();
            self.unknown(expected.place, &path, "account", &wanted.address, &known);
            return;
        };
        let because: Vec<PolicyRef> =
            account.because.iter().filter_map(|derivation| derivation.mapping.clone()).collect();
        if let Some(exists) = wanted.exists.as_ref().filter(|exists| exists.it != account.exists) {
            let path = format!("{path}.exists");
            let notes = account.because.iter().filter_map(|derivation| derivation.note.clone());
            let mut found = vec![account.exists.to_string()];
            found.extend(notes);
            self.differ(exists.place, &path, vec![exists.it.to_string()], found, &because);
        }
        let enabled = account.enabled.filter(|_| account.exists);
        if let Some(expected) = wanted.enabled.as_ref().filter(|expected| expected.it != enabled) {
            let text = |enabled: Option<bool>| enabled.map_or_else(|| "null".to_owned(), |on| on.to_string());
            let path = format!("{path}.enabled");
            self.differ(expected.place, &path, vec![text(expected.it)], vec![text(enabled)], &because);
        }
        self.values(&path, wanted, account);
        let groups: Vec<(String, Vec<PolicyRef>)> = account
            .groups
            .iter()
            .filter(|_| account.exists)
            .map(|group| (group.group.clone(), group.because.clone()))
            .collect();
        self.list(&format!("{path}.groups"), "group", &wanted.groups, &groups, None);
        for id in wanted.because.iter().filter(|id| !because.iter().any(|known| known.as_str() == id.it)) {
            let found = because.iter().map(|id| id.as_str().to_owned()).collect();
            self.differ(id.place, &format!("{path}.because"), vec![id.it.clone()], found, &[]);
        }
        self.refusals(&path, expected, account);
    }

    fn values(&mut self, path: &str, wanted: &AccountExpectation, account: &DesiredAccount) {
        let values: &[DesiredValue] = if account.exists { &account.values } else { &[] };
        let find = |name: &str| values.iter().find(|value| value.attribute.as_str() == name);
        let known: Vec<String> = self.mapped(account);
        let known: Vec<&str> = known.iter().map(String::as_str).collect();
        for At { place, it: (name, expected) } in &wanted.values {
            let path = format!("{path}.values.{name}");
            if !known.contains(&name.as_str()) {
                self.unknown(*place, &path, "mapping for", name, &known);
                continue;
            }
            let found = find(name);
            if !matches(expected, found) {
                let because: Vec<PolicyRef> =
                    found.into_iter().filter_map(|value| value.derivation.mapping.clone()).collect();
                self.differ(*place, &path, written(expected), shown(found), &because);
            }
        }
        if let Some(place) = wanted.exactly {
            let listed = |value: &&DesiredValue| {
                !wanted.values.iter().any(|listed| listed.it.0 == value.attribute.as_str())
            };
            let others: Vec<&DesiredValue> = values.iter().filter(listed).collect();
            if !others.is_empty() {
                let found = others
                    .iter()
                    .map(|value| format!("{}: {}", value.attribute.as_str(), shown(Some(value)).join(", ")));
                self.differ(place, &format!("{path}.exactly"), Vec::new(), found.collect(), &[]);
            }
        }
        for name in &wanted.left_alone {
            let path = format!("{path}.left_alone");
            match find(&name.it) {
                _ if !known.contains(&name.it.as_str()) => {
                    self.unknown(name.place, &path, "mapping for", &name.it, &known);
                }
                None => {}
                found => self.differ(name.place, &path, Vec::new(), shown(found), &[]),
            }
        }
    }

    /// The attributes that the account's map may give.
    fn mapped(&self, account: &DesiredAccount) -> Vec<String> {
        let key = (account.target.clone(), account.class.clone(), account.tag.clone());
        let Some(map) = self.bundle.0.accounts.get(&key) else { return Vec::new() };
        let names = map.names.iter().flat_map(|group| &group.patterns).map(|pattern| &pattern.attribute);
        let attributes = map.attributes.iter().map(|map| &map.attribute);
        names.chain(attributes).map(|name| name.as_str().to_owned()).collect()
    }

    fn refusals(&mut self, path: &str, expected: &At<AccountExpectation>, account: &DesiredAccount) {
        // An account that is spoken of and refused is a surprise unless the case says so.
        let (place, wanted) = match &expected.it.refusals {
            Some(refusals) => (refusals.place, refusals.it.as_slice()),
            None => (expected.place, &[][..]),
        };
        let fits = |wanted: &ExpectedRefusal, refusal: &provision_core::policy::Refusal| {
            let attribute = refusal.attribute.as_ref().map(|name| name.as_str());
            let mapping = refusal.mapping.as_ref().map(PolicyRef::as_str);
            wanted.reason == refusal.reason.as_str()
                && wanted.attribute.as_deref().is_none_or(|name| Some(name) == attribute)
                && wanted.mapping.as_deref().is_none_or(|id| Some(id) == mapping)
        };
        let all_found =
            account.refusals.iter().all(|refusal| wanted.iter().any(|wanted| fits(wanted, refusal)));
        let all_there =
            wanted.iter().all(|wanted| account.refusals.iter().any(|refusal| fits(wanted, refusal)));
        if all_found && all_there {
            return;
        }
        let line = |reason: &str, attribute: Option<&str>| match attribute {
            Some(attribute) => format!("{reason} ({attribute})"),
            None => reason.to_owned(),
        };
        let wanted = wanted.iter().map(|wanted| line(&wanted.reason, wanted.attribute.as_deref())).collect();
        let found = account.refusals.iter().map(|refusal| {
            let attribute = refusal.attribute.as_ref().map(|name| name.as_str());
            format!("{}: {}", line(refusal.reason.as_str(), attribute), refusal.detail)
        });
        let because: Vec<PolicyRef> =
            account.refusals.iter().filter_map(|refusal| refusal.mapping.clone()).collect();
        self.differ(place, &format!("{path}.refusals"), wanted, found.collect(), &because);
    }
}

fn matches(expected: &ExpectedValue, found: Option<&DesiredValue>) -> bool {
    match (expected, found.map(|value| &value.slot)) {
        (ExpectedValue::Texts(texts), Some(DesiredSlot::Known(slot))) => {
            slot.values().iter().map(|value| value.to_plain()).eq(texts.iter().cloned())
        }
        (ExpectedValue::Cleared, Some(DesiredSlot::Known(slot))) => slot.values().is_empty(),
        (ExpectedValue::Withdrawn, Some(DesiredSlot::Withdrawn { .. })) => true,
        (ExpectedValue::AccountOf(expected), Some(DesiredSlot::AccountOf { key })) => expected == key,
        _ => false,
    }
}

fn written(expected: &ExpectedValue) -> Vec<String> {
    match expected {
        ExpectedValue::Texts(texts) => texts.clone(),
        ExpectedValue::Cleared => vec!["(cleared)".to_owned()],
        ExpectedValue::Withdrawn => vec!["(withdrawn)".to_owned()],
        ExpectedValue::AccountOf(key) => vec![format!("(account of {key})")],
    }
}

fn shown(found: Option<&DesiredValue>) -> Vec<String> {
    match found.map(|value| &value.slot) {
        None => vec!["(left alone)".to_owned()],
        Some(DesiredSlot::Withdrawn { .. }) => vec!["(withdrawn)".to_owned()],
        Some(DesiredSlot::AccountOf { key }) => vec![format!("(account of {key})")],
        Some(DesiredSlot::Known(slot)) if slot.values().is_empty() => vec!["(cleared)".to_owned()],
        Some(DesiredSlot::Known(slot)) => slot.values().iter().map(|value| value.to_plain()).collect(),
    }
}
