//! An account in the directory for everybody, with a generated login: what a first policy would say.

use std::collections::BTreeMap;

use provision_core::diagnostic::Diagnostic;
use provision_core::id::{ClassName, PolicyRef, Tag, TargetName};
use provision_core::model::{Identity, Lifecycle};
use provision_core::policy::{
    Derivation, DesiredAccount, DesiredGroup, DesiredSlot, DesiredValue, Evaluation, InputRef, NameAllocator,
    NameRequest, NameResult, Namespace, NamespaceMember, Policy, PolicyInput, PolicyVersion, Strength,
};
use provision_core::schema::{CaseRule, Schema};
use provision_core::value::{AttrName, Slot};

use crate::world::TARGET;

/// The policy of the benches, in Rust: what they measure is the engine, not the expressions of a bundle.
#[derive(Debug)]
pub struct BenchPolicy {
    namespaces: Vec<Namespace>,
    targets: Vec<TargetName>,
    group: Option<String>,
}

impl BenchPolicy {
    /// The policy for one target.
    pub fn new() -> Self {
        Self::on(&[TARGET.into()])
    }

    /// The policy for several targets: everybody has the same account on each, under the same name.
    pub fn on(targets: &[TargetName]) -> Self {
        let member = NamespaceMember {
            target: TargetName::new(TARGET),
            class: ClassName::new("user"),
            attribute: AttrName::new("sAMAccountName"),
        };
        let login = Namespace {
            name: "login".into(),
            case: CaseRule::Ignore,
            members: vec![member],
            scoped: false,
            reuse_after_days: None,
        };
        Self { namespaces: vec![login], targets: targets.to_vec(), group: None }
    }

    /// Everybody is in this group, too.
    #[must_use]
    pub fn with_group(self, group: String) -> Self {
        Self { group: Some(group), ..self }
    }
}

impl Default for BenchPolicy {
    fn default() -> Self {
        Self::new()
    }
}

impl Policy for BenchPolicy {
    fn version(&self) -> PolicyVersion {
        PolicyVersion { label: "bench".to_owned(), hash: "bench-1".to_owned() }
    }

    fn namespaces(&self) -> &[Namespace] {
        &self.namespaces
    }

    fn check(&self, _schemas: &BTreeMap<TargetName, Schema>) -> Vec<Diagnostic> {
        Vec::new()
    }

    fn evaluate(&self, input: &PolicyInput<'_>, names: &mut dyn NameAllocator) -> Evaluation {
        let identity = input.identity;
        let text = |name: &str| identity.attributes.text(name).unwrap_or_default();
        let exists = input.lifecycle == Lifecycle::Active;
        let values = if exists { values(identity, &login(identity, names)) } else { Vec::new() };
        let account = |target: &TargetName| DesiredAccount {
            target: target.clone(),
            class: "user".into(),
            tag: Tag::main(),
            exists,
            enabled: exists.then_some(true),
            because: vec![Derivation {
                mapping: Some(PolicyRef::new("rules.everybody")),
                note: Some(text("department").to_owned()),
                ..Derivation::default()
            }],
            values: values.clone(),
            groups: self.group.iter().filter(|_| exists).map(|group| desired(group)).collect(),
            credential: None,
            refusals: Vec::new(),
            authority: Default::default(),
        };
        let accounts = self.targets.iter().map(account).collect();
        Evaluation { accounts, ..Evaluation::default() }
    }
}

fn desired(group: &str) -> DesiredGroup {
    DesiredGroup {
        class: "group".into(),
        group: group.to_owned(),
        of: None,
        privileged: false,
        because: vec![PolicyRef::new("rules.everybody")],
    }
}

fn login(identity: &Identity, names: &mut dyn NameAllocator) -> String {
    let text = |name: &str| identity.attributes.text(name).unwrap_or_default();
    let first = text("givenName").to_lowercase().chars().next().unwrap_or('x');
    let stem: String = text("familyName").to_lowercase().chars().take(15).chain([first]).collect();
    let request = NameRequest {
        namespace: "login".into(),
        scope: String::new(),
        purpose: format!("{TARGET}/user/main/sAMAccountName"),
        stem: stem.clone(),
    };
    let mut candidates = |n: u32| Some(vec![if n == 1 { stem.clone() } else { format!("{stem}{n}") }]);
    match names.allocate(&[request], &mut candidates) {
        NameResult::Held(names) | NameResult::Allocated(names, _) => names.into_iter().next().unwrap_or(stem),
        NameResult::Pending | NameResult::Exhausted => stem,
    }
}

fn values(identity: &Identity, login: &str) -> Vec<DesiredValue> {
    let text = |name: &str| identity.attributes.text(name).unwrap_or_default();
    let (given, family, department) = (text("givenName"), text("familyName"), text("department"));
    let value = |attribute: &str, value: String, from: &str| DesiredValue {
        attribute: attribute.into(),
        inputs: format!("{attribute}:{value}"),
        slot: DesiredSlot::Known(Slot::Values(vec![value.into()])),
        strength: Strength::Strong,
        derivation: Derivation {
            mapping: Some(PolicyRef::new(format!("maps.user.{attribute}"))),
            strength: Some(Strength::Strong),
            inputs: vec![InputRef { attribute: from.into(), source: identity.provenance.get(from).cloned() }],
            identity_version: identity.version,
            ..Derivation::default()
        },
        tolerance: None,
    };
    vec![
        value("sAMAccountName", login.to_owned(), "familyName"),
        value("cn", format!("{given} {family} ({login})"), "familyName"),
        value("dn", format!("CN={given} {family} ({login}),OU={department},DC=bench"), "department"),
        value("givenName", given.to_owned(), "givenName"),
        value("sn", family.to_owned(), "familyName"),
        value("title", text("title").to_owned(), "title"),
        value("department", department.to_owned(), "department"),
        value("l", text("city").to_owned(), "city"),
        value("mobile", text("mobile").to_owned(), "mobile"),
        value("mail", format!("{login}@bench.example"), "familyName"),
        value("employeeNumber", identity.key.clone(), "key"),
    ]
}
