//! The policy of a simulated realm, in versions.

use std::collections::BTreeMap;

use crate::diagnostic::Diagnostic;
use crate::id::{PolicyRef, Tag, TargetName};
use crate::model::{Entitlement, Identity, Lifecycle};
use crate::policy::{
    CredentialPolicy, Derivation, DesiredAccount, DesiredGroup, DesiredSlot, DesiredValue, Evaluation,
    InputRef, NameAllocator, NameRequest, NameResult, Namespace, NamespaceMember, Policy, PolicyInput,
    PolicyVersion, Strength,
};
use crate::schema::{CaseRule, Schema};
use crate::value::{Slot, Timestamp, Value};

/// The directory: users in groups, with a manager.
pub(super) const DIRECTORY: &str = "directory";
/// The application: accounts, no groups.
pub(super) const APPLICATION: &str = "application";

/// One version of the policy. What it wants of a person is said once more, in other words, by the laws.
#[derive(Clone, Debug)]
pub(super) struct SimPolicy {
    version: u32,
    namespaces: Vec<Namespace>,
    application: bool,
    password: bool,
}

impl SimPolicy {
    pub(super) fn new(version: u32, application: bool, password: bool) -> Self {
        let namespace = |name: &str, case, target: &str, class: &str, attribute: &str| Namespace {
            name: name.into(),
            case,
            members: vec![NamespaceMember {
                target: target.into(),
                class: class.into(),
                attribute: attribute.into(),
            }],
            scoped: false,
            reuse_after_days: None,
        };
        let namespaces = vec![
            namespace("login", CaseRule::Ignore, DIRECTORY, "user", "sAMAccountName"),
            namespace("user-name", CaseRule::Exact, APPLICATION, "account", "userName"),
        ];
        Self { version, namespaces, application, password }
    }
}

/// What a name is made from.
pub(super) fn stem(given: &str, family: &str) -> String {
    let first = given.to_lowercase().chars().next().unwrap_or('x');
    format!("{}{first}", family.to_lowercase())
}

/// The title that a version of the policy gives.
pub(super) fn title(version: u32) -> String {
    format!("Title {}", version % 3)
}

/// The groups of a department under a version of the policy.
pub(super) fn groups(version: u32, department: &str) -> Vec<String> {
    let mut groups = vec![group_name(department)];
    if version.is_multiple_of(2) {
        groups.push(group_name("Everybody"));
    }
    groups
}

/// The name of a group in the directory.
pub(super) fn group_name(name: &str) -> String {
    format!("CN={name},OU=Groups,DC=test")
}

impl Policy for SimPolicy {
    fn version(&self) -> PolicyVersion {
        PolicyVersion { label: format!("version {}", self.version), hash: format!("hash-{}", self.version) }
    }

    fn namespaces(&self) -> &[Namespace] {
        &self.namespaces
    }

    fn check(&self, _schemas: &BTreeMap<TargetName, Schema>) -> Vec<Diagnostic> {
        Vec::new()
    }

    fn evaluate(&self, input: &PolicyInput<'_>, names: &mut dyn NameAllocator) -> Evaluation {
        let mut next_change_at: Option<Timestamp> = None;
        for grant in input.grants {
            next_change_at = Timestamp::earliest(next_change_at, grant.at(input.now).1);
        }
        let mut accounts = vec![self.directory(input, names)];
        if self.application {
            accounts.push(self.application(input, names));
        }
        Evaluation { accounts, next_change_at, ..Evaluation::default() }
    }
}

impl SimPolicy {
    fn directory(&self, input: &PolicyInput<'_>, names: &mut dyn NameAllocator) -> DesiredAccount {
        let person = input.identity;
        let mut account = self.account(input, DIRECTORY, "user");
        if !account.exists {
            return account;
        }
        let text = |name: &str| person.attributes.text(name).unwrap_or_default().to_owned();
        let (given, family, department) = (text("givenName"), text("familyName"), text("department"));
        let login = name(names, "login", "directory/user/main/sAMAccountName", &stem(&given, &family));
        let dn = format!("CN={given} {family} ({login}),OU={department},DC=test");
        for (attribute, value) in [
            ("sAMAccountName", login.clone()),
            ("cn", format!("{given} {family} ({login})")),
            ("dn", dn),
            ("givenName", given.clone()),
            ("sn", family.clone()),
            ("department", department.clone()),
            ("employeeNumber", person.key.clone()),
            ("mail", format!("{login}@Test.Example")),
            ("title", title(self.version)),
        ] {
            account.values.push(desired(person, attribute, known(&value)));
        }
        // A phone that the source cleared is cleared.
        let phone = match person.attributes.text("phone") {
            Some(phone) => known(phone),
            None => DesiredSlot::Known(Slot::Null),
        };
        account.values.push(desired(person, "telephoneNumber", phone));
        if let Some(manager) = person.attributes.text("manager") {
            let slot = DesiredSlot::AccountOf { key: manager.to_owned() };
            account.values.push(desired(person, "manager", slot));
        }
        for group in groups(self.version, &department) {
            account.groups.push(desired_group(&group, "rules.by-department"));
        }
        for grant in input.grants {
            if let (Entitlement::Group { group, .. }, (true, _)) = (&grant.entitlement, grant.at(input.now)) {
                account.groups.push(desired_group(group, "grants.stored"));
            }
        }
        account
    }

    fn application(&self, input: &PolicyInput<'_>, names: &mut dyn NameAllocator) -> DesiredAccount {
        let person = input.identity;
        let mut account = self.account(input, APPLICATION, "account");
        if !account.exists {
            return account;
        }
        let text = |name: &str| person.attributes.text(name).unwrap_or_default().to_owned();
        let (given, family) = (text("givenName"), text("familyName"));
        let login = name(names, "user-name", "application/account/main/userName", &stem(&given, &family));
        for (attribute, value) in [
            ("userName", login),
            ("givenName", given),
            ("familyName", family),
            ("department", text("department")),
            ("employeeNumber", person.key.clone()),
            ("title", title(self.version)),
        ] {
            account.values.push(desired(person, attribute, known(&value)));
        }
        account
    }

    fn account(&self, input: &PolicyInput<'_>, target: &str, class: &str) -> DesiredAccount {
        let exists = !matches!(input.lifecycle, Lifecycle::PreHire | Lifecycle::Terminated);
        DesiredAccount {
            target: target.into(),
            class: class.into(),
            tag: Tag::main(),
            exists,
            enabled: exists.then_some(input.lifecycle == Lifecycle::Active),
            because: vec![Derivation {
                mapping: Some(PolicyRef::new("rules.everybody")),
                ..Derivation::default()
            }],
            values: Vec::new(),
            groups: Vec::new(),
            credential: self.password.then_some(CredentialPolicy { length: 16, must_change: true }),
            refusals: Vec::new(),
            authority: Default::default(),
        }
    }
}

fn known(value: &str) -> DesiredSlot {
    DesiredSlot::Known(Slot::Values(vec![Value::text(value)]))
}

fn name(names: &mut dyn NameAllocator, namespace: &str, purpose: &str, stem: &str) -> String {
    let request = NameRequest {
        namespace: namespace.into(),
        scope: String::new(),
        purpose: purpose.to_owned(),
        stem: stem.to_owned(),
    };
    let mut candidates = |n: u32| Some(vec![if n == 1 { stem.to_owned() } else { format!("{stem}{n}") }]);
    match names.allocate(&[request], &mut candidates) {
        NameResult::Held(names) | NameResult::Allocated(names, _) => names.into_iter().next(),
        NameResult::Pending | NameResult::Exhausted => None,
    }
    .unwrap_or_else(|| stem.to_owned())
}

fn desired(person: &Identity, attribute: &str, slot: DesiredSlot) -> DesiredValue {
    let source = person.provenance.values().next().cloned();
    DesiredValue {
        attribute: attribute.into(),
        inputs: format!("{slot:?}"),
        slot,
        strength: Strength::Strong,
        derivation: Derivation {
            mapping: Some(PolicyRef::new(format!("maps.{attribute}"))),
            strength: Some(Strength::Strong),
            inputs: vec![InputRef { attribute: attribute.into(), source }],
            identity_version: person.version,
            ..Derivation::default()
        },
        tolerance: None,
    }
}

fn desired_group(group: &str, because: &str) -> DesiredGroup {
    DesiredGroup {
        class: "group".into(),
        group: group.to_owned(),
        of: None,
        privileged: false,
        because: vec![PolicyRef::new(because)],
    }
}
