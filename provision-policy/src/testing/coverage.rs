//! What of a bundle no test has seen at work.

use std::collections::BTreeSet;

use provision_core::diagnostic::Span;
use provision_core::id::PolicyRef;
use provision_core::policy::Evaluation;
use serde::Serialize;

use crate::Bundle;

/// What tests have seen at work: rules that applied, roles that somebody had, mappings and names that gave a value or
/// refused one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Coverage {
    /// Rules seen, and all there are.
    pub rules: (usize, usize),
    /// Roles seen, and all there are.
    pub roles: (usize, usize),
    /// Mappings and generated names seen, and all there are.
    pub mappings: (usize, usize),
    /// What has not been seen, in the order of the ids.
    pub missing: Vec<Uncovered>,
}

/// Something that no test has seen at work.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Uncovered {
    /// What.
    pub id: PolicyRef,
    /// Where it is written.
    pub at: Option<Span>,
}

/// Ids that evaluations have named.
#[derive(Debug, Default)]
pub(super) struct Seen(BTreeSet<String>);

impl Seen {
    pub(super) fn add(&mut self, evaluation: &Evaluation) {
        let mut note = |id: &str| {
            if !self.0.contains(id) {
                self.0.insert(id.to_owned());
            }
        };
        for role in &evaluation.roles {
            note(&format!("roles.{}", role.role.as_str()));
            role.because.iter().for_each(|id| note(id.as_str()));
        }
        for account in &evaluation.accounts {
            let values = account.values.iter().filter_map(|value| value.derivation.mapping.as_ref());
            let refused = account.refusals.iter().filter_map(|refusal| refusal.mapping.as_ref());
            values.chain(refused).for_each(|id| note(id.as_str()));
        }
    }

    pub(super) fn against(&self, bundle: &Bundle) -> Coverage {
        let content = &*bundle.0;
        let maps = || content.accounts.values();
        let patterns = maps().flat_map(|map| &map.names).flat_map(|group| &group.patterns);
        let mappings = maps().flat_map(|map| &map.attributes).flat_map(|map| &map.mappings);
        let mappings: Vec<PolicyRef> = patterns
            .map(|pattern| pattern.id.clone())
            .chain(mappings.map(|mapping| mapping.id.clone()))
            .collect();
        let rules: Vec<PolicyRef> = content.rules.iter().map(|rule| rule.id.clone()).collect();
        let roles: Vec<PolicyRef> =
            content.roles.keys().map(|name| PolicyRef::new(format!("roles.{name}"))).collect();
        let mut missing: Vec<PolicyRef> = Vec::new();
        let mut count = |ids: &[PolicyRef]| {
            let (seen, unseen): (Vec<&PolicyRef>, Vec<&PolicyRef>) =
                ids.iter().partition(|id| self.0.contains(id.as_str()));
            missing.extend(unseen.into_iter().cloned());
            (seen.len(), ids.len())
        };
        let (rules, roles, mappings) = (count(&rules), count(&roles), count(&mappings));
        missing.sort();
        let uncovered = missing.into_iter().map(|id| Uncovered { at: bundle.source_of(&id), id });
        Coverage { rules, roles, mappings, missing: uncovered.collect() }
    }
}

impl Coverage {
    /// As text.
    pub fn render(&self) -> String {
        let share = |what: &str, (seen, all): (usize, usize)| format!("  {what} {seen} of {all}\n");
        let mut out = String::from("seen at work by tests\n");
        out.push_str(&share("rules", self.rules));
        out.push_str(&share("roles", self.roles));
        out.push_str(&share("mappings", self.mappings));
        for missing in &self.missing {
            let at = missing
                .at
                .as_ref()
                .map(|span| format!("  {}:{}", provision_core::text::escape(&span.file), span.line));
            out.push_str(&format!("  not {}{}\n", missing.id, at.unwrap_or_default()));
        }
        out
    }
}
