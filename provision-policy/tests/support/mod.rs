//! A population and an allocator in memory, for tests of policies.
#![allow(dead_code, unreachable_pub, reason = "each test binary uses its own part")]

pub mod grammar;

use std::collections::{BTreeMap, BTreeSet};

use provision_core::diagnostic::Diagnostic;
use provision_core::id::{IdentityId, RealmId, SourceName};
use provision_core::model::{Employment, Identity, Lifecycle};
use provision_core::policy::{
    DesiredAccount, DesiredSlot, Evaluation, NameAllocator, NameRequest, NameResult, Policy, PolicyInput,
};
use provision_core::value::{Attributes, Timestamp, Zone};
use provision_policy::Bundle;

/// Names in memory: who holds what, per namespace and scope.
#[derive(Debug, Default)]
pub struct Names {
    /// (namespace, scope) and the folded name.
    pub taken: BTreeSet<(String, String, String)>,
    /// Names by identity, purpose and scope.
    pub held: BTreeMap<(String, String, String), String>,
    /// Who asks now.
    pub who: String,
}

impl Names {
    pub fn take(&mut self, namespace: &str, scope: &str, name: &str) {
        self.taken.insert((namespace.to_owned(), scope.to_owned(), name.to_lowercase()));
    }

    fn holds(&self, request: &NameRequest) -> Option<String> {
        let key = (self.who.clone(), request.purpose.clone(), request.scope.clone());
        self.held.get(&key).cloned()
    }
}

impl NameAllocator for Names {
    fn allocate(
        &mut self,
        requests: &[NameRequest],
        candidates: &mut dyn FnMut(u32) -> Option<Vec<String>>,
    ) -> NameResult {
        if let Some(held) = self.held(requests) {
            return NameResult::Held(held);
        }
        for number in 1.. {
            let Some(names) = candidates(number) else { return NameResult::Exhausted };
            assert_eq!(names.len(), requests.len());
            for (request, name) in requests.iter().zip(&names) {
                assert!(!request.stem.is_empty(), "{request:?}");
                assert!(
                    name.to_lowercase().starts_with(&request.stem),
                    "{name:?} has not the stem of {request:?}"
                );
            }
            let keys: Vec<_> = requests
                .iter()
                .zip(&names)
                .map(|(request, name)| {
                    (request.namespace.as_str().to_owned(), request.scope.clone(), name.to_lowercase())
                })
                .collect();
            if keys.iter().any(|key| self.taken.contains(key)) {
                continue;
            }
            self.taken.extend(keys);
            for (request, name) in requests.iter().zip(&names) {
                let key = (self.who.clone(), request.purpose.clone(), request.scope.clone());
                self.held.insert(key, name.clone());
            }
            return NameResult::Allocated(names, number - 1);
        }
        NameResult::Exhausted
    }

    fn held(&self, requests: &[NameRequest]) -> Option<Vec<String>> {
        requests.iter().map(|request| self.holds(request)).collect()
    }
}

/// A person of the source `hr`.
pub fn person(key: &str, attributes: &[(&str, &str)]) -> Identity {
    let mut identity = Identity {
        id: IdentityId::parse("00000000-0000-4000-8000-000000000001").unwrap(),
        realm: RealmId::new("main"),
        attributes: Attributes::new(),
        provenance: BTreeMap::new(),
        employment: Employment::default(),
        engagements: Vec::new(),
        zone: Zone::utc(),
        source: SourceName::new("hr"),
        key: key.to_owned(),
        version: 7,
        next_change_at: None,
    };
    for (name, value) in attributes {
        identity.attributes = if value.is_empty() {
            identity.attributes.with_null(*name)
        } else {
            identity.attributes.with(*name, *value)
        };
        identity.provenance.insert((*name).into(), SourceName::new("hr"));
    }
    identity
}

pub fn now() -> Timestamp {
    "2026-11-20T09:00:00Z".parse().unwrap()
}

/// Evaluates one person as the engine would.
pub fn evaluate(policy: &dyn Policy, identity: &Identity, names: &mut Names) -> Evaluation {
    names.who = identity.key.clone();
    let (lifecycle, _) = identity.lifecycle(now()).unwrap();
    let input = PolicyInput { identity, lifecycle, now: now(), grants: &[], proposed: false };
    policy.evaluate(&input, names)
}

/// The same with a lifecycle and an instant.
pub fn evaluate_at(policy: &dyn Policy, identity: &Identity, at: &str) -> Evaluation {
    let mut names = Names { who: identity.key.clone(), ..Names::default() };
    let now: Timestamp = at.parse().unwrap();
    let (lifecycle, _): (Lifecycle, _) = identity.lifecycle(now).unwrap();
    policy.evaluate(&PolicyInput { identity, lifecycle, now, grants: &[], proposed: false }, &mut names)
}

pub fn account<'e>(evaluation: &'e Evaluation, target: &str) -> &'e DesiredAccount {
    evaluation
        .accounts
        .iter()
        .find(|account| account.target.as_str() == target)
        .expect("the account is mapped")
}

/// A value as text: `-` when the attribute is left alone, `(clear)` when it is cleared.
pub fn value(account: &DesiredAccount, attribute: &str) -> String {
    let found = account.values.iter().find(|value| value.attribute.as_str() == attribute);
    match found.map(|value| &value.slot) {
        None => "-".to_owned(),
        Some(DesiredSlot::Withdrawn { .. }) => "(withdrawn)".to_owned(),
        Some(DesiredSlot::AccountOf { key }) => format!("(account of {key})"),
        Some(DesiredSlot::Known(slot)) if slot.values().is_empty() => "(clear)".to_owned(),
        Some(DesiredSlot::Known(slot)) => {
            slot.values().iter().map(|value| value.to_plain()).collect::<Vec<_>>().join(" | ")
        }
    }
}

/// A bundle in which the attribute `aN` of the account `d/u` is the expression N; without the expressions that are
/// larger than the limits or loop inside a loop, as their codes tell. Any other fault fails the test.
pub fn attributes_of(expressions: &[String]) -> (Bundle, Vec<String>) {
    let allowed = |problem: &Diagnostic| {
        assert!(matches!(problem.code.as_str(), "P0000" | "P0020" | "P0025" | "P0028"), "{problem}");
    };
    attributes_without(expressions, &allowed)
}

/// The same without all that are refused; `seen` is shown why.
pub fn attributes_without(expressions: &[String], seen: &dyn Fn(&Diagnostic)) -> (Bundle, Vec<String>) {
    let mut kept = expressions.to_vec();
    loop {
        let problems = match Bundle::load(&[("policy.yaml", &text_of(&kept))]) {
            Ok(bundle) => return (bundle, kept),
            Err(problems) => problems,
        };
        let mut refused = BTreeSet::new();
        for problem in problems.iter().filter(|problem| problem.is_error()) {
            seen(problem);
            let path = problem.path.as_deref().unwrap_or_default();
            refused.extend(path.rsplit_once(".a").and_then(|(_, index)| index.parse::<usize>().ok()));
        }
        assert!(!refused.is_empty(), "{}", problems[0]);
        let mut index = 0;
        kept.retain(|_| {
            index += 1;
            !refused.contains(&(index - 1))
        });
    }
}

/// The text of that bundle.
pub fn text_of(expressions: &[String]) -> String {
    let mut text = format!(
        "bundle: 1\nversion: a\ninputs: {}\nlookups:\n  t: {{ map: {{ Zoë: one, a: two }} }}\n  \
         d: {{ map: {{ Zoë: one }}, default: none }}\nroles:\n  r: {{ grants: [{{ account: d/u }}] }}\n\
         rules:\n  - {{ id: all, when: 'true', roles: [r] }}\ntargets:\n  d:\n    u:\n      attributes:\n",
        grammar::INPUTS
    );
    for (index, expression) in expressions.iter().enumerate() {
        text.push_str(&format!("        a{index}: \""));
        for c in expression.chars() {
            match c {
                '"' | '\\' => text.extend(['\\', c]),
                ' '..='~' => text.push(c),
                c if c.is_alphanumeric() => text.push(c),
                c => text.push_str(&format!("\\U{:08x}", u32::from(c))),
            }
        }
        text.push_str("\"\n");
    }
    text
}

/// Compares with a golden file; `UPDATE_GOLDEN=1` writes it.
pub fn golden(name: &str, actual: &str) {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, actual).unwrap();
        return;
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(actual, expected, "differs from {}; look, then set UPDATE_GOLDEN=1", path.display());
}
